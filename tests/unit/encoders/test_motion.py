"""The motion encoder against pictures whose motion is known."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.encoders.motion import (
    COLUMNS,
    DIRECTIONS,
    FLOOR,
    HEIGHT,
    MAPS,
    RANKS,
    ROWS,
    SCALE,
    WIDTH,
    Motion,
    dimensions,
    is_cut,
)
from wsvad.extraction.encode import encode_video

DIMS = dimensions()


def texture(seed: int, height: int = 2 * HEIGHT, width: int = 2 * WIDTH) -> np.ndarray:
    """A smooth random picture, larger than a frame."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def moving(dx: int, dy: int, frames: int = 16, seed: int = 0) -> np.ndarray:
    """The whole picture moves by (dx, dy) pixels a frame."""
    big = texture(seed)
    top, left = HEIGHT // 2, WIDTH // 2
    return np.stack(
        [big[top - dy * t : top - dy * t + HEIGHT, left - dx * t : left - dx * t + WIDTH] for t in range(frames)]
    )


def patch(x: int, y: int, step: int = 2, size: int = 28, frames: int = 12) -> np.ndarray:
    """A patch at (x, y) that moves to the right in front of a still picture."""
    still, own = texture(1, HEIGHT, WIDTH), texture(2, size, size)
    clip = np.repeat(still[None], frames, axis=0)
    for t in range(frames):
        clip[t, y : y + size, x + step * t : x + step * t + size] = own
    return clip


def encode(frames: np.ndarray) -> np.ndarray:
    return Motion().encode([frames])[0]


def amount(feature: np.ndarray, name: str) -> np.ndarray:
    """Undo the logarithm."""
    return 0.05 * np.expm1(feature[DIMS[name]])


def test_dimensions_cover_the_feature_without_gap_or_overlap():
    ends = [(part.start, part.stop) for part in DIMS.values()]
    assert ends[0][0] == 0 and ends[-1][1] == Motion.width
    assert all(end == start for (_, end), (start, _) in pairwise(ends))
    assert len(DIMS) == 2 * len(MAPS) + 3


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (-3, 0), (0, 2), (1, -2)])
def test_known_translation_gives_its_speed_and_direction(dx: int, dy: int):
    feature = encode(moving(dx, dy, frames=10))
    speed = np.hypot(dx, dy)
    middle = amount(feature, "mean speed")[4:7]  # away from the borders, where flow is guessed
    np.testing.assert_allclose(middle, speed, rtol=0.15)
    assert (feature[DIMS["steady"]][:6] > 0.9).all()  # one direction, all the time
    grid = amount(feature, "grid").reshape(3, 4, DIRECTIONS).sum((0, 1))
    sector = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi / DIRECTIONS)
    neighbours = {int(np.floor(sector - 1e-3)) % DIRECTIONS, int(np.floor(sector + 1e-3)) % DIRECTIONS}
    assert grid[list(neighbours)].sum() > 0.9 * grid.sum()


def test_constant_motion_has_little_acceleration_and_a_jerk_has_much():
    steady = moving(2, 0, frames=12)
    jerky = steady[[0, 2, 2 + 1, 5, 6, 8, 9, 11]]  # 4 and 2 pixels in turn
    there, here = (amount(encode(clip), "mean acceleration")[4] for clip in (jerky, steady))
    assert here < 0.5
    assert there == pytest.approx(2, rel=0.3)


def test_amounts_do_not_depend_on_where_the_motion_is_but_the_grid_does():
    clip = patch(20, 20)
    elsewhere = np.roll(clip, (60, 60), axis=(1, 2))  # three cells down and three to the right
    one, other = encode(clip), encode(elsewhere)
    np.testing.assert_allclose(one[DIMS["mean difference"]], other[DIMS["mean difference"]], rtol=1e-5)
    # Flow is estimated from coarse to fine, so it depends a little on where the coarse pixels lie.
    np.testing.assert_allclose(one[DIMS["mean speed"]][:4], other[DIMS["mean speed"]][:4], atol=0.5)
    grid_one, grid_other = (feature[DIMS["grid"]].reshape(3, 4, DIRECTIONS) for feature in (one, other))
    assert np.unravel_index(grid_one.argmax(), grid_one.shape)[0] == 0
    assert np.unravel_index(grid_other.argmax(), grid_other.shape)[0] == 2


