"""A database in one file (SQLite) that several threads and processes may use, and that a kill at any moment leaves
whole."""

import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsvad.errors import WsvadError
from wsvad.files import check_writable, overlong
from wsvad.spelling import reason, short

COLUMNS = "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
"""Tables and their columns."""
PATIENCE = 10.0
"""Seconds that one writer waits for another."""
REMEDIES = {
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "no permission to write here; choose another folder",
    "SQLITE_CANTOPEN": "cannot be opened; is it a file in a folder that can be written to?",
    "SQLITE_BUSY": "another program has kept it locked; close it",
    "SQLITE_LOCKED": "another program has kept it locked; close it",
    "SQLITE_NOTADB": "not a database; move it away, and a new one is made",
    "SQLITE_CORRUPT": "damaged; move it away, and a new one is made ('sqlite3 FILE .recover' saves what can be saved)",
    "SQLITE_IOERR": "cannot be read or written; is the disk full, or gone, or does it refuse files as large as this?",
}
"""What SQLite says, by how its name begins → what is wrong and what to do."""


class Database:
    """Made by `Database(path, migrations)`; each thread has a connection of its own."""

    def __init__(self, path: Path | str, migrations: Sequence[str]):
        """Open a file, or make it.

        Args:
            migrations: scripts of statements, the oldest first, each of which makes the next version of the tables. A
                file says which it has seen (`user_version`).

        Raises:
            WsvadError: it cannot be opened or written, is damaged, is no database of this program, or is of a newer
                version.
        """
        self.path = Path(path)
        if said := overlong(self.path):
            raise WsvadError(f"{self.path}: {said}; choose a shorter one")
        check_writable(self.path.parent)
        self._own = threading.local()
        self._all: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._one_thread = threading.Lock()
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate(migrations)

    def _migrate(self, migrations: Sequence[str]) -> None:
        if not self.path.exists() or not self.path.stat().st_size:  # what stays in the file, before anything is read
            self.read("PRAGMA auto_vacuum = INCREMENTAL")  # so that space can be given back
            self.read("PRAGMA journal_mode = WAL")
        version = self.read("PRAGMA user_version")[0][0]
        if version > len(migrations):
            raise WsvadError(f"{self.path}: made by a newer version of wsvad; install that one, or choose another file")
        if version == 0 and self.read("SELECT 1 FROM sqlite_master LIMIT 1"):
            raise WsvadError(f"{self.path}: a database of another program; choose another file")
        if version == len(migrations):
            if not _columns_of(migrations) <= set(map(tuple, self.read(COLUMNS))):
                raise self.damaged("tables are not as this program makes them")
            return
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
            for number, script in enumerate(migrations[version:], version + 1):
                _run(connection, script)
                connection.execute(f"PRAGMA user_version = {number}")

    def read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._explained():
            return self._connection().execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written in the block, or nothing of it. In a transaction of this thread it is a part of that.

        Raises:
            WsvadError: the disk is full, or the file cannot be written, or is damaged.
        """
        with self._explained():
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:  # Ctrl-C too leaves nothing half written; whatever it is goes on
                with suppress(sqlite3.Error):  # of a full disk SQLite has done so itself
                    connection.execute("ROLLBACK")
                raise

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in one."""
        with self._explained():
            return self._connection().in_transaction

    def moment(self, seconds: Any) -> datetime | None:
        """The time of day that a row has as seconds, if any.

        Raises:
            WsvadError: it is none.
        """
        try:
            return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            raise self.damaged(f"'{short(seconds)}' is no time") from None

    def damaged(self, words: str) -> WsvadError:
        """What is said of a row that is not as it was written."""
        return WsvadError(f"{self.path}: {REMEDIES['SQLITE_CORRUPT']} ({words})")

    def damage(self) -> str:
        """What SQLite finds wrong with the file, in a line; empty where it is whole. This reads all of it."""
        try:
            found = [row[0] for row in self.read("PRAGMA integrity_check(3)")]
        except WsvadError as error:
            return str(error)
        return "" if found == ["ok"] else str(self.damaged(short("; ".join(map(str, found)), 300)))

    def shrink(self) -> None:
        """Give the space of what was deleted back to the disk."""
        with self._explained():
            # A script is run to its end; of a single statement without rows Python takes one step, a page.
            self._connection().executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections of this thread and of those that have ended. One that another thread still uses, as
        that of a sink which hangs, is closed when that thread lets go of it: closed under its hands it would end the
        process."""
        with self._one_thread:
            mine = threading.current_thread()
            self._close({thread for thread, _ in self._all if thread is mine or not thread.is_alive()})
            self._all = []
        self._own = threading.local()

    def _close(self, threads: Collection[threading.Thread]) -> None:
        for thread, connection in self._all:
            if thread in threads:
                with suppress(sqlite3.Error):
                    connection.close()
        self._all = [(thread, connection) for thread, connection in self._all if thread not in threads]

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            path = self.path.absolute()
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            with self._one_thread:
                # Of threads that have ended nobody else closes them: of a thread a clip they would be thousands.
                self._close({thread for thread, _ in self._all if not thread.is_alive()})
                self._all.append((threading.current_thread(), connection))
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")  # what is finished stays, also where the power fails
            connection.execute("PRAGMA foreign_keys = ON")
            self._own.connection = connection
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            said = next((words for begin, words in REMEDIES.items() if name.startswith(begin)), reason(error))
            raise WsvadError(f"{self.path}: {said}") from error
        except UnicodeDecodeError as error:
            raise self.damaged(reason(error)) from None


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        connection.execute(statement)


def _columns_of(migrations: Sequence[str]) -> set[tuple[str, ...]]:
    """What the migrations make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in migrations:
            _run(connection, script)
        return set(connection.execute(COLUMNS).fetchall())
