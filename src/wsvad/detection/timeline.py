"""What a detector finds in one video: a score for every snippet, the events in it, and the files they are kept in.

T snippets have T + 1 borders; snippet i lasts from border i to border i + 1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wsvad.detection.explanation import Explanation, cosines, shares
from wsvad.files import write_json
from wsvad.metrics.events import Event, Rarity
from wsvad.metrics.interval import Interval
from wsvad.tables import write_table
from wsvad.video.clock import filmed
from wsvad.video.wall_clock import Start


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """One video's scores and events, with the truth where it is known."""

    video: str
    """Name."""
    path: Path | None
    """The video file; None where only features were there."""
    rate: Fraction | None
    """Frames per second; None where it varies or is not known."""
    frames: int
    """F."""
    times: np.ndarray
    """`(T + 1,)` snippet borders in seconds, increasing."""
    frame_edges: np.ndarray
    """`(T + 1,)` snippet borders in frames, from 0 to F."""
    scores: np.ndarray
    """`(T,)` in [0, 1]."""
    events: tuple[Event, ...]
    threshold: float
    """The score at which an event starts."""
    low: float
    """The score below which an event ends (hysteresis)."""
    truth: tuple[Interval, ...] | None = None
    """Where something abnormal happens; empty for a normal video; None where it is not known."""
    label: int | None = None
    """The video's weak label, 1 or 0; None where it is not known."""
    category: str = ""
    mode: Literal["whole", "online"] = "whole"
    block: int | None = None
    """Snippets of the overlapping blocks that it was scored in; None where it was scored at once."""
    attributions: dict[str, np.ndarray] = field(default_factory=dict)
    """What the scores depend on: name → `(T,)` share, the shares of a snippet sum to 1; empty where the method gives
    none."""
    explanation: Explanation | None = None
    """Its categories and why; None where the method gives none."""
    seconds_filmed: np.ndarray | None = None
    """`(T,)` seconds of video in each snippet; None where they were not counted."""
    recorded: Start | None = None
    """When the recording began, by the clock on the wall; None where nobody says."""
    rarity: Rarity | None = None
    """How rare its highest score is in normal video; None where that is not known."""
    notes: tuple[str, ...] = ()
    """What has to be known of it before its scores are believed, in sentences."""
    distance: float | None = None
    """How far it lies from the training videos, see `wsvad.runs.familiarity`: above 1 it is unlike them; None where
    that is not known."""

    def __post_init__(self) -> None:
        if not len(self.scores):
            raise ValueError(f"{self.video}: a timeline needs at least one snippet")
        if not len(self.times) == len(self.frame_edges) == len(self.scores) + 1:
            raise ValueError(
                f"{self.video}: {len(self.scores)} scores need {len(self.scores) + 1} borders, "
                f"got {len(self.times)} times and {len(self.frame_edges)} frame edges"
            )

        if any(len(shares) != len(self.scores) for shares in self.attributions.values()):
            raise ValueError(f"{self.video}: every share needs one number a snippet, {len(self.scores)}")

    @property
    def foreign(self) -> bool:
        """Whether it is unlike the training videos; the last of its notes says so."""
        return self.distance is not None and self.distance > 1

    @property
    def peak(self) -> float:
        """The highest score."""
        return float(self.scores.max())

    @property
    def duration(self) -> float:
        """Seconds from the first border to the last."""
        return float(self.times[-1] - self.times[0])

    def filmed(self, event: Event | None = None) -> float:
        """Seconds of video of an event, or of all, without gaps in which nothing was filmed."""
        first, end = (0, len(self.scores)) if event is None else self.snippets(event)
        return float(filmed(self.times, self.seconds_filmed)[first:end].sum())

    def event_attributions(self, event: Event) -> dict[str, float]:
        """The mean shares of an event's snippets, the largest first; empty where the method gives none."""
        first, end = self.snippets(event)
        return _falling({name: float(shares[first:end].mean()) for name, shares in self.attributions.items()})

    def snippets(self, event: Event) -> tuple[int, int]:
        """An event's first snippet, and the one after its last."""
        # Of a resampled video snippets may hold no frame, so that only their times tell them apart.
        if (np.diff(self.frame_edges) > 0).all() or not (np.diff(self.times) > 0).all():
            first, end = np.searchsorted(self.frame_edges, [event.start_frame, event.end_frame])
        else:
            first = np.searchsorted(self.times, event.start)
            end = max(first + 1, np.searchsorted(self.times, event.end))
        return int(first), int(end)

    def categories(self, event: Event) -> dict[str, float]:
        """Probability of each category, given that something abnormal happens, the likeliest first; they sum to 1.
        Empty where the method gives none."""
        if self.explanation is None or self.explanation.class_scores is None:
            return {}
        first, end = self.snippets(event)
        likely = shares(self.explanation.class_scores[first:end])
        return _falling({name: float(p) for name, p in zip(self.explanation.categories, likely, strict=True)})

    def nearest(self, event: Event, count: int = 3) -> dict[str, float]:
        """The prototypes nearest to an event with their cosines, nearest first; empty where there are none."""
        if self.explanation is None or self.explanation.event_embeddings is None or self.explanation.prototypes is None:
            return {}
        own = self.explanation.event_embeddings[[self.events.index(event)]]
        near = zip(self.explanation.categories, cosines(own, self.explanation.prototypes)[0], strict=True)
        return dict(list(_falling({name: float(cosine) for name, cosine in near}).items())[:count])

    def only(self, shown: Callable[[Event], bool]) -> "Timeline":
        """The same with some of its events alone; scores stay whole."""
        places = [place for place, event in enumerate(self.events) if shown(event)]
        why = self.explanation
        if why is not None and why.event_embeddings is not None:
            why = replace(why, event_embeddings=why.event_embeddings[places])
        return replace(self, events=tuple(self.events[place] for place in places), explanation=why)

    def seconds(self, frame: int) -> float:
        """The time of a frame, interpolated between snippet borders; frames outside the video are clipped."""
        return float(np.interp(frame, self.frame_edges, self.times))


