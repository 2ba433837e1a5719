"""Half-copied files, which FFmpeg reads without a word, are told from whole ones by their containers' own lengths."""

from pathlib import Path

import pytest
from clips import write_clip

from wsvad.video.reader import VideoReader
from wsvad.video.whole import cut_off

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    """A whole video of each container; the index of the MP4 is in front, as in what is sent over a network."""
    folder = tmp_path_factory.mktemp("whole")
    forms = {
        "front.mp4": {"muxer": {"movflags": "faststart"}},
        "fragments.mp4": {"muxer": FRAGMENTS, "g": "10"},
        "a.avi": {},
        "a.mkv": {},
        "a.webm": {"codec": "libvpx"},
    }
    return {name: write_clip(folder / name, 60, size=(96, 64), **form) for name, form in forms.items()}


@pytest.mark.parametrize("name", ["front.mp4", "fragments.mp4", "a.avi", "a.mkv", "a.webm"])
def test_what_is_missing_is_told_by_the_containers_lengths(name, clips, tmp_path):
    content = clips[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(content)
    assert cut_off(path) is None
    path.write_bytes(content + b"\xff" * 500)  # rubbish behind the end
    assert cut_off(path) is None
    path.write_bytes(content[: -len(content) // 3])
    assert len([*VideoReader(path)]) < 60  # nothing else says so
    said = cut_off(path)
    assert said is not None and said.endswith("and the rest is not looked at")
    share = int(said.split()[3])
    assert 60 <= share <= 72 if name != "fragments.mp4" else 60 <= share <= 99  # a fragment knows of no other


def test_lengths_that_a_recorder_has_not_written_yet_say_nothing(clips, tmp_path):
    avi = bytearray(clips["a.avi"].read_bytes())
    for size in (bytes(4), b"\xff" * 4):
        avi[4:8] = size
        (tmp_path / "a.avi").write_bytes(avi[:-100])
        assert cut_off(tmp_path / "a.avi") is None
    mkv = bytearray(clips["a.mkv"].read_bytes())
    at = mkv.index(b"\x18\x53\x80\x67") + 4
    mkv[at : at + 8] = b"\x01" + b"\xff" * 7
    (tmp_path / "a.mkv").write_bytes(mkv[:-100])
    assert cut_off(tmp_path / "a.mkv") is None
    for begin in (b"", b"\x1a\x45\xdf\xa3", b"RIFF", bytes(8), b"\0\0\0\1mdat"):
        (tmp_path / "short.mp4").write_bytes(begin)
        cut_off(tmp_path / "short.mp4")  # of anything
