"""Whether all of a file is there. Containers say in their headers how long their parts are; a copy that was
interrupted is shorter, and FFmpeg reads what there is of it without a word."""

from pathlib import Path
from typing import BinaryIO

_MP4 = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"wide", b"skip"}
"""Kinds of boxes that an MP4 or MOV begins with."""
_HOLDS = {b"moov", b"moof", b"mdat"}
"""Those that matter; anything else behind them may be rubbish."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def cut_off(path: Path) -> str | None:
    """That the end of an MP4, MOV, AVI, MKV or WebM is missing, and how much; None where nothing says so.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        there = file.seek(0, 2)
        file.seek(0)
        begin = file.read(64)
        if begin[:4] == b"RIFF" and begin[8:12] == b"AVI ":
            size = int.from_bytes(begin[4:8], "little")
            # While they record, programs write one of these two.
            whole = 8 + size if size not in (0, 0xFFFFFFFF) else 0
        elif begin[:4] == _EBML:
            whole = _matroska(begin)
        else:
            whole = _mp4(file, there) if begin[4:8] in _MP4 else 0
    if whole <= there:
        return None
    share = 100 * there // whole
    return f"only the first {share} % of the file are there, and the rest is not looked at"


def _mp4(file: BinaryIO, there: int) -> int:
    """Where the box ends that goes on beyond the end of the file; 0 without one."""
    start = 0
    while start + 8 <= there:
        file.seek(start)
        head = file.read(16)
        size, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, least = int.from_bytes(head[8:], "big"), 16
        if size < least:  # 0: to the end of the file, however long that is
            return 0
        start += size
        if start > there:
            return start if kind in _HOLDS else 0
    return 0


def _matroska(begin: bytes) -> int:
    """Where the segment ends; 0 where it does not say, as while it is being recorded."""
    size, length = _varying(begin, 4)
    at = 4 + length + size
    if begin[at : at + 4] != _SEGMENT:
        return 0
    size, length = _varying(begin, at + 4)
    return 0 if size == 2 ** (7 * length) - 1 else at + 4 + length + size


def _varying(begin: bytes, at: int) -> tuple[int, int]:
    """A number whose first bits say how many bytes it has, and how many."""
    if at >= len(begin) or not begin[at]:
        return 0, 1
    length = 9 - begin[at].bit_length()
    return int.from_bytes(begin[at : at + length], "big") - (1 << 7 * length), length
