"""The scores file: frame scores of many videos, for comparing systems without their features.

In `.npz`, the form in which we write it (`score_forms` has the others), `video` holds N names, `frames` N lengths,
`score` the frame scores of all videos one after the other, and `label`, which may be missing, their truth (0 or 1). A
system that distinguishes categories of anomaly adds `class_score`, K numbers a frame, and `categories`, K names, of
which one may be "normal".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import WsvadError
from wsvad.evaluation.classes import NORMAL, Classes, Compat, beside_truth
from wsvad.evaluation.curves import Curve, check_length, inside, truth
from wsvad.evaluation.score_forms import load_arrays, save_arrays
from wsvad.video.clock import SNIPPET, positive_frames
from wsvad.video.names import matched, named, normal, unfit


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoScores:
    """One video in a scores file."""

    score: np.ndarray
    """`(F,)`."""
    label: np.ndarray | None
    """`(F,)`, 1 where a frame is abnormal; None where the file does not say."""
    class_score: np.ndarray | None = None
    """`(F, K)`; None where the file does not say."""
    categories: tuple[str, ...] = ()
    """Names of the K columns."""


class ScoresFile(dict[str, VideoScores]):
    """A scores file that was read: its videos by name, in its order."""

    def __init__(self, path: Path, videos: Mapping[str, VideoScores]):
        super().__init__(videos)
        self.path = path


def write_scores(
    path: Path | str,
    scores: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray] | None = None,
    classes: tuple[Sequence[str], Mapping[str, np.ndarray]] | None = None,
) -> None:
    """Write a scores file.

    Args:
        path: the file; its ending says in which form (`score_forms`).
        scores: each video's `(F,)` frame scores (`Curve.frame_scores`), in the order that they are to be kept in.
        labels: each video's `(F,)` frame labels, 0 or 1.
        classes: K categories, and each video's `(F, K)` frame scores of them.

    Raises:
        WsvadError: the file cannot be written, or would not be read back.
    """
    arrays = {
        "video": np.array(list(scores), dtype=str),
        "frames": np.array([len(score) for score in scores.values()], dtype=np.int64),
        "score": np.concatenate([np.zeros(0, np.float32), *scores.values()]),
    }
    if labels is not None:
        arrays["label"] = np.concatenate([np.zeros(0, np.uint8), *(labels[video] for video in scores)])
    if classes is not None:
        arrays["categories"] = np.array(list(classes[0]), dtype=str)
        arrays["class_score"] = np.concatenate([classes[1][video] for video in scores])
    split(Path(path), arrays)
    save_arrays(Path(path), arrays)


def read_scores(path: Path | str) -> ScoresFile:
    """Read a scores file of any form.

    Raises:
        WsvadError: the file is missing, is not a scores file, or contradicts itself.
    """
    return split(Path(path), load_arrays(Path(path)))


def split(path: Path, arrays: dict[str, np.ndarray]) -> ScoresFile:
    """Check what a scores file holds and cut it into videos."""

    def insist(holds: object, problem: str) -> None:
        if not holds:
            raise WsvadError(f"{path}: {problem}; write the scores file again")

    for key in ("video", "frames", "score"):
        insist(key in arrays, f"has no '{key}'")
    video, frames, score, label = arrays["video"], arrays["frames"], arrays["score"], arrays.get("label")
    kinds = {"video": "U", "frames": "iu", "score": "fiu", "label": "iubf", "class_score": "fiu", "categories": "U"}
    for key, allowed in kinds.items():
        if key in arrays:
            found, wanted = arrays[key], 2 if key == "class_score" else 1
            insist(found.ndim == wanted, f"'{key}' has shape {found.shape}, {wanted} dimension(s) are expected")
            insist(found.dtype.kind in allowed or not found.size, f"'{key}' cannot be of type {found.dtype}")
    insist(video.size, "holds no videos")
    video = np.array([normal(str(name)) for name in video])
    for name in video.tolist():
        insist(not unfit(name), f"the name of a video {unfit(name)}: '{name}'")
    insist(frames.size == video.size, f"{video.size} videos but {frames.size} lengths")
    names, times = np.unique(video, return_counts=True)
    insist(times.max() == 1, f"video '{names[times.argmax()]}' is listed {times.max()} times")
    insist(frames.min() > 0, f"video '{video[frames.argmin()]}' has a length of {frames.min()} frames")
    insist(frames.max() <= score.size, f"a length of {frames.max()} frames, but there are {score.size} scores")
    insist(frames.sum() == score.size, f"lengths add up to {frames.sum()} frames but there are {score.size} scores")
    ends = np.cumsum(frames.astype(np.int64))
    if not np.isfinite(score).all():
        first = np.searchsorted(ends, (~np.isfinite(score)).argmax(), side="right")
        insist(False, f"video '{video[first]}' has scores that are not numbers (NaN or infinity)")
    if label is not None:
        insist(label.size == score.size, f"{label.size} labels but {score.size} scores")
        odd = label[(label != 0) & (label != 1)]
        insist(not odd.size, f"holds a label {odd[0] if odd.size else ''}; only 0 and 1 are allowed")
        label = label.astype(np.uint8)
    classes, categories = _classes(arrays, insist)
    videos = {
        str(name): VideoScores(
            score=score[end - n : end],
            label=None if label is None else label[end - n : end],
            class_score=None if classes is None else classes[end - n : end],
            categories=categories,
        )
        for name, n, end in zip(video, frames.astype(np.int64), ends, strict=True)
    }
    return ScoresFile(path, videos)


def _classes(
    arrays: Mapping[str, np.ndarray], insist: Callable[[object, str], None]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class scores with their names, checked."""
    if not {"class_score", "categories"} & arrays.keys():
        return None, ()
    for key, other in (("class_score", "categories"), ("categories", "class_score")):
        insist(key in arrays, f"has '{other}' but no '{key}'")
    scores, names = arrays["class_score"], [str(name) for name in arrays["categories"]]
    wanted = (arrays["score"].size, len(names))
    insist(scores.shape == wanted, f"'class_score' has shape {scores.shape} instead of {wanted}, frames and categories")
    insist(len(set(names)) == len(names), "two of its categories have the same name")
    insist(not np.isnan(scores).any(), "has class scores that are not numbers (NaN)")
    insist(set(names) - {NORMAL}, "names no category of anomaly")
    return scores, tuple(names)


