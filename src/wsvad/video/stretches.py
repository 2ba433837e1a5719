"""Packets of a camera, as they come, to stretches in which nothing is missing; and the clock that all of them share."""

import json
import threading
import time
from bisect import bisect_right
from collections import deque
from dataclasses import replace
from fractions import Fraction
from statistics import median

from wsvad.video.address import Source
from wsvad.video.ring import Break, Packet, Ring, Stretch, Why

LEAP = Fraction(2)
"""Seconds above which a step of the timestamps is a leap, unless a tenth of it is usual."""
_SETTLED = 5.0
"""Seconds in which the delay at the beginning of a stretch goes by: what was sent while it was opened comes late."""
_EVEN = 12
"""Steps of the timestamps after which a camera is known to send its pictures evenly."""
_ANCHORS = 7200
"""Seconds of which it is known when they were by the clock on the wall."""


class Anchors:
    """When moments of a source's clock were, by the clock on the wall."""

    def __init__(self, epoch: float):
        """
        Args:
            epoch: when the source's clock was 0, by the monotonic clock.
        """
        self._epoch, self._lock = epoch, threading.Lock()
        self._offset = time.time() - time.monotonic() + epoch
        self._times, self._walls = deque([0.0], _ANCHORS), deque([self._offset], _ANCHORS)
        self._begun = self._last = self._least = self._first = 0.0
        self.drift: float | None = None
        """Seconds by which the camera's clock falls behind in a second; None where that is not known yet."""

    def begin(self, time_: float, arrival: float) -> None:
        """A stretch begins."""
        self._begun = self._last = time_
        self._least = self._first = arrival - time_
        self.drift = None
        self._anchor(time_)

    def see(self, time_: float, arrival: float) -> None:
        """A packet of it has come: some come late, none early."""
        late = arrival - time_
        self._least = min(self._least, late)
        if time_ - self._begun < _SETTLED:
            self._first = self._least
            self._walls[-1] = self._wall(self._times[-1])
        elif time_ - self._last >= 1:
            self._last = time_
            self._anchor(time_)
            self.drift = (self._least - self._first) / (time_ - self._begun)
            self._least = late

    def _anchor(self, time_: float) -> None:
        self._offset = time.time() - time.monotonic() + self._epoch
        with self._lock:
            self._times.append(time_)
            self._walls.append(self._wall(time_))

    def _wall(self, time_: float) -> float:
        return time_ + self._least + self._offset

    def wall(self, time_: float) -> float:
        """Seconds since 1970 of a moment."""
        with self._lock:
            times, walls = list(self._times), list(self._walls)
        index = max(0, bisect_right(times, time_) - 1)
        return walls[index] + time_ - times[index]


