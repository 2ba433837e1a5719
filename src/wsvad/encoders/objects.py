"""`objects:FILE`: which objects are in view, how many, where, how large and how fast. A detector finds them.

It sees 2 frames of a snippet, scaled to fit and padded. `detectors.py` lists the forms of networks that are recognised.
Of the classes that they know, `classes:` in `FILE.yaml` names those that are counted apart; there is a total over all.
`FILE.yaml` has the fields of `ObjectPreprocessing`; `dimensions()` names the ranges.
"""

import difflib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.detections import OVERLAP, Found, follow, found_in
from wsvad.encoders.detectors import recognised
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import Frames, ImageNetwork, Placed, Preprocessing
from wsvad.encoders.pooling import extremes, masked, ranges
from wsvad.errors import WsvadError
from wsvad.ranges import Score
from wsvad.spelling import plain

CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "bus", "truck", "dog"),
    *("backpack", "suitcase", "skateboard"),
)
"""Of COCO's, those that matter before a camera that watches a place."""
PARTS = ("count", "score", "x", "y", "size", "largest")
SHORTER = 384
"""Of the picture's sides, for a network that takes any size."""


def dimensions(classes: int) -> dict[str, slice]:
    """The part of the feature that each name stands for, with one number for each of the `classes`, of which the last
    is the total over all that the network knows. In order: `mean <part>`, then `deviation <part>`, over the frames, of

    * `count`: how many there are;
    * `score`: the highest, 0 to 1, and 0 where there is none;
    * `x`, `y`: the mean of the middles of the boxes, 0 to 1 from the left and from the top;
    * `size`, `largest`: the mean and the largest diagonal of a box, in heights of the picture, from 0.02;

    and last `mean speed`, `deviation speed` and `peak speed`: how far, in its size, an object goes from one sampled
    frame to the next (8 frames later in a full snippet), the mean over the objects and the furthest of all. What goes
    further than its size is taken for another.

    Places and sizes are taken over the frames in which the class occurs, and are 0 where that is none."""
    parts = [f"{statistic} {part}" for statistic in ("mean", "deviation") for part in PARTS]
    parts += [f"{statistic} speed" for statistic in ("mean", "deviation", "peak")]
    return ranges(dict.fromkeys(parts, classes))


@dataclass(frozen=True, kw_only=True)
class ObjectPreprocessing(Preprocessing):
    """What a detector wants."""

    frames: Frames = 2
    score: Score = 0.3
    """Of an object that is there, at least."""
    classes: tuple[str, ...] = CLASSES
    """Those that are counted apart."""
    names: tuple[str, ...] | None = None
    """Of all classes that the network knows, in its order, where they are not COCO's."""


