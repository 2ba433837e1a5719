"""How well a method distinguishes categories of anomaly, for any method that gives class scores.

Shapes: T snippets, K categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from wsvad.datasets.categories import UNNAMED, names_of
from wsvad.datasets.dataset import LabelledVideo
from wsvad.evaluation.curves import truth
from wsvad.metrics.detection import ClassScores, detection_map, with_normal
from wsvad.metrics.interval import Interval
from wsvad.video.clock import SNIPPET

Compat = Literal["vadclip"]
NORMAL = "normal"


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """Class scores of a test set, with the truth."""

    categories: tuple[str, ...]
    """The K that the method knows; others that the truth names come after them, with scores of 0."""
    known: int
    """K."""
    videos: tuple[ClassScores, ...]
    """Those of which it is known when and what, with whole intervals: published evaluators do not cut them."""
    normal: tuple[np.ndarray, ...]
    """The score of "normal" in each, `(T,)`: what is missing to 1, where the system has no score of its own."""


def beside_truth(
    categories: Sequence[str],
    videos: Sequence[LabelledVideo],
    scores: Sequence[np.ndarray],
    lengths: Sequence[np.ndarray],
) -> Classes:
    """Put class scores `(T, K)`, and the frames `(T,)` that each row stands for, beside the truth.

    Args:
        categories: names of the K columns; one may be "normal".
    """
    columns = [column for column, name in enumerate(categories) if name != NORMAL]
    names = tuple(categories[column] for column in columns)
    known = [(v, s, n, _truth(v, names)) for v, s, n in zip(videos, scores, lengths, strict=True)]
    found = {name for *_, intervals in known for one in intervals or () for name in names_of(one.category)}
    extra = sorted(found - set(names))
    abnormal, normal = [], []
    for video, s, n, intervals in known:
        if intervals is not None:
            of_known = np.pad(s[:, columns], ((0, 0), (0, len(extra))))
            abnormal.append(ClassScores(scores=of_known, lengths=n, truth=intervals, video=video.name))
            normal.append(s[:, categories.index(NORMAL)] if NORMAL in categories else with_normal(s)[:, -1])
    return Classes(categories=(*names, *extra), known=len(names), videos=tuple(abnormal), normal=tuple(normal))


def _truth(video: LabelledVideo, categories: Sequence[str]) -> tuple[Interval, ...] | None:
    """What happens when; None where one of the two is not known.

    An interval that is called "abnormal" shows what its video's label says. A method with one category knows that
    something is abnormal, not what: all intervals are of that category then.
    """
    if truth(video) is None:
        return None
    kept = []
    for interval in (video.intervals if video.events is None else video.events) or ():
        names = [n for n in names_of(interval.category) if n != UNNAMED] or list(names_of(video.category))
        if len(categories) == 1:
            names = list(categories)
        if UNNAMED in names and UNNAMED not in categories:
            return None
        kept.append(Interval(start=interval.start, end=interval.end, category=";".join(names)))
    return tuple(kept)


def _scored(video: ClassScores) -> ClassScores:
    """A video with its intervals within the frames that were scored: what was not cannot be found."""
    frames = int(video.lengths.sum())
    inside = [replace(one, end=min(one.end, frames)) for one in video.truth if one.start < frames]
    return replace(video, truth=tuple(inside))


def evaluate_classes(
    classes: Classes | None, compat: Compat | None = None, *, normal_is_event: bool = False
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Metrics of a results table, as fractions, and the average precision of each category; both empty for None.

    Returns:
        `map@0.1` … `map@0.5`: mean average precision of intervals at each overlap, and `map`, the mean of those (3.5).
        `category_accuracy`: share of true intervals whose likeliest category is a true one; left out for a method
        with one category. By category: `ap@0.1` ….

    Args:
        compat: mAP with the quirks of VadCLIP's evaluator, whose list of categories ends with "normal", and which keeps
            intervals whole where the scores end before them.
        normal_is_event: with `compat`, a normal video is a true event of "normal" as long as its snippets; otherwise
            nothing is, and that category has an AP of 0 (see `Benchmark`).
    """
    if classes is None:
        return {}, {}
    names, videos = classes.categories, tuple(map(_scored, classes.videos))
    if compat:
        names = (*names, NORMAL)
        videos = tuple(
            ClassScores(
                scores=np.column_stack([v.scores, n]),
                lengths=v.lengths,
                truth=v.truth or (_all_normal(v) if normal_is_event else ()),
                video=v.video,
            )
            for v, n in zip(classes.videos, classes.normal, strict=True)
        )
    found = detection_map(videos, names, compat=compat)
    metrics = {f"map@{iou:g}": float(value) for iou, value in zip(found.ious, found.map, strict=True)}
    metrics["map"] = found.average
    if classes.known > 1:
        metrics["category_accuracy"] = category_accuracy(classes)
    by_category = {
        name: {f"ap@{iou:g}": float(ap) for iou, ap in zip(found.ious, found.ap[:, column], strict=True)}
        for column, name in enumerate(names)
        if not np.isnan(found.ap[:, column]).all()
    }
    return metrics, by_category if classes.known > 1 else {}


def _all_normal(video: ClassScores) -> tuple[Interval, ...]:
    return (Interval(start=0, end=SNIPPET * len(video.lengths), category=NORMAL),)


def category_accuracy(classes: Classes) -> float:
    """Share of true intervals that are named right: the category whose mean over the interval's frames is highest is
    one of its own. One that only the truth names is never right. NaN without any interval."""
    right = []
    for video in map(_scored, classes.videos):
        edges = np.append(0, np.cumsum(video.lengths))
        for interval in video.truth:
            inside = np.clip(np.minimum(edges[1:], interval.end) - np.maximum(edges[:-1], interval.start), 0, None)
            likeliest = int(np.argmax(inside @ video.scores[:, : classes.known]))
            right.append(classes.categories[likeliest] in names_of(interval.category))
    return float(np.mean(right)) if right else float("nan")
