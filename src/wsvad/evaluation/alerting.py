"""Figures of alerts of a test set (`metrics.alerts`) at the deployed thresholds, over seeds and over test videos.

Keys are those of `evaluation.vocabulary`; those of a running camera end in `_online`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.curves import Curve
from wsvad.evaluation.vocabulary import ONLINE
from wsvad.metrics.alerts import Footage, Point, Watched, onsets
from wsvad.metrics.bootstrap import draw, interval, resampled_average_precision
from wsvad.metrics.events import EventRules
from wsvad.metrics.frame import average_precision
from wsvad.runs.scorer import Mode
from wsvad.video.clock import NOMINAL, SnippetClock, filmed, positive_frames
from wsvad.video.reader import VideoReader

ENOUGH = 5
"""Videos of a kind below which no interval is given, as in `evaluation.certainty`."""
RATE = 1.0
"""False alarms an hour of normal test video at which alerts of a scores file are counted."""
DEPLOYED = "as deployed"
PASSES = 1_000_000
"""Snippets that are scored on a processor for figures of a running camera, each as often as windows have it: they take
about a minute. An accelerator is given `FASTER` times as many."""
FASTER = 50
TOO_MANY = "figures of a running camera are left out: there are too many snippets to score each with its own window"
NOT_COUNTED = "alerts are not counted: no normal test video to find a threshold on; give --threshold"
WORDS: dict[Mode, str] = {"whole": "whole videos", "online": "a running camera"}


@dataclass(frozen=True, kw_only=True)
class At:
    """At which score alerts begin; where neither is given, at the threshold that a run is deployed with, or for scores
    at the one that keeps `RATE`."""

    threshold: float | None = None
    false_alarms_per_hour: float | None = None
    """The lowest threshold that keeps such a rate in the normal test videos, and so do all higher ones."""

    def __post_init__(self) -> None:
        if self.threshold is not None and self.false_alarms_per_hour is not None:
            raise UsageError("a threshold and a rate of false alarms are both given; give one of them")

    def of(self, curves: Sequence[Curve], rules: EventRules, deployed: float | None) -> tuple[float, str] | None:
        """The threshold, and where it is from; None where there is no normal video to find it on."""
        if self.threshold is not None:
            return self.threshold, "as it was given"
        if self.false_alarms_per_hour is None and deployed is not None:
            return deployed, DEPLOYED
        rate, known = self.false_alarms_per_hour, known_truth(curves)
        rate = RATE if rate is None else rate
        found = footage_of(known, rules).threshold_for(rate) if known else None
        said = f"the lowest with ≤ {rate:g} false alarms an hour in these normal test videos, so chosen on them"
        return None if found is None else (found, said)


@dataclass(frozen=True, kw_only=True, eq=False)
class Alerts:
    """What alerts on the test videos are worth in one mode."""

    mode: Mode
    thresholds: Sequence[float]
    """Of each seed."""
    by: str
    """Where they are from, in a phrase."""
    values: Mapping[str, Sequence[float]]
    """Key → of each seed; shares as fractions, NaN where one is not defined."""
    resampled: Mapping[str, np.ndarray]
    """Key → its mean over seeds in each resample of the test videos, `(R,)`."""
    intervals: Mapping[str, tuple[float, float]]
    """Key → between which two the mean over seeds lies with 95 %, as far as the test videos can tell."""
    curve: Sequence[Point]
    """Of the first seed."""
    assumed: int
    """Videos whose frame rate is not known, so that seconds assume `NOMINAL`."""

    @property
    def sentence(self) -> str:
        """At which threshold, and what was assumed, for the terminal and the page."""
        levels = sorted({f"{level:.3g}" for level in self.thresholds})
        at = levels[0] if len(levels) == 1 else f"{levels[0]} to {levels[-1]}"
        rate = f"; seconds assume {NOMINAL} frames per second in {self.assumed} videos" if self.assumed else ""
        return f"Alerts in {WORDS[self.mode]} are counted at threshold {at}, {self.by}{rate}."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "thresholds": list(self.thresholds),
            "by": self.by,
            "sentence": self.sentence,
            "intervals": {key: list(bounds) for key, bounds in self.intervals.items()},
            "curve": [asdict(point) for point in self.curve],
        }


def measure_alerts(
    seeds: Sequence[Sequence[Curve]], thresholds: Sequence[float], rules: EventRules, mode: Mode, by: str
) -> Alerts | None:
    """Figures at each seed's threshold; None where the truth of no video is known.

    Args:
        seeds: for each seed the curves of the same videos in the same order, scored in this mode.
        by: where the thresholds are from.
    """
    each = [known_truth(curves) for curves in seeds]
    if not each[0]:
        return None
    times_RV = draw(len(each[0]))
    values: dict[str, list[float]] = {}
    drawn: dict[str, list[np.ndarray]] = {}
    footage = [footage_of(curves, rules) for curves in each]
    for curves, one, threshold in zip(each, footage, thresholds, strict=True):
        counts = one.at(threshold)
        figures = one.figures(counts) | {"ap_onset": np.array([onset_precision(curves)])}
        resampled = one.figures(counts, times_RV) | {"ap_onset": _resampled_onset(curves, times_RV)}
        for key in figures:
            values.setdefault(key, []).append(float(figures[key][0]))
            drawn.setdefault(key, []).append(resampled[key])
    means = {key: np.mean(some, axis=0) for key, some in drawn.items()}
    end = ONLINE if mode == "online" else ""
    return Alerts(
        mode=mode,
        thresholds=list(thresholds),
        by=by,
        values={f"{key}{end}": some for key, some in values.items()},
        resampled={f"{key}{end}": some for key, some in means.items()},
        intervals={f"{key}{end}": bounds for key, bounds in _intervals(footage[0], means).items()},
        curve=footage[0].curve,
        assumed=sum(curve.times is None for curve in each[0]),
    )


def alerts_at(
    curves: Sequence[Curve], rules: EventRules, mode: Mode, at: At, deployed: float | None = None
) -> Alerts | None:
    """Figures of one seed where alerts begin as it is said.

    Args:
        deployed: the threshold of the run; None for scores of any system.
    """
    level = at.of(curves, rules, deployed)
    return None if level is None else measure_alerts([curves], [level[0]], rules, mode, level[1])


def with_events(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The selections of `metrics.json`, with figures of alerts where these were counted: after the last iteration."""
    selections: dict[str, Any] = dict(metrics["selection"])
    return selections | {"last": {**selections["last"], **metrics.get("events", {})}}


