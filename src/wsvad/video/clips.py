"""Cut clips out of a video: copied from a key frame on where a browser plays what is copied, else encoded anew.

A clip is an MP4 of H.264, VP9 or AV1, with the sound; its comment says that it is no recording. What is copied begins
at the last key frame before the moment that was asked for, so it may begin some seconds early; what is encoded anew
begins at its frame. Where a file's own timestamps are not those of the reader (damage, a clock that begins anew, none
at all), it is decoded from its start.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.resampler import AudioResampler

from wsvad.errors import WsvadError, refuse_shortage
from wsvad.files import atomic
from wsvad.video.moments import BEFORE_START, Moments, NotSeekable
from wsvad.video.reader import VideoReader, open_container, start_of, timed_by_decoding, video_stream
from wsvad.video.results import COMMENT
from wsvad.video.writer import h264_stream, picture

PLAYED = {"h264", "vp9", "av1"}
"""Codecs that browsers play in an MP4."""
PLAYED_SOUND = {"aac", "mp3", "opus", "flac"}
_RATES = {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}
"""Samples per second that AAC has and players know."""
_PIXELS = {"yuv420p", "yuvj420p"}
"""What they play of H.264 everywhere: other samplings and ten bits need a new encoding."""
_EARLIEST = 10.0
"""Seconds that a copy may begin before the moment asked for; with key frames further apart the clip is encoded."""
_TICK = Fraction(1, 90_000)
_BACK = (0, 1, 2, 4, 8, 16)
"""Seconds before a moment at which a key frame is looked for, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """What a clip is to hold, and where it is to be written."""

    start: float
    """Seconds of the video, as `VideoReader` gives them."""
    end: float
    path: Path
    """The file to write, `.mp4`."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip that was written."""

    path: Path
    start: float
    """Second of the video at which it begins: that of its first frame."""
    copied: bool
    """Whether its pictures are the video's own; otherwise they were encoded again."""


def cut(source: Path, spans: Sequence[Span], first: float, end: float, rate: Fraction | None = None) -> list[Clip]:
    """Write a clip of each span, whole or not at all.

    Args:
        source: the video file.
        spans: each of them overlaps the video.
        first, end: seconds of the video's first frame and of its end, as they were when it was read.
        rate: the one at which it was read, which a raw stream may not say.

    Returns:
        The clips in the order of the spans.

    Raises:
        WsvadError: the video cannot be read (any more), or a clip cannot be written.
    """
    spans = [replace(span, start=max(span.start, first)) for span in spans]
    if behind := [span for span in spans if span.start >= end]:
        raise WsvadError(_too_short(source, behind[0]))
    try:
        return _cut(source, spans, first, end, rate)
    except av.FFmpegError as error:
        refuse_shortage(error, source)
        raise WsvadError(f"{source}: no clip can be made of it ({error.strerror}); convert it with FFmpeg") from None


def _cut(source: Path, spans: Sequence[Span], first: float, end: float, rate: Fraction | None) -> list[Clip]:
    made: dict[Path, Clip] = {}
    with suppress(NotSeekable), Moments(source, first, end) as moments:
        copies = _can_be_copied(source)
        for span in spans:
            clip = _copied(source, span) if copies else None
            made[span.path] = (
                clip or _encoded(source, moments.frames(span.start, span.end), [span], moments.info.rate, end)[0]
            )
    left = [span for span in spans if span.path not in made]
    if left:
        with VideoReader(source, threads=1, raw_rate=rate) as video:
            frames = ((float(frame.time), frame.array()) for frame in video)
            made |= {clip.path: clip for clip in _encoded(source, frames, left, video.info.rate, end)}
    return [made[span.path] for span in spans]


def _too_short(source: Path, span: Span) -> str:
    return f"{source}: ends before {span.start:.1f} s; it has changed since it was scored, so score it again"


def _can_be_copied(source: Path) -> bool:
    with open_container(source) as container:
        stream = video_stream(container, source)
        codec, pixels = stream.codec_context.name, stream.codec_context.pix_fmt
        plays = codec in PLAYED or codec in {"libdav1d", "libvpx-vp9"}
        return plays and pixels in _PIXELS and not timed_by_decoding(container, stream)


