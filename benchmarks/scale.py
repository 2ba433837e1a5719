"""Extraction past one machine: what a manifest of a million videos takes of the driver, kill tests, weak scaling from
one worker to two, and a simulation to 1,000 workers.

    python benchmarks/scale.py manifest --videos 1000000
    python benchmarks/scale.py kill --moments 20
    python benchmarks/scale.py weak
    python benchmarks/scale.py simulate --speed 25 --spread 0.3 --rows 1000        (as the others have measured them)

Each prints a section of results/scale.md.
"""

import argparse
import heapq
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.extraction.jobs import Advanced, Begun, Events, Finished
from wsvad.extraction.spent import Spent

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))


def table(*columns: str) -> tuple[str, str]:
    """The head of a table."""
    return f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"


# ------------------------------------------------------------------------------------------------ manifest

EACH = 1000
"""Videos in a folder."""


def manifest(count: int) -> None:
    """Plan an extraction of so many videos in a process of its own, and take what its workers would send."""
    with tempfile.TemporaryDirectory(prefix="wsvad-scale-") as place:
        for number in range(count // EACH):
            folder = Path(place) / "videos" / f"camera-{number:04}"
            folder.mkdir(parents=True)
            first = folder / "000.mp4"
            first.write_bytes(b"\0" * 64)
            for other in range(1, EACH):
                os.link(first, folder / f"{other:03}.mp4")
        command = [sys.executable, __file__, "driver", place]
        print(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout, end="")


class Nobody:
    """An engine whose workers are done at once, so that the driver alone is measured."""

    device, at_work, side_by_side, shared = "cpu", 0, True, False

    def run(self, jobs: deque, extraction: object, parts: object) -> Iterator:
        self.planned, self.peak = time.perf_counter(), _peak()
        while jobs:
            job = jobs.popleft()
            yield Begun(video=job.video, declared=1000)
            yield Finished(video=job.video, frames=1000)


def driver(place: Path) -> None:
    """What `manifest` measures."""
    from wsvad.datasets.folder import unlabelled_videos
    from wsvad.extraction.extract import extract

    start, before = time.perf_counter(), _peak()
    videos = unlabelled_videos(place / "videos")
    listed = time.perf_counter()
    engine = Nobody()
    report = extract(videos, {"rgb": "motion"}, place / "out", engine=engine)  # type: ignore[arg-type]
    ended = time.perf_counter()
    print(f"| videos | {len(videos):,}, load {os.getloadavg()[0]:.1f} |")
    print(f"| listing the folder | {listed - start:.1f} s |")
    print(f"| planning | {engine.planned - listed:.1f} s |")
    print(f"| manifest rows taken | {report.done / (ended - engine.planned):,.0f} a second |")
    print(f"| memory before, after planning, at the end | {before:.0f}, {engine.peak:.0f}, {_peak():.0f} MiB |")


def _peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------------------------------------ kill tests

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from wsvad.extraction.engines import engine_of
from wsvad.extraction.extract import extract

if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    videos = [(path.name, path) for path in sorted(folder.glob("*.mp4"))]
    engine = engine_of(sys.argv[3], workers=int(sys.argv[4]))
    report = extract(videos, {"rgb": "means-slow"}, out, builder="clips:build", engine=engine, slices=160)
    print(report.done, report.reused, len(report.failed), flush=True)
"""


@contextmanager
def cluster(workers: int = 2) -> Iterator[object]:
    """A cluster on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])  # of nodes
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": workers, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()


def kill(moments: int) -> None:
    """A worker, a node, the driver: each killed at so many random moments, and the same command again."""
    from clips import write_clip

    with tempfile.TemporaryDirectory(prefix="wsvad-scale-") as place, cluster(1) as made:
        folder = Path(place)
        (folder / "videos").mkdir()
        for number in range(5):
            write_clip(folder / "videos" / f"{number}.mp4", 20 + 7 * number)
        write_clip(folder / "videos" / "long.mp4", 500, g="25")
        (folder / "driver.py").write_text(DRIVER)
        address = f"ray://{made.address}"  # type: ignore[attr-defined]
        _ended(_extract(folder, "whole", "local", 0))
        began = time.monotonic()
        _ended(_extract(folder, "once", address, 2))
        lasts, chance = time.monotonic() - began, random.Random(0)
        print(*table("killed", "moments", "lost", "twice", "other bytes", "killed while at work"), sep="\n")
        for what in ("worker", "node", "driver"):
            faults = [0, 0, 0, 0]
            for moment in range(moments):
                found = _killed(what, folder, f"{what}-{moment}", address, made, chance.uniform(0.1, 0.9) * lasts)
                faults = [a + b for a, b in zip(faults, found, strict=True)]
            print(f"| {what} | {moments} | {' | '.join(map(str, faults))} |", flush=True)


