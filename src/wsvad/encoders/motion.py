"""`motion`: what moves, how much and how wildly. No weights: dense optical flow and frame differences.

Each pair of consecutive frames of a snippet gives a frame difference at 160x120 pixels and a flow field at 40x30 (DIS,
Kroeger et al., ECCV 2016), and from them twelve maps (`MAPS`) on a grid of cells (6 rows, 8 columns). Pairs across a
scene cut and pairs of equal frames are left out. The feature holds

* mean and standard deviation over the pairs of each map, at `RANKS` of its cells sorted from most to least: how much
  there is anywhere in the picture, whichever place it is in, so that what is learnt in one scene holds in another;
* how far the motion in the cells that move most goes one way, in each moment and over the snippet;
* a coarse grid (3 rows, 4 columns) of speed by direction (8): where it is and which way it goes.

Amounts are logarithms. Everything is 0 where nothing moves, and `dimensions()` names the ranges. Nothing is kept from
one snippet to the next.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from wsvad.encoders.encoder import Sampling
from wsvad.video.clock import SNIPPET

WIDTH, HEIGHT = 160, 120
SCALE = 4
"""Pixels of a frame for one of its flow field. DIS measures on 40x30 in its usual setting too, then draws it larger."""
ROWS, COLUMNS = 6, 8
DIRECTIONS = 8
MAPS = (
    "speed",  # mean flow magnitude, pixels of 160x120 a frame
    "speed rms",
    "speed peak",
    "difference",  # mean absolute frame difference, grey levels
    "difference rms",
    "divergence",  # mean magnitude, as the next two, eight times the change from pixel to pixel
    "curl",
    "shear",
    "chaos",  # rms of the flow about the mean flow of its cell
    "acceleration",  # mean magnitude of the change of flow from one pair to the next
    "speed change",  # mean change of its magnitude (Violent Flows, Hassner et al., 2012)
    "acceleration peak",
)
STILL = 9
"""The first so many come from one pair, the others compare two in a row."""
RANKS = (0, 1, 2, 4, 8, 16, 24, 36)
"""Of the 48 cells, sorted: the most, the second, the third, the fifth …"""
FLOOR = 0.05
"""An amount x becomes log(1 + x / FLOOR): about as much as a still picture shows by its noise."""
CUT_DIFFERENCE = 12.0
"""Grey levels by which the picture changes, on average, at a scene cut."""
CUT_CORRELATION = 0.6
"""Correlation of the coarse pictures on both sides of a scene cut, at most. Both lie far from what one scene shows:
joins of CCTV clips stay below 0.45 and above 30, a fixed camera above 0.95."""


def dimensions() -> dict[str, slice]:
    """The part of the feature that each name stands for, in order: `mean <map>` and `deviation <map>` (8 ranks each),
    `one way` (8 ranks by speed: 0 motion in all directions, 1 in one), `steady` (8 ranks by speed: length of the mean
    flow over the mean speed), `grid` (3 rows × 4 columns × 8 directions clockwise from the right, the last fastest)."""
    parts = {f"{statistic} {name}": len(RANKS) for statistic in ("mean", "deviation") for name in MAPS}
    parts |= {"one way": len(RANKS), "steady": len(RANKS), "grid": ROWS // 2 * COLUMNS // 2 * DIRECTIONS}
    edges = np.cumsum([0, *parts.values()]).tolist()
    return {name: slice(start, end) for name, (start, end) in zip(parts, pairwise(edges), strict=True)}


class Motion:
    """The encoder `motion`."""

    input = "video"
    argument = ""
    summary = "16 grey frames a snippet; no weights"
    name = "motion"
    width = dimensions()["grid"].stop
    sampling = Sampling(count=SNIPPET, size=(WIDTH, HEIGHT), colour="gray")

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(0)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, 120, 160)` uint8 → `(N, D)` float32. A snippet of one frame shows no motion: 0."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            coarse = [_coarse(frame) for frame in frames]
            if pairs := _pairs(frames, coarse):
                flow = np.stack([self._between(*coarse[i : i + 2]) for i in pairs])
                difference = np.stack([cv2.absdiff(*frames[i : i + 2]) for i in pairs])
                row[:] = _describe(flow, difference, np.array([*pairs.values()]))
        return features

    def passport(self) -> dict[str, object]:
        settings = {"version": 2, "flow": "DIS fast", "size": [WIDTH, HEIGHT], "frames": self.sampling.count}
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": settings}

    def _between(self, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Flow between two coarse pictures, `(2, 30, 40)` float32, along x and along y, in pixels of the frame."""
        # A given array would be taken as a first guess, so there is none.
        flow = self._flow.calc(before, now, None)  # type: ignore[call-overload]
        return SCALE * flow.transpose(2, 0, 1)


