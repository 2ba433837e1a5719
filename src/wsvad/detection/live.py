"""Score a live source frame by frame, in constant memory.

Equal to the replay: the scores of a camera are those that `Detector.score(recording, mode="online")` gives to its
recording, up to the rounding of batched arithmetic (1e-5), because both go through the same encoders, one snippet at a
time, and look at the same window of W snippets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch

from wsvad.detection.calibration import Calibrations
from wsvad.encoders.encoder import Encoder
from wsvad.errors import UsageError
from wsvad.extraction.snippets import SnippetEncoder
from wsvad.runs.familiarity import Familiarity
from wsvad.runs.online import OnlineScorer
from wsvad.runs.scorer import Scorer, Wanted
from wsvad.video.clock import exact_rate
from wsvad.video.reader import Frame
from wsvad.video.resample import Resampler

SAID: tuple[Wanted, ...] = ("class_scores", "attributions")


@dataclass(frozen=True, kw_only=True)
class LiveScore:
    """One snippet of a live source."""

    score: float
    """In [0, 1]."""
    alarm: bool
    """Whether the score reaches the threshold of the mode `online`."""
    start: float
    """Seconds of its first frame, on the clock of the frames."""
    end: float
    """Seconds at which its last frame ends."""
    settled: bool = True
    """Whether the window of W snippets was full, as it was when the threshold was chosen; the first W − 1 scores after
    a beginning are of another kind."""
    distance: float | None = None
    """How far the last W snippets lie from the training videos, see `Familiarity`: above 1 it may mean nothing. None
    while the window is not full, or where that is not known."""
    rows: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """Its features, stream → `(D,)` or `(C, D)`."""


class LiveScorer:
    """Made by `Detector.live()`.

    >>> live = detector.live()                                       # doctest: +SKIP
    >>> for frame in camera:                                         # doctest: +SKIP
    ...     if (snippet := live.push(frame)) and snippet.alarm:
    ...         print(snippet.start, snippet.score)
    """

    def __init__(
        self,
        scorer: Scorer,
        encoders: Mapping[str, tuple[Encoder, ...]],
        calibrations: Calibrations,
        rate: Fraction | None = None,
        familiarity: Familiarity | None = None,
    ):
        """
        Args:
            rate: frames per second to resample to, as the training videos were; None for the source's own.
            familiarity: what the training videos look like, where that is known.
        """
        self.threshold = calibrations.threshold("online")
        self._scorer = scorer
        self._encoders = dict(encoders)
        self._rate, self._familiarity = rate, familiarity
        self.reset()

    def reset(self) -> None:
        """Forget everything that was pushed: after a break in the source, what comes is not a continuation."""
        self._online = OnlineScorer(self._scorer.score_streams, self._scorer.window)
        self._running = self._familiarity.live(self._scorer.window) if self._familiarity else None
        self._snippets_scored = 0
        self.next_recording()

    def next_recording(self) -> None:
        """What comes is another recording of the same camera: a snippet that was begun is left out, the window stays,
        as in `runs.online.score_running`."""
        self._snippets = SnippetEncoder(self._encoders)
        self._resampler = None if self._rate is None else Resampler(self._rate)
        self._count = 0
        self._span: tuple[Fraction, Fraction] | None = None

    @property
    def unsettled(self) -> int:
        """Snippets until the window is full."""
        return max(0, self._scorer.window - self._snippets_scored)

    def said(self, names: Sequence[str]) -> np.ndarray | None:
        """What the method says of the newest snippet beside its score: its categories, then the shares of these
        attributions; None where it says neither."""
        categories = self._scorer.categories if len(self._scorer.categories) > 1 else ()
        if self._online.newest is None or not (categories or names):
            return None
        scored = self._scorer.describe(self._online.newest, SAID)
        scores = scored.class_scores[-1] if categories and scored.class_scores is not None else ()
        return np.array([*scores, *(scored.attributions[name][-1] for name in names)], np.float64)

    def push(self, frame: Frame | np.ndarray, *, raw_rate: Fraction | float = 30) -> LiveScore | None:
        """Take the next frame; a score each time that a snippet of 16 frames is full, None otherwise.

        A detector that was trained at a rate of its own resamples the source to it. Where that is so much faster than
        the source that a frame fills several snippets, the score is the highest of them, over all of them.

        Args:
            frame: `(h, w, 3)` uint8 RGB, or a reader's `Frame`.
            raw_rate: frames per second of arrays, which have no times of their own.
        """
        if isinstance(frame, np.ndarray):
            frame = Frame.of_array(frame, self._count, exact_rate(raw_rate, "raw_rate"))
        if not isinstance(frame, Frame):
            raise UsageError(f"frame {self._count}: {type(frame).__name__}; push an array (h, w, 3) or a Frame")
        self._count += 1
        return _highest(self._pushed([frame] if self._resampler is None else self._resampler.push(frame)))

    def flush(self) -> LiveScore | None:
        """The score of the frames that are left when the source has ended (a short snippet); None without any."""
        found = list(self._pushed([] if self._resampler is None else self._resampler.flush()))
        last = self._scored(self._snippets.flush())
        return _highest([*found, last] if last else found)

    def _pushed(self, frames: Iterable[Frame]) -> Iterator[LiveScore]:
        for frame in frames:
            start = self._span[0] if self._span else frame.time
            self._span = start, frame.time + frame.duration
            if found := self._scored(self._snippets.push(frame)):
                yield found

    def _scored(self, rows: dict[str, np.ndarray] | None) -> LiveScore | None:
        if rows is None or self._span is None:
            return None
        score = self._online.push({stream: torch.from_numpy(row) for stream, row in rows.items()})
        (start, end), self._span = self._span, None
        self._snippets_scored += 1
        return LiveScore(
            score=score,
            alarm=score >= self.threshold,
            start=float(start),
            end=float(end),
            settled=not self.unsettled,
            distance=self._running.push(rows) if self._running else None,
            rows=rows,
        )


def _highest(scores: Iterable[LiveScore]) -> LiveScore | None:
    """One for all of them; None where there are none."""
    found = list(scores)
    if not found:
        return None
    return replace(max(found, key=lambda one: one.score), start=found[0].start, end=found[-1].end)
