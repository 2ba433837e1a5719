"""Names, shapes and numbers of parameters of the public files of weights; what is read, and what is refused."""

import re

import pytest
import torch
from published_weights import NETWORKS, published, random_network, write_weights
from safetensors.torch import save_file
from torch import nn

from wsvad.encoders.networks.published import COUNTER, Scheme, fill, load
from wsvad.errors import WsvadError

# Units of rgb_imagenet.pt: out, in and the side of the kernel.
I3D_UNITS = """
Conv3d_1a_7x7 64 3 7, Conv3d_2b_1x1 64 64 1, Conv3d_2c_3x3 192 64 3
Mixed_3b.b0 64 192 1, Mixed_3b.b1a 96 192 1, Mixed_3b.b1b 128 96 3
Mixed_3b.b2a 16 192 1, Mixed_3b.b2b 32 16 3, Mixed_3b.b3b 32 192 1
Mixed_3c.b0 128 256 1, Mixed_3c.b1a 128 256 1, Mixed_3c.b1b 192 128 3
Mixed_3c.b2a 32 256 1, Mixed_3c.b2b 96 32 3, Mixed_3c.b3b 64 256 1
Mixed_4b.b0 192 480 1, Mixed_4b.b1a 96 480 1, Mixed_4b.b1b 208 96 3
Mixed_4b.b2a 16 480 1, Mixed_4b.b2b 48 16 3, Mixed_4b.b3b 64 480 1
Mixed_4c.b0 160 512 1, Mixed_4c.b1a 112 512 1, Mixed_4c.b1b 224 112 3
Mixed_4c.b2a 24 512 1, Mixed_4c.b2b 64 24 3, Mixed_4c.b3b 64 512 1
Mixed_4d.b0 128 512 1, Mixed_4d.b1a 128 512 1, Mixed_4d.b1b 256 128 3
Mixed_4d.b2a 24 512 1, Mixed_4d.b2b 64 24 3, Mixed_4d.b3b 64 512 1
Mixed_4e.b0 112 512 1, Mixed_4e.b1a 144 512 1, Mixed_4e.b1b 288 144 3
Mixed_4e.b2a 32 512 1, Mixed_4e.b2b 64 32 3, Mixed_4e.b3b 64 512 1
Mixed_4f.b0 256 528 1, Mixed_4f.b1a 160 528 1, Mixed_4f.b1b 320 160 3
Mixed_4f.b2a 32 528 1, Mixed_4f.b2b 128 32 3, Mixed_4f.b3b 128 528 1
Mixed_5b.b0 256 832 1, Mixed_5b.b1a 160 832 1, Mixed_5b.b1b 320 160 3
Mixed_5b.b2a 32 832 1, Mixed_5b.b2b 128 32 3, Mixed_5b.b3b 128 832 1
Mixed_5c.b0 384 832 1, Mixed_5c.b1a 192 832 1, Mixed_5c.b1b 384 192 3
Mixed_5c.b2a 48 832 1, Mixed_5c.b2b 128 48 3, Mixed_5c.b3b 128 832 1
"""
MODEL_RGB = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0", "b2b": "branch_2.1"}
MODEL_RGB |= {"b3b": "branch_3.1"}
S3D_LAYERS = ("3b", "3c", "", "4b", "4c", "4d", "4e", "4f", "", "5b", "5c")  # features.5 and on; "" is a pool
NORM = ("weight", "bias", "running_mean", "running_var")

Shapes = dict[str, tuple[int, ...]]


def units() -> dict[str, tuple[int, int, int]]:
    found = {}
    for unit in re.split(r"[,\n]", I3D_UNITS.strip()):
        name, *sizes = unit.split()
        out, into, k = map(int, sizes)
        found[name] = (out, into, k)
    return found


def unit(conv: str, norm: str, shape: tuple[int, ...]) -> Shapes:
    """A convolution and its batch normalisation."""
    return {f"{conv}.weight": shape} | {f"{norm}.{one}": shape[:1] for one in NORM}


def rgb_imagenet() -> Shapes:
    listed: Shapes = {}
    for name, (out, into, k) in units().items():
        listed |= unit(f"{name}.conv3d", f"{name}.bn", (out, into, k, k, k))
    return listed


def model_rgb() -> Shapes:
    listed: Shapes = {}
    for name, (out, into, k) in units().items():
        layer, _, branch = name.partition(".")
        theirs = ".".join(filter(None, (layer[0].lower() + layer[1:], MODEL_RGB.get(branch))))
        listed |= unit(f"{theirs}.conv3d", f"{theirs}.batch3d", (out, into, k, k, k))
    return listed


