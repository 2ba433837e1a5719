"""The reader against known frames, OpenCV, and files that are broken in known places."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from clips import display, index_of, level, overwrite, packets, write_clip

from wsvad.errors import WsvadError
from wsvad.video.moments import Moments
from wsvad.video.reader import VideoReader


def read(path, **options):
    """Indices by content, times, and the number of damaged frames."""
    with VideoReader(path, **options) as video:
        frames = [(index_of(frame.array()), frame.time) for frame in video]
        return [index for index, _ in frames], [time for _, time in frames], video.damaged


@pytest.mark.parametrize("count", [1, 2, 16, 29])
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_every_frame_with_its_index_and_exact_time(tmp_path, count, rate, suffix):
    codec = "libx264" if suffix == ".mp4" else "mpeg4"
    path = write_clip(tmp_path / f"clip{suffix}", count, rate=rate, codec=codec)
    with VideoReader(path) as video:
        assert (video.info.width, video.info.height, video.info.rotation) == (32, 24, 0)
        assert video.info.rate == rate
        assert video.info.declared == count
        frames = [(frame.index, index_of(frame.array()), frame.time, frame.duration) for frame in video]
    assert frames == [(i, i, i / Fraction(rate), 1 / Fraction(rate)) for i in range(count)]
    assert video.damaged == 0


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_frames_are_the_same_with_any_number_of_threads(tmp_path, threads):
    path = write_clip(tmp_path / "clip.mp4", 29, bf="3")
    assert read(path, threads=threads)[0] == list(range(29))


def test_variable_frame_rate(tmp_path):
    times = [0, 40, 45, 300, 1301, 1302, 9000]
    path = write_clip(tmp_path / "clip.mkv", 7, times=times)
    indices, found, damaged = read(path)
    assert (indices, found, damaged) == (list(range(7)), [Fraction(t, 1000) for t in times], 0)


def test_a_file_that_starts_late_starts_at_zero(tmp_path):
    path = write_clip(tmp_path / "clip.ts", 10, times=[500_000 + 40 * i for i in range(10)])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).time >= 500
    assert read(path)[1] == [Fraction(i, 25) for i in range(10)]


def test_a_clock_that_begins_anew_goes_on(tmp_path):
    one, two = write_clip(tmp_path / "one.ts", 29), write_clip(tmp_path / "two.ts", 20)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    with VideoReader(both) as video:
        times = [frame.time for frame in video]
    assert len(times) == 49
    assert times == [Fraction(i, 25) for i in range(49)]


def quadrants(width=48, height=32):
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (200, 40, 40)
    image[: height // 2, width // 2 :] = (40, 200, 40)
    image[height // 2 :, : width // 2] = (40, 40, 200)
    return image


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_as_opencv_applies_it(tmp_path, rotation):
    path = write_clip(tmp_path / "clip.mp4", [quadrants()] * 3, rotation=rotation, pix_fmt="yuv444p")
    upright = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    with VideoReader(path) as video:
        assert video.info.rotation == rotation
        assert (video.info.height, video.info.width) == upright.shape[:2]
        frame = next(iter(video))
        assert np.abs(frame.array().astype(int) - upright).max() <= 3
        small = frame.array((20, 10))
        assert small.shape == (10, 20, 3)
        assert frame.array((20, 10), "gray").shape == (10, 20)
        assert frame.array(colour="gray").shape == upright.shape[:2]
        for y, x in ((2, 4), (2, 15), (7, 4), (7, 15)):  # the middle of each quadrant
            assert (
                np.abs(small[y, x].astype(int) - upright[y * len(upright) // 10, x * upright.shape[1] // 20]).max() < 4
            )


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: image[::-1, ::-1].transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image)),
    ],
)
def test_every_display_matrix_of_right_angles(tmp_path, matrix, turn):
    path = write_clip(tmp_path / "clip.mp4", [quadrants()] * 3, pix_fmt="yuv444p")
    with VideoReader(path) as video:
        stored = next(iter(video)).array()
    with VideoReader(display(path, *matrix)) as video:
        frame = next(iter(video))
        np.testing.assert_array_equal(frame.array(), turn(stored))
        assert frame.array().shape[:2] == (video.info.height, video.info.width)
        assert frame.array(colour="gray").flags.c_contiguous
    with Moments(path, 0.0, 0.12) as video:
        np.testing.assert_array_equal(video.array(0.0), turn(stored))


def test_odd_sizes_to_the_last_row_and_column(tmp_path):
    image = np.full((27, 33, 3), 40, np.uint8)
    image[:, 24:] = 220
    image[20:] = 120
    path = write_clip(tmp_path / "clip.mkv", [image] * 2, codec="ffv1", pix_fmt="yuv444p")
    with VideoReader(path) as video:
        for frame in video:
            assert np.abs(frame.array().astype(int) - image).max() <= 2
    path = write_clip(tmp_path / "clip.avi", [image] * 2, codec="mpeg4", qmax="1", qmin="1")
    with VideoReader(path) as video:
        frame = next(iter(video))
        assert np.abs(frame.array()[:, -1].astype(int) - image[:, -1]).mean() < 6
        assert frame.array(colour="gray").shape == (27, 33)


def test_resizing_averages_like_opencv_area(tmp_path):
    y, x = np.mgrid[:96, :128]
    image = np.stack([x * 2, y * 2, 255 - x - y], axis=-1).clip(0, 255).astype(np.uint8)
    image[::2, ::2] //= 2  # detail that must be averaged away
    path = write_clip(tmp_path / "clip.mkv", [image], codec="ffv1", pix_fmt="yuv444p")
    with VideoReader(path) as video:
        small = next(iter(video)).array((32, 24))
    oracle = cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - oracle)[1:-1, 1:-1].max() <= 6


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "luma"),
    [
        ("ffv1", "yuv420p", 16 + 200 * 219 / 255),
        ("ffv1", "yuv444p", 16 + 200 * 219 / 255),
        ("ffv1", "yuv420p10le", 16 + 200 * 219 / 255),
        ("mjpeg", "yuvj420p", 200),
    ],
)
def test_gray_is_stored_luma_at_any_size(tmp_path, codec, pix_fmt, luma):
    path = write_clip(tmp_path / "clip.mkv", [np.full((24, 32, 3), 200, np.uint8)] * 2, codec=codec, pix_fmt=pix_fmt)
    with VideoReader(path) as video:
        frame = next(iter(video))
        for size in (None, (16, 12), (64, 48)):
            gray = frame.array(size, "gray")
            assert gray.shape == ((24, 32) if size is None else size[::-1])
            assert np.abs(gray - luma).max() <= 1


def test_arrays_outlive_the_reader_and_belong_to_the_caller(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 20)
    with VideoReader(path) as video:
        frames = list(video)
    for frame in frames:
        for colour in ("rgb", "gray"):
            array = frame.array(colour=colour)
            array[:] = 0
    assert [index_of(frame.array()) for frame in frames] == list(range(20))


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "nothing.mp4", "there is no such video file"),
        (lambda folder: folder, "there is no such video file"),
        (lambda folder: _text(folder / "empty.mp4", ""), r"empty \(0 bytes\)"),
        (lambda folder: _text(folder / "notes.mp4", "these are not pictures\n" * 50), "not a video"),
        (lambda folder: audio_only(folder / "sound.mp4"), "only audio"),
        (lambda folder: cut(write_clip(folder / "cut.mp4", 20), 0.6), "cut off before its index"),
        (lambda folder: _all_broken(folder / "broken.mp4"), "no frame of it can be decoded"),
        (lambda folder: _text(folder / "list.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "a playlist"),
        (lambda folder: _beside(folder, "ffconcat version 1.0\nfile 'a.ts'\n"), "concat, which names other files"),
        (lambda folder: _beside(folder, "\n#EXTM3U\n#EXTINF:1,\na.ts\n"), "a playlist .*, which names other files"),
        (lambda folder: _beside(folder, "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 9 RTP/AVP 96\n"), "SDP"),
        (lambda folder: _beside(folder, '<?xml version="1.0"?>\n<MPD type="static"></MPD>'), "DASH"),
    ],
)
def test_what_is_no_video_is_one_line_that_names_it(tmp_path, make, says):
    path = make(tmp_path)
    with pytest.raises(WsvadError, match=says) as caught:
        VideoReader(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def _beside(folder: Path, text: str) -> Path:
    write_clip(folder / "a.ts", 5)
    return _text(folder / "b.mp4", text)


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _all_broken(path: Path) -> Path:
    return overwrite(write_clip(path, 5, g="1"), packets(path))


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".avi", ".mp4"])
def test_a_truncated_file_gives_its_first_frames(tmp_path, suffix):
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    muxer = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    path = write_clip(tmp_path / f"clip{suffix}", 29, codec=codec, muxer=muxer, g="5")
    offset, size = packets(path)[15]
    path.write_bytes(path.read_bytes()[: offset + size // 2])
    indices, times, _ = read(path)
    assert len(indices) in (15, 16)  # the frame that was cut may be shown in part
    assert indices[:15] == list(range(15))
    assert times == sorted(times)


@pytest.mark.parametrize("broken", [[1], [7], [7, 8], [3, 11, 19], [18, 19], list(range(5, 15))])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_broken_frame_is_replaced_by_the_one_before(tmp_path, broken, threads):
    path = write_clip(tmp_path / "clip.mp4", 20, g="1")
    places = packets(path)
    overwrite(path, [places[index] for index in broken])
    indices, times, damaged = read(path, threads=threads)
    expected = list(range(20))
    for index in broken:
        expected[index] = expected[index - 1]
    assert indices == expected
    assert times == [Fraction(i, 25) for i in range(20)]
    assert damaged == len(broken)


def test_broken_first_frames_are_left_out(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 10, g="1")
    overwrite(path, packets(path)[:2])
    indices, times, damaged = read(path)
    assert (indices, damaged) == (list(range(2, 10)), 0)
    assert times == [Fraction(i, 25) for i in range(2, 10)]


@pytest.mark.parametrize("position", range(1, 29, 3))
def test_the_frame_count_holds_among_b_frames(tmp_path, position):
    path = write_clip(tmp_path / "clip.mp4", 29, preset="medium", bf="3", g="12")
    overwrite(path, [packets(path)[position]])
    indices, times, damaged = read(path, threads=1)
    assert len(indices) == 29
    assert times == [Fraction(i, 25) for i in range(29)]
    assert damaged >= 1
    assert indices[0] == 0


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_raises_and_always_gives_the_same(tmp_path, seed):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (24, 32, 3), dtype=np.uint8) for _ in range(40)]
    suffix, codec = [(".mp4", "libx264"), (".ts", "libx264"), (".mkv", "libx264"), (".avi", "mpeg4")][seed % 4]
    path = write_clip(tmp_path / f"clip{suffix}", images, codec=codec, g="10")
    size = path.stat().st_size
    for _ in range(10):
        overwrite(path, [(int(rng.integers(size // 8, size)), int(rng.integers(1, 60)))], int(rng.integers(256)))
    runs = []
    for _ in range(2):
        try:
            with VideoReader(path, threads=1) as video:
                runs.append([(frame.index, frame.time, frame.array().tobytes()) for frame in video])
        except WsvadError as error:
            runs.append([str(error)])
    assert runs[0] == runs[1]
    if len(runs[0]) > 1:
        assert [index for index, _, _ in runs[0]] == list(range(len(runs[0])))
        times = [time for _, time, _ in runs[0]]
        assert times == sorted(times)
        assert len(times) <= 41


def test_streams_that_appear_while_a_file_is_read_are_passed_over(tmp_path):
    pieces = []
    for n in range(1, 6):
        pids = {
            "mpegts_start_pid": str(256 + n),
            "mpegts_pmt_start_pid": str(4096 + 16 * n),
            "mpegts_service_id": str(n),
        }
        pieces.append(write_clip(tmp_path / f"{n}.ts", 29, muxer=pids).read_bytes())
    (tmp_path / "all.ts").write_bytes(b"".join(pieces))
    indices, times, damaged = read(tmp_path / "all.ts")
    assert (indices, damaged) == (list(range(29)), 0)
    assert times == [Fraction(i, 25) for i in range(29)]


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9", "mpeg4", "mjpeg"])
def test_other_codecs_keep_count(tmp_path, codec):
    suffix = ".webm" if "vpx" in codec else ".avi"
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"} if "vpx" in codec else {}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_clip(tmp_path / f"clip{suffix}", 29, codec=codec, pix_fmt=pix_fmt, **options)
    indices, times, damaged = read(path)
    assert (len(indices), damaged) == (29, 0)
    assert [float(time) for time in times] == pytest.approx([i / 25 for i in range(29)], abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("default", [0, 1, None])
def test_a_still_beside_the_video_is_not_taken(tmp_path, suffix, default):
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        still, video = container.add_stream("mjpeg", rate=25), container.add_stream("libx264", rate=25)
        for index, stream in enumerate((still, video)):
            stream.width, stream.height = 32, 24
            stream.pix_fmt = ("yuvj420p", "yuv420p")[index]
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for index in range(10):
            for stream in (still, video)[index > 0 :]:
                picture = np.full((24, 32, 3), level(index) if stream is video else 250, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=stream.pix_fmt)
                frame.pts = index
                container.mux(stream.encode(frame))
        for stream in (still, video):
            container.mux(stream.encode())
    assert read(tmp_path / f"a{suffix}")[0] == list(range(10))


def test_of_two_videos_the_default_one_is_taken(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, disposition in zip(streams, (Disposition(0), Disposition.default), strict=True):
            stream.width, stream.height, stream.pix_fmt, stream.disposition = 32, 24, "yuv420p", disposition
        for index in range(10):
            for stream in streams:
                picture = np.full((24, 32, 3), level(index + 10 * (stream is streams[1])), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    assert read(tmp_path / "a.mkv")[0] == list(range(10, 20))


def test_names_that_ffmpeg_would_take_for_protocols(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / "camera:3 100%.mp4")
    monkeypatch.chdir(tmp_path)
    assert read("camera:3 100%.mp4")[0] == [0, 1, 2]
