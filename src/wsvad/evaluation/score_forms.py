"""The forms that frame scores of many videos are kept in: ours, and those of public code and of spreadsheets.

    NAME.npz    video, frames, score[, label]: see scores_file
    NAME.csv    video,start_frame,end_frame,score[,label], frames [start, end), as 'wsvad score' writes it; or
                video,frame,score[,label], a row a frame. Rows of a video follow each other from frame 0 on. Also as
                spreadsheets write them, or .xlsx.
    NAME.json   scores.json, as 'wsvad score' writes it
    NAME/       VIDEO.npy for each video, (F,)
    NAME.npy    all videos one after the other, (ΣF,)

To the two last belong `NAME-videos.csv` (`video,frames`, in order; NAME/ can do without) and, if there are any, frame
labels, `NAME-label/VIDEO.npy` or `NAME-label.npy`. Arrays may be of snippets instead: each score then stands for
`stride` frames.
"""

import lzma
import re
import reprlib
import struct
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from wsvad.errors import UsageError, WsvadError
from wsvad.features.official import read_array
from wsvad.files import atomic, check_file, instead, read_json
from wsvad.metrics.interval import Interval
from wsvad.shapes import checked
from wsvad.tables import columns, number, read_table, whole, write_table

MOST_FRAMES = 50_000_000
"""Frames of all videos of a scores file, five hundred hours; their scores are held in memory."""
MOST_BYTES = 512 * 2**20
"""Size of a scores file, and of what is in it when it is unpacked."""
MOST_JSON = 128 * 2**20
"""Size of the largest scores.json, a week of video, which takes five times as much when it is read."""
MOST_HEAD = 4096
"""Bytes by which scores.json is known."""
_SCORED = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{(?:\s*"[^"]*"\s*:\s*(?:"[^"]*"|[\w.+-]+)\s*,)*\s*"videos"\s*:\s*\[')
"""How it begins: with the list of videos, before which there may be single values."""
KEYS = ("video", "frames", "score", "label", "class_score", "categories")
DAMAGED = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, SyntaxError,
    MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError,
)  # fmt: skip
"""What NumPy and `zipfile` raise on a damaged file. MemoryError: its head announces more than it has."""
Arrays = dict[str, np.ndarray]
"""By the keys of the scores file."""


class _Event(TypedDict):
    start_frame: int
    end_frame: int
    category: NotRequired[str]


class _Video(TypedDict):
    video: str
    events: list[_Event]


class _Scored(TypedDict):
    videos: list[_Video]


def holds_scores(path: Path) -> bool:
    """Whether a path is frame scores by its ending, or a folder of arrays; the file itself may be missing."""
    if path.is_dir():
        return not (path / "model.json").exists() and next(path.rglob("*.npy"), None) is not None
    return path.suffix in (".npz", ".csv", ".xlsx", ".npy") or (path.suffix == ".json" and is_scored(path))


