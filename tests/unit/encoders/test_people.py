"""Features of several people against networks that are made here, and loops over known skeletons."""

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from places import SHARED
from small_networks import write_constant

from wsvad.encoders.detections import SMALLEST, Found, follow, from_corners
from wsvad.encoders.people import BODY, MOTION, People, describe, dimensions
from wsvad.encoders.pose import Pose
from wsvad.encoders.skeleton import SEEN
from wsvad.errors import WsvadError
from wsvad.video.reader import VideoReader

MULTIPOSE = SHARED / "models" / "movenet-multipose.onnx"
PED2 = SHARED / "data" / "ucsd-ped2" / "videos" / "training_05.mp4"
DIMS = dimensions()
ASPECT = 4 / 3
# A standing person of height 1 about (0, 0).
STANDING = np.array(
    [[0, -4], [-0.2, -4.2], [0.2, -4.2], [-0.4, -4], [0.4, -4], [-1, -3], [1, -3], [-1.3, -1.5], [1.3, -1.5]]
    + [[-1.3, 0], [1.3, 0], [-0.6, 0], [0.6, 0], [-0.6, 2], [0.6, 2], [-0.6, 4], [0.6, 4]]
) / 8.2  # fmt: skip


def crowd(seed: int, count: int, hidden: float = 0.0) -> Found:
    """People somewhere in the picture, 0.2 to 0.4 of its height high; of their keypoints some have a low score."""
    random = np.random.default_rng(seed)
    heights = random.uniform(0.2, 0.4, size=(count, 1, 1))
    middles = random.uniform([0.25, 0.25], [ASPECT - 0.25, 0.75], size=(count, 1, 2))
    points = middles + heights * (STANDING + random.normal(scale=0.02, size=(count, 17, 2)))
    scores = np.where(random.random((count, 17, 1)) < hidden, 0.1, 0.9)
    boxes = np.concatenate([points.min(1) - 0.01, points.max(1) + 0.01], axis=1)
    return from_corners(boxes, random.uniform(0.5, 0.9, count), keypoints=np.concatenate([points, scores], axis=2))


def moved(people: Found, by: np.ndarray) -> Found:
    """Everybody somewhere else, `by` `(P, 2)`."""
    keypoints = people.keypoints.copy()
    keypoints[..., :2] += by[:, None]
    return Found(people.boxes + np.tile(by, 2), people.scores, people.classes, keypoints)


def part(feature: np.ndarray, name: str) -> np.ndarray:
    return feature[DIMS[name]]


def test_dimensions_cover_the_feature_without_gap_or_overlap():
    ends = [(one.start, one.stop) for one in DIMS.values()]
    assert ends[0][0] == 0 and ends[-1][1] == People.width
    assert all(end == start for (_, end), (start, _) in pairwise(ends))


def body_by_loop(box: np.ndarray, score: float, keypoints: np.ndarray) -> dict[str, float | None]:
    """The numbers of one person by their names; None where something is not seen."""
    (x0, y0, x1, y1), visible = box, keypoints[:, 2] >= SEEN
    found: dict[str, float | None] = {"score": score, "x": (x0 + x1) / 2 / ASPECT, "y": (y0 + y1) / 2}
    found |= {"size": max(np.hypot(x1 - x0, y1 - y0), SMALLEST), "upright": (y1 - y0) / (y1 - y0 + x1 - x0)}
    found["seen"] = visible.sum() / 17

    def angle(a: np.ndarray, b: np.ndarray) -> float:
        return np.arctan2(a[1] - b[1], b[0] - a[0])

    shoulders, hips = ([keypoints[k, :2] for k in pair if visible[k]] for pair in ((5, 6), (11, 12)))
    found["trunk"] = np.sin(angle(np.mean(hips, 0), np.mean(shoulders, 0))) if shoulders and hips else None
    joints = {"upper arms": [(5, 7), (6, 8)], "forearms": [(7, 9), (8, 10)]}
    joints |= {"thighs": [(11, 13), (12, 14)], "shins": [(13, 15), (14, 16)]}
    for name, pairs in joints.items():
        up = [np.sin(angle(keypoints[a], keypoints[b])) for a, b in pairs if visible[a] and visible[b]]
        found[name] = np.mean(up) if up else None
    for name, chains in {"elbows": [(5, 7, 9), (6, 8, 10)], "knees": [(11, 13, 15), (12, 14, 16)]}.items():
        bent = [
            (1 - np.cos(angle(keypoints[a], keypoints[b]) - angle(keypoints[b], keypoints[c]))) / 2
            for a, b, c in chains
            if visible[a] and visible[b] and visible[c]
        ]
        found[name] = np.mean(bent) if bent else None
    return found


