"""ONNX and TensorFlow Lite networks as encoders, against numpy."""

import importlib
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from places import SHARED
from small_networks import WEIGHTS, tflite_network

from wsvad.encoders import image_network
from wsvad.encoders.network import IMAGENET, Onnx, TfLite
from wsvad.errors import WsvadError
from wsvad.files import sha256

MOBILENET = SHARED / "models" / "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
real = [
    pytest.mark.real,
    pytest.mark.skipif(not MOBILENET.exists(), reason="the real networks are not beside the project"),
]
FLOAT, UINT8, INT8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8


def network(path: Path, shape: list, *, kind: int = FLOAT, pooled: bool = False, outputs: tuple = ("map",)) -> Path:
    """Each pixel's channels times `WEIGHTS`: a map of 5 features, by a convolution or, channels last, a product."""
    first = shape[1] == 3
    nodes = [helper.make_node("Cast", ["image"], ["x"], to=FLOAT)]
    if first:
        nodes.append(helper.make_node("Conv", ["x", "w"], ["map"]))
        weights = WEIGHTS[:, :, None, None]
    else:
        nodes.append(helper.make_node("MatMul", ["x", "w"], ["map"]))
        weights = WEIGHTS.T
    nodes.append(helper.make_node("GlobalMaxPool" if first else "Identity", ["map"], ["vector"]))
    nodes.append(helper.make_node("ArgMax", ["map"], ["classes"], axis=1 if first else 3, keepdims=0))
    types = {"map": (FLOAT, 4), "vector": (FLOAT, 4), "classes": (TensorProto.INT64, 3)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, types[name][0], [None] * types[name][1]) for name in outputs],
        [numpy_helper.from_array(np.ascontiguousarray(weights), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def snippet(seed: int = 0, size: tuple[int, int] = (6, 4), frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(frames, size[1], size[0], 3), dtype=np.uint8)


def expected(pixels: np.ndarray) -> np.ndarray:
    """Mean over space, then mean and std over frames, of numbers `(frames, h, w, 3)`."""
    vectors = (pixels @ WEIGHTS.T.astype(np.float64)).mean((1, 2))
    return np.concatenate([vectors.mean(0), vectors.std(0)])


@pytest.mark.parametrize("batch", [1, 3, "N", None])
def test_channels_first_float_is_normalised_as_in_pytorch_at_any_batch(tmp_path: Path, batch):
    encoder = Onnx(network(tmp_path / "a.onnx", [batch, 3, 4, 6]))
    assert encoder.width == 10
    assert (encoder.sampling.size, encoder.sampling.count, encoder.sampling.colour) == ((6, 4), 4, "rgb")
    snippets = [snippet(seed) for seed in range(6)]
    mean, std = np.array(IMAGENET)
    wanted = [expected((pixels / 255 - mean) / std) for pixels in snippets]
    np.testing.assert_allclose(encoder.encode(snippets), wanted, rtol=1e-3, atol=1e-4)


def test_channels_last_float_is_scaled_to_one_around_zero(tmp_path: Path):
    encoder = Onnx(network(tmp_path / "a.onnx", ["N", 4, 6, 3]))
    np.testing.assert_allclose(encoder.encode([snippet()])[0], expected(snippet() / 127.5 - 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "shift"), [(UINT8, 0), (INT8, 128)])
def test_integer_input_gets_the_pixels(tmp_path: Path, kind: int, shift: int):
    encoder = Onnx(network(tmp_path / "a.onnx", [1, 4, 6, 3], kind=kind))
    wanted = expected(snippet().astype(float) - shift)
    np.testing.assert_allclose(encoder.encode([snippet()])[0], wanted, rtol=1e-3)


def test_the_yaml_file_beside_it_decides(tmp_path: Path):
    path = network(tmp_path / "a.onnx", ["N", 3, None, None], outputs=("vector", "map"))
    settings = {
        "size": [8, 5],
        "colour": "bgr",
        "scale": 1.0,
        "mean": [10.0, 20.0, 30.0],
        "std": 2.0,
        "output": "map",
        "pooling": "mean",
        "frames": 2,
    }
    path.with_name("a.onnx.yaml").write_text(yaml.safe_dump(settings))
    encoder = Onnx(path)
    assert encoder.sampling.size == (8, 5) and encoder.sampling.count == 2 and encoder.width == 5
    pixels = snippet(size=(8, 5), frames=2)
    wanted = expected((pixels[..., ::-1].astype(float) - [10, 20, 30]) / 2)[:5]
    np.testing.assert_allclose(encoder.encode([pixels])[0], wanted, rtol=1e-3)
    noted = encoder.passport()["settings"]
    assert isinstance(noted, dict) and noted["mean"] == [10, 20, 30] and noted["colour"] == "bgr"


def test_a_map_can_be_kept_whole(tmp_path: Path):
    path = network(tmp_path / "a.onnx", [1, 4, 6, 3])
    path.with_name("a.onnx.yaml").write_text("space: flatten\nframes: 1\npooling: mean\nmean: 0\nstd: 1\nscale: 1")
    encoder = Onnx(path)
    pixels = snippet(frames=1)
    np.testing.assert_allclose(encoder.encode([pixels])[0], (pixels[0] @ WEIGHTS.T).ravel(), rtol=1e-3, atol=1e-2)


def test_one_channel_is_grey(tmp_path: Path):
    weights = numpy_helper.from_array(np.full((1, 2), 0.5, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["image", "w"], ["map"])],
        "grey",
        [helper.make_tensor_value_info("image", FLOAT, [1, 4, 6, 1])],
        [helper.make_tensor_value_info("map", FLOAT, [1, 4, 6, 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "grey.onnx")
    encoder = Onnx(tmp_path / "grey.onnx")
    pixels = snippet()[..., 0]
    vectors = (0.5 * (pixels / 127.5 - 1)).mean((1, 2))
    assert encoder.sampling.colour == "gray"
    wanted = np.repeat([vectors.mean(), vectors.std()], 2)
    np.testing.assert_allclose(encoder.encode([pixels])[0], wanted, atol=1e-5)


def test_the_passport_names_file_and_weights_without_folders(tmp_path: Path):
    path = network(tmp_path / "a.onnx", [1, 3, 4, 6])
    passport = Onnx(path).passport()
    assert passport["encoder"] == "onnx:a.onnx" and passport["weights"] == sha256(path) and passport["width"] == 10
    assert str(tmp_path) not in json.dumps(passport)


def test_the_name_is_what_the_user_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    network(tmp_path / "a.onnx", [1, 3, 4, 6])
    assert Onnx("./a.onnx").name == "onnx:./a.onnx"


@pytest.mark.parametrize("kind", [Onnx, TfLite])
def test_files_that_are_not_there_or_no_networks(tmp_path: Path, kind: type):
    with pytest.raises(WsvadError, match="no such file"):
        kind(tmp_path / "missing")
    (tmp_path / "text").write_text("this is no network")
    with pytest.raises(WsvadError, match=r"text: not a network in (ONNX|TensorFlow Lite) format") as caught:
        kind(tmp_path / "text")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "outputs", "told"),
    [
        ([1, 7, 4, 9], ("map",), "neither 1 nor 3 channels"),
        ([1, 3, 4, 6], ("classes",), "class numbers"),
    ],
)
def test_networks_that_are_no_image_encoders(tmp_path: Path, shape: list, outputs: tuple, told: str):
    path = tmp_path / "a.onnx"
    if shape[1] == 3:
        network(path, shape, outputs=outputs)
    else:
        identity(path, shape)
    with pytest.raises(WsvadError, match=told):
        Onnx(path)


def test_input_that_is_not_an_image(tmp_path: Path):
    identity(tmp_path / "a.onnx", [1, 10])
    with pytest.raises(WsvadError, match="not one image"):
        Onnx(tmp_path / "a.onnx")


def identity(path: Path, shape: list) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "net", [info("x", FLOAT, shape)], [info("y", FLOAT, shape)]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


BOMB = "".join(f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in pairwise("bcdefghij"))
"""Two hundred bytes that stand for gigabytes."""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour: green", "colour"),
        ("speling: 3", "the fields are: size, colour"),
        ("frames: 0", "frames is 0 instead of from 1 to 16"),
        ("frames: 1000000000", "frames is 1000000000 instead of from 1 to 16"),
        ("frames: 2.5", "frames is 2.5 instead of a whole number"),
        ("std: 0", "std is 0 instead of from -100000 to 100000, and not 0"),
        ("std: [1, 1, 1.0e-300]", "std is [1, 1, 1e-300] instead of"),
        ("scale: .nan", "scale is nan instead of a number"),
        ("mean: .inf", "mean is inf instead of a number"),
        ("mean: 1e308", "mean is 1e+308 instead of from -100000 to 100000"),
        ("mean: 2020-01-01", "mean is datetime.date(2020, 1, 1) instead of a number"),
        ("scale: " + "9" * 5000, "a.onnx.yaml: a number of 5,000 characters"),
        ("a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\n" + BOMB, "more values than a setting has"),
        ("a: &a [*a]", "more values than a setting has"),
        ("[" * 1000, "a.onnx.yaml: "),
        ("__path__: x", "'__path__' is not known"),
        ("__default_config__: x", "'__default_config__' is not known"),
        ("class_path: os.system\ninit_args: {}", "'class_path' is not known"),
        ("x: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "a.onnx.yaml: "),
        ("? {a: b}\n: 3", "a.onnx.yaml: "),
        ("1: 3", "'1' is not known"),
        ("size: 224", "size is 224 instead of a list of 2"),
        ("size: [0, 4]", "size.0 is 0 instead of at least 1"),
        ("output: [x]", "output is ['x'] instead of text"),
        ("colour: [rgb]", "colour is ['rgb'] instead of rgb or bgr"),
        ("#" * 2**14 + "\nframes: 1", "not a file of at most 16,384 bytes"),
        ("\0", "a.onnx.yaml: "),
        ("mean: [1.0, 2.0]", "one number or 3"),
        ("size: [9, 9]", "6x4"),
        ("output: nothing", "its outputs are: map"),
        ("[1, 2", "a.onnx.yaml"),
        ("- 1", "a.onnx.yaml"),
    ],
)
def test_a_wrong_yaml_file_is_one_line(tmp_path: Path, text: str, told: str):
    path = network(tmp_path / "a.onnx", [1, 3, 4, 6])
    path.with_name("a.onnx.yaml").write_text(text)
    with pytest.raises(WsvadError) as caught:
        Onnx(path)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name), lambda path: path.write_bytes(b"\xfc")]
)
def test_what_is_no_yaml_file_is_one_line(tmp_path: Path, make):
    path = network(tmp_path / "a.onnx", [1, 3, 4, 6])
    make(path.with_name("a.onnx.yaml"))
    with pytest.raises(WsvadError, match=r"a\.onnx\.yaml: not ") as caught:
        Onnx(path)
    assert "\n" not in str(caught.value)


