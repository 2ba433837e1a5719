"""A video in pieces that are read apart, each from a key frame on: the pictures are those of reading it as a whole.

That holds where every frame has a timestamp of its own and nothing is damaged. So the packets are looked at first, and
each piece compares the frames that it gets with those it has to get; where they differ, or anything is in doubt, the
video has to be read as a whole.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from wsvad.errors import WsvadError, refuse_shortage
from wsvad.video.decoding import Decode
from wsvad.video.reader import Frame, VideoReader, open_container, opened, video_stream
from wsvad.video.times import Clock

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
"""Those that say of each packet when it is shown, and whether decoding may begin there."""


class Indivisible(WsvadError):
    """A video has to be read as a whole."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The frames of a video, by its packets."""

    stamps: np.ndarray
    """`(F,)` int64, the timestamp of each frame in the order in which they are shown."""
    keys: np.ndarray
    """The timestamps of key frames, in order."""
    last: int
    """Ticks for which the last frame is shown; 0 where the file does not say."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames of a video that follow each other."""

    first: int
    """The first frame."""
    end: int
    """The one after the last."""
    key: int
    """Timestamp at which decoding begins."""
    start: int
    """Timestamp of the first frame."""
    digest: str
    """SHA-256 of the timestamps of all of them."""
    last: int | None = None
    """Ticks for which the last frame of the video is shown, if it is in this piece."""


def layout_of(video: VideoReader) -> Layout | None:
    """What the packets of a video say, none of which is decoded; None where it has to be read as a whole."""
    path = video.info.path
    stamps, keys, lasts = list[int](), list[int](), dict[int, int]()
    try:
        with open_container(path) as container:
            if container.format.name not in CONTAINERS:
                return None
            for packet in container.demux(video_stream(container, path)):
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    return None
                stamps.append(packet.pts)
                lasts = {packet.pts: packet.duration or 0} if packet.pts >= max(lasts, default=packet.pts) else lasts
                if packet.is_keyframe:
                    keys.append(packet.pts)
    except (av.FFmpegError, IndexError) as error:
        refuse_shortage(error, path)
        return None
    ordered = np.sort(np.asarray(stamps, np.int64))
    if len(ordered) < 2 or not (np.diff(ordered) > 0).all():
        return None
    layout = Layout(stamps=ordered, keys=np.sort(np.asarray(keys, np.int64)), last=next(iter(lasts.values())))
    moments = Clock(((None, int(stamp)) for stamp in ordered), video.time_base, 1 / video.info.rate)
    return layout if all(moment.kept for moment in moments) else None


def divided(layout: Layout, frames: int) -> list[Piece]:
    """Pieces of so many frames, or a little more: none begins further than that from a key frame."""
    stamps, count = layout.stamps, len(layout.stamps)
    starts = [0]
    for first in range(frames, count - frames // 2, frames):
        at = int(np.searchsorted(layout.keys, stamps[first], side="right")) - 1
        if at >= 0 and np.searchsorted(stamps, layout.keys[at]) > starts[-1]:  # else it would begin with the one before
            starts.append(first)
    return [
        Piece(
            first=first,
            end=end,
            key=int(layout.keys[max(0, int(np.searchsorted(layout.keys, stamps[first], side="right")) - 1)]),
            start=int(stamps[first]),
            digest=_digest(stamps[first:end]),
            last=layout.last if end == count else None,
        )
        for first, end in zip(starts, [*starts[1:], count], strict=True)
    ]


def frames_of(video: VideoReader, piece: Piece) -> Iterator[Frame]:
    """The frames of a piece; no times are set.

    Args:
        video: the whole of it, just opened.

    Raises:
        Indivisible: they are not those that they have to be, which may be found only at the end.
    """
    path, seen, shown = video.info.path, list[int](), 0
    for picture in _decoded(path, piece, video.decode):
        stamp = picture.pts
        if stamp is None or picture.is_corrupt:
            raise Indivisible(f"{path}: a frame of it is damaged")
        if stamp < piece.start:
            continue
        seen.append(stamp)
        shown = picture.duration or 0
        yield Frame(piece.first + len(seen) - 1, video.time_base * stamp, video.time_base, picture, video.pictures)
        if len(seen) == piece.end - piece.first:
            break
    if _digest(np.asarray(seen, np.int64)) != piece.digest or (piece.last is not None and shown != piece.last):
        raise Indivisible(f"{path}: other frames than its packets promise")


def _decoded(path: Path, piece: Piece, decode: Decode) -> Iterator[av.VideoFrame]:
    """Pictures in the order in which they are shown, from the key frame on.

    Raises:
        Indivisible: something is wrong with one.
    """
    container, stream = opened(path, decode)
    with container:
        stream.thread_type, stream.thread_count = "AUTO", 1
        try:
            if piece.first:
                container.seek(piece.key, stream=stream, backward=True)
            begun = False
            for packet in container.demux(stream):
                for picture in stream.decode(packet):
                    if not begun and piece.first and not _may_begin(picture):
                        raise Indivisible(f"{path}: decoding cannot begin at its key frames")
                    begun = True
                    yield picture
        except (av.FFmpegError, IndexError) as error:
            refuse_shortage(error, path)
            raise Indivisible(f"{path}: damaged") from None


def _may_begin(picture: av.VideoFrame) -> bool:
    """Whether a picture stands alone: one of a gradual refresh is called a key frame, too."""
    return bool(picture.key_frame) and picture.pict_type == PictureType.I


def _digest(stamps: np.ndarray) -> str:
    return hashlib.sha256(stamps.astype("<i8").tobytes()).hexdigest()
