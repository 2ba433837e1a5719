"""ShanghaiTech Campus in the weakly-supervised split of Zhong et al. (CVPR 2019): 437 videos of 13 cameras.

    SHANGHAI_train.txt, shanghai-i3d-train-10crop.list …     training videos: a name or a feature file a line
    SHANGHAI_test.txt, shanghai-i3d-test-10crop.list …       test videos
    test_frame_mask/, testframemask/ or label/               01_0014.npy …, one value a frame, not 0 where abnormal
    frames.csv                                               video,frames (optional: for videos without a mask)

Names with four digits behind the camera's are of the abnormal videos, those with three of the normal ones.

**Lengths.** Four truths are in use. Each follows the snippets of its own features: `rtfm` and `tevad` repeat a mask's
last value where the snippets reach beyond it, `pel4vad` ends with them, `masks` has every frame of the masks. So the
features decide which one is met, and the totals tell its name. Here a mask's last value is repeated for a snippet.
"""

import re
from pathlib import Path

import numpy as np

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import (
    agree,
    check_lists,
    find_list,
    frame_counts,
    listed,
    require,
    require_list,
    runs,
    video_name,
)
from wsvad.errors import WsvadError
from wsvad.features.official import read_array
from wsvad.metrics.interval import Interval
from wsvad.tables import MOST_BYTES, WHOLE
from wsvad.video.clock import SNIPPET

TRAIN = ("SHANGHAI_train.txt", "*sh*train*.list", "*sh*train*.txt", "train.list")
TEST = ("SHANGHAI_test.txt", "*sh*test*.list", "*sh*test*.txt", "test.list")
MASKS = ("test_frame_mask", "testframemask", "test_frame_masks", "frame_masks", "masks", "label", "labels")
NAME = re.compile(r"\d\d_\d{3,4}(?=\D|$)")


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files; without a training list, the test videos alone."""
    masks, frames = read_masks(folder), frame_counts(folder)
    truth = {name: runs(mask) for name, mask in masks.items()}
    agree(folder / "frames.csv", frames, {name: len(mask) for name, mask in masks.items()}, "its mask")
    frames |= {name: len(mask) for name, mask in masks.items()}
    videos = []
    test = read_names(require_list(folder, "test", TEST, belongs))
    train = find_list(folder, "train", TRAIN, belongs, without=test)
    for split, names in (("train", read_names(train) if train else {}), ("test", test)):
        for name, counted in names.items():
            label = int(bool(truth[name]) if name in truth else len(name) == len("01_0014"))
            videos.append(
                LabelledVideo(
                    name=name,
                    label=label,
                    category="abnormal" if label else "normal",
                    split="test" if split == "test" else "train",
                    frames=frames.get(name, counted),
                    intervals=lasting(truth.get(name, []), frames.get(name)) if label == 0 or name in truth else None,
                )
            )
    check_lists(folder, videos)
    return videos


def read_names(path: Path) -> dict[str, int | None]:
    """Videos of a list with their frames where it tells them, beside a label of 0 or 1: `name frames label …` or
    `name,label,frames`; or a path of a feature file."""
    names: dict[str, int | None] = {}
    for place, file, behind in listed(path):
        found = NAME.match(video_name(file))
        if found is None:
            raise WsvadError(f"{place}: '{file}' is not a video such as 01_0014; copy the official list")
        columns = re.split(r"[\s,;]+", behind)
        counts = [int(one) for one in columns[:2] if re.fullmatch(WHOLE, one) and int(one) > 1]
        names.setdefault(found[0], counts[0] if len(columns) >= 2 and counts else None)
    return names


def belongs(name: str) -> bool:
    """Whether a name is `01_0014`, perhaps with a crop's number behind it."""
    return re.fullmatch(r"\d\d_\d{3,4}(_\d)?", name) is not None


def read_masks(folder: Path) -> dict[str, np.ndarray]:
    """Frame labels of the videos that have a mask.

    Raises:
        WsvadError: there is no folder of masks, or a mask is not an array of numbers.
    """
    place = require(folder, "folder of frame masks", *MASKS)
    masks = {}
    for path in sorted(place.glob("*.npy")):
        mask = read_array(path, "an array of frame labels", "copy the official file", MOST_BYTES)
        if mask.dtype.kind not in "biuf" or mask.ndim > 2 or not mask.size or (mask.ndim == 2 and 1 not in mask.shape):
            raise WsvadError(f"{path}: labels of shape {mask.shape}, {mask.dtype}; expected one number a frame")
        masks[path.stem] = np.array(mask).ravel()
    return masks


def lasting(found: list[tuple[int, int]], frames: int | None) -> tuple[Interval, ...]:
    """Runs of a mask; one that reaches the last frame lasts a snippet longer, for features that do."""
    return tuple(
        Interval(start=start, end=end + SNIPPET if end == frames else end, category="abnormal") for start, end in found
    )


SHANGHAITECH = Benchmark(
    name="shanghaitech",
    marks=("SHANGHAI_test.txt", "shanghai*test*.list"),
    read=read,
    split={"train": (63, 175), "test": (44, 155)},
    totals=(
        Totals(name="rtfm (gt-sh)", frames=142_912, abnormal=8_028),
        Totals(name="tevad (gt-sh2, also MGFN)", frames=143_888, abnormal=8_028),
        Totals(name="pel4vad", frames=140_112, abnormal=7_874),
    ),
)
