"""Labels of recordings from what somebody saw while they were made: which of them shows it, and in which frames.

A recording begins when its name says, and is one camera's. It is decoded only where something happens before the next
one of its camera begins: a day in pieces of ten seconds is not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from wsvad.datasets.annotations.truth import as_decoded
from wsvad.datasets.folder import videos_below
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.tables import write_table
from wsvad.video.names import normal
from wsvad.video.wall_clock import WallClock


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something that a camera saw."""

    camera: str
    start: float
    """Seconds since 1970."""
    end: float
    category: str | None
    """What it was; None where nobody has judged whether it is anything."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A video file of one camera."""

    name: str
    """Below the folder."""
    path: Path
    camera: str
    start: float
    """Seconds since 1970 of its first frame."""


def recordings_below(folder: Path, clock: WallClock, left: dict[str, str]) -> list[Recording]:
    """The recordings in a folder and below it, in order of time.

    Args:
        clock: says from a name, with the folders above, when a recording began, and its camera.
        left: takes what is left out, and why.

    Raises:
        WsvadError: there is none.
    """
    unread: dict[Path, str] = {}
    files = videos_below(folder, unread)
    left |= {str(path): why for path, why in unread.items()}
    found = []
    for name, path in files.items():
        start = clock.start(normal(path.absolute().as_posix()))
        if start is None or start.origin != "name" or not start.camera:
            left[name] = f"{path}: its name does not say when it was recorded, and by which camera"
        else:
            moment = start.moment.timestamp()
            found.append(Recording(name=name, path=path, camera=start.camera, start=moment))
    if not found:
        raise WsvadError(
            f"{folder}: no video here has a name that says when it was recorded, and by which camera, as in "
            "2026-01-15/09/gate/30.10.mp4; write how names are formed with --name-pattern"
        )
    return sorted(found, key=lambda one: (one.start, one.name))


def labelled(
    recordings: Sequence[Recording], happened: Iterable[Happened], left: dict[str, str]
) -> dict[str, tuple[Interval, ...]]:
    """Recording → when what happens in it; none where it is normal.

    Args:
        recordings: in order of time.
        left: takes what is left out: what cannot be read, or shows what nobody has judged.
    """
    events: dict[str, list[Happened]] = {}
    for one in happened:
        events.setdefault(one.camera, []).append(one)
    seen = {camera: _Seen(some) for camera, some in events.items()}
    own: dict[str, list[Recording]] = {}
    for recording in recordings:
        own.setdefault(recording.camera, []).append(recording)
    following = {one.name: after.start for some in own.values() for one, after in pairwise(some)}
    truth: dict[str, tuple[Interval, ...]] = {}
    for recording in recordings:
        until = following.get(recording.name, float("inf"))
        near = seen[recording.camera].between(recording.start, until) if recording.camera in seen else []
        try:
            found = _within(recording, near) if near else {}
        except WsvadError as error:
            left[recording.name] = str(error)
            continue
        undecided = found.pop(None, [])
        if undecided and not found:
            left[recording.name] = f"{recording.path}: shows what wsvad itself has reported, which is no label"
            continue
        intervals = (Interval(start=s, end=e, category=c or "") for c, spans in found.items() for s, e in spans)
        truth[recording.name] = tuple(sorted(intervals, key=lambda one: (one.start, one.end, one.category)))
    return truth


class _Seen:
    """What one camera saw, so that what shares a moment with a recording is found without looking at all of it."""

    def __init__(self, events: Iterable[Happened]):
        self._events = sorted(events, key=lambda one: one.start)
        self._starts = [one.start for one in self._events]
        self._over = list(accumulate((one.end for one in self._events), max))
        """When each of them and all before it are over."""

    def between(self, start: float, end: float) -> list[Happened]:
        """What begins before the end, and is not over at the start."""
        some = self._events[bisect_right(self._over, start) : bisect_left(self._starts, end)]
        return [one for one in some if one.end > start]


def _within(recording: Recording, near: Iterable[Happened]) -> dict[str | None, list[tuple[int, int]]]:
    """Category → its frames in a recording, `[start, end)`; what overlaps is one."""
    frames = as_decoded(recording.path)
    found: dict[str | None, list[tuple[int, int]]] = {}
    for one in sorted(near, key=lambda one: one.start):
        start, end = one.start - recording.start, one.end - recording.start
        first = max(0, int(np.searchsorted(frames.borders, start, side="right")) - 1)
        beyond = min(frames.count, int(np.searchsorted(frames.borders, end)))
        if first >= beyond:
            continue
        spans = found.setdefault(one.category, [])
        if spans and first <= spans[-1][1]:
            first, beyond = spans[-1][0], max(beyond, spans.pop()[1])
        spans.append((first, beyond))
    return found


def write_labels(labels: Path, intervals: Path, truth: Mapping[str, Sequence[Interval]]) -> None:
    """Both tables, as `wsvad train` reads them."""
    write_table(
        intervals,
        ("video", "category", "start_frame", "end_frame"),
        ((name, one.category, one.start, one.end) for name, found in truth.items() for one in found),
    )
    rows = ((name, "abnormal" if found else "normal", _categories(found)) for name, found in truth.items())
    write_table(labels, ("video", "label", "category"), rows)


def _categories(found: Iterable[Interval]) -> str:
    return ";".join(dict.fromkeys(one.category for one in found)) or "normal"
