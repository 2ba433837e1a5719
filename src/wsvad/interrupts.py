"""Ctrl-C, whenever it comes: also where a library that is being loaded makes another error of it, or loses it."""

import _thread
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Seen:
    interrupted = False


def listen() -> None:
    """Note in this process when Ctrl-C is pressed, before it raises KeyboardInterrupt; nothing where the process was
    started to ignore it."""

    def interrupt(*_: Any) -> None:
        _Seen.interrupted = True
        raise KeyboardInterrupt

    def lost(unraisable: Any) -> None:
        """Where nothing can be raised (an object that goes away) it is raised later."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            sys.__unraisablehook__(unraisable)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = lost


def interrupted_by(error: BaseException) -> bool:
    """Whether an error is there because of Ctrl-C, whatever a library made of it."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, KeyboardInterrupt):
        link = link.__cause__ or link.__context__
    return _Seen.interrupted or link is not None


@contextmanager
def unheard() -> Iterator[None]:
    """What is started in the block never hears of Ctrl-C, which a terminal sends to all processes: it is for the one
    that started them, and says so."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
