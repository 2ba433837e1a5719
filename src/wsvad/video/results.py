"""Videos that wsvad wrote, drawn ones and clips, which must never be taken for recordings: they say so in their own
metadata, where it stays when they are moved or renamed."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

COMMENT = "wsvad result: not a recording"
"""The comment in the metadata of a video that was written here."""
WHAT = "a video that 'wsvad score' wrote, with scores drawn in or as a clip"
"""What a result is, for messages."""
_SUFFIXES = {".mp4", ".m4v", ".mov"}
_MANY = 1000
"""Boxes of a file, and bytes of 64 in its metadata, that are looked at; no video that we wrote has more."""


def is_result(path: Path) -> bool:
    """Whether a file is a video that was written here. Only some headers of it are read."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            for kind, start, stop in _boxes(file, 0, end):
                if kind == b"moov":
                    return any(
                        COMMENT.encode() in _read(file, begin, close)
                        for name, begin, close in _boxes(file, start, stop)
                        if name == b"udta"
                    )
    except OSError:
        pass
    return False


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of an MP4 between two places: kind, and where its content begins and ends."""
    for _ in range(_MANY):
        head = _read(file, start, min(start + 16, end))
        size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        stop = start + size if size else end
        if not content <= stop <= end:
            return
        yield kind, content, stop
        start = stop


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(min(end - start, 64 * _MANY))
