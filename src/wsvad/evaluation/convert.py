"""From one form to another: frame scores, and annotations."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from wsvad.datasets.annotations import Form, holds_annotations, read_annotations, write_annotations
from wsvad.datasets.folder import videos_below
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.score_forms import csv_header, holds_scores, load_arrays, save_arrays
from wsvad.evaluation.scores_file import split
from wsvad.video.names import normal
from wsvad.video.reader import VideoInfo, VideoReader


def convert_scores(what: Path, out: Path, listing: Path | None = None, stride: int = 1) -> str:
    """Scores to the form that `out` says by its ending; what was written, as a sentence.

    Args:
        what, listing, stride: see `score_forms.load_arrays`.
        out: `.npz`, `.csv`, `.npy`, or a folder to be of arrays.

    Raises:
        WsvadError: what there is cannot be right.
    """
    arrays = load_arrays(what, listing, stride)
    split(what, arrays)
    left = ""
    if out.suffix != ".npz" and "class_score" in arrays:
        left = "; scores of categories are left out, which only .npz can hold"
        arrays = {key: array for key, array in arrays.items() if key not in ("class_score", "categories")}
    save_arrays(out, arrays)
    return f"{out}: {len(arrays['video'])} videos, {int(np.sum(arrays['frames']))} frames{left}"


def convert_annotations(
    what: Path, out: Path, to: Form | None = None, frame_rate: str | None = None, videos: Path | None = None
) -> list[str]:
    """Annotations to another form; what was written and left out, as sentences.

    Args:
        what: see `read_annotations`.
        out, to: see `write_annotations`.
        frame_rate: of all videos, `25` or `30000/1001`.
        videos: folder of the videos: their own rates and lengths are taken, and names, which tools keep without
            folders, are those of files below it.

    Raises:
        WsvadError: what there is cannot be right; a video is not in the folder, or several of its name are.
        UsageError: a form counts seconds, and no rate is known.
    """
    files = videos_below(videos) if videos else {}

    def full_name(video: str) -> str:
        found = [name for name in files if name == normal(video)]
        found = found or [name for name in files if Path(name).name == Path(video).name]
        if len(found) != 1:
            raise WsvadError(f"{videos}: {len(found) or 'no'} videos here are called '{video}', which {what} names")
        return found[0]

    @cache
    def info(video: str) -> VideoInfo:
        with VideoReader(files[full_name(video)]) as reader:
            return reader.info

    def rate(video: str) -> float:
        if not frame_rate and not videos:
            raise UsageError("VIA stores seconds: give --frame-rate, or the folder of the videos with --videos")
        return parsed_rate(frame_rate) if frame_rate else float(info(video).rate)

    truth, notes = read_annotations(what, rate)
    lengths: dict[str, int] = {}
    if videos:
        named = {full_name(video): intervals for video, intervals in truth.items()}
        if len(named) < len(truth):
            raise WsvadError(f"{what}: names {len(truth)} videos, but they match only {len(named)} files in {videos}")
        truth = named
        lengths = {video: declared for video in truth if (declared := info(video).declared)}
    write_annotations(out, truth, to, rate, lengths)
    return [*notes, f"{out}: {len(truth)} videos, {sum(map(len, truth.values()))} intervals"]


def parsed_rate(text: str) -> float:
    """`25`, `29.97` or `30000/1001`.

    Raises:
        UsageError: it is none of these, or not above 0.
    """
    try:
        rate = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not 0 < rate < 1e4:
        raise UsageError(f"--frame-rate {text}: write frames a second, as in 25 or 30000/1001")
    return rate


def refuse_to_overwrite(out: Path) -> None:
    """Stop where something is that may have cost somebody days.

    Raises:
        UsageError: something is there.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out}: exists already; delete it, or name another --out")


def is_scores(what: Path) -> bool:
    """Whether a file or folder is scores; otherwise it is annotations.

    Raises:
        WsvadError: it is neither.
    """
    if not what.exists():
        raise WsvadError(f"{what}: there is no such file")
    if holds_scores(what) and not (what.suffix == ".csv" and "score" not in csv_header(what)):
        return True
    if holds_annotations(what):
        return False
    raise UsageError(f"{what}: neither scores (.npz, .npy, .csv, a folder of .npy) nor annotations (.csv, .xml, .json)")
