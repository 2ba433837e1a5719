"""`wsvad audit`: which training videos of a run have a label that is contradicted by what they show.

The labels are those that the run learned from, the evidence is in its features: every video is judged by fits that have
not seen it (`wsvad.doctor.labels`). The run itself is not changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.folder import NONE, truth_of
from wsvad.datasets.open import folder_of, open_dataset
from wsvad.datasets.words import is_category
from wsvad.doctor.labels import CLAIMED, DOUBTED, SURE, Judgement, judge
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.certainty import ENOUGH
from wsvad.features.segments import bin_average
from wsvad.features.source import open_features
from wsvad.metrics.bootstrap import auc_interval, draw, resampled_auc
from wsvad.metrics.frame import roc_auc
from wsvad.progress import track
from wsvad.runs.folder import RunFolder
from wsvad.tables import write_table
from wsvad.video.clock import SnippetClock

SEGMENTS, FEWEST_SEGMENTS = 32, 4
"""Longer videos are averaged to so many, which bounds memory; a moment is found to that part of the video."""
SNIPPETS = 2**16
"""Of all videos together: of more than 2,048 videos each has fewer segments."""
SHOWN = 12
"""Videos that a table and a page show at least."""
LABELS = ("normal", "abnormal")


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A training video with its label, as it was judged."""

    video: str
    label: int
    category: str
    wrong: float
    """Chance that the label is wrong, see `wsvad.doctor.labels`."""
    moment: float | None
    """Seconds at which it looks most abnormal; None where its frame rate is not known."""
    span: tuple[float, float] | None
    """Seconds at which the video begins and ends, where they are known."""
    path: Path | None
    """The file; None where it is not there."""
    rate: Fraction | None = None
    """Frames per second at which it was read, which a raw stream may not say."""

    @property
    def contradicted(self) -> bool:
        return self.wrong >= CLAIMED

    @property
    def words(self) -> str:
        """The label and what speaks against it."""
        return f"labelled {LABELS[self.label]}, looks {LABELS[1 - self.label]}"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found."""

    run: Path
    data: str
    """The dataset's name."""
    videos: tuple[Audited, ...]
    """All training videos, the most suspicious first."""
    judgement: Judgement
    """Of all of them together."""
    verdict: tuple[str, ...]
    """What it comes to, for a reader."""
    rows: tuple[tuple[Any, ...], ...]
    """Of a labels.csv of all videos, as `write_labels` writes it."""
    intervals: Path | None
    """The intervals of the test videos, to be given with a labels.csv that lies elsewhere; None without any."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict, and how far it can be trusted."""
        return self.verdict + self.judgement.quality

    @property
    def shown(self) -> tuple[Audited, ...]:
        """Those worth a look: `SHOWN` at least, and as far as there are doubtful ones."""
        doubtful = [place for place, video in enumerate(self.videos, 1) if video.wrong >= DOUBTED]
        return self.videos[: max([SHOWN, *doubtful])]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        judged = self.judgement
        return {
            "run": str(self.run),
            "sentences": list(self.sentences),
            "auc": judged.auc,
            "interval": list(judged.interval),
            "p_guessing": judged.p,
            "p_worse": judged.p_worse,
            "no_wrong_label": judged.clean,
            "found_of_planted": judged.found,
            "p_inverted": judged.p_inverted,
            "videos": [
                {
                    "video": one.video, "label": one.label, "category": one.category, "wrong": one.wrong,
                    "contradicted": one.contradicted, "moment": one.moment,
                }
                for one in self.videos
            ],
        }  # fmt: skip


def audit(run: Path, seed: int = 0) -> Audit:
    """Judge the labels that a run learned from.

    Args:
        run: a finished run, whose features are still there.
        seed: of folds and draws.

    Raises:
        UsageError: the run did not record its training videos, or there are too few of them.
        WsvadError: features are missing or broken.
    """
    folder = RunFolder(run)
    record = folder.fingerprint()
    if not folder.exists:
        raise UsageError(f"{run}: there is no run here; name the folder that 'wsvad train' wrote")
    if not record.get("training"):
        raise UsageError(f"{run}: did not record its training videos, so their labels are not known; train again")
    settings = folder.read_settings()
    dataset, features = _dataset(folder, settings), Path(settings.get("features", folder.features))
    # A run that was moved takes the features in it along.
    features = folder.features if folder.features.is_dir() and not features.exists() else features
    known = {video.name: video for video in dataset.videos} if dataset else {}
    videos = [_video(name, one, "train", known) for name, one in record["training"].items()]
    tested = [_video(name, one, "test", known) for name, one in record["test"].items()]
    # Videos that could not be read keep their rows, or the labels would not fit the folder any more.
    others = [video for name, video in known.items() if name not in record["training"] | record["test"]]
    x, clocks = _snippets(videos, features, list(record["features"]))
    judged = judge(x, np.array([video.label for video in videos]), seed=seed)
    each = [
        Audited(
            video=video.name, label=video.label, category=video.category, wrong=float(judged.wrong[i]),
            moment=_moment(clocks[i], judged.peaks[i], len(x[i])), span=_span(clocks[i]), path=video.path,
            rate=clocks[i].rate,
        )
        for i, video in enumerate(videos)
    ]  # fmt: skip
    labels = {video.name: video.label for video in tested}
    order = np.argsort(-judged.suspicion, kind="stable").tolist()
    ranked = tuple(each[i] for i in order)
    return Audit(
        run=run,
        data=str(settings.get("data", run.name)),
        videos=ranked,
        judgement=judged,
        verdict=(*judged.verdict, *_against_test(labels, _tested(folder, settings, labels))),
        intervals=_intervals(settings.get("source", {})),
        rows=(*(_row(videos[i], each[i].wrong) for i in order), *(_row(video) for video in (*tested, *others))),
    )


