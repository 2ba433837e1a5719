"""Score curves of a test set, and the numbers that a results table prints for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsvad.datasets.categories import names_of
from wsvad.datasets.dataset import LabelledVideo
from wsvad.errors import WsvadError
from wsvad.metrics.frame import Ranking, auc_below, false_alarm_rate, roc_auc, step_below, trapezoid_below
from wsvad.video.clock import SNIPPET, SnippetClock, positive_frames


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One video's scores over time, with what is known about the truth."""

    video: str
    """Name."""
    scores: np.ndarray
    """`(T,)`, one for each snippet (or each run of frames with the same score)."""
    lengths: np.ndarray
    """`(T,)`, frames that each score stands for; 0 for a snippet beyond the video's end."""
    positives: np.ndarray | None
    """`(T,)`, how many of those frames are abnormal; None where the truth is not known."""
    label: int | None
    """1 = something abnormal happens in it, 0 = nothing does; None where that is not known."""
    category: str
    """What happens; several are joined by `;`."""
    events: tuple[tuple[int, int], ...] | None = None
    """Frames `[start, end)` of each true event, as far as they are in the video; None where the truth is not known."""
    times: np.ndarray | None = None
    """`(T + 1,)` seconds at which the scores begin to hold, and at which the last one ends; None where that is not
    known."""
    filmed: np.ndarray | None = None
    """`(T,)` seconds of video that each stands for; None where they were not counted."""

    def __post_init__(self) -> None:
        if np.isnan(self.scores).any():
            raise WsvadError(f"{self.video}: has scores that are not numbers (NaN); score this video again")
        counts = [self.lengths] if self.positives is None else [self.lengths, self.positives]
        if any(count.shape != self.scores.shape for count in counts) or self.lengths.sum() < 1:
            raise WsvadError(
                f"{self.video}: {len(self.scores)} scores do not match the lengths of {len(self.lengths)} snippets "
                f"of {self.lengths.sum()} frames; score this video again"
            )

    @classmethod
    def of(cls, video: LabelledVideo, scores_T: np.ndarray, clock: SnippetClock) -> "Curve":
        """Put a video's snippet scores beside its truth.

        The truth takes the length of the video as it was scored: annotated frames beyond are dropped, frames
        that the annotation lacks are normal (the length rule, section 1.1). One snippet of difference is a matter of
        tail policies and decoders; more means that scores and truth are not of the same video.

        Args:
            video: its label, category and intervals.
            scores_T: `(T,)`.
            clock: which frames of the video each of them stands for.

        Raises:
            WsvadError: scores, frames and annotation differ by more than a snippet, or a score is NaN.
        """
        scores = np.asarray(scores_T)
        frames, stride = clock.frames, clock.stride
        check_length(video, frames)
        counted = clock.borders is not None or abs(len(scores) * stride - frames) <= max(stride, SNIPPET)
        if not len(scores) or len(scores) != clock.snippets or not counted:
            raise WsvadError(
                f"{video.name}: {len(scores)} scores of {stride} frames do not fit a video of {frames} frames; "
                "extract its features again"
            )
        intervals = truth(video)
        positives = None if intervals is None else positive_frames(intervals, clock.edges)
        return cls(
            video=video.name,
            scores=scores,
            lengths=clock.lengths,
            positives=positives,
            label=video.label,
            category=video.category,
            events=None if intervals is None else inside(intervals, frames),
            times=clock.seconds(),
            filmed=clock.filmed,
        )

    @property
    def abnormal_frames(self) -> int:
        """How many of its frames are abnormal, as far as is known."""
        return 0 if self.positives is None else int(self.positives.sum())

    @property
    def peak(self) -> float:
        """The video's score: its highest."""
        return float(self.scores[self.lengths > 0].max())

    @property
    def mean(self) -> float:
        """Mean score of its frames. Exact for a constant score, so that equal constants stay ties."""
        scores = self.scores.astype(np.float64)
        return float(scores[0] + (scores - scores[0]) @ self.lengths / self.lengths.sum())

    @property
    def frame_scores(self) -> np.ndarray:
        """`(F,)`: each frame's score."""
        return np.repeat(self.scores, self.lengths)


def truth(video: LabelledVideo) -> list[tuple[int, int]] | None:
    """A video's abnormal intervals; none for a normal video, None for an abnormal one that nobody annotated."""
    if video.label == 0:
        return []
    return None if video.intervals is None else [(interval.start, interval.end) for interval in video.intervals]


