"""Extract the streams of many videos into a folder: a queue that can be killed at any moment and run again.

A feature file that exists is whole, because it was renamed into place, and its passport says how it was made. So the
folder itself is the queue's memory: what is there with the right passport is kept, everything else is work to do. Only
one extraction runs in a folder at a time (the folder is locked), so any temporary file in it is a dead one's and is
removed at the start.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from wsvad.errors import Interrupted, UsageError, WsvadError
from wsvad.extraction.assembly import assembled
from wsvad.extraction.engines import engine_of
from wsvad.extraction.jobs import Engine, Extraction, Finished, Job
from wsvad.extraction.progress import Estimate
from wsvad.extraction.slices import FRAMES, forget_all
from wsvad.extraction.snippets import Encoders
from wsvad.extraction.workers import processors
from wsvad.features.store import Passport, feature_path, rate_of, read_passport
from wsvad.files import is_file, overlong, sha256
from wsvad.locks import writing
from wsvad.progress import report_progress
from wsvad.storage import StorageError, is_remote, listed, place, staging
from wsvad.video.decoding import Decode, checked, hardware
from wsvad.video.reader import counted_rate
from wsvad.video.resample import resampling_rate

logger = logging.getLogger(__name__)

TELL_EVERY = 0.1
"""Seconds between two reports, at least; of a cluster there are thousands of events a second."""


@dataclass(frozen=True, kw_only=True)
class ExtractReport:
    """What an extraction did. Every video is counted once, in `done`, `reused` or `failed`."""

    done: int
    """Videos of which at least one stream was made."""
    reused: int
    """Videos whose streams were all there."""
    failed: dict[str, str]
    """Video name → one line that says what is wrong with it."""
    frames: int
    """Video frames decoded for the videos in `done`."""
    seconds: float
    """Time it took."""


def extract(
    videos: Sequence[tuple[str, Path]],
    streams: Mapping[str, str],
    out: Path | str,
    *,
    workers: int | None = None,
    builder: str = "wsvad.encoders:build",
    raw_rate: Fraction | float | None = None,
    rate: Fraction | float | None = None,
    device: str = "auto",
    engine: Engine | None = None,
    gate: bool = False,
    decode: Decode = "exact",
    slices: int = FRAMES,
) -> ExtractReport:
    """Make the feature files that are missing in `out`, one a video and stream.

    A video that cannot be read, or that crashes the process which reads it, is reported and the others go on. Killed
    and run again, the files end up the same byte for byte as in one undisturbed run.

    Args:
        videos: name and file of each.
        streams: stream name → what encodes it, as `wsvad.encoders.build` takes it (`motion+tflite:FILE`).
        out: folder; files go to `out/STREAM/VIDEO.safetensors`.
        workers, device: see `engine_of`.
        builder: `module:function` that turns a specification into encoders.
        raw_rate: frames per second of raw streams that do not say it; features that were made at another are made
            again.
        rate: frames per second that videos are resampled to, by their timestamps; None for their own.
        engine: who does the work, in place of workers and a device of this machine.
        gate: whether stretches in which nothing moves are left out (`video.quiet`); their snippets have the features
            of one of them.
        decode: how videos are decoded (`video.decoding`); features that were made otherwise are not mixed with.
        slices: frames of the slices that long videos are divided into, of whole snippets; 0 = they are not.

    Raises:
        UsageError: a specification is wrong; this machine has no such device, or no hardware that decodes; a rate is
            given beside the gate.
        WsvadError: a feature file in `out` was made in another way; another command is writing there; the disk is
            full.
        Interrupted: by Ctrl-C.
    """
    # A wrong one is an error before any work.
    started, engine = time.monotonic(), engine or engine_of(workers=workers, device=device)
    if gate and rate is not None:
        raise UsageError(f"--rate {float(rate):g}: with --gate videos are read at their own rate; leave one out")
    out = place(out)
    extraction = Extraction(
        streams=dict(streams), out=out, builder=builder, raw_rate=raw_rate, rate=resampling_rate(rate), gate=gate,
        decode=checked(decode), slices=slices if engine.side_by_side and not is_remote(out) else 0,
    )  # fmt: skip
    parts = extraction.parts()
    with listed(out):
        jobs, failed = _plan(videos, extraction, extraction.joined(parts))
    if jobs and decode == "hardware" and not engine.shared:
        hardware()
    reused, done, frames, quiet = len(videos) - len(jobs) - len(failed), 0, 0, 0.0
    with ExitStack() as held:
        if jobs:  # a folder that has everything may be read by many at once, and need not be writable
            held.enter_context(writing(staging(out) if is_remote(out) else out))
            if not is_remote(out):  # in a store nothing is ever there in part
                held.enter_context(_swept(out, streams))
        queue, estimate, reported = deque(jobs), Estimate(jobs), 0.0
        jobs.clear()  # each goes when it is done
        events = engine.run(queue, extraction, parts)
        try:
            for event in assembled(events, queue):
                estimate.update(event)
                if time.monotonic() - reported >= TELL_EVERY:
                    report_progress("extract", estimate.fraction(), 1.0, estimate.status())
                    reported = time.monotonic()
                match event:
                    case Finished(reason=None):
                        done += 1
                        frames += event.frames
                        quiet += event.quiet * event.frames
                        if event.remark:
                            logger.info(event.remark)
                    case Finished(fatal=True):
                        raise WsvadError(event.reason)
                    case Finished():
                        failed[event.video] = str(event.reason)
                        logger.warning("skipped: %s", event.reason)
            report_progress("extract", estimate.fraction(), 1.0, estimate.status())
            if extraction.slices:
                forget_all(out)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{out}: interrupted; {done + reused} of {len(videos)} videos are finished and kept; "
                "run the same command again to resume"
            ) from None
        finally:
            events.close()
    if gate and frames:
        logger.info("%.0f %% of the frames were quiet and left out", 100 * quiet / frames)
    return ExtractReport(done=done, reused=reused, failed=failed, frames=frames, seconds=time.monotonic() - started)


def _plan(
    videos: Sequence[tuple[str, Path]], extraction: Extraction, encoders: Encoders
) -> tuple[list[Job], dict[str, str]]:
    """What is left to do, the longest files first, and the videos that are not there."""
    wanted = {stream: extraction.passport(some) for stream, some in encoders.items()}
    failed, there = dict[str, str](), dict[str, dict[str, Passport]]()
    for name, path in videos:
        if not is_file(path):
            failed[name] = f"{path}: there is no such video file"
            continue
        places = {stream: feature_path(extraction.out, stream, name) for stream in wanted}
        if long := next(filter(None, map(overlong, places.values())), None):
            failed[name] = f"{path}: its features would need {long}; shorten the video's name"
        elif made := _made_before(places, wanted):
            there[name] = made
    with ThreadPoolExecutor(processors()) as pool:  # hashing leaves the interpreter free
        checked = [(name, path) for name, path in videos if name in there]
        sources = dict(
            zip((name for name, _ in checked), pool.map(lambda video: _source(video[1]), checked), strict=True)
        )
    jobs, alike = list[Job](), dict[tuple[str, ...], tuple[str, ...]]()
    for name, path in videos:
        if name in failed:
            logger.warning("skipped: %s", failed[name])
            continue
        made = there.get(name, {})
        stale = [stream for stream, one in made.items() if one.source != sources[name]]
        if stale:
            logger.info("%s: has changed since its features were made; extracting it again", path)
        elif made and (rate := counted_rate(path, extraction.raw_rate)):
            stale = [stream for stream, one in made.items() if rate_of(one) != rate]
            if stale:
                logger.info("%s: is read at %s frames per second now; extracting it again", path, rate)
        missing = tuple(stream for stream in wanted if stream not in made or stream in stale)
        if missing:
            jobs.append(Job(video=name, path=path, streams=alike.setdefault(missing, missing), size=_size(path)))
    return sorted(jobs, key=lambda job: -job.size), failed


def _source(path: Path) -> str:
    """Hash of a video; none of one in a store that cannot be read, which encoding it will tell."""
    try:
        return sha256(path)
    except StorageError:
        return ""


def made_before(video: str, wanted: Mapping[str, Passport], out: Path) -> dict[str, Passport]:
    """Passports of the streams that a video already has.

    Raises:
        WsvadError: one of them was made in another way.
    """
    return _made_before({stream: feature_path(out, stream, video) for stream in wanted}, wanted)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it was removed just now, which reading it will tell."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _made_before(places: Mapping[str, Path], wanted: Mapping[str, Passport]) -> dict[str, Passport]:
    there = dict[str, Passport]()
    for stream, ours in wanted.items():
        path = places[stream]
        if not is_file(path):
            continue
        there[stream] = read_passport(path)
        if difference := there[stream].difference(ours):
            theirs, ways = there[stream], []
            if theirs.rate != ours.rate:
                ways.append(f"give --rate {float(Fraction(theirs.rate)):g}" if theirs.rate else "leave --rate out")
            if theirs.gate != ours.gate:
                ways.append("give --gate" if theirs.gate else "leave --gate out")
            if theirs.decode != ours.decode:
                ways.append("leave --decode out" if theirs.decode == "exact" else f"give --decode {theirs.decode}")
            raise WsvadError(
                f"{path}: made with other settings than this extraction ({difference}); "
                f"{', '.join([*ways, 'choose another folder for features'])}, or delete the file and those made with it"
            )
    return there


@contextmanager
def _swept(out: Path, streams: Mapping[str, str]) -> Iterator[None]:
    """Remove temporary files that a killed extraction left in the streams' folders, before and after."""

    def sweep() -> None:
        for stream in streams:
            for temporary in (out / stream).rglob(f".{'[0-9a-f]' * 8}.*.safetensors"):
                temporary.unlink(missing_ok=True)

    sweep()
    try:
        yield
    finally:
        sweep()
