"""Inception-I3D, the RGB stream (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017).

Inception-v1 with all filters and pools inflated to time. Layers have the paper's names. Two public conversions of the
TensorFlow weights are read: `rgb_imagenet.pt`, which has these names too, and `model_rgb.pth`.

Shapes: B clips, C channels, T frames, H × W pixels; kernels and strides are (time, height, width).

    x_B3THW, 16 frames of 224     Conv3d_1a 64 × 8·112·112    pool 2a 56·56    Conv3d_2c 192    pool 3a 28·28
    Mixed_3c 480 × 8·28·28        pool 4a 4·14·14             Mixed_4f 832     pool 5a 2·7·7
    Mixed_5c 1024 × 2·7·7         mean over time and space: the feature_B1024
"""

from collections.abc import Sequence
from math import ceil, inf

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.encoders.networks.published import Scheme

Size3 = tuple[int, int, int]

WIDTH = 1024
"""Numbers that a clip becomes."""
MIXED = {
    "3b": (192, 64, (96, 128), (16, 32), 32),
    "3c": (256, 128, (128, 192), (32, 96), 64),
    "4b": (480, 192, (96, 208), (16, 48), 64),
    "4c": (512, 160, (112, 224), (24, 64), 64),
    "4d": (512, 128, (128, 256), (24, 64), 64),
    "4e": (512, 112, (144, 288), (32, 64), 64),
    "4f": (528, 256, (160, 320), (32, 128), 128),
    "5b": (832, 256, (160, 320), (32, 128), 128),
    "5c": (832, 384, (192, 384), (48, 128), 128),
}
"""Channels of the Inception modules: in, then those of the four branches: 1×1, 1×1 → 3×3 twice, pool → 1×1."""

SCHEMES = (
    Scheme(known_as="rgb_imagenet.pt", unused=r"logits\."),
    Scheme(
        known_as="model_rgb.pth",
        names=(
            ("^Conv3d", "conv3d"),
            ("^Mixed", "mixed"),
            (r"\.b0\.", ".branch_0."),
            (r"\.b(\d)a\.", r".branch_\1.0."),
            (r"\.b(\d)b\.", r".branch_\1.1."),
            (r"\.bn\.", ".batch3d."),
        ),
        unused=r"conv3d_0c_1x1\.",
    ),
)


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" on one axis: what is added before and after, so that ⌈size / stride⌉ windows fit. The odd
    one goes to the end, and there is less of it where the size is no multiple of the stride."""
    total = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x_BCTHW: Tensor, kernel: Size3, stride: Size3, value: float) -> tuple[Tensor, Size3]:
    """The input as far as it has to be padded by hand, and what is left for the layer to add on both sides."""
    sizes = map(int, x_BCTHW.shape[2:])  # numbers, when an exporter traces it, too
    pads = [same(*axis) for axis in zip(sizes, kernel, stride, strict=True)]
    if all(before == after for before, after in pads):
        return x_BCTHW, (pads[0][0], pads[1][0], pads[2][0])
    (t, h, w) = pads
    return F.pad(x_BCTHW, (*w, *h, *t), value=value), (0, 0, 0)


class Unit3D(nn.Module):
    """Convolution, batch normalisation with TensorFlow's ε, ReLU."""

    def __init__(self, channels: int, out: int, kernel: Size3 = (1, 1, 1), stride: Size3 = (1, 1, 1)):
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3)
        self.kernel, self.stride = kernel, stride

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        padded, padding = pad_same(x_BCTHW, self.kernel, self.stride, 0.0)
        return torch.relu(self.bn(F.conv3d(padded, self.conv3d.weight, None, self.stride, padding)))


class MaxPool3D(nn.Module):
    """Maximum over windows; what is added at the borders is never the maximum."""

    def __init__(self, kernel: Size3, stride: Size3):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        padded, padding = pad_same(x_BCTHW, self.kernel, self.stride, -inf)
        return F.max_pool3d(padded, self.kernel, self.stride, padding)


class Mixed(nn.Module):
    """Inception module: four branches, joined over channels."""

    def __init__(self, channels: int, one: int, three: Sequence[int], small: Sequence[int], pooled: int):
        super().__init__()
        self.b0 = Unit3D(channels, one)
        self.b1a, self.b1b = Unit3D(channels, three[0]), Unit3D(three[0], three[1], (3, 3, 3))
        self.b2a, self.b2b = Unit3D(channels, small[0]), Unit3D(small[0], small[1], (3, 3, 3))
        self.b3a, self.b3b = MaxPool3D((3, 3, 3), (1, 1, 1)), Unit3D(channels, pooled)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        one, three = self.b0(x_BCTHW), self.b1b(self.b1a(x_BCTHW))
        small, pooled = self.b2b(self.b2a(x_BCTHW)), self.b3b(self.b3a(x_BCTHW))
        return torch.cat([one, three, small, pooled], dim=1)


class I3D(nn.Module):
    """Up to the average pool; the classifier is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = MaxPool3D((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = MaxPool3D((1, 3, 3), (1, 2, 2))
        self.Mixed_3b, self.Mixed_3c = Mixed(*MIXED["3b"]), Mixed(*MIXED["3c"])
        self.MaxPool3d_4a_3x3 = MaxPool3D((3, 3, 3), (2, 2, 2))
        self.Mixed_4b, self.Mixed_4c = Mixed(*MIXED["4b"]), Mixed(*MIXED["4c"])
        self.Mixed_4d, self.Mixed_4e = Mixed(*MIXED["4d"]), Mixed(*MIXED["4e"])
        self.Mixed_4f = Mixed(*MIXED["4f"])
        self.MaxPool3d_5a_2x2 = MaxPool3D((2, 2, 2), (2, 2, 2))
        self.Mixed_5b, self.Mixed_5c = Mixed(*MIXED["5b"]), Mixed(*MIXED["5c"])

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """Values in [-1, 1] → `(B, 1024)`. The paper's window of 2·7·7 is the whole map for 16 frames of 224, and so is
        the mean for any other size."""
        x = x_B3THW
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3, 4))
