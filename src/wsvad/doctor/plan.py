"""What an extraction will come to before it is begun: videos, snippets and bytes by the heads of the files, and hours
by what a minute of it does on this machine. Nothing of it is kept."""

import random
import shutil
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wsvad.datasets.folder import NONE, open_folder, unlabelled_videos
from wsvad.doctor.survey import Seen, survey_of
from wsvad.encoders.build import inputs_of
from wsvad.encoders.encoder import Encoder
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.encode import passport
from wsvad.extraction.extract import made_before
from wsvad.extraction.jobs import Engine, Extraction, Finished, Job, Parts
from wsvad.extraction.progress import Estimate
from wsvad.extraction.snippets import shape_of
from wsvad.progress import report_progress
from wsvad.storage import is_remote
from wsvad.video.clock import snippet_count
from wsvad.video.decoding import Decode
from wsvad.video.resample import resampling_rate

MINUTE = 60.0
"""Seconds for which it is measured how fast this machine encodes."""
BESIDE = 700
"""Bytes of a feature file beside its numbers: its passport, and what the format needs."""


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """One stream of all videos that lack it."""

    stream: str
    encoder: str
    shape: tuple[int, ...]
    """Of a snippet's features: `(D,)`, or `(C, D)` with crops."""
    videos: int
    snippets: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How fast this machine is at it."""

    seconds: float
    """For how long it was tried."""
    frames: int
    """Frames that were done in that time, of the videos themselves."""
    shares: Mapping[str, float]
    """Part of the work → its share of the time."""
    expected: float
    """Frames of all videos, by what is known of those that were begun."""

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done."""

    folder: Path
    out: Path
    videos: int
    """Those that can be read."""
    hours: float
    unread: Mapping[str, str]
    """File → why it will not be read."""
    left: int
    """Videos that lack features."""
    frames: int
    """Frames of those."""
    streams: tuple[StreamPlan, ...]
    workers: int
    device: str
    measured: Measured | None
    """None where nothing is left to do."""
    free: int | None
    """Bytes that are free where features are written; None in a store, which takes what comes."""

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.streams)

    @property
    def seconds(self) -> float:
        """How long it will take."""
        return self.frames / self.measured.frames_per_second if self.measured else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The same for a program."""
        measured = self.measured
        return {
            "folder": str(self.folder),
            "videos": self.videos,
            "hours": self.hours,
            "not_read": [{"file": file, "reason": reason} for file, reason in self.unread.items()],
            "left": {"videos": self.left, "frames": self.frames, "bytes": self.bytes, "seconds": self.seconds},
            "streams": [
                {"stream": one.stream, "encoder": one.encoder, "shape": list(one.shape)}
                | {"videos": one.videos, "snippets": one.snippets, "bytes": one.bytes}
                for one in self.streams
            ],
            "measured": None if measured is None else {
                "seconds": measured.seconds, "frames": measured.frames,
                "frames_per_second": measured.frames_per_second, "shares": dict(measured.shares),
            },
            "workers": self.workers,
            "device": self.device,
            "free_bytes": self.free,
        }  # fmt: skip


def plan(
    folder: Path,
    specs: Mapping[str, str],
    out: Path,
    *,
    labels: Path | str | None = None,
    raw_rate: float | None = None,
    rate: Fraction | float | None = None,
    decode: Decode = "exact",
    engine: Engine,
) -> Plan:
    """Plan what `extract_folder` would do with these arguments.

    Raises:
        UsageError: a stream is not made from videos.
        WsvadError: features in `out` were made in another way; no video can be encoded.
    """
    if captions := [spec for spec in specs.values() if "captions" in inputs_of(spec)]:
        raise UsageError(
            f"'{captions[0]}': captions are encoded in seconds; plan the streams that are made from videos"
        )
    loose = unlabelled_videos(folder) if labels is None else []
    dataset = None if loose else open_folder(folder, labels, NONE, by_scene=False)
    found = survey_of(folder, dataset, raw_rate=raw_rate, thorough=False)
    extraction = Extraction(
        streams=dict(specs), out=out, builder="wsvad.encoders:build", raw_rate=raw_rate, rate=resampling_rate(rate),
        decode=decode,
    )  # fmt: skip
    parts = extraction.parts()
    encoders = extraction.joined(parts)
    wanted = {stream: extraction.passport(some) for stream, some in encoders.items()}
    there = {one.name: made_before(one.name, wanted, out) for one in found.videos}
    missing = {name: tuple(stream for stream in wanted if stream not in made) for name, made in there.items()}
    left = [one for one in found.videos if missing[one.name]]
    jobs = [Job(video=one.name, path=one.path, streams=missing[one.name], size=one.path.stat().st_size) for one in left]
    measured = measure(jobs, extraction, parts, engine) if jobs else None
    lengths = _lengths(left, {job.video: job.size for job in jobs}, measured)
    streams = [
        _stream(stream, some, [lengths[one.name] for one in left if stream in missing[one.name]], extraction)
        for stream, some in encoders.items()
    ]
    return Plan(
        folder=folder,
        out=out,
        videos=len(found.videos),
        hours=found.hours,
        unread={entry.file: entry.reason for entry in found.unread},
        left=len(left),
        frames=round(sum(seconds * fps for seconds, fps in lengths.values())),
        streams=tuple(streams),
        workers=engine.at_work,
        device=engine.device,
        measured=measured,
        free=_free(out),
    )


def measure(jobs: Sequence[Job], extraction: Extraction, parts: Parts, engine: Engine) -> Measured:
    """Encode videos for `MINUTE` seconds, as an extraction would, in a folder that is removed. They come in no order,
    so that long and short ones, of all sizes, are among them; the start of processes does not count.

    Raises:
        WsvadError: none of them can be encoded.
    """
    some, reason = list(jobs), "it has no frames"
    random.Random(0).shuffle(some)
    estimate, began, seconds = Estimate(some), None, 0.0
    beside = (
        _existing(extraction.out) if engine.shared and not is_remote(extraction.out) else None
    )  # what other machines see as well
    with TemporaryDirectory(prefix=".wsvad-plan-", dir=beside) as place:
        events = engine.run(deque(some), replace(extraction, out=Path(place)), parts)
        try:
            for event in events:
                began = time.monotonic() if began is None else began
                estimate.update(event)
                if isinstance(event, Finished):
                    if event.fatal:
                        raise WsvadError(str(event.reason))
                    reason = event.reason or reason
                seconds = time.monotonic() - began
                report_progress("measure", min(seconds / MINUTE, 1.0), 1.0, f"{estimate.frames():,} frames")
                if seconds >= MINUTE:
                    break
        finally:
            events.close()
    if not estimate.frames() or not seconds:
        raise WsvadError(f"nothing can be measured: {reason}")
    total = estimate.total() or estimate.frames()
    return Measured(seconds=seconds, frames=estimate.frames(), shares=estimate.spent.shares(), expected=total)


def _lengths(
    videos: Sequence[Seen], sizes: Mapping[str, int], measured: Measured | None
) -> dict[str, tuple[float, float]]:
    """Seconds and frames per second of each video; one that does not say how long it is counts by its bytes, as long
    as the others are."""
    fps = {one.name: float(one.facts.rate) or 1.0 for one in videos}
    said = {one.name: one.facts.seconds * fps[one.name] for one in videos if one.facts.seconds}
    per_byte = sum(said.values()) / max(sum(sizes[name] for name in said), 1)
    if not said and measured:
        per_byte = measured.expected / sum(sizes.values())
    frames = {name: said.get(name, sizes[name] * per_byte) for name in fps}
    return {name: (frames[name] / fps[name], fps[name]) for name in fps}


def _stream(
    stream: str, encoders: tuple[Encoder, ...], lengths: Sequence[tuple[float, float]], extraction: Extraction
) -> StreamPlan:
    shape, rate = shape_of(encoders), float(extraction.rate or 0)
    counts = [max(1, snippet_count(round(seconds * (rate or fps)))) for seconds, fps in lengths]
    numbers = 4 * shape[-1] * (shape[0] if len(shape) > 1 else 1)
    clock = 8 * (3 if rate else 2)  # seconds, what was filmed of them, and frames where it is resampled
    return StreamPlan(
        stream=stream,
        encoder=passport(encoders, frames=0).encoder,
        shape=shape,
        videos=len(counts),
        snippets=sum(counts),
        bytes=sum(count * (numbers + clock) + BESIDE for count in counts),
    )


def _free(out: Path) -> int | None:
    return None if is_remote(out) else shutil.disk_usage(_existing(out)).free


def _existing(out: Path) -> Path:
    """The folder, or the nearest that is there."""
    place = out.absolute()
    while not place.is_dir():
        place = place.parent
    return place
