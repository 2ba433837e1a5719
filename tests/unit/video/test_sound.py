"""The sound of a file, sample by sample against what was written."""

import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from sounds import tones, write_film

from wsvad.video import sound
from wsvad.video.reader import VideoReader
from wsvad.video.sound import has_sound, windows

RATE = 16_000


def heard(path: Path, *middles: float, seconds: float = 0.25, rate: int = RATE) -> list[np.ndarray]:
    return list(windows(path, middles, rate=rate, seconds=seconds))


def clicks(seconds: np.ndarray) -> np.ndarray:
    """A short bump at each full second, a little later than the sample there."""
    return 0.9 * np.exp(-(((seconds - np.round(seconds)) / 0.0003) ** 2))


def places(waves: list[np.ndarray], rate: int = RATE) -> list[float]:
    """Seconds from the middle of each window to the bump in it."""
    assert all(wave.max() > 0.3 for wave in waves)
    return [(int(wave.argmax()) - len(wave) // 2) / rate for wave in waves]


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mkv", "pcm_s16le", 16_000, "mono"),
        ("a.mkv", "pcm_s16le", 44_100, "stereo"),
        ("a.mkv", "flac", 48_000, "5.1"),
        ("a.mkv", "flac", 48_000, "7.1"),
        ("a.mkv", "pcm_s24le", 22_050, "stereo"),
        ("a.mp4", "aac", 44_100, "stereo"),
        ("a.ts", "aac", 48_000, "stereo"),
        ("a.avi", "pcm_s16le", 22_050, "mono"),
        ("a.mov", "pcm_f32le", 8_000, "stereo"),
    ],
)
def test_sound_is_where_it_was_written(tmp_path: Path, name: str, codec: str, rate: int, layout: str):
    path = write_film(tmp_path / name, clicks, 4, codec=codec, rate=rate, layout=layout)
    with VideoReader(path) as video:
        first = float(next(iter(video)).time)
        begun = first if name == "a.ts" else 0.0  # there the file begins with AAC's packet before the first
        start = video.start
    waves = list(windows(path, [begun + 1, begun + 2, begun + 3], rate=RATE, seconds=0.25, start=start))
    assert max(map(abs, places(waves))) < 0.001


def test_a_recording_in_pieces(tmp_path: Path):
    """Each piece begins at its own zero, and its sound lasts a packet longer than its pictures: that adds up, unless
    the sound follows the clock of the pictures."""
    piece = write_film(tmp_path / "piece.ts", clicks, 3.5, codec="aac", rate=16_000, layout="mono").read_bytes()
    path = tmp_path / "pieces.ts"
    path.write_bytes(piece * 3)
    with VideoReader(path) as video:
        times = [float(frame.time) for frame in video]
    assert len(video.offsets) == 3
    begins = [times[0] + float(offset) for offset in video.offsets]
    assert all(min(abs(time - begin) for time in times) < 1e-9 for begin in begins)  # a picture begins each piece
    middles = [begin + second for begin in begins for second in (1, 2, 3)]

    def found(**clock) -> list[float]:
        return places(list(windows(path, middles, rate=RATE, seconds=0.9, start=video.start, **clock)))

    followed, alone = found(offsets=video.offsets), found()
    assert max(followed) - min(followed) < 0.002  # as far from the pictures as in the first piece
    assert max(alone) - min(alone) > 0.2


def test_ten_minutes_later_it_is_there_still(tmp_path: Path):
    """Timestamps of Matroska are rounded to a millisecond; between them samples are counted."""
    path = write_film(tmp_path / "a.mkv", clicks, 602, codec="pcm_s16le", rate=11_025, layout="mono", picture_rate=1)
    assert max(map(abs, places(heard(path, 1.0, 300.0, 600.0)))) < 0.001


def test_a_clock_of_its_own_is_followed(tmp_path: Path):
    """A recorder whose samples come a thousandth slower than it says: bumps of 60 seconds are at 60.06."""
    slow = Fraction(1001, 1000)
    path = write_film(
        tmp_path / "a.mkv", clicks, 62, codec="pcm_s16le", rate=8000, layout="mono", picture_rate=1, stretched=slow
    )
    (place,) = places(heard(path, 60.06))
    assert abs(place) < 0.021


def test_the_waveform_itself_comes_back(tmp_path: Path):
    signal = tones((0, 4), pitch=440)
    path = write_film(tmp_path / "a.mkv", signal, 4, codec="pcm_s16le", layout="stereo")
    (wave,) = heard(path, 2.0, seconds=1)
    moments = 1.5 + np.arange(len(wave)) / RATE
    np.testing.assert_allclose(wave, signal(moments), atol=0.02)


