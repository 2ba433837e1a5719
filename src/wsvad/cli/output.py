"""The one place that writes to the terminal: results on stdout, messages and progress on stderr.

What is printed may hold names of files, categories and folders, which anybody may have chosen. Nothing in it is
understood as markup, and control characters are shown ("\\x1b"), never sent to the terminal.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsvad.files import explain, without_nan
from wsvad.progress import Progress, on_progress

if TYPE_CHECKING:  # rich is imported when something is printed with it: mistakes and `--help` answer at once
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

LINE_EVERY = 10.0
"""Seconds between two lines about a task where there is no terminal to draw a bar on."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that turn the direction of writing, and bytes of a name that are not text."""


@cache
def _messages() -> "Console":
    """Where messages and bars go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(words: object) -> str:
    """Text that is safe to print on a line of its own."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(words))


def say(sentence: object, style: str = "") -> None:
    """A message, on stderr, above a bar if there is one."""
    from rich.text import Text

    _messages().print(Text(plain(sentence), style))


@contextmanager
def _delivered() -> Iterator[None]:
    """A result that reaches whoever asked for it.

    Raises:
        WsvadError: it does not (a disk that is full); a reader who has left is a BrokenPipeError as always.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise explain(error, Path("standard output")) from error


@_delivered()
def show(what: "Table | str") -> None:
    """A result, on stdout: a table of `table`, or a line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    Console().print(what if isinstance(what, Table) else Text(plain(what)), soft_wrap=isinstance(what, str))


@_delivered()
def show_text(text: str) -> None:
    """A result of many lines, on stdout as it is but for control characters."""
    print("\n".join(plain(line) for line in text.rstrip("\n").split("\n")))


@_delivered()
def show_json(value: Any) -> None:
    """A result for programs, on stdout; NaN is null. Control characters are escaped, as JSON may have them."""
    text = json.dumps(without_nan(value), indent=2, ensure_ascii=False)
    print("\n".join(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")))


def table(
    head: Sequence[object], rows: Iterable[Sequence[object] | None] = (), *, numbers: int = 0, title: str = ""
) -> "Table":
    """A table of plain text.

    Args:
        head: names of the columns.
        rows: their cells; None draws a line between two groups.
        numbers: how many of the last columns are aligned to the right.
        title: above it.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(plain(title)) if title else None)
    for place, name in enumerate(head):
        made.add_column(Text(plain(name)), justify="right" if place >= len(head) - numbers else "left")
    for row in rows:
        if row is None:
            made.add_section()
        else:
            made.add_row(*(Text(plain(cell)) for cell in row))
    return made


@contextmanager
def talking(*, debug: bool = False) -> Iterator[None]:
    """While a verb runs, print what the library logs and how far it is."""
    log, handler = logging.getLogger("wsvad"), _Handler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        with _Progress() as progress, on_progress(progress):
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


class _Progress:
    """Bars on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(),
            console=_messages(),
        )
        self._tasks: dict[str, TaskID] = {}
        self._said = time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars.live.is_started:  # stopping one that was never started prints an empty line
            self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        task, detail = plain(progress.task), plain(progress.detail)
        if not _messages().is_terminal:
            if time.monotonic() - self._said > LINE_EVERY:
                self._said = time.monotonic()
                say(f"{task}: {detail or _share(progress)}")
            return
        if not self._bars.live.is_started:
            self._bars.start()
        if task not in self._tasks or (self._bars.finished and progress.done == 0):
            self._tasks[task] = self._bars.add_task(task, total=progress.total, detail="")
        self._bars.update(self._tasks[task], completed=progress.done, total=progress.total, detail=detail)


def _share(progress: Progress) -> str:
    of = f" of {progress.total:,.0f}" if progress.total is not None else ""
    return f"{progress.done:,.0f}{of}"


def fail(error: object, verb: str = "") -> None:
    """The one line of an error, on stderr; plain, since it may be read by programs."""
    with suppress(OSError):  # stderr itself may be what cannot be written to
        print(f"{f'wsvad {verb}' if verb else 'wsvad'}: {plain(error)}", file=sys.stderr)
