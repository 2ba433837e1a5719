"""Mask features against networks that are made here, and brute force over the pixels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from places import SHARED

from wsvad.encoders.mask import Mask, describe, dimensions
from wsvad.errors import WsvadError

DEEPLAB = SHARED / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
FLOAT = TensorProto.FLOAT
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
"""Of the classes 0 to 3 of the networks below."""


def network(path: Path, layout: str, output: str = "classes", size: tuple[int, int] = (24, 18)) -> Path:
    """A pixel's class is the nearest of `COLOURS`: highest of c·p − c²/2."""
    width, height = size
    first = layout == "nchw"
    weights = COLOURS.astype(np.float32)
    bias = -(weights**2).sum(1) / 2
    shape = [1, 3, height, width] if first else [1, height, width, 3]
    nodes = [helper.make_node("Cast", ["image"], ["x"], to=FLOAT)]
    if first:
        tensors = [numpy_helper.from_array(weights[:, :, None, None], "w"), numpy_helper.from_array(bias, "b")]
        nodes.append(helper.make_node("Conv", ["x", "w", "b"], ["scores"]))
    else:
        tensors = [numpy_helper.from_array(weights.T.copy(), "w"), numpy_helper.from_array(bias, "b")]
        nodes += [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["scores"])]
    channel = 1 if first else 3
    nodes.append(helper.make_node("ArgMax", ["scores"], ["classes"], axis=channel, keepdims=0))
    nodes.append(helper.make_node("ArgMax", ["scores"], ["one channel"], axis=channel, keepdims=1))
    nodes.append(helper.make_node("ReduceMean", ["scores"], ["vector"], axes=[2, 3] if first else [1, 2], keepdims=0))
    types = {"classes": (TensorProto.INT64, 3), "scores": (FLOAT, 4), "vector": (FLOAT, 2)}
    types["one channel"] = (TensorProto.INT64, 4)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(output, types[output][0], [None] * types[output][1])],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def by_loop(maps: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Pixel by pixel; means and deviations over the frames where a number is defined."""
    height, width = maps.shape[1:]
    found: dict[str, list[list[float]]] = {name: [[] for _ in range(classes)] for name in ("area", "x", "y", "spread")}
    for one in maps:
        for index in range(classes):
            pixels = [((j + 0.5) / width, (i + 0.5) / height) for i in range(height) for j in range(width)
                      if one[i, j] == index]  # fmt: skip
            found["area"][index].append(len(pixels) / (height * width))
            if pixels:
                x, y = np.mean(pixels, axis=0)
                found["x"][index].append(x)
                found["y"][index].append(y)
                found["spread"][index].append(np.sqrt(np.mean([(a - x) ** 2 + (b - y) ** 2 for a, b in pixels])))
    # Every pixel of a copy that is 3 times as high and 4 times as wide lies in one cell.
    large = (maps != 0).repeat(3, axis=1).repeat(4, axis=2)
    cells = large.reshape(len(maps), 3, height, 4, width).mean((2, 4)).reshape(len(maps), -1)
    found["foreground"] = cells.T.tolist()
    result = {f"mean {name}": np.array([np.mean(v) if v else 0 for v in values]) for name, values in found.items()}
    deviations = {name: np.array([np.std(v) if v else 0 for v in values]) for name, values in found.items()}
    return result | {f"deviation {name}": values for name, values in deviations.items()}


def blobs(seed: int, size: tuple[int, int] = (24, 18), frames: int = 2) -> np.ndarray:
    """Class numbers 0 to 3 in rectangles."""
    random = np.random.default_rng(seed)
    maps = np.zeros((frames, size[1], size[0]), np.int64)
    for one in maps:
        for index in random.permutation([1, 2, 3])[: random.integers(0, 4)]:
            top, left = random.integers(0, size[1] - 3), random.integers(0, size[0] - 3)
            one[top : top + random.integers(1, 12), left : left + random.integers(1, 12)] = index
    return maps


def assert_as_by_loop(feature: np.ndarray, maps: np.ndarray, classes: int) -> None:
    named = dimensions(classes)
    for name, values in by_loop(maps, classes).items():
        np.testing.assert_allclose(feature[named[name]], values, atol=1e-5, err_msg=name)


def test_dimensions_cover_the_feature_without_gap_or_overlap():
    ends = [(part.start, part.stop) for part in dimensions(21).values()]
    assert ends[0][0] == 0 and ends[-1][1] == 2 * (4 * 21 + 12)
    assert all(end == start for (_, end), (start, _) in pairwise(ends))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(4, 20), height=st.integers(3, 20))
def test_one_map_against_brute_force(seed: int, width: int, height: int):
    one = np.random.default_rng(seed).integers(0, 4, size=(height, width))
    values = by_loop(one[None], 5)
    wanted = np.concatenate([values[f"mean {name}"] for name in ("area", "x", "y", "spread", "foreground")])
    np.testing.assert_allclose(describe(one, 5), wanted, atol=1e-5)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("output", ["scores", "classes", "one channel"])
def test_a_network_of_known_classes(tmp_path: Path, layout: str, output: str):
    path = network(tmp_path / "net.onnx", layout, output)
    if output != "scores":
        path.with_name("net.onnx.yaml").write_text("classes: 4")
    encoder = Mask(path)
    assert encoder.classes == 4 and encoder.width == 2 * (4 * 4 + 12)
    assert encoder.sampling.size == (24, 18) and encoder.sampling.count == 2
    maps = [blobs(seed) for seed in range(6)]
    features = encoder.encode([COLOURS[one].astype(np.uint8) for one in maps])
    for feature, one in zip(features, maps, strict=True):
        assert_as_by_loop(feature, one, 4)


def test_a_class_that_is_in_one_frame_alone_has_its_own_middle(tmp_path: Path):
    encoder = Mask(network(tmp_path / "net.onnx", "nhwc", "scores"))
    maps = np.zeros((2, 18, 24), np.int64)
    maps[1, :, 12:] = 2
    (feature,) = encoder.encode([COLOURS[maps].astype(np.uint8)])
    part = dimensions(4)
    assert feature[part["mean area"]] == pytest.approx([0.75, 0, 0.25, 0])
    assert feature[part["deviation area"]] == pytest.approx([0.25, 0, 0.25, 0])
    assert feature[part["mean x"]][2] == pytest.approx(0.75) and feature[part["deviation x"]][2] == 0
    assert not feature[part["mean x"]][[1, 3]].any()
    assert feature[part["mean foreground"]] == pytest.approx([0, 0, 0.5, 0.5] * 3)


def test_more_classes_than_any_network_has_are_refused(tmp_path: Path):
    path = network(tmp_path / "net.onnx", "nhwc", "classes")
    path.with_name("net.onnx.yaml").write_text("classes: 1000000000")
    with pytest.raises(WsvadError, match="classes is 1000000000 instead of from 1 to 4096"):
        Mask(path)


def test_classes_without_a_number_are_told(tmp_path: Path):
    path = network(tmp_path / "net.onnx", "nhwc", "classes")
    path.with_name("net.onnx.yaml").write_text("classes: 3")
    encoder = Mask(path)
    blue = np.broadcast_to(COLOURS[3].astype(np.uint8), (2, 18, 24, 3))
    with pytest.raises(WsvadError, match=r"holds class 3 of 3; write how many there are as 'classes:'") as caught:
        encoder.encode([blue])
    assert "\n" not in str(caught.value)
    path.with_name("net.onnx.yaml").write_text("classes: 0")
    with pytest.raises(WsvadError, match="classes is 0 instead of from 1 to 4096"):
        Mask(path)


def test_a_network_that_gives_a_vector_is_refused(tmp_path: Path):
    with pytest.raises(WsvadError, match=r"its output 'vector' \[1, 4\] is not a map of class"):
        Mask(network(tmp_path / "net.onnx", "nhwc", "vector"))


@pytest.mark.real
@pytest.mark.skipif(not DEEPLAB.exists(), reason="the real networks are not beside the project")
def test_deeplab_gives_what_its_map_says():
    from ai_edge_litert.interpreter import Interpreter

    noise = np.random.default_rng(0).integers(0, 256, size=(2, 6, 6, 3), dtype=np.uint8)
    frames = noise.repeat(86, axis=1).repeat(86, axis=2)[:, :513, :513]
    interpreter = Interpreter(str(DEEPLAB), num_threads=1)
    interpreter.allocate_tensors()
    maps = []
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        maps.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    (feature,) = Mask(DEEPLAB).encode([frames])
    part = dimensions(21)
    shares = [[(one == index).mean() for index in range(21)] for one in maps]
    np.testing.assert_allclose(feature[part["mean area"]], np.mean(shares, axis=0), atol=1e-6)
    np.testing.assert_allclose(feature[part["deviation area"]], np.std(shares, axis=0), atol=1e-6)
