"""What is known of a video file without looking at what happens in it: its container, and its first picture."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from wsvad.video.reader import VideoReader
from wsvad.video.wall_clock import WallClock

THUMBNAIL = 8
"""Pixels along each side of the picture that a scene is recognised by."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of one video; what is not known is None. Text is compared as it is, numbers by their order."""

    size: str
    """`640x360`."""
    rate: str
    """Frames per second, with two decimals."""
    codec: str
    container: str
    sound: str
    """Its codec; `none` without one."""
    writer: str
    """The program that wrote the file, as far as it says so."""
    seconds: float | None
    bits_per_second: float | None
    hour: int | None
    """Of the day, by the clock on the wall."""
    camera: str | None
    picture: np.ndarray
    """The first picture, small: luma and mean colour, `(D,)` in [0, 1]."""


WORDS = {
    "size": "picture size", "rate": "frame rate", "codec": "codec", "container": "container", "sound": "sound",
    "writer": "writing program", "seconds": "length", "bits_per_second": "bit rate", "hour": "hour of the day",
    "camera": "camera", "picture": "first picture",
}  # fmt: skip
"""What users read of each fact."""
assert list(WORDS) == [field.name for field in fields(Facts)]


def facts_of(path: Path, name: str, clock: WallClock | None = None, rate: float | None = None) -> Facts:
    """The facts of a video file; only its head and its first picture are read.

    Args:
        path: the file.
        name: the video's name with its folders, in which a start may be.
        clock: where the start of recordings is looked for.
        rate: frames per second of a raw stream that does not say it.

    Raises:
        WsvadError: no picture of it can be read.
    """
    with VideoReader(path, threads=1, rate=rate) as video:
        first = next(iter(video))
        small = first.array((THUMBNAIL, THUMBNAIL)).astype(np.float64) / 255
        header, info = video.header(), video.info
    seconds = header.seconds
    start = (clock or WallClock()).start(name, header.metadata)
    return Facts(
        size=f"{info.width}x{info.height}",
        rate=f"{float(info.rate):.2f}",
        codec=info.codec,
        container=header.container,
        sound=header.sound or "none",
        writer=_first_word(header.metadata),
        seconds=seconds,
        bits_per_second=8 * path.stat().st_size / seconds if seconds else None,
        hour=start.moment.hour if start else None,
        camera=(start.camera or None) if start else None,
        picture=np.concatenate([small.mean(-1).ravel(), small.mean((0, 1))]),
    )


def _first_word(metadata: Mapping[str, str]) -> str:
    """`Lavf60.16.100` → `Lavf60`."""
    tags = {key.lower(): value for key, value in metadata.items()}
    told = next((tags[key] for key in ("encoder", "writing_application", "software", "major_brand") if key in tags), "")
    return told.split(".")[0].strip() or "not said"
