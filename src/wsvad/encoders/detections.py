"""What a network finds in a picture, people or objects: boxes with scores. The picture is fitted into the network's,
boxes are brought back, two that show the same thing become one, and things are followed from frame to frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from wsvad.encoders.image_network import ImageNetwork
from wsvad.errors import WsvadError

OVERLAP = 0.6
"""Of two boxes whose intersection over union is higher, whatever their classes, the one with the higher score stays."""
MOST = 300
"""Things in a frame, at most: those with the highest scores."""
CANDIDATES = 1000
"""Boxes that are compared with each other, at most."""
SMALLEST = 0.02
"""Of the picture's height: a size is at least this, so that what is a few pixels large does not race about."""
PIXELS = 2.0
"""Coordinates above it are pixels, others shares of the picture: no box is so small, none reaches so far out."""
LONGEST = 4
"""The network's picture of a video of any shape is at most so many times as long as it is wide."""
STRIDE = 32
"""Networks that take any size want multiples of this."""


@dataclass(frozen=True)
class Found:
    """What is in one frame: D things. Lengths are in heights of the picture but for what a network's reader gives."""

    boxes: np.ndarray
    """`(D, 4)`: x0, y0, x1, y1."""
    scores: np.ndarray
    """`(D,)`, 0 to 1."""
    classes: np.ndarray
    """`(D,)`, whole numbers."""
    keypoints: np.ndarray
    """`(D, K, 3)`: x, y, score; K is 0 where there are none."""

    def take(self, which: np.ndarray) -> Self:
        """Some of it, by a mask or by indices."""
        return type(self)(self.boxes[which], self.scores[which], self.classes[which], self.keypoints[which])

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def middles(self) -> np.ndarray:
        """`(D, 2)`: x, y."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sizes(self) -> np.ndarray:
        """`(D,)`: the diagonal of the box, from `SMALLEST`."""
        return np.maximum(np.linalg.norm(self.boxes[:, 2:] - self.boxes[:, :2], axis=1), SMALLEST)


def from_corners(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray | None = None, keypoints: np.ndarray | None = None
) -> Found:
    """Boxes x0, y0, x1, y1."""
    classes = np.zeros(len(boxes)) if classes is None else classes
    keypoints = np.zeros((len(boxes), 0, 3)) if keypoints is None else keypoints
    return Found(boxes.astype(np.float64), scores.astype(np.float64), classes, keypoints.astype(np.float64))


def corners(centred: np.ndarray) -> np.ndarray:
    """Boxes as middle, width and height → x0, y0, x1, y1."""
    return np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], axis=1)


def found_in(
    network: ImageNetwork,
    frames: np.ndarray,
    read: Callable[[np.ndarray], Found],
    *,
    score: float,
    shorter: int,
    fill: int,
) -> list[Found]:
    """What a network finds in each of several frames of one size, `(M, h, w, 3)`.

    Args:
        read: one fitted frame, `(1, h', w', 3)` → what the network finds in it, in its pixels or shares of its picture.
        score: of a thing that is there, at least.
        shorter: the shorter side of the network's picture, where it takes any size.
        fill: the grey level around the picture.

    Raises:
        WsvadError: the network does not run, or what it gives are no boxes with scores in [0, 1].
    """
    height, width = frames.shape[1:3]
    size = size_for(width, height, shorter) if network.free else network.size
    fitted, to_picture = padded(frames, size, fill)
    return [
        brought_back(checked(network, read(frame[None])), score, size, to_picture, width / height) for frame in fitted
    ]


def size_for(width: int, height: int, shorter: int) -> tuple[int, int]:
    """Width and height of the network's picture of a video, where the network takes any: of the video's shape, in
    multiples of 32."""
    scale = shorter / min(width, height)
    sides = [min(max(STRIDE, round(side * scale / STRIDE) * STRIDE), LONGEST * shorter) for side in (width, height)]
    return sides[0], sides[1]


def padded(
    frames: np.ndarray, size: tuple[int, int], fill: int = 0
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Frames scaled to fit into `size` and padded with one grey level, and the way back: (x, y) in [0, 1] of that →
    (x, y) in heights of the picture."""
    height, width = frames.shape[1:3]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted = np.full((len(frames), size[1], size[0], *frames.shape[3:]), fill, dtype=np.uint8)
    for place, frame in zip(fitted, frames, strict=True):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        place[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=how)
    return fitted, lambda points: (points * size - (left, top)) / inner * (width / height, 1)


