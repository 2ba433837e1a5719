"""Videos that we drew are known by their metadata, wherever they are and whatever they are called."""

from pathlib import Path

import av
import numpy as np
import pytest
from clips import write_clip

from wsvad.video.results import COMMENT, is_result
from wsvad.video.writer import write_video

IMAGES = [np.full((16, 16, 3), 90, np.uint8)] * 3


@pytest.fixture
def drawn(tmp_path) -> Path:
    write_video(tmp_path / "a.overlay.mp4", IMAGES, 25, comment=COMMENT)
    return tmp_path / "a.overlay.mp4"


def test_a_result_stays_one_when_it_is_renamed_or_copied_into_another_file(drawn, tmp_path):
    assert is_result(drawn)
    assert is_result(drawn.rename(tmp_path / "camera.MP4"))
    for name in ("late.mp4", "apple.mov"):
        with av.open(str(tmp_path / "camera.MP4")) as source, av.open(str(tmp_path / name), "w") as target:
            target.metadata.update(source.metadata)
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        assert is_result(tmp_path / name), name


def test_nothing_else_is_one(drawn, tmp_path):
    write_video(tmp_path / "plain.mp4", IMAGES, 25)
    write_video(tmp_path / "other.mp4", IMAGES, 25, comment="a result")
    for path in (tmp_path / "plain.mp4", tmp_path / "other.mp4", write_clip(tmp_path / "a.mkv", IMAGES)):
        assert not is_result(path)
    (tmp_path / "text.mp4").write_text(COMMENT)
    assert not is_result(tmp_path / "text.mp4")
    assert not is_result(tmp_path / "nowhere.mp4")


def test_a_file_that_is_cut_off_anywhere_is_none_or_one(drawn, tmp_path):
    """And its boxes may lie: every size is tried where the header has one."""
    whole = drawn.read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / "cut.mp4").write_bytes(whole[:end])
        is_result(tmp_path / "cut.mp4")
    moov = whole.index(b"moov") - 4
    for size in (0, 1, 7, 8, 2**31, 2**32 - 1):
        (tmp_path / "lie.mp4").write_bytes(whole[:moov] + size.to_bytes(4, "big") + whole[moov + 4 :])
        assert is_result(tmp_path / "lie.mp4") == (size == 0)  # which means: all the rest
