"""One command at a time writes to a folder, and what is made for it goes when it stays empty."""

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from wsvad.errors import WsvadError
from wsvad.files import whole_folder
from wsvad.locks import writing

HOLD = "import sys; from wsvad.locks import writing\nwith writing(sys.argv[1]): print(flush=True); sys.stdin.read()"


def test_another_process_is_refused_until_the_first_ends_however_it_ends(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other.stdout.readline()
    with pytest.raises(WsvadError, match=r"run: another command is writing to this folder"), writing(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()
    other.kill()
    other.communicate()
    with writing(tmp_path / "run"):
        (tmp_path / "run" / "file").touch()


def test_what_a_command_calls_may_hold_its_folder_again(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    refused = []

    def other_thread() -> None:
        with pytest.raises(WsvadError), writing(tmp_path / "run"):
            pass
        refused.append(True)

    with writing(tmp_path / "run"):
        with writing(tmp_path / "link"):
            pass
        with writing(tmp_path / "run" / "features"):
            pass
        thread = threading.Thread(target=other_thread)  # the inner block did not let go of it
        thread.start()
        thread.join()
    assert refused
    with writing(tmp_path / "run"):
        pass


NFS = """
import errno, fcntl, os
real = fcntl.flock
def flock(descriptor, how):
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    real(descriptor, how)
fcntl.flock = flock
"""
"""There `flock` takes a lock of bytes, which a file has to be open for writing for, and a folder cannot be."""


def test_a_folder_on_nfs_is_held_as_any_other(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fcntl, "flock", fcntl.flock)
    exec(NFS, {})
    (tmp_path / "link").symlink_to(tmp_path / "run")
    other = subprocess.Popen(
        [sys.executable, "-c", NFS + HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other.stdout.readline()
    for name in ("run", "link"):
        with pytest.raises(WsvadError, match=r"another command is writing to this folder"), writing(tmp_path / name):
            pass
    with writing(tmp_path / "other"):
        pass
    other.kill()
    other.communicate()
    with writing(tmp_path / "run"):
        assert len(list(tmp_path.iterdir())) == 3  # the lock of the process that was killed is taken over
        with writing(tmp_path / "run"), whole_folder(tmp_path / "run") as temporary:
            (temporary / "file").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "run"]
    assert not caplog.messages


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_folder_that_cannot_be_locked_is_said_and_held_by_one_thread(number, tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    refused = []

    def other_thread() -> None:
        with pytest.raises(WsvadError), writing(tmp_path / "run"):
            pass
        refused.append(True)

    with writing(tmp_path / "run"), writing(tmp_path / "run"):
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
    assert refused
    assert [message.partition(" (")[0] for message in caplog.messages] == [f"{tmp_path / 'run'}: cannot be locked"]
    assert not list(tmp_path.iterdir())


def test_folders_that_stay_empty_are_removed_if_they_were_made_for_it(tmp_path):
    (tmp_path / "mine").mkdir()
    with writing(tmp_path / "mine"), writing(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "a" / "b"):
        _ = 1 / 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with writing(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_a_file_in_place_of_a_folder_is_named_before_work(tmp_path):
    (tmp_path / "run").write_text("mine")
    with (
        pytest.raises(WsvadError, match=r"run: Not a directory; choose another place to write to"),
        writing(tmp_path / "run"),
    ):
        raise AssertionError("work was begun")
    assert (tmp_path / "run").read_text() == "mine"
