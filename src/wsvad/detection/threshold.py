"""A threshold from a false-alarm budget: how many false alarms an hour of normal video are acceptable?

Events that the detector finds in held-out normal video are false alarms, all of them. If they come independently at a
rate λ an hour, their number in `hours` is Poisson, and after n of them λ is at most U(n) / hours with the confidence
asked for, where U is the exact one-sided bound of Garwood (1936): P(N ≤ n | U) = 1 − confidence. With none at all
U = −ln(1 − confidence), which is 3.0 at 95 %: the "rule of three".

That holds for weights that scored the video themselves and alarms that are independent. Neither is so here. A detector
that has learnt from all training videos has seen the normal ones, so they are scored by other fits, each of which left
out what it scores (cross-fitting: `datasets.division.folds`), and fits differ: where the detector has λ false alarms an
hour at a threshold, they have λG, G of mean 1 and standard deviation `SPREAD`. And alarms come in clusters, above all
online, where windows overlap. With a gamma-distributed G their number in `hours` is negative binomial, of mean λ·hours
and variance λ·hours + (SPREAD·λ·hours)², and U is the bound for that law: with none at all 3.4 instead of 3.0.

A mode has its own threshold: the same network scores otherwise when it sees the last W snippets alone. What is given
here has to be scored in the mode that the promise is for, `online` on a running camera (`runs.online.
score_running`): in the first windows of a short clip, which a camera never sees again, scores are high for nothing.

The threshold is the lowest at which the bound is within the budget *and at every higher threshold as well*. The second
half matters, because the number of events does not fall steadily as the threshold rises: far down, everything merges
into one long event, and one event is a small number. Going down from the top and stopping at the first threshold that
breaks the budget is also what keeps the promise honest after looking at many thresholds (fixed-sequence testing): the
number of events that are allowed follows from hours and budget alone, and the promise is the bound of that number, not
of the events that happen to be found. For the same reason the threshold is never at or below the median score of normal
video, where one alarm that never ends would count as one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

import numpy as np

from wsvad.errors import UsageError, WsvadError
from wsvad.metrics.events import EventRules, lowest_threshold, spans
from wsvad.ranges import NotNegative, Positive, Range, Share, Whole
from wsvad.runs.scorer import Mode
from wsvad.video.clock import filmed

SPREAD = 0.3
"""Standard deviation, as a share of the mean, of the false alarms an hour of fits that differ in a fold of the training
videos. On the simulated camera it is 0.1 to 0.3; `benchmarks/results/promise.md` says whether promises are kept.
"""

Normal = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, np.ndarray]
"""A normal video, see `calibrate`."""

WORDS: dict[Mode, str] = {"whole": "whole-video mode", "online": "online mode on a running camera"}

MOST = 100_000
"""False alarms in all normal video that a budget is counted to: more of them are no budget."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold and what can be promised of it. `dataclasses.asdict` makes JSON of it."""

    threshold: Annotated[float, Range(0, 1.001, above=True)]
    """Score at or above which an event opens. Above 1 where normal video already scores 1: nothing is reported then."""
    false_alarms: Whole
    """Events that it finds in the held-out normal video."""
    hours: Positive
    """Length of the held-out normal video, as far as it was filmed."""
    upper_bound_per_hour: NotNegative
    """False alarms an hour that are not exceeded, with the confidence below. A promise is the bound of as many events
    as were allowed before looking; without one, that of the events that were found."""
    budget_per_hour: Positive
    """False alarms an hour that were allowed."""
    confidence: Share
    """Chance that the bound holds."""
    promised: bool
    """Whether the bound is within the budget; False where there is too little normal video to tell."""
    mode: Mode
    """The mode of scoring that all this holds for."""
    fits: Whole
    """How many fits scored the video, none of which had seen what it scored; 0: the detector itself."""
    spread: NotNegative
    """By how much false alarms an hour were taken to differ beyond chance."""
    sentence: str
    """All this for a reader."""


