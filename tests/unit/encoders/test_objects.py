"""Features of objects against networks that are made here in each form, and loops over known boxes."""

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
from wsvad.encoders.detectors import COCO, COCO_90
from wsvad.encoders.objects import CLASSES, Objects, describe, dimensions
from wsvad.errors import WsvadError
from wsvad.video.reader import VideoReader

CENTERNET = SHARED / "models" / "centernet.onnx"
PED2 = SHARED / "data" / "ucsd-ped2" / "videos"
ASPECT = 4 / 3
SIDE = 96
"""Of the networks below; a picture of 96x72 lies in it between lines 12 and 84."""


def some(seed: int, count: int, classes: int = 3) -> Found:
    """Objects somewhere in the picture."""
    random = np.random.default_rng(seed)
    low = random.uniform([0, 0], [ASPECT - 0.4, 0.6], size=(count, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.4, size=(count, 2))], axis=1)
    return from_corners(boxes, random.uniform(0.4, 1, count), random.integers(0, classes, count))


def members(found: Found, classes: int = 3) -> np.ndarray:
    each = [found.classes == index for index in range(classes)]
    return np.stack([*each, np.ones(len(found), bool)], axis=1)


def by_loop(frames: list[Found], classes: int = 3) -> dict[str, np.ndarray]:
    """Class by class, thing by thing; the last stands for all."""
    parts = ("count", "score", "x", "y", "size", "largest", "speed")
    series = {name: [[] for _ in range(classes + 1)] for name in (*parts, "peak")}
    for index in range(classes + 1):
        for found in frames:
            rows = [i for i in range(len(found)) if index in (found.classes[i], classes)]
            series["count"][index].append(len(rows))
            series["score"][index].append(max([found.scores[i] for i in rows], default=0))
            if rows:
                boxes = [found.boxes[i] for i in rows]
                sizes = [max(np.hypot(x1 - x0, y1 - y0), SMALLEST) for x0, y0, x1, y1 in boxes]
                series["x"][index].append(np.mean([(x0 + x1) / 2 for x0, _, x1, _ in boxes]) / ASPECT)
                series["y"][index].append(np.mean([(y0 + y1) / 2 for _, y0, _, y1 in boxes]))
                series["size"][index].append(np.mean(sizes))
                series["largest"][index].append(max(sizes))
        for before, after in pairwise(frames):
            speeds = []
            for i, j in zip(*follow(before, after), strict=True):
                if index == classes or before.classes[i] == after.classes[j] == index:
                    step = np.hypot(*(before.middles[i] - after.middles[j]))
                    speeds.append(step / ((before.sizes[i] + after.sizes[j]) / 2))
            series["speed"][index] += [np.mean(speeds)] if speeds else []
            series["peak"][index] += speeds
    result = {f"mean {name}": np.array([np.mean(v) if v else 0 for v in series[name]]) for name in parts}
    result |= {f"deviation {name}": np.array([np.std(v) if v else 0 for v in series[name]]) for name in parts}
    return result | {"peak speed": np.array([max(v, default=0) for v in series["peak"]])}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_every_number_against_a_loop(seed: int, counts: list[int]):
    random = np.random.default_rng(seed)
    six = some(seed, 6)
    frames = []
    for count in counts:
        one = six.take(random.permutation(6)[:count])
        step = np.tile(random.normal(scale=0.05, size=(count, 2)), 2)
        frames.append(from_corners(one.boxes + step, one.scores, one.classes))
    feature = describe(frames, [members(one) for one in frames], ASPECT)
    named, wanted = dimensions(4), by_loop(frames)
    assert set(named) == set(wanted) and named["peak speed"].stop == len(feature)
    for name, values in wanted.items():
        np.testing.assert_allclose(feature[named[name]], values, atol=1e-9, err_msg=name)
    turned = [one.take(random.permutation(len(one))) for one in frames]
    np.testing.assert_allclose(describe(turned, [members(one) for one in turned], ASPECT), feature, atol=1e-12)


