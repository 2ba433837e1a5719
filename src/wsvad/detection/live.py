"""Score a live source frame by frame, in constant memory.

Equal to the replay: the scores of a camera are those that `Detector.score(recording, mode="online")` gives to its
recording, up to the rounding of batched arithmetic (1e-5), because both go through the same encoders, one snippet at a
time, and look at the same window of W snippets.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch

from wsvad.detection.calibration import Calibrations
from wsvad.encoders.encoder import Encoder
from wsvad.errors import UsageError
from wsvad.extraction.snippets import SnippetEncoder
from wsvad.extraction.spent import Spent
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
        self.spent = Spent()
        """Seconds of `convert` and `network` since it was made."""
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
        self._snippets = SnippetEncoder(self._encoders, spent=self.spent)
        self._resampler = None if self._rate is None else Resampler(self._rate)
        self._count = 0
        self._start: Fraction | None = None
        """Of the snippet that is being filled."""
        self._last: tuple[Fraction, Fraction] | None = None
        """When its last frame began, and for how long it is shown."""
        self._waiting: deque[_Snippet] = deque()
        """Snippets that are full and not scored."""
        self._found: list[LiveScore] = []
        self._failed: Exception | None = None

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
        self.take(frame, raw_rate=raw_rate)
        return self._scored()

    def flush(self) -> LiveScore | None:
        """The score of the frames that are left when the source has ended (a short snippet); None without any."""
        self._take([] if self._resampler is None else self._resampler.flush())
        self._full(self._snippets.flush())
        return self._scored()

    def take(self, frame: Frame | np.ndarray, *, raw_rate: Fraction | float = 30) -> bool:
        """Take the next frame, as `push`, and leave scoring to `score_together`; whether a snippet is full."""
        if isinstance(frame, np.ndarray):
            frame = Frame.of_array(frame, self._count, exact_rate(raw_rate, "raw_rate"))
        if not isinstance(frame, Frame):
            raise UsageError(f"frame {self._count}: {type(frame).__name__}; push an array (h, w, 3) or a Frame")
        self._count += 1
        self._take([frame] if self._resampler is None else self._resampler.push(frame))
        return bool(self._waiting)

    def found(self) -> LiveScore | None:
        """What `score_together` found of the frames taken since it was asked last; None where no snippet was full.

        Raises:
            WsvadError: the snippet cannot be scored.
        """
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        scores, self._found = self._found, []
        if not scores:
            return None
        return replace(max(scores, key=lambda one: one.score), start=scores[0].start, end=scores[-1].end)

    def _scored(self) -> LiveScore | None:
        score_together([self])
        return self.found()

    def _take(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._start = frame.time if self._start is None else self._start
            self._last = frame.time, frame.duration
            self._full(self._snippets.push(frame))

    def _full(self, rows: dict[str, np.ndarray] | None) -> None:
        """Have a snippet wait to be scored, if there is one."""
        if rows is None or self._start is None or self._last is None:
            return
        self._waiting.append(_Snippet(rows=rows, start=float(self._start), end=float(sum(self._last))))
        self._start = None

    def _window(self) -> dict[str, torch.Tensor]:
        """The streams of the window that the snippet which has waited longest completes."""
        return self._online.add({name: torch.from_numpy(row) for name, row in self._waiting[0].rows.items()})

    def _settle(self, score: float) -> None:
        """Take that snippet's score."""
        snippet = self._waiting.popleft()
        self._snippets_scored += 1
        self._found.append(
            LiveScore(
                score=score,
                alarm=score >= self.threshold,
                start=snippet.start,
                end=snippet.end,
                settled=not self.unsettled,
                distance=self._running.push(snippet.rows) if self._running else None,
                rows=snippet.rows,
            )
        )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong in the block is this scorer's, and no other's."""
        try:
            yield
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._waiting.clear()
        self._failed = error


@dataclass(frozen=True, kw_only=True)
class _Snippet:
    """A snippet that is full, by its features and its seconds."""

    rows: dict[str, np.ndarray]
    start: float
    end: float


def score_together(scorers: Iterable[LiveScorer]) -> None:
    """Score the snippets that wait in some scorers; each one's `found` says what came of it, also where that is an
    error. Windows of one model are scored in one pass: weights go through the processor's caches once for all of them,
    and a window takes a third to two thirds of the time."""
    scorers = list(scorers)
    while waiting := [one for one in scorers if one._waiting]:
        alike: dict[object, list[tuple[LiveScorer, dict[str, torch.Tensor]]]] = defaultdict(list)
        for one in waiting:
            with one._failing():
                window = one._window()
                shapes = tuple((name, stream.shape) for name, stream in window.items())
                alike[id(one._scorer), shapes].append((one, window))
        for some in alike.values():
            _score(some)


def _score(some: Sequence[tuple[LiveScorer, dict[str, torch.Tensor]]]) -> None:
    """Score windows of one model and form; where that fails, each by itself, so that one camera's are not others'."""
    windows = [window for _, window in some]
    try:
        bags = {name: torch.stack([window[name] for window in windows]).to(torch.float32) for name in windows[0]}
        scores = some[0][0]._scorer.score_newest(bags).tolist()
    except Exception as error:
        if len(some) == 1:
            some[0][0]._fail(error)
        else:
            for one in some:
                _score([one])
        return
    for (scorer, _), score in zip(some, scores, strict=True):
        with scorer._failing():
            scorer._settle(score)