def calibrate(
    normal: Sequence[Normal],
    rules: EventRules,
    max_false_alarms_per_hour: float,
    confidence: float = 0.95,
    *,
    mode: Mode = "whole",
    fits: int = 1,
    spread: float = SPREAD,
    in_all: float | None = None,
) -> Calibration:
    """Choose a threshold on held-out normal video.

    With too little normal video to promise the budget even if it had no false alarm at all, the threshold is the lowest
    that has none, and `promised` is False.

    Args:
        normal: for each video its scores `(T,)` and the times `(T + 1,)`, in seconds, at which its snippets begin and
            at which the last one ends; scored in the mode below by a fit that has not learnt from it. A third array
            `(T,)`, where there is one, has the seconds that were filmed of each snippet.
        rules: what makes an event.
        max_false_alarms_per_hour: the budget, above 0.
        confidence: chance that the promise holds, in [0.5, 1).
        mode: how the video was scored, and how the detector will score.
        fits: by how many fits, other than the detector; the scores of all are pooled. 0: by the detector itself, which
            then has to be one that never saw the video.
        spread: by how much the false alarms an hour differ beyond chance between what scored the video and the detector
            at work; 0 is the exact bound for a Poisson number.
        in_all: hours of normal training video, of which `normal` may be a part; by default it is all.

    Raises:
        UsageError: the budget or the confidence is out of range.
        WsvadError: there is no normal video, or a score is NaN.
    """
    if not (0 < max_false_alarms_per_hour < math.inf and 0.5 <= confidence < 1):
        raise UsageError("the false alarms an hour have to be above 0, and the confidence from 0.5 to below 1")
    scores, times, seconds = one_timeline(normal, rules)
    hours = float(seconds.sum()) / 3600
    if not hours:
        raise WsvadError("there is no held-out normal video to find a threshold on; add some, or choose the threshold")

    allowed = allowed_events(max_false_alarms_per_hour * hours, confidence, spread)
    threshold, found = lowest_threshold(scores, times, seconds, rules, max(allowed, 0))
    return _told(
        Calibration(
            threshold=threshold,
            false_alarms=found,
            hours=hours,
            upper_bound_per_hour=upper_bound(max(allowed, 0), confidence, spread) / hours,
            budget_per_hour=max_false_alarms_per_hour,
            confidence=confidence,
            promised=allowed >= 0,
            mode=mode,
            fits=fits,
            spread=spread,
            sentence="",
        ),
        in_all,
    )


def hours_needed(max_false_alarms_per_hour: float, confidence: float = 0.95, spread: float = SPREAD) -> float:
    """Hours of held-out normal video, without any alarm, that it takes to promise a budget. With fewer there is no need
    to fit for it: nothing can be promised."""
    return upper_bound(0, confidence, spread) / max_false_alarms_per_hour


UNPROMISED = (0.5, 0.95)
"""Where the threshold lies while nothing can be promised: a few minutes of normal video are no reason to report every
score above theirs, nor to report nothing because one of theirs is high."""


def usable(
    calibration: Calibration, normal: Sequence[Normal], rules: EventRules, in_all: float | None = None
) -> Calibration:
    """The calibration itself if it holds a promise; else with its threshold brought into `UNPROMISED`, and what that
    threshold does on the same normal video. Arguments as in `calibrate`."""
    if calibration.promised:
        return calibration
    scores, times, seconds = one_timeline(normal, rules)
    threshold = float(np.clip(calibration.threshold, *UNPROMISED))
    found = len(spans(scores, times, threshold, rules, seconds)[0])
    bound = upper_bound(found, calibration.confidence, calibration.spread) / calibration.hours
    return _told(replace(calibration, threshold=threshold, false_alarms=found, upper_bound_per_hour=bound), in_all)


