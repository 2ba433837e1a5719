"""Tables: the one reader, of all that programs write (`forms`, `workbook`), and the one writer, of CSV.

Text that a spreadsheet would take for a formula, because it begins with `=`, `+`, `-`, `@`, a tab or a line break, is
written with an apostrophe before it, which spreadsheets read as "this is text". Reading takes that apostrophe off
again, so that a video called `=1+1.mp4` keeps its name. Numbers are written as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from wsvad.errors import WsvadError
from wsvad.files import atomic
from wsvad.spelling import plain, short
from wsvad.tables import forms

MOST_BYTES = 64 * 2**20
"""Size of the largest table of videos or intervals; a million rows take half of it."""
WHOLE = "[0-9]{1,12}"
"""A whole number, as a pattern: of at most as many digits as frames of a thousand years have."""
IN_FULL = 10
"""Mistakes of a table that are told in full."""
_FORMULA = re.compile(r"'*(?:\s*[=+\-@]|[\t\r\n])")
"""How a text begins that gets an apostrophe: as a formula, or as one that has its apostrophe already."""
_QUOTED = re.compile(rf"'{_FORMULA.pattern}")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row, or with a file that rows are about."""

    place: str
    """`labels.csv line 7`, or the file."""
    what: str
    remedy: str


@dataclass
class Table:
    """A table that is read row by row, see `read_table`."""

    path: Path
    required: Sequence[str]
    most: int
    faults: list[Fault] | None
    form: str = ""
    """How it is written, once rows were read: `separator ';', Windows-1252`."""
    count: int = 0
    """Rows that were read."""
    names: Sequence[str] = ()
    """Its columns, once rows were read."""

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        form = forms.open_rows(self.path, self.required, self.most)
        self.form, self.count = form.words, 0
        written = next(form.rows, ("", []))[1]
        names = [forms.heading(_cell(cell)) for cell in written]
        self._check_head(names, written)
        self.names = names
        empty = dict.fromkeys(names, "")
        least = 1 + max((names.index(column) for column in self.required), default=-1)
        for place, cells in form.rows:
            self.count += 1
            if len(cells) < least or (len(cells) > len(names) and any(cells[len(names) :])):
                self._wrong(place, cells, len(names), form.separator)
                continue
            yield place, empty | {name: _cell(cell) for name, cell in zip(names, cells, strict=False)}

    @property
    def understood(self) -> str:
        """What was read, after it was: `labels.csv: 36 rows, separator ';', Windows-1252`."""
        return f"{self.path.name}: {self.count} {'row' if self.count == 1 else 'rows'}, {self.form}"

    def unused(self, known: Sequence[str], silently: Sequence[str] = ()) -> list[str]:
        """A sentence on columns other than these, which may be misspelt or in another language.

        Args:
            silently: those that are known and not read.
        """
        others = [f"'{short(name)}'" for name in self.names if name and name not in (*known, *silently)]
        more = ", …" if len(others) > 8 else ""
        called = f"column{'s' * (len(others) > 1)} {', '.join(others[:8])}{more}"
        return [f"not read: {called}"] if others else []

    def _check_head(self, names: list[str], written: list[str]) -> None:
        if missing := [column for column in self.required if column not in names]:
            read = f"; it is {_shown(written)} ({self.form})" if written else ""
            raise WsvadError(
                f"{self.path}: no column '{missing[0]}'; the first line must name {', '.join(self.required)}{read}"
            )
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise WsvadError(f"{self.path}: two columns are called '{twice[0]}'; rename or delete one of them")

    def _wrong(self, place: str, cells: list[str], expected: int, separator: str) -> None:
        if len(cells) < expected:
            what, remedy = f"{len(cells)} columns, expected {expected}", "complete the row"
        else:
            what = f"{len(cells)} columns, where the first line has {expected}"
            remedy = f"write text that has '{separator}' in it in quotes"
        fault = Fault(place, f"{what}: {_shown(cells)}", remedy)
        if self.faults is None:
            refuse(self.path, [fault])
        self.faults.append(fault)


def read_table(
    path: Path, required: Sequence[str] = (), most: int = MOST_BYTES, faults: list[Fault] | None = None
) -> Table:
    """The rows of a table, each with its place, `labels.csv line 7`: column → text, without blanks around. Columns are
    called as in the first row, in lower case, with `_` for a blank; what a row lacks is empty.

    Args:
        required: columns that must be there.
        most: bytes that such a file may have.
        faults: takes what is wrong with the form of rows, which are then left out.

    Raises:
        WsvadError: while rows are read: the file is missing or too large, is no table, or has not these columns.
    """
    return Table(path, required, most, faults)


def refuse(path: Path, faults: Sequence[Fault], remedy: str = "") -> NoReturn:
    """All that is wrong with a table, in one line: the first ten in full.

    Args:
        remedy: one for all, after those of their own.

    Raises:
        WsvadError: always.
    """
    remedies = [*dict.fromkeys(fault.remedy for fault in faults[:IN_FULL]), *([remedy] if remedy else [])]
    if len(faults) == 1:
        raise WsvadError("; ".join([f"{faults[0].place}: {faults[0].what}", *remedies]))
    told = []
    for fault in faults[:IN_FULL]:
        place = fault.place.removeprefix(str(path)).strip().removeprefix(f"{path.parent}/")
        told.append(f"{place}: {fault.what}" if place else fault.what)
    if len(faults) > IN_FULL:
        told.append(f"and {len(faults) - IN_FULL:,} more")
    raise WsvadError(f"{path}: {len(faults):,} mistakes: {'; '.join([*told, *remedies])}")


def _shown(cells: Sequence[str]) -> str:
    """Cells of a row, as far as they matter."""
    return short(", ".join(f"'{short(cell)}'" for cell in cells[:8]) + (", …" if len(cells) > 8 else ""))


def columns(path: Path) -> list[str]:
    """The columns of a table, as `read_table` calls them.

    Raises:
        WsvadError: as `read_table`.
    """
    return [forms.heading(_cell(name)) for name in next(forms.open_rows(path, (), None).rows, ("", []))[1]]


def whole(text: str) -> int:
    """A whole number; of a spreadsheet also `12.0` and `12,0`.

    Raises:
        ValueError: it is something else, or has more digits than anything that is counted here.
    """
    if not (found := re.fullmatch(f"([+-]?{WHOLE})(?:[.,]00?)?", text)):
        raise ValueError(f"'{short(text)}' is not a whole number of at most 12 digits")
    return int(found[1])


def number(text: str) -> float:
    """A number; `0,5` is one as well, but not `1,234`, which is a thousand or one, depending on who wrote it.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
        raise ValueError(f"'{text}' may be a fraction or thousands")
    return float(text.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", text) else text)


def write_table(path: Path | str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        _write(file, head, rows)


def table_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The content of a CSV file."""
    file = io.StringIO()
    _write(file, head, rows)
    return file.getvalue()


def markdown(rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown, whose first row is its head; a cell stays a cell whatever is in it."""
    head, *body = [[plain(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *body])


def _write(file: TextIO, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    careful = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other one takes "\r" for a letter
    writer.writerow(head)
    for row in rows:
        unclear = any("\r" in cell for cell in row if isinstance(cell, str)) or str(row[0]).lstrip().startswith("#")
        (careful if unclear else writer).writerow(map(_quoted, row))


def _quoted(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _cell(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _QUOTED.match(cell) else cell
