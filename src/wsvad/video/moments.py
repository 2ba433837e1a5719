"""The frames on show at some moments of a video, found by seeking: a day is not decoded for three pictures.

Seeking is taken only where it gives the picture that decoding from the start gives. Files deceive: a clock that begins
anew in the middle, packets without timestamps, containers without an index. So both ends of the file must have the
times that they had when it was read from the start, and decoding begins at a key frame before the moment; where
anything is odd, `NotSeekable` is raised, and the caller decodes from the start.
"""

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from wsvad.errors import WsvadError
from wsvad.video.pictures import Pictures
from wsvad.video.raw import has_times
from wsvad.video.reader import info_of, open_container, start_of, timed_by_decoding, video_stream
from wsvad.video.times import Clock

Timed = tuple[Fraction, av.VideoFrame]
"""Seconds since the start of the file, and the picture that is shown from then on."""

BEFORE_START = 10
"""Seconds before the first frame that a container which goes by the time of decoding takes for its start."""


class NotSeekable(WsvadError):
    """The frame at a moment cannot be had by seeking, or not for certain."""


class Moments:
    """The frames on show at moments of a video file; cheapest in rising order.

    with Moments("camera-3.mp4", 0.0, 86_400.0) as video:
        video.array(3_600.0, (240, 180))
    """

    def __init__(self, path: Path, first: float, end: float):
        """Open a video and look at both ends.

        Args:
            path: a local file.
            first: seconds of its first frame, as `VideoReader` gives them.
            end: seconds at which its last frame ends.

        Raises:
            NotSeekable: one of them is not what seeking finds.
            WsvadError: it cannot be read.
        """
        self._first, self._end = first, end
        self._far = Fraction(1)
        """Seconds that key frames are apart, as far as was seen: what is nearer ahead is not worth seeking."""
        self._shown: Timed | None = None
        self._ahead: Timed | None = None
        self._container = open_container(path)
        try:
            self._stream = video_stream(self._container, path)
            self._stream.thread_count = 1
            self._time_base = self._stream.time_base or Fraction(1, 90_000)
            # A program stream has few timestamps, those of a recorder (DHAV) are seconds and a count of milliseconds:
            # behind the place that was sought they are completed in another way.
            few = timed_by_decoding(self._container, self._stream) or self._container.format.name in ("mpeg", "dhav")
            if few or not has_times(self._container):
                raise NotSeekable(f"{path}: has no timestamps, or few")
            self._start = start_of(self._container, self._stream)
            self._coming = self._pictures()
            start = self._next()
            if start is None or float(start[0]) != first:
                raise NotSeekable(f"{path}: does not start with a key frame at {first} s")
            self.info = info_of(path, self._stream, start[1])
            self._converted = Pictures(self.info.width, self.info.height, self.info.rotation, self.info.mirrored)
            self._check_end(path)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._coming.close()
        self._container.close()

    def array(self, time: float, size: tuple[int, int] | None = None) -> np.ndarray:
        """The frame on show at a time in seconds, as `Frame.array`; the first or the last one outside the video.

        Raises:
            NotSeekable: it is not certain which one that is.
        """
        time = max(time, self._first)
        if self._shown is None or not self._shown[0] <= Fraction(time) <= self._shown[0] + self._far:
            self._go_before(time)
        while self._ahead is not None and float(self._ahead[0]) <= time:
            self._shown, self._ahead = self._ahead, self._next()
        assert self._shown is not None  # `_go_before` has stopped before the moment
        return self._converted.array(self._shown[1], size, "rgb")

    def frames(self, start: float, end: float) -> Iterator[tuple[float, np.ndarray]]:
        """The frames that are on show from one time to another, each with the seconds at which it comes, upright RGB.

        Raises:
            NotSeekable: it is not certain which ones they are.
        """
        self._go_before(max(start, self._first))
        while self._ahead is not None and float(self._ahead[0]) < end:
            self._shown, self._ahead = self._ahead, self._next()
            if self._ahead is None or float(self._ahead[0]) > start:
                yield float(self._shown[0]), self._converted.array(self._shown[1], None, "rgb")

    def _check_end(self, path: Path) -> None:
        """Timestamps that went back anywhere, which the reader makes up for, are missing from the last one."""
        self._go_before(self._end)
        last = self._ahead
        while (following := self._next()) is not None:
            last = following
        assert last is not None
        duration = last[1].duration * self._time_base if last[1].duration else 1 / self.info.rate
        if float(last[0] + duration) != self._end:
            raise NotSeekable(f"{path}: ends at {float(last[0] + duration)} s, not at {self._end} s")

    def _go_before(self, time: float) -> None:
        """Seek to a key frame at or before a time. Containers go by the time of decoding, which is earlier than that of
        showing, and some land on any frame: so the key frame that comes next may be too late."""
        for target in self._targets(time):
            self._seek(target)
            self._shown, self._ahead = None, self._next()
            if self._ahead is not None and float(self._ahead[0]) <= time:
                self._far = max(self._far, Fraction(time) - self._ahead[0])
                return
        raise NotSeekable(f"{self._container.name}: no key frame is found before {time} s")

    def _targets(self, time: float) -> Iterator[Fraction]:
        """Where to look for a key frame before a time: ever further back, and at last before the start."""
        back, first = Fraction(0), Fraction(self._first)
        while (target := Fraction(time) - back) > first:
            yield target
            back = 2 * back or Fraction(1)
        yield from (first, first - BEFORE_START)

    def _seek(self, time: Fraction) -> None:
        self._coming.close()
        try:
            offset = int((time + self._start) // self._time_base)
            self._container.seek(offset, stream=self._stream, backward=True)
        except av.FFmpegError as error:
            raise NotSeekable(f"{self._container.name}: cannot seek ({error})") from None
        self._coming = self._pictures()

    def _next(self) -> Timed | None:
        return next(self._coming, None)

    def _pictures(self) -> Generator[Timed, None, None]:
        """Pictures from the first key frame on. Those shown before it may need frames that were not read."""
        clock = Clock(self._stamped(), self._time_base, 1 / Fraction(self._stream.average_rate or 25))
        for moment in clock:
            if not moment.kept:
                raise NotSeekable(f"{self._container.name}: timestamps are missing or wrong")
            yield moment.time - self._start, moment.item

    def _stamped(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """The same, with their timestamps."""
        key: int | None = None
        try:
            for packet in self._container.demux(self._stream):
                if key is None:
                    if not packet.is_keyframe:
                        continue
                    key = packet.pts
                if key is None or packet.is_corrupt:
                    raise NotSeekable(f"{self._container.name}: damaged, or without timestamps")
                for picture in self._stream.decode(packet):
                    if picture.pts is None or picture.is_corrupt:
                        raise NotSeekable(f"{self._container.name}: damaged, or without timestamps")
                    if picture.pts >= key:
                        yield picture, picture.pts
        except (av.FFmpegError, IndexError) as error:  # IndexError: a stream that was not there at first
            raise NotSeekable(f"{self._container.name}: damaged ({error})") from None
