"""Small pictures of a video for the page: stills at given times, and a copy of the whole that any browser plays."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from wsvad.errors import WsvadError
from wsvad.video.moments import Moments, NotSeekable
from wsvad.video.reader import Frame, VideoInfo, VideoReader
from wsvad.video.writer import write_video

COPY_WIDTH, STILL_WIDTH = 320, 240
"""Pixels; smaller videos keep their own width."""
COPY_RATE = Fraction(10)
"""Frames per second of the copy, at most."""
COPY_CRF = 30
STILL_QUALITY = 72


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What could be had; everything is empty where the file cannot be read."""

    stills: dict[float, bytes] = field(default_factory=dict)
    """JPEG at each time that was asked for."""
    copy: bytes | None = None
    """H.264 in MP4, on the clock of the scores: second 0 is the start of the file."""
    shape: tuple[int, int] | None = None
    """Width and height of the video."""


def make_preview(
    path: Path,
    times: Sequence[float],
    *,
    copy_bytes: int,
    span: tuple[float, float] | None = None,
    rate: Fraction | None = None,
) -> Preview:
    """Stills at `times` (seconds) and a copy of at most `copy_bytes` (0: none is made).

    A copy takes decoding the video once. Without one, stills are found by seeking where that is certain, which needs
    `span`: the seconds of the first frame and of the end, as they were when the video was read. `rate` is the
    one at which it was read, which a raw stream may not say.
    """
    stills = Stills(times)
    try:
        if span and not copy_bytes:
            with suppress(NotSeekable):
                return _by_seeking(path, times, span)
        with VideoReader(path, threads=1, raw_rate=rate) as video:
            shape = (video.info.width, video.info.height)
            frames = stills.watch(video, video.info)
            copy = _copy(frames, video.info) if copy_bytes else None
            for _ in frames:  # what the copy has not read
                if stills.complete:
                    break
    except WsvadError:
        return Preview()
    return Preview(
        stills=stills.images, copy=copy if copy is not None and len(copy) <= copy_bytes else None, shape=shape
    )


def _by_seeking(path: Path, times: Sequence[float], span: tuple[float, float]) -> Preview:
    with Moments(path, *span) as moments:
        size = _fit(moments.info, STILL_WIDTH)
        stills = {time: _jpeg(moments.array(time, size)) for time in sorted(set(times))}
        return Preview(stills=stills, shape=(moments.info.width, moments.info.height))


class Stills:
    """Takes a JPEG of the frame on show at each of some times, while the frames pass by."""

    def __init__(self, times: Iterable[float]):
        self._wanted = sorted(set(times), reverse=True)
        self.images: dict[float, bytes] = {}

    @property
    def complete(self) -> bool:
        return not self._wanted

    def watch(self, frames: Iterable[Frame], info: VideoInfo) -> Iterator[Frame]:
        """Pass the frames on."""
        shown: Frame | None = None
        for frame in frames:
            if shown is not None:
                self._take(shown, info, before=float(frame.time))
            shown = frame
            yield frame
        if shown is not None:
            self._take(shown, info, before=float("inf"))

    def _take(self, frame: Frame, info: VideoInfo, before: float) -> None:
        image: bytes | None = None
        while self._wanted and self._wanted[-1] < before:
            image = image or _jpeg(frame.array(_fit(info, STILL_WIDTH)))
            self.images[self._wanted.pop()] = image


def at_rate(frames: Iterable[Frame], rate: Fraction) -> Iterator[Frame]:
    """The frames on a constant clock: for k = 0, 1, …, the one on show at k / rate, to half a period.

    Frames that already come at that rate pass one to one; between others a frame is repeated or left out, so that
    what happens at second t of the file happens at second t of the result.
    """
    count = 0
    shown: Frame | None = None
    for frame in frames:
        while shown is not None and (2 * count + 1) < 2 * rate * frame.time:
            yield shown
            count += 1
        shown = frame
    while shown is not None and (2 * count + 1) <= 2 * rate * (shown.time + shown.duration):
        yield shown
        count += 1


def _copy(frames: Iterator[Frame], info: VideoInfo) -> bytes:
    rate = min(info.rate, COPY_RATE)
    size = _fit(info, COPY_WIDTH)
    images = (frame.array(size) for frame in at_rate(frames, rate))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp4"
        write_video(path, images, rate, crf=COPY_CRF)
        return path.read_bytes()


def _fit(info: VideoInfo, width: int) -> tuple[int, int]:
    """The video's size scaled down to a width (of an upright phone video: to a height), never up."""
    scale = min(1.0, width / max(info.width, info.height))
    return max(2, round(info.width * scale)), max(2, round(info.height * scale))


def _jpeg(image: np.ndarray) -> bytes:
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, STILL_QUALITY])
    return encoded[1].tobytes()
