"""`mask:FILE`: what is where in the picture and how much of it, for the stream `mask`. A segmentation network says so.

The network gives a class for every pixel, or a score for every class and pixel, of which the highest counts: `(H, W)`,
`(H, W, K)`, or `(K, H, W)` if its input has the channels first. Class 0 is the background. It sees 2 frames of a
snippet. `FILE.yaml` has the fields of `MaskPreprocessing`; `dimensions()` names the ranges.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import Frames, ImageNetwork, Placed, Preprocessing
from wsvad.encoders.pooling import masked, ranges
from wsvad.errors import WsvadError
from wsvad.ranges import Range

ROWS, COLUMNS = 3, 4
MOST_CLASSES = 4096
"""K, at most."""


def dimensions(classes: int) -> dict[str, slice]:
    """The part of the feature that each name stands for, in order: `mean <part>`, then `deviation <part>`, over the
    frames, of

    * `area` (K): the share of the picture that a class covers, 0 to 1;
    * `x`, `y` (K each): the middle of its pixels, 0 to 1 from the left and from the top;
    * `spread` (K): the root mean square distance of its pixels from there, in widths and heights, 0 to 0.71;
    * `foreground` (12): the share of each cell (3 rows, 4 columns, in reading order) that is not class 0, 0 to 1.

    Middle and spread are taken over the frames in which the class occurs, and are 0 where that is none."""
    parts = {"area": classes, "x": classes, "y": classes, "spread": classes, "foreground": ROWS * COLUMNS}
    return ranges({f"{statistic} {name}": size for statistic in ("mean", "deviation") for name, size in parts.items()})


@dataclass(frozen=True, kw_only=True)
class MaskPreprocessing(Preprocessing):
    """What a segmentation network wants."""

    frames: Frames = 2
    classes: Annotated[int, Range(1, MOST_CLASSES)] = 21
    """K of a network that gives class numbers; one that gives scores shows it. 21 are Pascal VOC's with the
    background."""


class Mask(Placed):
    """The encoder `mask:FILE`."""

    input = "video"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    settings_of = MaskPreprocessing
    summary = "2 frames a snippet, a segmentation network in ONNX or TensorFlow Lite"
    extra = "litert"
    runtime = ("ai_edge_litert", "onnxruntime")

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """Open the network and try it. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: as `ImageNetwork`; or its output is not a map of classes.
        """
        self.name = f"mask:{file}"
        self.network = ImageNetwork(file, MaskPreprocessing, settings=settings)
        asked = self.network.asked
        self.sampling = Sampling(count=asked.frames, size=self.network.size, colour=self.network.colour)
        seen = self._output(self.network.blank())
        self.classes = seen.shape[1] if seen.ndim == 4 else asked.classes
        self.width = dimensions(self.classes)["deviation foreground"].stop

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of the size in `sampling` → `(N, D)` float32."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            numbers = np.stack([describe(one, self.classes) for one in self._maps(frames)])
            occurs = numbers[:, : self.classes] > 0
            # Of every frame: area and foreground. Of those where the class occurs: x, y, spread.
            known = np.ones_like(numbers, dtype=bool)
            known[:, self.classes : 4 * self.classes] = np.tile(occurs, 3)
            row[:] = np.concatenate(masked(numbers, known))
        return features

    def passport(self) -> dict[str, object]:
        return self.network.passport("mask", self.width, version=1, classes=self.classes)

    def _output(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w, 3)` → class numbers `(M, H, W)` or scores `(M, K, H, W)`."""
        output = self.network(frames)
        if output.ndim == 4 and self.network.layout == "nhwc":
            output = np.moveaxis(output, -1, 1)
        if (
            output.ndim not in (3, 4)
            or min(output.shape[1:]) < 1
            or (output.ndim == 4 and output.shape[1] > MOST_CLASSES)
        ):
            raise self.network.wrong_output(
                output.shape, f"a map of class numbers or of scores of {MOST_CLASSES:,} classes"
            )
        return output[:, 0] if output.ndim == 4 and output.shape[1] == 1 else output

    def _maps(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w, 3)` → class numbers `(M, H, W)`."""
        output = self._output(frames)
        if output.ndim == 4:
            return output.argmax(1)
        numbers = np.rint(output).astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= self.classes:
            raise WsvadError(
                f"{self.network.path}: its map holds class {numbers.max() if numbers.min() >= 0 else numbers.min()} "
                f"of {self.classes}; write how many there are as 'classes:' in {self.network.path.name}.yaml"
            )
        return numbers


def describe(classes_HW: np.ndarray, classes: int) -> np.ndarray:
    """Area, x, y and spread of each class and the foreground of each cell, `(4K + 12,)`, of one map of class numbers.
    The numbers of a class that does not occur are 0."""
    height, width = classes_HW.shape
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    # Counting columns and rows of each class gives exact moments without a picture for each.
    columns = np.bincount((classes_HW * width + np.arange(width)).ravel(), minlength=classes * width)
    rows = np.bincount((classes_HW * height + np.arange(height)[:, None]).ravel(), minlength=classes * height)
    columns, rows = columns.reshape(classes, width), rows.reshape(classes, height)
    pixels = columns.sum(1)
    count = np.maximum(pixels, 1)
    mean_x, mean_y = columns @ x / count, rows @ y / count
    variance = (columns @ x**2 + rows @ y**2) / count - mean_x**2 - mean_y**2
    foreground = cv2.resize((classes_HW != 0).astype(np.float32), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(variance, 0))
    return np.concatenate([pixels / classes_HW.size, mean_x, mean_y, spread, foreground.ravel()])
