"""RefineVAD from end to end: what happens is named, measured and explained; runs are carried elsewhere and grown."""

import csv
import json
import resource
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from figures import without_alerts
from safetensors.torch import load_file

from wsvad.cli.main import main
from wsvad.features.store import feature_path, load, save
from wsvad.runs.model import load_method
from wsvad.runs.sealed import sealed

TINY = [
    "--config.hidden", "32", "--config.heads", "2", "--config.feed_forward", "32", "--config.head", "16",
    "--config.lr", "0.003", "--config.w_temp", "0.1", "--config.tau", "0.1",
]  # fmt: skip
KINDS = ("dash", "drop")
FEW = ("cam-00", "cam-01", "cam-08", "cam-09")
"""Of either label, two to learn from and two for testing."""


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
    assert without_alerts(json.loads(capsys.readouterr().out)) == pytest.approx(without_alerts(told), rel=1e-5)
    assert (
        main(["evaluate", str(run), *data, "--features", str(run / "features"), "--compat", "vadclip", "--json"]) == 0
    )
    of_run = json.loads(capsys.readouterr().out)
    assert main(["evaluate", kept, *data, "--compat", "vadclip", "--json"]) == 0
    of_file = json.loads(capsys.readouterr().out)
    assert without_alerts(of_file) == pytest.approx(without_alerts(of_run), rel=1e-5)
    assert of_file["map@0.1"] < told["map@0.1"]  # "normal" has no intervals
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "category, %" in printed and "AP@0.1" in printed and "Category accuracy" in printed


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
    odd = labels.replace("cam-09.mp4,1,dash", "cam-09.mp4,1,dash; blast").replace(
        "cam-03.mp4,1,drop", "cam-03.mp4,1,drop;puff"
    )
    (tmp_path / "labels.csv").write_text(odd)
    (tmp_path / "intervals.csv").write_text((videos / "intervals.csv").read_text())
    command = ["train", str(videos), "--labels", str(tmp_path / "labels.csv"), "--method", "refinevad", *TINY]
    options = ["--rgb", "motion", "--iterations", "2", "--points", "1", "--workers", "0", "--hold-out", "0"]
    assert main([*command, *options, "--out", str(tmp_path / "run")]) == 0
    told = ["Only test videos show 'blast'", "Only one training video shows 'puff'"]
    page, err = unescape((tmp_path / "run" / "report.html").read_text("utf-8")), capsys.readouterr().err
    assert all(one in page and f"note: {one}" in err for one in told)
    # Several kinds of one video, joined by ";", are each a kind to all that learns, measures and shows.
    assert json.loads((tmp_path / "run" / "model.json").read_text())["config"]["categories"] == ["dash", "drop", "puff"]
    measured = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(measured["per_category"]) == {"dash", "drop", "blast"}
    assert "labelled dash; blast" in page and page.count("</i>puff") == 1
    (tmp_path / "intervals.csv").write_text("video,category,start_frame,end_frame\ncam-09.mp4,bang,0,9\n")
    assert main([*command, *options, "--out", str(tmp_path / "other")]) == 1
    told = capsys.readouterr().err.strip()
    assert "intervals.csv line 2: no video of the labels is of the category 'bang'" in told and "\n" not in told


# -------------------------------------------------------------------------------------------------------- carried on


QUICK = ["--seeds", "2", "--iterations", "3", "--points", "1"]


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (
            "components",
            ["base (MLP + MIL)", "+ MoTAR", "+ category injection", "+ category injection + soft classification",
             "RefineVAD"],
        ),
        ("lambda1", ["λ1 = 0", "RefineVAD"]),
        ("attention", ["segment query", "pooled query"]),
    ],
)  # fmt: skip
def test_tables_are_commands(table, rows, run, videos, tmp_path, capsys):
    command = ["ablate", "refinevad", "--table", table, "--data", str(videos), "--features", str(run / "features")]
    assert main([*command, "--rgb", "motion", *QUICK, *TINY, "--out", str(tmp_path)]) == 0
    with (tmp_path / f"refinevad-{table}.csv").open(encoding="utf-8", newline="") as file:
        # A cell that begins as a formula is quoted.
        written = [line | {"row": line["row"].removeprefix("'")} for line in csv.DictReader(file)]
    assert list(dict.fromkeys(line["row"] for line in written)) == rows
    named = {line["row"] for line in written if line["metric"] == "category_accuracy" and line["value"]}
    assert named == {row for row in rows if row not in ("base (MLP + MIL)", "+ MoTAR")}
    head, _, *body = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in head.split("|")[1:-1]]
    assert cells[-2:] == ["map@0.1", "category_accuracy"]
    assert [line.split("|")[1].strip() for line in body] == rows
    configs = [json.loads(path.read_text())["config"] for path in tmp_path.glob("*/model.json")]
    assert len({json.dumps(config) for config in configs}) == len(rows)


