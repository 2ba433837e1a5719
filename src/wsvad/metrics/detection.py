"""Temporal detection: mean average precision of intervals and their categories, at several overlaps (section 3.5).

A category's scores over a video become intervals by one threshold of their own range; the intervals of all videos,
highest first, are matched with the true ones. Snippets carry their frame counts, so nothing is expanded to frames.

Shapes: T snippets, K categories, P intervals found, I overlaps.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsvad.errors import WsvadError
from wsvad.metrics.frame import whole
from wsvad.metrics.interval import Interval

IOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Overlaps that the literature reports."""
DEPTH = 0.6
"""How far below its maximum a category's scores may fall inside an interval, as a share of their range."""
VIDEO = 0.7
"""Weight of the video's score in an interval's."""
SNIPPET = 16
"""Frames of a snippet to VadCLIP's evaluator, and the share of a video's frames, one in so many, that stands for it."""


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One video: a score of each category over time, and the truth."""

    scores: np.ndarray
    """`(T, K)`, in any range."""
    lengths: np.ndarray
    """`(T,)` whole numbers, the frames that each snippet stands for; 0 for one beyond the video's end."""
    truth: tuple[Interval, ...]
    """What happens in it, empty for a normal video; an interval with several categories (`;`) is one of each."""
    video: str = ""
    """Name, for messages."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Average precision of each category at each overlap, as fractions."""

    ious: tuple[float, ...]
    categories: tuple[str, ...]
    ap: np.ndarray
    """`(I, K)`; NaN for a category that has no true interval (with `compat`, 0)."""
    map: np.ndarray
    """`(I,)` the mean over the categories that have one; NaN if none has (with `compat`, over all)."""

    @property
    def average(self) -> float:
        """The mean of `map` over the overlaps, the literature's AVG."""
        return float(self.map.mean())


def detection_map(
    videos: Sequence[ClassScores],
    categories: Sequence[str],
    *,
    ious: Sequence[float] = IOUS,
    compat: Literal["vadclip"] | None = None,
) -> Detection:
    """Mean average precision of intervals at each IoU.

    Intervals of a category are sorted over all videos by score (equal ones as given, earlier first). Each in turn
    takes the true interval of its video and category that overlaps most with it and is not taken yet, if their IoU is
    at least the threshold. AP = Σ precision_i over the hits i, divided by the number of true intervals.

    Args:
        videos: of the test set, the normal ones too: what is found in them is wrong.
        categories: names of the K columns.
        compat: `vadclip` for the numbers of that paper's evaluator and those that follow it. Every snippet has 16
            frames there; the mean is over all `categories`, those without any true interval counting as 0; and it is 0
            where any category has no interval found. Its lists have a column for "normal" as well: see `with_normal`.

    Raises:
        WsvadError: scores that do not go with lengths or categories, NaN, or a true interval of an unknown category.
    """
    _check(videos, categories)
    ap_IK = np.full((len(ious), len(categories)), np.nan)
    found_none = False
    for column, category in enumerate(categories):
        found, truths = [], []
        for number, video in enumerate(videos):
            lengths = np.full(len(video.lengths), SNIPPET) if compat else video.lengths
            found += [(number, *one) for one in intervals(video.scores[:, column], lengths)]
            truths.append([(one.start, one.end) for one in video.truth if category in _names(one)])
        found.sort(key=lambda one: -one[3])
        found_none |= not found
        wanted = sum(map(len, truths))
        if wanted:
            ap_IK[:, column] = [_average_precision(_hits(found, truths, iou), wanted) for iou in ious]
    if compat:
        ap_IK = np.nan_to_num(ap_IK)
        return _detection(ious, categories, ap_IK, np.zeros(len(ious)) if found_none else ap_IK.mean(1))
    known = ~np.isnan(ap_IK).any(0)
    mean_I = ap_IK[:, known].mean(1) if known.any() else np.full(len(ious), math.nan)
    return _detection(ious, categories, ap_IK, mean_I)


