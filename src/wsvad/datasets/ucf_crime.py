"""UCF-Crime (Sultani et al., CVPR 2018): 13 kinds of crime and accidents, 1,900 surveillance videos.

    Temporal_Anomaly_Annotation_for_Testing_Videos.txt      file  class  s1 e1 s2 e2, −1 where there is no second event
    Anomaly_Train.txt, or a list of training features       one file a line
    frames.csv                                              video,frames (optional: the annotation has no lengths)

Test videos and their truth come from the annotation alone. Intervals are read as half-open `[s, e)`, as VadCLIP and
XDVioDet do; two other readings are in use (1.1) and move AUC by less than 0.1 points.
"""

import re
from pathlib import Path

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import check_lists, find, frame_counts, intervals_of, lines, read_list, require, video_name
from wsvad.errors import WsvadError

ANNOTATION = ("Temporal_Anomaly_Annotation*.txt",)
TRAIN = ("Anomaly_Train.txt", "ucf-i3d.list", "UCF_Train.list", "ucf_CLIP_rgb.csv", "*ucf*train*.list")


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files; without a training list, the test videos alone."""
    frames = frame_counts(folder)
    test = read_annotation(require(folder, "temporal annotation", *ANNOTATION), frames)
    listed = find(folder, *TRAIN)
    train = [
        LabelledVideo(
            name=name,
            label=int(category_of(name) != "normal"),
            category=category_of(name),
            split="train",
            frames=frames.get(name),
        )
        for name in (read_list(listed) if listed else ())
    ]
    check_lists(folder, train + test)
    return train + test


def read_annotation(path: Path, frames: dict[str, int]) -> list[LabelledVideo]:
    """Test videos with their truth."""
    videos = []
    for place, line in lines(path):
        words = line.split()
        if len(words) < 4 or not all(re.fullmatch(r"-?\d+", word) for word in words[2:]):
            raise WsvadError(f"{place}: '{line}' is not 'file class s1 e1 s2 e2'; copy the official file")
        name, category = video_name(words[0]), category_of(words[0])
        if category != ("normal" if words[1].lower() == "normal" else words[1]):
            raise WsvadError(
                f"{place}: {name} is annotated as {words[1]}, its name says {category}; fix one of the two"
            )
        intervals = intervals_of(place, name, [int(word) for word in words[2:]], category)
        videos.append(
            LabelledVideo(
                name=name,
                label=int(category != "normal"),
                category=category,
                split="test",
                frames=frames.get(name),
                intervals=intervals,
            )
        )
    if not videos:
        raise WsvadError(f"{path}: the file is empty; copy the official one")
    return videos


def category_of(name: str) -> str:
    """`Abuse001_x264` is Abuse, `Normal_Videos_003_x264` is normal."""
    found = re.match(r"[A-Za-z]+", video_name(name))
    return "normal" if found is None or found[0].lower() in ("normal", "training", "testing") else found[0]


UCF_CRIME = Benchmark(
    name="ucf-crime",
    marks=ANNOTATION,
    read=read,
    split={"train": (810, 800), "test": (140, 150)},
    totals=(
        Totals(name="native frames", frames=1_111_808),
        Totals(name="⌊F/16⌋·16", frames=1_109_824, abnormal=84_160, in_abnormal=461_968),
        Totals(name="⌈F/16⌉·16", frames=1_114_144),
        Totals(name="PEL4VAD", frames=1_109_680, abnormal=84_128, in_abnormal=461_856),
    ),
    per_category={
        "Abuse": (48, 2), "Arrest": (45, 5), "Arson": (41, 9), "Assault": (47, 3), "Burglary": (87, 13),
        "Explosion": (29, 21), "Fighting": (45, 5), "RoadAccidents": (127, 23), "Robbery": (145, 5),
        "Shooting": (27, 23), "Shoplifting": (29, 21), "Stealing": (95, 5), "Vandalism": (45, 5),
    },
)  # fmt: skip
