"""Whether the frames that a number was measured on are those that published numbers were (specification 1.1).

Each function gives sentences for the terminal. A difference names the first video that differs.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import Bag, Dataset, LabelledVideo
from wsvad.datasets.open import benchmark_of
from wsvad.evaluation.curves import Curve, evaluate, truth
from wsvad.evaluation.scores_file import ScoresFile, VideoScores, curves_from_scores_file
from wsvad.video.clock import SNIPPET, TAILS, positive_frames

RULES: dict[str, Callable[[int], int]] = {
    "every frame": lambda frames: frames,
    "⌊F/16⌋·16": lambda frames: SNIPPET * TAILS["⌊F/16⌋"](frames),
    "⌈F/16⌉·16": lambda frames: SNIPPET * TAILS["⌈F/16⌉"](frames),
    "(⌊F/16⌋+1)·16": lambda frames: SNIPPET * TAILS["⌊F/16⌋+1"](frames),
    "⌊(F−1)/16⌋·16": lambda frames: SNIPPET * TAILS["⌊(F−1)/16⌋"](frames),
    "F−1, the last frame left out": lambda frames: frames - 1,
}
"""How many frames of a video of F frames are measured, the usual ways first."""
READINGS = {"[s, e)": (0, 0), "[s, e]": (0, 1), "[s−1, e)": (-1, 0), "[s−1, e−1)": (-1, -1)}
"""How published labels read an interval of the annotation: what is added to its start and its end."""


def introduce(dataset: Dataset) -> list[str]:
    """A published dataset's splits and check totals, beside the official ones; nothing for another dataset."""
    benchmark = benchmark_of(dataset)
    if benchmark is None:
        return []
    said = [_splits(dataset, benchmark), *_categories(dataset, benchmark)]
    unknown = [video.name for video in dataset.test if video.frames is None]
    if unknown:
        return [
            *said,
            f"{benchmark.name}: the lengths of {len(unknown)} of {len(dataset.test)} test videos are not "
            f"annotated (first {unknown[0]}), so the features' lengths are used; add frames.csv (video,frames) "
            f"to check totals",
        ]
    counted = []
    for rule in list(RULES)[:3]:
        found = _annotated(rule, dataset.test)
        same = next((total for total in benchmark.totals if _equal(total, found)), None)
        counted.append(f"{_in_words(found)} as {rule}" + (f" (published: {same.name})" if same else ""))
    if benchmark.totals and not any("published" in sentence for sentence in counted):
        nearest = _nearest(benchmark.totals, sum(video.frames or 0 for video in dataset.test))
        counted.append(f"none is published, the nearest is {nearest.frames:,} ({nearest.name})")
    return [*said, f"{benchmark.name}: test frames {'; '.join(counted)}"]


def check_totals(dataset: Dataset, curves: Sequence[Curve]) -> list[str]:
    """What was measured, beside the published totals; where it fits none of them, the first video that differs."""
    benchmark = benchmark_of(dataset)
    known = [curve for curve in curves if curve.positives is not None]
    if benchmark is None or not known:
        return []
    lengths = {curve.video: int(curve.lengths.sum()) for curve in known}
    found = _totals(known)
    sentence = f"{benchmark.name}: measured on {_in_words(found)}"
    same = [total for total in benchmark.totals if _equal(total, found)]
    if same:
        return [f"{sentence}: as published ({same[0].name})"]
    rule, odd = departing(dataset.test, lengths)
    nearest = _nearest(benchmark.totals, found.frames) if benchmark.totals else None
    if nearest:
        sentence += f"; {_beside(nearest, found)}"
    if odd:
        name, expected = odd[0]
        others = f" ({len(odd)} such)" if len(odd) > 1 else ""
        sentence += (
            f"; first video that differs: {name}, {lengths[name]:,} frames where {rule} gives {expected:,}{others}"
        )
    elif rule:
        sentence += f"; every video follows {rule}"
    return [sentence]


def check_bags(dataset: Dataset, bags: Sequence[Bag]) -> list[str]:
    """As `check_totals`, of the test bags before anything is scored."""
    if benchmark_of(dataset) is None:
        return []
    scores = [np.zeros(bag.snippets) for bag in bags]
    return check_totals(dataset, [Curve.of(v, s, b.clock) for v, s, b in zip(dataset.test, scores, bags, strict=True)])


def departing(videos: Sequence[LabelledVideo], lengths: Mapping[str, int]) -> tuple[str | None, list[tuple[str, int]]]:
    """The rule by which most videos have their length, and the videos that do not follow it with what it gives them.

    Where frame counts are not annotated, the only rule that can be seen is that lengths are whole snippets.
    """
    frames = {v.name: v.frames for v in videos if v.frames is not None and v.name in lengths}
    if not frames:
        whole = "whole snippets of 16 frames"
        odd = [(name, RULES["⌈F/16⌉·16"](n)) for name, n in lengths.items() if n % SNIPPET]
        return (whole, odd) if 2 * len(odd) < len(lengths) else (None, [])
    expected = {name: {video: rule(n) for video, n in frames.items()} for name, rule in RULES.items()}
    fits = {name: sum(lengths[video] == n for video, n in each.items()) for name, each in expected.items()}
    best = max(fits, key=lambda name: fits[name])  # the first of equals
    if 2 * fits[best] < len(frames):
        return None, []
    return best, [(video, n) for video, n in expected[best].items() if lengths[video] != n]