def _extract(folder: Path, out: str, engine: str, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(folder / "driver.py"), str(folder / "videos"), str(folder / out), engine]
    return subprocess.Popen([*command, str(workers), str(TESTS)], stdout=subprocess.PIPE, text=True)


def _killed(what: str, folder: Path, out: str, address: str, made: object, after: float) -> tuple[int, int, int, int]:
    """Files lost, made twice, with other bytes; and whether something was under way."""
    node = made.add_node(num_cpus=1)  # type: ignore[attr-defined]
    process = _extract(folder, out, address, 2)
    time.sleep(after)
    at_work = process.poll() is None
    if what == "driver":
        process.kill()
        process.communicate()
        kept = {path: path.stat().st_mtime_ns for path in (folder / out).rglob("[!.]*.safetensors")}
        process = _extract(folder, out, address, 2)
    elif what == "worker":
        kept = {}
        for pid in _actors():
            os.kill(pid, signal.SIGKILL)
            break
    else:
        kept = {}
    if what == "node":
        made.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]
    _ended(process)
    if what != "node":
        made.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]
    ours, whole = (_files(folder / one) for one in (out, "whole"))
    lost = len(whole.keys() - ours.keys()) + len(ours.keys() - whole.keys())
    twice = sum(path.stat().st_mtime_ns != stamp for path, stamp in kept.items() if ".slices" not in path.parts)
    return lost, twice, sum(ours[name] != whole[name] for name in whole.keys() & ours.keys()), int(at_work)


