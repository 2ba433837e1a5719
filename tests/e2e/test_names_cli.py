"""A video has the same name in labels, features, runs, scores and reports: its path below the folder."""

import csv
import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from figures import without_alerts

from wsvad.cli.main import main
from wsvad.features.store import feature_path
from wsvad.runs.folder import RunFolder

CAFE = "caf\u00e9/cam9.mp4"
NAMES = [f"{place}/cam{number}.mp4" for number in range(5) for place in ("gate", "yard")] + [CAFE]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Cameras of two places with the same names, labelled in the spelling of Windows, and one of macOS. Those with an
    odd number show something; numbers 0, 3 and 9 are for testing."""
    folder = tmp_path_factory.mktemp("data")
    labels, intervals = ["video,label,split"], ["video,category,start_frame,end_frame"]
    for seed, name in enumerate(NAMES):
        number = int(name[-5])
        rng, split = np.random.default_rng(seed), "test" if number in (0, 3, 9) else "train"
        on_disk = folder / "videos" / unicodedata.normalize("NFD", name)
        on_disk.parent.mkdir(parents=True, exist_ok=True)
        write_clip(on_disk, [scene(i, number % 2 > 0 and 32 <= i < 64, rng) for i in range(96)])
        labels.append(f".\\{name.replace('/', chr(92))},{number % 2},{split}")
        if number % 2:
            intervals.append(f"./{unicodedata.normalize('NFD', name)},abnormal,32,64")
    (folder / "labels.csv").write_text("\n".join(labels), encoding="utf-8")
    (folder / "intervals.csv").write_text("\n".join(intervals), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    small = ["--seeds", "1", "--workers", "0", "--config.hidden", "32", "--config.lr", "0.0003", "--hold-out", "0"]
    assert main(["train", str(data), "--rgb", "motion", "--out", str(out), *small]) == 0
    return out


def scored(what: list[Path], run: Path, out: Path, *options: str, status: int = 0) -> list[str]:
    """The names that `wsvad score` gives."""
    assert main(["score", *map(str, what), "--model", str(run), "--out", str(out), *options]) == status
    return [video["video"] for video in json.loads((out / "scores.json").read_text("utf-8"))["videos"]]


def test_features_lie_under_the_names(run):
    assert all(feature_path(run / "features", "rgb", name).is_file() for name in NAMES)


@pytest.mark.parametrize("file", ["scores.csv", "scores.json"])
def test_our_own_scores_have_the_metrics_of_the_run(file, data, run, tmp_path, capsys):
    assert sorted(scored([data], run, tmp_path / "out")) == sorted(NAMES)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out" / file), "--data", str(data), "--json"]) == 0
    said = capsys.readouterr()
    assert "6 training videos are left out" in said.err
    own = json.loads((run / "metrics.json").read_text())["selection"]["last"]
    found = without_alerts(json.loads(said.out))
    assert found == pytest.approx({name: value["mean"] for name, value in own.items()}, nan_ok=True)
    assert json.loads(said.out)["auc"] > 0.9


def test_scores_of_the_test_videos_alone_are_measured_too(data, run, tmp_path, capsys):
    """A copy of the test videos' folders, as somebody has them who got no training videos."""
    for name in NAMES:
        if name[-5] in "039":
            (tmp_path / "test" / name).parent.mkdir(parents=True, exist_ok=True)
            found = data / "videos" / unicodedata.normalize("NFD", name)
            (tmp_path / "test" / name).write_bytes(found.read_bytes())
    scored([tmp_path / "test"], run, tmp_path / "out")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out" / "scores.csv"), "--data", str(data), "--json"]) == 0
    said = capsys.readouterr()
    assert "left out" not in said.err
    assert json.loads(said.out)["auc"] > 0.9