def motion_by_loop(before: Found, after: Found) -> list[dict[str, float | None]]:
    found = []
    for i, j in zip(*follow(before, after), strict=True):
        unit = (before.sizes[i] + after.sizes[j]) / 2
        step = after.middles[j] - before.middles[i]
        limbs = [
            np.hypot(*(b[:2] - a[:2] - step)) / unit
            for a, b in zip(before.keypoints[i], after.keypoints[j], strict=True)
            if min(a[2], b[2]) >= SEEN
        ]
        one: dict[str, float | None] = {"speed": np.hypot(*step) / unit}
        one |= {"limb speed": np.mean(limbs) if limbs else None, "fastest limb": max(limbs) if limbs else None}
        found.append(one)
    return found


def by_loop(frames: list[Found]) -> dict[str, np.ndarray]:
    """Number by number: lists of what is known, first of people, then of frames."""
    series: dict[str, list[list[float]]] = {}

    def pool(group: str, names: tuple[str, ...], people: list[dict[str, float | None]]) -> None:
        statistics = {"mean": np.mean, "spread": np.std, "lowest": np.min, "highest": np.max}
        for statistic, function in statistics.items():
            columns = series.setdefault(f"{statistic} {group}", [[] for _ in names])
            for column, name in zip(columns, names, strict=True):
                values = [one[name] for one in people if one[name] is not None]
                column += [float(function(values))] if values else []

    scene = series.setdefault("scene", [[], [], []])
    for people in frames:
        rows = zip(people.boxes, people.scores, people.keypoints, strict=True)
        pool("body", BODY, [body_by_loop(*row) for row in rows])
        near, shared = [0.0], [0.0]
        for i in range(len(people)):
            for j in range(i):
                a, b = people.boxes[i], people.boxes[j]
                apart = np.hypot(*(people.middles[i] - people.middles[j]))
                near.append(1 / (1 + apart / ((people.sizes[i] + people.sizes[j]) / 2)))
                both = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
                shared.append(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))
        for column, value in zip(scene, (len(people), max(near), max(shared)), strict=True):
            column.append(value)
    for pair in pairwise(frames):
        pool("motion", MOTION, motion_by_loop(*pair))
    if len(frames) == 1:
        pool("motion", MOTION, [])
    result = {f"mean {name}": [np.mean(v) if v else 0 for v in columns] for name, columns in series.items()}
    result |= {f"deviation {name}": [np.std(v) if v else 0 for v in columns] for name, columns in series.items()}
    result["peak motion"] = [max(v, default=0) for v in series["highest motion"]]
    return {name: np.array(values) for name, values in result.items()}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    hidden=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
)
def test_every_number_against_a_loop(seed: int, counts: list[int], hidden: float):
    random = np.random.default_rng(seed)
    # Everybody is a copy of one of four who walk about, so that some are followed.
    four = crowd(seed, 4, hidden)
    frames = [moved(four, random.normal(scale=0.05, size=(4, 2))).take(random.permutation(4)[:n]) for n in counts]
    feature = describe(frames, ASPECT)
    wanted = by_loop(frames)
    assert set(wanted) == set(DIMS)
    for name, values in wanted.items():
        np.testing.assert_allclose(part(feature, name), values, atol=1e-9, err_msg=name)
    assert np.isfinite(feature).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 5))
def test_the_order_of_people_does_not_matter(seed: int, count: int):
    random = np.random.default_rng(seed)
    first = crowd(seed, count, 0.2)
    frames = [first, moved(first, random.normal(scale=0.03, size=(count, 2)))]
    turned = [one.take(random.permutation(count)) for one in frames]
    np.testing.assert_allclose(describe(turned, ASPECT), describe(frames, ASPECT), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 5))
