"""`wsvad score` on a long recording of a low frame rate: seconds, memory, and how much of the file is read.

    python benchmarks/long_recording.py [--hours 24] [--model RUN] [--suffix .mp4]

Without a run, one is trained on the simulated camera first. The bytes are those that Linux counts for the process.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from wsvad.cli.main import main as wsvad
from wsvad.datasets.toy import make_toy

WIDTH, HEIGHT, HOUR = 160, 120, 3600
SCORE = """
import re, sys, time
from wsvad.cli.main import main

def score(video, out):
    assert main(["score", video, "--model", sys.argv[1], "--out", out]) == 0
    return int(re.search(r"rchar: (\\d+)", open("/proc/self/io").read())[1])

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

read, memory, start = score(sys.argv[2], sys.argv[4] + "/short"), peak(), time.monotonic()
read = score(sys.argv[3], sys.argv[4] + "/long") - read
print(f"{time.monotonic() - start:.1f} {memory:.0f} {peak():.0f} {read}")
"""


def pictures(seconds: int) -> Iterator[np.ndarray]:
    """A noisy scene, a frame a second; each hour, something bright crosses it for a minute and a half."""
    noise = np.random.default_rng(0).integers(30, 60, (50, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for second in range(seconds):
        image = noise[second % len(noise)].copy()
        if 1000 <= second % HOUR < 1090:
            x = (7 * second) % (WIDTH - 30)
            image[40:80, x : x + 25] = 220
        yield image


def record(path: Path, seconds: int) -> Path:
    """Write a recording of a frame a second, a key frame a minute."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"crf": "30", "preset": "veryfast", "g": "60"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1)
        for second, image in enumerate(pictures(seconds)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = second
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--model", type=Path, help="run that scores")
    parser.add_argument("--suffix", default=".mp4", help="ending of the recording, by which its container is chosen")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.model is None:
            make_toy(folder / "toy", videos=12, seed=0)
            train = ["train", str(folder / "toy"), "--rgb", "motion", "--method", "mil", "--seeds", "1"]
            assert wsvad([*train, "--iterations", "300", "--out", str(folder / "run")]) == 0
        recording = record(folder / f"long{given.suffix}", round(given.hours * HOUR))
        short = record(folder / "short.mp4", 64)
        command = [sys.executable, "-c", SCORE, *map(str, (given.model or folder / "run", short, recording, folder))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds, before, memory, read = done.stdout.splitlines()[-1].split()
        size = recording.stat().st_size
        print(
            f"{given.hours:g} h, {given.hours * HOUR:,.0f} frames, {size / 1e6:.1f} MB: {seconds} s, peak memory "
            f"{memory} MB ({before} MB after 64 frames), read {int(read) / size:.3f} times"
        )


if __name__ == "__main__":
    main()