def test_numbers_of_a_yaml_file_may_be_written_with_an_exponent(tmp_path: Path):
    path = network(tmp_path / "a.onnx", [1, 3, 4, 6])
    path.with_name("a.onnx.yaml").write_text("scale: 1e-3\nmean: [1E2, 1, 2.5e1]\nstd: -1e0")
    wanted = expected(-(snippet() / 1000 - [100, 1, 25]))
    np.testing.assert_allclose(Onnx(path).encode([snippet()])[0], wanted, rtol=1e-3)


@pytest.mark.parametrize(
    "shape", [[1, 3, 100_000, 100_000], [1, 100_000, 100_000, 3], [1_000_000, 3, 100, 100], [2**40, 3, 2**40, 2**40]]
)
def test_an_input_that_no_memory_holds_is_refused(tmp_path: Path, shape: list):
    with pytest.raises(WsvadError, match=rf"a\.onnx: its input is {'x'.join(map(str, shape))}, more than 33,554,432"):
        Onnx(network(tmp_path / "a.onnx", shape))
    with pytest.raises(WsvadError, match=r"b\.tflite: its input is 1x30000x30000x3, more than 33,554,432"):
        (tmp_path / "b.tflite").write_bytes(tflite_network((1, 30_000, 30_000, 3)))
        TfLite(tmp_path / "b.tflite")