def separable(conv_s: str, norm_s: str, conv_t: str, norm_t: str, out: int, into: int, k: int) -> Shapes:
    return unit(conv_s, norm_s, (out, into, 1, k, k)) | unit(conv_t, norm_t, (out, out, k, 1, 1))


def s3d_torchvision() -> Shapes:
    def sep(at: str, out: int, into: int, k: int) -> Shapes:
        return separable(f"{at}.0.0", f"{at}.0.1", f"{at}.1.0", f"{at}.1.1", out, into, k)

    listed = sep("features.0", 64, 3, 7) | unit("features.2.0", "features.2.1", (64, 64, 1, 1, 1))
    listed |= sep("features.3", 192, 64, 3)
    for index, layer in enumerate(S3D_LAYERS, start=5):
        for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b") if layer else ():
            out, into, k = units()[f"Mixed_{layer}.{branch}"]
            at = f"features.{index}.branch{branch[1]}"
            if branch != "b0":
                at += ".0" if branch.endswith("a") else ".1"
            listed |= sep(at, out, into, 3) if k == 3 else unit(f"{at}.0", f"{at}.1", (out, into, 1, 1, 1))
    return listed


def s3d_kinetics() -> Shapes:
    def sep(at: str, out: int, into: int, k: int) -> Shapes:
        return separable(f"{at}.conv_s", f"{at}.bn_s", f"{at}.conv_t", f"{at}.bn_t", out, into, k)

    listed = sep("base.0", 64, 3, 7) | unit("base.2.conv", "base.2.bn", (64, 64, 1, 1, 1)) | sep("base.3", 192, 64, 3)
    for index, layer in enumerate(S3D_LAYERS, start=5):
        for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b") if layer else ():
            out, into, k = units()[f"Mixed_{layer}.{branch}"]
            at = f"base.{index}.branch{branch[1]}.{1 if branch.endswith('b') else 0}"
            listed |= sep(at, out, into, 3) if k == 3 else unit(f"{at}.conv", f"{at}.bn", (out, into, 1, 1, 1))
    return listed


def i3d_r50() -> Shapes:
    listed = unit("conv1", "bn1", (64, 3, 5, 7, 7))
    frames = {1: (3, 3, 3), 2: (3, 1, 3, 1), 3: (3, 1, 3, 1, 3, 1), 4: (1, 3, 1)}
    into = 64
    for stage, width in ((1, 64), (2, 128), (3, 256), (4, 512)):
        for block, seen in enumerate(frames[stage]):
            at = f"layer{stage}.{block}"
            listed |= unit(f"{at}.conv1", f"{at}.bn1", (width, into, seen, 1, 1))
            listed |= unit(f"{at}.conv2", f"{at}.bn2", (width, width, 1, 3, 3))
            listed |= unit(f"{at}.conv3", f"{at}.bn3", (4 * width, width, 1, 1, 1))
            if block == 0:
                listed |= unit(f"{at}.downsample.0", f"{at}.downsample.1", (4 * width, into, 1, 1, 1))
            into = 4 * width
    return listed


def plain(names: dict[str, tuple[int, ...]]) -> Shapes:
    """Convolutions and linear layers with a bias."""
    return {f"{name}.weight": shape for name, shape in names.items()} | {
        f"{name}.bias": shape[:1] for name, shape in names.items()
    }


RAFT_UPDATE = {
    "encoder.convc1": (256, 324, 1, 1), "encoder.convc2": (192, 256, 3, 3), "encoder.convf1": (128, 2, 7, 7),
    "encoder.convf2": (64, 128, 3, 3), "encoder.conv": (126, 256, 3, 3),
    **{f"gru.conv{gate}1": (128, 384, 1, 5) for gate in "zrq"},
    **{f"gru.conv{gate}2": (128, 384, 5, 1) for gate in "zrq"},
    "flow_head.conv1": (256, 128, 3, 3), "flow_head.conv2": (2, 256, 3, 3),
    "mask.0": (256, 128, 3, 3), "mask.2": (576, 256, 1, 1),
}  # fmt: skip
MOTION = "update_block.motion_encoder"
RAFT_UPDATE_TORCHVISION = {
    "encoder.convc1": f"{MOTION}.convcorr1.0", "encoder.convc2": f"{MOTION}.convcorr2.0",
    "encoder.convf1": f"{MOTION}.convflow1.0", "encoder.convf2": f"{MOTION}.convflow2.0",
    "encoder.conv": f"{MOTION}.conv.0",
    **{f"gru.conv{gate}{n}": f"update_block.recurrent_block.convgru{n}.conv{gate}" for gate in "zrq" for n in (1, 2)},
    "flow_head.conv1": "update_block.flow_head.conv1", "flow_head.conv2": "update_block.flow_head.conv2",
    "mask.0": "mask_predictor.convrelu.0", "mask.2": "mask_predictor.conv",
}  # fmt: skip


