"""What is known of a video file without looking at what happens in it: its container, and its first picture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from wsvad.video.reader import Frame, VideoReader
from wsvad.video.wall_clock import WallClock

THUMBNAIL = 8
"""Pixels along each side of the picture that a scene is recognised by."""
UNSAID = "not said"
"""The writing program of a file that does not name it."""
STEP = Fraction(1, 4)
"""Seconds between two samples, by which copies are recognised."""
SAMPLE = (16, 12)
"""Their width and height, whatever the video's."""


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


FACTS = tuple(field.name for field in fields(Facts))
"""Their names."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen of a video."""

    facts: Facts
    samples: np.ndarray
    """Its pictures at every `STEP` of the beginning, `(K, D)` uint8; empty where they were not asked for."""


def facts_of(path: Path, name: str, clock: WallClock | None = None, raw_rate: float | None = None) -> Facts:
    """The facts of a video file; arguments as `look_at`."""
    return look_at(path, name, clock, raw_rate=raw_rate).facts


def look_at(
    path: Path, name: str, clock: WallClock | None = None, *, seconds: float = 0.0, raw_rate: float | None = None
) -> Look:
    """Look at the head of a video file, at its first picture, and at so many seconds of its beginning.

    Args:
        path: the file.
        name: the video's name with its folders, in which a start may be.
        clock: where the start of recordings is looked for.
        seconds: how much is sampled.
        raw_rate: frames per second of a raw stream that does not say it.

    Raises:
        WsvadError: no picture of it can be read.
        OSError: it cannot be reached any more.
    """
    with VideoReader(path, threads=1, raw_rate=raw_rate) as video:
        frames = iter(video)
        first = next(frames)
        small = first.array((THUMBNAIL, THUMBNAIL)).astype(np.float64) / 255
        header, info = video.header(), video.info
        samples = sampled(chain([first], frames), seconds)
    length = header.seconds
    start = (clock or WallClock()).start(name, header.metadata)
    facts = Facts(
        size=f"{info.width}x{info.height}",
        rate=f"{float(info.rate):.2f}",
        codec=info.codec,
        container=header.container.split(",")[0],
        sound=header.sound or "none",
        writer=_first_word(header.metadata),
        seconds=length,
        bits_per_second=8 * path.stat().st_size / length if length else None,
        hour=start.moment.hour if start else None,
        camera=(start.camera or None) if start else None,
        picture=np.concatenate([small.mean(-1).ravel(), small.mean((0, 1))]),
    )
    return Look(facts=facts, samples=samples)


def sampled(frames: Iterable[Frame], seconds: float) -> np.ndarray:
    """Small pictures (luma) of the moments 0, STEP, 2 STEP … below `seconds`, `(K, D)` uint8: of each moment the frame
    that is nearest to it. So a video has the same at every frame rate, as far as it has frames."""
    found: list[np.ndarray] = []
    before: Frame | None = None
    for frame in frames if seconds > 0 else ():
        while (moment := len(found) * STEP) <= frame.time and moment < seconds:
            nearer = before is not None and moment - before.time < frame.time - moment
            found.append((before if before is not None and nearer else frame).array(SAMPLE, "gray").ravel())
        before = frame
        if moment >= seconds:
            break
    return np.array(found, np.uint8).reshape(len(found), SAMPLE[0] * SAMPLE[1])


def _first_word(metadata: Mapping[str, str]) -> str:
    """`Lavf60.16.100` → `Lavf60`."""
    tags = {key.lower(): value for key, value in metadata.items()}
    told = next((tags[key] for key in ("encoder", "writing_application", "software", "major_brand") if key in tags), "")
    return told.split(".")[0].strip() or UNSAID
