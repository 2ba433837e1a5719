"""A shipped array of frame labels (`gt.npy`) beside the truth that the annotation gives.

Such arrays are how lengths and labels go wrong unseen, so they are never used; this says whether one is right, and at
which video it first is not.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.doctor.finding import Finding, concerning
from wsvad.errors import WsvadError
from wsvad.evaluation.curves import truth
from wsvad.evaluation.totals import READINGS, RULES
from wsvad.features.official import read_array
from wsvad.video.clock import positive_frames

REMEDY = "evaluate with --data, which takes the truth from the annotation"


def examine_truth(path: Path, dataset: Dataset) -> list[Finding]:
    """Which rule of lengths and which reading of intervals an array follows, and the first video where it does not.

    Args:
        path: one label a frame, all test videos one after the other, in the dataset's order.
        dataset: with the frame counts and intervals of its test videos.

    Raises:
        WsvadError: the array is no labels; a test video has no frame count or no truth.
    """
    labels = _labels(path)
    unknown = [video.name for video in dataset.test if video.frames is None or truth(video) is None]
    if unknown:
        raise WsvadError(
            f"{path}: the length or the truth of {unknown[0]} is not annotated ({len(unknown)} such); add frames.csv "
            "(video,frames) to the dataset's folder"
        )
    totals = {rule: sum(RULES[rule](video.frames or 0) for video in dataset.test) for rule in RULES}
    near = min(abs(total - len(labels)) for total in totals.values())
    candidates = {
        (rule, reading): _odd(labels, dataset.test, rule, reading)
        for rule, total in totals.items()
        for reading in READINGS
        if abs(total - len(labels)) == near
    }
    rule, reading = min(candidates, key=lambda key: len(candidates[key]))
    odd = candidates[rule, reading]
    counted = f"{len(labels):,} frames, {int(labels.sum()):,} abnormal"
    if not odd:
        message = f"{counted}: lengths are {rule}, intervals are read as {reading}"
        return [Finding(kind="truth", level="fine", message=message, remedy="" if reading == "[s, e)" else REMEDY)]
    length = f"{len(labels) - totals[rule]:+,} frames compared with {rule}" if near else f"lengths are {rule}"
    first = next(iter(odd))
    return [
        Finding(
            kind="truth differs",
            level="wrong",
            videos=tuple(odd),
            message=f"{counted}; {length}; first video that differs: {first}, {odd[first]}; "
            f"{concerning(list(odd), len(dataset.test))}",
            remedy=REMEDY,
        )
    ]


def _labels(path: Path) -> np.ndarray:
    labels = np.asarray(read_array(path)).ravel()
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        raise WsvadError(f"{path}: not an array of frame labels, 0 or 1; name a folder of features, or such an array")
    return labels.astype(np.uint8)


def _odd(labels: np.ndarray, videos: Sequence[LabelledVideo], rule: str, reading: str) -> Mapping[str, str]:
    """Videos whose labels are not what a rule and a reading give: name → what is seen. Where the array is too long or
    too short as a whole, those behind the first one are shifted, so it alone is named."""
    lengths = [RULES[rule](video.frames or 0) for video in videos]
    ends = list(accumulate(lengths))
    before, after = READINGS[reading]
    odd = {}
    for video, end, length in zip(videos, ends, lengths, strict=True):
        shifted = [(start + before, stop + after) for start, stop in truth(video) or ()]
        expected = positive_frames(shifted, length, length, stride=1)
        found = labels[end - length : end]
        if len(found) != length or (found != expected).any():
            odd[video.name] = f"{int(found.sum()):,} abnormal frames where the annotation has {int(expected.sum()):,}"
            if ends[-1] != len(labels):
                break
    return odd
