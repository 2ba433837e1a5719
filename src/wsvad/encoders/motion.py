"""`motion`: what moves, how much and how wildly. No weights: dense optical flow and frame differences.

Each pair of consecutive frames of a snippet gives a flow field (DIS, Kroeger et al., ECCV 2016) and a frame difference,
at 160x120 pixels. Pairs across a scene cut, and pairs of equal frames, are left out. From these come twelve maps
(`MAPS`), averaged over the cells of a grid (6 rows, 8 columns) and over the pairs. The feature holds

* the values of each map at `RANKS` of the cells, sorted from most to least: how much there is anywhere in the picture,
  whichever place it is in, so that what is learnt in one scene holds in another;
* a coarse grid (3 rows, 4 columns) of flow magnitude by direction (8): where it is and which way it goes.

All are logarithms, 0 where nothing moves; `dimensions()` names the ranges. It keeps nothing between snippets.
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
    "acceleration",  # mean magnitude of the change of flow from one pair to the next
    "speed change",  # mean change of its magnitude (Violent Flows)
    "acceleration peak",
    "divergence",
    "curl",
    "shear",
    "chaos",  # rms of the flow about the mean flow of the cell
)
RANKS = (0, 1, 2, 4, 8, 16, 24, 36)
"""Of the 48 cells, sorted: the most, the second, …"""
FLOOR = 0.05
"""x becomes log((x + FLOOR) / FLOOR): below it lies the noise of a still picture."""
CUT_CORRELATION, CUT_DIFFERENCE = 0.6, 12.0


def dimensions() -> dict[str, slice]:
    """The part of the feature that each name stands for, in order: one a map (`len(RANKS)` values), then `grid`
    (3 rows × 4 columns × 8 directions, the last fastest)."""
    parts = {name: len(RANKS) for name in MAPS} | {"grid": ROWS // 2 * COLUMNS // 2 * DIRECTIONS}
    edges = np.cumsum([0, *parts.values()])
    return {name: slice(int(a), int(b)) for name, (a, b) in zip(parts, pairwise(edges), strict=True)}


class Motion:
    """The encoder `motion`."""

    eats = "video"
    summary = "16 grey frames a snippet; no weights"
    name = "motion"
    width = dimensions()["grid"].stop
    sampling = Sampling(count=SNIPPET, size=(WIDTH, HEIGHT), colour="gray")

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, 120, 160)` uint8 → `(N, D)` float32."""
        if not snippets:
            return np.zeros((0, self.width), dtype=np.float32)
        return np.stack([self._describe(frames) for frames in snippets])

    def passport(self) -> dict[str, object]:
        settings = {"version": 1, "flow": "DIS fast", "size": [WIDTH, HEIGHT], "frames": self.sampling.count}
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": settings}

    def _describe(self, frames: np.ndarray) -> np.ndarray:
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        changes: list[np.ndarray] = []
        before = None
        for first, second in pairwise(frames):
            difference = cv2.absdiff(first, second)
            if is_cut(first, second, difference):
                before = None
            elif difference.any():
                flow = self._flow.calc(first, second, None)  # type: ignore[call-overload]
                pairs.append(_pair_maps(flow, difference))
                if before is not None:
                    changes.append(_change_maps(before, flow))
                before = flow
        feature = np.zeros(self.width, dtype=np.float32)
        if pairs:
            maps = np.mean([p for p, _ in pairs], axis=0)
            change = np.mean(changes, axis=0) if changes else np.zeros((3, ROWS, COLUMNS), dtype=np.float32)
            maps = np.concatenate([maps[:5], change, maps[5:]])
            maps[[1, 4, 11]] = np.sqrt(maps[[1, 4, 11]])
            ranked = np.sort(maps.reshape(len(MAPS), -1), axis=1)[:, ::-1][:, RANKS]
            grid = np.mean([g for _, g in pairs], axis=0)
            values = np.concatenate([ranked.ravel(), grid.ravel()])
            feature[:] = np.log1p(values / FLOOR)
        return feature


def is_cut(first: np.ndarray, second: np.ndarray, difference: np.ndarray) -> bool:
    """Whether another scene begins between two grey frames: the picture has changed much, and coarsely too."""
    if difference.mean() < CUT_DIFFERENCE:
        return False
    a, b = (cv2.resize(x, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA).ravel() for x in (first, second))
    if a.std() == 0 or b.std() == 0:
        return True
    return bool(np.corrcoef(a, b)[0, 1] < CUT_CORRELATION)


def _cells(values: np.ndarray) -> np.ndarray:
    """Mean over the cells of the grid, `(120, 160)` → `(6, 8)`."""
    return cv2.resize(values, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)


def _peaks(values: np.ndarray) -> np.ndarray:
    """Maximum over the cells of the grid."""
    return values.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS).max((1, 3))


def _pair_maps(flow: np.ndarray, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps of one pair without those of `_change_maps`, `(9, 6, 8)`, and its grid, `(3, 4, 8)`."""
    x, y = np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])
    speed, angle = cv2.cartToPolar(x, y)
    level = difference.astype(np.float32)
    dx_x, dy_x, dx_y, dy_y = (
        cv2.Sobel(part, cv2.CV_32F, along, 1 - along, scale=1 / 8) for part in (x, y) for along in (1, 0)
    )
    square = _cells(speed * speed)
    maps = [
        _cells(speed),
        square,
        _peaks(speed),
        _cells(level),
        _cells(level * level),
        _cells(np.abs(dx_x + dy_y)),
        _cells(np.abs(dx_y - dy_x)),
        _cells(np.abs(dx_x - dy_y) + np.abs(dx_y + dy_x)),
        np.maximum(square - _cells(x) ** 2 - _cells(y) ** 2, 0),
    ]
    direction = (angle * np.float32(DIRECTIONS / (2 * np.pi))).astype(np.int32) % DIRECTIONS
    grid = [
        cv2.resize(np.where(direction == k, speed, 0), (COLUMNS // 2, ROWS // 2), interpolation=cv2.INTER_AREA)
        for k in range(DIRECTIONS)
    ]
    return np.stack(maps), np.stack(grid, axis=-1)


def _change_maps(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The three maps that compare the flow of two pairs in a row, `(3, 6, 8)`."""
    change = np.linalg.norm(now - before, axis=2)
    speed_change = np.abs(np.linalg.norm(now, axis=2) - np.linalg.norm(before, axis=2))
    return np.stack([_cells(change), _cells(speed_change), _peaks(change)])
