"""`wsvad audit`: from a run to labels that can be corrected and trained on again, through the command line."""

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from raw_streams import write_raw
from timelines import Page

from wsvad.cli.main import main
from wsvad.datasets.dataset import LabelledVideo
from wsvad.doctor import audit as module
from wsvad.doctor.audit import Audited, audit, verdict_of, write_labels
from wsvad.doctor.labels import DOUBTED, judge
from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.pages.audit import _still as still
from wsvad.pages.audit import write_audit
from wsvad.runs.folder import RunFolder
from wsvad.runs.sealed import sealed

TRAIN, TEST = [f"v{i:02d}.mp4" for i in range(40)], [f"t{i}.mp4" for i in range(24)]
WRONG = ("v03.mp4", "v08.mp4", "v21.mp4")
FEW = ["--method", "mil", "--iterations", "20", "--points", "1", "--segments", "4", "--hold-out", "0"]


def true(name: str) -> int:
    return int(name[1:-4]) % 2


def labels_of(folder: Path, given: dict[str, int]) -> None:
    rows = [
        f"{name},{label},{'fight' if label else ''},{'test' if name[0] == 't' else 'train'}"
        for name, label in given.items()
    ]
    (folder / "labels.csv").write_text("\n".join(["video,label,category,split", *rows]) + "\n")
    spans = [f"{name},fight,32,64" for name in TEST if given[name]]
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *spans]) + "\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Features of videos with an event from 32 to 64 frames, at 16 frames per second; three labels are wrong."""
    folder, rng = tmp_path_factory.mktemp("audit") / "set", np.random.default_rng(0)
    for name in TRAIN + TEST:
        x = rng.normal(size=(6, 5)).astype(np.float32)
        x[2:4, :2] += 4 * true(name)
        passport = Passport(encoder="test", width=5, frames=96, frame_rate="16", source=name)
        save(feature_path(folder / "features", "rgb", name), StoredFeatures(features=x, passport=passport))
    labels_of(folder, {name: true(name) ^ (name in WRONG) for name in TRAIN + TEST})
    write_clip(folder / WRONG[0], frames=96, rate=16)
    return folder


@pytest.fixture(scope="module")
def run(data) -> Path:
    out = data.parent / "run"
    assert main(["fit", str(data), "--features", str(data / "features"), "--out", str(out), *FEW]) == 0
    return out


