"""A folder of videos with `labels.csv`, and with `intervals.csv` where the truth is known.

    labels.csv       video,label[,category][,split][,frames][,camera]    label: 0, 1, normal, abnormal, or what happens
    intervals.csv    video,category,start_frame,end_frame                half-open: frames [start, end)

Both as spreadsheets write them (`wsvad.tables`), or as .xlsx. Two files `train.csv` and `test.csv` may stand for one
`labels.csv` with a `split` column; without either, subfolders named after what they show (`normal`, `fight`, …) are the
labels. Without any split, a seeded, stratified share of the videos is held out for testing, as far as possible of other
scenes than the rest (`wsvad.datasets.scenes`).
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.division import hold_out
from wsvad.datasets.labels import Row, find_table, named_rows, not_read, read_labels, unique, with_truth
from wsvad.datasets.naming import Naming
from wsvad.datasets.scenes import scenes_of
from wsvad.datasets.walk import walk
from wsvad.errors import WsvadError
from wsvad.files import is_file, is_folder, path_of
from wsvad.spelling import short
from wsvad.storage import place
from wsvad.tables import IN_FULL, Fault, read_table, refuse
from wsvad.video.kinds import is_video, photo
from wsvad.video.names import ABSOLUTE, distinct_names, normal, video_name
from wsvad.video.results import WHAT, is_result

logger = logging.getLogger(__name__)

TEST_SHARE = 0.3
"""Share of each category that is held out for testing where no split is given."""
NONE = "none"
"""In the place of intervals.csv: there are no intervals, whatever lies beside the labels."""


def open_folder(
    folder: Path | str,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    *,
    seed: int = 0,
    split: Mapping[str, str] | None = None,
    need_videos: bool = True,
    by_scene: bool = True,
) -> Dataset:
    """Read a dataset from its folder.

    Args:
        folder: holds the videos, itself or in `videos/`, and usually the tables.
        labels: `labels.csv` or .xlsx; by default looked for in `folder` and beside it.
        intervals: `intervals.csv` or .xlsx; by default `intervals` or `test_intervals` beside the labels; with "none",
            none is read.
        seed: decides the hold-out where no split is given.
        split: video → `train` or `test` of an earlier call, which holds where the labels give none; videos that it
            does not know are divided among themselves.
        need_videos: False where the features already exist: then rows may have no file.
        by_scene: False where it does not matter which videos are held out, or for those that an earlier version held
            out: then no scene is looked for.

    Raises:
        WsvadError: names, labels, splits or intervals that cannot be right, by file and line.
    """
    folder = path_of("folder", folder)
    if not folder.is_dir():
        raise WsvadError(f"{folder}: there is no such folder")
    tables = [place(labels)] if labels else _find_labels(folder)
    root = place_of_videos(folder, labelled=True)
    if tables:
        videos, understood = _labelled(tables, root, need_videos)
        understood = "; ".join([understood, *(one for table in tables if not labels for one in not_read(table))])
    else:
        videos, understood = _folders_as_labels(root), ""
    if truth := _truth(tables, folder, intervals):
        hint = "" if intervals else f"to leave this table out, move it away or use --intervals {NONE}"
        videos, more = with_truth(videos, truth, root, hint)
        understood = "; ".join(filter(None, (understood, more)))
    drawn = not any(video.split == "test" for video in videos)
    if drawn:
        videos = _divided(videos, split or {}, seed, by_scene=by_scene)
    home = folder.resolve()
    given = {"folder": home, "labels": labels, "intervals": intervals}
    dataset = Dataset(
        name=(home.parent if home.name == "videos" else home).name,
        videos=tuple(videos),
        source={
            name: NONE if str(path) == NONE and name == "intervals" else str(place(path).resolve())
            for name, path in given.items()
            if path
        },
        drawn=drawn,
        understood=understood,
    )
    check_training(dataset, tables[0] if tables else root)
    return dataset


def truth_of(folder: Path, labels: Path | str | None = None, intervals: Path | str | None = None) -> Path | None:
    """The table of intervals that `open_folder` reads; None where it reads none."""
    return _truth([place(labels)] if labels else _find_labels(folder), folder, intervals)


def videos_below(folder: Path, left: dict[Path, str] | None = None) -> dict[str, Path]:
    """The videos in a folder and below it, by their ending: name → file, in order of their names. Those that we drew
    (`wsvad.video.results`) are none.

    Args:
        left: takes what may be a video and is left out, a folder that cannot be read too, and why.

    Raises:
        WsvadError: the folder cannot be read; two files have the same name, as names are compared.
    """
    found: dict[str, Path] = {}
    for file in walk(folder):
        path, reason = file.path, file.problem
        if file.hidden or (reason and not (file.lost and file.may_be_video)):
            continue
        if not reason and is_video(path) and is_result(path):
            reason = f"{WHAT}, as its metadata says; if it is none, remove its comment ('ffmpeg -map_metadata -1')"
        if reason and left is not None:
            left[path] = f"{path}: {reason}"
        if reason or not is_video(path):
            continue
        name = video_name(path, folder)
        if name in found:
            same = " and ".join(ascii(str(file.relative_to(folder))) for file in (found[name], path))
            raise WsvadError(f"{folder}: {same} are the same name on other systems; rename one of them")
        found[name] = path
    # As by their parts, of which a million lists would take more room than the names and files.
    order = sorted(found, key=lambda name: name.replace("/", "\0"))
    return found if order == list(found) else {name: found[name] for name in order}


def videos_in(what: Sequence[Path], left: dict[Path, str] | None = None) -> list[tuple[str, Path]]:
    """Names and files of the videos that were given, and of those in folders that were given, each file once.

    A file in a folder has its path below it, a file that is given by itself its own name; where two would have the
    same, both have as many of their parent folders before it as tell them apart. A file that we drew is left out, and
    logged.

    Args:
        left: as in `videos_below`.

    Raises:
        WsvadError: a folder without videos, or nothing but what we drew.
    """
    found: list[tuple[str, Path]] = []
    seen: set[Path] = set()
    left = {} if left is None else left
    drawn = [path for path in what if is_result(path)]
    for path in drawn:
        if len(drawn) == len(what):
            raise WsvadError(f"{path}: {WHAT}; give the video that it was made from")
        logger.warning("left out: %s: %s", path, WHAT)
    for path in (path for path in what if path not in drawn):
        inside = list(videos_below(_root(path), left).items()) if path.is_dir() else [(video_name(path), path)]
        if not inside:
            lost = (reason for file, reason in left.items() if file.is_relative_to(path))
            raise WsvadError(next(lost, f"{path}: there are no videos in this folder"))
        found += [(name, file) for name, file in inside if file.resolve() not in seen]
        seen |= {file.resolve() for _, file in inside}
    return distinct_names(found)


def unlabelled_videos(folder: Path, left: dict[Path, str] | None = None) -> list[tuple[str, Path]]:
    """Names and files of the videos of a folder that carries no labels; empty if it does.

    Args:
        left: as in `videos_below`.
    """
    if not folder.is_dir() or _find_labels(folder):
        return []
    return list(videos_below(_root(folder), left).items())


def _root(folder: Path) -> Path:
    """The folder that names begin below, which is `videos/` in it where all of its videos are there: so a video has
    the same name with labels beside that folder and without."""
    inner = folder / "videos"
    return inner if inner.is_dir() and all(name.startswith("videos/") for name in videos_below(folder)) else folder


def place_of_videos(folder: Path, *, labelled: bool) -> Path:
    """The folder in which videos are looked for, and below which names begin: a folder itself or `videos/` in it."""
    inner = folder / "videos"
    return (inner if inner.is_dir() else folder) if labelled else _root(folder)


def carries_labels(folder: Path) -> bool:
    """Whether something in a folder or beside it is meant for labels: a table, or a subfolder called normal."""
    if _find_labels(folder):
        return True
    return any(
        child.is_dir() and child.name.lower() == "normal" for child in place_of_videos(folder, labelled=True).iterdir()
    )


def has_labels(folder: Path, *, whole: bool = False) -> bool:
    """Whether labels.csv, or train.csv and test.csv, are in a folder itself; with `whole`, only with our columns."""
    tables = [table for table in _find_labels(folder) if table.parent == folder]
    return bool(tables) and not (whole and any(not _has_columns(table) for table in tables))


def _has_columns(table: Path) -> bool:
    try:
        next(iter(read_table(table, ("video", "label"))), None)
    except WsvadError:
        return False
    return True


# ------------------------------------------------------------------------------------------------- labels


def _truth(tables: Sequence[Path], folder: Path, given: Path | str | None) -> Path | None:
    """The table of intervals."""
    if given:
        return None if str(given) == NONE else place(given)
    return find_table(tables[0].parent, "intervals", "test_intervals") if tables else find_table(folder, "intervals")


def _find_labels(folder: Path) -> list[Path]:
    for where in (folder, folder.parent):
        if found := find_table(where, "labels"):
            return [found]
    pair = [find_table(folder, stem) for stem in ("train", "test")]
    return [table for table in pair if table] if all(pair) else []


def _labelled(tables: list[Path], root: Path, need_videos: bool) -> tuple[list[LabelledVideo], str]:
    """Videos of labels.csv with their files, and what was understood of it. All that is wrong is in one message."""
    faults: list[Fault] = []
    read = read_labels(tables, faults)
    # A folder with features alone may be huge: then it is not searched for names that are there to the letter.
    search = need_videos or any(not row.name.isascii() or ABSOLUTE.match(row.name) for row in read.rows)
    files = videos_below(root) if search else _beside(read.rows, root)
    naming = Naming(files, root)
    rows = unique(named_rows(read.rows, naming, faults), faults, tables[0])
    if need_videos:
        left = set(files).difference(*(naming.meant(normal(name)) for name in read.names or files))
        _check_files(rows, files, naming, sorted(left), root, tables[0], faults)
    if faults:
        refuse(tables[0], faults)
    return [row.video(files.get(row.name) or _spelt(row, root)) for row in rows], read.understood


def _beside(rows: Iterable[Row], root: Path) -> dict[str, Path]:
    """The videos of the folders that rows name."""
    found = {}
    for parent in {"", *(row.name.rpartition("/")[0] for row in rows)}:
        place = root / parent
        if not ABSOLUTE.match(f"{parent}/") or not parent:
            there = list(place.iterdir()) if is_folder(place) else []
            videos = [path for path in there if path.is_file() and is_video(path)]
            found.update({normal(f"./{parent}/{path.name}"): path for path in videos})
    return found


def _spelt(row: Row, root: Path) -> Path | None:
    """The file of a row's very letters. Backslashes of Windows may be letters of a file's name here."""
    spellings = (row.name.replace("/", "\\"), row.name) if "/" in row.name else (row.name,)
    return next((root / name for name in spellings if is_file(f"{root}/{name}")), None)


def _check_files(
    rows: list[Row],
    files: Mapping[str, Path],
    naming: Naming,
    left: list[str],
    root: Path,
    table: Path,
    faults: list[Fault],
) -> None:
    """Each row has a video, and each video a row; those without are `left`."""
    meant: set[str] = set()
    for row in rows:
        path = files.get(row.name) or _spelt(row, root)
        if path is None:
            near = naming.nearest(row.written, left) if len(faults) < IN_FULL else []
            meant.update(near)
            said = f", the nearest is '{short(near[0])}'" if near else ""
            remedy = f"correct the name, add the file to {root}, or delete the row"
            faults.append(Fault(row.place, f"no file '{short(row.written)}'{said}", remedy))
        elif row.name not in files and is_result(path):
            faults.append(Fault(str(path), WHAT, f"delete its row in {table.name}"))
        elif not is_video(path):
            what = f"a photo ({form})" if (form := photo(path)) else "not a video by its ending or its content"
            faults.append(Fault(str(path), what, f"convert it or delete its row in {table.name}"))
    for name in left:
        if name not in meant:
            quotes = "; a line that begins with # is a comment, unless the name is in quotes" * name.startswith("#")
            remedy = f"add one (0 or 1) or move the file away{quotes}"
            faults.append(Fault(str(files[name]), f"has no row in {table.name}", remedy))


def _folders_as_labels(root: Path) -> list[LabelledVideo]:
    videos = []
    for name, path in videos_below(root).items():
        category = name.partition("/")[0].lower()
        if "/" not in name:
            raise WsvadError(
                f"{root}: no labels.csv here, and {name} is in no subfolder; write labels.csv (video,label), "
                "or sort the videos into folders such as normal/ and fight/"
            )
        label = int(category != "normal")
        videos.append(LabelledVideo(name=name, label=label, category=category, split="train", path=path))
    if not videos:
        raise WsvadError(
            f"{root}: no labels.csv and no videos here, nor the official files of a published dataset; 'wsvad "
            "datasets' says which those are"
        )
    return videos


# ------------------------------------------------------------------------------------------------- truth and splits


def _divided(
    videos: list[LabelledVideo], before: Mapping[str, str], seed: int, *, by_scene: bool
) -> list[LabelledVideo]:
    """Videos for training and for testing, as they were before where that is known; others go where their scene is."""
    new = [video for video in videos if video.name not in before]
    scenes = scenes_of(videos) if by_scene and new else {}
    sides: dict[int, set[str]] = defaultdict(set)
    for name in scenes.keys() & before.keys():
        sides[scenes[name]].add(before[name])
    split = dict(before)
    for video in new:
        side, *others = sides.get(scenes.get(video.name, -1), ()) or ("", "")
        if not others:
            split[video.name] = side
    out = set(hold_out([video for video in new if video.name not in split], TEST_SHARE, seed, scenes=scenes)[1])
    out |= {name for name, side in split.items() if side == "test"}
    return [replace(video, split="test" if video.name in out else "train") for video in videos]


def check_training(dataset: Dataset, place: Path) -> None:
    """A method can learn from the training videos.

    Raises:
        WsvadError: normal or abnormal ones are missing.
    """
    labels = [video.label for video in dataset.train]
    if len(labels) < 2:
        raise WsvadError(f"{place}: {len(labels)} training videos; at least one normal and one abnormal are needed")
    for label, word in enumerate(("normal", "abnormal")):
        if label not in labels:
            raise WsvadError(f"{place}: no {word} training video; learning needs both, normal (0) and abnormal (1)")