def inside(intervals: Sequence[tuple[int, int]], frames: int) -> tuple[tuple[int, int], ...]:
    """The part of each interval that lies in a video of so many frames; those that lie beyond it are left out."""
    clipped = ((max(start, 0), min(end, frames)) for start, end in intervals)
    return tuple((start, end) for start, end in clipped if start < end)


def check_length(video: LabelledVideo, frames: int) -> None:
    """Compare a scored video's length with its annotation's.

    Raises:
        WsvadError: they differ by more than one snippet of 16 frames.
    """
    if video.frames is not None and abs(video.frames - frames) > SNIPPET:
        raise WsvadError(
            f"{video.name}: scored over {frames} frames but annotated over {video.frames}, more than a snippet apart; "
            "use the video, frame rate and annotation that belong together"
        )


def evaluate(curves: Sequence[Curve]) -> dict[str, float]:
    """The numbers of a results table, as fractions; NaN where one is undefined.

    Frames count alike whichever video they are from (section 3.1): no mean over videos, no normalisation of scores.
    Videos whose truth is unknown are left out of the frame metrics; video AUC needs labels only.

    Returns:
        auc: frame AUC over all videos (3.1).
        ap: frame average precision, step-wise (3.3).
        ap_trapezoid: the same by the trapezoid rule, as some published code has it (3.3).
        auc_abnormal, ap_abnormal: over the videos with at least one abnormal frame, AUC_A and AP_A (3.2, 3.3).
        video_auc: each video's highest score against its label.
        far: share of normal videos' frames that score 0.5 or more (3.4).
        auc_constant: frame AUC when each video's frames all get its mean score. What `auc` has beyond it, it owes to
            finding *when*.
    """
    known = [curve for curve in curves if curve.positives is not None]
    score, positives, negatives = _frames(known)
    abnormal_frames = np.array([curve.abnormal_frames for curve in known], dtype=np.int64)
    normal_frames = np.array([curve.lengths.sum() for curve in known], dtype=np.int64) - abnormal_frames
    in_abnormal = np.repeat(abnormal_frames > 0, [len(curve.scores) for curve in known])

    ranking = Ranking(score)
    true_above, false_above = ranking.above(positives), ranking.above(negatives)
    abnormal_false_above = ranking.above(np.where(in_abnormal, negatives, 0))

    labelled = [curve for curve in curves if _label(curve) is not None]
    labels = np.array([_label(curve) for curve in labelled], dtype=np.int64)
    normal = [curve for curve in labelled if _label(curve) == 0]
    return {
        "auc": auc_below(true_above, false_above),
        "ap": step_below(true_above, false_above),
        "ap_trapezoid": trapezoid_below(true_above, false_above),
        "auc_abnormal": auc_below(true_above, abnormal_false_above),
        "ap_abnormal": step_below(true_above, abnormal_false_above),
        "video_auc": roc_auc(np.array([curve.peak for curve in labelled]), labels, 1 - labels),
        "far": false_alarm_rate(_join([curve.scores for curve in normal]), _join([curve.lengths for curve in normal])),
        "auc_constant": roc_auc(np.array([curve.mean for curve in known]), abnormal_frames, normal_frames),
    }


def per_category(curves: Sequence[Curve]) -> dict[str, float]:
    """Frame AUC over the abnormal videos of each category (section 3.6), by the category's name.

    Papers do not print their definition; this one leaves normal videos out, as UR-DMU's code does. A video with several
    categories belongs to each of them. With two or three videos in a category its number is noise.
    """
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve.positives is not None and _label(curve) == 1:
            for category in names_of(curve.category):
                groups.setdefault(category, []).append(curve)
    return {category: roc_auc(*_frames(groups[category])) for category in sorted(groups)}


def _label(curve: Curve) -> int | None:
    if curve.label is None and curve.positives is not None:
        return int(curve.abnormal_frames > 0)
    return curve.label


def _frames(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, positive and negative frames of all snippets of curves whose truth is known, one after the other."""
    positives = _join([curve.positives for curve in curves if curve.positives is not None])
    negatives = _join([curve.lengths for curve in curves]) - positives
    return _join([curve.scores for curve in curves]), positives, negatives


def _join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
