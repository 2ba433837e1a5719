"""Any image network as an encoder: `onnx:FILE` (onnxruntime) and `tflite:FILE` (LiteRT).

A few frames of each snippet go through the network; each frame gives a vector of W numbers, and the snippet's feature
is their mean over the frames, followed by their standard deviation (D = 2W): what it looks like, and how that changes.

What the file says is taken from the file: input size, layout, number type, and the parameters of a quantised network.
What it cannot say stands in a YAML file beside it, `FILE.yaml`, with the fields of `Preprocessing`:

    # resnet50.onnx.yaml
    mean: [0.485, 0.456, 0.406]
    std: [0.229, 0.224, 0.225]
    output: embedding

Without it a network with integer input gets the pixels as they are, one with float input and channels first gets the
normalisation that PyTorch's image networks are trained with, and one with channels last TensorFlow's, [-1, 1].
"""

import dataclasses
import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from wsvad.encoders.encoder import Sampling
from wsvad.errors import WsvadError
from wsvad.files import sha256

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of the channels."""
FREE_SIZE = 224
"""Width and height for a network that takes any."""
FREE_BATCH = 16
"""Frames at once for a network that takes any number."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How frames become the network's input, and its output a feature. None means: as the file suggests."""

    size: tuple[int, int] | None = None
    """Width and height of the input."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels."""
    layout: Literal["nhwc", "nchw"] | None = None
    """Channels last or first."""
    scale: float = 1 / 255
    """The input is (pixel · scale − mean) / std, with pixels in 0 … 255."""
    mean: float | tuple[float, ...] | None = None
    """One number, or one a channel."""
    std: float | tuple[float, ...] | None = None
    """One number, or one a channel."""
    output: str | None = None
    """Name of the output that is the embedding; the first one by default."""
    space: Literal["mean", "flatten"] = "mean"
    """A map is averaged over its positions, or kept whole (the keypoints of a pose network)."""
    pooling: Literal["mean", "mean+std"] = "mean+std"
    """Over the frames of a snippet."""
    frames: int = 4
    """Frames of a snippet that the network sees."""

    @staticmethod
    def beside(model: Path) -> "Preprocessing":
        """From `FILE.yaml` beside the model; the defaults where there is none.

        Raises:
            WsvadError: it is not YAML, or has a field or value that there is not.
        """
        path = model.with_name(model.name + ".yaml")
        if not path.exists():
            return Preprocessing()
        import yaml
        from jsonargparse import ArgumentError, ArgumentParser

        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(Preprocessing)
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if not isinstance(given, dict):
                raise ArgumentError(None, "expected lines 'field: value'")
            found = Preprocessing(**parser.parse_object(given).as_dict())
        except (ArgumentError, UnicodeDecodeError, yaml.YAMLError) as error:
            known = ", ".join(field.name for field in dataclasses.fields(Preprocessing))
            raise WsvadError(f"{path}: {' '.join(str(error).split())}; the fields are: {known}") from None
        if (
            found.frames < 1
            or (found.size and min(found.size) < 1)
            or (found.std is not None and 0.0 in np.ravel(found.std))
        ):
            raise WsvadError(f"{path}: frames and size must be at least 1, and std not 0")
        return found


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network, as its file describes it. Sizes that are free are None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    scale: float = 0.0
    """Real value = scale · (stored integer − zero); 0 where it is not quantised."""
    zero: int = 0


