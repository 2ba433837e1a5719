"""How sure measured numbers are: intervals over test videos, and whether two methods differ beyond them.

The resampled number is the mean over seeds, so an interval is about the test videos alone; how far the seeds lie apart
stands beside it as their standard deviation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsvad.evaluation.curves import Curve, evaluate
from wsvad.evaluation.vocabulary import percent, words_for
from wsvad.metrics.bootstrap import (
    auc_interval,
    draw,
    interval,
    p_value,
    resampled_auc,
    resampled_average_precision,
)

ENOUGH = 5
"""Videos with abnormal frames, and videos with normal ones, below which no interval is given: resampling two videos
says nothing of others."""
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


def intervals_of_run(seeds: Sequence[Sequence[Curve]]) -> dict[str, list[float]]:
    """The 95 % interval over test videos of `auc`, `auc_abnormal`, `ap` and `video_auc`, `[low, high]`; without those
    of which so few videos say nothing. Arguments as in `resample`."""
    found = _wide_enough(resample(seeds), *_with_frames(seeds[0]))
    return found | _wide_enough(resample_videos(seeds), *_labelled(seeds[0]))


def _with_frames(curves: Sequence[Curve]) -> tuple[int, int]:
    """How many videos have abnormal frames, and how many normal ones, as far as is known."""
    known = [curve for curve in curves if curve.positives is not None]
    abnormal = sum(curve.abnormal_frames > 0 for curve in known)
    return abnormal, sum(int(curve.lengths.sum()) > curve.abnormal_frames for curve in known)


def _labelled(curves: Sequence[Curve]) -> tuple[int, int]:
    """How many videos are labelled abnormal, and how many normal."""
    labels = [curve.label for curve in curves]
    return labels.count(1), labels.count(0)


def deciding(curves: Sequence[Curve]) -> str | None:
    """The metric that compares methods on these videos: frame AUC, or video AUC where it is not known when something
    happens; None where they are too few."""
    counts = {"auc": _with_frames(curves), "video_auc": _labelled(curves)}
    return next((metric for metric, kinds in counts.items() if min(kinds) >= ENOUGH), None)


def not_above(name: str, ours: Sequence[Sequence[Curve]], other: str, theirs: Sequence[Sequence[Curve]]) -> list[str]:
    """A sentence, where a method is not better than another one by more than chance; none where it is, or where the
    videos are too few.

    Args:
        name: the method's.
        ours: its curves, as in `resample`.
        other: the other method's name.
        theirs: its curves, of the same videos in the same order.
    """
    metric = deciding(ours[0])
    if metric is None:
        return []
    resampled = resample if metric == "auc" else resample_videos
    low, high = interval(resampled(ours)[metric] - resampled(theirs)[metric])
    if not low <= 0:
        return []
    values = [percent(float(np.mean([evaluate(one)[metric] for one in each])), 1) for each in (ours, theirs)]
    verdict = f"below {other}" if high < 0 else f"not above {other} by more than chance"
    return [
        f"{name} is {verdict}: {words_for(metric).in_words} {values[0]} against {values[1]} "
        f"(95 % interval of the difference {100 * low:+.1f} to {100 * high:+.1f})"
    ]


def resample_videos(seeds: Sequence[Sequence[Curve]]) -> dict[str, np.ndarray]:
    """`video_auc` in resamples of the labelled test videos; arguments as in `resample`."""
    each = []
    for curves in seeds:
        labelled = [curve for curve in curves if curve.label is not None]
        labels = np.array([curve.label for curve in labelled], dtype=np.int64)
        peaks, times = np.array([curve.peak for curve in labelled]), draw(max(len(labelled), 1))
        each.append(resampled_auc(peaks, labels, 1 - labels, np.arange(len(labelled)), times))
    return {"video_auc": np.mean(each, axis=0)}


def _wide_enough(resampled: Resampled, abnormal: int, normal: int) -> dict[str, list[float]]:
    """Intervals of so many videos; where all resamples agree, an AUC's is as wide as so few of them leave it."""
    found = {}
    for metric, values in resampled.items() if min(abnormal, normal) >= ENOUGH else ():
        low, high = interval(values) if metric == "ap" else auc_interval(values, abnormal, normal)
        if low < high:
            found[metric] = [low, high]
    return found


def in_a_sentence(videos: int, metrics: Mapping[str, float], found: Mapping[str, Sequence[float]]) -> list[str]:
    """How well the number that matters most is known; nothing where there is none.

    Args:
        videos: of the test set.
        metrics: fractions, NaN where one is not defined.
        found: their intervals.
    """
    metric = next((one for one in ("auc", "video_auc") if metrics[one] == metrics[one]), None)
    if metric is None:
        return []
    count = f"{videos} test video{'' if videos == 1 else 's'}"
    name = words_for(metric).in_words
    if metric not in found:
        return [f"{count}: too few of a kind to say how far this {name} is from that of other videos; test on more"]
    low, high = found[metric]
    half = 50 * (high - low)
    return [
        f"{count}: this {name} is known to ± {half:.{0 if half >= 1 else 1}f} "
        f"(95 % interval {percent(low, 1)} to {percent(high, 1)})"
    ]


def against(ours: Resampled, theirs: Resampled) -> dict[str, dict[str, Any]]:
    """How much higher ours is in each metric that both have, over the same resamples: the 95 % interval of the
    difference, and the two-sided p-value of there being none (paired bootstrap)."""
    found = {}
    for metric in ours.keys() & theirs.keys():
        difference = ours[metric] - theirs[metric]
        low, high = interval(difference)
        found[metric] = {"low": low, "high": high, "p": p_value(difference)}
    return found
