"""`audio`: networks that embed sound, against the same in NumPy, and the real ones beside the project."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from places import SHARED
from published_weights import random_network
from safetensors.torch import save_file
from sounds import tones, write_film

from wsvad.cli.main import main
from wsvad.encoders import build
from wsvad.encoders.audio import Audio
from wsvad.encoders.encoder import Hearing
from wsvad.encoders.networks import published, vggish
from wsvad.errors import UsageError, WsvadError
from wsvad.features.store import feature_path, load

REAL = SHARED / "models" / "audio_embedding.onnx"
WAVE = np.random.default_rng(0).uniform(-1, 1, 1600).astype(np.float32)


def save(path: Path, nodes: list, given: list, found: list, **constants: np.ndarray) -> Path:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "sound",
        [info("x", TensorProto.FLOAT, given)],
        [info(name, TensorProto.FLOAT, shape) for name, shape in found],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_waveform(path: Path, given: list = [1, 1600]) -> Path:  # noqa: B006
    """A network that gives four parts of 400 samples each their mean and their mean square."""
    nodes = [
        ("Reshape", ["x", "parts"], ["p"]),
        ("Mul", ["p", "p"], ["q"]),
        ("ReduceMean", ["p"], ["m"], {"axes": [2], "keepdims": 1}),
        ("ReduceMean", ["q"], ["s"], {"axes": [2], "keepdims": 1}),
        ("Concat", ["m", "s"], ["moments"], {"axis": 2}),
    ]
    return save(path, nodes, given, [("moments", [1, 4, 2])], parts=np.array([1, 4, 400]))


def write_pair(folder: Path) -> Path:
    """A "spectrogram" of 100 samples a frame in four bands, and a network that sums windows of 5 frames by band."""
    mel = [
        ("Reshape", ["x", "frames"], ["f"]),
        ("ReduceMean", ["f"], ["mel"], {"axes": [3], "keepdims": 0}),
    ]
    save(folder / "mel.onnx", mel, [1, "n"], [("mel", [1, "t", 4])], frames=np.array([1, -1, 4, 25]))
    embedding = [("ReduceSum", ["x", "axis"], ["e"], {"keepdims": 0})]
    nodes = [*embedding, ("Reshape", ["e", "flat"], ["vector"])]
    return save(
        folder / "net.onnx", nodes, ["n", 5, 4, 1], [("vector", ["n", 4])], axis=np.array([1]), flat=np.array([-1, 4])
    )


def write_ast(folder: Path) -> Path:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ASTModel(ASTConfig(max_length=32, num_mel_bins=32, **small)).save_pretrained(folder)
    ASTFeatureExtractor(max_length=32, num_mel_bins=32).save_pretrained(folder)
    return folder


def audio(path: Path, **settings: object) -> Audio:
    if settings:
        path.with_name(path.name + ".yaml").write_text(json.dumps(settings))
    return Audio(path)


def test_the_vectors_of_all_moments_are_averaged(tmp_path: Path):
    network = audio(write_waveform(tmp_path / "net.onnx"))
    parts = WAVE.reshape(4, 400)
    expected = [parts.mean(1).mean(), (parts**2).mean(1).mean()]
    np.testing.assert_allclose(network.encode_sound([WAVE])[0], expected, rtol=1e-5)
    assert (network.hearing.rate, network.hearing.seconds, network.width) == (16_000, 0.1, 2)
    assert network.encode_sound([]).shape == (0, 2)


def test_samples_are_scaled_and_the_rate_is_set(tmp_path: Path):
    network = audio(write_waveform(tmp_path / "net.onnx", ["n"]), rate=8000, seconds=0.2, scale=10.0)
    assert (network.hearing.rate, network.hearing.seconds) == (8000, 0.2)
    np.testing.assert_allclose(network.encode_sound([WAVE])[0], [10 * WAVE.mean(), 100 * (WAVE**2).mean()], rtol=1e-4)


def test_windows_of_a_spectrogram(tmp_path: Path):
    path = write_pair(tmp_path)
    network = audio(path, melspectrogram="mel.onnx", seconds=0.1, hop=3, mel_scale=2.0, mel_offset=1.0)
    mel = 2 * WAVE.reshape(16, 4, 25).mean(2) + 1
    expected = np.mean([mel[start : start + 5].sum(0) for start in (0, 3, 6, 9)], axis=0)
    np.testing.assert_allclose(network.encode_sound([WAVE])[0], expected, rtol=1e-5)
    inside = audio(path, melspectrogram="mel.onnx", seconds=0.1, hop=3, mel_scale=2.0, mel_offset=1.0, output="e")
    assert inside.width == 1 and inside.passport() != network.passport()  # sums of four bands, one number each
    np.testing.assert_allclose(inside.encode_sound([WAVE])[0], np.mean(expected), rtol=1e-5)


def test_an_audio_spectrogram_transformer(tmp_path: Path):
    from transformers import ASTFeatureExtractor, ASTModel

    network = audio(write_ast(tmp_path / "ast"))
    wave = np.random.default_rng(1).uniform(-1, 1, 5120).astype(np.float32)
    given = ASTFeatureExtractor.from_pretrained(tmp_path / "ast")(wave, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = ASTModel.from_pretrained(tmp_path / "ast").eval()(**given).pooler_output.numpy()
    np.testing.assert_allclose(network.encode_sound([wave]), expected, rtol=1e-5, atol=1e-6)
    assert (network.hearing.rate, network.hearing.seconds, network.width) == (16_000, 0.32, 8)


@pytest.mark.parametrize("kind", ["waveform", "pair", "ast"])
def test_what_every_encoder_promises(tmp_path: Path, kind: str):
    if kind == "waveform":
        network = audio(write_waveform(tmp_path / "net.onnx"))
    elif kind == "pair":
        network = audio(write_pair(tmp_path), melspectrogram="mel.onnx", seconds=0.1)
    else:
        network = audio(write_ast(tmp_path / "ast"))
    rng = np.random.default_rng(0)
    length = round(network.hearing.rate * network.hearing.seconds)
    waves = [rng.uniform(-1, 1, length).astype(np.float32) for _ in range(4)] + [np.zeros(length, np.float32)]
    rows = network.encode_sound(waves)
    assert rows.shape == (5, network.width) and rows.dtype == np.float32 and np.isfinite(rows).all()
    np.testing.assert_array_equal(rows[::-1], np.concatenate([network.encode_sound([wave]) for wave in waves[::-1]]))
    passport = network.passport()
    assert set(passport) == {"encoder", "width", "weights", "settings"} and "/" not in str(passport["encoder"])
    assert json.loads(json.dumps(passport)) == passport


def test_the_passport_follows_all_that_changes_a_number(tmp_path: Path):
    settings = {"melspectrogram": "mel.onnx", "seconds": 0.1}
    path = write_pair(tmp_path)
    made = audio(path, **settings).passport()
    for more in ({"scale": 2.0}, {"hop": 2}, {"mel_scale": 0.5}, {"mel_offset": 1.0}, {"rate": 20_000}):
        assert audio(path, **settings | more).passport()["settings"] != made["settings"]
    save(path.parent / "mel.onnx", [("Reshape", ["x", "s"], ["mel"])], [1, "n"], [("mel", [1, "t", 4])], s=[1, -1, 4])
    assert audio(path, **settings).passport()["weights"] != made["weights"]
    other = write_pair(tmp_path / "other")
    assert audio(other, **settings).passport() == made


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "there is no such file; nothing is downloaded"),
        (lambda path: path.write_bytes(b"no"), "not a network in ONNX format"),
        (lambda path: write_waveform(path, [1, 3, 1600]), r"its input \[1, 3, 1600\] is no waveform"),
        (lambda path: write_waveform(path, ["a", "b", "c", "d"]), "is no waveform"),
        (lambda path: audio(path, seconds=1.0), "it reads 1,600 samples, but its YAML file asks for 1 s at 16,000"),
        (lambda path: audio(path, output="x"), "no output 'x'; its outputs are: moments"),
        (lambda path: audio(path, melspectrogram="mel.onnx"), "mel.onnx: there is no such file"),
        (lambda path: audio(path, pooling="max"), "the fields are: rate, seconds"),
        (lambda path: audio(path, rate=3), "rate is 3 instead of from 1000 to 200000"),
    ],
)
def test_what_does_not_embed_sound_is_one_line(tmp_path: Path, spoil, told: str):
    path = write_waveform(tmp_path / "net.onnx")
    with pytest.raises(WsvadError, match=told) as caught:
        spoil(path)
        Audio(path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_spectrogram_that_is_too_short_or_other(tmp_path: Path):
    path = write_pair(tmp_path)
    with pytest.raises(WsvadError, match=r"reads 5 frames of 4 bands, and 0\.025 s of sound give 4 of 4"):
        audio(path, melspectrogram="mel.onnx", seconds=0.025)
    with pytest.raises(WsvadError, match="is no spectrogram"):
        audio(write_waveform(path), melspectrogram="mel.onnx", seconds=0.1)


def test_folders_that_are_no_model_of_sound(tmp_path: Path):
    folder = write_ast(tmp_path / "ast")
    said = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(said | {"max_length": 64}))
    with pytest.raises(WsvadError, match=r"says 64 frames of 32 bands, its config\.json 32 of 32"):
        Audio(folder)
    shutil.copytree(folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(WsvadError, match="its only weights are"):
        Audio(tmp_path / "pickled")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WsvadError, match=r"it has no config\.json"):
        Audio(tmp_path / "empty")


def test_the_published_vggish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The network of one example, whose log-mel spectrogram it makes itself. (Its weights are 288 MB.)"""
    network = random_network("vggish")
    monkeypatch.setattr(published, "load", lambda build, path, schemes: (network, schemes[0]))
    (tmp_path / "vggish.pth").write_bytes(b"weights")
    vggish_ = Audio(tmp_path / "vggish.pth")
    assert (vggish_.hearing, vggish_.width) == (Hearing(rate=16_000, seconds=0.975), 128)
    wave = np.random.default_rng(0).uniform(-1, 1, 15_600).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(vggish.log_mel(wave))[None, None])
    assert len(vggish.log_mel(wave)) == 96
    np.testing.assert_allclose(vggish_.encode_sound([wave]), expected, rtol=1e-5, atol=1e-6)
    assert vggish_.passport()["settings"]["network"] == "vggish"


