"""The seam between what is to be extracted and who does it: jobs in; how far they are, and what became of them, out.
Paths travel, never frames: who does a job reads the video and writes its features."""

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Protocol

from wsvad.encoders.build import split
from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError, shortage
from wsvad.extraction.encode import encode_video, passport
from wsvad.extraction.slices import Joining, Long, Slice, encode_slice, forget, is_long, joined, slices_of
from wsvad.extraction.snippets import shape_of
from wsvad.extraction.sound import silence
from wsvad.extraction.spent import Spent
from wsvad.features.store import Passport, feature_path, save
from wsvad.interrupts import interrupted_by
from wsvad.registry import at_fault
from wsvad.video.decoding import Decode
from wsvad.video.quiet import GATE
from wsvad.video.reader import VideoReader

Parts = Mapping[str, tuple[Encoder, ...]]
"""Part of a specification → its encoders."""


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class Job:
    """One video and the streams of it that are to be made."""

    video: str
    path: Path
    streams: tuple[str, ...]
    size: int
    """Bytes of the video file."""
    task: Slice | Joining | None = None
    """What is to be done with a long one; None = all that there is to do."""
    divisible: bool = True
    """Whether it may be divided into slices."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How all jobs of an extraction are done."""

    streams: dict[str, str]
    """Stream name → encoder specification."""
    out: Path
    builder: str
    """`module:function`, specification → encoders."""
    raw_rate: Fraction | float | None = None
    """Frames per second of raw streams that do not say it."""
    rate: Fraction | float | None = None
    """Frames per second that videos are resampled to; None for their own."""
    gate: bool = False
    """Whether what is quiet is left out."""
    decode: Decode = "exact"
    """How videos are decoded."""
    slices: int = 0
    """Frames of the slices that long videos are divided into; 0 = they are not."""

    def parts(self) -> dict[str, tuple[Encoder, ...]]:
        """Build each encoder that the streams need; streams that are made alike share them."""
        return {part: self.build(part) for spec in dict.fromkeys(self.streams.values()) for part in split(spec)}

    def passport(self, encoders: tuple[Encoder, ...]) -> Passport:
        """What the passport of a stream that these encoders make will say, before a video is known."""
        return passport(encoders, rate=self.rate, gate=GATE if self.gate else 0, decode=self.decode, frames=0)

    def build(self, part: str) -> tuple[Encoder, ...]:
        """The encoders of a part of a specification."""
        module, _, function = self.builder.partition(":")
        return getattr(import_module(module), function)(part)

    def joined(self, parts: Parts) -> dict[str, tuple[Encoder, ...]]:
        """Stream → its encoders, of those of each part.

        Raises:
            UsageError: those of one stream do not fit together.
        """
        joined = {
            stream: tuple(one for part in split(spec) for one in parts[part]) for stream, spec in self.streams.items()
        }
        for some in joined.values():
            shape_of(some)
        return joined


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A video was opened."""

    video: str
    declared: int | None
    """Frames that its header promises."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """Some more frames of a video were read."""

    video: str
    frames: int
    spent: Spent = field(default_factory=Spent)
    """What the process has done since it said so last."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """All streams of a video are on disk, or `reason` says why not."""

    video: str
    frames: int = 0
    reason: str | None = None
    task: Slice | Joining | None = None
    """That of its job."""
    divided: "Divided | None" = None
    """Nothing was encoded: the video is to be done in slices."""
    fatal: bool = False
    """The reason is not the video's: no other could be written either."""
    remark: str = ""
    """What a user should know of features that were made."""
    quiet: float = 0.0
    """Share of its snippets that were left out."""
    spent: Spent = field(default_factory=Spent)
    """As `Advanced`."""


@dataclass(frozen=True, kw_only=True)
class Divided:
    """A job that became several."""

    job: Job
    joining: Joining


Event = Begun | Advanced | Finished
Events = Generator[Event, None, None]


