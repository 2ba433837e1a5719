"""Ctrl-C, whenever it comes: also where a library that is being loaded makes another error of it, or loses it."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

STORE = "WSVAD_STORE"
"""In the environment of a process that was started as one of several ranks: the file in which they leave notes for each
other."""


class _Seen:
    interrupted = False


def listen() -> None:
    """Note in this process when Ctrl-C is pressed, before it raises KeyboardInterrupt; nothing where the process was
    started to ignore it.

    While a module is loaded nothing is raised: a library in C++ makes anything of it, up to an abort. It is raised
    as soon as that is done.
    """

    def interrupt(_: int, frame: FrameType | None) -> None:
        _Seen.interrupted = True
        if (loading := _loading(frame)) is None:
            raise KeyboardInterrupt
        loading.f_trace = _raise_at_its_end
        sys.settrace(lambda *_: None)  # without one no frame is traced

    def lost(unraisable: Any) -> None:
        """Where nothing can be raised (an object that goes away) it is raised later."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            sys.__unraisablehook__(unraisable)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = lost


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed in this process."""
    return _Seen.interrupted


def _loading(frame: FrameType | None) -> FrameType | None:
    """The outermost call by which a module is loaded; None where none is."""
    found = None
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            found = frame
        frame = frame.f_back
    return found


def _raise_at_its_end(_: FrameType, event: str, __: Any) -> Any:
    if event != "return":
        return _raise_at_its_end
    sys.settrace(None)
    raise KeyboardInterrupt


def interrupted_by(error: BaseException) -> bool:
    """Whether an error is there because of Ctrl-C, whatever a library made of it."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, KeyboardInterrupt):
        link = link.__cause__ or link.__context__
    return _Seen.interrupted or link is not None


def end_with_starter() -> None:
    """Watch standard input, a pipe from the process that started this one: it ends with that one, however that ends;
    and so does this one."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def unheard(*more: signal.Signals) -> Iterator[None]:
    """What is started in the block never hears of Ctrl-C, which a terminal sends to all processes: it is for the one
    that started them, and says so.

    Args:
        more: of which it does not hear either.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it, which the first process would do, lets the signal in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *more})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
