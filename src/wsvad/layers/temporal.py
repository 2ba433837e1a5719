"""Convolution over time on `(B, T, D)`, without a transpose.

Shapes: B videos, T snippets, D features in, E features out, k kernel size (odd).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers import pieces


class TemporalConv(nn.Conv1d):
    """A convolution over time whose output is as long as its input; parameters as `torch.nn.Conv1d`."""

    def __init__(self, width: int, out: int, kernel: int):
        if kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel} snippets has no middle; take an odd one")
        super().__init__(width, out, kernel, padding=kernel // 2)
        self.folded: Tensor | None
        self.register_buffer("folded", None, persistent=False)

    def forward(self, x_BTD: Tensor, *, relu: bool = False) -> Tensor:
        """`(B, T, D)` → `(B, T, E)`, then ReLU if asked."""
        return convolve(x_BTD, self.weight, self.bias, relu=relu, ready=self.folded)

    @torch.no_grad()
    def fold(self) -> None:
        """For scoring alone: lay the weight out once and for all as products need it. Of a camera's one window that
        takes longer than the products."""
        self.folded = _laid_out(self.weight).contiguous()


def convolve(
    x_BTD: Tensor, weight_EDk: Tensor, bias_E: Tensor | None, *, relu: bool = False, ready: Tensor | None = None
) -> Tensor:
    """`conv1d` with zeros beyond both ends, then ReLU if asked: `(B, T, D)` → `(B, T, E)`.

    Args:
        ready: the weight as `TemporalConv.fold` lays it out, where that was done before.
    """
    length, size, reach = x_BTD.shape[1], pieces.PIECE, weight_EDk.shape[2] // 2
    laid_out = _laid_out(weight_EDk) if ready is None else ready

    def piece(start: int) -> Tensor:
        part = x_BTD[:, max(start - reach, 0) : start + size + reach]
        before, after = max(reach - start, 0), max(start + size + reach - length, 0) if start + size < length else reach
        y = _valid(F.pad(part, (0, 0, before, after)), laid_out, weight_EDk.shape[2])
        y = y if bias_E is None else y + bias_E
        return y.relu() if relu else y

    return pieces.joined(map(piece, range(0, length, size)), length)


def _laid_out(weight_EDk: Tensor) -> Tensor:
    """As matrix products need it; which are faster depends on what is wider: `(E, k·D)` for one of windows, or
    `(k, D, E)` for one a tap."""
    out, width, _ = weight_EDk.shape
    return weight_EDk.transpose(1, 2).flatten(1) if out > width else weight_EDk.permute(2, 1, 0)


def _valid(x_BTD: Tensor, laid_out: Tensor, kernel: int) -> Tensor:
    """`(B, T + k − 1, D)` → `(B, T, E)`."""
    length = x_BTD.shape[1] - kernel + 1
    if laid_out.ndim == 2:
        windows_BTkD = torch.cat([x_BTD[:, shift : shift + length] for shift in range(kernel)], dim=-1)
        return F.linear(windows_BTkD, laid_out)
    # One product a tap, of the rows of all sequences; the last rows of each reach into the next one and are cut off.
    rows = x_BTD.flatten(0, 1)
    count = len(rows) - kernel + 1
    y = rows[:count] @ laid_out[0]
    for shift, tap in enumerate(laid_out[1:], start=1):
        y = torch.addmm(y, rows[shift : shift + count], tap)
    return F.pad(y, (0, 0, 0, kernel - 1)).unflatten(0, (len(x_BTD), -1))[:, :length]
