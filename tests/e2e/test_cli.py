"""The command line from end to end: videos or features in, detectors, metrics and one-line errors out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from kills import forks
from places import SHARED

from wsvad.cli.main import main
from wsvad.detection.operating import in_figures
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, save
from wsvad.runs.folder import RunFolder
from wsvad.runs.sealed import sealed

SMALL = ["--config.hidden", "128", "--config.lr", "0.0003"]
PARITY = SHARED / "data" / "parity"


# ------------------------------------------------------------------------------------------------------ fixtures


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """Twelve short videos, six of them abnormal from frame 32 to frame 64."""
    folder = tmp_path_factory.mktemp("videos")
    labels, intervals = ["video,label,category,split"], ["video,category,start_frame,end_frame"]
    for number in range(12):
        abnormal, split = number % 2, "test" if number >= 8 else "train"
        rng = np.random.default_rng(number)
        frames = [scene(i, bool(abnormal) and 32 <= i < 64, rng) for i in range(96)]
        write_clip(folder / f"cam-{number}.mp4", frames)
        labels.append(f"cam-{number}.mp4,{abnormal},{'dash' if abnormal else 'normal'},{split}")
        if abnormal:
            intervals.append(f"cam-{number}.mp4,dash,32,64")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return folder


@pytest.fixture(scope="session")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    assert (
        main(["train", str(videos), "--rgb", "motion", "--out", str(out), "--seeds", "2", "--workers", "0", *SMALL])
        == 0
    )
    return out


@pytest.fixture
def features(tmp_path) -> tuple[Path, Path]:
    """A dataset of features without videos: in abnormal ones, snippets 2 and 3 differ."""
    rng = np.random.default_rng(0)
    labels, intervals = ["video,label,frames,split"], ["video,category,start_frame,end_frame"]
    for number in range(16):
        abnormal = number % 2
        rows = rng.normal(size=(6, 8)).astype(np.float32)
        if abnormal:
            rows[2:4] += 2
            intervals.append(f"v{number},odd,32,64")
        passport = Passport(encoder="test", width=8, frames=96)
        save(feature_path(tmp_path / "features", "rgb", f"v{number}"), StoredFeatures(features=rows, passport=passport))
        labels.append(f"v{number},{abnormal},96,{'test' if number >= 10 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    (tmp_path / "intervals.csv").write_text("\n".join(intervals))
    return tmp_path, tmp_path / "features"


# ---------------------------------------------------------------------------------------------------- practitioner


def test_train_writes_a_whole_run(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "model.safetensors", "model.json", "log.jsonl", "metrics.json", "report.html"} <= names
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["selection"]) == {"last", "held_out", "best_on_test"}
    last = metrics["selection"]["last"]
    assert set(last) == {
        "auc", "ap", "ap_trapezoid", "auc_abnormal", "ap_abnormal", "video_auc", "far", "auc_constant",
    }  # fmt: skip
    assert len(last["auc"]["values"]) == 2
    assert last["auc"]["mean"] > 0.9
    assert metrics["selection"]["best_on_test"]["auc"]["mean"] >= last["auc"]["mean"]
    assert not list(run.rglob("*checkpoint*"))


def test_train_again_changes_nothing(run, videos, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert (
        main(["train", str(videos), "--rgb", "motion", "--out", str(run), "--seeds", "2", "--workers", "0", *SMALL])
        == 0
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert (
        main(["train", str(videos), "--rgb", "motion", "--out", str(run), "--seeds", "3", "--workers", "0", *SMALL])
        == 1
    )
    assert "the run there has another 'protocol'" in capsys.readouterr().err


def test_train_ends_with_how_sure_what_was_found_and_the_thresholds(run, videos, capsys):
    words = ["train", str(videos), "--rgb", "motion", "--out", str(run), "--seeds", "2", "--workers", "0", *SMALL]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "Held-out" in printed.out and "Best on test" not in printed.out
    ending = printed.err[printed.err.index("4 test videos: too few of a kind to say how far this frame AUC is") :]
    assert "Compared with the labels of 4 videos: 2 found, 2 correctly without events." in ending
    threshold = json.loads((run / "model.json").read_text())["calibration"]["modes"]["whole"]["threshold"]
    assert (
        f"Threshold {in_figures(threshold)} for files: Not calibrated: 15 s of normal training video, about 3.4 h"
        in ending
    )
    assert f"'wsvad threshold {run}' shows what other thresholds do" in ending
    assert "Known events found" in (run / "threshold.html").read_text()
    assert main([*words, "--all"]) == 0
    assert "Best on test" in capsys.readouterr().out


def test_a_threshold_that_a_person_set_outlives_the_same_command_and_needs_no_new_scores(
    run, videos, tmp_path, monkeypatch, capsys
):
    shutil.copytree(run, tmp_path / "run")
    score = ["score", str(videos / "cam-11.mp4"), "--model", str(tmp_path / "run"), "--out", str(tmp_path / "scores")]
    assert main(score) == 0
    capsys.readouterr()
    monkeypatch.setattr("wsvad.detection.detector.encode_video", None)  # nothing may be looked at again
    assert main([*score, "--threshold", "0.97", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["videos"][0]["threshold"] == 0.97
    assert "Threshold 0.97 for whole-video mode, for this call only (--threshold 0.97): " in printed.err
    assert main(["threshold", str(tmp_path / "run"), "--set", "0.97"]) == 0
    words = ["train", str(videos), "--rgb", "motion", "--out", str(tmp_path / "run"), "--seeds", "2", "--workers", "0"]
    assert main([*words, *SMALL]) == 0
    assert "\nThreshold 0.97 for whole-video mode, set by hand (--set 0.97): " in capsys.readouterr().err
    assert "set by hand (--set 0.97)" in (tmp_path / "run" / "report.html").read_text()
    capsys.readouterr()
    assert main([*score, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["videos"][0]["threshold"] == 0.97
    assert "set by hand (--set 0.97)" in printed.err
    assert main([*score, "--threshold", "0.5", "--max-false-alarms-per-hour", "1"]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_threshold_that_a_person_set_outlives_an_interruption_but_not_other_weights(
    run, videos, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    train = ["train", str(videos), "--rgb", "motion", "--out", str(out), "--seeds", "2", "--workers", "0", *SMALL]
    assert main(["threshold", str(out), "--find", "1"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr("wsvad.training.train.write_threshold_page", stop)
        assert main(train) == 1
    assert not (out / "model.json").exists()
    assert main(train) == 0
    assert "set by hand (--find 1): " in capsys.readouterr().err
    monkeypatch.setattr("wsvad.runs.folder.RunFolder.keeps_weights_of", lambda *_: False)
    assert main(train) == 0
    said = capsys.readouterr().err
    assert said.count("--find") == 1 and "set by hand (--find 1), is not kept, because the new fit has other" in said
    assert "chosen" not in json.loads((out / "model.json").read_text())["calibration"]


def stop(*_):
    raise KeyboardInterrupt


def test_events_are_known_in_training_videos_too_where_fits_have_not_seen_them(run, videos, tmp_path, capsys):
    quick = ["--iterations", "4", "--points", "2", "--max-false-alarms-per-hour", "2000", "--features"]
    few = tmp_path / "few.csv"
    rows = (videos / "intervals.csv").read_text().splitlines()
    few.write_text("\n".join([rows[0], *rows[-2:]]))
    found = []
    for name, more in (("all", []), ("few", ["--intervals", str(few)])):
        words = [str(videos), "--rgb", "motion", "--workers", "0", "--method", "mil", *quick, str(run / "features")]
        assert main(["train", *words, "--out", str(tmp_path / name), *more]) == 0
        capsys.readouterr()
        assert main(["threshold", str(tmp_path / name), "--mode", "online", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["fits"] == 4
        found.append((told["known_events"], [(one["threshold"], one["false_alarms"]) for one in told["curve"]]))
    assert [events for events, _ in found] == [6, 2]
    record = json.loads((tmp_path / "all" / "calibration.json").read_text())
    other = json.loads((tmp_path / "few" / "calibration.json").read_text())
    assert [one["video"] for one in record["online"]] == [one["video"] for one in other["online"]]
    assert [one["split"] for one in record["known"]["whole"]] == ["test"] * 2 + ["train"] * 4
    assert record["known"]["whole"][0]["events"] == [[32 / 25, 64 / 25]]


def test_score_finds_the_event(run, videos, tmp_path, capsys):
    arguments = ["score", str(videos / "cam-11.mp4"), str(videos / "cam-10.mp4"), "--model", str(run), "--json"]
    assert main([*arguments, "--out", str(tmp_path), "--overlay"]) == 0
    told = json.loads(capsys.readouterr().out)
    abnormal, normal = told["videos"]
    assert abnormal["video"] == "cam-11.mp4"
    assert abnormal["frames"] == 96
    assert [len(video["events"]) for video in (abnormal, normal)] == [1, 0]
    event = abnormal["events"][0]
    assert event["start_frame"] < 64 and event["end_frame"] > 32
    assert 32 <= 25 * event["peak_time"] < 64
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "scores.json", "events.csv", "scores.csv", "report.html", "contact-sheet.jpg", "left-out.csv", "scored",
        "cam-10.overlay.mp4", "cam-11.overlay.mp4",
    }  # fmt: skip


def test_online_scores_look_back_only(run, videos, tmp_path, capsys):
    out = []
    for mode in ("whole", "online"):
        assert (
            main(
                [
                    "score",
                    str(videos / "cam-9.mp4"),
                    "--model",
                    str(run),
                    "--mode",
                    mode,
                    "--json",
                    "--out",
                    str(tmp_path),
                ]
            )
            == 0
        )
        out.append([snippet["score"] for snippet in json.loads(capsys.readouterr().out)["videos"][0]["snippets"]])
    assert len(out[0]) == len(out[1]) == 6
    assert out[0][-1] == pytest.approx(out[1][-1], abs=1e-4)  # the newest snippet of the whole video sees all of it
    assert out[0][0] != pytest.approx(out[1][0], abs=1e-6)


def test_a_bad_video_is_skipped_and_told(run, videos, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    status = main(
        [
            "score",
            str(tmp_path / "broken.mp4"),
            str(videos / "cam-9.mp4"),
            "--model",
            str(run),
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert status == 3
    assert "broken.mp4" in capsys.readouterr().err.splitlines()[-1]
    assert len(json.loads((tmp_path / "out" / "scores.json").read_text())["videos"]) == 1


def test_what_is_done_with_files_left_out_is_status_3_and_nothing_done_is_1(videos, tmp_path, capsys):
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([*lines, "broken.mp4,0,normal,train"]))
    (folder / "broken.mp4").write_bytes(b"not a video")
    features = ["--features", str(tmp_path / "extract")]
    budget = [*features, "--method", "mil", "--iterations", "2", "--points", "1", "--hold-out", "0"]
    for verb, *options in (
        ["extract", str(folder), "--workers", "0"],
        ["train", str(folder), "--workers", "0", *budget],
        ["bench", "--data", str(folder), *(word.replace("--method", "--methods") for word in budget)],
    ):
        assert main([verb, *options, "--rgb", "motion", "--out", str(tmp_path / verb)]) == 3
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("skipped: ") and "broken.mp4: not a video" in last
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "broken.mp4").write_bytes(b"not a video")
    (loose / "lost.mp4").symlink_to("nowhere")
    assert main(["extract", str(loose), "--rgb", "motion", "--workers", "0", "--out", str(tmp_path / "l")]) == 1
    shutil.copy(next(videos.glob("*.mp4")), loose / "whole.mp4")
    capsys.readouterr()
    assert main(["extract", str(loose), "--rgb", "motion", "--workers", "0", "--out", str(tmp_path / "l")]) == 3
    assert "skipped: " in (last := capsys.readouterr().err.splitlines()[-1]) and "lost.mp4: a broken link" in last


def test_videos_that_are_unlike_those_in_training_are_told_and_many_of_them_in_one_sentence(
    run, videos, tmp_path, capsys
):
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (64, 96, 128, 3), dtype=np.uint8)
        write_clip(tmp_path / f"noise-{number}.mp4", list(noise))

    def scored(*files: Path, out: Path) -> tuple[dict[str, float], dict[str, list[str]], str]:
        assert main(["score", *map(str, files), "--model", str(run), "--out", str(out), "--json"]) == 0
        told = capsys.readouterr()
        found = json.loads(told.out)["videos"]
        return {v["video"]: v["distance"] for v in found}, {v["video"]: v.get("notes", []) for v in found}, told.err

    own = videos / "cam-8.mp4"
    distances, notes, said = scored(tmp_path / "noise-0.mp4", own, out=tmp_path / "two")
    assert distances["cam-8.mp4"] < 1 < distances["noise-0.mp4"]
    sentence = f"unlike the training videos ({distances['noise-0.mp4']:.1f} times the distance that 89% of them keep)"
    assert notes["cam-8.mp4"] == [] and sentence in notes["noise-0.mp4"][0]
    page = (tmp_path / "two" / "report.html").read_text()
    assert sentence in said and sentence in page and "videos are unlike" not in said
    again, _, _ = scored(tmp_path / "noise-0.mp4", own, out=tmp_path / "two")
    assert again == distances

    distances, notes, said = scored(*sorted(tmp_path.glob("*.mp4")), own, out=tmp_path / "many")
    page = (tmp_path / "many" / "report.html").read_text()
    assert all(bool(notes[name]) == (distances[name] > 1) for name in notes) and len(notes) == 6
    for text in (said, page):
        assert "5 of 6 videos are unlike the 8 training videos; of familiar ones 0.7 would be." in text
    assert said.count("times the distance") == 3 and page.count("times the distance") == 0


def test_a_detector_refuses_another_encoder(run, videos, tmp_path, capsys):
    told = json.loads((run / "model.json").read_text())
    told["passports"]["rgb"]["settings"] = {"other": 1}
    (tmp_path / "model.json").write_text(json.dumps(sealed(told)))
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    assert main(["score", str(videos / "cam-9.mp4"), "--model", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "would be made differently from the training videos'" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ researcher


def test_a_second_backbone_is_a_stream_by_any_name(videos, tmp_path):
    command = ["extract", str(videos), "--rgb", "motion", "--stream", "grid=flow", "--workers", "0"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert load(feature_path(tmp_path, "grid", "cam-0.mp4")).features.shape == (6, 192)
    backbones = ["--method", "dakd", "--config.backbones", "[rgb, grid]", "--config.student", "grid", "--hold-out", "0"]
    small = ["--config.hidden", "32", "--config.projection", "16", "--iterations", "8", "--points", "2"]
    out = tmp_path / "run"
    assert main(["fit", str(videos), "--features", str(tmp_path), *backbones, *small, "--out", str(out)]) == 0
    told = json.loads((out / "model.json").read_text())
    assert (told["learns_from"], told["runs_on"]) == (["rgb", "grid"], ["grid"])


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table 1", [f"{kind}, {who}" for who in ("student", "teacher")
                     for kind in ("mtn", "attention", "lstm", "rnn", "disentangled", "gru", "cnn", "tam")]),
        ("table 4", ["without TAM", "without NCE", "without BCE", "without min–max", "without moving average",
               "DAKD student", "DAKD teacher"]),
        ("table 5", [row for term in ("self", "cross", "c2p", "p2c", "all") for row in (term, f"{term}, teacher")]),
        ("table gain", ["mil on rgb", "student on rgb", "DAKD teacher"]),
        ("figure 4", ["rgb"]),
        ("figure 5", ["DAKD student", "τ = 1", "τ = 5", "τ = 15", "τ = 20", "α = 1", "α = 2.5", "α = 5", "α = 10",
                      "k = 1", "k = 5", "k = 10", "k = 32", "δ = 0.5", "δ = 0.7", "δ = 0.8", "δ = 0.95"]),
    ],
)  # fmt: skip
def test_tables_and_figures_of_dakd_are_commands(features, name, rows, tmp_path, capsys):
    folder, streams = features
    kind, number = name.split()
    small = ["--config.hidden", "32", "--config.projection", "16", "--config.backbones", "[rgb]", "--iterations", "3"]
    small += ["--hold-out", "0"]
    command = [
        "ablate",
        "dakd",
        f"--{kind}",
        number,
        "--data",
        str(folder),
        "--features",
        str(streams),
        "--points",
        "1",
    ]
    assert main([*command, *small, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert sorted(line.split(" | ")[0].removeprefix("| ") for line in lines) == sorted(rows)
    assert (tmp_path / "out" / f"dakd-{name.replace(' ', '-').removeprefix('table-')}.svg").is_file()


def test_a_run_per_camera_is_kept_and_carried_with_the_statistics_of_the_other_place(features, tmp_path, capsys):
    _, stored = features
    home, there = tmp_path / "home", tmp_path / "there"
    for place, first in ((home, 0), (there, 8)):
        place.mkdir()
        rows = [
            f"v{n},{n % 2},96,{'train' if n < first + 4 else 'test'},{'north' if n < first + 2 else 'south'}"
            for n in range(first, first + 8)
        ]
        (place / "labels.csv").write_text("\n".join(["video,label,frames,split,camera", *rows]))
        truth = [f"v{n},odd,32,64" for n in range(first + 1, first + 8, 2)]
        (place / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *truth]))
    run, out = tmp_path / "run", tmp_path / "out"
    command = ["fit", str(home), "--features", str(stored), "--method", "mil", "--normalise", "per-camera"]
    assert main([*command, "--iterations", "3", "--hold-out", "0", "--out", str(run)]) == 0
    assert RunFolder(run).load().normalisation.kinds == {"rgb": "per-camera"}
    assert main(["evaluate", str(run), "--data", str(home), "--features", str(stored)]) == 0
    assert main(["transfer", str(run), "--to", str(there), "--to-features", str(stored), "--out", str(out)]) == 0
    table = (out / "transfer.md").read_text()
    assert "| zero-shot |" in table and "| zero-shot, statistics of the place |" in table


def test_fit_evaluate_and_bench_agree(features, tmp_path, capsys):
    folder, stored = features
    budget = ["--iterations", "20", "--segments", "6", "--bags", "4"]
    assert (
        main(
            [
                "bench",
                "--data",
                str(folder),
                "--methods",
                "mil",
                "--features",
                str(stored),
                "--out",
                str(tmp_path / "b"),
                "--budget",
                "paper",
                "--json",
                "--normalise",
                "none",
                *budget,
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert "auto →" not in said.err, "the features are there, so no encoder is needed"
    rows = json.loads(said.out)["rows"]
    assert [row["selection"] for row in rows] == ["last", "held_out", "best_on_test"]
    assert set(rows[0]) >= {"data", "method", "streams", "selection", "metrics", "seconds", "parameters"}
    assert {path.name for path in (tmp_path / "b").iterdir()} >= {"bench.json", "bench.csv", "bench.md", "bench.html"}

    assert (
        main(
            [
                "fit",
                str(folder),
                "--features",
                str(stored),
                "--method",
                "mil",
                "--out",
                str(tmp_path / "f"),
                "--normalise",
                "none",
                *budget,
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "f"), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    assert own["auc"] == pytest.approx(rows[0]["metrics"]["auc"]["mean"])
    assert main(["evaluate", str(tmp_path / "f"), "--data", str(folder), "--features", str(stored), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for mode, alerts in own.pop("alerts").items():
        found = again["alerts"][mode]
        assert found["thresholds"] == pytest.approx(alerts["thresholds"])
        for point, same in zip(found["curve"], alerts["curve"], strict=True):
            assert point == pytest.approx(same)
    del again["alerts"]
    assert again == pytest.approx(own)
    assert {"events_found", "false_alarms_per_hour_online", "onset_delay", "event_f1", "ap_onset"} <= set(own)


def test_a_fit_killed_anywhere_ends_in_the_same_files(features, tmp_path):
    folder, stored = features
    words = [
        "fit", str(folder), "--features", str(stored), "--seeds", "2", "--points", "10", "--iterations", "30",
        "--segments", "6", "--bags", "4", "--config.hidden", "64", "--out",
    ]  # fmt: skip
    outs = [str(tmp_path / "whole"), str(tmp_path / "cut")]
    code = (
        "import torch, wsvad.training.experiment; from wsvad.cli.main import main; torch.set_num_threads(1)\n"
        f"def run(turn):\n    sys.stdout, sys.stderr = open(os.devnull, 'w'), open(os.devnull, 'w')\n"
        f"    assert main([*{words}, {outs}[turn]]) == 0"
    )
    cut = tmp_path / "cut"
    with forks(tmp_path, code) as fit:
        assert fit.finish(0) == 0
        for wanted in ("seed-0/selection.checkpoint", "seed-1/fit.checkpoint"):
            fit.kill_when(1, (cut / wanted).exists)
        assert fit.finish(1) == 0
    kept = {p.relative_to(cut) for p in cut.rglob("*") if p.is_file() and p.name != "timing.json"}
    assert kept == {
        p.relative_to(tmp_path / "whole")
        for p in (tmp_path / "whole").rglob("*")
        if p.is_file() and p.name != "timing.json"
    }
    for name in kept:
        assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.real
@pytest.mark.parametrize(("name", "auc", "ap"), [("a", 0.75671, 0.29103), ("b", 0.82424, 0.33030)])
def test_published_scores_give_the_published_numbers(name, auc, ap, capsys):
    if not PARITY.is_dir():
        pytest.skip("the published score files are not beside the project")
    assert main(["evaluate", str(PARITY / f"ucf-crime-{name}.npz"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert round(told["auc"], 5) == auc
    assert round(told["ap"], 5) == ap


# ----------------------------------------------------------------------------------------------------- the command


def test_importing_the_package_loads_no_torch():
    code = "import sys, wsvad, wsvad.cli.main; sys.exit(bool({'torch', 'cv2', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_that_decodes_loads_no_torch():
    code = "import sys, wsvad.extraction.workers, wsvad.encoders.motion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["evaluate", "nowhere.npz"], 1, "nowhere.npz"),
        (["score", "a.mp4", "--model", "nowhere"], 1, "nowhere: not a finished run"),
        (["train", "nowhere"], 1, "nowhere: there is no such folder"),
        (["train", ".", "--method", "magic"], 2, "no method is called 'magic'; choose one of: dakd, linear, mil"),
        (["bench", "--data", ".", "--methods", "mil,magic"], 2, "no method is called 'magic'"),
        (["extract", "nowhere", "--out", "x", "--rgb", "magic"], 2, "no encoder is called 'magic'"),
        (["extract", ".", "--out", "x", "--stream", "clip"], 2, "--stream clip: write NAME=ENCODER"),
        (["train", "nowhere", "--seeds", "many"], 2, "seeds"),
        (["dance"], 2, "dance"),
        ([], 2, "VERB"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_a_status(arguments, status, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert says in line and line.startswith("wsvad")
    assert told.out == ""
