"""A folder of videos with `labels.csv`, and with `intervals.csv` where the truth is known.

    labels.csv       video,label[,category][,split][,frames]     label: 0, 1, normal or abnormal
    intervals.csv    video,category,start_frame,end_frame        half-open: frames [start, end)

Two files `train.csv` and `test.csv` may stand for one `labels.csv` with a `split` column; without either, subfolders
named after what they show (`normal`, `fight`, …) are the labels. Without any split, a seeded, stratified share of the
videos is held out for testing.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wsvad.datasets.categories import UNNAMED, categories_of, names_of
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.walk import walk
from wsvad.errors import WsvadError
from wsvad.files import is_file, path_of
from wsvad.metrics.interval import Interval
from wsvad.tables import read_table, whole
from wsvad.video.names import checked_name, distinct_names, normal, video_name
from wsvad.video.results import WHAT, is_result

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = {f".{name}" for name in ["mp4", "avi", "mkv", "mov", "m4v", "webm", "mpg", "mpeg", "ts", "wmv", "flv"]}
LABELS = {"0": 0, "1": 1, "normal": 0, "abnormal": 1}
TEST_SHARE = 0.3
"""Share of each category that is held out for testing where no split is given."""


def open_folder(
    folder: Path | str,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    *,
    seed: int = 0,
    split: Mapping[str, str] | None = None,
    need_videos: bool = True,
) -> Dataset:
    """Read a dataset from its folder.

    Args:
        folder: holds the videos, itself or in `videos/`, and usually the CSV files.
        labels: `labels.csv`; by default looked for in `folder` and beside it.
        intervals: `intervals.csv`; by default `intervals.csv` or `test_intervals.csv` beside the labels.
        seed: decides the hold-out where no split is given.
        split: video → `train` or `test` of an earlier call, which holds where the labels give none; videos that it
            does not know are divided among themselves.
        need_videos: False where the features already exist: then rows may have no file.

    Raises:
        WsvadError: a name, label, split or interval that cannot be right, by file and line.
    """
    folder = path_of("folder", folder)
    if not folder.is_dir():
        raise WsvadError(f"{folder}: there is no such folder")
    tables = [Path(labels)] if labels else _find_labels(folder)
    root = place_of_videos(folder, labelled=True)
    if tables:
        videos = [video for table in tables for video in _read_labels(table)]
        _check_names(videos, tables[0])
        videos = _locate(videos, root, tables[0], need_videos)
        truth = Path(intervals) if intervals else _first(tables[0].parent, "intervals.csv", "test_intervals.csv")
    else:
        videos = _folders_as_labels(root)
        truth = Path(intervals) if intervals else _first(folder, "intervals.csv")
    if truth:
        videos = _with_truth(videos, truth)
    drawn = not any(video.split == "test" for video in videos)
    if drawn:
        videos = _divided(videos, split or {}, seed)
    home = folder.resolve()
    given = {"folder": home, "labels": labels, "intervals": intervals}
    dataset = Dataset(
        name=(home.parent if home.name == "videos" else home).name,
        videos=tuple(videos),
        source={name: str(Path(path).resolve()) for name, path in given.items() if path},
        drawn=drawn,
    )
    check_training(dataset, tables[0] if tables else root)
    return dataset


def hold_out(
    videos: Sequence[LabelledVideo], share: float, seed: int, before: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Divide videos by a seeded draw from each category: names kept, names held out (list order).

    Every label with at least two videos keeps one and gives one; a label with a single video keeps it. Those that were
    held out `before`, when there were other videos, come first.
    """
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    for video in videos:
        groups[video.label, video.category].append(video.name)
    draw = random.Random(seed)
    out: set[str] = set()
    for label in (0, 1):
        members = {
            key: sorted(draw.sample(names, len(names)), key=lambda name: name not in before)
            for key, names in sorted(groups.items())
            if key[0] == label
        }
        total = sum(map(len, members.values()))
        chosen = [name for names in members.values() for name in names[: round(share * len(names))]]
        if not chosen and total > 1:
            chosen = [max(members.values(), key=len)[0]]
        out.update(chosen[: max(total - 1, 0)])
    return [v.name for v in videos if v.name not in out], [v.name for v in videos if v.name in out]


