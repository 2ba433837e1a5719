"""Any tensor of a network as its output, and OpenVINO beside onnxruntime."""

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from places import SHARED
from small_networks import external, tflite_network

from wsvad.encoders.network import Onnx, TfLite
from wsvad.encoders.runtime import OnnxFile, OpenVinoFile
from wsvad.errors import WsvadError

CENTERNET = SHARED / "models" / "centernet.onnx"
RNG = np.random.default_rng(3)
FIRST, SECOND = RNG.normal(size=(7, 3, 1, 1)).astype(np.float32), RNG.normal(size=(2, 7, 3, 3)).astype(np.float32)


def two_layers(path, *, outside: bool = False):
    """Two convolutions with a ReLU between them; the first one's weights may lie in a file of their own."""
    weights = numpy_helper.from_array(FIRST, "w1")
    if outside:
        weights = external("w1", "weights.bin", FIRST)
        path.with_name("weights.bin").write_bytes(FIRST.tobytes())
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w1"], ["inner/conv"]),
            helper.make_node("Relu", ["inner/conv"], ["inner/relu"]),
            helper.make_node("Conv", ["inner/relu", "w2"], ["map"]),
        ],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 6, 8])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [None] * 4)],
        [weights, numpy_helper.from_array(SECOND, "w2")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def settings(path, **fields):
    fields = {"mean": 0.0, "std": 1.0, "scale": 1.0, "pooling": "mean"} | fields
    path.with_name(path.name + ".yaml").write_text("\n".join(f"{name}: {value}" for name, value in fields.items()))
    return path


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)


def inner(relu: bool) -> np.ndarray:
    """What the first layer gives, averaged over the picture and the frames, by the formula."""
    found = np.einsum("oc,mhwc->mohw", FIRST[:, :, 0, 0], pictures().astype(np.float32))
    return (np.maximum(found, 0) if relu else found).mean((0, 2, 3))


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("tensor", ["inner/conv", "inner/relu"])
def test_any_tensor_of_an_onnx_file_can_be_the_output(tmp_path, monkeypatch, outside, runtime, tensor):
    path = settings(two_layers(tmp_path / "net.onnx", outside=outside), output=tensor, runtime=runtime)
    monkeypatch.chdir("/")
    encoder = Onnx(path)
    assert encoder.width == 7 and encoder.passport()["settings"]["output"] == tensor
    np.testing.assert_allclose(encoder.encode([pictures()])[0], inner(tensor == "inner/relu"), rtol=1e-4, atol=1e-3)


def test_both_runtimes_give_the_same_up_to_rounding(tmp_path):
    path = two_layers(tmp_path / "net.onnx")
    one = Onnx(settings(path))
    other = Onnx(settings(path, runtime="openvino"))
    np.testing.assert_allclose(other.encode([pictures()]), one.encode([pictures()]), rtol=1e-5)
    assert other.passport() == one.passport()


def turning(path, before):
    """A convolution between transpositions, as exporters write it whose own networks have another layout, and a node
    that changes no place."""
    nodes = [
        *([helper.make_node("Transpose", ["image"], ["turned"], perm=before)] if before else []),
        helper.make_node("Conv", ["turned" if before else "image", "w1"], ["conv"]),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2), "two")),
        helper.make_node("Mul", ["two", "conv"], ["first"]),
        helper.make_node("Transpose", ["first"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["last"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["vector"], axes=[1, 2], keepdims=0),
    ]
    shape = ["n", 6, 8, 3] if before else ["n", 3, 6, 8]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(FIRST, "w1")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("before", [[0, 3, 1, 2], None])
@pytest.mark.parametrize(
    ("tensor", "relu", "channels"), [("first", False, "first"), ("map", True, "last"), ("vector", True, None)]
)
def test_a_map_is_averaged_over_its_positions_whatever_the_layout_of_the_image(
    tmp_path, runtime, before, tensor, relu, channels
):
    path = turning(tmp_path / "net.onnx", before)
    encoder = Onnx(settings(path, output=tensor, runtime=runtime))
    assert encoder.width == 7
    np.testing.assert_allclose(encoder.encode([pictures()])[0], 2 * inner(relu), rtol=1e-4, atol=1e-3)
    of_image = "last" if before else "first"
    assert encoder.passport()["settings"].get("channels", of_image) == (channels or of_image)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_tensor_that_there_is_not_is_told_with_near_ones(tmp_path, runtime):
    path = settings(two_layers(tmp_path / "net.onnx"), output="inner/rely", runtime=runtime)
    with pytest.raises(WsvadError, match=r"no output 'inner/rely'; .*near names inside of it: inner/relu"):
        Onnx(path)


def test_any_tensor_of_a_tensorflow_lite_file_can_be_the_output(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_network())
    image = settings(path, output="image")
    encoder = TfLite(image)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 6, 3), np.uint8)
    np.testing.assert_allclose(encoder.encode([pixels])[0], pixels.mean((0, 1, 2)), rtol=1e-6)
    settings(path, output="maps")
    with pytest.raises(WsvadError, match=r"no output 'maps'; its outputs are: map; near names .*: map"):
        TfLite(path)


