"""π-VAD from end to end: learns from three streams, scores by RGB's encoder alone; tables from one command."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from places import SHARED

from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.features.store import feature_path, load
from wsvad.runs.model import load_method

TINY = [
    "--config.profile", "light", "--config.latent", "8", "--config.ur_dmu.hidden", "32", "--config.ur_dmu.lr", "0.001",
    "--config.ur_dmu.feed_forward", "32", "--config.warm_up_iterations", "600",
]  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Ten short videos; something bright crosses the abnormal ones. Captions tell of it."""
    folder = tmp_path_factory.mktemp("videos")
    labels, captions = ["video,label,category,split,frames"], []
    for number in range(10):
        abnormal, rng = number % 2, np.random.default_rng(number)
        frames = []
        for i in range(64):
            image = rng.integers(40, 50, (96, 128, 3)).astype(np.uint8)
            if abnormal and 16 <= i < 48:
                cv2.rectangle(image, (2 * i, 30), (2 * i + 20, 60), (220, 220, 220), -1)
            frames.append(image)
        write_clip(folder / f"cam-{number}.mp4", frames)
        labels.append(
            f"cam-{number}.mp4,{abnormal},{'dash' if abnormal else 'normal'},{'test' if number > 7 else 'train'},64"
        )
        told = ["an empty dark room", "a bright box dashes across" if abnormal else "an empty dark room"]
        captions.append(json.dumps({"video": f"cam-{number}.mp4", "captions": told}))
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("video,category,start_frame,end_frame\ncam-9.mp4,dash,16,48\n")
    (folder / "captions.jsonl").write_text("\n".join(captions))
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pi") / "run"
    command = ["train", str(videos), "--method", "pi-vad", "--rgb", "motion", "--flow", "flow", "--out", str(out)]
    text = ["--text", f"lsa:{videos}/captions.jsonl", "--modalities", "flow,text", "--iterations", "20"]
    assert main([*command, *text, "--workers", "0", *TINY]) == 0
    return out


def test_a_run_on_three_streams_needs_one(run):
    told = json.loads((run / "model.json").read_text())
    assert told["learns_from"] == ["rgb", "flow", "text"]
    assert told["runs_on"] == ["rgb"]
    assert set(told["passports"]) == {"rgb", "flow", "text"}
    errors = json.loads((run / "metrics.json").read_text())["reconstruction"]
    assert set(errors) == {"flow", "text"}
    assert (run / "features" / "text" / "cam-0.mp4.safetensors").is_file()


