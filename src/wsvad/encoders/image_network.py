"""A network that reads frames, one image or several at a time: what every encoder that stands in a file has in common.

What the file says is taken from the file: input size, layout, number type, and the parameters of a quantised network.
What it cannot say stands in a YAML file beside it, `FILE.yaml`, with the fields of `Preprocessing` and those that the
encoder adds.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

import numpy as np

from wsvad.encoders.beside import Settings, beside
from wsvad.encoders.external_data import channels_first
from wsvad.encoders.runtime import MOST_NUMBERS, Runtime, Tensor, TfLiteFile, open_network, output_of
from wsvad.errors import WsvadError
from wsvad.files import sha256
from wsvad.ranges import Count, Range
from wsvad.spelling import plain
from wsvad.video.clock import SNIPPET

if TYPE_CHECKING:
    import torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of the channels."""
FREE_SIZE = (224, 224)
"""Width and height for a network that takes any."""
FREE_BATCH = 16
"""Frames at once for a network that takes any number."""


def _spread(value: float) -> str:
    return f"{_LEVELS}, and not 0" if abs(value) < 1e-6 or _LEVELS(value) else ""


_LEVELS = Range(-1e5, 1e5)
Level = Annotated[float, _LEVELS]
"""What pixels are scaled by, and their mean: anything that a network has been trained with is far inside."""
Spread = Annotated[float, _spread]
Frames = Annotated[int, Range(1, SNIPPET)]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How frames become the network's input. None means: as the file suggests."""

    size: tuple[Count, Count] | None = None
    """Width and height of the input."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels."""
    layout: Literal["nhwc", "nchw"] | None = None
    """Channels last or first."""
    scale: Level = 1 / 255
    """The input is (pixel · scale − mean) / std, with pixels in 0 … 255."""
    mean: Level | tuple[Level, ...] | None = None
    """One number, or one a channel."""
    std: Spread | tuple[Spread, ...] | None = None
    """One number, or one a channel."""
    output: str | None = None
    """Name of the output that is used, or of any tensor inside of the network."""
    runtime: Runtime | None = None
    """What runs an ONNX file: onnxruntime, or OpenVINO, which differs by at most 0.2 % of the largest number."""
    frames: Frames = 4
    """Frames of a snippet that the network sees."""


Asked = TypeVar("Asked", bound=Preprocessing)


