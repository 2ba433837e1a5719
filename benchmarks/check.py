"""What `wsvad check` finds, and what it finds for nothing, on real footage.

    python benchmarks/check.py [FOOTAGE]        # by default ../shared/data; some ten minutes on one core

*Shortcuts*: the labels of the training videos of cctv-fights are permuted 200 times, and each time a p-value is
computed as `wsvad check` does; it has to be uniform (Kolmogorov and Smirnov). Then one class is encoded another time.
*Copies*: videos of cctv-fights and UCSD Ped2, where one fixed camera films all, are encoded another time and compared
with all. Writes `results/check.md`.
"""

import random
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.stats import kstest

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.folder import open_folder
from wsvad.doctor.copies import LOOKED, same_pictures
from wsvad.doctor.facts import Facts, facts_of, look_at
from wsvad.doctor.shortcuts import PERMUTATIONS, shortcuts
from wsvad.files import write_text
from wsvad.video.reader import VideoReader

RUNS = 200
COPIED = 20
"""Videos of each set that are encoded another time."""
CHANGES: dict[str, dict[str, object]] = {
    "size": {"size": (160, 120)},
    "rate": {"rate": 30},
    "half the rate": {"rate": 10},
    "codec": {"codec": "mpeg4"},
    "quality (CRF 40)": {"crf": 40},
    "all of these": {"size": (240, 180), "rate": 12, "codec": "mpeg4"},
    "cut from 2.1 s on": {"start": 2.1},
}


def encoded(
    source: Path, target: Path, *, size: tuple[int, int] | None = None, rate: int | None = None,
    codec: str = "libx264", crf: int = 24, start: float = 0.0,
) -> Path:  # fmt: skip
    """A video encoded another time; at another rate each moment has the frame that is nearest to it."""
    with VideoReader(source, threads=1) as video:
        frames = [(float(frame.time), frame.array(size)) for frame in video]
        each = Fraction(rate or video.info.rate)
    times = np.array([time for time, _ in frames])
    moments = np.arange(start, times[-1] + 1 / float(video.info.rate) - 1e-6, 1 / float(each))
    with av.open(str(target), "w") as container:
        stream = container.add_stream(codec, rate=each, options={"crf": str(crf)} if codec == "libx264" else {})
        stream.height, stream.width = frames[0][1].shape[:2]
        stream.pix_fmt = "yuv420p"
        for moment in moments:
            image = frames[int(np.abs(times - moment).argmin())][1]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return target


def permuted(facts: Sequence[Facts], labels: np.ndarray) -> tuple[np.ndarray, int]:
    """P-values for labels in random order, and in how many of the runs anything was said."""
    rng, found = np.random.default_rng(0), []
    for run in range(RUNS):
        found.append(shortcuts(facts, rng.permutation(labels), seed=run))
        print(f"permutation {run + 1}: p {found[-1].p:.4f}", file=sys.stderr)
    return np.array([one.p for one in found]), sum(bool(one.found) for one in found)


def changed(videos: Sequence[LabelledVideo], facts: dict[str, Facts], scratch: Path) -> list[str]:
    """A row a change of the abnormal class: what is said of it."""
    rows = []
    labels = [video.label for video in videos]
    as_they_are = shortcuts([facts[video.name] for video in videos], labels, words=("normal", "fight"))
    rows.append(f"| none | {as_they_are.p:.4f} | {said(as_they_are.cautions)} |")
    for name in ("size", "rate", "codec"):
        own = dict(facts)
        for video in videos:
            if video.label and video.path:
                path = encoded(video.path, scratch / "changed.mp4", **CHANGES[name])  # type: ignore[arg-type]
                own[video.name] = facts_of(path, video.name)
        found = shortcuts([own[video.name] for video in videos], labels, words=("normal", "fight"))
        rows.append(f"| {name} | {found.p:.4f} | {said(found.cautions)} |")
        print(rows[-1], file=sys.stderr)
    return rows