def _copied(source: Path, span: Span) -> Clip | None:
    """A clip of the video's own packets; None where no key frame comes shortly before it."""
    with open_container(source) as container:
        stream = video_stream(container, source)
        begin, tick = start_of(container, stream), stream.time_base or _TICK
        found = _key_before(container, stream, begin + Fraction(span.start))
        if found is None or span.start - (found[1] - begin) > _EARLIEST:
            return None
        target, key = found
        start = float(key - begin)
        with _Output(source, span, start) as output:
            made = output.container.add_stream_from_template(stream)
            output.add_sound()
            _seek(container, stream, target)
            begun, last = False, key
            for packet in container.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                shown = packet.pts * tick
                begun = begun or (packet.is_keyframe and shown == key)
                if not begun or shown < key:  # what comes before the key frame, or is shown before it, needs more
                    continue
                if packet.dts * tick - begin < span.end:
                    last = max(last, shown)
                elif packet.dts * tick >= last:
                    break
                elif shown > last:  # of those that come now, only what is shown between frames that are in
                    continue
                packet.stream = made
                packet.pts -= round(key / tick)
                packet.dts -= round(key / tick)
                output.mux(packet, float(shown - key))
        return Clip(path=span.path, start=start, copied=True)


def _key_before(
    container: av.container.InputContainer, stream: av.VideoStream, time: Fraction
) -> tuple[Fraction, Fraction] | None:
    """Where to seek to, and the last key frame from there on that is shown at or before a time: seconds by the file's
    own clock. Containers that go by the time of decoding land behind the key frame that was meant."""
    tick = stream.time_base or _TICK
    for back in _BACK:
        _seek(container, stream, time - back)
        key: Fraction | None = None
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None:  # Matroska's first ones after seeking have no time of decoding
                continue
            if packet.dts * tick > time + tick:
                break
            if packet.is_keyframe and packet.pts * tick <= time + tick:  # `time` may have been rounded
                key = packet.pts * tick
        if key is not None:
            return time - back, key
    return None


