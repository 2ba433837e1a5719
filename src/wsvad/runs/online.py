"""Online scoring: at each new snippet score the last W snippets and publish the newest one's score.

A network that looks at the whole video cannot score its future, so a live score differs from the whole-video score.
What can be had, and is tested, is that a live camera and the replay of its recording give the same scores: both look at
the same window. The first W − 1 windows are shorter; nothing is padded.

Shapes: C crops, T snippets, D features, W snippets in a window. A stream is `(T, D)` or `(C, T, D)`.
"""

from collections import deque
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from wsvad.datasets.dataset import one_bag

ScoreFunction = Callable[[dict[str, Tensor]], Tensor]
"""Streams `(B, T, D)` or `(B, C, T, D)` → scores `(B, T)`; a method in evaluation mode is one."""
WINDOWS = 32
"""Windows that are scored at once in a replay: bounds its memory, whatever the video's length."""


class OnlineScorer:
    """Scores a live source, one snippet after the other, in constant memory."""

    def __init__(self, score_fn: ScoreFunction, window: int):
        """`window` is W ≥ 1, in snippets."""
        self.score_fn = score_fn
        self.window = window
        self._rows: dict[str, deque[Tensor]] = {}

    @torch.inference_mode()
    def push(self, row: Mapping[str, Tensor]) -> float:
        """The newest snippet's features, `(D,)` or `(C, D)` for each stream → its score."""
        for name, features in row.items():
            self._rows.setdefault(name, deque(maxlen=self.window)).append(features)
        streams = {name: torch.stack(list(rows), dim=-2) for name, rows in self._rows.items()}
        return float(self.score_fn(one_bag(streams))[0, -1])


@torch.inference_mode()
def score_online(score_fn: ScoreFunction, streams: Mapping[str, Tensor], window: int) -> Tensor:
    """The scores that `OnlineScorer` would have published, `(T,)`, from a whole video's streams.

    Equal to pushing snippet by snippet up to the rounding of batched arithmetic (1e-5).
    """
    snippets = next(iter(streams.values())).shape[-2]
    first = [
        score_fn(one_bag({name: stream[..., :end, :] for name, stream in streams.items()}))[:, -1]
        for end in range(1, min(window, snippets + 1))
    ]
    full = [
        score_fn({name: _windows(stream, begin, window) for name, stream in streams.items()})[:, -1]
        for begin in range(0, snippets - window + 1, WINDOWS)
    ]
    return torch.cat([*first, *full])


def _windows(stream: Tensor, begin: int, window: int) -> Tensor:
    """The windows that start at snippets `begin` … `begin + WINDOWS − 1`, as a batch: `(B, W, D)` or `(B, C, W, D)`."""
    part = stream[..., begin : begin + WINDOWS + window - 1, :]
    return part.to(torch.float32).unfold(-2, window, 1).movedim(-3, 0).transpose(-1, -2)
