"""Online scoring: at each new snippet score the last W snippets and publish the newest one's score.

A network that looks at the whole video cannot score its future, so a live score differs from the whole-video score.
What can be had, and is tested, is that a live camera and the replay of its recording give the same scores: both look at
the same window. The first W − 1 windows are shorter; nothing is padded.

Those short windows are another regime: a network that saw whole videos in training says much about a first snippet that
stands alone. A camera passes through it once, a set of short clips in each of them. So what is to hold for a running
camera (a threshold above all) is measured with `score_running`, in which all windows are full.

Shapes: C crops, T snippets, D features, W snippets in a window. A stream is `(T, D)` or `(C, T, D)`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from wsvad.datasets.dataset import one_bag

ScoreFunction = Callable[[dict[str, Tensor]], Tensor]
"""Streams `(B, T, D)` or `(B, C, T, D)` → scores `(B, T)`; a method in evaluation mode is one."""
WINDOWS, ROWS = 32, 2048
"""Windows that are scored at once in a replay, and snippets of all of them and their crops, at most (but one window):
bounds its memory, whatever the video's length."""


class OnlineScorer:
    """Scores a live source, one snippet after the other, in constant memory."""

    def __init__(self, score_fn: ScoreFunction, window: int):
        """`window` is W ≥ 1, in snippets."""
        self.score_fn = score_fn
        self.window = window
        self.newest: dict[str, Tensor] | None = None
        """The last W snippets of each stream, `(T, D)` or `(C, T, D)`; None before the first."""
        self._rows: dict[str, deque[Tensor]] = {}

    @torch.inference_mode()
    def push(self, row: Mapping[str, Tensor]) -> float:
        """The newest snippet's features, `(D,)` or `(C, D)` for each stream → its score."""
        return float(self.score_fn(one_bag(self.add(row)))[0, -1])

    def add(self, row: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the newest snippet's features without scoring it: the window that it completes, as `newest`."""
        for name, features in row.items():
            self._rows.setdefault(name, deque(maxlen=self.window)).append(features)
        self.newest = {name: torch.stack(list(rows), dim=-2) for name, rows in self._rows.items()}
        return self.newest


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
    return torch.cat([*first, *_full_windows(score_fn, streams, window)])


@torch.inference_mode()
def score_running(
    score_fn: ScoreFunction,
    videos: Sequence[Mapping[str, Tensor]],
    window: int,
    before: Sequence[Mapping[str, Tensor]] = (),
) -> list[Tensor]:
    """Online scores of each video, `(T,)`, as a camera gives them that has run for a while and shows one video after
    the other: each window reaches back into the videos before.

    Args:
        videos: each one's streams, of the same camera.
        window: W.
        before: videos that were shown before the first one; by default `videos` themselves.
    """
    past = _last(before or videos, window - 1)
    scores = []
    for streams in videos:
        joined = {name: torch.cat([past[name], stream], dim=-2) for name, stream in streams.items()}
        scores.append(torch.cat(_full_windows(score_fn, joined, window)))
        past = {name: stream[..., stream.shape[-2] - (window - 1) :, :] for name, stream in joined.items()}
    return scores


def _full_windows(score_fn: ScoreFunction, streams: Mapping[str, Tensor], window: int) -> list[Tensor]:
    """Scores of the last snippet of each whole window, in parts."""
    snippets = next(iter(streams.values())).shape[-2]
    crops = max(stream[..., 0, 0].numel() for stream in streams.values())
    count = max(1, min(WINDOWS, ROWS // (window * crops)))
    return [
        score_fn({name: _windows(stream, begin, window, count) for name, stream in streams.items()})[:, -1]
        for begin in range(0, snippets - window + 1, count)
    ]


def _last(videos: Sequence[Mapping[str, Tensor]], count: int) -> dict[str, Tensor]:
    """The last `count` snippets of the videos one after the other, again and again if they are fewer."""
    parts: list[Mapping[str, Tensor]] = []
    found = 0
    while found < count:
        parts.insert(0, videos[-1 - len(parts) % len(videos)])
        found += next(iter(parts[0].values())).shape[-2]
    parts = parts or [videos[-1]]
    joined = {name: torch.cat([part[name] for part in parts], dim=-2) for name in videos[-1]}
    return {name: stream[..., stream.shape[-2] - count :, :] for name, stream in joined.items()}


def _windows(stream: Tensor, begin: int, window: int, count: int) -> Tensor:
    """The windows that start at snippets `begin` … `begin + count − 1`, as a batch: `(B, W, D)` or `(B, C, W, D)`."""
    part = stream[..., begin : begin + count + window - 1, :]
    return part.to(torch.float32).unfold(-2, window, 1).movedim(-3, 0).transpose(-1, -2)
