"""How detectors write what they found. A network is recognised by the shapes of its outputs:

* one `(1, N, 6)`: x0, y0, x1, y1, score, class (CenterNet, YOLO end to end);
* one `(1, 4 + K, N)` or `(1, N, 5 + K)`: YOLO's, middle, width and height, then a score of each of K classes; in the
  second after a score of the box;
* boxes `(1, N, 4)`, y0, x0, y1, x1, with classes `(1, N)`, scores `(1, N)` and how many there are `(1,)`: TensorFlow's
  (SSD, EfficientDet);
* boxes `(1, N, 4)`, middle, width and height, with logits `(1, N, K)`: DETR's.

Coordinates are pixels of the network's picture, or shares of it. Classes count from 0 in the list `names`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from wsvad.encoders.detections import Found, corners, from_corners
from wsvad.encoders.image_network import ImageNetwork
from wsvad.encoders.runtime import MOST_NUMBERS, Tensor
from wsvad.errors import WsvadError
from wsvad.spelling import plain

COCO_90 = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase"),
    *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
    *("surfboard", "tennis racket", "bottle", "", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana"),
    *("apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote", "keyboard"),
    *("cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock", "vase", "scissors"),
    *("teddy bear", "hair drier", "toothbrush"),
)
"""COCO's classes as its annotations number them, from 1, with gaps."""
COCO = tuple(name for name in COCO_90 if name)
"""Its 80 classes without the gaps."""
UNIT = (1 / 255, 0.0, 1.0)
"""Scale, mean and deviation of a float input, as YOLO's want it."""


@dataclass(frozen=True)
class Detector:
    """How a network's outputs are read."""

    form: str
    outputs: list[Tensor]
    read: Callable[[list[np.ndarray]], Found]
    """The outputs for one frame, without their first axis → things."""
    names: tuple[str, ...]
    """Of the classes, in their order."""
    pixels: tuple[float, float, float] | None = None
    """Scale, mean and deviation of a float input, where this form has its own."""
    fill: int = 0
    """The grey level around the picture that it was trained with."""


Outputs = dict[str, tuple[Tensor, np.ndarray]]
"""What each output gives for a black picture."""


def recognised(network: ImageNetwork, names: tuple[str, ...] | None) -> Detector:
    """How to read a network.

    Args:
        names: of its classes, where they are not COCO's.

    Raises:
        WsvadError: no form fits; or the number of classes is another than that of the names.
    """
    tensors = [tensor for tensor in network.outputs if 1 <= len(tensor.shape) <= 3 and tensor.dtype.kind in "iuf"]
    found = network.run(network.blank(), outputs=tensors) if tensors else []
    both = [one for one in zip(tensors, found, strict=True) if prod(one[1].shape) <= MOST_NUMBERS]
    seen = {one[0].name: one for one in both}
    asked = {name: one for name, one in seen.items() if name == network.asked.output}
    for outputs in (asked, seen):
        for form in (_rows, _tensorflow, _detr, _yolo):
            if detector := form(network, outputs, names):
                return detector
    shapes = ", ".join(f"{plain(tensor.name)} {_written(seen, tensor)}" for tensor in network.outputs)
    count = len(names or COCO)
    raise WsvadError(
        f"{network.path}: its outputs are not those of a detector of {count} classes: {shapes}; use one that gives "
        f"[1, N, 6], YOLO's [1, {4 + count}, N], TensorFlow's boxes, classes and scores, or DETR's logits and boxes, "
        f"and write the names of its classes as 'names:' in {network.path.name}.yaml if they are not COCO's"
    )


def _written(seen: Outputs, tensor: Tensor) -> list[int | None]:
    return list(seen[tensor.name][1].shape if tensor.name in seen else tensor.shape)


def _rows(network: ImageNetwork, outputs: Outputs, names: tuple[str, ...] | None) -> Detector | None:
    """Finished detections in one output."""
    for tensor, seen in outputs.values():
        if seen.ndim == 3 and seen.shape[2] == 6:
            pixels, fill = (UNIT, 114) if network.layout == "nchw" else (None, 0)
            return Detector("rows", [tensor], _read_rows, names or COCO, pixels, fill)
    return None


def _read_rows(outputs: list[np.ndarray]) -> Found:
    (rows,) = outputs
    return from_corners(rows[:, :4], rows[:, 4], rows[:, 5])


