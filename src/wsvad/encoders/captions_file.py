"""captions.jsonl: one JSON line a video, `{"video": "a.mp4", "captions": ["a man walks", …]}`, in time order.

A line may say more: `frames`, how many the video has, `stride`, how many each caption is about, and `source`, the hash
of the video. `wsvad caption` writes all three, and beside the file `captions.jsonl.passport.json`, which says what
model wrote the captions, and how.
"""

import json
import os
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from wsvad.errors import WsvadError
from wsvad.files import read_json, read_text
from wsvad.ranges import Range
from wsvad.shapes import problems
from wsvad.video.names import UNDECODED, normal

MOST_BYTES = 64 * 2**20
"""Size of the largest captions file, thirty times that of UCF-Crime."""
MOST_PASSPORT = 2**14
"""Bytes of its passport."""
Frames = Annotated[int, Range(1, 2**27)]
"""Up to seven weeks of video."""


class _Line(TypedDict):
    video: str
    captions: list[str]
    frames: NotRequired[Frames]
    stride: NotRequired[Frames]
    source: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """The captions of a video."""

    captions: list[str]
    """T texts, in time order."""
    frames: int | None = None
    """F, where the file says it."""
    stride: int | None = None
    """Frames that each caption is about, the last one fewer; None where the file does not say it, for ⌈F / T⌉."""
    source: str | None = None
    """SHA-256 of the video, where the file says it."""


def read_captions(path: Path | str) -> dict[str, Captioned]:
    """Read a captions file: video → its captions.

    Raises:
        WsvadError: there is no such file, or a line is not of this form, repeats a video, or has no captions, or not as
            many as its frames need.
    """
    found: dict[str, Captioned] = {}
    lines = read_text(path, "captions in UTF-8", MOST_BYTES).split("\n")  # a caption may hold other ends of lines
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        line = _json(text)
        if said := _wrong(line):
            raise WsvadError(f"{path} line {number}: {said}")
        name = normal(line["video"])
        if name in found:
            raise WsvadError(f"{path} line {number}: '{name}' has captions already; keep one line a video")
        more = {key: line.get(key) for key in ("frames", "stride", "source")}
        found[name] = Captioned(captions=line["captions"], **more)
    return found


def _wrong(line: Any) -> str:
    """What a line should be, where it is not."""
    match line:
        case {"video": str(), "captions": [_, *_] as captions} if all(isinstance(c, str) for c in captions):
            pass
        case _:
            return 'expected {"video": "NAME", "captions": ["TEXT", ...]}'
    if problem := next(problems(line, _Line), ""):
        return problem
    frames, stride, count = line.get("frames"), line.get("stride"), len(line["captions"])
    if frames and stride and -(-frames // stride) != count:
        needed = -(-frames // stride)
        return f"{count} captions, where {frames:,} frames with one for each {stride:,} need {needed:,}; correct it"
    return ""


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # also numbers of thousands of digits, and brackets without end
        return None


def passport_path(captions: Path | str) -> Path:
    """Where the passport of a captions file is."""
    captions = Path(captions)
    return captions.with_name(captions.name + ".passport.json")


def read_passport(captions: Path | str) -> dict[str, Any] | None:
    """How a captions file was written; None where nothing says it.

    Raises:
        WsvadError: its passport is none.
    """
    path = passport_path(captions)
    if not os.path.lexists(path):
        return None
    value = read_json(path, most=MOST_PASSPORT)
    if not (isinstance(value, dict) and all(map(_plain, (*value, *value.values())))):
        raise WsvadError(f"{path}: not a passport of captions (names with texts and numbers); delete it")
    return value


def _plain(value: object) -> bool:
    """Whether a value can be written into a passport and read back as it is."""
    if isinstance(value, str):
        return not UNDECODED.search(value)
    return isinstance(value, int | float) and isfinite(value)
