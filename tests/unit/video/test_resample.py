"""Resampling against its rule, taken word by word over all frames at once; and what stays where it is."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from clips import index_of, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.errors import UsageError, WsvadError
from wsvad.video.pictures import Pictures
from wsvad.video.reader import Frame, VideoReader
from wsvad.video.resample import REPEATS, Resampler, resampling_rate
from wsvad.video.times import filmed_of

PICTURE, PICTURES = av.VideoFrame(16, 16, "gray"), Pictures(16, 16)
NTSC = Fraction(30_000, 1001)
RATES = [Fraction(1, 2), Fraction(8), Fraction(10), Fraction(25), NTSC, Fraction(60)]


def frames_at(times, durations, gaps=()):
    """Frames at these seconds; before those in `gaps` so much was not filmed, all in all."""
    unfilmed, made = Fraction(0), []
    for index, (time, lasting) in enumerate(zip(times, durations, strict=True)):
        unfilmed += dict(gaps).get(index, Fraction(0))
        made.append(Frame(index, time, lasting, PICTURE, PICTURES, unfilmed))
    return made


def constant(rate, count, start=Fraction(0)):
    return frames_at([start + Fraction(i) / rate for i in range(count)], [1 / Fraction(rate)] * count)


@st.composite
def videos(draw):
    """Constant or varying rates, stalls, timestamps that were rounded to milliseconds, and gaps."""
    if draw(st.booleans()):
        rate, count = draw(st.sampled_from([Fraction(5), Fraction(25), NTSC, Fraction(30)])), draw(st.integers(1, 60))
        start = draw(st.sampled_from([Fraction(0), Fraction(1, 30)]))
        times = [start + i / rate for i in range(count)]
    else:
        steps = draw(st.lists(st.sampled_from([0, 10, 33, 40, 41, 100, 800]), min_size=1, max_size=30))
        times = [Fraction(sum(steps[: i + 1]), 1000) for i in range(len(steps))]
    if draw(st.booleans()):
        times = [Fraction(round(time * 1000), 1000) for time in times]
    usual, gaps = Fraction(1, 25), {}
    for place in draw(st.lists(st.integers(1, max(1, len(times) - 1)), max_size=2, unique=True)):
        if place < len(times):
            away = draw(st.sampled_from([Fraction(11), Fraction(100)]))
            times = [*times[:place], *(time + away for time in times[place:])]
            gaps[place] = times[place] - times[place - 1] - usual
    return frames_at(times, [usual] * len(times), gaps.items())


def by_the_rule(frames, rate):
    """`(index of the picture, time, duration, own)` of each frame that is shown."""
    spans, first = [], 0
    for index in range(1, len(frames) + 1):
        if index == len(frames) or frames[index].unfilmed > frames[first].unfilmed:
            spans.append(frames[first:index])
            first = index
    shown = []
    for number, span in enumerate(spans):
        if number + 1 < len(spans):
            after = spans[number + 1][0]
            end = after.time - (after.unfilmed - span[0].unfilmed)
        else:
            film = [frame.time - frame.unfilmed for frame in frames]
            usual = (film[-1] - film[0]) / (len(frames) - 1) if len(frames) > 1 else 1 / rate
            end = span[-1].time + filmed_of(span[-1].duration, usual)
        k = 0
        while (moment := span[0].time + k / rate) < end or k == 0:
            near = [frame for frame in span if frame.time - moment <= 1 / (2 * rate)]
            chosen = min(near, key=lambda frame: (abs(frame.time - moment), frame.index))
            own = sum(frame.time < moment for frame in frames)
            shown.append((chosen.index, moment, min(1 / rate, end - moment), own))
            k += 1
    return shown


def resampled(frames, rate):
    """The same of the resampler; pictures are known by who holds them."""
    found = Resampler(rate)
    each = [(frame.unfilmed, frame) for frame in found.of(frames)]
    assert found.taken == len(frames)
    assert [frame.index for _, frame in each] == list(range(len(each)))
    return each


@settings(deadline=None)
@given(frames=videos(), rate=st.sampled_from(RATES))
def test_every_frame_is_the_one_of_the_rule(frames, rate):
    marked = [Frame(f.index, f.time, f.duration, object(), PICTURES, f.unfilmed) for f in frames]  # type: ignore[arg-type]
    index = {id(frame.picture): frame.index for frame in marked}
    found = [(index[id(f.picture)], f.time, f.duration, f.own) for _, f in resampled(marked, rate)]
    assert found == by_the_rule(marked, rate)


@settings(deadline=None)
@given(frames=videos(), rate=st.sampled_from(RATES))
def test_times_stay_on_the_videos_own_line(frames, rate):
    found = [frame for _, frame in resampled(frames, rate)]
    assert found[0].time == frames[0].time
    assert all(a.time <= b.time and a.own <= b.own for a, b in pairwise(found))
    film = [(f.time - f.unfilmed, f.duration) for f in found]
    assert all(a + lasting == b for (a, lasting), (b, _) in pairwise(film)), "nothing between them"
    end = max(f.time + f.duration for f in found)
    assert end >= frames[-1].time
    assert {f.unfilmed for f in found} == {f.unfilmed for f in frames}


@pytest.mark.parametrize(
    ("own", "rate", "expected"),
    [
        (25, 8, [0, 3, 6, 9, 12, 16, 19, 22, 25]),  # 12.5 is as near to 13: the earlier
        (30, 25, [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]),
        (NTSC, 25, [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]),
        (10, 25, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]),
        (25, 25, list(range(26))),
    ],
)
def test_constant_rates(own, rate, expected):
    frames = constant(own, 26)
    marked = [Frame(f.index, f.time, f.duration, f.index, PICTURES) for f in frames]  # type: ignore[arg-type]
    assert [f.picture for _, f in resampled(marked, Fraction(rate))][: len(expected)] == expected
    seconds = Fraction(26) / own
    assert len(resampled(frames, Fraction(rate))) == -(-seconds * rate // 1), "as many as there is time for"


def test_rounded_timestamps_at_the_same_rate_neither_repeat_nor_lose_a_frame():
    """Matroska rounds to milliseconds: no frame is ever exactly where the clock of the rate has it."""
    times = [Fraction(round(1000 * i / NTSC), 1000) for i in range(2000)]
    frames = [Frame(i, time, 1 / NTSC, i, PICTURES) for i, time in enumerate(times)]  # type: ignore[arg-type]
    assert [f.picture for _, f in resampled(frames, NTSC)][:2000] == list(range(2000))


def test_what_comes_much_later_is_not_shown_early():
    frames = frames_at([Fraction(0), Fraction(4), Fraction(8)], [Fraction(1, 25)] * 3)
    found = [(f.time, f.own) for _, f in resampled(frames, Fraction(10))]
    assert next(own for time, own in found if time == Fraction(39, 10)) == 1
    shown = by_the_rule(frames, Fraction(10))
    assert [picture for picture, time, *_ in shown if time in (Fraction(39, 10), Fraction(4))] == [0, 1]


def test_a_video_at_another_rate(tmp_path):
    path = write_clip(tmp_path / "v.mp4", 25, rate=25)
    with VideoReader(path, threads=1) as video:
        found = [(index_of(f.array()), f.time) for f in Resampler(Fraction(10)).of(video)]
    assert found == [(index, Fraction(k, 10)) for k, index in enumerate([0, 2, 5, 7, 10, 12, 15, 17, 20, 22])]


def test_a_frame_is_not_repeated_for_ever():
    frames = frames_at([Fraction(0), Fraction(REPEATS + 1, 25)], [Fraction(1, 25)] * 2)
    with pytest.raises(WsvadError, match=r"^yard\.mp4: a frame of it is shown for 400 s and would be repeated"):
        list(Resampler(Fraction(25), "yard.mp4").of(frames))
    lone = frames_at([Fraction(0)], [Fraction(10**9)])
    assert len(resampled(lone, Fraction(25))) == 1, "one frame says nothing of what is usual"


@pytest.mark.parametrize("rate", [0, -5, float("nan"), float("inf"), 1e4, "fast", True])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(UsageError, match=r"^rate .*: a number, from 0\.01 to 1000$"):
        resampling_rate(rate)


def test_a_rate_is_exact():
    assert resampling_rate(None) is None
    assert resampling_rate(12.5) == Fraction(25, 2)
    assert resampling_rate(resampling_rate(0.01)) == Fraction(1, 100) and resampling_rate(1000) == 1000
    assert resampling_rate(29.97) == Fraction(2997, 100)
    assert resampling_rate(NTSC) == NTSC
    assert np.isclose(float(resampling_rate(1 / 3)), 1 / 3)
