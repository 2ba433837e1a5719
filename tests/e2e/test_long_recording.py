"""A long recording is read once: no hash before, no second pass for the pictures on the page."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from wsvad.cli.main import main

SCORE = """
import re, sys
from wsvad.cli.main import main

def score(video, out):
    assert main(["score", video, "--model", sys.argv[1], "--out", out]) == 0
    return int(re.search(r"rchar: (\\d+)", open("/proc/self/io").read())[1])  # bytes that this process has read

before = score(sys.argv[2], sys.argv[4])  # whatever is imported, is imported now
print(score(sys.argv[3], sys.argv[5]) - before)
"""


def picture(frame: int, moving: bool, noise: np.ndarray) -> np.ndarray:
    """A noisy scene; something bright crosses it when it moves."""
    image = noise[frame % len(noise)].copy()
    if moving:
        x = (7 * frame) % 130
        image[40:80, x : x + 25] = 220
    return image


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count the bytes that are read")
def test_a_long_recording_is_read_once(tmp_path):
    noise = np.random.default_rng(0).integers(30, 60, (50, 120, 160, 3), dtype=np.uint8)
    (tmp_path / "data").mkdir()
    labels, intervals = ["video,label,split"], ["video,start_frame,end_frame"]
    for number in range(8):
        frames = [picture(i, number % 2 > 0 and 32 <= i < 64, noise) for i in range(96)]
        write_clip(tmp_path / "data" / f"{number}.mp4", frames, rate=1)
        labels.append(f"{number}.mp4,{number % 2},{'test' if number > 5 else 'train'}")
        intervals += [f"{number}.mp4,32,64"] * (number % 2)
    (tmp_path / "data" / "labels.csv").write_text("\n".join(labels))
    (tmp_path / "data" / "intervals.csv").write_text("\n".join(intervals))
    few = ["--seeds", "1", "--workers", "0", "--hold-out", "0", "--config.hidden", "32", "--iterations", "150"]
    assert main(["train", str(tmp_path / "data"), "--rgb", "motion", "--out", str(tmp_path / "run"), *few]) == 0
    frames = [picture(i, i // 600 in (0, 2) and 200 < i % 600 < 264, noise) for i in range(1800)]
    recording = write_clip(tmp_path / "half-an-hour.mp4", frames, rate=1, g="25", crf="28")
    videos, outs = (tmp_path / "data" / "0.mp4", recording), (tmp_path / "short", tmp_path / "long")
    command = [sys.executable, "-c", SCORE, str(tmp_path / "run"), *map(str, videos + outs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (video,) = json.loads((tmp_path / "long" / "scores.json").read_text())["videos"]
    assert len(video["events"]) == 2
    page = (tmp_path / "long" / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 2
    assert 1 <= int(done.stdout.split()[-1]) / recording.stat().st_size <= 1.2
