"""What alerts are worth: true events that are found, false alarms an hour, how late, and F1 of events.

An *alert* is an event under the rules of `metrics.events` at one threshold; it *goes out* at the end of the first
snippet at which it is known to be one (`alerts` there): the threshold is reached, and what lasts has lasted for the
shortest length. A *true event* is an annotated interval. Only videos whose truth is known are counted.

    events found       share of true events that an alert overlaps by any time. With the next figure this is the pair
                       that NIST evaluates surveillance by: missed detections against false alarms an hour (TRECVID
                       Surveillance Event Detection, Rose et al. 2009).
    false alarms       alerts in normal videos, an hour of what was filmed of them. Alerts in abnormal videos that
                       overlap nothing count in F1 alone.
    onset delay        median over the events found, from the beginning of the first true frame until the first alert
                       that overlaps the event goes out; 0 where it is out already (what Shou et al. 2018, online
                       detection of action start, measure as latency). An event that is not found has no delay.
    event F1           2·TP / (alerts + true events), as F1@10 of Lea et al. 2017: an alert belongs to the true event
                       with which its IoU, in seconds, is highest, if that is at least 0.1; each true event counts once.
                       Further alerts of the same event are wrong, and so are alerts in normal videos.
    AP at onset        frame average precision where only the first tenth of each true event is positive, and the rest
                       of the event is left out (De Geest et al. 2016, online action detection, the first of ten
                       portions). It needs no threshold (`onsets`).

In scores of whole videos, delays are those that there would be if scores came as the video went on.

Everything is counted by video, so that a resample of videos (`metrics.bootstrap`) is a product with how often it has
each. Shapes: V videos, N snippets of all videos and the pauses between them, E true events, R resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules, alerts, ends_of, lowest_threshold, steps_of

MATCH = 0.1
"""IoU from which on an alert belongs to a true event, for F1."""
PORTION = 10
"""The part of a true event that `onsets` takes is the first of so many."""
LEVELS = 100
"""Thresholds of a curve, at the most about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Watched:
    """A video as it was scored, and the truth."""

    scores: np.ndarray
    """`(T,)`."""
    times: np.ndarray
    """`(T + 1,)` seconds at which snippets begin, and at which the last one ends."""
    seconds: np.ndarray
    """`(T,)` seconds of video in each snippet."""
    events: Sequence[tuple[float, float]]
    """Seconds at which each true event begins and ends."""
    normal: bool
    """Whether it is a normal video: every alert is a false alarm, and its hours count."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """What one threshold does, video by video."""

    alerts: np.ndarray
    """`(V,)`."""
    found: np.ndarray
    """`(V,)` true events that an alert overlaps."""
    matched: np.ndarray
    """`(V,)` true events to which an alert belongs."""
    delays: np.ndarray
    """`(E,)` seconds until the alert; NaN for an event that is not found."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A threshold on the curve of events found against false alarms."""

    threshold: float
    false_alarms_per_hour: float
    events_found: float


