"""UCSD Ped2 (Mahadevan et al., CVPR 2010): 28 clips of a footpath; cyclists, carts and skaters are the anomalies.

    Train/Train001/001.tif …            normal clips
    Test/Test001/001.tif …              clips with an anomaly each
    Test/UCSDped2.m                     TestVideoFile{end+1}.gt_frame = [61:180];    from 1, ends included

The official training clips are all normal, so weak supervision needs another split. Where lists are there
(`ped2-i3d.list`, `ped2-i3d-test.list`, or any of both splits) they decide; else training clips 1–10 and the odd test
clips are for training.
"""

import re
from pathlib import Path

from wsvad.datasets.benchmark import Benchmark, Totals
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.official import check_lists, find, find_list, frame_counts, read_list
from wsvad.errors import WsvadError
from wsvad.files import check_file
from wsvad.metrics.interval import Interval
from wsvad.tables import MOST_BYTES

PICTURES = {".tif", ".tiff", ".png", ".jpg", ".bmp"}
TRAINING_CLIPS = 10
"""Normal clips that are trained on."""


def read(folder: Path) -> list[LabelledVideo]:
    """Videos of a folder with the official files."""
    root = folder / "UCSDped2" if (folder / "UCSDped2").is_dir() else folder
    truth = read_truth(root)
    counts = frame_counts(folder)
    names = [f"Train{number:03d}" for number in range(1, 17)] + [f"Test{number:03d}" for number in range(1, 13)]
    train = trained_on(folder, names)
    videos = []
    for name in names:
        clip = root / name[:-3] / name
        frames = sum(path.suffix.lower() in PICTURES for path in clip.iterdir()) if clip.is_dir() else counts.get(name)
        label = int(name.startswith("Test"))
        videos.append(
            LabelledVideo(
                name=name,
                label=label,
                category="anomaly" if label else "normal",
                split="train" if name in train else "test",
                frames=frames,
                intervals=truth[name] if label else (),
            )
        )
    check_lists(folder, videos)
    return videos


def trained_on(folder: Path, names: list[str]) -> set[str]:
    """The training videos of a weakly-supervised split."""
    tested = find_list(folder, "test", ("*ped2*test*.list",), belongs)
    test = read_list(tested) if tested else []
    listed = find_list(folder, "train", ("*ped2*train*.list", "ped2-i3d.list"), belongs, without=test)
    if listed and tested:
        train = read_list(listed)
        unknown = [name for name in (*train, *test) if name not in names]
        if unknown:
            raise WsvadError(
                f"{listed}: '{unknown[0]}' is not a clip such as Train001 or Test001; copy the official list"
            )
        return set(train)
    return {name for name in names if int(name[-3:]) % 2 and name.startswith("Test")} | set(names[:TRAINING_CLIPS])


def belongs(name: str) -> bool:
    """Whether a name is `Train001` or `Test001`."""
    return re.fullmatch(r"(Train|Test)\d{3}", name) is not None


def read_truth(root: Path) -> dict[str, tuple[Interval, ...]]:
    """Intervals of the test clips, in their order in the file, from 1-based ranges with both ends."""
    path = find(root, "UCSDped2.m")
    if path is None:
        raise WsvadError(f"{root / 'Test' / 'UCSDped2.m'}: there is no such file; copy the official annotation")
    check_file(path, MOST_BYTES)
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^[^%\n]*gt_frame\s*=\s*\[([^\]]*)\]", text, re.M)
    if len(found) != 12:
        raise WsvadError(f"{path}: {len(found)} lines with gt_frame instead of 12; copy the official annotation")
    truth = {}
    for number, ranges in enumerate(found, 1):
        pairs = re.findall(r"(\d+)\s*:\s*(\d+)", ranges)
        if not pairs or any(len(a + b) > 24 or not 1 <= int(a) <= int(b) for a, b in pairs):
            raise WsvadError(f"{path}: '[{ranges}]' of Test{number:03d} is not a range of frames such as [61:180]")
        truth[f"Test{number:03d}"] = tuple(Interval(start=int(a) - 1, end=int(b), category="anomaly") for a, b in pairs)
    return truth


UCSD_PED2 = Benchmark(
    name="ucsd-ped2",
    marks=("UCSDped2.m", "UCSDped2", "ped2-i3d-test.list"),
    read=read,
    split={"train": (6, 10), "test": (6, 6)},
    totals=(Totals(name="native frames, even test clips and training clips from 11 on", frames=2_040, abnormal=818),),
)