def test_in_a_mirror_all_but_x_is_the_same(seed: int, count: int):
    """Left and right change places, as a network would name them."""
    random = np.random.default_rng(seed)
    first = crowd(seed, count, 0.2)
    frames = [first, moved(first, random.normal(scale=0.03, size=(count, 2)))]
    sides = [0, *(k + 1 if k % 2 else k - 1 for k in range(1, 17))]
    mirrored = []
    for one in frames:
        keypoints = one.keypoints[:, sides] * [-1, 1, 1] + [ASPECT, 0, 0]
        boxes = one.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [ASPECT, 0, ASPECT, 0]
        mirrored.append(Found(boxes, one.scores, one.classes, keypoints))
    here, there = describe(frames, ASPECT), describe(mirrored, ASPECT)
    at = BODY.index("x")
    assert part(here, "mean spread body")[at] == pytest.approx(part(there, "mean spread body")[at])
    for name in DIMS:
        a, b = (np.delete(part(one, name), [at] if name.endswith("body") else []) for one in (here, there))
        np.testing.assert_allclose(a, b, atol=1e-9, err_msg=name)
    if count:
        assert part(there, "mean mean body")[at] == pytest.approx(1 - part(here, "mean mean body")[at])
        assert part(there, "mean lowest body")[at] == pytest.approx(1 - part(here, "mean highest body")[at])


def test_nobody_is_all_zero():
    nobody = crowd(0, 0)
    assert not describe([nobody] * 4, ASPECT).any()
    assert not describe([nobody], ASPECT).any()


def test_two_people_meet():
    """Closeness grows as one walks up to the other, and the one who runs is the fastest."""
    two = crowd(3, 2)
    towards = np.array([two.middles[1] - two.middles[0], [0, 0]])
    frames = [moved(two, towards * share) for share in (0, 0.2, 0.4)]
    each = [part(describe([one], ASPECT), "mean scene")[1] for one in frames]
    assert each == sorted(each) and each[0] < each[2]
    feature = describe(frames, ASPECT)
    speed = np.linalg.norm(towards[0]) * 0.2 / two.sizes[0]
    assert part(feature, "peak motion")[0] == pytest.approx(speed)
    assert part(feature, "mean lowest motion")[0] == 0 and part(feature, "mean mean motion")[0] == pytest.approx(
        speed / 2
    )
    np.testing.assert_allclose(part(feature, "peak motion")[1:], 0, atol=1e-12)  # limbs go with the body


SIDE = 96
"""Of the networks below; a picture of 96x72 lies in it between lines 12 and 84."""


