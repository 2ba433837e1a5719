"""Which snippets of a video with quiet stretches are encoded, and which of them stand for the others."""

from itertools import pairwise

import numpy as np

from wsvad.video.clock import SNIPPET
from wsvad.video.packets import Packets

AGAIN = 300
"""Seconds after which a quiet scene is looked at again: the light changes, and what an encoder makes of it. Features of
stillness are hardly nearer to their snippets' own if it is looked at twice as often."""


def sources(packets: Packets, moves: np.ndarray) -> np.ndarray:
    """`(T,)`, the snippet whose features each of them has: its own where something may move, and of a quiet stretch
    those of its first, or of a later one by a key frame every `AGAIN` seconds.

    Args:
        moves: `(F,)` bool.
    """
    starts = np.arange(0, len(moves), SNIPPET)
    encoded = np.logical_or.reduceat(moves, starts)
    encoded[-1] = True  # it has its own length
    by_key = np.unique(-(-packets.key_frames // SNIPPET))
    seconds = packets.stamps[starts] * float(packets.time_base)
    borders = [0, *(np.flatnonzero(np.diff(encoded)) + 1).tolist(), len(encoded)]
    for first, end in pairwise(borders):
        if encoded[first]:
            continue
        encoded[first] = True
        looked = seconds[first]
        for snippet in by_key[(by_key > first) & (by_key < end)].tolist():
            if seconds[snippet] - looked >= AGAIN:
                encoded[snippet], looked = True, seconds[snippet]
    return np.maximum.accumulate(np.where(encoded, np.arange(len(encoded)), 0))
