"""The sound of a video file, as one voice on the clock of its pictures.

Samples are placed by their timestamps, which `times.Clock` judges as it judges those of frames: what is missing is
silence, and what a recorder leaves out is left out of the sound as well. Between two packets that follow each other the
samples are counted, because timestamps are rounded (to a millisecond in Matroska); they are followed again where they
are off by more than `LOOSE`. At no time more is held than a window needs.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeGuard

import av
import numpy as np

from wsvad.errors import refuse_shortage
from wsvad.video.reader import open_container
from wsvad.video.times import Clock, Offsets

LOOSE = Fraction(1, 50)
"""Seconds by which a timestamp may be off from the samples that were counted: less than a packet of most codecs lasts,
so that a lost one is noticed."""
MOST_CHANNELS = 8
"""Of a track; of one with more PyAV reads beyond the pointers to them."""
RATES = range(1_000, 768_001)
"""Samples per second that sound has. At another one a second becomes hours, or the filter that resamples gigabytes."""
_MAX_READ_ERRORS = 32
"""Read errors without a packet between them after which the rest of the sound is given up."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples without a gap."""

    start: int
    """Place of the first one; 0 is time 0."""
    samples: np.ndarray
    """`(n,)` float32."""


def has_sound(path: Path) -> bool:
    """Whether a file has a sound track that can be decoded."""
    with open_container(path) as container:
        return _track(container) is not None


def windows(
    path: Path,
    middles: Sequence[float],
    *,
    rate: int,
    seconds: float,
    start: Fraction = Fraction(0),
    offsets: Sequence[Fraction] = (),
) -> Iterator[np.ndarray]:
    """The sound around moments of a video, `(round(seconds · rate),)` float32 in about [-1, 1] for each: the mean of
    its channels; silence where there is none.

    Args:
        path: a video file.
        middles: seconds on the video's clock, in order.
        rate: samples per second, to which sound is resampled.
        start, offsets: of the video's clock (`VideoReader`), which the sound follows where it starts again.

    Raises:
        WsvadError: the file cannot be opened.
    """
    length = round(seconds * rate)
    with open_container(path) as container:
        track = _track(container)
        pieces = iter(()) if track is None else _placed(path, container, track, rate, start, offsets)
        held: list[_Piece] = []
        following = next(pieces, None)
        for middle in middles:
            begin = round(middle * rate - length / 2)
            held = [piece for piece in held if piece.start + len(piece.samples) > begin]
            while following is not None and following.start < begin + length:
                if following.start + len(following.samples) > begin:
                    held.append(following)
                following = next(pieces, None)
            yield _window(held, begin, length)


def _window(pieces: Iterable[_Piece], begin: int, length: int) -> np.ndarray:
    window = np.zeros(length, dtype=np.float32)
    for piece in pieces:
        first, last = max(begin, piece.start), min(begin + length, piece.start + len(piece.samples))
        if first < last:
            window[first - begin : last - begin] = piece.samples[first - piece.start : last - piece.start]
    return window


def _track(container: av.container.InputContainer) -> av.AudioStream | None:
    """The sound track that players take: the default one, else the first that can be decoded."""
    known = [track for track in container.streams.audio if track.codec_context is not None]
    tracks = [
        track
        for track in known
        if track.codec_context.layout.nb_channels <= MOST_CHANNELS
        and (not track.codec_context.sample_rate or track.codec_context.sample_rate in RATES)
    ]
    return min(tracks, key=lambda track: not track.disposition & track.disposition.default, default=None)


