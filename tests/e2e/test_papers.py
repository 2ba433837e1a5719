"""The papers' pipelines, as command files: each is run whole, on tiny networks and four videos of a second each."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from clips import scene
from places import ROOT
from published_weights import write_weights
from sentence_models import write_bert
from sounds import tones, write_film
from tiny_models import CUT, EXACT, SMALL, VIT, two, write
from vlm_models import write_blip

from wsvad.cli.main import main
from wsvad.features.store import feature_path, load
from wsvad.files import write_text

PAPERS = ROOT / "examples" / "papers"
QUICK = ["--iterations", "1", "--bags", "1", "--segments", "2", "--points", "1", "--hold-out", "0"]
SMALL_CLIPS = "licence: none\nwhy: as the paper's, at a few pixels\nresize: [40, 36]\ncrop: 32\n"
BODY = {"num_hidden_layers": 1, "num_attention_heads": 2}


def clip(width: int) -> Any:
    return tf.CLIPModel(tf.CLIPConfig(**two({**VIT, "projection_dim": width}, projection_dim=width)))


def vitpose() -> Any:
    body = {**BODY, "hidden_size": 768, "mlp_ratio": 1, "image_size": [32, 24], "patch_size": [8, 8]}
    backbone = tf.VitPoseBackboneConfig(**body, out_features=["stage1"])
    return tf.VitPoseForPoseEstimation(tf.VitPoseConfig(backbone_config=backbone))


def depth() -> Any:
    body = {**VIT, **BODY, "hidden_size": 384, "mlp_ratio": 1, "out_features": ["stage1"]}
    backbone = tf.Dinov2Config(**body, reshape_hidden_states=False)
    sizes = {"reassemble_hidden_size": 384, "neck_hidden_sizes": [8], "fusion_hidden_size": 8, "head_hidden_size": 4}
    config = tf.DepthAnythingConfig(backbone_config=backbone, patch_size=8, reassemble_factors=[1], **sizes)
    return tf.DepthAnythingForDepthEstimation(config)


def sam() -> Any:
    common = {"image_size": 64, "patch_size": 8}
    vision = {**common, **BODY, "hidden_size": 32, "mlp_dim": 32, "global_attn_indexes": [0], "num_pos_feats": 4}
    decoder = {"hidden_size": 8, "mlp_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = tf.SamConfig(
        vision_config=vision | {"output_channels": 256, "window_size": 4},
        prompt_encoder_config={**common, "hidden_size": 8, "mask_input_channels": 4},
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 8},
    )
    return tf.SamModel(config)


MODELS: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "openai/clip-vit-base-patch16": (lambda: clip(512), "CLIP", CUT),
    "openai/clip-vit-large-patch14": (lambda: clip(768), "CLIP", CUT),
    "usyd-community/vitpose-base-simple": (vitpose, "VitPose", {"size": {"height": 32, "width": 24}}),
    "depth-anything/Depth-Anything-V2-Small-hf": (depth, "DPT", {**EXACT, "ensure_multiple_of": 8}),
    "facebook/sam-vit-base": (sam, "Sam", {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network under each name that the recipes give, as wide as theirs."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for name, (model, processor, said) in MODELS.items():
        write(folder / name, model(), {"image_processor_type": f"{processor}ImageProcessor", **said})
    ast = folder / "MIT" / "ast-finetuned-audioset-10-10-0.4593"
    body = {**SMALL, "hidden_size": 768, "num_hidden_layers": 1, "max_length": 32, "num_mel_bins": 32}
    tf.ASTModel(tf.ASTConfig(**body)).save_pretrained(ast)
    tf.ASTFeatureExtractor(max_length=32, num_mel_bins=32).save_pretrained(ast)
    write_weights(folder / "raft-things.pth", "raft")
    write_weights(folder / "rgb_imagenet.pt", "i3d")
    write_weights(folder / "s3d-d76dad2f.pth", "s3d")
    (folder / "i3d-small.yaml").write_text(f"model: i3d:rgb_imagenet.pt\nwidth: 1024\ncrops: 10\n{SMALL_CLIPS}")
    (folder / "s3d-small.yaml").write_text(f"model: s3d:s3d-d76dad2f.pth\nwidth: 1024\nstream: s3d\n{SMALL_CLIPS}")
    (folder / "raft-small.yaml").write_text(
        "model: raft:raft-things.pth\nwidth: 256\nstream: flow\nlicence: none\nwhy: as the paper's, at few pixels\n"
        "output: state\nsize: [128, 128]\niterations: 1\n"
    )
    write_blip(folder / "captioner")
    write_bert(folder / "sentences")
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of a second."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    rows = ["video,label,category,split"]
    for number in range(4):
        frames = [scene(i, number % 2 == 1, rng) for i in range(20)]
        sound = tones((0, 1), pitch=300 + 200 * number)
        write_film(folder / f"{number}.mp4", sound, 1, picture_rate=20, draw=frames.__getitem__)
        rows.append(f"{number}.mp4,{number % 2},{('normal', 'dash')[number % 2]},{('train', 'test')[number // 2]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("video,category,start_frame,end_frame\n3.mp4,dash,4,16\n")
    return folder


SHIM = """#!/bin/sh
printf '%s\\0' "$WSVAD_MODELS" "$@" > "{0}/asking"
mv "{0}/asking" "{0}/asked"
until [ -e "{0}/answer" ]; do sleep 0.01; done
read -r status < "{0}/answer"
rm "{0}/answer"
exit "$status"
"""
"""`wsvad` for a command file: what it is asked is done in the test's own process, which has the libraries loaded."""


