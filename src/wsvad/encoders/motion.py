"""`motion`: what moves, how much and how wildly. No weights: dense optical flow and frame differences.

Each pair of consecutive frames of a snippet gives a flow field (DIS, Kroeger et al., ECCV 2016) and a frame difference,
at 160x120 pixels, and from them twelve maps (`MAPS`) on a grid of cells (6 rows, 8 columns). Pairs across a scene cut
and pairs of equal frames are left out. The feature holds

* mean and standard deviation over the pairs of each map, at `RANKS` of its cells sorted from most to least: how much
  there is anywhere in the picture, whichever place it is in, so that what is learnt in one scene holds in another;
* how far the motion in the cells that move most goes one way, in each moment and over the snippet;
* a coarse grid (3 rows, 4 columns) of speed by direction (8): where it is and which way it goes.

Amounts are logarithms. Everything is 0 where nothing moves, and `dimensions()` names the ranges. Nothing is kept from
one snippet to the next.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from wsvad.encoders.encoder import Sampling
from wsvad.video.clock import SNIPPET

WIDTH, HEIGHT = 160, 120
ROWS, COLUMNS = 6, 8
DIRECTIONS = 8
MAPS = (
    "speed",  # mean flow magnitude, pixels a frame
    "speed rms",
    "speed peak",
    "difference",  # mean absolute frame difference, grey levels
    "difference rms",
    "divergence",  # mean magnitude, as the next two, eight times finite differences
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
_ONES = np.ones((1, HEIGHT // ROWS), dtype=np.float32)
_SHARE = np.float32(ROWS * COLUMNS / (HEIGHT * WIDTH))
"""Of a pixel in its cell."""


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
        self._room = np.empty((len(_Room._fields), SNIPPET - 1, HEIGHT, WIDTH), dtype=np.float32)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, 120, 160)` uint8 → `(N, D)` float32. A snippet of one frame shows no motion: 0."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            if pairs := _pairs(frames):
                row[:] = _describe(self._measured(frames, list(pairs)), np.array([*pairs.values()]))
        return features

    def passport(self) -> dict[str, object]:
        settings = {"version": 1, "flow": "DIS fast", "size": [WIDTH, HEIGHT], "frames": self.sampling.count}
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": settings}

    def _measured(self, frames: np.ndarray, pairs: Sequence[int]) -> "_Room":
        """Flow and frame difference of each pair, by its first frame, and room for what is computed from them."""
        if len(pairs) > self._room.shape[1]:
            self._room = np.empty((len(_Room._fields), len(pairs), HEIGHT, WIDTH), dtype=np.float32)
        room = _Room(*self._room[:, : len(pairs)])
        for x, y, difference, i in zip(room.x, room.y, room.difference, pairs, strict=True):
            before, now = frames[i : i + 2]
            # A given array would be taken as a first guess, so there is none.
            cv2.split(self._flow.calc(before, now, None), (x, y))  # type: ignore[call-overload]
            difference[:] = cv2.absdiff(before, now)
        return room


class _Room(NamedTuple):
    """Arrays `(P, 120, 160)` of the P pairs of a snippet, in memory that is used again for the next one: to get new
    memory for each step costs as much time as the step."""

    x: np.ndarray
    y: np.ndarray
    difference: np.ndarray
    """After `_still_maps` it is free, as the four below are before and after any function."""
    speed: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    d: np.ndarray


def _pairs(frames: np.ndarray) -> dict[int, bool]:
    """Each i for which frames i and i + 1 show one scene at two moments, with whether the pair before it in the list
    ends in the same scene."""
    pairs: dict[int, bool] = {}
    same_scene = False
    for i, (first, second) in enumerate(pairwise(frames)):
        if not cv2.norm(first, second, cv2.NORM_L1):
            continue
        if is_cut(first, second):
            same_scene = False
            continue
        pairs[i] = same_scene
        same_scene = True
    return pairs


def is_cut(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether another scene begins between two grey frames: much has changed, and the coarse picture is another one.

    A flash or a lamp changes much too, but leaves the picture alike.
    """
    if cv2.norm(first, second, cv2.NORM_L1) / first.size < CUT_DIFFERENCE:
        return False
    a, b = (cv2.resize(frame, (40, 30), interpolation=cv2.INTER_AREA).ravel() for frame in (first, second))
    if a.std() == 0 or b.std() == 0:  # a blank picture is like nothing else
        return True
    return bool(np.corrcoef(a, b)[0, 1] < CUT_CORRELATION)