class Stretches:
    """Makes stretches of what comes, and adds it to a ring."""

    def __init__(self, source: Source, ring: Ring):
        self.epoch = time.monotonic()
        """When the source's clock was 0."""
        self.anchors = Anchors(self.epoch)
        self.now: Stretch | None = None
        """The one that is coming, or came last."""
        self.key_seconds: float | None = None
        """Between key frames, the most that was seen since it was connected."""
        self.leaps = self.skipped = 0
        """Times that timestamps leapt; packets that were left out because their key frame was not there."""
        self._source, self._ring = source, ring
        self._form: Stretch | None = None
        self._open = False
        self._before = Fraction(0)
        """Up to which there are pictures of the stretches before this one, on the source's clock."""
        # Packets come some hundred times a second, so what is computed of each is computed in ticks: exact fractions
        # of seconds took as long as decoding it.
        self._ends: float | Fraction = 0
        """Up to which there are pictures of this one."""
        self._nominal = Fraction(1)
        """Between two pictures, as the camera says."""
        self._tick, self._start, self._leap = 1.0, 0.0, 0.0
        """Of this stretch: seconds of a tick and at its beginning, and a leap in ticks."""
        self._usual: float = 0
        """Ticks between two pictures, the median of the last; 0 where that is not known."""
        self._steps: deque[int] = deque(maxlen=15)
        self._dts, self._arrival, self._waited = 0, 0.0, 0.0
        self._key: float | None = None

    @property
    def period(self) -> Fraction | None:
        """Seconds between two pictures, as is usual."""
        if self.now is None:
            return None
        return (Fraction(self._usual) or self._nominal) * self.now.tick

    @property
    def _end(self) -> Fraction:
        """Up to which there are pictures, on the source's clock."""
        if self.now is None:
            return self._before
        return max(self._before, self.now.start + (Fraction(self._ends) - self.now.first) * self.now.tick)

    def connected(self) -> None:
        """A new connection has nothing of the one before."""
        self._form = self._key = self.key_seconds = None
        self._steps.clear()
        self._usual = 0

    def form(self, content: bytes) -> None:
        """The form of the packets that come now, as `feed` sends it."""
        about, _, header = content.partition(b"\n")
        fields = json.loads(about)
        fields |= {"rate": Fraction(fields["rate"]), "tick": Fraction(fields["tick"])}
        self._form = Stretch(header=header, **fields)
        if self._open and self.now is not None:
            was, new = (f"{one.codec} {one.width}x{one.height}" for one in (self.now, self._form))
            self.end("format", f"{self._source.shown}: the camera changed from {was} to {new}")

    def end(self, why: Why, said: str) -> None:
        """What comes does not continue what came."""
        if self._open or why == "end":
            self._ring.add(Break(why=why, said=said, time=self._end))
        self._open = False

    def packet(self, arrival: float, pts: int, dts: int, duration: int, key: bool, data: bytes) -> None:
        """Add a packet; those before a key frame are left out."""
        if self._open:
            self._check(dts, arrival)
        if not self._open:
            if not key or self._form is None:
                self.skipped += 1
                return
            self._begin(arrival, pts)
        stretch = self.now
        assert stretch is not None
        self._waited, self._dts, self._arrival = arrival - self._arrival, dts, arrival
        self._usual = median(self._steps) if self._steps else 0
        self._ends = max(self._ends, pts + (duration or self._usual or self._nominal))
        shown = self._start + (dts - stretch.first) * self._tick
        if self._source.lossless:  # it is read as fast as it goes: it came when it was filmed
            arrival = self.epoch + shown
        self.anchors.see(shown, arrival - self.epoch)
        if key:
            if self._key is not None:
                self.key_seconds = max(self.key_seconds or 0.0, arrival - self._key)
            self._key = arrival
        self._ring.add(Packet(stretch, arrival, pts, dts, duration, key, data))

    def _begin(self, arrival: float, pts: int) -> None:
        came = Fraction(0) if self._source.lossless else Fraction(round(1000 * (arrival - self.epoch)), 1000)
        self._before = start = max(came, self._end)
        assert self._form is not None
        self.now, self._open = replace(self._form, start=start, first=pts), True
        self._ends, self._nominal = pts, 1 / (self._form.rate * self._form.tick)
        self._tick, self._start, self._leap = float(self._form.tick), float(start), float(LEAP / self._form.tick)
        self._key = None
        self.anchors.begin(float(start), float(start) if self._source.lossless else arrival - self.epoch)

    def _check(self, dts: int, arrival: float) -> None:
        """End the stretch where its clock leaps or goes back."""
        assert self.now is not None
        step, usual = dts - self._dts, self._usual
        if step > 0:  # leaps too: of a camera that sends a picture a minute all are
            self._steps.append(step)
        if self._lost_one(step, usual):
            said = "a picture was lost on the way; set its transport to tcp, which loses none"
            self.end("damaged", f"{self._source.shown}: {said}")
            return
        if -self._leap <= step <= max(self._leap, 10 * usual):
            return
        seconds = step * self._tick
        self.leaps += 1
        # FFmpeg gives a picture when the next begins, so the wait may have been for the last one.
        if step > 0 and max(arrival - self._arrival, self._waited) > seconds / 2:
            self.end("paused", f"{self._source.shown}: the camera sent no pictures for {seconds:.1f} s")
        else:
            self.end("timestamps", f"{self._source.shown}: the camera's clock leapt by {seconds:+.1f} s")

    def _lost_one(self, step: int, usual: float) -> bool:
        """Whether a picture is missing: over UDP that goes unnoticed, and those after it are made from it. Only of a
        camera that has sent them evenly can that be said."""
        if self._source.transport != "udp" or len(self._steps) <= _EVEN or self.now is None:
            return False
        before = list(self._steps)[-_EVEN - 1 : -1]
        even = all(abs(one - usual) <= usual / 10 for one in before)
        return even and 1.7 * usual <= step <= self._leap
