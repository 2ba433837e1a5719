"""The program as a process: its streams, Ctrl-C, and its end. It loads nothing that takes time, and writes its lines
by itself: they are said also where `cli/output.py` is not loaded yet, or no longer works."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from wsvad.interrupts import STORE, end_with_starter, listen, was_interrupted

INTERRUPTED = "interrupted; run the same command again to resume"
STREAMS = ("standard input", "standard output", "standard error")


def as_process(run: Callable[[], int]) -> int:
    """Run the program and end it, without a traceback whatever its streams are and whenever Ctrl-C is pressed.

    Returns:
        The exit status, for `sys.exit`.
    """
    listen()
    status = 1
    try:
        # All of it at once: a file that is opened would else take the number of a closed stream, and messages of
        # libraries would be written into it.
        closed = [number for number in (0, 1, 2) if _opened(number)]
        if named := [STREAMS[number] for number in closed if number]:
            said = f"{' and '.join(named)} is closed; send it to a file, or to /dev/null"
            _write(said, 1 if 2 in closed else 2)
            return status
        status = run()
        status = _delivered(status)
    except KeyboardInterrupt:  # while an error was told
        interrupted()
        status = 1
    if was_interrupted():  # now: no thread is waited for, and the interpreter has no words or status of its own for it
        os._exit(status)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is written; the interpreter only takes itself apart
    return status


def interrupted() -> int:
    """Say that Ctrl-C was pressed; the exit status."""
    _write(INTERRUPTED, 2)
    return 1


def as_rank() -> None:
    """As one of several ranks, where this is one: end with whoever started it, and speak only as the first."""
    if os.environ.get(STORE):
        end_with_starter()
    if not all(name in os.environ for name in ("WORLD_SIZE", "LOCAL_RANK")) or os.environ.get("RANK", "0") == "0":
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _opened(number: int) -> bool:
    """Whether a stream was closed; it leads nowhere now."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        return True
    return False


def _delivered(status: int) -> int:
    """What is still in the buffers is written. What cannot be is thrown away, or the interpreter would try again and
    complain in its own words; of messages nothing more is said, for the work is done."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            if number == 1:
                if not status and not isinstance(error, BrokenPipeError):
                    _write(f"{STREAMS[number]}: {getattr(error, 'strerror', None) or error}", 2)
                status = status or 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            with suppress(OSError, ValueError):
                stream.flush()
    return status


def _write(sentence: str, number: int) -> None:
    with suppress(OSError):
        os.write(number, f"wsvad: {sentence}\n".encode())
