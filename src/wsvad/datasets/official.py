"""What the official files of published datasets have in common: lists of feature files, frame counts, intervals."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from wsvad.datasets.dataset import LabelledVideo
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval

PLACES = ("", "list", "lists", "annotations", "annotation", "split", "splits", "Test", "testing")
"""Folders below the dataset's in which official repositories keep their lists."""
ENDINGS = re.compile(r"(\.(npy|npz|mp4|avi|txt)|__vggish|_(i3d|s3d|c3d|clip|emb))$", re.IGNORECASE)
CROP = re.compile(r"__\d$")


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
        WsvadError: there is none.
    """
    path = find(folder, *patterns)
    if path is None:
        raise WsvadError(f"{folder}: no {what} here ({' or '.join(patterns)}); copy the official file into this folder")
    return path


def lines(path: Path) -> Iterable[tuple[str, str]]:
    """The lines of a text file that hold something, each with its place, `Anomaly_Train.txt line 7`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise WsvadError(f"{path}: not a UTF-8 text file ({error}); copy the official one") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"{path} line {number}", line.strip()


def video_name(path: str) -> str:
    """A video's name from the path of a file of it: no folder, ending, backbone or crop.

    `…/Abuse/Abuse001_x264__7.npy`, `Abuse001_x264_i3d.npy` and `Abuse/Abuse001_x264.mp4` are all `Abuse001_x264`.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    while shorter := ENDINGS.sub("", name):
        if shorter == name:
            break
        name = shorter
    return CROP.sub("", name)


def listed_file(line: str) -> str:
    """The path in a line of a list. It may hold spaces, and columns may stand behind it: it ends with the file's ending
    where it has one."""
    found = re.match(r".*\.(npy|npz|mp4|avi)(?=\s|,|$)", line, re.IGNORECASE)
    return found[0] if found else re.split(r"[\s,]", line)[0]


def read_list(path: Path) -> list[str]:
    """Names of the videos of a list of files, each once, in the list's order.

    The list has a path a line, perhaps with columns behind it, or is VadCLIP's CSV (`path,label`).

    Raises:
        WsvadError: the list is empty.
    """
    if path.suffix.lower() == ".csv":
        cells = [next(csv.reader([line])) for _, line in lines(path)]
        files = [",".join(row[:-1]) or row[0] for row in cells]  # the label is the last one; a path may hold commas
        files = files[1:] if files and files[0].lower() in ("path", "video", "file") else files
    else:
        files = [listed_file(line) for _, line in lines(path)]
    names = list(dict.fromkeys(video_name(file) for file in files))
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
    for number, (place, line) in enumerate(lines(path)) if path else ():
        name, _, frames = (part.strip(' "') for part in line.rpartition(","))
        if number == 0 and not frames.isdigit():
            continue
        if not name or not frames.isdigit() or int(frames) < 1:
            raise WsvadError(f"{place}: '{line}' is not video,frames with a whole number above 0")
        if counts.setdefault(video_name(name), int(frames)) != int(frames):
            raise WsvadError(
                f"{place}: {name} has {counts[video_name(name)]} frames in an earlier line; keep one of the two"
            )
    return counts


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
    """Rows of a CSV file with a head, by lower-case column names without blanks around."""
    listed = list(lines(path))
    if not listed:
        raise WsvadError(f"{path}: the file is empty; copy the official one")
    head = [name.strip().lower() for name in next(csv.reader([listed[0][1]]))]
    for place, line in listed[1:]:
        yield place, dict(zip(head, (cell.strip() for cell in next(csv.reader([line]))), strict=False))


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
