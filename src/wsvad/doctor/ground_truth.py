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
from wsvad.video.clock import SNIPPET, positive_frames

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
    moved = _moved(labels, dataset.test, totals)
    moved = f"{moved}; " if moved else ""
    length = f"{len(labels) - totals[rule]:+,} frames compared with {rule}" if near else f"lengths are {rule}"
    first = next(iter(odd))
    return [
        Finding(
            kind="truth differs",
            level="wrong",
            videos=tuple(odd),
            message=f"{counted}; {length}; {moved}first video that differs: {first}, {odd[first]}; "
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
    odd = {}
    for video, end, length in zip(videos, ends, lengths, strict=True):
        expected = _expected(video, length, READINGS[reading])
        found = labels[end - length : end]
        if len(found) != length or (found != expected).any():
            odd[video.name] = _difference(found, expected)
            if ends[-1] != len(labels):
                break
    return odd


def _expected(video: LabelledVideo, length: int, reading: tuple[int, int]) -> np.ndarray:
    """A video's labels under a reading of its intervals."""
    shifted = [(start + reading[0], stop + reading[1]) for start, stop in truth(video) or ()]
    return positive_frames(shifted, np.arange(length + 1))


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    """Where a video's labels are not the annotation's, in numbers that differ."""
    if found.sum() != expected.sum():
        return f"{int(found.sum()):,} abnormal frames where the annotation has {int(expected.sum()):,}"
    if len(found) != len(expected):
        return f"{len(found):,} frames are left where it has {len(expected):,}"
    first = int((found != expected).argmax())
    words = ("normal", "abnormal")
    return f"frame {first:,} is {words[int(found[first])]} where it is annotated as {words[int(expected[first])]}"


def _moved(labels: np.ndarray, videos: Sequence[LabelledVideo], totals: Mapping[str, int]) -> str:
    """Whether the array is a right one but for a shift as a whole, or for the order of its videos; else nothing."""
    for rule, total in totals.items():
        if abs(total - len(labels)) > SNIPPET:
            continue
        for reading, change in READINGS.items():
            each = {video.name: _expected(video, RULES[rule](video.frames or 0), change) for video in videos}
            as_read = "" if reading == "[s, e)" else f", intervals read as {reading}"
            if shift := _shift(labels, np.concatenate(list(each.values()))):
                by = f"{abs(shift)} frame{'s' * (abs(shift) > 1)} too {'late' if shift > 0 else 'early'}"
                return f"the labels are right but stand {by} as a whole{as_read}"
            if total == len(labels) and (order := _order(labels, videos, each)):
                return f"the labels are right but the videos are in another order, {order}{as_read}"
    return ""


def _shift(labels: np.ndarray, expected: np.ndarray) -> int:
    """Frames by which labels stand late in an array, early where negative; 0 where no shift explains them."""
    for shift in (sign * frames for frames in range(1, SNIPPET + 1) for sign in (1, -1)):
        ours, theirs = expected[max(0, -shift) :], labels[max(0, shift) :]
        common = min(len(ours), len(theirs))
        if (ours[:common] == theirs[:common]).all():
            return shift
    return 0


def _order(labels: np.ndarray, videos: Sequence[LabelledVideo], each: Mapping[str, np.ndarray]) -> str:
    """The order that an array has its videos in, as it is called; empty where it is not one of them all."""
    names = list(each)
    abnormal = {video.name for video in videos if video.label}
    orders = {
        "by their names": sorted(names),
        "by their names in lower case": sorted(names, key=str.lower),
        "the abnormal ones first": sorted(names, key=lambda name: name not in abnormal),
        "the normal ones first": sorted(names, key=lambda name: name in abnormal),
        "the abnormal ones first, by their names": sorted(names, key=lambda name: (name not in abnormal, name)),
        "the normal ones first, by their names": sorted(names, key=lambda name: (name in abnormal, name)),
        "the last one first": names[::-1],
    }
    for order, those in orders.items():
        if (np.concatenate([each[name] for name in those]) == labels).all():
            return order
    ours, theirs = _lengths(np.concatenate(list(each.values()))), _lengths(labels)
    # An event that is elsewhere in its video leaves the sequence as it is; other labels have other lengths.
    return "which no list here has" if sorted(ours) == sorted(theirs) and ours != theirs else ""


def _lengths(labels: np.ndarray) -> list[int]:
    """How long each run of abnormal frames is, in their order."""
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0))
    return [int(length) for length in edges[1::2] - edges[::2]]
