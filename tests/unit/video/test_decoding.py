"""Ways to decode: without the loop filter as ffmpeg itself, on the same clock; by hardware the same arrays."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from av.video.reformatter import ColorRange, Colorspace
from clips import walkers, write_clip
from packets import Camera, Filmed

from wsvad.errors import UsageError, WsvadError
from wsvad.video import decoding, reader
from wsvad.video.packets import frames_of, read_packets
from wsvad.video.pieces import divided, layout_of
from wsvad.video.pieces import frames_of as frames_of_piece
from wsvad.video.reader import VideoReader
from wsvad.video.ring_frames import RingFrames

FORMS = {
    "b-frames.mp4": ("libx264", {"preset": "medium", "crf": "38", "bf": "3", "g": "24"}),
    "open.ts": ("libx264", {"preset": "medium", "crf": "38", "bf": "2", "g": "20", "x264-params": "open-gop=1"}),
    "hevc.mkv": ("libx265", {"crf": "38", "x265-params": "log-level=error:pools=1:keyint=24"}),
}


@pytest.fixture(scope="module", params=FORMS)
def video(request, tmp_path_factory):
    """At few bits, so that the loop filter has something to do."""
    codec, options = FORMS[request.param]
    return write_clip(tmp_path_factory.mktemp("decode") / request.param, walkers(1, 72), codec=codec, **options)


def planes(picture: av.VideoFrame) -> np.ndarray:
    return picture.to_ndarray(format="yuv420p")


def read(path, decode="exact"):
    with VideoReader(path, threads=1, decode=decode) as video:
        return list(video)


def by_ffmpeg(path, *options: str) -> np.ndarray:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", *options, "-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 72 * 3 // 2, 96)


def test_fast_pictures_are_those_of_ffmpeg_without_its_loop_filter(video):
    found = np.stack([planes(frame.picture) for frame in read(video, "fast")])
    np.testing.assert_array_equal(found, by_ffmpeg(video, "-skip_loop_filter", "all"))
    exact = by_ffmpeg(video)
    assert (found != exact).mean() > 0.01
    np.testing.assert_array_equal(np.stack([planes(frame.picture) for frame in read(video)]), exact)


def test_fast_changes_no_clock(video):
    exact, fast = read(video), read(video, "fast")
    assert len(exact) == 72
    assert [(one.index, one.time, one.duration) for one in fast] == [
        (one.index, one.time, one.duration) for one in exact
    ]


def test_parts_of_a_video_are_decoded_as_the_whole(video):
    whole, packets = [one.array((40, 30)) for one in read(video, "fast")], read_packets(video)
    found, dice = [], np.random.default_rng(0)
    for share in (0.05, 0.3, 0.9):
        wanted = dice.random(72) < share
        found += (some := list(frames_of(video, packets, wanted, "fast")))
        assert [one.index for one in some] == np.flatnonzero(wanted).tolist()
    before = len(found)
    with VideoReader(video, threads=1, decode="fast") as opened:
        if layout := layout_of(opened):
            found += [frame for piece in divided(layout, 24) for frame in frames_of_piece(opened, piece)]
            assert len(found) == before + 72
    for one in found:
        np.testing.assert_array_equal(one.array((40, 30)), whole[one.index])


def test_a_camera_is_decoded_as_a_file():
    filmed = Filmed(walkers(1, 60), gop=15, options={"preset": "medium", "crf": "38", "bf": "2"})
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed)
    camera.stretches.end("connection", "gone")
    frames = RingFrames(camera.ring, "rtsp://camera/1", 1e9, "fast")
    *shown, _ = iter(lambda: frames.take(0), None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata, decoder.options = filmed.extradata, {"skip_loop_filter": "all"}
    expected = [picture for *_, data in filmed.packets for picture in decoder.decode(av.Packet(data))]
    expected += decoder.decode(None)
    assert [frame.time - shown[0].time for frame in shown] == [Fraction(i, 25) for i in range(60)]
    for frame, picture in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(planes(frame.picture), planes(picture))
    changed = [
        np.abs(a.astype(int) - planes(b.picture)[:72]).max() for a, b in zip(filmed.decoded(), shown, strict=True)
    ]
    assert max(changed) > 2, "the loop filter has something to do"


@pytest.mark.parametrize("decode", ["quick", "", "FAST", "gpu"])
def test_another_word_is_refused_by_name(tmp_path, decode):
    path = write_clip(tmp_path / "a.mp4", 3)
    with pytest.raises(UsageError, match=f"--decode {decode}: one of exact, fast, hardware"):
        VideoReader(path, decode=decode)


@pytest.fixture
def no_device():
    decoding.device.cache_clear()
    yield
    decoding.device.cache_clear()


@pytest.mark.parametrize("devices", [(), ("drm",), ("cuda",)])
def test_a_machine_without_hardware_says_so_in_a_line(devices, tmp_path, monkeypatch, no_device):
    """FFmpeg knows `drm`, and no decoder that uses it; `cuda` is looked for, and refuses."""
    monkeypatch.setattr(decoding, "DEVICES", devices)
    if "cuda" in devices:
        monkeypatch.setattr("av.codec.hwaccel.HWAccel", _refuses)
    path = write_clip(tmp_path / "a.mp4", 3)
    with pytest.raises(UsageError, match=r"^--decode hardware: this machine has no hardware that decodes") as error:
        VideoReader(path, decode="hardware")
    assert "\n" not in str(error.value)
    assert all(f"{kind}: " in str(error.value) for kind in devices)


def _refuses(*_, **__):
    raise PermissionError(1, "Operation not permitted")


@pytest.fixture
def stand_in(monkeypatch):
    """Hardware that can decode nothing, so that FFmpeg decodes in software inside it."""
    monkeypatch.setattr(decoding, "device", lambda: "drm")


def test_what_hardware_does_not_decode_is_decoded_in_software(video, stand_in):
    with VideoReader(video, threads=1, decode="hardware") as opened:
        assert not opened.info.hardware
        found = [one.array() for one in opened]
    for one, exact in zip(found, read(video), strict=True):
        np.testing.assert_array_equal(one, exact.array())


def test_hardware_is_not_asked_for_codecs_that_it_rounds_in_its_own_way(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "hardware", lambda: pytest.fail("it was asked"))
    path = write_clip(tmp_path / "a.avi", 5, codec="mjpeg", pix_fmt="yuvj420p")
    assert len(read(path, "hardware")) == 5


def test_hardware_that_is_lost_is_named_and_not_the_file(video, monkeypatch):
    monkeypatch.setattr(reader, "hardware", lambda: HWAccel("cuda", device="99"))
    try:
        HWAccel("cuda", device="99").create(av.Codec("h264", "r"))
    except OSError:
        with pytest.raises(WsvadError, match="the hardware that decodes cannot be used once more"):
            VideoReader(video, decode="hardware")
    else:
        pytest.skip("this machine has a hundred GPUs")


def as_hardware(picture: av.VideoFrame, form: str) -> av.VideoFrame:
    """The same pixels as hardware gives them, colours side by side."""
    made = picture.reformat(format=form)
    made.colorspace, made.color_range = picture.colorspace, picture.color_range
    return made


@pytest.mark.parametrize("size", [None, (224, 224), (37, 55), (96, 72)])
@pytest.mark.parametrize(
    ("pix_fmt", "form"), [("yuv420p", "nv12"), ("yuvj420p", "nv12"), ("yuv420p10le", "p010le")]
)  # fmt: skip
@pytest.mark.parametrize("space", [2, Colorspace.ITU709])
def test_arrays_of_hardware_are_those_of_software(tmp_path, size, pix_fmt, form, space):
    path = write_clip(tmp_path / "a.mp4", walkers(2, 3), pix_fmt=pix_fmt)
    for frame in read(path):
        frame.picture.colorspace = space
        given = as_hardware(frame.picture, form)
        assert given.format.name == form
        for colour in ("rgb", "gray"):
            expected = frame.array(size, colour)
            np.testing.assert_array_equal(frame.pictures.array(given, size, colour), expected)
    assert (frame.picture.color_range == ColorRange.JPEG) == (pix_fmt == "yuvj420p")