def test_weights_of_another_network(tmp_path: Path):
    save_file({"features.0.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(WsvadError, match="not the weights of VGGish"):
        Audio(tmp_path / "other.safetensors")


def test_sound_has_a_stream_of_its_own(tmp_path: Path):
    path = write_waveform(tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="one encoder reads sound and another video; give each its own stream"):
        build(f"motion+audio:{path}")
    assert len(build(f"audio:{path}")) == 1


def test_a_stream_of_sound_beside_one_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Loud from 1 to 2.5 s; of the second video nothing is heard."""
    network = write_waveform(tmp_path / "net.onnx")
    (tmp_path / "videos").mkdir()
    write_film(tmp_path / "videos" / "loud.mp4", tones((1.0, 2.5)), 4)
    write_film(tmp_path / "videos" / "mute.mp4", None, 2)
    streams = ["--rgb", "motion", "--stream", f"audio=audio:{network}"]
    command = ["extract", str(tmp_path / "videos"), *streams, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert told.count("has no sound") == 1 and "mute.mp4: has no sound; its audio features are those of silence" in told
    heard = load(feature_path(tmp_path / "out", "audio", "loud.mp4"))
    seen = load(feature_path(tmp_path / "out", "rgb", "loud.mp4"))
    np.testing.assert_array_equal(heard.times, seen.times)
    middles = np.arange(7) * 0.64 + 0.32
    inside = (middles > 1.06) & (middles < 2.44)
    np.testing.assert_allclose(heard.features[inside, 1], 0.125, atol=0.01)
    assert heard.features[~inside, 1].max() < 0.1 and heard.passport.encoder == "audio:net.onnx"
    assert not load(feature_path(tmp_path / "out", "audio", "mute.mp4")).features.any()


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the real networks are not beside the project")
def test_real_networks_tell_sounds_apart(tmp_path: Path):
    for name in ("audio_embedding.onnx", "audio_melspectrogram.onnx"):
        shutil.copy(SHARED / "models" / name, tmp_path)
    network = audio(
        tmp_path / "audio_embedding.onnx",
        melspectrogram="audio_melspectrogram.onnx",
        **{"scale": 32767.0, "mel_scale": 0.1, "mel_offset": 2.0},
    )
    assert network.width == 96
    moments = np.arange(round(16_000 * network.hearing.seconds)) / 16_000
    rng = np.random.default_rng(0)
    hiss = [rng.normal(0, 0.2, len(moments)).astype(np.float32) for _ in range(2)]
    tone = [(0.5 * np.sin(2 * np.pi * pitch * moments)).astype(np.float32) for pitch in (300, 310)]
    one, two, low, lower = network.encode_sound([*hiss, *tone])
    assert np.linalg.norm(one - two) < 0.5 * np.linalg.norm(one - low)
    assert np.linalg.norm(low - lower) < 0.5 * np.linalg.norm(one - low)