def write_scores_json(
    path: Path | str, timelines: Sequence[Timeline], left_out: Mapping[str, str] | None = None
) -> None:
    """Write `as_json`."""
    write_json(path, as_json(timelines, left_out))


def as_json(timelines: Sequence[Timeline], left_out: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`{"videos": [...], "left_out": [...]}`, each video with its events and its snippets, each file that could not be
    scored with the reason; `scores.schema.json` describes it."""
    files = [{"file": printable(file), "reason": printable(reason)} for file, reason in (left_out or {}).items()]
    return {"videos": [as_dict(timeline) for timeline in timelines], "left_out": files}


def write_left_out_csv(path: Path | str, left_out: Mapping[str, str]) -> None:
    """Write one row a file that could not be scored: `file,reason`."""
    write_table(path, ("file", "reason"), ((printable(file), printable(why)) for file, why in left_out.items()))


def as_dict(timeline: Timeline) -> dict[str, Any]:
    """A timeline in plain values, as in the JSON file: times in seconds, frames half-open, rate as "30000/1001"."""
    return {
        "video": printable(timeline.video),
        "frames": timeline.frames,
        "frame_rate": None if timeline.rate is None else str(timeline.rate),
        "mode": timeline.mode,
        **({"block": timeline.block} if timeline.block else {}),
        **_recorded(timeline),
        "threshold": _rounded(timeline.threshold),
        **({"distance": _rounded(timeline.distance)} if timeline.distance is not None else {}),
        **({"notes": [printable(note) for note in timeline.notes]} if timeline.notes else {}),
        "events": [
            {
                "start_frame": int(event.start_frame),
                "end_frame": int(event.end_frame),
                "start": _rounded(event.start),
                "end": _rounded(event.end),
                "peak": _rounded(event.peak),
                "peak_time": _rounded(event.peak_time),
            }
            | _rarity(event)
            | _wall(timeline, event)
            | _attributions(timeline, event)
            | _kinds(timeline, event)
            for event in timeline.events
        ],
        "snippets": [
            {"start_frame": first, "end_frame": last, "start": start, "end": end, "score": score}
            for first, last, start, end, score in _snippets(timeline)
        ],
    }


def _recorded(timeline: Timeline) -> dict[str, Any]:
    """When the recording began, how that is known, and whose it is, where somebody says."""
    start = timeline.recorded
    if start is None:
        return {}
    camera = {"camera": printable(start.camera)} if start.camera else {}
    return {"recorded": start.at(0).isoformat(timespec="milliseconds"), "recorded_origin": start.origin} | camera


def _rarity(event: Event) -> dict[str, Any]:
    """How often normal video has such an event, where that is known."""
    return {"rarity": asdict(event.rarity)} if event.rarity else {}


def _wall(timeline: Timeline, event: Event) -> dict[str, Any]:
    """When an event was, by the clock on the wall."""
    if timeline.recorded is None:
        return {}
    start, end = (timeline.recorded.at(seconds) for seconds in (event.start, event.end))
    return {"wall_start": start.isoformat(timespec="milliseconds"), "wall_end": end.isoformat(timespec="milliseconds")}


def _attributions(timeline: Timeline, event: Event) -> dict[str, Any]:
    """What an event's score depends on, where the method gives it."""
    shares = {name: _rounded(share) for name, share in timeline.event_attributions(event).items()}
    return {"attributions": shares} if shares else {}


def _kinds(timeline: Timeline, event: Event) -> dict[str, Any]:
    """What kind of thing an event is, where the method says."""
    likely = {name: _rounded(p) for name, p in timeline.categories(event).items()}
    near = {name: _rounded(cosine) for name, cosine in timeline.nearest(event).items()}
    record: dict[str, Any] = {"category": next(iter(likely)), "categories": likely} if likely else {}
    return record | ({"nearest": near} if near else {})


def _falling(values: dict[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def write_events_csv(path: Path | str, timelines: Sequence[Timeline]) -> None:
    """Write one row an event: `video,start_frame,end_frame,start,end,peak,peak_time,attributions,category,probability,
    wall_start,wall_end,rarity,distance`; `attributions` and `rarity` are in words, "pose 0.41; flow 0.32" and "once in
    40 min of normal video", and `distance` is the video's. What is not known is empty."""
    own = ("start_frame", "end_frame", "start", "end", "peak", "peak_time")
    rows = (
        (
            printable(timeline.video),
            *(event[column] for column in own),
            "; ".join(f"{name} {share:.2f}" for name, share in list(event.get("attributions", {}).items())[:2]),
            event.get("category", ""),
            event["categories"][event["category"]] if "category" in event else "",
            event.get("wall_start", ""),
            event.get("wall_end", ""),
            event.get("rarity", {"words": ""})["words"],
            record.get("distance", ""),
        )
        for timeline in timelines
        for record in (as_dict(timeline),)
        for event in record["events"]
    )
    write_table(
        path,
        ("video", *own, "attributions", "category", "probability", "wall_start", "wall_end", "rarity", "distance"),
        rows,
    )


def write_scores_csv(path: Path | str, timelines: Sequence[Timeline]) -> None:
    """Write one row a snippet: `video,start_frame,end_frame,start,end,score`."""
    rows = ((printable(timeline.video), *snippet) for timeline in timelines for snippet in _snippets(timeline))
    write_table(path, ("video", "start_frame", "end_frame", "start", "end", "score"), rows)


def clock(seconds: float, *, whole: bool = False) -> str:
    """Seconds as "m:ss.s" or "h:mm:ss.s"; without tenths if `whole`."""
    tenths = max(0, round(seconds * 10))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    small = f"{rest // 10:02d}" if whole else f"{rest / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{small}" if hours else f"{minutes}:{small}"


def printable(name: str) -> str:
    """A name that can be written as UTF-8: bytes of a file's name that are not text become "\\udcff"."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _snippets(timeline: Timeline) -> Iterable[tuple[int, int, float, float, float]]:
    edges = [int(edge) for edge in timeline.frame_edges]
    times = [_rounded(time) for time in timeline.times]
    scores = [_rounded(score) for score in timeline.scores]
    return zip(edges[:-1], edges[1:], times[:-1], times[1:], scores, strict=True)


def _rounded(value: float) -> float:
    """To a millionth: microseconds, and more digits than a score means."""
    return round(float(value), 6)
