"""Read a video file frame by frame: exact timestamps, upright pictures, and damage that never stops the reading.

Decoding and colour conversion are apart: a `Frame` holds the decoder's own picture and is converted, resized and
turned only when its array is asked for. A reader holds one frame at a time and so reads a video of any length.
"""

import heapq
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.stream import Disposition
from av.video.reformatter import ColorRange, Interpolation

from wsvad.errors import UsageError, WsvadError, refuse_shortage
from wsvad.files import is_file
from wsvad.storage import is_remote, place
from wsvad.video.decoding import FAST, TO_THE_BIT, Decode, checked, hardware, in_hardware
from wsvad.video.kinds import FORMATS, is_wrapped, photo, referring
from wsvad.video.pictures import Colour, Pictures, orientation
from wsvad.video.raw import counted
from wsvad.video.times import GAP, Clock, Offsets

DECODER = f"PyAV {av.__version__}"
"""Decoder and its version, as a passport records it."""

_MAX_READ_ERRORS = 32
"""Read errors without a packet between them after which the rest of a file is given up."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known of a video before it has been read to its end."""

    path: Path
    width: int
    """Of the upright picture."""
    height: int
    """Of the upright picture."""
    rate: Fraction
    """Average frame rate in 1/s; 25 where a container does not say."""
    codec: str
    rotation: int
    """Degrees (0, 90, 180, 270) by which stored pictures are turned counter-clockwise to stand upright."""
    mirrored: bool
    """Whether left and right are then exchanged."""
    declared: int | None
    """Frames according to the file's header, which may be wrong; None where it does not say."""
    hardware: bool = False
    """Whether hardware decodes it."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a container says of itself, which may be wrong."""

    container: str
    """FFmpeg's name of its format."""
    seconds: float | None
    """Its length; None where it does not say."""
    sound: str | None
    """Codec of its sound; None without one."""
    metadata: dict[str, str]
    """Tags of the container and of its pictures."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, converted when its array is asked for."""

    index: int
    """0 for the first."""
    time: Fraction
    """Seconds since the start of the file, never decreasing."""
    duration: Fraction
    """Seconds for which it is shown, as far as the file says; one over the frame rate otherwise."""
    picture: av.VideoFrame
    pictures: Pictures
    unfilmed: Fraction = Fraction(0)
    """Seconds before it in which nothing was filmed, as a recorder leaves that films when something moves."""
    own: int | None = None
    """Of a resampled video: how many of its own frames are before that time (`video.resample`)."""

    def array(self, size: tuple[int, int] | None = None, colour: Colour = "rgb") -> np.ndarray:
        """The upright picture as `(h, w, 3)` RGB or `(h, w)` luma, uint8.

        Args:
            size: width and height of the upright picture; None for the video's own. Resized (bilinear, averaging
                where it shrinks) in the same pass as the colours are converted.
            colour: "gray" is luma as the video stores it, mostly 16–235, and is not converted at all if the size
                stays.
        """
        return self.pictures.array(self.picture, size, colour)

    @classmethod
    def of_array(cls, array: np.ndarray, index: int, rate: Fraction) -> Self:
        """A picture from memory, `(h, w, 3)` uint8 RGB, as frame `index` of a source with that many frames a second.

        Raises:
            WsvadError: the array is not such a picture.
        """
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise WsvadError(
                f"frame {index}: an array of shape {array.shape}, {array.dtype}; pictures are (h, w, 3) RGB, uint8"
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        # As a video would store it, so that its luma has the range that encoders of luma know.
        exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        stored = picture.reformat(format="yuv444p", dst_color_range=ColorRange.MPEG, interpolation=exact)
        return cls(index, index / rate, 1 / rate, stored, Pictures(array.shape[1], array.shape[0]))

    @classmethod
    def of_arrays(cls, frames: "Iterable[Frame | np.ndarray]", rate: Fraction) -> "Iterator[Frame]":
        """Pictures from memory as frames; what is a frame already is passed on."""
        for index, frame in enumerate(frames):
            if isinstance(frame, np.ndarray):
                frame = cls.of_array(frame, index, rate)
            if not isinstance(frame, cls):
                raise UsageError(f"frame {index}: {type(frame).__name__}; give arrays (h, w, 3) or frames of a reader")
            yield frame


@dataclass(frozen=True)
class _Unseen:
    """A picture that was not decoded."""

    duration: int


class VideoReader:
    """The frames of a video file, in order, once.

        with VideoReader("camera-3.mp4") as video:
            for frame in video:
                frame.index, frame.time, frame.array((224, 224))

    A frame that cannot be decoded is replaced by the one before it and counted in `damaged`, so that frame numbers
    hold; frames that precede the first decodable one are left out. Once a frame has been decoded, nothing that is
    wrong with the file raises: reading ends where nothing more can be had.

    Times are `pts · time_base` exactly; of a file that starts later than zero (a transport stream), the start is
    subtracted. Of timestamps that cannot be right, `times` says what becomes of them. Where the container has none, as
    in AVI, frames are timed by the order of decoding. The frames of a raw stream, which has no container, are counted,
    at the rate that it says.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int = 0,
        raw_rate: Fraction | float | None = None,
        decode: Decode = "exact",
    ):
        """Open a video and decode its first frame.

        Args:
            path: a file, or an object in a store (`storage.place`).
            threads: decoding threads; 0 = as many as FFmpeg likes. With 1, a damaged file gives the same frames each
                time.
            raw_rate: frames per second of a raw stream that does not say it; no other file has a use for it.
            decode: `exact`, `fast` (`decoding.Decode`), or by `hardware`, where that can decode this file to the bit.

        Raises:
            UsageError: this machine has no such hardware.
            WsvadError: there is no such file, or it is empty, no video, truncated so that no frame can be had, or
                holds audio alone; a raw stream whose rate nobody says.
        """
        self._path, self.decode = (path := place(path)), decode
        self.damaged = 0
        """Frames so far that could not be decoded and were replaced by the one before."""
        self.start = Fraction(0)
        """Seconds on the file's own clock at which times are 0; known once a frame was read."""
        self.offsets: Sequence[Fraction] = ()
        """Seconds by which the file's clock was moved, of each beginning that it has; known once all was read."""
        self._broken = False
        self._container, self._stream = opened(path, decode)
        try:
            self._stream.thread_type = "AUTO"
            self._stream.thread_count = threads
            self.time_base = self._stream.time_base or Fraction(1, 90_000)
            """Seconds of one tick of its timestamps."""
            self._by_decoding = timed_by_decoding(self._container, self._stream)
            self._counted = counted(path, self._container, self._stream, raw_rate)
            """The rate at which frames are counted, whatever FFmpeg makes of their timestamps."""
            self._decoded = self._decode()
            first = next(self._decoded, None)
        except BaseException:
            self._container.close()
            raise
        if first is None:
            self._container.close()
            raise WsvadError(f"{path}: no frame of it can be decoded; it is damaged, so copy it again or leave it out")
        self._first = iter([first])
        self.info = info_of(path, self._stream, first[0], doubled=self._by_decoding, rate=self._counted)
        self.pictures = Pictures(self.info.width, self.info.height, self.info.rotation, self.info.mirrored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; frames that are held stay usable."""
        self._decoded.close()
        self._container.close()

    def header(self) -> "Header":
        """What the container says of itself."""
        sound = next((stream.codec_context for stream in self._container.streams.audio), None)
        length = self._container.duration
        return Header(
            container=self._container.format.name,
            seconds=length / av.time_base if length and length > 0 else None,
            sound=sound.name if sound else None,
            metadata=dict(self._container.metadata) | dict(self._stream.metadata),
        )

    def __iter__(self) -> Iterator[Frame]:
        return self._timed(chain(self._first, self._decoded))

    def of_stamps(self, stamps: Iterable[int], last: int) -> Iterator[Frame]:
        """Its frames without their pictures, by the timestamps of all: when each is shown.

        Args:
            last: ticks for which the last one is.
        """
        each = pairwise(chain(stamps, [None]))
        return self._timed((_Unseen(last if after is None else 0), stamp) for stamp, after in each)

    def _timed(self, stamped: Iterable[tuple[Any, int | None]]) -> Iterator[Frame]:
        period = 1 / self.info.rate
        recorded = self._container.format.name == "dhav"  # of which FFmpeg says that each lasts one tick
        start, offsets = None, Offsets(self.time_base)
        self.offsets = offsets.found
        for index, moment in enumerate(Clock(stamped, self.time_base, period)):
            if start is None:
                start = self.start = self._start(moment.time, kept=moment.kept, stamped=moment.stamp is not None)
            offsets.take(moment)
            picture = moment.item
            said = picture.duration and not (self._by_decoding or self._counted or recorded)
            duration = picture.duration * self.time_base if said else period
            yield Frame(index, moment.time - start, duration, picture, self.pictures, moment.unfilmed)

    def _start(self, first: Fraction, *, kept: bool, stamped: bool) -> Fraction:
        """Seconds at which the file starts, as it says unless that was taken from a timestamp which is not believed.

        Args:
            first: seconds of the first frame.
            kept, stamped: whether its timestamp is believed, and whether it has one.
        """
        declared = start_of(self._container, self._stream)
        if not kept:
            return first if stamped else min(first, declared)
        own = declared if self._stream.start_time is None else self._stream.start_time * self.time_base
        far = not self._broken and abs(first - own) > GAP
        return first if far or self._by_decoding else declared

    def _decode(self) -> Generator[tuple[av.VideoFrame, int | None], None, None]:
        """Pictures in presentation order with their pts, lost ones replaced.

        A lost picture raises where its packet is decoded, or is silently dropped some packets later, so losses are
        found by their timestamps, where there are any: once anything was wrong, a packet whose pts was passed over
        without a picture is a lost one. A codec with packets that show nothing (VP8) reveals itself while all is well,
        and is left alone.
        """
        waiting: list[int] = []  # pts of packets that were sent and have given no picture, a heap
        filled: set[int] = set()
        previous: av.VideoFrame | None = None
        every_packet_shows = True
        for packet in self._packets():
            stamp = None if packet is None or self._by_decoding or self._counted else packet.pts
            if packet is not None and stamp is not None and not packet.is_discard:
                heapq.heappush(waiting, stamp)
            pictures, failed = self._send(packet)
            if failed and previous is not None and packet is not None and stamp is None:
                self.damaged += 1
                yield previous, None
            for picture in pictures:
                shown = None if self._counted else picture.dts if self._by_decoding else picture.pts
                if shown in filled:  # comes late, and its place is taken
                    continue
                while shown is not None and waiting and waiting[0] <= shown:
                    pts = heapq.heappop(waiting)
                    if pts == shown or previous is None:
                        continue
                    every_packet_shows &= self._broken
                    if every_packet_shows:
                        filled.add(pts)
                        self.damaged += 1
                        yield previous, pts
                yield picture, shown
                previous = picture
        while self._broken and every_packet_shows and waiting and previous is not None:
            self.damaged += 1
            yield previous, heapq.heappop(waiting)

    def _send(self, packet: av.Packet | None) -> tuple[list[av.VideoFrame], bool]:
        """Decode one packet (None: what is left in the decoder): pictures, and whether it failed."""
        try:
            pictures = self._stream.decode(packet)
        except av.FFmpegError as error:
            refuse_shortage(error, self._path)
            self._broken = True
            return [], True
        self._broken |= (packet is not None and packet.is_corrupt) or any(picture.is_corrupt for picture in pictures)
        return pictures, False

    def _packets(self) -> Iterator[av.Packet | None]:
        """Packets of the video stream, then None; reading goes on after errors as long as anything comes."""
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:  # the last packet is empty and asks for a flush, which None does below
                        errors = 0
                        yield packet
                break
            except IndexError:  # a packet of a stream that was not there when the file was opened; it is passed over
                continue
            except av.FFmpegError as error:
                refuse_shortage(error, self._path)
                self._broken = True
                errors += 1
        yield None


def opened(path: Path, decode: Decode = "exact") -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and its pictures, to be decoded in this way.

    Raises:
        UsageError: this machine has no hardware that decodes.
        WsvadError: as `open_container` and `video_stream`; the hardware cannot be opened once more.
    """
    checked(decode)
    container = open_container(path)
    try:
        stream = video_stream(container, path)
        if decode == "hardware" and stream.codec_context.name in TO_THE_BIT:
            container.close()
            container = _by_hardware(path)
            stream = video_stream(container, path)
        elif decode == "fast":
            stream.codec_context.options = dict(FAST)
    except BaseException:
        container.close()
        raise
    return container, stream


def _by_hardware(path: Path) -> av.container.InputContainer:
    by = hardware()
    try:
        return open_container(path, by)
    except WsvadError:  # the file could be read before, and the hardware be used
        raise WsvadError(
            f"{path}: the hardware that decodes cannot be used once more; use fewer --workers, or leave --decode out"
        ) from None


def open_container(path: Path, by: HWAccel | None = None) -> av.container.InputContainer:
    """Open a file as a video, and nothing else that its name or content may ask for.

    Args:
        by: hardware that decodes it.

    Raises:
        WsvadError: there is no such file, or no video in it that can be read.
    """
    if not is_file(path):
        raise WsvadError(f"{path}: there is no such video file")
    try:
        if path.stat().st_size == 0:
            raise WsvadError(f"{path}: the file is empty (0 bytes); copy it again or leave it out")
        if form := photo(path):
            raise WsvadError(f"{path}: a photo ({form}), not a video; leave it out, or give the video")
        # "file:" and the white lists: a name or a playlist in disguise never makes FFmpeg read anything else.
        allowed = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        from_here = path.open("rb") if is_remote(path) else f"file:{path}"
        return av.open(from_here, "r", metadata_errors="replace", container_options=allowed, hwaccel=by)
    except PermissionError:
        raise WsvadError(f"{path}: no permission to read it") from None
    except (av.FFmpegError, ValueError) as error:
        refuse_shortage(error, path)
        if what := referring(path):
            raise WsvadError(
                f"{path}: {what}, which names other files or addresses and is not read; give the videos themselves"
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise WsvadError(
            f"{path}: not a video that can be read, or cut off before its index ({reason}); "
            "copy it again, or convert it with FFmpeg"
        ) from None


_STILLS = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_PICTURE_CODECS = {"mjpeg", "png", "bmp", "tiff", "webp", "jpeg2000"}


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The video stream that players show: the default one, else the first; not a cover or another still picture."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _STILLS]
    if not streams:
        held = "only audio" if container.streams.audio else "no video stream"
        raise WsvadError(f"{path}: holds {held}, no pictures; leave it out")
    stream = min(streams, key=lambda one: (_is_still(one), not one.disposition & Disposition.default))
    if stream.codec_context is None:
        raise WsvadError(f"{path}: no decoder for its video format; convert it to H.264 with FFmpeg")
    return stream


def _is_still(stream: av.VideoStream) -> bool:
    """Whether it is a picture rather than a video, where the file has both: one frame, or in a container that does not
    count them a format of pictures."""
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    return stream.frames == 1 or (not stream.frames and codec in _PICTURE_CODECS)


def start_of(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction:
    """Seconds at which the file starts: 0 unless all of its streams start later, or the video before."""
    starts = {s: s.start_time * s.time_base for s in container.streams if s.start_time is not None and s.time_base}
    if stream not in starts:
        return Fraction(0)
    return min(starts[stream], max(Fraction(0), min(starts.values())))


def timed_by_decoding(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether timestamps of pictures are FFmpeg's guess, and only those of decoding are real: AVI has no others, and
    with B-frames the guess is wrong, at every second tick of the container's clock."""
    return container.format.name == "avi" and stream.codec_context.has_b_frames


def counted_rate(path: Path, given: Fraction | float | None = None) -> Fraction | None:
    """The rate at which `VideoReader` counts the frames of a raw stream; None of another file, or where it is not
    known."""
    try:
        if not is_wrapped(path):
            with open_container(path) as container:
                return counted(path, container, video_stream(container, path), given)
    except (OSError, WsvadError):  # whoever reads it says so
        pass
    return None


def info_of(
    path: Path,
    stream: av.VideoStream,
    picture: av.VideoFrame,
    *,
    doubled: bool = False,
    rate: Fraction | None = None,
) -> VideoInfo:
    """What the stream and its first picture say; `doubled`: its average rate may be that of fields; `rate`: the one
    that holds instead."""
    rotation, mirrored = orientation(picture)
    width, height = picture.width, picture.height
    if rotation in (90, 270):
        width, height = height, width
    said = stream.average_rate or stream.guessed_rate or stream.base_rate or 25
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        rate=rate or Fraction((doubled and stream.guessed_rate) or said),
        codec=stream.codec_context.name,
        rotation=rotation,
        mirrored=mirrored,
        declared=stream.frames or None,
        hardware=in_hardware(stream),
    )
