"""How many cameras a machine carries: the processor time of each frame, by the steps of `watch`, measured here.

A file is watched as fast as it goes, through the process that reads, the ring of packets, decoding, zones, encoders,
the method and what looks for faults; that is `all`. Its parts are measured once more one by one, and the rest is what
they do not explain: packets, and Python itself. The time of processors is counted, of this process and of the one that
reads, so that what else the machine does changes little.
"""

import os
import re
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import torch

from wsvad.errors import UsageError
from wsvad.extraction.snippets import Snippets, encoded
from wsvad.extraction.timing import one_thread, street
from wsvad.video.address import Source
from wsvad.video.clock import SNIPPET
from wsvad.video.live import LiveSource
from wsvad.video.reader import Frame, VideoReader
from wsvad.watch.faults import Faults
from wsvad.watch.model import CameraModel, models_of
from wsvad.watch.settings import CameraSettings, Site
from wsvad.watch.stills import Stills

FRAMES = 25 * SNIPPET
"""Of the generated video."""
HEADROOM = 0.8
"""Share of the processors that cameras may take."""
CODECS = {
    "h264": ("libx264", {"preset": "veryfast", "tune": "zerolatency", "crf": "26"}, "yuv420p"),
    "hevc": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"}, "yuv420p"),
    "mjpeg": ("mjpeg", {}, "yuvj420p"),
}
"""As cameras encode: no frame waits for a later one."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Milliseconds of a processor for each frame, and what follows."""

    camera: str
    decode: float
    convert: float
    encode: float
    head: float
    """The method, a window of whose snippets is looked at for each new one."""
    whole: float
    processors: int
    rate: float
    memory: float
    """Megabytes of this process."""

    @property
    def rest(self) -> float:
        return max(0.0, self.whole - self.decode - self.convert - self.encode - self.head)

    @property
    def exact(self) -> float:
        """Cameras that take all that they may."""
        return HEADROOM * self.processors / (self.whole * self.rate / 1000)

    @property
    def cameras(self) -> int:
        return int(self.exact)

    @property
    def slowest(self) -> str:
        """The part that takes most."""
        parts = {name: getattr(self, name) for name in ("decode", "convert", "encode", "head", "rest")}
        return max(parts, key=lambda name: parts[name])

    @property
    def cells(self) -> list[str]:
        parts = (self.decode, self.convert, self.encode, self.head, self.rest, self.whole)
        return [self.camera, *(f"{part:.2f}" for part in parts), str(self.cameras)]

    @property
    def sentence(self) -> str:
        many = f"{self.cameras} cameras" if self.cameras != 1 else "1 camera"
        if not self.cameras:
            many = f"not one camera (one takes {100 * HEADROOM / self.exact:.0f} % of them)"
        share = 100 * HEADROOM / self.exact * max(self.cameras, 1)
        return (
            f"{self.camera}: this machine's {self.processors} processors carry {many}"
            + (f" at {share:.0f} %" if self.cameras else "")
            + f"; most of the time is {self.slowest}"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rest": self.rest, "cameras": self.cameras, "slowest": self.slowest}


def measure(run: Path, form: str, codec: str = "h264") -> Capacity:
    """Measure one kind of camera.

    Args:
        form: `1280x720@25`.

    Raises:
        UsageError: it is no form.
        WsvadError: the run cannot be read, or cannot score videos.
    """
    width, height, rate = form_of(form)
    site = Site(cameras={"camera": CameraSettings(source="-")}, models={"camera": run})
    model = models_of(site)["camera"]
    with one_thread(), TemporaryDirectory(prefix="wsvad-capacity-") as folder:
        path = generated(Path(folder) / "camera.mkv", width, height, rate, codec)
        decode, convert, encode, frames = _parts(path, model)
        whole = _watched(path, model, frames)
        head = _head(model)
    return Capacity(
        camera=f"{width}x{height}@{rate:g} {codec}",
        decode=1000 * decode / frames,
        convert=1000 * convert / frames,
        encode=1000 * encode / frames,
        head=1000 * head / SNIPPET,
        whole=1000 * whole / frames,
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        rate=rate,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def form_of(form: str) -> tuple[int, int, float]:
    """`1280x720@25` in numbers.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})@(\d{1,3}(?:\.\d+)?)", form.strip().lower())
    if not found or not float(found[3]) > 0 or int(found[1]) % 2 or int(found[2]) % 2:
        raise UsageError(f"'{form}': not WIDTHxHEIGHT@RATE with an even width and height; write 1280x720@25")
    return int(found[1]), int(found[2]), float(found[3])


def generated(path: Path, width: int, height: int, rate: float, codec: str) -> Path:
    """A scene with noise in which something moves."""
    name, options, pixels = CODECS[codec]
    images = street(FRAMES, (480, 640, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(name, rate=round(rate), options=options | {"g": str(round(2 * rate))})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for image in images:
            large = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(large, "rgb24")))
        container.mux(stream.encode(None))
    return path


def _processors() -> float:
    """Seconds of processors, of this process and of those that it waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _parts(path: Path, model: CameraModel) -> tuple[float, float, float, int]:
    """Seconds of processors to decode, to convert and to encode, and how many frames it were."""
    snippets, spent, frames = Snippets(model.encoders), [0.0, 0.0, 0.0], 0
    with VideoReader(path, threads=1) as video:
        moments = [time.process_time()]
        for frame in video:
            moments.append(time.process_time())
            shown = snippets.push(frame)
            moments.append(time.process_time())
            if shown is not None:
                encoded(model.encoders, [shown])
            moments.append(time.process_time())
            spent = [part + b - a for part, a, b in zip(spent, moments, moments[1:], strict=False)]
            moments, frames = moments[-1:], frames + 1
    decode, convert, encode = spent
    return decode, convert, encode, frames


def _watched(path: Path, model: CameraModel, frames: int) -> float:
    """Seconds of processors to watch it, without what starting to read takes."""
    seconds = []
    for most in (1, frames):
        scorer, stills, faults = model.scorer(CameraSettings(source="-")), Stills(), Faults()
        begun = _processors()
        with LiveSource(Source(address=str(path), real_time=False)) as source:
            for number, item in enumerate(source, 1):
                if isinstance(item, Frame):
                    stills.see(item)
                    if scored := scorer.push(item):
                        assert stills.middle is not None
                        faults.see(stills.middle)
                        stills.snippet(scored.start, scored.end, keep=False)
                if number >= most:
                    break
        seconds.append(_processors() - begun)
    return max(1e-6, seconds[1] - seconds[0])


def _head(model: CameraModel) -> float:
    """Seconds of processors in which the method scores a full window."""
    detector = model.detector
    window = {
        stream: torch.randn(1, *shape[:-1], detector.scorer.window, shape[-1])
        for stream, shape in detector.shapes.items()
    }
    detector.scorer.score_streams(window)
    begun, count = time.process_time(), 0
    while time.process_time() - begun < 0.5:
        detector.scorer.score_streams(window)
        count += 1
    return (time.process_time() - begun) / count
