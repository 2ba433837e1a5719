"""Intervals of videos from and to annotation tools: our intervals.csv, CVAT, Label Studio, VIA.

CVAT counts frames, and so does Label Studio, though at a rate of its own; VIA counts seconds, so that it takes the
times of frames. Frames are `[start, end)` here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from wsvad.datasets.annotations import cvat, label_studio, via
from wsvad.datasets.annotations.truth import MOST_BYTES, FrameTimes, Truth, checked
from wsvad.errors import UsageError, WsvadError
from wsvad.files import read_json
from wsvad.metrics.interval import Interval
from wsvad.tables import read_table, whole, write_table

Form = Literal["csv", "cvat", "label-studio", "via"]
FORMS: tuple[Form, ...] = get_args(Form)
Times = Callable[[str], FrameTimes]
"""When the frames of a video are, by its name."""


def holds_annotations(path: Path) -> bool:
    """Whether a path is annotations by its ending, or a folder of CVAT's files."""
    return path.suffix in (".csv", ".xlsx", ".xml", ".json") or (
        path.is_dir() and next(path.rglob("*.xml"), None) is not None
    )


def read_annotations(path: Path, times: Times) -> tuple[Truth, list[str], Form]:
    """Read intervals, in whichever form the file is in.

    Args:
        path: intervals.csv; a CVAT file, or a folder of them, one a video; a project of Label Studio or VIA.
        times: of frames, where the file counts seconds.

    Returns:
        Video → its intervals, in order; sentences on what was left out; and the form.

    Raises:
        WsvadError: not of these forms, or something in it cannot be right.
    """
    if path.is_dir() or path.suffix == ".xml":
        return checked(path, cvat.read(path)), [], "cvat"
    if path.suffix in (".csv", ".xlsx"):
        return checked(path, _read_csv(path)), [], "csv"
    project = read_json(path, most=MOST_BYTES)
    if isinstance(project, dict) and {"file", "view", "metadata"} <= project.keys():
        return checked(path, via.read(path, project, times)), [], "via"
    if isinstance(project, list | dict):
        found, ignored = label_studio.read(path, project)
        return checked(path, found), ignored, "label-studio"
    raise WsvadError(f"{path}: neither a project of VIA nor an export of Label Studio")


def form_to_write(path: Path, form: Form | None) -> Form:
    """The form that was named, else what the ending says; `.json` says nothing.

    Raises:
        UsageError: the form is not clear.
    """
    by_ending: dict[str, Form] = {".csv": "csv", ".xml": "cvat", "": "cvat"}
    if found := form or by_ending.get(path.suffix):
        return found
    raise UsageError(f"{path}: the ending does not determine the format; name it with --to, one of: {', '.join(FORMS)}")


def write_annotations(path: Path, truth: Truth, form: Form | None, times: Times, frames: Mapping[str, int]) -> None:
    """Write intervals in a form.

    Args:
        path: the file; for CVAT a folder, or a file if there is one video alone.
        truth: video → intervals.
        form: see `form_to_write`.
        times: of frames, where the form counts seconds.
        frames: how many frames each video has, as far as is known.
    """
    match form_to_write(path, form):
        case "csv":
            _write_csv(path, truth)
        case "cvat":
            cvat.write(path, truth, frames)
        case "label-studio":
            label_studio.write(path, truth)
        case "via":
            via.write(path, truth, times)


def _read_csv(path: Path) -> Truth:
    truth: dict[str, list[Interval]] = {}
    for place, row in read_table(path, ("video", "start_frame", "end_frame")):
        try:
            start, end = whole(row["start_frame"]), whole(row["end_frame"])
        except ValueError as error:
            raise WsvadError(f"{place}: frames of {row['video']} must be whole numbers ({error})") from None
        interval = Interval(start=start, end=end, category=row.get("category") or "abnormal")
        truth.setdefault(row["video"], []).append(interval)
    return {video: tuple(intervals) for video, intervals in truth.items()}


def _write_csv(path: Path, truth: Truth) -> None:
    rows = ((v, i.category, i.start, i.end) for v, intervals in truth.items() for i in intervals)
    write_table(path, ("video", "category", "start_frame", "end_frame"), rows)
