"""One command at a time writes to a folder."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsvad.errors import WsvadError
from wsvad.files import check_writable, explain

_held: dict[tuple[int, int], int] = {}
"""Device and inode of the folders that this process holds → the thread that does."""


@contextmanager
def writing(folder: Path | str) -> Iterator[None]:
    """Hold a folder that will be written to, before any work: it is made, tried, and closed to every other command.

    The system lets go of it however the process ends. What is called in the block may hold it again. A folder that was
    made for this, and is empty at the end, is removed.

    Raises:
        WsvadError: the folder cannot be made or written to; another command, or another thread, writes there.
    """
    folder = Path(folder)
    check_writable(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise explain(error, folder) from error
    try:
        with _alone(folder, descriptor):
            try:
                yield
            finally:
                with suppress(OSError):  # it is not empty
                    for path in made:
                        path.rmdir()
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path, descriptor: int) -> Iterator[None]:
    """Lock an open folder, unless this thread has done so already."""
    status, thread = os.fstat(descriptor), threading.get_ident()
    place = status.st_dev, status.st_ino
    if _held.get(place) == thread:
        yield
        return
    if not _locked(descriptor):
        raise WsvadError(
            f"{folder}: another command is writing to this folder; wait for its end, or choose another folder"
        )
    _held[place] = thread
    try:
        yield
    finally:
        del _held[place]


def _locked(descriptor: int) -> bool:
    """Whether no other command has locked an open folder; it is locked now, where there are locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows, and file systems without locks: two commands must not share a folder
        pass
    return True