def one_timeline(normal: Sequence[Normal], rules: EventRules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All videos one after the other, kept apart by a pause that belongs to no event and is too long to merge over.

    Returns scores, times, and each snippet's seconds of video (0 for a pause, and without what was not filmed).
    """
    scores, lengths, seconds = [], [], []
    for scores_T, times, *counted in normal:
        scores += [np.asarray(scores_T, np.float64), [-np.inf]]
        lengths += [np.diff(np.asarray(times, np.float64)), [rules.merge_seconds + 1]]
        seconds += [filmed(times, *counted), [0.0]]
    score = np.concatenate([[], *scores])
    if np.isnan(score).any():
        raise WsvadError("a normal video has scores that are not numbers (NaN); score it again")
    return score, np.concatenate([[0.0], np.cumsum(np.concatenate([[], *lengths]))]), np.concatenate([[], *seconds])


def rates(events: int, hours: float, confidence: float = 0.95, spread: float = SPREAD) -> tuple[float, float, float]:
    """False alarms an hour after so many in `hours`: as found, and between which two the detector's lie with that
    confidence, the same share being above and below (as in `upper_bound`)."""
    outside = (1 - confidence) / 2
    low = upper_bound(events - 1, outside, spread) if events else 0.0
    return events / hours, low / hours, upper_bound(events, 1 - outside, spread) / hours


@lru_cache(maxsize=4096)  # the points of a curve ask for the same few numbers again and again
def upper_bound(events: int, confidence: float, spread: float = 0.0) -> float:
    """The largest mean that so few events leave possible: the μ with P(N ≤ events | μ) = 1 − confidence.

    N is Poisson (then this is Garwood's exact bound), or with a spread s negative binomial of variance μ + (sμ)².
    """
    low, high = 0.0, 2.0 * events + 10
    while _at_most(events, high, spread) > 1 - confidence:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _at_most(events, middle, spread) > 1 - confidence else (low, middle)
    return high


def allowed_events(mean: float, confidence: float, spread: float = 0.0) -> int:
    """The largest number of events, up to `MOST`, whose upper bound is still within `mean`; −1 if even that of none is
    above it."""
    events, at_most = -1, _chance(0, mean, spread)
    while at_most <= 1 - confidence and events < MOST:
        events += 1
        at_most += _chance(events + 1, mean, spread)
    return events


def _at_most(events: int, mean: float, spread: float) -> float:
    """P(N ≤ events); see `_chance`, of which this is the sum."""
    over = mean * spread**2
    each, all_of_them = (over / (1 + over), math.log1p(over) / spread**2) if spread else (mean, mean)
    ways = _ways(1 << events.bit_length(), spread)[: events + 1]
    return float(np.exp(ways + np.arange(events + 1) * math.log(each) - all_of_them).sum())


@lru_cache(maxsize=16)
def _ways(events: int, spread: float) -> np.ndarray:
    """The part of log P(N = k) that does not depend on the mean, for k from 0 to `events`."""
    ways = np.array([-math.lgamma(k + 1) for k in range(events + 1)])
    if not spread:
        return ways
    shape = 1 / spread**2
    return ways + np.array([math.lgamma(k + shape) - math.lgamma(shape) for k in range(events + 1)])


def _chance(events: int, mean: float, spread: float) -> float:
    """P(N = events) of a Poisson number of that mean, or of a negative binomial one of shape 1 / spread²."""
    if not spread:
        return math.exp(events * math.log(mean) - mean - math.lgamma(events + 1))
    shape = 1 / spread**2
    ways = math.lgamma(events + shape) - math.lgamma(shape) - math.lgamma(events + 1)
    return math.exp(ways + events * math.log(mean / (shape + mean)) - shape * math.log1p(mean / shape))


# ------------------------------------------------------------------------------------------------- for a reader


def _told(calibration: Calibration, in_all: float | None = None) -> Calibration:
    """The calibration with its sentence."""
    mode, hours = WORDS[calibration.mode], calibration.hours
    if calibration.promised:
        by = {0: "that they had not seen", 1: "scored by a fit that had not seen it"}
        of = "this detector's training procedure" if calibration.fits else "these weights"
        bound = min(_rounded_up(calibration.upper_bound_per_hour), calibration.budget_per_hour)
        text = (
            f"≤ {_alarms(bound)} ({100 * calibration.confidence:g} % "
            f"confidence, {mode}, this scene and {of}), from {time_in_words(hours)} of normal video "
            f"{by.get(calibration.fits, f'scored by {calibration.fits} fits that had not seen it')}."
        )
    else:
        text = f"Not calibrated: {_short_of(calibration, in_all)}. Using threshold {calibration.threshold:.2f}."
    if calibration.threshold > 1:
        text += " Normal video already scores 1, so no event will ever be reported."
    return replace(calibration, sentence=text)


def _short_of(calibration: Calibration, in_all: float | None) -> str:
    """How much normal video is missing for the budget: of all that there is to learn from, not of what was held out."""
    needed = hours_needed(calibration.budget_per_hour, calibration.confidence, calibration.spread)
    there, budget = calibration.hours if in_all is None else in_all, _alarms(calibration.budget_per_hour)
    if there >= needed:
        return (
            f"only {time_in_words(calibration.hours)} of {time_in_words(there)} of normal training video were scored "
            f"by a fit that had not seen them; train again with ≤ {budget} as the budget to use all"
        )
    video = "normal training video" if calibration.fits else "normal video"
    return (
        f"{time_in_words(there)} of {video}, about {time_in_words(needed)} in all are needed for "
        f"≤ {budget} in {WORDS[calibration.mode]}, {time_in_words(needed - there)} more"
    )


def _alarms(per_hour: float) -> str:
    """ "1 false alarm/h"; by the day where that is the rounder number."""
    number, unit = per_hour, "h"
    if per_hour < 1 and len(f"{per_hour:g}") > len(f"{24 * per_hour:g}"):
        number, unit = 24 * per_hour, "day"
    return f"{number:g} false alarm{'' if number == 1 else 's'}/{unit}"


def _rounded_up(number: float) -> float:
    """To two digits, or to a whole number; a promise is never rounded down."""
    digits = max(0, 1 - math.floor(math.log10(number)))
    return math.ceil(round(number * 10**digits, 6)) / 10**digits


def time_in_words(hours: float) -> str:
    """ "3.4 h", "12 min", "4 s"."""
    for unit, size in (("h", 1.0), ("min", 60.0)):
        if hours * size >= 1:
            return f"{hours * size:.2g} {unit}" if hours * size < 99.5 else f"{hours * size:.0f} {unit}"
    return f"{hours * 3600:.0f} s"
