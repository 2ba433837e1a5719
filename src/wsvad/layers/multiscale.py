"""The Multi-scale Temporal Network of RTFM.

Shapes: N sequences, T snippets, P features in, H features out.
"""

import torch
from torch import Tensor, nn

from wsvad.layers.dropout import Dropout
from wsvad.layers.norm import BatchNorm1d


class MultiScale(nn.Module):
    """RTFM's MTN (8.2): dilated convolutions and a non-local block, a quarter of the width each, then one of all."""

    def __init__(self, width: int, out: int):
        super().__init__()
        quarter = out // 4
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, quarter, 3, padding=d, dilation=d), nn.ReLU(), BatchNorm1d(quarter))
            for d in (1, 2, 4)
        )
        self.narrow = nn.Conv1d(width, quarter, 1, bias=False)
        self.theta, self.phi, self.value = (nn.Conv1d(quarter, quarter // 2, 1) for _ in range(3))
        norm = BatchNorm1d(quarter)
        nn.init.zeros_(norm.weight)
        self.wide = nn.Sequential(nn.Conv1d(quarter // 2, quarter, 1), norm)
        self.join = nn.Sequential(nn.Conv1d(4 * quarter, out, 3, padding=1, bias=False), nn.ReLU(), BatchNorm1d(out))
        self.residual = nn.Identity() if width == out else nn.Conv1d(width, out, 1)
        self.dropout = Dropout(0.7)

    def forward(self, x_NTP: Tensor) -> Tensor:
        """`(N, T, P)` → `(N, T, H)`."""
        x = x_NTP.transpose(1, 2)
        near = self.narrow(x).relu()
        # Similarities are divided by T and not passed through a softmax, so (θᵀφ)·v = θᵀ·(φ·v): no T×T matrix is made.
        context = self.phi(near) @ self.value(near).transpose(1, 2) / x.shape[-1]
        near = near + self.wide(context.transpose(1, 2) @ self.theta(near))
        joined = self.join(torch.cat([*(scale(x) for scale in self.scales), near], dim=1)) + self.residual(x)
        return self.dropout(joined).transpose(1, 2)
