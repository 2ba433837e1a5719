"""A video by its packets: which frame each of them shows, and some stretches of frames without decoding the rest.

The file is read from its beginning to its end, because not every container can be searched; what is not wanted is
passed over undecoded. Frames are counted by timestamps, so this is for videos whose timestamps leave no doubt; of any
other `Irregular` says why, and `VideoReader` reads it.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from wsvad.errors import refuse_shortage
from wsvad.video.decoding import Decode
from wsvad.video.pictures import Pictures
from wsvad.video.reader import Frame, VideoInfo, VideoReader, open_container, opened, video_stream
from wsvad.video.times import GAP

CODECS = frozenset({"h264", "hevc", "mpeg4", "vp9", "av1", "mjpeg"})
"""Those in which each packet shows one frame."""
_NO_PICTURE: Any = None


class Irregular(Exception):
    """Frames cannot be counted by packets; the reason, as the end of a sentence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packets:
    """The packets of a video, `F` of them, one a frame."""

    info: VideoInfo
    time_base: Fraction
    start: Fraction
    """Seconds on the file's own clock at which times are 0."""
    stamps: np.ndarray
    """`(F,)` int64, the timestamp of each frame, in order."""
    sizes: np.ndarray
    """`(F,)` int32, bytes of each frame's packet."""
    shows: np.ndarray
    """`(F,)` int32, the frame that each packet shows, in the order of the file."""
    keys: np.ndarray
    """`(K,)` places in the file of packets from which decoding can begin, the first one's is 0."""

    def time(self, frame: int) -> Fraction:
        """Seconds of a frame, as `VideoReader` has it."""
        return int(self.stamps[frame]) * self.time_base - self.start

    @property
    def key_frames(self) -> np.ndarray:
        """`(K,)`, the frames that these packets show."""
        return self.shows[self.keys]


def read_packets(path: Path, on_key: Callable[[av.VideoFrame, Pictures], None] | None = None) -> Packets:
    """Read all packets, and decode those from which decoding can begin, if somebody wants to see them.

    Args:
        on_key: called with each such frame, in order.

    Raises:
        Irregular: timestamps are missing, doubled or uneven, or packets are damaged.
        WsvadError: as `VideoReader`.
    """
    with VideoReader(path, threads=1) as video:
        info, first = video.info, next(iter(video))
        start, pictures = video.start, first.pictures
    stamps, sizes, keys = array("q"), array("q"), list[int]()  # a day has millions
    with open_container(path) as container:
        stream = video_stream(container, path)
        _one_thread(stream)
        if info.codec not in CODECS or stream.time_base is None:
            raise Irregular(f"of its codec, {info.codec}")
        for packet in _whole(container, stream, path):
            if packet.pts is None or packet.is_discard:
                raise Irregular("some of its frames have no time, or are not shown")
            if packet.is_keyframe:
                keys.append(len(stamps))
            if packet.is_keyframe and on_key is not None:
                for picture in _decoded(stream, packet, path):
                    on_key(picture, pictures)
            stamps.append(packet.pts)
            sizes.append(packet.size)
        if on_key is not None:
            for picture in _decoded(stream, None, path):
                on_key(picture, pictures)
        time_base = stream.time_base
    return _in_order(info, time_base, start, stamps, sizes, keys)


def _in_order(
    info: VideoInfo, time_base: Fraction, start: Fraction, stamps: "array[int]", sizes: "array[int]", keys: list[int]
) -> Packets:
    given = np.array(stamps, np.int64)
    order = np.argsort(given, kind="stable")
    steps = np.diff(given[order])
    if not keys or keys[0] != 0:
        raise Irregular("it does not begin with a key frame")
    if len(steps) and (steps.min() <= 0 or steps.max() > min(2 * np.median(steps), GAP / time_base)):
        raise Irregular("its frames are not evenly timed")
    shows = np.empty(len(order), np.int32)
    shows[order] = np.arange(len(order), dtype=np.int32)
    return Packets(
        info=info, time_base=time_base, start=start, stamps=given[order], sizes=np.array(sizes, np.int32)[order],
        shows=shows, keys=np.array(keys),
    )  # fmt: skip


