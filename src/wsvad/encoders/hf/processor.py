"""What a model's own processor does with a picture, as our code does it: resize and cut in the decoder's pass, the rest
beside the network. `preprocessor_config.json` says it. Where the library has the processor without torchvision, it has
to give the same numbers for two pictures, else the model is refused.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from wsvad.encoders.fit import Filter, Fit
from wsvad.encoders.hf.files import MOST_JSON, OWN, library
from wsvad.errors import WsvadError
from wsvad.files import is_file, read_json
from wsvad.shapes import checked
from wsvad.spelling import reason, short

FILTERS: tuple[Filter, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""By the number that Pillow has for each."""
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP_VIDEO: dict[str, Any] = {
    "do_resize": True, "size": {"shortest_edge": 224}, "resample": 2, "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    **IMAGENET,
}  # fmt: skip
WITHOUT_CLASS: dict[str, dict[str, Any]] = {
    "DINOv3ViTImageProcessor": CLIP_VIDEO | {"size": {"height": 224, "width": 224}, "do_center_crop": False},
    "TimesformerVideoProcessor": CLIP_VIDEO,
    "VideoMAEVideoProcessor": CLIP_VIDEO | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "VivitVideoProcessor": CLIP_VIDEO
    | {"size": {"shortest_edge": 256}, "rescale_factor": 1 / 127.5, "offset": True}
    | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "VJEPA2VideoProcessor": CLIP_VIDEO | {"size": {}, "crop_size": 256},
}
"""Processors that the library has with torchvision only, and their defaults."""
MOST_SIDE = 2048
"""Pixels of the longest side that a processor may ask for."""
TRIALS = ((331, 245), (197, 301))
"""Width and height of the pictures that a processor of the library is compared with."""


@dataclass(frozen=True)
class Longest:
    """The longer side, and the other in proportion, rounded (SAM)."""

    side: int

    def __call__(self, width: int, height: int) -> tuple[int, int]:
        scale = self.side / max(width, height)
        return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


@dataclass(frozen=True)
class Multiple:
    """Near a size, in the picture's own proportion, and a multiple of a number (DPT, Depth Anything)."""

    width: int
    height: int
    of: int

    def __call__(self, width: int, height: int) -> tuple[int, int]:
        across, down = self.width / width, self.height / height
        scale = across if abs(1 - across) < abs(1 - down) else down
        sides = (round(scale * side / self.of) * self.of for side in (width, height))
        across, down = (max(self.of, side) for side in sides)
        return across, down


@dataclass(frozen=True)
class Patches:
    """As many patches as a network takes, nearly in the picture's own proportion (SigLIP 2 of any size)."""

    patch: int
    most: int

    def __call__(self, width: int, height: int) -> tuple[int, int]:
        low, high = 1e-6, 100.0
        while high - low >= 1e-5:
            scale = (low + high) / 2
            across, down = self._at(scale, width), self._at(scale, height)
            low, high = (scale, high) if across / self.patch * (down / self.patch) <= self.most else (low, scale)
        return self._at(low, width), self._at(low, height)

    def _at(self, scale: float, side: int) -> int:
        return max(self.patch, math.ceil(side * scale / self.patch) * self.patch)


@dataclass(frozen=True)
class WholePicture:
    """The picture as the box of one person, a quarter wider than it, as pose networks cut persons out (ViTPose)."""

    width: int
    height: int

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """`(h, w, 3)` uint8 → `(height, width, 3)` uint8, bilinear; black outside of the picture."""
        rows, columns = picture.shape[:2]
        aspect = self.width / self.height
        across, down = max(columns, aspect * rows), max(rows, columns / aspect)
        y = self._places(rows, down, self.height)
        x = self._places(columns, across, self.width)
        real = picture.astype(np.float64)
        mixed = _between(_between(real, y, 0), x, 1)
        return np.floor(mixed + 0.5).astype(np.uint8)

    @staticmethod
    def _places(size: int, box: float, count: int) -> np.ndarray:
        """Where in the picture each of `count` pixels lies, in the single precision of the published code."""
        target = np.float32(box / 200) * np.float32(1.25) * np.float32(200)
        scale = np.float32((count - 1.0) / float(target))
        offset = np.float32(float((count - 1.0) / float(target)) * (-0.5 * size + 0.5 * float(target)))
        return (np.arange(count) - float(offset)) / float(scale)


