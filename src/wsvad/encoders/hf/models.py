"""Models of `transformers` that read pictures or clips: which class a model is loaded with, and which of its outputs is
the feature. Weights are loaded by us, so that nothing is unpickled, fetched or left at random.
"""

import difflib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsvad.encoders.hf.files import CONFIG, first_of, library, read_config, read_weights
from wsvad.encoders.hf.settings import Pooling, Space
from wsvad.errors import WsvadError, refuse_shortage
from wsvad.spelling import plain, reason, short
from wsvad.video.clock import SNIPPET

MOST = {"layers": 10_000, "depth": 10_000, "blocks": 10_000, "frames": 10_000, "num_labels": 10**6}
"""Word in the name of a number of `config.json` → the largest one: so much is built before weights are looked at."""
MOST_PATCHES = 2**20
"""Of a clip, for each of which a position is computed."""
BUFFERS = ("position_ids", "relative_position_index", "inv_freq", "num_batches_tracked", "attn_mask")
"""What older versions of the library stored beside weights, and newer ones compute."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one type are run."""

    network: str | None = None
    """The class of the library; None: the one that it has for the type."""
    method: str = "forward"
    """What is called."""
    part: str = ""
    """A part of the model that stands for the whole, such as the encoder of one for depth."""
    input: str = "pixel_values"
    options: Mapping[str, object] = field(default_factory=dict)
    """What else it is called with."""
    output: str | None = "pooler_output"
    """The field of what it returns; None: the first vector that it has."""
    space: Space = "mean"
    """What becomes of tokens or positions."""
    clip: bool = False
    """Whether it reads several frames at once."""
    frames: int = 4
    """Frames of a snippet that are read."""
    pooling: Pooling = "mean+std"
    """Over what comes of them."""


_IMAGE = Family()
_LANGUAGE = Family(frames=SNIPPET, pooling="mean")  # as VadCLIP's features: the mean of 16 embeddings
_CLASS_TOKEN = Family(output="last_hidden_state", space="first")
_CLIP = Family(output="last_hidden_state", clip=True, frames=SNIPPET, pooling="mean")
_MIDDLE = Family(part="backbone", output="feature_maps", frames=1, pooling="middle")
FAMILIES: dict[str, Family] = {
    "clip": replace(_LANGUAGE, network="CLIPVisionModelWithProjection", output="image_embeds"),
    "clip_vision_model": replace(_LANGUAGE, network="CLIPVisionModelWithProjection", output="image_embeds"),
    "metaclip_2": replace(_LANGUAGE, network="MetaClip2VisionModelWithProjection", output="image_embeds"),
    "siglip": replace(_LANGUAGE, network="SiglipVisionModel"),
    "siglip_vision_model": replace(_LANGUAGE, network="SiglipVisionModel"),
    "siglip2": replace(_LANGUAGE, network="Siglip2VisionModel"),
    "siglip2_vision_model": replace(_LANGUAGE, network="Siglip2VisionModel"),
    "dinov2": replace(_IMAGE, network="Dinov2Model"),
    "dinov2_with_registers": replace(_IMAGE, network="Dinov2WithRegistersModel"),
    "dinov3_vit": replace(_IMAGE, network="DINOv3ViTModel"),
    "dinov3_convnext": replace(_IMAGE, network="DINOv3ConvNextModel"),
    "vit": replace(_CLASS_TOKEN, network="ViTModel"),
    "vit_msn": replace(_CLASS_TOKEN, network="ViTMSNModel"),
    "deit": replace(_CLASS_TOKEN, network="DeiTModel"),
    "videomae": replace(_CLIP, network="VideoMAEModel"),
    "vjepa2": replace(_CLIP, network="VJEPA2Model", input="pixel_values_videos", options={"skip_predictor": True}),
    "timesformer": replace(_CLIP, network="TimesformerModel", space="first"),
    "vivit": replace(_CLIP, network="VivitModel", space="first"),
    "xclip": replace(_CLIP, network="XCLIPModel", method="get_video_features", output="pooler_output"),
    "depth_anything": replace(_MIDDLE, network="DepthAnythingForDepthEstimation"),
    "vitpose": replace(_MIDDLE, network="VitPoseForPoseEstimation"),
    "sam": replace(_MIDDLE, network="SamModel", part="vision_encoder", output="last_hidden_state"),
}
"""By `model_type` of `config.json`. Any other type that reads pictures is run by what the library has for it."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model's type, before its weights are read."""

    folder: Path
    raw: dict[str, Any]
    """What `config.json` says."""
    family: Family
    network: Any
    """Class of the library."""
    config: Any
    """The configuration that the class is made with."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded model."""

    module: nn.Module
    family: Family
    frames: int | None
    """Frames that it reads at once; None for one that reads pictures."""
    patch: int | None
    """Side of a patch in pixels, where it has patches."""


