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

from itertools import pairwise

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

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, 120, 160)` uint8 → `(N, D)` float32. A snippet of one frame shows no motion: 0."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            flows, differences, follows = self._pairs(frames)
            if flows:
                row[:] = _describe(flows, differences, follows)
        return features

    def passport(self) -> dict[str, object]:
        settings = {"version": 1, "flow": "DIS fast", "size": [WIDTH, HEIGHT], "frames": self.sampling.count}
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": settings}

    def _pairs(self, frames: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], list[bool]]:
        """Flow and frame difference of each pair that shows one scene at two moments, and whether the pair before it
        in the list ends in the same scene."""
        flows: list[np.ndarray] = []
        differences: list[np.ndarray] = []
        follows: list[bool] = []
        same_scene = False
        for first, second in pairwise(frames):
            difference = cv2.absdiff(first, second)
            if not difference.any():
                continue
            if is_cut(first, second):
                same_scene = False
                continue
            # A given array would be taken as a first guess, so there is none.
            flows.append(self._flow.calc(first, second, None))  # type: ignore[call-overload]
            differences.append(difference.astype(np.float32))
            follows.append(same_scene)
            same_scene = True
        return flows, differences, follows


def is_cut(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether another scene begins between two grey frames: much has changed, and the coarse picture is another one.

    A flash or a lamp changes much too, but leaves the picture alike.
    """
    if cv2.absdiff(first, second).mean() < CUT_DIFFERENCE:
        return False
    a, b = (cv2.resize(frame, (40, 30), interpolation=cv2.INTER_AREA).ravel() for frame in (first, second))
    if a.std() == 0 or b.std() == 0:  # a blank picture is like nothing else
        return True
    return bool(np.corrcoef(a, b)[0, 1] < CUT_CORRELATION)


def _describe(flows: list[np.ndarray], differences: list[np.ndarray], follows: list[bool]) -> np.ndarray:
    """The feature of at least one pair, `(D,)`."""
    still = np.stack([_still_maps(flow, difference) for flow, difference in zip(flows, differences, strict=True)])
    change = [_change_maps(a, b) for (a, b), follow in zip(pairwise(flows), follows[1:], strict=True) if follow]
    changes = np.stack(change) if change else np.zeros((1, len(MAPS) - STILL, ROWS, COLUMNS), dtype=np.float32)
    mean = np.concatenate([still.mean(0), changes.mean(0)])
    deviation = np.concatenate([still.std(0), changes.std(0)])
    sorted_cells = -np.sort(-np.stack([mean, deviation]).reshape(2, len(MAPS), -1), axis=-1)
    ranked = sorted_cells[..., RANKS]

    by_direction = np.mean([_by_direction(flow) for flow in flows], axis=0)
    fastest = np.argsort(-mean[0], axis=None, kind="stable")[list(RANKS)]
    ways = _ways(by_direction, np.mean([_cells(flow) for flow in flows], axis=0), mean[0])
    grid = by_direction.reshape(ROWS // 2, 2, COLUMNS // 2, 2, DIRECTIONS).mean((1, 3))
    return np.concatenate(
        [np.log1p(ranked / FLOOR).ravel(), ways.reshape(2, -1)[:, fastest].ravel(), np.log1p(grid / FLOOR).ravel()]
    )


def _cells(values: np.ndarray) -> np.ndarray:
    """Mean over the cells of the grid, `(120, 160, ...)` → `(6, 8, ...)`."""
    return cv2.resize(values, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)


def _peaks(values: np.ndarray) -> np.ndarray:
    """Maximum over the cells of the grid."""
    return values.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS).max((1, 3))


def _length(flow: np.ndarray) -> np.ndarray:
    """Length of each vector. OpenCV's own rounds by where in memory it writes; this gives the same bits always."""
    x, y = cv2.split(flow)
    return np.sqrt(x * x + y * y)


def _still_maps(flow: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """The maps of one pair, `(9, 6, 8)`, in the order of `MAPS`."""
    x, y = cv2.split(flow)
    speed = _length(flow)
    square = _cells(speed * speed)
    x_along_x, x_along_y, y_along_x, y_along_y = (
        cv2.Sobel(part, cv2.CV_32F, along_x, 1 - along_x) for part in (x, y) for along_x in (1, 0)
    )
    return np.stack(
        [
            _cells(speed),
            np.sqrt(square),
            _peaks(speed),
            _cells(difference),
            np.sqrt(_cells(difference * difference)),
            _cells(np.abs(x_along_x + y_along_y)),
            _cells(np.abs(y_along_x - x_along_y)),
            _cells(np.abs(x_along_x - y_along_y) + np.abs(y_along_x + x_along_y)),
            np.sqrt(np.maximum(square - _cells(x) ** 2 - _cells(y) ** 2, 0)),
        ]
    )


def _change_maps(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The maps that compare two pairs in a row, `(3, 6, 8)`, in the order of `MAPS`."""
    change = _length(now - before)
    speed_change = cv2.absdiff(_length(now), _length(before))
    return np.stack([_cells(change), _cells(speed_change), _peaks(change)])


def _by_direction(flow: np.ndarray) -> np.ndarray:
    """Speed of each cell divided among the directions, `(6, 8, 8)`; the sum over them is the cell's mean speed."""
    x, y = cv2.split(flow)
    speed, angle = cv2.cartToPolar(x, y)
    direction = (angle * np.float32(DIRECTIONS / (2 * np.pi))).astype(np.uint8) % DIRECTIONS
    return np.stack([_cells(np.where(direction == k, speed, np.float32(0))) for k in range(DIRECTIONS)], axis=-1)


def _ways(by_direction: np.ndarray, mean_flow: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """How far the motion of each cell goes one way, `(2, 6, 8)` in [0, 1]: by the entropy of its directions, and by how
    much of its speed remains in the mean flow."""
    share = by_direction + FLOOR / 5
    share /= share.sum(-1, keepdims=True)
    one_way = 1 + (share * np.log(share)).sum(-1) / np.log(DIRECTIONS)
    steady = np.hypot(mean_flow[..., 0], mean_flow[..., 1]) / (speed + FLOOR)
    return np.stack([np.maximum(one_way, 0), steady])
