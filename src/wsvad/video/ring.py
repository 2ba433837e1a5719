"""The last seconds of a camera, as it sent them: encoded packets, bounded in seconds and in bytes.

What a camera sends falls into **stretches**. A stretch begins with a key frame, and within it nothing is missing and
nothing changes: one connection, one codec and size, one clock that neither leaps nor goes back. Decoded from its first
packet it gives the same pictures as its recording does. A **break** lies between two stretches.

One thread adds to a ring, and one reads it to the end; others may take copies at any time.
"""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Why = Literal["connection", "paused", "hung", "timestamps", "format", "damaged", "dropped", "end"]
READS = 5.0
"""Seconds in which the one who reads a ring comes to what was added, unless it is stuck."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """What comes after it does not continue what came before: a scorer has to be reset, an event ends."""

    why: Why
    """`connection`: it was lost. `paused`: the camera sent no pictures for too long, or left some out. `hung`: reading
    did not come back and was abandoned. `timestamps`: they leapt or went back. `format`: another codec or size.
    `damaged`: a picture could not be decoded. `dropped`: reading was too slow, so pictures were left out. `end`: of a
    file."""
    said: str
    """The same in a line for the user."""
    time: Fraction
    """Seconds on the source's clock up to which there are pictures."""
    snippets: int = 0
    """Snippets of 16 frames that were dropped."""


@dataclass(eq=False, kw_only=True)
class Stretch:
    """Packets that continue each other."""

    header: bytes
    """A file in NUT format with the stream's parameters and the key frame that they were seen with."""
    codec: str
    width: int
    height: int
    pixels: str | None
    """FFmpeg's name of the pixel format."""
    rate: Fraction
    """Frames per second as the camera says."""
    tick: Fraction
    """Seconds of one tick of its timestamps."""
    reorder: int = 0
    """Pictures by which decoding is ahead of showing."""
    parameters: str = ""
    """A digest of what a decoder has to know beside the packets."""
    start: Fraction = Fraction(0)
    """Seconds on the source's clock of the first picture."""
    first: int = 0
    """Its timestamp."""

    def time(self, stamp: int) -> Fraction:
        """Seconds on the source's clock."""
        return self.start + (stamp - self.first) * self.tick

    def continues(self, other: "Stretch") -> bool:
        """Whether one file can hold both."""
        mine, its = ((s.codec, s.width, s.height, s.pixels, s.tick, s.parameters) for s in (self, other))
        return mine == its


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture."""

    stretch: Stretch = field(repr=False)
    arrival: float
    """Seconds of the monotonic clock at which it came."""
    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes = field(repr=False)

    @property
    def time(self) -> Fraction:
        """Seconds on the source's clock at which it is shown."""
        return self.stretch.time(self.pts)


@dataclass(frozen=True, kw_only=True)
class Next:
    """What a reader of the ring comes to."""

    item: Packet | Break
    number: int
    """Of all that was ever added."""
    missed: int
    """Packets before it that were dropped from the ring before they were read."""
    behind: float
    """Seconds by which it came before the newest."""


class Ring:
    """Packets and breaks in the order in which they came."""

    def __init__(self, seconds: float, most_bytes: int, *, lossless: bool = False):
        """
        Args:
            seconds: how long packets are kept at least, as far as `most_bytes` allows.
            most_bytes: of all packets that are kept.
            lossless: keep what was not read yet in any case; whoever adds to it waits (`wait_until_read`).
        """
        self._seconds, self._most_bytes, self._lossless = seconds, most_bytes, lossless
        self._items: deque[Packet | Break] = deque()
        self._keys: deque[int] = deque()
        """Numbers of the key frames."""
        self._first, self._bytes, self._newest = 0, 0, 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._read = 0
        """The number up to which all was read."""

    def add(self, item: Packet | Break) -> None:
        """Add what comes next, and let go of what is too old."""
        with self._changed:
            if isinstance(item, Packet):
                self._bytes += len(item.data)
                self._newest = item.arrival
                if item.key:
                    self._keys.append(self._first + len(self._items))
            self._items.append(item)
            while self._too_much():
                gone = self._items.popleft()
                self._bytes -= len(gone.data) if isinstance(gone, Packet) else 0
                self._first += 1
            while self._keys and self._keys[0] < self._first:
                self._keys.popleft()
            self._changed.notify_all()

    def _too_much(self) -> bool:
        oldest = self._items[0]
        if self._lossless and self._first >= self._read:
            return False
        old = isinstance(oldest, Break) or oldest.arrival < self._newest - self._seconds
        return len(self._items) > 1 and (old or self._bytes > self._most_bytes)

    def after(self, number: int, timeout: float | None) -> Next | None:
        """What follows the item of that number, for the one who reads; waits for it. None after so many seconds, or if
        the ring is closed."""
        with self._changed:
            self._read = number + 1
            if self._lossless:  # whoever adds may be waiting for it
                self._changed.notify_all()
            return self._following(number, timeout)

    def _following(self, number: int, timeout: float | None) -> Next | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._first + len(self._items) > number + 1, timeout)
            return self._at(max(number + 1, self._first), missed=max(0, self._first - number - 1))

    def since(self, start: float | Fraction, look: float) -> Iterator[Packet | None]:
        """Packets from the last key frame before a moment on, and then as they come: None whenever some seconds have
        gone by without one. Ends where the ring is closed, or has let go of what should come next."""
        with self._changed:
            number = self._begin(start) - 1
        while True:
            following = self._following(number, look)
            if following is None:
                if self._closed:
                    return
                yield None
                continue
            if following.missed:
                return
            number = following.number
            if isinstance(following.item, Packet):
                yield following.item
            else:
                self._wait_for_reader(number)

    def _wait_for_reader(self, number: int) -> None:
        """Let the one who reads, if there is one, see to a break first: what is shown may end with it, and only then is
        that known."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._read or self._read > number, READS)

    def _begin(self, start: float | Fraction) -> int:
        """The number of the key frame with which a clip from a moment on begins: the next one where none is before it,
        what comes next where there is none at all."""
        found = None
        for number in self._keys:
            key = self._items[number - self._first]
            if found is not None and isinstance(key, Packet) and key.time > start:
                break
            found = number
        return self._first + len(self._items) if found is None else found

    def newest_key(self, number: int) -> Next | None:
        """The newest key frame after that number."""
        with self._changed:
            if not self._keys or self._keys[-1] <= number:
                return None
            return self._at(self._keys[-1], missed=self._keys[-1] - max(number, self._first))

    def _at(self, number: int, missed: int) -> Next | None:
        index = number - self._first
        if index >= len(self._items):
            return None
        item = self._items[index]
        behind = self._newest - item.arrival if isinstance(item, Packet) else 0.0
        return Next(item=item, number=number, missed=missed, behind=behind)

    @property
    def unread(self) -> int:
        """Items that were added and not read yet."""
        return self._first + len(self._items) - self._read

    def wait_until_read(self, most: int) -> None:
        """Come back when at most so many items are unread, or the ring is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.unread <= most)

    def close(self) -> None:
        """Nothing comes any more: whoever waits comes back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def packets(self) -> list[Packet]:
        """All that are kept, oldest first."""
        with self._changed:
            return [item for item in self._items if isinstance(item, Packet)]

    @property
    def held(self) -> tuple[float, int]:
        """Seconds and bytes that are kept."""
        with self._changed:
            oldest = next((item.arrival for item in self._items if isinstance(item, Packet)), self._newest)
            return self._newest - oldest, self._bytes
