"""What the official files of published datasets have in common: lists of feature files, frame counts, intervals."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from wsvad.datasets.dataset import LabelledVideo
from wsvad.errors import WsvadError
from wsvad.files import instead
from wsvad.metrics.interval import Interval
from wsvad.tables import WHOLE, columns, read_table
from wsvad.tables.forms import separator_line, text_of
from wsvad.video.names import FILE_ENDING, named

PLACES = ("", "list", "lists", "annotations", "annotation", "split", "splits", "Test", "testing")
"""Folders below the dataset's in which official repositories keep their lists."""
LISTS = (".list", ".lst", ".txt", ".csv", ".tsv")
"""Endings of lists."""
LARGEST, LONGEST = 16 * 2**20, 8192
"""Bytes of the largest list, letters of its longest line."""
OTHERS = ("frames.csv", "events.csv", "scores.csv")
"""Counts of frames, and what `wsvad score` writes: tables that are no lists."""
HEADS = re.compile(
    r"(video|file|clip|feature|sample)?[ _-]?(id|name|path|file|filename|video|videos|features?|list|clip)s?$",
    re.IGNORECASE,
)
"""What the first cell of a list's first line is called where that line is its head."""


def find(folder: Path, *patterns: str) -> Path | None:
    """The first file or folder whose name fits a pattern, in the order of the patterns, in any case."""
    names = [path for place in PLACES if (folder / place).is_dir() for path in sorted((folder / place).iterdir())]
    for pattern in patterns:
        for path in names:
            if fnmatch(path.name.lower(), pattern.lower()):
                return path
    return None


def require(folder: Path, what: str, *patterns: str) -> Path:
    """As `find`.

    Raises:
        WsvadError: there is none; the files that might have been it are named.
    """
    path = find(folder, *patterns)
    if path is None:
        raise missing(folder, what, " or ".join(patterns))
    return path


def missing(folder: Path, what: str, wanted: str) -> WsvadError:
    """The error that something is not in a folder, with the files that look like a list or an annotation."""
    seen = [path.relative_to(folder).as_posix() for path in list_files(folder)]
    more = f" and {len(seen) - 6} more" if len(seen) > 6 else ""
    told = f"; {', '.join(seen[:6])}{more} {'are' if len(seen) > 1 else 'is'} none" if seen else ""
    return WsvadError(f"{folder}: no {what} here ({wanted}){told}; copy the official file into this folder")


def list_files(folder: Path) -> list[Path]:
    """Files of a dataset's folder that are lists or annotations by their ending."""
    places = [folder / place for place in PLACES if (folder / place).is_dir()]
    files = [path for place in places for path in sorted(place.iterdir()) if path.suffix.lower() in LISTS]
    return [path for path in files if path.is_file() and path.name.lower() not in OTHERS]


def find_list(
    folder: Path,
    split: Literal["train", "test"],
    patterns: Sequence[str],
    belongs: Callable[[str], bool],
    without: Collection[str] = (),
) -> Path | None:
    """The list of a split: the official one by its name, else any whose lines name videos of this dataset.

    Which split a list is of, its name says: one of test videos has `test` in it, all the others are of training videos.
    Lists of several kinds of features name the same videos; the longest is taken.

    Args:
        patterns: official names, in the order of preference.
        belongs: whether a name can be a video's of this dataset.
        without: videos that are known to be of the other split; a list with one of them is not of this one.
    """
    if official := find(folder, *patterns):
        return official
    found = []
    for path in list_files(folder):
        of_test = re.search(r"(?<!la)test", path.stem.lower()) is not None
        if of_test != (split == "test") or re.search(r"val(id|\b|_|$)", path.stem.lower()):
            continue
        try:
            names = read_list(path)
        except WsvadError:  # whatever else lies there
            continue
        fits = all(belongs(name) for name in names) and not set(without).intersection(names)
        if fits and "annot" not in path.name.lower() and not is_annotation(path):
            found.append((len(names), path))
    return max(found, key=lambda item: item[0])[1] if found else None


def require_list(
    folder: Path, split: Literal["train", "test"], patterns: Sequence[str], belongs: Callable[[str], bool]
) -> Path:
    """As `find_list`.

    Raises:
        WsvadError: there is none; the files that might have been it are named.
    """
    path = find_list(folder, split, patterns, belongs)
    if path is None:
        wanted = f"{' or '.join(patterns)}, or any list with '{split}' in its name"
        raise missing(folder, f"list of the {split} videos", wanted)
    return path


def is_annotation(path: Path) -> bool:
    """Whether a file has pairs of frame numbers behind its names."""
    told = [line.removeprefix(listed_file(line)) for _, line in lines(path)]
    return any(len(re.findall(r"(?<![\w.-])-?\d+(?![\w.-])", rest)) >= 4 for rest in told)


def lines(path: Path) -> Iterable[tuple[str, str]]:
    """The lines of a text file that hold more than a comment (`#`), each with its place, `Anomaly_Train.txt line 7`."""
    text = text_of(path, "copy the official one", LARGEST)
    if told := instead(path):
        raise WsvadError(f"{path}: {told}")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST:
            raise WsvadError(f"{path} line {number}: {len(line):,} letters, no line of a list; copy the official one")
        if line.strip() and not line.lstrip().startswith("#") and not (number == 1 and separator_line(line)):
            yield f"{path} line {number}", line.strip()


def video_name(path: str) -> str:
    """A video's name from the path of a file of it: no folder, ending, backbone or crop (`wsvad.video.names`)."""
    return named(path).video


