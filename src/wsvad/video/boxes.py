"""The boxes that an MP4 or MOV file is made of; only their headers are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIXES = {".mp4", ".m4v", ".mov"}
"""Endings of files that are made of boxes."""
MANY = 1000
"""Boxes of a file, and bytes of 64 in one, that are looked at; no video of ours has more."""


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places of a file: kind, and where its content begins and ends. One that is cut off is not
    among them."""
    for _ in range(MANY):
        head = content_of(file, start, min(start + 16, end))
        size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        stop = start + size if size else end
        if not content <= stop <= end:
            return
        yield kind, content, stop
        start = stop


def content_of(file: BinaryIO, start: int, end: int) -> bytes:
    """What is between two places of a file, or its beginning where that is long."""
    file.seek(start)
    return file.read(min(end - start, 64 * MANY))


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without its index (`moov`): cut off, or still being written.

    Recorders and browsers write the index at the end, and some programs reserve the room for all before.
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    with path.open("rb") as file:
        end = file.seek(0, 2)
        begin = content_of(file, 0, min(end, 8))
        if begin[4:] not in (b"ftyp", b"mdat", b"free", b"wide", b"skip") and begin != bytes(8):
            return False
        return all(kind != b"moov" for kind, _, _ in boxes(file, 0, end))