def test_a_size_that_no_memory_holds_is_refused(tmp_path: Path):
    path = network(tmp_path / "a.onnx", [1, 3, None, None])
    path.with_name("a.onnx.yaml").write_text("size: [100000, 100000]")
    with pytest.raises(WsvadError, match=r"a\.onnx: a 'size:' of 100000x100000 in its YAML file is too large"):
        Onnx(path)


def test_an_output_that_nothing_computes_is_told(tmp_path):
    (tmp_path / "a.tflite").write_bytes(tflite_network(output=4))
    with pytest.raises(WsvadError, match=r"a\.tflite: does not run on \[1, 4, 6, 3\]"):
        TfLite(tmp_path / "a.tflite")


def test_tensorflow_lite_gives_the_same_as_onnx(tmp_path: Path):
    (tmp_path / "a.tflite").write_bytes(tflite_network())
    encoder = TfLite(tmp_path / "a.tflite")
    assert encoder.width == 10
    np.testing.assert_allclose(encoder.encode([snippet()])[0], expected(snippet() / 127.5 - 1), rtol=1e-3, atol=1e-4)


def test_large_frames_go_through_a_free_batch_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_network, "MOST_NUMBERS", 6 * 4 * 3 * 2 + 1)
    encoder = Onnx(network(tmp_path / "a.onnx", ["N", 3, 4, 6]))
    seen = []
    run = encoder.network._file.run
    monkeypatch.setattr(
        encoder.network._file, "run", lambda feeds, name: seen.append(len(feeds["image"])) or run(feeds, name)
    )
    mean, std = np.array(IMAGENET)
    wanted = expected((snippet(frames=5) / 255 - mean) / std)
    np.testing.assert_allclose(encoder.encode([snippet(frames=5)])[0], wanted, rtol=1e-3, atol=1e-4)
    assert seen == [2, 2, 1]


