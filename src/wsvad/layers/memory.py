"""A memory of learned prototypes that every snippet is compared with (UR-DMU).

Shapes: B videos, T snippets, D features, M memory slots.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Memory(nn.Module):
    """M slots of width D. A snippet's reading is how much it resembles each slot, `a = σ(x·Mᵀ/√D)`."""

    def __init__(self, slots: int, width: int):
        super().__init__()
        bound = width**-0.5
        self.slots = nn.Parameter(torch.empty(slots, width).uniform_(-bound, bound))
        self.folded: Tensor | None
        self.register_buffer("folded", None, persistent=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Snippets → their reading `a`, `(B, T, M)` in (0, 1)."""
        return F.linear(x_BTD, self.slots * self.slots.shape[1] ** -0.5).float().sigmoid()

    def attention(self, a_BTM: Tensor) -> Tensor:
        """How strongly each snippet is remembered, `(B, T)`: the mean of its ⌊M/16⌋+1 largest resemblances."""
        return a_BTM.topk(self.slots.shape[0] // 16 + 1, dim=-1).values.mean(-1)

    def augment(self, a_BTM: Tensor, through: nn.Linear) -> Tensor:
        """The remembered feature `Σ_m a_m M_m` after the linear layer `through`.

        The layer is applied to the M slots instead of the T sums of them, which is the same by linearity and cheaper.
        """
        weight = self._through(through) if self.folded is None else self.folded
        return F.linear(a_BTM, weight, through.bias)

    @torch.no_grad()
    def fold(self, through: nn.Linear) -> None:
        """For scoring alone, which augments through one layer: apply it to the slots once and for all."""
        self.folded = self._through(through)

    def _through(self, through: nn.Linear) -> Tensor:
        return through.weight @ self.slots.T
