"""From one form to another: frame scores, and annotations."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from wsvad.datasets.annotations import Form, holds_annotations, read_annotations, write_annotations
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.score_forms import csv_header, holds_scores, load_arrays, save_arrays
from wsvad.evaluation.scores_file import split
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
        left = "; scores of categories are left out, which .npz alone keeps"
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
        videos: folder of the videos, whose own rates and lengths are taken.

    Raises:
        WsvadError: what there is cannot be right.
        UsageError: a form counts seconds, and no rate is known.
    """
    known: dict[str, VideoInfo] = {}

    def info(video: str) -> VideoInfo | None:
        if videos and video not in known:
            with VideoReader(videos / video) as reader:
                known[video] = reader.info
        return known.get(video)

    def rate(video: str) -> float:
        if frame_rate:
            return parsed_rate(frame_rate)
        found = info(video)
        if found is None:
            raise UsageError("VIA counts seconds: name the --frame-rate, or the folder of the --videos")
        return float(found.rate)

    truth, notes = read_annotations(what, rate)
    lengths = {video: found.declared for video in truth if (found := info(video)) and found.declared}
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