def known(folder: Path) -> Known:
    """What a model is.

    Raises:
        WsvadError: there is no `config.json`, its type is not known or does not read pictures; or transformers is not
            installed.
    """
    raw = read_config(folder)
    with library(folder):
        config = configuration(folder, raw)
        family, network = _network(folder, raw["model_type"], config)
        inner = _part_of_config(config, network)
    return Known(folder=folder, raw=raw, family=family, network=network, config=inner)


def load(of: Known) -> Model:
    """The model with its weights, as float32 on the CPU.

    Raises:
        WsvadError: the weights are missing or damaged, or are not this model's.
    """
    family = of.family
    with library(of.folder):
        module, without = loaded(of.folder, of.network, of.config)
    if without:
        if family.output == "pooler_output":
            raise _not_its(of.folder, f"they have no {first_of(without)}")
        module.pooler = None  # type: ignore[assignment]  # it would be at random
    module = module.get_submodule(family.part) if family.part else module
    frames = _frames(of.config) if family.clip else None
    return Model(module=module, family=family, frames=frames, patch=_patch(module, of.config))


def configuration(folder: Path, raw: dict[str, Any]) -> Any:
    """The library's configuration object; what only chooses another way to compute is left out."""
    import transformers
    from transformers import CONFIG_MAPPING

    path, kind = folder / CONFIG, raw["model_type"]
    if kind not in CONFIG_MAPPING:
        near = ", ".join(difflib.get_close_matches(kind, CONFIG_MAPPING, n=3))
        why = "it asks for code of its own (auto_map), which is never run; " if "auto_map" in raw else ""
        raise WsvadError(
            f"{path}: transformers {transformers.__version__} knows no model type '{short(kind)}'"
            f"{near and f' (near ones: {near})'}; {why}use another model, or a newer transformers"
        )
    if "quantization_config" in raw:
        raise WsvadError(f"{path}: its weights are quantised, which is not run here; use the model that it was made of")
    if too_many := next(_too_many(raw), ""):
        raise WsvadError(f"{path}: damaged ({too_many}); use the model's own file")
    if "auto_map" in raw:
        logger.info("%s: its own code (auto_map) is not run; transformers has this model", path)
    ways = ("attn_implementation", "fusion_config", "dtype", "torch_dtype", "auto_map")
    try:
        return CONFIG_MAPPING[kind].from_dict({key: value for key, value in raw.items() if key.lstrip("_") not in ways})
    except Exception as error:  # the library checks fields in many ways
        raise WsvadError(f"{path}: transformers refuses it ({reason(error)}); use the model's own file") from None


