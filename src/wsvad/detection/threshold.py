"""A threshold from a false-alarm budget: how many events an hour of normal video may a person be shown for nothing?

Events that the detector finds in held-out normal video are false alarms, all of them. If they come independently at a
rate λ an hour, their number in `hours` is Poisson, and after n of them λ is at most U(n) / hours with the confidence
asked for, where U is the exact one-sided bound of Garwood (1936): P(N ≤ n | U) = 1 − confidence. With none at all
U = −ln(1 − confidence), which is 3.0 at 95 %: the "rule of three".

The threshold is the lowest at which that bound is within the budget *and at every higher threshold as well*. The second
half matters, because the number of events does not fall steadily as the threshold rises: far down, everything merges
into one long event, and one event is a small number. Going down from the top and stopping at the first threshold that
breaks the budget is also what keeps the promise honest after looking at many thresholds (fixed-sequence testing). For
the same reason the threshold is never at or below the median score of normal video, where one alarm that never ends
would count as one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsvad.detection.events import EventRules, spans
from wsvad.errors import UsageError, WsvadError

MARGIN = 1e-5
"""How far above the last score that breaks the budget the threshold lies: scores of the same frames differ by no more
between a live camera and its recording."""

EVERY = 1000
"""How many thresholds are tried one by one; further down, steps of one in a thousand of the way so far are enough."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold and what can be promised of it. `dataclasses.asdict` makes JSON of it."""

    threshold: float
    """Score at or above which an event opens. Above 1 where normal video already scores 1: nothing is reported then."""
    false_alarms: int
    """Events that it finds in the held-out normal video."""
    hours: float
    """Length of that video."""
    upper_bound_per_hour: float
    """False alarms an hour that are not exceeded, with the confidence below."""
    budget_per_hour: float
    """False alarms an hour that were allowed."""
    confidence: float
    """Chance that the bound holds."""
    promised: bool
    """Whether the bound is within the budget; False where there is too little normal video to tell."""
    sentence: str
    """All this for a reader."""


def calibrate(
    normal: Sequence[tuple[np.ndarray, np.ndarray]],
    rules: EventRules,
    max_false_alarms_per_hour: float,
    confidence: float = 0.95,
) -> Calibration:
    """Choose a threshold on held-out normal video.

    With too little normal video to promise the budget even if it had no false alarm at all, the threshold is the lowest
    that has none, and `promised` is False.

    Args:
        normal: for each video its scores `(T,)` and the times `(T + 1,)`, in seconds, at which its snippets begin and
            at which the last one ends. Normal video that the detector has not learnt from.
        rules: what makes an event.
        max_false_alarms_per_hour: the budget, above 0.
        confidence: chance that the promise holds, in [0.5, 1).

    Raises:
        UsageError: the budget or the confidence is out of range.
        WsvadError: there is no normal video, or a score is NaN.
    """
    if not (0 < max_false_alarms_per_hour < math.inf and 0.5 <= confidence < 1):
        raise UsageError("the false alarms an hour have to be above 0, and the confidence from 0.5 to below 1")
    scores, times, seconds = _one_timeline(normal, rules)
    hours = float(seconds.sum()) / 3600
    if not hours:
        raise WsvadError("there is no held-out normal video to find a threshold on; add some, or choose the threshold")

    allowed = allowed_events(max_false_alarms_per_hour * hours, confidence)
    threshold, found = _lowest(scores, times, seconds, rules, max(allowed, 0))
    bound = upper_bound(found, confidence) / hours
    return Calibration(
        threshold=threshold,
        false_alarms=found,
        hours=hours,
        upper_bound_per_hour=bound,
        budget_per_hour=max_false_alarms_per_hour,
        confidence=confidence,
        promised=allowed >= 0,
        sentence=_sentence(threshold, found, hours, bound, max_false_alarms_per_hour, confidence, allowed >= 0),
    )


UNPROMISED = (0.5, 0.95)
"""Where the threshold lies while nothing can be promised: a few minutes of normal video are no reason to report every
score above theirs, nor to report nothing because one of theirs is high."""


def usable(calibration: Calibration, normal: Sequence[tuple[np.ndarray, np.ndarray]], rules: EventRules) -> Calibration:
    """The calibration itself if it holds a promise; else with its threshold brought into `UNPROMISED`, and what that
    threshold does on the same normal video."""
    if calibration.promised:
        return calibration
    scores, times, _ = _one_timeline(normal, rules)
    threshold = float(np.clip(calibration.threshold, *UNPROMISED))
    found = len(spans(scores, times, threshold, rules)[0])
    bound = upper_bound(found, calibration.confidence) / calibration.hours
    told = calibration.hours, bound, calibration.budget_per_hour, calibration.confidence
    return replace(
        calibration,
        threshold=threshold,
        false_alarms=found,
        upper_bound_per_hour=bound,
        sentence=f"{_sentence(threshold, found, *told, promised=False)}; until then the threshold is {threshold:.2f}",
    )


