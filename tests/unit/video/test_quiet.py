"""Where nothing moves, by key frames and packets, against what is known of the picture."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quiet_cameras import RATE, camera

from wsvad.video.packets import Irregular
from wsvad.video.quiet import MARGIN, by_packets, by_pictures, moving, unseen


def still(count, seed=0):
    """Block means of a picture with noise."""
    dice = np.random.default_rng(seed)
    return (dice.uniform(40, 200, (24, 32)) + dice.normal(0, 0.3, (count, 24, 32))).astype(np.float32)


def test_noise_is_no_motion():
    assert not by_pictures(still(600)).any()


def test_what_comes_and_goes_is_seen_in_both_pairs():
    looks = still(40)
    looks[20, 10:12, 5] += 12
    assert np.flatnonzero(by_pictures(looks)).tolist() == [19, 20]


def test_light_is_no_motion():
    looks = still(60)
    assert not by_pictures(looks * np.linspace(1, 0.7, 60)[:, None, None]).any()


def test_rain_is_no_motion_and_who_walks_in_it_is():
    looks, dice = still(200), np.random.default_rng(1)
    drops = dice.random((100, 24, 32)) < 0.1
    looks[100:] += 3 * drops
    assert by_pictures(looks)[:99].sum() == by_pictures(looks)[100:].sum() == 0
    looks[150, 8:12, 8:10] += 25
    assert by_pictures(looks)[[149, 150]].all()


def test_a_time_in_the_picture_is_no_motion_and_a_person_beside_it_is():
    looks, dice = still(100), np.random.default_rng(2)
    looks[:, 1, 20:23] += dice.uniform(-30, 30, (100, 3))
    looks[50:, 1, 18] += 20  # a minute later
    assert not by_pictures(looks).any()
    looks[70, 15:18, 20] += 20
    assert np.flatnonzero(by_pictures(looks)).tolist() == [69, 70]


def test_what_moves_all_the_time_is_no_noise():
    looks, dice = still(100), np.random.default_rng(3)
    looks[:, 6:18, 8:24] += dice.uniform(-30, 30, (100, 12, 16))
    assert by_pictures(looks).all()


@pytest.mark.parametrize("deviation", [3, 10, 30])
def test_where_all_of_the_picture_moves_nothing_is_quiet(deviation):
    looks = still(60) + np.random.default_rng(4).normal(0, deviation, (60, 24, 32)).astype(np.float32)
    assert by_pictures(looks).all()


def test_who_falls_is_found_and_lies_quietly():
    looks = still(60)
    looks[20:40, 10:12, 5] += 12
    assert np.flatnonzero(by_pictures(looks)).tolist() == [19, 39]


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(2, 9), st.data())
def test_packets_alone_are_believed_between_two_looks_only(found, step, data):
    found, looks = np.array(found), np.arange(0, len(found), step)
    seen = np.zeros(len(found), bool)
    for first, last in pairwise(looks):
        seen[first : last + 1] |= data.draw(st.booleans())
    kept, expected, start = unseen(found, looks, seen), found.copy(), None
    for place, one in enumerate([*found, False]):  # each stretch by itself
        if one and start is None:
            start = place
        elif not one and start is not None:
            stretch = slice(start, place)
            if sum(start <= look < place for look in looks) >= 2 and not seen[stretch].any():
                expected[stretch] = False
            start = None
    np.testing.assert_array_equal(kept, expected)


def test_somebody_who_passes_is_found_and_the_rest_is_quiet(tmp_path):
    path = camera(tmp_path / "a.mp4", 60, walks := [(12.3, 15.1), (40.5, 41.4)])
    packets, moves = moving(path)
    assert len(moves) == len(packets.stamps) == 60 * RATE
    for start, end in walks:
        assert moves[int(start * RATE) : int(end * RATE)].all()
    near = np.arange(60) < 2  # an encoder has to settle
    for start, end in walks:
        near[int(start) - 4 : int(end) + 5] = True
    assert not moves.reshape(60, RATE)[:57][~near[:57]].any()


def test_who_passes_between_two_key_frames_is_found_by_packets(tmp_path):
    path = camera(tmp_path / "a.mp4", 80, [(42.5, 43.4)], g="40", keyint_min="40")  # key frames at 40 and 44
    _, moves = moving(path)
    assert moves[425:434].all()
    assert moves.mean() < 0.15


def test_one_large_packet_is_no_motion_and_several_are():
    keys, dice = np.arange(0, 4000, 4 * RATE), np.random.default_rng(0)
    sizes = dice.integers(200, 260, 4000)
    sizes[keys] = 14_000
    sizes[2012] = 5000  # a tree that sways
    sizes[3012:3020] += 1000  # somebody who runs
    found = by_packets(sizes, keys, RATE)
    assert not found[:3000].any() and not found[3030:].any()
    assert found[3012:3020].all()


def test_at_a_frame_a_second_one_large_packet_is_enough():
    keys, dice = np.arange(0, 4000, 10), np.random.default_rng(0)
    sizes = dice.integers(200, 260, 4000)
    sizes[keys] = 14_000
    sizes[2012] = 5000  # somebody who passes in a second
    assert np.flatnonzero(by_packets(sizes, keys, 1)).tolist() == [2012]


def test_light_that_changes_is_quiet(tmp_path):
    _, moves = moving(camera(tmp_path / "a.mp4", 60, light=-0.3))
    assert moves[: -2 * RATE - round(MARGIN * RATE)].mean() < 0.05


@pytest.mark.parametrize(
    ("seconds", "more", "reason"),
    [(10, {}, "fewer than 12 key frames"), (90, {"g": "300", "keyint_min": "300"}, "fewer than 12 key frames")],
    ids=["short", "few key frames"],
)
def test_what_cannot_be_told_says_why(seconds, more, reason, tmp_path):
    with pytest.raises(Irregular, match=reason):
        moving(camera(tmp_path / "a.mp4", seconds, **more))
