"""Frames of a camera while it films, for months: the source never ends because something failed, memory is bounded,
and whoever is too slow loses whole snippets, never frames inside one.

What comes is decoded by whoever takes it, from a ring of the last packets (`video.ring`); so nothing that is decoded
waits anywhere, and the same packets make the clips.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from wsvad.video.address import Source
from wsvad.video.connection import Connection, Patience
from wsvad.video.decoding import Decode
from wsvad.video.live_clips import LiveClip, write_clip
from wsvad.video.reader import Frame
from wsvad.video.ring import Break, Ring
from wsvad.video.ring_frames import RingFrames

BEHIND = 2.0
"""Seconds that whoever takes frames may be behind the camera before snippets are dropped."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a source is doing."""

    state: str
    """`connecting`, `live`, `waiting` (until it tries again) or `ended`."""
    said: str
    """What is wrong, in a line; empty while all is well."""
    codec: str | None
    width: int | None
    height: int | None
    rate: float | None
    """Pictures per second, by their timestamps."""
    key_seconds: float | None
    """Between key frames."""
    drift: float | None
    """Seconds by which the camera's clock falls behind in a second; 0.16 where it says 25 pictures and sends 21."""
    age: float | None
    """Seconds since the last packet came; None before the first."""
    behind: float
    """Seconds that whoever takes frames is behind."""
    packets: int
    frames: int
    """That were given."""
    dropped: int
    """Snippets of 16 frames that were left out because nobody took them in time."""
    damaged: int
    """Times that a picture could not be decoded."""
    attempts: int
    connections: int
    stalls: int
    """Times that it was connected and sent nothing."""
    replaced: int
    """Times that reading did not come back, or failed altogether, and its process was replaced."""
    leaps: int
    """Times that its timestamps leapt."""
    held_seconds: float
    held_bytes: int
    """Of packets, for clips."""


class LiveSource:
    """The frames of one camera, and the breaks between them.

        with LiveSource(Source(address="rtsp://gate/1")) as source:
            for item in source:
                if isinstance(item, Break):
                    scorer.reset()
                else:
                    scorer.push(item)

    Times of frames are exact seconds since the source was made: within a stretch those of the camera's own clock, and
    each stretch begins when its first picture came. `wall` says when that was.
    """

    def __init__(
        self,
        source: Source,
        *,
        patience: Patience | None = None,
        seconds: float = 60.0,
        most_bytes: int = 2**26,
        behind: float = BEHIND,
        decode: Decode = "exact",
    ):
        """Connect, in the background; that it fails is no error, see `health`.

        Args:
            source: where it is.
            patience: how long to wait for it.
            seconds, most_bytes: how much is kept for clips, whichever is less.
            behind: seconds that whoever takes frames may be behind.
            decode: `exact` or `fast` (`decoding.Decode`).
        """
        self.source = source
        self._ring = Ring(seconds, most_bytes, lossless=source.lossless)
        self._closed = False
        self._frames = RingFrames(self._ring, source.shown, float("inf") if source.lossless else behind, decode)
        self._connection = Connection(source, self._ring, patience or Patience())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect: no frame is given any more. What is held for clips stays."""
        self._closed = True
        self._connection.close()

    def __iter__(self) -> Iterator[Frame | Break]:
        while (item := self.take()) is not None:
            yield item

    def take(self, timeout: float | None = None) -> Frame | Break | None:
        """The next frame or break; None where none comes within some seconds, or ever (see `ended`)."""
        return None if self._closed else self._frames.take(timeout)

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more: a file was read to its end, or the source was closed."""
        return self._closed or self._frames.ended

    def clip(
        self, path: Path | str, start: float | Fraction, end: float | Fraction | Callable[[], float | Fraction | None]
    ) -> LiveClip:
        """Write an MP4 of what was shown between two moments, as far as it is held. It begins up to a key frame
        earlier, and ends where codec or size change. Where the end is still to come, this waits for it, in the thread
        that calls it: of what lasts longer than is held, a clip is begun while it lasts.

        Args:
            path: the file to write, `.mp4`.
            start: seconds, as frames have them.
            end: the same; or what tells it, and gives None as long as it is not known.

        Raises:
            WsvadError: nothing of that time is held, or the file cannot be written.
        """
        return write_clip(self._ring, Path(path), start, end if callable(end) else lambda: end)

    def wall(self, time_: float | Fraction) -> float:
        """When a moment of the source's clock was, in seconds since 1970: by when its packets came, as the system's
        clock was then."""
        return self._connection.stretches.anchors.wall(float(time_))

    @property
    def reader(self) -> int | None:
        """The number of the process that reads; None between two of them."""
        return self._connection.reader

    @property
    def unread(self) -> int:
        """Packets that came and were not taken yet."""
        return self._ring.unread

    @property
    def said(self) -> str:
        """What is wrong, in a line; empty while all is well."""
        return self._connection.said

    @property
    def health(self) -> Health:
        """How it is doing."""
        connection, stretches = self._connection, self._connection.stretches
        last, form, period = connection.last, stretches.now, stretches.period
        seconds, held = self._ring.held
        return Health(
            state=connection.state,
            said=connection.said,
            codec=form.codec if form else None,
            width=form.width if form else None,
            height=form.height if form else None,
            rate=float(1 / period) if period else None,
            key_seconds=stretches.key_seconds,
            drift=stretches.anchors.drift,
            age=None if last is None else time.monotonic() - last,
            behind=self._frames.behind,
            packets=connection.packets,
            frames=self._frames.taken,
            dropped=self._frames.dropped,
            damaged=self._frames.damaged,
            attempts=connection.attempts,
            connections=connection.connections,
            stalls=connection.stalls,
            replaced=connection.replaced,
            leaps=stretches.leaps,
            held_seconds=seconds,
            held_bytes=held,
        )
