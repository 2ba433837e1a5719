"""One command at a time writes to a folder."""

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wsvad.errors import WsvadError
from wsvad.files import check_writable, explain
from wsvad.storage import place

logger = logging.getLogger(__name__)

_one_thread = threading.Lock()
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
    folder = place(folder)
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
                _remove_if_empty(made[:1])
    finally:
        os.close(descriptor)
        _remove_if_empty(made[1:])


def _remove_if_empty(folders: Sequence[Path]) -> None:
    """Remove folders, each after what is in it, up to the first that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextmanager
def _alone(folder: Path, descriptor: int) -> Iterator[None]:
    """Lock an open folder, unless this thread has done so already."""
    status, thread = os.fstat(descriptor), threading.get_ident()
    place = status.st_dev, status.st_ino
    with _one_thread:
        if (holder := _held.get(place)) is None:
            _held[place] = thread
    if holder == thread:
        yield
        return
    if holder is not None:
        raise WsvadError(_busy(folder))
    try:
        with _lock(folder, descriptor) as locked:
            if not locked:
                raise WsvadError(_busy(folder))
            yield
    finally:
        del _held[place]


def _busy(folder: Path) -> str:
    return f"{folder}: another command is writing to this folder; wait for its end, or choose another folder"


@contextmanager
def _lock(folder: Path, descriptor: int) -> Iterator[bool]:
    """Have the system lock an open folder; whether no other command has. NFS locks only what is open for writing, and
    so not a folder: there a file beside it is locked."""
    with ExitStack() as held:
        try:
            locked = _flock(descriptor)
        except OSError:
            try:
                locked = held.enter_context(_file_beside(folder.resolve()))
            except OSError as error:
                logger.warning(
                    "%s: cannot be locked (%s); let no other command write to it meanwhile",
                    folder, error.strerror or error,
                )  # fmt: skip
                locked = True
        yield locked


@contextmanager
def _file_beside(folder: Path) -> Iterator[bool]:
    """Lock a file beside a folder, which is removed at the end; whether no other command has.

    Raises:
        OSError: it cannot be made, or cannot be locked.
    """
    path = folder.with_name(f".{hashlib.sha256(os.fsencode(folder.name)).hexdigest()[:16]}.lock")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        mine = True
        try:
            mine = _flock(descriptor)
            if mine and not _is_at(path, descriptor):  # whoever had it removed it just now
                mine = False
                continue
            yield mine
            return
        finally:
            if mine:
                with suppress(OSError):
                    path.unlink()
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _flock(descriptor: int) -> bool:
    """Lock an open file; whether no other command has.

    Raises:
        OSError: it cannot be locked.
    """
    try:
        import fcntl
    except ImportError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