def _between(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Values at places between the given ones; 0 outside of them."""
    last = values.shape[axis] - 1
    low = np.clip(np.floor(places), 0, max(last - 1, 0)).astype(np.intp)
    high = np.minimum(low + 1, last)
    shape = [-1 if one == axis else 1 for one in range(values.ndim)]
    share = (places - low).reshape(shape)
    inside = ((places >= 0) & (places <= last)).reshape(shape)
    return np.where(inside, values.take(low, axis) * (1 - share) + values.take(high, axis) * share, 0.0)


@dataclass(frozen=True, kw_only=True)
class Processing:
    """A picture of a video → what the network reads."""

    fit: Fit | WholePicture | None
    """In the decoder's pass; None where the network's side resizes."""
    scale: float | None
    """Pixels are multiplied by it; None: not at all."""
    offset: float = 0.0
    """What is then added."""
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    """Of each channel, behind that; None: not normalised."""
    resize_scaled: tuple[int, int] | None = None
    """Width and height that scaled pixels are resized to, bilinear with antialiasing (DINOv3)."""
    pad: tuple[int, int] | None = None
    """Width and height that zeros at the right and below fill up."""
    patches: Patches | None = None
    """Cut into patches, in a row that zeros fill up."""

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """`(M, h, w, 3)` uint8 → what the network is given by name, `pixel_values` `(M, 3, H, W)` float32."""
        if self.resize_scaled is not None:
            x = (
                pictures.permute(0, 3, 1, 2).float() * self.scale
                if self.scale
                else pictures.permute(0, 3, 1, 2).float()
            )
            width, height = self.resize_scaled
            x = interpolate(x, (height, width), mode="bilinear", antialias=True)
            x = self._normalised(x)
        else:
            table = torch.from_numpy(self._table()).to(pictures.device)
            channels = zip(table, pictures.int().unbind(-1), strict=True)
            x = torch.stack([levels[pixels] for levels, pixels in channels], dim=1)
        if self.pad is not None:
            x = pad(x, (0, self.pad[0] - x.shape[3], 0, self.pad[1] - x.shape[2]))
        return {"pixel_values": x} if self.patches is None else _in_patches(x, self.patches)

    def _table(self) -> np.ndarray:
        """The number that each level becomes, `(3, 256)` float32, rounded as the library rounds."""
        levels = np.repeat(np.arange(256, dtype=np.float32)[None], 3, axis=0)
        if self.scale is not None:
            levels = (levels.astype(np.float64) * self.scale).astype(np.float32) + np.float32(self.offset)
        if self.mean is not None and self.std is not None:
            levels = (levels - np.array([self.mean], np.float32).T) / np.array([self.std], np.float32).T
        return levels

    def _normalised(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return x
        mean, std = (torch.tensor(one, device=x.device).view(3, 1, 1) for one in (self.mean, self.std))
        return (x - mean) / std

    def settings(self) -> dict[str, Any]:
        """For a passport: what is not the rule."""
        said = {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, 0.0)}
        if isinstance(self.fit, Fit):
            rule = self.fit.resize
            said["fit"]["rule"] = type(rule).__name__.lower() if dataclasses.is_dataclass(rule) else "size"
        elif self.fit is not None:
            said["fit"]["rule"] = "whole picture"
        said.pop("patches", None)
        return said


def _in_patches(x: Tensor, patches: Patches) -> dict[str, Tensor]:
    """What SigLIP 2 reads: patches in a row, which of them are real, and how many across and down."""
    (count, _, height, width), side = x.shape, patches.patch
    down, across = height // side, width // side
    row = x.reshape(count, 3, down, side, across, side).permute(0, 2, 4, 3, 5, 1).reshape(count, down * across, -1)
    free = patches.most - down * across
    real = torch.ones(count, down * across, dtype=torch.int32, device=x.device)
    return {
        "pixel_values": pad(row, (0, 0, 0, free)),
        "pixel_attention_mask": pad(real, (0, free)),
        "spatial_shapes": torch.tensor([[down, across]] * count, device=x.device),
    }


def processing_of(folder: Path, model_type: str, *, clip: bool) -> Processing:
    """What the processor of a model does.

    Args:
        clip: whether the network reads several frames at once.

    Raises:
        WsvadError: nothing says it; or it does what our code does not.
    """
    path, said = _said(folder, clip=clip)
    with library(folder):
        name = _class_name(said, model_type)
        if name is None:
            raise WsvadError(f"{path}: it does not say which processor it is of; use the model's own file")
        if name in WITHOUT_CLASS:
            attributes, processor = SimpleNamespace(**{**WITHOUT_CLASS[name], **said}), None
        else:
            processor = attributes = _library_class(path, name, said)
        try:
            processing = _derived(name, attributes)
            _check(processing)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise WsvadError(
                f"{path}: its processor {short(name)} cannot be read ({reason(error)}); use another model"
            ) from None
        if processor is not None:
            _compare(path, name, processor, processing)
    return processing


def _said(folder: Path, *, clip: bool) -> tuple[Path, dict[str, Any]]:
    """The file that says how pictures are prepared, and what it says."""
    image, video = folder / "preprocessor_config.json", folder / "video_preprocessor_config.json"
    both, parts = folder / "processor_config.json", ["image_processor", "video_processor"]
    for path in (video, image) if clip else (image, video):
        if is_file(path):
            return path, checked(path, read_json(path, most=MOST_JSON, remedy=OWN), dict[str, Any], OWN)
    if is_file(both):
        said = checked(both, read_json(both, most=MOST_JSON, remedy=OWN), dict[str, Any], OWN)
        for part in reversed(parts) if clip else parts:
            if isinstance(said.get(part), dict):
                return both, said[part]
    raise WsvadError(
        f"{folder}: it has no {image.name}, so that nothing says how pictures are resized and normalised; put the "
        "model's own file there, or download the model again"
    )


def _class_name(said: dict[str, Any], model_type: str) -> str | None:
    """The processor's class, without what says on which library it runs."""
    name = said.get("video_processor_type") or said.get("image_processor_type")
    if name is None and isinstance(older := said.get("feature_extractor_type"), str):
        name = older.replace("FeatureExtractor", "ImageProcessor")
    if name is None:
        from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

        of_type = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type) or {}
        name = of_type.get("pil") or of_type.get("torchvision")
    return name.removesuffix("Fast").removesuffix("Pil") if isinstance(name, str) else None


