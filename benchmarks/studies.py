"""`bench` with one worker and with two: how much faster, and whether the figures are the same to the digit.

python benchmarks/studies.py [FOLDER]      writes results/studies.md; nothing else should run on the machine

Three methods, six seeds, 120 generated videos with features 512 wide: eighteen cells of some seconds each. Larger cells
only make less of what two workers cannot share, which is starting Python and writing the table.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wsvad.features.store import Passport, StoredFeatures, feature_path, save

RESULTS = Path(__file__).parent / "results" / "studies.md"
VIDEOS, TESTED, WIDTH = 120, 30, 512
METHODS, SEEDS = "linear,mil,rtfm", 6
BUDGET = ["--budget", "paper", "--iterations", "16", "--segments", "32", "--bags", "16", "--points", "2"]


def make(folder: Path) -> None:
    """Videos whose abnormal snippets are shifted a little."""
    rng = np.random.default_rng(0)
    rows, spans = ["video,label,category,split"], ["video,category,start_frame,end_frame"]
    for number in range(VIDEOS):
        label, length = number % 2, int(rng.integers(30, 120))
        features = rng.normal(size=(length, WIDTH)).astype(np.float32)
        features[5:15] += 0.1 * label
        rows.append(f"v{number},{label},{('normal', 'fight')[label]},{'test' if number < TESTED else 'train'}")
        spans += [f"v{number},fight,80,240"] if label and number < TESTED else []
        passport = Passport(encoder="made", width=WIDTH, frames=16 * length)
        stored = StoredFeatures(features=features, passport=passport)
        save(feature_path(folder / "features", "rgb", f"v{number}"), stored)
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("\n".join(spans))


def seconds(data: Path, out: Path, workers: int) -> float:
    """How long the study takes."""
    words = ["bench", "--data", data, "--features", data / "features", "--methods", METHODS, "--out", out]
    words += ["--seeds", SEEDS, "--workers", workers, "--device", "cpu", *BUDGET]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "wsvad", *map(str, words)], check=True, capture_output=True)
    return time.perf_counter() - started


def figures(out: Path) -> list[dict]:
    rows = json.loads((out / "bench.json").read_text())["rows"]
    timed = ("seconds", "peak_memory")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


def run(folder: Path) -> None:
    make(folder)
    outs = {workers: folder / f"out-{workers}" for workers in (1, 2)}
    took = {workers: seconds(folder, out, workers) for workers, out in outs.items()}
    same = "are the same to the digit" if figures(outs[1]) == figures(outs[2]) else "DIFFER"
    files = sorted(path.relative_to(outs[1]) for path in outs[1].glob("*/seed-*/model.safetensors"))
    alike = sum((outs[1] / path).read_bytes() == (outs[2] / path).read_bytes() for path in files)
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    text = f"""# Studies side by side

`bench` of {METHODS.replace(",", ", ")}, {SEEDS} seeds each: {len(files)} cells of two fits. {VIDEOS} generated videos,
features {WIDTH} wide. Each worker has one thread. One run each, on {os.cpu_count()} processors, nothing else running
(load average at the end: {load}). `python benchmarks/studies.py` remakes it.

| workers | seconds |
|---|---|
| 1 | {took[1]:.1f} |
| 2 | {took[2]:.1f} |

{took[1] / took[2]:.2f} times as fast with two; starting Python and writing the table are in both. Figures
{same}, and {alike} of {len(files)} files of weights are the same byte for byte.
"""
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(*sys.argv[1:]) if sys.argv[1:] else Path(temporary))
