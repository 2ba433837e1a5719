"""The clock against known times whose timestamps were changed, by numbers alone and in transport streams."""

from fractions import Fraction

import numpy as np
import pytest
from clips import TICKS, index_of, overwrite, packets, restamp, write_clip

from wsvad.video.moments import Moments, NotSeekable
from wsvad.video.reader import VideoReader
from wsvad.video.times import Clock

STEP = TICKS // 25
FAR = 37_600 * TICKS
COUNT = 200


def times(stamps, period=Fraction(1, 25)):
    return [moment.time for moment in Clock(enumerate(stamps), Fraction(1, TICKS), period)]


def ordinary(count=COUNT):
    return [index * STEP for index in range(count)]


@pytest.mark.parametrize("position", [0, 1, 60, COUNT - 2, COUNT - 1])
@pytest.mark.parametrize("away", [FAR, -FAR, 5 * TICKS, -5 * TICKS, 12 * TICKS, STEP, 4 * STEP, -4 * STEP])
def test_a_lone_outlier_takes_its_neighbours_time(position, away):
    stamps = ordinary()
    if (position, away) == (0, -5 * TICKS):
        pytest.skip("a first picture that stands for some seconds is one")
    stamps[position] += away
    found = times(stamps)
    assert found == sorted(found)
    right = [Fraction(i, 25) for i in range(COUNT)]
    if abs(away) >= 5 * TICKS:
        assert found[:position] + found[position + 1 :] == right[:position] + right[position + 1 :]
        # A last frame may be late by some seconds, as after a still.
        assert abs(found[position] - right[position]) <= Fraction(1, 25) or (position, away) == (COUNT - 1, 5 * TICKS)
    assert all(
        abs(a - b) <= Fraction(1, 25) for i, (a, b) in enumerate(zip(found, right, strict=True)) if i != position
    )


@pytest.mark.parametrize("length", range(1, 7))
@pytest.mark.parametrize("away", [FAR, -FAR, 5 * TICKS, -5 * TICKS])
def test_a_short_burst_moves_nothing(length, away):
    stamps = ordinary()
    for index in range(60, 60 + length):
        stamps[index] += away
    assert times(stamps) == [Fraction(i, 25) for i in range(COUNT)]


@pytest.mark.parametrize("frames", [5, 6, 100])
def test_a_clock_that_leaps_ahead_is_believed_when_more_than_a_few_frames_agree(frames):
    stamps = ordinary()
    stamps[COUNT - frames :] = [stamp + FAR for stamp in stamps[COUNT - frames :]]
    assert times(stamps) == [Fraction(stamp, TICKS) for stamp in stamps]
    few = ordinary()
    few[-4:] = [stamp + FAR for stamp in few[-4:]]
    assert times(few) == [Fraction(i, 25) for i in range(COUNT)]


@pytest.mark.parametrize("years", [2, 54, 9000])
@pytest.mark.parametrize("position", [0, 60])
def test_a_clock_that_was_set_goes_on_where_no_gap_is_as_long(years, position):
    stamps = ordinary()
    stamps[position:] = [stamp + years * 366 * 86_400 * TICKS for stamp in stamps[position:]]
    begin = 0 if position or years == 9000 else years * 366 * 86_400
    assert times(stamps) == [begin + Fraction(i, 25) for i in range(COUNT)]