def load_arrays(path: Path, listing: Path | None = None, stride: int = 1) -> Arrays:
    """Read scores in any of the forms.

    Args:
        path: the file or folder.
        listing: the list of videos of arrays, if it is not `NAME-videos.csv`.
        stride: frames that each score of arrays stands for; 16 for snippets.

    Raises:
        WsvadError: something is missing, is not of its form, or contradicts itself.
        UsageError: the stride is below 1.
    """
    if stride < 1:
        raise UsageError(f"--stride {stride}: a score stands for at least one frame")
    try:
        if path.is_dir():
            return _from_folder(path, listing, stride)
        match path.suffix:
            case ".csv" | ".xlsx":
                return _from_csv(path)
            case ".npy":
                return _from_array(path, listing, stride)
            case ".json":
                return _from_json(path)
            case _:
                return _from_npz(path)
    except FileNotFoundError as error:
        raise WsvadError(f"{error.filename or path}: there is no such file") from None
    except DAMAGED as error:
        if told := instead(path):
            raise WsvadError(f"{path}: {told}") from None
        what = "(.npz with 'video', 'frames' and 'score')" if path.suffix == ".npz" else f"({path.suffix})"
        raise WsvadError(f"{path}: not a scores file {what}: {error}") from None


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write scores in the form that the ending says; without an ending, a folder of arrays.

    Raises:
        UsageError: no form has that ending, or the form has no place for what there is.
        WsvadError: a video's name cannot be a file's.
    """
    if path.suffix == ".npz":
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        return
    if "class_score" in arrays:
        raise UsageError(f"{path}: only .npz can hold scores of categories")
    match path.suffix:
        case ".csv":
            _to_csv(path, arrays)
        case ".npy":
            for kind, place in (("score", path), ("label", beside(path, "label"))):
                if kind in arrays:
                    _save(place, arrays[kind])
            _save_list(path, arrays)
        case "":
            for name, parts in _videos(arrays):
                if Path(name).is_absolute() or ".." in Path(name).parts:
                    raise WsvadError(f"{path}: the name '{name}' points outside the folder; write .npz or .csv instead")
                for kind, array in parts.items():
                    _save((path if kind == "score" else beside(path, kind)) / f"{name}.npy", array)
            _save_list(path, arrays)
        case _:
            raise UsageError(f"{path}: scores are written as .npz, .npy, .csv, or into a folder of arrays")


def written(path: Path) -> list[Path]:
    """All files and folders that scores in the form of a path consist of; of one that exists, they are read with it."""
    if path.suffix not in ("", ".npy"):
        return [path]
    return [path, beside(path, "videos", ".csv"), beside(path, "label")]


def beside(path: Path, what: str, suffix: str | None = None) -> Path:
    """`NAME-what` beside NAME, with its ending or another."""
    name, own = (path.stem, ".npy") if path.suffix == ".npy" else (path.name, "")
    return path.with_name(f"{name}-{what}{own if suffix is None else suffix}")


# -------------------------------------------------------------------------------------------------------------- JSON


def is_scored(path: Path) -> bool:
    """Whether a JSON file is what 'wsvad score' writes, and not a project of an annotation tool."""
    check_file(path)
    with path.open("rb") as file:
        return _SCORED.match(file.read(MOST_HEAD)) is not None


def events_of(path: Path) -> dict[str, tuple[Interval, ...]]:
    """The events of `scores.json`, by video; `abnormal` where they have no category.

    Raises:
        WsvadError: it is damaged.
    """
    again = "score the videos again"
    scored = checked(path, read_json(path, most=MOST_BYTES, remedy=again), _Scored, again)
    return {
        video["video"]: tuple(
            Interval(start=one["start_frame"], end=one["end_frame"], category=one.get("category") or "abnormal")
            for one in video["events"]
        )
        for video in scored["videos"]
    }


def _from_json(path: Path) -> Arrays:
    """Names, lengths and scores of `scores.json`."""
    if path.stat().st_size > MOST_JSON:
        raise WsvadError(
            f"{path}: more than {MOST_JSON >> 20} MB; take scores.csv, which 'wsvad score' writes beside it"
        )
    names, scores, length = [], [], 0
    for video in read_json(path, most=MOST_JSON)["videos"]:
        if not isinstance(video["video"], str):
            raise ValueError(f"{reprlib.repr(video['video'])} is not the name of a video")
        edges = [(snippet["start_frame"], snippet["end_frame"]) for snippet in video["snippets"]]
        if [0, *(end for _, end in edges)] != [*(start for start, _ in edges), video["frames"]]:
            raise ValueError(f"the snippets of {video['video']} do not cover it from frame 0 to its end without gaps")
        names.append(video["video"])
        length += video["frames"]
        _refuse_too_long(path, length)
        scores.append(np.repeat([float(s["score"]) for s in video["snippets"]], [end - start for start, end in edges]))
    return {
        "video": np.array(names, dtype=str),
        "frames": np.array([len(score) for score in scores], dtype=np.int64),
        "score": np.concatenate([np.zeros(0), *scores]),
    }


# ------------------------------------------------------------------------------------------------------------ arrays


def _from_folder(path: Path, listing: Path | None, stride: int) -> Arrays:
    own = beside(path, "videos", ".csv")
    if listing or own.is_file():
        listed: dict[str, int | None] = dict(_read_list(listing or own))
    else:
        found = sorted(file.relative_to(path) for file in path.rglob("*.npy"))
        listed = {file.as_posix().removesuffix(".npy"): None for file in found}
    scores = [_to_frames(path / f"{name}.npy", stride, frames) for name, frames in listed.items()]
    arrays = {
        "video": np.array(list(listed), dtype=str),
        "frames": np.array([len(score) for score in scores], dtype=np.int64),
        "score": np.concatenate([np.zeros(0, np.float32), *scores]),
    }
    labels = beside(path, "label")
    if labels.is_dir():
        arrays["label"] = np.concatenate([_load(labels / f"{name}.npy") for name in listed])
    return arrays


def _from_array(path: Path, listing: Path | None, stride: int) -> Arrays:
    score, own = _load(path), beside(path, "videos", ".csv")
    if not listing and not own.is_file():
        raise WsvadError(
            f"{path}: its videos are not listed; write them to {own} (video,frames, in order), or name the list "
            f"with --listing"
        )
    listed = _read_list(listing or own)
    frames = np.array(list(listed.values()), dtype=np.int64)
    for snippets in (-(-frames // stride), frames // stride):  # with a short last snippet, or without it
        if snippets.sum() == len(score):
            break
    else:
        words = f"{-(-frames // stride).sum()} of {stride} frames ({frames.sum()})" if stride > 1 else f"{frames.sum()}"
        raise WsvadError(
            f"{path}: has {len(score)} scores, but the videos of {listing or own} have {words}; check that "
            f"list, and --stride"
        )
    ends = np.cumsum(snippets)
    each = [_stretched(score[e - n : e], f, stride) for n, e, f in zip(snippets, ends, frames, strict=True)]
    arrays = {"video": np.array(list(listed), dtype=str), "frames": frames, "score": np.concatenate(each)}
    if beside(path, "label").is_file():
        arrays["label"] = _load(beside(path, "label"))
    return arrays


def _from_npz(path: Path) -> Arrays:
    check_file(path, MOST_BYTES)
    with zipfile.ZipFile(path) as packed:
        size = sum(one.file_size for one in packed.infolist())
    if size > MOST_BYTES:
        raise WsvadError(f"{path}: unpacks to {size / 2**20:,.0f} MB, more than scores of {MOST_FRAMES:,} frames have")
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in KEYS if key in file}


def _to_frames(path: Path, stride: int, frames: int | None) -> np.ndarray:
    """A video's scores, one a frame."""
    score = _load(path)
    frames = len(score) * stride if frames is None else frames
    _refuse_too_long(path, frames)
    if abs(len(score) * stride - frames) > (stride if stride > 1 else 0):
        raise WsvadError(
            f"{path}: has {len(score)} scores of {stride} frame{'s'[: stride > 1]}, but the list says {frames} "
            f"frames; check --stride"
        )
    return _stretched(score, frames, stride)