def test_channels_are_averaged(tmp_path: Path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        both = np.tile(np.array([8192, 0], np.int16), RATE)
        frame = av.AudioFrame.from_ndarray(both[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*audio.encode(frame), *audio.encode(None)])
    (wave,) = heard(path, 0.5)
    np.testing.assert_allclose(wave, 0.125, atol=1e-4)


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_what_is_missing_is_silence_in_its_place(tmp_path: Path, codec: str):
    path = write_film(tmp_path / "a.mkv", clicks, 9, codec=codec, missing=[(2.5, 4.5)], sound_from=0.6, layout="mono")
    waves = heard(path, 0.0, 1.0, 3.0, 4.0, 5.0, 8.0, 30.0)
    assert max(map(abs, places([waves[1], *waves[4:6]]))) < 0.001
    assert not any(wave.any() for wave in (waves[0], waves[2], waves[3], waves[6]))


def test_windows_may_overlap_and_reach_over_the_ends(tmp_path: Path):
    signal = tones((0, 2), pitch=300)
    path = write_film(tmp_path / "a.mkv", signal, 2, codec="pcm_s16le", rate=RATE, layout="mono")
    middles = np.arange(0, 2.2, 0.1)
    for middle, wave in zip(middles, heard(path, *middles, seconds=1), strict=True):
        moments = round(middle * RATE - RATE / 2) / RATE + np.arange(RATE) / RATE
        inside = (moments >= 0) & (moments < len(range(0, 2 * RATE, 1024)) * 1024 / RATE)
        np.testing.assert_allclose(wave, np.where(inside & (moments < 2), signal(moments), 0), atol=2e-4)


def test_no_more_is_held_than_a_window_needs(tmp_path: Path):
    path = write_film(tmp_path / "a.mkv", clicks, 120, codec="pcm_s16le", rate=8000, layout="mono", picture_rate=1)
    tracemalloc.start()
    for _ in windows(path, np.arange(0, 120, 0.5).tolist(), rate=RATE, seconds=1):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000  # all of it is 8 MB


@pytest.mark.parametrize("claimed", [1.0, 7.5, 2.0**31 - 1])
def test_sound_at_a_rate_that_none_has_is_none(tmp_path: Path, claimed: float):
    """A packet would last for hours, or the filter that resamples it take gigabytes."""
    path = write_film(tmp_path / "a.mkv", clicks, 2, codec="pcm_s16le", rate=8000, layout="mono")
    before, after = (b"\xb5\x88" + struct.pack(">d", rate) for rate in (8000, claimed))
    assert path.read_bytes().count(before) == 1
    path.write_bytes(path.read_bytes().replace(before, after))
    assert not has_sound(path)
    assert not any(wave.any() for wave in heard(path, 0.5, 1.0))


def test_a_packet_of_many_seconds_is_resampled_bit_by_bit():
    """At once it would take more memory than any window; the numbers are those of one second after another."""
    voice, samples = sound._Voice(1000, 100_000, Fraction(0)), np.sin(np.arange(20_000) / 10).astype(np.float32)
    pieces = [piece.samples for piece in voice.take(samples)]
    assert max(map(len, pieces)) <= 101_000
    other = sound._Voice(1000, 100_000, Fraction(0))
    parts = [piece.samples for part in np.split(samples, 40) for piece in other.take(part)]
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(parts))


def test_a_file_without_sound(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", None, 2)
    assert not has_sound(path)
    assert not any(wave.any() for wave in heard(path, 0.5, 1.0))


def test_damaged_sound_stops_nothing(tmp_path: Path):
    path = write_film(tmp_path / "a.ts", tones((0, 6)), 6)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content) // 3, len(content), 200):
        content[place] ^= 0xFF
    path.write_bytes(content)
    waves = heard(path, *np.arange(0, 6, 0.2))
    assert len(waves) == 30 and all(np.isfinite(wave).all() for wave in waves)
    assert np.abs(waves[5]).max() > 0.3


def test_a_packet_that_claims_sixteen_channels_is_missing():
    """PyAV counts planes until it meets a zero, and would read whatever the pointers behind them point to."""

    for layout, read in (("mono", True), ("7.1", True), ("hexadecagonal", False)):
        frame = av.AudioFrame(format="fltp", layout=layout, samples=4)
        frame.sample_rate = RATE
        assert sound._is_sound(frame) == read
