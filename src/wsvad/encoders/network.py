"""Any image network as an encoder: `onnx:FILE` (onnxruntime) and `tflite:FILE` (LiteRT).

A few frames of each snippet go through the network; each frame gives a vector of W numbers, and the snippet's feature
is their mean over the frames, followed by their standard deviation (D = 2W): what it looks like, and how that changes.

What the file says is taken from the file: input size, layout, number type, and the parameters of a quantised network.
What it cannot say stands in a YAML file beside it, `FILE.yaml`, with the fields of `Embedding`:

    # resnet50.onnx.yaml
    mean: [0.485, 0.456, 0.406]
    std: [0.229, 0.224, 0.225]
    output: embedding

`output` may be any tensor inside of the network; the graph of an ONNX file says which axes of a map are its positions.

Without that YAML file a network with integer input gets the pixels as they are, one with float input and channels first
gets the normalisation that PyTorch's image networks are trained with, and one with channels last TensorFlow's, [-1, 1].
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import IMAGENET, ImageNetwork, Placed, Preprocessing
from wsvad.encoders.runtime import OnnxFile, TfLiteFile
from wsvad.errors import WsvadError
from wsvad.spelling import plain

__all__ = ["IMAGENET", "Embedding", "Onnx", "TfLite"]


@dataclass(frozen=True, kw_only=True)
class Embedding(Preprocessing):
    """How the network's output becomes a feature."""

    space: Literal["mean", "flatten"] = "mean"
    """A map is averaged over its positions, or kept whole (the keypoints of a pose network)."""
    pooling: Literal["mean", "mean+std"] = "mean+std"
    """Over the frames of a snippet."""


class _Network(Placed):
    """What the two formats share: everything but their name."""

    input: ClassVar[str] = "video"
    argument: ClassVar[str] = "FILE"
    resolve = staticmethod(file_argument)
    settings_of: ClassVar[type] = Embedding
    file_suffix: ClassVar[str]

    def __init__(self, file: Path | str, settings: Settings | None = None, *, threads: int = 1):
        """Open the network and look at it. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: no such file, not a network of this format, its input is not an image, its output is not a
                vector or a map, or the library that runs it is not installed.
        """
        self.name = f"{self.file_suffix}:{file}"
        self.network = ImageNetwork(file, Embedding, format=self.file_suffix, threads=threads, settings=settings)
        self._refuse_class_numbers()
        asked = self.network.asked
        self.sampling = Sampling(count=asked.frames, size=self.network.size, colour=self.network.colour)
        output = self.network(self.network.blank())
        self._map = asked.space == "mean" and output.ndim == 4
        self._channels_first = self._map and self.network.channels_first
        self.width = self._vectors(output).shape[1] * (2 if asked.pooling == "mean+std" else 1)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of the size in `sampling` → `(N, D)` float32."""
        if not snippets:
            return np.zeros((0, self.width), dtype=np.float32)
        parts = snippets if self.network.alone else [np.concatenate(snippets)]
        vectors = np.concatenate([self._frames_to_vectors(part) for part in parts])
        features = np.empty((len(snippets), self.width), dtype=np.float32)
        ends = np.cumsum([len(snippet) for snippet in snippets])
        for row, frames in zip(features, np.split(vectors, ends[:-1]), strict=True):
            pooled = [frames.mean(0)]
            if self.network.asked.pooling == "mean+std":
                pooled.append(frames.std(0))
            row[:] = np.concatenate(pooled)
        return features

    def passport(self) -> dict[str, object]:
        usual = not self._map or self._channels_first == (self.network.layout == "nchw")
        return self.network.passport(
            self.file_suffix,
            self.width,
            # Said where it is not as the input's, as in features that were made before it was looked at.
            **({} if usual else {"channels": "first" if self._channels_first else "last"}),
        )

    def _refuse_class_numbers(self) -> None:
        output = self.network.output
        if output.dtype.kind != "f" and (output.dtype.kind not in "iu" or output.dtype.itemsize > 2):
            path = self.network.path
            raise WsvadError(
                f"{path}: its output '{plain(output.name)}' ({output.dtype}) holds class numbers, not an embedding; "
                f"name another by 'output:' in {path.name}.yaml, or use another network"
            )

    def _frames_to_vectors(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w[, 3])` uint8 → `(M, W)` float32."""
        return self._vectors(self.network(frames))

    def _vectors(self, output: np.ndarray) -> np.ndarray:
        output = output.astype(np.float32, copy=False)
        if self.network.asked.space == "mean" and output.ndim > 2:
            output = output.mean(axis=(2, 3) if self._channels_first else tuple(range(1, output.ndim - 1)))
        return output.reshape(len(output), -1)


class Onnx(_Network):
    """An ONNX file, run by onnxruntime on the CPU."""

    file_suffix = "onnx"
    summary = "4 frames a snippet, any image network in ONNX"
    extra = OnnxFile.extra
    runtime = OnnxFile.runtime


class TfLite(_Network):
    """A TensorFlow Lite file, run by LiteRT on the CPU."""

    file_suffix = "tflite"
    summary = "4 frames a snippet, any image network in TensorFlow Lite"
    extra = TfLiteFile.extra
    runtime = TfLiteFile.runtime
