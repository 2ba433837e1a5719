"""Flow statistics against pictures whose motion is known, by DIS and by a network made here."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from published_weights import random_network, write_weights

from wsvad.encoders.flow import FLOW_WIDTH, Flow, Raft, describe, dimensions, moments
from wsvad.encoders.motion import HEIGHT, WIDTH
from wsvad.errors import WsvadError

DIMS = dimensions()


def texture(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def moving(dx: int, dy: int, frames: int = 16, seed: int = 0) -> np.ndarray:
    """The whole picture moves by (dx, dy) pixels a frame."""
    big = texture(seed, 2 * HEIGHT, 2 * WIDTH)
    top, left = HEIGHT // 2, WIDTH // 2
    return np.stack(
        [big[top - dy * t : top - dy * t + HEIGHT, left - dx * t : left - dx * t + WIDTH] for t in range(frames)]
    )


def grid(feature: np.ndarray, name: str) -> np.ndarray:
    return feature[DIMS[name]].reshape(6, 8)


def test_the_dimensions_are_each_of_the_feature_once():
    indices = np.concatenate([np.arange(FLOW_WIDTH)[part] for part in DIMS.values()])
    assert sorted(indices) == list(range(192))


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (-3, 0), (0, 2), (1, -2)])
def test_a_known_displacement_is_measured_in_every_cell(dx: int, dy: int):
    (feature,) = Flow().encode([moving(dx, dy, frames=8)])
    inner = np.s_[1:-1, 1:-1]  # at the borders flow is guessed
    np.testing.assert_allclose(grid(feature, "x")[inner], dx, atol=0.3)
    np.testing.assert_allclose(grid(feature, "y")[inner], dy, atol=0.3)
    np.testing.assert_allclose(grid(feature, "speed")[inner], np.hypot(dx, dy), atol=0.3)
    assert (grid(feature, "peak") >= grid(feature, "speed")).all()


def test_a_moving_patch_is_in_its_cells():
    still, own = texture(1, HEIGHT, WIDTH), texture(2, 28, 28)
    clip = np.repeat(still[None], 6, axis=0)
    for t in range(6):
        clip[t, 70:98, 30 + 2 * t : 58 + 2 * t] = own
    (feature,) = Flow().encode([clip])
    row, column = np.unravel_index(grid(feature, "speed").argmax(), (6, 8))
    assert row in (3, 4) and column in (1, 2, 3)
    assert grid(feature, "x")[row, column] > 0.5
    assert grid(feature, "peak")[0, 7] < 0.5


@pytest.mark.parametrize("size", [(160, 120), (64, 48), (50, 33), (321, 123)])
def test_statistics_against_loops_at_any_size(size: tuple[int, int]):
    """Each pixel of a large copy lies in one cell, so plain means and maxima are exact there."""
    width, height = size
    flows = np.random.default_rng(3).normal(size=(3, height, width, 2)).astype(np.float32)
    feature = describe(flows)
    scaled = flows.astype(np.float64) * [160 / width, 120 / height]
    large = scaled.repeat(6, axis=1).repeat(8, axis=2)
    speed = np.hypot(large[..., 0], large[..., 1])
    for row in range(6):
        for column in range(8):
            cell = np.s_[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert grid(feature, "x")[row, column] == pytest.approx(large[cell][..., 0].mean(), abs=1e-4)
            assert grid(feature, "y")[row, column] == pytest.approx(large[cell][..., 1].mean(), abs=1e-4)
            assert grid(feature, "speed")[row, column] == pytest.approx(speed[cell].mean(), rel=1e-3)
            assert grid(feature, "peak")[row, column] == pytest.approx(speed[cell].max((1, 2)).mean(), rel=1e-4)


def test_cuts_and_equal_frames_are_left_out():
    one, other = moving(2, 0, frames=4), moving(2, 0, frames=4, seed=9)
    clip = np.concatenate([one, one[-1:], other])
    assert moments(clip) == [0, 1, 2, 5, 6, 7]
    (feature,) = Flow().encode([clip])
    assert np.abs(grid(feature, "x")[1:-1, 1:-1] - 2).max() < 0.3


@pytest.mark.parametrize("frames", [1, 16])
def test_what_stands_still_is_zero(frames: int):
    clip = np.repeat(texture(0, HEIGHT, WIDTH)[None], frames, axis=0)
    assert not Flow().encode([clip]).any()


def test_nothing_is_kept_between_snippets():
    one, two = moving(2, 0, frames=4), moving(0, -3, frames=6, seed=6)
    together = Flow().encode([one, two, one])
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[1], Flow().encode([two])[0])


# -------------------------------------------------------------------------------------- raft


def flow_network(path: Path, *, width: int | str = 64, height: int | str = 48, outputs: tuple = ("coarse", "flow")):
    """x is the mean over the channels of the second image, y that of the first; pixels as they come."""
    weight = np.zeros((2, 6, 1, 1), np.float32)
    weight[0, 3:], weight[1, :3] = 1 / 3, 1 / 3
    kinds = {"coarse": [None, 2, None, None], "flow": [None, 2, height, width], "pair": [None, 6, height, width]}
    info = helper.make_tensor_value_info
    shape = ["n", 3, height, width]
    graph = helper.make_graph(
        [
            helper.make_node("Concat", ["image1", "image2"], ["pair"], axis=1),
            helper.make_node("Conv", ["pair", "w"], ["flow"]),
            helper.make_node("AveragePool", ["flow"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
        ],
        "flow",
        [info(name, TensorProto.FLOAT, shape) for name in ("image1", "image2")],
        [info(name, TensorProto.FLOAT, kinds[name]) for name in outputs],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def levels(values: list[int], width: int = 64, height: int = 48) -> np.ndarray:
    """Frames of one grey level each."""
    return np.repeat(np.array(values, np.uint8), height * width * 3).reshape(-1, height, width, 3)


def test_a_network_gives_the_same_statistics_in_the_same_unit(tmp_path: Path):
    encoder = Raft(flow_network(tmp_path / "net.onnx"))
    assert encoder.sampling.size == (64, 48) and encoder.width == 192
    (feature,) = encoder.encode([levels([10, 12, 15])])
    x, y = np.mean([12, 15]) * 160 / 64, np.mean([10, 12]) * 120 / 48
    np.testing.assert_allclose(grid(feature, "x"), x, rtol=1e-5)
    np.testing.assert_allclose(grid(feature, "y"), y, rtol=1e-5)
    np.testing.assert_allclose(grid(feature, "peak"), grid(feature, "speed"), rtol=1e-5)


def test_a_few_pairs_evenly_spaced_are_seen(tmp_path: Path):
    encoder = Raft(flow_network(tmp_path / "net.onnx"))
    (feature,) = encoder.encode([levels([k * k // 4 for k in range(16)])])  # still now and then
    different = [k for k in range(15) if k * k // 4 != (k + 1) ** 2 // 4]
    assert len(different) == 14
    wanted = [different[(2 * i + 1) * len(different) // 8] for i in range(4)]
    np.testing.assert_allclose(grid(feature, "y"), np.mean([k * k // 4 for k in wanted]) * 2.5, rtol=1e-5)


def test_still_pictures_and_single_frames_give_zeros(tmp_path: Path):
    encoder = Raft(flow_network(tmp_path / "net.onnx"))
    assert not encoder.encode([levels([9]), levels([9] * 16)]).any()


def test_the_yaml_file_beside_it_decides(tmp_path: Path):
    path = flow_network(tmp_path / "net.onnx", width="w", height="h")
    assert Raft(path).sampling.size == (320, 240)
    path.with_name("net.onnx.yaml").write_text("size: [32, 16]\nscale: 0.5\nmean: 1\nstd: 2\nframes: 1")
    encoder = Raft(path)
    (feature,) = encoder.encode([levels([20, 30], 32, 16)])
    np.testing.assert_allclose(grid(feature, "x"), (30 * 0.5 - 1) / 2 * 160 / 32, rtol=1e-5)
    np.testing.assert_allclose(grid(feature, "y"), (20 * 0.5 - 1) / 2 * 120 / 16, rtol=1e-5)
    assert encoder.passport()["settings"]["frames"] == 1


@pytest.mark.parametrize(
    ("outputs", "yaml", "told"),
    [
        (("pair",), "", r"'pair' \[1, 6, 48, 64\] is not the flow between two images, \[N, 2, 48, 64\]"),
        (("coarse", "flow"), "output: coarse", r"'coarse' \[1, 2, 6, 8\] is not the flow"),
    ],
)
def test_networks_that_do_something_else(tmp_path: Path, outputs: tuple, yaml: str, told: str):
    path = flow_network(tmp_path / "net.onnx", outputs=outputs)
    path.with_name("net.onnx.yaml").write_text(yaml)
    with pytest.raises(WsvadError, match=told) as caught:
        Raft(path)
    assert "\n" not in str(caught.value)


def test_a_network_of_one_image_is_refused(tmp_path: Path):
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "net", [info], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(WsvadError, match="not 2 images of one shape"):
        Raft(tmp_path / "net.onnx")


# ------------------------------------------------------------------------ raft from its public weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_weights(tmp_path_factory.mktemp("raft") / "raft-things.pth", "raft")


def raft(weights: Path, tmp_path: Path, yaml: str = "") -> Raft:
    path = tmp_path / weights.name
    if not path.exists():
        path.hardlink_to(weights)
    path.with_name(path.name + ".yaml").write_text(f"size: [136, 128]\niterations: 2\n{yaml}")
    return Raft(path)


def coloured(seed: int, still: int = 0) -> np.ndarray:
    """16 frames that move, of which the last ones stand still."""
    grey = moving(1, 0, seed=seed)[:, :128, :136]
    grey = np.pad(grey, ((0, 0), (0, 128 - grey.shape[1]), (0, 136 - grey.shape[2])), mode="reflect")
    if still:
        grey[-still:] = grey[-still - 1]
    return np.repeat(grey[..., None], 3, axis=3)


def motions(pairs: np.ndarray):
    """What RAFT says of pairs `(P, 2, h, w, 3)`, one by one."""
    network = random_network("raft")
    network.iterations = 2
    x = torch.from_numpy(pairs.astype(np.float32) * 2 / 255 - 1).permute(0, 1, 4, 2, 3)
    with torch.inference_mode():
        return [network(pair[None]) for pair in x]


def test_flow_by_the_weights_has_the_same_statistics(weights: Path, tmp_path: Path):
    encoder = raft(weights, tmp_path, "frames: 2")
    assert encoder.sampling.size == (136, 128) and encoder.sampling.count == 16 and encoder.width == 192
    clips = [coloured(0), coloured(1, still=13), coloured(2, still=15)]
    features = encoder.encode(clips)
    for clip, feature, first in zip(clips[:2], features, ([3, 11], [0, 1]), strict=False):
        pairs = np.stack([clip[first], clip[np.array(first) + 1]], axis=1)
        flows = [motion.flow_B2HW[0].permute(1, 2, 0).numpy() for motion in motions(pairs)]
        np.testing.assert_allclose(feature, describe(np.stack(flows)), rtol=1e-3, atol=1e-3)
    assert not features[2].any()  # nothing moves
    np.testing.assert_array_equal(features[1:2], encoder.encode(clips[1:2]))


def test_the_state_is_the_mean_over_space_and_pairs(weights: Path, tmp_path: Path):
    encoder = raft(weights, tmp_path, "output: state")
    assert encoder.width == 256
    clip = coloured(0)
    (feature,) = encoder.encode([clip])
    pairs = np.stack([clip[[4, 8]], clip[[8, 12]]], axis=1)
    states = [motion.state_B256hw[0].mean((1, 2)).numpy() for motion in motions(pairs)]
    np.testing.assert_allclose(feature, np.mean(states, axis=0), rtol=1e-3, atol=1e-4)
    assert encoder.encode([np.zeros_like(clip)]).any()  # what stands still has a state, too


def test_snippets_with_other_numbers_of_pairs_go_through_apart(weights: Path, tmp_path: Path, monkeypatch):
    encoder = raft(weights, tmp_path, "frames: 3")
    some = [coloured(0, still=15), coloured(1), coloured(2), coloured(3, still=13)]
    alone, seen = encoder.encode(some), []
    network = encoder.network.network
    network.module.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    network.device = torch.device("meta")  # anything but the CPU: there they are joined
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *a, **k: self)
    np.testing.assert_allclose(encoder.encode(some), alone, rtol=1e-3, atol=1e-4)
    assert seen == [6, 2]


@pytest.mark.parametrize("change", ["frames: 3", "iterations: 3", "output: state", "size: [128, 128]"])
def test_the_passport_tells_how_raft_was_used(weights: Path, tmp_path: Path, change: str):
    before = raft(weights, tmp_path).passport()
    lines = [line for line in ("size: [136, 128]", "iterations: 2") if line.split(":")[0] != change.split(":")[0]]
    (tmp_path / "raft-things.pth.yaml").write_text("\n".join([*lines, change]))
    assert Raft(tmp_path / "raft-things.pth").passport()["settings"] != before["settings"]
    assert before["encoder"] == "raft:raft-things.pth" and before["settings"]["frames"] == 4


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("size: [130, 128]", "from 128 to 1024, in steps of 8"),
        ("size: [128, 64]", "from 128 to 1024, in steps of 8"),
        ("output: hidden", "output is 'hidden' instead of flow or state"),
        ("mean: 0", "the fields are: size, output, frames, iterations"),
    ],
)
def test_settings_of_raft_that_there_are_not(weights: Path, tmp_path: Path, yaml: str, told: str):
    (tmp_path / weights.name).hardlink_to(weights)
    (tmp_path / f"{weights.name}.yaml").write_text(yaml)
    with pytest.raises(WsvadError, match=told):
        Raft(tmp_path / weights.name)


def test_weights_of_another_network_are_no_raft(tmp_path: Path):
    torch.save({"conv.weight": torch.ones(3)}, tmp_path / "other.pt")
    with pytest.raises(WsvadError, match=r"other.pt: not the weights of RAFT .*'fnet.conv1.weight' .* is missing"):
        Raft(tmp_path / "other.pt")