class Placed:
    """What encoders with such a network share: it runs where its runtime can."""

    network: "ImageNetwork[Any]"

    def runs_on(self, device: "torch.device") -> bool:
        """Whether what is installed here runs it there."""
        return self.network.runs_on(device)

    def to(self, device: "torch.device") -> None:
        """Run it there from now on."""
        self.network.to(device)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What can run it, the one that does first."""
        return self.network.runtimes

    def run_by(self, runtime: str) -> None:
        """Have another runtime run it from now on."""
        self.network.run_by(runtime)


class ImageNetwork(Generic[Asked]):
    """A network file with one or several images in, and one output chosen; `run` gives others."""

    size: tuple[int, int]
    """Width and height of a frame."""
    colour: Literal["rgb", "gray"]
    """What it reads."""
    layout: Literal["nhwc", "nchw"]
    """Whether channels come last or first."""
    free: bool
    """Whether it takes frames of other sizes too: neither its file nor its YAML file sets one."""
    output: Tensor
    """The output that is used; another of `outputs` may be set."""
    alone = True
    """Whether each snippet is to go through it by itself, so that its numbers are the same whatever comes with it."""

    def __init__(
        self,
        file: Path | str,
        kind: type[Asked],
        *,
        format: str | None = None,
        images: int = 1,
        free_size: tuple[int, int] = FREE_SIZE,
        threads: int = 1,
        settings: Settings | None = None,
    ):
        """Open the network and look at it.

        Args:
            file: the network, `.onnx` or `.tflite`.
            kind: the fields that its YAML file may have.
            format: the format, where the suffix does not determine it.
            images: how many images it reads at a time, each at an input of its own.
            free_size: width and height for a network that takes any.
            settings: a recipe's, in place of the YAML file.

        Raises:
            WsvadError: no such file, not a network of this format, its input is not as many images, its YAML file is
                wrong, or the library that runs it is not installed.
        """
        self.path = Path(file).expanduser()
        self._settings, self._threads = settings, threads
        # That it is missing is told next.
        self.asked = beside(self.path, kind, settings) if self.path.is_file() else kind()
        self._file = open_network(self.path, format, threads, self.asked.runtime)
        self._inputs = self._file.inputs
        self._free_size = free_size
        self._settle_input(images)
        self.output = output_of(self._file, self.asked.output)

    def __call__(self, *frames: np.ndarray) -> np.ndarray:
        """M frames for each input, `(M, h, w[, 3])` uint8 → the output for them, `(M, …)`: float32, or integers where
        the network gives integers that are not quantised. It runs in batches of the size that the network takes.

        Raises:
            WsvadError: it does not run, or its output has not one part a frame.
        """
        for one in frames:
            if one.shape[1:] != self.frame_shape:
                raise ValueError(f"frames of shape {one.shape[1:]}, expected {self.frame_shape}")
        return self.run(*frames, outputs=[self.output])[0]

    def run(self, *frames: np.ndarray, outputs: list[Tensor]) -> list[np.ndarray]:
        """As a call gives `output`, several outputs of one pass; where the network is `free`, for frames of any size.

        Raises:
            WsvadError: as there.
        """
        given = self._inputs[0].shape[0]
        batch = given or max(1, min(FREE_BATCH, MOST_NUMBERS // prod(frames[0].shape[1:])))
        batches = []
        for start in range(0, len(frames[0]), batch):
            parts = [self._to_input(one[start : start + batch]) for one in frames]
            count = len(parts[0])
            if given:
                parts = [np.concatenate([part, np.repeat(part[-1:], batch - count, axis=0)]) for part in parts]
            feeds = {tensor.name: part for tensor, part in zip(self._inputs, parts, strict=True)}
            found = self._fed(feeds, outputs)
            for tensor, output in zip(outputs, found, strict=True):
                if output.ndim == 0 or len(output) < count:
                    raise self.wrong_output(output.shape, "one part for each frame of a batch", tensor)
            batches.append([tensor.real(output[:count]) for tensor, output in zip(outputs, found, strict=True)])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _fed(self, feeds: dict[str, np.ndarray], outputs: list[Tensor]) -> list[np.ndarray]:
        try:
            return self._file.run(feeds, [tensor.name for tensor in outputs])
        except WsvadError as error:
            if self.asked.size and any(side % 32 for side in self.size):
                raise WsvadError(f"{error}; try a 'size:' in multiples of 32") from None
            raise

    def prefer(self, **defaults: Any) -> None:
        """Other defaults for what the YAML file leaves open, once an output shows what kind of network it is. Those of
        `scale`, `mean` and `std` are for a network that reads floats; one that reads integers gets the pixels."""
        image = self._inputs[0]
        if image.dtype.kind != "f":
            defaults = {name: value for name, value in defaults.items() if name not in ("scale", "mean", "std")}
        self.asked = beside(self.path, type(self.asked), self._settings, **defaults)
        self._settle_normalisation(image, 1 if self.colour == "gray" else 3)

    def runs_on(self, device: "torch.device") -> bool:
        """Whether what is installed here runs it there."""
        return self._file.runs_on(device.type)

    def to(self, device: "torch.device") -> None:
        """Run it there from now on."""
        self._file.to(device.type, device.index)
        self.alone = device.type == "cpu"

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What can run its file, the one that does first; empty where there is no choice."""
        if isinstance(self._file, TfLiteFile):
            return ()
        return ("openvino", "onnxruntime") if self.asked.runtime == "openvino" else ("onnxruntime", "openvino")

    def run_by(self, runtime: str) -> None:
        """Have a runtime run the file from now on.

        Raises:
            WsvadError: it is not installed, or does not run it.
        """
        file = open_network(self.path, "onnx", self._threads, runtime)
        output_of(file, self.output.name)
        self._file = file

    @property
    def outputs(self) -> list[Tensor]:
        """All that it gives."""
        return self._file.outputs

    @property
    def channels_first(self) -> bool:
        """Whether channels come before height and width in the output, where that is a map."""
        known = None if isinstance(self._file, TfLiteFile) else channels_first(self.path, self.output.name)
        return self.layout == "nchw" if known is None else known

    @property
    def frame_shape(self) -> tuple[int, ...]:
        width, height = self.size
        return (height, width) if self.colour == "gray" else (height, width, 3)

    def blank(self, count: int = 1) -> np.ndarray:
        """Black frames, to see what the network makes of them."""
        return np.zeros((count, *self.frame_shape), dtype=np.uint8)

    def wrong_output(self, shape: tuple[int, ...], expected: str, tensor: Tensor | None = None) -> WsvadError:
        """The error of a network that does something else than it was taken for."""
        output, outputs = plain((tensor or self.output).name), plain(", ".join(tensor.name for tensor in self.outputs))
        return WsvadError(
            f"{self.path}: its output '{output}' {list(shape)} is not {expected}; name another by 'output:' in "
            f"{self.path.name}.yaml, or use another network (its outputs are: {outputs})"
        )

    def passport(self, scheme: str, width: int, **own: object) -> dict[str, object]:
        """`Encoder.passport` of an encoder that is typed `scheme:FILE`, with settings of its `own`."""
        asked = dataclasses.asdict(self.asked)
        del asked["runtime"]  # like a device it changes nothing but the last digits
        settings = {name: value for name, value in asked.items() if value is not None}
        settings |= {"size": list(self.size), "layout": self.layout}
        settings |= {"mean": self._mean.tolist(), "std": self._std.tolist()}
        settings |= {"output": self.output.name} | own
        encoder = f"{scheme}:{self.path.name}"
        return {"encoder": encoder, "width": width, "weights": self._weights, "settings": settings}

    @cached_property
    def _weights(self) -> str:
        return sha256(*self._file.files)

    def _settle_input(self, images: int) -> None:
        """Check that the network reads images, and settle how it is fed."""
        shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in self._inputs)
        if not self._inputs or not self.outputs:
            raise WsvadError(f"{self.path}: it has no input or no output; use another network")
        first = self._inputs[0]
        alike = {(tensor.shape, tensor.dtype) for tensor in self._inputs}
        if len(self._inputs) != images or len(alike) != 1 or len(first.shape) != 4 or first.dtype.kind not in "iuf":
            expected = "one image (batch, height, width, channels)" if images == 1 else f"{images} images of one shape"
            raise WsvadError(f"{self.path}: its input is not {expected}: {shapes}")
        layout = self.asked.layout
        if layout is None and first.shape[3] in (1, 3):
            layout = "nhwc"
        elif layout is None and first.shape[1] in (1, 3):
            layout = "nchw"
        if layout is None or (first.shape[3] if layout == "nhwc" else first.shape[1]) not in (1, 3, None):
            raise WsvadError(f"{self.path}: its input has neither 1 nor 3 channels: {shapes}")
        self.layout = layout
        height, width, channels = first.shape[1:] if layout == "nhwc" else (*first.shape[2:], first.shape[1])
        size = self.asked.size or (width or self._free_size[0], height or self._free_size[1])
        if (width or size[0], height or size[1]) != tuple(size):
            raise WsvadError(f"{self.path}: its input is {width}x{height}, but its YAML file asks for {size}")
        self.size = (size[0], size[1])
        self.free = not (width or height or self.asked.size)
        self.colour = "gray" if channels == 1 else "rgb"
        if (first.shape[0] or 1) * prod(self.frame_shape) > MOST_NUMBERS:
            raise WsvadError(f"{self.path}: a 'size:' of {size[0]}x{size[1]} in its YAML file is too large")
        self._settle_normalisation(first, 1 if channels == 1 else 3)

    def _settle_normalisation(self, image: Tensor, channels: int) -> None:
        asked = self.asked
        self._raw = image.dtype.kind in "iu" and asked.mean is None and asked.std is None
        mean, std = ((0.5,), (0.5,)) if self.layout == "nhwc" else IMAGENET
        if channels == 1:
            mean, std = (0.5,), (0.5,)
        if self._raw:
            mean, std = (0.0,), (1.0,)
        self._mean = np.atleast_1d(np.asarray(mean if asked.mean is None else asked.mean, dtype=np.float32))
        self._std = np.atleast_1d(np.asarray(std if asked.std is None else asked.std, dtype=np.float32))
        if not {self._mean.size, self._std.size} <= {1, channels}:
            raise WsvadError(f"{self.path}: mean and std need one number or {channels}")

    def _to_input(self, frames: np.ndarray) -> np.ndarray:
        """Pixels → the network's numbers and layout."""
        if frames.ndim == 3:
            frames = frames[..., None]
        if self.asked.colour == "bgr":
            frames = frames[..., ::-1]
        tensor = self._inputs[0]
        dtype = tensor.dtype
        if self._raw:
            numbers = frames.astype(np.int16) - 128 if dtype == np.int8 else frames
        else:
            numbers = (frames * np.float32(self.asked.scale) - self._mean) / self._std
            if dtype.kind in "iu" and tensor.scale:
                limits = np.iinfo(dtype)
                numbers = np.clip(np.rint(numbers / tensor.scale + tensor.zero), limits.min, limits.max)
        if self.layout == "nchw":
            numbers = numbers.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(numbers, dtype=dtype)
