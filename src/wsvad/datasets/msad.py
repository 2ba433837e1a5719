"""MSAD (Zhu et al., NeurIPS 2024), protocol ii: 720 videos of 14 scenarios.

    anomaly_annotation.csv                  name, scenario, total frames, starting frame …, ending frame … of anomaly
    MSAD_I3D_WS_Train.list, msad-i3d.list             files of training features
    MSAD_I3D_WS_Test.list, msad-i3d-test.list         files of test features
    frames.csv                              video,frames (optional: for normal videos, which are not annotated)

Frames of the annotation count from 1, and the last one is abnormal too: `Assault_4,frontdoor,515,1,515` is all of a
video of 515 frames. A name begins with what happens (`Traffic_accident_12`) or says that nothing does
(`MSAD_normal_testing_3`).
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Literal

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import (
    agree,
    check_lists,
    find_list,
    frame_counts,
    intervals_of,
    read_list,
    require,
    require_list,
    rows,
    video_name,
)
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.tables import whole

ANNOTATION = ("anomaly_annotation.csv", "*msad*annotation*.csv")
TRAIN = ("MSAD_I3D_WS_Train.list", "msad-i3d.list", "*msad*train*.list", "*msad*train*.txt")
TEST = ("MSAD_I3D_WS_Test.list", "msad-i3d-test.list", "*msad*test*.list", "*msad*test*.txt")


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files; without a training list, the test videos alone."""
    annotation = require(folder, "annotation", *ANNOTATION)
    truth, annotated = read_annotation(annotation)
    frames = frame_counts(folder)
    agree(folder / "frames.csv", frames, annotated, annotation.name)
    frames |= annotated

    def video(name: str, split: Literal["train", "test"]) -> LabelledVideo:
        label = int("normal" not in name.lower())
        return LabelledVideo(
            name=name,
            label=label,
            category=category_of(name),
            split=split,
            frames=frames.get(name),
            intervals=truth.get(name, ()) if label == 0 or name in truth or split == "test" else None,
        )

    test = read_list(require_list(folder, "test", TEST, belongs))
    listed = find_list(folder, "train", TRAIN, belongs, without=test)
    train = read_list(listed) if listed else ()
    if listed and (unknown := [name for name in truth if name not in {*train, *test}]):
        raise WsvadError(f"{annotation}: {unknown[0]} is in neither list of videos; copy the official lists again")
    videos = [video(name, "train") for name in train] + [video(name, "test") for name in test]
    check_lists(folder, videos)
    return videos


def read_annotation(path: Path) -> tuple[dict[str, tuple[Interval, ...]], dict[str, int]]:
    """Intervals and frame counts of the abnormal videos; one with several events has several rows."""
    truth: dict[str, tuple[Interval, ...]] = defaultdict(tuple)
    frames: dict[str, int] = {}
    for place, row in rows(path):
        columns = {word: next((c for c in row if word in c), "") for word in ("name", "total", "start", "end")}
        if missing := [word for word, column in columns.items() if not column]:
            raise WsvadError(
                f"{path}: no column for '{missing[0]}'; the head is name, scenario, total frames, starting …"
            )
        name = video_name(row[columns["name"]])
        try:
            total, start, end = (whole(row[columns[word]]) for word in ("total", "start", "end"))
        except (ValueError, KeyError):
            raise WsvadError(f"{place}: the frames of {name} must be whole numbers") from None
        if not 1 <= start <= end:
            raise WsvadError(f"{place}: frames {start} to {end} of {name}; they count from 1, and both are abnormal")
        truth[name] += intervals_of(place, name, [start - 1, end], category_of(name))
        frames[name] = total
    return dict(truth), frames


def belongs(name: str) -> bool:
    """Whether a name is `Fire_3` or `MSAD_normal_testing_12`."""
    return re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)*_\d+", name) is not None


def category_of(name: str) -> str:
    """`Traffic_accident_12` is traffic accident."""
    if "normal" in name.lower():
        return "normal"
    return re.sub(r"_?\d+$", "", name).replace("_", " ").lower()


MSAD = Benchmark(
    name="msad",
    marks=("anomaly_annotation.csv", "MSAD_I3D_WS_Test.list", "msad-i3d-test.list"),
    read=read,
    split={"train": (120, 360), "test": (120, 120)},
    totals=(Totals(name="gt-MSAD-WS", frames=143_920, abnormal=33_160),),
)
