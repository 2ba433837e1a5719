"""Frames out of a ring of packets: decoded when they are asked for, and whole snippets left out where nobody takes them
in time."""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction

import av

from wsvad.errors import refuse_shortage
from wsvad.video.clock import SNIPPET
from wsvad.video.decoding import Decode
from wsvad.video.live_clips import decoder, packet_of
from wsvad.video.pictures import Pictures, orientation
from wsvad.video.reader import Frame
from wsvad.video.ring import Break, Next, Packet, Ring

_COUNTED = {"h264", "hevc"}
"""Codecs of which each packet is a picture."""
_BAD, _GOOD = 3, 500
"""Times in a row that damage comes within a snippet until it is not believed, and good pictures until it is again."""


class RingFrames:
    """Reads a ring to its end, once."""

    def __init__(self, ring: Ring, shown: str, most_behind: float, decode: Decode = "exact"):
        """
        Args:
            shown: what the source is, for messages.
            most_behind: seconds by which whoever takes frames may be behind what comes.
            decode: `exact` or `fast`.
        """
        self.taken = self.dropped = 0
        """Frames that were taken, and snippets that were left out."""
        self.behind = 0.0
        """Seconds by which the last frame came before the newest packet."""
        self._ring, self._shown, self._most_behind, self._decode = ring, shown, most_behind, decode
        self._ready: deque[Frame | Break] = deque()
        self._number = -1
        """Of the item of the ring that was read last."""
        self._pictures: _Decoding | None = None
        self._index = self._since = 0
        """Frames that were decoded to be given, and those taken since the last break."""
        self._discard = self._lost = 0
        """Frames that are still to be left out, and those left out since the last one that was given."""
        self._damaged, self._repair = 0, False
        """Pictures that were damaged, and whether a key frame is waited for because of one."""
        self._trust = _Trust()
        self._newest = (Fraction(0), Fraction(0))
        """When the last frame is shown, and for how long."""

    def take(self, timeout: float | None) -> Frame | Break | None:
        """The next frame or break; None where none comes within some seconds, or ever."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            left = None if until is None else max(0.0, until - time.monotonic())
            following = self._ring.after(self._number, left)
            if following is None:
                return None
            self._advance(following)
        item = self._ready.popleft()
        if isinstance(item, Break):
            self._since = 0
        else:
            self.taken += 1
            self._since += 1
        return item

    @property
    def damaged(self) -> int:
        """Pictures that could not be decoded, or not whole."""
        return self._damaged + self._trust.shown

    @property
    def ended(self) -> bool:
        """Whether all was taken that will ever come."""
        return not self._ready and self._ring.closed and self._ring.after(self._number, 0) is None

    @property
    def _end(self) -> Fraction:
        """Up to which there were pictures."""
        return sum(self._newest, Fraction(0))

    def _advance(self, following: Next) -> None:
        """Take the next item of the ring: what comes of it is ready then."""
        if following.missed:
            self._pictures, self._lost = None, self._lost + following.missed
        following = self._caught_up(following)
        self._number, self.behind = following.number, following.behind
        if isinstance(following.item, Break):
            self._finish(following.item)
            return
        packet = following.item
        if self._pictures is None or self._pictures.stretch is not packet.stretch:
            if not packet.key:  # of a stretch whose key frame was left out
                self._lost += not self._repair
                return
            self._pictures, self._repair = _Decoding(packet, self._trust, self._decode), False
        try:
            self._give(self._pictures, self._pictures.of(packet))
        except _Damaged:
            self._damaged += 1
            if self._since:
                said = f"{self._shown}: a picture could not be decoded; going on from the next key frame"
                self._ready.append(Break(why="damaged", said=said, time=self._end))
            self._pictures, self._repair = None, True

    def _caught_up(self, following: Next) -> Next:
        """What follows, or the newest key frame where whoever takes frames is too slow: between snippets, frames are
        left out. Where no key frame has come for long, whole snippets are decoded and left out."""
        if self._since % SNIPPET or self._discard or following.behind <= self._most_behind:
            return following
        newest = self._ring.newest_key(following.number)
        if newest is not None:
            self._pictures, self._lost = None, self._lost + newest.missed
            return newest
        if following.behind > 2 * self._most_behind:
            self._discard = SNIPPET
        return following

    def _give(self, decoding: "_Decoding", shown: Iterable[av.VideoFrame]) -> None:
        """Have pictures ready as frames; of another size than the one before, behind a break."""
        for picture in shown:
            if self._discard:
                self._discard -= 1
                self._lost += 1
                continue
            if self._lost:
                self._ready.append(self._dropping())
            if decoding.resized(picture):
                said = f"{self._shown}: pictures changed to {picture.width}x{picture.height}"
                self._ready.append(Break(why="format", said=said, time=self._end))
            frame = decoding.frame(picture, self._index)
            self._index += 1
            self._newest = frame.time, frame.duration
            self._ready.append(frame)

    def _dropping(self) -> Break:
        snippets, self._lost = -(-self._lost // SNIPPET), 0
        self.dropped += snippets
        what = "1 snippet was" if snippets == 1 else f"{snippets} snippets were"
        said = f"{self._shown}: {what} left out, because frames come faster than they are processed"
        return Break(why="dropped", said=said, time=self._end, snippets=snippets)

    def _finish(self, end: Break) -> None:
        """What is left of a stretch, and the break behind it."""
        if self._pictures is not None:
            with suppress(_Damaged):
                self._give(self._pictures, self._pictures.of(None))
        if self._lost:
            self._ready.append(self._dropping())
        self._pictures, self._discard = None, 0
        self._ready.append(end)


class _Damaged(Exception):
    """A picture cannot be decoded, or one is missing that others were made from."""


class _Trust:
    """Whether what FFmpeg says of damage is to be believed. Some cameras send pictures in pieces that it takes for
    damaged ones, each time; they would show nothing at all."""

    def __init__(self) -> None:
        self.reorder = 0
        """Pictures by which decoding was seen to be ahead of showing."""
        self.shown = 0
        """Damaged pictures that were shown."""
        self._good = self._bad = 0

    def good(self) -> None:
        """A picture came as it should."""
        self._good += 1
        if self._good >= _GOOD:
            self._bad = 0

    def bad(self) -> None:
        """A picture is damaged, or is not the one that should come.

        Raises:
            _Damaged: that is believed.
        """
        self._bad += self._good < SNIPPET
        self._good = 0
        if self._bad <= _BAD:
            raise _Damaged
        self.shown += 1


class _Decoding:
    """Pictures of a stretch, from one of its key frames on."""

    def __init__(self, key: Packet, trust: _Trust, decode: Decode):
        self.stretch, self._first = key.stretch, key.pts
        self._context = decoder(key.stretch, decode)
        self._context.reorder_depth = max(self._context.reorder_depth, trust.reorder)
        self._trust, self._waiting = trust, list[int]()
        """Timestamps of packets that no picture has come of, a heap."""
        self._pictures: Pictures | None = None
        self._form: tuple[int, int] | None = None
        self._last = key.time
        self._lasting: tuple[int, Fraction] | None = None
        """Ticks that a picture is shown, and what that is in seconds: mostly the same as of the one before."""

    def of(self, packet: Packet | None) -> Iterator[av.VideoFrame]:
        """The pictures that a packet completes; None: those that are left.

        Raises:
            _Damaged: it cannot be decoded, or another one was lost.
        """
        if packet is not None and packet.pts >= self._first:
            heapq.heappush(self._waiting, packet.pts)
        try:
            shown = self._context.decode(None if packet is None else packet_of(packet))
        except av.FFmpegError as error:
            refuse_shortage(error, "pictures of a camera")
            raise _Damaged from None
        self._trust.reorder = max(self._trust.reorder, self._context.reorder_depth)
        for picture in shown:
            if picture.pts is None or picture.pts < self._first:
                continue  # shown before the key frame, it needs pictures that came before it
            if picture.is_corrupt or self._missing(picture.pts):
                self._waiting.clear()
                self._trust.bad()
            else:
                self._trust.good()
            yield picture

    def _missing(self, pts: int) -> bool:
        """Whether no picture came of an earlier packet, where each is one: FFmpeg leaves out without a word what it
        cannot make of the others."""
        if self.stretch.codec not in _COUNTED or not self._waiting:
            return False
        return heapq.heappop(self._waiting) != pts

    def resized(self, picture: av.VideoFrame) -> bool:
        """Take a picture's size as the one that holds; whether it was another one."""
        form = (picture.width, picture.height)
        before, self._form = self._form, form
        if form != before:
            rotation, mirrored = orientation(picture)
            width, height = reversed(form) if rotation in (90, 270) else form
            self._pictures = Pictures(width, height, rotation, mirrored)
        return before is not None and before != form

    def frame(self, picture: av.VideoFrame, index: int) -> Frame:
        assert self._pictures is not None and picture.pts is not None
        if self._lasting is None or self._lasting[0] != picture.duration:
            self._lasting = picture.duration, picture.duration * self.stretch.tick or 1 / self.stretch.rate
        self._last = max(self._last, self.stretch.time(picture.pts))
        return Frame(index, self._last, self._lasting[1], picture, self._pictures)