def _coarse(frame: np.ndarray) -> np.ndarray:
    """The picture in which flow is measured, and by which scenes are told apart."""
    return cv2.resize(frame, (WIDTH // SCALE, HEIGHT // SCALE), interpolation=cv2.INTER_AREA)


def _pairs(frames: np.ndarray, coarse: Sequence[np.ndarray]) -> dict[int, bool]:
    """Each i for which frames i and i + 1 show one scene at two moments, with whether the pair before it in the list
    ends in the same scene."""
    pairs: dict[int, bool] = {}
    same_scene = False
    for i, (first, second) in enumerate(pairwise(frames)):
        change = cv2.norm(first, second, cv2.NORM_L1) / first.size
        if not change:
            continue
        if change >= CUT_DIFFERENCE and _unlike(*coarse[i : i + 2]):
            same_scene = False
            continue
        pairs[i] = same_scene
        same_scene = True
    return pairs


def is_cut(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether another scene begins between two grey frames: much has changed, and the coarse picture is another one.

    A flash or a lamp changes much too, but leaves the picture alike.
    """
    change = cv2.norm(first, second, cv2.NORM_L1) / first.size
    return change >= CUT_DIFFERENCE and _unlike(_coarse(first), _coarse(second))


def _unlike(first: np.ndarray, second: np.ndarray) -> bool:
    if first.std() == 0 or second.std() == 0:  # a blank picture is like nothing else
        return True
    return bool(np.corrcoef(first.ravel(), second.ravel())[0, 1] < CUT_CORRELATION)


def _describe(flow: np.ndarray, difference: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """The feature of at least one pair, `(D,)`.

    Args:
        flow: `(P, 2, 30, 40)` float32, of P pairs.
        difference: `(P, 120, 160)` uint8.
        follows: `(P,)` bool: the pair before it ends in the same scene.
    """
    speed = _length(flow)
    x, y = _cells(flow[:, 0]), _cells(flow[:, 1])
    still = _still_maps(flow, speed, difference, x, y)
    by_direction = _by_direction(flow, speed).mean(0)
    changes = _change_maps(flow, speed, follows) if follows.any() else np.zeros((1, len(MAPS) - STILL, ROWS, COLUMNS))
    mean = np.concatenate([still.mean(0), changes.mean(0)])
    deviation = np.concatenate([still.std(0), changes.std(0)])
    sorted_cells = -np.sort(-np.stack([mean, deviation]).reshape(2, len(MAPS), -1), axis=-1)
    ranked = sorted_cells[..., RANKS]

    fastest = np.argsort(-mean[0], axis=None, kind="stable")[list(RANKS)]
    ways = _ways(by_direction, x.mean(0), y.mean(0), mean[0])
    grid = by_direction.reshape(ROWS // 2, 2, COLUMNS // 2, 2, DIRECTIONS).mean((1, 3))
    return np.concatenate(
        [np.log1p(ranked / FLOOR).ravel(), ways.reshape(2, -1)[:, fastest].ravel(), np.log1p(grid / FLOOR).ravel()]
    )


def _cells(values: np.ndarray) -> np.ndarray:
    """Mean over the cells of the grid, `(P, H, W)` → `(P, 6, 8)`. A product with ones takes half the time of a sum over
    rows."""
    _, height, width = values.shape
    ones = np.ones((1, height // ROWS), dtype=np.float32)
    rows = np.matmul(ones, values.reshape(-1, height // ROWS, width))
    return rows.reshape(-1, ROWS, COLUMNS, width // COLUMNS).sum(-1) * np.float32(ROWS * COLUMNS / (height * width))


def _peaks(values: np.ndarray) -> np.ndarray:
    """Maximum over the cells of the grid."""
    _, height, width = values.shape
    rows = values.reshape(-1, height // ROWS, width).max(1)
    return rows.reshape(-1, ROWS, COLUMNS, width // COLUMNS).max(-1)


def _length(flow: np.ndarray) -> np.ndarray:
    """`(P, 2, 30, 40)` → `(P, 30, 40)`. OpenCV rounds lengths of vectors by where in memory they lie; this has the same
    bits always."""
    x, y = flow[:, 0], flow[:, 1]
    return np.sqrt(x * x + y * y)


def _still_maps(
    flow: np.ndarray, speed: np.ndarray, difference: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """The maps of each pair by itself, `(P, 9, 6, 8)`, in the order of `MAPS`.

    Args:
        x, y: the flow in cells.
    """
    square = _cells(speed * speed)
    maps = [_cells(speed), np.sqrt(square), _peaks(speed)]
    levels = difference.astype(np.float32)
    maps += [_cells(levels), np.sqrt(_cells(np.multiply(levels, levels, out=levels)))]
    x_along_x, y_along_x = np.moveaxis(_gradient(flow, 1, 0), 1, 0)
    x_along_y, y_along_y = np.moveaxis(_gradient(flow, 0, 1), 1, 0)
    maps.append(_cells(np.abs(x_along_x + y_along_y)))  # divergence
    maps.append(_cells(np.abs(y_along_x - x_along_y)))  # curl
    maps.append(_cells(np.abs(x_along_x - y_along_y) + np.abs(y_along_x + x_along_y)))  # shear
    maps.append(np.sqrt(np.maximum(square - x**2 - y**2, 0)))
    return np.stack(maps, axis=1)


def _gradient(flow: np.ndarray, along_x: int, along_y: int) -> np.ndarray:
    """Of all pictures at once, which OpenCV takes for channels."""
    channels = np.ascontiguousarray(flow.reshape(-1, *flow.shape[2:]).transpose(1, 2, 0))
    gradient = cv2.Sobel(channels, cv2.CV_32F, along_x, along_y, scale=1 / SCALE)
    return gradient.transpose(2, 0, 1).reshape(flow.shape)


def _change_maps(flow: np.ndarray, speed: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """The maps that compare two pairs in a row, `(F, 3, 6, 8)`, in the order of `MAPS`."""
    change, faster = _length(np.diff(flow, axis=0)), np.abs(np.diff(speed, axis=0))
    return np.stack([_cells(change), _cells(faster), _peaks(change)], axis=1)[follows[1:]]


def _by_direction(flow: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Speed of each cell divided among the directions, `(P, 6, 8, 8)`; the sum over them is the cell's mean speed."""
    pairs, height, width = speed.shape
    turns = np.arctan2(flow[:, 1], flow[:, 0]) * np.float32(DIRECTIONS / (2 * np.pi))
    direction = np.floor(turns).astype(np.intp) % DIRECTIONS
    row, column = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    cell = np.arange(pairs)[:, None, None] * ROWS * COLUMNS + row[:, None] * COLUMNS + column
    place = (cell * DIRECTIONS + direction).ravel()
    total = np.bincount(place, speed.ravel(), pairs * ROWS * COLUMNS * DIRECTIONS)
    return (total * (ROWS * COLUMNS / (height * width))).reshape(pairs, ROWS, COLUMNS, DIRECTIONS)


def _ways(by_direction: np.ndarray, x: np.ndarray, y: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """How far the motion of each cell goes one way, `(2, 6, 8)` in [0, 1]: by the entropy of its directions, and by how
    much of its speed remains in the mean flow."""
    share = by_direction + FLOOR / 5
    share /= share.sum(-1, keepdims=True)
    one_way = 1 + (share * np.log(share)).sum(-1) / np.log(DIRECTIONS)
    steady = np.hypot(x, y) / (speed + FLOOR)
    return np.stack([np.maximum(one_way, 0), steady])