@pytest.mark.parametrize("back", [STEP * 6, TICKS // 2, 3 * TICKS, FAR])
def test_a_clock_that_begins_anew_goes_on(back):
    stamps = ordinary()
    stamps[60:] = [stamp - back for stamp in stamps[60:]]
    assert times(stamps) == [Fraction(i, 25) for i in range(COUNT)]


def test_lost_stamps_are_a_period_after_the_one_before_and_no_later_than_the_next():
    assert times([0, None, 2 * STEP, None, None, 5 * STEP]) == [Fraction(i, 25) for i in range(6)]
    assert times([None] * 4) == [Fraction(i, 25) for i in range(4)]
    assert times([0, STEP, None, 2 * STEP]) == [0, Fraction(1, 25), Fraction(2, 25), Fraction(2, 25)]


@pytest.mark.parametrize(
    "seconds", [[60 * i for i in range(50)], [0.04 * i for i in range(50)] + [30 * i for i in range(1, 30)]]
)
def test_films_of_stills_are_as_they_say(seconds):
    """One picture a minute; a screen that moves and then stands still."""
    stamps = [round(second * TICKS) for second in seconds]
    stamps.sort()
    assert times(stamps, Fraction(1, 25)) == [Fraction(stamp, TICKS) for stamp in stamps]


def test_irregular_times_in_order_are_as_they_say():
    stamps = np.cumsum(np.random.default_rng(0).integers(1, 9 * TICKS, 500)).tolist()
    assert times(stamps) == [Fraction(stamp, TICKS) for stamp in stamps]


def disturbed(rng, stamps):
    """Stamps with outliers, bursts, a leap, a reset, lost ones; the right times; and which frames were not touched."""
    stamps, right = list(stamps), [Fraction(stamp, TICKS) for stamp in stamps]
    touched: set[int] = set()
    count, place = len(stamps), 0
    while (place := place + int(rng.integers(14, 40))) < count - 30:
        kind = rng.choice(["outlier", "burst", "leap", "reset", "lost"])
        away = int(rng.choice([-1, 1]) * rng.choice([TICKS, 30 * TICKS, FAR]) * rng.uniform(0.5, 1.5))
        length = int(rng.integers(2, 7))
        if kind == "outlier":
            stamps[place] += away
            touched.add(place)
        elif kind == "burst":
            together = rng.random() < 0.5
            for index in range(place, place + length):
                stamps[index] += away if together else int(rng.uniform(-1, 1) * away)
            touched |= set(range(place, place + length))
        elif kind == "leap":
            stamps[place:] = [stamp + abs(away) for stamp in stamps[place:]]
            right[place:] = [time + Fraction(abs(away), TICKS) for time in right[place:]]
        elif kind == "reset":
            stamps[place:] = [stamp - abs(away) for stamp in stamps[place:]]
        else:
            for index in range(place, place + length):
                stamps[index] = None
            touched |= set(range(place, place + length))
        place += length
    return stamps, right, touched


@pytest.mark.parametrize("seed", range(300))
def test_times_of_untouched_frames_err_by_at_most_one_frame(seed):
    rng = np.random.default_rng(seed)
    step = int(rng.choice([3600, 3003, 3000, 9000]))
    stamps, right, touched = disturbed(rng, range(0, 300 * step, step))
    found = times(stamps, Fraction(step, TICKS))
    assert found == sorted(found)
    wrong = [i for i in range(300) if i not in touched and abs(found[i] - right[i]) > Fraction(step, TICKS)]
    assert not wrong


def read(path):
    with VideoReader(path) as video:
        return [frame.time for frame in video], video.damaged


@pytest.mark.parametrize("position", [0, 1, 2, 8, 60, 98, 99])
@pytest.mark.parametrize("away", [FAR, -FAR, None])
def test_one_stray_stamp_of_a_transport_stream_moves_nothing(tmp_path, position, away):
    path = write_clip(tmp_path / "a.ts", 100, g="10", bf="0")

    def change(index, ticks):
        return ticks if index != position else None if away is None else ticks + away

    found, damaged = read(restamp(path, change))
    assert (len(found), damaged) == (100, 0)
    assert found == pytest.approx([i / 25 for i in range(100)], abs=1 / 25)
    if position:
        assert found == [Fraction(i, 25) for i in range(100)]


def test_a_recorder_that_leaps_and_one_that_begins_anew(tmp_path):
    path = write_clip(tmp_path / "a.ts", 100, g="10", bf="0")
    found, _ = read(restamp(path, lambda index, ticks: ticks + FAR * (index >= 50)))
    assert found == [Fraction(i, 25) + 37_600 * (i >= 50) for i in range(100)]
    found, _ = read(restamp(path, lambda index, ticks: ticks - (FAR + TICKS) * (index >= 50)))
    assert found == [Fraction(i, 25) for i in range(100)]


@pytest.mark.parametrize("away", [FAR, 5 * TICKS])
def test_what_is_on_show_is_not_sought_among_stray_stamps(tmp_path, away):
    path = write_clip(tmp_path / "a.ts", 100, g="10", bf="0")
    restamp(path, lambda index, ticks: ticks + away * (index == 60))
    with Moments(path, 0.0, 4.0) as video:
        assert index_of(video.array(0.4)) == 10
        with pytest.raises(NotSeekable):
            video.array(2.44)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_avi_with_b_frames_has_no_timestamps_and_even_times(tmp_path, threads, rate):
    path = write_clip(tmp_path / "b.avi", 29, rate=rate, preset="medium", bf="3", g="12")
    with VideoReader(path, threads=threads) as video:
        assert video.info.rate == rate
        frames = [(index_of(frame.array()), frame.time, frame.duration) for frame in video]
    assert frames == [(i, i / Fraction(rate), 1 / Fraction(rate)) for i in range(29)]
    assert video.damaged == 0


@pytest.mark.parametrize("position", [3, 10, 17])
def test_one_damaged_packet_of_it_moves_no_picture(tmp_path, position):
    path = write_clip(tmp_path / "b.avi", 29, preset="medium", bf="3", g="8")
    offset, size = packets(path)[position]
    overwrite(path, [(offset + size // 2, size - size // 2)])
    with VideoReader(path, threads=1) as video:
        frames = list(video)
    assert len(frames) == 29
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(29)]
    found = [index_of(frame.array()) for frame in frames]
    assert video.damaged <= 1
    assert found[24:] == list(range(24, 29))
    assert found[0] == 0


# ------------------------------------------------------------------------------------------------ what was filmed


def film(stamps, period=Fraction(1, 25)):
    """Seconds of video before each frame."""
    return [moment.time - moment.unfilmed for moment in Clock(enumerate(stamps), Fraction(1, TICKS), period)]


@pytest.mark.parametrize("declared", [Fraction(1, 10), Fraction(60), Fraction(1, 25)])
@pytest.mark.parametrize(
    "rate, frames, gap",
    [(10, 10, 600), (10, 10, 36_000), (25, 125, 12), (25, 125, 16), (25, 125, 11), (10, 15, 60), (25, 7, 30)],
)
def test_a_gap_is_not_filmed_however_short_the_bursts_are(rate, frames, gap, declared):
    """Bursts of frames with nothing between them; the file may declare their average as its rate."""
    step, stamps = TICKS // rate, []
    for burst in range(12):
        start = burst * (frames * step + gap * TICKS)
        stamps += [start + index * step for index in range(frames)]
    assert times(stamps, declared) == [Fraction(stamp, TICKS) for stamp in stamps]
    assert film(stamps, declared) == [Fraction(index, rate) for index in range(12 * frames)]


def test_pauses_up_to_ten_seconds_and_films_of_stills_are_filmed():
    for stamps in (
        np.cumsum(np.random.default_rng(0).integers(1, 9 * TICKS, 500)).tolist(),
        [60 * TICKS * index for index in range(50)],
        [TICKS * second for second in range(50)] + [TICKS * (50 + 30 * index) for index in range(30)],
    ):
        assert film(stamps) == times(stamps)


@pytest.mark.parametrize("back", [TICKS // 2, FAR])
def test_lost_stamps_and_new_beginnings_are_filmed(back):
    stamps = ordinary()
    stamps[60:] = [stamp - back for stamp in stamps[60:]]
    stamps[100:104] = [None] * 4
    stamps[150:] = [stamp + FAR for stamp in stamps[150:]]
    assert film(stamps) == [Fraction(index, 25) for index in range(COUNT)]