def test_a_bench_has_class_metrics_where_a_method_has(run, videos, tmp_path, capsys):
    command = ["bench", "--data", str(videos), "--methods", "mil,refinevad", "--features", str(run / "features")]
    options = ["--rgb", "motion", *QUICK, "--hold-out", "0", "--out", str(tmp_path)]
    assert main([*command, *options, "--json"]) == 0
    rows = {(r["method"], r["selection"]): r["metrics"] for r in json.loads(capsys.readouterr().out)["rows"]}
    assert "map@0.1" not in rows["mil", "last"]
    page = (tmp_path / "bench.md").read_text()
    first = page[page.index("| ") :].partition("\n\n")[0].splitlines()
    head, _, *body = ([cell.strip() for cell in line.split("|")[1:-1]] for line in first)
    place = head.index("mAP@0.1")
    assert head[place + 1] == "Category accuracy"
    method, selection = head.index("method"), head.index("selection")
    printed = {line[method]: line[place] for line in body if line[selection] == "Last"}
    value = rows["refinevad", "last"]["map@0.1"]
    assert printed == {"mil": "–", "refinevad": f"{100 * value['mean']:.2f} ± {100 * value['std']:.2f}"}


@pytest.fixture(scope="module")
def elsewhere(videos, run, tmp_path_factory) -> Path:
    """The same videos, where what drops is called otherwise."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("labels.csv", "intervals.csv"):
        (folder / name).write_text((videos / name).read_text().replace(",drop,", ",plunge,"))
    return folder


def test_a_run_is_measured_elsewhere_and_keeps_its_core(run, videos, elsewhere, tmp_path, capsys):
    command = ["transfer", str(run), "--to-features", str(run / "features"), *QUICK, "--out", str(tmp_path / "out")]
    assert main([*command, "--to", str(videos)]) == 0
    printed = capsys.readouterr().out
    rows = ["zero-shot", "CORE kept, the rest trained there", "trained there"]
    assert [line.split("|")[1].strip() for line in printed.splitlines()[2:]] == rows
    assert printed in (tmp_path / "out" / "transfer.md").read_text()
    with (tmp_path / "out" / "transfer.csv").open(encoding="utf-8", newline="") as file:
        shot = {row["metric"]: float(row["value"]) for row in csv.DictReader(file) if row["row"] == "zero-shot"}
    at_home = json.loads((run / "metrics.json").read_text())["selection"]["last"]
    assert without_alerts(shot) == pytest.approx({name: value["mean"] for name, value in at_home.items()}, rel=1e-5)
    kept, before = (load_method(path).method for path in (tmp_path / "out" / "core-kept", run))
    names = [name for name, _ in before.core.named_parameters()]
    assert all(torch.equal(kept.core.get_parameter(name), before.core.get_parameter(name)) for name in names)
    assert not torch.equal(kept.motar.embedding.weight, before.motar.embedding.weight)
    assert kept.config.lambda2 == before.config.lambda2
    # Where a category has another name, the CORE is kept all the same, and its own names with it.
    assert main([*command[:-1], str(tmp_path / "b"), "--to", str(elsewhere)]) == 0
    config = load_method(tmp_path / "b" / "core-kept").method.config
    assert (config.categories, config.lambda2, config.add_truth) == (KINDS, 0, False)
    assert load_method(tmp_path / "b" / "trained-there").method.config.categories == ("dash", "plunge")


def test_a_method_without_core_has_one_line(videos, run, tmp_path, capsys):
    command = ["fit", str(videos), "--features", str(run / "features"), "--method", "mil", "--iterations", "2"]
    assert main([*command, "--points", "1", "--out", str(tmp_path / "mil")]) == 0
    capsys.readouterr()
    command = ["transfer", str(tmp_path / "mil"), "--to", str(videos), "--to-features", str(run / "features")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "mil has no CORE to keep, so there is only the zero-shot row" in " ".join(told.err.split())
    untold = tmp_path / "untold"  # the same videos, of which nobody wrote down when
    untold.mkdir()
    (untold / "labels.csv").write_text((videos / "labels.csv").read_text())
    capsys.readouterr()
    assert main([*command[:3], str(untold), *command[4:], "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    why = "test videos, so only video AUC is measured"
    assert why in " ".join(told.err.split()) and why in (tmp_path / "out" / "transfer.md").read_text()
    assert "| – |" in told.out


def test_other_features_are_refused(run, videos, tmp_path, capsys):
    few, bare = tmp_path / "few", tmp_path / "bare"
    few.mkdir(), bare.mkdir()
    for table in ("labels.csv", "intervals.csv"):
        lines = (videos / table).read_text().splitlines()
        (few / table).write_text("\n".join([lines[0], *(line for line in lines if line.startswith(FEW))]))
    for name in FEW:
        shutil.copy(videos / f"{name}.mp4", few)
    assert main(["extract", str(few), "--rgb", "motion+flow", "--out", str(tmp_path / "f"), "--workers", "0"]) == 0
    for name in ("model.json", "model.safetensors"):
        (bare / name).write_bytes((run / name).read_bytes())
    told = json.loads((bare / "model.json").read_text())
    (bare / "model.json").write_text(json.dumps(sealed(told | {"encoders": {}})))
    capsys.readouterr()
    command = ["transfer", str(bare), "--to", str(few), "--to-features", str(tmp_path / "f")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "its rgb features were made differently from those of" in told and "extract them in the same way" in told


def test_a_category_that_the_disk_has_no_room_for_leaves_nothing(run, tmp_path, capsys):
    clip(tmp_path / "shake.mp4", 100, "shake")
    command = ["add-category", str(run), "shake", str(tmp_path / "shake.mp4"), "--out", str(tmp_path / "grown")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert main(command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "a file as large as this may not be written here" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["shake.mp4"]
    assert main(command) == 0


def test_a_run_learns_one_more_category(run, videos, tmp_path, capsys):
    shown = [f"place-{seed}/shake.mp4" for seed in range(3)]
    for seed, name in enumerate(shown):
        (tmp_path / "shown" / name).parent.mkdir(parents=True)
        clip(tmp_path / "shown" / name, 100 + seed, "shake")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    out = tmp_path / "grown"
    assert main(["add-category", str(run), "shake", str(tmp_path / "shown"), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    old, new = (load_file(folder / "model.safetensors") for folder in (run, out))
    assert old.keys() == new.keys()
    for name, value in old.items():
        rows = new[name][: len(value)] if new[name].shape != value.shape else new[name]
        assert rows.numpy().tobytes() == value.numpy().tobytes(), name
    assert {name for name in old if new[name].shape != old[name].shape} == {
        "method.core.prototypes", "method.core.bias", "method.core.seen",
    }  # fmt: skip
    assert json.loads((out / "model.json").read_text())["config"]["categories"] == [*KINDS, "shake"]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.out.splitlines() if "│" in line]
    shares = {row[0]: row[1:] for row in rows}
    assert shares["shake"][0] == "–" and float(shares["shake"][1]) > 50
    assert sum(float(shares[name][0]) for name in KINDS) == pytest.approx(100, abs=0.11)
    assert sum(float(shares[name][1]) for name in (*KINDS, "shake")) == pytest.approx(100, abs=0.16)
    assert all(shares[name][1].startswith("shake ") for name in shown)
    assert "'shake' is now the likeliest category in 3 of 3 video(s)" in printed.err
    # What it does to the kinds that were known is measured on the run's own test videos.
    known = ["--data", str(videos), "--features", str(run / "features"), "--json"]
    measured = []
    for folder in (run, out):
        assert main(["evaluate", str(folder), *known]) == 0
        measured.append(json.loads(capsys.readouterr().out))
    for key, label in (("category_accuracy", "Category accuracy"), ("map@0.1", "mAP at IoU 0.1")):
        assert shares[label] == [f"{100 * metrics[key]:.1f}" for metrics in measured]
    # A new video of the kind is named so, and those of the old kinds keep their names.
    later = clip(tmp_path / "later.mp4", 200, "shake")
    known = [videos / "cam-09.mp4", videos / "cam-11.mp4"]
    options = ["--model", str(out), "--out", str(tmp_path / "scores"), "--json"]
    assert main(["score", *map(str, [later, *known]), *options]) == 0
    told = json.loads(capsys.readouterr().out)["videos"]
    named = {video["video"]: {event["category"] for event in video["events"]} for video in told}
    assert named["cam-09.mp4"] == {"dash"} and named["cam-11.mp4"] == {"drop"} and named["later.mp4"] <= {"shake"}


def test_growing_overwrites_nothing_and_says_what_is_wrong(run, videos, tmp_path, capsys):
    shown = str(videos / "cam-09.mp4")

    def told(*arguments: str, status: int = 2) -> str:
        capsys.readouterr()
        assert main(["add-category", *arguments]) == status
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("wsvad: "))
        return line

    options = ["--out", str(tmp_path / "a")]
    assert told(str(run), "shake", shown, "--out", str(run)).endswith("name another folder with --out")
    lost = str(tmp_path / "lost.mp4")  # names are looked at before videos are
    assert told(str(run), "dash", lost, *options).endswith(
        "run: has the category 'dash' already (dash, drop); take another name"
    )
    for name in ("a;b", "normal", "", " shake"):
        assert f"run: '{name}' is not a valid name of a category; choose one without ';'" in told(
            str(run), name, lost, *options
        )
    assert told(str(run), "shake", lost, *options, status=1).endswith("lost.mp4: there is no such video file")
    assert "not a finished run" in told(str(tmp_path), "shake", shown, *options, status=1)
    for method, says in (
        (["mil"], "mil does not distinguish categories, so none can be added; train refinevad"),
        (
            ["refinevad", *TINY, "--config.core", "off"],
            "was trained without categories (core: off), so none can be added",
        ),
    ):
        out = tmp_path / method[0]
        command = ["train", str(videos), "--method", *method, "--rgb", "motion", "--features", str(run / "features")]
        assert main([*command, "--iterations", "2", "--points", "1", "--hold-out", "0", "--out", str(out)]) == 0
        assert f"{out}: {says}" in told(str(out), "shake", lost, *options)
    assert not (tmp_path / "a").exists()
    moved = tmp_path / "moved"  # a run whose test videos are no longer there
    moved.mkdir()
    for name in ("model.json", "model.safetensors"):
        (moved / name).write_bytes((run / name).read_bytes())
    config = (run / "config.yaml").read_text(encoding="utf-8").replace(str(videos), str(tmp_path / "gone"))
    (moved / "config.yaml").write_text(config, encoding="utf-8")
    capsys.readouterr()
    assert main(["add-category", str(moved), "shake", shown]) == 0
    printed = capsys.readouterr()
    assert "not measured again" in printed.err and "gone: there is no such folder" in " ".join(printed.err.split())
    assert "shake" in printed.out and "test events" not in printed.out
    other = tmp_path / "other"  # a run whose features have been made anew in another way
    for path in (run / "features" / "rgb").iterdir():
        stored = load(path)
        save(other / "rgb" / path.name, replace(stored, passport=replace(stored.passport, weights="a" * 64)))
    config = (run / "config.yaml").read_text(encoding="utf-8").replace(str(run / "features"), str(other))
    (moved / "config.yaml").write_text(config, encoding="utf-8")
    assert main(["add-category", str(moved), "shake", shown, "--out", str(tmp_path / "b")]) == 0
    printed = capsys.readouterr()
    assert "not measured again" in printed.err and "were made differently from" in " ".join(printed.err.split())
    assert main(["add-category", str(run), "shake", shown]) == 0
    assert (run.parent / "run-shake" / "model.json").is_file()
    assert "exists already" in told(str(run), "shake", shown)
