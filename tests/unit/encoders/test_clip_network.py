"""Crops by a picture whose corners are known, preparation by its formula, settings and what they are refused for."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from published_weights import random_network, write_weights

from wsvad.encoders import build
from wsvad.encoders.clip_network import ORDERS, ClipEncoder, InceptionI3D, ResNetI3D, SeparableS3D, crop
from wsvad.encoders.encoder import HasRuntimes, OnDevice
from wsvad.errors import UsageError, WsvadError

SMALL = "resize: [48, 40]\ncrop: 32\n"
KINDS: dict[str, type[ClipEncoder]] = {"i3d": InceptionI3D, "i3d-resnet": ResNetI3D, "s3d": SeparableS3D}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for name in KINDS:
        write_weights(folder / f"{name}.safetensors", name)
    write_weights(folder / "model_rgb.pth", "i3d", 1)
    write_weights(folder / "S3D_kinetics400.pt", "s3d", 1)
    return folder


def opened(path: Path, tmp_path: Path, yaml: str = SMALL, kind: type[ClipEncoder] | None = None) -> ClipEncoder:
    link = tmp_path / path.name
    if not link.exists():
        link.hardlink_to(path)
    link.with_name(link.name + ".yaml").write_text(yaml)
    return (kind or KINDS[path.stem])(link)


def frames(seed: int = 0, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(16, height, width, 3), dtype=np.uint8)


def marked() -> np.ndarray:
    """256 × 340, as large as the papers' frames; each 224 × 224 window of them holds another set of marks."""
    picture = np.zeros((256, 340, 3), dtype=np.uint8)
    marks = {"top left": (2, 3), "top right": (4, 335), "bottom left": (250, 5), "bottom right": (252, 333)}
    for i, (y, x) in enumerate(marks.values(), start=1):
        picture[y, x] = i
    picture[20, 70] = 5  # near the centre window's own corner: rows 16 … 239, columns 58 … 281
    return np.repeat(picture[None], 16, axis=0)


RELEASED = ((5, (4, 12)), (1, (2, 3)), (2, (4, 219)), (3, (218, 5)), (4, (220, 217)))
"""Of each crop a mark that only it shows there, and where: its place less the window's corner."""
EXTRACTOR = tuple(RELEASED[i] for i in (1, 2, 0, 3, 4))


@pytest.mark.parametrize(("order", "wanted"), [("released", RELEASED), ("extractor", EXTRACTOR)])
@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_stand_in_the_published_order(folder, tmp_path, crops, order, wanted):
    encoder = opened(folder / "i3d.safetensors", tmp_path, f"crops: {crops}\norder: {order}\nscale: 1\nmean: 0")
    if crops == 1:
        wanted = RELEASED
    clips = encoder._clips(torch.from_numpy(marked()))
    assert clips.shape == (crops, 3, 16, 224, 224)
    for clip, (mark, (y, x)) in zip(clips, wanted, strict=False):
        assert (clip[:, :, y, x] == mark).all()
    if crops == 10:  # the same windows of the mirrored picture
        mirrored = encoder._clips(torch.from_numpy(marked()[:, :, ::-1].copy()))
        assert torch.equal(clips[5:], mirrored[:5]) and torch.equal(clips[:5], mirrored[5:])
        assert (clips[5:][list(wanted).index((1, (2, 3)))] == 2).any()  # top left of a mirrored picture was right


def test_the_centre_is_rows_16_and_columns_58_of_a_frame():
    x = torch.arange(256 * 340).reshape(256, 340)
    assert torch.equal(crop(x, "centre", 224), x[16:240, 58:282])
    assert torch.equal(crop(x, "bottom right", 224), x[-224:, -224:])
    assert {len(set(order)) for order in ORDERS.values()} == {5} and set(ORDERS["released"]) == set(ORDERS["extractor"])


@pytest.mark.parametrize("name", KINDS)
def test_a_feature_is_the_network_of_the_crop(folder, tmp_path, name):
    encoder = opened(folder / f"{name}.safetensors", tmp_path, SMALL + "crops: 5\norder: extractor")
    given = [frames(0), frames(1)]
    features = encoder.encode(given)
    assert features.shape == (2, 5, encoder.width) and features.dtype == np.float32
    network = random_network(name)
    prepared = {
        "i3d": lambda x: 2 * x / 255 - 1,
        "i3d-resnet": lambda x: (x - 114.75) / 57.375,
        "s3d": lambda x: (x / 255 - [0.43216, 0.394666, 0.37645]) / [0.22803, 0.22145, 0.216989],
    }[name]
    for snippet, row in zip(given, features, strict=True):
        for index, (top, left) in enumerate([(0, 0), (0, 16), (4, 8), (8, 0), (8, 16)]):
            clip = prepared(snippet[:, top : top + 32, left : left + 32].astype(float))
            x = torch.from_numpy(clip.transpose(3, 0, 1, 2)).float()[None]
            with torch.inference_mode():
                np.testing.assert_allclose(row[index], network(x)[0], rtol=2e-3, atol=1e-4)
    single = opened(folder / f"{name}.safetensors", tmp_path).encode(given)
    assert single.shape == (2, encoder.width)
    np.testing.assert_allclose(single, features[:, 2], rtol=2e-3, atol=1e-4)


