"""What a folder of videos holds before anything is learned from it: what will be read and what not, which videos are
the same, and whether the rest can teach."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.folder import carries_labels, open_folder, place_of_videos, videos_below
from wsvad.doctor.contents import Entry, contents
from wsvad.doctor.copies import LOOKED, Copy, same_bytes, same_pictures
from wsvad.doctor.examine import as_json
from wsvad.doctor.facts import Facts, Look, look_at
from wsvad.doctor.finding import Finding
from wsvad.doctor.shortcuts import Shortcuts, shortcuts
from wsvad.errors import WsvadError, refuse_shortage, shortage
from wsvad.extraction.workers import processors
from wsvad.files import is_file, path_of
from wsvad.progress import track
from wsvad.video.whole import cut_off

FEW = 10
"""Training videos of a class below which the result depends on which these are."""
FOLLOWS = 0.9
"""AUC from which a label follows from a fact, and is not only likelier."""
FORM = "wsvad check 1"
"""Name and version of what `as_dict` gives: keys may be added, none changes its meaning."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A video that can be read."""

    name: str
    path: Path
    facts: Facts
    labelled: LabelledVideo | None
    """Its row of the labels; None in a folder without labels."""

    @property
    def kind(self) -> str:
        """`fight`, `normal`; `video` where nothing is known of it."""
        return self.labelled.category if self.labelled else "video"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found in a folder."""

    folder: Path
    videos: tuple[Seen, ...]
    """Those that will be read."""
    entries: tuple[Entry, ...]
    """All other files: those that are no videos, and those that are not read."""
    labelled: bool
    drawn: bool
    """Nobody said which videos are for testing."""
    copies: tuple[Copy, ...]
    shortcuts: Shortcuts
    findings: tuple[Finding, ...]

    @property
    def unread(self) -> list[Entry]:
        """Files that are not read, and may be expected to be."""
        return [entry for entry in self.entries if entry.kind == "unread"]

    @property
    def wrong(self) -> bool:
        """Something has to be fixed before training."""
        return any(finding.level == "wrong" for finding in self.findings)

    def rows(self) -> list[tuple[str, str, int, float]]:
        """Split, class, videos and hours of each class, as far as lengths are known; training and normal ones first."""
        count: Counter[tuple[str, int, str]] = Counter()
        seconds: dict[tuple[str, int, str], float] = defaultdict(float)
        for one in self.videos:
            row = one.labelled
            key = (row.split, row.label, one.kind) if row else ("", 0, one.kind)
            count[key] += 1
            seconds[key] += one.facts.seconds or 0
        ordered = sorted(count, key=lambda key: (key[0] == "test", key))
        return [
            (split, kind, count[split, label, kind], seconds[split, label, kind] / 3600)
            for split, label, kind in ordered
        ]

    @property
    def hours(self) -> float:
        return sum(one.facts.seconds or 0 for one in self.videos) / 3600

    def as_dict(self) -> dict[str, Any]:
        """The same for a program; see `FORM`."""
        return {
            "form": FORM,
            "folder": str(self.folder),
            "labelled": self.labelled,
            "split": None if not self.labelled else "drawn" if self.drawn else "given",
            "hours": self.hours,
            "classes": [
                {"split": split or None, "class": kind if self.labelled else None, "videos": count, "hours": hours}
                for split, kind, count, hours in self.rows()
            ],
            "videos": [_record(one) for one in self.videos],
            "not_read": [{"file": one.file, "reason": one.reason} for one in self.unread],
            "other_files": [one.file for one in self.entries if one.kind == "other"],
            "copies": [
                {"videos": [one.a, one.b], "how": one.how}
                | ({"at": list(one.at), "seconds": one.seconds} if one.how == "part" else {})
                for one in self.copies
            ],
            "shortcuts": {
                "p": self.shortcuts.p,
                "tried": list(self.shortcuts.tried),
                "found": [{"fact": one.fact, "auc": one.auc, "p": one.p} for one in self.shortcuts.found],
            },
            "findings": as_json({"": self.findings})[""],
        }


def survey(
    folder: Path | str,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    *,
    raw_rate: float | None = None,
) -> Survey:
    """Look through a folder as `wsvad check` does. Nothing is written.

    Args:
        folder: videos, with labels or without.
        labels, intervals: the files, where they are not in the folder.
        raw_rate: frames per second of raw streams that do not say it.

    Raises:
        WsvadError: the folder cannot be read, or no longer; two videos have the same name.
    """
    folder, dataset, findings = path_of("folder", folder), None, []
    if not folder.is_dir():
        raise WsvadError(f"{folder}: there is no such folder")
    try:
        dataset = open_folder(folder, labels, intervals, by_scene=False)
    except WsvadError as error:
        if labels or intervals or carries_labels(folder):
            message = str(error)
            findings.append(Finding(kind="labels", level="wrong", message=message, remedy=REMEDY))
    return survey_of(folder, dataset, findings, raw_rate=raw_rate)


REMEDY = "until then 'wsvad train' stops here; the videos are looked at without labels"


def survey_of(
    folder: Path,
    dataset: Dataset | None,
    findings: Sequence[Finding] = (),
    *,
    raw_rate: float | None = None,
    thorough: bool = True,
) -> Survey:
    """The same of a folder whose labels were read.

    Args:
        dataset: what `open_folder` made of it; None for videos without labels.
        findings: what is known to be wrong before.
        raw_rate: as `survey`.
        thorough: False does not compare pictures, so that only the head of each video is read.
    """
    root = place_of_videos(folder, labelled=dataset is not None)
    entries = {entry.path: entry for entry in contents(folder, root)}
    rows = {video.name: video for video in dataset.videos} if dataset else {}
    given = {name: row.path for name, row in rows.items() if row.path} if dataset else videos_below(root)
    readable = {name: path for name, path in given.items() if not (path in entries and entries[path].kind == "unread")}
    looks, failed = _looked(readable, LOOKED if thorough else 0.0, raw_rate)
    if failed and not any(map(is_file, given.values())):
        raise WsvadError(f"{folder}: can no longer be read; connect the drive again and run the same command again")
    for name, reason in failed.items():
        path = given[name]
        file = entries[path].file if path in entries else name
        entries[path] = Entry(file=file, path=path, kind="unread", reason=reason, opened=True)
    videos = tuple(
        Seen(name=name, path=given[name], facts=look.facts, labelled=rows.get(name)) for name, look in looks.items()
    )
    drawn = bool(dataset and dataset.drawn)
    copies, short = _copies(videos, looks, pictures=thorough), _shortcuts(videos, drawn=drawn)
    return Survey(
        folder=folder,
        videos=videos,
        entries=tuple(entry for entry in entries.values() if entry.kind != "video"),
        labelled=dataset is not None,
        drawn=drawn,
        copies=tuple(copies),
        shortcuts=short,
        findings=(
            *findings,
            *_nothing(videos, folder),
            *_few(videos),
            *_cut_off(videos),
            *_of_copies(copies, videos, drawn),
            *_of_shortcuts(short),
        ),
    )


def _looked(
    videos: Mapping[str, Path], seconds: float, raw_rate: float | None
) -> tuple[dict[str, Look], dict[str, str]]:
    """Look at each video; those that cannot be read, with the reason."""
    looks, failed = {}, {}
    with ThreadPoolExecutor(processors()) as pool:  # decoding leaves the interpreter free
        waiting = {
            name: pool.submit(look_at, path, name, seconds=seconds, raw_rate=raw_rate) for name, path in videos.items()
        }
        try:
            for name in track(list(waiting), "check"):
                try:
                    looks[name] = waiting.pop(name).result()
                except WsvadError as error:
                    if shortage(error):  # that is no fault of the video
                        raise
                    failed[name] = str(error).removeprefix(f"{videos[name]}: ")
                except OSError as error:
                    refuse_shortage(error, videos[name])
                    failed[name] = f"{error.strerror or error}; check the disk or the network drive"
        finally:
            pool.shutdown(cancel_futures=True)
    return looks, failed


def _copies(videos: Sequence[Seen], looks: Mapping[str, Look], *, pictures: bool) -> list[Copy]:
    found = same_bytes((one.name, one.path) for one in videos)
    if not pictures:
        return found
    known = {copy.b for copy in found}  # what holds of the first of them holds of it
    samples = {one.name: looks[one.name].samples for one in videos if one.name not in known}
    lengths = {one.name: one.facts.seconds for one in videos}
    tests = {one.name for one in videos if one.labelled and one.labelled.split == "test"}
    return [*found, *same_pictures(samples, lengths, tests)]


def _shortcuts(videos: Sequence[Seen], *, drawn: bool) -> Shortcuts:
    """Of the training videos; where these are drawn by chance, of all."""
    rows = [(one, one.labelled) for one in videos if one.labelled and (drawn or one.labelled.split == "train")]
    kinds = {row.category for _, row in rows if row.label}
    words = ("normal", kinds.pop() if len(kinds) == 1 else "abnormal")
    return shortcuts([one.facts for one, _ in rows], np.array([row.label for _, row in rows]), words=words)


# ---------------------------------------------------------------------------------------------------------- findings


def _nothing(videos: Sequence[Seen], folder: Path) -> Iterator[Finding]:
    if not videos:
        yield Finding(kind="no videos", level="wrong", message=f"{folder}: no video here can be read")


def _few(videos: Sequence[Seen]) -> Iterator[Finding]:
    """Too few videos to learn from, of each class that is there."""
    rows = [one.labelled for one in videos if one.labelled and one.labelled.split == "train"]
    if not rows:
        return
    count = Counter(row.label for row in rows)
    few = [f"{count[label]} {word}" for label, word in ((0, "normal"), (1, "abnormal")) if count[label] < FEW]
    if few:
        least = min(count[0], count[1])
        yield Finding(
            kind="few videos",
            level="wrong" if least < 2 else "note",
            message=f"only {' and '.join(few)} training video{'s' * (few != ['1 normal'] and few != ['1 abnormal'])}: "
            "the detector will know little but these",
            remedy=f"add videos, {FEW} of each class at least, of different days and people",
        )
    kinds = Counter(row.category for row in rows if row.label)
    rare = [kind for kind, times in kinds.items() if times == 1]
    if len(kinds) > 1 and rare:
        listed = ", ".join(rare[:5]) + (" …" if len(rare) > 5 else "")
        yield Finding(
            kind="rare categories", level="note", message=f"one training video alone shows: {listed}",
            remedy="add videos of it; a category cannot be recognised from one",
        )  # fmt: skip


def _cut_off(videos: Sequence[Seen]) -> Iterator[Finding]:
    """Videos of which only the beginning is there: what their label tells of may be in the rest."""
    found = {one.name: reason for one in videos if (reason := _missing(one.path))}
    if found:
        more = f"; and {len(found) - LISTED:,} more" if len(found) > LISTED else ""
        yield Finding(
            kind="cut off", level="note", videos=tuple(found),
            message="; ".join(f"{name}: {reason}" for name, reason in [*found.items()][:LISTED]) + more,
            remedy="copy them again, or leave them out: what a label tells of may be in the rest",
        )  # fmt: skip


def _missing(path: Path) -> str | None:
    try:
        return cut_off(path)
    except OSError:  # gone by now
        return None


def _of_copies(found: Sequence[Copy], videos: Sequence[Seen], drawn: bool) -> Iterator[Finding]:
    """Copies by what they do to a training: contradict each other, make a test too easy, or count twice."""
    rows = {one.name: one.labelled for one in videos}

    def differ(of: Callable[[LabelledVideo], object]) -> Callable[[Copy], bool]:
        def check(copy: Copy) -> bool:
            a, b = rows[copy.a], rows[copy.b]
            return a is not None and b is not None and of(a) != of(b)

        return check

    contradicted = [copy for copy in found if copy.how != "part" and differ(lambda row: row.label)(copy)]
    across = [copy for copy in found if copy not in contradicted and differ(lambda row: row.split)(copy)]
    rest = [copy for copy in found if copy not in contradicted and copy not in across]
    if contradicted:
        yield Finding(
            kind="labels of copies", level="wrong", videos=_named(contradicted),
            message=f"the same video is labelled normal and abnormal: {_listed(contradicted)}",
            remedy="correct one label, or delete one of the two",
        )  # fmt: skip
    if across:
        yield Finding(
            kind="test and training overlap", level="wrong", videos=_named(across),
            message=f"a test video shows what a training video shows: {_listed(across)}",
            remedy=("give labels.csv a column split (train or test) with both on one side" if drawn else
            "put both into the same split") + ", or delete one; results on videos known from training are too good",
        )  # fmt: skip
    if rest:
        yield Finding(
            kind="copies", level="note", videos=_named(rest), message=f"the same video more than once: {_listed(rest)}",
            remedy="delete one of each pair, or the video counts twice",
        )  # fmt: skip


HOW = {"bytes": "same bytes", "pictures": "same pictures, encoded another time"}
LISTED = 5
"""Pairs that a message names; all are in the JSON."""


def _listed(copies: Sequence[Copy]) -> str:
    lines = []
    for copy in copies[:LISTED]:
        a, b = copy.at
        if copy.how == "part":
            lines.append(f"{copy.a} from {a:g} s and {copy.b} from {b:g} s, for {copy.seconds:g} s or more")
        else:
            lines.append(f"{copy.a} and {copy.b} ({HOW[copy.how]})")
    more = f"; and {len(copies) - LISTED:,} more pairs" if len(copies) > LISTED else ""
    return "; ".join(lines) + more


def _named(copies: Sequence[Copy]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for copy in copies for name in (copy.a, copy.b)))


def _of_shortcuts(found: Shortcuts) -> Iterator[Finding]:
    for caution in found.cautions:
        level: Literal["note", "wrong"] = "wrong" if caution.auc >= FOLLOWS else "note"
        yield Finding(kind="shortcut", level=level, message=caution.sentence, remedy=caution.remedy)


def _record(one: Seen) -> dict[str, Any]:
    """A video for a program."""
    facts, row = one.facts, one.labelled
    return {
        "video": one.name,
        "label": row.label if row else None,
        "category": row.category if row else None,
        "split": row.split if row else None,
        "seconds": facts.seconds,
        "size": facts.size,
        "rate": float(facts.rate),
        "codec": facts.codec,
        "container": facts.container,
        "sound": None if facts.sound == "none" else facts.sound,
        "bits_per_second": facts.bits_per_second,
        "hour": facts.hour,
    }
