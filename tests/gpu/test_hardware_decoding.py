"""Hardware that decodes gives the arrays of software, bit by bit."""

import numpy as np
import pytest
from clips import walkers, write_clip

from wsvad.errors import UsageError
from wsvad.video.decoding import device
from wsvad.video.reader import VideoReader


def lacking() -> str:
    try:
        device()
    except UsageError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(lacking()), reason=lacking() or "there is some")]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "options"),
    [
        ("libx264", "yuv420p", {"preset": "medium", "crf": "34", "bf": "3"}),
        ("libx264", "yuvj420p", {"preset": "medium", "crf": "34"}),
        ("libx265", "yuv420p", {"crf": "34", "x265-params": "log-level=error"}),
        ("libx265", "yuv420p10le", {"crf": "34", "x265-params": "log-level=error"}),
    ],
)
def test_frames_are_those_of_software(codec, pix_fmt, options, tmp_path):
    large = [np.kron(image, np.ones((4, 4, 1), np.uint8)) for image in walkers(1, 60)]
    path = write_clip(tmp_path / "a.mp4", large, codec=codec, pix_fmt=pix_fmt, **options)
    with VideoReader(path, threads=1) as exact, VideoReader(path, threads=1, decode="hardware") as hardware:
        assert hardware.info.hardware, "it was decoded in software"
        for one, other in zip(exact, hardware, strict=True):
            assert (one.index, one.time, one.duration) == (other.index, other.time, other.duration)
            for size in (None, (224, 224)):
                for colour in ("rgb", "gray"):
                    np.testing.assert_array_equal(other.array(size, colour), one.array(size, colour))
