"""The rows of `labels.csv` and `intervals.csv`: what each says, which video it means, and all that is wrong at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsvad.datasets.categories import UNNAMED, categories_of, names_of
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.naming import Naming
from wsvad.datasets.words import SPLITS, label_of
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.spelling import short
from wsvad.tables import Fault, read_table, refuse, whole
from wsvad.video.names import ABSOLUTE, checked_name, normal

COLUMNS, OF_INTERVALS = (
    ("video", "label", "category", "split", "frames", "camera"),
    ("video", "category", "start_frame", "end_frame"),
)
"""Columns of the two tables."""
NOT_KNOWN = ("", "-", "?", "n/a", "na", "none", "unknown")
"""Cells of the column `camera` that name none."""
CHANCE = ("wrong",)
"""What 'wsvad audit' adds to the labels."""
USE = "use 0, 1, normal or abnormal"
ENDINGS = (".csv", ".tsv", ".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
"""Endings of tables, in the order of preference; the last ones are refused as what they are."""


@dataclass
class Row:
    """A row of labels.csv."""

    place: str
    written: str
    """The name as it is written."""
    name: str
    """The same as names are compared; of the file, once that is known."""
    label: int
    category: str
    split: str
    """`train`, `test`, or at first `validation`."""
    frames: int | None
    from_label: bool
    """Its category stands in the column `label`."""
    beside: str = ""
    """The category that the row gives to a normal video."""
    camera: str | None = None
    """As it is written."""

    def video(self, path: Path | None) -> LabelledVideo:
        return LabelledVideo(
            name=self.name,
            label=self.label,
            category=self.category,
            split="test" if self.split == "test" else "train",
            path=path,
            frames=self.frames,
            camera=self.camera,
        )


@dataclass(frozen=True)
class Labels:
    """What labels.csv, or train.csv and test.csv, say."""

    rows: list[Row]
    names: list[str] | None
    """The names in all rows, also in those that are wrong; None where some could not be read."""
    understood: str
    """In a sentence."""


def find_table(folder: Path, *stems: str) -> Path | None:
    """The first table of these names in a folder, in any case and with any of the endings."""
    return next((path for stem in stems for path in _tables(folder, stem)), None)


def _tables(folder: Path, stem: str) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.name.lower().startswith(stem)]
    except OSError:
        return []
    there = {path.name.lower(): path for path in sorted(found, reverse=True)}
    return [path for ending in ENDINGS if (path := there.get(f"{stem}{ending}")) and path.is_file()]


def not_read(table: Path) -> list[str]:
    """The same table with other endings, beside the one that is read."""
    return [f"{path.name} is not read" for path in _tables(table.parent, table.stem.lower()) if path != table]


def read_labels(tables: Sequence[Path], faults: list[Fault]) -> Labels:
    """Read labels.csv, or train.csv and test.csv.

    Raises:
        WsvadError: a file is no such table; what is wrong with rows is added to `faults`.
    """
    rows: list[Row] = []
    names: list[str] = []
    total, sentences = 0, []
    for path in tables:
        default = path.stem.lower() if path.stem.lower() in SPLITS else "train"
        table = read_table(path, ("video", "label"), faults=faults)
        for place, cells in table:
            names.append(cells["video"])
            row = _row(place, cells, default)
            if isinstance(row, Fault):
                faults.append(row)
            else:
                rows.append(row)
        if not table.count:
            raise WsvadError(f"{path}: no rows; add one line for each video")
        total += table.count
        sentences += [table.understood, *table.unused(COLUMNS, CHANCE)]
    if counts := _categories(rows) if all(row.label for row in rows) else None:
        found = ", ".join(f"'{short(name)}' ({count})" for name, count in counts.most_common(5))
        faults.append(Fault(str(tables[0]), f"no row is labelled normal; the labels are {found}", USE))
    shown = {one for row in rows if row.label for one in _parts(row.category.casefold())}
    for row in rows:
        if row.beside and not shown.isdisjoint(_parts(row.beside.casefold())):
            what = f"is labelled normal but of the category '{short(row.beside)}', as abnormal ones are"
            faults.append(Fault(row.place, f"{short(row.written)} {what}", "fix one of the two"))
    sentences += _agree(rows)
    return Labels(rows, names if len(names) == total else None, "; ".join(sentences))


def _row(place: str, cells: Mapping[str, str], default: str) -> Row | Fault:
    written = cells["video"]
    if not written:
        return Fault(place, "the video's name is missing", "write it, or delete the row")
    try:
        absolute = ABSOLUTE.match(written.replace("\\", "/"))  # it may lead to a file of the folder
        name = normal(written) if absolute else checked_name(written)
    except WsvadError as error:
        return _outside(place, error)
    called = short(written)
    try:
        found = label_of(cells["label"])
    except ValueError as error:
        doubt = f" ({error})" if str(error) else ""
        return Fault(place, f"label '{short(cells['label'])}' of {called}{doubt}", USE)
    label = found if isinstance(found, int) else 1
    split = SPLITS.get((cells.get("split") or default).lower())
    if split is None:
        return Fault(place, f"split '{short(cells['split'])}' of {called}", "use train or test")
    frames = None
    if cells.get("frames"):
        try:
            frames = whole(cells["frames"])
        except ValueError:
            frames = 0
        if frames < 1:
            return Fault(place, f"frames '{short(cells['frames'])}' of {called}", "use a whole number above 0")
    category = cells.get("category", "")
    names = _parts(category.lower())
    if label and "normal" in names:
        what = f"{called} is labelled abnormal but of the category '{short(category)}'"
        return Fault(place, what, "fix one of the two")
    if isinstance(found, str):
        if category and {*_parts(found.lower())} - {*names}:
            return Fault(place, f"{called} has the label '{found}' but the category '{short(category)}'", USE)
        category = category or found
    beside = "" if label else category
    category = (category or UNNAMED) if label else "normal"
    said = cells.get("camera", "")
    camera = None if said.casefold() in NOT_KNOWN else said
    return Row(place, written, name, label, category, split, frames, isinstance(found, str), beside, camera)


def _outside(place: str, error: WsvadError) -> Fault:
    what, _, remedy = str(error).rpartition("; ")
    return Fault(place, short(what, 200), remedy)


def _agree(rows: list[Row]) -> list[str]:
    """Let each category have one spelling, and splits be train and test; say what that changed."""
    said = []
    if of := sum(row.split == "validation" for row in rows):
        split = "train" if any(row.split == "test" for row in rows) else "test"
        what = "for training, from which videos are held out" if split == "train" else "as test videos"
        said.append(f"{of} validation videos are used {what}")
        for row in rows:
            row.split = split if row.split == "validation" else row.split
    if counts := _categories(rows):
        named = ", ".join(f"{short(name)} ({count})" for name, count in counts.most_common(8))
        said.append(f"categories from the column 'label': {named}")
    spelt: dict[str, str] = {}
    for row in rows:
        row.category = _spelt(row.category, spelt)
    return said


def _categories(rows: Iterable[Row]) -> Counter[str]:
    return Counter(row.category for row in rows if row.from_label)


def _parts(category: str) -> list[str]:
    return [one.strip() for one in category.split(";")]


def _spelt(category: str, spelt: dict[str, str]) -> str:
    """A category in the spelling that was met first: `Fight` and `fight` are one."""
    parts = _parts(category)
    known = [spelt.setdefault(one.casefold(), one) for one in parts]
    return category if known == parts else ";".join(known)


# --------------------------------------------------------------------------------------------- one row for each video


def unique(rows: Iterable[Row], faults: list[Fault], table: Path) -> list[Row]:
    """Each video's row. The same row twice is one; rows that differ are wrong, and are named together."""
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_name[row.name].append(row)
    for name, those in by_name.items():
        if len(those) > 1 and len({(row.written, _says(row)) for row in those}) > 1:
            named = " and ".join(f"{row.place.removeprefix(f'{table} ')} ({_says(row)})" for row in those[:3])
            against = "that contradict each other" if len({_says(row) for row in those}) > 1 else "of two spellings"
            many = {2: "two"}.get(len(those), str(len(those)))
            faults.append(Fault(str(table), f"{short(name)} has {many} rows {against}, {named}", "keep one"))
    return [those[0] for those in by_name.values()]


