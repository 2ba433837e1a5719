"""Processes that encode videos, one video at a time each; a crash costs the video that caused it and nothing else."""

import contextlib
import logging
import multiprocessing
import os
import secrets
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from wsvad.device import device_of, name_of
from wsvad.encoders.build import split
from wsvad.encoders.encoder import OnDevice
from wsvad.errors import WsvadError
from wsvad.extraction.device import AT_ONCE, Description, Owner, Served, move, release, runs_on
from wsvad.extraction.jobs import Event, Events, Extraction, Finished, Job, Parts, do
from wsvad.interrupts import unheard
from wsvad.processes import end_with_parent, how_it_ended

logger = logging.getLogger(__name__)

TRIES = 2
"""Workers that a video may end before it is left out."""


class Local:
    """The engine of one machine: processes, or this one alone."""

    shared = False

    def __init__(self, workers: int | None = None, device: str = "cpu"):
        """
        Args:
            workers: processes; None = one for each processor, 0 = work in this process, where a crash ends everything
                (but loses nothing that was finished).
            device: where networks run, as PyTorch names it, or `auto`. On any but the CPU they run in this process,
                and the workers decode.
        """
        self.workers, self._device = processors() if workers is None else workers, device
        self.at_work, self.side_by_side = 0, self.workers > 1

    @cached_property
    def device(self) -> str:
        """Where networks run. PyTorch is asked, and imported, where there is one."""
        return device_of("auto") if self._device == "auto" else self._device

    def run(self, jobs: deque[Job], extraction: Extraction, parts: Parts) -> Events:
        """As `Engine.run`."""
        self.at_work = min(max(self.workers, 1), len(jobs))
        each = [encoder for some in parts.values() for encoder in some]
        each = [encoder for encoder in each if isinstance(encoder, OnDevice)]
        if not jobs or not each or self.device == "cpu" or not any(runs_on(encoder, self.device) for encoder in each):
            if self.workers:
                return in_processes(jobs, extraction, self.workers)
            return in_this_process(jobs, extraction, parts)
        logger.info("encoding on %s", name_of(self.device))
        if not self.workers:
            move(each, self.device)
            return in_this_process(jobs, extraction, parts, AT_ONCE)
        return in_processes(jobs, extraction, self.workers, Owner(parts, self.device))


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_this_process(jobs: deque[Job], extraction: Extraction, parts: Parts, at_once: int = 1) -> Events:
    """Do the jobs one after the other, here, with encoders that are made."""
    encoders = extraction.joined(parts)
    while jobs:
        events: list[Event] = []
        finished = do(jobs.popleft(), encoders, extraction, events.append, at_once)
        yield from events
        yield finished


def in_processes(jobs: deque[Job], extraction: Extraction, workers: int, owner: Owner | None = None) -> Events:
    """Do the jobs in up to `workers` processes; closing the generator ends them.

    Args:
        owner: of the networks that run in this process, on a device; the others run in each.

    Raises:
        WsvadError: a process ends before it could take a job.
    """
    served, died = owner.served if owner else {}, Counter[Job | None]()
    team: list[_Worker] = []

    def fill() -> None:
        """Start as many as there is work for."""
        free = sum(worker.job is None for worker in team)
        team.extend(_Worker(extraction, served) for _ in range(min(workers - len(team), len(jobs) - free)))

    try:
        fill()
        while team:
            ready = wait([connection for worker in team for connection in (worker.connection, worker.requests)])
            if owner is not None:
                owner.answer([worker.requests for worker in team if worker.requests in ready])
            for worker in [worker for worker in team if worker.connection in ready]:
                try:
                    event = worker.connection.recv()
                except (EOFError, OSError):
                    team.remove(worker)
                    finished = worker.crashed()
                    died[worker.job] += 1
                    if died[worker.job] < TRIES and worker.job is not None:
                        logger.info("%s; it is tried once more", finished.reason)
                        jobs.append(worker.job)
                    else:
                        yield finished
                    fill()
                    continue
                if event is not None:
                    yield event
                if event is None or isinstance(event, Finished):  # it wants the next job
                    worker.job = jobs.popleft() if jobs else None
                    with contextlib.suppress(BrokenPipeError):  # it died just now, which recv() will tell
                        worker.connection.send(worker.job)
                    if worker.job is None:
                        team.remove(worker)
                        worker.stop()
                    fill()
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
        how = how_it_ended(self.process)
        if self.job is None:
            raise WsvadError(
                f"a worker process {how} before its first video; run without worker processes: --workers 0"
            )
        return Finished(
            video=self.job.video,
            task=self.job.task,
            reason=f"{self.job.path}: the process that encoded it {how}; convert it with FFmpeg or leave it out",
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
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    remote = {key: Served(description, key[1], asking, blocks[key]) for key, description in served.items()}
    whole = {part for part, _ in remote}
    try:
        specs = [part for spec in dict.fromkeys(extraction.streams.values()) for part in split(spec)]
        own = {part: extraction.build(part) for part in specs if part not in whole}
        there = {part: tuple(one for (of, _), one in remote.items() if of == part) for part in whole}
        encoders = extraction.joined(own | there)
        one_thread()
        connection.send(None)
        while (job := connection.recv()) is not None:
            connection.send(do(job, encoders, extraction, connection.send, AT_ONCE if remote else 1))
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    finally:
        for one in remote.values():
            one.close()


def one_thread() -> None:
    """Processes are the parallelism here; libraries that were loaded keep to one thread each."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
