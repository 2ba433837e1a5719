"""I3D, its ResNet and S3D against loops over every window, and against values that are known."""

from itertools import product
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from published_weights import NETWORKS, random_network
from torch import nn

from wsvad.encoders.networks.i3d import MaxPool3D, Mixed, Unit3D, same
from wsvad.encoders.networks.i3d_resnet import Bottleneck
from wsvad.encoders.networks.s3d import Separable

Size = tuple[int, int, int]
TF_EPS, TORCH_EPS = 1e-3, 1e-5


def windows(shape: Size, kernel: Size, stride: Size):
    """TensorFlow's rule, from its documentation: ⌈n / s⌉ windows on each axis; of what is lacking the smaller half
    comes before the first. Yields the place of each window in the output, and its slices of the input."""
    starts = []
    for n, k, s in zip(shape, kernel, stride, strict=True):
        count = ceil(n / s)
        lacking = max((count - 1) * s + k - n, 0)
        starts.append([i * s - lacking // 2 for i in range(count)])
    for place in product(*(range(len(one)) for one in starts)):
        yield place, [starts[axis][i] for axis, i in enumerate(place)]


def brute(x: np.ndarray, kernel: Size, stride: Size, window) -> np.ndarray:
    """`window(dict of offset in the kernel → x's channels there)` at every place; x is `(C, T, H, W)`."""
    shape = x.shape[1:]
    out = {}
    for place, start in windows(shape, kernel, stride):
        seen = {}
        for offset in product(*map(range, kernel)):
            at = tuple(a + b for a, b in zip(start, offset, strict=True))
            if all(0 <= a < n for a, n in zip(at, shape, strict=True)):
                seen[offset] = x[(slice(None), *at)]
        out[place] = window(seen)
    size = [ceil(n / s) for n, s in zip(shape, stride, strict=True)]
    first = next(iter(out.values()))
    array = np.zeros((len(first), *size))
    for place, value in out.items():
        array[(slice(None), *place)] = value
    return array


def unit(x: np.ndarray, layer: Unit3D) -> np.ndarray:
    """Convolution, batch normalisation and ReLU of `(C, T, H, W)`."""
    weight = layer.conv3d.weight.detach().double().numpy()
    y = brute(
        x,
        layer.kernel,
        layer.stride,
        lambda seen: sum(weight[(..., *offset)] @ value for offset, value in seen.items()),
    )
    return np.maximum(normalised(y, layer.bn, TF_EPS), 0)


def normalised(y: np.ndarray, bn: nn.Module, eps: float) -> np.ndarray:
    mean, var, scale, shift = (
        one.detach().double().numpy()[:, None, None, None]
        for one in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
    )
    return (y - mean) / np.sqrt(var + eps) * scale + shift


def pool(x: np.ndarray, kernel: Size, stride: Size) -> np.ndarray:
    return brute(x, kernel, stride, lambda seen: np.max(list(seen.values()), axis=0))


def shaken(module: nn.Module) -> nn.Module:
    """With batch normalisation that does something; a variance about as small as ε tells one ε from another."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.0005, 0.01)
            nn.init.uniform_(part.weight, -1, 1)
            nn.init.uniform_(part.bias, -1, 1)
    return module.eval()


def run(module: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.from_numpy(x).float()[None])[0].double().numpy()


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 5))
def test_same_is_as_little_as_gives_every_window(size: int, kernel: int, stride: int):
    before, after = same(size, kernel, stride)
    count = ceil(size / stride)
    assert 0 <= after - before <= 1
    assert (size + before + after - kernel) // stride + 1 >= count
    if before + after:
        assert size + before + after == (count - 1) * stride + kernel


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (224, 7, 2, (2, 3)),
        (16, 7, 2, (2, 3)),
        (112, 3, 2, (0, 1)),
        (55, 3, 2, (1, 1)),
        (28, 3, 1, (1, 1)),
        (7, 2, 2, (0, 1)),
    ],
)
def test_same_in_numbers(size, kernel, stride, pads):
    assert same(size, kernel, stride) == pads


@pytest.mark.parametrize("shape", [(4, 6, 5), (5, 8, 7), (3, 3, 3), (1, 2, 9)])
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((7, 7, 7), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (2, 2, 2))],
)
def test_a_unit_and_a_pool_are_tensorflows(shape, kernel, stride):
    x = np.random.default_rng(0).normal(size=(3, *shape))
    layer = shaken(Unit3D(3, 4, kernel, stride))
    np.testing.assert_allclose(run(layer, x), unit(x, layer), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(run(MaxPool3D(kernel, stride), x), pool(x, kernel, stride), rtol=1e-6)


def test_a_whole_inception_module():
    x = np.random.default_rng(0).normal(size=(5, 3, 4, 5))
    module = shaken(Mixed(5, 3, (4, 6), (2, 3), 2))
    wanted = [
        unit(x, module.b0),
        unit(unit(x, module.b1a), module.b1b),
        unit(unit(x, module.b2a), module.b2b),
        unit(pool(x, (3, 3, 3), (1, 1, 1)), module.b3b),
    ]
    np.testing.assert_allclose(run(module, x), np.concatenate(wanted), rtol=1e-3, atol=1e-3)


def test_ones_count_what_a_window_sees():
    layer = Unit3D(3, 1, (7, 7, 7), (2, 2, 2)).eval()
    nn.init.ones_(layer.conv3d.weight)
    seen = run(layer, np.ones((3, 16, 16, 16)))[0] * np.sqrt(1 + TF_EPS)
    # Of 7 the first window has 2 before the picture, the last one 3 behind it.
    assert seen.shape == (8, 8, 8)
    np.testing.assert_allclose(seen[0, 0, 0], 3 * 5**3, rtol=1e-5)
    np.testing.assert_allclose(seen[3, 3, 3], 3 * 7**3, rtol=1e-5)
    np.testing.assert_allclose(seen[-1, -1, -1], 3 * 4**3, rtol=1e-5)
    np.testing.assert_allclose(seen[0, 3, -1], 3 * 5 * 7 * 4, rtol=1e-5)


def correlate(x: np.ndarray, conv: nn.Conv3d) -> np.ndarray:
    """A convolution with the same zeros on both sides, by a loop over its windows."""
    pads = [(0, 0), *((p, p) for p in conv.padding)]
    padded, weight = np.pad(x, pads), conv.weight.detach().double().numpy()
    views = np.lib.stride_tricks.sliding_window_view(padded, conv.kernel_size, axis=(1, 2, 3))
    t, h, w = conv.stride
    return np.einsum("cxyztuv,octuv->oxyz", views[:, ::t, ::h, ::w], weight)


def test_a_separable_convolution_is_space_then_time():
    x = np.random.default_rng(0).normal(size=(3, 5, 6, 7))
    layer = shaken(Separable(3, 4, 7, 2))
    y = np.maximum(normalised(correlate(x, layer.conv_s), layer.bn_s, TF_EPS), 0)
    assert y.shape == (4, 5, 3, 4)
    y = np.maximum(normalised(correlate(y, layer.conv_t), layer.bn_t, TF_EPS), 0)
    np.testing.assert_allclose(run(layer, x), y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("channels", "stride", "frames"), [(8, 1, 3), (8, 2, 1), (4, 1, 3)])
def test_a_bottleneck_adds_to_what_comes_in(channels, stride, frames):
    x = np.random.default_rng(0).normal(size=(channels, 4, 6, 5))
    block = shaken(Bottleneck(channels, 2, frames, stride))
    y = np.maximum(normalised(correlate(x, block.conv1), block.bn1, TORCH_EPS), 0)
    y = np.maximum(normalised(correlate(y, block.conv2), block.bn2, TORCH_EPS), 0)
    y = normalised(correlate(y, block.conv3), block.bn3, TORCH_EPS)
    if channels == 8 and stride == 1:
        shortcut = x
        assert block.downsample is None
    else:
        shortcut = normalised(correlate(x, block.downsample[0]), block.downsample[1], TORCH_EPS)
    np.testing.assert_allclose(run(block, x), np.maximum(y + shortcut, 0), rtol=1e-3, atol=1e-3)


# What the papers' figures print, for 16 frames of 224; a map of 64 pixels has as many positions for each 32.
MAPS = {
    "i3d": {
        "Conv3d_1a_7x7": (64, 8, 112), "MaxPool3d_2a_3x3": (64, 8, 56), "Conv3d_2c_3x3": (192, 8, 56),
        "MaxPool3d_3a_3x3": (192, 8, 28), "Mixed_3b": (256, 8, 28), "Mixed_3c": (480, 8, 28),
        "MaxPool3d_4a_3x3": (480, 4, 14), "Mixed_4b": (512, 4, 14), "Mixed_4e": (528, 4, 14), "Mixed_4f": (832, 4, 14),
        "MaxPool3d_5a_2x2": (832, 2, 7), "Mixed_5c": (1024, 2, 7),
    },
    "s3d": {
        "features.0": (64, 8, 112), "features.1": (64, 8, 56), "features.3": (192, 8, 56), "features.4": (192, 8, 28),
        "features.6": (480, 8, 28), "features.7": (480, 4, 14), "features.12": (832, 4, 14), "features.13": (832, 2, 7),
        "features.15": (1024, 2, 7),
    },
    "i3d-resnet": {
        "conv1": (64, 8, 112), "maxpool1": (64, 4, 55), "layer1": (256, 4, 55), "maxpool2": (256, 2, 55),
        "layer2": (512, 2, 28), "layer3": (1024, 2, 14), "layer4": (2048, 2, 7),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_as_large_as_in_the_papers(name: str):
    with torch.device("meta"):
        network, clip = NETWORKS[name][0]().eval(), torch.zeros(2, 3, 16, 224, 224)
    seen = {}
    for part, module in network.named_modules():
        module.register_forward_hook(lambda _, __, output, part=part: seen.update({part: tuple(output.shape)}))
    network(clip)
    wanted = {part: (2, channels, frames, side, side) for part, (channels, frames, side) in MAPS[name].items()}
    assert {part: seen[part] for part in wanted} == wanted
    assert seen[""] == (2, MAPS[name][list(MAPS[name])[-1]][0])


@pytest.mark.parametrize(("name", "last"), [("i3d", "Mixed_5c"), ("s3d", "features"), ("i3d-resnet", "layer4")])
def test_the_feature_is_the_average_pool_of_the_last_map(name: str, last: str):
    """A window of 2·7·7 at 16 frames of 224, of which there is one."""
    network, kept = random_network(name), []
    hook = network.get_submodule(last).register_forward_hook(lambda _, __, output: kept.append(output))
    x = torch.rand(2, 3, 16, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        feature = network(x)
        alone = network(x[1:])
    hook.remove()
    pooled = nn.functional.avg_pool3d(kept[0], kept[0].shape[2:])[:, :, 0, 0, 0]
    torch.testing.assert_close(feature, pooled)
    torch.testing.assert_close(feature[1:], alone)
    assert feature.std() > 1e-4 and not torch.allclose(feature[0], feature[1], rtol=1e-3)