def _says(row: Row) -> str:
    words = ["normal" if not row.label else short(row.category), row.split]
    words += [f"{row.frames} frames"] if row.frames else []
    return ", ".join(words + ([f"camera {short(row.camera)}"] if row.camera else []))


def named_rows(rows: Iterable[Row], naming: Naming, faults: list[Fault]) -> list[Row]:
    """Rows under the names of the files that they mean; one that means none keeps its own, if that can be a file's."""
    found = []
    for row in rows:
        meant = naming.meant(row.name)
        if len(meant) > 1:
            what = f"'{short(row.written)}' may be {' or '.join(map(short, meant[:3]))}"
            faults.append(Fault(row.place, what, "write the whole name"))
            continue
        if meant:
            row.name = meant[0]
        elif ABSOLUTE.match(row.name):
            what = f"{short(row.written)} lies outside the folder"
            faults.append(Fault(row.place, what, "use names relative to it"))
            continue
        found.append(row)
    return found


# ------------------------------------------------------------------------------------------------------------- truth


def with_truth(videos: list[LabelledVideo], path: Path, root: Path, hint: str = "") -> tuple[list[LabelledVideo], str]:
    """Videos with the intervals of intervals.csv, and what was understood of it.

    Args:
        hint: what can be done beside correcting it.

    Raises:
        WsvadError: it is no such table, or does not fit the videos.
    """
    faults: list[Fault] = []
    table = read_table(path, ("video", "start_frame", "end_frame"), faults=faults)
    intervals: dict[str, list[Interval]] = defaultdict(list)
    by_name = {video.name: video for video in videos}
    naming = Naming(by_name, root)
    known = {name.casefold(): name for name in categories_of(videos)}
    try:
        for place, row in table:
            found = _interval(place, row, by_name, naming, known)
            if isinstance(found, Fault):
                faults.append(found)
            elif found[1] not in intervals[found[0]]:
                intervals[found[0]].append(found[1])
    except WsvadError as error:
        raise WsvadError(f"{error}{hint and f'; {hint}'}") from None
    if not faults:
        faults += [
            Fault(
                str(path), f"abnormal test video {short(video.name)} has no interval", "add it, or use it for training"
            )
            for video in videos
            if video.split == "test" and video.label == 1 and video.name not in intervals
        ]
    if faults:
        refuse(path, faults, hint)
    return [
        replace(video, intervals=tuple(intervals[video.name]) if video.label == 0 or video.name in intervals else None)
        for video in videos
    ], "; ".join([table.understood, *table.unused(OF_INTERVALS)])