def said(cautions: Sequence[object]) -> str:
    return "; ".join(getattr(caution, "sentence", "") for caution in cautions) or "–"


def copied(data: str, paths: Sequence[Path], scratch: Path) -> list[str]:
    """A row a change: how many copies were found, and pairs with a video that is not the original."""
    looks = {path.name: look_at(path, path.name, seconds=LOOKED) for path in paths}
    samples = {name: look.samples for name, look in looks.items()}
    lengths = {name: look.facts.seconds for name, look in looks.items()}
    shared = {frozenset((one.a, one.b)) for one in same_pictures(samples, lengths, [])}
    chosen = random.Random(0).sample(sorted(path for path in paths if (lengths[path.name] or 0) > 5), COPIED)
    rows = []
    for name, how in CHANGES.items():
        right = wrong = 0
        for path in chosen:
            copy = look_at(encoded(path, scratch / "copy.mp4", **how), "copy", seconds=LOOKED)  # type: ignore[arg-type]
            pairs = same_pictures(samples | {"copy": copy.samples}, lengths | {"copy": copy.facts.seconds}, ["copy"])
            others = {one.a for one in pairs if one.b == "copy"}
            # A part that two originals share is shared with the copy as well.
            own = same_pictures(samples, lengths, [path.name])
            known = {one.a if one.b == path.name else one.b for one in own if path.name in (one.a, one.b)}
            right += path.name in others
            wrong += len(others - known - {path.name})
        rows.append(f"| {data} | {name} | {right} of {len(chosen)} | {wrong} of {len(chosen) * (len(paths) - 1):,} |")
        print(rows[-1], file=sys.stderr)
    rows.append(f"| {data} | pairs of originals said to be the same | | {len(shared)} |")
    return rows


def main(footage: Path) -> None:
    dataset = open_folder(footage / "cctv-fights")
    videos = dataset.train
    facts = {video.name: facts_of(video.path, video.name) for video in videos if video.path}
    labels = np.array([video.label for video in videos])
    p, warned = permuted([facts[video.name] for video in videos], labels)
    test = kstest(p, "uniform")
    shares = ", ".join(f"{np.mean(p <= level):.3f} of them at most {level}" for level in (0.01, 0.05, 0.1, 0.5))
    with tempfile.TemporaryDirectory() as scratch:
        classes = changed(videos, facts, Path(scratch))
        copies = [
            row
            for data in ("cctv-fights", "ucsd-ped2")
            for row in copied(data, sorted((footage / data / "videos").rglob("*.mp4")), Path(scratch))
        ]
    lines = [
        "# What `wsvad check` finds, and what it finds for nothing", "",
        "Made by `python benchmarks/check.py`. Footage: `cctv-fights` (training videos, 60 normal and 60 fight) and",
        "`ucsd-ped2` (28 clips of one fixed camera).", "",
        "## Shortcuts", "",
        f"{RUNS} random permutations of the labels, {PERMUTATIONS} permutations in each p-value: {shares}; median "
        f"{np.median(p):.3f}.",
        f"Kolmogorov–Smirnov against the uniform distribution: D = {test.statistic:.3f}, p = {test.pvalue:.2f}.",
        f"A warning (adjusted p at most 0.01 and AUC at least 70) was given in {warned} of {RUNS}.", "",
        "| the fight videos encoded another time | p | what is said |", "| --- | ---: | --- |", *classes, "",
        "As they are, fights of this set are a little longer than normal videos, which is so, and is said.", "",
        "## Copies", "",
        f"{COPIED} videos of each set, encoded another time and compared with all videos of the set as a test video "
        "would be.", "",
        "| data | encoded another time | found | other videos said to share something |",
        "| --- | --- | ---: | ---: |", *copies, "",
        "Parts that a video shares with others of the set by its making (`cctv-fights` joins clips) count for neither.",
        "",
    ]  # fmt: skip
    write_text(Path(__file__).with_name("results") / "check.md", "\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1].parent / "shared" / "data")
