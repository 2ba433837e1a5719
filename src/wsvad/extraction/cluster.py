"""The engine of many machines: actors of Ray, each of which loads the networks once and then does one video after the
other. What travels are paths, and how far they are; features are written where they are made.

Ray starts processes, finds room for them and tells of those that died; who does what, and how often, is decided here,
as for processes of one machine. Nothing of Ray is loaded unless this engine is asked for.
"""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.hand import Hand, Ready, Seen, versions
from wsvad.extraction.jobs import Events, Extraction, Finished, Job, Parts
from wsvad.extraction.workers import TRIES
from wsvad.progress import duration

logger = logging.getLogger(__name__)

ANSWER = 10.0
"""Seconds that an address has to answer in."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""How a client of gRPC, which a head speaks, begins; the answer begins with a frame of type 4."""
START = 600.0
"""Seconds in which the first worker has to start: a cluster that grows takes minutes."""
LOST = 10
"""Workers that a video may lose in all, those of nodes that disappeared included."""
SETTLE = 5.0
"""Seconds that a node which disappears may still be listed."""


class Ray:
    """Workers on a Ray cluster; without an address that which runs on this machine, or one that is started here and
    ends with the work."""

    shared = True

    def __init__(
        self, address: str = "", *, workers: int | None = None, cpus: float = 1, gpus: float = 0, device: str = "auto"
    ):
        """
        Args:
            address: HOST:PORT of the head of a cluster that this machine is a node of.
            workers: actors; None = as many as the cluster has room for.
            cpus, gpus: what each of them takes, as Ray counts it.
            device: where networks run. With `auto` on a GPU where each worker takes one, or a share, of it.
        """
        self.address, self.workers, self.cpus, self.gpus = address, workers, cpus, gpus
        self.device = "cpu" if device == "auto" and not gpus else device
        self.at_work, self.side_by_side = 0, workers != 1

    def run(self, jobs: deque[Job], extraction: Extraction, parts: Parts) -> Events:
        """As `Engine.run`.

        Raises:
            UsageError: Ray is not installed.
            WsvadError: no cluster answers, or it is another version of Ray; nobody has room for a worker; a node lacks
                a file, or has another version of anything.
        """
        if not jobs:
            return
        self.at_work = 0
        with connected(self.address) as ray, _marked(extraction.out) as seen:
            yield from _Team(ray, self, jobs, extraction, parts, seen).events()

    def room(self, ray: Any) -> int:
        """How many workers the cluster as it is has room for."""
        return sum(min(_times(node, "CPU", self.cpus), _times(node, "GPU", self.gpus)) for node in _alive(ray))


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; at the end as it was before.

    Raises:
        UsageError: Ray is not installed.
        WsvadError: no cluster answers there, or it is another version.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs Ray; pip install 'wsvad[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    named = address or os.environ.get("RAY_ADDRESS", "")
    if named:
        _knock(named)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        try:
            context = ray.init(named or "auto", **quiet)
        except ConnectionError:
            if named:
                raise
            context = ray.init("local", _node_ip_address="127.0.0.1", **quiet)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise WsvadError(
            f"ray://{named or 'local'}: the cluster cannot be joined ({said}); run the command on a node of it, with "
            "the same versions of Ray and Python"
        ) from None
    try:
        if url := context.dashboard_url:
            logger.info("Ray's dashboard: http://%s", url)
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """See whether a head may be at an address; Ray itself tries for minutes.

    Raises:
        UsageError: it is none.
        WsvadError: nobody answers there, or not as the head of a cluster does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(
            f"ray://{address}: write ray://HOST:PORT, of the head of the cluster, as in ray://10.0.0.1:6379"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as head:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                head.sendall(GREETING)
                if head.recv(9)[3:4] != b"\x04":
                    raise OSError("not the head of a Ray cluster")
    except (OSError, OverflowError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        raise WsvadError(
            f"ray://{address}: {why}; start a cluster there with 'ray start --head', or check the address"
        ) from None


@contextmanager
def _marked(out: Path) -> Iterator[Seen]:
    """A file in the output folder by which a worker tells that it sees the same folder."""
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(".cluster-*"):  # of a command that was killed; no other writes here while this one does
        left.unlink(missing_ok=True)
    mark = out / f".cluster-{os.urandom(8).hex()}"
    mark.touch()
    try:
        yield Seen(mark=mark.absolute())
    finally:
        mark.unlink(missing_ok=True)


def _alive(ray: Any) -> list[Mapping[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _times(node: Mapping[str, Any], resource: str, each: float) -> int:
    """How many of `each` a node has."""
    return int(node["Resources"].get(resource, 0) / each) if each else 10**6


def _of_task(error: Exception) -> str:
    """What is wrong with a worker that cannot even begin, in a line."""
    last = str(error).strip().splitlines()[-1]
    if "ModuleNotFoundError" in last:
        return f"ray: a node of the cluster lacks a Python module ({last}); install the same wsvad on each node"
    return f"ray: a worker on the cluster failed ({last[:300]}); report this, with Ray's logs of that node"


@dataclass(eq=False)
class _Member:
    """An actor and what it is at."""

    actor: Any
    ready: Any
    """The answer to whether it may begin, until that is there."""
    where: Ready | None = None
    job: Job | None = None
    doing: Any = None
    progress: Any = None
    """How far it is: an answer that comes as soon as there is something to tell."""


class _Team:
    """The actors of one extraction."""

    def __init__(self, ray: Any, engine: Ray, jobs: deque[Job], extraction: Extraction, parts: Parts, seen: Seen):
        self._ray, self._engine, self._jobs, self._seen = ray, engine, jobs, seen
        self._extraction = replace(extraction, out=extraction.out.absolute())
        wanted = {stream: extraction.passport(some).record() for stream, some in extraction.joined(parts).items()}
        given = (self._extraction, wanted, versions(), engine.device)
        options = {"num_cpus": engine.cpus, "num_gpus": engine.gpus, "max_restarts": 0, "max_concurrency": 2}
        self._start = lambda: ray.remote(**options)(Hand).remote(*given)
        self._members: list[_Member] = []
        self._deaths: dict[Job, list[str]] = {}
        """Nodes on which workers died with it."""
        self._retired = 0
        """Workers that could not write."""
        self._stillborn = 0
        """Workers that died before they had anything to do."""
        self._began, self._filled, self._worked = time.monotonic(), 0.0, False

    def events(self) -> Events:
        """Do the jobs."""
        try:
            while self._jobs or any(member.job for member in self._members):
                self._fill()
                yield from self._step()
        finally:
            for member in self._members:
                with suppress(Exception):  # it is gone already
                    self._ray.kill(member.actor)

    def _fill(self) -> None:
        """Have as many actors as there is room and work for; a cluster may grow and shrink."""
        lacking = len(self._jobs) - sum(member.job is None for member in self._members)
        if lacking <= 0 or (self._members and time.monotonic() - self._filled < 1):
            return
        self._filled = time.monotonic()
        engine = self._engine
        room = engine.room(self._ray) if engine.workers is None else engine.workers
        for _ in range(min(room - self._retired - len(self._members), lacking)):
            actor = self._start()
            self._members.append(_Member(actor, actor.ready.remote(self._of_first())))
        if not self._members and engine.workers is None and not self._worked:
            raise WsvadError(f"ray: no node of the cluster has {self._asked()}; ask for less, or give --workers")

    def _of_first(self) -> Seen:
        """What a worker has to see."""
        first = self._jobs[0] if self._jobs else None
        return replace(self._seen, video=first.path.absolute(), size=first.size) if first else self._seen

    def _asked(self) -> str:
        gpus = f" and {self._engine.gpus:g} GPUs" if self._engine.gpus else ""
        return f"{self._engine.cpus:g} CPUs{gpus} for a worker"

    def _step(self) -> Events:
        """Wait for the next news."""
        of = {
            ref: (member, what)
            for member in self._members
            for what in ("ready", "progress", "doing")
            if (ref := getattr(member, what)) is not None
        }
        if not of:
            time.sleep(0.2)
        elif self._ray.wait(list(of), timeout=1)[0]:
            news, _ = self._ray.wait(list(of), num_returns=len(of), timeout=0)
            for ref in sorted(news, key=lambda ref: of[ref][1] != "progress"):  # how far it was, before that it is done
                member, what = of[ref]
                if member in self._members:
                    yield from self._take(member, what, ref)
        if not self._worked and time.monotonic() - self._began > START:
            raise WsvadError(
                f"ray: no worker started in {duration(START)}; the cluster has no room for {self._asked()}, or its "
                "nodes do not answer (see 'ray status')"
            )

    def _take(self, member: _Member, what: str, ref: Any) -> Events:
        setattr(member, what, None)
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise WsvadError(_of_task(error)) from None
        except self._ray.exceptions.RayError as error:
            yield from self._died(member, error)
            return
        if what == "ready":
            member.where = said
            if said.problem:
                raise WsvadError(said.problem)
            self._worked = True
            self._engine.at_work = max(self._engine.at_work, sum(one.where is not None for one in self._members))
            self._give(member)
            return
        some, finished = (said, None) if what == "progress" else said
        yield from (event for event in some if member.job is not None and event.video == member.job.video)
        if finished is None:
            if member.job is not None:
                member.progress = member.actor.progress.remote(self._patience())
        elif finished.fatal and member.job is not None:
            yield from self._cannot_write(member, member.job, finished)
        else:
            yield finished
            self._give(member)

    def _patience(self) -> float:
        """Seconds between two questions to one actor, so that the driver has few to read from all of them."""
        return max(1.0, len(self._members) / 200)

    def _give(self, member: _Member) -> None:
        """The next job, if there is one."""
        member.job = self._jobs.popleft() if self._jobs else None
        if member.job is not None:
            job = replace(member.job, path=member.job.path.absolute())
            member.doing, member.progress = member.actor.do.remote(job), member.actor.progress.remote(self._patience())
        else:
            member.progress = None
        if member.job is None:  # room for others; what comes later finds a new one
            self._let_go(member)

    def _let_go(self, member: _Member) -> None:
        self._members.remove(member)
        with suppress(Exception):
            self._ray.kill(member.actor)

    def _cannot_write(self, member: _Member, job: Job, finished: Finished) -> Events:
        """The disk of one node may be full, or read-only: others go on, and nobody asks it again."""
        self._retired += 1
        self._let_go(member)
        engine = self._engine
        if (engine.room(self._ray) if engine.workers is None else engine.workers) <= self._retired:
            yield finished
        elif member.where is not None:
            logger.warning("node %s is left out: %s", member.where.address, finished.reason)
            self._jobs.appendleft(job)

    def _died(self, member: _Member, error: Exception) -> Events:
        """An actor is gone; its video is tried again, unless it has ended too many."""
        self._let_go(member)
        if member.job is None or member.where is None:  # before it had anything to do: another takes its place
            self._stillborn += 1
            if "creation task" in str(error) or "ModuleNotFoundError" in str(error):
                raise WsvadError(_of_task(error))
            if self._stillborn >= LOST and not self._worked:
                raise WsvadError(
                    f"ray: {LOST} workers died before their first video (out of memory?); 'ray logs cluster' on a node "
                    "lists what they said"
                )
            return
        job, node = member.job, member.where.node
        nodes = self._deaths.setdefault(job, [])
        nodes.append(node)
        if self._ended(nodes) < TRIES and len(nodes) < LOST:
            logger.info("%s: the worker on node %s died; it is tried once more", job.path, member.where.address)
            self._jobs.append(job)
            return
        hint = " (out of memory?)" if "memory" in str(error).lower() else ""
        reason = (
            f"{job.path}: the process that encoded it died {len(nodes)} times, at last on node "
            f"{member.where.address}{hint}; convert it with FFmpeg or leave it out"
        )
        yield Finished(video=job.video, task=job.task, reason=reason)

    def _ended(self, nodes: list[str]) -> int:
        """How many of these workers a video has ended: not those of nodes that are gone."""
        until = time.monotonic() + (SETTLE if len(nodes) >= TRIES else 0)
        while True:
            alive = {node["NodeID"] for node in _alive(self._ray)}
            count = sum(node in alive for node in nodes)
            if count < TRIES or time.monotonic() >= until:
                return count
            time.sleep(0.2)