def _stretched(score: np.ndarray, frames: int, stride: int) -> np.ndarray:
    """Each score `stride` times, the last one as often as frames are left."""
    if not len(score):
        return score
    return score[np.minimum(np.arange(frames) // stride, len(score) - 1)]


def _load(path: Path) -> np.ndarray:
    """An array of one dimension; others of size 1 are dropped."""
    array = read_array(path, "an array of numbers", "write it again", MOST_BYTES)
    if max(array.shape, default=1) != array.size or array.dtype.kind not in "fiub":
        raise WsvadError(f"{path}: expected one number a frame, found shape {array.shape} of {array.dtype}")
    return np.array(array).reshape(-1)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _read_list(path: Path) -> dict[str, int]:
    """`video,frames` in order."""
    listed: dict[str, int] = {}
    for place, row in read_table(path, ("video", "frames")):
        name = row["video"]
        if name in listed:
            raise WsvadError(f"{place}: {name} is listed twice; keep one")
        listed[name] = _frames(place, row["frames"])
    if not listed:
        raise WsvadError(f"{path}: lists no videos; write a line video,frames for each")
    _refuse_too_long(path, sum(listed.values()))
    return listed


def _save_list(path: Path, arrays: Arrays) -> None:
    rows = zip(arrays["video"].tolist(), arrays["frames"].tolist(), strict=True)
    write_table(beside(path, "videos", ".csv"), ("video", "frames"), rows)


# --------------------------------------------------------------------------------------------------------------- CSV


def _from_csv(path: Path) -> Arrays:
    check_file(path, MOST_BYTES)
    header = columns(path)
    first_column, last_column = ("frame", "frame") if "frame" in header else ("start_frame", "end_frame")
    wanted = dict.fromkeys(("video", first_column, last_column, "score"))
    frames: dict[str, int] = {}
    name: str | None = None
    lengths, scores, labels = array("q"), array("d"), array("q")
    for place, row in read_table(path, tuple(wanted), MOST_BYTES):
        video = row["video"]
        if video != name:
            if video in frames:
                raise WsvadError(f"{place}: {video} continues here; put all rows of a video together")
            name, frames[video] = video, 0
        first = _frames(place, row[first_column])
        last = first + 1 if first_column == last_column else _frames(place, row[last_column])
        if first != frames[video] or last <= first:
            raise WsvadError(f"{place}: frames [{first}, {last}) of {video}, expected to continue at {frames[video]}")
        frames[video] = last
        lengths.append(last - first)
        try:
            scores.append(number(row["score"]))
            if "label" in header:
                labels.append(whole(row["label"]))
        except ValueError:
            raise WsvadError(f"{place}: score and label of {video} must be numbers") from None
    _refuse_too_long(path, sum(frames.values()))
    arrays = {
        "video": np.array(list(frames), dtype=str),
        "frames": np.array(list(frames.values()), dtype=np.int64),
        "score": np.repeat(np.array(scores, dtype=np.float64), lengths),
    }
    return arrays | ({"label": np.repeat(np.array(labels, dtype=np.int64), lengths)} if labels else {})


def _to_csv(path: Path, arrays: Arrays) -> None:
    """A row for each run of frames with the same score and label; scores in as many digits as they have."""

    def rows() -> Iterator[tuple[object, ...]]:
        for name, parts in _videos(arrays):
            edges = [np.flatnonzero(array[1:] != array[:-1]) + 1 for array in parts.values()]
            starts = np.unique(np.concatenate([[0], *edges])).astype(np.int64)
            ends = np.append(starts[1:], len(parts["score"]))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                label = [int(parts["label"][start])] if "label" in parts else []
                yield name, start, end, float(parts["score"][start]), *label

    header = ["video", "start_frame", "end_frame", "score", *(["label"] if "label" in arrays else [])]
    write_table(path, header, rows())


def _videos(arrays: Arrays) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    """Each video's name, and its score and label."""
    ends = np.cumsum(arrays["frames"])
    for name, length, end in zip(arrays["video"].tolist(), arrays["frames"], ends, strict=True):
        yield name, {kind: arrays[kind][end - length : end] for kind in ("score", "label") if kind in arrays}


def _frames(place: str, value: str) -> int:
    try:
        if (count := whole(value)) >= 0:
            return count
    except ValueError:
        pass
    raise WsvadError(f"{place}: '{value}' is not a whole number of frames")


def _refuse_too_long(path: Path, frames: int) -> None:
    if frames > MOST_FRAMES:
        raise WsvadError(f"{path}: {frames:,} frames, more than the {MOST_FRAMES:,} of a scores file; divide it")
