"""Events: the stretches of a score curve that are worth a person's attention.

An event opens where a score reaches the threshold and reaches both ways for as long as scores stay at or above a lower
one (hysteresis: a curve that trembles around one threshold would open and close all the time). Events with a gap
shorter than the merge gap become one; then those that are too short are dropped. Where nothing was filmed for as long,
as by a recorder that films when something moves, an event ends, and what follows is another one.

These rules are monotone: what a higher threshold calls an event lies inside what a lower one does. The *number* of
events is not, since one event may split into two as the threshold rises.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from wsvad.ranges import Range, check_fields

CLOCK = 1e-6
"""Seconds by which two durations may differ and still count as equal (sums of snippet durations are rounded)."""
LEAP = 1.0
"""Seconds without video in a snippet that are no rounding; the gaps of recorders are longer (`video.times.GAP`)."""
MARGIN = 1e-5
"""How far above the last score that breaks a budget the threshold lies: scores of the same frames differ by no more
between a live camera and its recording."""
EVERY = 1000
"""How many thresholds are tried one by one; further down, steps of one in a thousand of the way so far are enough."""
Duration = Annotated[float, Range(0, 86_400)]
"""Seconds, a day at most: a rule that nothing ever meets would report nothing, without a word."""


@dataclass(frozen=True, kw_only=True)
class Rarity:
    """How often normal video reaches a score, counted as events."""

    words: str
    """ "once in 40 min of normal video", "never in 3 h of normal video"."""
    events: int
    """How many in all that normal video."""
    hours: float
    """Of normal video."""
    per_hour: tuple[float, float, float]
    """How many an hour, and between which two numbers it lies with 95 % confidence."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a video. `dataclasses.asdict` makes JSON of it."""

    start_frame: int
    """Its first frame."""
    end_frame: int
    """The frame after its last."""
    start: float
    """Seconds from the video's beginning to the start of its first frame."""
    end: float
    """Seconds to the end of its last frame."""
    peak: float
    """Its highest score."""
    peak_time: float
    """Seconds to the middle of the (first) snippet with that score: the picture to look at."""
    rarity: Rarity | None = None
    """How rare such a peak is in normal video; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class EventRules:
    """What makes an event of scores, besides the threshold. The defaults suit surveillance: a person has to look at
    each event, so one incident should be one event."""

    low: Annotated[float, Range(0, 1, above=True)] = 0.7
    """An event lasts while scores stay at or above this share of the threshold, in (0, 1]; 1 turns hysteresis off."""
    min_seconds: Duration = 1.0
    """Events shorter than this are dropped. At 16 frames a snippet and 30 frames a second, two snippets."""
    merge_seconds: Duration = 3.0
    """Events with a gap shorter than this between them are one."""

    def __post_init__(self) -> None:
        check_fields(self)


def find_events(
    scores_T: np.ndarray,
    times: np.ndarray,
    frame_edges: np.ndarray,
    *,
    threshold: float,
    rules: EventRules,
    filmed: np.ndarray | None = None,
) -> list[Event]:
    """Events of one video, in order of time; they neither overlap nor touch.

    Args:
        scores_T: `(T,)` scores in [0, 1].
        times: `(T + 1,)` seconds at which the snippets begin, and at which the last one ends.
        frame_edges: `(T + 1,)` the same in frames.
        threshold: score at or above which an event opens.
        rules: hysteresis, merge gap, shortest event.
        filmed: `(T,)` seconds of video in each snippet; None where all of their time was filmed.
    """
    events, ends = [], ends_of(times, filmed)
    for first, last in zip(*spans(scores_T, times, threshold, rules, filmed), strict=True):
        peak = first + int(np.argmax(scores_T[first : last + 1]))
        events.append(
            Event(
                start_frame=int(frame_edges[first]),
                end_frame=int(frame_edges[last + 1]),
                start=float(times[first]),
                end=float(ends[last]),
                peak=float(scores_T[peak]),
                peak_time=float(times[peak] + ends[peak]) / 2,
            )
        )
    return events


def ends_of(times: np.ndarray, filmed: np.ndarray | None = None) -> np.ndarray:
    """`(T,)` seconds at which each snippet ends: where the next one begins, but before a gap in which nothing was
    filmed. Where in its snippet a gap is, the clock does not say; so the snippet is taken to lie before it."""
    if filmed is None:
        return times[1:]
    return np.where(np.diff(times) - filmed > LEAP, times[:-1] + filmed, times[1:])


def spans(
    scores_T: np.ndarray,
    times: np.ndarray,
    threshold: float,
    rules: EventRules,
    filmed: np.ndarray | None = None,
    within: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """First and last snippet of each event, `(E,)` each. Other arguments as in `find_events`.

    Args:
        within: rising numbers of the snippets that may be part of an event, as when those of a lower threshold are
            known; None for all.
    """
    ends = ends_of(times, filmed)
    scores, pauses = np.asarray(scores_T, np.float64), filmed is not None
    first, last = _pieces(scores, times, ends, threshold, rules, pauses=pauses, within=within)
    if not first.size:
        return first, last
    first, last, _ = _joined(first, last, times, ends, rules)
    long = ends[last] - times[first] >= rules.min_seconds - CLOCK
    return first[long], last[long]


def alerts(
    scores_T: np.ndarray, times: np.ndarray, threshold: float, rules: EventRules, filmed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last snippet of each event, and the one at whose end its alert goes out, `(E,)` each.

    That is the first at whose end it is known that this is an event: a score has reached the threshold, and what lasts
    has lasted for the shortest length. An alert needs no score from later. Arguments as in `find_events`.
    """
    scores, ends = np.asarray(scores_T, np.float64), ends_of(times, filmed)
    first, last = _pieces(scores, times, ends, threshold, rules, pauses=filmed is not None)
    if not first.size:
        return first, last, last
    reached = np.flatnonzero(scores >= threshold)
    opened = reached[np.searchsorted(reached, first)]
    begun, over, starts = _joined(first, last, times, ends, rules)
    long_enough = np.searchsorted(ends, times[begun] + rules.min_seconds - CLOCK)
    event = np.cumsum(starts) - 1  # of each piece
    known = np.maximum(opened, long_enough[event])
    known[known > last] = len(scores)  # not while this piece lasts
    out = np.minimum(np.minimum.reduceat(known, np.flatnonzero(starts)), over)
    long = ends[over] - times[begun] >= rules.min_seconds - CLOCK
    return begun[long], over[long], out[long]


