"""A training batch of 128 bags, here and as public code makes it: a file read and 200 means in Python for each bag."""

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from wsvad.datasets.bags import pack
from wsvad.datasets.dataset import LabelledVideo
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.runs.normalisation import Normalisation
from wsvad.training.loop import Sampler, gather

VIDEOS, SNIPPETS, WIDTH, SEGMENTS, BAGS = 128, 500, 1024, 200, 64


def eager_batch(files: list[Path]) -> torch.Tensor:
    """Public UR-DMU code's way, in our words: load, cut into 200 bins, average each in a loop."""
    batch = []
    for file in files:
        features = np.load(file)
        edges = np.linspace(0, len(features), SEGMENTS + 1, dtype=np.uint16)
        rows = [features[a:b].mean(0) if a != b else features[a] for a, b in pairwise(edges)]
        batch.append(np.stack(rows))
    return torch.from_numpy(np.stack(batch))


def rows(quick: bool = False) -> list[dict[str, str | float]]:
    """Seconds of wall time for a batch (median)."""
    repeats = 3 if quick else 7
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        videos, files = [], []
        for number in range(VIDEOS):
            features = rng.normal(size=(SNIPPETS, WIDTH)).astype(np.float32)
            files.append(Path(folder) / f"{number}.npy")
            np.save(files[-1], features)
            passport = Passport(encoder="random", width=WIDTH, frames=16 * SNIPPETS)
            save(feature_path(folder, "rgb", str(number)), StoredFeatures(features=features, passport=passport))
            videos.append(LabelledVideo(name=str(number), label=number % 2, category="", split="train"))
        started = time.perf_counter()
        packed = pack(videos, Path(folder), ["rgb"], SEGMENTS)
        once = time.perf_counter() - started
        sampler = Sampler(packed.rows(0), packed.rows(1), BAGS, (0, 0))
        plain = Normalisation(kinds={"rgb": "none"})
        ours = median(lambda i: gather(packed, sampler.rows(i), plain, "cpu"), repeats)
        eager = median(lambda i: eager_batch(files), repeats)
    return [
        {
            "what": f"loader, {VIDEOS} bags of {SEGMENTS}x{WIDTH} (packed once in {once:.1f} s)",
            "ours": ours,
            "eager": eager,
            "ratio": eager / ours,
        }
    ]


def median(call: Callable[[int], object], repeats: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    times = []
    for number in range(repeats + 1):
        started = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print(rows())
