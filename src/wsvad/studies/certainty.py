"""How sure a row of a leaderboard is: intervals over test videos, and whether two methods differ beyond them.

The resampled number is the mean over seeds, so an interval is about the test videos alone; how far the seeds lie apart
stands beside it as their standard deviation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsvad.evaluation.curves import Curve
from wsvad.metrics.bootstrap import draw, interval, p_value, resampled_auc, resampled_average_precision

Resampled = Mapping[str, np.ndarray]
"""Metric → its mean over seeds in each of R resamples, `(R,)`."""


def resample(seeds: Sequence[Sequence[Curve]]) -> dict[str, np.ndarray]:
    """`auc`, `auc_abnormal` and `ap` in resamples of the test videos: the same ones for every method.

    Args:
        seeds: for each seed the curves of the same videos in the same order. Those whose truth is unknown are left
            out; empty where it is known of none.
    """
    each = [_resample_seed([curve for curve in curves if curve.positives is not None]) for curves in seeds]
    return {metric: np.mean([one[metric] for one in each], axis=0) for metric in each[0]}


def _resample_seed(curves: Sequence[Curve]) -> dict[str, np.ndarray]:
    if not curves:
        return {}
    video = np.repeat(np.arange(len(curves)), [len(curve.scores) for curve in curves])
    score = np.concatenate([curve.scores for curve in curves])
    positives = np.concatenate([curve.positives for curve in curves if curve.positives is not None])
    negatives = np.concatenate([curve.lengths for curve in curves]) - positives
    in_abnormal = np.array([curve.abnormal_frames > 0 for curve in curves])[video]
    times = draw(len(curves))
    return {
        "auc": resampled_auc(score, positives, negatives, video, times),
        "auc_abnormal": resampled_auc(score, positives, np.where(in_abnormal, negatives, 0), video, times),
        "ap": resampled_average_precision(score, positives, negatives, video, times),
    }


def intervals(resampled: Resampled) -> dict[str, list[float]]:
    """The 95 % interval of each metric, `[low, high]`."""
    return {metric: list(interval(values)) for metric, values in resampled.items()}


def against(ours: Resampled, theirs: Resampled) -> dict[str, dict[str, Any]]:
    """How much higher ours is in each metric over the same resamples: the 95 % interval of the difference, and the
    two-sided p-value of there being none (paired bootstrap)."""
    found = {}
    for metric, values in ours.items():
        low, high = interval(values - theirs[metric])
        found[metric] = {"low": low, "high": high, "p": p_value(values - theirs[metric])}
    return found
