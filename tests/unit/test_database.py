"""A database in a file: migrations, transactions, and what is said when it cannot be used."""

import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from wsvad.database import Database
from wsvad.errors import WsvadError

ONE = "CREATE TABLE t (x INTEGER)"
TWO = "ALTER TABLE t ADD COLUMN y TEXT; INSERT INTO t VALUES (7, 'moved')"


def test_each_migration_is_made_once_and_a_newer_file_is_refused(tmp_path):
    path = tmp_path / "there" / "events.db"
    Database(path, [ONE]).close()
    for _ in range(2):
        database = Database(path, [ONE, TWO])
        assert [tuple(row) for row in database.read("SELECT * FROM t")] == [(7, "moved")]
        database.close()
    with pytest.raises(WsvadError, match=r"events.db: made by a newer version of wsvad; install that one"):
        Database(path, [ONE])


def test_a_migration_that_fails_leaves_the_version_before(tmp_path):
    Database(tmp_path / "d", [ONE]).close()
    with pytest.raises(WsvadError, match="no such table: nowhere"):
        Database(tmp_path / "d", [ONE, "CREATE TABLE u (x); INSERT INTO nowhere VALUES (1)"])
    database = Database(tmp_path / "d", [ONE])
    assert [row["name"] for row in database.read("SELECT name FROM sqlite_master")] == ["t"]


def test_all_of_a_transaction_or_nothing_also_of_one_within_another(tmp_path):
    database = Database(tmp_path / "d", [ONE])
    with pytest.raises(ZeroDivisionError), database.transaction() as outer:
        outer.execute("INSERT INTO t VALUES (1)")
        with database.transaction() as inner:
            inner.execute("INSERT INTO t VALUES (2)")
        _ = 1 / 0
    assert database.read("SELECT * FROM t") == []
    with database.transaction() as tables:
        tables.execute("INSERT INTO t VALUES (3)")
    assert [row["x"] for row in database.read("SELECT * FROM t")] == [3]


def test_threads_write_at_the_same_time(tmp_path):
    database = Database(tmp_path / "d", [ONE])

    def add() -> None:
        for _ in range(20):
            with database.transaction() as tables:
                count = tables.execute("SELECT count(*) FROM t").fetchone()[0]
                tables.execute("INSERT INTO t VALUES (?)", (count,))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["x"] for row in database.read("SELECT x FROM t ORDER BY x")] == list(range(80))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"this is no database, but a text that is long enough" * 40, "not a database"), (None, "of another program")],
)
def test_another_file_is_left_as_it_is(tmp_path, content, said):
    path = tmp_path / "d"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        content = path.read_bytes()
    else:
        path.write_bytes(content)
    with pytest.raises(WsvadError, match=said):
        Database(path, [ONE])
    assert path.read_bytes() == content


def test_damage_is_found(tmp_path):
    path = tmp_path / "d"
    database = Database(path, [ONE])
    with database.transaction() as tables:
        tables.executemany("INSERT INTO t VALUES (?)", [(x,) for x in range(5000)])
    assert database.damage() == ""
    database.shrink()
    database.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 2000] = bytes(2000)
    path.write_bytes(content)
    said = Database(path, [ONE]).damage()
    assert said.startswith(f"{path}: ") and "damaged; move it away" in said


def test_tables_that_are_not_as_this_program_makes_them_are_refused_and_more_of_them_are_not(tmp_path):
    Database(tmp_path / "d", [ONE]).close()
    with sqlite3.connect(tmp_path / "d") as tables:
        tables.execute("CREATE VIEW mine AS SELECT * FROM t")
    tables.close()
    Database(tmp_path / "d", [ONE]).close()
    with sqlite3.connect(tmp_path / "d") as tables:
        tables.execute("DROP VIEW mine")
        tables.execute("ALTER TABLE t RENAME COLUMN x TO z")
    tables.close()
    with pytest.raises(WsvadError, match=r"damaged; .* \(tables are not as this program makes them\)"):
        Database(tmp_path / "d", [ONE])


