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

    def forward(self, x_BTD: Tensor) -> Tensor:
        """`(B, T, D)` → `(B, T, E)`."""
        return convolve(x_BTD, self.weight, self.bias)


def convolve(x_BTD: Tensor, weight_EDk: Tensor, bias_E: Tensor | None, *, relu: bool = False) -> Tensor:
    """`conv1d` with zeros beyond both ends, then ReLU if asked: `(B, T, D)` → `(B, T, E)`."""
    length, size, reach = x_BTD.shape[1], pieces.PIECE, weight_EDk.shape[2] // 2

    def piece(start: int) -> Tensor:
        part = x_BTD[:, max(start - reach, 0) : start + size + reach]
        before, after = max(reach - start, 0), max(start + size + reach - length, 0) if start + size < length else reach
        y = _valid(F.pad(part, (0, 0, before, after)), weight_EDk)
        y = y if bias_E is None else y + bias_E
        return y.relu() if relu else y

    return pieces.joined(map(piece, range(0, length, size)), length)


def _valid(x_BTD: Tensor, weight_EDk: Tensor) -> Tensor:
    """`(B, T + k − 1, D)` → `(B, T, E)`, as matrix products; which is faster depends on what is wider."""
    out, width, kernel = weight_EDk.shape
    length = x_BTD.shape[1] - kernel + 1
    if out > width:  # one product, of windows
        windows_BTkD = torch.cat([x_BTD[:, shift : shift + length] for shift in range(kernel)], dim=-1)
        return F.linear(windows_BTkD, weight_EDk.transpose(1, 2).flatten(1))
    # One product a tap, of the rows of all sequences; the last rows of each reach into the next one and are cut off.
    rows, taps = x_BTD.flatten(0, 1), weight_EDk.permute(2, 1, 0)
    count = len(rows) - kernel + 1
    y = rows[:count] @ taps[0]
    for shift, tap in enumerate(taps[1:], start=1):
        y = torch.addmm(y, rows[shift : shift + count], tap)
    return F.pad(y, (0, 0, 0, kernel - 1)).unflatten(0, (len(x_BTD), -1))[:, :length]
