"""`pose:FILE`: what the body of the person in view does, for the stream `pose`. A keypoint network finds it.

The network gives 17 keypoints (COCO's: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before
right), each y, x, score in [0, 1] of the square that it sees, as MoveNet's single-pose networks do. It sees 8 frames of
a snippet, scaled to fit and padded with black, so that nobody is squeezed. `FILE.yaml` has the fields of
`PosePreprocessing`.

A keypoint whose score is below `SEEN` is not seen. Every number is a mean or deviation over those frames alone in which
all that it needs is seen, and 0 where that is no frame; so nobody in view gives 0 but for the scores. Lengths are in
body sizes: the diagonal of the box about the keypoints seen. `dimensions()` names the ranges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import Frames, ImageNetwork, Preprocessing
from wsvad.errors import WsvadError

KEYPOINTS = 17
SHOULDERS, HIPS = (5, 6), (11, 12)
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
"""Upper arm, forearm of the left and of the right; thigh, shin of the left and of the right; outward."""
SEEN = 0.3
"""Score of a keypoint that is there, at least."""
SMALLEST = 0.02
"""Of the picture's height: a body size is at least this, so that two points on top of each other make no noise."""
PARTS = {"scores": 2, "place": 2, "size": 1, "position": 2 * KEYPOINTS, "limbs": 2 * (1 + len(LIMBS))}
"""How many numbers of a frame there are under each name."""


def dimensions() -> dict[str, slice]:
    """The part of the feature that each name stands for, in order: `mean <part>`, then `deviation <part>`, over the
    frames, of

    * `scores`: the mean score and the share of keypoints seen, both 0 to 1;
    * `place`: the middle of the hips in the picture (x, y), 0 to 1;
    * `size`: the body size in heights of the picture, from 0.02;
    * `position`: the 17 keypoints about the middle of the hips (x, y each), in body sizes, -1 to 1;
    * `limbs`: the direction (x, y) of the trunk (from hips to shoulders) and of the 8 `LIMBS`, each of length 1;

    and last `mean speed`, `deviation speed` and `peak speed`, 17 each: how far a keypoint moves from one sampled frame
    to the next (2 frames later in a full snippet), in body sizes, from 0. Of two frames whose hips lie further apart
    than a body size, another person or another scene, no speed is taken; nor of two with equal keypoints."""
    parts = {f"{statistic} {name}": size for statistic in ("mean", "deviation") for name, size in PARTS.items()}
    parts |= {f"{statistic} speed": KEYPOINTS for statistic in ("mean", "deviation", "peak")}
    edges = np.cumsum([0, *parts.values()]).tolist()
    return {name: slice(start, end) for name, (start, end) in zip(parts, pairwise(edges), strict=True)}


@dataclass(frozen=True, kw_only=True)
class PosePreprocessing(Preprocessing):
    """What a pose network wants."""

    frames: Frames = 8