def test_an_empty_yaml_file_says_nothing(tmp_path: Path):
    path = network(tmp_path / "a.onnx", [1, 3, 4, 6])
    path.with_name("a.onnx.yaml").write_text("# nothing yet\n")
    assert Onnx(path).width == 10


@pytest.mark.parametrize(
    ("kind", "module", "extra"), [(Onnx, "onnxruntime", "onnx"), (TfLite, "ai_edge_litert", "litert")]
)
def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch, kind: type, module: str, extra: str):
    (tmp_path / "net").write_bytes(b"x")
    imported = importlib.import_module

    def missing(name: str, *rest):
        if name.split(".")[0] == module:
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(WsvadError, match=rf"pip install 'wsvad\[{extra}\]'"):
        kind(tmp_path / "net")


class TestReal:
    pytestmark = real

    def test_mobilenet_is_dequantised_and_pooled(self):
        from ai_edge_litert.interpreter import Interpreter

        frames = np.random.default_rng(0).integers(0, 256, size=(4, 224, 224, 3), dtype=np.uint8)
        interpreter = Interpreter(str(MOBILENET), num_threads=1)
        interpreter.allocate_tensors()
        output = interpreter.get_output_details()[0]
        vectors = []
        for frame in frames:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
            interpreter.invoke()
            vectors.append(interpreter.get_tensor(output["index"]).ravel() * output["quantization"][0])
        encoder = TfLite(MOBILENET)
        assert encoder.width == 2048
        wanted = np.concatenate([np.mean(vectors, axis=0), np.std(vectors, axis=0)])
        np.testing.assert_allclose(encoder.encode([frames])[0], wanted, rtol=1e-4, atol=1e-5)
        assert wanted.max() > 0.1

    def test_normalisation_by_hand_is_what_the_quantisation_says(self, tmp_path: Path):
        """The file's input is (q − 128) / 128: asking for that by mean and std is feeding the pixels."""
        copy = tmp_path / "net.tflite"
        copy.write_bytes(MOBILENET.read_bytes())
        frames = np.random.default_rng(1).integers(0, 256, size=(4, 224, 224, 3), dtype=np.uint8)
        plain = TfLite(copy).encode([frames])
        copy.with_name("net.tflite.yaml").write_text("scale: 1\nmean: 128\nstd: 128")
        np.testing.assert_array_equal(TfLite(copy).encode([frames]), plain)

    def test_a_segmentation_of_class_numbers_is_refused(self):
        with pytest.raises(WsvadError, match="class numbers"):
            TfLite(SHARED / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite")

    def test_a_pose_network_keeps_its_keypoints(self, tmp_path: Path):
        copy = tmp_path / "pose.tflite"
        copy.write_bytes((SHARED / "models" / "movenet_single_pose_lightning_ptq.tflite").read_bytes())
        copy.with_name("pose.tflite.yaml").write_text("space: flatten")
        assert TfLite(copy).width == 2 * 17 * 3


def test_a_tflite_file_that_would_end_the_process_is_refused(tmp_path):
    damaged = bytearray(tflite_network())
    damaged[10] = 6  # an offset that LiteRT follows
    (tmp_path / "net.tflite").write_bytes(damaged)
    with pytest.raises(WsvadError, match=r"net\.tflite: damaged \(LiteRT crashes on it\); use an intact copy"):
        TfLite(tmp_path / "net.tflite")
    (tmp_path / "net.tflite").write_bytes(tflite_network())  # the file is looked at again when it is another
    assert TfLite(tmp_path / "net.tflite").width == 10  # mean and std


def test_a_name_with_a_line_break_stays_on_its_line(tmp_path):
    path = network(tmp_path / "net.onnx", [1, 3, 4, 6])
    (tmp_path / "net.onnx.yaml").write_text(yaml.safe_dump({"output": "map\n"}))
    with pytest.raises(WsvadError, match=r"no output 'map\\n'; its outputs are: map; near names inside of it: map$"):
        Onnx(path)
