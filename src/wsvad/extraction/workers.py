"""Processes that encode videos, one video at a time each; a crash costs the video that caused it and nothing else."""

import contextlib
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from wsvad.encoders.build import split
from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError, shortage
from wsvad.extraction.device import AT_ONCE, Description, Owner, Served, release
from wsvad.extraction.encode import encode_video
from wsvad.extraction.snippets import shape_of
from wsvad.extraction.sound import silence
from wsvad.extraction.spent import Spent
from wsvad.features.store import feature_path, save
from wsvad.interrupts import interrupted_by, unheard
from wsvad.registry import at_fault
from wsvad.video.reader import VideoInfo


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video and the streams of it that are to be made."""

    video: str
    path: Path
    streams: tuple[str, ...]
    size: int
    """Bytes of the video file."""


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

    def parts(self) -> dict[str, tuple[Encoder, ...]]:
        """Build each encoder that the streams need; streams that are made alike share them."""
        return {part: self.build(part) for spec in dict.fromkeys(self.streams.values()) for part in split(spec)}

    def build(self, part: str) -> tuple[Encoder, ...]:
        """The encoders of a part of a specification."""
        module, _, function = self.builder.partition(":")
        return getattr(import_module(module), function)(part)

    def joined(self, parts: Mapping[str, tuple[Encoder, ...]]) -> dict[str, tuple[Encoder, ...]]:
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
    fatal: bool = False
    """The reason is not the video's: no other could be written either."""
    remark: str = ""
    """What a user should know of features that were made."""
    spent: Spent = field(default_factory=Spent)
    """As `Advanced`."""


Event = Begun | Advanced | Finished
Events = Generator[Event, None, None]

_REPORT_EVERY = 0.2
"""Seconds between two messages on how far a video is."""


def in_this_process(
    jobs: Sequence[Job], extraction: Extraction, parts: Mapping[str, tuple[Encoder, ...]], at_once: int = 1
) -> Events:
    """Do the jobs one after the other, here, with encoders that are made."""
    encoders = extraction.joined(parts)
    for job in jobs:
        events: list[Event] = []
        finished = _do(job, encoders, extraction, events.append, at_once)
        yield from events
        yield finished


def in_processes(jobs: Sequence[Job], extraction: Extraction, workers: int, owner: Owner | None = None) -> Events:
    """Do the jobs in up to `workers` processes; closing the generator ends them.

    Args:
        owner: of the networks that run in this process, on a device; the others run in each.

    Raises:
        WsvadError: a process ends before it could take a job.
    """
    queue, served = list(reversed(jobs)), owner.served if owner else {}
    team = [_Worker(extraction, served) for _ in range(min(workers, len(jobs)))]
    try:
        while team:
            ready = wait([connection for worker in team for connection in (worker.connection, worker.requests)])
            if owner is not None:
                owner.answer([worker.requests for worker in team if worker.requests in ready])
            for worker in [worker for worker in team if worker.connection in ready]:
                try:
                    event = worker.connection.recv()
                except (EOFError, OSError):
                    team.remove(worker)
                    yield worker.crashed()
                    if len(queue) > len(team):
                        team.append(_Worker(extraction, served))
                    continue
                if event is not None:
                    yield event
                if event is None or isinstance(event, Finished):  # it wants the next job
                    worker.job = queue.pop() if queue else None
                    with contextlib.suppress(BrokenPipeError):  # it died just now, which recv() will tell
                        worker.connection.send(worker.job)
                    if worker.job is None:
                        team.remove(worker)
                        worker.stop()
    finally:
        for worker in team:
            worker.process.kill()
        for worker in team:
            worker.stop()


class _Worker:
    """A process and the job that it is at."""

    def __init__(self, extraction: Extraction, served: Mapping[tuple[str, int], Description]):
        # FFmpeg and most network runtimes do not survive a fork: start from nothing.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.requests, asking = context.Pipe()
        # Named here, so that they can be removed whenever it is killed.
        self.blocks = {key: f"wsvad-{secrets.token_hex(8)}" for key in served}
        given = (theirs, asking, extraction, served, self.blocks)
        self.process: BaseProcess = context.Process(target=_work, args=given, daemon=True)
        with unheard():
            self.process.start()
        theirs.close()
        asking.close()
        self.job: Job | None = None

    def crashed(self) -> Finished:
        """What to report when the process has ended on its own."""
        self.stop()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        if self.job is None:
            raise WsvadError(
                f"a worker process {how} before its first video; run without worker processes: --workers 0"
            )
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return Finished(
            video=self.job.video,
            reason=f"{self.job.path}: the process that encoded it {how}{hint}; convert it with FFmpeg or leave it out",
        )

    def stop(self) -> None:
        self.process.join()
        release(self.blocks.values())
        self.connection.close()
        self.requests.close()


def _work(
    connection: Connection,
    asking: Connection,
    extraction: Extraction,
    served: Mapping[tuple[str, int], Description],
    blocks: Mapping[tuple[str, int], str],
) -> None:
    """The life of a process: ask for a job (None), do it, tell how it goes, and so on until there is none."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    remote = {key: Served(description, key[1], asking, blocks[key]) for key, description in served.items()}
    whole = {part for part, _ in remote}
    try:
        specs = [part for spec in dict.fromkeys(extraction.streams.values()) for part in split(spec)]
        own = {part: extraction.build(part) for part in specs if part not in whole}
        there = {part: tuple(one for (of, _), one in remote.items() if of == part) for part in whole}
        encoders = extraction.joined(own | there)
        _one_thread()
        connection.send(None)
        while (job := connection.recv()) is not None:
            connection.send(_do(job, encoders, extraction, connection.send, AT_ONCE if remote else 1))
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    finally:
        for one in remote.values():
            one.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _one_thread() -> None:
    """Processes are the parallelism here; libraries that were loaded keep to one thread each."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _do(
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

    def on_open(info: VideoInfo) -> None:
        report(Begun(video=job.video, declared=info.declared))

    try:
        # One decoding thread: then even a damaged file gives the same frames each time.
        wanted = {name: encoders[name] for name in job.streams}
        stored = encode_video(
            job.path, wanted, on_frames, on_open=on_open, threads=1, raw_rate=extraction.raw_rate, rate=extraction.rate,
            at_once=at_once, spent=spent,
        )  # fmt: skip
        with spent.on("write"):
            for stream, features in stored.items():
                save(feature_path(extraction.out, stream, job.video), features)
        remark = silence(job.path, wanted)
    except WsvadError as error:
        if interrupted_by(error):
            raise KeyboardInterrupt from error
        said = shortage(error) or str(error)  # a library's error may have been taken for damage
        reason = said if str(job.path) in said else f"{job.path}: {said}"
        return Finished(video=job.video, reason=reason, fatal=isinstance(error.__cause__, OSError))
    except Exception as error:
        if interrupted_by(error):
            raise KeyboardInterrupt from error
        to = f" to {whose}" if (whose := at_fault(error)) else ""
        told = f"{type(error).__name__}: {' '.join(str(error).split())}; leave it out and report this{to}"
        reason = f"{job.path}: {shortage(error) or told}"
        return Finished(video=job.video, reason=reason)
    frames = next(iter(stored.values())).passport.frames
    return Finished(video=job.video, frames=frames, spent=spent.taken(), remark=remark)
