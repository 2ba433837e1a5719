"""Frame metrics, computed exactly on snippets that carry their frame counts.

A snippet's score stands for all its frames, so nothing is ever expanded to frames: every function takes each snippet's
score with its numbers of positive and negative frames (a snippet in which the label changes has both). The results are
those of scikit-learn on the expanded frames. Frame-level arrays work as well (each frame has one of 1 and 0).

A metric that is undefined because only one class is there is NaN.
"""

import math

import numpy as np

from wsvad.errors import WsvadError


class Ranking:
    """Snippets from the highest score to the lowest, sorted once for any number of metrics."""

    def __init__(self, score: np.ndarray):
        """`score` is `(N,)`, in any order and range.

        Raises:
            WsvadError: a score is not a number.
        """
        score = np.asarray(score)
        if np.isnan(score).any():
            raise WsvadError("a score is not a number (NaN), so the scores cannot be ranked; score the video again")
        # Neighbours with equal scores are joined before sorting: frame-level scores repeat themselves 16 times or more.
        self._starts = _starts(score)
        score = score[self._starts]
        self._order = _ascending(score)[::-1]
        score = score[self._order]
        self._last = np.append(_starts(score)[1:], score.size)[: score.size] - 1

    def above(self, count: np.ndarray) -> np.ndarray:
        """Sum of `count` `(N,)` over the snippets at or above each distinct score, from the highest score down."""
        if not self._starts.size:
            return np.zeros(0, np.int64)
        runs = whole(count)
        if self._starts.size < runs.size:
            runs = np.add.reduceat(runs, self._starts, dtype=np.int64)
        # Reordering waits for memory, so the narrowest integers that hold the counts are twice as fast.
        runs = runs.astype(np.min_scalar_type(runs.max()))
        above = np.cumsum(runs[self._order], dtype=np.int64)
        return above if self._last.size == above.size else above[self._last]


def whole(count: np.ndarray) -> np.ndarray:
    """Counts of frames as whole numbers, whatever type they are given in.

    Raises:
        WsvadError: one is not whole, or below 0.
    """
    count = np.asarray(count)
    if count.dtype.kind == "f":
        exact = np.where(np.isfinite(count), count, -1).astype(np.int64)
        if (odd := exact != count).any():
            raise WsvadError(f"{count[odd][0]:g} frames: a score stands for a whole number of frames; give such counts")
        count = exact
    if count.size and count.min() < 0:
        raise WsvadError(f"{count.min()} frames: a score cannot stand for fewer than none; give such counts")
    return count


def _ascending(score: np.ndarray) -> np.ndarray:
    """Indices that put scores in order. Those of 32 bits are sorted with their index behind them as one whole number,
    which takes a third of the time of `argsort`."""
    if score.dtype != np.float32:
        return np.argsort(score)
    bits = score.view(np.int32)
    bits = bits ^ ((bits >> 31) & 0x7FFF_FFFF)  # of negative numbers the larger ones have the smaller bits
    both = (bits.astype(np.int64) << 32) | np.arange(score.size)
    both.sort()
    return both & 0xFFFF_FFFF


def _starts(score: np.ndarray) -> np.ndarray:
    """Indices at which a run of equal values begins."""
    if not score.size:
        return np.zeros(0, np.int64)
    return np.append(0, np.flatnonzero(score[1:] != score[:-1]) + 1)


def roc_auc(score: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive frame scores above a negative one, ties counting half.

    Args:
        score: `(N,)`.
        positives: `(N,)` whole numbers, the positive frames that each score stands for.
        negatives: `(N,)` whole numbers, its negative frames.

    Raises:
        WsvadError: a score is not a number.
    """
    ranking = Ranking(score)
    return auc_below(ranking.above(positives), ranking.above(negatives))


def average_precision(score: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """Average precision, step-wise: Σ (recall_i − recall_{i−1}) · precision_i. Arguments as in `roc_auc`."""
    ranking = Ranking(score)
    return step_below(ranking.above(positives), ranking.above(negatives))


def average_precision_trapezoid(score: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """Area under the precision-recall curve by the trapezoid rule, from precision 1 at recall 0 (section 3.3).

    Arguments as in `roc_auc`. It interpolates linearly between thresholds, which flatters scores with many ties; it is
    here because published code uses it.
    """
    ranking = Ranking(score)
    return trapezoid_below(ranking.above(positives), ranking.above(negatives))


def auc_below(true_above: np.ndarray, false_above: np.ndarray) -> float:
    """`roc_auc` from the counts of positive and negative frames at or above each distinct score, highest first."""
    if not _both_classes(true_above, false_above):
        return math.nan
    before = np.append(0, true_above[:-1])
    twice_the_area = np.sum(np.diff(false_above, prepend=0) * (true_above + before))
    return int(twice_the_area) / (2 * int(true_above[-1]) * int(false_above[-1]))


def step_below(true_above: np.ndarray, false_above: np.ndarray) -> float:
    """`average_precision` from the counts that `auc_below` takes."""
    if not _both_classes(true_above, false_above):
        return math.nan
    return float(np.diff(true_above, prepend=0) @ _precision(true_above, false_above)) / int(true_above[-1])


def trapezoid_below(true_above: np.ndarray, false_above: np.ndarray) -> float:
    """`average_precision_trapezoid` from the counts that `auc_below` takes."""
    if not _both_classes(true_above, false_above):
        return math.nan
    precision = _precision(true_above, false_above)
    before = np.append(1.0, precision[:-1])
    return float(np.diff(true_above, prepend=0) @ (precision + before)) / (2 * int(true_above[-1]))


def _both_classes(true_above: np.ndarray, false_above: np.ndarray) -> bool:
    return true_above.size > 0 and true_above[-1] > 0 and false_above[-1] > 0


def _precision(true_above: np.ndarray, false_above: np.ndarray) -> np.ndarray:
    """1 while nothing is above the threshold yet (snippets that stand for no frame)."""
    above = true_above + false_above
    return np.divide(true_above, above, out=np.ones(above.size), where=above > 0)


def false_alarm_rate(score: np.ndarray, frames: np.ndarray, threshold: float = 0.5) -> float:
    """Share of normal videos' frames that score `threshold` or more, in [0, 1] (section 3.4).

    Args:
        score: `(N,)` scores of snippets of normal videos.
        frames: `(N,)` frames that each stands for.
        threshold: a score at or above it is an alarm.
    """
    frames = whole(frames)
    total = int(np.sum(frames))
    return int(np.sum(frames[np.asarray(score) >= threshold])) / total if total else math.nan
