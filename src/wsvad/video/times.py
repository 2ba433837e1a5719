"""One clock for the frames of a video, whatever its timestamps are.

Timestamps deceive in four ways: a frame has none; a few frames have wrong ones (a lone outlier, a short burst); the
clock leaps ahead and goes on from there (a recorder that films when something moves); it begins anew (a recording in
pieces). Which of them it is only the frames that follow can tell. So where a timestamp is not the next one in order,
up to `AHEAD` frames are looked at, and the sequence of frames that keeps most of their timestamps is believed, each
leap and each new beginning being worth `AGREE` frames: fewer than that never move a clock.

- A frame whose timestamp is not believed comes one frame period after the one before, and not after the next one that
  is believed.
- After a leap ahead times are what the file says: the gap is there, and nothing was filmed in it.
- After a new beginning times go on, one frame period after the frame before. So they do where no gap is as long.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from statistics import median
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

GAP = 10
"""Seconds above which a step ahead is a leap, unless a tenth of it is usual in the video. Next to timestamps that are
out of order any step is one that is more than three times the usual for as many frames."""
LONGEST = 366 * 86_400
"""Seconds that a gap may last: a clock that goes further ahead was set, as it is where a recorder starts in 1970."""
FARTHEST = 1e10
"""Seconds, more than three centuries: also clocks that count from 1970 stay below."""
ANEW = 1
"""Seconds that a clock is moved by where it begins anew; a smaller difference is that of frames out of order."""
AHEAD = 12
"""Frames that are looked at to judge a timestamp: of a burst of six, most of them are still right."""
AGREE = 4
"""Frames that more of them have to agree on a new clock than on the old one."""
_USUAL = 15
"""How many of the last steps say what is usual."""


@dataclass(frozen=True)
class Moment(Generic[T]):
    """A frame and its time."""

    item: T
    stamp: int | None
    """Its timestamp in the file."""
    time: Fraction
    """Seconds, never decreasing."""
    kept: bool
    """Whether its timestamp is believed, and the clock has not started again."""
    unfilmed: Fraction
    """Seconds before it in which nothing was filmed: all leaps so far, less a usual step each."""


class Offsets:
    """By how much times differ from timestamps: 0, and after each new beginning of a clock by what it was moved."""

    def __init__(self, time_base: Fraction):
        self.found = [Fraction(0)]
        """Seconds, of each beginning."""
        self._time_base, self._settled = time_base, False

    def take(self, moment: Moment[Any]) -> None:
        """Look at the next frame."""
        if moment.kept and not self._settled and moment.stamp is not None:
            offset = moment.time - moment.stamp * self._time_base
            if abs(offset - self.found[-1]) > ANEW:
                self.found.append(offset)
        self._settled = moment.kept


def filmed_of(step: Fraction, usual: Fraction) -> Fraction:
    """Seconds that were filmed of a step from one frame to the next: all of it, but of a leap only what is usual."""
    return usual if step > GAP and step > 10 * usual else step


class Clock(Generic[T]):
    """The times of frames that come with timestamps; yields a `Moment` for each, and holds few of them."""

    def __init__(self, stamped: Iterable[tuple[T, int | None]], time_base: Fraction, period: Fraction):
        """
        Args:
            stamped: frames in the order in which they are shown, and their timestamps, None for a lost one.
            time_base: seconds of one tick of a timestamp.
            period: seconds of a frame, as the file says. Not believed where its timestamps say otherwise.
        """
        self._coming = iter(stamped)
        self._window: deque[tuple[T, int | None]] = deque()
        self._time_base, self._declared = time_base, period
        # In ticks: fractions are compared slowly, and all of this is asked of each frame.
        self._gap, self._longest = float(GAP / time_base), int(LONGEST / time_base)
        self._farthest = int(FARTHEST / time_base)
        self._steps: deque[int] = deque(maxlen=_USUAL)
        """The last steps of one frame in ticks, without leaps."""
        self._last: int | None = None
        """The last timestamp that was believed."""
        self._since = 0
        """Frames since then."""

    def __iter__(self) -> Iterator[Moment[T]]:
        """Times in seconds from tick 0 of the clock that the file begins with."""
        base: Fraction | int = 0
        before: Fraction | None = None
        unfilmed = Fraction(0)
        while self._window or self._look(1):
            self._since += 1
            usual = median(self._steps) if self._steps else None
            believed = self._next_believed(usual)
            period = self._period(usual)
            item, stamp = self._window.popleft()
            anew = believed is not None and self._begins_anew(believed.stamp, base)
            kept = believed is not None and not believed.frames and not anew
            if believed is None or believed.frames:
                time = self._between(before, period, None if anew else believed, base)
            else:
                if anew:
                    shown = Fraction(0) if before is None else before + period
                    base = believed.stamp - shown / self._time_base
                time = (believed.stamp - base) * self._time_base
                time = time if before is None else max(time, before)
                self._remember(believed)
            step = Fraction(0) if before is None else time - before
            if step > GAP:
                unfilmed += step - filmed_of(step, self._period(believed.usual if believed else usual))
            yield Moment(item, stamp, time, kept, unfilmed)
            before = time

    def _begins_anew(self, stamp: int, base: Fraction | int) -> bool:
        """Whether a clock with that timestamp is another one."""
        leap = 0 if self._last is None else stamp - self._last
        return leap < 0 or leap > self._longest or not -self._farthest <= stamp - base <= self._farthest

    def _remember(self, believed: "_Believed") -> None:
        """Take a timestamp as the one that others are measured by."""
        if self._last is not None and self._since <= believed.stamp - self._last <= believed.leap:
            self._steps.append((believed.stamp - self._last) // self._since)
        self._last, self._since = believed.stamp, 0

    def _between(
        self, before: Fraction | None, period: Fraction, following: "_Believed | None", base: Fraction | int
    ) -> Fraction:
        """The time of a frame whose timestamp is not believed, as that of `following` is."""
        if following is None:
            return Fraction(0) if before is None else before + period
        time = (following.stamp - base) * self._time_base
        return time - following.frames * period if before is None else max(before, min(before + period, time))

    def _period(self, usual: float | None) -> Fraction:
        """Seconds of a frame: as declared, unless the usual step is another one by more than a tenth."""
        if usual is None:
            return self._declared
        seen = Fraction(usual) * self._time_base
        return self._declared if not seen or abs(self._declared - seen) <= seen / 10 else seen

    def _look(self, count: int) -> bool:
        """Have `count` frames in the window; whether there is any."""
        self._window.extend(islice(self._coming, max(0, count - len(self._window))))
        return bool(self._window)

    def _next_believed(self, usual: float | None) -> "_Believed | None":
        """The first frame of the window whose timestamp is believed; None if there is none."""
        first, last, gap = self._window[0][1], self._last, self._gap
        if first is not None and last is not None and usual and last < first <= last + 2 * usual:
            return _Believed(0, first, gap, usual)  # as it should be: no frame is held
        self._look(AHEAD + 1)
        stamped = [(index, stamp) for index, (_, stamp) in enumerate(self._window) if stamp is not None]
        stamps = [stamp for _, stamp in stamped]
        in_order = all(a <= b for a, b in pairwise(stamps if last is None else [last, *stamps]))
        steps = [b - a for a, b in pairwise(stamps) if b > a]
        if steps and (usual is None or (in_order and len(stamps) > AGREE)):
            # Frames of which none is in doubt say themselves what is usual: in a film of a still, seconds or minutes.
            usual = max(usual or 0, median(steps))
        gap = max(gap, 10 * (usual or 0))
        # Where something is wrong, a step ahead that is not usual is suspicious, however small it is.
        leap, each = (3 * usual, True) if usual and not in_order else (gap, False)
        chosen = _longest(last, self._since, stamped, leap, each)
        return None if chosen is None else _Believed(*stamped[chosen], gap, usual)


class _Believed(NamedTuple):
    """The next timestamp that is believed."""

    frames: int
    """How many frames later its frame comes: 0 for the one in question."""
    stamp: int
    leap: float
    """Ticks above which a step is a leap."""
    usual: float | None
    """Ticks of a usual step; None where nothing says so."""


def _longest(last: int | None, since: int, stamped: Sequence[tuple[int, int]], leap: float, each: bool) -> int | None:
    """Where the sequence of timestamps begins that is worth most: 1 for each of them, less `AGREE` for each step that
    goes back or leaps. None if no sequence is worth anything.

    Args:
        last: the timestamp that was believed before them, if any.
        since: frames from that one to the first.
        stamped: frames' numbers and timestamps.
        leap: ticks above which a step is a leap.
        each: whether that is for each frame which the step takes.
    """

    def cost(before: int, after: int, frames: int) -> float:
        # A little more than as many frames: of two readings that are worth the same, the one without is taken.
        return 0.0 if before <= after <= before + leap * (frames if each else 1) else AGREE + 0.5

    worth = [0.0] * len(stamped)
    for index in reversed(range(len(stamped))):
        number, stamp = stamped[index]
        later = zip(stamped[index + 1 :], worth[index + 1 :], strict=True)
        worth[index] = 1 + max([0.0, *(value - cost(stamp, after, n - number) for (n, after), value in later)])
    near = [0] * len(stamped)
    if last is not None:
        worth = [value - cost(last, stamp, n + since) for (n, stamp), value in zip(stamped, worth, strict=True)]
        near = [abs(stamp - last) for _, stamp in stamped]
    best = max(range(len(stamped)), key=lambda i: (worth[i], -near[i]), default=None)
    return None if best is None or worth[best] <= 0 else best