def test_names_of_arguments_are_told_apart_and_nothing_is_scored_twice(data, run, tmp_path):
    gate, yard = data / "videos" / "gate", data / "videos" / "yard"
    one = [gate / "cam0.mp4", gate / ".." / "gate" / "cam0.mp4", yard / "cam0.mp4", yard / "cam1.mp4"]
    assert scored(one, run, tmp_path / "a") == ["gate/cam0.mp4", "yard/cam0.mp4", "cam1.mp4"]
    assert scored([gate, gate / "cam0.mp4"], run, tmp_path / "b") == [f"cam{number}.mp4" for number in range(5)]
    with (tmp_path / "a" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["video"] for row in rows)) == ["gate/cam0.mp4", "yard/cam0.mp4", "cam1.mp4"]
    page = (tmp_path / "a" / "report.html").read_text("utf-8")
    assert all(f'data-name="{name}"' in page for name in ("gate/cam0.mp4", "yard/cam0.mp4", "cam1.mp4"))


def test_overlays_lie_where_the_names_say(data, run, tmp_path):
    videos = [data / "videos" / place / "cam1.mp4" for place in ("gate", "yard")]
    scored(videos, run, tmp_path, "--overlay")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4")}
    assert found == {"gate/cam1.overlay.mp4", "yard/cam1.overlay.mp4"}


def test_overlays_are_never_scored_or_learned_from(data, run, tmp_path):
    """They lie beside the videos, and one of them has another name."""
    place, names = tmp_path / "gate", [f"cam{number}.mp4" for number in range(5)]
    shutil.copytree(data / "videos" / "gate", place)
    assert scored([place], run, place, "--overlay") == names
    before = (place / "cam1.overlay.mp4").read_bytes()
    (place / "cam0.overlay.mp4").rename(place / "film.mp4")
    # Where no overlay is expected, it may be a recording whose metadata somebody wrote: it is told.
    assert scored([place], run, place, "--overlay", status=3) == names
    assert "film.mp4" in (place / "left-out.csv").read_text()
    assert (place / "cam1.overlay.mp4").read_bytes() == before
    assert main(["extract", str(place), "--rgb", "motion", "--out", str(tmp_path / "f"), "--workers", "0"]) == 0
    found = {path.name for path in (tmp_path / "f" / "rgb").iterdir()}
    assert found == {f"{name}.safetensors" for name in names}


def test_a_name_that_is_too_long_for_its_overlay_is_left_out_before_any_work(data, run, tmp_path, capsys):
    place = tmp_path / "gate"
    place.mkdir()
    for name in ("a.mp4", "n" * 250 + ".mp4"):
        shutil.copy(data / "videos" / "gate" / "cam1.mp4", place / name)
    words = ["score", str(place), "--model", str(run), "--out", str(tmp_path / "out")]
    assert main([*words, "--overlay"]) == 3
    said = capsys.readouterr()
    assert "its overlay would need a file name of 262 bytes (at most 255); shorten the video's name" in said.err
    assert "a.mp4" in said.out and "nnn" not in said.out
    assert main(words) == 0


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_go_all_the_way(data, tmp_path, capsys):
    """Of the folder, of a video, of the run and of the scores."""
    place, run, out = (tmp_path / os.fsdecode(name) for name in (b"d\xff", b"run\xff", b"out\xff"))
    for number in range(4):
        folder = place / ("fight" if number % 2 else "normal")
        folder.mkdir(parents=True, exist_ok=True)
        name = os.fsdecode(b"\xe9.mp4") if number == 0 else f"cam{number}.mp4"
        shutil.copy(data / "videos" / "gate" / f"cam{number}.mp4", folder / name)
    small = ["--method", "mil", "--iterations", "2", "--hold-out", "0", "--workers", "0", "--rgb", "motion"]
    for _ in range(2):  # the second time it is found as it was left
        assert main(["train", str(place), "--out", str(run), *small]) == 0
    assert RunFolder(run).read_settings()["source"] == {"folder": str(place)}
    names = scored([place], run, out, "--overlay")
    assert names == ["fight/cam1.mp4", "fight/cam3.mp4", "normal/%E9.mp4", "normal/cam2.mp4"]
    assert (out / "normal" / "%E9.overlay.mp4").is_file()
    capsys.readouterr()
