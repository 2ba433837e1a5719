"""Videos in the containers that people have, through the reader, an encoder and a detector."""

import random
import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np
from clips import scene, write_clip

from fuzz.harness import INTERNAL, Case, Fault, kind
from fuzz.mutate import damaged_bytes, replace
from fuzz.run import save_run
from wsvad.detection.detector import Detector

FORMS = (
    (".mp4", "libx264", {}), (".mp4", "libx265", {"x265-params": "log-level=none"}), (".mkv", "libx264", {"bf": "2"}),
    (".mkv", "ffv1", {}), (".avi", "mpeg4", {}), (".avi", "mjpeg", {}), (".ts", "libx264", {"bf": "2"}),
    (".ts", "mpeg2video", {}), (".mov", "libx264", {}), (".webm", "libvpx", {}), (".flv", "libx264", {}),
    (".mpg", "mpeg1video", {}), (".wmv", "wmv2", {}), (".h264", "libx264", {"bf": "2"}),
    (".hevc", "libx265", {"x265-params": "log-level=none"}), (".mjpeg", "mjpeg", {}), (".gif", "gif", {}),
)  # fmt: skip
"""Ending, codec and options."""
FRAMES = 40


@cache
def whole() -> tuple[list[tuple[str, bytes]], Detector]:
    """Clips of each form, as bytes; and a detector."""
    rng = np.random.default_rng(0)
    images = [scene(index, True, rng) for index in range(FRAMES)]
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}
    with tempfile.TemporaryDirectory() as name:
        folder, clips = Path(name), []
        for ending, codec, options in FORMS:
            path = folder / f"clip{ending}"
            try:
                write_clip(path, images, codec=codec, pix_fmt=pixels.get(codec, "yuv420p"), crf="35", **options)
            except (av.FFmpegError, ValueError):
                continue  # a build of FFmpeg without that encoder
            clips.append((ending, path.read_bytes()))
        save_run(folder, path)
        return clips, Detector.load(folder)


@kind("videos", prepare=whole)
def videos(rng: random.Random, folder: Path) -> Case:
    clips, detector = whole()
    ending, content = rng.choice(clips)
    path = folder / f"clip{ending}"
    # Headers are at the ends of a file, and most of what can go wrong is there.
    edge = rng.choice((len(content), len(content), 1000))
    path.write_bytes(damaged_bytes(rng, content[:edge]) + content[edge:])
    if rng.random() < 0.05:
        replace(rng, path)

    def case() -> None:
        found = detector.score(path, raw_rate=25)  # which damage may hide in a raw stream
        times = np.asarray(found.times)
        if not (len(times) == len(found.scores) + 1 and np.isfinite(times).all() and (np.diff(times) >= 0).all()):
            raise Fault(INTERNAL, f"times {times}")
        # A part that is repeated has its pictures once more.
        if found.frames > FRAMES * (20 + 2 * path.stat().st_size / len(content)):
            raise Fault(INTERNAL, f"{found.frames} frames")

    return case
