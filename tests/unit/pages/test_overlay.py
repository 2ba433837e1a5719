"""Overlays are decoded again and looked at: size, frames, times, the red frame, the strip."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Means, index_of, write_clip

from wsvad.detection.timeline import Timeline
from wsvad.errors import WsvadError
from wsvad.extraction.encode import encode_video
from wsvad.metrics.events import Event
from wsvad.pages.overlay import Strip, rate_of, score_at, write_overlay
from wsvad.video.reader import VideoReader
from wsvad.video.writer import write_video


def timeline(path: Path | None, *, frames: int = 48, rate: Fraction | None = Fraction(10)) -> Timeline:
    """An event from the second snippet on, half of the way."""
    edges = np.minimum(np.arange(-(-frames // 16) + 1) * 16, frames)
    times = edges / float(rate or 10)
    return Timeline(
        video="a.mp4", path=path, rate=rate, frames=frames, times=times, frame_edges=edges,
        scores=np.array([0.1, 0.9, 0.2])[: len(edges) - 1], threshold=0.5, low=0.35,
        events=(Event(start_frame=16, end_frame=32, start=times[1], end=times[2], peak=0.9, peak_time=2.4),),
    )  # fmt: skip


def grey_video(path: Path, size: tuple[int, int], rate: Fraction = Fraction(10), frames: int = 48) -> Path:
    width, height = size
    write_video(path, (np.full((height, width, 3), 128, np.uint8) for _ in range(frames)), rate)
    return path


def is_red(image: np.ndarray) -> bool:
    """Whether the left edge of the picture is red."""
    red, green, blue = image[5:25, :2].reshape(-1, 3).mean(axis=0)
    return red > green + 50 and red > blue + 50


@pytest.mark.parametrize("size", [(320, 240), (65, 47), (48, 200)])
@pytest.mark.parametrize("rate", [Fraction(10), Fraction(30000, 1001)])
def test_keeps_size_rate_and_frames_and_is_red_during_the_event(tmp_path: Path, size: tuple[int, int], rate: Fraction):
    video = grey_video(tmp_path / "in.mp4", size, rate)
    write_overlay(timeline(video, rate=rate), tmp_path / "out.mp4")
    with VideoReader(tmp_path / "out.mp4") as overlay:
        assert overlay.info.rate == rate
        frames = [(frame.time, frame.array()) for frame in overlay]
    assert [time for time, _ in frames] == [i / rate for i in range(48)]
    height, width = frames[0][1].shape[:2]
    with VideoReader(video) as original:
        assert width == original.info.width
        assert height >= original.info.height + 44
    assert [is_red(image) for _, image in frames] == [16 <= i < 32 for i in range(48)]


def test_picture_inside_is_the_video(tmp_path: Path):
    write_overlay(timeline(grey_video(tmp_path / "in.mp4", (320, 240))), tmp_path / "out.mp4")
    with VideoReader(tmp_path / "out.mp4") as overlay:
        for frame in overlay:
            inside = frame.array()[16:224, 16:304]
            assert abs(inside.astype(int) - 128).max() <= 6


def test_varying_frame_rate_keeps_times(tmp_path: Path):
    """Frames at 0, 0.1, …, 0.9 s and then at 2.0, 2.1, … s: the picture stands still between."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(20):
            grey = 60 if i < 10 else 200
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 100 * i + (1000 if i >= 10 else 0), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    line = dataclasses.replace(timeline(path, frames=20, rate=None), events=())
    write_overlay(line, tmp_path / "out.mp4")
    with VideoReader(tmp_path / "out.mp4") as overlay:
        greys = {float(frame.time): frame.array()[10:40, 10:50].mean() for frame in overlay}
    assert max(greys) == pytest.approx(2.9, abs=0.15)
    assert all(grey == pytest.approx(60, abs=6) for time, grey in greys.items() if time < 1.94)
    assert all(grey == pytest.approx(200, abs=6) for time, grey in greys.items() if time > 2.06)


def test_gaps_are_left_out_and_the_time_leaps(tmp_path: Path, monkeypatch):
    """39 s of video whose times jump by ten hours: the overlay has the frames of 39 s."""
    times = [40 * i + (36_000_000 if i >= 500 else 0) for i in range(975)]
    video = write_clip(tmp_path / "in.mp4", 975, times=times)
    stored = encode_video(video, {"rgb": (Means(count=1),)})["rgb"]
    clock = stored.clock
    assert clock.rate < 1  # with the gap in it
    line = dataclasses.replace(
        timeline(video, rate=clock.rate), frames=975, times=clock.times, seconds_filmed=clock.filmed,
        frame_edges=clock.edges, scores=np.zeros(61), events=(),
    )  # fmt: skip
    shown, draw = list[float](), Strip.at
    monkeypatch.setattr(Strip, "at", lambda strip, seconds, *rest: shown.append(seconds) or draw(strip, seconds, *rest))
    write_overlay(line, tmp_path / "out.mp4")
    with VideoReader(tmp_path / "out.mp4") as overlay:
        assert overlay.info.rate == 25
        assert [index_of(frame.array()[4:16, 4:28] + 4.0) for frame in overlay] == [i % 30 for i in range(975)]
    assert shown == pytest.approx([time / 1000 for time in times], abs=1e-6)


@pytest.mark.parametrize(
    "step, declared, rate",
    [
        (33, 1000, 30),  # "1k fps", as browsers record
        (40, 25, 25),
        (4, 250, 250),  # slow motion: so fast indeed
        (4, 1000, 60),
        (2000, Fraction(1, 2), Fraction(1, 2)),  # a film of stills
        (2000, 25, 10),
    ],
)
def test_a_rate_that_does_not_hold_is_not_believed(step, declared, rate):
    times = np.arange(11) * 16 * step / 1000
    line = dataclasses.replace(
        timeline(None, rate=Fraction(declared)),
        frames=160,
        times=times,
        frame_edges=16 * np.arange(11),
        scores=np.zeros(10),
        events=(),
    )
    assert float(rate_of(line, Fraction(declared))) == pytest.approx(float(rate), rel=0.02)


def test_sound_is_dropped(tmp_path: Path):
    write_overlay(timeline(grey_video(tmp_path / "in.mp4", (64, 48))), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_features_alone_have_no_overlay(tmp_path: Path):
    with pytest.raises(WsvadError, match="needs the video file"):
        write_overlay(timeline(None), tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_score_is_that_of_the_snippet_on_show():
    line = timeline(None)
    assert [score_at(line, seconds) for seconds in (-1, 0, 1.59, 1.6, 3.19, 3.2, 99)] == [
        0.1,
        0.1,
        0.1,
        0.9,
        0.9,
        0.2,
        0.2,
    ]


def test_strip_hides_no_peak_of_a_long_video():
    snippets = 20_000
    scores = np.zeros(snippets)
    scores[12_345] = 1.0
    edges = np.arange(snippets + 1) * 16
    line = dataclasses.replace(timeline(None), scores=scores, times=edges / 10, frame_edges=edges, events=())
    strip = Strip(line, 200, 240)
    top = strip.image[strip.line].astype(int)
    bright = np.flatnonzero(top[:, 2] > 200)
    assert 12_345 * 200 // snippets in bright
    assert len(bright) <= 2