def passes(bag: Bag, window: int) -> int:
    """How many snippets are scored for the online scores of a video."""
    rows = max(int(np.prod(bag.shape(name)[:-1])) for name in bag.streams)
    return rows * min(window, bag.snippets)


def affordable(count: int, device: str) -> bool:
    """Whether so many passes are few enough that measuring does not take longer than training."""
    return count <= (PASSES if device == "cpu" else FASTER * PASSES)


def known_truth(curves: Iterable[Curve]) -> list[Curve]:
    """Those of which it is known when something abnormal happens."""
    return [curve for curve in curves if curve.positives is not None and curve.events is not None]


def footage_of(curves: Sequence[Curve], rules: EventRules) -> Footage:
    """Curves whose truth is known, in seconds. Scores of other systems may be below 0, where a share of the threshold
    is no lower threshold: there events end below the threshold itself."""
    below = any(float(curve.scores.min()) < 0 for curve in curves)
    return Footage([_watched(curve) for curve in curves], replace(rules, low=1.0) if below else rules)


def _watched(curve: Curve) -> Watched:
    edges = np.concatenate([[0], np.cumsum(curve.lengths)])
    times = edges / float(NOMINAL) if curve.times is None else np.asarray(curve.times, np.float64)
    seconds = np.interp(np.array(curve.events, np.float64).reshape(-1, 2), edges, times)
    return Watched(
        scores=curve.scores,
        times=times,
        seconds=filmed(times, curve.filmed),
        events=[(start, end) for start, end in seconds.tolist() if start < end],
        normal=not curve.events and not curve.label,
    )


def onset_precision(curves: Sequence[Curve]) -> float:
    """AP at onset (`metrics.alerts`) of curves whose truth is known."""
    score, positives, negatives, _ = _onset_frames(curves)
    return average_precision(score, positives, negatives)


def _resampled_onset(curves: Sequence[Curve], times_RV: np.ndarray) -> np.ndarray:
    score, positives, negatives, video = _onset_frames(curves)
    return resampled_average_precision(score, positives, negatives, video, times_RV)


def _onset_frames(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, frames at the onset of true events, frames outside of any, and the number of the video."""
    positives, negatives = [], []
    for curve in curves:
        edges = np.concatenate([[0], np.cumsum(curve.lengths)])
        positives.append(positive_frames(onsets(curve.events or ()), edges))
        negatives.append(curve.lengths - (0 if curve.positives is None else curve.positives))
    video = np.repeat(np.arange(len(curves)), [len(curve.scores) for curve in curves])
    joined = (np.concatenate(each) for each in ([curve.scores for curve in curves], positives, negatives))
    score, positive, negative = joined
    return score, positive, negative, video


def _intervals(footage: Footage, means: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each figure, where there are enough videos. Where all resamples are at an end, it is as wide
    as so few videos, or hours, leave it: the exact one of none in so many."""
    with_events, quiet = int((footage.true > 0).sum()), int(footage.normal.sum())
    none = -math.log(0.025)
    found = {}
    for key, values in means.items():
        if (quiet if key == "false_alarms_per_hour" else with_events) < ENOUGH:
            continue
        low, high = interval(values)
        if key == "false_alarms_per_hour" and high == 0:
            high = none / float(footage.hours.sum())
        if key == "events_found" and low == high:
            widest = math.exp(-none / with_events)
            low, high = (widest, 1.0) if low == 1 else (0.0, 1 - widest) if low == 0 else (low, high)
        if low < high:
            found[key] = (low, high)
    return found


# ------------------------------------------------------------------------------------------------- seconds


def with_rate(clock: SnippetClock, video: LabelledVideo) -> SnippetClock:
    """The clock of features that do not know their video's frame rate (captions, a public release), with the rate of
    the video file where that is there."""
    if clock.seconds() is not None or video.path is None:
        return clock
    rate = _rate_of(video.path)
    return clock if rate is None else replace(clock, rate=rate)


def timed(curves: Sequence[Curve], videos: Iterable[LabelledVideo]) -> list[Curve]:
    """Curves of a scores file, which knows frames alone, with the seconds of the video files where those are there."""
    paths = {video.name: video.path for video in videos}
    return [_timed(curve, paths.get(curve.video)) for curve in curves]


def _timed(curve: Curve, path: Path | None) -> Curve:
    rate = None if path is None or curve.times is not None else _rate_of(path)
    if rate is None:
        return curve
    return replace(curve, times=np.concatenate([[0], np.cumsum(curve.lengths)]) / float(rate))


def _rate_of(path: Path) -> Fraction | None:
    try:
        with VideoReader(path) as reader:
            return reader.info.rate
    except WsvadError:
        return None