def checked(network: ImageNetwork, found: Found) -> Found:
    """What was found, if it can be.

    Raises:
        WsvadError: a number is not finite, or a score is none.
    """
    numbers = (found.boxes, found.scores, found.classes, found.keypoints)
    if not all(np.isfinite(one).all() for one in numbers):
        raise WsvadError(f"{network.path}: its output has numbers that are not finite; use another network")
    scores = np.concatenate([found.scores, found.keypoints[..., 2].ravel()])
    if scores.size and (scores.min() < -0.01 or scores.max() > 1.01):
        worst = scores[np.abs(scores - 0.5).argmax()]
        raise WsvadError(
            f"{network.path}: its scores are not in [0, 1], one is {worst:g}; check scale, mean and std in "
            f"{network.path.name}.yaml, or use another network"
        )
    return found


def brought_back(
    found: Found,
    threshold: float,
    size: tuple[int, int],
    to_picture: Callable[[np.ndarray], np.ndarray],
    aspect: float,
) -> Found:
    """What has a score of at least `threshold`, each thing once, inside the picture and in its heights."""
    found = found.take(found.scores >= threshold)
    found = found.take(np.argsort(-found.scores, kind="stable")[:CANDIDATES])
    unit = np.array(size) if np.abs(found.boxes).max(initial=0) > PIXELS else np.ones(2)
    edges = (aspect, 1.0)
    points = np.clip(to_picture(found.boxes.reshape(-1, 2, 2) / unit), 0, edges)
    keypoints = found.keypoints.copy()
    keypoints[..., :2] = np.clip(to_picture(keypoints[..., :2] / unit), 0, edges)
    boxes = np.concatenate([points.min(1), points.max(1)], axis=1)
    found = Found(boxes, found.scores, found.classes, keypoints)
    found = found.take(np.all(boxes[:, 2:] > boxes[:, :2], axis=1))
    return found.take(distinct(found.boxes, found.scores)[:MOST])


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(A, 4)` and `(B, 4)`, `(A, B)`. Boxes have an area."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    areas = [(one[:, 2:] - one[:, :2]).prod(1) for one in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def distinct(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Non-maximum suppression: the indices of the boxes that stay, the highest score first."""
    order = np.argsort(-scores, kind="stable")
    covers = overlaps(boxes[order], boxes[order]) > OVERLAP
    stays = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if stays[place]:
            stays[place + 1 :] &= ~covers[place, place + 1 :]
    return order[stays]


def follow(before: Found, after: Found) -> tuple[np.ndarray, np.ndarray]:
    """The indices of those that are the same in two frames: the nearest two first, none twice, none that went further
    than its size. Frames in which all is the same are one moment, in which nothing is followed."""
    nothing = np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    if np.array_equal(before.boxes, after.boxes) and np.array_equal(before.keypoints, after.keypoints):
        return nothing
    steps = distances(before, after)
    first, second = np.nonzero(steps <= 1)
    pairs: list[tuple[int, int]] = []
    free_before, free_after = set(range(len(before))), set(range(len(after)))
    for place in np.argsort(steps[first, second], kind="stable"):
        pair = int(first[place]), int(second[place])
        if pair[0] in free_before and pair[1] in free_after:
            pairs.append(pair)
            free_before.remove(pair[0])
            free_after.remove(pair[1])
    if not pairs:
        return nothing
    one, other = np.array(pairs).T
    return one, other


def distances(a: Found, b: Found) -> np.ndarray:
    """From middle to middle in the mean size of the two, `(A, B)`."""
    apart = np.linalg.norm(a.middles[:, None] - b.middles, axis=2)
    return apart / ((a.sizes[:, None] + b.sizes) / 2)
