"""What each threshold of a detector does: false alarms in normal video, and known events that are found.

False alarms are counted in normal training video, by fits that had not seen it (see `detection.threshold`, whose bounds
the intervals are). Events are known in test videos with intervals, which the detector itself scored, and in training
videos with intervals, which such fits scored. An event is found if anything that is reported shares a moment with it.

What a higher threshold reports lies inside what a lower one does, so each known event has one highest threshold that
finds it. False alarms may become fewer as the threshold falls, when several merge into one; so the curve ends at the
median score of normal video, and where a threshold is chosen by their number, no higher one may have more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from wsvad.detection.threshold import SPREAD, Normal, one_timeline, rates
from wsvad.metrics.events import MARGIN, EventRules, spans, steps_of
from wsvad.runs.scorer import Mode

POINTS = 200
"""Thresholds of a curve, at the most about."""
COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SHARES = (0.5, 0.75, 0.9, 1.0)
"""Numbers of false alarms, and shares of known events, that a short table has a row for."""
HOURS_A_DAY = 24
ROUNDING = 1e-12
"""By which share a score and what is computed of it may differ and still count as equal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """A video in which it is known when something abnormal happens, as it was scored."""

    video: str
    """Name."""
    scores: np.ndarray
    """`(T,)`."""
    times: np.ndarray
    """`(T + 1,)` seconds at which snippets begin, and at which the last one ends."""
    events: Sequence[tuple[float, float]]
    """Seconds at which each event begins and ends."""
    split: str = "test"
    """`test`, or `train` for a video that was scored by a fit which had not seen it."""

    def found_up_to(self, rules: EventRules) -> list[float]:
        """Of each event the highest threshold that finds it; 0 for one that none finds."""
        scores = np.asarray(self.scores, np.float64)
        events_E2 = np.array(self.events, np.float64).reshape(-1, 2)
        found = np.zeros(len(events_E2))
        # Halved for all events together: a level is tried once, however many they are. What a level reports lies inside
        # what a lower one does, so only those stretches of a lower one, and their scores, are looked at.
        left = [(np.arange(len(found)), 0.0, scores.max() * 2, np.zeros(1, int), np.array([len(scores) - 1]))]
        while left:
            events, low, high, first, last = left.pop()  # `low` finds them, `high` does not
            _, those = self._finds(events_E2[events], first, last)
            first, last = first[those], last[those]
            within = _inside(first, last)
            levels = _levels(scores[within], rules.low)
            levels = levels[(levels > low) & (levels < high)]
            if not len(levels):
                found[events] = low
                continue
            middle = float(levels[len(levels) // 2])
            inside = spans(scores, self.times, middle, rules, within=within)
            finds, _ = self._finds(events_E2[events], *inside)
            if finds.any():
                left.append((events[finds], middle, high, *inside))
            if not finds.all():
                left.append((events[~finds], low, middle, first, last))
        return [float(one) for one in found]

    def _finds(self, events_E2: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which events share a moment with any stretch, `(E,)`, and which stretches do with any event, `(S,)`."""
        start, end = events_E2.T
        begins = np.searchsorted(self.times[last + 1], start, side="right")  # the first that ends after it begins
        over = np.searchsorted(self.times[first], end, side="left")  # the first that does not begin before it ends
        finds = begins < over
        steps = np.bincount(begins[finds], minlength=len(first) + 1) - np.bincount(
            over[finds], minlength=len(first) + 1
        )
        return finds, np.cumsum(steps[:-1]) > 0


def _levels(scores: np.ndarray, low: float) -> np.ndarray:
    """The thresholds above which other events are found, rising, a hair below each."""
    levels = np.unique(np.concatenate([scores, scores / low]))
    return levels[(levels > 0) & (levels <= scores.max(initial=0))] * (1 - ROUNDING)


def _inside(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The snippets of stretches, rising."""
    counts = last + 1 - first
    return np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What one threshold does."""

    threshold: float
    false_alarms: int | None
    """In all normal video; None where there is none."""
    per_hour: tuple[float, float, float] | None
    """False alarms an hour, and the 95 % interval of the detector's."""
    found: int | None
    """Known events that are found; None where none is known."""

    def as_dict(self) -> dict[str, Any]:
        """In plain values, with the rate an hour and a day."""
        rate = {
            f"per_{unit}": None if self.per_hour is None else [hours * one for one in self.per_hour]
            for unit, hours in (("hour", 1), ("day", HOURS_A_DAY))
        }
        return {"threshold": self.threshold, "false_alarms": self.false_alarms, **rate, "found": self.found}


@dataclass(frozen=True, kw_only=True)
class OperatingCurve:
    """What the thresholds of a detector do in one mode."""

    mode: Mode
    rules: EventRules
    normal: Sequence[Normal]
    """Each normal video, as `calibrate` takes it."""
    known: Sequence[Known] = ()
    fits: int = 1
    """How many fits scored the normal video."""
    in_all: float | None = None
    """Hours of normal training video, of which `normal` may be a part; None where it is all, or not known."""
    spread: float = SPREAD

    @cached_property
    def _line(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return one_timeline(self.normal, self.rules)

    @cached_property
    def hours(self) -> float:
        """Of normal video, as far as it was filmed."""
        return float(self._line[2].sum()) / 3600

    @cached_property
    def found_up_to(self) -> np.ndarray:
        """Of each known event the highest threshold that finds it, falling."""
        each = [threshold for video in self.known for threshold in video.found_up_to(self.rules)]
        return np.sort(np.array(each, np.float64))[::-1]

    @property
    def events(self) -> int:
        """How many events are known."""
        return len(self.found_up_to)

    def at(self, threshold: float) -> OperatingPoint:
        """What a threshold does."""
        alarms = rate = None
        if self.hours:
            scores, times, seconds = self._line
            alarms = len(spans(scores, times, threshold, self.rules, seconds)[0])
            rate = rates(alarms, self.hours, spread=self.spread)
        found = int((self.found_up_to * (1 + 2 * ROUNDING) >= threshold).sum()) if self.events else None
        return OperatingPoint(threshold=threshold, false_alarms=alarms, per_hour=rate, found=found)

    def finding(self, share: float) -> float | None:
        """The highest threshold that finds at least such a share of the known events; None where none does.

        It lies a hair below the score in question: scores of a video differ a little from one machine to another.
        """
        wanted = max(1, math.ceil(share * self.events - 1e-9))
        if wanted > self.events or not (reached := float(self.found_up_to[wanted - 1])):
            return None
        return max(reached - MARGIN, reached / 2)

    @cached_property
    def points(self) -> list[OperatingPoint]:
        """The curve, the highest threshold first. Thresholds are rounded, so that what is printed is what was tried."""
        steps = np.zeros(0)
        if self.hours:
            scores, _, seconds = self._line
            steps = steps_of(scores, seconds, self.rules)[::-1]
        # More of them where few alarms are: there the choice is.
        places = np.unique(np.geomspace(1, max(len(steps), 1), POINTS).astype(int)) - 1
        found = np.unique(self.found_up_to[self.found_up_to > 0])
        few = found[np.linspace(0, len(found) - 1, min(len(found), POINTS // 4)).astype(int)] if len(found) else found
        raised = [_rounded(step, up=True) for step in steps[places[: len(steps)]]]
        lowered = [_rounded(step, up=False) for step in few]
        levels = sorted({level for level in (*raised, *lowered) if level > 0}, reverse=True)
        return [self.at(level) for level in levels]

    def rows(self, current: float) -> list[OperatingPoint]:
        """A few points for a table, and what the current threshold does."""
        chosen = {current: self.at(current)}
        points = self.points
        most = np.maximum.accumulate([point.false_alarms or 0 for point in points] or [0])
        for count in COUNTS if self.hours else ():
            within = [point for point, alarms in zip(points, most, strict=False) if alarms <= count]
            chosen |= {point.threshold: point for point in within[-1:]}
        for share in SHARES if self.events else ():
            enough = [point for point in points if (point.found or 0) >= share * self.events - 1e-9]
            chosen |= {point.threshold: point for point in enough[:1]}
        # Of thresholds that do the same here one is enough: the current, else the lowest.
        same: dict[tuple[int | None, int | None], OperatingPoint] = {}
        for level in [current, *sorted(chosen)]:
            same.setdefault((chosen[level].false_alarms, chosen[level].found), chosen[level])
        return sorted(same.values(), key=lambda point: -point.threshold)


def digits_of(level: float) -> int:
    """How many decimals a threshold is written with: three digits of its distance to 0 or to 1, whichever is nearer,
    for scores gather at both ends."""
    near = min(level, abs(1 - level)) or 1.0
    return min(6, max(3, 2 - math.floor(math.log10(near))))


def in_figures(level: float) -> str:
    """ "0.8", "0.834", "0.99998"."""
    return f"{round(level, digits_of(level)):.6g}"


def _rounded(level: float, *, up: bool) -> float:
    digits = digits_of(level)
    scaled = (level + MARGIN if up else level - MARGIN) * 10**digits
    return round((math.ceil(scaled) if up else math.floor(scaled)) / 10**digits, digits)
