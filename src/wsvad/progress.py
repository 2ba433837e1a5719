"""How far a long task is, for whoever wants to show it. Like a handler of `logging`, a callback hears of all that runs
inside its `with` block, however deep; without one nothing is reported."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report."""

    task: str
    """What runs, in a word or two; reports of the same task follow each other."""
    done: float
    total: float | None
    """`done` at the end, in the same unit; None while it is not known."""
    detail: str = ""
    """More for a reader: "12/50 videos, 3 min left"."""


Callback = Callable[[Progress], None]
_callback: ContextVar[Callback | None] = ContextVar("on_progress", default=None)


@contextmanager
def on_progress(callback: Callback) -> Iterator[None]:
    """Call `callback` with every report of what runs in the block; it takes the place of an outer one.

    >>> with on_progress(lambda progress: print(progress.task, progress.done, progress.total)):
    ...     for item in track("abc", "count"):
    ...         pass
    count 0 3
    count 1 3
    count 2 3
    count 3 3
    """
    before = _callback.set(callback)
    try:
        yield
    finally:
        _callback.reset(before)


def report_progress(task: str, done: float, total: float | None = None, detail: str = "") -> None:
    """Say how far a task is."""
    callback = _callback.get()
    if callback is not None:
        callback(Progress(task=task, done=done, total=total, detail=detail))


def track(items: Iterable[Item], task: str, total: int | None = None) -> Iterator[Item]:
    """The items, one by one, with a report before the first and after each."""
    if total is None and isinstance(items, Collection):
        total = len(items)
    report_progress(task, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        report_progress(task, done, total)


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
