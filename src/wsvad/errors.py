"""The errors that a user sees: one line that names the file, what is wrong and what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager


class WsvadError(Exception):
    """Something outside the program is wrong (a file, a label, a disk). The message is one line for the user.

    The command line prints it without a traceback and exits with 1.
    """


class UsageError(WsvadError):
    """The command itself is wrong (an unknown name, two options that exclude each other). Exit status 2."""


class Interrupted(WsvadError):
    """Ctrl-C, where there is more to say of it: what is finished and kept."""


SHORT = {
    "memory": "there is not enough memory; close other programs, or use fewer workers or a machine with more memory",
    "gpu": "the GPU's memory ran out; close other programs that use it, or run with --device cpu",
    "files": "too many open files; allow more ('ulimit -n 4096') and run the same command again",
    "threads": "there is not enough memory for another thread, or the system allows no more; close other programs, or "
    "allow more ('ulimit -u')",
}
"""What a machine can be short of → what is said of it."""
_BY_NUMBER = {errno.ENOMEM: "memory", errno.EMFILE: "files", errno.ENFILE: "files", errno.EAGAIN: "threads"}
_BY_WORDS = {
    "out of memory": "memory",
    "not enough memory": "memory",
    "cannot allocate memory": "memory",
    "can't allocate memory": "memory",
    "insufficient memory": "memory",
    "failed to allocate memory": "memory",
    "bad_alloc": "memory",
    "_alloc_failed": "memory",  # of a library on a GPU
    "failed to map segment": "memory",  # of a library that is being loaded
    "too many open files": "files",
    "can't start new thread": "threads",
}


def shortage(error: BaseException | None) -> str | None:
    """What the machine was short of, in a line, where that is at the root of an error; None for any other error.

    A library may have made another error of it, and we a line about a file that cannot be read.
    """
    while error is not None:
        if kind := _short_of(error):
            return SHORT[kind]
        error = error.__cause__ or error.__context__
    return None


def refuse_shortage(error: BaseException, path: object) -> None:
    """Say what the machine was short of, before an error is taken for damage of a file.

    Raises:
        WsvadError: it was short of something.
    """
    if short := shortage(error):
        raise WsvadError(f"{path}: {short}") from None


@contextmanager
def panics() -> Iterator[None]:
    """Where a library in Rust gives up, its error is none of `Exception`; here it becomes a RuntimeError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise RuntimeError(str(error)) from None
        raise


def _short_of(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):
        return None  # the same number of a pipe that is full and does not wait
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return _BY_NUMBER[error.errno]
    if isinstance(error, WsvadError):  # its words may be those of a file's name
        return None
    words = str(error).lower()
    kind = next((kind for sign, kind in _BY_WORDS.items() if sign in words), None)
    return "gpu" if kind == "memory" and re.search(r"\b(cuda|cudnn|cublas|mps)", words) else kind
