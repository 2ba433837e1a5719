"""What a run was made from, and what is different when the same command comes back to changed data.

A fingerprint is plain JSON:

    training    video → label, category, camera (null where it is not known), and for each stream a hash of what it was
                made from, in list order
    test        the same without camera, with the frames, intervals and events that results are measured against
    features    stream → how its features were made (`Passport.identity`)
    teacher, core    hashes of the weights that were taken over, null where there are none
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.features.source import FeatureSource
from wsvad.metrics.interval import Interval

SHOWN = 3
"""Videos that a sentence names; of the others it says how many there are."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is different, in sentences, and how much of a run it concerns."""

    sentences: tuple[str, ...] = ()
    training: bool = False
    """Other training data: everything is trained again."""
    tested: bool = False
    """Test videos without scores: they are scored at every point of a fit, so the fits are repeated."""
    truth: bool = False
    """The same test videos, or fewer, with another truth: results are measured again."""


def fingerprint_of(
    dataset: Dataset,
    source: FeatureSource,
    *,
    learns_from: Collection[str],
    runs_on: Collection[str],
    passports: Mapping[str, Mapping[str, Any]],
    teacher: str | None = None,
    core: str | None = None,
) -> dict[str, Any]:
    """The fingerprint of a run on a dataset with these streams."""
    return {
        "training": {
            video.name: _video(video, source, learns_from) | {"camera": video.camera} for video in dataset.train
        },
        "test": {video.name: _video(video, source, runs_on) | _truth(video) for video in dataset.test},
        "features": dict(passports),
        "teacher": teacher,
        "core": core,
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Compare two fingerprints."""
    training = _compared("training", before["training"], now["training"])
    training += [
        f"the {stream} features are made differently"
        for stream, passport in now["features"].items()
        if before["features"].get(stream) != passport
    ]
    training += [f"the {what} has changed" for what in ("teacher", "core") if before.get(what) != now.get(what)]
    if not training and list(before["training"]) != list(now["training"]):
        training = ["the training videos are listed in a different order"]
    tested = _compared("test", before["test"], now["test"], ("added", "replaced"))
    truth = _compared("test", before["test"], now["test"], ("removed", "changed"))
    if not tested + truth and list(before["test"]) != list(now["test"]):
        truth = ["the test videos are listed in a different order"]
    return Changes(
        sentences=(*training, *tested, *truth), training=bool(training), tested=bool(tested), truth=bool(truth)
    )


def _video(video: LabelledVideo, source: FeatureSource, streams: Collection[str]) -> dict[str, Any]:
    content = {name: source.content(video.name, name) for name in streams if source.has(video.name, name)}
    return {"label": video.label, "category": video.category, "content": content}


def _truth(video: LabelledVideo) -> dict[str, Any]:
    return {"frames": video.frames, "intervals": _listed(video.intervals), "events": _listed(video.events)}


def _listed(intervals: Sequence[Interval] | None) -> list[list[Any]] | None:
    return None if intervals is None else [[one.start, one.end, one.category] for one in intervals]


def _compared(
    split: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    which: Sequence[str] = ("added", "removed", "replaced", "changed"),
) -> list[str]:
    """Sentences about the videos of one split, of these sorts."""
    both = [name for name in now if name in before]
    replaced = [name for name in both if before[name]["content"] != now[name]["content"]]
    found = {
        "added": [f"{name} ({_words(now[name])})" for name in now if name not in before],
        "removed": [name for name in before if name not in now],
        "replaced": replaced,
        "changed": [
            f"{name} ({', '.join(_differences(before[name], now[name]))})"
            for name in both
            if _differences(before[name], now[name])
        ],
    }
    return [f"{_count(len(found[sort]), split)} {sort}: {_named(found[sort])}" for sort in which if found[sort]]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is known otherwise of the same video."""
    words = []
    for key, value in now.items():
        if key != "content" and before.get(key) != value:
            short = key in ("intervals", "events")
            words.append(f"other {key}" if short else f"{key} {before.get(key)} → {value}")
    return words


def _words(video: Mapping[str, Any]) -> str:
    return "normal" if not video["label"] else str(video["category"])


def _count(number: int, split: str) -> str:
    return f"{number} {split} video{'' if number == 1 else 's'}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
