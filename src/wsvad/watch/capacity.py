"""How many cameras a machine carries: by watching so many for some seconds.

The parts of a frame's work are measured one by one, in as many threads as there are processors. From their sum follows
a first number of cameras, and so many are watched by a `Watch` of its own, all showing one video at a camera's pace:
through the processes that read, the rings of packets, decoding, zones, encoders, the method and what looks for faults.
What that takes of the processors says how many are carried, and so many are tried then, up to `TRIALS` times. Files
watched as fast as they go would promise a third too much: to be woken for each frame, and to find the caches full of
another camera's, costs more than to go on with the same one. Where fewer frames are given than cameras send, the whole
time of the processors counts, for then something waits for something else. The rest is what the parts do not explain.
"""

import logging
import math
import os
import re
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Self

import av
import cv2
import numpy as np
import torch

from wsvad.device import library_threads, name_of
from wsvad.encoders.encoder import HasRuntimes
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.snippets import Snippets, encoded
from wsvad.extraction.timing import street
from wsvad.extraction.workers import processors as available
from wsvad.files import is_file
from wsvad.spelling import plain
from wsvad.video.address import Source
from wsvad.video.clock import SNIPPET
from wsvad.video.live import LiveSource
from wsvad.video.reader import VideoReader, open_container, video_stream
from wsvad.watch.model import CameraModel, models_of
from wsvad.watch.settings import CameraSettings, HealthSettings, Site
from wsvad.watch.site import Watch