def test_scoring_needs_neither_captions_nor_other_features(run, videos, tmp_path, capsys):
    alone = tmp_path / "run"
    shutil.copytree(run, alone, ignore=shutil.ignore_patterns("features", "seed-*"))
    video = tmp_path / "elsewhere.mp4"
    shutil.copy(videos / "cam-9.mp4", video)
    assert main(["score", str(video), "--model", str(alone), "--out", str(tmp_path / "out"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["videos"]
    whole = load_method(run)
    features = torch.from_numpy(load(feature_path(run / "features", "rgb", "cam-9.mp4")).features)[None]
    expected = whole.method(whole.normalisation({"rgb": features}))[0].tolist()
    assert [snippet["score"] for snippet in told["snippets"]] == pytest.approx(expected, abs=1e-5)
    attributions = Detector.load(alone).score(video).attributions
    assert list(attributions) == ["flow", "text"]
    np.testing.assert_allclose(sum(attributions.values()), np.ones(4), rtol=1e-5)
    shares = whole.method.attributions(whole.normalisation({"rgb": features}))
    np.testing.assert_allclose(attributions["flow"], shares["flow"][0].detach(), rtol=1e-4)


def test_the_report_says_what_was_made_up_and_how_well(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Synthesised from rgb, with this error on held-out training videos: flow" in page
    assert page.count('class="why"') == 4


def test_what_a_modality_needs_is_said_in_one_line(videos, tmp_path, capsys):
    command = ["train", str(videos), "--method", "pi-vad", "--rgb", "motion", "--workers", "0", "--out", str(tmp_path)]
    assert main([*command, "--modalities", "pose"]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "no pose features; make them with 'wsvad extract --stream pose=ENCODER …', or leave the stream out" in told
    assert main(["train", str(videos), "--rgb", "motion", "--modalities", "pose", "--out", str(tmp_path / "b")]) == 2
    assert "this method learns from rgb only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("3", ["UR-DMU (teacher)", "PMG", "PMG + align", "PMG + distill", "align + distill, true modalities", "π-VAD"]),
        ("4", ["UR-DMU (teacher)", "early", "late", "π-VAD"]),
        ("5", ["UR-DMU (teacher)", "π-VAD light", "π-VAD paper"]),
        ("6", ["UR-DMU (teacher)", "text", "flow", "π-VAD"]),
        ("real", ["UR-DMU (teacher)", "π-VAD", "π-VAD, true modalities at test", "align + distill, true modalities"]),
        ("silence", ["UR-DMU (teacher)", "π-VAD", "flow silenced", "text silenced"]),
        ("transfer", ["UR-DMU (teacher)", "π-VAD"]),
    ],
)
def test_tables_are_commands(table, rows, run, videos, tmp_path, capsys):
    command = ["ablate", "pi-vad", "--table", table, "--data", str(videos), "--features", str(run / "features")]
    options = ["--rgb", "motion", "--modalities", "flow,text", "--iterations", "2", "--points", "1"]
    seeds = ["--seeds", "2"] if table == "4" else ["--hold-out", "0"]
    to = ["--to", str(videos), "--to-features", str(run / "features")] if table == "transfer" else []
    assert main([*command, *options, *seeds, *to, *TINY, "--out", str(tmp_path)]) == 0
    with (tmp_path / f"pi-vad-{table}.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert list(dict.fromkeys(line["row"] for line in written)) == rows
    assert {line["seed"] for line in written if line["metric"] == "auc"} == ({"0", "1"} if table == "4" else {"0"})
    printed = capsys.readouterr().out
    assert printed in (tmp_path / f"pi-vad-{table}.md").read_text()
    assert all(f"| {row} |" in printed for row in rows)
    assert (tmp_path / f"pi-vad-{table}.svg").read_text().count("</svg>") == 1
    if table == "5":
        weights = {line["row"]: float(line["value"]) for line in written if line["metric"] == "weights, M"}
        assert weights["UR-DMU (teacher)"] < weights["π-VAD light"] < weights["π-VAD paper"]


def test_a_transfer_without_a_place_and_an_unknown_table_are_told(videos, capsys):
    assert main(["ablate", "pi-vad", "--table", "7", "--data", str(videos), "--rgb", "motion"]) == 2
    assert "pi-vad has no table '7'; choose one of: 1, 3, 4, 5, 6, real, silence, transfer" in capsys.readouterr().err
    assert main(["ablate", "mil", "--table", "3", "--data", str(videos), "--rgb", "motion"]) == 2
    assert "there are no tables of 'mil'" in capsys.readouterr().err


@pytest.mark.real
def test_pi_vad_on_real_footage_scores_without_the_modality_encoders(tmp_path, capsys, monkeypatch):
    """From mp4 files: MobileNet, MoveNet, DeepLab and optical flow in training, MobileNet alone in scoring."""
    data = SHARED / "data" / "ucsd-ped2"
    if not data.is_dir():
        pytest.skip("the footage of ucsd-ped2 is not beside the project")
    models = tmp_path / "models"
    shutil.copytree(SHARED / "models", models)
    rgb, pose, mask = (next(models.glob(f"{name}*.tflite")) for name in ("mobilenet", "movenet", "deeplab"))
    folder = tmp_path / "ped2"
    folder.mkdir()
    lines = (data / "labels.csv").read_text().splitlines()
    kinds = [(label, split) for split in ("train", "test") for label in "01"]
    rows = {kind: [line for line in lines[1:] if (line.split(",")[1], line.split(",")[-1]) == kind] for kind in kinds}
    chosen = [line for (_, split), each in rows.items() for line in each[: 2 if split == "train" else 1]]
    (folder / "labels.csv").write_text("\n".join([lines[0], *chosen]))
    names = [line.split(",")[0] for line in chosen]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / "videos" / name, folder / name)
    encoders = ["--rgb", f"tflite:{rgb}", "--pose", f"pose:{pose}", "--mask", f"mask:{mask}", "--flow", "flow"]
    narrow = ["--modalities", "pose,mask,flow", "--iterations", "6", "--hold-out", "0"]
    assert (
        main(["train", str(folder), "--method", "pi-vad", *encoders, *narrow, *TINY, "--out", str(tmp_path / "run")])
        == 0
    )
    pose.unlink(), mask.unlink()
    shutil.rmtree(tmp_path / "run" / "features")
    capsys.readouterr()
    command = ["score", str(folder / names[-1]), "--model", str(tmp_path / "run"), "--out", str(tmp_path / "scores")]
    assert main([*command, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["videos"]
    assert all(0 <= snippet["score"] <= 1 for snippet in told["snippets"])
