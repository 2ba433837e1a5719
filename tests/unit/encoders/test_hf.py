"""Models of `transformers` as encoders: their pictures are the library's bit by bit, and so is what comes of them."""

import dataclasses
import json
import shutil
import socket
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_models import TINY, VIT, library_processor, prepared, save
from torch import Tensor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.dpt.image_processing_pil_dpt import get_resize_output_image_size
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from wsvad.encoders import build
from wsvad.encoders.build import resolve
from wsvad.encoders.hf import files as hf_files
from wsvad.encoders.hf import models as hf_models
from wsvad.encoders.hf import processor as hf_processor
from wsvad.encoders.hf.encoder import Hf, HfSettings
from wsvad.encoders.hf.processor import Longest, Multiple, Patches, processing_of
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.encode import encode_frames
from wsvad.video.clock import SNIPPET
from wsvad.video.reader import Frame

SIZES = ((53, 75), (361, 640), (480, 213), (33, 31))
"""Heights and widths of pictures, all odd in their way."""
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise with a slope, so that neither a shift nor a flip goes unseen."""
    noise = np.random.default_rng(seed).integers(0, 128, (height, width, 3))
    return (noise + np.linspace(0, 127, width)[None, :, None]).astype(np.uint8)


def ours(
    folder: Path, said: dict[str, Any], one: np.ndarray, *, kind: str = "", clip: bool = False
) -> dict[str, Tensor]:
    """A picture as our code prepares it."""
    folder.mkdir(exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    processing = processing_of(folder, kind, clip=clip)
    return processing(torch.from_numpy((processing.fit or (lambda same: same))(one)[None]))


PROCESSORS = (
    "BeitImageProcessor", "BitImageProcessor", "BlipImageProcessor", "CLIPImageProcessor", "ChineseCLIPImageProcessor",
    "ConvNextImageProcessor", "DPTImageProcessor", "DeiTImageProcessor", "FlavaImageProcessor", "LevitImageProcessor",
    "MobileNetV1ImageProcessor", "MobileNetV2ImageProcessor", "OwlViTImageProcessor", "PvtImageProcessor",
    "SamImageProcessor", "SegformerImageProcessor", "Siglip2ImageProcessor", "SiglipImageProcessor",
    "VideoMAEImageProcessor", "ViTImageProcessor", "VivitImageProcessor",
)  # fmt: skip
VARIANTS = {
    "depth": {"image_processor_type": "DPTImageProcessor", "size": {"height": 518, "width": 518}, "resample": 3}
    | {"keep_aspect_ratio": True, "ensure_multiple_of": 14, **IMAGENET},
    "multiple": {"image_processor_type": "DPTImageProcessor", "ensure_multiple_of": 14},
    "large": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    "old": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 60, "crop_size": 57, "resample": 3},
    "larger crop": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 40}, "crop_size": 51},
    "lanczos": {"image_processor_type": "ViTImageProcessor", "resample": 1},
    "as it is": {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": False},
    "levels": {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "image_mean": [1, 2, 3]},
}


@pytest.mark.parametrize("said", [*PROCESSORS, *VARIANTS])
def test_a_picture_is_the_librarys_to_the_last_bit(said: str, tmp_path: Path):
    fields = VARIANTS.get(said) or {"image_processor_type": said}
    name = fields.get("image_processor_type") or "CLIPImageProcessor"
    for height, width in SIZES[
        : 2 if said in ("SamImageProcessor", "OwlViTImageProcessor") else 4
    ]:  # their size is large
        one = picture(height, width)
        theirs = prepared(name, fields, [one])
        mine = ours(tmp_path / "p", fields, one)
        assert mine.keys() == theirs.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key].numpy(), theirs[key].numpy())


def test_a_whole_picture_for_pose_is_the_librarys(tmp_path: Path):
    """But for places in the middle of two levels, which another library's arithmetic rounds."""
    for height, width in SIZES:
        one = picture(height, width)
        mine = ours(tmp_path / "p", {"image_processor_type": "VitPoseImageProcessor"}, one)["pixel_values"]
        theirs = prepared("VitPoseImageProcessor", {}, [one])["pixel_values"]
        assert (mine == theirs).double().mean() > 0.999
        assert (mine - theirs).abs().max() < 1.01 / 255 / 0.224


