"""Self-attention over time with a second, fixed branch that looks at the neighbours (GL-MHSA of UR-DMU).

Shapes: B videos, T snippets, D features; a head is D/heads wide.

The local branch weighs snippet j by `w_ij = exp(−|i−j|/e)`, e being Euler's number, whatever the head. So it commutes
with every linear layer over features, and one average over the neighbours serves all heads.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers import pieces

LocalNorm = Literal["column", "row"]

REACH = 64
"""Neighbours on each side that can change a float32: exp(−65/e) is 4e-11."""
BLOCK = 128
"""Snippets that one band matrix serves."""
DENSE = 256
"""Up to so many snippets the whole T×T matrix is as fast as its band."""


def local_sums(length: int) -> Tensor:
    """`Σ_k w_ik` for every i: `(T,)` float32, in closed form (two geometric series)."""
    ratio = math.exp(-1 / math.e)
    i = torch.arange(length, dtype=torch.float64)
    return ((1 + ratio - ratio ** (i + 1) - ratio ** (length - i)) / (1 - ratio)).float()


def local_decay(rows: int, columns: int, offset: int = 0) -> Tensor:
    """`exp(−|i + offset − j|/e)` for `rows` × `columns`."""
    i, j = torch.arange(rows, dtype=torch.float32), torch.arange(columns, dtype=torch.float32)
    return torch.exp(-(i[:, None] + offset - j[None, :]).abs() / math.e)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what scoring has put into the cache, training must be able to use
def local_weights(length: int, norm: LocalNorm) -> Tensor:
    """The local attention matrix A2, `(T, T)`. Shared: not to be written to.

    `column` divides `w_ij` by the sum of column j, as the official code does (so that the rows at the borders sum to
    less than 1); `row` by the sum of row i, which is the paper's intent.
    """
    sums = local_sums(length)
    return local_decay(length, length) / (sums[None, :] if norm == "column" else sums[:, None])


def local_average(x_BTD: Tensor, norm: LocalNorm, rows: slice = slice(None)) -> Tensor:
    """The chosen `rows` of `A2 · x`, every snippet's average over its neighbours; in O(T) for a long video."""
    length = x_BTD.shape[1]
    start, stop, _ = rows.indices(length)
    if length <= DENSE:
        return torch.matmul(local_weights(length, norm)[start:stop].to(x_BTD), x_BTD)
    sums = local_sums(length).to(x_BTD)[:, None]
    low, high = max(start - REACH, 0), min(stop + REACH, length)
    near_BTD = x_BTD[:, low:high] / sums[low:high] if norm == "column" else x_BTD[:, low:high]
    blocks = -(-(stop - start) // BLOCK)
    beyond = start + blocks * BLOCK + REACH - high
    padded = F.pad(near_BTD, (0, 0, low - start + REACH, beyond))
    windows = padded.unfold(1, BLOCK + 2 * REACH, BLOCK).transpose(2, 3)  # (B, blocks, BLOCK + 2·REACH, D), a view
    band = local_decay(BLOCK, BLOCK + 2 * REACH, REACH).to(x_BTD)
    mixed_BTD = torch.matmul(band, windows).flatten(1, 2)[:, : stop - start]
    return mixed_BTD / sums[start:stop] if norm == "row" else mixed_BTD


class GlobalLocalAttention(nn.Module):
    """`[softmax(q·kᵀ/√d)·v ; A2·t]` per head, heads joined, then a linear layer (UR-DMU, GL-MHSA). No mask."""

    def __init__(self, width: int, heads: int, local_norm: LocalNorm, head_width: int | None = None):
        """`head_width` is D/heads by default."""
        super().__init__()
        self.heads, self.local_norm = heads, local_norm
        inner = heads * (head_width or width // heads)
        self.qkvt = nn.Linear(width, 4 * inner, bias=False)
        self.out = nn.Linear(2 * inner, width)
        self.folded: Tensor | None
        self.register_buffer("folded", None, persistent=False)
        self.folded_far: Tensor | None
        self.register_buffer("folded_far", None, persistent=False)

    def forward(self, x_BTD: Tensor, *, newest: bool = False) -> Tensor:
        """`(B, T, D)` → `(B, T, D)`; of the `newest` snippet alone, `(B, 1, D)`."""
        query, key, value, _ = self.qkvt.weight.chunk(4)
        after_far = self._far() if self.folded_far is None else self.folded_far
        near_weight = self._near() if self.folded is None else self.folded
        k, v = self._split(F.linear(x_BTD, key)), self._split(F.linear(x_BTD, value))

        def attend(rows: slice) -> Tensor:
            q = self._split(F.linear(x_BTD[:, rows], query))
            far = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            near = F.linear(local_average(x_BTD, self.local_norm, rows), near_weight, self.out.bias)
            return torch.addmm(near.flatten(0, 1), far.flatten(0, 1), after_far.T).view_as(near)

        length, size = x_BTD.shape[1], pieces.PIECE
        if newest:
            return attend(slice(length - 1, length))
        return pieces.joined((attend(slice(start, start + size)) for start in range(0, length, size)), length)

    @torch.no_grad()
    def fold(self) -> None:
        """For scoring alone: multiply the local branch's two linear layers once and for all, and gather the columns of
        the output layer that the other one needs."""
        self.folded, self.folded_far = self._near(), self._far().clone()

    def _far(self) -> Tensor:
        """The output layer's columns for the global branch, `(D, inner)`."""
        return self._after()[0].flatten(1)

    def _near(self) -> Tensor:
        """The local branch's two linear layers in one, `(D, D)`: nothing non-linear stands between them."""
        return self._after()[1].flatten(1) @ self.qkvt.weight.chunk(4)[3]

    def _after(self) -> tuple[Tensor, Tensor]:
        """The output layer's part for each branch, `(D, heads, inner/heads)`; its columns alternate, head by head."""
        far, near = self.out.weight.unflatten(1, (self.heads, 2, -1)).unbind(2)
        return far, near

    def _split(self, x_BTD: Tensor) -> Tensor:
        """`(B, T, inner)` → `(B, heads, T, inner/heads)`, a view."""
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def fold_attention(network: nn.Module) -> None:
    """Fold every such attention of a network, for scoring alone."""
    for module in network.modules():
        if isinstance(module, GlobalLocalAttention):
            module.fold()