def test_openvino_is_for_onnx_files_and_says_what_it_does_not_read(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_network())
    with pytest.raises(WsvadError, match=r"net\.tflite: 'runtime: openvino' is for \.onnx files; leave it out"):
        TfLite(settings(path, runtime="openvino"))
    broken = settings(tmp_path / "broken.onnx", runtime="openvino")
    broken.write_bytes(two_layers(tmp_path / "net.onnx").read_bytes()[:-30])
    with pytest.raises(WsvadError, match=r"(not a network in ONNX format|OpenVINO does not read it)") as said:
        Onnx(broken)
    assert "\n" not in str(said.value)


def test_a_network_moves_to_where_its_runtime_can(tmp_path, monkeypatch):
    """On a machine without a GPU nothing but the CPU is left; the provider for a device is asked for by its name."""
    encoder = Onnx(settings(two_layers(tmp_path / "net.onnx")))
    assert not encoder.runs_on(torch.device("cuda"))
    monkeypatch.setitem(OnnxFile.providers, "cuda", "CPUExecutionProvider")
    assert encoder.runs_on(torch.device("cuda"))
    before = encoder.encode([pictures()] * 3)
    encoder.to(torch.device("cuda"))
    assert not encoder.network.alone
    np.testing.assert_allclose(encoder.encode([pictures()] * 3), before, rtol=1e-6)
    assert not OpenVinoFile(encoder.network.path, 1).runs_on("cuda")


def test_a_network_is_not_left_on_the_cpu_without_a_word(tmp_path):
    encoder = Onnx(settings(two_layers(tmp_path / "net.onnx")))
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(WsvadError, match=r"net\.onnx: onnxruntime does not run it on cuda"),
    ):
        encoder.to(torch.device("cuda"))


@pytest.mark.parametrize(
    "use",
    [
        "from wsvad.encoders.network import Onnx; Onnx({!r})",
        "import torch; from wsvad.encoders.openvino_module import OpenVinoModule as M; M(torch.nn.ReLU(), (2,))",
    ],
)
def test_openvino_opens_no_connection(tmp_path, use):
    """It comes with telemetry, which runs when it is imported, in a process of its own."""
    path, asked = settings(two_layers(tmp_path / "net.onnx"), runtime="openvino"), tmp_path / "asked"
    code = (
        "import sys, time\n"
        "def note(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        f"        open({str(asked)!r}, 'a').write(f'{{event}} {{args}}')\n"
        "        raise OSError('no network')\n"
        "sys.addaudithook(note)\n"
        f"{use.format(str(path))}\n"
        "time.sleep(0.5)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not asked.exists() or not asked.read_text()


@pytest.mark.real
@pytest.mark.skipif(not CENTERNET.exists(), reason="the real networks are not beside the project")
def test_a_real_network_by_openvino(tmp_path):
    (tmp_path / "net.onnx").symlink_to(CENTERNET)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    wanted = onnx.load(CENTERNET, load_external_data=False).graph
    size = [dim.dim_value for dim in wanted.input[0].type.tensor_type.shape.dim]
    feed = {wanted.input[0].name: np.resize(pixels, size).astype(np.float32)}
    names = ["tower_0/wh", "tower_0/keypoints"]  # lists of detections are sorted, and their order hangs on rounding
    ours, theirs = OpenVinoFile(tmp_path / "net.onnx", 1), OnnxFile(tmp_path / "net.onnx", 1)
    for a, b, name in zip(ours.run(feed, names), theirs.run(feed, names), names, strict=True):
        assert np.abs(a - b).max() <= 2e-3 * np.abs(b).max(), name


@pytest.mark.parametrize("output", ["map", "inner/relu"])
def test_another_runtime_runs_the_same_output(tmp_path, output):
    encoder = Onnx(settings(two_layers(tmp_path / "net.onnx"), output=output))
    before, told = encoder.encode([pictures()]), encoder.passport()
    assert encoder.runtimes == ("onnxruntime", "openvino")
    encoder.run_by("openvino")
    assert isinstance(encoder.network._file, OpenVinoFile) and encoder.passport() == told
    np.testing.assert_allclose(encoder.encode([pictures()]), before, rtol=1e-4, atol=1e-4)
    (tmp_path / "t.tflite").write_bytes(tflite_network())
    assert TfLite(tmp_path / "t.tflite").runtimes == ()