def test_both_namings_give_the_same_numbers(folder, tmp_path):
    one = opened(folder / "i3d.safetensors", tmp_path)
    two = opened(folder / "model_rgb.pth", tmp_path, kind=InceptionI3D)
    np.testing.assert_array_equal(one.encode([frames()]), two.encode([frames()]))
    assert one.passport()["settings"] == two.passport()["settings"]


def test_s3d_is_prepared_as_its_file_was_trained(folder, tmp_path):
    torchvision = opened(folder / "s3d.safetensors", tmp_path)
    kinetics = opened(folder / "S3D_kinetics400.pt", tmp_path, kind=SeparableS3D)
    assert torchvision.settings.mean == (0.43216, 0.394666, 0.37645)
    assert (kinetics.settings.scale, kinetics.settings.mean, kinetics.settings.std) == (2 / 255, 1.0, 1.0)
    assert not np.allclose(torchvision.encode([frames()]), kinetics.encode([frames()]), rtol=1e-2)


def test_numbers_depend_on_nothing_that_comes_along(folder, tmp_path):
    encoder = opened(folder / "i3d.safetensors", tmp_path, SMALL + "crops: 10")
    given = [frames(i) for i in range(3)]
    together = encoder.encode(given)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([one]) for one in given]))
    assert isinstance(encoder, OnDevice)
    encoder.network.device = torch.device("meta")  # joined, as on another device
    encoder.network._run = lambda some: [np.zeros((10, 1024), np.float32)] * joined(len(some))
    sizes = list[int]()

    def joined(count: int) -> int:
        sizes.append(count)
        return count

    encoder.encode(given * 2)
    assert sizes == [3, 3]  # with ten crops as many snippets at once as make about 32 clips


def test_frames_are_resized_as_pillow_does(folder, tmp_path):
    picture = frames(height=90, width=160)[0]
    for name, size, how in (
        ("i3d", (340, 256), Image.Resampling.LANCZOS),
        ("i3d-resnet", (455, 256), Image.Resampling.BILINEAR),
        ("s3d", (256, 256), Image.Resampling.BILINEAR),
    ):
        whole = np.array(Image.fromarray(picture).resize(size, how))
        fit = opened(folder / f"{name}.safetensors", tmp_path, "crops: 5").sampling.fit
        np.testing.assert_array_equal(fit(picture), whole)
        top, left = (whole.shape[0] - 224) // 2, (whole.shape[1] - 224) // 2
        fit = opened(folder / f"{name}.safetensors", tmp_path, "").sampling.fit  # no crop shows more
        np.testing.assert_array_equal(fit(picture), whole[top : top + 224, left : left + 224])


def test_a_strip_is_not_blown_up(folder, tmp_path):
    fit = opened(folder / "i3d-resnet.safetensors", tmp_path, "crops: 5").sampling.fit
    assert fit(np.zeros((16, 1024, 3), np.uint8)).shape == (256, 16384, 3)
    with pytest.raises(WsvadError, match="a picture of 16384x16 would be resized to 262144x256, which is too large"):
        fit(np.zeros((16, 16384, 3), np.uint8))


@pytest.fixture(scope="module")
def unchanged(folder, tmp_path_factory) -> tuple[dict[str, object], np.ndarray]:
    """The passport of the small settings, and features."""
    encoder = opened(folder / "i3d.safetensors", tmp_path_factory.mktemp("unchanged"))
    return encoder.passport(), encoder.encode([frames(height=41)])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("crops: 5", False), ("crop: 33", False), ("resize: [48, 41]", False), ("filter: box", False),
        ("colour: bgr", False), ("scale: 0.5", False), ("mean: 0.5", False), ("std: 2", False),
        ("tap: Mixed_4f", False), ("order: extractor", True), ("mean: 1.0", True), ("filter: lanczos", True),
    ],
)  # fmt: skip
def test_the_passport_differs_where_numbers_do(folder, unchanged, tmp_path, change, same):
    passport, features = unchanged
    lines = [line for line in SMALL.splitlines() if line.split(":")[0] != change.split(":")[0]]
    after = opened(folder / "i3d.safetensors", tmp_path, "\n".join([*lines, change]))
    changed = after.encode([frames(height=41)])
    assert (after.passport() == passport) == same
    if same:
        np.testing.assert_array_equal(changed, features)
    elif change.split(":")[0] not in ("resize", "filter"):  # what is done before `encode`
        assert changed.shape != features.shape or not np.allclose(changed, features, rtol=1e-3)