def intervals(scores_T: np.ndarray, lengths_T: np.ndarray) -> list[tuple[int, int, float]]:
    """Where one category's scores are high in one video: (first frame, end frame, score), earliest first.

    A frame is inside if it scores more than max − 0.6·(max − min); a run of at least two frames is an interval. Its
    score is its maximum plus 0.7 times the video's score, the mean of the highest sixteenth of its frames (at least
    one). Scores that are all the same give none. (Published code removes what overlaps by 0.6 or more, which the runs
    of one threshold never do.)
    """
    lengths_T = whole(lengths_T)
    scores, lengths = np.asarray(scores_T)[lengths_T > 0], lengths_T[lengths_T > 0]
    if not len(scores):
        return []
    scores = scores.astype(np.float64)
    inside = scores > scores.max() - DEPTH * (scores.max() - scores.min())
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    borders = np.append(0, np.cumsum(lengths))
    of_video = VIDEO * _highest(scores, lengths, max(1, int(borders[-1]) // SNIPPET))
    return [
        (int(borders[first]), int(borders[end]), float(scores[first:end].max() + of_video))
        for first, end in edges.reshape(-1, 2)
        if borders[end] - borders[first] >= 2
    ]


def with_normal(scores_TK: np.ndarray) -> np.ndarray:
    """Put a column for "normal" after categories that share out a score: what is missing to 1, `(T, K + 1)`."""
    return np.column_stack([scores_TK, 1 - scores_TK.sum(1)])


def _highest(scores: np.ndarray, lengths: np.ndarray, frames: int) -> float:
    """The mean of so many highest frames."""
    order = np.argsort(-scores, kind="stable")
    taken = np.diff(np.minimum(np.cumsum(lengths[order]), frames), prepend=0)
    return float(scores[order] @ taken) / frames


def _hits(
    found: Iterable[tuple[int, int, int, float]], truths: Sequence[Sequence[tuple[int, int]]], iou: float
) -> np.ndarray:
    """Whether each interval found, `(video, start, end, score)` from the highest score down, takes a true one."""
    free = [list(those) for those in truths]
    hits = []
    for video, start, end, _ in found:
        overlaps = [_iou(start, end, *other) for other in free[video]]
        best = int(np.argmax(overlaps)) if overlaps else -1
        hits.append(best >= 0 and overlaps[best] >= iou)
        if hits[-1]:
            del free[video][best]
    return np.array(hits, dtype=bool)


def _iou(start: int, end: int, other_start: int, other_end: int) -> float:
    """Frames in both over frames in either, of half-open ranges."""
    both = max(min(end, other_end) - max(start, other_start), 0)
    return both / (end - start + other_end - other_start - both)


def _average_precision(hits: np.ndarray, wanted: int) -> float:
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum()) / wanted


def _names(interval: Interval) -> list[str]:
    return [name.strip() for name in interval.category.split(";")]


def _detection(ious: Sequence[float], categories: Sequence[str], ap_IK: np.ndarray, map_I: np.ndarray) -> Detection:
    return Detection(ious=tuple(ious), categories=tuple(categories), ap=ap_IK, map=map_I)


def _check(videos: Sequence[ClassScores], categories: Sequence[str]) -> None:
    for video in videos:
        name = video.video or "a video"
        if video.scores.shape != (len(video.lengths), len(categories)):
            raise WsvadError(
                f"{name}: class scores {video.scores.shape} do not match {len(video.lengths)} snippets and "
                f"{len(categories)} categories; score it again"
            )
        if np.isnan(video.scores).any():
            raise WsvadError(f"{name}: has class scores that are not numbers (NaN); score it again")
        unknown = sorted({one for interval in video.truth for one in _names(interval)} - set(categories))
        if unknown:
            raise WsvadError(
                f"{name}: its intervals name '{unknown[0]}', which is none of the categories {', '.join(categories)}; "
                "correct the intervals, or train with such videos"
            )
