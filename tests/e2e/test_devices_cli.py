"""`fit` on several devices, from the command line: who speaks, who is missed, how all of them end, who resumes."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alerts import wait_for

from wsvad.cli.main import main
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.training import checkpoint
from wsvad.training.team import AGAIN

on_linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    """A fit of a second or two; in abnormal videos snippets 2 and 3 differ."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    labels, intervals = ["video,label,frames,split"], ["video,category,start_frame,end_frame"]
    for number in range(16):
        rows = rng.normal(size=(6, 8)).astype(np.float32)
        if number % 2:
            rows[2:4] += 2
            intervals.append(f"v{number},odd,32,64")
        stored = StoredFeatures(features=rows, passport=Passport(encoder="test", width=8, frames=96))
        save(feature_path(folder / "features", "rgb", f"v{number}"), stored)
        labels.append(f"v{number},{number % 2},96,{'test' if number >= 10 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return [
        "fit", str(folder), "--features", str(folder / "features"), "--method", "mil", "--hold-out", "0", "--device",
        "cpu", "--iterations", "200", "--points", "10", "--segments", "6", "--bags", "4", "--config.hidden", "[16, 8]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory) -> Path:
    """The run of one rank that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main([*command, "--out", str(out)]) == 0
    return out


def ranks(of: int | str = "self") -> dict[int, int]:
    """Rank → its process, of those that a process has started."""
    found = {}
    for children in Path(f"/proc/{of}/task").glob("*/children"):
        for child in children.read_text().split():
            words = Path(f"/proc/{child}/environ").read_bytes().decode().split("\0")
            found |= {int(word[5:]): int(child) for word in words if word.startswith("RANK=")}
    return found


@contextmanager
def meanwhile(do: Callable[[], Any]) -> Iterator[list[Any]]:
    """What something gives that is done while the block runs."""
    with ThreadPoolExecutor(1) as pool:
        done, found = pool.submit(do), list[Any]()
        yield found
        found.append(done.result())


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def same_run(one: Path, other: Path) -> None:
    """Losses at every point, and metrics, within the tolerance of sums in another order."""
    rows, others = ([json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, other))
    assert [row["iteration"] for row in rows] == [row["iteration"] for row in others] == list(range(20, 201, 20))
    for row, twin in zip(rows, others, strict=True):
        assert row["loss"] == pytest.approx(twin["loss"], abs=1e-4)
        assert row["test"]["auc"] == pytest.approx(twin["test"]["auc"], abs=0.01)


@on_linux
def test_a_rank_that_dies_ends_the_command_in_one_line_and_one_rank_resumes(command, whole, tmp_path, capfd):
    run = [*command, "--out", str(tmp_path / "run")]

    def kill() -> dict[int, int]:
        wait_for((tmp_path / "run" / "seed-0" / "fit.checkpoint").exists)
        found = ranks()
        os.kill(found[1], signal.SIGKILL)
        return found

    with meanwhile(kill) as found:
        assert main([*run, "--devices", "2"]) == 1
    out, said = capfd.readouterr()
    assert out == ""
    (line,) = [line for line in said.splitlines() if "rank" in line]
    assert line == f"wsvad: rank 1 of 2: its process was killed by SIGKILL (out of memory?); {AGAIN}"
    assert said.splitlines()[-1] == line
    assert list(found[0]) == [0, 1] and all(map(gone, found[0].values()))
    assert main(run) == 0
    same_run(tmp_path / "run", whole)


def test_two_ranks_of_torchrun_resume_the_fit_of_one(command, whole, tmp_path, monkeypatch):
    run, write = [*command, "--out", str(tmp_path / "run")], checkpoint.save_checkpoint

    def interrupted(path, method, optimizer, place):
        write(path, method, optimizer, place)
        if place["iteration"] == 100:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_checkpoint", interrupted)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)
    assert main(run) == 1
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "wsvad"]
    done = subprocess.run([*torchrun, *run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Frame AUC") == 1, "rank 0 alone prints"
    same_run(tmp_path / "run", whole)


@on_linux
def test_an_interrupt_ends_all_ranks(command, tmp_path):
    run = [sys.executable, "-m", "wsvad", *command, "--out", str(tmp_path / "run"), "--devices", "2"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(ranks(process.pid)) == 2)
        found = ranks(process.pid)
        process.send_signal(signal.SIGINT)
        said = process.communicate()
    assert (process.returncode, *said) == (1, "", "wsvad: interrupted; run the same command again to resume\n")
    assert list(found) == [0, 1] and all(map(gone, found.values()))


def test_a_rank_ends_with_the_process_that_started_it():
    code = "import time; from wsvad.interrupts import end_with_starter; end_with_starter(); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as rank:
        assert rank.stdin is not None
        rank.stdin.close()
        assert rank.wait() == 1


@pytest.mark.parametrize(
    ("words", "place", "says"),
    [
        (["--devices", "5000"], {}, "--devices 5000: this machine has "),
        (["--devices", "0"], {}, "--devices 0: "),
        (["--devices", "3"], {"RANK": "0", "WORLD_SIZE": "2"}, "--devices 3: torchrun started 2 processes"),
        ([], {"RANK": "first", "WORLD_SIZE": "2"}, "RANK=first, WORLD_SIZE=2, LOCAL_RANK=0: not numbers"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(command, words, place, says, tmp_path, monkeypatch, capsys):
    for name, value in (place and {"LOCAL_RANK": "0"} | place).items():
        monkeypatch.setenv(name, value)
    assert main([*command, *words, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wsvad") and says in line
    assert not (tmp_path / "run").exists()