def test_the_wrong_labels_stand_first_in_all_that_is_written(run, data, tmp_path, capsys):
    table = tmp_path / "relabel.csv"
    assert main(["audit", str(run), "--out", str(table), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert {one["video"] for one in found["videos"][:3]} == set(WRONG)
    assert all(one["wrong"] >= DOUBTED for one in found["videos"][:3])
    assert all(one["wrong"] < 0.1 for one in found["videos"][3:])
    assert len(found["videos"]) == len(TRAIN)
    assert found["sentences"][0].startswith("3 of 40 training labels are doubtful")
    assert found["sentences"][0] in printed.err
    assert f"train again with --labels {table} --intervals {data / 'intervals.csv'}" in printed.err
    first = next(one for one in found["videos"] if one["video"] == "v03.mp4")
    assert first["label"] == 0 and 2 <= first["moment"] <= 4  # labelled normal; the event is seen there
    rows = list(csv.DictReader(table.open()))
    assert {row["video"] for row in rows[:3]} == set(WRONG) and float(rows[0]["wrong"]) >= DOUBTED
    assert [row["video"] for row in rows if row["split"] == "test"] == TEST
    page = Page(run / "audit.html")
    assert "3 of 40 training labels are doubtful" in page.words
    stills = page.all("img")
    assert len(stills) == 1 and stills[0]["src"].startswith("data:image/jpeg;base64,")  # the one video that is there
    assert [one["href"] for one in page.all("a")] == ["./../set/v03.mp4"]


def test_without_json_there_is_a_table(run, capsys):
    assert main(["audit", str(run)]) == 0
    printed = capsys.readouterr()
    assert "labelled normal, looks abnormal" in printed.out
    assert printed.out.count("\n│ ") + printed.out.count("\n| ") >= 12


def test_corrected_labels_are_trained_on(run, data, tmp_path, capsys):
    table = tmp_path / "relabel.csv"
    write_labels(table, audit(run))
    rows = list(csv.DictReader(table.open()))
    for row in rows[:3]:
        row["label"] = "fight" if row["label"] == "normal" else "normal"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    again = tmp_path / "again"
    words = ["fit", str(data), "--labels", str(table), "--intervals", str(data / "intervals.csv")]
    assert main([*words, "--features", str(data / "features"), "--out", str(again), *FEW]) == 0
    record = RunFolder(again).fingerprint()
    assert {name: one["label"] for name, one in record["training"].items()} == {name: true(name) for name in TRAIN}
    assert set(record["test"]) == set(TEST)
    assert audit(again).sentences[0].startswith("No single one of 40 training labels can be called doubtful")


def test_a_video_that_could_not_be_read_keeps_its_row(run, data, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(data, folder)
    shutil.copytree(run, tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(config.replace(str(data), str(folder)))
    head, *lines = (folder / "labels.csv").read_text().splitlines()
    lines = [f"{line},gate" for line in lines]
    (folder / "labels.csv").write_text("\n".join([f"{head},camera", *lines, "broken.mp4,1,fight,train,?"]) + "\n")
    write_labels(tmp_path / "relabel.csv", audit(tmp_path / "run"))
    rows = list(csv.DictReader((tmp_path / "relabel.csv").open()))
    assert [row["video"] for row in rows[40:]] == [*TEST, "broken.mp4"]
    assert (rows[-1]["label"], rows[-1]["split"], rows[-1]["wrong"]) == ("fight", "train", "")
    assert [row["camera"] for row in rows] == ["gate"] * (len(rows) - 1) + [""]


def test_the_intervals_that_the_run_read_are_named(run, data, tmp_path):
    """Neither another table beside it, nor none because it is called otherwise."""
    folder = tmp_path / "set"
    shutil.copytree(data, folder)
    shutil.copytree(run, tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(config.replace(str(data), str(folder)))
    (folder / "intervals.csv").rename(folder / "Intervals.CSV")
    assert audit(tmp_path / "run").intervals == folder / "Intervals.CSV"
    (folder / "Intervals.CSV").rename(tmp_path / "intervals.csv")
    assert audit(tmp_path / "run").intervals is None


def test_memory_does_not_grow_with_the_number_of_videos(run, monkeypatch):
    """Of many videos each is seen in fewer parts: here 5 of its 6 snippets, and never below 4."""
    told: list[list[int]] = []
    monkeypatch.setattr(
        module, "judge", lambda x, labels, seed: (told.append([len(one) for one in x]), judge(x, labels))[1]
    )
    for snippets in (240, 200, 40):
        monkeypatch.setattr(module, "SNIPPETS", snippets)
        assert {one.video for one in audit(run).videos[:3]} == set(WRONG)
    assert told == [[6] * 40, [5] * 40, [4] * 40]


def test_a_run_without_its_fits_is_audited(run, tmp_path):
    """As one that was extended by a category."""
    shutil.copytree(run, tmp_path / "extended")
    shutil.rmtree(tmp_path / "extended" / "seed-0")
    assert audit(tmp_path / "extended").verdict == audit(run).verdict


def test_a_raw_stream_has_its_picture_at_the_rate_at_which_it_was_read(tmp_path):
    path = write_raw(tmp_path / "a.h264", 60, 20, timing=False)
    one = {"video": "a", "label": 0, "category": "", "wrong": 0.9, "moment": 2.0, "span": (0.0, 3.0), "path": path}
    assert not still(Audited(**one))
    assert still(Audited(**one, rate=Fraction(20))).startswith("data:image/jpeg;base64,")


def test_a_detector_that_its_test_videos_contradict_is_asked_about(data, tmp_path):
    """All training labels inverted, those for testing right."""
    labels_of(tmp_path, {name: true(name) ^ (name in TRAIN) for name in TRAIN + TEST})
    words = ["fit", str(tmp_path), "--features", str(data / "features"), "--out", str(tmp_path / "run"), *FEW]
    words[words.index("--iterations") + 1] = "300"
    assert main(words) == 0
    sentences = audit(tmp_path / "run").sentences
    assert any("Are the labels inverted?" in one for one in sentences)
    told = next(one for one in sentences if one.startswith("The detector gives abnormal test videos lower scores"))
    assert "is one of the two inverted?" in told
    # The same detector, of which two test videos say nothing.
    path = tmp_path / "run" / "fingerprint.json"
    record = json.loads(path.read_text())
    record["test"] = {name: one for name, one in record["test"].items() if name in TEST[:2]}
    path.write_text(json.dumps(sealed(record)))
    assert not any("lower scores than normal ones" in one for one in audit(tmp_path / "run").sentences)


def test_names_are_text_on_the_page(run, tmp_path):
    found = audit(run)
    object.__setattr__(found.videos[0], "video", "<script>alert(1)</script>\u202e.mp4")
    write_audit(tmp_path / "page.html", found)
    text = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text and "\u202e" not in text


def test_what_cannot_be_audited_is_told(data, tmp_path, capsys):
    assert main(["audit", str(tmp_path)]) == 2
    assert "there is no run here" in capsys.readouterr().err
    few = tmp_path / "few"
    few.mkdir()
    labels_of(few, {name: true(name) for name in TRAIN[:2] + TEST})
    words = ["fit", str(few), "--features", str(data / "features"), "--out", str(few / "run"), *FEW]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["audit", str(few / "run")]) == 1
    assert "1 normal and 1 abnormal training videos are too few" in capsys.readouterr().err
    assert not (few / "run" / "audit.html").exists()
    videos = [LabelledVideo(name=name, label=true(name), category="", split="train") for name in TRAIN[:2]]
    assert verdict_of(videos, data / "features", ["rgb"], {}, {}) == ()


def test_a_run_that_was_moved_takes_its_features_along(run, data, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    config = (moved / "config.yaml").read_text().replace(str(data / "features"), str(tmp_path / "gone"))
    (moved / "config.yaml").write_text(config)
    with pytest.raises(WsvadError, match="has no rgb features"):
        audit(moved)
    shutil.copytree(data / "features", moved / "features")
    assert audit(moved).verdict == audit(run).verdict != ()
