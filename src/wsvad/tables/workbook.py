"""Workbooks of Excel (.xlsx, .xlsm): the rows of the sheet with the columns that are asked for.

Values are read as they were saved: no formula is computed, no link followed, no macro looked at. A cell whose formula
was never computed is refused. Numbers are written as people write them (`1` for 1.0), true and false as TRUE and FALSE.
"""

import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from wsvad.errors import WsvadError, refuse_shortage
from wsvad.spelling import reason
from wsvad.tables.forms import COMMENT, SAVE, Rows, heading

WIDEST, LONGEST, TOP = 256, 1_048_576, 1000
"""Columns that are looked at, rows that a sheet can have, rows among which its head is."""
MOST_CELLS = 20_000_000
UNPACKED = 256 * 2**20
"""Bytes that a workbook may have when it is unpacked; a million rows have half of it."""


def open_sheet(path: Path, required: Sequence[str]) -> tuple[str, Rows]:
    """Words on the sheet, and its rows.

    Raises:
        WsvadError: openpyxl is missing, the workbook is damaged or too large, or no sheet or several ones have these
            columns; also while rows are read.
    """
    try:
        import openpyxl
    except ImportError:
        raise WsvadError(f"{path}: reading .xlsx needs openpyxl; pip install 'wsvad[xlsx]', or {SAVE}") from None
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > UNPACKED:
        raise WsvadError(f"{path}: unpacks to {size / 2**20:,.0f} MB, more than a table has; {SAVE}")

    @contextmanager
    def load(formulas: bool = False) -> Iterator[Any]:
        with path.open("rb") as file:  # openpyxl looks at the endings of names
            book = openpyxl.load_workbook(file, read_only=True, data_only=not formulas, keep_links=False)
            with closing(book):
                yield book

    with _readable(path), load() as book:
        heads = {sheet.title: _head(sheet) for sheet in book.worksheets}
        name = _chosen(path, heads, required)
        width = len(heads[name])
        rows = _rows(path, book[name], width)
    if lacking := {number for number, row in rows if len(row) < width or not all(row)}:
        _refuse_uncomputed(path, load, name, width, lacking)
    return f"sheet '{name}'", ((f"{path} row {number}", row) for number, row in rows)


def _chosen(path: Path, heads: Mapping[str, list[str]], required: Sequence[str]) -> str:
    """The sheet with these columns; the first with any, where none has."""
    fitting = [name for name, head in heads.items() if {*required} <= {heading(cell) for cell in head}]
    filled = [name for name, head in heads.items() if head]
    if required and len(fitting) > 1:
        named = " and ".join(f"'{name}'" for name in fitting)
        raise WsvadError(f"{path}: the sheets {named} both have these columns; keep one of them in the workbook")
    if not filled:
        raise WsvadError(f"{path}: the workbook has no rows; {SAVE}")
    return (fitting if required and fitting else filled)[0]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever openpyxl says of a damaged workbook, in a line; its warnings are about what is no value."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except WsvadError:
        raise
    except Exception as error:
        refuse_shortage(error, path)
        raise WsvadError(f"{path}: not a workbook that can be read ({reason(error)}); {SAVE}") from None


def _numbered(sheet: Any, width: int, longest: int = LONGEST) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of the rows that are not empty, as far as their last one that is not."""
    blank = (None,) * width
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    for number, values in enumerate(sheet.iter_rows(max_row=longest, max_col=width, values_only=True), 1):
        if values == blank:
            continue
        cells = [text_of(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if cells and not COMMENT.match(next(filter(None, cells))):
            yield number, cells


def _head(sheet: Any) -> list[str]:
    return next(_numbered(sheet, WIDEST, TOP), (0, []))[1]


def _rows(path: Path, sheet: Any, width: int) -> list[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    cells = 0
    for number, row in _numbered(sheet, width):
        rows.append((number, row))
        if (cells := cells + len(row)) > MOST_CELLS:
            raise WsvadError(f"{path}: more than {MOST_CELLS:,} cells; {SAVE}")
    return rows


def _refuse_uncomputed(path: Path, load: Any, name: str, width: int, rows: set[int]) -> None:
    """A formula that no program has computed yet has no value, and would be taken for an empty cell."""
    with _readable(path), load() as values, load(formulas=True) as formulas:
        each = (book[name].iter_rows(max_row=max(rows), max_col=width, values_only=True) for book in (values, formulas))
        for number, (saved, written) in enumerate(zip(*each, strict=False), 1):
            if number in rows and any(
                a is None and isinstance(b, str) and b.startswith("=") for a, b in zip(saved, written, strict=False)
            ):
                raise WsvadError(
                    f"{path} row {number}: a formula without its value; open the workbook, save it, and try again"
                )


def text_of(value: object) -> str:
    """The value of a cell, as text."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case datetime() | date():
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return str(value).strip()
