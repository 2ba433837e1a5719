"""RAFT (Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020), the large model.

Features of two pictures are compared at all pairs of positions; a recurrent unit looks up around where each position is
thought to have moved, and corrects that several times. Two public kinds of files are read: the authors'
(`raft-things.pth`), which have these names too, and torchvision's (`raft_large_…pth`).

Shapes: B pairs, 3 channels, H × W pixels, `x_B23HW`; maps have h × w = H/8 × W/8 positions; R = 4 is the radius, L = 4
the levels of the pyramid.

    fnet: g_B256hw of both pictures    correlation: C_l, (B·h·w, 1, h/2^l, w/2^l), l < L
    cnet: state_B128hw (tanh) and context_B128hw (ReLU) of the first picture
    update, n times: lookup_B324hw (L · (2R + 1)²), flow_B2hw → state, flow
    mask_B576hw: upsampled flow_B2HW, each pixel a convex combination of 3 × 3 positions
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.encoders.networks.published import Scheme

RADIUS, LEVELS = 4, 4
HIDDEN = 128
"""Channels of the recurrent state, and as many of the context."""
LOOKUP = LEVELS * (2 * RADIUS + 1) ** 2
SMALLEST = 128
"""Pixels of a side: the coarsest level of the pyramid has two positions then. Sides are multiples of 8."""
ITERATIONS = 12

SCHEMES = (
    Scheme(known_as="raft-things.pth", unused=r"cnet\..*\.norm3\."),  # the same as downsample.1, a second time
    Scheme(
        known_as="torchvision's raft_large",
        names=(
            (r"^(.)net\.(layer.*)\.conv(\d)\.", r"\1net.\2.convnormrelu\3.0."),
            (r"^(.)net\.(layer.*)\.norm(\d)\.", r"\1net.\2.convnormrelu\3.1."),
            (r"^(.)net\.conv1\.", r"\1net.convnormrelu.0."),
            (r"^(.)net\.norm1\.", r"\1net.convnormrelu.1."),
            (r"^(.)net\.conv2\.", r"\1net.conv."),
            ("^fnet", "feature_encoder"),
            ("^cnet", "context_encoder"),
            (r"\.encoder\.conv\.", ".motion_encoder.conv.0."),
            (r"\.encoder\.convc(\d)\.", r".motion_encoder.convcorr\1.0."),
            (r"\.encoder\.convf(\d)\.", r".motion_encoder.convflow\1.0."),
            (r"\.gru\.conv(.)(\d)\.", r".recurrent_block.convgru\2.conv\1."),
            (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
            (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
        ),
    ),
)


class Residual(nn.Module):
    def __init__(self, channels: int, out: int, norm: type[nn.Module], stride: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, stride, 1), norm(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, 1, 1), norm(out)
        self.downsample = None if stride == 1 else nn.Sequential(nn.Conv2d(channels, out, 1, stride), norm(out))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x_BCHW)))
        y = torch.relu(self.norm2(self.conv2(y)))
        return torch.relu(y + (x_BCHW if self.downsample is None else self.downsample(x_BCHW)))


class Encoder(nn.Module):
    """A picture in [-1, 1] → 256 channels at an eighth of its size."""

    def __init__(self, norm: type[nn.Module]):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 64, 7, 2, 3), norm(64)
        self.layer1 = nn.Sequential(Residual(64, 64, norm, 1), Residual(64, 64, norm, 1))
        self.layer2 = nn.Sequential(Residual(64, 96, norm, 2), Residual(96, 96, norm, 1))
        self.layer3 = nn.Sequential(Residual(96, 128, norm, 2), Residual(128, 128, norm, 1))
        self.conv2 = nn.Conv2d(128, 256, 1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(x_B3HW)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class MotionEncoder(nn.Module):
    """What was looked up, and the flow so far → 128 channels, the last two of them the flow itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1, self.convc2 = nn.Conv2d(LOOKUP, 256, 1), nn.Conv2d(256, 192, 3, padding=1)
        self.convf1, self.convf2 = nn.Conv2d(2, 128, 7, padding=3), nn.Conv2d(128, 64, 3, padding=1)
        self.conv = nn.Conv2d(192 + 64, 128 - 2, 3, padding=1)

    def forward(self, lookup_BLhw: Tensor, flow_B2hw: Tensor) -> Tensor:
        c = torch.relu(self.convc2(torch.relu(self.convc1(lookup_BLhw))))
        f = torch.relu(self.convf2(torch.relu(self.convf1(flow_B2hw))))
        return torch.cat([torch.relu(self.conv(torch.cat([c, f], 1))), flow_B2hw], 1)


