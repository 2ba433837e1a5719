"""Another frame rate, by timestamps: the frames that a video would have had at R a second.

Each stretch that was filmed without a gap begins with its first frame; from there on one frame is shown every 1/R
seconds, at times that are computed anew for each (start + k/R), never added up. It is the **nearest** frame; but none
that comes more than half a step (1/2R) later, as the next one does where a camera sends little while nothing moves; and
of two that are equally near the earlier one. So a rate above the video's own repeats frames, and one below leaves some
out. Gaps in which nothing was filmed are not filled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from wsvad.errors import UsageError, WsvadError
from wsvad.ranges import problem
from wsvad.video.clock import Rate, exact_rate
from wsvad.video.reader import Frame
from wsvad.video.times import filmed_of

REPEATS = 10_000
"""Times that a frame is shown, at most: more is a mistake in the timestamps or in the rate."""


def resampling_rate(rate: Fraction | float | None) -> Fraction | None:
    """Frames per second to resample to, exactly; None for the video's own.

    Raises:
        UsageError: it cannot be one.
    """
    # As a float: 1/100 is a little less than the number that is written 0.01.
    if said := problem(float(rate) if isinstance(rate, Fraction) else rate, Rate):
        raise UsageError(f"rate {rate}: {said}")
    return None if rate is None else exact_rate(rate)


class Resampler:
    """Takes frames one after the other, as a live source gives them; memory holds three.

    What it gives has `Frame.own`: how many frames of the source are before that moment.
    """

    def __init__(self, rate: Fraction, called: str = "frames"):
        """
        Args:
            rate: R.
            called: what the frames are, for messages.
        """
        self.taken = 0
        """Frames of the source so far."""
        self._step, self._called = 1 / rate, called
        self._start, self._count = Fraction(0), 0
        """Of the stretch that is being filmed: when it began, and how many frames it has given."""
        self._first: Frame | None = None
        self._held: Frame | None = None
        """The last frame; of several with one time the first."""
        self._last: Frame | None = None
        self._given = 0
        self._waiting: Frame | None = None
        """The last frame that was chosen: how long it is shown, the next one tells."""

    def of(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All of a source, in order."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def push(self, frame: Frame) -> Iterator[Frame]:
        """Take the next frame; those that are certain now.

        Raises:
            WsvadError: a frame would be shown more than `REPEATS` times.
        """
        held = self._held
        if held is None or frame.unfilmed > held.unfilmed:
            if held is not None:
                yield from self._end(frame.time - (frame.unfilmed - held.unfilmed))
            self._start, self._count = frame.time, 0
            self._first = self._first or frame
            yield from self._show(frame, frame.time)
        else:
            self._check(frame.time)
            while (moment := self._moment) <= frame.time:
                ahead = frame.time - moment
                nearer = ahead < moment - held.time and 2 * ahead <= self._step
                yield from self._show(frame if nearer else held, moment)
        if held is None or frame.time > held.time:
            self._held = frame
        self._last = frame
        self.taken += 1

    def flush(self) -> Iterator[Frame]:
        """What is left when the source has ended."""
        if self._first is None or self._last is None:
            return
        first, last = self._first, self._last
        filmed = last.time - last.unfilmed - (first.time - first.unfilmed)
        usual = filmed / (self.taken - 1) if self.taken > 1 else self._step
        yield from self._end(last.time + filmed_of(last.duration, usual))  # a recorder may have stopped behind it

    @property
    def _moment(self) -> Fraction:
        """When the next frame is shown."""
        return self._start + self._count * self._step

    def _end(self, end: Fraction) -> Iterator[Frame]:
        """The rest of a stretch."""
        self._check(end)
        while self._held is not None and (moment := self._moment) < end:
            yield from self._show(self._held, moment)
        if self._waiting is not None:
            yield replace(self._waiting, duration=max(Fraction(0), min(self._step, end - self._waiting.time)))
        self._waiting = None

    def _show(self, frame: Frame, moment: Fraction) -> Iterator[Frame]:
        before = self._waiting
        self._waiting = replace(frame, index=self._given, time=moment, duration=self._step, own=self.taken)
        self._count += 1
        self._given += 1
        if before is not None:
            yield before

    def _check(self, until: Fraction) -> None:
        """Refuse to repeat the frame that is held for ever."""
        held = self._held
        if held is not None and (until - held.time) > REPEATS * self._step:
            raise WsvadError(
                f"{self._called}: a frame of it is shown for {float(until - held.time):,.0f} s and would be repeated "
                f"more than {REPEATS:,} times at {float(1 / self._step):g} frames/s; leave it out, or take a lower rate"
            )
