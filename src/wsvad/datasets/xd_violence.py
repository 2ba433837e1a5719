"""XD-Violence (Wu et al., ECCV 2020): six kinds of violence in 4,754 videos with sound, several in one video.

    annotations.txt                                      file s1 e1 s2 e2 …, the abnormal test videos
    annotations_multiclasses.txt                         file B1 s1 e1 G s2 e2 … (optional: which event is what)
    rgb.list, XD_Train.list, xd_CLIP_rgb.csv …           files of training features
    rgb_test.list, XD_Test.list, xd_CLIP_rgbtest.csv …   files of test features
    frames.csv                                           video,frames (optional: the annotation has no lengths)

The end of a file's name is its label: `label_B1-B2-0` is fighting and shooting, `label_A` normal. Frame metrics take
their truth from `annotations.txt`, mAP from `annotations_multiclasses.txt`, as in VadCLIP; without that file every
interval shows all that its video's label says.
"""

import re
from pathlib import Path
from typing import Literal

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import (
    check_lists,
    find,
    find_list,
    frame_counts,
    intervals_of,
    lines,
    read_list,
    require,
    require_list,
    video_name,
)
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.tables import WHOLE

CODES = {"B1": "fighting", "B2": "shooting", "B4": "riot", "B5": "abuse", "B6": "car accident", "G": "explosion"}
TRAIN = ("XD_Train.list", "rgb.list", "violence-i3d.list", "xd_CLIP_rgb.csv", "*xd*train*.list")
TEST = ("XD_Test.list", "rgb_test.list", "violence-i3d-test.list", "xd_CLIP_rgbtest.csv", "*xd*test*.list")
ANNOTATION = ("annotations.txt", "*xd*annotation*.txt")
EVENTS = ("annotations_multiclasses.txt",)


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files; without a training list, the test videos alone."""
    annotation = require(folder, "annotation of the test videos", *ANNOTATION)
    truth, frames = read_annotation(annotation), frame_counts(folder)
    test = read_list(require_list(folder, "test", TEST, belongs))
    train = find_list(folder, "train", TRAIN, belongs, without=test)
    if unknown := [name for name in truth if name not in set(test)]:
        raise WsvadError(f"{annotation}: {unknown[0]} is not in the list of test videos; copy the official lists again")
    apart = find(folder, *EVENTS)
    events = read_events(apart) if apart else {}
    several = [name for name in truth if ";" in category_of(name)]  # which is which of them, no other file says
    if lacking := [name for name in several if apart and name not in events]:
        raise WsvadError(f"{apart}: {lacking[0]} of {annotation.name} is missing; copy the official file")

    def video(name: str, split: Literal["train", "test"]) -> LabelledVideo:
        category = category_of(name)
        label = int(category != "normal")
        intervals = truth.get(name, ()) if label == 0 or split == "test" else None
        return LabelledVideo(
            name=name, label=label, category=category, split=split, frames=frames.get(name), intervals=intervals,
            events=events.get(name),
        )  # fmt: skip

    videos = [video(name, "train") for name in (read_list(train) if train else ())]
    videos += [video(name, "test") for name in test]
    check_lists(folder, videos)
    return videos


def read_annotation(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Intervals of the abnormal test videos. Names may hold spaces; the numbers are at the end."""
    truth = {}
    for place, line in lines(path):
        found = re.fullmatch(rf"(.+?)((?:\s+-?{WHOLE})+)", line)
        if found is None:
            raise WsvadError(f"{place}: '{line[:60]}' is not 'file s1 e1 s2 e2 …'; copy the official file")
        name = video_name(found[1])
        if category_of(name) == "normal":
            raise WsvadError(f"{place}: {name} is labelled normal (A) but has an interval; copy the official file")
        truth[name] = intervals_of(place, name, [int(number) for number in found[2].split()], category_of(name))
    return truth


def read_events(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Intervals of single categories: before each pair of frames stands its code."""
    events = {}
    for place, line in lines(path):
        found = re.fullmatch(rf"(.+?)((?:\s+[A-Z]\d?\s+{WHOLE}\s+{WHOLE})+)", line)
        words = found[2].split() if found else []
        if found is None or not CODES.keys() >= set(words[::3]):
            raise WsvadError(f"{place}: '{line[:60]}' is not 'file B1 s1 e1 G s2 e2 …'; copy the official file")
        name = video_name(found[1])
        pairs = zip(words[::3], words[1::3], words[2::3], strict=True)
        events[name] = sum((intervals_of(place, name, [int(s), int(e)], CODES[code]) for code, s, e in pairs), ())
    return events


def belongs(name: str) -> bool:
    """Whether a name ends in a label."""
    return re.search(r"label_(A|[BG]\d?(-[BG0]\d?)*)$", name) is not None


def category_of(name: str) -> str:
    """What the label in a name says, several joined by `;`.

    Raises:
        WsvadError: there is none, or an unknown one.
    """
    codes = name.rpartition("label_")[2].split("-")
    if "label_" not in name or any(code not in (*CODES, "A", "0") for code in codes):
        raise WsvadError(
            f"{name}: the name does not end in a label such as label_B1-0-0 or label_A; keep official names"
        )
    return ";".join(CODES[code] for code in codes if code in CODES) or "normal"


XD_VIOLENCE = Benchmark(
    name="xd-violence",
    marks=("XD_Test.list", "rgb_test.list", "xd_CLIP_rgbtest.csv", "violence-i3d-test.list"),
    read=read,
    split={"train": (1905, 2049), "test": (500, 300)},
    totals=(Totals(name="PEL4VAD, whole snippets", frames=2_330_384, abnormal=537_805, in_abnormal=1_078_016),),
    headline="ap",
    normal_is_event=True,
)
