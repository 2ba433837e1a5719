"""Training over more features than memory: 200,000 snippets of ten crops, 1,024 wide, as a public release has them.

python benchmarks/memory.py [FOLDER]      writes results/memory.md; needs 15 GB of disk in FOLDER, and removes it

One fit with `--memory 8GB`, one with `--memory 1GB`: seconds, the most that was resident, and whether the weights are
the same byte for byte. Each runs in a process of its own. Before each, the system forgets what it has read of the
feature files.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "memory.md"
SNIPPETS, CROPS, WIDTH, VIDEOS, TESTED = 200_000, 10, 1024, 1600, 40
METHOD, ITERATIONS = "mil", 300
PEAK = "import resource, sys; from wsvad.cli.main import main; status = main(sys.argv[1:]); " + (
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(status)"
)


def make(folder: Path) -> None:
    """`name__0.npy` … `name__9.npy`, and labels."""
    rng, base = np.random.default_rng(0), np.random.default_rng(1).normal(size=(4096, WIDTH)).astype(np.float32)
    (folder / "features").mkdir(parents=True)
    lengths = rng.multinomial(SNIPPETS - 5 * VIDEOS, np.full(VIDEOS, 1 / VIDEOS)) + 5
    lengths = [*lengths.tolist(), *[125] * TESTED]
    rows, spans = ["video,label,category,split"], ["video,category,start_frame,end_frame"]
    for number, length in enumerate(lengths):
        label, tested = number % 2, number >= VIDEOS
        rows.append(f"v{number},{label},{('normal', 'fight')[label]},{'test' if tested else 'train'}")
        spans += [f"v{number},fight,80,480"] if label and tested else []
        for crop in range(CROPS):
            features = base[rng.integers(len(base), size=length)]
            features[5:30] += 0.1 * label
            np.save(folder / "features" / f"v{number}__{crop}.npy", features)
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("\n".join(spans))


def fit(folder: Path, memory: str) -> tuple[float, float, bytes]:
    """Seconds, peak GB, weights."""
    out = folder / f"run-{memory}"
    words = ["fit", folder, "--features", folder / "features", "--method", METHOD, "--out", out, "--memory", memory]
    os.sync()
    for path in (folder / "features").iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    words += ["--iterations", ITERATIONS, "--points", 3, "--device", "cpu"]
    command = [sys.executable, "-c", PEAK, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took = time.perf_counter() - started
    return took, int(done.stderr.split()[-1]) * 1024 / 1e9, (out / "model.safetensors").read_bytes()


def run(folder: Path) -> None:
    make(folder)
    size = sum(path.stat().st_size for path in (folder / "features").iterdir()) / 1e9
    (held, most, weights), (read, peak, same) = fit(folder, "8GB"), fit(folder, "1GB")
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    alike = "the same byte for byte" if weights == same else "DIFFERENT"
    text = f"""# Training over more features than memory

`fit` of {METHOD} on {SNIPPETS:,} snippets of {CROPS} crops, {WIDTH:,} wide, in the layout of a public release:
{VIDEOS:,} training videos, {size:.1f} GB of float32, and {TESTED} test videos. Two fits of {ITERATIONS} iterations of
30 + 30 bags, the first without a fifth of the videos, which it scores. What does not fit into `--memory` lies in a file
without a name in the run folder, and batches are read from it ahead of the network; how much of it stays in the
system's own cache depends on what else is in memory. One run each, on {os.cpu_count()} processors (load average at the
end: {load});
`python benchmarks/memory.py` remakes it.

| `--memory` | seconds | resident at most |
|---|---|---|
| 8GB | {held:.0f} | {most:.2f} GB |
| 1GB | {read:.0f} | {peak:.2f} GB |

{read / held:.2f} times as long as from memory. The weights are {alike}.
"""
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    place = Path(*sys.argv[1:]) if sys.argv[1:] else Path(tempfile.mkdtemp())
    try:
        run(place / "generated")
    finally:
        shutil.rmtree(place / "generated", ignore_errors=True)
