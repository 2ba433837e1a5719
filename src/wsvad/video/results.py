"""Videos that wsvad wrote, drawn ones and clips, which must never be taken for recordings: they say so in their own
metadata, where it stays when they are moved or renamed."""

from pathlib import Path

from wsvad.video.boxes import SUFFIXES, boxes, content_of

COMMENT = "wsvad result: not a recording"
"""The comment in the metadata of a video that was written here."""
WHAT = "a video that 'wsvad score' wrote, with scores drawn in or as a clip"
"""What a result is, for messages."""


def is_result(path: Path) -> bool:
    """Whether a file is a video that was written here. Only headers are read, wherever they are in the file."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            for kind, start, stop in boxes(file, 0, end):
                if kind == b"moov":
                    return any(
                        COMMENT.encode() in content_of(file, begin, close)
                        for name, begin, close in boxes(file, start, stop)
                        if name == b"udta"
                    )
    except OSError:
        pass
    return False
