"""What programs write for a table: text in one of several encodings with one of several separators, or a workbook.

    labels.csv    a,b  a;b  or tabs, or whatever a first line `sep=;` says; UTF-8, UTF-16 or Windows-1252
    labels.xlsx   see `workbook`; by its content, so that one which was renamed .csv is read as well

Other kinds of files are named by their content. An empty line and a line that begins with `#` are no rows.
"""

import codecs
import csv
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from wsvad.errors import WsvadError
from wsvad.files import check_file, instead

Rows = Iterator[tuple[str, list[str]]]
"""The cells of each row, without blanks around, and its place, `labels.csv line 7`."""
SEPARATORS = {",": "separator ','", ";": "separator ';'", "\t": "separator tab"}
ENCODINGS = "UTF-8, UTF-16 or Windows-1252"
SAVE = "save the table as CSV (UTF-8) or .xlsx"
HEAD = 64 * 1024
"""Bytes and letters of the beginning that are looked at to tell what a file is."""
ERRORS = "REF!|N/A|NAME\\?|VALUE!|DIV/0!|NUM!|NULL!"
"""What spreadsheets show in place of a value, behind a `#`."""
COMMENT = re.compile(rf"\s*#(?!{ERRORS})")
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?[\r\n]*$", re.IGNORECASE)
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CALLED = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp1252": "Windows-1252", "utf-32": "UTF-32"}
_TWICE = re.compile(b"[\xc2-\xde][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
"""A letter of UTF-8, which would be taken for two or three."""
_DOUBTFUL = re.compile(
    "(?<=[A-Za-z])[ŠŽŒŸ¹²³¿¡£¥§¶¼½¾ˆ˜…†‡‰•„](?=[a-z])"  # letters of a Mac, or of Central Europe
    "|[^\\W\\d_a-zA-Z]{4,}"  # other alphabets
)
"""What Windows-1252 does not have within words, but what other encodings look like when they are read as it."""
_KINDS = {
    b"\xd0\xcf\x11\xe0": "an Excel file of the old kind (.xls), or one with a password",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text with formats (RTF)",
    b"\x1f\x8b": "a compressed file (.gz)",
    b"7z\xbc\xaf": "a compressed file (.7z)",
    b"Rar!": "a compressed file (.rar)",
    b"SQLite format": "a database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_PACKED = {
    "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
    "word/document.xml": "a Word document",
    "Index/Document.iwa": "a Numbers document",
    "content.xml": "an OpenDocument file (.ods)",
}
"""A part of a ZIP archive → what the archive is."""


@dataclass(frozen=True)
class Form:
    """How a table was written, and its rows."""

    words: str
    """`separator ';', Windows-1252`, or `sheet 'Table 1'`."""
    rows: Rows
    separator: str = ""
    """Of text."""


def open_rows(path: Path, required: Sequence[str], most: int | None) -> Form:
    """The rows of a table, the first of them its head.

    Args:
        required: columns that the head must have, which may decide between separators and between sheets.
        most: bytes that such a file may have.

    Raises:
        WsvadError: it is missing, is too large, or is no table; also while its rows are read.
    """
    check_file(path, most)
    try:
        with path.open("rb") as file:
            begin = file.read(HEAD)
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    if begin.startswith(b"PK\x03\x04"):
        _refuse_other_archive(path)
        from wsvad.tables import workbook

        return Form(*workbook.open_sheet(path, required))
    encoding = encoding_of(path)
    text = begin.decode(encoding, "replace")
    if kind := _kind(path, begin, text):
        raise WsvadError(f"{path}: {kind}")
    separator = separator_of(text, required)
    words = f"{SEPARATORS.get(separator, f'separator {separator!r}')}, {_CALLED.get(encoding, 'UTF-16')}"
    return Form(words, _text_rows(path, encoding, separator), separator)


def encoding_of(path: Path) -> str:
    """The encoding of a file of text: by its mark, else UTF-16 by its zeros, else UTF-8 if it is; else Windows-1252.

    Raises:
        WsvadError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(4096)
            if found := next((name for mark, name in _BOMS.items() if begin.startswith(mark)), None):
                return found
            for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
                zeros, others = begin[first::2], begin[1 - first :: 2]
                if zeros.count(0) > 0.6 * len(zeros) and not others.count(0):
                    return name
            decoder = codecs.getincrementaldecoder("utf-8")()
            file.seek(0)
            while part := file.read(2**20):
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    return "utf-8"


def text_of(path: Path, remedy: str, most: int | None = None) -> str:
    """A whole file of text, in whichever of the encodings; else what to do.

    Raises:
        WsvadError: it is missing, is too large, or is in none of them.
    """
    check_file(path, most)
    encoding = encoding_of(path)
    try:
        text = path.read_text(encoding=encoding)
        if encoding == "cp1252":
            _refuse_doubtful(text)
    except ValueError as error:
        raise WsvadError(f"{path}: not text in {ENCODINGS} ({error}); {remedy}") from None
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    return text


def separator_line(line: str) -> str | None:
    """The separator that the first line of a file says (`sep=;`), for Excel; None where it says none."""
    found = _SEPARATOR_LINE.match(line)
    return found[1] if found else None


def heading(cell: str) -> str:
    """What a column is called: `start_frame` for ` Start frame`."""
    return re.sub(r"[\s-]+", "_", cell.strip().lower())


def is_remark(cells: Sequence[str]) -> bool:
    """Whether a row is a comment alone; spreadsheets may put quotes around it."""
    return cells[0].startswith("#") and COMMENT.match(cells[0]) is not None and not any(cells[1:])


class _Lines:
    """The lines of a table, counted, without the comments between its rows."""

    def __init__(self, file: TextIO):
        self.file, self.number, self.between = file, 0, True

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            self.number += 1
            if self.between and (COMMENT.match(line) or (self.number == 1 and separator_line(line))):
                continue
            if "\0" in line:
                raise csv.Error("a NUL byte")
            self.between = False
            yield line


def _text_rows(path: Path, encoding: str, separator: str) -> Rows:
    lines = None
    try:
        with path.open(newline="", encoding=encoding) as file:
            lines = _Lines(file)
            for cells in csv.reader(lines, delimiter=separator, skipinitialspace=True):
                lines.between = True
                if any(cells) and any(stripped := [cell.strip() for cell in cells]) and not is_remark(stripped):
                    if encoding == "cp1252":
                        _refuse_doubtful(separator.join(cells))
                    yield f"{path} line {lines.number}", stripped
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    except (csv.Error, ValueError) as error:
        raise WsvadError(
            f"{path}: not a table in {ENCODINGS} ({error}, line {lines.number if lines else 1}); {SAVE}"
        ) from None


def _refuse_doubtful(text: str) -> None:
    """Text that is not UTF-8 is taken for Windows-1252 only where it reads as words."""
    if not text.isascii() and (found := _DOUBTFUL.search(text) or _TWICE.search(text.encode("cp1252"))):
        near = text[max(0, found.start() - 15) : found.end() + 15].strip()
        raise ValueError(f"{near!r} would be read as Windows-1252")


def separator_of(text: str, required: Sequence[str]) -> str:
    """The separator of a table, by the beginning of its text: the one that gives the head its columns, or the most."""
    lines = iter(text.splitlines(keepends=True))
    first = next(lines, "")
    if given := separator_line(first):
        return given
    rows = [line for line in [first, *islice(lines, 1000)] if line.strip(" \t\r\n,;") and not COMMENT.match(line)]

    def rank(separator: str) -> tuple[bool, int]:
        try:
            head = next(csv.reader(rows, delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            return False, 0
        return {*required} <= {heading(cell) for cell in head}, len(head)

    return max(SEPARATORS, key=rank)


def _kind(path: Path, begin: bytes, text: str) -> str | None:
    """What a file is that is no table, and what to do; None where it may be one."""
    start = text.lstrip("\ufeff \t\r\n")[:4096].lower()
    if start.startswith("version https://git-lfs"):
        return instead(path)
    kind = next((kind for sign, kind in _KINDS.items() if begin.startswith(sign)), None)
    if start.startswith("<"):
        if "schemas-microsoft-com:office:spreadsheet" in start:
            kind = "an Excel file of the kind 'XML spreadsheet 2003'"
        elif "opendocument" in start:
            kind = "an OpenDocument file (.fods)"
        else:
            kind = "an HTML page" if re.search(r"<(!doctype html|html|head|table|meta)\b", start) else "an XML file"
    elif re.match(r"[\[{]\s*([\"\[{}\]]|$)", start):
        kind = "a JSON file"
    return f"{kind}, not a table; {SAVE}" if kind else None


def _refuse_other_archive(path: Path) -> None:
    """A ZIP archive has to be a workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        # NotImplementedError is zipfile's word for a compression or version that it does not know.
        raise WsvadError(f"{path}: a damaged workbook or archive ({error}); {SAVE}") from None
    if "xl/workbook.xml" not in parts:
        kind = next((kind for part, kind in _PACKED.items() if part in parts), "a ZIP archive")
        raise WsvadError(f"{path}: {kind}, not a table; {SAVE}")
