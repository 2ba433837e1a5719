"""Clips of events, to be handed on: a file each, with some seconds before and after.

gate/cam0.002.2024-01-15_09-30-12.mp4      the second event of gate/cam0.avi, by the clock on the wall
gate/cam0.002.0h05m12s.mp4                 where nobody says when the recording began: so far into the video
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.detection.timeline import Timeline
from wsvad.errors import WsvadError
from wsvad.files import is_file, remove
from wsvad.metrics.events import Event, ends_of
from wsvad.video.clips import Span, cut
from wsvad.video.clock import filmed
from wsvad.video.names import file_stems
from wsvad.video.results import is_result

MARGIN = 5.0
"""Seconds before and after an event."""


def write_clips(timeline: Timeline, folder: Path | str, *, margin: float = MARGIN) -> list[Path]:
    """Write a clip of each event of a video into a folder.

    Returns:
        The clips, in the order of the events.

    Raises:
        WsvadError: the timeline has no video file, or it cannot be read, or a clip cannot be written.
    """
    clips = spans_of(timeline, Path(folder), file_stems([timeline.video])[timeline.video], margin)
    cut_clips(timeline, clips)
    return [clip.path for clip in clips]


def spans_of(timeline: Timeline, folder: Path, stem: str, margin: float) -> list[Span]:
    """What the clips of a video hold and where they are; `stem` is what they are named after."""
    times = timeline.times
    ends = ends_of(times, filmed(times, timeline.seconds_filmed))
    gaps = np.flatnonzero(ends < times[1:])
    # A margin does not reach into a gap in which nothing was filmed, or the clip would last as long as that.
    begins, stops = np.append(times[0], times[gaps + 1]), np.append(ends[gaps], times[-1])
    return [
        Span(
            start=float(max(event.start - margin, begins[begins <= max(event.start, times[0])].max())),
            end=float(min(event.end + margin, stops[stops >= min(event.end, times[-1])].min())),
            path=folder / f"{stem}.{number:03d}.{_when(timeline, event)}.mp4",
        )
        for number, event in enumerate(timeline.events, 1)
    ]


def stem_of(name: str) -> str | None:
    """What the video is called, without its ending, that a file in the folder of clips is a clip of; None where it
    cannot be one."""
    found = re.fullmatch(r"(.+)\.\d{3,9}\.[\dhms_-]+\.mp4", name)
    return found and found[1]


def longest_name(stem: str) -> str:
    """The longest name that a clip can need."""
    return f"{stem}.00000.2024-01-15_09-30-12.mp4"


def _when(timeline: Timeline, event: Event) -> str:
    if timeline.recorded is not None:
        return f"{timeline.recorded.at(event.start):%Y-%m-%d_%H-%M-%S}"
    minutes, seconds = divmod(max(0, int(event.start)), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m{seconds:02d}s"


def cut_clips(timeline: Timeline, clips: list[Span]) -> None:
    """Write clips of a video. A file that has the name of one, but is no clip, is left as it is.

    Raises:
        WsvadError: as `write_clips`.
    """
    if timeline.path is None:
        raise WsvadError(f"{timeline.video}: only its features are there; clips need the video file")
    if other := [clip.path for clip in clips if is_file(clip.path) and not is_result(clip.path)]:
        raise WsvadError(f"{other[0]}: is no clip that wsvad wrote, and would be written over; move it away")
    if clips:
        cut(timeline.path, clips, float(timeline.times[0]), float(timeline.times[-1]), timeline.rate)


def remaining(clips: list[Span], folder: Path, before: Mapping[str, Any]) -> list[Span]:
    """The clips that have to be written: those that are not there as a record of earlier ones (`record_of`) says.
    Earlier clips that are no longer wanted are removed."""
    wanted, kept = record_of(clips, folder), set()
    for name, span in before.items():
        path = folder / name
        if is_file(path) and span == wanted.get(name):
            kept.add(name)
        elif is_file(path) and is_result(path):
            remove(path)
    return [clip for clip, name in zip(clips, wanted, strict=True) if name not in kept]


def record_of(clips: list[Span], folder: Path) -> dict[str, list[float]]:
    """Clip → its seconds of the video, as JSON keeps it."""
    return {clip.path.relative_to(folder).as_posix(): [clip.start, clip.end] for clip in clips}