def _interval(
    place: str, row: Mapping[str, str], videos: Mapping[str, LabelledVideo], naming: Naming, known: Mapping[str, str]
) -> tuple[str, Interval] | Fault:
    meant = naming.meant(normal(row["video"]))
    if len(meant) != 1:
        near = meant or naming.nearest(row["video"], videos)
        said = f" ({'it may be' if meant else 'the nearest is'} {' or '.join(map(repr, map(short, near[:3])))})"
        what = f"no video is called '{short(row['video'])}' in the labels{said if near else ''}"
        return Fault(place, what, "correct the name, or delete the row")
    (name,) = meant
    called = short(name)
    if videos[name].label == 0:
        return Fault(place, f"{called} is labelled normal but has an interval", "fix one of the two")
    try:
        start, end = whole(row["start_frame"]), whole(row["end_frame"])
    except ValueError as error:
        return Fault(place, f"frames of {called} must be whole numbers", f"{error}; correct them")
    if not 0 <= start < end:
        what = f"interval [{start}, {end}) of {called} is empty or begins before frame 0"
        return Fault(place, what, "frames count from 0, and the end is the first frame after it")
    category = row.get("category") or videos[name].category
    for one in names_of(category):
        if known and one != UNNAMED and one.casefold() not in known:
            what = f"no video of the labels is of the category '{short(one)}'"
            return Fault(place, what, f"correct it, or the labels ({short(', '.join(known.values()))})")
    return name, Interval(start=start, end=end, category=_spelt(category, dict(known)))