def explain_labels(scores: ScoresFile, dataset: Dataset) -> list[str]:
    """How the labels in a scores file differ from a dataset's intervals, in one sentence; nothing where they do not."""
    both = [
        (video, scores[video.name], intervals)
        for video in dataset.test
        if video.name in scores and (intervals := truth(video)) is not None
    ]
    if not both or any(stored.label is None for _, stored, _ in both):
        return []
    apart = {reading: [_apart(stored, intervals, *shift) for _, stored, intervals in both] for reading, shift in
             READINGS.items()}  # fmt: skip
    here = apart["[s, e)"]
    if not sum(here):
        return []
    best = min(apart, key=lambda reading: sum(apart[reading]))
    frames = sum(len(stored.score) for _, stored, _ in both)
    first = next(video.name for (video, _, _), n in zip(both, here, strict=True) if n)
    theirs, ours = (evaluate(curves_from_scores_file(scores, data))["auc"] for data in (None, dataset))
    rest = f" and {sum(apart[best]):,} more frames differ" if sum(apart[best]) else ""
    why = f"they read intervals as {best}, not [s, e){rest}" if best != "[s, e)" else "no common convention explains it"
    rule, _ = departing(dataset.test, {video.name: len(stored.score) for video, stored, _ in both})
    ends = f"; each video has {rule}" if rule and rule.startswith("F−1") else ""
    aucs = f"AUC with them {100 * theirs:.2f}, with the intervals {100 * ours:.2f}"
    if f"{100 * theirs:.2f}" == f"{100 * ours:.2f}":
        aucs = f"AUC is {100 * ours:.2f} with either"
    return [
        f"labels in the file differ from the intervals of {dataset.name} in {sum(here):,} of {frames:,} frames (first "
        f"{first}): {why}{ends}; {aucs}"
    ]


def headline(dataset: Dataset | None) -> str | None:
    """The metric that papers print for this dataset."""
    benchmark = benchmark_of(dataset) if dataset else None
    return benchmark.headline if benchmark else None


# ------------------------------------------------------------------------------------------------------------ parts


def _apart(stored: VideoScores, intervals: Sequence[tuple[int, int]], before: int, after: int) -> int:
    """Frames whose stored label is not the one that a reading of the intervals gives."""
    frames = len(stored.score)
    shifted = [(start + before, end + after) for start, end in intervals]
    return int((positive_frames(shifted, np.arange(frames + 1)) != stored.label).sum())


def _splits(dataset: Dataset, benchmark: Benchmark) -> str:
    parts, right = [], True
    for split, videos in (("train", dataset.train), ("test", dataset.test)):
        abnormal = sum(video.label for video in videos)
        found = (abnormal, len(videos) - abnormal)
        official = benchmark.split["train" if split == "train" else "test"]
        part = f"{split} {len(videos):,} = {found[0]:,} abnormal + {found[1]:,} normal"
        if found != official and (videos or split == "test"):
            part += f" (official {official[0]:,} + {official[1]:,})"
            right = False
        parts.append(part)
    return f"{benchmark.name}: {', '.join(parts)}: {'the official split' if right else 'not the official split'}"


def _categories(dataset: Dataset, benchmark: Benchmark) -> list[str]:
    """The categories whose number of videos is not the published one."""
    said = []
    for category, official in benchmark.per_category.items():
        for videos, count, split in ((dataset.train, official[0], "training"), (dataset.test, official[1], "test")):
            found = sum(video.category == category for video in videos)
            if videos and found != count:
                said.append(f"{benchmark.name}: {found} {split} videos of {category}, officially {count}")
    return said


def _annotated(name: str, videos: Sequence[LabelledVideo]) -> Totals:
    """Totals of the annotation under one rule."""
    frames = [RULES[name](video.frames or 0) for video in videos]
    positives = [
        int(positive_frames(intervals, np.array([0, n])).sum()) if n and (intervals := truth(video)) is not None else 0
        for video, n in zip(videos, frames, strict=True)
    ]
    inside = sum(n for n, positive in zip(frames, positives, strict=True) if positive)
    return Totals(name=name, frames=sum(frames), abnormal=sum(positives), in_abnormal=inside)


def _totals(curves: Sequence[Curve]) -> Totals:
    frames = np.array([int(curve.lengths.sum()) for curve in curves])
    abnormal = np.array([curve.abnormal_frames for curve in curves])
    return Totals(
        name="measured",
        frames=int(frames.sum()),
        abnormal=int(abnormal.sum()),
        in_abnormal=int(frames[abnormal > 0].sum()),
    )


def _in_words(totals: Totals) -> str:
    abnormal = totals.abnormal or 0
    return f"{totals.frames:,}, {abnormal:,} abnormal ({100 * abnormal / max(totals.frames, 1):.2f} %)"


def _equal(published: Totals, found: Totals) -> bool:
    """As far as is published."""
    pairs = ((published.abnormal, found.abnormal), (published.in_abnormal, found.in_abnormal))
    return published.frames == found.frames and all(a is None or a == b for a, b in pairs)


def _beside(nearest: Totals, found: Totals) -> str:
    """Where what was measured parts from the nearest published totals."""
    told = f"the nearest published is {nearest.frames:,} ({nearest.name})"
    if nearest.frames != found.frames:
        return f"{told}, {found.frames - nearest.frames:+,}"
    if nearest.abnormal is not None and nearest.abnormal != found.abnormal:
        return f"{told}, but {nearest.abnormal:,} of them are abnormal there; intervals or their reading differ"
    return f"{told}, but {nearest.in_abnormal or 0:,} of them are in abnormal videos there; other videos are abnormal"


def _nearest(totals: Sequence[Totals], frames: int) -> Totals:
    return min(totals, key=lambda total: abs(total.frames - frames))