def _library_class(path: Path, name: str, said: dict[str, Any]) -> Any:
    """The library's own processor, as it runs without torchvision."""
    found: Any
    if name == "VivitImageProcessor":
        from transformers.models.vivit.image_processing_vivit import VivitImageProcessor

        found = VivitImageProcessor
    else:
        from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name

        found = get_image_processor_class_from_name(f"{name}Pil") if name.isidentifier() else None
    if found is None:
        raise WsvadError(
            f"{path}: its processor {short(name)} is not one that runs without torchvision; use another model"
        )
    try:
        return found(**{key: value for key, value in said.items() if not key.endswith("_type") and key != "auto_map"})
    except Exception as error:  # the library checks fields in many ways
        raise WsvadError(f"{path}: {short(name)} refuses it ({reason(error)}); use the model's own file") from None


def _derived(name: str, of: Any) -> Processing:
    """A processor's fields → what is to be done."""
    filter = FILTERS[2 if getattr(of, "resample", None) is None else int(of.resample)]
    resize, crop = _resize(name, of), _pair(of.crop_size) if getattr(of, "do_center_crop", False) else None
    if name == "ConvNextImageProcessor" and isinstance(resize, int):
        resize, crop = int(resize / of.crop_pct), (resize, resize)
    normalised = bool(of.do_normalize)
    scale = float(of.rescale_factor) if of.do_rescale else None
    common: dict[str, Any] = {
        "scale": scale,
        "offset": -1.0 if scale is not None and getattr(of, "offset", False) else 0.0,
        "mean": _channels(of.image_mean) if normalised else None,
        "std": _channels(of.image_std) if normalised else None,
    }
    if name == "DINOv3ViTImageProcessor" and isinstance(resize, tuple):
        if crop is not None:
            raise ValueError("it cuts what is resized in real numbers")
        return Processing(fit=None, resize_scaled=resize, **common)
    if name == "VitPoseImageProcessor":
        return Processing(fit=WholePicture(*_pair(of.size)), **common)
    return Processing(
        fit=Fit(resize=resize, filter=filter, crop=crop),
        pad=_pair(of.pad_size) if getattr(of, "do_pad", False) and getattr(of, "pad_size", None) else None,
        patches=resize if isinstance(resize, Patches) else None,
        **common,
    )


