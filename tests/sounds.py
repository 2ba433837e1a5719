"""Tiny videos whose sound is known at every moment, and an encoder that says how loud it is."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from wsvad.encoders.encoder import Hearing

Signal = Callable[[np.ndarray], np.ndarray]
"""Seconds → the sound at that moment."""


def tones(*spans: tuple[float, float], pitch: float = 1000, loud: float = 0.5) -> Signal:
    """A tone from each start to each end, and silence elsewhere."""

    def signal(seconds: np.ndarray) -> np.ndarray:
        heard = np.any([(start <= seconds) & (seconds < end) for start, end in spans], axis=0)
        return np.where(heard, loud * np.sin(2 * np.pi * pitch * seconds), 0)

    return signal


def write_film(
    path: Path,
    signal: Signal | None,
    seconds: float = 6,
    *,
    codec: str = "aac",
    rate: int = 44_100,
    layout: str = "stereo",
    picture_rate: int = 25,
    key: int = 250,
    pictures_from: float = 0,
    sound_from: float = 0,
    missing: Sequence[tuple[float, float]] = (),
    stretched: Fraction = Fraction(1),
    draw: Callable[[int], np.ndarray] = lambda number: np.zeros((16, 16, 3), np.uint8),
) -> Path:
    """Write a video of pictures, which are black by default, with sound.

    Args:
        signal: its sound, by seconds of the file; None without a sound track.
        key: pictures from a key frame to the next.
        pictures_from, sound_from: seconds at which either begins.
        missing: spans of the sound that no packet holds.
        stretched: what timestamps of the sound are multiplied by.
        draw: a picture, by its number.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=picture_rate, options={"preset": "ultrafast", "g": f"{key}"})
        video.height, video.width = draw(0).shape[:2]
        video.pix_fmt = "yuv420p"
        video.time_base = Fraction(1, picture_rate)
        audio = container.add_stream(codec, rate=rate, layout=layout) if signal else None
        packets = list[av.Packet]()
        for number in range(round(pictures_from * picture_rate), round(seconds * picture_rate)):
            picture = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, picture_rate)
            packets += video.encode(picture)
        packets += video.encode(None)
        if audio is not None and signal is not None:
            for first in range(round(sound_from * rate), round(seconds * rate), 1024):
                moments = (first + np.arange(1024)) / rate
                if any(start <= moments[0] < end for start, end in missing):
                    continue
                packets += audio.encode(_samples(signal(moments), audio, first, rate, stretched))
            packets += audio.encode(None)
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def _samples(values: np.ndarray, audio: av.AudioStream, first: int, rate: int, stretched: Fraction) -> av.AudioFrame:
    """The same on all channels, in the numbers of the codec."""
    form, channels = audio.codec_context.format.name, audio.codec_context.layout.nb_channels
    numbers = np.repeat(values[None], channels, axis=0)
    if form.startswith("flt"):
        numbers = numbers.astype(np.float32)
    else:
        kind = np.int32 if form.startswith("s32") else np.int16
        numbers = np.rint(numbers * np.iinfo(kind).max).astype(kind)
    if not form.endswith("p"):
        numbers = numbers.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(numbers), format=form, layout=audio.codec_context.layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(first * stretched)
    return frame


class Loudness:
    """Root mean square of the sound, and of its second half."""

    name, width = "loudness", 2
    hearing = Hearing(rate=16_000, seconds=0.5)

    def encode_sound(self, waves: list[np.ndarray]) -> np.ndarray:
        return np.array([[np.sqrt((part**2).mean()) for part in (wave, wave[len(wave) // 2 :])] for wave in waves])

    def passport(self) -> dict[str, object]:
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": {}}


def loudness(signal: Signal, middle: float) -> list[float]:
    """What `Loudness` should say of sound that is known."""
    moments = middle + np.arange(-0.25, 0.25, 1e-5)
    return [float(np.sqrt((part**2).mean())) for part in (signal(moments), signal(moments[len(moments) // 2 :]))]