def test_text_that_is_none_is_damage(tmp_path):
    database = Database(tmp_path / "d", [ONE])
    with database.transaction() as tables:
        tables.execute("INSERT INTO t VALUES (CAST(x'ff41' AS TEXT))")
    with pytest.raises(WsvadError, match="d: Could not decode to UTF-8"):
        database.read("SELECT x FROM t")
    for wrong in ("x", 1e300, b"1", float("nan")):
        with pytest.raises(WsvadError, match="is no time"):
            database.moment(wrong)


def test_space_is_given_back(tmp_path):
    path = tmp_path / "d"
    database = Database(path, [ONE])
    with database.transaction() as tables:
        tables.executemany("INSERT INTO t VALUES (zeroblob(10000))", [()] * 50)
    database.shrink()
    before = path.stat().st_size
    with database.transaction() as tables:
        tables.execute("DELETE FROM t")
    database.shrink()
    assert before > 500_000 > 50_000 > path.stat().st_size


def test_a_folder_that_cannot_be_written_and_a_file_in_its_place_are_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WsvadError, match="Not a directory"):
        Database(tmp_path / "file" / "d", [ONE])
    (tmp_path / "folder").mkdir()
    with pytest.raises(WsvadError, match="folder: cannot be opened; is it a file in a folder"):
        Database(tmp_path / "folder", [ONE])
    with pytest.raises(WsvadError, match=r"a file name of 300 bytes \(at most 255\)"):
        Database(tmp_path / ("x" * 300), [ONE])


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    database = Database(tmp_path / "d", [ONE])
    with database.transaction() as tables:
        tables.execute("INSERT INTO t VALUES (1)")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    said = r"d: (the disk is full; free some space|cannot be read or written; is the disk full)"
    try:
        with pytest.raises(WsvadError, match=said), database.transaction() as tables:
            tables.executemany("INSERT INTO t VALUES (zeroblob(10000))", [()] * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with database.transaction() as tables:
        tables.execute("INSERT INTO t VALUES (2)")
    assert [row["x"] for row in database.read("SELECT x FROM t")] == [1, 2] and database.damage() == ""


def test_a_folder_that_may_only_be_read_is_one_line(tmp_path):
    Database(tmp_path / "d", [ONE]).close()
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", tmp_path], check=False).returncode:
        pytest.skip("an administrator can write anywhere here: there is no chattr, or the file system ignores it")
    try:
        for name in ("d", "new"):
            with pytest.raises(WsvadError, match=f"^{tmp_path}: no permission to write here; choose another folder$"):
                Database(tmp_path / name, [ONE])
    finally:
        subprocess.run(["chattr", "-i", tmp_path], check=True)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_threads_that_have_ended_keep_no_file_open(tmp_path):
    database = Database(tmp_path / "d", [ONE])
    before = open_files()
    for _ in range(20):
        thread = threading.Thread(target=database.read, args=("SELECT * FROM t",))
        thread.start()
        thread.join()
    assert open_files() <= before + 3, "one connection has the file, its log and their index"
    with database.transaction() as tables:
        tables.execute("INSERT INTO t VALUES (1)")
    assert len(database.read("SELECT * FROM t")) == 1, "that of a thread which lives is not closed"
    database.close()


def test_closing_leaves_what_another_thread_is_writing(tmp_path):
    """As that of a sink which hangs and comes back while the program ends."""
    database = Database(tmp_path / "d", [ONE])
    begun, closed = threading.Event(), threading.Event()

    def write() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            begun.set()
            closed.wait(60)
            connection.execute("INSERT INTO t VALUES (2)")

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    database.close()
    closed.set()
    writer.join(60)
    again = Database(tmp_path / "d", [ONE])
    assert [row["x"] for row in again.read("SELECT x FROM t ORDER BY x")] == [1, 2]
    again.close()
