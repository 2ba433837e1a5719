"""Dropout whose mask costs one random byte an element: drawing it is otherwise a tenth of a training step on a CPU.

Where ranks share a batch (`wsvad.layers.share`), each draws the mask of the whole batch and takes its rows, so that the
draws are those of one rank, and stay the same on all."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers.share import shared, whole_of


class Dropout(nn.Module):
    """Zeroes elements with probability `p`, rounded to a multiple of 1/256, and scales the others to keep the mean.

    Draws from torch's global generator.
    """

    def __init__(self, p: float):
        super().__init__()
        self.threshold = round(256 * p)
        if not 0 <= self.threshold < 256:
            raise ValueError(f"dropout probability {p} is outside [0, 1)")

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or self.threshold == 0:
            return x
        shape, own = whole_of(x.shape)
        count = math.prod(shape)
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        keep = words.view(torch.uint8)[:count].view(shape)[own] >= self.threshold
        return x * keep.to(x.dtype).mul_(256 / (256 - self.threshold))


class ExactDropout(nn.Dropout):
    """torch's, which draws a number an element."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return dropped(x, self.p) if shared() and self.training else super().forward(x)


def dropped(x: Tensor, p: float) -> Tensor:
    """torch's dropout of `(b, …)`, drawn for the whole batch."""
    shape, own = whole_of(x.shape)
    return x * F.dropout(x.new_ones(shape), p)[own]
