"""Frames and breaks of what a camera sent, without a camera: leaps, sizes, damage, and whoever is too slow."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import packets
import pytest
from packets import TICK, Camera, Filmed, pictures

from wsvad.video.ring import Break
from wsvad.video.ring_frames import RingFrames


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    return Filmed(pictures(100))


def frames_of(camera: Camera, behind: float = 1e9) -> RingFrames:
    return RingFrames(camera.ring, "rtsp://camera/1", behind)


def rest(frames: RingFrames) -> list:
    items = []
    while (item := frames.take(0)) is not None:
        items.append(item)
    return items


def shape(items: list) -> list:
    """Runs of frames as their number, breaks as their reason."""
    found: list = []
    for item in items:
        if isinstance(item, Break):
            found.append(item.why)
        elif found and isinstance(found[-1], int):
            found[-1] += 1
        else:
            found.append(1)
    return found


def test_frames_are_the_cameras_at_its_times(filmed):
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed)
    camera.stretches.end("connection", "gone")
    *frames, end = rest(frames_of(camera))
    assert end.why == "connection" and len(frames) == 100
    # The first packet comes one period after the source was made; from there on its own clock holds, exactly.
    assert [frame.time for frame in frames] == [Fraction(40, 1000) + Fraction(i, 25) for i in range(100)]
    assert [frame.index for frame in frames] == list(range(100)) and end.time == frames[-1].time + Fraction(1, 25)
    for frame, expected in zip(frames, filmed.decoded(), strict=True):
        np.testing.assert_array_equal(frame.picture.to_ndarray(format="gray"), expected)


def test_frames_before_the_first_key_frame_are_not_given(filmed):
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed, 5, 25)
    (*frames,) = rest(frames_of(camera))
    assert len(frames) == 15 and camera.stretches.skipped == 5
    np.testing.assert_array_equal(frames[0].picture.to_ndarray(format="gray"), filmed.decoded()[10])


def test_b_frames_come_in_order_and_open_groups_begin_at_their_key_frame():
    filmed = Filmed(pictures(60), "libx264-b", gop=15)
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed)
    camera.stretches.end("connection", "gone")
    *frames, _ = rest(frames_of(camera))
    assert len(frames) == 60
    assert [b.time - a.time for a, b in pairwise(frames)] == [Fraction(1, 25)] * 59


@pytest.mark.parametrize(("ahead", "says"), [(100.0, "leapt by +100.0 s"), (-100.0, "leapt by -100.0 s")])
def test_a_clock_that_leaps_begins_another_stretch_and_time_goes_on(filmed, ahead, says):
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed, 0, 20)
    camera.sent(filmed, 20, 40, ahead=ahead)
    items = rest(frames_of(camera))
    assert shape(items) == [20, "timestamps", 20] and says in items[20].said and camera.stretches.leaps == 1
    times = [item.time for item in items if not isinstance(item, Break)]
    assert [b - a for a, b in pairwise(times)] == [Fraction(1, 25)] * 39


def test_a_leap_between_key_frames_waits_for_the_next(filmed):
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed, 0, 25)
    camera.sent(filmed, 25, 50, ahead=50.0)
    assert shape(rest(frames_of(camera))) == [25, "timestamps", 20]


@pytest.mark.parametrize("held", [0, 1])
def test_a_camera_that_pauses_is_no_clock_that_leaps(held, filmed):
    """FFmpeg may hold the last picture until the next comes."""
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed, 0, 20 - held)
    camera.now += 30
    camera.sent(filmed, 20 - held, 20)
    camera.sent(filmed, 20, 40, ahead=30.0)
    items = rest(frames_of(camera))
    assert shape(items) == [20, "paused", 20]
    assert items[21].time - items[19].time == pytest.approx(30 + 1 / 25, abs=1e-3)


def test_small_steps_back_are_no_break(filmed):
    """Clocks of cameras tremble; that resets nothing."""
    camera = Camera()
    camera.connect(filmed)
    for start in range(0, 40, 4):
        camera.sent(filmed, start, start + 4, ahead=-0.1 * (start % 8 > 0))
    items = rest(frames_of(camera))
    assert shape(items) == [40]
    assert all(a.time <= b.time for a, b in pairwise(items))


def test_slow_cameras_do_not_leap_all_the_time():
    """One picture every three seconds, as time-lapse cameras send."""
    filmed = Filmed(pictures(12), gop=4)
    camera = Camera()
    camera.connect(filmed)
    for index, (_, _, key, data) in enumerate(filmed.packets):
        camera.now += 3
        camera.stretches.packet(camera.now, 270_000 * index, 270_000 * index, 270_000, key, data)
    assert shape(rest(frames_of(camera)))[-1] >= 8


def test_another_size_is_another_stretch(filmed):
    other = Filmed(pictures(20, (96, 64)))
    camera = Camera()
    camera.connect(filmed)
    camera.sent(filmed, 0, 20)
    camera.stretches.form(other.form)
    camera.sent(other)
    items = rest(frames_of(camera))
    assert shape(items) == [20, "format", 20] and "from h264 64x48 to h264 96x64" in items[20].said
    assert items[0].array().shape == (48, 64, 3) and items[21].array().shape == (64, 96, 3)


def test_another_size_that_nobody_announced_is_a_break_too(filmed):
    """As of pictures in JPEG, each of which may have another size."""
    small, large = (Filmed(pictures(5, size), "mjpeg", pixels="yuvj420p") for size in ((64, 48), (96, 64)))
    camera = Camera()
    camera.connect(small)
    camera.sent(small)
    camera.sent(large, ahead=0.2)
    items = rest(frames_of(camera))
    assert shape(items) == [5, "format", 5] and items[-1].array().shape == (64, 96, 3)


def pictures_are_the_cameras(items: list, filmed: Filmed) -> bool:
    expected = filmed.decoded()
    return all(
        np.array_equal(item.picture.to_ndarray(format="gray"), expected[round((item.time - items[0].time) * 25)])
        for item in items
        if not isinstance(item, Break)
    )


@pytest.mark.parametrize("damage", ["rubbish", "half", "one byte"])
def test_damage_is_a_break_up_to_the_next_key_frame(damage, filmed):
    data = filmed.packets[24][3]
    middle = len(data) // 2
    changed = {
        "rubbish": data[:5] + bytes([255] * (len(data) - 5)),
        "half": data[:middle],
        "one byte": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
    }[damage]
    camera = Camera()
    camera.connect(filmed)
    camera.damaged(filmed, {24: changed})
    frames = frames_of(camera)
    items = rest(frames)
    assert shape(items) == [24, "damaged", 30] and frames.damaged == 1 and pictures_are_the_cameras(items, filmed)


def test_pictures_made_from_one_that_is_lost_are_not_given(filmed):
    """FFmpeg makes them up from what it has, and says nothing."""
    camera = Camera()
    camera.connect(filmed)
    camera.damaged(filmed, {30: None})  # a key frame
    items = rest(frames_of(camera))
    assert shape(items) == [30, "damaged", 20] and pictures_are_the_cameras(items, filmed)
    camera = Camera(transport="udp")
    camera.connect(filmed)
    camera.damaged(filmed, {24: None})
    items = rest(frames_of(camera))
    assert shape(items) == [24, "damaged", 30] and pictures_are_the_cameras(items, filmed)
    assert "set its transport to tcp" in items[24].said


def test_a_camera_whose_pictures_all_seem_damaged_is_shown_all_the_same():
    """Each key frame comes in two packets, as from GStreamer with slices and parameters before each of them."""
    options = packets.OPTIONS["libx264"] | {"slices": "2"}
    filmed = Filmed(pictures(200, (96, 64)), gop=10, options=options)
    sent, camera = [], Camera()
    for pts, dts, key, data in filmed.packets:
        at = data.rindex(b"\0\0\1")
        sent += [(pts, dts, key, part) for part in ((data[:at], data[at:]) if key else (data,))]
    filmed.packets = sent
    camera.connect(filmed)
    camera.sent(filmed)
    frames = frames_of(camera)
    given = shape(rest(frames))
    assert "damaged" not in given[2:] and given[-1] >= 150 and frames.damaged >= 15


def test_whoever_is_too_slow_loses_whole_snippets_and_never_falls_further_behind(filmed):
    """Takes one frame while three come: what is left out is counted, and what is given is whole snippets."""
    camera = Camera(seconds=4, most_bytes=2**22)
    camera.connect(filmed)
    frames, items, behind = frames_of(camera, behind=0.5), [], 0.0
    for round_ in range(12):
        for index, _ in enumerate(camera.send(filmed, ahead=4.0 * round_)):
            if index % 3 == 0 and (item := frames.take(0)) is not None:
                items.append(item)
                behind = max(behind, frames.behind)
    items += rest(frames)
    assert len(camera.ring.packets()) <= 4 * 25 + 1
    given = shape(items)
    assert all(count % 16 == 0 for count in given[:-1] if isinstance(count, int)) and "dropped" in given
    assert behind <= 0.5 + 16 * 3 / 25 + 10 / 25, "a snippet's time at this pace, and a key frame's distance"
    frames_given = sum(count for count in given if isinstance(count, int))
    dropped = [item for item in items if isinstance(item, Break)]
    assert {item.why for item in dropped} == {"dropped"}
    assert frames.dropped == sum(item.snippets for item in dropped)
    left_out = 1200 - frames_given
    assert left_out <= 16 * frames.dropped < left_out + 16 * len(dropped)


def test_without_key_frames_snippets_are_left_out_one_by_one():
    """A camera whose key frames are far apart: nothing to leap to."""
    filmed = Filmed(pictures(200), gop=1000)
    camera = Camera()
    camera.connect(filmed)
    frames, items, behind = frames_of(camera, behind=0.5), [], 0.0
    for index, _ in enumerate(camera.send(filmed)):
        if index % 3 == 0 and (item := frames.take(0)) is not None:
            items.append(item)
            behind = max(behind, frames.behind)
    given = shape(items)
    assert all(count % 16 == 0 for count in given[:-1] if isinstance(count, int))
    assert "dropped" in given and behind <= 1.0 + 16 * 3 / 25 + 16 / 25
    taken = sum(count for count in given if isinstance(count, int))
    assert taken + 16 * frames.dropped == round((items[-1].time - items[0].time) * 25) + 1, "whole snippets, exactly"
    # What follows what was left out was decoded from all that was before: it is the camera's picture.
    expected = filmed.decoded()
    for item in items:
        if not isinstance(item, Break):
            index = round((item.time - items[0].time) * 25)
            np.testing.assert_array_equal(item.picture.to_ndarray(format="gray"), expected[index])


def test_what_fell_out_of_the_ring_is_counted(filmed):
    camera = Camera(seconds=1)
    camera.connect(filmed)
    frames = frames_of(camera)
    camera.sent(filmed, 0, 16)
    first = rest(frames)
    camera.sent(filmed, 16, 100)
    items = rest(frames)
    assert shape(first) == [16] and items[0].why == "dropped"
    given = sum(not isinstance(item, Break) for item in items)
    assert 84 - given <= 16 * frames.dropped < 84 - given + 16
    assert given <= 26 and len(camera.ring.packets()) <= 26


def test_the_ring_is_bounded_in_bytes(filmed):
    camera = Camera(most_bytes=20_000)
    camera.connect(filmed)
    for _ in camera.send(filmed):
        assert camera.ring.held[1] <= 20_000 + max(len(data) for *_, data in filmed.packets)
    assert camera.ring.held[1] == sum(len(packet.data) for packet in camera.ring.packets())


def test_the_clock_on_the_wall_and_its_drift(filmed):
    """A camera that says 25 pictures a second and sends 21."""
    camera = Camera()
    start = camera.stretches.anchors.wall(0.0)
    for round_ in range(5):
        if not round_:
            camera.connect(filmed)
        camera.sent(filmed, ahead=4.0 * round_, pace=25 / 21)
    last = camera.ring.packets()[-1]
    assert camera.stretches.anchors.drift == pytest.approx(25 / 21 - 1, rel=0.1)
    assert camera.stretches.anchors.wall(float(last.time)) - start == pytest.approx(500 / 21, abs=0.5)
    assert float(last.time) == pytest.approx(500 / 25, abs=0.1), "media time is the camera's"
    assert last.stretch.tick == TICK