def frames_of(path: Path, packets: Packets, wanted: np.ndarray, decode: Decode = "exact") -> Iterator[Frame]:
    """The wanted frames, in order, bit by bit as `VideoReader` has them.

    Args:
        wanted: `(F,)` bool.
        decode: as `VideoReader`; `fast` passes over what is not wanted where no other frame is made from it.

    Raises:
        Irregular: the video is not what its packets said: one of the frames does not come, or is damaged.
        WsvadError: the file cannot be read any more.
    """
    sent = _sent(packets, wanted)
    coming = iter(np.flatnonzero(wanted).tolist())
    container, stream = opened(path, decode)
    with container:
        _one_thread(stream)
        pictures = Pictures(packets.info.width, packets.info.height, packets.info.rotation, packets.info.mirrored)

        def shown(some: list[av.VideoFrame]) -> Iterator[Frame]:
            for picture in some:
                frame = int(np.searchsorted(packets.stamps, picture.pts or 0))
                if frame == len(wanted) or packets.stamps[frame] != picture.pts or picture.is_corrupt:
                    raise Irregular("a frame of it is damaged")
                if wanted[frame]:
                    if frame != next(coming, None):
                        raise Irregular("a frame of it cannot be decoded")
                    yield Frame(frame, packets.time(frame), _duration(picture, packets), picture, pictures)

        before = False
        for place, packet in enumerate(_whole(container, stream, path)):
            if place >= len(sent) or packets.stamps[packets.shows[place]] != packet.pts:
                raise Irregular("it has changed while it was read")
            if before and not sent[place]:
                yield from shown(_decoded(stream, None, path))
                stream.codec_context.flush_buffers()
            if sent[place]:
                spared = decode == "fast" and not wanted[packets.shows[place]]
                stream.codec_context.skip_frame = "NONREF" if spared else "DEFAULT"
                yield from shown(_decoded(stream, packet, path))
            before = bool(sent[place])
        yield from shown(_decoded(stream, None, path))
    if next(coming, None) is not None:
        raise Irregular("a frame of it cannot be decoded")


def all_of(path: Path, packets: Packets, asked: np.ndarray, decode: Decode) -> Iterator[Frame]:
    """All frames in order with their times, of which those that are not asked for have no picture.

    Args:
        asked: `(F,)` bool.

    Raises:
        Irregular, WsvadError: as `frames_of`.
    """
    wanted = asked.copy()
    wanted[-1] = True  # which says how long it is shown
    index, pictures = 0, Pictures(packets.info.width, packets.info.height)
    for frame in frames_of(path, packets, wanted, decode):
        for passed in range(index, frame.index):
            yield Frame(passed, packets.time(passed), 1 / packets.info.rate, _NO_PICTURE, pictures)
        yield frame
        index = frame.index + 1


def _sent(packets: Packets, wanted: np.ndarray) -> np.ndarray:
    """`(F,)`, whether each packet is decoded: all from the key frame before a wanted frame to that frame."""
    in_file = wanted[packets.shows]
    sent = np.zeros(len(in_file), bool)
    edges = [*packets.keys.tolist(), len(in_file)]
    for group in range(len(edges) - 1):
        here = slice(edges[group], edges[group + 1])
        if not in_file[here].any():
            continue
        last = edges[group] + int(np.flatnonzero(in_file[here])[-1])
        sent[edges[group] : last + 1] = True
        leading = packets.shows[here][in_file[here]] < packets.shows[edges[group]]
        if leading.any() and group:  # shown before their key frame, they look back on the frames before it
            sent[edges[group - 1] : edges[group]] = True
    return sent


def _duration(picture: av.VideoFrame, packets: Packets) -> Fraction:
    return picture.duration * packets.time_base if picture.duration else 1 / packets.info.rate


def _one_thread(stream: av.VideoStream) -> None:
    """So that pictures come out as soon as they can, and in the same way each time."""
    stream.thread_type = "NONE"
    stream.thread_count = 1


def _whole(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> Iterator[av.Packet]:
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise Irregular("a part of it is damaged")
            if packet.size:
                yield packet
    except (av.FFmpegError, IndexError) as error:
        refuse_shortage(error, path)
        raise Irregular("a part of it cannot be read") from None


def _decoded(stream: av.VideoStream, packet: av.Packet | None, path: Path) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError as error:
        refuse_shortage(error, path)
        raise Irregular("a frame of it cannot be decoded") from None
