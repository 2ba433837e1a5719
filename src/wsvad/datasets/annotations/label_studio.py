"""Label Studio's JSON: a list of tasks, one a video, with `timelinelabels`, which count frames from 1 and name the last
one (as Label Studio's own code for video does)."""

import re
import reprlib
from collections import Counter
from pathlib import Path
from typing import Any, NotRequired, TypedDict
from urllib.parse import unquote

from wsvad.datasets.annotations.truth import Truth, shaped
from wsvad.errors import WsvadError
from wsvad.files import write_json
from wsvad.metrics.interval import Interval

EXPORT = "Label Studio's JSON export"
MOST_TASKS = 100_000
"""Tasks of the largest project."""
_PATH = re.compile(r"[^:/]*://[^/?#]*")
"""What stands before the path in an address."""


class _Span(TypedDict):
    start: float
    end: float


class _Value(TypedDict):
    ranges: list[_Span]
    timelinelabels: list[str]


class _Result(TypedDict):
    type: str
    value: NotRequired[Any]


class _Annotation(TypedDict):
    result: list[_Result]
    was_cancelled: NotRequired[Any]
    ground_truth: NotRequired[Any]


class _Task(TypedDict):
    data: dict[str, Any]
    annotations: NotRequired[list[_Annotation] | None]


UPLOADED = re.compile(r"^(?:/data/)?upload/(?:\d+/)?[0-9a-f]{8}-(.+)$")
"""What Label Studio makes of a file's name when it is uploaded."""


def read(path: Path, project: Any) -> tuple[Truth, list[str]]:
    """Read an export ("JSON").

    Returns:
        Video → its intervals; and a sentence if there were annotations of another kind.

    Raises:
        WsvadError: it is not an export, or a video was annotated by several people.
    """
    tasks = project if isinstance(project, list) else [project]
    if len(tasks) > MOST_TASKS:
        raise WsvadError(f"{path}: {len(tasks):,} tasks, more than the {MOST_TASKS:,} of a project; divide it")
    truth: dict[str, tuple[Interval, ...]] = {}
    other: Counter[str] = Counter()
    for number, given in enumerate(tasks):
        place = f"{path} task {number + 1}"
        task: _Task = shaped(place, given, _Task, EXPORT)
        if not (name := video_name(task["data"])):
            raise WsvadError(f"{place}: not in the format of {EXPORT} (data.video is no name); export it again")
        results = _results(place, task.get("annotations") or [])
        other.update(result["type"] for result in results if result["type"] != "timelinelabels")
        intervals = [one for r in results if r["type"] == "timelinelabels" for one in _intervals(place, r)]
        if name in truth:
            raise WsvadError(f"{place}: {name} has two tasks; keep one")
        truth[name] = tuple(intervals)
    skipped = ", ".join(f"{count} of type {kind}" for kind, count in other.items())
    return truth, [f"{path}: left out annotations that are not time spans (timelinelabels): {skipped}"] if other else []


def video_name(data: dict[str, Any]) -> str:
    """A task's video, empty where it has none. Of an address or an upload, the file's own name; a path is kept."""
    value = data.get("video") or next((value for value in data.values() if isinstance(value, str)), "")
    if not isinstance(value, str):
        return ""
    if "/data/local-files/" in value and "?d=" in value:
        return unquote(value.partition("?d=")[2])
    if "://" in value:
        value = unquote(_PATH.sub("", value, count=1).partition("?")[0].partition("#")[0])
        value = value if UPLOADED.match(value) else Path(value).name
    found = UPLOADED.match(value)
    return unquote(found[1]) if found else value


def _results(place: str, annotations: list[_Annotation]) -> list[_Result]:
    """The one annotation of a task; where there are several, the one that is marked as ground truth."""
    valid = [one for one in annotations if not one.get("was_cancelled")]
    chosen = [one for one in valid if one.get("ground_truth")] if len(valid) > 1 else valid
    if len(chosen) > 1 or (valid and not chosen):
        raise WsvadError(
            f"{place}: annotated {len(valid)} times; mark one annotation as ground truth, or delete others"
        )
    return list(chosen[0]["result"]) if chosen else []


def _intervals(place: str, result: _Result) -> list[Interval]:
    value: _Value = shaped(place, result.get("value"), _Value, EXPORT)
    category = ";".join(value["timelinelabels"])
    spans = [(span["start"], span["end"]) for span in value["ranges"]]
    if any(int(edge) != edge for span in spans for edge in span):
        raise WsvadError(f"{place}: frames {reprlib.repr(spans)} are not whole numbers; export it again")
    return [Interval(start=int(start) - 1, end=int(end), category=category) for start, end in spans]


def write(path: Path, truth: Truth) -> None:
    """Write tasks that can be imported, for a labelling interface with `<Video name="video" value="$video"/>` and
    `<TimelineLabels name="category" toName="video">`."""
    tasks = []
    for video, intervals in truth.items():
        results = [
            {
                "id": f"{number}",
                "type": "timelinelabels",
                "from_name": "category",
                "to_name": "video",
                "value": {
                    "ranges": [{"start": interval.start + 1, "end": interval.end}],
                    "timelinelabels": interval.category.split(";"),
                },
            }
            for number, interval in enumerate(intervals)
        ]
        tasks.append({"data": {"video": video}, "annotations": [{"result": results}]})
    write_json(path, tasks)
