"""`wsvad doctor` and `wsvad compare-features`: which files are looked at, and what is said about them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsvad.datasets.dataset import Dataset
from wsvad.doctor.compare import PIXELS, SNIPPETS, compare
from wsvad.doctor.doctor import Examination, as_crops, crops_shape, examine, of_its_width
from wsvad.doctor.finding import Finding
from wsvad.doctor.ground_truth import examine_truth
from wsvad.doctor.repair import repair
from wsvad.errors import UsageError, WsvadError
from wsvad.features.official import OfficialStream
from wsvad.features.source import Released, open_features
from wsvad.features.store import Passport
from wsvad.video.names import video_name

Files = OfficialStream | Path


def examine_features(
    features: Path, dataset: Dataset, against: Path | None, out: Path | None
) -> dict[str, Examination]:
    """Every stream of a set of features, beside a dataset's annotation and perhaps another set.

    Args:
        features: as `open_features` takes it.
        against: another set, which is taken to be right.
        out: where to write a repaired copy, `out/<stream>/…`.

    Raises:
        WsvadError: there are no features; the copy cannot be written there.
    """
    streams, others = streams_of(features), streams_of(against) if against else {}
    source = open_features(features)
    found = {}
    for name, files in streams.items():
        here = {video.split for video in dataset.videos if source.has(video.name, name)} or {"train", "test"}
        frames = {video.name: video.frames for video in dataset.videos if video.split in here}
        found[name] = examine(files, name, frames)
        if len(frames) < len(dataset.videos):
            there, gone = ("test", "training") if "test" in here else ("training", "test")
            message = f"features of all {gone} videos are missing; only the {there} videos are checked"
            found[name].findings.insert(0, Finding(kind="one split", level="note", message=message))
    for name, files in others.items():
        if name not in found:
            continue
        reference = examine(files, name, {look.video: None for look in found[name].looks})
        found[name].findings.extend([*_left_out(reference), *_apart(reference, found[name])])
    if out:
        for name, examination in found.items():
            files = streams[name]
            if isinstance(files, Path):
                raise UsageError(
                    f"{files / name}: this stream was made by wsvad; extract it again instead of repairing it"
                )
            if examination.layout:
                place = files.place if files.place.is_dir() else files.place.parent
                done = repair(examination.looks, examination.layout, examination.findings, place, out / name)
                examination.findings.append(done)
    return found


def diagnose(
    features: Path, dataset: Dataset, against: Path | None, out: Path | None
) -> dict[str, tuple[str, list[Finding]]]:
    """What `wsvad doctor` says: stream → a heading and findings; of an array of frame labels, `truth` alone.

    Raises:
        WsvadError: as `examine_features` and `examine_truth`.
    """
    if features.is_file() and features.suffix == ".npy":
        return {"truth": (str(features), examine_truth(features, dataset))}
    found = examine_features(features, dataset, against, out)
    return {stream: (str(one), one.findings) for stream, one in found.items()}


def compare_sets(reference: Path, asked: Path) -> dict[str, list[Finding]]:
    """Stream by stream, where the second set differs from the first.

    Raises:
        UsageError: they have no stream in common.
    """
    one, two = streams_of(reference), streams_of(asked)
    if not set(one) & set(two):
        raise UsageError(
            f"{asked}: streams {', '.join(two)}, but {reference} has {', '.join(one)}; compare sets with the same "
            "streams"
        )
    result = {}
    for name in (name for name in one if name in two):
        here, there = _names(one[name], name), set(_names(two[name], name))
        both = {video: None for video in here if video in there}
        lone = [video for video in (*here, *sorted(there)) if video not in both]
        first, second = examine(one[name], name, both), examine(two[name], name, both)
        result[name] = [*_left_out(first), *_left_out(second), *_apart(first, second)]
        if lone:
            message = f"{lone[0]} is in only one of the sets ({len(lone):,} such, {len(both):,} in both)"
            result[name].insert(0, Finding(kind="videos", level="note", videos=tuple(lone), message=message))
    return result


def streams_of(features: Path) -> dict[str, Files]:
    """The streams of a place for features, each with its files.

    Raises:
        WsvadError: there are none.
    """
    source = open_features(features)
    streams: dict[str, Files] = dict(source.streams) if isinstance(source, Released) else {}
    if features.is_dir():
        for folder in sorted(path for path in features.iterdir() if path.is_dir()):
            if folder.name not in streams and next(folder.rglob("*.safetensors"), None):
                streams[folder.name] = features
    if not streams:
        raise WsvadError(f"{features}: no features here, neither files of wsvad nor .npy files; name their folder")
    return streams


def sentences(stream: str, findings: Sequence[Finding], head: str = "") -> list[str]:
    """Findings for the terminal, the worst first."""
    order = ("wrong", "note", "fine")
    lines = [f"{stream}: {head}"] if head else [f"{stream}:"]
    for finding in sorted(findings, key=lambda f: order.index(f.level)):
        lines.append(f"  {finding.level:5}  {finding.kind}: {finding.message}")
        if finding.remedy:
            lines.append(f"         → {finding.remedy}")
    return lines


def as_json(findings: Mapping[str, Sequence[Finding]]) -> dict[str, list[dict[str, Any]]]:
    """Findings for a program."""
    return {
        stream: [
            {key: value for key, value in asdict(finding).items() if key != "how"} | {"videos": list(finding.videos)}
            for finding in found
        ]
        for stream, found in findings.items()
    }


def _left_out(examination: Examination) -> list[Finding]:
    """What is said of videos whose numbers cannot be compared."""
    return [finding for finding in examination.findings if finding.kind in ("unreadable", "width", "crop length")]


def _apart(reference: Examination, asked: Examination) -> list[Finding]:
    """What `compare` says of the videos that both have."""
    if not reference.layout or not asked.layout:
        message = "the two sets have no video in common"
        return [
            Finding(
                kind="nothing in common",
                level="wrong",
                message=message,
                remedy="compare sets of one dataset, with its names",
            )
        ]
    first, second = reference.layout, asked.layout
    a, b = ({look.video: look for look in one.looks} for one in (reference, asked))
    videos = [v for v in a if v in b and of_its_width(a[v], first) and of_its_width(b[v], second)]
    if not videos:
        return []
    shapes = {video: (crops_shape(a[video], first), crops_shape(b[video], second)) for video in videos}
    found = compare(
        videos, lambda v: as_crops(a[v], first, SNIPPETS), lambda v: as_crops(b[v], second, SNIPPETS), shapes
    )
    differ = any(finding.level == "wrong" for finding in found)
    if differ and (otherwise := _made_otherwise((a[video].passport, b[video].passport) for video in videos)):
        return [otherwise, *(finding for finding in found if finding.kind not in PIXELS)]
    return found


def _made_otherwise(passports: Iterable[tuple[Passport | None, Passport | None]]) -> Finding | None:
    """What files of our own say of how they were made, where they differ; the first in A, the second in B."""
    for one, two in passports:
        if one and two and (difference := two.difference(one)):
            return Finding(
                kind="settings", level="wrong", message=f"made in another way than the other set: {difference}",
                remedy="a method trained on one cannot use the other; extract both with the same settings",
            )  # fmt: skip
    return None


def _names(files: Files, stream: str) -> list[str]:
    if isinstance(files, OfficialStream):
        return files.names()
    folder = files / stream
    found = (video_name(path, folder) for path in sorted(folder.rglob("*.safetensors")))
    return [name.removesuffix(".safetensors") for name in found if name != "lsa.safetensors"]
