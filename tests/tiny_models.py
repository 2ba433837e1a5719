"""Tiny models of `transformers` with random weights, a family each, as folders; and what the library itself makes of
frames, in its own words."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from torch import Tensor, nn
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name
from transformers.models.vivit.image_processing_vivit import VivitImageProcessor

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 99, "bos_token_id": 0, "eos_token_id": 1}
EXACT = {"size": {"height": 32, "width": 32}}
CUT = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


def two(vision: dict[str, Any] = VIT, **more: Any) -> dict[str, Any]:
    """Fields of a model of pictures and text."""
    return {"vision_config": vision, "text_config": TEXT, **more}


def dinov2_for_depth() -> Any:
    backbone = tf.Dinov2Config(**VIT, out_features=["stage1", "stage2"], reshape_hidden_states=False)
    sizes = {"reassemble_hidden_size": 32, "neck_hidden_sizes": [8, 8], "fusion_hidden_size": 8, "head_hidden_size": 4}
    return tf.DepthAnythingConfig(backbone_config=backbone, patch_size=8, reassemble_factors=[2, 1], **sizes)


def sam() -> Any:
    common = {"image_size": 64, "patch_size": 8}
    vision = {**common, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32}
    vision |= {"output_channels": 8, "global_attn_indexes": [1], "window_size": 4, "num_pos_feats": 4}
    decoder = {"hidden_size": 8, "mlp_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return tf.SamConfig(
        vision_config=vision,
        prompt_encoder_config={**common, "hidden_size": 8, "mask_input_channels": 4},
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 8},
    )


def vitpose() -> Any:
    body = {name: value for name, value in SMALL.items() if name != "intermediate_size"}
    backbone = tf.VitPoseBackboneConfig(**body, image_size=[32, 24], patch_size=[8, 8], out_features=["stage2"])
    return tf.VitPoseConfig(backbone_config=backbone)


def vjepa2() -> Any:
    body = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    predictor = {f"pred_{name}": value for name, value in body.items()}
    return tf.VJEPA2Config(patch_size=8, crop_size=32, frames_per_clip=32, **body, **predictor)


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A family."""

    model: Callable[[], Any]
    processor: dict[str, Any]
    """What its file of settings says."""
    says: Callable[[Any, dict[str, Tensor]], Tensor]
    """The library's feature of each picture, or of each clip."""
    width: int = 32
    frames: int = 4
    """Of a snippet, as is usual."""
    clip: int | None = None
    """That it reads at once."""
    pooling: str = "mean+std"
    over: str | None = None
    """A class of the library that prepares pictures as its own does, where that needs torchvision."""


def first_token(model: Any, given: dict[str, Tensor]) -> Tensor:
    """Of a model with a classifier: what that reads."""
    return model.base_model(**given).last_hidden_state[:, 0]


def pooled(model: Any, given: dict[str, Tensor]) -> Tensor:
    return model.base_model(**given).pooler_output.flatten(1)


def image_features(model: Any, given: dict[str, Tensor]) -> Tensor:
    return model.get_image_features(**given).pooler_output


