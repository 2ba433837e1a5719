"""Zones let nothing through, faults are those that there are, and stills show an event's peak."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from clips import level
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import pictures

from wsvad.metrics.events import Event
from wsvad.video.reader import Frame
from wsvad.watch.faults import Faults, Lasting
from wsvad.watch.stills import Stills
from wsvad.watch.zones import Zones

share = st.floats(0, 1)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(share, share), min_size=3, max_size=5),
    st.sampled_from([None, (32, 24), (40, 31), (160, 120), (300, 250)]),
    st.sampled_from(["rgb", "gray"]),
    st.randoms(use_true_random=False),
)
def test_what_is_in_a_zone_changes_nothing(zone, size, colour, chance):
    """Whatever is drawn inside, each conversion gives the same; and what is outside is still there."""
    rng = np.random.default_rng(chance.randrange(2**32))
    image = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    inside = np.zeros((90, 120), np.uint8)
    # A pixel counts as inside where its centre is, as exactly as OpenCV draws it.
    corners = np.array([[x * 120 - 0.5, y * 90 - 0.5] for x, y in zone])
    cv2.fillPoly(inside, [np.round(corners * 256).astype(np.int32)], 1, shift=8)
    other = image.copy()
    other[inside.astype(bool)] = 255 - other[inside.astype(bool)]
    hide = Zones([tuple(zone)])
    a, b = (hide(Frame.of_array(one, 0, Fraction(25))).array(size, colour) for one in (image, other))
    np.testing.assert_array_equal(a, b)


def test_what_is_outside_of_a_zone_stays():
    frame = Frame.of_array(pictures(1, (160, 120))[0], 0, Fraction(25))
    hidden = Zones([((0, 0), (0.5, 0), (0.5, 1), (0, 1))])(frame)
    whole, left = frame.array((80, 60)), hidden.array((80, 60))
    assert (left[:, :40] == 0).all()
    np.testing.assert_array_equal(left[:, 46:], whole[:, 46:])
    assert Zones([])(frame) is frame


def seen(images, faults, start=0.0, step=0.5):
    """What is wrong after each picture."""
    frames = (Frame.of_array(image, 0, Fraction(25)) for image in images)
    return [
        sorted(faults.see(Frame(0, Fraction(start + step * n), frame.duration, frame.picture, frame.pictures)))
        for n, frame in enumerate(frames)
    ]


def place(seed, count, noise=6, light=1.0):
    """A scene with noise, as a fixed camera shows it."""
    rng = np.random.default_rng(seed)
    base = np.full((90, 160), 60, np.float32)
    for _ in range(12):
        (x, y), (width, height) = rng.integers((0, 0), (150, 80)), rng.integers(8, 50, 2)
        base[y : y + height, x : x + width] = rng.integers(30, 220)
    images = (light * base[..., None] + rng.normal(0, noise, (90, 160, 3)) for _ in range(count))
    return [np.clip(image, 0, 255).astype(np.uint8) for image in images]


QUICK = Lasting(frozen=5, black=5, moved=5, learn=20)


def test_a_camera_that_works_has_no_fault():
    day, evening = place(1, 60), [image for light in (0.9, 0.7, 0.5, 0.4) for image in place(1, 20, light=light)]
    assert seen(day + evening + place(1, 60), Faults(QUICK)) == [[]] * 200


def test_a_picture_that_stands_still_is_frozen_from_its_first_repetition():
    faults, images = Faults(QUICK), place(1, 20)
    # As an encoder that is given the same picture shows it: a few levels more or less.
    still = [np.clip(images[-1].astype(int) + n % 2, 0, 255).astype(np.uint8) for n in range(20)]
    found = seen(images + still, faults)
    assert found[:30] == [[]] * 30 and found[-1] == ["frozen"]
    moved_on = seen(place(1, 3), faults, start=20.0)
    assert moved_on == [[]] * 3


def test_black_is_not_frozen():
    found = seen(place(1, 5) + [np.full((90, 160, 3), 3, np.uint8)] * 30, Faults(QUICK))
    assert found[-1] == ["black"] and not any("frozen" in one for one in found)


def test_another_place_is_said_until_it_is_its_own():
    faults = Faults(QUICK)
    found = seen(place(1, 60) + place(2, 400), faults)
    first = found.index(["moved"])
    assert 60 < first < 60 + 80 and found[-1] == [] and set(map(tuple, found[first:])) == {("moved",), ()}


def test_a_break_makes_what_has_lasted_unknown():
    faults, image = Faults(QUICK), place(1, 1)[0]
    assert seen([image] * 9, faults)[-1] == []
    faults.cut()
    assert seen([image] * 9, faults, start=4.5)[-1] == []


@pytest.mark.parametrize("each", [16, 48])
def test_a_still_is_the_middle_of_the_peak(each):
    """Also where the source is resampled, and a snippet has more of its own frames; also behind a pause."""
    stills, time = Stills(), Fraction(0)
    for snippet in range(6):
        for _ in range(each):
            value = level(round(time * 25) // each * 4 + round(time * 25) % each // (each // 4))
            frame = Frame.of_array(np.full((24, 32, 3), value, np.uint8), 0, Fraction(25))
            stills.see(Frame(0, time, frame.duration, frame.picture, frame.pictures))
            time += Fraction(1, 25)
        stills.snippet(snippet * each / 25, (snippet + 1) * each / 25, keep=snippet in (2, 4))
    middle = 4.5 * each / 25
    event = Event(start_frame=0, end_frame=9, start=2 * each / 25, end=6 * each / 25, peak=1, peak_time=middle)
    shown = cv2.imdecode(np.frombuffer(stills.of(event), np.uint8), cv2.IMREAD_COLOR)
    assert abs(float(shown.mean()) - level(4 * 4 + 2)) < 3
    unseen = replace(event, peak_time=1.5 * each / 25, start=1 * each / 25)
    assert stills.of(unseen) == stills.of(event), "none was made of the peak"
    assert stills.of(replace(event, start=0, end=2 * each / 25, peak_time=0)) is None
    stills.clear()
    assert stills.of(event) is None


@pytest.mark.parametrize("size", [(2, 4000), (4000, 2), (1080, 1920), (27, 48)])
def test_faults_are_looked_for_in_pictures_of_any_form(size):
    image = np.random.default_rng(0).integers(60, 200, (*size, 3)).astype(np.uint8)
    faults = Faults()
    for second in range(3):
        frame = replace(Frame.of_array(np.roll(image, second, 1), second, Fraction(1)), time=Fraction(second))
        assert faults.see(frame) == {}