def cells(values: np.ndarray) -> np.ndarray:
    """`(H, W, ...)` → `(6, 8, ...)`, in float64."""
    height, width = values.shape[:2]
    grid = (ROWS, height // ROWS, COLUMNS, width // COLUMNS)
    return values.reshape(*grid, *values.shape[2:]).mean((1, 3), dtype=np.float64)


def peaks(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    return values.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS).max((1, 3))


def length(flow: np.ndarray) -> np.ndarray:
    x, y = cv2.split(flow)
    return np.sqrt(x * x + y * y)


def coarse(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (WIDTH // SCALE, HEIGHT // SCALE), interpolation=cv2.INTER_AREA)


def maps_of_one_pair(flow: np.ndarray, difference: np.ndarray) -> np.ndarray:
    x, y = cv2.split(flow)
    speed = length(flow)
    square = cells(speed * speed)
    x_along_x, x_along_y, y_along_x, y_along_y = (
        cv2.Sobel(part, cv2.CV_32F, along_x, 1 - along_x) / SCALE for part in (x, y) for along_x in (1, 0)
    )
    divergence, curl = np.abs(x_along_x + y_along_y), np.abs(y_along_x - x_along_y)
    shear = np.abs(x_along_x - y_along_y) + np.abs(y_along_x + x_along_y)
    chaos = np.sqrt(np.maximum(square - cells(x) ** 2 - cells(y) ** 2, 0))
    of_difference = [cells(difference), np.sqrt(cells(difference * difference))]
    of_gradients = [cells(divergence), cells(curl), cells(shear)]
    return np.stack([cells(speed), np.sqrt(square), peaks(speed), *of_difference, *of_gradients, chaos])


def maps_of_two_pairs(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    change = length(now - before)
    return np.stack([cells(change), cells(np.abs(length(now) - length(before))), peaks(change)])


def directions_of_one_pair(flow: np.ndarray) -> np.ndarray:
    x, y = cv2.split(flow)
    speed = length(flow)
    direction = np.floor(np.arctan2(y, x) * np.float32(DIRECTIONS / (2 * np.pi))) % DIRECTIONS
    return np.stack([cells(np.where(direction == k, speed, np.float32(0))) for k in range(DIRECTIONS)], axis=-1)


def pair_by_pair(frames: np.ndarray) -> np.ndarray:
    """The feature by its definition, one pair and one map at a time."""
    estimate, scenes = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST), [[]]
    estimate.setFinestScale(0)
    for a, b in pairwise(frames):
        if is_cut(a, b):
            scenes.append([])
        elif (a != b).any():
            flow = SCALE * estimate.calc(coarse(a), coarse(b), None)
            scenes[-1].append((flow, cv2.absdiff(a, b).astype(np.float32)))
    flows = [flow for scene in scenes for flow, _ in scene]
    if not flows:
        return np.zeros(Motion.width)
    still = np.stack([maps_of_one_pair(*pair) for scene in scenes for pair in scene])
    change = [maps_of_two_pairs(a, b) for scene in scenes for (a, _), (b, _) in pairwise(scene)]
    changes = np.stack(change or [np.zeros((3, ROWS, COLUMNS), np.float32)])
    both = np.stack([np.concatenate([f(still), f(changes)]) for f in (lambda x: x.mean(0), lambda x: x.std(0))])
    ranked = np.sort(both.reshape(2, len(MAPS), -1))[..., ::-1][..., RANKS]

    by_direction = np.mean([directions_of_one_pair(flow) for flow in flows], axis=0)
    share = by_direction + FLOOR / 5
    share /= share.sum(-1, keepdims=True)
    one_way = np.maximum(1 + (share * np.log(share)).sum(-1) / np.log(DIRECTIONS), 0)
    x, y = np.moveaxis(np.mean([cells(flow) for flow in flows], axis=0), -1, 0)
    steady = np.hypot(x, y) / (both[0, 0] + FLOOR)
    fastest = np.argsort(-both[0, 0], axis=None, kind="stable")[list(RANKS)]
    grid = by_direction.reshape(ROWS // 2, 2, COLUMNS // 2, 2, DIRECTIONS).mean((1, 3))
    ways = [np.ravel(each)[fastest] for each in (one_way, steady)]
    return np.concatenate([np.log1p(ranked / FLOOR).ravel(), *ways, np.log1p(grid / FLOOR).ravel()])


@pytest.mark.parametrize(
    "clip",
    [
        moving(2, -1),
        patch(20, 60, frames=16),
        moving(1, 1, frames=2),
        moving(-2, 1, frames=18),  # more pairs than a snippet has
        np.concatenate([moving(1, 0, frames=3, seed=s) for s in (3, 4, 4, 5, 6)]),
        np.concatenate(
            [moving(1, 0, frames=1, seed=s) for s in range(9)] + [moving(0, 2, frames=2)]
        ),  # no two in a row
        np.repeat(moving(0, 3, frames=5), 3, axis=0),
        np.random.default_rng(1).integers(0, 256, (16, HEIGHT, WIDTH), np.uint8),
    ],
    ids=["moving", "patch", "one pair", "long", "cuts", "pairs apart", "repeated", "noise"],
)
def test_all_pairs_at_once_give_what_one_at_a_time_gives_and_the_same_bits_always(clip: np.ndarray):
    encoder = Motion()
    expected, (found,) = pair_by_pair(clip), encoder.encode([clip])
    assert expected.any() or is_cut(clip[0], clip[1])
    chaos = np.zeros(Motion.width, bool)  # a small difference of large numbers
    chaos[DIMS["mean chaos"]] = chaos[DIMS["deviation chaos"]] = True
    np.testing.assert_allclose(found[chaos], expected[chaos], atol=1e-3)
    np.testing.assert_allclose(found[~chaos], expected[~chaos], rtol=1e-5, atol=5e-6)
    for before in (clip, moving(3, 3), clip[:3]):  # whatever was encoded before
        encoder.encode([before])
        np.testing.assert_array_equal(encoder.encode([clip])[0], found)


def test_difference_maps_follow_their_definition():
    frames = np.random.default_rng(0).integers(100, 104, size=(3, HEIGHT, WIDTH), dtype=np.uint8)
    level = np.abs(np.diff(frames.astype(float), axis=0))
    cells = level.reshape(2, 6, 20, 8, 20)
    mean = np.sort(cells.mean((2, 4)).mean(0).ravel())[::-1][list(RANKS)]
    rms = np.sort(np.sqrt((cells**2).mean((2, 4))).mean(0).ravel())[::-1][list(RANKS)]
    deviation = np.sort(cells.mean((2, 4)).std(0).ravel())[::-1][list(RANKS)]
    feature = encode(frames)
    np.testing.assert_allclose(amount(feature, "mean difference"), mean, rtol=1e-3)
    np.testing.assert_allclose(amount(feature, "mean difference rms"), rms, rtol=1e-3)
    np.testing.assert_allclose(amount(feature, "deviation difference"), deviation, rtol=1e-2, atol=1e-4)


def test_a_scene_cut_is_left_out():
    before, after = moving(1, 0, frames=8, seed=3), moving(1, 0, frames=8, seed=4)
    joined = encode(np.concatenate([before, after]))
    # Seven pairs of one scene and seven of the other, as if each had been a snippet of its own.
    means = [amount(encode(part), "mean speed") for part in (before, after)]
    np.testing.assert_allclose(amount(joined, "mean speed"), np.mean(means, axis=0), rtol=0.1)
    worst = max(amount(encode(part), "mean difference")[0] for part in (before, after))
    assert amount(joined, "mean difference")[0] <= worst * 1.01
    # No acceleration is measured across it.
    assert amount(joined, "mean acceleration")[0] <= 1.1 * max(
        amount(encode(part), "mean acceleration")[0] for part in (before, after)
    )


@pytest.mark.parametrize(
    ("change", "cut"),
    [
        (lambda frame: texture(9)[:HEIGHT, :WIDTH], True),
        (lambda frame: np.zeros_like(frame), True),
        (lambda frame: np.clip(frame.astype(int) + 60, 0, 255).astype(np.uint8), False),  # a lamp goes on
        (lambda frame: np.roll(frame, 3, axis=1), False),
        (lambda frame: frame, False),
    ],
)
def test_what_counts_as_a_cut(change, cut: bool):
    frame = texture(8)[:HEIGHT, :WIDTH]
    assert is_cut(frame, change(frame)) is cut


@pytest.mark.parametrize("frames", [1, 2, 16])
def test_a_still_picture_shows_nothing(frames: int):
    clip = np.repeat(texture(5)[None, :HEIGHT, :WIDTH], frames, axis=0)
    np.testing.assert_array_equal(encode(clip), np.zeros(Motion.width))


def test_repeated_frames_of_a_short_last_snippet_change_nothing():
    clip = moving(2, 1, frames=5)
    repeated = clip[Motion.sampling.offsets(5)]
    assert len(repeated) == 16
    np.testing.assert_array_equal(encode(repeated), encode(clip))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 4), low=st.integers(0, 255))
def test_any_snippet_gives_finite_amounts_that_are_not_negative(seed: int, frames: int, low: int):
    clip = np.random.default_rng(seed).integers(low, 256, size=(frames, HEIGHT, WIDTH), dtype=np.uint8)
    feature = encode(clip)
    assert np.isfinite(feature).all() and (feature >= 0).all()
    for name in ("one way", "steady"):
        assert (feature[DIMS[name]] <= 1 + 1e-5).all()


@pytest.mark.parametrize("size", [(2, 2), (34, 18), (641, 359)])
def test_pictures_of_any_size_are_measured_on_the_same_scale(tmp_path: Path, size: tuple[int, int]):
    width, height = size
    frames = [cv2.resize(frame, size).repeat(3).reshape(height, width, 3) for frame in moving(2, 0, frames=17)]
    path = write_clip(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    features = encode_video(path, {"flow": (Motion(),)})["flow"].features
    assert features.shape == (2, Motion.width) and np.isfinite(features).all()
    np.testing.assert_array_equal(features[1], 0)  # a snippet of one frame
    if width > WIDTH:
        np.testing.assert_allclose(amount(features[0], "mean speed")[4:7], 2, rtol=0.2)


def test_flow_is_that_of_the_usual_setting_on_the_whole_frame_before_it_is_drawn_larger():
    """Which is at a quarter of 160x120 too."""
    frames = moving(2, -1, frames=3)
    usual = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for before, now in pairwise(frames):
        whole = usual.calc(before, now, None)  # type: ignore[call-overload]
        found = Motion()._between(coarse(before), coarse(now))
        drawn = cv2.resize(found.transpose(1, 2, 0), (WIDTH, HEIGHT))
        assert np.abs(whole).mean() > 1.5
        np.testing.assert_allclose(drawn, whole, atol=1e-4)


def test_nothing_is_kept_between_snippets():
    one, two = moving(2, 0, frames=4), moving(0, -3, frames=6, seed=6)
    encoder = Motion()
    together = encoder.encode([one, two, one])
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[1], Motion().encode([two])[0])


def test_the_number_of_threads_does_not_change_the_numbers():
    clip, threads = moving(2, 1, frames=5), cv2.getNumThreads()
    features = []
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            features.append(encode(clip))
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(*features)
