"""Published networks that read a whole snippet: `i3d:FILE`, `i3d-resnet:FILE` and `s3d:FILE`, FILE being the public
weights, `.safetensors` or as `torch.save` wrote them.

Frames are prepared as the papers did with these weights. What may be otherwise stands in a YAML file beside the
weights, `FILE.yaml`, with the fields of `ClipPreprocessing`:

    # model_rgb.pth.yaml
    crops: 10
    order: extractor
    runtime: openvino

With several crops a snippet has a feature a crop, `(C, D)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from wsvad.encoders.beside import Settings, beside
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.fit import Filter, Fit
from wsvad.encoders.image_network import Level, Spread
from wsvad.encoders.networks import i3d, i3d_resnet, s3d
from wsvad.encoders.networks.published import Scheme, load
from wsvad.encoders.openvino_module import OpenVinoModule
from wsvad.encoders.torch_network import MOST_AT_ONCE, TorchNetwork, first_tensor, over_space
from wsvad.errors import WsvadError
from wsvad.files import sha256
from wsvad.ranges import Range
from wsvad.video.clock import SNIPPET

SMALLEST = 32
"""Pixels of a side: the networks halve it five times."""
SIDES = Range(SMALLEST, 2048)


def _sides(value: int | Sequence[int]) -> str:
    return str(SIDES) if any(map(SIDES, [value] if isinstance(value, int) else value)) else ""


MEAN_RGB, STD_RGB = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
"""Of Kinetics-400, which torchvision's video networks are trained with."""

CORNERS = ("top left", "top right", "bottom left", "bottom right")
ORDERS = {
    "released": ("centre", *CORNERS),
    "extractor": ("top left", "top right", "centre", "bottom left", "bottom right"),
}
"""The first five crops; the other five are the same windows of the mirrored picture. `released` is the order of the
released features of UCF-Crime (ten) and XD-Violence (five), `extractor` that of UR-DMU's extractor."""


@dataclass(frozen=True, kw_only=True)
class ClipPreprocessing:
    """How a snippet becomes the network's input, and which of its tensors the feature."""

    resize: Annotated[int | tuple[int, int], _sides] | None = None
    """Width and height before cropping, or the shorter side. None, here and below: as the weights were trained."""
    filter: Filter | None = None
    """How Pillow resizes."""
    crop: Annotated[int, SIDES] = 224
    """Width and height of a crop."""
    crops: Literal[1, 5, 10] = 1
    """1: the centre; 5: and the corners; 10: and the same of the mirrored picture."""
    order: Literal["released", "extractor"] = "released"
    """Of 5 or 10 crops."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels."""
    scale: Level | None = None
    """The input is (pixel · scale - mean) / std, with pixels in 0 … 255."""
    mean: Level | tuple[Level, Level, Level] | None = None
    """One number, or one a channel."""
    std: Spread | tuple[Spread, Spread, Spread] | None = None
    """One number, or one a channel."""
    tap: str | None = None
    """A part of the network whose output is the feature, averaged over time and space; None = the average pool."""
    runtime: Literal["torch", "openvino"] = "torch"
    """What computes on a CPU. OpenVINO is about three times as fast; like another device it differs by rounding."""


SIGNED = ClipPreprocessing(resize=(256, 256), filter="bilinear", scale=2 / 255, mean=1.0, std=1.0)
"""Input in [-1, 1], as weights from TensorFlow want it."""
CENTRED = ClipPreprocessing(resize=256, filter="bilinear", scale=1.0, mean=114.75, std=57.375)
"""Caffe2's, from 0 … 255."""


