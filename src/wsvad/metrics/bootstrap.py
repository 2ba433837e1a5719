"""How far a frame metric would move with other test videos: the bootstrap over videos.

A resample draws as many videos as there are, with replacement, and each brings all its frames: frames of one video are
no independent evidence. Since a resample is only how often it has each video, nothing is expanded or sorted again. AUC
is a sum over pairs of videos, so all resamples cost one product of matrices; average precision is summed down one
common ranking. Both are the exact values of `wsvad.metrics.frame` on the repeated frames.

Shapes: R resamples, V videos, N snippets, L scores that a positive frame has.
"""

import math
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000
CELLS = 4_000_000
"""Resamples × snippets that are worked on at a time, 32 MB."""


def draw(videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each resample has each video, `(R, V)`; a row adds up to V. The same seed gives the same draw, by which
    two methods are compared on the same videos."""
    chances = np.full(videos, 1 / videos)
    return np.random.default_rng(seed).multinomial(videos, chances, size=resamples)


def resampled_auc(
    score: np.ndarray, positives: np.ndarray, negatives: np.ndarray, video: np.ndarray, times_RV: np.ndarray
) -> np.ndarray:
    """`roc_auc` of each resample, `(R,)`; NaN for one without positive or without negative frames.

    Args:
        score: `(N,)`.
        positives: `(N,)` positive frames that each score stands for.
        negatives: `(N,)` its negative frames.
        video: `(N,)` number of its video, from 0 to V − 1.
        times_RV: how often each resample has each video, see `draw`.
    """
    videos = times_RV.shape[1]
    times_RV = times_RV.astype(np.float64)
    wins_VV = _wins(score, positives, negatives, video, videos)
    won_R = ((times_RV @ wins_VV) * times_RV).sum(1)
    pairs_R = (times_RV @ np.bincount(video, positives, videos)) * (times_RV @ np.bincount(video, negatives, videos))
    return np.divide(won_R, pairs_R, out=np.full(len(times_RV), math.nan), where=pairs_R > 0)


def resampled_average_precision(
    score: np.ndarray, positives: np.ndarray, negatives: np.ndarray, video: np.ndarray, times_RV: np.ndarray
) -> np.ndarray:
    """`average_precision` (step-wise) of each resample, `(R,)`. Arguments and NaN as in `resampled_auc`."""
    order = np.argsort(score)[::-1]
    score, positives, negatives, video = score[order], positives[order], negatives[order], video[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # last snippet of each distinct score
    with_positive = np.add.reduceat(positives, np.append(0, ends[:-1] + 1)) > 0 if len(ends) else np.zeros(0, bool)
    ends_L = ends[with_positive]  # precision is read at these alone
    found_R = np.full(len(times_RV), math.nan)
    if not len(ends_L):
        return found_R
    starts_L, used = np.append(0, ends_L[:-1] + 1), slice(ends_L[-1] + 1)
    has_negative_R = times_RV @ np.bincount(video, negatives, times_RV.shape[1]) > 0
    step = max(1, CELLS // len(score))
    for first in range(0, len(times_RV), step):
        times_RN = times_RV[first : first + step].astype(np.float64)[:, video[used]]
        true_RL = np.add.reduceat(times_RN * positives[used], starts_L, axis=1)
        above_RL = np.cumsum(true_RL + np.add.reduceat(times_RN * negatives[used], starts_L, axis=1), axis=1)
        true_above_RL = np.cumsum(true_RL, axis=1)
        precision_RL = np.divide(true_above_RL, above_RL, out=np.ones_like(above_RL), where=above_RL > 0)
        both_R = (true_above_RL[:, -1] > 0) & has_negative_R[first : first + step]
        area_R = (true_RL * precision_RL).sum(1)
        np.divide(area_R, true_above_RL[:, -1], out=found_R[first : first + step], where=both_R)
    return found_R


def interval(values_R: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Between which bounds a metric of resamples lies, the same share being above and below (percentiles). Undefined
    resamples are left out; NaN where all are."""
    known = values_R[~np.isnan(values_R)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def auc_interval(values_R: np.ndarray, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    """`interval` of an AUC of so many positive and negative videos; where all resamples are 1, or 0, as wide as so few
    of them leave it."""
    low, high = interval(values_R, level)
    if low == 1:
        return lowest_of_perfect(positives, negatives, level), 1.0
    if high == 0:
        return 0.0, 1 - lowest_of_perfect(positives, negatives, level)
    return low, high


def lowest_of_perfect(positives: int, negatives: int, level: float = 0.95) -> float:
    """How low an AUC may be that so many positive and negative videos gave as exactly 1, where resampling has nothing
    to vary (Newcombe 2006, method 5): the θ at which 1 − θ is `level`'s normal quantile of standard errors.

    By symmetry 1 minus it is how high one may be that came out as 0.
    """
    z, pairs = NormalDist().inv_cdf((1 + level) / 2), positives * negatives
    more = (positives + negatives) / 2 - 1
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        variance = middle / pairs * (1 + more * ((1 - middle) / (2 - middle) + middle / (1 + middle)))
        low, high = (middle, high) if 1 - middle > z**2 * variance else (low, middle)
    return low


def p_value(differences_R: np.ndarray) -> float:
    """Two-sided p-value of "the two are equally good" by the paired bootstrap: twice the share of resamples in which
    the difference has not the sign that it mostly has, ties counting against it. At least 2 / (R + 1), at most 1.

    Both methods are resampled together, so videos that are hard for both cancel out. Videos are not permuted between
    the methods: one metric ranks the frames of all videos, and two methods do not score on one scale.
    """
    known = differences_R[~np.isnan(differences_R)]
    if not known.size:
        return math.nan
    share = (min(int((known <= 0).sum()), int((known >= 0).sum())) + 1) / (known.size + 1)
    return min(1.0, 2 * share)


def _wins(
    score: np.ndarray, positives: np.ndarray, negatives: np.ndarray, video: np.ndarray, videos: int
) -> np.ndarray:
    """For each pair of videos, how many pairs of a positive frame of the first and a negative frame of the second are
    in the right order, ties counting half, `(V, V)`."""
    has_positive = positives > 0
    score_P, positives_P, video_P = score[has_positive], positives[has_positive], video[has_positive]
    order = np.argsort(score_P)
    score_P, positives_P, video_P = score_P[order], positives_P[order], video_P[order]
    wins_VV = np.zeros((videos, videos))
    for other in np.unique(video[negatives > 0]):
        of_other = (video == other) & (negatives > 0)
        ranked = np.argsort(score[of_other])
        score_M, below = score[of_other][ranked], np.append(0, np.cumsum(negatives[of_other][ranked]))
        left, right = (np.searchsorted(score_M, score_P, side) for side in ("left", "right"))
        wins_VV[:, other] = np.bincount(video_P, positives_P * (below[left] + below[right]) / 2, videos)
    return wins_VV