class Engine(Protocol):
    """Does the jobs of an extraction: in processes here (`workers.Local`), or on a cluster (`cluster.Ray`)."""

    at_work: int
    """Workers that the last run had, at most."""
    side_by_side: bool
    """Whether it does several jobs at a time."""
    shared: bool
    """Whether workers may be on other machines, and see what these have in common alone."""

    @property
    def device(self) -> str:
        """Where networks run."""
        ...

    def run(self, jobs: deque[Job], extraction: Extraction, parts: Parts) -> Events:
        """Do the jobs until none is left; closing the generator ends what is under way.

        What comes back says how far they are; frames and features stay where they are made. A video that ends its
        worker is tried once more, after the others; what ends two is named and left out.

        Args:
            jobs: taken from the left; whoever reads the events may add to them when one is finished.
            parts: the encoders, as this process has made them.

        Raises:
            WsvadError: no worker can be started.
        """
        ...


_REPORT_EVERY = 0.2
"""Seconds between two messages on how far a video is."""


def do(
    job: Job,
    encoders: dict[str, tuple[Encoder, ...]],
    extraction: Extraction,
    report: Callable[[Event], None],
    at_once: int = 1,
) -> Finished:
    """Encode one video and write its streams."""
    reported, unreported, spent = time.monotonic(), 0, Spent()

    def on_frames(count: int) -> None:
        nonlocal reported, unreported
        unreported += count
        if time.monotonic() - reported >= _REPORT_EVERY:
            report(Advanced(video=job.video, frames=unreported, spent=spent.taken()))
            reported, unreported = time.monotonic(), 0

    def on_open(video: VideoReader) -> None:
        if _divisible(job, extraction) and is_long(video, extraction.slices):
            raise Long
        info = video.info
        report(Begun(video=job.video, declared=info.declared))
        if extraction.decode == "hardware" and not info.hardware:
            remarks.append(f"{job.path}: decoded in software, because this hardware does not decode such {info.codec}")

    whole, remarks = list[str](), list[str]()
    try:
        wanted, one = {name: encoders[name] for name in job.streams}, None
        if isinstance(job.task, Slice):
            encode_slice(
                job.task, job.path, job.video, wanted, extraction.out, on_frames, at_once, spent, extraction.decode
            )
        else:
            if isinstance(job.task, Joining):
                stored = joined(job.task, job.path, job.video, wanted, extraction.out, extraction.decode)
            else:
                try:
                    # One decoding thread: then even a damaged file gives the same frames each time.
                    stored = encode_video(
                        job.path, wanted, on_frames, on_open=on_open, threads=1, raw_rate=extraction.raw_rate,
                        rate=extraction.rate, at_once=at_once, spent=spent, gate=extraction.gate,
                        on_whole=whole.append, decode=extraction.decode,
                    )  # fmt: skip
                except Long:
                    if joining := slices_of(job.path, wanted, extraction.slices):
                        report(Begun(video=job.video, declared=joining.pieces[-1].end))
                        return Finished(video=job.video, divided=Divided(job=job, joining=joining))
                    return do(replace(job, divisible=False), encoders, extraction, report, at_once)
            with spent.on("write"):
                for stream, features in stored.items():
                    save(feature_path(extraction.out, stream, job.video), features)
            if job.task is not None or not job.divisible:
                forget(extraction.out, job.video, job.streams)
            remarks += [silence(job.path, wanted)]
            remarks += [f"{job.path}: encoded whole, because {reason}" for reason in whole]
            one = next(iter(stored.values()))
    except WsvadError as error:
        if interrupted_by(error):
            raise KeyboardInterrupt from error
        said = shortage(error) or str(error)  # a library's error may have been taken for damage
        reason = said if str(job.path) in said else f"{job.path}: {said}"
        return Finished(video=job.video, task=job.task, reason=reason, fatal=isinstance(error.__cause__, OSError))
    except Exception as error:
        if interrupted_by(error):
            raise KeyboardInterrupt from error
        to = f" to {whose}" if (whose := at_fault(error)) else ""
        told = f"{type(error).__name__}: {' '.join(str(error).split())}; leave it out and report this{to}"
        reason = f"{job.path}: {shortage(error) or told}"
        return Finished(video=job.video, task=job.task, reason=reason)
    frames = 0 if one is None else one.passport.frames
    quiet = 0.0 if one is None or one.quiet is None else float(one.quiet.mean())
    remark = "; ".join(filter(None, remarks))
    return Finished(video=job.video, task=job.task, frames=frames, spent=spent.taken(), remark=remark, quiet=quiet)


def _divisible(job: Job, extraction: Extraction) -> bool:
    """Whether a job's video is encoded in slices, if it is long."""
    return job.divisible and bool(extraction.slices) and not extraction.gate and not extraction.rate
