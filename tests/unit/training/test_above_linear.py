"""`train` fits `linear` beside a method, and says so where the method is not above it."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsvad import METHODS, open_dataset, train
from wsvad.errors import WsvadError
from wsvad.methods.linear import LinearConfig
from wsvad.training import above_linear
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

QUICK = Protocol(budget="data", normalise="l2", iterations=3, hold_out=0, points=1, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """24 videos whose abnormal snippets lie apart along one direction, far from zero."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (folder / "rgb").mkdir()
    rows, spans = ["video,label,split"], ["video,category,start_frame,end_frame"]
    for number in range(24):
        x = 100 + rng.normal(size=(6, 8)).astype(np.float32)
        if number % 2:
            x[2:5, 0] += 4
            spans += [f"v{number},dash,32,80"]
        np.save(folder / "rgb" / f"v{number}.npy", x)
        rows.append(f"v{number},{number % 2},{'train' if number < 12 else 'test'}")
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("\n".join(spans))
    return folder


def ending(data: Path, out: Path, caplog, method: str = "mil", **settings) -> list[str]:
    caplog.clear()
    caplog.set_level(logging.INFO)
    dataset = open_dataset(data)
    config = METHODS[method].config_class(**({"hidden": (8, 4)} if method == "mil" else {}))
    train(dataset, out, method=method, config=config, protocol=QUICK, streams={}, features=data, **settings)
    return [line for line in caplog.messages if " linear" in line]


def test_a_run_below_linear_says_so_at_its_end_in_its_report_and_when_evaluated(data, tmp_path, caplog, monkeypatch):
    out = tmp_path / "run"
    (said,) = ending(data, out, caplog)
    assert said.startswith("mil is below linear: frame AUC ")
    assert said.endswith("It is a logistic regression on the same features, which --method linear trains")
    assert said in json.loads((out / "metrics.json").read_text())["certainty"]
    assert f"{said}." in (out / "report.html").read_text()

    assert ending(data, tmp_path / "linear", caplog, "linear") == []
    ours = json.loads((out / "metrics.json").read_text())["selection"]["last"]["auc"]["mean"]
    # The comparison is with linear as it is, whatever the run's protocol was.
    experiment = Experiment(
        dataset=open_dataset(data), features=data, name="linear", config=LinearConfig(), out=tmp_path / "other",
        protocol=Protocol(budget="data", hold_out=0, points=1, device="cpu"),
    )  # fmt: skip
    full = experiment.run().metrics["selection"]["last"]["auc"]["mean"]
    assert f"frame AUC {100 * ours:.1f} against {100 * full:.1f} (" in said

    monkeypatch.setattr(above_linear, "fitted_scores", lambda experiment: pytest.fail("fitted again"))
    assert ending(data, out, caplog) == [said]


def test_the_scores_that_are_kept_are_those_of_the_videos_that_are_there(data, tmp_path, caplog):
    (before,) = ending(data, tmp_path / "run", caplog)
    labels = (data / "labels.csv").read_text()
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for name in ("rgb", "intervals.csv"):
        (fewer / name).symlink_to(data / name)
    (fewer / "labels.csv").write_text(labels.replace("v23,1,test", "v23,1,train"))
    (after,) = ending(fewer, tmp_path / "other", caplog)
    assert after != before


def test_linear_scores_another_video_in_the_place_of_a_test_video_again(data, tmp_path, caplog):
    own, out = tmp_path / "own", tmp_path / "run"
    shutil.copytree(data, own)
    ending(own, out, caplog)
    x = np.load(own / "rgb" / "v23.npy")
    np.save(own / "rgb" / "v23.npy", x[:, ::-1])  # as long as before
    (again,) = ending(own, out, caplog)
    (fresh,) = ending(own, tmp_path / "fresh", caplog)
    assert again == fresh


def test_too_few_test_videos_are_not_compared(data, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(above_linear, "fitted_scores", lambda experiment: pytest.fail("fitted"))
    few = tmp_path / "few"
    few.mkdir()
    (few / "rgb").symlink_to(data / "rgb")
    rows = (data / "labels.csv").read_text().splitlines()
    (few / "labels.csv").write_text("\n".join(rows[:21]))  # four abnormal and four normal test videos
    assert ending(few, tmp_path / "run", caplog) == []


def test_a_linear_that_cannot_be_fitted_stops_nothing(data, tmp_path, caplog, monkeypatch):
    def fails(experiment: Experiment) -> list[np.ndarray]:
        raise WsvadError("the stream 'rgb' is the same in every training video")

    monkeypatch.setattr(above_linear, "fitted_scores", fails)
    (said,) = ending(data, tmp_path / "run", caplog)
    assert said == "note: not compared with linear: the stream 'rgb' is the same in every training video"
    assert (tmp_path / "run" / "metrics.json").is_file()