def of_dataset(scores: ScoresFile, dataset: Dataset) -> ScoresFile:
    """A scores file under the names that its videos have in the dataset, for other systems write `Abuse/X.mp4`, `X.npy`
    or `X__0`. Names that mean no video, or not one alone, stay."""
    means = matched(scores, (video.name for video in dataset.videos))
    return ScoresFile(scores.path, {means.get(name, name): video for name, video in scores.items()})


def of_test_videos(scores: ScoresFile, dataset: Dataset) -> tuple[ScoresFile, int]:
    """A scores file without the dataset's training videos, which a folder that was scored as a whole has as well; and
    how many of them it had."""
    scores, training = of_dataset(scores, dataset), {video.name for video in dataset.train}
    kept = {name: video for name, video in scores.items() if name not in training}
    return ScoresFile(scores.path, kept), len(scores) - len(kept)


def curves_from_scores_file(scores: ScoresFile, dataset: Dataset | None = None) -> list[Curve]:
    """Put the truth beside the scores.

    The truth is the dataset's where a dataset is given and knows it, else the file's own `label`. The dataset's test
    videos and the file's must be the same, and as long up to one snippet (the length rule, section 1.1).

    Raises:
        WsvadError: the file and the dataset differ; the first video to differ is named.
    """
    if dataset is None:
        return [_curve(name, video, None) for name, video in scores.items()]
    scores = of_dataset(scores, dataset)
    listed = _listed(scores, dataset)
    return [_curve(name, video, listed[name]) for name, video in scores.items()]


def classes_from_scores_file(scores: ScoresFile, dataset: Dataset, compat: Compat | None = None) -> Classes | None:
    """The class scores of a scores file beside the dataset's truth; None where it has none.

    Raises:
        WsvadError: as `curves_from_scores_file`; with `compat`, scores that change within a snippet of 16 frames,
            which that evaluator cannot see.
    """
    scores = of_dataset(scores, dataset)
    listed = _listed(scores, dataset)
    class_scores, lengths = [], []
    for name, video in scores.items():
        if video.class_score is None:
            return None
        check_length(listed[name], len(video.score))
        starts = np.append(0, np.flatnonzero((video.class_score[1:] != video.class_score[:-1]).any(1)) + 1)
        if compat:
            if (starts % SNIPPET).any():
                raise WsvadError(
                    f"{scores.path}: class scores of '{name}' change within a snippet of {SNIPPET} frames, "
                    f"which VadCLIP's evaluator does not support; leave --compat out"
                )
            starts = np.arange(0, len(video.score), SNIPPET)
        class_scores.append(video.class_score[starts])
        lengths.append(np.diff(starts, append=len(video.score)))
    categories = next(iter(scores.values())).categories
    return beside_truth(categories, [listed[name] for name in scores], class_scores, lengths)


def _listed(scores: ScoresFile, dataset: Dataset) -> dict[str, LabelledVideo]:
    """The dataset's test videos by name: the same as the file's."""
    listed = {video.name: video for video in dataset.test}
    several: dict[str, list[str]] = {}
    for name in scores:
        several.setdefault(named(name).video, []).append(name)
    if missing := [name for name in listed if name not in scores]:
        if len(those := several.get(named(missing[0]).video, [])) > 1:
            raise WsvadError(
                f"{scores.path}: '{those[0]}' and '{those[1]}' are both of {missing[0]}; give one score a frame, the "
                "mean over the crops"
            )
        raise WsvadError(
            f"{scores.path}: has no scores for {len(missing)} of the {len(listed)} test videos of {dataset.name}, "
            f"first '{missing[0]}'; score all of them"
        )
    if unknown := [name for name in scores if name not in listed]:
        raise WsvadError(
            f"{scores.path}: '{unknown[0]}' is not a test video of {dataset.name} ({len(unknown)} such); "
            "evaluate it on the dataset that it was scored on"
        )
    return listed


def _curve(name: str, video: VideoScores, listed: LabelledVideo | None) -> Curve:
    """A curve with one score for each run of equal frame scores, so that nothing later works on single frames; a long
    run is divided into snippets, so that an alert can go out in it."""
    frames = len(video.score)
    label, events = video.label, None
    if listed is not None:
        check_length(listed, frames)
        intervals = truth(listed)
        if intervals is not None:
            label = positive_frames(intervals, np.arange(frames + 1))
            events = inside(intervals, frames)
    if label is not None and events is None:
        edges = np.flatnonzero(np.diff(label.astype(np.int8), prepend=0, append=0))
        events = tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))
    changes = np.flatnonzero(video.score[1:] != video.score[:-1]) + 1
    starts = np.unique(np.concatenate([np.arange(0, frames, SNIPPET), changes]))
    abnormal = None if label is None else int(label.any())
    return Curve(
        video=name,
        scores=video.score[starts],
        lengths=np.diff(starts, append=frames),
        positives=None if label is None else np.add.reduceat(label, starts, dtype=np.int64),
        label=listed.label if listed is not None else abnormal,
        category=listed.category if listed is not None else ("abnormal" if abnormal else "normal"),
        events=events,
    )