def in_network(people: Found) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and keypoints (x, y, score) in its pixels."""
    boxes = people.boxes * 72 + [0, 12, 0, 12]
    keypoints = people.keypoints * [72, 72, 1] + [0, 12, 0]
    return boxes, keypoints


def movenet(people: Found) -> np.ndarray:
    """`(1, 6, 56)`; places that are left over hold somebody with a low score."""
    boxes, keypoints = in_network(people)
    rows = np.zeros((1, 6, 56))
    rows[..., 51:55], rows[..., 55] = (0, 0, 1, 1), 0.1
    for row, box, points, score in zip(rows[0], boxes, keypoints, people.scores, strict=False):
        row[:51] = (points[:, [1, 0, 2]] / [SIDE, SIDE, 1]).ravel()
        row[51:55], row[55] = box[[1, 0, 3, 2]] / SIDE, score
    return rows


def yolo(people: Found) -> np.ndarray:
    """`(1, 56, 40)`: everybody a few times, with lower scores a pixel or so off."""
    boxes, keypoints = in_network(people)
    random = np.random.default_rng(0)
    rows = np.zeros((40, 56))
    for index in random.permutation(40)[: 5 * len(people)]:
        rows[index, 4] = -1
    for place, index in enumerate(np.nonzero(rows[:, 4])[0]):
        who, copy = place % len(people), place // len(people)
        box = boxes[who] + (copy > 0) * random.uniform(-1, 1, 4)
        rows[index, :4] = [*(box[:2] + box[2:]) / 2, *box[2:] - box[:2]]
        rows[index, 4] = people.scores[who] - 0.05 * copy
        rows[index, 5:] = keypoints[who].ravel()
    return rows.T[None]


def yolo_end_to_end(people: Found) -> np.ndarray:
    boxes, keypoints = in_network(people)
    rows = np.zeros((1, 30, 57))
    for row, box, points, score in zip(rows[0], boxes, keypoints, people.scores, strict=False):
        row[:] = [*box, score, 0, *points.ravel()]
    return rows


FORMS = {
    "movenet": movenet,
    "yolo": yolo,
    "yolo turned": lambda people: yolo(people).transpose(0, 2, 1),
    "yolo end to end": yolo_end_to_end,
}


def apart(count: int) -> Found:
    """People side by side."""
    people = crowd(1, count)
    places = np.linspace(0.2, ASPECT - 0.2, count + 2)[1:-1]
    return moved(people, np.stack([places, np.full(count, 0.5)], axis=1) - people.middles)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_each_form_gives_the_people_that_it_holds(tmp_path: Path, form: str, count: int):
    people = apart(count)
    encoder = Pose(write_constant(tmp_path / "net.onnx", {"y": FORMS[form](people)}, shape=(1, SIDE, SIDE, 3)))
    assert encoder.width == People.width and encoder.sampling.count == 4
    feature = encoder.encode([np.zeros((4, 72, 96, 3), np.uint8)])[0]
    np.testing.assert_allclose(feature, describe([people] * 4, ASPECT), atol=1e-4)
    assert part(feature, "mean scene")[0] == count


def test_the_score_of_a_person_is_a_setting(tmp_path: Path):
    people = apart(2)
    people = Found(people.boxes, np.array([0.21, 0.6]), people.classes, people.keypoints)
    path = write_constant(tmp_path / "net.onnx", {"y": movenet(people)}, shape=(1, SIDE, SIDE, 3))
    counted, passports = [], []
    for text in ("", "score: 0.3", "score: 0.05\nframes: 2"):
        path.with_name("net.onnx.yaml").write_text(text)
        encoder = Pose(path)
        frames = np.zeros((encoder.sampling.count, 72, 96, 3), np.uint8)
        counted.append(part(encoder.encode([frames])[0], "mean scene")[0])
        passports.append(encoder.passport()["settings"])
    assert counted == [2, 1, 6 - 3]  # those with a low score lie on top of each other
    assert [one["score"] for one in passports] == [0.15, 0.3, 0.05]  # type: ignore[index]
    assert [one["frames"] for one in passports] == [4, 4, 2]  # type: ignore[index]


def test_one_person_has_no_such_score(tmp_path: Path):
    path = write_constant(tmp_path / "net.onnx", {"y": np.zeros((1, 1, 17, 3))})
    path.with_name("net.onnx.yaml").write_text("score: 0.3")
    with pytest.raises(WsvadError, match="'score:' in its YAML file is for networks that find several people"):
        Pose(path)


@pytest.mark.parametrize(
    ("form", "text", "mean"),
    [("movenet", "", 200), ("yolo end to end", "", 200 / 255), ("yolo end to end", "scale: 0.5", 100)],
)
def test_each_form_gets_pixels_as_it_was_trained(tmp_path: Path, form: str, text: str, mean: float):
    """A float network, in which the score of a person is 0.7 where the mean of its input is what it should be."""
    values = FORMS[form](apart(1))
    shift = np.zeros_like(values)
    score = (0, 0, 55) if form == "movenet" else (0, 0, 4)
    values[score], shift[score] = 0, 0.7 / mean
    path = write_constant(
        tmp_path / "net.onnx", {"y": values}, shape=(1, SIDE, SIDE, 3), of=TensorProto.FLOAT, shifts={"y": shift}
    )
    path.with_name("net.onnx.yaml").write_text(text)
    feature = Pose(path).encode([np.full((4, SIDE, SIDE, 3), 200, np.uint8)])[0]
    assert part(feature, "mean highest body")[BODY.index("score")] == pytest.approx(0.7, rel=1e-3)


def test_a_network_of_any_size_sees_the_videos_shape(tmp_path: Path):
    """A square video fills what a free network sees, so that shares of the one are shares of the other."""
    people = apart(2)
    rows = movenet(people)
    path = write_constant(tmp_path / "net.onnx", {"y": rows}, shape=(1, "h", "w", 3), of=TensorProto.INT32)
    encoder = Pose(path)
    assert encoder.passport()["settings"]["size"] == "shorter side 256"  # type: ignore[index]
    feature = encoder.encode([np.zeros((4, 512, 512, 3), np.uint8)])[0]
    points = people.middles * 72 + [0, 12]
    assert part(feature, "mean mean body")[1:3] == pytest.approx((points / SIDE).mean(0), abs=1e-5)
    path.with_name("net.onnx.yaml").write_text("size: [320, 192]")
    assert Pose(path).passport()["settings"]["size"] == [320, 192]  # type: ignore[index]


@pytest.mark.parametrize("place", [3, 52, 55])
def test_numbers_that_are_none_are_refused(tmp_path: Path, place: int):
    rows = movenet(apart(2))
    rows[0, 1, place] = np.nan
    with pytest.raises(WsvadError, match="its output has numbers that are not finite"):
        Pose(write_constant(tmp_path / "net.onnx", {"y": rows}, shape=(1, SIDE, SIDE, 3)))


def test_scores_that_are_none_are_refused(tmp_path: Path):
    rows = movenet(apart(2))
    rows[0, 1, 55] = 3.5
    with pytest.raises(WsvadError, match=r"its scores are not in \[0, 1\], one is 3.5; check scale") as caught:
        Pose(write_constant(tmp_path / "net.onnx", {"y": rows}, shape=(1, SIDE, SIDE, 3)))
    assert "\n" not in str(caught.value)


@pytest.mark.real
@pytest.mark.skipif(not MULTIPOSE.exists() or not PED2.exists(), reason="the real data are not beside the project")
def test_multipose_on_a_walkway_against_a_plain_run():
    """Pedestrians: as many as a plain run finds, at the same places, upright, with their legs down."""
    import cv2
    import onnxruntime

    encoder = Pose(MULTIPOSE)
    with VideoReader(PED2) as video:
        frames = [frame.array(None, "rgb") for frame in islice(video, 96, 112)]
    frames = [frames[offset] for offset in encoder.sampling.offsets(16)]
    session = onnxruntime.InferenceSession(MULTIPOSE)
    counts, middles = [], []
    for frame in frames:
        seen = cv2.resize(frame, (384, 256), interpolation=cv2.INTER_LINEAR)
        (rows,) = session.run(None, {"input": seen[None].astype(np.int32)})[0]
        boxes = rows[rows[:, 55] >= 0.15, 51:55]
        counts.append(len(boxes))
        middles += list(boxes.reshape(-1, 2, 2).mean(1))
    (feature,) = encoder.encode([np.stack(frames)])
    assert np.mean(counts) >= 1 and part(feature, "mean scene")[0] == pytest.approx(np.mean(counts), abs=0.5)
    body = dict(zip(BODY, part(feature, "mean mean body"), strict=True))
    assert [body["y"], body["x"]] == pytest.approx(np.mean(middles, axis=0), abs=0.1)
    assert body["trunk"] > 0.9 and body["thighs"] < -0.8 and body["shins"] < -0.8 and body["upright"] > 0.5
    assert 0.05 < body["size"] < 0.3


@pytest.mark.real
@pytest.mark.skipif(not MULTIPOSE.exists(), reason="the real networks are not beside the project")
def test_a_size_that_multipose_does_not_take(tmp_path: Path):
    path = tmp_path / "net.onnx"
    path.symlink_to(MULTIPOSE)
    path.with_name("net.onnx.yaml").write_text("size: [250, 250]")
    with pytest.raises(WsvadError, match=r"does not run on \[1, 250, 250, 3\].*; try a 'size:' in multiples of 32"):
        Pose(path)
