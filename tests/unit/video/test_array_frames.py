"""Pictures from memory are frames like those of a file."""

from fractions import Fraction

import numpy as np
import pytest
from clips import write_clip

from wsvad.errors import WsvadError
from wsvad.video.reader import Frame, VideoReader


def test_an_array_comes_back_as_it_was_to_a_rounding():
    array = np.random.default_rng(0).integers(0, 256, (24, 33, 3)).astype(np.uint8)
    frame = Frame.of_array(array, 3, Fraction(25, 2))
    assert (frame.index, frame.time, frame.duration) == (3, Fraction(6, 25), Fraction(2, 25))
    assert np.abs(frame.array().astype(int) - array).max() <= 3
    assert frame.array((10, 8)).shape == (8, 10, 3) and frame.array(colour="gray").shape == (24, 33)


def test_its_luma_is_that_of_a_video_of_it(tmp_path):
    pictures = [np.full((32, 48, 3), level, np.uint8) for level in (0, 40, 128, 255)]
    write_clip(tmp_path / "clip.mp4", pictures)
    with VideoReader(tmp_path / "clip.mp4") as reader:
        stored = [frame.array(colour="gray").mean() for frame in reader]
    ours = [Frame.of_array(picture, 0, Fraction(30)).array(colour="gray").mean() for picture in pictures]
    np.testing.assert_allclose(ours, stored, atol=1.5)
    np.testing.assert_allclose(ours, [16, 50, 126, 235], atol=1)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3))])
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(WsvadError, match=r"frame 7: an array of shape .*; pictures are \(h, w, 3\) RGB, uint8"):
        Frame.of_array(wrong, 7, Fraction(30))