def _seek(container: av.container.InputContainer, stream: av.VideoStream, time: Fraction) -> None:
    """Go to a time by the file's own clock, or to its beginning."""
    tick = stream.time_base or _TICK
    begin = min(stream.start_time or 0, 0)
    try:
        container.seek(max(int(time // tick), begin), stream=stream, backward=True)
    except av.FFmpegError:  # there is nothing before it, as some containers see it
        container.seek(int(-BEFORE_START // tick), stream=stream, backward=True)


def _encoded(
    source: Path, frames: Iterable[tuple[float, np.ndarray]], spans: Sequence[Span], rate: Fraction, end: float
) -> list[Clip]:
    """Clips of frames that come once, in order of time; the last one is on show until `end`."""
    waiting = sorted(spans, key=lambda span: -span.start)
    open_now: list[_Encoding] = []
    made: dict[Path, Clip] = {}

    def take(shown: tuple[float, np.ndarray], until: float) -> None:
        """A frame that is on show until another one comes."""
        while waiting and waiting[-1].start < until:
            open_now.append(stack.enter_context(_Encoding(source, waiting.pop(), *shown, rate)))
        for encoding in list(open_now):
            if encoding.span.end > shown[0]:
                encoding.add(*shown)
            else:
                open_now.remove(encoding)
                made[encoding.span.path] = encoding.finish()

    with ExitStack() as stack:
        before: tuple[float, np.ndarray] | None = None
        for frame in frames:
            if before is not None:
                take(before, frame[0])
            before = frame
            if not waiting and not open_now:
                break
        if before is not None:
            take(before, end)
        made |= {encoding.span.path: encoding.finish() for encoding in open_now}
    if missing := [span for span in spans if span.path not in made]:
        raise WsvadError(_too_short(source, missing[0]))
    return [made[span.path] for span in spans]


class _Output:
    """A clip under way: its container, with the sound as far as the pictures have come."""

    def __init__(self, source: Path, span: Span, start: float):
        self.span, self.start = span, start
        self._source = source
        self._stack = ExitStack()
        self._sound: Iterator[tuple[float, av.Packet]] = iter(())
        self._next: tuple[float, av.Packet] | None = None

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(atomic(self.span.path))
        options = {"movflags": "+faststart"}
        self.container = self._stack.enter_context(av.open(str(temporary), "w", format="mp4", options=options))
        self.container.metadata["comment"] = COMMENT
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def add_sound(self) -> None:
        """Have the sound of the source too, if there is any; after the stream of pictures, before the first packet."""
        self._sound = _sound(self._source, self.container, self.start, self.span.end, self._stack)
        self._next = next(self._sound, None)
        self._stack.push(self._rest_of_sound)

    def _rest_of_sound(self, kind: type[BaseException] | None, *_: object) -> None:
        """Before the clip is closed: what fails here leaves no clip."""
        if kind is None:
            self._sound_until(float("inf"))

    def mux(self, packets: av.Packet | list[av.Packet], seconds: float) -> None:
        """Write packets of pictures, and the sound up to `seconds` of the clip before them."""
        self._sound_until(seconds)
        self.container.mux(packets)

    def _sound_until(self, seconds: float) -> None:
        while self._next is not None and self._next[0] <= seconds:
            self.container.mux(self._next[1])
            self._next = next(self._sound, None)


class _Encoding:
    """A clip that is encoded anew."""

    def __init__(self, source: Path, span: Span, start: float, image: np.ndarray, rate: Fraction):
        self.span, self._start, self._last = span, start, -1
        self._output = _Output(source, span, start)
        self._image, self._rate = image, rate
        self._clip: Clip | None = None

    def __enter__(self) -> Self:
        self._output.__enter__()
        height, width = self._image.shape[:2]
        self._stream = h264_stream(self._output.container, width, height, self._rate, time_base=_TICK)
        self._output.add_sound()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._clip is None:
            self._output.__exit__(kind, error, trace)

    def add(self, time: float, image: np.ndarray) -> None:
        tick = max(round((time - self._start) / _TICK), self._last + 1)
        self._last = tick
        self._output.mux(self._stream.encode(picture(image, tick)), float(tick * _TICK))

    def finish(self) -> Clip:
        self._output.mux(self._stream.encode(None), float(self._last * _TICK))
        self._clip = Clip(path=self.span.path, start=self._start, copied=False)
        self._output.__exit__(None, None, None)
        return self._clip


def _sound(
    source: Path, made: av.container.OutputContainer, start: float, end: float, stack: ExitStack
) -> Iterator[tuple[float, av.Packet]]:
    """Packets of the source's sound between two seconds, each with its second in the clip; none where it has none."""
    container = stack.enter_context(open_container(source))
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None or not stream.rate:
        return iter(())
    video = video_stream(container, source)
    begin = start_of(container, video) + Fraction(start)
    _seek(container, video, begin - 2)
    if stream.codec_context.name in PLAYED_SOUND:
        return _copied_sound(container, stream, made.add_stream_from_template(stream), begin, end - start)
    # A container may not say which speakers there are, and not every rate has a place in AAC.
    rate = stream.rate if stream.rate in _RATES else 48_000
    new = made.add_stream("aac", rate=rate, layout="mono" if stream.channels == 1 else "stereo")
    return _encoded_sound(container, stream, new, begin, end - start)


def _copied_sound(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    made: av.AudioStream,
    begin: Fraction,
    seconds: float,
) -> Iterator[tuple[float, av.Packet]]:
    tick, last = stream.time_base or _TICK, None
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None or packet.pts * tick < begin:
                continue
            time = packet.pts * tick - begin
            if time >= seconds:
                return
            packet.stream = made
            packet.dts += round(time / tick) - packet.pts
            packet.pts = round(time / tick)
            if last is None or packet.dts > last:  # no file takes sound whose clock goes back
                last = packet.dts
                yield float(time), packet


def _encoded_sound(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    made: av.AudioStream,
    begin: Fraction,
    seconds: float,
) -> Iterator[tuple[float, av.Packet]]:
    resampler = AudioResampler(format="fltp", layout=made.layout.name, rate=made.rate)
    encoded, last = False, Fraction(-1)
    with suppress(av.FFmpegError):
        for frame in _decoded(container, stream):
            time = None if frame.pts is None else frame.pts * (frame.time_base or _TICK) - begin
            if time is None or time < 0 or time <= last:
                continue
            last = time
            if time >= seconds:
                break
            frame.pts, frame.time_base = round(time * stream.rate), Fraction(1, stream.rate)
            for ready in resampler.resample(frame):
                encoded = True
                yield from ((float(time), packet) for packet in made.encode(ready))
    if encoded:
        yield from ((seconds, packet) for packet in made.encode(None))


def _decoded(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        with suppress(av.FFmpegError):  # the first one after seeking may be a part, others damaged
            yield from packet.decode()