def _placed(
    path: Path,
    container: av.container.InputContainer,
    track: av.AudioStream,
    rate: int,
    start: Fraction,
    offsets: Sequence[Fraction],
) -> Iterator[_Piece]:
    """The sound in pieces, in the order of their beginnings."""
    frames = _decoded(path, container, track)
    first = next(frames, None)
    if first is None:
        return
    time_base = track.time_base or Fraction(1, first.sample_rate)
    stamped = ((frame, frame.pts) for frame in chain([first], frames))
    voice, own = None, Offsets(time_base)
    for moment in Clock(stamped, time_base, Fraction(first.samples, first.sample_rate)):
        own.take(moment)
        beginning = len(own.found) - 1
        moved = offsets[beginning] - own.found[beginning] if beginning < len(offsets) else 0
        frame, time = moment.item, moment.time - start + moved
        if voice is None or frame.sample_rate != voice.rate or abs(time - voice.end) > LOOSE:
            if voice is not None:
                yield from voice.finish()
            voice = _Voice(frame.sample_rate, rate, time)
        yield from voice.take(_mono(frame))
    if voice is not None:
        yield from voice.finish()


class _Voice:
    """Samples that follow each other without a gap, resampled."""

    def __init__(self, rate: int, wanted: int, time: Fraction):
        self.rate = rate
        self._begin, self._taken = time, 0
        self._place = round(time * wanted)
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=wanted) if rate != wanted else None

    @property
    def end(self) -> Fraction:
        """Seconds at which the samples end that were taken."""
        return self._begin + Fraction(self._taken, self.rate)

    def take(self, samples: np.ndarray) -> Iterator[_Piece]:
        """The next samples in, what they become out."""
        self._taken += len(samples)
        if self._resampler is None:
            yield self._piece(samples)
            return
        for begin in range(0, len(samples), self.rate):  # a second at a time, however much a packet holds
            frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + self.rate], format="flt", layout="mono")
            frame.sample_rate = self.rate
            yield from self._resampled(frame)

    def finish(self) -> Iterator[_Piece]:
        """What the filter still holds."""
        if self._resampler is not None and self._taken:
            yield from self._resampled(None)

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[_Piece]:
        assert self._resampler is not None
        yield from (self._piece(made.to_ndarray()[0].copy()) for made in self._resampler.resample(frame))

    def _piece(self, samples: np.ndarray) -> _Piece:
        piece = _Piece(self._place, samples)
        self._place += len(samples)
        return piece


def _decoded(path: Path, container: av.container.InputContainer, track: av.AudioStream) -> Iterator[av.AudioFrame]:
    """The frames of a track, as long as anything comes; what is damaged is missing."""
    errors = 0
    while errors < _MAX_READ_ERRORS:
        try:
            for packet in container.demux(track):
                errors = 0
                with suppress(av.FFmpegError):
                    yield from (frame for frame in packet.decode() if _is_sound(frame))
            return
        except IndexError:  # a packet of a stream that was not there when the file was opened
            continue
        except av.FFmpegError as error:
            refuse_shortage(error, path)
            errors += 1


def _is_sound(frame: object) -> TypeGuard[av.AudioFrame]:
    return (
        isinstance(frame, av.AudioFrame)
        and bool(frame.samples)
        and frame.sample_rate in RATES
        and 1 <= frame.layout.nb_channels <= MOST_CHANNELS
        and frame.format.name.removesuffix("p") in FULL
    )


NUMBERS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""NumPy's types of FFmpeg's forms of samples."""
FULL = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63, "flt": 1, "dbl": 1}
"""What the loudest sample is, by FFmpeg's name of their form."""


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """The mean of a frame's channels, `(n,)` float32."""
    form, channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    planar, kind = frame.format.is_planar, NUMBERS[form]
    # Not to_ndarray: it takes what follows the pointers of eight planes in memory for more planes.
    planes = [
        np.frombuffer(memoryview(plane), kind, count=frame.samples * (1 if planar else channels))
        for plane in frame.planes[: channels if planar else 1]
    ]
    samples = np.stack(planes) if planar else planes[0].reshape(-1, channels).T
    numbers = samples.astype(np.float64).mean(0)
    return ((numbers - 128 if form == "u8" else numbers) / FULL[form]).astype(np.float32)