def _ended(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate()
    assert process.returncode == 0, said


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def _actors() -> list[int]:
    """Processes of actors, which Ray names `ray::Hand`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Hand"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


# ------------------------------------------------------------------------------------------------ weak scaling

VIDEOS, FRAMES, RATE = 8, 750, 25
"""Videos of a worker, and how long each is."""

STAGES = ("decode", "convert", "network", "write")


class Timed:
    """An engine that notes what each video took."""

    shared = False

    def __init__(self, engine: Any):
        self._engine = engine
        self.device, self.side_by_side = engine.device, engine.side_by_side
        self.spent: dict[str, Spent] = defaultdict(Spent)

    @property
    def at_work(self) -> int:
        return int(self._engine.at_work)

    def run(self, *given: Any) -> Events:
        for event in self._engine.run(*given):
            if isinstance(event, Advanced | Finished):
                self.spent[event.video].add(event.spent)
            yield event


def weak() -> None:
    """Twice the videos with twice the workers take as long; on a machine with two processors and nothing else to do."""
    import ray

    from wsvad.datasets.folder import unlabelled_videos
    from wsvad.extraction.engines import engine_of
    from wsvad.extraction.extract import extract
    from wsvad.extraction.timing import street
    from wsvad.video.writer import write_video

    with tempfile.TemporaryDirectory(prefix="wsvad-scale-") as place, cluster(2) as made:
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")  # type: ignore[attr-defined]
        for number in range(2 * VIDEOS):
            folder = Path(place) / "videos"
            folder.mkdir(exist_ok=True)
            write_video(folder / f"{number:02}.mp4", street(FRAMES, (480, 640, 3)), RATE)
        videos, times = unlabelled_videos(folder), []
        print(*table("engine", "workers", "videos", "seconds", "weak efficiency"), sep="\n")
        for name in ("local", "ray"):
            base = 0.0
            for workers in (1, 2):
                engine = Timed(engine_of(name, workers=workers))
                began = time.perf_counter()
                extract(videos[: VIDEOS * workers], {"rgb": "motion"}, Path(place) / f"{name}-{workers}",
                        engine=engine)  # fmt: skip
                seconds = time.perf_counter() - began
                base = base or seconds
                print(f"| {name} | {workers} | {VIDEOS * workers} | {seconds:.1f} | {base / seconds:.2f} |", flush=True)
                times += [[getattr(one, stage) for stage in STAGES] for one in engine.spent.values()]
        print(f"\nLoad {os.getloadavg()[0]:.1f}.\n")
        print(*table("stage", "seconds a video", "standard deviation"), sep="\n")
        for stage, seconds in zip(STAGES, np.transpose(times), strict=True):
            print(f"| {stage} | {seconds.mean():.2f} | {seconds.std():.2f} |")
        whole = np.sum(times, axis=1)
        speed, spread = FRAMES / RATE / whole.mean(), np.log(whole).std()
        print(f"\nA worker does {speed:.1f} hours of video in an hour, σ of its logarithm {spread:.2f}.")
        ray.shutdown()


# ------------------------------------------------------------------------------------------------ simulation


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is simulated."""

    workers: int
    hours: float = 100_000
    speed: float = 25.0
    """Hours of video that a worker does in an hour."""
    spread: float = 0.3
    """Standard deviation of the logarithm of a worker's speed, from job to job."""
    straggling: float = 0.02
    """Share of jobs that take four times as long."""
    failures: float = 0.001
    """Workers lost an hour, each."""
    rows: float = 1000.0
    """Events that the driver takes a second."""
    slices: bool = True
    """Whether long videos are divided."""
    longest: float = 24.0
    """Hours of the longest videos, of which one video in a thousand is."""


def simulated(site: Site, seed: int) -> dict[str, float]:
    """How long an extraction takes, in hours, and where its time goes."""
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(np.log(0.25), 1.0, int(site.hours / 0.41))
    lengths[rng.random(len(lengths)) < 0.001] = site.longest
    if site.slices:
        long = lengths > 1
        cut = [np.full(int(np.ceil(one / 0.5)), one / np.ceil(one / 0.5)) for one in lengths[long]]
        lengths = np.concatenate([lengths[~long], *cut])
    lengths = np.sort(lengths)[::-1]
    slow = np.where(rng.random(len(lengths)) < site.straggling, 4.0, 1.0)
    takes = lengths / site.speed * rng.lognormal(0, site.spread, len(lengths)) * slow
    takes = takes + (rng.random(len(takes)) < site.failures * takes) * takes * rng.random(len(takes))
    free = [0.0] * site.workers
    answered, ended = 0.0, 0.0
    each = 1 / site.rows / 3600
    for one in takes:
        at = heapq.heappop(free)
        answered = max(answered, at) + each  # the driver has one hand
        heapq.heappush(free, answered + one)
        ended = max(ended, answered + one)
    ideal = takes.sum() / site.workers
    return {
        "hours": ended,
        "ideal": ideal,
        "jobs": len(takes),
        "tail": ended - min(free),
        "driver": len(takes) * each / ended,
    }


def simulate(measured: dict[str, float]) -> None:
    print(*table("workers", "slices", "jobs", "hours", "of the ideal", "tail, min", "driver busy"), sep="\n")
    for workers in (1, 10, 100, 1000):
        for slices in (False, True):
            found = [simulated(Site(workers=workers, slices=slices, **measured), seed) for seed in range(3)]
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            share = mean["ideal"] / mean["hours"]
            row = (
                *(f"{workers:,}", "yes" if slices else "no", f"{mean['jobs']:,.0f}", f"{mean['hours']:,.2f}"),
                *(f"{share:.0%}", f"{60 * mean['tail']:.0f}", f"{mean['driver']:.2%}"),
            )
            print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["manifest", "driver", "kill", "weak", "simulate"])
    parser.add_argument("place", nargs="?", type=Path)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--moments", type=int, default=20)
    for name in ("speed", "spread", "straggling", "failures", "rows"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Site, name))
    given = parser.parse_args()
    match given.what:
        case "manifest":
            manifest(given.videos)
        case "driver":
            driver(given.place)
        case "kill":
            kill(given.moments)
        case "weak":
            weak()
        case "simulate":
            simulate({name: getattr(given, name) for name in ("speed", "spread", "straggling", "failures", "rows")})


if __name__ == "__main__":
    main()
