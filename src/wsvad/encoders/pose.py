"""`pose:FILE`: what the bodies in view do, for the stream `pose`. A keypoint network finds them.

A network that finds several people is read as `people.py` says. One that finds one gives 17 keypoints (COCO's: nose,
eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right), each y, x, score in [0, 1] of the square
that it sees, as MoveNet's single-pose networks do. It sees 8 frames of a snippet, scaled to fit and padded with black,
so that nobody is squeezed. `FILE.yaml` has the fields of `PosePreprocessing`.

A keypoint whose score is below `SEEN` is not seen. Every number is a mean or deviation over those frames alone in which
all that it needs is seen, and 0 where that is no frame; so nobody in view gives 0 but for the scores. Lengths are in
body sizes: the diagonal of the box about the keypoints seen. `dimensions()` names the ranges.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.detections import SMALLEST, padded
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import Frames, ImageNetwork, Placed, Preprocessing
from wsvad.encoders.people import People, form_of
from wsvad.encoders.pooling import masked, ranges
from wsvad.encoders.skeleton import HIPS, KEYPOINTS, LIMBS, SEEN, SHOULDERS, direction, middle
from wsvad.errors import WsvadError
from wsvad.ranges import Score

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
    return ranges(parts)


@dataclass(frozen=True, kw_only=True)
class PosePreprocessing(Preprocessing):
    """What a pose network wants."""

    frames: Frames = 8
    """Frames of a snippet that the network sees; 4 of one that finds several people, unless this says otherwise."""
    score: Score | None = None
    """Of a person that is there, at least, where the network finds several; else 0.15 of MoveNet, 0.25 of YOLO."""


class Pose(Placed):
    """The encoder `pose:FILE`."""

    input = "video"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    settings_of = PosePreprocessing
    summary = "the keypoints of one person (MoveNet) or several (MoveNet MultiPose, YOLO), 8 or 4 frames a snippet"
    extra = "litert"
    runtime = ("ai_edge_litert", "onnxruntime")

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """Open the network and try it. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: as `ImageNetwork`; or its output is not keypoints in one of the forms that are known.
        """
        self.name = f"pose:{file}"
        self.network = ImageNetwork(file, PosePreprocessing, settings=settings)
        form = form_of(self.network(self.network.blank()).shape)
        self._people = People(self.network, form) if form else OnePerson(self.network)
        self.width = self._people.width
        # At the video's own size: its shape is needed to fit it in.
        self.sampling = Sampling(count=self.network.asked.frames, colour=self.network.colour)
        self.encode([np.zeros((1, *self.network.frame_shape), dtype=np.uint8)])

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of any size → `(N, D)` float32."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            row[:] = self._people.feature(frames)
        return features

    def passport(self) -> dict[str, object]:
        return self.network.passport("pose", self.width, **self._people.settings)


class OnePerson:
    """How `pose:FILE` reads a network of one person."""

    width = dimensions()["peak speed"].stop
    settings: ClassVar[dict[str, object]] = {"version": 1, "seen": SEEN, "fit": "pad"}

    def __init__(self, network: ImageNetwork):
        """Look at what its YAML file says.

        Raises:
            WsvadError: it asks for what only networks of several people have.
        """
        self._network = network
        if network.asked.score is not None:
            raise WsvadError(
                f"{network.path}: 'score:' in its YAML file is for networks that find several people, and this one "
                "finds one; remove it"
            )

    def feature(self, frames: np.ndarray) -> np.ndarray:
        """One snippet, `(count, h, w, 3)` uint8 of any size → `(D,)`."""
        height, width = frames.shape[1:3]
        fitted, to_picture = padded(frames, self._network.size)
        keypoints = self._keypoints(fitted)
        return describe(to_picture(keypoints[..., [1, 0]]), keypoints[..., 2], width / height)

    def _keypoints(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w, 3)` → `(M, 17, 3)`: y, x, score."""
        output = self._network(frames)
        if output.shape[-2:] != (KEYPOINTS, 3) or output.size != len(frames) * KEYPOINTS * 3:
            raise self._network.wrong_output(output.shape, "17 keypoints of y, x, score, or several people of that")
        output = output.reshape(len(frames), KEYPOINTS, 3)
        if not np.isfinite(output).all() or np.abs(output).max() > 2:
            raise WsvadError(
                f"{self._network.path}: its keypoints are not y, x, score in [0, 1], "
                f"the largest is {np.abs(output).max():g}; use a network of MoveNet's form"
            )
        return output


def describe(points: np.ndarray, scores: np.ndarray, aspect: float) -> np.ndarray:
    """The feature of one snippet, `(D,)`.

    Args:
        points: the keypoints (x, y) in each frame, `(M, 17, 2)`, in heights of the picture.
        scores: `(M, 17)`, 0 to 1.
        aspect: the picture's width over its height.
    """
    seen = scores >= SEEN
    size = _body_size(points, seen)
    hips, has_hips = middle(points, seen, HIPS)
    numbers, known = _frame_numbers(points, scores, seen, size, aspect)
    speed, moved = _speeds(points, seen, size, hips, has_hips)
    mean, deviation = masked(numbers, known)
    return np.concatenate([mean, deviation, *masked(speed, moved), np.where(moved, speed, 0).max(0, initial=0)])


def _frame_numbers(
    points: np.ndarray, scores: np.ndarray, seen: np.ndarray, size: np.ndarray, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of `PARTS` in their order, `(M, 57)`, and which of them are known."""
    hips, has_hips = middle(points, seen, HIPS)
    shoulders, has_shoulders = middle(points, seen, SHOULDERS)
    place = np.clip(hips / [aspect, 1], 0, 1)
    relative = (points - hips[:, None]) / size[:, None, None]
    trunk, has_trunk = direction(shoulders - hips), has_hips & has_shoulders
    start, end = np.array(LIMBS).T
    limbs, has_limbs = direction(points[:, end] - points[:, start]), seen[:, start] & seen[:, end]
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


def _body_size(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Diagonal of the box about the keypoints seen, `(M,)` in heights of the picture."""
    inside = seen[..., None]
    low = np.where(inside, points, np.inf).min(1)
    high = np.where(inside, points, -np.inf).max(1)
    extent = np.where(seen.any(axis=1, keepdims=True), high - low, 0)
    return np.maximum(np.linalg.norm(extent, axis=1), SMALLEST)