class _Network(ABC):
    """What the two formats share: everything but opening the file and running it."""

    eats: ClassVar[str] = "video"
    argument: ClassVar[str] = "FILE"
    file_suffix: ClassVar[str]
    summary: ClassVar[str]
    extra: ClassVar[str]
    runtime: ClassVar[str]

    def __init__(self, file: Path | str, *, threads: int = 1):
        """Open the network and look at it.

        Raises:
            WsvadError: no such file, not a network of this format, its input is not an image, its output is not a
                vector or a map, or the library that runs it is not installed.
        """
        self.name = f"{self.file_suffix}:{file}"
        self.path = Path(file).expanduser()
        if not self.path.is_file():
            raise WsvadError(f"{self.path}: there is no such file; nothing is downloaded, so put the network there")
        try:
            importlib.import_module(self.runtime)
        except ImportError:
            raise WsvadError(
                f"{self.path}: running it needs {self.runtime}, which is not installed; "
                f"pip install 'wsvad[{self.extra}]'"
            ) from None
        self.preprocessing = Preprocessing.beside(self.path)
        inputs, outputs = self._open(threads)
        self._input = self._image(inputs)
        self._output = self._embedding(outputs)
        blank = np.zeros((1, *self._frame_shape()), dtype=np.uint8)
        self.width = self._frames_to_vectors(blank).shape[1] * (2 if self.preprocessing.pooling == "mean+std" else 1)

    @abstractmethod
    def _open(self, threads: int) -> tuple[list[Tensor], list[Tensor]]:
        """Load the file; its inputs and outputs."""

    @abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """The chosen output for a batch of inputs."""

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 of the size in `sampling` → `(N, D)` float32."""
        if not snippets:
            return np.zeros((0, self.width), dtype=np.float32)
        vectors = self._frames_to_vectors(np.concatenate(snippets))
        features = np.empty((len(snippets), self.width), dtype=np.float32)
        ends = np.cumsum([len(snippet) for snippet in snippets])
        for row, frames in zip(features, np.split(vectors, ends[:-1]), strict=True):
            pooled = [frames.mean(0)]
            if self.preprocessing.pooling == "mean+std":
                pooled.append(frames.std(0))
            row[:] = np.concatenate(pooled)
        return features

    def passport(self) -> dict[str, object]:
        settings = {name: value for name, value in dataclasses.asdict(self.preprocessing).items() if value is not None}
        settings |= {"size": list(self.sampling.size or ()), "layout": self._layout}
        settings |= {"mean": self._mean.tolist(), "std": self._std.tolist()}
        settings["output"] = self._output.name
        return {
            "encoder": f"{self.file_suffix}:{self.path.name}",
            "width": self.width,
            "weights": sha256(self.path),
            "settings": settings,
        }

    def _image(self, inputs: list[Tensor]) -> Tensor:
        """Check that the network eats one image, and settle how it is fed."""
        shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in inputs)
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].dtype.kind not in "iuf":
            raise WsvadError(f"{self.path}: its input is not one image (batch, height, width, channels): {shapes}")
        image, asked = inputs[0], self.preprocessing
        layout = asked.layout
        if layout is None and image.shape[3] in (1, 3):
            layout = "nhwc"
        elif layout is None and image.shape[1] in (1, 3):
            layout = "nchw"
        if layout is None or (image.shape[3] if layout == "nhwc" else image.shape[1]) not in (1, 3, None):
            raise WsvadError(f"{self.path}: its input has neither 1 nor 3 channels: {shapes}")
        self._layout: str = layout
        height, width, channels = image.shape[1:] if layout == "nhwc" else (*image.shape[2:], image.shape[1])
        size = asked.size or (width or FREE_SIZE, height or FREE_SIZE)
        if (width or size[0], height or size[1]) != tuple(size):
            raise WsvadError(f"{self.path}: its input is {width}x{height}, but its YAML file asks for {size}")
        self.sampling = Sampling(count=asked.frames, size=(size[0], size[1]), colour="gray" if channels == 1 else "rgb")
        self._settle_normalisation(image, 1 if channels == 1 else 3)
        return image

    def _settle_normalisation(self, image: Tensor, channels: int) -> None:
        asked = self.preprocessing
        self._raw = image.dtype.kind in "iu" and asked.mean is None and asked.std is None
        mean, std = ((0.5,), (0.5,)) if self._layout == "nhwc" else IMAGENET
        if channels == 1:
            mean, std = (0.5,), (0.5,)
        if self._raw:
            mean, std = (0.0,), (1.0,)
        self._mean = np.atleast_1d(np.asarray(mean if asked.mean is None else asked.mean, dtype=np.float32))
        self._std = np.atleast_1d(np.asarray(std if asked.std is None else asked.std, dtype=np.float32))
        if not {self._mean.size, self._std.size} <= {1, channels}:
            raise WsvadError(f"{self.path}: mean and std need one number or {channels}")

    def _embedding(self, outputs: list[Tensor]) -> Tensor:
        """The output that is pooled into the feature."""
        named = {tensor.name: tensor for tensor in outputs}
        name = self.preprocessing.output or outputs[0].name
        if name not in named:
            raise WsvadError(f"{self.path}: it has no output '{name}'; its outputs are: {', '.join(named)}")
        output = named[name]
        if output.dtype.kind != "f" and (output.dtype.kind not in "iu" or output.dtype.itemsize > 2):
            raise WsvadError(
                f"{self.path}: its output '{name}' ({output.dtype}) holds class numbers, not an embedding; "
                f"name another by 'output:' in {self.path.name}.yaml, or use another network"
            )
        return output

    def _frame_shape(self) -> tuple[int, ...]:
        width, height = self.sampling.size or (FREE_SIZE, FREE_SIZE)
        return (height, width) if self.sampling.colour == "gray" else (height, width, 3)

    def _frames_to_vectors(self, frames: np.ndarray) -> np.ndarray:
        """`(M, h, w[, 3])` uint8 → `(M, W)` float32, in batches of the size that the network takes."""
        if frames.shape[1:] != self._frame_shape():
            raise ValueError(f"frames of shape {frames.shape[1:]}, expected {self._frame_shape()}")
        batch = self._input.shape[0] or FREE_BATCH
        vectors = []
        for start in range(0, len(frames), batch):
            part = self._to_input(frames[start : start + batch])
            missing = batch - len(part) if self._input.shape[0] else 0
            padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            vectors.append(self._to_vectors(self._run(padded))[: len(part)])
        return np.concatenate(vectors)

    def _to_input(self, frames: np.ndarray) -> np.ndarray:
        """Pixels → the network's numbers and layout."""
        if frames.ndim == 3:
            frames = frames[..., None]
        if self.preprocessing.colour == "bgr":
            frames = frames[..., ::-1]
        dtype = self._input.dtype
        if self._raw:
            numbers = frames.astype(np.int16) - 128 if dtype == np.int8 else frames
        else:
            numbers = (frames * np.float32(self.preprocessing.scale) - self._mean) / self._std
            if dtype.kind in "iu" and self._input.scale:
                limits = np.iinfo(dtype)
                numbers = np.clip(np.rint(numbers / self._input.scale + self._input.zero), limits.min, limits.max)
        if self._layout == "nchw":
            numbers = numbers.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(numbers, dtype=dtype)

    def _to_vectors(self, output: np.ndarray) -> np.ndarray:
        """The network's output → real numbers, one vector a frame."""
        if self._output.scale:
            output = (output.astype(np.float32) - self._output.zero) * np.float32(self._output.scale)
        output = output.astype(np.float32, copy=False)
        if self.preprocessing.space == "mean" and output.ndim > 2:
            channels_first = output.ndim == 4 and self._layout == "nchw"
            output = output.mean(axis=tuple(range(2, 4)) if channels_first else tuple(range(1, output.ndim - 1)))
        return output.reshape(len(output), -1)


