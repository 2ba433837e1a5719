"""S3D (Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018).

I3D, in which each 3-D convolution is one over space and then one over time, with batch normalisation and ReLU after
both. Two public files of Kinetics-400 weights are read: torchvision's, `s3d-d76dad2f.pth`, and `S3D_kinetics400.pt`.

Shapes: B clips, C channels, T frames, H × W pixels. As in those files, padding is the same on both sides.

    x_B3THW, 16 frames of 224    features.0 64 × 8·112·112   .1 pool 56·56       .3 192    .4 pool 28·28
    .6 480 × 8·28·28             .7 pool 4·14·14             .12 832             .13 pool 2·7·7
    .15 1024 × 2·7·7             mean over time and space: the feature_B1024
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsvad.encoders.networks.i3d import MIXED
from wsvad.encoders.networks.published import Scheme

WIDTH = 1024
"""Numbers that a clip becomes."""

TORCHVISION = Scheme(
    known_as="torchvision's s3d-d76dad2f.pth",
    names=(
        (r"\.conv_s\.", ".0.0."),
        (r"\.bn_s\.", ".0.1."),
        (r"\.conv_t\.", ".1.0."),
        (r"\.bn_t\.", ".1.1."),
        (r"\.conv\.", ".0."),
        (r"\.bn\.", ".1."),
    ),
    unused=r"classifier\.",
)
KINETICS = Scheme(
    known_as="S3D_kinetics400.pt",
    names=(("^features", "base"), (r"\.branch0\.", ".branch0.0.")),
    unused=r"fc\.",
)
SCHEMES = (TORCHVISION, KINETICS)


class Unit(nn.Module):
    """1×1×1 convolution, batch normalisation with TensorFlow's ε, ReLU."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, out, 1, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x_BCTHW)))


class Separable(nn.Module):
    """k×k over space, then k over time."""

    def __init__(self, channels: int, out: int, k: int, stride: int = 1):
        super().__init__()
        half = k // 2
        self.conv_s = nn.Conv3d(channels, out, (1, k, k), (1, stride, stride), (0, half, half), bias=False)
        self.bn_s = nn.BatchNorm3d(out, eps=1e-3)
        self.conv_t = nn.Conv3d(out, out, (k, 1, 1), (stride, 1, 1), (half, 0, 0), bias=False)
        self.bn_t = nn.BatchNorm3d(out, eps=1e-3)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        x = torch.relu(self.bn_s(self.conv_s(x_BCTHW)))
        return torch.relu(self.bn_t(self.conv_t(x)))


class SepInception(nn.Module):
    """Inception module: four branches, joined over channels."""

    def __init__(self, channels: int, one: int, three: Sequence[int], small: Sequence[int], pooled: int):
        super().__init__()
        self.branch0 = Unit(channels, one)
        self.branch1 = nn.Sequential(Unit(channels, three[0]), Separable(three[0], three[1], 3))
        self.branch2 = nn.Sequential(Unit(channels, small[0]), Separable(small[0], small[1], 3))
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, 1, 1), Unit(channels, pooled))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        return torch.cat([branch(x_BCTHW) for branch in self.children()], dim=1)


class S3D(nn.Module):
    """Up to the average pool; the classifier is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Separable(3, 64, 7, 2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            Unit(64, 64),
            Separable(64, 192, 3),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *(SepInception(*MIXED[name]) for name in ("3b", "3c")),
            nn.MaxPool3d(3, 2, 1),
            *(SepInception(*MIXED[name]) for name in ("4b", "4c", "4d", "4e", "4f")),
            nn.MaxPool3d(2, 2),
            *(SepInception(*MIXED[name]) for name in ("5b", "5c")),
        )

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """→ `(B, 1024)`. Each side of a clip is at least 32 pixels, and it is at least 13 frames long."""
        return self.features(x_B3THW).mean((2, 3, 4))
