"""Clips of what a camera sent, copied from its packets where browsers play them; others are encoded as H.264.

A copied clip begins with the last key frame before the moment that was asked for, and its pictures are the camera's,
bit by bit. It may hold several stretches (the camera was lost and came back, and the clip stays on the last picture);
where the codec or the size changes, the clip ends. Motion JPEG and what else browsers do not play is decoded and
encoded again.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from operator import attrgetter
from pathlib import Path

import av

from wsvad.errors import WsvadError
from wsvad.files import atomic
from wsvad.video.decoding import FAST, Decode
from wsvad.video.pictures import Pictures
from wsvad.video.ring import Packet, Ring, Stretch
from wsvad.video.writer import h264_stream, picture

COPIED = {
    "h264": {"yuv420p", "yuvj420p"},
    "hevc": {"yuv420p", "yuvj420p", "yuv420p10le"},
    "av1": {"yuv420p", "yuv420p10le"},
    "vp9": {"yuv420p"},
}
"""Codecs that browsers play in an MP4, and with which pixels."""
_TICK = Fraction(1, 90_000)


@dataclass(frozen=True, kw_only=True)
class LiveClip:
    """A clip that was written."""

    path: Path
    start: Fraction
    """Seconds on the source's clock of its first picture: up to a key frame before what was asked for."""
    end: Fraction
    """At which its last picture begins."""
    pictures: int
    copied: bool
    """Whether its pictures are the camera's own; otherwise they were encoded again."""


Moment = float | Fraction
"""Seconds on the source's clock."""
LOOK = 0.5
"""Seconds after which somebody who waits for packets looks whether more are needed."""
_QUIET = 2.0
"""Seconds without a packet after which a clip whose end is known ends."""


def write_clip(ring: Ring, path: Path, start: Moment, end: Callable[[], Moment | None]) -> LiveClip:
    """Write an MP4 of what is shown between two moments, whole or not at all.

    Args:
        ring: what the camera sent, and goes on sending.
        path: the file to write, `.mp4`.
        start: seconds on the source's clock.
        end: tells the end, once it is known; until then the clip goes on.

    Raises:
        WsvadError: nothing of that time is there, or the file cannot be written.
    """
    needed = _needed(ring.since(start, LOOK), end)
    key = next(needed, None)
    if key is None:
        raise WsvadError(f"{path}: nothing is held of the time from {float(start):.1f} s on")
    copied = key.stretch.pixels in COPIED.get(key.stretch.codec, set())
    first = key.time if copied else max(key.time, Fraction(start))
    try:
        with atomic(path) as temporary, _output(temporary) as output:
            packets = chain([key], needed)
            pictures, last = _copy(packets, output) if copied else _encode(packets, output, first)
    except av.FFmpegError as error:
        raise WsvadError(f"{path}: no clip can be made of {key.stretch.codec} ({error.strerror})") from None
    return LiveClip(path=path, start=first, end=last, pictures=pictures, copied=copied)


def _output(path: Path) -> av.container.OutputContainer:
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def _needed(packets: Iterator[Packet | None], end: Callable[[], Moment | None]) -> Iterator[Packet]:
    """Those from a key frame on that are needed up to a moment, of one form."""
    key: Packet | None = None
    last, closing, quiet = Fraction(0), False, 0.0
    for packet in packets:
        until = end()
        if packet is None:
            quiet += LOOK
            if until is not None and quiet >= _QUIET:
                return
            continue
        quiet = 0.0
        if key is None or packet.stretch is not key.stretch:
            if key is not None and not packet.stretch.continues(key.stretch):
                return
            if until is not None and packet.time >= until:
                return
            if not packet.key:  # its key frame is not held any more
                continue
            key, closing = packet, False
        if packet.pts < key.pts:  # shown before the key frame: it needs what came before
            continue
        shown = packet.time  # once: exact fractions take as long as to copy the packet
        closing = closing or (until is not None and packet.stretch.time(packet.dts) >= until)
        if closing and shown > last:  # now only what is shown between pictures that are in
            if packet.stretch.time(packet.dts) >= last:
                return
            continue
        last = max(last, shown)
        yield packet


