"""Frames on show at moments, by seeking: the same pictures as decoding from the start gives, or none."""

from pathlib import Path

import numpy as np
import pytest
from clips import overwrite, packets, write_clip

from wsvad.errors import WsvadError
from wsvad.video.moments import Moments, NotSeekable
from wsvad.video.reader import VideoReader

COUNT = 100
SIZE = (40, 30)
B_FRAMES = {"preset": "medium", "bf": "3", "g": "20"}
OPEN = {"x264-params": "open-gop=1:b-pyramid=2"}
IRREGULAR = np.cumsum(np.random.default_rng(1).integers(5, 900, COUNT)).tolist()
"""Milliseconds."""


def images() -> list[np.ndarray]:
    """A noisy picture over which something passes; no two are the same."""
    ground = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    frames = [ground.copy() for _ in range(COUNT)]
    for i, frame in enumerate(frames):
        frame[10:30, (3 * i) % 50 : (3 * i) % 50 + 12] = 5 * i % 256
    return frames


class Whole:
    """A video as it is decoded from its start."""

    def __init__(self, path: Path):
        with VideoReader(path, threads=1) as video:
            frames = [(frame, frame.array(SIZE)) for frame in video]
        self.times = [float(frame.time) for frame, _ in frames]
        self.arrays = [array for _, array in frames]
        last = frames[-1][0]
        self.span = self.times[0], float(last.time + last.duration)

    def at(self, time: float) -> np.ndarray:
        return self.arrays[max(0, int(np.searchsorted(self.times, time, side="right")) - 1)]

    def moments(self) -> list[float]:
        """At each frame, between each two, and outside."""
        middles = [(a + b) / 2 for a, b in zip(self.times, [*self.times[1:], self.span[1]], strict=True)]
        return [-5.0, *sorted(self.times + middles), self.span[1] + 50]


CASES = {
    "plain.mp4": {"g": "20"},
    "one-key-frame.mp4": {"g": "1000"},
    "b-frames.mp4": B_FRAMES,
    "b-frames.mkv": B_FRAMES,
    "b-frames.ts": B_FRAMES,
    "b-frames.flv": B_FRAMES,
    "open.mp4": B_FRAMES | OPEN,
    "open.ts": B_FRAMES | OPEN,
    "varying.mp4": B_FRAMES | {"times": IRREGULAR},
    "varying.mkv": B_FRAMES | {"times": IRREGULAR},
    "varying.ts": B_FRAMES | {"times": IRREGULAR},
    "late.ts": B_FRAMES | {"times": [time + 50_000 for time in IRREGULAR]},
    "negative.mp4": B_FRAMES
    | {"times": [time - 2_000 for time in IRREGULAR], "muxer": {"avoid_negative_ts": "disabled"}},
    "negative.ts": B_FRAMES | {"times": [time - 2_000 for time in IRREGULAR]},
    "fragments.mp4": B_FRAMES | {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "no-index.mkv": B_FRAMES | {"muxer": {"live": "1"}},
    "turned.mp4": B_FRAMES | {"rotation": 90},
    "mpeg4.avi": {"codec": "mpeg4", "g": "20"},
    "mpeg2.ts": {"codec": "mpeg2video", "g": "20", "bf": "2"},
    "vp8.webm": {"codec": "libvpx", "g": "20"},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("order", ["rising", "any"])
def test_by_seeking_is_as_from_the_start(tmp_path, name, order):
    path = write_clip(tmp_path / name, images(), **CASES[name])
    whole = Whole(path)
    moments = whole.moments()
    if order == "any":
        moments = np.random.default_rng(0).permutation(moments)[:40].tolist()
    with Moments(path, *whole.span) as video:
        for time in moments:
            np.testing.assert_array_equal(video.array(time, SIZE), whole.at(time), err_msg=f"{time}")


def raw(folder: Path) -> Path:
    return write_clip(folder / "raw.h264", images(), **B_FRAMES)


def without_timestamps(folder: Path) -> Path:
    return write_clip(folder / "b.avi", images(), **B_FRAMES)


def clock_that_begins_anew(folder: Path) -> Path:
    one = write_clip(folder / "one.ts", images(), **B_FRAMES).read_bytes()
    (folder / "both.ts").write_bytes(one + one)
    return folder / "both.ts"


def damaged_end(folder: Path) -> Path:
    path = write_clip(folder / "damaged.mp4", images(), **B_FRAMES)
    return overwrite(path, packets(path)[-5:])


@pytest.mark.parametrize("make", [raw, without_timestamps, clock_that_begins_anew, damaged_end])
def test_what_is_not_certain_is_not_given(tmp_path, make):
    path = make(tmp_path)
    whole = Whole(path)
    with pytest.raises(NotSeekable), Moments(path, *whole.span):
        pass


@pytest.mark.parametrize("wrong", [(0.04, 4.0), (0.0, 3.96), (0.0, 8.0)])
def test_a_file_with_other_ends_is_not_the_one_that_was_read(tmp_path, wrong):
    path = write_clip(tmp_path / "a.mp4", images(), **B_FRAMES)
    assert Whole(path).span == (0.0, 4.0)
    with pytest.raises(NotSeekable), Moments(path, *wrong):
        pass


@pytest.mark.parametrize("name", ["b-frames.mp4", "b-frames.ts", "open.mp4", "no-index.mkv", "mpeg4.avi"])
@pytest.mark.parametrize("seed", range(4))
def test_of_a_damaged_file_no_other_picture_is_given(tmp_path, name, seed):
    rng = np.random.default_rng(seed)
    path = write_clip(tmp_path / name, images(), **CASES[name])
    places = packets(path)
    for offset, size in rng.choice(places, 3):
        overwrite(path, [(int(offset) + size // 3, max(1, size // 3))], int(rng.integers(256)))
    whole = Whole(path)
    for time in rng.permutation(whole.moments())[:15].tolist():
        try:
            with Moments(path, *whole.span) as video:
                found = video.array(time, SIZE)
        except NotSeekable:
            continue
        np.testing.assert_array_equal(found, whole.at(time), err_msg=f"{time}")


def test_what_is_no_video_is_told_as_ever(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(WsvadError, match="not a video") as caught:
        Moments(tmp_path / "a.mp4", 0.0, 1.0)
    assert not isinstance(caught.value, NotSeekable)


def test_a_program_stream_is_not_sought(tmp_path: Path) -> None:
    # Most of its pictures have no timestamp of their own: behind the place sought they come half a frame early.
    path = write_clip(tmp_path / "a.mpg", images(), codec="mpeg2video", g="20", q="2")
    with pytest.raises(NotSeekable, match="timestamps"), Moments(path, *Whole(path).span):
        pass