class Paper:
    """Runs a paper's command file."""

    def __init__(self, folder: Path, models: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        self.out, self._folder, self._monkeypatch, self._capsys = folder / "out", folder, monkeypatch, capsys
        self._variables = {"VIDEOS": str(videos), "MODELS": str(models), "OUT": str(self.out), "DEVICE": "cpu"}
        self.printed: dict[str, str] = {}
        """By verb."""
        (folder / "wsvad").write_text(SHIM.format(folder))
        (folder / "wsvad").chmod(0o755)

    def __call__(self, paper: str, *options: str, **variables: str) -> None:
        path = {"PATH": f"{self._folder}:{os.environ['PATH']}"}
        environment = os.environ | self._variables | {"SEEDS": "2"} | path | variables
        command = ["sh", str(PAPERS / f"{paper}.sh"), *QUICK, *options]
        asked = self._folder / "asked"
        with subprocess.Popen(command, env=environment, start_new_session=True) as shell:
            try:
                while shell.poll() is None:
                    if asked.exists():
                        models, verb, *words = asked.read_text().split("\0")[:-1]
                        asked.unlink()
                        status = self._do(models, verb, words)
                        write_text(self._folder / "answer", f"{status}\n")
                    time.sleep(0.01)
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
        assert shell.returncode == 0, self.printed

    def read(self, name: str) -> Any:
        """What the run says of itself."""
        return json.loads((self.out / "run" / f"{name}.json").read_text())

    @property
    def streams(self) -> dict[str, tuple[str, int]]:
        """Stream → the beginning of its encoder's name, and its width, by the run's passports."""
        passports = self.read("model")["passports"].items()
        return {name: (re.split(r"-|\.", one["encoder"])[0], one["width"]) for name, one in passports}

    def check_tables(self, method: str) -> None:
        """The table of all seeds, and that of the run."""
        metrics = self.read("metrics")
        assert (metrics["method"], metrics["seeds"]) == (method, [0, 1])
        assert all(isfinite(one["mean"]) for one in metrics["selection"]["last"].values())
        auc = metrics["selection"]["last"]["auc"]
        assert re.search(rf"Frame AUC +│ +{100 * auc['mean']:.2f} ± {100 * auc['std']:.2f} ", self.printed["fit"])
        *_, evaluated = re.findall(r"│ Frame AUC +│ auc +│ +([\d.]+) │", self.printed["evaluate"])
        assert 0 <= float(evaluated) <= 100
        assert not re.search(r"\bnan\b", self.printed["evaluate"])

    def _do(self, models: str, verb: str, words: list[str]) -> int:
        self._monkeypatch.setenv("WSVAD_MODELS", models)
        status = main([verb, *words, *(["--workers", "0"] if verb == "extract" else [])])
        said = self._capsys.readouterr()
        self.printed[verb] = said.out if status == 0 else said.err
        return status


@pytest.fixture
def paper(tmp_path: Path, models: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Paper:
    return Paper(tmp_path, models, videos, monkeypatch, capsys)


def test_pi_vad(paper: Paper, models: Path):
    light = ["--config.profile", "light", "--config.latent", "8", "--config.ur_dmu.hidden", "32"]
    own = {name: f"recipe:{models / f'{file}-small.yaml'}" for name, file in (("RGB", "i3d"), ("FLOW", "raft"))}
    paper("pi-vad", *light, "--config.ur_dmu.feed_forward", "32", **own, AUDIO="recipe:pi-vad-audio-ast")
    paper.check_tables("pi-vad")
    assert paper.streams == {
        "rgb": ("i3d:rgb_imagenet", 1024),
        "pose": ("hf:vitpose", 768),
        "depth": ("hf:depth_anything", 384),
        "mask": ("hf:sam", 256),
        "flow": ("raft:raft", 256),
        "text": ("hf:clip", 512),
        "audio": ("audio:ast", 768),
    }
    assert paper.read("model")["runs_on"] == ["rgb"]
    assert load(feature_path(paper.out / "features", "rgb", "0.mp4")).features.shape == (10, 2, 1024)


OFFICIAL = {
    "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n",
    "Anomaly_Test.txt": "Arson/Arson011_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n",
    "Temporal_Anomaly_Annotation_for_Testing_Videos.txt": "Arson011_x264.mp4  Arson  4  16  -1  -1\n"
    "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n",
}
"""Lists of UCF-Crime, as far as four videos go."""


@pytest.fixture
def published(videos: Path, tmp_path: Path) -> dict[str, str]:
    """Variables that name videos as they are published, below a folder, and lists that are somewhere else."""
    (tmp_path / "lists").mkdir()
    for name, text in OFFICIAL.items():
        (tmp_path / "lists" / name).write_text(text)
    names = [name for text in list(OFFICIAL.values())[:2] for name in text.split()]
    for name, number in zip(names, (1, 0, 3, 2), strict=True):
        (tmp_path / "published" / name).parent.mkdir(parents=True)
        (tmp_path / "published" / name).symlink_to(videos / f"{number}.mp4")
    return {"VIDEOS": f"{tmp_path}/published", "DATA": f"ucf-crime:{tmp_path}/lists"}


def test_pi_vad_on_official_lists_without_sound(paper: Paper, models: Path, published: dict[str, str]):
    (models / "flow.yaml").write_text("model: flow\nlicence: Apache-2.0\nwhy: it needs no weights")
    every = dict.fromkeys(("RGB", "POSE", "DEPTH", "MASK", "TEXT", "FLOW"), f"recipe:{models}/flow.yaml")
    paper("pi-vad", "--config.profile", "light", "--config.ur_dmu.hidden", "32", **every, **published)
    paper.check_tables("pi-vad")
    assert paper.streams == dict.fromkeys(("rgb", "pose", "depth", "mask", "flow", "text"), ("flow", 192))
    assert paper.read("metrics")["data"] == "ucf-crime"


def test_dakd(paper: Paper, models: Path):
    i3d, s3d = (f"recipe:{models / f'{name}-small.yaml'}" for name in ("i3d", "s3d"))
    paper("dakd", RGB=i3d, S3D=s3d)
    paper.check_tables("dakd")
    assert paper.streams == {"rgb": ("i3d:rgb_imagenet", 1024), "s3d": ("s3d:s3d", 1024), "clip": ("hf:clip", 512)}
    assert paper.read("model")["runs_on"] == ["clip"]


def test_refinevad(paper: Paper):
    paper("refinevad", SEGMENT="8")
    paper.check_tables("refinevad")
    assert paper.streams == {"rgb": ("hf:clip", 768), "text": ("sentence:sentences", 8)}
    assert paper.read("model")["config"]["categories"] == ["dash"]
    captions = [json.loads(line) for line in (paper.out / "captions.jsonl").read_text().splitlines()]
    assert [(one["video"], len(one["captions"])) for one in captions] == [(f"{number}.mp4", 3) for number in range(4)]
    assert "mAP at IoU 0.5" in paper.printed["evaluate"]


def test_refinevad_on_official_lists(paper: Paper, published: dict[str, str]):
    paper("refinevad", SEGMENT="8", **published)
    paper.check_tables("refinevad")
    assert paper.streams == {"rgb": ("hf:clip", 768), "text": ("sentence:sentences", 8)}
    assert paper.read("metrics")["data"] == "ucf-crime"


def test_a_detector_that_was_trained_by_a_recipe_scores_from_anywhere(
    models: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WSVAD_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(
        "model: hf:openai/clip-vit-base-patch16\nlicence: none\nwhy: a frame is enough\nframes: 1\npooling: mean"
    )
    train = ["train", str(videos), "--method", "mil", "--rgb", "recipe:own.yaml", "--workers", "0", "--out", "run"]
    assert main([*train, *QUICK]) == 0
    clip = models / "openai" / "clip-vit-base-patch16"
    record = json.loads((tmp_path / "run" / "model.json").read_text())
    assert record["encoders"] == {"rgb": f"recipe:{tmp_path / 'own.yaml'}:{clip}"}
    assert record["passports"]["rgb"]["settings"]["frames"] == 1
    monkeypatch.delenv("WSVAD_MODELS")
    monkeypatch.chdir(videos)
    score = ["score", "3.mp4", "--model", str(tmp_path / "run"), "--out", str(tmp_path / "scores")]
    assert main([*score, "--json"]) == 0
    capsys.readouterr()
    (tmp_path / "own.yaml").write_text((tmp_path / "own.yaml").read_text().replace("frames: 1", "frames: 2"))
    assert main([*score[:-1], str(tmp_path / "again")]) == 1
    assert "settings.frames: " in capsys.readouterr().err
