"""The snippet clock: which frames belong to which snippet, and back from snippet scores to frames.

A snippet is `stride` consecutive frames (16), without overlap. **Tail policy `keep`**: a video of F frames has
T = ⌈F / stride⌉ snippets; the last one holds the F − stride·(T−1) frames that remain, and nothing is padded, repeated
or dropped. So every video of at least one frame has at least one snippet, and scores expanded to frames have exactly
F values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np

from wsvad.errors import UsageError
from wsvad.ranges import Positive, Range, problem
from wsvad.video.times import FARTHEST, GAP

SNIPPET = 16
"""Frames in a snippet."""

NOMINAL = Fraction(30)
"""Frames per second that are assumed where nobody says how fast frames were taken."""
Rate = Annotated[float, Range(0.01, 1000)]
"""Frames per second that videos are resampled to."""
ROUNDING = 1e-5
"""Seconds by which what was filmed may be longer than the borders in double precision say, three centuries from 0."""

TAILS: dict[str, Callable[[int], int]] = {
    "⌊F/16⌋": lambda frames: frames // SNIPPET,
    "⌈F/16⌉": lambda frames: -(-frames // SNIPPET),
    "⌊F/16⌋+1": lambda frames: frames // SNIPPET + 1,
    "⌊(F−1)/16⌋": lambda frames: (frames - 1) // SNIPPET,
}
"""How many snippets public extractors make of F frames (1.1, 2.1):

⌊F/16⌋        the frames that remain are dropped (I3D-ResNet, and the truth of UR-DMU)
⌈F/16⌉        the last snippet is shorter (`keep`) or padded (the extractor of UR-DMU)
⌊F/16⌋+1      a clip more at the end, whether frames remain or not (RTFM)
⌊(F−1)/16⌋    one frame is lost to the alignment with optical flow (XD-Violence)
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class SnippetClock:
    """When the snippets of one video are."""

    snippets: int
    """T."""
    frames: int
    """F."""
    stride: int = SNIPPET
    """Frames from one snippet to the next."""
    times: np.ndarray | None = None
    """`(T + 1,)` seconds at which each snippet starts and the last one ends; None where only frames were counted."""
    rate: Fraction | None = None
    """Frames per second on average; None where it is not known."""
    filmed: np.ndarray | None = None
    """`(T,)` seconds of video in each snippet, as they were counted; None where they were not, see `filmed`."""
    borders: np.ndarray | None = None
    """`(T + 1,)` borders in frames of the video itself, where it was resampled and snippets are no `stride` of them;
    see `edges`."""

    @property
    def lengths(self) -> np.ndarray:
        """`(T,)`, frames of the video that each snippet stands for, see `snippet_lengths`; 0 where none is in it."""
        return snippet_lengths(self.frames, self.snippets, self.stride) if self.borders is None else np.diff(self.edges)

    @property
    def edges(self) -> np.ndarray:
        """`(T + 1,)` borders in frames of the video itself, from 0 to F. All that counts frames, as intervals and
        metrics do, goes by them."""
        return np.concatenate([[0], np.cumsum(self.lengths)]) if self.borders is None else self.borders

    @property
    def filmed_rate(self) -> float | None:
        """Frames of the video itself per second that was filmed; as it is said where times are not known."""
        seconds = 0.0 if self.times is None else float(filmed(self.times, self.filmed).sum())
        return self.frames / seconds if seconds > 0 else float(self.rate) if self.rate else None

    def seconds(self, rate: Fraction | None = None) -> np.ndarray | None:
        """`(T + 1,)` borders in seconds: as they were measured, else by the frame rate, or by `rate` where that is not
        known either; None where nothing is known."""
        if self.times is not None:
            return self.times
        rate = self.rate or rate
        return None if not rate else self.edges / float(rate)


def are_borders(times: np.ndarray, snippets: int) -> bool:
    """Whether times can be the borders of so many snippets: seconds in order. Two may be equal, as where a camera has
    stalled and its frames all have one timestamp."""
    return times.shape == (snippets + 1,) and bool((np.abs(times) <= FARTHEST).all() and (np.diff(times) >= 0).all())


def are_filmed(filmed: np.ndarray, times: np.ndarray) -> bool:
    """Whether snippets with these borders can hold so many seconds of video."""
    lasting = np.diff(times)
    return filmed.shape == lasting.shape and bool(((filmed >= 0) & (filmed <= lasting + ROUNDING)).all())


def filmed(times: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """Seconds of video that each snippet holds, `(T,)`.

    A recorder that films when something moves leaves gaps, which are no video. Where frames were counted, it is known
    how long they are. Of features without that (earlier versions', releases'), the borders `(T + 1,)` of the snippets
    tell: one with a gap in it lasts much longer than the others, by `times.GAP` at least, and counts as long as is
    usual. That is an estimate: gaps in most of the snippets, or shorter ones, go unnoticed.
    """
    if counted is not None:
        return counted
    lasting = np.diff(np.asarray(times, np.float64))
    some = np.sort(lasting[lasting > 0])
    usual = some[(len(some) - 1) // 2] if len(some) else 0.0
    return np.where(lasting > 10 * usual + GAP, usual, lasting)


def snippet_count(frames: int, stride: int = SNIPPET) -> int:
    """T = ⌈F / stride⌉, the number of snippets of a video of `frames` frames."""
    return -(-frames // stride)


def snippet_lengths(frames: int, snippets: int, stride: int = SNIPPET) -> np.ndarray:
    """Frames that each of `snippets` snippets stands for, `(T,)`, summing to `frames` (the length rule).

    Snippets beyond the video's end stand for no frame; if the snippets end before the video does (features made with
    the tail dropped), the last one stands for the frames that remain.
    """
    edges = np.minimum(np.arange(snippets + 1) * stride, frames)
    edges[-1] = frames
    return np.diff(edges)


def are_frames(borders: np.ndarray, frames: int, snippets: int) -> bool:
    """Whether they can be the borders of so many snippets in a video of so many frames. Two may be equal, as where
    frames are repeated."""
    shaped = borders.shape == (snippets + 1,) and np.issubdtype(borders.dtype, np.integer)
    return bool(shaped and borders[0] == 0 and borders[-1] == frames and (np.diff(borders) >= 0).all())


def positive_frames(intervals: Sequence[tuple[int, int]], edges: np.ndarray) -> np.ndarray:
    """How many frames lie inside any of the half-open `intervals`, between each two of the `(T + 1,)` edges from 0 to
    F: `(T,)` counts. Intervals may overlap and may end beyond the video (they are clipped).
    """
    frames = int(edges[-1])
    inside = np.zeros(frames + 1, dtype=np.int64)
    for start, end in intervals:
        inside[min(max(start, 0), frames)] += 1
        inside[min(max(end, 0), frames)] -= 1
    covered = np.concatenate([[0], np.cumsum(np.cumsum(inside[:-1]) > 0)])
    return np.diff(covered[edges])


def exact_rate(rate: Fraction | float, called: str = "rate") -> Fraction:
    """Frames per second as they are given, under the name that messages have for them.

    Raises:
        UsageError: it is no number above 0.
    """
    if said := problem(rate, Positive):
        raise UsageError(f"{called} {rate}: {said}")
    exact = Fraction(rate if isinstance(rate, Fraction) else float(rate))
    return max(exact.limit_denominator(100_000), Fraction(1, 100_000))
