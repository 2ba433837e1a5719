"""Stretches of a video without the rest: bit by bit the frames of `VideoReader`."""

import shutil
import subprocess

import numpy as np
import pytest
from clips import walkers

from wsvad.video.packets import Irregular, frames_of, read_packets
from wsvad.video.reader import VideoReader
from wsvad.video.writer import write_video

FORMS = {
    "closed.mp4": ("libx264", "-g", "20", "-bf", "2"),
    "open.ts": ("libx264", "-g", "20", "-x264-params", "open-gop=1:bframes=3"),
    "hevc.mkv": ("libx265", "-g", "25", "-x265-params", "log-level=none"),
    "part2.mp4": ("mpeg4", "-bf", "2"),
    "nine.webm": ("libvpx-vp9", "-g", "30", "-deadline", "realtime", "-cpu-used", "8"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("packets") / "source.mp4"
    write_video(path, walkers(1, 90), 20)
    return path


def coded(source, form, folder):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = folder / form
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-c:v", *FORMS[form], path], check=True)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_wanted_frames_are_those_of_a_whole_reading(form, source, tmp_path):
    path = coded(source, form, tmp_path)
    with VideoReader(path, threads=1) as video:
        whole = [(one.index, one.time, one.duration, one.array((80, 60), "gray")) for one in video]
    packets = read_packets(path)
    assert len(packets.stamps) == len(whole)
    dice = np.random.default_rng(0)
    for _ in range(6):
        wanted = np.zeros(len(whole), bool)
        for start, length in dice.integers((0, 1), (len(whole), 25), size=(2, 2)):
            wanted[start : start + length] = True
        found = list(frames_of(path, packets, wanted))
        assert [one.index for one in found] == np.flatnonzero(wanted).tolist()
        for one in found:
            _, time, duration, picture = whole[one.index]
            assert (one.time, one.duration) == (time, duration)
            np.testing.assert_array_equal(one.array((80, 60), "gray"), picture)


def test_few_packets_are_decoded_for_a_few_frames(source, tmp_path, monkeypatch):
    from wsvad.video import packets as module

    path, decode, sent = coded(source, "closed.mp4", tmp_path), module._decoded, []
    packets = read_packets(path)
    monkeypatch.setattr(module, "_decoded", lambda stream, one, path: sent.append(one) or decode(stream, one, path))
    wanted = np.zeros(90, bool)
    wanted[45:50] = True
    assert len(list(frames_of(path, packets, wanted))) == 5
    assert len([one for one in sent if one is not None]) <= 15  # from the key frame 40, some of them out of order


def test_a_damaged_video_is_not_told_by_its_packets(source, tmp_path):
    path = coded(source, "open.ts", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :: 97] = bytes(len(content[len(content) // 2 :: 97]))
    path.write_bytes(content)
    with pytest.raises(Irregular):
        list(frames_of(path, packets := read_packets(path), np.ones(len(packets.stamps), bool)))


def test_uneven_times_are_not_told_by_packets(tmp_path):
    from clips import write_clip

    times = [*range(20), *range(60, 80)]
    with pytest.raises(Irregular, match="evenly"):
        read_packets(write_clip(tmp_path / "gap.mkv", 40, times=times))
