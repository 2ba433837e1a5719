"""Batch norm over all bags of a batch, also where ranks share them.

Shapes: N sequences, H channels, T snippets.
"""

import torch
from torch import Tensor, nn

from wsvad.layers.share import shared, total_of


class BatchNorm1d(nn.BatchNorm1d):
    """torch's; of a share of a batch (`wsvad.layers.share`) mean and variance are those of the whole batch."""

    def forward(self, x_NHT: Tensor) -> Tensor:
        """`(N, H, T)` → `(N, H, T)`."""
        if not (shared() and self.training):
            return super().forward(x_NHT)
        x = x_NHT.float()
        count = total_of(x.new_tensor(x.shape[0] * x.shape[2]))
        mean_H = total_of(x.sum((0, 2))) / count
        centred = x - mean_H[:, None]
        variance_H = total_of(centred.square().sum((0, 2))) / count
        self._remember(mean_H.detach(), variance_H.detach() * count / (count - 1).clamp(min=1))
        normed = centred * (variance_H + self.eps).rsqrt()[:, None]
        return (normed * self.weight[:, None] + self.bias[:, None]).to(x_NHT.dtype)

    @torch.no_grad()
    def _remember(self, mean_H: Tensor, variance_H: Tensor) -> None:
        """The running statistics, as torch has them."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean_H, self.momentum)
        self.running_var.lerp_(variance_H, self.momentum)