def raft_encoders(names: tuple[str, str], conv: str, norm: str, first: str, last: str) -> Shapes:
    """`conv` and `norm` are those of a block, `first` and `last` those of the encoder, as patterns of a number."""
    listed: Shapes = {}
    for net in names:
        shapes = {f"{net}.{first % 0}": (64, 3, 7, 7), f"{net}.{last}": (256, 128, 1, 1)}
        norms = {f"{net}.{first % 1}": 64}
        into = 64
        for layer, width in ((1, 64), (2, 96), (3, 128)):
            for block in (0, 1):
                at = f"{net}.layer{layer}.{block}"
                shapes |= {f"{at}.{conv % 1}": (width, into, 3, 3), f"{at}.{conv % 2}": (width, width, 3, 3)}
                norms |= {f"{at}.{norm % 1}": width, f"{at}.{norm % 2}": width}
                if into != width:
                    shapes[f"{at}.downsample.0"] = (width, into, 1, 1)
                    norms[f"{at}.downsample.1"] = width
                into = width
        listed |= plain(shapes)
        if net == names[1]:  # instance normalisation has no parameters
            listed |= {f"{name}.{one}": (width,) for name, width in norms.items() for one in NORM}
    return listed


def raft_things() -> Shapes:
    encoders = raft_encoders(("fnet", "cnet"), "conv%d", "norm%d", "%s", "conv2")
    renamed = {re.sub(r"net\.0\.", "net.conv1.", re.sub(r"net\.1\.", "net.norm1.", k)): v for k, v in encoders.items()}
    return renamed | plain({f"update_block.{name}": shape for name, shape in RAFT_UPDATE.items()})


def raft_torchvision() -> Shapes:
    names = ("feature_encoder", "context_encoder")
    encoders = raft_encoders(names, "convnormrelu%d.0", "convnormrelu%d.1", "convnormrelu.%d", "conv")
    return encoders | plain({RAFT_UPDATE_TORCHVISION[name]: shape for name, shape in RAFT_UPDATE.items()})


def vggish() -> Shapes:
    channels = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256), 13: (512, 512)}
    return plain({f"features.{index}": (*pair, 3, 3) for index, pair in channels.items()}) | plain(
        {"embeddings.0": (4096, 12288), "embeddings.2": (4096, 4096), "embeddings.4": (128, 4096)}
    )


LISTED = {
    ("i3d", 0): rgb_imagenet, ("i3d", 1): model_rgb, ("i3d-resnet", 0): i3d_r50, ("s3d", 0): s3d_torchvision,
    ("s3d", 1): s3d_kinetics, ("raft", 0): raft_things, ("raft", 1): raft_torchvision, ("vggish", 0): vggish,
}  # fmt: skip
# As published, without the classifier of 400 classes.
PARAMETERS = {
    "i3d": 12_697_264 - (1024 * 400 + 400),
    "i3d-resnet": 28_043_472 - (2048 * 400 + 400),
    "s3d": 8_320_048 - (1024 * 400 + 400),
    "raft": 5_257_536,
    "vggish": 72_141_184,
}


@pytest.mark.parametrize(("name", "scheme"), LISTED)
def test_names_and_shapes_are_those_of_the_public_file(name: str, scheme: int):
    with torch.device("meta"):
        network = NETWORKS[name][0]()
    names = NETWORKS[name][1][scheme]
    ours = {names.name(key): tuple(value.shape) for key, value in network.state_dict().items() if COUNTER not in key}
    assert ours == LISTED[name, scheme]()