def _pieces(
    scores: np.ndarray,
    times: np.ndarray,
    ends: np.ndarray,
    threshold: float,
    rules: EventRules,
    *,
    pauses: bool,
    within: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """First and last snippet of each stretch that stays at or above the lower threshold and reaches the upper one."""
    low = rules.low * threshold
    kept = np.flatnonzero(scores >= low) if within is None else within[scores[within] >= low]
    if not kept.size:
        return kept, kept
    broken = np.diff(kept) > 1
    if pauses:  # between neighbours; others are apart anyway
        paused = times[1:-1] - ends[:-1] >= max(rules.merge_seconds - CLOCK, LEAP)
        broken |= paused[kept[:-1]]
    begins = np.append(0, np.flatnonzero(broken) + 1)
    first, last = kept[begins], kept[np.append(begins[1:] - 1, -1)]
    opens = np.maximum.reduceat(scores[kept], begins) >= threshold
    return first[opens], last[opens]


def _joined(
    first: np.ndarray, last: np.ndarray, times: np.ndarray, ends: np.ndarray, rules: EventRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stretches with a short gap between them as one: first and last snippets, and which stretches begin one."""
    apart = times[first[1:]] - ends[last[:-1]] >= rules.merge_seconds - CLOCK
    starts = np.append(True, apart)
    return first[starts], last[np.append(apart, True)], starts


# ------------------------------------------------------------------------------------------------- many thresholds


def steps_of(scores: np.ndarray, seconds: np.ndarray, rules: EventRules) -> np.ndarray:
    """The thresholds above which other events are found, rising, from the median score of normal video on: between two
    neighbours the threshold passes no score, nor does its lower companion.

    Args:
        scores: `(T,)` of normal video.
        seconds: `(T,)` of video in each snippet; what has none is a pause.
    """
    filmed = seconds > 0
    distinct, snippet = np.unique(scores[filmed], return_inverse=True)
    at_or_above = np.cumsum(np.bincount(snippet, weights=seconds[filmed])[::-1])[::-1]
    floor = distinct[np.flatnonzero(at_or_above > at_or_above[0] / 2)[-1]]
    steps = np.unique(np.concatenate([distinct, distinct / rules.low]))
    return steps[(steps >= floor) & (steps <= distinct[-1])]


def lowest_threshold(
    scores: np.ndarray, times: np.ndarray, seconds: np.ndarray, rules: EventRules, allowed: int
) -> tuple[float, int]:
    """The lowest threshold such that it and all higher ones find at most `allowed` events, and how many it finds."""
    steps = steps_of(scores, seconds, rules)
    thresholds = np.minimum(steps + MARGIN, np.append((steps[1:] + steps[:-1]) / 2, np.inf))[::-1]

    lowest, found, rank = thresholds[0], 0, 1
    while rank < thresholds.size:
        count = len(spans(scores, times, thresholds[rank], rules, seconds)[0])
        if count > allowed:
            break
        lowest, found = thresholds[rank], count
        rank += 1 + rank // EVERY
    return float(lowest), found