def videos_below(folder: Path) -> dict[str, Path]:
    """The videos in a folder and below it, by their ending: name → file, in order of their names. Those that we drew
    (`wsvad.video.results`) are none.

    Raises:
        WsvadError: the folder cannot be read; two files have the same name, as names are compared.
    """
    found: dict[str, Path] = {}
    for path in (file.path for file in walk(folder) if not (file.hidden or file.problem)):
        if not is_video(path) or is_result(path):
            continue
        name = video_name(path, folder)
        if name in found:
            same = " and ".join(ascii(str(file.relative_to(folder))) for file in (found[name], path))
            raise WsvadError(f"{folder}: {same} are the same name on other systems; rename one of them")
        found[name] = path
    return dict(sorted(found.items(), key=lambda item: item[0].split("/")))


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def videos_in(what: Sequence[Path]) -> list[tuple[str, Path]]:
    """Names and files of the videos that were given, and of those in folders that were given, each file once.

    A file in a folder has its path below it, a file that is given by itself its own name; where two would have the
    same, both have as many of their parent folders before it as tell them apart. A file that we drew is left out, and
    logged.

    Raises:
        WsvadError: a folder without videos, or nothing but what we drew.
    """
    found: list[tuple[str, Path]] = []
    seen: set[Path] = set()
    drawn = [path for path in what if is_result(path)]
    for path in drawn:
        if len(drawn) == len(what):
            raise WsvadError(f"{path}: {WHAT}; give the video that it was made from")
        logger.warning("left out: %s: %s", path, WHAT)
    for path in (path for path in what if path not in drawn):
        inside = list(videos_below(_root(path)).items()) if path.is_dir() else [(video_name(path), path)]
        if not inside:
            raise WsvadError(f"{path}: there are no videos in this folder")
        found += [(name, file) for name, file in inside if file.resolve() not in seen]
        seen |= {file.resolve() for _, file in inside}
    return distinct_names(found)


def folds(videos: Sequence[LabelledVideo], count: int, seed: int) -> list[list[str]]:
    """Divide videos for cross-fitting: the names that each of the fits leaves out (list order).

    Each category is shuffled and dealt out like cards, one category after the other, so that the folds differ by at
    most one video in all, in each label and in each category. There are `count` folds, or as many as there are normal
    videos if those are fewer. Each normal video is in exactly one fold, each abnormal one too if there are at least
    two; so each fit keeps a video of each label and leaves out a normal one. Without two normal videos there is no
    fold.
    """
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    for video in videos:
        groups[video.label, video.category].append(video.name)
    totals = [sum(video.label == label for video in videos) for label in (0, 1)]
    count = min(count, totals[0])
    if count < 2:
        return []
    draw = random.Random(seed)
    dealt = [name for key, names in sorted(groups.items()) if totals[key[0]] > 1 for name in _shuffled(names, draw)]
    fold_of = {name: place % count for place, name in enumerate(dealt)}
    return [[video.name for video in videos if fold_of.get(video.name) == fold] for fold in range(count)]


def _shuffled(names: list[str], draw: random.Random) -> list[str]:
    return draw.sample(names, len(names))


def unlabelled_videos(folder: Path) -> list[tuple[str, Path]]:
    """Names and files of the videos of a folder that carries no labels; empty if it does."""
    if not folder.is_dir() or _find_labels(folder):
        return []
    return list(videos_below(_root(folder)).items())


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


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _find_labels(folder: Path) -> list[Path]:
    for place in (folder, folder.parent):
        if (place / "labels.csv").is_file():
            return [place / "labels.csv"]
    if (folder / "train.csv").is_file() and (folder / "test.csv").is_file():
        return [folder / "train.csv", folder / "test.csv"]
    return []


def _read_labels(table: Path) -> list[LabelledVideo]:
    default = table.stem if table.stem in ("train", "test") else None
    videos = []
    for place, row in read_table(table, ("video", "label")):
        if not row["video"]:
            raise WsvadError(f"{place}: the video's name is missing")
        try:
            name = checked_name(row["video"])
        except WsvadError as error:
            raise WsvadError(f"{place}: {error}") from None
        if row["label"].lower() not in LABELS:
            raise WsvadError(f"{place}: label '{row['label']}' of {row['video']}; use 0, 1, normal or abnormal")
        label = LABELS[row["label"].lower()]
        split = row.get("split") or default or "train"
        if split not in ("train", "test"):
            raise WsvadError(f"{place}: split '{split}' of {row['video']}; use train or test")
        frames = _frames(place, row)
        category = row.get("category") or ("abnormal" if label else "normal")
        if label and "normal" in (name.strip().lower() for name in category.split(";")):
            raise WsvadError(
                f"{place}: {row['video']} is labelled abnormal but of the category '{category}'; fix one of the two"
            )
        videos.append(
            LabelledVideo(
                name=name,
                label=label,
                category=category if label else "normal",
                split="test" if split == "test" else "train",
                frames=frames,
            )
        )
    if not videos:
        raise WsvadError(f"{table}: no rows; add one line for each video")
    return videos