class ClipEncoder:
    """What these networks share: everything but their names and numbers."""

    input: ClassVar[str] = "video"
    argument: ClassVar[str] = "FILE"
    extra: ClassVar[str] = "transformers"
    runtime: ClassVar[str] = "PIL"
    resolve = staticmethod(file_argument)
    settings_of: ClassVar[type] = ClipPreprocessing
    scheme: ClassVar[str]
    width: int
    kind: ClassVar[type[nn.Module]]
    trained: ClassVar[Mapping[Scheme, ClipPreprocessing]]
    """The public files by how they name things, and what stands in place of each None with their weights."""

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """Read the weights. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            UsageError: the network has no such `tap`.
            WsvadError: as `published.load`; the YAML file is wrong, or Pillow or OpenVINO is not installed.
        """
        self.name = f"{self.scheme}:{file}"
        self.path = Path(file).expanduser()
        asked = beside(self.path, ClipPreprocessing, settings)
        module, names = load(self.kind, self.path, list(self.trained))
        self.settings = _completed(asked, self.trained[names])
        self.crops: int = self.settings.crops
        self.sampling = Sampling(count=SNIPPET, fit=_fit(self.path, self.settings))
        self._windows = ORDERS[self.settings.order] if self.crops > 1 else ("centre",)
        tap = self.settings.tap
        try:
            if self.settings.runtime == "openvino":
                if tap is not None:
                    raise WsvadError("'tap' needs 'runtime: torch'")
                module = OpenVinoModule(module, (3, SNIPPET, self.settings.crop, self.settings.crop))
            self.network = TorchNetwork(
                module,
                self._clips,
                tap=tap,
                take=None if tap is None else lambda output: over_space(first_tensor(output), channels_first=True),
                at_once=max(1, MOST_AT_ONCE // self.crops),
            )
        except WsvadError as error:
            raise type(error)(f"{self.path}.yaml: {error}") from None
        if tap is not None:
            blank = np.zeros((SNIPPET, SMALLEST, SMALLEST, 3), dtype=np.uint8)
            self.width = self._features([blank]).shape[-1]

    def runs_on(self, device: torch.device) -> bool:
        return self.network.runs_on(device)

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What computes it on a CPU, the one that does first; a tap needs torch."""
        if self.settings.tap is not None:
            return ("torch",)
        return ("openvino", "torch") if self.settings.runtime == "openvino" else ("torch", "openvino")

    def run_by(self, runtime: str) -> None:
        """Have another one compute it from now on."""
        module = self.network.module
        plain = module.module if isinstance(module, OpenVinoModule) else module
        shape = (3, SNIPPET, self.settings.crop, self.settings.crop)
        self.network.module = OpenVinoModule(plain, shape) if runtime == "openvino" else plain

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(16, h, w, 3)` uint8 → `(N, D)` float32, or `(N, C, D)` with crops."""
        features_NCD = self._features(snippets)
        return features_NCD[:, 0] if self.crops == 1 else features_NCD

    def passport(self) -> dict[str, object]:
        given = asdict(self.settings).items()
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in given if v is not None}
        del settings["runtime"]
        if self.crops == 1:
            del settings["order"]
        return {
            "encoder": f"{self.scheme}:{self.path.name}",
            "width": self.width,
            "weights": self._weights,
            "settings": settings | {"frames": SNIPPET, "version": 1},
        }

    @cached_property
    def _weights(self) -> str:
        return sha256(self.path)

    def _features(self, snippets: list[np.ndarray]) -> np.ndarray:
        if not snippets:
            return np.zeros((0, self.crops, self.width), dtype=np.float32)
        rows = np.stack(self.network(snippets))
        if rows.ndim != 3 or rows.shape[1] != self.crops or not rows.shape[2]:
            raise WsvadError(
                f"{self.path}: its output {list(rows.shape[1:])} is not a vector for each of {self.crops} "
                f"crops; name another part by 'tap:' in {self.path.name}.yaml"
            )
        return rows

    def _clips(self, frames_FHW3: Tensor) -> Tensor:
        """16 frames of each snippet → its crops as the network reads them, `(N·C, 3, 16, crop, crop)`."""
        asked = self.settings
        pictures_FHW3 = frames_FHW3.flip(3) if asked.colour == "bgr" else frames_FHW3
        mean, std = (
            torch.tensor(one, device=frames_FHW3.device, dtype=torch.float32) for one in (asked.mean, asked.std)
        )
        values = (pictures_FHW3 * torch.tensor(asked.scale, dtype=torch.float32) - mean) / std
        clips_N3THW = values.unflatten(0, (-1, SNIPPET)).permute(0, 4, 1, 2, 3)
        sides = (clips_N3THW, clips_N3THW.flip(4)) if asked.crops == 10 else (clips_N3THW,)
        cut = [crop(side, window, asked.crop) for side in sides for window in self._windows]
        return torch.stack(cut, 1).flatten(0, 1)


