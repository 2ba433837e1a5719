"""Clips of what a camera sent: its own pictures, bit by bit, as far as browsers play them."""

import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from packets import Camera, Filmed, pictures

from wsvad.errors import WsvadError
from wsvad.video.live_clips import LiveClip, decoded, write_clip
from wsvad.video.reader import VideoReader
from wsvad.video.ring import Break

CODECS = {"h264": "libx264", "b-frames": "libx264-b", "hevc": "libx265", "av1": "libsvtav1"}


def clipped(camera: Camera, path: Path, start: float | Fraction, end: float | Fraction) -> LiveClip:
    """A clip of what has come."""
    camera.ring.close()
    return write_clip(camera.ring, path, start, lambda: end)


def lumas(path) -> list[np.ndarray]:
    with VideoReader(path) as video:
        return [frame.picture.to_ndarray(format="gray") for frame in video]


def faststart(path) -> bool:
    content = path.read_bytes()
    return content.index(b"moov") < content.index(b"mdat")


@pytest.fixture(scope="module")
def films() -> dict[str, Filmed]:
    return {name: Filmed(pictures(60), codec, gop=15) for name, codec in CODECS.items()}


def sent(filmed: Filmed) -> Camera:
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed)
    return camera


@pytest.mark.parametrize("name", CODECS)
def test_a_clip_has_the_pictures_of_the_camera(name, films, tmp_path):
    camera = sent(films[name])
    packets = camera.ring.packets()
    begin = packets[0].stretch.start
    clip = clipped(camera, tmp_path / "a.mp4", begin + 1, begin + 2)
    assert clip.copied and faststart(clip.path) and clip.start <= begin + 1 < begin + 2 - Fraction(1, 25) <= clip.end
    source = {time: shown.to_ndarray(format="gray") for time, shown in decoded(packets)}
    with VideoReader(clip.path) as video:
        times = [clip.start + frame.time for frame in video]
    assert times == [time for time in sorted(source) if clip.start <= time <= clip.end], "none is missing, none moved"
    for moment, luma in zip(times, lumas(clip.path), strict=True):
        np.testing.assert_array_equal(luma, source[moment])
    with av.open(str(clip.path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == {"hevc": "hvc1", "av1": "av01"}.get(name, "avc1")


@pytest.mark.parametrize("name", ["h264", "b-frames"])
def test_a_clip_of_all_is_all(name, films, tmp_path):
    camera = sent(films[name])
    packets = camera.ring.packets()
    clip = clipped(camera, tmp_path / "a.mp4", 0, 100)
    assert clip.pictures == 60 == len(lumas(clip.path)) and clip.start == packets[0].stretch.start
    for ours, theirs in zip(lumas(clip.path), films[name].decoded(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_it_begins_at_a_key_frame_that_is_held(films, tmp_path):
    camera = Camera(seconds=1.5)
    camera.connect(films["h264"])
    camera.sent(films["h264"])
    packets = camera.ring.packets()
    clip = clipped(camera, tmp_path / "a.mp4", 0, 100)
    first_key = next(packet for packet in packets if packet.key)
    assert clip.start == first_key.time and clip.pictures == len(packets) - packets.index(first_key)
    np.testing.assert_array_equal(lumas(clip.path)[0], films["h264"].decoded()[30])


def test_a_lost_connection_is_in_the_clip_and_another_size_ends_it(films, tmp_path):
    other = Filmed(pictures(20, (96, 64)))
    camera = sent(films["h264"])
    camera.stretches.end("connection", "gone")
    camera.now += 7
    camera.connect(films["h264"])
    camera.sent(films["h264"], 0, 30)
    camera.stretches.form(other.form)
    camera.sent(other)
    packets = camera.ring.packets()
    clip = clipped(camera, tmp_path / "a.mp4", 0, 100)
    source = [shown.to_ndarray(format="gray") for _, shown in decoded(packets[:90])]
    assert clip.pictures == 90 and clip.end == packets[89].time
    for ours, theirs in zip(lumas(clip.path), source, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with VideoReader(clip.path) as video:
        times = [frame.time for frame in video]
    # Within a thousandth: where a stretch begins, its arrival is rounded to the camera's clock.
    assert float(times[60] - times[59]) == pytest.approx(7 + 1 / 25, abs=2e-3)


@pytest.mark.parametrize(("codec", "pixels"), [("mjpeg", "yuvj420p"), ("libx264", "yuv444p"), ("rawvideo", "yuyv422")])
def test_what_browsers_do_not_play_is_encoded_again(codec, pixels, tmp_path):
    filmed = Filmed(pictures(30), codec, pixels=pixels)
    camera = sent(filmed)
    packets = camera.ring.packets()
    begin = packets[0].time
    clip = clipped(camera, tmp_path / "a.mp4", begin + Fraction(10, 25), begin + 100)
    assert not clip.copied and clip.start == begin + Fraction(10, 25) and clip.pictures == 20
    with VideoReader(clip.path) as video:
        assert video.info.codec == "h264"
        shown = [(frame.time, frame.array(None, "gray")) for frame in video]
    assert [time for time, _ in shown] == [Fraction(i, 25) for i in range(20)]
    source = [frame.reformat(format="gray").to_ndarray() for _, frame in decoded(packets)][10:]
    assert faststart(clip.path) and len(source) == 20
    near = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for (_, a), b in zip(shown, source, strict=True)]
    assert min(near) > 0.97


def test_nothing_is_written_where_nothing_is_held(films, tmp_path):
    nothing, something = Camera(), sent(films["h264"])
    cut = Camera(seconds=0.3)
    cut.connect(films["h264"])
    cut.sent(films["h264"], 0, 29)  # the key frame of what is held is gone
    for camera, start, end in ((nothing, 0, 9), (something, -9, -5), (cut, 0, 9)):
        with pytest.raises(WsvadError, match=r"a.mp4: nothing is held of the time from"):
            clipped(camera, tmp_path / "a.mp4", start, end)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WsvadError):
        clipped(something, tmp_path / "file" / "a.mp4", 0, 9)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_clip_of_what_lasts_longer_than_is_held_is_written_while_it_lasts(films, tmp_path):
    """The ring holds a second; the clip has six, through a lost connection."""
    camera, told, seen, sent = Camera(seconds=1), [], [], 0
    filmed = films["b-frames"]

    def end() -> Fraction | None:
        seen.append(None)
        return told[0] if told else None

    with ThreadPoolExecutor(1) as pool:
        camera.connect(filmed)
        camera.sent(filmed, 0, 1)
        clip = pool.submit(write_clip, camera.ring, tmp_path / "a.mp4", 0.1, end)
        for round_ in range(3):
            for _ in camera.send(filmed, 0 if round_ else 1):
                sent += 1
                while len(seen) < sent and not clip.done():
                    time.sleep(0.0005)
            camera.stretches.end("connection", "gone")
        assert not clip.done()
        told.append(camera.ring.packets()[-5].time)
        camera.ring.close()
        made = clip.result(60)
    assert made.pictures == len(lumas(made.path)) and 170 <= made.pictures <= 180
    expected = (filmed.decoded() * 3)[: made.pictures]
    for ours, theirs in zip(lumas(made.path), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_clip_of_what_ends_with_a_lost_connection_has_nothing_from_behind_it(films, tmp_path):
    """That it ends there is known when the one who reads frames has come to the break, and packets come meanwhile."""
    camera, told = sent(films["h264"]), []
    last = camera.ring.packets()[-1].time
    camera.stretches.end("connection", "gone")
    camera.now += 24
    camera.connect(films["h264"])
    with ThreadPoolExecutor(1) as pool:
        for number in range(-1, 59):
            camera.ring.after(number, 0)
        clip = pool.submit(write_clip, camera.ring, tmp_path / "a.mp4", 0, lambda: told[0] if told else None)
        camera.sent(films["h264"], 0, 30)
        time.sleep(0.3)
        assert isinstance(camera.ring.after(59, 0).item, Break)
        told.append(last + 5)
        camera.ring.after(60, 0)
        camera.sent(films["h264"], 30, 60)
        made = clip.result(20)
    assert (made.pictures, made.end) == (60, last)


def test_clocks_that_tremble_make_a_clip_all_the_same(films, tmp_path):
    camera = Camera()
    camera.connect(films["h264"])
    for start in range(0, 40, 4):
        camera.sent(films["h264"], start, start + 4, ahead=-0.1 * (start % 8 > 0))
    clip = clipped(camera, tmp_path / "a.mp4", 0, 100)
    assert clip.pictures == 40
    for ours, theirs in zip(lumas(clip.path), films["h264"].decoded()[:40], strict=True):
        np.testing.assert_array_equal(ours, theirs)