def _frames(place: str, row: Mapping[str, str]) -> int | None:
    if not row.get("frames"):
        return None
    try:
        if (frames := whole(row["frames"])) > 0:
            return frames
    except ValueError:
        pass
    raise WsvadError(f"{place}: frames '{row['frames']}' of {row['video']}; use a whole number above 0")


def _check_names(videos: list[LabelledVideo], table: Path) -> None:
    seen: set[str] = set()
    for video in videos:
        if video.name in seen:
            raise WsvadError(f"{table}: {video.name} has two rows; keep one")
        seen.add(video.name)


def _locate(videos: list[LabelledVideo], root: Path, table: Path, need_videos: bool) -> list[LabelledVideo]:
    """Pair rows with files, both ways."""
    # A file that is there by a row's very letters need not be searched for: a folder with features alone may be huge.
    # Backslashes of Windows may be letters of a file's name here.
    spellings = ((name, root / spelt) for name in (v.name for v in videos) for spelt in (name.replace("/", "\\"), name))
    plain = {name: path for name, path in spellings if is_file(path)}
    search = need_videos or any(video.name not in plain and not video.name.isascii() for video in videos)
    files = videos_below(root) if search else {}
    located = [replace(video, path=files.get(video.name) or plain.get(video.name)) for video in videos]
    if not need_videos:
        return located
    for video in located:
        if video.path is None:
            raise WsvadError(f"{root / video.name}: listed in {table.name} but not there; add it or delete its row")
        if video.name not in files and is_result(video.path):
            raise WsvadError(f"{video.path}: {WHAT}; delete its row in {table.name}")
        if video.path.suffix.lower() not in VIDEO_SUFFIXES:
            raise WsvadError(f"{video.path}: not a video by its ending; convert it or delete its row in {table.name}")
    named = {video.name for video in located}
    for name, path in files.items():
        if name not in named:
            raise WsvadError(f"{path}: has no row in {table}; add one (0 or 1) or move the file away")
    return located


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


def _with_truth(videos: list[LabelledVideo], table: Path) -> list[LabelledVideo]:
    by_name = {video.name: video for video in videos}
    known = categories_of(videos)
    intervals: dict[str, list[Interval]] = defaultdict(list)
    for place, row in read_table(table, ("video", "start_frame", "end_frame")):
        name = normal(row["video"])
        if name not in by_name:
            raise WsvadError(f"{place}: no video is called '{name}' in the labels")
        if by_name[name].label == 0:
            raise WsvadError(f"{place}: {name} is labelled normal but has an interval; fix one of the two")
        try:
            start, end = whole(row["start_frame"]), whole(row["end_frame"])
        except ValueError:
            raise WsvadError(f"{place}: frames of {name} must be whole numbers") from None
        if not 0 <= start < end:
            raise WsvadError(f"{place}: interval [{start}, {end}) of {name} is empty or begins before frame 0")
        if unknown := [one for one in names_of(row.get("category", "")) if known and one not in (*known, UNNAMED)]:
            raise WsvadError(
                f"{place}: no video of the labels is of the category '{unknown[0]}'; correct it, or the labels "
                f"({', '.join(known)})"
            )
        intervals[name].append(Interval(start=start, end=end, category=row.get("category") or by_name[name].category))
    for video in videos:
        if video.split == "test" and video.label == 1 and video.name not in intervals:
            raise WsvadError(
                f"{table}: abnormal test video {video.name} has no interval; add it, or use it for training"
            )
    return [
        replace(video, intervals=tuple(intervals[video.name]) if video.label == 0 or video.name in intervals else None)
        for video in videos
    ]


def _divided(videos: list[LabelledVideo], before: Mapping[str, str], seed: int) -> list[LabelledVideo]:
    """Videos for training and for testing, as they were before where that is known."""
    held_out = set(hold_out([video for video in videos if video.name not in before], TEST_SHARE, seed)[1])
    held_out |= {name for name, side in before.items() if side == "test"}
    return [replace(video, split="test" if video.name in held_out else "train") for video in videos]


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
