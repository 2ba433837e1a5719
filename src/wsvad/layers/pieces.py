"""Long videos a piece at a time: bounded memory for everything that does not look at the whole video."""

from collections.abc import Iterable

import torch
from torch import Tensor

PIECE = 4096
"""Snippets in a piece."""


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
