"""How many cameras are said to be carried, of what trials took."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from clips import write_clip

from wsvad.errors import UsageError, WsvadError
from wsvad.video.clock import SNIPPET
from wsvad.watch import capacity
from wsvad.watch.capacity import Capacity, _form_of_video, _Moment, _tried, form_of

CORES = os.cpu_count() or 1


def moment(time: float, frames: Sequence[tuple[float, int]], own: float, others: float) -> _Moment:
    return _Moment(time=time, frames=list(frames), own=own, others=others)


BEGUN = moment(100, [(99.5, 1000), (99.0, 2000)], 50, 500)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (moment(110, [(109.5, 1500), (109.0, 2500)], 60, 501), 1.0 / 100),  # all frames given: what was taken
        (moment(110, [(109.5, 1400), (109.0, 2400)], 60, 500), CORES / 80),  # something waits: all processors
        (moment(110, [(109.5, 1400), (109.0, 2400)], 60, 500 + 10 * CORES), 1.0 / 80),  # others have all of them
        (moment(110, [(109.5, 1500), (109.0, 2500)], 50, 500), None),  # not known
        (moment(110, [(109.5, 1500), (109.0, 2500)], 40, 500), None),  # a process is gone, and what it took
    ],
)
def test_what_a_frame_takes(end: _Moment, expected: float | None):
    found = end.since(BEGUN, CORES, sent=100.0)
    assert found == (None if expected is None else pytest.approx(expected))


def test_what_others_take_of_processors_that_are_not_ours_is_not_left_out():
    end = moment(110, [(109.5, 1400), (109.0, 2400)], 60, 500 + 60)
    assert end.since(BEGUN, CORES + 1, sent=100.0) == pytest.approx((CORES + 1) / 80)


def test_nothing_was_watched():
    with pytest.raises(WsvadError, match="was not watched"):
        moment(110, [(109.5, 1000), (109.0, 2000)], 60, 501).since(BEGUN, CORES, sent=100.0)


@pytest.mark.parametrize(
    ("parts", "takes", "watched", "said"),
    [
        (1.0, [1.0], [16], 16),
        (1.0, [1.5, 1.4], [16, 10], 10),  # a smaller number is tried, and never more is said than the first one allows
        (1.0, [0.8, 0.9, 0.7], [16, 20, 17], 17),  # a larger one too
        (1.0, [2.0, 4.0, 8.0, 9.0], [16, 8, 4], 2),
        (40.0, [40.0], [1], 0),  # once, where not even one is carried
        (0.1, [0.1], [64], 160),
        (1.0, [None], [16], 16),
    ],
)
def test_as_many_are_tried_as_are_said(parts: float, takes: list, watched: list[int], said: int):
    """Of 16 processors that a camera takes for as long as a frame says."""
    tried: list[int] = []

    def trial(cameras: int) -> tuple[float | None, float]:
        tried.append(cameras)
        return takes[len(tried) - 1], 100.0 * cameras

    whole, last, memory = _tried(parts, trial, lambda whole: 16 / whole)
    assert tried == watched and last == watched[-1] and memory == 100.0 * last
    assert int(16 / whole) == said


def test_more_cameras_than_were_watched_are_said_to_be_a_promise():
    fields = dict.fromkeys(("read", "decode", "convert", "encode", "head"), 0.1)
    found = Capacity(
        camera="a", by="cpu", **fields, whole=0.5, processors=100, rate=25.0, watched=64, memory=1.0
    )  # fmt: skip
    assert found.cameras == 6400 and "6400 cameras at 80 % (64 were watched); most" in found.sentence


@pytest.mark.parametrize("form", ["1280x720", "x720@25", "1281x720@25", "1280x720@0", "1280x720@0.4", "a", "a" * 5000])
def test_what_is_no_camera(form):
    with pytest.raises(UsageError, match="write 1280x720@25"):
        form_of(form)


def test_forms_of_cameras():
    assert form_of("1280x720@25") == (1280, 720, 25.0) and form_of("640X360@12.5") == (640, 360, 12.5)


def test_a_rate_is_that_of_most_pictures(tmp_path: Path, monkeypatch):
    """Not their number over the length: recorders leave out hours in which nothing moves."""
    monkeypatch.setattr(capacity, "LASTS", 1)
    monkeypatch.setattr(capacity, "FRAMES", 4 * SNIPPET)
    times = [40 * frame + 60_000 * (frame // 20) for frame in range(5 * SNIPPET)]
    path = write_clip(tmp_path / "gate.mkv", 5 * SNIPPET, size=(64, 48), times=times)
    assert _form_of_video(path) == ("gate.mkv: 64x48@25 h264", 25.0)


def test_a_video_that_does_not_say_when_its_pictures_were_made_is_refused(tmp_path: Path):
    path = write_clip(tmp_path / "gate.h264", 30, size=(64, 48))
    with pytest.raises(WsvadError, match=r"gate\.h264: does not say when its pictures were made"):
        _form_of_video(path)


@pytest.mark.parametrize("rate", [1, 2.5, 25, 29.97])
def test_what_is_generated_has_the_rate_that_was_asked_for(tmp_path: Path, monkeypatch, rate: float):
    monkeypatch.setattr(capacity, "FRAMES", 10)
    monkeypatch.setattr(capacity, "LASTS", 2)
    path = capacity.generated(tmp_path / "a.mkv", 64, 48, rate, "h264")
    assert _form_of_video(path)[1] == pytest.approx(rate, rel=0.01)
