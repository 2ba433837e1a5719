"""What all forms of annotations come to: a video's name, and when what happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.video.names import normal

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
        return self.count + beyond if beyond > 0 else int(np.argmin(np.abs(self.borders - second)))

    def second(self, frame: int) -> float:
        if frame > self.count:
            return float(self.borders[-1]) + (frame - self.count) / self.rate
        return float(self.borders[frame])


def checked(path: Path, truth: Truth) -> Truth:
    """The same, each video by its name, with its intervals in order of time.

    Raises:
        WsvadError: an interval is empty or begins before the video does; a video or a category has no name.
    """
    named: dict[str, tuple[Interval, ...]] = {}
    for written, intervals in truth.items():
        video = normal(written)
        named[video] = named.get(video, ()) + intervals
        if not video.strip():
            raise WsvadError(f"{path}: a video has no name")
        for interval in intervals:
            if not 0 <= interval.start < interval.end:
                raise WsvadError(
                    f"{path}: interval [{interval.start}, {interval.end}) of {video} is empty or begins before frame 0"
                )
            if not interval.category.strip():
                raise WsvadError(f"{path}: interval [{interval.start}, {interval.end}) of {video} has no category")
    return {video: tuple(sorted(i, key=lambda one: (one.start, one.end, one.category))) for video, i in named.items()}


def runs(frames: set[int]) -> list[tuple[int, int]]:
    """Frame numbers as intervals `[start, end)` without gaps."""
    starts = sorted(frame for frame in frames if frame - 1 not in frames)
    ends = sorted(frame + 1 for frame in frames if frame + 1 not in frames)
    return list(zip(starts, ends, strict=True))
