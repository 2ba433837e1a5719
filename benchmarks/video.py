"""Reading and encoding video on one core: seconds of processor time for half a minute of 320x240."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from wsvad.encoders.encoder import Sampling
from wsvad.encoders.motion import Motion
from wsvad.extraction.encode import encode_video
from wsvad.video.clock import SNIPPET
from wsvad.video.reader import VideoReader
from wsvad.video.writer import write_video

WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 750, 25


def rows(quick: bool = False) -> list[dict[str, str | float]]:
    """Ours against converting every decoded frame to RGB with PyAV, which is what most readers do."""
    frames, repeats = (100, 1) if quick else (FRAMES, 5)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "street.mp4"
            write_video(path, street(frames), RATE)
            return [
                row("decode, every frame in RGB", lambda: every_frame(path), lambda: plainly(path), repeats),
                row("decode for an image network", lambda: four_a_snippet(path), lambda: plainly(path), repeats)
                | {"remark": "4 of 16 frames at 224x224, against every frame"},
                extract_row(path, frames, repeats),
            ]
    finally:
        cv2.setNumThreads(threads)


def street(frames: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[np.ndarray]:
    """A still picture with sensor noise and twelve patches that wander through it."""
    random = np.random.default_rng(0)
    still = cv2.GaussianBlur(random.normal(size=(height, width, 3)), (0, 0), 4)
    still = 120 + 40 * still / still.std()
    patches = [cv2.GaussianBlur(random.normal(110, 300, (40, 20, 3)), (0, 0), 3) for _ in range(12)]
    places = random.uniform((0, 0), (height - 40, width - 20), (12, 2))
    for _ in range(frames):
        picture = still + random.normal(0, 2, still.shape)
        places = np.clip(places + random.normal(0, 2, places.shape), 0, (height - 40, width - 20))
        for patch, (y, x) in zip(patches, places.astype(int), strict=True):
            picture[y : y + 40, x : x + 20] = patch
        yield np.clip(picture, 0, 255).astype(np.uint8)


def every_frame(path: Path) -> None:
    with VideoReader(path, threads=1) as video:
        for frame in video:
            frame.array()


def four_a_snippet(path: Path) -> None:
    wanted = set(Sampling(count=4).offsets(SNIPPET))
    with VideoReader(path, threads=1) as video:
        for frame in video:
            if frame.index % SNIPPET in wanted:
                frame.array((224, 224))


def plainly(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def extract_row(path: Path, frames: int, repeats: int) -> dict[str, str | float]:
    """From file to features, decoding included."""
    encoders = {"rgb": (Motion(),)}
    (seconds,) = medians([lambda: encode_video(path, encoders, threads=1)], repeats)
    remark = f"{frames / seconds:.0f} frames/s on one core"
    return {"what": f"extract motion, {frames} frames", "ours": seconds, "remark": remark}


def row(what: str, ours: Callable[[], object], plain: Callable[[], object], repeats: int) -> dict[str, str | float]:
    seconds = medians([ours, plain], repeats)
    return {"what": what, "ours": seconds[0], "eager": seconds[1], "ratio": seconds[1] / seconds[0]}


def medians(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of processor time of each call; they are made in turn, once more than is counted."""
    times = [[seconds(call) for call in calls] for _ in range(repeats + 1)]
    return [statistics.median(column) for column in zip(*times[1:], strict=True)]


def seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    for line in rows():
        print(line)
