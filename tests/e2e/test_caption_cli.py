"""From raw videos to RefineVAD's two streams: captions by a tiny model, sentences by another, and a detector."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from sentence_models import write_onnx_model
from vlm_models import WORDS, write_blip, write_llava

from wsvad.cli.main import main
from wsvad.encoders.captioner import QUESTION, Captioner
from wsvad.encoders.captions_file import read_captions
from wsvad.features.store import feature_path, load
from wsvad.video.reader import VideoReader

without_torchvision = pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blip(tmp_path_factory.mktemp("models") / "blip")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "cams"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        images = [scene(index, number % 2 == 1, rng) for index in range(70)]
        write_clip(folder / f"cam-{number}.mp4", images, rate=20)
    rows = [f"cam-{number}.mp4,{number % 2},{('normal', 'fight')[number % 2]}" for number in range(4)]
    (folder / "labels.csv").write_text("\n".join(["video,label,category", *rows]) + "\n")
    return folder


def test_videos_become_a_detector_of_both_streams(videos: Path, blip: Path, tmp_path: Path, capsys):
    captions = tmp_path / "captions.jsonl"
    command = ["caption", str(videos), "--model", f"hf:{blip}", "--segment", "1s", "--tokens", "4", "--out"]
    assert main([*command, str(captions)]) == 0
    assert f"captions in {captions}: 4 videos described now, 0 before" in capsys.readouterr().err
    found = read_captions(captions)
    assert {name: (len(each.captions), each.frames, each.stride) for name, each in found.items()} == {
        f"cam-{number}.mp4": (4, 70, 20) for number in range(4)
    }
    assert all(set(text.split()) <= set(WORDS) and text for each in found.values() for text in each.captions)
    assert len({text for each in found.values() for text in each.captions}) > 2  # it looks at the pictures
    assert main([*command, str(captions)]) == 0
    assert ": 0 videos described now, 4 before" in capsys.readouterr().err

    model = write_onnx_model(tmp_path / "words")
    streams = ["--rgb", "motion", "--text", f"sentence:{model}:{captions}"]
    fit = ["--seeds", "1", "--iterations", "3", "--bags", "2", "--segments", "4", "--points", "1", "--hold-out", "0"]
    run = tmp_path / "run"
    both = ["--config.streams", "rgb,text"]
    train = ["train", str(videos), "--method", "refinevad", *both, *streams, *fit, "--out", str(run), "--workers", "0"]
    assert main(train) == 0
    said = json.loads((run / "model.json").read_text())
    assert said["runs_on"] == ["rgb", "text"]
    text = load(feature_path(run / "features", "text", "cam-1.mp4"))
    assert text.features.shape == (5, 6) and text.passport.stride == 16  # 70 frames
    made = text.passport.settings["captions"]
    assert made["model"] == "blip" and made["segment"] == "1s" and made["prompt"] == ""


def test_captions_of_videos_without_labels_become_features_but_nothing_is_fitted_to_them(tmp_path: Path, capsys):
    folder, captions = tmp_path / "cams", tmp_path / "captions.jsonl"
    (folder / "normal").mkdir(parents=True)
    for name in ("normal/a.mp4", "b.mp4"):
        write_clip(folder / name, 40, rate=20)
    lines = [{"video": name, "captions": ["a man", "a dog"], "frames": 40} for name in ("normal/a.mp4", "b.mp4")]
    captions.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "features"
    command = ["extract", str(folder), "--workers", "0", "--out", str(out), "--rgb", "motion", "--text"]
    assert main([*command, f"sentence:{write_onnx_model(tmp_path / 'words')}:{captions}"]) == 0
    for name in ("normal/a.mp4", "b.mp4"):
        rgb, text = (load(feature_path(out, stream, name)).features for stream in ("rgb", "text"))
        assert len(rgb) == len(text) == 3
        # The middles of the snippets are frames 8, 24 and 36; the second caption begins with frame 20.
        assert not np.array_equal(text[0], text[1]) and np.array_equal(text[1], text[2])
    capsys.readouterr()
    assert main([*command, f"lsa:{captions}"]) == 1
    assert "lsa learns from the captions of training videos" in capsys.readouterr().err


def test_a_model_that_is_talked_to_sees_several_pictures(tmp_path: Path, videos: Path):
    llava = write_llava(tmp_path / "llava")
    with VideoReader(videos / "cam-1.mp4") as video:
        pictures = [frame.array() for frame, _ in zip(video, range(3), strict=False)]
    asked = Captioner(str(llava), frames=3, tokens=5)
    assert asked.prompt == QUESTION
    said = asked.describe(pictures)
    assert said == Captioner(str(llava), frames=3, tokens=5).describe(pictures)
    assert "<image>" not in said and "Describe" not in said
    others = [
        Captioner(str(llava), frames=3, tokens=5, prompt="what happens"),
        Captioner(str(llava), frames=2, tokens=5),
    ]
    passports = [captioner.passport() for captioner in (asked, *others)]
    assert len({json.dumps(passport) for passport in passports}) == 3
    assert len({passport["weights"] for passport in passports}) == 1


def test_a_prompt_is_how_captions_begin(blip: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "captions.jsonl"
    command = ["caption", str(videos / "cam-0.mp4"), "--model", f"hf:{blip}", "--prompt", "a man", "--out", str(out)]
    assert main(command) == 0
    (each,) = read_captions(out).values()
    assert all("man" in text.split()[:2] for text in each.captions)


def no_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def of_videos(folder: Path) -> None:
    path = folder / "processor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"processor_class": "Qwen2VLProcessor"}))


def without_words(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_folder, "there is no such folder"),
        (pickled, "its only weights are pytorch_model.bin, a format that can run code"),
        (truncated, "model.safetensors: truncated or damaged"),
        pytest.param(of_videos, "needs torchvision; pip install", marks=without_torchvision),
        (without_words, "transformers refuses what stands beside the model"),
    ],
)
def test_models_that_cannot_caption(videos: Path, tmp_path: Path, capsys, spoil, told: str):
    folder = write_blip(tmp_path / "blip")
    spoil(folder)
    capsys.readouterr()  # of the library, which has written the model
    command = ["caption", str(videos), "--model", f"hf:{folder}", "--out", str(tmp_path / "captions.jsonl")]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said and said.count("\n") == 1
    assert not (tmp_path / "captions.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "models/blip"], "write hf:FOLDER"),
        (["--model", "hf:"], "write hf:FOLDER"),
        (["--model", "hf:{blip}", "--frames", "4"], "this model reads one picture at a time"),
        (["--model", "hf:{blip}", "--segment", "five"], "write seconds, as in 5s, or frames, as in 80"),
        (["--model", "hf:{blip}", "--device", "tpu"], "not a device of this machine"),
    ],
)
def test_wrong_commands(videos: Path, blip: Path, tmp_path: Path, capsys, options: list[str], told: str):
    options = [option.format(blip=blip) for option in options]
    assert main(["caption", str(videos), *options, "--out", str(tmp_path / "captions.jsonl")]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_captions_that_miss_a_video(videos: Path, tmp_path: Path, capsys):
    (tmp_path / "c.jsonl").write_text(json.dumps({"video": "cam-0.mp4", "captions": ["a man"]}))
    model = write_onnx_model(tmp_path / "words")
    command = ["extract", str(videos), "--text", f"sentence:{model}:{tmp_path}/c.jsonl", "--out", str(tmp_path / "out")]
    assert main([*command, "--workers", "0"]) == 1
    assert "3 of 4 videos have no captions, the first is cam-1.mp4" in capsys.readouterr().err
