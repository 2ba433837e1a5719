"""Boxes: suppression, overlap and following against brute force, and the way from the network's picture back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.encoders.detections import (
    MOST,
    OVERLAP,
    SMALLEST,
    Found,
    brought_back,
    distinct,
    follow,
    from_corners,
    overlaps,
    padded,
    size_for,
)

SEEDS = st.integers(0, 10_000)


def some_boxes(random: np.random.Generator, count: int, most: int = 12) -> np.ndarray:
    """Whole numbers, so that pixels can be counted."""
    low = random.integers(0, most - 2, size=(count, 2))
    return np.concatenate([low, low + random.integers(1, most // 2, size=(count, 2))], axis=1).astype(float)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Counted pixel by pixel."""
    pixels = [
        {(x, y) for x in range(int(one[0]), int(one[2])) for y in range(int(one[1]), int(one[3]))} for one in (a, b)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, count=st.integers(0, 12))
def test_suppression_against_a_loop_over_pixels(seed: int, count: int):
    random = np.random.default_rng(seed)
    boxes, scores = some_boxes(random, count), random.permutation(count) / 20
    wanted = [overlap(a, b) for a in boxes for b in boxes[:5]]
    np.testing.assert_allclose(overlaps(boxes, boxes[:5]).ravel(), wanted)
    kept: list[int] = []
    for index in sorted(range(count), key=lambda one: -scores[one]):
        if all(overlap(boxes[index], boxes[other]) <= OVERLAP for other in kept):
            kept.append(index)
    assert distinct(boxes, scores).tolist() == kept


def follow_by_loop(before: Found, after: Found) -> set[tuple[int, int]]:
    """The nearest pair of those that are left, again and again."""
    pairs: set[tuple[int, int]] = set()
    while True:
        best, chosen = 1.0, None
        for i, one in enumerate(before.boxes):
            for j, other in enumerate(after.boxes):
                if i in {a for a, _ in pairs} or j in {b for _, b in pairs}:
                    continue
                size = [max(np.hypot(box[2] - box[0], box[3] - box[1]), SMALLEST) for box in (one, other)]
                step = np.hypot(*((one[:2] + one[2:] - other[:2] - other[2:]) / 2)) / np.mean(size)
                if step <= best:
                    best, chosen = step, (i, j)
        if chosen is None:
            return pairs
        pairs.add(chosen)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, counts=st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_following_against_a_loop_and_in_any_order(seed: int, counts: tuple[int, int]):
    random = np.random.default_rng(seed)
    frames = []
    for count in counts:
        low = random.random((count, 2))
        frames.append(
            from_corners(np.concatenate([low, low + 0.02 + random.random((count, 2)) / 3], 1), np.ones(count))
        )
    before, after = frames
    found = {(int(a), int(b)) for a, b in zip(*follow(before, after), strict=True)}
    assert found == follow_by_loop(before, after)
    order = random.permutation(counts[0])
    turned = {(int(order[a]), int(b)) for a, b in zip(*follow(before.take(order), after), strict=True)}
    assert turned == found


def test_the_same_moment_twice_has_nobody_to_follow():
    people = from_corners(np.array([[0, 0, 1, 1], [2, 2, 3, 3.0]]), np.ones(2))
    assert len(follow(people, people)[0]) == 0
    moved = from_corners(people.boxes + [[0.1, 0, 0.1, 0], [0, 0, 0, 0]], np.ones(2))
    assert [one.tolist() for one in follow(people, moved)] == [[1, 0], [1, 0]]


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), size=st.sampled_from([(64, 64), (96, 32), (32, 64)]))
def test_boxes_come_back_where_the_picture_has_them(width: int, height: int, size: tuple[int, int]):
    """A picture that is bright all over, on grey: what is bright in the network's picture is all of the picture."""
    fitted, to_picture = padded(np.full((1, height, width, 3), 255, np.uint8), size, 114)
    assert fitted.shape == (1, size[1], size[0], 3) and set(np.unique(fitted)) <= {114, 255}
    rows, columns = np.nonzero(fitted[0, ..., 0] == 255)
    pixels = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
    for boxes in (pixels, pixels / [*size, *size]):
        back = brought_back(from_corners(boxes, np.ones(1)), 0.5, size, to_picture, width / height)
        np.testing.assert_allclose(back.boxes, [[0, 0, width / height, 1]], atol=1e-9)


def test_what_is_weak_empty_or_beside_the_picture_is_not_there():
    boxes = np.array([[8, 20, 16, 40], [8, 20, 16, 40], [10, 1, 20, 15], [30, 30, 30, 40], [50, 20, 90, 40.0]])
    found = from_corners(boxes, np.array([0.9, 0.1, 0.9, 0.9, 0.4]))
    _, to_picture = padded(np.zeros((1, 32, 64, 3), np.uint8), (64, 64))
    back = brought_back(found, 0.3, (64, 64), to_picture, 2)
    # The picture lies from line 16 to 48; the last reaches out of it on the right.
    np.testing.assert_allclose(back.boxes, (boxes[[0, 4]] - [0, 16, 0, 16]).clip(0, 64) / 32)
    assert back.scores.tolist() == [0.9, 0.4]


def test_no_number_of_boxes_is_too_large():
    random = np.random.default_rng(0)
    low = random.random((20_000, 2))
    found = from_corners(np.concatenate([low, low + 0.001], axis=1), random.random(20_000))
    back = brought_back(found, 0.0, (64, 64), lambda points: points, 1.0)
    assert len(back) == MOST and back.scores.min() >= np.sort(found.scores)[-1000]


@pytest.mark.parametrize(
    ("shape", "size"),
    [((320, 240), (352, 256)), ((240, 320), (256, 352)), ((1920, 1080), (448, 256)), ((9000, 10), (1024, 256))],
)
def test_a_free_network_gets_the_videos_shape_in_multiples_of_32(shape: tuple[int, int], size: tuple[int, int]):
    assert size_for(*shape, 256) == size
