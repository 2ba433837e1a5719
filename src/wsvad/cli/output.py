"""The one place that writes to the terminal: results on stdout, messages and progress on stderr.

What is printed may hold names of files, categories and folders, which anybody may have chosen. Nothing in it is
understood as markup, and control characters are shown ("\\x1b"), never sent to the terminal.
"""

import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from wsvad.files import explain, without_nan
from wsvad.progress import Progress, on_progress
from wsvad.spelling import ACTING, message, plain

if TYPE_CHECKING:  # rich is imported when something is printed with it: mistakes and `--help` answer at once
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table as RichTable

MANY_COLUMNS = 1_000_000
"""More than a table has."""
LINE_EVERY = 10.0
"""Seconds between two lines about a task where there is no terminal to draw a bar on."""


class _Messages:
    """Standard error, as it is at the time, without what cannot be delivered: a log on a full disk, or a terminal that
    is gone, ends no work of hours."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream().flush()

    @staticmethod
    def _stream() -> TextIO:
        """While a bar is drawn, rich has itself in place of the stream."""
        return cast("TextIO", getattr(sys.stderr, "rich_proxied_file", sys.stderr))


@cache
def _messages() -> "Console":
    """Where messages and bars go."""
    from rich.console import Console

    return Console(file=cast("TextIO", _Messages()), highlight=False, soft_wrap=True)


def say(sentence: object, style: str = "") -> None:
    """A message, on stderr, above a bar if there is one."""
    from rich.text import Text

    _messages().print(Text(message(sentence), style))


@contextmanager
def changing(lines: Callable[[], Iterable[str]]) -> Iterator[Callable[[], None]]:
    """What draws lines that change, on a terminal; elsewhere it does nothing."""
    console = _messages()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda: live.update(Text("\n".join(map(plain, lines()))), refresh=True)


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
    """A result, on stdout: a line, or a table, of which nothing is ever cut off. Where its lines are longer than those
    of the terminal, it is written plainly; what goes into a file or a pipe has lines as long as they need to be."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if isinstance(what, str):
        console.print(Text(plain(what)), soft_wrap=True)
        return
    if not console.is_terminal:
        console = Console(width=MANY_COLUMNS)
    if drawn := what.drawn(console.width):
        console.print(drawn)
    else:
        for line in what.plainly():
            console.print(Text(line), soft_wrap=True)


def show_lines(lines: Iterable[str]) -> None:
    """A result of many lines, on stdout as they are but for control characters; a line break in one is none."""
    print("\n".join(map(plain, lines)))


@_delivered()
def show_text(text: str) -> None:
    """A text of several lines, on stdout; a name in it may break no line, so that lists go to `show_lines`."""
    show_lines(text.rstrip("\n").split("\n"))


@_delivered()
def show_json(value: Any) -> None:
    """A result for programs, on stdout; NaN is null. Control characters are escaped, as JSON may have them."""
    text = json.dumps(without_nan(value), indent=2, ensure_ascii=not _holds_everything(sys.stdout))
    print("\n".join(ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")))


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of plain text, which `show` prints."""

    head: list[str]
    """Names of the columns."""
    rows: list[list[str] | None]
    """Their cells; None draws a line between two groups."""
    numbers: int
    """How many of the last columns are aligned to the right."""
    title: str
    """Above it; empty without."""

    def drawn(self, width: int) -> "RichTable | None":
        """With lines around its cells, as wide as it has to be but no wider than `width`; None where it does not fit.
        Text may be wrapped at its spaces; numbers, and the names in the first column, may not."""
        from rich.table import Table as RichTable
        from rich.text import Text

        widths = self._widths(width - 3 * len(self.head) - 1)
        if widths is None:
            return None
        made = RichTable(title=Text(self.title) if self.title else None)
        for place, (name, wide) in enumerate(zip(self.head, widths, strict=True)):
            made.add_column(Text(name), justify="right" if self._number(place) else "left", width=wide)
        for row in self.rows:
            if row is None:
                made.add_section()
            else:
                made.add_row(*map(Text, row))
        return made

    def _widths(self, room: int) -> list[int] | None:
        """Characters of each column, the widest made narrower as far as need be; None where there is no room."""
        from rich.cells import cell_len

        widths, least = [], []
        for place, name in enumerate(self.head):
            cells = [row[place] for row in self.rows if row is not None]
            words = cells if self._number(place) or not place else [word for cell in cells for word in cell.split(" ")]
            widths.append(max(map(cell_len, (name, *cells))))
            least.append(max(map(cell_len, (*name.split(" "), *words))))
        if sum(least) > room:
            return None
        while sum(widths) > room:
            widest = max((one for one in range(len(widths)) if widths[one] > least[one]), key=widths.__getitem__)
            widths[widest] -= 1
        return widths

    def _number(self, place: int) -> bool:
        return place >= len(self.head) - self.numbers

    def plainly(self) -> Iterator[str]:
        """The lines of the same where lines are too short for it: each row a block, each cell a line of its own."""
        yield from [self.title, ""] if self.title else []
        for row in self.rows:
            if row is not None:
                yield from (f"{name}: {cell}" for name, cell in zip(self.head, row, strict=True))
                yield ""


def table(
    head: Sequence[object], rows: Iterable[Sequence[object] | None] = (), *, numbers: int = 0, title: str = ""
) -> Table:
    """A table of whatever is to be shown; arguments as the fields of `Table`."""
    cells = [row if row is None else [plain(cell) for cell in row] for row in rows]
    return Table(head=[plain(name) for name in head], rows=cells, numbers=numbers, title=plain(title))


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
        print(f"{f'wsvad {verb}' if verb else 'wsvad'}: {message(error)}", file=sys.stderr)


def prepare_stdout() -> None:
    """Spell out what a terminal that is not in UTF-8 cannot show, instead of stopping there."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not _holds_everything(sys.stdout):
        sys.stdout.reconfigure(errors="backslashreplace")


def _holds_everything(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