def _too_many(value: Any, name: str = "") -> Iterator[str]:
    """Numbers of things that would be built for ever, or fill the memory."""
    if isinstance(value, dict):
        if (patches := _patches(value)) > MOST_PATCHES:
            yield f"it reads {short(patches)} patches at once"
        for key, item in value.items():
            if key not in ("id2label", "label2id"):
                yield from _too_many(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _too_many(item, name)
    elif isinstance(value, int) and any(word in name and value > most for word, most in MOST.items()):
        yield f"{plain(name)} is {short(value)}"


def _patches(said: dict[str, Any]) -> int:
    """How many a network of patches reads at once; 0 for another."""
    sides = [said.get(name) for name in ("image_size", "crop_size")]
    side, patch = max((one for one in sides if isinstance(one, int)), default=0), said.get("patch_size")
    frames = [said.get(name) for name in ("num_frames", "frames_per_clip")]
    count = max((one for one in frames if isinstance(one, int)), default=1)
    return (side // patch) ** 2 * count if isinstance(patch, int) and patch > 0 else 0


def _network(folder: Path, kind: str, config: Any) -> tuple[Family, Any]:
    """How a model is run, and its class."""
    import transformers
    from transformers import MODEL_MAPPING

    family = FAMILIES.get(kind)
    if family is not None:
        return family, getattr(transformers, family.network or "")
    network: Any = MODEL_MAPPING.get(type(config), None)
    network = network[0] if isinstance(network, list | tuple) else network
    if network is not None and hasattr(network, "get_image_features"):
        return replace(_LANGUAGE, method="get_image_features"), network
    if network is not None and getattr(network, "main_input_name", "") == "pixel_values":
        return replace(_IMAGE, output=None), network
    raise WsvadError(
        f"{folder / CONFIG}: a model of type '{short(kind)}' does not read pictures or clips; use one that does, such "
        "as CLIP, DINOv2 or VideoMAE"
    )


def _part_of_config(config: Any, network: Any) -> Any:
    """Of a configuration of several models the one of this network."""
    wanted = network.config_class
    key = getattr(wanted, "base_config_key", "")
    return config if isinstance(config, wanted) or not key else getattr(config, key, config)


def loaded(folder: Path, network: Any, config: Any) -> tuple[nn.Module, set[str]]:
    """The model with its weights, and the names of those of its pooling layer where the file has none.

    Raises:
        WsvadError: other weights are missing, have another shape, or are of a larger model.
    """
    weights = read_weights(folder)
    _check_size(folder, network, config, weights)
    try:
        module, info = network.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # of a library, on the files of a stranger
        refuse_shortage(error, folder)
        raise WsvadError(
            f"{folder}: cannot be loaded as {network.__name__} ({reason(error)}); use the model's own files"
        ) from None
    for key, found, wanted in sorted(info["mismatched_keys"]):
        raise _not_its(folder, f"'{short(key)}' is {list(found)} where {CONFIG} says {list(wanted)}")
    parts = dict(module.named_parameters())
    for key, tensor in sorted(weights.items()):
        named = key.removeprefix(f"{getattr(module, 'base_model_prefix', '')}.")
        if not tensor.is_floating_point() and (key in parts or named in parts):
            raise _not_its(folder, f"'{short(key)}' is {tensor.dtype}, as of a quantised model")
    missing = set(info["missing_keys"])
    if lacking := {key for key in missing if not key.startswith("pooler.")}:
        stray = set(info["unexpected_keys"]) or set(weights)
        raise _not_its(folder, f"they have no {first_of(lacking)} and begin with {first_of(stray)}")
    if more := {key for key in info["unexpected_keys"] if _within(module, key)}:
        raise _not_its(folder, f"{first_of(more)} has no place in the model that {CONFIG} says")
    return module, missing


def _check_size(folder: Path, network: Any, config: Any, weights: dict[str, Tensor]) -> None:
    """Refuse a configuration that asks for far more numbers than the weights have, before memory is taken for them."""
    try:
        with torch.device("meta"):
            asked = sum(one.numel() for one in network(config).state_dict().values())
    except Exception as error:  # as above
        refuse_shortage(error, folder)
        raise WsvadError(
            f"{folder / CONFIG}: {network.__name__} cannot be built from it ({reason(error)}); use the model's own file"
        ) from None
    there = sum(one.numel() for one in weights.values())
    if asked > 2 * there + 2**20:
        raise _not_its(folder, f"they have {there:,} numbers, where {CONFIG} says {asked:,}")


def _within(module: nn.Module, key: str) -> bool:
    """Whether a weight belongs into a row of layers that the model has, of which it then has too few."""
    if key.endswith(BUFFERS):
        return False
    rows = {name for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}
    short_key = key.removeprefix(f"{getattr(module, 'base_model_prefix', '')}.")
    return any(f"{name}.".startswith(f"{row}.") for name in (key, short_key) for row in rows)


def _not_its(folder: Path, why: str) -> WsvadError:
    return WsvadError(f"{folder}: the weights are not this model's: {why}; use the files of one model, all of them")


def _frames(config: Any) -> int:
    """Frames that a network for clips reads at once."""
    for part in (config, getattr(config, "vision_config", None)):
        for name in ("num_frames", "frames_per_clip"):
            if isinstance(found := getattr(part, name, None), int):
                return found
    return SNIPPET


def _patch(module: nn.Module, config: Any) -> int | None:
    """Side of a patch, of which a token is one."""
    for part in (getattr(module, "config", None), config, getattr(config, "vision_config", None)):
        size = getattr(part, "patch_size", None) or getattr(part, "tubelet_size", None)
        size = size[-1] if isinstance(size, list | tuple) and size else size
        if isinstance(size, int) and size > 0:
            return size
    return None
