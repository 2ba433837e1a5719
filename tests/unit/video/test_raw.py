"""Raw streams: the same pictures at the same times as in a container, at the rate that they say or that is given."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from clips import index_of, write_clip
from raw_streams import write_dhav, write_raw

from wsvad.errors import UsageError, WsvadError
from wsvad.pages.preview import make_preview
from wsvad.video.clips import Span, cut
from wsvad.video.moments import Moments, NotSeekable
from wsvad.video.reader import VideoReader, counted_rate

RATES = [10, Fraction(25, 2), 20, 25, Fraction(30_000, 1001)]
FRAMES = 25


def read(path, rate=None):
    with VideoReader(path, threads=1, raw_rate=rate) as video:
        assert video.damaged == 0
        return video.info.rate, [(index_of(f.array()), f.time, f.duration) for f in video]


def as_in_a_container(folder, rate):
    """What a reader says of the same pictures in an MP4."""
    path = write_clip(folder / "same.mp4", FRAMES, rate=rate, bf="2", g="12", preset="medium")
    with VideoReader(path, threads=1) as video:
        return [(index_of(frame.array()), float(frame.time)) for frame in video]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", [".h264", ".hevc"])
@pytest.mark.parametrize("bf", [0, 2])
def test_a_stream_that_says_its_rate_is_read_at_it(tmp_path, suffix, rate, bf):
    path = write_raw(tmp_path / f"raw{suffix}", FRAMES, rate, bf=bf)
    said, frames = read(path)
    assert said == rate == counted_rate(path)
    assert frames == [(index, index / Fraction(rate), 1 / Fraction(rate)) for index in range(FRAMES)]
    expected = as_in_a_container(tmp_path, rate)
    assert [index for index, _, _ in frames] == [index for index, _ in expected]
    # An MP4's clock may have coarser ticks than the rate.
    assert [float(time) for _, time, _ in frames] == pytest.approx([time for _, time in expected], abs=1e-4)
    assert read(path, rate=7) == (said, frames), "a given rate is for streams that do not say theirs"


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", [".h264", ".hevc", ".m4v"])
def test_a_stream_that_does_not_say_it_is_read_at_the_given_rate(tmp_path, suffix, rate):
    path = write_raw(tmp_path / f"raw{suffix}", FRAMES, rate, timing=False)
    assert counted_rate(path) is None and counted_rate(path, rate) == rate
    with pytest.raises(WsvadError, match=r"raw\.\w+: a raw stream that does not say .* --raw-rate 25 .*FFmpeg"):
        VideoReader(path)
    said, frames = read(path, rate)
    assert said == rate
    assert frames == [(index, index / Fraction(rate), 1 / Fraction(rate)) for index in range(FRAMES)]


@pytest.mark.parametrize("rate", [0, -5, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_is_refused(tmp_path, rate):
    with pytest.raises(UsageError, match=r"rate"):
        VideoReader(write_raw(tmp_path / "raw.h264", 5, 25, timing=False), raw_rate=rate)


def test_a_rate_is_no_matter_where_a_container_has_times(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", FRAMES, rate=20)
    assert counted_rate(path, 7) is None
    assert read(path, rate=7) == read(path)


def test_content_counts_not_the_ending(tmp_path):
    path = write_raw(tmp_path / "raw.h264", FRAMES, 20)
    for name in ("recorder.mp4", "recorder.xyz", "recorder"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert read(tmp_path / name) == read(path)


def test_a_stream_that_begins_in_the_middle_loses_what_cannot_be_decoded(tmp_path):
    """Of a ring buffer: half a picture, then pictures that need one that is gone, then a key frame."""
    path = write_raw(tmp_path / "raw.h264", FRAMES, 20, bf=0)
    content = path.read_bytes()
    keys = [at for at in range(len(content)) if content.startswith(b"\0\0\1\x67", at)]
    path.write_bytes(content[keys[1] - 100 :])
    with VideoReader(path, threads=1) as video:
        assert [index_of(frame.array()) for frame in video][-10:] == list(range(15, 25))


@pytest.mark.parametrize("name", ["said.h264", "silent.h264", "said.hevc", "silent.hevc", "silent.m4v"])
def test_stills_and_clips_show_the_moment(tmp_path, name):
    """Nothing is sought in a raw stream, whose places are not known: it is decoded from its start."""
    path = write_raw(tmp_path / name, FRAMES, 20, timing=name.startswith("said"))
    rate, end = Fraction(20), FRAMES / 20
    with pytest.raises(NotSeekable):
        Moments(path, 0.0, end)
    preview = make_preview(path, [0.0, 0.32, 1.01], copy_bytes=0, span=(0.0, end), rate=rate)
    shown = {time: cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1) for time, jpeg in preview.stills.items()}
    assert {time: index_of(image) for time, image in shown.items()} == {0.0: 0, 0.32: 6, 1.01: 20}
    [clip] = cut(path, [Span(start=0.5, end=1.0, path=tmp_path / "clip.mp4")], 0.0, end, rate)
    assert clip.start == 0.5
    assert of_clip(clip.path) == (pytest.approx(np.arange(10) / 20, abs=1e-4), list(range(10, 20)))


def of_clip(path):
    """Times and indices of frames that were encoded anew, for which they became a little darker."""
    with VideoReader(path, threads=1) as video:
        frames = [(float(frame.time), index_of(frame.array() + 3)) for frame in video]
    return [time for time, _ in frames], [index for _, index in frames]


def test_a_recorders_container_has_its_own_times(tmp_path):
    """Dahua's: milliseconds by the recorder's clock, with a gap where nothing moved."""
    times = [1000 * 60 + 50 * index + 30_000 * (index >= 15) for index in range(FRAMES)]
    path = write_dhav(tmp_path / "recorder.dav", FRAMES, 20, times=times)
    said, frames = read(path)
    assert said == 20 and counted_rate(path, 7) is None
    assert [index for index, _, _ in frames] == list(range(FRAMES))
    expected = [(time - times[0]) / 1000 for time in times]
    found = [float(time) for _, time, _ in frames]
    assert found[:15] == expected[:15]
    # FFmpeg begins each second of the recorder's clock anew, so the first frame in it is a little early.
    assert found[20:] == expected[20:]
    assert [time - found[15] for time in found[15:20]] == pytest.approx([0.05 * index for index in range(5)])
    assert int(found[15]) == int(expected[15])
    assert {duration for _, _, duration in frames} == {Fraction(1, 20)}
    span = float(frames[0][1]), float(frames[-1][1] + frames[-1][2])
    with pytest.raises(NotSeekable):
        Moments(path, *span)
    [clip] = cut(path, [Span(start=found[15], end=found[20], path=tmp_path / "clip.mp4")], *span)
    assert of_clip(clip.path)[1] == list(range(15, 20))