class SepConvGRU(nn.Module):
    """A gated recurrent unit along rows, then one along columns."""

    def __init__(self) -> None:
        super().__init__()
        for step, kernel, padding in ((1, (1, 5), (0, 2)), (2, (5, 1), (2, 0))):
            for gate in "zrq":
                self.add_module(f"conv{gate}{step}", nn.Conv2d(3 * HIDDEN, HIDDEN, kernel, padding=padding))

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        for step in (1, 2):
            convz, convr, convq = (getattr(self, f"conv{gate}{step}") for gate in "zrq")
            hx = torch.cat([h, x], 1)
            z, r = torch.sigmoid(convz(hx)), torch.sigmoid(convr(hx))
            q = torch.tanh(convq(torch.cat([r * h, x], 1)))
            h = (1 - z) * h + z * q
        return h


class FlowHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(HIDDEN, 256, 3, padding=1), nn.Conv2d(256, 2, 3, padding=1)

    def forward(self, state_B128hw: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(state_B128hw)))


class UpdateBlock(nn.Module):
    """One correction of the flow."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.gru, self.flow_head = MotionEncoder(), SepConvGRU(), FlowHead()
        self.mask = nn.Sequential(nn.Conv2d(HIDDEN, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 64 * 9, 1))

    def forward(self, state: Tensor, context: Tensor, lookup: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        state = self.gru(state, torch.cat([context, self.encoder(lookup, flow)], 1))
        return state, flow + self.flow_head(state)


class Motion(NamedTuple):
    """What RAFT says of a pair of pictures."""

    flow_B2HW: Tensor
    """x and y, in pixels, from the first picture to the second."""
    state_B256hw: Tensor
    """The last recurrent state, and the context features of the first picture."""


class RAFT(nn.Module):
    def __init__(self, iterations: int = ITERATIONS) -> None:
        super().__init__()
        self.fnet, self.cnet = Encoder(nn.InstanceNorm2d), Encoder(nn.BatchNorm2d)
        self.update_block = UpdateBlock()
        self.iterations = iterations

    def forward(self, pairs_B23HW: Tensor) -> Motion:
        """Pairs of pictures in [-1, 1]."""
        first_B3HW, second_B3HW = pairs_B23HW.unbind(1)
        g = self.fnet(torch.cat([first_B3HW, second_B3HW]))
        pyramid = correlation_pyramid(*g.chunk(2))
        state, context = self.cnet(first_B3HW).split(HIDDEN, 1)
        state, context = torch.tanh(state), torch.relu(context)
        B, _, h, w = state.shape
        rows = torch.arange(h, device=state.device, dtype=state.dtype)
        columns = torch.arange(w, device=state.device, dtype=state.dtype)
        here_12hw = torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)])[None]
        flow = torch.zeros(B, 2, h, w, device=state.device, dtype=state.dtype)
        for _ in range(self.iterations):
            state, flow = self.update_block(state, context, look_up(pyramid, here_12hw + flow), flow)
        return Motion(upsample(flow, 0.25 * self.update_block.mask(state)), torch.cat([state, context], 1))


def correlation_pyramid(g1_BDhw: Tensor, g2_BDhw: Tensor) -> list[Tensor]:
    """Of each position of the first picture the inner products with all of the second, and their means over 2 × 2,
    4 × 4 and 8 × 8 positions: `(B·h·w, 1, h/2^l, w/2^l)` each."""
    B, D, h, w = g1_BDhw.shape
    products = g1_BDhw.flatten(2).transpose(1, 2) @ g2_BDhw.flatten(2) / D**0.5
    levels = [products.reshape(B * h * w, 1, h, w)]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def look_up(pyramid: list[Tensor], at_B2hw: Tensor) -> Tensor:
    """Correlations around where each position is thought to be: for each level, for each x of -R … R, for each y of
    -R … R; 0 outside of the picture. `(B, L·(2R+1)², h, w)`."""
    B, _, h, w = at_B2hw.shape
    steps = torch.arange(-RADIUS, RADIUS + 1, device=at_B2hw.device, dtype=at_B2hw.dtype)
    around = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    centres = at_B2hw.permute(0, 2, 3, 1).reshape(B * h * w, 1, 1, 2)
    found = []
    for level, values in enumerate(pyramid):
        last = torch.tensor([values.shape[3] - 1, values.shape[2] - 1], device=at_B2hw.device, dtype=at_B2hw.dtype)
        grid = 2 * (centres / 2**level + around) / last - 1
        found.append(F.grid_sample(values, grid, align_corners=True).reshape(B, h, w, -1))
    return torch.cat(found, -1).permute(0, 3, 1, 2)


def upsample(flow_B2hw: Tensor, mask_B576hw: Tensor) -> Tensor:
    """Flow of positions → flow of pixels, eight times as many each way: a combination of the 3 × 3 positions around,
    whose weights are not negative and add up to 1."""
    B, _, h, w = flow_B2hw.shape
    weights = mask_B576hw.reshape(B, 1, 9, 8, 8, h, w).softmax(2)
    around = F.unfold(8 * flow_B2hw, 3, padding=1).reshape(B, 2, 9, 1, 1, h, w)
    return (weights * around).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(B, 2, 8 * h, 8 * w)