FRAMES = 25 * SNIPPET
"""In which the parts are measured."""
LASTS = 45.0
"""Seconds of a video that is long enough to be watched."""
SETTLE, SECONDS = 3.0, 10.0
"""After all cameras have begun, until anything is counted; and from then on until it is over."""
TRIALS = 3
MOST = 64
"""Cameras of a trial, at most: each has a process that reads."""
LATE = 0.95
"""Share of what cameras send that is given at least, unless something waits."""
EACH = 4
"""Cameras whose parts are measured together."""
READ = 5.0
"""Seconds for which some are read at a camera's pace, at most."""
HEADROOM = 0.8
"""Share of the processors that cameras may take."""
PARTS = ("read", "decode", "convert", "encode", "head")
"""Of which a camera's time is made."""
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
    by: str
    """What runs the networks, and where: `onnxruntime, cpu`."""
    read: float
    """Packets, one at a time."""
    decode: float
    convert: float
    encode: float
    head: float
    """The method, a window of whose snippets is looked at for each new one."""
    whole: float
    processors: int
    rate: float
    watched: int
    """Cameras of the last trial."""
    memory: float
    """Megabytes of all that watched the cameras of the last trial, where the system tells; else of this process."""

    @property
    def rest(self) -> float:
        return max(0.0, self.whole - sum(getattr(self, name) for name in PARTS))

    @property
    def exact(self) -> float:
        """Cameras that take all that they may."""
        return _carried(self.whole / 1000, self.processors, self.rate)

    @property
    def cameras(self) -> int:
        return int(self.exact)

    @property
    def slowest(self) -> str:
        """The part that takes most."""
        parts = {name: getattr(self, name) for name in (*PARTS, "rest")}
        return max(parts, key=lambda name: parts[name])

    @property
    def cells(self) -> list[str]:
        parts = (getattr(self, name) for name in (*PARTS, "rest", "whole"))
        return [self.camera, self.by, *(f"{part:.2f}" for part in parts), str(self.cameras)]

    @property
    def sentence(self) -> str:
        many = f"{self.cameras} cameras" if self.cameras != 1 else "1 camera"
        if not self.cameras:
            many = f"not one camera (one takes {100 * HEADROOM / self.exact:.0f} % of them)"
        share = 100 * HEADROOM / self.exact * max(self.cameras, 1)
        return (
            f"{self.camera}: this machine's {self.processors} processors carry {many}"
            + (f" at {share:.0f} %" if self.cameras else "")
            + (f" ({self.watched} were watched)" if self.cameras > self.watched else "")
            + f"; most of the time is {self.slowest}"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rest": self.rest, "cameras": self.cameras, "slowest": self.slowest}


def measure(run: Path, camera: str | Path, codec: str = "h264", device: str = "cpu") -> Capacity:
    """Measure one kind of camera.

    Args:
        camera: `1280x720@25`, of which a video is generated; or a video that such a camera has made.
        codec: of what is generated.
        device: where networks run.

    Raises:
        UsageError: it is neither.
        WsvadError: the run cannot be read, or cannot score videos; or the video cannot be read.
    """
    processors = available()
    with library_threads(1), TemporaryDirectory(prefix="wsvad-capacity-") as folder:
        path = Path(camera).absolute()
        if is_file(path):
            shown, rate = _form_of_video(path)
        else:
            width, height, rate = form_of(str(camera))
            path = generated(Path(folder) / "camera.mkv", width, height, rate, codec)
            shown = f"{width}x{height}@{rate:g} {codec}"
        model = models_of(_site(run, path, 1), device=device, threads=processors)["camera 0"]
        with ThreadPoolExecutor(processors) as pool:
            each = list(pool.map(lambda _: _parts(path, model), range(processors)))
            heads = list(pool.map(lambda _: _head(model), range(processors)))
        decode, convert, encode = (sum(part) / processors for part in zip(*each, strict=True))
        head, read = sum(heads) / processors / SNIPPET, _read(path, rate)
        watches = (Path(folder) / f"watch {number}" for number in range(TRIALS))
        whole, watched, memory = _tried(
            decode + convert + encode + head + read,
            lambda cameras: _trial(_site(run, path, cameras), next(watches), processors, rate, device),
            lambda whole: _carried(whole, processors, rate),
        )
    return Capacity(
        camera=shown,
        by=_by(model),
        read=1000 * read,
        decode=1000 * decode,
        convert=1000 * convert,
        encode=1000 * encode,
        head=1000 * head,
        whole=1000 * whole,
        processors=processors,
        rate=rate,
        watched=watched,
        memory=memory,
    )


def _tried(
    whole: float, trial: Callable[[int], tuple[float | None, float]], carried: Callable[[float], float]
) -> tuple[float, int, float]:
    """Seconds of processors that a frame takes when as many cameras are watched as are carried then, the cameras of the
    last trial, and its megabytes.

    Args:
        whole: what a frame takes by its parts.
        trial: seconds for each frame while so many are watched, where it is known, and megabytes.
        carried: cameras, of the seconds of a frame.
    """
    watched, memory = 0, 0.0
    for _ in range(TRIALS):
        cameras = min(MOST, max(1, int(carried(whole))))
        if cameras == watched:
            break
        taken, memory = trial(cameras)
        if taken is not None:  # else the parts have to do
            whole = max(taken, whole if watched else 0.0)  # never more cameras than an earlier trial has said
        watched = cameras
    return whole, watched, memory


def _carried(whole: float, processors: int, rate: float) -> float:
    """Cameras, of the seconds of a processor that a frame takes."""
    return HEADROOM * processors / (whole * rate)


def _site(run: Path, path: Path, cameras: int) -> Site:
    names = [f"camera {number}" for number in range(cameras)]
    return Site(
        cameras={name: CameraSettings(source=str(path)) for name in names},
        models=dict.fromkeys(names, run),
        health=HealthSettings(port=0),
    )


def form_of(form: str) -> tuple[int, int, float]:
    """`1280x720@25` in numbers.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})@(\d{1,3}(?:\.\d+)?)", form.strip().lower())
    if not found or float(found[3]) < 1 or int(found[1]) % 2 or int(found[2]) % 2:
        raise UsageError(
            f"'{plain(form)}': no video file, nor WIDTHxHEIGHT@RATE with even numbers of pixels; write 1280x720@25"
        )
    return int(found[1]), int(found[2]), float(found[3])


def _form_of_video(path: Path) -> tuple[str, float]:
    """What a camera sends that has made a video, and its frame rate: that of most of its pictures, which gaps in a
    recording do not change.

    Raises:
        WsvadError: it cannot be read, is too short, or does not say when its pictures were made.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        context, packets = stream.codec_context, _packets(container, stream)
        stamps = [packet.dts for packet in islice(packets, FRAMES)]
        known = sorted(stamp for stamp in stamps if stamp is not None)
        steps = [after - before for before, after in pairwise(known) if after > before]
        if len(stamps) > 1 and not steps:
            raise WsvadError(f"{path}: does not say when its pictures were made; put it into an MP4 file with FFmpeg")
        usual = [step for step in steps if step <= 2 * median(steps)]  # their mean: Matroska rounds to milliseconds
        rate = len(usual) / float(sum(usual) * (stream.time_base or 1)) if usual else 25.0
        needed = max(FRAMES, round(LASTS * rate))
        pictures = len(stamps) + sum(1 for _ in islice(packets, max(0, needed - FRAMES)))
    if pictures < needed:
        raise WsvadError(f"{path}: has {pictures} pictures; give a video of {needed} or more ({needed / rate:.0f} s)")
    return f"{plain(path.name)}: {context.width}x{context.height}@{rate:.4g} {context.codec.canonical_name}", rate


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Those with a picture; of a damaged file, up to the damage."""
    with suppress(av.FFmpegError):
        yield from (packet for packet in container.demux(stream) if packet.size)


def generated(path: Path, width: int, height: int, rate: float, codec: str) -> Path:
    """A scene with noise in which something moves, over and over for long enough."""
    name, options, pixels = CODECS[codec]
    with av.open(str(path), "w") as container:
        exact = Fraction(rate).limit_denominator(1001)
        stream = container.add_stream(name, rate=exact, options=options | {"g": str(round(2 * rate))})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        packets: list[av.Packet] = []
        for image in street(FRAMES, (480, 640, 3)):
            large = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
            packets += stream.encode(av.VideoFrame.from_ndarray(large, "rgb24"))
        packets += stream.encode(None)
        for number in range(max(FRAMES, math.ceil(LASTS * rate))):
            container.mux(_repeated(packets[number % FRAMES], number, stream, 1 / exact))
    return path


def _repeated(packet: av.Packet, number: int, stream: av.VideoStream, tick: Fraction) -> av.Packet:
    """A copy of a packet, as that of another picture."""
    copy = av.Packet(bytes(packet))
    copy.pts = copy.dts = number
    copy.duration, copy.time_base, copy.is_keyframe, copy.stream = 1, tick, packet.is_keyframe, stream
    return copy


def _by(model: CameraModel) -> str:
    encoders = dict.fromkeys(one for some in model.detector.encoders.values() for one in some)
    runtimes = [one.runtimes[0] for one in encoders if isinstance(one, HasRuntimes) and one.runtimes]
    return ", ".join([*dict.fromkeys(runtimes), name_of(str(model.detector.scorer.device))])


def _parts(path: Path, model: CameraModel) -> tuple[float, float, float]:
    """Seconds of a processor to decode a frame, to convert and to encode it."""
    snippets, spent, frames = Snippets(model.encoders), [0.0, 0.0, 0.0], 0
    with VideoReader(path, threads=1) as video:
        moments = [time.thread_time()]
        for frame in islice(video, FRAMES):
            moments.append(time.thread_time())
            shown = snippets.push(frame)
            moments.append(time.thread_time())
            if shown is not None:
                encoded(model.encoders, [shown])
            moments.append(time.thread_time())
            spent = [part + b - a for part, a, b in zip(spent, moments, moments[1:], strict=False)]
            moments, frames = moments[-1:], frames + 1
    decode, convert, encode = (part / max(frames, 1) for part in spent)
    return decode, convert, encode


def _read(path: Path, rate: float) -> float:
    """Seconds of a processor in which a packet is read that comes alone, by the process that reads and by this one."""
    with ExitStack() as stack:
        source = Source(address=str(path), real_time=True)
        sources = [stack.enter_context(LiveSource(source)) for _ in range(EACH)]
        while not all(source.health.packets >= SNIPPET or source.ended for source in sources):
            time.sleep(0.05)
        begun = _reading(sources)
        time.sleep(min(READ, FRAMES / rate / 3))
        end = _reading(sources)
    return (end[0] - begun[0]) / max(1, end[1] - begun[1])


def _reading(sources: Sequence[LiveSource]) -> tuple[float, int]:
    """Seconds of processors that reading has taken so far, and packets."""
    readers = (_taken(Path(f"/proc/{source.reader}/stat"), 13, 15) for source in sources)
    return time.process_time() + sum(readers), sum(source.health.packets for source in sources)


def _head(model: CameraModel) -> float:
    """Seconds of a processor in which the method scores a full window, of some that are scored together."""
    detector = model.detector
    windows = {
        stream: torch.randn(EACH, *shape[:-1], detector.scorer.window, shape[-1])
        for stream, shape in detector.shapes.items()
    }
    detector.scorer.score_newest(windows)
    begun, count = time.thread_time(), 0
    while time.thread_time() - begun < 0.5:
        detector.scorer.score_newest(windows)
        count += EACH
    return (time.thread_time() - begun) / count


def _trial(site: Site, folder: Path, processors: int, rate: float, device: str) -> tuple[float | None, float]:
    """Seconds of processors that a frame takes while all cameras are watched, where it is known, and megabytes then."""
    with _unsaid(), ThreadPoolExecutor(1) as pool, Watch(site, folder, device=device) as watch:
        over = threading.Event()
        running = pool.submit(watch.run, over)
        try:
            _wait(LASTS / 2, running, lambda: all(state.counters.snippets for state in watch.states()))
            _wait(SETTLE, running)
            begun = _Moment.of(watch)
            _wait(SECONDS, running)
            end, memory = _Moment.of(watch), _megabytes(watch.processes())
        finally:
            over.set()
            running.result()
    return end.since(begun, processors, len(site.cameras) * rate), memory


@contextmanager
def _unsaid() -> Iterator[None]:
    """Nobody is told in the block how cameras are that do not exist."""
    ours = logging.getLogger("wsvad")
    before = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(before)


def _wait(seconds: float, running: "Future[None]", come: Callable[[], bool] = lambda: False) -> None:
    """Until something has come, or for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not running.done() and not come():
        time.sleep(0.1)


@dataclass(frozen=True)
class _Moment:
    """What had been done at a moment."""

    time: float
    frames: list[tuple[float, int]]
    """Of each share of the cameras when it was as it said last, and its frames until then."""
    own: float
    """Seconds of processors that were taken, where the system tells; else 0, as the next."""
    others: float
    """Seconds of processors that other programs took."""

    @classmethod
    def of(cls, watch: Watch) -> Self:
        own = sum(_taken(Path(f"/proc/{process}/stat"), 13, 15) for process in watch.processes())
        everything = _taken(Path("/proc/stat"), 1, 4) + _taken(Path("/proc/stat"), 6, 9)
        shares = [share.now() for share in watch.shares]
        frames = [(now.at, sum(state.health.frames for state in now.states)) for now in shares]
        return cls(time=time.monotonic(), frames=frames, own=own, others=max(0.0, everything - own))

    def since(self, begun: Self, processors: int, sent: float) -> float | None:
        """Seconds of processors for each frame since then, where it is known.

        Args:
            sent: frames per second of all cameras.
        """
        shares = zip(begun.frames, self.frames, strict=True)
        given = sum((b - a) / (until - since) for (since, a), (until, b) in shares if until > since)
        if not given > 0:
            raise WsvadError("the video was not watched; run this again, with --debug to see why")
        seconds = self.time - begun.time
        own, others = (self.own - begun.own) / seconds, (self.others - begun.others) / seconds
        if given < LATE * sent:  # others may have had processors that are not ours
            own = max(own, processors - (others if processors == os.cpu_count() else 0.0))
        return own / given if own > 0 else None


def _megabytes(processes: Iterable[int]) -> float:
    """Resident megabytes; what several of them share counts once."""
    kilobytes = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return (kilobytes or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _taken(path: Path, first: int, end: int) -> float:
    """Seconds that fields of the first line of a file of Linux's tell, none where there is no such file."""
    try:
        fields = path.read_text().partition("\n")[0].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[first:end])) / os.sysconf("SC_CLK_TCK")