def _yolo(network: ImageNetwork, outputs: Outputs, names: tuple[str, ...] | None) -> Detector | None:
    """A score of each class for each place of the picture."""
    names = names or COCO
    for tensor, seen in outputs.values():
        for before in (4, 5):
            axes = [axis for axis in (1, 2) if seen.ndim == 3 and seen.shape[axis] == before + len(names)]
            if axes:
                form = "YOLO" if before == 4 else "YOLO with a score of the box"
                return Detector(form, [tensor], _reads_yolo(before, axes[0]), names, UNIT, 114)
    return None


def _reads_yolo(before: int, axis: int) -> Callable[[list[np.ndarray]], Found]:
    def read(outputs: list[np.ndarray]) -> Found:
        rows = outputs[0] if axis == 2 else outputs[0].T
        scores = rows[:, before:] * (rows[:, 4:5] if before == 5 else 1)
        return from_corners(corners(rows[:, :4]), scores.max(1), scores.argmax(1))

    return read


def _tensorflow(network: ImageNetwork, outputs: Outputs, names: tuple[str, ...] | None) -> Detector | None:
    """Boxes, classes and scores in an output each."""
    named = {
        key: one
        for key in ("boxes", "classes", "scores")
        for name, one in outputs.items()
        if re.search(rf"(?<!raw_)detection_{key}", name)
    }
    if len(named) < 3:
        boxes = [one for one in outputs.values() if one[1].ndim == 3 and one[1].shape[2] == 4]
        lists = [one for one in outputs.values() if one[1].ndim == 2]
        if len(boxes) != 1 or len(lists) != 2:
            return None
        named = dict(zip(("classes", "scores"), sorted(lists, key=_like_scores), strict=True)) | {"boxes": boxes[0]}
    if len({named[key][1].shape[:2] for key in named}) != 1:
        return None
    count = [tensor for tensor, seen in outputs.values() if seen.ndim == 1][:1]
    tensors = [named[key][0] for key in ("boxes", "classes", "scores")]
    # TensorFlow Lite's own operation counts classes from 0, a graph of TensorFlow from 1.
    coco = COCO_90 if network.path.suffix.lower() == ".tflite" else ("", *COCO_90)
    return Detector("TensorFlow", [*tensors, *count], _read_tensorflow, names or coco)


def _like_scores(output: tuple[Tensor, np.ndarray]) -> tuple[bool, bool]:
    """Whether a list holds scores and not classes: broken numbers, else by its name."""
    tensor, seen = output
    return not np.array_equal(seen, np.rint(seen)), "score" in tensor.name.lower()


def _read_tensorflow(outputs: list[np.ndarray]) -> Found:
    boxes, classes, scores, *counts = outputs
    count = int(counts[0]) if counts and np.isfinite(counts[0]) else len(scores)
    rows = slice(0, max(count, 0))
    return from_corners(boxes[rows][:, [1, 0, 3, 2]], scores[rows], classes[rows])


def _detr(network: ImageNetwork, outputs: Outputs, names: tuple[str, ...] | None) -> Detector | None:
    """Queries with a box and logits of classes, of which the last may be nothing."""
    tables = [one for one in outputs.values() if one[1].ndim == 3]
    boxes = [one for one in tables if one[1].shape[2] == 4]
    rest = [one for one in tables if boxes and one[1].shape[2] != 4 and one[1].shape[1] == boxes[0][1].shape[1]]
    logits = [one for one in rest if "logits" in one[0].name.lower()] or rest
    if len(boxes) != 1 or len(logits) != 1:
        return None
    columns = logits[0][1].shape[2]
    names = names or (COCO if columns - len(COCO) in (0, 1) else ("", *COCO_90))
    if columns - len(names) not in (0, 1):
        return None
    pixels = UNIT if names == COCO else None  # RT-DETR and its kind; DETR's own are normalised as ImageNet's
    nothing = columns > len(names)
    return Detector("DETR", [boxes[0][0], logits[0][0]], _read_detr if nothing else _read_sigmoid, names, pixels)


def _read_detr(outputs: list[np.ndarray]) -> Found:
    boxes, logits = outputs
    shares = np.exp(logits - logits.max(1, keepdims=True))
    scores = (shares / shares.sum(1, keepdims=True))[:, :-1]
    return from_corners(corners(boxes), scores.max(1), scores.argmax(1))


def _read_sigmoid(outputs: list[np.ndarray]) -> Found:
    boxes, logits = outputs
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return from_corners(corners(boxes), scores.max(1), scores.argmax(1))
