"""How rare a score is: how often the normal video that calibrated a run reaches it, counted as events.

A threshold at that score would have had so many false alarms in the normal training videos, in the detector's mode and
each scored by a fit that had not seen it (`training.cross_fit`): what the threshold is chosen on. Several events may
merge into one as the threshold falls, so a score is as rare as the most events that any threshold from it on has: a
higher score is never less rare. `benchmarks/results/rarity.md` says whether it holds on fresh normal video.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wsvad.detection.threshold import Normal, one_timeline, rates, time_in_words
from wsvad.metrics.events import MARGIN, EventRules, Rarity, spans, steps_of
from wsvad.ranges import NotNegative, Positive, Whole

LEVELS = 200
"""Scores that a scale is measured at, the most about; between two it says what the lower one does."""
ROUNDING = 1e-12
"""By which share a score and what is computed of it may differ and still count as equal."""


@dataclass(frozen=True, kw_only=True)
class RarityScale:
    """Score → how often normal video reaches it, in one mode. `dataclasses.asdict` makes JSON of it."""

    hours: Positive
    """Of normal video."""
    scores: list[NotNegative]
    """Rising. The first is the median score of normal video, the last its highest, each a hair higher."""
    events: list[Whole]
    """How many events have a score above the one before, up to this one; falling."""

    @property
    def whole(self) -> bool:
        """Whether it is a scale: whoever writes a file may write anything."""
        rising, falling = bool((np.diff(self.scores) > 0).all()), bool((np.diff(self.events) <= 0).all())
        return len(self.scores) == len(self.events) > 0 and rising and falling

    def of(self, score: float) -> Rarity:
        """How rare a score is."""
        place = int(np.searchsorted(self.scores, score))
        events = self.events[place] if place < len(self.events) else 0
        if score <= self.scores[0]:
            words = "half of normal video scores as high"
        elif events:
            words = f"once in {time_in_words(self.hours / events)} of normal video"
        else:
            words = f"never in {time_in_words(self.hours)} of normal video"
        return Rarity(words=words, events=events, hours=self.hours, per_hour=_rates(events, self.hours))


@lru_cache(maxsize=1024)
def _rates(events: int, hours: float) -> tuple[float, float, float]:
    return rates(events, hours)


def scale_of(normal: Sequence[Normal], rules: EventRules) -> RarityScale | None:
    """The scale of normal videos, as `calibrate` takes them; None where there is no video."""
    scores, times, seconds = one_timeline(normal, rules)
    hours = float(seconds.sum()) / 3600
    if not hours:
        return None
    all_steps = steps_of(scores, seconds, rules)
    median, steps = all_steps[0], all_steps[all_steps > 0]
    if not steps.size:  # normal video scores 0 throughout
        return RarityScale(hours=hours, scores=[0.0], events=[0])
    # Ranks from the highest on; what lies between two counts as the lower one does.
    few = len(steps) <= LEVELS
    ranks = np.arange(len(steps)) if few else np.unique(np.geomspace(1, len(steps), LEVELS).astype(int)) - 1
    falling = steps[::-1]
    counts = [len(spans(scores, times, falling[rank] * (1 - ROUNDING), rules, seconds)[0]) for rank in ranks]
    most = np.maximum.accumulate(counts)
    uppers = falling[np.append(0, ranks[:-1] + 1)]
    if uppers[-1] > median:
        uppers, most = np.append(uppers, median), np.append(most, most[-1])
    # A score of a live camera and of its recording differ a little: what is as high within that is reached.
    above = np.append(all_steps, np.inf)[np.searchsorted(all_steps, uppers) + 1]
    reached = np.minimum(uppers + MARGIN, (uppers + above) / 2)
    return RarityScale(hours=hours, scores=reached[::-1].tolist(), events=most[::-1].tolist())
