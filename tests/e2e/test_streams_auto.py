"""`--streams auto` through the command line and in Python: what adds nothing is said, left out, and recorded."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from wsvad.cli.main import main
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, save
from wsvad.methods.mil import MilConfig
from wsvad.methods.rtfm import RtfmConfig
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import load_method
from wsvad.runs.normalisation import LEVEL
from wsvad.studies import bench
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

VIDEOS, TESTED, SNIPPETS = 28, 4, 5
SMALL = ["--iterations", "3", "--points", "1", "--bags", "2", "--normalise", "standardise", "--config.hidden", "[4,3]"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Features of an event in `rgb`, of nothing in `people`, and of two things that never change in `dead`."""
    folder, rng = tmp_path_factory.mktemp("streams"), np.random.default_rng(0)
    labels, intervals = ["video,label,split,frames"], ["video,category,start_frame,end_frame"]
    for number in range(VIDEOS):
        name, label = f"v{number}.mp4", number % 2
        labels.append(f"{name},{label},{'test' if number < TESTED else 'train'},{16 * SNIPPETS}")
        intervals += [f"{name},abnormal,16,48"] if label else []
        streams = {"rgb": rng.normal(size=(SNIPPETS, 6)), "people": rng.normal(size=(SNIPPETS, 40))}
        streams["rgb"][1:3, 0] += 15 * label
        for stream, x in (streams | {"dead": np.ones((SNIPPETS, 2))}).items():
            passport = Passport(encoder=stream, width=x.shape[1], frames=16 * SNIPPETS, frame_rate="16")
            file = StoredFeatures(features=x.astype(np.float32), passport=passport)
            save(feature_path(folder / "features", stream, name), file)
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return folder


def fit(data: Path, out: Path, *more: str) -> int:
    files = ["fit", str(data), "--features", str(data / "features"), "--out", str(out)]
    return main([*files, "--method", "mil", *SMALL, *more])


def test_a_stream_that_adds_nothing_is_said_and_left_out_on_demand(data, tmp_path, capsys):
    auto, rgb, both = (tmp_path / name for name in ("auto", "rgb", "both"))
    assert fit(data, auto, "--config.streams", "people,rgb", "--streams", "auto") == 0
    printed = capsys.readouterr().err
    assert "people added nothing on held-out training videos: video AUC 100 with it, 100 without; it is left out." in (
        " ".join(printed.split())
    )
    assert fit(data, rgb, "--config.streams", "rgb") == 0
    assert fit(data, both, "--config.streams", "people,rgb") == 0
    assert "leave it out with --streams auto." in capsys.readouterr().err

    trained = load_method(auto)
    assert trained.method.runs_on == ("rgb",) and set(trained.passports) == {"rgb"}
    assert load_method(both).method.runs_on == ("people", "rgb")
    read = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("auto", "rgb", "both")}
    # Without the stream the fit is the one that never had it.
    assert read["auto"]["selection"] == read["rgb"]["selection"] and read["auto"]["streams"] == ["rgb"]
    assert [len([one for one in each["remarks"] if "added nothing" in one]) for each in read.values()] == [1, 0, 1]
    asked = {name: yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in ("auto", "both")}
    assert asked["auto"]["config"]["streams"] == ["people", "rgb"] and asked["auto"]["protocol"]["streams"] == "auto"
    assert asked["both"]["protocol"].pop("streams") == "all"  # which an older version did not write
    (both / "config.yaml").write_text(yaml.safe_dump(asked["both"]))
    assert fit(data, both, "--config.streams", "people,rgb") == 0

    before = (auto / "model.safetensors").read_bytes()
    assert fit(data, auto, "--config.streams", "people,rgb", "--streams", "auto") == 0
    assert (auto / "model.safetensors").read_bytes() == before
    capsys.readouterr()
    assert fit(data, auto, "--config.streams", "people,rgb") == 1
    assert "the run there has another 'protocol' (streams: auto, now all)" in capsys.readouterr().err


def test_a_stream_that_never_changes_ends_a_fit_unless_it_is_left_out(data, tmp_path, capsys):
    assert fit(data, tmp_path / "all", "--config.streams", "rgb,dead") == 1
    assert "the stream 'dead' is the same in every training video" in capsys.readouterr().err
    assert fit(data, tmp_path / "auto", "--config.streams", "rgb,dead", "--streams", "auto") == 0
    assert load_method(tmp_path / "auto").method.runs_on == ("rgb",)


def test_encoders_joined_to_one_stream_are_judged_each(data, tmp_path, capsys):
    rng = np.random.default_rng(1)
    for number in range(VIDEOS):
        rgb = load(feature_path(data / "features", "rgb", f"v{number}.mp4"))
        x = np.concatenate([rng.normal(size=(SNIPPETS, 600)), rgb.features], axis=1).astype(np.float32)
        passport = replace(
            rgb.passport, encoder="clip+motion", width=606, widths=(600, 6), settings={"clip": {}, "motion": {}}
        )
        save(feature_path(tmp_path / "rgb", "rgb", f"v{number}.mp4"), StoredFeatures(features=x, passport=passport))
    files = ["fit", str(data), "--features", str(tmp_path / "rgb"), "--method", "mil", *SMALL]
    assert main([*files, "--out", str(tmp_path / "run"), "--streams", "auto"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "clip in rgb added nothing on held-out training videos: video AUC 100 with it, 100 without; make rgb" in said
    assert "make rgb with the others alone to leave it out." in said
    # What is wide is scaled down beside what is not. The noise has a deviation of 1, less what averaging takes.
    std = load_method(tmp_path / "run").normalisation.std["rgb"]
    assert std[:600].mean() == pytest.approx(600 / LEVEL, rel=0.05) and std[601:].mean() == pytest.approx(1, rel=0.2)


def test_what_reads_one_stream_has_nothing_to_leave_out(data, tmp_path):
    from wsvad.datasets.open import open_dataset

    protocol = Protocol(iterations=1, points=1, bags=2, streams="auto", hold_out=0)
    for name, config in (("rtfm", RtfmConfig()), ("mil", MilConfig(hidden=(4, 3)))):
        experiment = Experiment(
            dataset=open_dataset(str(data)), features=data / "features", name=name, config=config, protocol=protocol,
            out=tmp_path / name,
        )  # fmt: skip
        experiment.run()
        assert not any("added" in one or "left out" in one for one in experiment.remarks)
        assert RunFolder(tmp_path / name).load().method.runs_on == ("rgb",)


def test_the_command_that_makes_a_row_again_has_the_streams_that_were_left_out(data, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "prepare", lambda *_, **__: {})
    protocol = Protocol(iterations=3, points=1, bags=2, normalise="standardise", streams="auto", device="cpu")
    board = bench.run_bench(
        str(data), {"mil": MilConfig(streams=("people", "rgb"), hidden=(4, 3))}, protocol,
        streams={"rgb": "motion", "people": "motion"}, features=data / "features", out=tmp_path,
    )  # fmt: skip
    assert board.rows[0]["streams"] == ["rgb"]
    command = board.cards["mil"]["command"]
    assert "--streams auto" in command and "--rgb motion" in command and "--stream people=motion" in command