def _one_timeline(
    normal: Sequence[tuple[np.ndarray, np.ndarray]], rules: EventRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All videos one after the other, kept apart by a pause that belongs to no event and is too long to merge over.

    Returns scores, times, and each snippet's seconds of video (0 for a pause).
    """
    scores, lengths, seconds = [], [], []
    for scores_T, times in normal:
        snippet_seconds = np.diff(np.asarray(times, np.float64))
        scores += [np.asarray(scores_T, np.float64), [-np.inf]]
        lengths += [snippet_seconds, [rules.merge_seconds + 1]]
        seconds += [snippet_seconds, [0.0]]
    score = np.concatenate([[], *scores])
    if np.isnan(score).any():
        raise WsvadError("a normal video has scores that are not numbers (NaN); score it again")
    return score, np.concatenate([[0.0], np.cumsum(np.concatenate([[], *lengths]))]), np.concatenate([[], *seconds])


def _lowest(
    scores: np.ndarray, times: np.ndarray, seconds: np.ndarray, rules: EventRules, allowed: int
) -> tuple[float, int]:
    """The lowest threshold such that it and all higher ones find at most `allowed` events, and how many it finds."""
    filmed = seconds > 0
    distinct, snippet = np.unique(scores[filmed], return_inverse=True)
    at_or_above = np.cumsum(np.bincount(snippet, weights=seconds[filmed])[::-1])[::-1]
    floor = distinct[np.flatnonzero(at_or_above > at_or_above[0] / 2)[-1]]

    # Between two neighbouring steps the threshold passes no score, nor does its lower companion: the same events.
    steps = np.unique(np.concatenate([distinct, distinct / rules.low]))
    steps = steps[(steps >= floor) & (steps <= distinct[-1])]
    thresholds = np.minimum(steps + MARGIN, np.append((steps[1:] + steps[:-1]) / 2, np.inf))[::-1]

    lowest, found, rank = thresholds[0], 0, 1
    while rank < thresholds.size:
        count = len(spans(scores, times, thresholds[rank], rules)[0])
        if count > allowed:
            break
        lowest, found = thresholds[rank], count
        rank += 1 + rank // EVERY
    return float(lowest), found


def upper_bound(events: int, confidence: float) -> float:
    """Garwood's exact one-sided upper bound of a Poisson mean: the μ with P(N ≤ events | μ) = 1 − confidence."""
    low, high = 0.0, 2.0 * events + 10
    while _at_most(events, high) > 1 - confidence:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _at_most(events, middle) > 1 - confidence else (low, middle)
    return high


def allowed_events(mean: float, confidence: float) -> int:
    """The largest number of events whose upper bound is still within `mean`; −1 if even that of none is above it."""
    events, at_most = -1, _chance(0, mean)
    while at_most <= 1 - confidence:
        events += 1
        at_most += _chance(events + 1, mean)
    return events


def _at_most(events: int, mean: float) -> float:
    """P(N ≤ events) of a Poisson number of that mean."""
    return math.fsum(_chance(k, mean) for k in range(events + 1))


def _chance(events: int, mean: float) -> float:
    return math.exp(events * math.log(mean) - mean - math.lgamma(events + 1))


def _sentence(
    threshold: float, found: int, hours: float, bound: float, budget: float, confidence: float, promised: bool
) -> str:
    if promised:
        alarms = {0: "no false alarm", 1: "1 false alarm"}.get(found, f"{found} false alarms")
        text = (
            f"{alarms} in {_short(hours)} h of normal video: fewer than {_short(bound)}/h with {confidence:.0%} "
            f"confidence, within the {_short(budget)}/h allowed"
        )
    else:
        missing = upper_bound(0, confidence) / budget - hours
        text = (
            f"{_short(hours)} h of normal video can only promise < {_short(bound)}/h; "
            f"{_short(missing)} h more are needed for {_short(budget)}/h"
        )
    if threshold > 1:
        text += "; normal video already scores 1, so no event will ever be reported"
    return text


def _short(number: float) -> str:
    return f"{number:.2g}" if number < 9.95 else f"{number:.0f}"
