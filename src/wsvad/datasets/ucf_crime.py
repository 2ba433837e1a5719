"""UCF-Crime (Sultani et al., CVPR 2018): 13 kinds of crime and accidents, 1,900 surveillance videos.

    Temporal_Anomaly_Annotation_for_Testing_Videos.txt      file  class  s1 e1 s2 e2, −1 where there is no second event
    Anomaly_Train.txt, or a list of training features       one file a line
    Anomaly_Test.txt, or a list of test features            the same (optional: the order of the test videos)
    frames.csv                                              video,frames (optional: the official annotation has no
                                                            lengths, those of methods' repositories may)

Test videos and their truth come from the annotation alone, their order from a list where there is one. Intervals are
read as half-open `[s, e)`, as VadCLIP and XDVioDet do; two other readings are in use (1.1) and move AUC by less than
0.1 points.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import (
    agree,
    check_lists,
    find,
    find_list,
    frame_counts,
    intervals_of,
    is_head,
    lines,
    list_files,
    listed_file,
    missing,
    read_list,
    video_name,
)
from wsvad.errors import WsvadError
from wsvad.tables import WHOLE

ANNOTATION = ("Temporal_Anomaly_Annotation*.txt",)
TRAIN = ("Anomaly_Train.txt", "ucf-i3d.list", "UCF_Train.list", "ucf_CLIP_rgb.csv", "*ucf*train*.list")
TEST = ("Anomaly_Test.txt", "ucf-i3d-test.list", "UCF_Test.list", "ucf_CLIP_rgbtest.csv", "*ucf*test*.list")


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files; without a training list, the test videos alone."""
    frames = frame_counts(folder)
    annotation = find(folder, *ANNOTATION) or next(filter(is_annotation_of_ours, list_files(folder)), None)
    if annotation is None:
        raise missing(folder, "temporal annotation", " or ".join(ANNOTATION))
    test = in_list_order(folder, read_annotation(annotation, frames))
    listed = find_list(folder, "train", TRAIN, belongs, without={video.name for video in test})
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


def in_list_order(folder: Path, test: list[LabelledVideo]) -> list[LabelledVideo]:
    """Test videos in the order of a list of them, which is that of arrays that were made from it; as annotated where
    there is none, or one of other videos."""
    path = find_list(folder, "test", TEST, belongs)
    place = {name: number for number, name in enumerate(read_list(path))} if path else {}
    return sorted(test, key=lambda video: place[video.name]) if {v.name for v in test} == place.keys() else test


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of an annotation."""

    name: str
    word: str
    """The class, as it is written there."""
    numbers: tuple[int, ...]
    """Pairs of frames."""
    frames: int | None


def read_row(line: str) -> Row | None:
    """`file class s1 e1 s2 e2`, with the video's length before the class or at the end, as the repositories of methods
    have it, between blanks, tabs or commas; None for another line."""
    file = listed_file(line)
    cells = [cell for cell in re.split(r"[\s,;]+", line.removeprefix(file)) if cell]
    words = [place for place, cell in enumerate(cells) if not re.fullmatch(rf"-?{WHOLE}", cell)]
    if len(words) != 1 or words[0] > 1:
        return None
    before, numbers = [int(cell) for cell in cells[: words[0]]], [int(cell) for cell in cells[words[0] + 1 :]]
    if not before and len(numbers) % 2 and len(numbers) > 2:
        before = [numbers.pop()]
    if len(numbers) < 2 or (before and before[0] < 1):
        return None
    frames = before[0] if before else None
    return Row(name=video_name(file), word=cells[words[0]], numbers=tuple(numbers), frames=frames)


def is_annotation_of_ours(path: Path) -> bool:
    """Whether every line of a file is one of an annotation of these videos."""
    try:
        rows = [read_row(line) for number, (_, line) in enumerate(lines(path)) if number or not is_head(line)]
    except WsvadError:
        return False
    return bool(rows) and all(row is not None and belongs(row.name) for row in rows)


def read_annotation(path: Path, frames: dict[str, int]) -> list[LabelledVideo]:
    """Test videos with their truth. Their lengths, where the annotation has them, are added to `frames`."""
    videos = []
    counted: dict[str, int] = {}
    for number, (place, line) in enumerate(lines(path)):
        row = read_row(line)
        if row is None and number == 0 and is_head(line):
            continue
        if row is None:
            raise WsvadError(f"{place}: '{line}' is not 'file class s1 e1 s2 e2'; copy the official file")
        name, category, word = row.name, category_of(row.name), row.word
        if category != ("normal" if "normal" in word.lower() else word):
            raise WsvadError(f"{place}: {name} is annotated as {word}, its name says {category}; fix one of the two")
        intervals = intervals_of(place, name, row.numbers, category)
        if row.frames is not None:
            counted[name] = row.frames
            if late := [one for one in intervals if one.start >= row.frames]:
                raise WsvadError(
                    f"{place}: {name} has {row.frames} frames, but something from frame {late[0].start} on; copy the "
                    "official file"
                )
        videos.append(
            LabelledVideo(
                name=name, label=int(category != "normal"), category=category, split="test",
                frames=frames.get(name, row.frames), intervals=intervals,
            )
        )  # fmt: skip
    if not videos:
        raise WsvadError(f"{path}: the file is empty; copy the official one")
    agree(path, counted, frames, "frames.csv")
    frames |= counted
    return videos


def belongs(name: str) -> bool:
    """Whether a name is `Abuse001_x264` or `Normal_Videos_003_x264`."""
    found = re.match(r"([A-Za-z]+?)(_Videos_?)?\d+_x264", name)
    return found is not None and found[1].lower() in {"normal", *map(str.lower, UCF_CRIME.per_category)}


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
