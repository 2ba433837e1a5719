"""Dropout whose mask costs one random byte an element: drawing it is otherwise a tenth of a training step on a CPU."""

import torch
from torch import Tensor, nn


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
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        keep = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.threshold
        return x * keep.to(x.dtype).mul_(256 / (256 - self.threshold))