def _copy(packets: Iterator[Packet], output: av.container.OutputContainer) -> tuple[int, Fraction]:
    """Pictures that were written, and when the last one is shown."""
    first = next(packets)
    tick, count = first.stretch.tick, 0
    with parameters(first.stretch) as template:
        made = output.add_stream_from_template(template.streams.video[0], opaque=True)
        made.time_base = tick
        if first.stretch.codec == "hevc":
            made.codec_context.codec_tag = "hvc1"  # Safari plays no other
        written, end, stretch, shift = None, first.time, None, 0
        newest = first
        for packet in chain([first], packets):
            if packet.stretch is not stretch:
                stretch, end = packet.stretch, max(end, newest.time)
                shift, newest = round((packet.time - first.time) / tick) - packet.pts, packet
            newest = max(newest, packet, key=attrgetter("pts"))
            ready = packet_of(packet)
            ready.pts, ready.dts = packet.pts + shift, packet.dts + shift
            if written is not None and ready.dts <= written:  # clocks of cameras tremble, those of files must not
                ready.dts = written + 1
                ready.pts = max(ready.pts, ready.dts)
            written = ready.dts
            ready.stream = made
            output.mux(ready)
            count += 1
    return count, max(end, newest.time)


def _encode(packets: Iterator[Packet], output: av.container.OutputContainer, start: Fraction) -> tuple[int, Fraction]:
    """The same, of pictures that are encoded again."""
    first = next(packets)
    stream, size, count, last, end = None, (0, 0), 0, -1, start
    converted = Pictures(0, 0)
    for time, shown in decoded(chain([first], packets)):
        if time < start:
            continue
        if stream is None:
            size = (shown.width, shown.height)
            converted = Pictures(*size)
            rate = min(first.stretch.rate, Fraction(1000))
            stream = h264_stream(output, *size, rate, time_base=_TICK)
        if (shown.width, shown.height) != size:
            break
        last, end = max(round((time - start) / _TICK), last + 1), max(end, time)
        count += 1
        output.mux(stream.encode(picture(converted.array(shown, None, "rgb"), last)))
    if stream is None:
        raise WsvadError(f"{output.name}: no picture of that time can be decoded")
    output.mux(stream.encode(None))
    return count, end


def decoded(packets: Iterable[Packet]) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """The pictures of packets that begin with a key frame, and their seconds on the source's clock; damaged ones are
    left out."""
    stretch: Stretch | None = None
    context = None
    for packet in packets:
        if packet.stretch is not stretch or context is None:
            if context is not None and stretch is not None:
                yield from _timed(stretch, context, None)
            stretch, context = packet.stretch, decoder(packet.stretch)
        yield from _timed(stretch, context, packet_of(packet))
    if context is not None and stretch is not None:
        yield from _timed(stretch, context, None)


def _timed(
    stretch: Stretch, context: av.VideoCodecContext, packet: av.Packet | None
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    with suppress(av.FFmpegError):
        for shown in context.decode(packet):
            if shown.pts is not None and not shown.is_corrupt:
                yield stretch.time(shown.pts), shown


def packet_of(packet: Packet) -> av.Packet:
    """A packet for FFmpeg: a copy, with room behind it that decoders read."""
    made = av.Packet(len(packet.data))
    made.update(packet.data)
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.time_base = packet.stretch.tick
    made.is_keyframe = packet.key
    return made


def parameters(stretch: Stretch) -> av.container.InputContainer:
    """The stream's parameters, as a container with a stream that has them."""
    return av.open(io.BytesIO(stretch.header), "r", format="nut")


def decoder(stretch: Stretch, decode: Decode = "exact") -> av.VideoCodecContext:
    """A decoder that is ready for the first packet of a stretch. Not by hardware, which many cameras would share."""
    with parameters(stretch) as container:
        context = container.streams.video[0].codec_context
    if decode == "fast":
        context.options = dict(FAST)
    # More threads would only make each picture later, and many cameras keep all processors busy.
    context.thread_count = 1
    context.reorder_depth = max(context.reorder_depth, stretch.reorder)
    return context