WITHOUT_TORCHVISION = {
    "TimesformerVideoProcessor": ("VideoMAEImageProcessor", IMAGENET),
    "VideoMAEVideoProcessor": ("VideoMAEImageProcessor", {}),
    "VivitVideoProcessor": ("VivitImageProcessor", {}),
    "VJEPA2VideoProcessor": ("BitImageProcessor", IMAGENET | {"size": {"shortest_edge": 292}, "crop_size": 256})
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_TORCHVISION)
def test_processors_of_videos_do_what_their_fields_say(name: str, tmp_path: Path):
    other, fields = WITHOUT_TORCHVISION[name]
    fields = {"resample": 2} | fields
    for height, width in SIZES:
        one = picture(height, width)
        mine = ours(tmp_path / "p", {"video_processor_type": name}, one, clip=True)["pixel_values"]
        np.testing.assert_array_equal(mine.numpy(), prepared(other, fields, [one])["pixel_values"].numpy())


def test_dinov3_rescales_and_then_resizes(tmp_path: Path):
    """In real numbers, as Pillow resizes pictures of them."""
    for height, width in SIZES:
        one = picture(height, width)
        scaled = [Image.fromarray(one[..., c].astype(np.float32) / 255).resize((224, 224), 2) for c in range(3)]
        theirs = [(np.asarray(s) - m) / d for s, m, d in zip(scaled, *IMAGENET.values(), strict=True)]
        mine = ours(tmp_path / "p", {"image_processor_type": "DINOv3ViTImageProcessorFast"}, one)["pixel_values"]
        np.testing.assert_allclose(mine[0].numpy(), theirs, atol=5e-5)


SIDES = st.integers(1, 4000)


