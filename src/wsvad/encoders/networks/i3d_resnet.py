"""I3D on ResNet-50 (Wang et al., "Non-local Neural Networks", CVPR 2018; the baseline without non-local blocks).

ResNet-50, of which every second block sees three frames. The public weights are `i3d_baseline_32x2_IN_pretrain_400k` of
Kinetics-400; their PyTorch conversion, `i3d_r50_kinetics.pth`, names layers as torchvision's ResNet does.

Shapes: B clips, C channels, T frames, H × W pixels; kernels and strides are (time, height, width).

    x_B3THW, 16 frames of 224    conv1 64 × 8·112·112    maxpool1 4·55·55    layer1 256 × 4·55·55    maxpool2 2·55·55
    layer2 512 × 2·28·28         layer3 1024 × 2·14·14   layer4 2048 × 2·7·7
    mean over time and space: the feature_B2048
"""

import torch
from torch import Tensor, nn

from wsvad.encoders.networks.published import Scheme

WIDTH = 2048
"""Numbers that a clip becomes."""
STAGES = (
    (64, 1, (3, 3, 3)),
    (128, 2, (3, 1, 3, 1)),
    (256, 2, (3, 1, 3, 1, 3, 1)),
    (512, 2, (1, 3, 1)),
)
"""Of each stage: channels inside its blocks (four times as many outside), its stride in space, and the frames that
the first convolution of each block sees."""

SCHEMES = (Scheme(known_as="i3d_r50_kinetics.pth", unused=r"fc\."),)


class Bottleneck(nn.Module):
    """1×1 over time, 3×3 over space, 1×1; added to the input."""

    def __init__(self, channels: int, inside: int, frames: int, stride: int):
        super().__init__()
        out = 4 * inside
        self.conv1 = nn.Conv3d(channels, inside, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False)
        self.bn1 = nn.BatchNorm3d(inside)
        self.conv2 = nn.Conv3d(inside, inside, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False)
        self.bn2 = nn.BatchNorm3d(inside)
        self.conv3 = nn.Conv3d(inside, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.downsample = None
        if channels != out or stride != 1:
            shortcut = nn.Conv3d(channels, out, 1, (1, stride, stride), bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(out))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x_BCTHW)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)))


class I3DResNet50(nn.Module):
    """Up to the average pool; the classifier is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (5, 7, 7), (2, 2, 2), padding=(2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.maxpool1 = nn.MaxPool3d((2, 3, 3), (2, 2, 2))
        self.maxpool2 = nn.MaxPool3d((2, 1, 1), (2, 1, 1))
        channels, stages = 64, []
        for inside, stride, frames in STAGES:
            blocks = [Bottleneck(channels, inside, frames[0], stride)]
            blocks += [Bottleneck(4 * inside, inside, seen, 1) for seen in frames[1:]]
            stages.append(nn.Sequential(*blocks))
            channels = 4 * inside
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """`(pixel - 114.75) / 57.375` → `(B, 2048)`."""
        x = self.maxpool1(torch.relu(self.bn1(self.conv1(x_B3THW))))
        x = self.layer2(self.maxpool2(self.layer1(x)))
        return self.layer4(self.layer3(x)).mean((2, 3, 4))