def test_dimensions_cover_the_feature_without_gap_or_overlap():
    ends = [(one.start, one.stop) for one in dimensions(11).values()]
    assert ends[0][0] == 0 and ends[-1][1] == 11 * 15
    assert all(end == start for (_, end), (start, _) in pairwise(ends))


def test_nothing_is_all_zero():
    nothing = some(0, 0)
    assert not describe([nothing] * 2, [members(nothing)] * 2, ASPECT).any()


STREET = from_corners(
    np.array([[0.1, 0.2, 0.3, 0.8], [0.5, 0.1, 0.6, 0.5], [0.7, 0.5, 1.2, 0.9], [1.0, 0.1, 1.3, 0.3]]),
    np.array([0.9, 0.7, 0.8, 0.35]),
    np.array([COCO.index(name) for name in ("person", "person", "truck", "traffic light")]),
)
"""A person, another, a truck, and something that is not told apart."""
PIXELS = STREET.boxes * 72 + [0, 12, 0, 12]
SHARES = PIXELS / SIDE
NUMBERS = STREET.classes.astype(int)
IN_90 = np.array([COCO_90.index(COCO[number]) for number in NUMBERS])


def middles(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def rows(boxes: np.ndarray) -> np.ndarray:
    """`(1, 9, 6)` with places that are left over."""
    table = np.zeros((1, 9, 6))
    table[0, :4] = np.column_stack([boxes, STREET.scores, NUMBERS])
    return table


def yolo(before: int, boxes: np.ndarray = PIXELS) -> np.ndarray:
    """`(1, 30, before + 80)`: each a few times with lower scores."""
    table = np.zeros((1, 30, before + 80))
    for copy in range(4):
        for index in range(4):
            row = table[0, 7 * copy + index + 1]
            row[:4] = middles(boxes)[index] + 0.003 * copy * boxes.max()
            row[before + NUMBERS[index]] = STREET.scores[index] - 0.04 * copy
            if before == 5:
                row[4], row[5:] = 0.98, row[5:] / 0.98
    return table


def logits(columns: int, numbers: np.ndarray, nothing: bool) -> np.ndarray:
    """`(1, 12, columns)`, whose highest share is the score."""
    table = np.full((1, 12, columns), -60.0)
    table[..., -1] = 0 if nothing else -60
    for row, number, score in zip(table[0], numbers, STREET.scores, strict=False):
        row[number] = np.log(score / (1 - score))
    return table


def queries() -> np.ndarray:
    boxes = np.zeros((1, 12, 4)) + 0.5
    boxes[0, :4] = middles(SHARES)
    return boxes


def tensorflow(numbers: np.ndarray) -> dict[str, np.ndarray]:
    """With garbage behind the four that there are."""
    boxes, classes, scores = np.zeros((1, 10, 4)), np.zeros((1, 10)), np.zeros((1, 10))
    boxes[0, :4], classes[0, :4], scores[0, :4] = SHARES[:, [1, 0, 3, 2]], numbers, STREET.scores
    boxes[0, 4:], classes[0, 4:], scores[0, 4:] = np.nan, 77_000, 0.99
    return {"boxes": boxes, "classes": classes, "scores": scores, "count": np.array([4])}


TENSORFLOW = tensorflow(IN_90 + 1)
FORMS: dict[str, dict[str, np.ndarray]] = {
    "rows in pixels": {"map": np.zeros((1, 8, 8, 80)), "found": rows(PIXELS)},
    "rows in shares": {"found": rows(SHARES)},
    "YOLO": {"y": yolo(4).transpose(0, 2, 1)},
    "YOLO turned": {"y": yolo(4)},
    "YOLO in shares": {"y": yolo(4, SHARES)},
    "YOLO with a score of the box": {"y": yolo(5)},
    "TensorFlow": {
        **{f"raw_detection_{name}": np.zeros((1, 50, 4)) for name in ("boxes", "scores")},
        **{f"detection_{name}": TENSORFLOW[name] for name in ("scores", "boxes", "classes")},
        "num_detections": TENSORFLOW["count"],
    },
    "TensorFlow without names": {
        f"Identity:{i}": TENSORFLOW[name] for i, name in enumerate(("scores", "count", "boxes", "classes"))
    },
    "DETR": {"logits": logits(92, IN_90 + 1, True), "pred_boxes": queries(), "hidden": np.zeros((1, 12, 256))},
    "RT-DETR": {"labels": logits(80, NUMBERS, False), "boxes": queries()},
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_objects_that_it_holds(tmp_path: Path, form: str):
    encoder = Objects(write_constant(tmp_path / "net.onnx", FORMS[form], shape=(1, SIDE, SIDE, 3)))
    assert encoder.classes == (*CLASSES, "all")
    told = np.stack([STREET.classes == COCO.index(name) for name in CLASSES] + [np.ones(4, bool)], axis=1)
    (feature,) = encoder.encode([np.zeros((2, 72, 96, 3), np.uint8)])
    np.testing.assert_allclose(feature, describe([STREET] * 2, [told] * 2, ASPECT), atol=1e-4)
    counts = dict(zip(encoder.classes, feature[dimensions(11)["mean count"]], strict=True))
    assert counts == dict.fromkeys(CLASSES, 0) | {"person": 2, "truck": 1, "all": 4}


def test_the_yaml_file_may_name_an_output_for_another_use(tmp_path: Path):
    """A map that `onnx:` takes says nothing of boxes; of two tables that do, the one that is named is read."""
    path = tmp_path / "net.onnx"
    second = rows(PIXELS)
    second[:, 1:] = 0
    write_constant(path, FORMS["rows in pixels"] | {"other": second}, shape=(1, SIDE, SIDE, 3))
    for output, count in (("map", 4), ("found", 4), ("other", 1)):
        path.with_name("net.onnx.yaml").write_text(f"output: {output}")
        encoder = Objects(path)
        (feature,) = encoder.encode([np.zeros((2, 72, 96, 3), np.uint8)])
        assert feature[dimensions(11)["mean count"]][-1] == count
        assert encoder.passport()["settings"]["output"] == ["other" if output == "other" else "found"]  # type: ignore[index]


def test_what_moves_is_followed(tmp_path: Path):
    """Everything goes left by a twentieth of the network's width where the picture is white."""
    shift = np.zeros_like(rows(PIXELS))
    shift[:, :4, [0, 2]] = -0.05 * SIDE / 255
    path = write_constant(tmp_path / "net.onnx", {"y": rows(PIXELS)}, shape=(1, SIDE, SIDE, 3), shifts={"y": shift})
    frames = np.zeros((2, 72, 96, 3), np.uint8)
    frames[1] = 255
    (feature,) = Objects(path).encode([frames])
    speed = dict(zip((*CLASSES, "all"), feature[dimensions(11)["peak speed"]], strict=True))
    sizes = np.hypot(*(PIXELS[:, 2:] - PIXELS[:, :2]).T)
    step = 0.05 * SIDE * 72 / SIDE  # the network's picture is white where the video is
    assert speed["person"] == pytest.approx(step / sizes[:2].min(), rel=1e-4)
    assert speed["truck"] == pytest.approx(step / sizes[2], rel=1e-4) and speed["car"] == 0
    assert speed["all"] == pytest.approx(step / sizes.min(), rel=1e-4)


def test_classes_of_ones_own(tmp_path: Path):
    table = yolo(4)[..., [0, 1, 2, 3, 4, 11, 12]]
    path = write_constant(tmp_path / "net.onnx", {"y": table}, shape=(1, SIDE, SIDE, 3))
    path.with_name("net.onnx.yaml").write_text(
        "names: [rider, truck, helmet]\nclasses: [truck]\nscore: 0.75\nframes: 1"
    )
    encoder = Objects(path)
    assert encoder.classes == ("truck", "all") and encoder.width == 2 * 15 and encoder.sampling.count == 1
    (feature,) = encoder.encode([np.zeros((1, 72, 96, 3), np.uint8)])
    assert feature[dimensions(2)["mean count"]].tolist() == [1, 2]


@pytest.mark.parametrize(("place", "value"), [(0, np.nan), (4, np.inf), (5, np.nan), (4, 7), (5, -1), (5, 80)])
def test_detections_that_are_none(tmp_path: Path, place: int, value: float):
    table = rows(PIXELS)
    table[0, 0, place] = value
    told = (
        "not finite" if not np.isfinite(value) else "one is 7" if place == 4 else f"finds class {value}, but knows 80"
    )
    with pytest.raises(WsvadError, match=told):
        Objects(write_constant(tmp_path / "net.onnx", {"y": table}, shape=(1, SIDE, SIDE, 3)))


def test_a_network_as_large_as_they_come_and_one_that_finds_nothing(tmp_path: Path):
    for shape in ((1, 25_200, 85), (1, 0, 6)):
        encoder = Objects(write_constant(tmp_path / "net.onnx", {"y": np.zeros(shape)}))
        assert not encoder.encode([np.zeros((2, 64, 64, 3), np.uint8)]).any()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("classes: [persn]", "net.onnx.yaml: the network knows no class 'persn'; choose .* like person"),
        ("classes: ['']", "the network knows no class ''"),
        ("classes: [person, car, person]", "lists person twice"),
        ("classes: person", "classes is 'person' instead of a list"),
        ("score: 0", "score is 0 instead of above 0 to 1"),
        (
            "names: [person, car]\nclasses: [car]",
            "finds class 7, but knows 2, counted from 0; write all of their names",
        ),
    ],
)
def test_classes_that_there_are_not(tmp_path: Path, text: str, told: str):
    path = write_constant(tmp_path / "net.onnx", {"y": rows(PIXELS)}, shape=(1, SIDE, SIDE, 3))
    path.with_name("net.onnx.yaml").write_text(text)
    with pytest.raises(WsvadError, match=told) as caught:
        Objects(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "outputs",
    [
        {"embedding": np.zeros((1, 512))},
        {"tokens": np.zeros((1, 197, 768))},
        {"map": np.zeros((1, 8, 8, 80))},
        {"y": np.zeros((1, 7, 30))},
        {"boxes": np.zeros((1, 10, 4)), "classes": np.zeros((1, 10)), "scores": np.zeros((1, 12))},
        {"logits": np.zeros((1, 12, 17)), "boxes": np.zeros((1, 12, 4))},
    ],
)
def test_networks_that_do_something_else(tmp_path: Path, outputs: dict[str, np.ndarray]):
    with pytest.raises(WsvadError, match=r"not those of a detector of 80 classes: \w+ \[1, ") as caught:
        Objects(write_constant(tmp_path / "net.onnx", outputs))
    assert "\n" not in str(caught.value)


