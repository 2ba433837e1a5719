"""Frames written are the frames read back: size, number, rate, content, and the same bytes each time."""

from fractions import Fraction

import av
import numpy as np
import pytest

from wsvad.errors import WsvadError
from wsvad.video.writer import write_video


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A coloured gradient with a bright square that moves with `index`."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 200 // width, y * 200 // height, np.full_like(x, 60)], axis=-1).astype(np.uint8)
    image[8:24, 2 * index : 2 * index + 16] = (230, 220, 40)
    return image


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return stream, frames, [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_frames_come_back(tmp_path, rate):
    images = [picture(index) for index in range(20)]
    write_video(tmp_path / "a.mp4", iter(images), rate, crf=10)
    stream, frames, decoded = read(tmp_path / "a.mp4")
    assert stream.average_rate == rate
    assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
    assert [frame.pts * frame.time_base for frame in frames] == [index / Fraction(rate) for index in range(20)]
    assert np.abs(np.stack(decoded).astype(int) - np.stack(images)).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_bytes_are_the_same_each_time(tmp_path):
    images, found = [picture(index) for index in range(40)], set()
    for _ in range(60):  # x264 with its defaults gives another file about once in fifty times
        write_video(tmp_path / "a.mp4", images, 25)
        found.add((tmp_path / "a.mp4").read_bytes())
    assert len(found) == 1


def test_it_starts_to_play_before_it_is_whole(tmp_path):
    write_video(tmp_path / "a.mp4", [picture(index) for index in range(5)], 25)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63), (47, 63)])
def test_odd_sizes_are_padded_with_the_last_row_and_column(tmp_path, height, width):
    write_video(tmp_path / "a.mp4", [picture(0, height, width)] * 3, 25, crf=5)
    _, _, decoded = read(tmp_path / "a.mp4")
    assert decoded[0].shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(decoded[0][:height, :width].astype(int) - picture(0, height, width)).mean() < 4
    assert np.abs(decoded[0][-1].astype(int) - decoded[0][-2]).mean() < 4


@pytest.mark.parametrize(
    ("frames", "message"),
    [([], "no frames"), ([picture(0), picture(0, 40)], "frame 1 has shape")],
)
def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path, frames, message):
    with pytest.raises(WsvadError, match=message):
        write_video(tmp_path / "a.mp4", frames, 25)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_video_is_named(tmp_path):
    with pytest.raises(WsvadError, match=r"a\.txt"):
        write_video(tmp_path / "a.txt", [picture(0)], 25)
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_middle_keeps_the_old_file(tmp_path):
    write_video(tmp_path / "a.mp4", [picture(0)], 25)
    before = (tmp_path / "a.mp4").read_bytes()

    def broken():
        yield picture(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", broken(), 25)
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