@settings(max_examples=50, deadline=None)
@given(width=SIDES, height=SIDES, side=st.integers(14, 1100))
def test_rules_are_the_librarys(width: int, height: int, side: int):
    sam = library_processor("SamImageProcessor")
    theirs = sam._get_preprocess_shape((height, width), side)
    if min(theirs) > 0:
        assert Longest(side)(width, height) == theirs[::-1]
    blank = np.broadcast_to(np.uint8(0), (3, height, width))
    size = get_resize_output_image_size(blank, (side, side), keep_aspect_ratio=True, multiple=14)
    if min(size.height, size.width) > 0:
        assert Multiple(side, side, 14)(width, height) == (size.width, size.height)
    assert Patches(16, 256)(width, height) == get_image_size_for_max_num_patches(height, width, 16, 256)[::-1]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"image_processor_type": "EfficientNetImageProcessor"}, "does more than resize, cut, rescale and normalise"),
        ({"image_processor_type": "MobileViTImageProcessor"}, "does more than"),
        ({"image_processor_type": "DetrImageProcessor"}, "a size by longest_edge, shortest_edge is not known"),
        ({"image_processor_type": "Sam2ImageProcessor"}, "not one that runs without torchvision"),
        ({"image_processor_type": "os.system"}, "not one that runs without torchvision"),
        ({"image_processor_type": "ViTImageProcessor", "size": "large"}, "refuses it"),
        ({"image_processor_type": "ViTImageProcessor", "image_mean": [0.5]}, "1 channels"),
        ({"image_processor_type": "DINOv3ViTImageProcessor", "do_center_crop": True}, "it cuts"),
        ({"image_processor_type": "ViTImageProcessor", "image_std": [0, 1, 1]}, "std not 0"),
        ({"image_processor_type": "DINOv3ViTImageProcessor", "rescale_factor": float("nan")}, "have to be numbers"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"height": 10**6, "width": 224}}, "a size of 1000000"),
        ({"image_processor_type": "CLIPImageProcessor", "crop_size": 0}, "a size of 0"),
        ({}, "does not say which processor"),
    ],
)
def test_a_processor_that_is_not_ours_is_refused(said: dict[str, Any], told: str, tmp_path: Path):
    with pytest.raises(WsvadError, match=told) as caught:
        ours(tmp_path / "p", said, picture(8, 8))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_every_type_that_is_known_finds_a_class_of_the_library():
    for kind, family in hf_models.FAMILIES.items():
        assert kind in tf.CONFIG_MAPPING
        assert issubclass(getattr(tf, family.network), tf.PreTrainedModel)
    names = {name for of in IMAGE_PROCESSOR_MAPPING_NAMES.values() for name in of.values()}
    assert {name for name in hf_processor.WITHOUT_CLASS if "Image" in name} <= names


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A family's folder and the library's model, made once."""
    made: dict[str, tuple[Path, Any]] = {}

    def model(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            folder = tmp_path_factory.mktemp("models") / kind
            made[kind] = folder, save(kind, folder)
        return made[kind]

    return model


def seen(encoder: Hf, frames: list[np.ndarray]) -> np.ndarray:
    """What an encoder is given of a snippet."""
    chosen = [frames[at] for at in encoder.sampling.offsets(len(frames))]
    return np.stack([encoder.sampling.fit(one) if encoder.sampling.fit else one for one in chosen])


def expected(kind: str, model: Any, frames: list[np.ndarray]) -> np.ndarray:
    """The library's feature of a snippet: its processor, its model, and the pooling over frames by hand."""
    tiny = TINY[kind]
    count = tiny.frames
    chosen = [frames[(2 * i + 1) * len(frames) // (2 * count)] for i in range(count)]
    if kind == "dinov3_vit":
        x = torch.stack([torch.from_numpy(one).permute(2, 0, 1) / 255 for one in chosen])
        x = torch.nn.functional.interpolate(x, (32, 32), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(one).view(3, 1, 1) for one in IMAGENET.values())
        x = {"pixel_values": (x - mean) / std}
    elif kind == "vjepa2":
        fields = {"size": {"shortest_edge": 36}, "crop_size": 32, "resample": 2, **IMAGENET}
        x = prepared(tiny.over, fields, chosen)
    else:
        types = tiny.processor.get("image_processor_type") or tiny.processor.get("feature_extractor_type", "ViTImage")
        name = types.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")
        x = prepared("ViTImageProcessor" if name == "ViTImage" else name, tiny.processor, chosen)
    if tiny.clip:
        places = [(2 * i + 1) * count // (2 * tiny.clip) for i in range(tiny.clip)]
        x["pixel_values"] = x["pixel_values"][places][None]
    with torch.inference_mode():
        vectors = tiny.says(model, x).numpy()
    parts = [vectors.mean(0), vectors.std(0)] if tiny.pooling == "mean+std" else [vectors.mean(0)]
    return np.concatenate(parts)


@pytest.mark.parametrize("kind", TINY)
def test_a_family_keeps_the_contract_and_is_the_librarys(kind: str, models: Any, tmp_path: Path):
    folder, model = models(kind)
    tiny = TINY[kind]
    (encoder,) = build(f"hf:{folder}")
    assert isinstance(encoder, Hf) and encoder.name == f"hf:{folder}"
    assert encoder.width == tiny.width * (2 if tiny.pooling == "mean+std" else 1)
    assert encoder.sampling.count == tiny.frames
    clips = [[picture(75, 101, seed=16 * at + i) for i in range(SNIPPET)] for at in range(3)]
    given = [seen(encoder, frames) for frames in clips]

    features = encoder.encode(given)
    assert features.shape == (3, encoder.width) and features.dtype == np.float32
    assert encoder.encode([]).shape == (0, encoder.width)
    np.testing.assert_array_equal(features, encoder.encode(given))
    for at in range(3):
        np.testing.assert_array_equal(features[at : at + 1], encoder.encode([given[at]]))
    np.testing.assert_allclose(features, [expected(kind, model, frames) for frames in clips], rtol=1e-4, atol=1e-5)
    joined = encoder._network._run(given)  # as it runs on a device other than the CPU
    np.testing.assert_allclose([encoder._feature(one) for one in joined], features, rtol=1e-4, atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-6

    passport = encoder.passport()
    assert set(passport) == {"encoder", "width", "weights", "settings"} and passport["width"] == encoder.width
    assert json.loads(json.dumps(passport))["weights"] == passport["weights"]
    assert str(folder.parent) not in json.dumps(passport)
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "renamed"))
    again = Hf(str(moved))
    assert again.passport() == passport
    np.testing.assert_array_equal(again.encode(given[:1]), features[:1])


def test_frames_of_a_video_reach_the_network_as_they_are_prepared(models: Any):
    for kind in ("clip", "dinov3_vit", "depth_anything", "vitpose"):
        folder, model = models(kind)
        (encoder,) = build(f"hf:{folder}")
        pictures = [picture(75, 101, seed=i) for i in range(20)]
        frames = [Frame.of_array(one, i, Fraction(25)) for i, one in enumerate(pictures)]
        rows = encode_frames(frames, {"rgb": (encoder,)})["rgb"].features
        pictures = [frame.array() for frame in frames]
        np.testing.assert_allclose(rows[0], expected(kind, model, pictures[:16]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rows[1], expected(kind, model, pictures[16:]), rtol=1e-4, atol=1e-5)


def test_pictures_of_several_sizes_come_at_once(models: Any):
    encoder = Hf(str(models("depth_anything")[0]))
    shapes = [(75, 101), (101, 75), (75, 101), (75, 101), (60, 200)]
    given = [seen(encoder, [picture(*shape, seed=i)] * SNIPPET) for i, shape in enumerate(shapes)]
    single = np.concatenate([encoder.encode([one]) for one in given])
    np.testing.assert_array_equal(encoder.encode(given), single)


def settled(folder: Path, **how: Any) -> Hf:
    return Hf(str(folder), HfSettings(**how))


def test_taps_pooling_and_frames(models: Any):
    folder, model = models("vit")
    frames = [picture(40, 50, seed=i) for i in range(SNIPPET)]
    x = prepared("ViTImageProcessor", TINY["vit"].processor, frames)
    with torch.inference_mode():
        hidden = model.vit(**x, output_hidden_states=True).hidden_states
        last = model.vit(**x).last_hidden_state

    def of(**how: Any) -> np.ndarray:
        encoder = settled(folder, **how)
        return encoder.encode([seen(encoder, frames)])[0]

    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(of(frames=16, tap=1, pooling="mean"), hidden[1][:, 1:].mean((0, 1)), **close)
    np.testing.assert_allclose(of(frames=16, tap="-1", pooling="mean"), hidden[-1][:, 1:].mean((0, 1)), **close)
    np.testing.assert_allclose(of(pooling="middle"), last[8, 0], **close)
    np.testing.assert_allclose(of(pooling="middle", space="mean"), last[8, 1:].mean(0), **close)
    np.testing.assert_allclose(of(pooling="middle", space="flatten"), last[8].flatten(), **close)
    np.testing.assert_allclose(of(frames=1), last[8, 0], **close)
    np.testing.assert_allclose(of(tap="last_hidden_state", pooling="middle"), last[8, 1:].mean(0), **close)
    np.testing.assert_allclose(of(tap="layernorm", pooling="middle", space="first"), last[8, 0], **close)
    assert settled(folder, tap="embeddings.patch_embeddings", frames=2).width == 64


def test_a_clip_may_have_another_length(models: Any):
    folder, _ = models("vjepa2")
    whole, half = settled(folder), settled(folder, clip=16)
    assert (whole.passport()["settings"]["clip"], half.passport()["settings"]["clip"]) == (32, 16)
    assert whole.sampling.count == half.sampling.count == 16
    assert settled(folder, clip=8).sampling.count == 8
    frames = [seen(whole, [picture(40, 50, seed=i) for i in range(SNIPPET)])]
    assert np.abs(whole.encode(frames) - half.encode(frames)).max() > 1e-4
    xclip = settled(models("xclip")[0], tap="vision_model", pooling="mean+std")  # a vector for each frame of the clip
    assert xclip.width == 64 and xclip.encode([frames[0][:4]]).shape == (1, 64)


def test_a_passport_differs_whenever_a_number_would(models: Any, tmp_path: Path):
    folder, _ = models("vit")
    variants = [
        {},
        {"frames": 5},
        {"tap": 1},
        {"tap": -1},
        {"tap": "layernorm"},
        {"space": "mean"},
        {"pooling": "mean"},
    ]
    passports = [settled(folder, **how).passport() for how in variants]

    def edited(name: str, file: str, **fields: Any) -> dict[str, object]:
        copy = Path(shutil.copytree(folder, tmp_path / name))
        edit(copy, file, **fields)
        return Hf(str(copy)).passport()

    model, processor = "config.json", "preprocessor_config.json"
    passports += [
        edited("eps", model, layer_norm_eps=1e-3),
        edited("act", model, hidden_act="relu"),
        edited("mean", processor, image_mean=[0.4, 0.5, 0.5]),
        edited("scale", processor, rescale_factor=1 / 256),
        edited("filter", processor, resample=3),
        edited("crop", processor, do_center_crop=True, crop_size=32, size={"height": 40, "width": 40}),
    ]
    save("vit", tmp_path / "other", seed=1)
    passports.append(Hf(str(tmp_path / "other")).passport())
    assert len({json.dumps(one, sort_keys=True) for one in passports}) == len(passports)
    words = {"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}, "transformers_version": "4.0.0"}
    assert edited("words", model, **words) == passports[0]
    assert edited("type", processor, image_processor_type="ViTImageProcessorFast") == passports[0]


def test_numbers_of_half_the_width_and_files_in_parts(tmp_path: Path):
    whole, half, parts = tmp_path / "whole", tmp_path / "half", tmp_path / "parts"
    model = save("vit", whole)
    save("vit", parts, max_shard_size="20KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 2
    model.to(torch.bfloat16).save_pretrained(half)
    shutil.copy(whole / "preprocessor_config.json", half)
    encoders = [Hf(str(folder)) for folder in (whole, half, parts)]
    given = [seen(encoders[0], [picture(40, 50, seed=i) for i in range(SNIPPET)])]
    features = [encoder.encode(given) for encoder in encoders]
    np.testing.assert_array_equal(features[0], features[2])
    assert features[1].dtype == np.float32
    np.testing.assert_allclose(features[0], features[1], atol=0.05)
    assert np.abs(features[0] - features[1]).max() > 0
    shard = sorted(parts.glob("model-*.safetensors"))[1]
    shard.rename(parts / "away")
    with pytest.raises(WsvadError, match=rf"refers to {shard.name}, which is not there"):
        Hf(str(parts))
    shutil.copy(sorted(parts.glob("model-*.safetensors"))[0], shard)
    with pytest.raises(WsvadError, match=rf"is not in {shard.name}, where it should be"):
        Hf(str(parts))


def edit(folder: Path, file: str = "config.json", **fields: Any) -> None:
    said = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(said | fields))


def reweigh(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def halve(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def index(folder: Path, **weight_map: Any) -> None:
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


LAYERS = "encoder.layer"
FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "it has no config.json"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "instead of a mapping"),
    "no type": (lambda f: edit(f, model_type=None), "has no 'model_type'"),
    "unknown type": (lambda f: edit(f, model_type="vitt"), r"no model type 'vitt' \(near ones: .*vit.*newer trans"),
    "own code": (
        lambda f: edit(f, model_type="mine", auto_map={"AutoModel": "mine.M"}),
        "code of its own .auto_map., which is never run",
    ),
    "text": (lambda f: edit(f, model_type="bert"), "a model of type 'bert' does not read pictures"),
    "quantised": (lambda f: edit(f, quantization_config={"quant_method": "gptq"}), "quantised"),
    "layers without end": (lambda f: edit(f, num_hidden_layers=10**9), "num_hidden_layers is 1000000000"),
    "labels without end": (lambda f: edit(f, num_labels=10**9), "num_labels is 1000000000"),
    "frames without end": (lambda f: edit(f, num_frames=10**8, patch_size=None), "num_frames is 100000000"),
    "places without end": (
        lambda f: edit(f, model_type="videomae", num_frames=9999, image_size=9999),
        r"config.json: damaged \(it reads \d+ patches at once\)",
    ),
    "numbers of 8 bits": (
        lambda f: reweigh(f, lambda w: w.update({"vit.layernorm.weight": w["vit.layernorm.weight"].to(torch.int8)})),
        "'.*layernorm.weight' is torch.int8",
    ),
    "far too wide": (lambda f: edit(f, hidden_size=2**20), "they have .* numbers, where config.json says"),
    "absurd": (lambda f: edit(f, hidden_size="wide"), "transformers refuses it|cannot be built"),
    "heads": (lambda f: edit(f, num_attention_heads=5), r"k_proj.bias' is \[32\] where config.json says \[30\]"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "it has no model.safetensors"),
    "pickled": (pickle_only, "only weights are pytorch_model.bin, a format that can run code and is never opened"),
    "truncated": (halve, "model.safetensors: truncated or damaged"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "truncated or damaged"),
    "pointer": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1"),
        "a pointer of Git LFS",
    ),
    "a key less": (
        lambda f: reweigh(f, lambda w: w.pop("vit.layernorm.weight")), "they have no 'layernorm.weight' and begin with"
    ),
    "another shape": (
        lambda f: reweigh(f, lambda w: w.update({"vit.layernorm.weight": torch.zeros(7)})),
        r"'.*layernorm.weight' is \[7\] where config.json says \[32\]",
    ),
    "a larger model": (lambda f: edit(f, num_hidden_layers=1), "layer.*1.* has no place in the model"),
    "a smaller model": (lambda f: edit(f, num_hidden_layers=3), "they have no '.*2"),
    "no processor": (lambda f: (f / "preprocessor_config.json").unlink(), "nothing says how pictures are resized"),
    "an index out of the folder": (lambda f: index(f, a="../x.safetensors"), "not a .safetensors file beside it"),
    "an index of numbers": (lambda f: index(f, a=1), "weight_map.a is 1 instead of text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_are_wrong(fault: str, models: Any, tmp_path: Path):
    break_it, told = FAULTS[fault]
    folder = Path(shutil.copytree(models("vit")[0], tmp_path / "net"))
    break_it(folder)
    with pytest.raises(WsvadError, match=told) as caught:
        Hf(str(folder))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not isinstance(caught.value, UsageError)


def test_weights_of_another_model(models: Any, tmp_path: Path):
    folder = Path(shutil.copytree(models("dinov2")[0], tmp_path / "net"))
    shutil.copy(models("vit")[0] / "model.safetensors", folder)
    with pytest.raises(WsvadError, match=r"they have no 'embeddings.cls_token' and begin with 'classifier"):
        Hf(str(folder))


@pytest.mark.parametrize(
    ("kind", "how", "told"),
    [
        ("vit", {"tap": "encoder.layer.0.atention"}, "near ones are .*attention"),
        ("vit", {"tap": "zzz"}, "no such module or output; near ones are image_embeds"),
        ("vit", {"tap": 9}, "tap 9: the model gives 3 hidden layers"),
        ("vit", {"tap": "pooler_output"}, "gives no pooler_output .there is last_hidden_state"),
        ("vit", {"pooling": "middle", "frames": 4}, "middle reads 1 frame"),
        ("vit", {"frames": 17}, "frames 17"),
        ("vit", {"clip": 4}, "reads pictures, not clips"),
        ("videomae", {"clip": 6}, "does not run on pictures"),
        ("videomae", {"pooling": "mean+std"}, "one vector a snippet, which has no deviation"),
        ("sam", {"tap": "patch_embed.projection", "space": "first"}, "is a map .* no first token"),
    ],
)
def test_settings_that_a_model_does_not_allow(kind: str, how: dict[str, Any], told: str, models: Any):
    with pytest.raises(WsvadError, match=told) as caught:
        settled(models(kind)[0], **how)
    assert "\n" not in str(caught.value)


def test_a_model_that_guesses_is_refused(tmp_path: Path):
    """A masked autoencoder hides another part of each picture."""
    tf.ViTMAEModel(tf.ViTMAEConfig(**VIT)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(TINY["vit"].processor))
    with pytest.raises(WsvadError, match="gives other numbers each time"):
        Hf(str(tmp_path))


def test_an_output_that_is_no_vector(models: Any, monkeypatch: pytest.MonkeyPatch):
    family = dataclasses.replace(hf_models.FAMILIES["vit"], output="image_embeds")
    monkeypatch.setitem(hf_models.FAMILIES, "vit", family)
    with pytest.raises(WsvadError, match="gives no image_embeds"):
        Hf(str(models("vit")[0]))


def test_no_hub_is_asked_and_no_network_used(models: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "hub" / "models--org--tiny" / "snapshots" / commit
    shutil.copytree(models("vit")[0], place)
    passport = Hf(str(models("vit")[0])).passport()
    assert Hf("org/tiny").passport() == passport  # the only one there is
    (place.parents[1] / "refs").mkdir()
    (place.parents[1] / "refs" / "v1").write_text(commit)
    for revision in ("v1", commit, commit[:8]):
        assert Hf(f"org/tiny@{revision}").passport() == passport
    with pytest.raises(WsvadError, match=r"revision 'v2' is not in the cache .*wsvad encoders --get org/tiny@v2"):
        Hf("org/tiny@v2")
    with pytest.raises(WsvadError, match=r"unless you ask: wsvad encoders --get org/other"):
        Hf("org/other")
    with pytest.raises(WsvadError, match="no such folder"):
        Hf("./nowhere")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hf_files.cache() == tmp_path / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert hf_files.cache() == Path("/x/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "/home")
    assert hf_files.cache() == Path("/home/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/cache")
    assert hf_files.cache() == Path("/cache")


def test_a_name_stays_and_a_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "net").mkdir(parents=True)
    assert resolve("hf:openai/clip-vit-base-patch16@main")[0] == "hf:openai/clip-vit-base-patch16@main"
    assert resolve("hf:here/net")[0] == f"hf:{tmp_path}/here/net"
    assert resolve("hf:./net")[0] == f"hf:{tmp_path}/net"
    assert resolve("motion+hf:a/b+hf:c")[0] == "motion+hf:a/b+hf:c"


def test_what_the_user_set_for_the_hub_holds_afterwards(models: Any, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    for before, wanted in ((None, False), ("1", True), ("0", False)):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        if before is not None:
            monkeypatch.setenv("HF_HUB_OFFLINE", before)
        monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
        with hf_files.library(Path()):
            assert constants.HF_HUB_OFFLINE is True
        assert constants.HF_HUB_OFFLINE is wanted


def test_without_the_library(models: Any, monkeypatch: pytest.MonkeyPatch):
    folder = models("vit")[0]
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        WsvadError, match=r"needs transformers, which is not installed; pip install 'wsvad\[transformers\]'"
    ):
        Hf(str(folder))
