"""Jobs side by side: what follows from what, what fails, whose process dies, what is told."""

import logging
import os
import signal
import threading
import time
from functools import partial

import pytest

from wsvad.errors import UsageError, WsvadError
from wsvad.progress import on_progress, report_progress
from wsvad.studies.workers import Done, Job, in_processes, in_this_process


def told(_: None, value: int) -> int:
    logging.getLogger("wsvad.studies").info("at %d", value)
    report_progress("count", value, 10, f"step {value}")
    return value


def wrong(_: None, error: Exception) -> None:
    raise error


def gone(_: None, how: int) -> None:
    os.kill(os.getpid(), how)


def left(_: None, status: int) -> None:
    os._exit(status)


def threads(_: None) -> tuple[int, str | None]:
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


class Reader:
    """Reads once in each process."""

    def __init__(self) -> None:
        self.read = 0

    def __getstate__(self) -> dict[str, int]:
        return {"read": 0}


def read(reader: Reader) -> tuple[int, int]:
    reader.read += 1
    time.sleep(0.05)
    return os.getpid(), reader.read


ENGINES = [in_this_process, partial(in_processes, workers=1), partial(in_processes, workers=2)]


def done(run, jobs, follow=lambda ended: ()) -> list[Done]:
    found: list[Done] = []

    def take(ended: Done) -> list[Job]:
        found.append(ended)
        return list(follow(ended))

    run(jobs, take, len(jobs))
    return found


def job(do, *arguments, name="", **fields) -> Job:
    return Job(name=name or f"{do.__name__} {arguments}", do=do, arguments=arguments, **fields)


@pytest.mark.parametrize("run", ENGINES)
def test_every_job_is_done_and_those_that_follow_from_it(run):
    def follow(ended: Done) -> list[Job]:
        return [job(told, ended.value + 10)] if ended.value < 20 else []

    values = [ended.value for ended in done(run, [job(told, 1), job(told, 2)], follow)]
    assert sorted(values) == [1, 2, 11, 12, 21, 22]
    assert values.index(1) < values.index(11) < values.index(21)


@pytest.mark.parametrize("run", ENGINES)
def test_a_job_that_fails_costs_itself(run):
    found = done(run, [job(wrong, UsageError("no")), job(wrong, KeyError("x"), name="mil, seed 0"), job(told, 3)])
    by_name = {ended.job.name: ended for ended in found}
    assert len(by_name) == 3 and by_name["told (3,)"].value == 3
    assert type(by_name["wrong (UsageError('no'),)"].error) is UsageError
    assert str(by_name["mil, seed 0"].error) == "mil, seed 0: KeyError: 'x'; leave it out and report this"


def test_a_process_that_is_killed_costs_its_job_and_is_named():
    jobs = [
        job(gone, signal.SIGKILL, name="rtfm, seed 1"),
        job(left, 7, name="mil, seed 0"),
        *(job(told, n) for n in (4, 5, 6)),
    ]
    found = {ended.job.name: ended for ended in done(partial(in_processes, workers=2), jobs)}
    assert [found[f"told ({n},)"].value for n in (4, 5, 6)] == [4, 5, 6]
    assert str(found["rtfm, seed 1"].error) == (
        "rtfm, seed 1: its process was killed by SIGKILL (out of memory?); run the same command again, with fewer "
        "--workers"
    )
    assert "mil, seed 0: its process ended with status 7" in str(found["mil, seed 0"].error)


def test_what_jobs_share_is_read_once_in_each_process():
    one, other = Reader(), Reader()
    jobs = [job(read, name=name, shared=shared) for _ in range(4) for name, shared in (("one", one), ("other", other))]
    found = done(partial(in_processes, workers=2), jobs)
    kept = {(ended.job.name, ended.value[0]): ended.value[1] for ended in found}
    assert len(kept) <= 3 and sum(kept.values()) == 8, "a process went to and fro"
    assert one.read == other.read == 0


def test_processes_have_one_thread_each_and_ours_keeps_its_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    (found,) = done(partial(in_processes, workers=1), [job(threads)])
    assert found.value == (1, "1")
    assert os.environ["OMP_NUM_THREADS"] == "2" and "MKL_NUM_THREADS" not in os.environ


def test_what_processes_log_and_how_far_they_are_is_told_here(caplog):
    caplog.set_level(logging.INFO, logger="wsvad")
    seen = []
    with on_progress(seen.append):
        done(partial(in_processes, workers=1), [job(told, 3), job(told, 5, counts=False)])
    assert [record.getMessage() for record in caplog.records] == ["at 3", "at 5"]
    assert {one.task for one in seen} == {"study"} and {one.total for one in seen} == {2}
    assert any("told (3,): step 3" in one.detail for one in seen)
    assert seen[-1].done == 1 and seen[-1].detail.startswith("1 of 2 done")


def test_an_error_in_the_study_itself_ends_all_processes():
    def stop(ended: Done) -> list[Job]:
        raise WsvadError("enough")

    before = threading.active_count()
    with pytest.raises(WsvadError, match="enough"):
        done(partial(in_processes, workers=2), [job(told, 1), job(told, 2), job(told, 3)], stop)
    import multiprocessing

    assert multiprocessing.active_children() == [] and threading.active_count() == before
