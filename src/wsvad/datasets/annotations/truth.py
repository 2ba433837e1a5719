"""What all forms of annotations come to: a video's name, and when what happens."""

from collections.abc import Mapping
from pathlib import Path

from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.video.names import normal

Truth = Mapping[str, tuple[Interval, ...]]
"""Video → its intervals; none where it was looked at and nothing happens."""


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