def test_the_passport_says_what_changes_a_number(tmp_path: Path):
    path = write_constant(tmp_path / "net.onnx", {"y": rows(PIXELS)}, shape=(1, "h", "w", 3), of=TensorProto.FLOAT)
    passports = []
    for text in ("", "score: 0.5", "classes: [person]", "frames: 3", "size: [64, 64]", "std: 2", "score: 0.3"):
        path.with_name("net.onnx.yaml").write_text(text)
        passports.append(Objects(path).passport())
    assert passports[-1] == passports[0] and len({str(one) for one in passports}) == 6


@pytest.mark.real
@pytest.mark.skipif(not CENTERNET.exists() or not PED2.exists(), reason="the real data are not beside the project")
def test_centernet_finds_the_walkers_and_the_cart():
    """The cart drives in `testing_04` from frame 30 on; it is taken for a car or a truck."""
    encoder = Objects(CENTERNET)
    named = dimensions(len(encoder.classes))
    counts = {}
    for name in ("testing_04", "training_05"):
        with VideoReader(PED2 / f"{name}.mp4") as video:
            frames = [frame.array(None, "rgb") for frame in islice(video, 64, 112)]
        snippets = [np.stack([frames[at + offset] for offset in encoder.sampling.offsets(16)]) for at in (0, 16, 32)]
        features = encoder.encode(snippets)[:, named["mean count"]]
        counts[name] = dict(zip(encoder.classes, features.mean(0), strict=True))
    assert min(one["person"] for one in counts.values()) > 6
    vehicles = {name: one["car"] + one["truck"] for name, one in counts.items()}
    assert vehicles["testing_04"] > 0.4 and vehicles["training_05"] == 0