@pytest.mark.parametrize("name", NETWORKS)
def test_as_many_parameters_as_published(name: str):
    with torch.device("meta"):
        network = NETWORKS[name][0]()
    assert sum(one.numel() for one in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("suffix", "scheme", "wrapped", "prefix", "classifier"),
    [
        (".pt", 0, None, "", "logits.conv3d."),
        (".pth", 1, "state_dict", "module.", "conv3d_0c_1x1.conv3d."),
        (".safetensors", 1, None, "model.module.", "conv3d_0c_1x1.conv3d."),
    ],
)
def test_a_file_in_any_wrapper_gives_the_same_network(tmp_path, suffix, scheme, wrapped, prefix, classifier):
    weights = published("i3d", scheme) | {f"{classifier}weight": torch.ones(400, 1024, 1, 1, 1)}
    weights = {prefix + name: value.clone() for name, value in weights.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({wrapped: weights, "epoch": 3} if wrapped else weights, path)
    build, schemes = NETWORKS["i3d"]
    network, found = load(build, path, schemes)
    assert found is schemes[scheme] and not network.training
    wanted = random_network("i3d").state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())


def test_files_of_older_torch_have_no_counters_and_may_be_of_half_precision(tmp_path):
    weights = {name: value.half() for name, value in published("s3d", 1).items() if COUNTER not in name}
    torch.save(weights, tmp_path / "old.pt")
    network, found = load(NETWORKS["s3d"][0], tmp_path / "old.pt", NETWORKS["s3d"][1])
    assert found.known_as == "S3D_kinetics400.pt"
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert network(torch.zeros(1, 3, 16, 32, 32)).isfinite().all()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 1)


TWO = (
    Scheme(known_as="two.pt", unused=r"head\."),
    Scheme(known_as="zwei.pt", names=(("first", "erste"), ("second", "zweite"))),
)


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    weights = dict(Two().state_dict()) | {name.replace("_", "."): value for name, value in changes.items()}
    return {name: value for name, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (changed(second_weight=None, second_bias=None), r"two.pt: 'second.weight' \[1, 3\] is missing"),
        (changed(first_bias=torch.ones(4)), r"'first.bias' is \[4\], expected \[3\]"),
        (changed(first_bias=torch.ones(3, dtype=torch.int64)), "'first.bias' is of type torch.int64"),
        (changed(third_bias=torch.ones(4)), "'third.bias' is unexpected"),
        (changed(second_bias=torch.tensor([torch.nan])), "'second.bias' holds numbers that are not finite"),
        ({"erste.weight": torch.ones(3, 2)}, r"zwei.pt: 'erste.bias' \[3\] is missing"),
        ({"conv.weight": torch.ones(3)}, r"two.pt: 'first.weight' \[3, 2\] is missing"),
        ({"x" * 500: torch.ones(3)} | changed(), "'xxx.*…x+' is unexpected"),
    ],
)
def test_the_first_key_that_differs_is_told(tmp_path, weights, told):
    torch.save(weights, tmp_path / "a.pt")
    with pytest.raises(WsvadError, match=told) as error:
        load(Two, tmp_path / "a.pt", TWO)
    assert str(error.value).startswith(f"{tmp_path / 'a.pt'}: ") and "\n" not in str(error.value)


def test_what_is_not_needed_may_be_there():
    network = Two()
    assert fill(network, changed(head_weight=torch.ones(9)), TWO) is TWO[0]


def test_a_negative_variance_is_damage():
    weights = published("i3d")
    weights["Mixed_3b.b0.bn.running_var"] = -weights["Mixed_3b.b0.bn.running_var"]
    with pytest.raises(WsvadError, match=r"'Mixed_3b.b0.bn.running_var' holds negative variances"):
        fill(NETWORKS["i3d"][0](), weights, NETWORKS["i3d"][1])


@pytest.mark.parametrize("name", ["i3d", "i3d-resnet", "s3d", "raft"])
def test_the_weights_of_another_network_are_refused(tmp_path, name: str):
    other = {"i3d": "s3d", "s3d": "i3d-resnet", "i3d-resnet": "raft", "raft": "i3d"}[name]
    path = write_weights(tmp_path / "other.safetensors", other)
    build, schemes = NETWORKS[name]
    with pytest.raises(WsvadError, match=r"not the weights of .* is missing"):
        load(build, path, schemes)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_weights(tmp_path / "i3d.safetensors", "i3d")
    path.write_bytes(path.read_bytes()[: 2**20])
    with pytest.raises(WsvadError, match="copy or download it again"):
        load(*[NETWORKS["i3d"][0], path, NETWORKS["i3d"][1]])


def test_authors_raft_holds_a_normalisation_twice():
    weights = published("raft")
    twice = {
        name.replace("downsample.1", "norm3"): value
        for name, value in weights.items()
        if name.startswith("cnet.") and "downsample.1" in name
    }
    assert len(twice) == 10
    assert fill(NETWORKS["raft"][0](), weights | twice, NETWORKS["raft"][1]).known_as == "raft-things.pth"