class Onnx(_Network):
    """An ONNX file, run by onnxruntime on the CPU."""

    file_suffix = "onnx"
    summary = "4 frames a snippet, any image network in ONNX"
    extra = "onnx"
    runtime = "onnxruntime"

    def _open(self, threads: int) -> tuple[list[Tensor], list[Tensor]]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no common class below Exception
            raise WsvadError(f"{self.path}: not a network in ONNX format ({_one_line(error)})") from None
        inputs = [_onnx_tensor(node) for node in self._session.get_inputs()]
        return inputs, [_onnx_tensor(node) for node in self._session.get_outputs()]

    def _run(self, batch: np.ndarray) -> np.ndarray:
        try:
            return self._session.run([self._output.name], {self._input.name: batch})[0]
        except Exception as error:  # as above
            raise WsvadError(f"{self.path}: does not run on {list(batch.shape)} ({_one_line(error)})") from None


class TfLite(_Network):
    """A TensorFlow Lite file, run by LiteRT on the CPU."""

    file_suffix = "tflite"
    summary = "4 frames a snippet, any image network in TensorFlow Lite"
    extra = "litert"
    runtime = "ai_edge_litert"

    def _open(self, threads: int) -> tuple[list[Tensor], list[Tensor]]:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(self.path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WsvadError(f"{self.path}: not a network in TensorFlow Lite format ({_one_line(error)})") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._index = {detail["name"]: detail["index"] for detail in (*outputs, *inputs)}
        return [_tflite_tensor(detail) for detail in inputs], [_tflite_tensor(detail) for detail in outputs]

    def _run(self, batch: np.ndarray) -> np.ndarray:
        index = self._index[self._input.name]
        current = next(detail for detail in self._interpreter.get_input_details() if detail["index"] == index)
        try:
            if tuple(current["shape"]) != batch.shape:
                self._interpreter.resize_tensor_input(index, batch.shape)
                self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(index, batch)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise WsvadError(f"{self.path}: does not run on {list(batch.shape)} ({_one_line(error)})") from None
        return self._interpreter.get_tensor(self._index[self._output.name])


def _onnx_tensor(node: Any) -> Tensor:
    """onnxruntime writes types as `tensor(float)`, and free sizes as names or None."""
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    numbers = {"float": "float32", "double": "float64"} | {name: name for name in ("float16", "uint8", "int8")}
    dtype = np.dtype(numbers.get(kind, "int64" if "int" in kind else "object"))
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return Tensor(name=node.name, shape=shape, dtype=dtype)


def _tflite_tensor(detail: dict[str, Any]) -> Tensor:
    """LiteRT writes free sizes as -1 in the signature."""
    shape = tuple(int(size) if size > 0 else None for size in detail["shape_signature"])
    scale, zero = detail["quantization"]
    return Tensor(name=detail["name"], shape=shape, dtype=np.dtype(detail["dtype"]), scale=float(scale), zero=int(zero))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