def test_the_order_of_five_crops_stands_in_the_passport(folder, tmp_path):
    orders = [
        opened(folder / "i3d.safetensors", tmp_path, f"{SMALL}crops: 5\norder: {order}").passport() for order in ORDERS
    ]
    assert orders[0] != orders[1]


def test_a_tap_is_averaged_over_time_and_space(folder, tmp_path):
    encoder = opened(folder / "i3d.safetensors", tmp_path, SMALL + "tap: Mixed_4f\ncrops: 5")
    assert encoder.width == 832
    network, kept = random_network("i3d"), []
    hook = network.Mixed_4f.register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.inference_mode():
        network(encoder._clips(torch.from_numpy(frames())))
    hook.remove()
    np.testing.assert_allclose(encoder.encode([frames()])[0], kept[0].mean((2, 3, 4)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_openvino_differs_by_rounding(folder, tmp_path, name):
    yaml = "resize: [60, 50]\ncrop: 45\ncrops: 5\n"
    torch_, given = opened(folder / f"{name}.safetensors", tmp_path, yaml), [frames(0, 50, 60), frames(1, 50, 60)]
    wanted, passport = torch_.encode(given), torch_.passport()
    faster = opened(folder / f"{name}.safetensors", tmp_path, yaml + "runtime: openvino")
    features = faster.encode(given)
    np.testing.assert_allclose(features, wanted, rtol=2e-3, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_array_equal(features[1:], faster.encode(given[1:]))
    assert faster.passport() == passport  # as on another device
    assert isinstance(torch_, HasRuntimes)
    assert (torch_.runtimes, faster.runtimes) == (("torch", "openvino"), ("openvino", "torch"))
    faster.run_by("torch")
    np.testing.assert_array_equal(faster.encode(given), wanted)


def test_without_openvino_it_is_said(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(WsvadError, match=r"i3d.safetensors.yaml: 'runtime: openvino' needs it; pip install"):
        opened(folder / "i3d.safetensors", tmp_path, "runtime: openvino")


@pytest.mark.parametrize(
    ("yaml", "error", "told"),
    [
        ("tap: Mixed_4e\nruntime: openvino", WsvadError, "'tap' needs 'runtime: torch'"),
        ("tap: Mixed_4g", UsageError, "near ones are Mixed_4"),
        ("crops: 3", WsvadError, "crops is 3 instead of 1 or 5 or 10"),
        ("crops: 10.0", WsvadError, r"crops is 10.0 instead of 1 or 5 or 10"),
        ("crops: true", WsvadError, "crops is True instead of 1 or 5 or 10"),
        ("order: other", WsvadError, "instead of released or extractor"),
        ("resize: 100", WsvadError, "a 'crop' of 224 does not fit into a 'resize' of 100"),
        ("resize: [340, 16]", WsvadError, r"resize is \[340, 16\] instead of from 32 to 2048"),
        ("resize: 16", WsvadError, "resize is 16 instead of from 32 to 2048"),
        ("resize: [340]", WsvadError, "resize is"),
        ("std: 0", WsvadError, "and not 0"),
        ("std: [1, 2]", WsvadError, "std"),
        ("frames: 8", WsvadError, "the fields are: resize, filter, crop, crops, order"),
        ("crop: 8", WsvadError, "from 32 to 2048"),
    ],
)
def test_settings_that_there_are_not(folder, tmp_path, yaml, error, told):
    with pytest.raises(error, match=told) as caught:
        opened(folder / "i3d.safetensors", tmp_path, yaml)
    assert f"{tmp_path / 'i3d.safetensors'}.yaml: " in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_files_are_one_line(folder, tmp_path):
    with pytest.raises(WsvadError, match=r"there is no such file"):
        build(f"i3d:{tmp_path / 'none.pth'}")
    with pytest.raises(WsvadError, match=r"not the weights of S3D .*'features.0.0.0.weight' .* is missing"):
        build(f"s3d:{folder / 'i3d.safetensors'}")
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "module.pth")
    with pytest.raises(WsvadError, match=r"refused, because opening it would call torch.nn"):
        build(f"i3d:{tmp_path / 'module.pth'}")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(WsvadError, match="no such file"):
        build(f"i3d-resnet:{tmp_path / 'folder.pth'}")