def _check(processing: Processing) -> None:
    """Refuse numbers that no processor has, before pictures are made by them.

    Raises:
        ValueError: a side is not from 1 to `MOST_SIDE`, or a number is not finite or divides by 0.
    """
    fit, sides = processing.fit, [*(processing.pad or ()), *(processing.resize_scaled or ())]
    if isinstance(fit, Fit):
        resize: Any = dataclasses.astuple(fit.resize) if dataclasses.is_dataclass(fit.resize) else fit.resize
        sides += [*(fit.crop or ()), *(resize if isinstance(resize, tuple) else [] if resize is None else [resize])]
    elif fit is not None:
        sides += dataclasses.astuple(fit)
    if wrong := [side for side in sides if not 1 <= side <= MOST_SIDE]:
        raise ValueError(f"a size of {wrong[0]}, where 1 to {MOST_SIDE} can be")
    numbers = [processing.scale or 0.0, *(processing.mean or ()), *(processing.std or ())]
    if not all(map(math.isfinite, numbers)) or 0 in (processing.std or ()):
        raise ValueError("scale, mean and std have to be numbers, and std not 0")


def _resize(name: str, of: Any) -> tuple[int, int] | int | Callable[[int, int], tuple[int, int]] | None:
    if not of.do_resize:
        return None
    if name == "Siglip2ImageProcessor":
        return Patches(int(of.patch_size), int(of.max_num_patches))
    if name == "VJEPA2VideoProcessor":  # whatever `size` says
        return int(_pair(of.crop_size)[1] * 256 / 224)
    size = _sides(of.size)
    multiple = int(getattr(of, "ensure_multiple_of", None) or 1)
    if name == "DPTImageProcessor" and of.keep_aspect_ratio:
        return Multiple(size["width"], size["height"], multiple)
    if name == "DPTImageProcessor" and multiple > 1:
        width, height = (round(size[side] / multiple) * multiple for side in ("width", "height"))
        return width, height
    if "shortest_edge" in size and "longest_edge" not in size:
        side = size["shortest_edge"]
        if name == "ConvNextImageProcessor" and side >= 384:
            return side, side
        return int(256 / 224 * side) if name == "LevitImageProcessor" else side
    if "longest_edge" in size and name == "SamImageProcessor":
        return Longest(size["longest_edge"])
    if not {"width", "height"} <= set(size):
        raise ValueError(f"a size by {', '.join(sorted(size)) or 'nothing'} is not known here")
    return size["width"], size["height"]


def _sides(size: Any) -> dict[str, int]:
    """A size as files and the library's classes have it."""
    if isinstance(size, int):
        return {"width": size, "height": size}
    return {key: int(value) for key, value in dict(size).items() if value is not None}


def _pair(size: Any) -> tuple[int, int]:
    """Width and height."""
    sides = _sides(size)
    return sides["width"], sides["height"]


def _channels(values: Any) -> tuple[float, ...]:
    """A number for each of three channels."""
    given = tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),) * 3
    if len(given) != 3:
        raise ValueError(f"{len(given)} channels, where pictures have 3")
    return given


def _compare(path: Path, name: str, processor: Any, processing: Processing) -> None:
    """Refuse a processor of the library whose numbers are not ours, to the last bit."""
    random = np.random.default_rng(0)
    for width, height in TRIALS:
        picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        ours = processing(torch.from_numpy((processing.fit or _same)(picture)[None]))
        boxes = {"boxes": [[[0, 0, width, height]]]} if isinstance(processing.fit, WholePicture) else {}
        try:
            theirs = processor(picture, return_tensors="np", **boxes)
            alike = all(_alike(ours[key].numpy(), np.asarray(theirs[key]), loose=bool(boxes)) for key in ours)
        except Exception as error:  # whatever a library does with a file of a stranger
            raise WsvadError(f"{path}: {short(name)} does not run ({reason(error)}); use its own file") from None
        if not alike:
            raise WsvadError(
                f"{path}: {short(name)} does more than resize, cut, rescale and normalise, which is all that is done "
                "here; use another model, or export the network and use onnx:FILE"
            )


def _alike(ours: np.ndarray, theirs: np.ndarray, *, loose: bool) -> bool:
    """Equal; where theirs go through another library's rounding (`loose`), all but a few numbers."""
    theirs = theirs.reshape(ours.shape) if theirs.size == ours.size else theirs
    same = ours == theirs if ours.shape == theirs.shape else np.zeros(1)
    return bool(same.mean() >= (0.999 if loose else 1))


def _same(picture: np.ndarray) -> np.ndarray:
    return picture