def listed_file(line: str) -> str:
    """The path in a line of a list. It may hold spaces and commas, and columns may stand behind it: it ends with the
    file's ending where it has one, with its label where that is part of the name (XD-Violence)."""
    quoted = re.match(r"\"([^\"]+)\"", line)
    if quoted:
        return quoted[1]
    found = re.match(rf".*{FILE_ENDING}(?=[\s,;]|$)", line, re.IGNORECASE) or re.match(r".*?label_[^\s,;]+", line)
    return found[0] if found else re.split(r"[\s,;]", line)[0]


def is_head(line: str) -> bool:
    """Whether the first line of a list says what its columns are."""
    return HEADS.match(re.split(r"[\t,; ]", line)[0].strip(' "')) is not None


def listed(path: Path) -> list[tuple[str, str, str]]:
    """The lines of a list: place, path of the file that is listed, and the columns behind it. Without a head."""
    found = [(place, listed_file(line), line) for place, line in lines(path)]
    found = found[1:] if found and is_head(found[0][2]) else found
    return [(place, file, line.strip('"').removeprefix(file).strip('" \t,;')) for place, file, line in found]


def read_list(path: Path) -> list[str]:
    """Names of the videos of a list of files, each once, in the list's order.

    The list has a path or a name a line, perhaps with columns behind it, as in VadCLIP's CSV (`path,label`).

    Raises:
        WsvadError: the list is empty.
    """
    names = list(dict.fromkeys(video_name(file) for _, file, _ in listed(path)))
    if not names:
        raise WsvadError(f"{path}: the list is empty; copy the official one")
    return names


def frame_counts(folder: Path) -> dict[str, int]:
    """F of each video, from `frames.csv` (video,frames); empty where there is no such file.

    Raises:
        WsvadError: a row that cannot be right.
    """
    path = find(folder, "frames.csv")
    counts: dict[str, int] = {}
    for place, name, frames in _counted(path) if path else ():
        if not name or not re.fullmatch(WHOLE, frames) or int(frames) < 1:
            raise WsvadError(f"{place}: '{name},{frames}' is not video,frames with a whole number above 0")
        if counts.setdefault(video_name(name), int(frames)) != int(frames):
            raise WsvadError(
                f"{place}: {name} has {counts[video_name(name)]} frames in an earlier line; keep one of the two"
            )
    return counts


def _counted(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, name and count of each row. Names in a list of two columns may have commas."""
    head = columns(path)
    if {"video", "frames"} <= {*head} and head != ["video", "frames"]:
        yield from ((place, row["video"], row["frames"]) for place, row in read_table(path, ("video", "frames")))
        return
    for number, (place, line) in enumerate(lines(path)):
        parts = re.fullmatch(r"(.*)[,;\t](.*)", line)
        name, frames = (part.strip(' "') for part in (parts.groups() if parts else ("", line)))
        if number > 0 or re.fullmatch(r"\d+", frames):
            yield place, name, frames


def agree(path: Path, counts: Mapping[str, int], others: Mapping[str, int], what: str) -> None:
    """Compare two sources of frame counts.

    Raises:
        WsvadError: they differ, by the first video.
    """
    for name, frames in counts.items():
        if name in others and others[name] != frames:
            raise WsvadError(
                f"{path}: {name} has {frames} frames here but {others[name]} in {what}; use the annotation and the "
                "videos that belong together"
            )


def intervals_of(place: str, name: str, numbers: Sequence[int], category: str) -> tuple[Interval, ...]:
    """Pairs of frame numbers as half-open intervals; pairs of −1 are unused slots.

    Raises:
        WsvadError: a number without its partner, or an interval that is empty.
    """
    if len(numbers) % 2:
        raise WsvadError(f"{place}: {name} has {len(numbers)} frame numbers; they come in pairs, start and end")
    pairs = [(s, e) for s, e in zip(numbers[::2], numbers[1::2], strict=True) if (s, e) != (-1, -1)]
    for start, end in pairs:
        if not 0 <= start < end:
            raise WsvadError(f"{place}: interval [{start}, {end}) of {name} is empty or begins before frame 0")
    return tuple(Interval(start=start, end=end, category=category) for start, end in pairs)


def runs(mask: Sequence[int] | Iterable[int]) -> list[tuple[int, int]]:
    """Where a mask is not 0, as half-open runs."""
    import numpy as np

    inside = np.concatenate([[0], np.asarray(mask).ravel() != 0, [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(inside))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def rows(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """Rows of a table with a head, by the names of its columns.

    Raises:
        WsvadError: it is empty, or no table.
    """
    if told := instead(path):
        raise WsvadError(f"{path}: {told}")
    if not columns(path):
        raise WsvadError(f"{path}: the file is empty; copy the official one")
    return read_table(path, most=LARGEST)


def check_lists(folder: Path, videos: Sequence[LabelledVideo]) -> None:
    """A video belongs to one split, and an abnormal test video has its truth.

    Raises:
        WsvadError: naming the first that does not.
    """
    seen: dict[str, str] = {}
    for video in videos:
        if video.name in seen:
            where = "both splits" if seen[video.name] != video.split else f"the {video.split} list twice"
            raise WsvadError(f"{folder}: {video.name} is in {where}; copy the official lists again")
        seen[video.name] = video.split
        if video.split == "test" and video.label and not video.intervals:
            raise WsvadError(
                f"{folder}: abnormal test video {video.name} has no interval in the annotation; lists and "
                f"annotation are from different releases; copy both from the same one"
            )
