"""RefineVAD from end to end: what happens is named, measured and explained; runs are carried elsewhere and grown."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip

from wsvad.cli import main
from wsvad.features.store import feature_path, load
from wsvad.training.run import load_method

TINY = [
    "--config.hidden", "32", "--config.heads", "2", "--config.feed_forward", "32", "--config.head", "16",
    "--config.lr", "0.003", "--config.w_temp", "0.1",
]  # fmt: skip
KINDS = ("dash", "drop")


def clip(path: Path, seed: int, kind: str) -> Path:
    """64 frames of a dark room; from 16 to 48 something bright runs across it, or drops, or the picture shakes."""
    rng, frames = np.random.default_rng(seed), []
    aside = int(rng.integers(0, 20))
    for i in range(64):
        image = rng.integers(40, 50, (96, 128, 3)).astype(np.uint8)
        image[::16] += 60
        if kind == "dash" and 16 <= i < 48:
            cv2.rectangle(image, (2 * i, 20 + aside), (2 * i + 20, 50 + aside), (220, 220, 220), -1)
        if kind == "drop" and 16 <= i < 48:
            top = 12 * (i % 8)
            cv2.rectangle(image, (30 + aside, top), (90 + aside, top + 20), (250, 250, 250), -1)
        if kind == "shake" and 16 <= i < 48:
            image = np.roll(image, 4 * (i % 2), axis=0)
        frames.append(image)
    return write_clip(path, frames)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Sixteen videos, half of them for testing."""
    folder = tmp_path_factory.mktemp("videos")
    labels, intervals = ["video,label,category,split,frames"], ["video,category,start_frame,end_frame"]
    for number in range(16):
        kind = ("normal", "dash", "normal", "drop")[number % 4]
        clip(folder / f"cam-{number:02}.mp4", number, kind)
        split = "train" if number < 8 else "test"
        labels.append(f"cam-{number:02}.mp4,{number % 2},{kind},{split},64")
        if number % 2:
            intervals.append(f"cam-{number:02}.mp4,{kind},16,48")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("refine") / "run"
    command = ["train", str(videos), "--method", "refinevad", "--rgb", "motion", "--out", str(out), "--hold-out", "0"]
    assert main([*command, "--iterations", "60", "--points", "2", "--workers", "0", *TINY]) == 0
    return out


def test_a_run_knows_its_categories_and_is_measured_by_them(run, videos, capsys):
    assert json.loads((run / "model.json").read_text())["config"]["categories"] == list(KINDS)
    assert main(["evaluate", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"map@0.1", "map@0.2", "map@0.3", "map@0.4", "map@0.5", "map", "category_accuracy"} < set(told)
    kept, data = str(run / "seed-0" / "test_scores.npz"), ["--data", str(videos)]
    assert main(["evaluate", kept, *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(told, rel=1e-5)
    assert (
        main(["evaluate", str(run), *data, "--features", str(run / "features"), "--compat", "vadclip", "--json"]) == 0
    )
    of_run = json.loads(capsys.readouterr().out)
    assert main(["evaluate", kept, *data, "--compat", "vadclip", "--json"]) == 0
    of_file = json.loads(capsys.readouterr().out)
    assert of_file == pytest.approx(of_run, rel=1e-5)
    assert of_file["map@0.1"] < told["map@0.1"]  # "normal" has no intervals
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "category, %" in printed and "AP@0.1" in printed and "true events that are named right" in printed


def test_scoring_names_what_happens(run, videos, tmp_path, capsys):
    named = [videos / "cam-09.mp4", videos / "cam-11.mp4"]
    assert main(["score", *map(str, named), "--model", str(run), "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["videos"]
    events = [event for video in told for event in video["events"]]
    assert [event["category"] for event in events] == ["dash", "drop"]
    whole = load_method(run)
    for video, event, path in zip(told, events, named, strict=True):
        features = torch.from_numpy(load(feature_path(run / "features", "rgb", path.name)).features)[None]
        scores = whole.method.class_scores(whole.normalisation({"rgb": features}))[0]
        ends = [snippet["end_frame"] for snippet in video["snippets"]]
        inside = [i for i, end in enumerate(ends) if event["start_frame"] < end <= event["end_frame"]]
        mean = scores[inside].mean(0)
        expected = dict(zip(KINDS, (mean / mean.sum()).tolist(), strict=True))
        assert event["categories"] == pytest.approx(expected, abs=1e-3)
        assert set(event["nearest"]) == set(KINDS)
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        assert [row["category"] for row in csv.DictReader(file)] == ["dash", "drop"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="what"') == 2 and page.count('class="shift"') == 2 and 'id="map"' in page
    assert (
        main(["score", str(named[0]), "--model", str(run), "--out", str(tmp_path), "--mode", "online", "--json"]) == 0
    )
    (online,) = json.loads(capsys.readouterr().out)["videos"]
    assert {event["category"] for event in online["events"]} == {"dash"}


def test_the_training_report_says_what_cannot_be_named(videos, tmp_path, capsys):
    labels = (videos / "labels.csv").read_text()
    odd = labels.replace("cam-09.mp4,1,dash", "cam-09.mp4,1,blast").replace("cam-03.mp4,1,drop", "cam-03.mp4,1,puff")
    (tmp_path / "labels.csv").write_text(odd)
    (tmp_path / "intervals.csv").write_text((videos / "intervals.csv").read_text())
    command = ["train", str(videos), "--labels", str(tmp_path / "labels.csv"), "--method", "refinevad", *TINY]
    options = ["--rgb", "motion", "--iterations", "2", "--points", "1", "--workers", "0", "--hold-out", "0"]
    assert main([*command, *options, "--out", str(tmp_path / "run")]) == 0
    told = ["Only test videos show 'blast'", "A single training video shows 'drop', 'puff'"]
    page, err = (tmp_path / "run" / "report.html").read_text("utf-8").replace("&#x27;", "'"), capsys.readouterr().err
    assert all(one in page and f"note: {one}" in err for one in told)
    (tmp_path / "intervals.csv").write_text("video,category,start_frame,end_frame\ncam-09.mp4,bang,0,9\n")
    assert main([*command, *options, "--out", str(tmp_path / "other")]) == 1
    told = capsys.readouterr().err.strip()
    assert "intervals.csv line 2: no video of the labels is of the category 'bang'" in told and "\n" not in told