def crop(x: Tensor, window: str, side: int) -> Tensor:
    """A square part of the last two axes, by its place; all of them where the picture is no larger."""
    height, width = x.shape[-2:]
    rows, columns = max(0, height - side), max(0, width - side)
    if window == "centre":
        top, left = rows // 2, columns // 2
    else:
        top, left = rows * window.startswith("bottom"), columns * window.endswith("right")
    return x[..., top : top + side, left : left + side]


def _completed(asked: ClipPreprocessing, trained: ClipPreprocessing) -> ClipPreprocessing:
    given: dict[str, Any] = {one.name: getattr(asked, one.name) for one in fields(asked)}
    return ClipPreprocessing(**{k: getattr(trained, k) if value is None else value for k, value in given.items()})


def _fit(path: Path, settings: ClipPreprocessing) -> Fit:
    """The resizing, tried once.

    Raises:
        WsvadError: there is less left than a crop, or Pillow is not installed.
    """
    assert settings.resize is not None and settings.filter is not None
    shorter = settings.resize if isinstance(settings.resize, int) else min(settings.resize)
    if shorter < settings.crop:
        raise WsvadError(
            f"{path}.yaml: a 'crop' of {settings.crop} does not fit into a 'resize' of {shorter}; make it smaller"
        )
    # What no crop shows is cut off where frames are decoded, and travels no further.
    only = (settings.crop, settings.crop) if settings.crops == 1 else None
    fit = Fit(resize=settings.resize, filter=settings.filter, crop=only)
    fit(np.zeros((2, 2, 3), dtype=np.uint8))
    return fit


class InceptionI3D(ClipEncoder):
    """`i3d:FILE`: 1024 numbers, as UR-DMU, BN-WVAD and the released features of UCF-Crime and XD-Violence have them."""

    summary = "16 frames a snippet, Inception-I3D from its public weights (rgb_imagenet.pt, model_rgb.pth)"
    scheme, kind, width = "i3d", i3d.I3D, i3d.WIDTH
    trained = dict.fromkeys(i3d.SCHEMES, replace(SIGNED, resize=(340, 256), filter="lanczos"))


class ResNetI3D(ClipEncoder):
    """`i3d-resnet:FILE`: 2048 numbers, as RTFM prepared frames for it."""

    summary = "16 frames a snippet, I3D on ResNet-50 from its public weights (i3d_r50_kinetics.pth)"
    scheme, kind, width = "i3d-resnet", i3d_resnet.I3DResNet50, i3d_resnet.WIDTH
    trained = dict.fromkeys(i3d_resnet.SCHEMES, CENTRED)


class SeparableS3D(ClipEncoder):
    """`s3d:FILE`: 1024 numbers."""

    summary = "16 frames a snippet, S3D from its public weights (s3d-d76dad2f.pth, S3D_kinetics400.pt)"
    scheme, kind, width = "s3d", s3d.S3D, s3d.WIDTH
    trained: ClassVar[Mapping[Scheme, ClipPreprocessing]] = {
        s3d.TORCHVISION: replace(SIGNED, scale=1 / 255, mean=MEAN_RGB, std=STD_RGB),
        s3d.KINETICS: SIGNED,
    }
