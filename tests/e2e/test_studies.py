"""Studies whose cells run side by side, through the command line: the same figures with any number of processes, a row
for what fails, and going on after Ctrl-C and after a change."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wsvad.cli.main import main
from wsvad.features.store import Passport, StoredFeatures, feature_path, save

SMALL = ["ur_dmu.hidden=32", "ur_dmu.feed_forward=32", "profile=light", "latent=8"]
"""Of π-VAD, as options."""
BUDGET = ["--iterations", "6", "--segments", "4", "--bags", "3", "--points", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Twenty-four videos with features of one stream, and labels."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    rows, spans = ["video,label,category,split"], ["video,category,start_frame,end_frame"]
    for number in range(24):
        label, length = number % 2, 3 + number % 4
        rows.append(f"v{number},{label},{('normal', 'fight')[label]},{'train' if number < 16 else 'test'}")
        spans += [f"v{number},fight,0,32"] if label and number >= 16 else []
        features = (rng.normal(size=(length, 5)) + label).astype(np.float32)
        passport = Passport(encoder="made", width=5, frames=16 * length)
        path = feature_path(folder / "features", "rgb", f"v{number}")
        save(path, StoredFeatures(features=features, passport=passport))
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("\n".join(spans))
    return folder


def command(data: Path, methods: str, out: Path, *more: str) -> list[str]:
    given = ["--data", str(data), "--features", str(data / "features"), "--methods", methods, "--out", str(out)]
    return ["bench", *given, *BUDGET, "--seeds", "2", *more]


def figures(out: Path) -> dict[str, object]:
    """All that `bench.json` has, but what is different each time."""
    board = json.loads((out / "bench.json").read_text())
    for row in board["rows"]:
        del row["seconds"], row["peak_memory"]
    for card in board["cards"].values():
        del card["command"]
    return board


def results(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("*/seed-*/result.json")}


def nobody_left(group: int) -> bool:
    """Whether all processes of a group are gone; the one that Python has beside them needs a moment."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_one_process_and_two_come_to_the_same_figures(data, tmp_path):
    for workers in ("1", "2"):
        assert main(command(data, "linear,mil", tmp_path / workers, "--workers", workers)) == 0
    one, two = figures(tmp_path / "1"), figures(tmp_path / "2")
    assert one == two and len(one["rows"]) == 6
    for path in (tmp_path / "1").glob("*/seed-*/model.safetensors"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_method_that_fails_is_a_row_that_says_why(workers, data, tmp_path, capsys):
    broken = ["--config", "mil.lr=1e30", "--workers", workers]
    assert main(command(data, "linear,mil", tmp_path / "out", *broken)) == 3
    assert "failed: mil: training diverged" in capsys.readouterr().err
    board = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {row["method"] for row in board["rows"]} == {"linear"} and list(board["failed"]) == ["mil"]
    assert "training diverged" in board["failed"]["mil"]
    for name in ("bench.md", "bench.csv", "bench.html"):
        assert "training diverged" in (tmp_path / "out" / name).read_text()
    assert main(command(data, "mil", tmp_path / "alone", *broken)) == 1
    assert "training diverged" in capsys.readouterr().err


def test_a_table_goes_on_without_a_row_that_fails(data, tmp_path, capsys):
    words = ["--data", str(data), "--features", str(data / "features"), "--out", str(tmp_path / "out")]
    for stream in ("pose", "depth", "mask", "flow", "text"):
        for number in range(16):
            path = feature_path(data / "features", stream, f"v{number}")
            values = np.random.default_rng(number).normal(size=(3 + number % 4, 4)).astype(np.float32)
            passport = Passport(encoder="made", width=4, frames=16 * (3 + number % 4))
            save(path, StoredFeatures(features=values, passport=passport))
    feature_path(data / "features", "mask", "v3").unlink()
    words += [f"--config.{setting}" for setting in SMALL] + ["--modalities", "pose,mask", "--workers", "2"]
    assert main(["ablate", "pi-vad", "--table", "6", *words, *BUDGET]) == 3
    assert "v3 has no mask features" in capsys.readouterr().err
    table = (tmp_path / "out" / "pi-vad-6.md").read_text()
    assert "| pose |" in table and "| mask (failed: " in table


def test_ctrl_c_ends_all_and_the_same_command_goes_on(data, tmp_path):
    small = ["--config", "ur-dmu.hidden=64"]
    words, whole = (
        command(data, "mil,ur-dmu", tmp_path / name, *small, "--workers", workers)
        for name, workers in (("out", "2"), ("whole", "0"))
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "wsvad", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not results(tmp_path / "out"):
        assert run.poll() is None
        time.sleep(0.05)
    kept = results(tmp_path / "out")
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1 and "interrupted; run the same command again to resume" in said
    assert nobody_left(run.pid)
    assert main(words) == 0 and main(whole) == 0
    assert results(tmp_path / "out").items() >= kept.items(), "what was finished was done again"
    assert figures(tmp_path / "out") == figures(tmp_path / "whole")


def test_a_study_whose_labels_changed_repeats_what_depends_on_them(data, tmp_path):
    """A test video's truth: metrics are measured again, no fit is repeated."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    words = command(folder, "linear,mil", tmp_path / "out", "--workers", "2")
    assert main(words) == 0
    fits = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/seed-*/fit.json")}
    before = results(tmp_path / "out")
    truth = folder / "intervals.csv"
    truth.write_text(truth.read_text().replace("v17,fight,0,32", "v17,fight,0,16"))
    assert main(words) == 0
    assert fits == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/seed-*/fit.json")}
    after = results(tmp_path / "out")
    assert len(fits) == len(after) == 4 and not after.items() & before.items()