LANGUAGE = {"frames": 16, "pooling": "mean"}
MIDDLE = {"frames": 1, "pooling": "middle"}
TINY: dict[str, Tiny] = {
    "clip": Tiny(
        model=lambda: tf.CLIPModel(tf.CLIPConfig(**two({**VIT, "projection_dim": 16}, projection_dim=16))),
        processor={**CUT, "image_processor_type": "CLIPImageProcessor"},
        says=image_features,
        width=16,
        **LANGUAGE,
    ),
    "siglip": Tiny(
        model=lambda: tf.SiglipModel(tf.SiglipConfig(**two())),
        processor={**EXACT, "image_processor_type": "SiglipImageProcessor"},
        says=image_features,
        **LANGUAGE,
    ),
    "siglip2": Tiny(
        model=lambda: tf.Siglip2Model(tf.Siglip2Config(**two({**SMALL, "patch_size": 8, "num_patches": 16}))),
        processor={"patch_size": 8, "max_num_patches": 20, "image_processor_type": "Siglip2ImageProcessor"},
        says=image_features,
        **LANGUAGE,
    ),
    "blip": Tiny(
        model=lambda: tf.BlipModel(tf.BlipConfig(**two(projection_dim=16))),
        processor={**EXACT, "image_processor_type": "BlipImageProcessor"},
        says=image_features,
        width=16,
        **LANGUAGE,
    ),
    "dinov2": Tiny(
        model=lambda: tf.Dinov2ForImageClassification(tf.Dinov2Config(**VIT)),
        processor={**CUT, "image_processor_type": "BitImageProcessor"},
        says=pooled,
    ),
    "dinov2_with_registers": Tiny(
        model=lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**VIT)),
        processor={**CUT, "image_processor_type": "BitImageProcessor"},
        says=pooled,
    ),
    "dinov3_vit": Tiny(
        model=lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**VIT)),
        processor={**EXACT, "image_processor_type": "DINOv3ViTImageProcessorFast"},
        says=lambda model, given: model(**given).pooler_output,
    ),
    "vit": Tiny(
        model=lambda: tf.ViTForImageClassification(tf.ViTConfig(**VIT)),
        processor={**EXACT, "image_processor_type": "ViTImageProcessor"},
        says=first_token,
    ),
    "deit": Tiny(
        model=lambda: tf.DeiTForImageClassification(tf.DeiTConfig(**VIT)),
        processor={"size": {"height": 36, "width": 36}, "crop_size": {"height": 32, "width": 32}}
        | {"feature_extractor_type": "DeiTFeatureExtractor"},
        says=first_token,
    ),
    "beit": Tiny(
        model=lambda: tf.BeitForImageClassification(tf.BeitConfig(**VIT)),
        processor={**EXACT, "image_processor_type": "BeitImageProcessor"},
        says=pooled,
    ),
    "swin": Tiny(
        model=lambda: tf.SwinForImageClassification(
            tf.SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4)
        ),
        processor=EXACT,  # of which class, its type says
        says=pooled,
    ),
    "convnext": Tiny(
        model=lambda: tf.ConvNextForImageClassification(
            tf.ConvNextConfig(hidden_sizes=[8, 16, 32, 32], depths=[1, 1, 1, 1])
        ),
        processor={"size": {"shortest_edge": 32}, "image_processor_type": "ConvNextImageProcessor"},
        says=pooled,
    ),
    "resnet": Tiny(
        model=lambda: tf.ResNetForImageClassification(
            tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1])
        ),
        processor={"size": 32, "image_processor_type": "ConvNextImageProcessor"},
        says=pooled,
    ),
    "videomae": Tiny(
        model=lambda: tf.VideoMAEForVideoClassification(tf.VideoMAEConfig(**VIT, num_frames=16)),
        processor={**CUT, "image_processor_type": "VideoMAEImageProcessor"},
        says=lambda model, given: model.videomae(**given).last_hidden_state.mean(1),
        frames=16,
        clip=16,
        pooling="mean",
    ),
    "vjepa2": Tiny(
        model=lambda: tf.VJEPA2Model(vjepa2()),
        processor={"crop_size": 32, "video_processor_type": "VJEPA2VideoProcessor"},
        says=lambda model, given: model(given["pixel_values"], skip_predictor=True).last_hidden_state.mean(1),
        frames=16,
        clip=32,
        pooling="mean",
        over="BitImageProcessorPil",
    ),
    "timesformer": Tiny(
        model=lambda: tf.TimesformerForVideoClassification(tf.TimesformerConfig(**VIT, num_frames=4)),
        processor={**CUT, "image_processor_type": "VideoMAEImageProcessor"},
        says=first_token,
        frames=4,
        clip=4,
        pooling="mean",
    ),
    "vivit": Tiny(
        model=lambda: tf.VivitForVideoClassification(
            tf.VivitConfig(**SMALL, image_size=32, num_frames=8, tubelet_size=[2, 8, 8])
        ),
        processor={**CUT, "image_processor_type": "VivitImageProcessor"},
        says=first_token,
        frames=8,
        clip=8,
        pooling="mean",
    ),
    "xclip": Tiny(
        model=lambda: tf.XCLIPModel(
            tf.XCLIPConfig(
                **two(
                    {**VIT, "num_frames": 4, "mit_hidden_size": 16, "mit_intermediate_size": 32}
                    | {"mit_num_hidden_layers": 1, "mit_num_attention_heads": 2},
                    projection_dim=16,
                )
            )
        ),
        processor={**CUT, "image_processor_type": "CLIPImageProcessor"},
        says=lambda model, given: model.get_video_features(**given).pooler_output,
        width=16,
        frames=4,
        clip=4,
        pooling="mean",
    ),
    "depth_anything": Tiny(
        model=lambda: tf.DepthAnythingForDepthEstimation(dinov2_for_depth()),
        processor={**EXACT, "keep_aspect_ratio": True, "ensure_multiple_of": 8}
        | {"image_processor_type": "DPTImageProcessor"},
        says=lambda model, given: model.backbone(**given).feature_maps[-1][:, 1:].mean(1),
        **MIDDLE,
    ),
    "sam": Tiny(
        model=lambda: tf.SamModel(sam()),
        processor={"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}
        | {"image_processor_type": "SamImageProcessor"},
        says=lambda model, given: model.get_image_embeddings(given["pixel_values"]).mean((2, 3)),
        width=8,
        **MIDDLE,
    ),
    "vitpose": Tiny(
        model=lambda: tf.VitPoseForPoseEstimation(vitpose()),
        processor={"size": {"height": 32, "width": 24}, "image_processor_type": "VitPoseImageProcessor"},
        says=lambda model, given: model.backbone(**given).feature_maps[-1].mean(1),
        **MIDDLE,
    ),
}
"""By `model_type`."""


