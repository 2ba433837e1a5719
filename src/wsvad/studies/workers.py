"""Work of a study side by side, in processes: what fails, or has its process killed, costs itself and nothing else.

A job is a function with its arguments, all of which travel to another process: small descriptions, never features. What
it gives back travels too. Another engine needs no more than `Run`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any, Protocol

from wsvad.errors import WsvadError, shortage
from wsvad.interrupts import interrupted_by
from wsvad.processes import Logged, Pipe, forked, how_it_ended, sendable, start
from wsvad.progress import Progress, duration, on_progress, report_progress
from wsvad.registry import at_fault

logger = logging.getLogger(__name__)

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Processes are the parallelism here; and sums do not depend on how many processors a machine has."""
REPORT_EVERY = 0.5
"""Seconds between two reports of a process on how far it is."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of work."""

    name: str
    """What it is called in messages: `mil, seed 3`."""
    do: Callable[..., Any]
    """Takes `shared`, then the arguments."""
    shared: Any = None
    """What several jobs have in common. A process keeps it, with all that it has read, for the next job that has it."""
    arguments: tuple[Any, ...] = ()
    of: str = ""
    """What it is a part of."""
    counts: bool = True
    """It is one of those that progress counts; others are short."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A job that came to its end."""

    job: Job
    value: Any = None
    """What it gave back."""
    error: WsvadError | None = None
    """Why it failed."""


Follow = Callable[[Done], Sequence[Job]]
"""What can be begun now that a job is done; called in the process that runs the study, in the order in which jobs
end."""


class Run(Protocol):
    """An engine: does jobs, and those that follow from them."""

    def __call__(self, jobs: Sequence[Job], follow: Follow, total: int) -> None:
        """Do all of them; arguments as in `in_processes`."""


def in_this_process(jobs: Sequence[Job], follow: Follow, total: int) -> None:
    """One after the other, here, with the threads that torch has; what follows from a job comes before the next one."""
    queue = list(jobs)
    while queue:
        queue[:0] = follow(_done(queue.pop(0)))


def in_processes(jobs: Sequence[Job], follow: Follow, total: int, *, workers: int) -> None:
    """Side by side, in up to so many processes with one thread each.

    Args:
        total: how many jobs that count there will be, those that follow included.
    """
    queue, team, progress = list(jobs), list[_Worker](), _Study(total)
    try:
        while queue or any(worker.job for worker in team):
            while queue and (free := _free(team, workers)):
                free.begin(queue.pop(free.next_of(queue)))
            for worker in _ready(team):
                for ended in worker.heard():
                    progress.end(ended)
                    queue += follow(ended)
                if worker.gone:
                    team.remove(worker)
            progress.tell(team)
    finally:
        for worker in team:
            worker.process.kill()
        for worker in team:
            worker.stop()


def _free(team: list["_Worker"], workers: int) -> "_Worker | None":
    """A process without a job; a new one where there may be more; None where all are at work."""
    idle = next((worker for worker in team if worker.job is None), None)
    if idle is None and len(team) < workers:
        team.append(idle := _Worker())
    return idle


def _ready(team: Sequence["_Worker"]) -> list["_Worker"]:
    there = wait([worker.connection for worker in team if worker.job])
    return [worker for worker in team if worker.connection in there]


class _Worker:
    """A process and the job that it is at."""

    def __init__(self) -> None:
        context = forked(["wsvad.training.experiment", "wsvad.studies.workers"])
        self.process, self.connection = start(context, _work, variables=ONE_THREAD)
        self.job: Job | None = None
        self.shared: Any = None
        self.progress: Progress | None = None
        self.gone = False

    def next_of(self, queue: Sequence[Job]) -> int:
        """The place of its next job: the first that shares something with the last one, or the first."""
        alike = (place for place, job in enumerate(queue) if job.shared is not None and job.shared is self.shared)
        return next(alike, 0)

    def begin(self, job: Job) -> None:
        there = job.shared is self.shared
        self.job, self.shared, self.progress = job, job.shared, None
        with suppress(BrokenPipeError):  # it died just now, which recv() will tell
            self.connection.send((replace(job, shared=None) if there else job, there))

    def heard(self) -> list[Done]:
        """Take what it sent: the end of its job, if that is what it is."""
        assert self.job is not None
        try:
            what = self.connection.recv()
        except (EOFError, OSError):
            self.gone = True
            self.stop()
            return [Done(job=self.job, error=self.killed(self.job))]
        if isinstance(what, Logged):
            what.log(logger)
        elif isinstance(what, Progress):
            self.progress = what
        else:
            value, error = what
            ended, self.job, self.progress = Done(job=self.job, value=value, error=error), None, None
            return [ended]
        return []

    def status(self, job: Job) -> str:
        """`mil, seed 1: main, loss 0.310`."""
        return f"{job.name}: {self.progress.detail or self.progress.task}" if self.progress else job.name

    def killed(self, job: Job) -> WsvadError:
        """What to say when the process has ended on its own."""
        how = how_it_ended(self.process)
        return WsvadError(f"{job.name}: its process {how}; run the same command again, with fewer --workers")

    def stop(self) -> None:
        self.process.join()
        self.connection.close()


class _Study:
    """One line on how far all of it is."""

    def __init__(self, total: int):
        self.total, self.done, self.failed = total, 0, 0
        self.started = time.monotonic()

    def end(self, ended: Done) -> None:
        self.done += ended.job.counts
        self.failed += ended.error is not None

    def tell(self, team: Sequence[_Worker]) -> None:
        """`3 of 10 done, 1 failed, 4 min left; mil, seed 1: main, loss 0.31; rtfm, seed 0`."""
        shares = [w.progress.done / w.progress.total for w in team if w.progress and w.progress.total and w.job]
        so_far = min(self.done + sum(shares) / 2, self.total)  # a cell is two fits, each with its own progress
        parts = [f"{self.done} of {self.total} done", *([f"{self.failed} failed"] if self.failed else [])]
        if so_far >= 1:
            parts.append(f"{duration((time.monotonic() - self.started) * (self.total / so_far - 1))} left")
        running = [worker.status(worker.job) for worker in team if worker.job]
        report_progress("study", so_far, self.total, "; ".join([", ".join(parts), *running]))


# -------------------------------------------------------------------------------------------------- in the process


def _work(pipe: Pipe) -> None:
    """The life of a process: take a job, do it, tell how it goes, and so on until the other end is closed."""
    import torch

    torch.set_num_threads(1)
    told, shared = 0.0, None

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= REPORT_EVERY:
            told = time.monotonic()
            pipe.send(progress)

    with suppress(EOFError, BrokenPipeError), on_progress(tell):  # until the parent is gone
        while True:
            job, there = pipe.recv()
            shared = shared if there else job.shared
            ended = _done(replace(job, shared=shared))
            pipe.send((ended.value, ended.error and sendable(ended.error)))


def _done(job: Job) -> Done:
    """Do a job; whatever goes wrong in it is its own."""
    try:
        return Done(job=job, value=job.do(job.shared, *job.arguments))
    except Exception as error:
        if interrupted_by(error):
            raise KeyboardInterrupt from error
        logger.debug("%s failed", job.name, exc_info=True)
        if isinstance(error, WsvadError):
            return Done(job=job, error=error)
        to = f" to {whose}" if (whose := at_fault(error)) else ""
        told = f"{type(error).__name__}: {' '.join(str(error).split())}; leave it out and report this{to}"
        return Done(job=job, error=WsvadError(f"{job.name}: {shortage(error) or told}"))
