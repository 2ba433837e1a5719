"""Projects of the VGG Image Annotator for video (VIA 3): temporal segments, in seconds.

A segment's category is the value of the first attribute of temporal segments. Seconds become the frames that
begin nearest to them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar

from wsvad.datasets.annotations.truth import FrameTimes, Truth, shaped
from wsvad.errors import WsvadError
from wsvad.files import write_json
from wsvad.metrics.interval import Interval

TEXT, SELECT, VIDEO, LOCAL, DELETED = 1, 4, 4, 1, 1
"""VIA's numbers: attributes that are typed or chosen, a video, a file that the browser is shown, a segment's flag."""
SEGMENT = "FILE1_Z2_XY0"
"""VIA's word for attributes of temporal segments."""
PROJECT = "a VIA 3 project"
Found = TypeVar("Found")


class _File(TypedDict):
    fname: str


class _View(TypedDict):
    fid_list: list[str | int]


class _Segment(TypedDict):
    vid: str | int
    z: list[float]
    xy: list[Any]
    av: dict[str, str]
    flg: NotRequired[int]


class _Attribute(TypedDict):
    anchor_id: NotRequired[str]
    type: int
    options: NotRequired[dict[str, str] | None]


class _Project(TypedDict):
    file: dict[str, _File]
    view: dict[str, _View]
    metadata: dict[str, _Segment]
    attribute: dict[str, _Attribute]


def read(path: Path, project: dict[str, Any], times: Callable[[str], FrameTimes]) -> Truth:
    """Read a project.

    Raises:
        WsvadError: it is not one of VIA 3, or a segment cannot be right.
    """
    whole: _Project = shaped(str(path), project, _Project, PROJECT)
    truth: dict[str, list[Interval]] = {}
    names = {}
    for vid, view in whole["view"].items():
        name = names[vid] = _looked_up(str(path), whole["file"], "file", next(iter(view["fid_list"]), None))["fname"]
        if name in truth:
            raise WsvadError(f"{path}: {name} is listed twice; keep one")
        truth[name] = []
    for key, segment in whole["metadata"].items():
        place = f"{path} segment {key}"
        if len(segment["z"]) != 2 or segment["xy"] or segment.get("flg", 0) & DELETED:
            continue  # a region in a picture, a marker, or nothing any more
        name = _looked_up(place, names, "view", segment["vid"])
        try:
            start, end = (times(name).frame(second) for second in segment["z"])
        except OverflowError:
            raise WsvadError(f"{place}: the times {segment['z']} are beyond any video; correct them") from None
        category = _category(place, whole["attribute"], segment["av"])
        truth[name].append(Interval(start=start, end=max(end, start + 1), category=category))
    return {name: tuple(intervals) for name, intervals in truth.items()}


def _looked_up(place: str, among: Mapping[str, Found], what: str, key: object) -> Found:
    if str(key) not in among:
        raise WsvadError(f"{place}: not in the format of {PROJECT} (no {what} {key!r}); export it again")
    return among[str(key)]


def _category(place: str, attributes: dict[str, _Attribute], values: dict[str, str]) -> str:
    """What the first attribute of temporal segments says; its options are numbered."""
    for aid, attribute in attributes.items():
        if attribute.get("anchor_id") == SEGMENT and values.get(aid):
            if attribute["type"] == TEXT:
                return values[aid]
            options = attribute.get("options") or {}
            return ";".join(_looked_up(place, options, "option", one) for one in values[aid].split(","))
    return "abnormal"


def write(path: Path, truth: Truth, times: Callable[[str], FrameTimes]) -> None:
    """Write a project. VIA asks for the videos when it is opened."""
    categories = list(dict.fromkeys(interval.category for intervals in truth.values() for interval in intervals))
    options = {str(number): category for number, category in enumerate(categories)}
    number = {category: key for key, category in options.items()}
    ids = {video: str(n + 1) for n, video in enumerate(truth)}
    write_json(
        path,
        {
            "project": {
                "pid": "__VIA_PROJECT_ID__", "rev": "__VIA_PROJECT_REV_ID__",
                "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__", "pname": path.stem, "creator": "wsvad", "created": 0,
                "data_format_version": "3.1.1", "vid_list": list(ids.values()),
            },
            "config": {
                "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
                "ui": {"file_content_align": "center"},
            },
            "attribute": {
                "1": {
                    "aname": "category", "anchor_id": SEGMENT, "type": SELECT, "desc": "What happens",
                    "options": options, "default_option_id": "",
                }
            },
            "file": {i: {"fid": i, "fname": v, "type": VIDEO, "loc": LOCAL, "src": ""} for v, i in ids.items()},
            "view": {i: {"fid_list": [i]} for i in ids.values()},
            "metadata": {
                f"{ids[video]}_{n:06d}": {
                    "vid": ids[video], "flg": 0, "xy": [],
                    "z": [round(times(video).second(edge), 6) for edge in (i.start, i.end)],
                    "av": {"1": number[i.category]},
                }
                for video, intervals in truth.items()
                for n, i in enumerate(intervals)
            },
        },
    )  # fmt: skip
