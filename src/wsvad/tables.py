"""Tables in CSV: the one reader and the one writer.

Text that a spreadsheet would take for a formula, because it begins with `=`, `+`, `-`, `@`, a tab or a line break, is
written with an apostrophe before it, which spreadsheets read as "this is text". Reading takes that apostrophe off
again, so that a video called `=1+1.mp4` keeps its name. Numbers are written as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from wsvad.errors import WsvadError
from wsvad.files import atomic, check_file
from wsvad.spelling import plain

MOST_BYTES = 64 * 2**20
"""Size of the largest table of videos or intervals; a million rows take half of it."""
WHOLE = "[0-9]{1,12}"
"""A whole number, as a pattern: of at most as many digits as frames of a thousand years have."""
_FORMULA = re.compile(r"'*(?:\s*[=+\-@]|[\t\r\n])")
"""How a text begins that gets an apostrophe: as a formula, or as one that has its apostrophe already."""
_QUOTED = re.compile(rf"'{_FORMULA.pattern}")


def read_table(
    path: Path, required: Sequence[str] = (), most: int = MOST_BYTES
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a CSV file with its place, `labels.csv line 7`: column → text, without blanks around. Columns are
    called as in the first line, in lower case; what a row lacks is empty.

    Args:
        required: columns that must be there.
        most: bytes that such a file may have.

    Raises:
        WsvadError: it is missing or too large, is not CSV in UTF-8, or has not these columns.
    """
    rows = _rows(path, most)
    names = [name.lower() for name in next(rows, ("", []))[1]]
    if missing := [column for column in required if column not in names]:
        raise WsvadError(f"{path}: no column '{missing[0]}'; the first line must name {', '.join(required)}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise WsvadError(f"{path}: two columns are called '{twice[0]}'; rename or delete one of them")
    empty, least = dict.fromkeys(names, ""), 1 + max((names.index(column) for column in required), default=-1)
    for place, cells in rows:
        if len(cells) < least:
            raise WsvadError(f"{place}: {len(cells)} columns, expected {len(names)}")
        yield place, empty | dict(zip(names, cells, strict=False))


def columns(path: Path) -> list[str]:
    """The columns of a CSV file, in lower case.

    Raises:
        WsvadError: as `read_table`.
    """
    return [name.lower() for name in next((cells for _, cells in _rows(path, None)), [])]


def cells_of(line: str) -> list[str]:
    """The cells of a line, without blanks around.

    Raises:
        ValueError: it is no line of a CSV file.
    """
    try:
        return [_cell(cell) for cell in next(csv.reader([line], skipinitialspace=True), [])]
    except csv.Error as error:
        raise ValueError(str(error)) from None


def whole(text: str) -> int:
    """A whole number.

    Raises:
        ValueError: it is something else, or has more digits than anything that is counted here.
    """
    if not re.fullmatch(f"[+-]?{WHOLE}", text):
        raise ValueError(f"'{text}' is not a whole number of at most 12 digits")
    return int(text)


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
        (careful if any("\r" in cell for cell in row if isinstance(cell, str)) else writer).writerow(map(_quoted, row))


def _quoted(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _rows(path: Path, most: int | None) -> Iterator[tuple[str, list[str]]]:
    """The cells of each row that is not empty, and its place."""
    check_file(path, most)
    number = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for cells in reader:
                number = reader.line_num
                if cells:
                    yield f"{path} line {number}", [_cell(cell) for cell in cells]
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise WsvadError(f"{path}: not a CSV file in UTF-8 ({error}, after line {number}); save it as one") from None


def _cell(cell: str) -> str:
    cell = cell.strip()
    if "\0" in cell:
        raise csv.Error("a NUL byte")
    return cell[1:] if cell.startswith("'") and _QUOTED.match(cell) else cell