class Pose:
    """The encoder `pose:FILE`."""

    input = "video"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    summary = "8 frames a snippet, a network of 17 keypoints (MoveNet) in ONNX or TensorFlow Lite"
    extra = "litert"
    runtime = ("ai_edge_litert", "onnxruntime")
    width = dimensions()["peak speed"].stop

    def __init__(self, file: Path | str):
        """Open the network and try it.

        Raises:
            WsvadError: as `ImageNetwork`; or its output is not 17 keypoints.
        """
        self.name = f"pose:{file}"
        self.network = ImageNetwork(file, PosePreprocessing)
        # At the video's own size: its shape is needed to fit it in.
        self.sampling = Sampling(count=self.network.asked.frames, colour=self.network.colour)
        self._keypoints(self.network.blank())

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of any size → `(N, D)` float32."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            height, width = frames.shape[1:3]
            fitted, to_picture = _fit(frames, self.network.size)
            keypoints = self._keypoints(fitted)
            row[:] = describe(to_picture(keypoints[..., [1, 0]]), keypoints[..., 2], width / height)
        return features

    def passport(self) -> dict[str, object]:
        return self.network.passport("pose", self.width, version=1, seen=SEEN, fit="pad")

    def _keypoints(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w, 3)` → `(M, 17, 3)`: y, x, score."""
        output = self.network(frames)
        if output.shape[-2:] != (KEYPOINTS, 3) or output.size != len(frames) * KEYPOINTS * 3:
            raise self.network.wrong_output(output.shape, "17 keypoints of y, x, score")
        output = output.reshape(len(frames), KEYPOINTS, 3)
        if not np.isfinite(output).all() or np.abs(output).max() > 2:
            raise WsvadError(
                f"{self.network.path}: its keypoints are not y, x, score in [0, 1], "
                f"the largest is {np.abs(output).max():g}; use a network of MoveNet's form"
            )
        return output


def _fit(frames: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Frames scaled to fit into `size` and padded with black, and the way back: (x, y) in [0, 1] of that → (x, y) in
    heights of the picture."""
    height, width = frames.shape[1:3]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted = np.zeros((len(frames), size[1], size[0], *frames.shape[3:]), dtype=np.uint8)
    for padded, frame in zip(fitted, frames, strict=True):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        padded[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=how)
    return fitted, lambda points: (points * size - (left, top)) / inner * (width / height, 1)


def describe(points: np.ndarray, scores: np.ndarray, aspect: float) -> np.ndarray:
    """The feature of one snippet, `(D,)`.

    Args:
        points: the keypoints (x, y) in each frame, `(M, 17, 2)`, in heights of the picture.
        scores: `(M, 17)`, 0 to 1.
        aspect: the picture's width over its height.
    """
    seen = scores >= SEEN
    size = _body_size(points, seen)
    hips, has_hips = _middle(points, seen, HIPS)
    numbers, known = _frame_numbers(points, scores, seen, size, aspect)
    speed, moved = _speeds(points, seen, size, hips, has_hips)
    mean, deviation = masked(numbers, known)
    return np.concatenate([mean, deviation, *masked(speed, moved), np.where(moved, speed, 0).max(0, initial=0)])


def masked(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the first axis of the values that are known, 0 where none is."""
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / count
    return mean, np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / count)


def _frame_numbers(
    points: np.ndarray, scores: np.ndarray, seen: np.ndarray, size: np.ndarray, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of `PARTS` in their order, `(M, 57)`, and which of them are known."""
    hips, has_hips = _middle(points, seen, HIPS)
    shoulders, has_shoulders = _middle(points, seen, SHOULDERS)
    place = np.clip(hips / [aspect, 1], 0, 1)
    relative = (points - hips[:, None]) / size[:, None, None]
    trunk, has_trunk = _direction(shoulders - hips), has_hips & has_shoulders
    start, end = np.array(LIMBS).T
    limbs, has_limbs = _direction(points[:, end] - points[:, start]), seen[:, start] & seen[:, end]
    frames = len(points)
    always = np.ones((frames, 2), dtype=bool)
    numbers = [np.stack([scores.mean(1), seen.mean(1)], axis=1), place, size[:, None]]
    numbers += [relative.reshape(frames, -1), trunk, limbs.reshape(frames, -1)]
    known = [always, has_hips[:, None] & always, has_hips[:, None]]
    known += [np.repeat(seen & has_hips[:, None], 2, axis=1), has_trunk[:, None] & always]
    known += [np.repeat(has_limbs, 2, axis=1)]
    return np.concatenate(numbers, axis=1), np.concatenate(known, axis=1)


def _speeds(
    points: np.ndarray, seen: np.ndarray, size: np.ndarray, hips: np.ndarray, has_hips: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far each keypoint goes from frame to frame, `(M-1, 17)` in body sizes, and which of it is known."""
    unit = (size[1:] + size[:-1]) / 2
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) / unit[:, None]
    hop = np.linalg.norm(np.diff(hips, axis=0), axis=-1) > unit
    same_person = has_hips[1:] & has_hips[:-1] & ~hop & (speed > 0).any(1)
    return speed, seen[1:] & seen[:-1] & same_person[:, None]


def _middle(points: np.ndarray, seen: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The middle of those of two keypoints that are seen, `(M, 2)`, and whether any is."""
    weight = seen[:, pair]
    count = weight.sum(1)
    middle = (points[:, pair] * weight[..., None]).sum(1) / np.maximum(count, 1)[:, None]
    return middle, count > 0


def _body_size(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Diagonal of the box about the keypoints seen, `(M,)` in heights of the picture."""
    inside = seen[..., None]
    low = np.where(inside, points, np.inf).min(1)
    high = np.where(inside, points, -np.inf).max(1)
    extent = np.where(seen.any(axis=1, keepdims=True), high - low, 0)
    return np.maximum(np.linalg.norm(extent, axis=1), SMALLEST)


def _direction(vector: np.ndarray) -> np.ndarray:
    """Scaled to length 1; (0, 0) stays."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.divide(vector, length, out=np.zeros_like(vector), where=length > 0)
