"""Long videos and many crops a piece at a time: bounded memory for everything that does not look at all of it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

PIECE = 4096
"""Snippets in a piece."""
ROWS = 12_800
"""Snippets of several sequences that go through a network at a time: what they leave stays in the caches, and in the
allocator's reach."""


def joined(pieces: Iterable[Tensor], length: int) -> Tensor:
    """Pieces `(B, t, D)`, one after another in time, → `(B, T, D)`.

    Each is copied when it comes: pieces that wait for each other would scatter over the heap and keep it.
    """
    whole = torch.empty(0)
    start = 0
    for piece in pieces:
        if piece.shape[1] == length:
            return piece
        if start == 0:
            whole = piece.new_empty(piece.shape[0], length, piece.shape[2])
        whole[:, start : start + piece.shape[1]] = piece
        start += piece.shape[1]
    return whole


def with_neighbours(function: Callable[[Tensor], Tensor], *streams: Tensor) -> Tensor:
    """Apply a function of `(N, T, D)`, whose result `(N, T, ·)` at a snippet sees no farther than the snippets beside
    it, to streams `(N, T, ·)` side by side, a piece of a long video at a time."""
    length = streams[0].shape[1]

    def piece(start: int) -> Tensor:
        low, stop = max(start - 1, 0), min(start + PIECE, length)
        parts = [stream[:, low : stop + 1] for stream in streams]
        return function(torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0])[:, start - low : stop - low]

    return joined(map(piece, range(0, length, PIECE)), length)


def over_crops(function: Callable[..., Tensor], x: Tensor, *more: Tensor) -> Tensor:
    """Apply a function of `(N, T, D)` tensors to `(B, T, D)` or `(B, C, T, D)`, some sequences at a time, and average
    its results `(N, T, ...)` over crops: `(B, T, ...)`. What has no crops is shared by the crops of `x`."""
    crops, size = x.shape[1] if x.ndim == 4 else 1, max(1, ROWS // x.shape[-2])

    def sequences(y: Tensor) -> Tensor:
        return y.flatten(0, 1) if y.ndim == 4 else y.repeat_interleave(crops, 0) if crops > 1 else y

    parts = zip(*(sequences(y).split(size) for y in (x, *more)), strict=True)
    return torch.cat([function(*part) for part in parts]).unflatten(0, (-1, crops)).mean(1)
