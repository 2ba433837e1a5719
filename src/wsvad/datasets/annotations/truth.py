"""What all forms of annotations come to: a video's name, and when what happens."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.shapes import problems
from wsvad.video.names import UNDECODED, normal, unfit
from wsvad.video.reader import VideoReader

Truth = Mapping[str, tuple[Interval, ...]]
"""Video → its intervals; none where it was looked at and nothing happens."""


class FrameTimes(Protocol):
    """When the frames of a video are."""

    def frame(self, second: float) -> int:
        """The frame whose border, where it begins, is nearest; counted on past the end."""

    def second(self, frame: int) -> float:
        """When a frame begins, in seconds; counted on past the end."""


@dataclass(frozen=True)
class AtRate:
    """Frames that are evenly spaced."""

    rate: float
    """Frames a second."""

    def frame(self, second: float) -> int:
        return round(second * self.rate)

    def second(self, frame: int) -> float:
        return frame / self.rate


@dataclass(frozen=True, eq=False)
class AsDecoded:
    """Frames as they were when the video was decoded."""

    borders: np.ndarray
    """`(F + 1,)` seconds at which each frame begins, and at which the last one ends."""
    rate: float
    """Frames a second past the end."""

    @property
    def count(self) -> int:
        """F."""
        return len(self.borders) - 1

    def frame(self, second: float) -> int:
        beyond = round((second - float(self.borders[-1])) * self.rate)
        if beyond > 0:
            return self.count + beyond
        after = min(int(np.searchsorted(self.borders, second)), self.count)
        before = max(after - 1, 0)
        if abs(second - self.borders[before]) <= abs(second - self.borders[after]):
            return int(np.searchsorted(self.borders, self.borders[before]))
        return after

    def second(self, frame: int) -> float:
        if frame > self.count:
            return float(self.borders[-1]) + (frame - self.count) / self.rate
        return float(self.borders[frame])


def as_decoded(path: Path) -> AsDecoded:
    """Frames of a video, by decoding all of it. Headers deceive: of a video that was cut without encoding it again they
    count what is not shown, and an average rate may be that of fields.

    Raises:
        WsvadError: it cannot be read.
    """
    with VideoReader(path) as reader:
        borders, end = array("d"), 0.0
        for frame in reader:
            borders.append(float(frame.time))
            end = float(frame.time + frame.duration)
        borders.append(end)
        return AsDecoded(np.array(borders), float(reader.info.rate))


MOST_BYTES = 32 * 2**20
"""Size of the largest project in JSON, which takes some twenty times as much when it is read."""
MOST_FRAMES = 10**12 - 1
"""Frames of a thousand years."""
LONGEST = 1000
"""Letters of the longest category."""


def shaped(place: str, value: Any, shape: Any, what: str) -> Any:
    """A value of a project, if it has the shape (`wsvad.shapes`).

    Args:
        place: the file, and where in it.
        what: of what kind the file is.

    Raises:
        WsvadError: it has not.
    """
    for problem in problems(value, shape):
        raise WsvadError(f"{place}: not in the format of {what} ({problem}); export it again")
    return value


def checked(path: Path, truth: Truth) -> Truth:
    """The same, each video by its name, with its intervals in order of time.

    Raises:
        WsvadError: an interval is empty or begins before the video does; a video or a category has no name, or one
            that no file or table can hold.
    """
    named: dict[str, tuple[Interval, ...]] = {}
    for written, intervals in truth.items():
        video = normal(written)
        if said := unfit(video):
            raise WsvadError(f"{path}: the name of a video {said}: '{video}'; change it")
        named[video] = named.get(video, ()) + intervals
        if not video.strip():
            raise WsvadError(f"{path}: a video has no name")
        for interval in intervals:
            _check(f"{path}: interval [{interval.start}, {interval.end}) of {video}", interval)
    return {video: tuple(sorted(i, key=lambda one: (one.start, one.end, one.category))) for video, i in named.items()}


def _check(which: str, interval: Interval) -> None:
    if not 0 <= interval.start < interval.end:
        raise WsvadError(f"{which} is empty or begins before frame 0")
    if interval.end > MOST_FRAMES:
        raise WsvadError(f"{which} is longer than any video; correct it")
    if not interval.category.strip():
        raise WsvadError(f"{which} has no category")
    if len(interval.category) > LONGEST or "\0" in interval.category or UNDECODED.search(interval.category):
        raise WsvadError(f"{which} has a category that is no text of at most {LONGEST} letters; change it")


def runs(frames: set[int]) -> list[tuple[int, int]]:
    """Frame numbers as intervals `[start, end)` without gaps."""
    starts = sorted(frame for frame in frames if frame - 1 not in frames)
    ends = sorted(frame + 1 for frame in frames if frame + 1 not in frames)
    return list(zip(starts, ends, strict=True))