class Objects(Placed):
    """The encoder `objects:FILE`."""

    input = "video"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    settings_of = ObjectPreprocessing
    summary = "2 frames a snippet, a detector (CenterNet, YOLO, SSD, DETR) in ONNX or TensorFlow Lite"
    extra = "onnx"
    runtime = ("onnxruntime", "ai_edge_litert")

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """Open the network and try it. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: as `ImageNetwork`; its outputs are not those of a detector, or it does not know a class that is
                asked for.
        """
        self.name = f"objects:{file}"
        self.network = ImageNetwork(file, ObjectPreprocessing, settings=settings)
        self._detector = recognised(self.network, self.network.asked.names)
        if self._detector.pixels:
            scale, mean, std = self._detector.pixels
            self.network.prefer(scale=scale, mean=mean, std=std)
        self.classes = (*self._known(self.network.asked.classes), "all")
        """What each number of a range stands for."""
        self.width = dimensions(len(self.classes))["peak speed"].stop
        # At the video's own size: its shape is needed to fit it in.
        self.sampling = Sampling(count=self.network.asked.frames, colour=self.network.colour)
        self.encode([self.network.blank()])

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of any size → `(N, D)` float32."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            found = found_in(
                *(self.network, frames, self._read),
                score=self.network.asked.score,
                shorter=SHORTER,
                fill=self._detector.fill,
            )
            members = [self._members(one) for one in found]
            row[:] = describe(found, members, frames.shape[2] / frames.shape[1])
        return features

    def passport(self) -> dict[str, object]:
        own: dict[str, object] = {"version": 1, "fit": f"pad {self._detector.fill}", "overlap": OVERLAP}
        own |= {"form": self._detector.form, "output": [tensor.name for tensor in self._detector.outputs]}
        # What is counted as each class says all that `names` does.
        known = self._detector.names
        own["classes"] = [f"{name}: {[i for i, one in enumerate(known) if one == name]}" for name in self.classes[:-1]]
        own["names"] = len(known)
        if self.network.free:
            own["size"] = f"shorter side {SHORTER}"
        return self.network.passport("objects", self.width, **own)

    def _read(self, frame: np.ndarray) -> Found:
        outputs = self.network.run(frame, outputs=self._detector.outputs)
        return self._detector.read([output[0] for output in outputs])

    def _members(self, found: Found) -> np.ndarray:
        """Which thing is of which class, `(D, C)`."""
        known, path = self._detector.names, self.network.path
        numbers = np.rint(found.classes).astype(np.int64)
        if wrong := [number for number in numbers if not 0 <= number < len(known)]:
            raise WsvadError(
                f"{path}: it finds class {wrong[0]}, but knows {len(known)}, counted from 0; write all of their names "
                f"in order as 'names:' in {path.name}.yaml"
            )
        names = np.array([known[number] for number in numbers], dtype=object)
        of_each = [names == name for name in self.classes[:-1]]
        return np.stack([*of_each, np.ones(len(found), dtype=bool)], axis=1)

    def _known(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The classes, if the network knows them.

        Raises:
            WsvadError: it does not.
        """
        path, names = self.network.path, [name for name in self._detector.names if name]
        for name in classes:
            if name not in names:
                near = difflib.get_close_matches(name, names) or names[:8]
                raise WsvadError(
                    f"{path}.yaml: the network knows no class '{plain(name)}'; choose 'classes:' from its names, like "
                    f"{plain(', '.join(near))}"
                )
            if classes.count(name) > 1:
                raise WsvadError(f"{path}.yaml: 'classes:' lists {plain(name)} twice; once is enough")
        return classes


def describe(frames: list[Found], members: list[np.ndarray], aspect: float) -> np.ndarray:
    """The feature of one snippet, `(D,)`.

    Args:
        frames: what is in each frame, in heights of the picture.
        members: which of it is of which class, `(D, C)` a frame.
        aspect: the picture's width over its height.
    """
    numbers = np.stack([_numbers(*one, aspect) for one in zip(frames, members, strict=True)])
    known = np.repeat(numbers[:, :1] > 0, len(PARTS), axis=1)
    known[:, :2] = True  # count and score
    mean, deviation = masked(numbers, known)
    both = list(zip(frames, members, strict=True))
    pairs = list(pairwise(both)) or [(both[0], both[0])]  # one frame shows no motion
    steps = np.stack([_steps(*before, *after) for before, after in pairs])
    speed, spread = masked(steps[:, 0], steps[:, 2] > 0)
    return np.concatenate([mean.ravel(), deviation.ravel(), speed, spread, steps[:, 1].max(0)])


def _numbers(found: Found, members: np.ndarray, aspect: float) -> np.ndarray:
    """The numbers of `PARTS` of each class, `(6, C)`."""
    each = np.column_stack([found.scores, found.middles / [aspect, 1], found.sizes])
    known = np.repeat(members[:, None], each.shape[1], axis=1)
    values = np.broadcast_to(each[..., None], known.shape)
    (_, x, y, size), _ = masked(values, known)
    _, (score, _, _, largest) = extremes(values, known)
    return np.stack([members.sum(0), score, x, y, size, largest])


def _steps(before: Found, members: np.ndarray, after: Found, members_after: np.ndarray) -> np.ndarray:
    """Mean and highest speed of each class, and how many objects of it were followed, `(3, C)`."""
    one, other = follow(before, after)
    sizes = (before.sizes[one] + after.sizes[other]) / 2
    speeds = np.linalg.norm(after.middles[other] - before.middles[one], axis=1) / sizes
    known = members[one] & members_after[other]
    values = np.broadcast_to(speeds[:, None], known.shape)
    return np.stack([masked(values, known)[0], extremes(values, known)[1], known.sum(0)])