class Footage:
    """Videos one after the other, on which any threshold is counted at once."""

    def __init__(self, videos: Sequence[Watched], rules: EventRules):
        """
        Raises:
            WsvadError: there is no video, or a score is NaN.
        """
        if not videos:
            raise WsvadError("there is no video whose truth is known, so alerts cannot be counted; add intervals.csv")
        self.rules = rules
        self.normal = np.array([video.normal for video in videos])
        scores, times, seconds, events = (list[np.ndarray]() for _ in range(4))
        begun = 0.0
        for video in videos:
            own = begun + (np.asarray(video.times, np.float64) - video.times[0])
            events.append(begun + (np.array(video.events, np.float64).reshape(-1, 2) - video.times[0]))
            begun = float(own[-1]) + rules.merge_seconds + 1  # a pause, too long to merge over
            scores += [np.asarray(video.scores, np.float64), np.array([-np.inf])]
            times += [own[1:], np.array([begun])]
            seconds += [np.asarray(video.seconds, np.float64), np.zeros(1)]
        self.scores, self.seconds = np.concatenate(scores), np.concatenate(seconds)
        self.times = np.concatenate([np.zeros(1), *times])
        if np.isnan(self.scores).any():
            raise WsvadError("a video has scores that are not numbers (NaN); score it again")
        self.ends = ends_of(self.times, self.seconds)
        self.events = np.concatenate(events)
        snippets = [len(video.scores) + 1 for video in videos]
        self.video = np.repeat(np.arange(len(videos)), snippets)
        self.video_of_event = np.repeat(np.arange(len(videos)), [len(video.events) for video in videos])
        self.hours = np.bincount(self.video, self.seconds, len(videos)) / 3600 * self.normal
        self.true = np.bincount(self.video_of_event, minlength=len(videos))

    def at(self, threshold: float) -> Counts:
        """What a threshold does."""
        first, last, out = alerts(self.scores, self.times, threshold, self.rules, self.seconds)
        begun, over, sent = self.times[first], self.ends[last], self.ends[out]
        start, end = self.events.T
        # Alerts lie one behind the other, so that those which overlap an event are a run of them.
        low, high = np.searchsorted(over, start, side="right"), np.searchsorted(begun, end, side="left")
        found = high > low
        delays = np.full(len(start), math.nan)
        delays[found] = np.maximum(sent[low[found]] - start[found], 0)
        event, alert = _pairs(low, high)
        both = np.minimum(over[alert], end[event]) - np.maximum(begun[alert], start[event])
        share = both / (over[alert] - begun[alert] + end[event] - start[event] - both)
        return Counts(
            alerts=np.bincount(self.video[first], minlength=len(self.normal)),
            found=self._by_video(found),
            matched=self._by_video(_belong(event, alert, share, len(start))),
            delays=delays,
        )

    def figures(self, counts: Counts, times_RV: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Each figure of each resample, `(R,)`, NaN where it is not defined; without resamples of all videos once,
        `(1,)`. Share, alarms an hour, seconds, share."""
        times_RV = np.ones((1, len(self.normal))) if times_RV is None else times_RV.astype(np.float64)
        true = times_RV @ self.true
        return {
            "events_found": _ratio(times_RV @ counts.found, true),
            "false_alarms_per_hour": _ratio(times_RV @ (counts.alerts * self.normal), times_RV @ self.hours),
            "onset_delay": self._median_delay(counts.delays, times_RV),
            "event_f1": _ratio(2 * (times_RV @ counts.matched), np.where(true, times_RV @ counts.alerts + true, 0)),
        }

    @cached_property
    def curve(self) -> list[Point]:
        """Events found against false alarms an hour, the highest threshold first, down to the median score of normal
        video, below which alarms become fewer because they merge; empty without normal video or true events."""
        if not self.hours.any() or not len(self.events):
            return []
        scores, _, seconds = self._quiet
        floor = steps_of(scores, seconds, self.rules)[0]
        steps = np.unique(np.concatenate([self.scores, self.scores / self.rules.low]))
        steps = steps[(steps >= floor) & (steps <= self.scores.max())][::-1]
        ranks = np.unique(np.geomspace(1, len(steps), min(LEVELS, len(steps))).astype(int)) - 1
        return [self._point(float(steps[rank])) for rank in ranks]

    def threshold_for(self, false_alarms_per_hour: float) -> float | None:
        """The lowest threshold such that it and all higher ones have at most so many false alarms an hour in the normal
        videos; None without any. It has seen the truth."""
        if not self.hours.any():
            return None
        scores, times, seconds = self._quiet
        allowed = math.floor(false_alarms_per_hour * float(self.hours.sum()) + 1e-9)
        return lowest_threshold(scores, times, seconds, self.rules, allowed)[0]

    # ------------------------------------------------------------------------------------------------------ inside

    @cached_property
    def _quiet(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores, times and seconds of the normal videos alone, one after the other."""
        there = self.normal[self.video]
        lasting = np.diff(self.times)[there]
        return self.scores[there], np.concatenate([[0.0], np.cumsum(lasting)]), self.seconds[there]

    def _point(self, threshold: float) -> Point:
        figures = self.figures(self.at(threshold))
        return Point(
            threshold=threshold,
            false_alarms_per_hour=float(figures["false_alarms_per_hour"][0]),
            events_found=float(figures["events_found"][0]),
        )

    def _by_video(self, events: np.ndarray) -> np.ndarray:
        return np.bincount(self.video_of_event[events], minlength=len(self.normal))

    def _median_delay(self, delays: np.ndarray, times_RV: np.ndarray) -> np.ndarray:
        """The median of the delays, each as often as its video is there."""
        known = np.flatnonzero(~np.isnan(delays))
        order = known[np.argsort(delays[known])]
        if not len(order):
            return np.full(len(times_RV), math.nan)
        up_to_RE = np.cumsum(times_RV[:, self.video_of_event[order]], axis=1)
        total_R = up_to_RE[:, -1]
        low, high = ((up_to_RE <= half[:, None]).sum(1) for half in ((total_R - 1) // 2, total_R // 2))
        most = len(order) - 1
        middle = (delays[order][np.minimum(low, most)] + delays[order][np.minimum(high, most)]) / 2
        return np.where(total_R > 0, middle, math.nan)


def onsets(events: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first tenth of each event, of frames `[start, end)`; a frame at the least."""
    return [(start, start + max(1, -(-(end - start) // PORTION))) for start, end in events]


def _pairs(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Event and alert of each pair that overlaps, of events with the alerts `[low, high)`."""
    count = np.maximum(high - low, 0)
    event = np.repeat(np.arange(len(low)), count)
    within = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
    return event, low[event] + within


def _belong(event: np.ndarray, alert: np.ndarray, share: np.ndarray, events: int) -> np.ndarray:
    """Which events have an alert that belongs to them, `(E,)`: of equal shares an alert takes the earlier event."""
    order = np.lexsort((event, -share, alert))
    best = order[np.append(True, alert[order][1:] != alert[order][:-1])] if len(order) else order
    best = best[share[best] >= MATCH]
    return np.bincount(event[best], minlength=events) > 0


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), math.nan), where=below > 0)