def verdict_of(
    videos: Sequence[LabelledVideo],
    features: Path,
    streams: Sequence[str],
    test: Mapping[str, int],
    scores: Mapping[str, np.ndarray],
) -> tuple[str, ...]:
    """What an audit comes to, of a run that is not finished yet; nothing where there cannot be one.

    Args:
        videos: it learned from.
        features: where their streams are.
        test: label of each test video.
        scores: of each of them, by the run.
    """
    try:
        x, _ = _snippets(videos, features, streams)
        judged = judge(x, np.array([video.label for video in videos]))
    except WsvadError:
        return ()
    return (*judged.verdict, *_against_test(test, scores))


def write_labels(path: Path, found: Audit) -> None:
    """Write a labels.csv of the run's videos, the most suspicious first, with the chance that a label is wrong; after
    corrections it is for `wsvad train --labels`. The category is the label, so that one cell need be changed; a
    category that no label can be has a column of its own."""
    write_table(path, ("video", "label", "category", "split", "frames", "camera", "wrong"), found.rows)


# ------------------------------------------------------------------------------------------------------------ inside


def _dataset(folder: RunFolder, settings: dict[str, Any]) -> Dataset | None:
    """What is known beside labels, above all where the files are; None where the data is gone or has changed."""
    if not settings.get("source"):
        return None
    try:
        return open_dataset(**settings["source"], **folder.division(), need_training=False)
    except WsvadError:
        return None


def _intervals(source: dict[str, str]) -> Path | None:
    """What has to be given as --intervals with a labels.csv that lies elsewhere."""
    if not source:
        return None
    if source.get("intervals") == NONE:
        return Path(NONE)
    return truth_of(folder_of(source["folder"]), source.get("labels"), source.get("intervals"))


def _video(name: str, record: dict[str, Any], split: Any, known: dict[str, LabelledVideo]) -> LabelledVideo:
    """With the label that the run learned from."""
    there = known.get(name)
    return LabelledVideo(
        name=name, label=record["label"], category=record["category"], split=split,
        path=there.path if there else None, frames=there.frames if there else None,
        camera=there.camera if there else None,
    )  # fmt: skip


def _row(video: LabelledVideo, wrong: float | None = None) -> tuple[Any, ...]:
    """Of `write_labels`."""
    label, category = ("abnormal" if video.label else "normal"), ""
    if video.label and video.category:
        label, category = (video.category, "") if is_category(video.category) else (label, video.category)
    chance = "" if wrong is None else f"{wrong:.2f}"
    return video.name, label, category, video.split, "" if video.frames is None else video.frames, video.camera, chance


def _snippets(
    videos: Sequence[LabelledVideo], features: Path, streams: Sequence[str]
) -> tuple[list[np.ndarray], list[SnippetClock]]:
    """Features of each video, `(T, D)` of all streams side by side, crops averaged; and the clocks."""
    found, clocks = [], []
    most = min(SEGMENTS, max(FEWEST_SEGMENTS, SNIPPETS // max(len(videos), 1)))
    for bag in track(load_bags(videos, open_features(features), streams), "read", total=len(videos)):
        parts = [stream.float().numpy() for stream in bag.streams.values()]
        x = np.concatenate([part.mean(0) if part.ndim == 3 else part for part in parts], axis=-1)
        found.append(bin_average(x, most) if len(x) > most else x)
        clocks.append(bag.clock)
    return found, clocks


def _moment(clock: SnippetClock, peak: int, parts: int) -> float | None:
    """The middle of the peak, in seconds."""
    times = clock.seconds()
    if times is None:
        return None
    place = (peak + 0.5) * clock.snippets / parts
    return float(np.interp(place, np.arange(len(times)), times))


def _span(clock: SnippetClock) -> tuple[float, float] | None:
    times = clock.seconds()
    return None if times is None else (float(times[0]), float(times[-1]))


def _tested(folder: RunFolder, settings: dict[str, Any], test: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Scores of a run's test videos; nothing of a run that was extended, which keeps no fits."""
    first = folder.seed(settings.get("protocol", {}).get("first_seed", 0))
    if folder.under_way or not first.has_model:
        return {}
    return {name: one.scores for name, one in first.read_point(first.points()[-1]).items() if name in test}


def _against_test(test: Mapping[str, int], scores: Mapping[str, np.ndarray]) -> list[str]:
    """What the detector's own test videos say of the training labels, where they speak against them.

    A video counts by its mean score: one that was taught that the event is normal scores it low, and the rest of the
    video as any other.
    """
    score = np.array([one.mean() for one in scores.values()])
    label = np.array([test[name] for name in scores])
    abnormal, normal = int((label == 1).sum()), int((label == 0).sum())
    if min(abnormal, normal) < ENOUGH:
        return []
    resampled = resampled_auc(score, label, 1 - label, np.arange(len(label)), draw(len(label)))
    low, high = auc_interval(resampled, abnormal, normal, SURE)
    if high >= 0.5:
        return []
    return [
        f"The detector gives abnormal test videos lower scores than normal ones (AUC of the mean score "
        f"{100 * roc_auc(score, label, 1 - label):.0f}, 95 % interval {100 * low:.0f} to {100 * high:.0f}). The "
        "training labels contradict the test labels: is one of the two inverted?"
    ]