def _describe(room: _Room, follows: np.ndarray) -> np.ndarray:
    """The feature of at least one pair, `(D,)`."""
    np.sqrt(_squares(room.x, room.y, room.a, room.speed), out=room.speed)
    x, y = _cells(room.x), _cells(room.y)
    still = _still_maps(room, x, y)
    by_direction = _by_direction(room).mean(0)
    none = np.zeros((1, len(MAPS) - STILL, ROWS, COLUMNS), dtype=np.float32)
    changes = _change_maps(room)[follows[1:]] if follows.any() else none
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
    """Mean over the cells of the grid, `(P, 120, 160)` → `(P, 6, 8)`. A product with ones takes half the time of a sum
    over rows, and a third of that of OpenCV's averaging."""
    rows = np.matmul(_ONES, values.reshape(-1, HEIGHT // ROWS, WIDTH))
    return rows.reshape(-1, ROWS, COLUMNS, WIDTH // COLUMNS).sum(-1) * _SHARE


def _tall(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, WIDTH)


def _peaks(values: np.ndarray) -> np.ndarray:
    """Maximum over the cells of the grid."""
    rows = values.reshape(-1, HEIGHT // ROWS, WIDTH).max(1)
    return rows.reshape(-1, ROWS, COLUMNS, WIDTH // COLUMNS).max(-1)


def _squares(x: np.ndarray, y: np.ndarray, room: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x² + y². OpenCV rounds lengths of vectors by where in memory they lie; this has the same bits always."""
    return np.add(np.multiply(x, x, out=out), np.multiply(y, y, out=room), out=out)


def _still_maps(room: _Room, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The maps of each pair by itself, `(P, 9, 6, 8)`, in the order of `MAPS`.

    Args:
        x, y: the flow in cells.
    """
    _, _, difference, speed, a, b, c, d = room
    square = _cells(np.multiply(speed, speed, out=a))
    maps = [_cells(speed), np.sqrt(square), _peaks(speed), _cells(difference)]
    maps.append(np.sqrt(_cells(np.multiply(difference, difference, out=a))))
    for part, along_x, along_y in ((room.x, a, b), (room.y, c, d)):
        for i in range(len(part)):
            cv2.Sobel(part[i], cv2.CV_32F, 1, 0, along_x[i])
            cv2.Sobel(part[i], cv2.CV_32F, 0, 1, along_y[i])
    free = difference
    maps.append(_cells(np.abs(np.add(a, d, out=free), out=free)))  # divergence
    cv2.absdiff(_tall(c), _tall(b), _tall(free))
    maps.append(_cells(free))  # curl
    cv2.absdiff(_tall(a), _tall(d), _tall(a))
    np.abs(np.add(c, b, out=c), out=c)
    maps.append(_cells(np.add(a, c, out=a)))  # shear
    maps.append(np.sqrt(np.maximum(square - x**2 - y**2, 0)))
    return np.stack(maps, axis=1)


def _change_maps(room: _Room) -> np.ndarray:
    """The maps that compare two pairs in a row, `(P - 1, 3, 6, 8)`, in the order of `MAPS`."""
    a, b, c = (array[1:] for array in (room.a, room.b, room.c))
    for part, out in ((room.x, a), (room.y, b), (room.speed, c)):
        np.subtract(part[1:], part[:-1], out=out)
    change = np.sqrt(_squares(a, b, room.d[1:], a), out=a)
    return np.stack([_cells(change), _cells(np.abs(c, out=c)), _peaks(change)], axis=1)


def _by_direction(room: _Room) -> np.ndarray:
    """Speed of each cell divided among the directions, `(P, 6, 8, 8)`; the sum over them is the cell's mean speed."""
    speed, angle = cv2.cartToPolar(_tall(room.x), _tall(room.y), _tall(room.a), _tall(room.b))
    direction = np.multiply(angle, np.float32(DIRECTIONS / (2 * np.pi)), out=angle).astype(np.uint8)
    direction &= DIRECTIONS - 1  # an angle of just below 2π may be rounded up
    cells = []
    for k in range(DIRECTIONS):
        np.multiply(speed, direction == k, out=_tall(room.c))
        cells.append(_cells(room.c))
    return np.stack(cells, axis=-1)


def _ways(by_direction: np.ndarray, x: np.ndarray, y: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """How far the motion of each cell goes one way, `(2, 6, 8)` in [0, 1]: by the entropy of its directions, and by how
    much of its speed remains in the mean flow."""
    share = by_direction + FLOOR / 5
    share /= share.sum(-1, keepdims=True)
    one_way = 1 + (share * np.log(share)).sum(-1) / np.log(DIRECTIONS)
    steady = np.hypot(x, y) / (speed + FLOOR)
    return np.stack([np.maximum(one_way, 0), steady])
