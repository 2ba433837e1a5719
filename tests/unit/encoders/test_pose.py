"""Pose features against networks that are made here, and loops over known skeletons."""

from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from places import SHARED

from wsvad.encoders.pose import OnePerson, Pose, describe, dimensions
from wsvad.encoders.skeleton import HIPS, LIMBS, SEEN, SHOULDERS
from wsvad.errors import WsvadError
from wsvad.video.reader import VideoReader

MOVENET = SHARED / "models" / "movenet_single_pose_lightning_ptq.tflite"
FIGHT = SHARED / "data" / "cctv-fights" / "videos" / "test_042.mp4"
DIMS = dimensions()
# A standing person, x and y in heights of the picture.
STANDING = np.array(
    [[0, -4], [-0.2, -4.2], [0.2, -4.2], [-0.4, -4], [0.4, -4], [-1, -3], [1, -3], [-1.3, -1.5], [1.3, -1.5]]
    + [[-1.3, 0], [1.3, 0], [-0.6, 0], [0.6, 0], [-0.6, 2], [0.6, 2], [-0.6, 4], [0.6, 4]]
) * 0.05 + [0.7, 0.5]  # fmt: skip


def network(path: Path, *, keypoints: np.ndarray | None = None, shape: tuple[int, ...] = (1, 17, 3)) -> Path:
    """Gives the keypoints that it was made with, plus the mean of the picture as x of the nose."""
    values = np.zeros(shape, np.float32) if keypoints is None else keypoints.astype(np.float32).reshape(shape)
    pick = np.zeros(shape, np.float32)
    pick.reshape(-1)[1] = 1 / 255
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Reshape", ["mean", "to"], ["m"]),
            helper.make_node("Mul", ["m", "pick"], ["part"]),
            helper.make_node("Add", ["part", "keypoints"], ["y"]),
        ],
        "pose",
        [info("image", TensorProto.UINT8, ["n", 32, 32, 3])],
        [info("y", TensorProto.FLOAT, ["n", *shape])],
        [
            numpy_helper.from_array(np.array([-1] + [1] * len(shape), np.int64), "to"),
            numpy_helper.from_array(pick[None], "pick"),
            numpy_helper.from_array(values[None], "keypoints"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def as_network_sees(points: np.ndarray, width: int, height: int, score: float = 0.9) -> np.ndarray:
    """Points in heights of the picture → y, x, score of a square that the picture was fitted into."""
    pixels = points * height
    side = max(width, height)
    square = (pixels + [(side - width) / 2, (side - height) / 2]) / side
    return np.concatenate([square[:, ::-1], np.full((17, 1), score)], axis=1)


def part(feature: np.ndarray, name: str) -> np.ndarray:
    return feature[DIMS[name]]


def test_dimensions_cover_the_feature_without_gap_or_overlap():
    ends = [(one.start, one.stop) for one in DIMS.values()]
    assert ends[0][0] == 0 and ends[-1][1] == OnePerson.width
    assert all(end == start for (_, end), (start, _) in pairwise(ends))


def by_loop(points: np.ndarray, scores: np.ndarray, aspect: float) -> dict[str, np.ndarray]:
    """Means, frame by frame and keypoint by keypoint; None where something is not seen."""
    frames: list[dict[str, list]] = []
    hips_of, size_of = [], []
    for point, score in zip(points, scores, strict=True):
        visible = [k for k in range(17) if score[k] >= SEEN]
        hips = [point[k] for k in HIPS if k in visible]
        shoulders = [point[k] for k in SHOULDERS if k in visible]
        box = [point[k] for k in visible]
        size = max(float(np.hypot(*(np.max(box, 0) - np.min(box, 0)))), 0.02) if box else 0.02
        middle = np.mean(hips, axis=0) if hips else None
        found: dict[str, list] = {"scores": [np.mean(score), len(visible) / 17]}
        found["place"] = list(np.clip(middle / [aspect, 1], 0, 1)) if hips else [None] * 2
        found["size"] = [size if hips else None]
        found["position"] = []
        for k in range(17):
            found["position"] += list((point[k] - middle) / size) if hips and k in visible else [None] * 2
        found["limbs"] = []
        ends = [(middle, np.mean(shoulders, axis=0))] if hips and shoulders else [None]
        ends += [(point[a], point[b]) if a in visible and b in visible else None for a, b in LIMBS]
        for pair in ends:
            angle = np.arctan2(*(pair[1] - pair[0])[::-1]) if pair else 0
            found["limbs"] += [np.cos(angle), np.sin(angle)] if pair else [None] * 2
        frames.append(found)
        hips_of.append(middle)
        size_of.append(size)
    result = {}
    for name in frames[0]:
        columns = zip(*(one[name] for one in frames), strict=True)
        known = [[value for value in column if value is not None] for column in columns]
        result[f"mean {name}"] = np.array([np.mean(values) if values else 0 for values in known])
        result[f"deviation {name}"] = np.array([np.std(values) if values else 0 for values in known])
    speeds: list[list[float]] = [[] for _ in range(17)]
    for t in range(len(points) - 1):
        unit = (size_of[t] + size_of[t + 1]) / 2
        if hips_of[t] is None or hips_of[t + 1] is None or np.hypot(*(hips_of[t + 1] - hips_of[t])) > unit:
            continue
        for k in range(17):
            if min(scores[t][k], scores[t + 1][k]) >= SEEN:
                speeds[k].append(np.hypot(*(points[t + 1][k] - points[t][k])) / unit)
    result["mean speed"] = np.array([np.mean(values) if values else 0 for values in speeds])
    result["deviation speed"] = np.array([np.std(values) if values else 0 for values in speeds])
    result["peak speed"] = np.array([max(values, default=0) for values in speeds])
    return result


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 8), hidden=st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_every_number_against_a_loop(seed: int, frames: int, hidden: float):
    random = np.random.default_rng(seed)
    points = STANDING + random.normal(scale=0.1, size=(frames, 17, 2))
    scores = np.where(random.random((frames, 17)) < hidden, 0.1, 0.8)
    feature = describe(points, scores, 1.5)
    for name, values in by_loop(points, scores, 1.5).items():
        np.testing.assert_allclose(part(feature, name), values, atol=1e-9, err_msg=name)
    assert np.abs(part(feature, "mean position")).max() <= 1 and np.isfinite(feature).all()


@pytest.mark.parametrize(("width", "height"), [(32, 32), (90, 60), (60, 100), (20, 10)])
def test_the_network_sees_the_picture_unsqueezed_and_its_keypoints_come_back(tmp_path: Path, width: int, height: int):
    encoder = Pose(network(tmp_path / "net.onnx", keypoints=as_network_sees(STANDING, width, height)))
    black = np.zeros((8, height, width, 3), np.uint8)
    wanted = describe(np.repeat(STANDING[None], 8, axis=0), np.full((8, 17), 0.9), width / height)
    np.testing.assert_allclose(encoder.encode([black])[0], wanted, atol=1.1 / 32)  # the padding is whole pixels
    feature = encoder.encode([black])[0]
    assert part(feature, "mean limbs")[:2] == pytest.approx([0, -1], abs=0.02)  # upright
    assert not part(feature, "mean speed").any() and part(feature, "mean scores")[1] == 1


def test_padding_is_black(tmp_path: Path):
    """A white picture twice as wide as high fills half of the square: the nose lies at x = 0.5."""
    unseen = np.zeros((17, 3))
    unseen[list(HIPS) + [0], 2] = 0.9
    unseen[list(HIPS), :2] = 0.5
    encoder = Pose(network(tmp_path / "net.onnx", keypoints=unseen))
    feature = encoder.encode([np.full((8, 40, 80, 3), 255, np.uint8)])[0]
    # Nose (0.5, 0) and hips (0.5, 0.5) of the square: straight above.
    assert part(feature, "mean position")[:2] == pytest.approx([0, -1], abs=0.01)


def test_what_is_not_seen_makes_no_noise(tmp_path: Path):
    """Keypoints that jump about with low scores leave zeros in everything but the scores."""
    random = np.random.default_rng(0)
    feature = describe(random.normal(size=(8, 17, 2)), np.full((8, 17), 0.2), 1.5)
    assert part(feature, "mean scores") == pytest.approx([0.2, 0])
    feature[DIMS["mean scores"]] = 0
    assert not np.round(feature, 12).any()


def test_another_person_is_not_a_fast_one():
    points = np.stack([STANDING, STANDING + [0.01, 0], STANDING + [0.6, 0], STANDING + [0.61, 0]])
    feature = describe(points, np.full((4, 17), 0.9), 1.5)
    size = part(feature, "mean size")[0]
    np.testing.assert_allclose(part(feature, "peak speed"), 0.01 / size, rtol=1e-6)


def test_equal_frames_do_not_slow_him_down():
    points = np.stack([STANDING, STANDING, STANDING + [0.05, 0], STANDING + [0.05, 0]])
    feature = describe(points, np.full((4, 17), 0.9), 1.5)
    np.testing.assert_allclose(part(feature, "mean speed"), 0.05 / part(feature, "mean size")[0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(17, 2), (1, 33, 3), (2, 17, 3), (17,)])
def test_networks_that_do_something_else(tmp_path: Path, shape: tuple[int, ...]):
    with pytest.raises(WsvadError, match=r"its output 'y' .* is not 17 keypoints") as caught:
        Pose(network(tmp_path / "net.onnx", shape=shape))
    assert "\n" not in str(caught.value)


def test_keypoints_in_pixels_are_refused(tmp_path: Path):
    with pytest.raises(WsvadError, match=r"not y, x, score in \[0, 1\], the largest is 100"):
        Pose(network(tmp_path / "net.onnx", keypoints=np.full((17, 3), 100.0)))


def test_the_passport_of_one_person_stays(tmp_path: Path):
    """Features that were made before networks of several people were read go on being used."""
    settings = {"colour": "rgb", "scale": 1 / 255, "frames": 8, "size": [32, 32], "layout": "nhwc", "output": "y"}
    settings |= {"mean": [0.0], "std": [1.0], "version": 1, "seen": 0.3, "fit": "pad"}
    passport = Pose(network(tmp_path / "net.onnx", keypoints=np.full((17, 3), 0.5))).passport()
    assert passport["width"] == 165 and passport["settings"] == settings


def test_a_file_that_is_no_network(tmp_path: Path):
    with pytest.raises(WsvadError, match="no such file"):
        Pose(tmp_path / "none.onnx")
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(WsvadError, match=r"neither \.onnx nor \.tflite"):
        Pose(tmp_path / "net.pt")


@pytest.mark.real
@pytest.mark.skipif(not MOVENET.exists() or not FIGHT.exists(), reason="the real data are not beside the project")
def test_movenet_on_a_fight_against_a_plain_run():
    """The picture is padded to a square first and scaled then, by hand: the same people at the same place."""
    from ai_edge_litert.interpreter import Interpreter

    with VideoReader(FIGHT) as video:
        frames = [frame.array(None, "rgb") for frame in islice(video, 112, 128, 2)]
    height, width = frames[0].shape[:2]
    assert width > height
    interpreter = Interpreter(str(MOVENET), num_threads=1)
    interpreter.allocate_tensors()
    hips, shares = [], []
    for frame in frames:
        top = (width - height) // 2
        square = cv2.copyMakeBorder(frame, top, width - height - top, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        seen = cv2.resize(square, (192, 192), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], seen[None])
        interpreter.invoke()
        y, x, score = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 0].T
        shares.append((score >= SEEN).mean())
        visible = [k for k in HIPS if score[k] >= SEEN]
        if visible:
            hips.append([x[visible].mean(), (y[visible].mean() * width - top) / height])
    feature = Pose(MOVENET).encode([np.stack(frames)])[0]
    assert len(hips) >= 4 and part(feature, "mean scores")[1] == pytest.approx(np.mean(shares), abs=0.06)
    np.testing.assert_allclose(part(feature, "mean place"), np.mean(hips, axis=0), atol=0.03)
    assert (part(feature, "mean speed") > 0).any()
