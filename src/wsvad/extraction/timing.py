"""How fast encoders are on this machine, by each runtime and device that can run them: a table, and which to take."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from wsvad.device import device_of, library_threads, name_of
from wsvad.encoders import build
from wsvad.encoders.build import argument_of, inputs_of
from wsvad.encoders.encoder import HasRuntimes
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.device import AT_ONCE, move, runs_on
from wsvad.extraction.encode import encode_frames
from wsvad.extraction.spent import Spent
from wsvad.progress import report_progress
from wsvad.video.clock import SNIPPET
from wsvad.video.reader import Frame, VideoReader
from wsvad.video.writer import write_video

SECONDS = 5.0
"""How long each runtime is tried, after a snippet to warm up."""
GENERATED = 160, (480, 640, 3), 25
"""Frames of the generated video, their shape, and its frame rate."""
FASTER = 1.1
"""How many times as fast another runtime has to be to be worth a change."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One runtime on one device, with one process: frames of the video a second of each part of the work, and of all
    of it. None where nothing was measured."""

    runtime: str
    device: str
    decode: float | None = None
    convert: float | None = None
    network: float | None = None
    whole: float | None = None
    reason: str = ""
    """Why it was not measured."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was measured, the runtime that is taken now first."""

    encoder: str
    video: str
    """The file, or what was generated."""
    rows: tuple[Timed, ...]
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """The same for a program."""
        return asdict(self) | {"rows": [asdict(row) for row in self.rows]}


def time_encoder(spec: str, video: Path | None = None) -> Timing:
    """Measure an encoder, or several joined by `+`, on a video or a generated one.

    Raises:
        UsageError: there is no such encoder, or it does not read video.
        WsvadError: the video or a network cannot be read.
    """
    if (read := inputs_of(spec)) != {"video"}:
        raise UsageError(f"'{spec}': reads {' and '.join(sorted(read))}; only encoders of video are timed")
    with _video(video) as path, library_threads(1):  # as in an extraction, where processes are the parallelism
        encoders = build(spec)
        choices = [encoder for encoder in encoders if isinstance(encoder, HasRuntimes) and encoder.runtimes]
        tries: list[tuple[str | None, str]]
        tries = [(runtime, "cpu") for runtime in choices[0].runtimes] if choices else [(None, "cpu")]
        other = device_of("auto")
        if other != "cpu" and any(runs_on(encoder, other) for encoder in encoders):
            tries.append((tries[0][0], other))
        rows = []
        for number, (runtime, device) in enumerate(tries):
            report_progress("measure", number, len(tries), f"{runtime or spec}, {device}")
            rows.append(_timed(path, spec, runtime, device))
        report_progress("measure", len(tries), len(tries))
    if rows[0].whole is None:
        raise WsvadError(rows[0].reason)
    shown = str(video) if video else "a generated video, {1}x{0}".format(*GENERATED[1])
    beside = [Path(argument_of(encoder.name)).name for encoder in choices]
    return Timing(encoder=spec, video=shown, rows=tuple(rows), advice=_advice(rows, beside))


def _timed(path: Path, spec: str, runtime: str | None, device: str) -> Timed:
    """One of the tries, with encoders of its own."""
    row = Timed(runtime=runtime or "its own", device=name_of(device))
    try:
        encoders = build(spec)
        for encoder in encoders:
            if runtime is not None and isinstance(encoder, HasRuntimes) and runtime in encoder.runtimes[1:]:
                encoder.run_by(runtime)
        at_once = 1
        if device != "cpu":
            move(encoders, device)
            at_once = AT_ONCE
        for seconds in (0.0, SECONDS):
            spent, started = Spent(), time.perf_counter()
            with VideoReader(path, threads=1) as video:
                frames = _for(video, seconds)
                made = encode_frames(frames, {"rgb": encoders}, at_once=at_once, spent=spent)["rgb"]
            whole = time.perf_counter() - started
    except WsvadError as error:
        return replace(row, reason=str(error))
    count = made.passport.frames
    rates = {part: count / seconds for part, seconds in asdict(spent).items() if seconds > 0 and part != "write"}
    return replace(row, **rates, whole=count / whole)


def _for(frames: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """Whole snippets of frames for so long, one at least."""
    started = time.perf_counter()
    for number, frame in enumerate(frames, 1):
        yield frame
        if number % SNIPPET == 0 and time.perf_counter() - started >= seconds:
            return


def _advice(rows: Sequence[Timed], files: Sequence[str]) -> str:
    """Which of them to take."""
    now, measured = rows[0], [row for row in rows if row.whole]
    best = max(measured, key=lambda row: row.whole or 0.0)
    times = (best.whole or 0.0) / (now.whole or 1.0)
    if best is now or times < FASTER:
        return f"{now.runtime} on {now.device} is as fast as any here" if len(measured) > 1 else ""
    if best.device != now.device:
        return f"take --device {best.device.split()[0]}: {times:.1f} times as fast"
    where = " and ".join(f"{name}.yaml" for name in files)
    return f"take {best.runtime}: {times:.1f} times as fast; write 'runtime: {best.runtime}' into {where}"


@contextmanager
def _video(given: Path | None) -> Iterator[Path]:
    """The video, or one that is made for it: noise, and something that moves."""
    if given is not None:
        yield given
        return
    count, shape, rate = GENERATED
    with TemporaryDirectory(prefix="wsvad-time-") as place:
        path = Path(place) / "generated.mp4"
        write_video(path, street(count, shape), rate)
        yield path


def street(count: int, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Pictures of something that moves before noise."""
    rng = np.random.default_rng(0)
    still = rng.integers(60, 180, shape).astype(np.uint8)
    return (_picture(still, number, rng) for number in range(count))


def _picture(still: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    image = still + rng.integers(0, 8, still.shape, dtype=np.uint8)
    place = 4 * number % (still.shape[1] - 60)
    image[180:320, place : place + 60] = 220
    return image