def save(kind: str, folder: Path, *, seed: int = 0, **how: Any) -> Any:
    """Write a family's model with its processor's settings; the model as the library has it."""
    tiny = TINY[kind]
    torch.manual_seed(seed)
    return write(folder, tiny.model(), tiny.processor, **how)


def write(folder: Path, model: Any, processor: dict[str, Any], **how: Any) -> Any:
    """A model with random weights, so large that what it sees matters."""
    for name, weights in model.eval().named_parameters():
        nn.init.normal_(weights, float("norm" in name and name.endswith("weight")), 0.2)
    model.save_pretrained(folder, **how)
    video = "video_processor_type" in processor
    name = "video_preprocessor_config.json" if video else "preprocessor_config.json"
    (folder / name).write_text(json.dumps(processor))
    return model


def library_processor(name: str, **said: Any) -> Any:
    """A processor of the library, without torchvision."""
    if name == "VivitImageProcessor":
        return VivitImageProcessor(**said)
    return get_image_processor_class_from_name(f"{name.removesuffix('Pil')}Pil")(**said)


def prepared(name: str, said: dict[str, Any], frames: list[np.ndarray]) -> dict[str, Tensor]:
    """What the library makes of pictures before the network."""
    said = {key: value for key, value in said.items() if not key.endswith("_type")}
    height, width = frames[0].shape[:2]
    boxes = {"boxes": [[[0, 0, width, height]]] * len(frames)} if name.startswith("VitPose") else {}
    batch = library_processor(name, **said)(frames, return_tensors="pt", **boxes)
    given = {key: value for key, value in batch.items() if key not in ("original_sizes", "reshaped_input_sizes")}
    x = given["pixel_values"]
    return given | {"pixel_values": x[0] if x.ndim == 5 else x}
