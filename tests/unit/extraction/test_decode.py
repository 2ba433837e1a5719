"""Decoded fast, an encoder that reads few frames is spared those that no other is made from, and gets the same."""

import numpy as np
import pytest
from clips import Means, overwrite, walkers, write_clip
from clips import packets as file_packets

from wsvad.extraction import encode
from wsvad.extraction.encode import Part, encode_video
from wsvad.video import packets
from wsvad.video.clock import SNIPPET

FORMS = {
    "b-frames.mp4": ("libx264", {"preset": "medium", "crf": "38", "bf": "3", "g": "24"}),
    "open.ts": ("libx264", {"preset": "medium", "crf": "38", "bf": "2", "x264-params": "open-gop=1:keyint=20"}),
    "hevc.mkv": ("libx265", {"crf": "38", "x265-params": "log-level=error:pools=1:keyint=24"}),
    "no-b-frames.mp4": ("libx264", {"preset": "medium", "crf": "38", "bf": "0"}),
    "motion.avi": ("mjpeg", {}),
}


def made(path, encoders, monkeypatch=None, **how):
    """Of each stream: rows, times, what was filmed, passport; without the shorter way where it is taken away."""
    told = []
    if monkeypatch:
        monkeypatch.setattr(encode, "_encode_few", lambda *_: None)
    stored = encode_video(path, encoders, told.append, threads=1, decode="fast", **how)
    if monkeypatch:
        monkeypatch.undo()
    assert sum(told) == next(iter(stored.values())).passport.frames
    return {name: (one.features, one.times, one.filmed, one.passport) for name, one in stored.items()}


@pytest.mark.parametrize("count", [72, 73, 80, 5])
@pytest.mark.parametrize("form", FORMS)
def test_few_frames_are_the_same_as_all(form, count, tmp_path, monkeypatch):
    codec, options = FORMS[form]
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_clip(tmp_path / form, walkers(1, count), codec=codec, pix_fmt=pix_fmt, **options)
    encoders = {"rgb": (Means(count=1),), "flow": (Means(count=4), Means())}
    few, whole = made(path, encoders), made(path, encoders, monkeypatch)
    for stream, (*arrays, passport) in whole.items():
        assert few[stream][-1] == passport
        for found, expected in zip(few[stream], arrays, strict=False):
            np.testing.assert_array_equal(found, expected)


def test_frames_that_nobody_reads_are_not_decoded(tmp_path, monkeypatch):
    path, decode, came = write_clip(tmp_path / "a.mp4", walkers(1, 160), preset="medium", bf="3"), packets._decoded, []

    def counted(*given):
        came.extend(pictures := decode(*given))
        return pictures

    monkeypatch.setattr(packets, "_decoded", counted)
    encode_video(path, {"rgb": (Means(count=1),)}, threads=1, decode="fast")
    assert 10 <= len(came) < 110
    came.clear()
    encode_video(path, {"rgb": (Means(count=SNIPPET),)}, threads=1, decode="fast")
    encode_video(path, {"rgb": (Means(count=1),)}, threads=1)
    assert not came, "all are read, or exactly"


def test_what_was_encoded_before_is_gone_on_from(tmp_path):
    path, encoders = write_clip(tmp_path / "a.mp4", walkers(1, 90), preset="medium", crf="38"), {"rgb": (Means(),)}
    whole = made(path, encoders)["rgb"][0]
    part = Part({"rgb": [*np.zeros((2, 2), np.float32)]})
    found = made(path, encoders, part=part)["rgb"][0]
    np.testing.assert_array_equal(found[:2], np.zeros((2, 2)))
    np.testing.assert_array_equal(found[2:], whole[2:])
    assert part.snippets == 6


def test_a_damaged_video_is_read_whole(tmp_path, monkeypatch):
    """Damage is found by the pictures that come, in the middle of the shorter way."""
    path = write_clip(tmp_path / "a.mp4", walkers(1, 96), preset="medium", crf="30", bf="0")
    overwrite(path, [(offset + size // 2, size // 3) for offset, size in file_packets(path)[50:52]])
    encoders, told = {"rgb": (Means(),)}, []
    found = encode_video(path, encoders, told.append, threads=1, decode="fast")["rgb"]
    assert sum(told) == 96, "frames that are read twice count once"
    monkeypatch.setattr(encode, "_encode_few", lambda *_: None)
    whole = encode_video(path, encoders, threads=1, decode="fast")["rgb"]
    np.testing.assert_array_equal(found.features, whole.features)
    assert found.passport == whole.passport


def test_a_video_whose_packets_do_not_tell_is_read_whole(tmp_path, monkeypatch):
    times = [40 * i + 400 * (i > 30) for i in range(72)]
    path = write_clip(tmp_path / "gap.mkv", walkers(1, 72), times=times, preset="medium", crf="38")
    encoders = {"rgb": (Means(count=1),)}
    few, whole = made(path, encoders), made(path, encoders, monkeypatch)
    np.testing.assert_array_equal(few["rgb"][0], whole["rgb"][0])
    np.testing.assert_array_equal(few["rgb"][2], whole["rgb"][2])
    few, whole = made(path, encoders, rate=5), made(path, encoders, monkeypatch, rate=5)
    np.testing.assert_array_equal(few["rgb"][0], whole["rgb"][0])
