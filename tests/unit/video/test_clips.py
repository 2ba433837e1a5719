"""Clips of videos in every container: they hold what was asked for, frame by frame, with the sound beside it."""

from pathlib import Path

import av
import numpy as np
import pytest
from clips import overwrite, packets, restamp, scene, write_clip
from containers import FORMS, SOUND, make

from wsvad.errors import WsvadError
from wsvad.video.clips import Span, _Output, cut
from wsvad.video.reader import VideoReader


class Whole:
    """What a video holds."""

    def __init__(self, path: Path):
        with VideoReader(path, threads=1) as video:
            frames = [(frame, frame.array()) for frame in video]
        self.times = np.array([float(frame.time) for frame, _ in frames])
        self.arrays = [array for _, array in frames]
        self.first, self.end = self.times[0], float(frames[-1][0].time + frames[-1][0].duration)


def tone(path: Path) -> tuple[float, float]:
    """From when to when a clip sounds, in its own seconds."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", SOUND)
        heard = [
            float(frame.time or 0) + int(sample) / SOUND
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
            for sample in np.flatnonzero(np.abs(part.to_ndarray()[0]) > 0.2)
        ]
    return min(heard), max(heard)


@pytest.mark.parametrize("name", FORMS)
def test_clips_hold_what_was_asked_for(name: str, tmp_path: Path) -> None:
    *_, sound, _, copied = FORMS[name]
    whole = Whole(make(tmp_path / name))
    asked = [(4.3, 6.7), (0.0, 1.0), (5.1, 30.0)]
    spans = [Span(start=s, end=e, path=tmp_path / "out" / f"{i}.mp4") for i, (s, e) in enumerate(asked)]
    clips = cut(tmp_path / name, spans, whole.first, whole.end)
    assert [clip.path for clip in clips] == [span.path for span in spans]
    for span, clip in zip(spans, clips, strict=True):
        made = Whole(clip.path)
        assert made.first == 0
        times = clip.start + made.times
        nearest = [int(np.abs(whole.times - time).argmin()) for time in times]
        assert np.abs(whole.times[nearest] - times).max() < 1e-3
        assert nearest == list(range(nearest[0], nearest[-1] + 1)), "every frame, once, in order"
        wanted = np.flatnonzero((whole.times >= span.start) & (whole.times < span.end))
        assert nearest[0] <= wanted[0] and nearest[-1] >= wanted[-1]
        assert clip.copied or nearest[0] >= wanted[0] - 1, "encoded anew from the frame on show"
        difference = max(
            float(np.abs(a.astype(int) - whole.arrays[i]).mean()) for a, i in zip(made.arrays, nearest, strict=True)
        )
        assert difference == 0 if clip.copied else difference < 8
    assert clips[0].copied == copied
    if sound:
        begins, ends = tone(clips[0].path)
        assert begins + clips[0].start == pytest.approx(5.0, abs=0.1)
        assert ends + clips[0].start == pytest.approx(6.0, abs=0.15)


def test_damage_is_decoded_from_the_start(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", 29, codec="mpeg2video", g="5", q="2")
    overwrite(path, packets(path)[12:14])
    whole = Whole(path)
    clip = cut(path, [Span(start=0.4, end=0.8, path=tmp_path / "b.mp4")], whole.first, whole.end)[0]
    assert not clip.copied
    made = Whole(clip.path)
    assert clip.start + made.times == pytest.approx(whole.times[(whole.times >= 0.4) & (whole.times < 0.8)], abs=1e-3)


def test_a_turned_video_stays_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [scene(i, True, np.random.default_rng(i)) for i in range(30)], rotation=90)
    whole = Whole(path)
    clip = cut(path, [Span(start=0.0, end=0.5, path=tmp_path / "b.mp4")], whole.first, whole.end)[0]
    made = Whole(clip.path)
    assert clip.copied
    assert made.arrays[3].shape == whole.arrays[3].shape == (128, 96, 3)
    assert (made.arrays[3] == whole.arrays[3]).all()


def test_nothing_is_left_of_a_clip_that_failed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 20, codec="mpeg4")
    whole = Whole(path)
    (tmp_path / "full").write_text("a file where a folder should be")
    with pytest.raises(WsvadError, match="full"):
        cut(path, [Span(start=0, end=0.4, path=tmp_path / "full" / "b.mp4")], whole.first, whole.end)
    path.unlink()
    with pytest.raises(WsvadError, match=r"a\.mp4: there is no such video"):
        cut(path, [Span(start=0, end=0.4, path=tmp_path / "c.mp4")], whole.first, whole.end)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["full"]


@pytest.mark.parametrize("copied", [True, False])
def test_sound_whose_clock_goes_back_is_left_out_until_it_is_ahead(copied: bool, tmp_path: Path, monkeypatch) -> None:
    path = make(tmp_path / "b-frames.ts")
    whole = Whole(path)
    late: list[int] = []

    def back(_: int, ticks: int) -> int:
        if (ticks - late[0] if late else 0) < 90_000 * 11 // 2:
            late[:] = late or [ticks]
            return ticks
        return ticks - 90_000

    restamp(path, back, kind=0xC)
    if not copied:
        monkeypatch.setattr("wsvad.video.clips.PLAYED_SOUND", set())
    clip = cut(path, [Span(start=4.5, end=7, path=tmp_path / "a.mp4")], whole.first, whole.end)[0]
    begins, ends = tone(clip.path)
    assert begins + clip.start == pytest.approx(5.0, abs=0.1)
    assert ends + clip.start == pytest.approx(5.5, abs=0.15)


def test_a_clip_whose_last_sound_cannot_be_written_is_none(tmp_path: Path, monkeypatch) -> None:
    path = make(tmp_path / "plain.mp4")
    whole = Whole(path)

    def fails(*_):
        yield float("inf"), None

    monkeypatch.setattr("wsvad.video.clips._copied_sound", fails)
    written = av.container.OutputContainer.mux

    class Refuses:
        """A container that takes no such packet."""

        def __init__(self, container):
            self.container = container

        def __getattr__(self, name):
            return getattr(self.container, name)

        def mux(self, packets):
            if packets is None:
                raise av.error.ArgumentError(22, "Invalid argument")
            written(self.container, packets)

    enter = _Output.__enter__

    def entered(self):
        enter(self)
        self.container = Refuses(self.container)
        return self

    monkeypatch.setattr(_Output, "__enter__", entered)
    with pytest.raises(WsvadError, match=r"plain\.mp4: no clip can be made of it \(Invalid argument\); convert it"):
        cut(path, [Span(start=1, end=2, path=tmp_path / "out" / "a.mp4")], whole.first, whole.end)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_clip_behind_the_end_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 20)
    whole = Whole(path)
    with pytest.raises(WsvadError, match="ends before"):
        cut(path, [Span(start=5, end=9, path=tmp_path / "b.mp4")], 0.0, whole.end)
