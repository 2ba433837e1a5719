"""Events against a loop that follows the rules word by word, and what holds for all curves."""

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.errors import UsageError
from wsvad.metrics.events import EventRules, find_events

rules_of = st.builds(
    EventRules,
    low=st.sampled_from([0.5, 0.75, 1.0]),
    min_seconds=st.sampled_from([0, 0.5, 1.0, 1.6, 4.8]),
    merge_seconds=st.sampled_from([0, 0.5, 1.6, 3.2]),
)
thresholds = st.sampled_from([0.2, 0.5, 0.8, 1.0])


@st.composite
def curves(draw):
    """Scores, seconds and frames of snippets; the last one, or any at a varying frame rate, has its own duration."""
    scores = draw(st.lists(st.integers(0, 10).map(lambda x: x / 10), min_size=1, max_size=30))
    steps = draw(st.lists(st.sampled_from([0.5, 1.6, 0.1]), min_size=len(scores), max_size=len(scores)))
    frames = 16 * np.arange(len(scores) + 1)
    frames[-1] -= draw(st.integers(0, 15))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return np.array(scores).astype(dtype), np.concatenate([[0.0], np.cumsum(steps)]), frames


def by_the_book(scores, times, threshold, rules):
    """Snippet ranges [first, end) of the events."""
    scores = scores.astype(np.float64)
    reached = set()
    for t in range(len(scores)):
        if scores[t] >= threshold:
            a = b = t
            while a > 0 and scores[a - 1] >= rules.low * threshold:
                a -= 1
            while b + 1 < len(scores) and scores[b + 1] >= rules.low * threshold:
                b += 1
            reached |= set(range(a, b + 1))
    ranges = []
    for t in sorted(reached):
        if ranges and ranges[-1][1] == t:
            ranges[-1][1] = t + 1
        else:
            ranges.append([t, t + 1])
    merged = []
    for a, b in ranges:
        if merged and times[a] - times[merged[-1][1]] < rules.merge_seconds - 1e-6:
            merged[-1][1] = b
        else:
            merged.append([a, b])
    return [(a, b) for a, b in merged if times[b] - times[a] >= rules.min_seconds - 1e-6]


@settings(deadline=None)
@given(curves(), thresholds, rules_of)
def test_agrees_with_the_rules_word_by_word(curve, threshold, rules):
    scores, times, frames = curve
    found = find_events(scores, times, frames, threshold=threshold, rules=rules)
    expected = by_the_book(scores, times, threshold, rules)
    assert [(e.start_frame, e.end_frame, e.start, e.end) for e in found] == [
        (frames[a], frames[b], times[a], times[b]) for a, b in expected
    ]
    for event, (a, b) in zip(found, expected, strict=True):
        first = next(t for t in range(a, b) if scores[t] == max(scores[a:b]))
        assert event.peak == max(scores[a:b]) and times[first] < event.peak_time < times[first + 1]


@settings(deadline=None)
@given(curves(), thresholds, rules_of)
def test_events_are_sorted_apart_long_enough_and_reach_the_threshold(curve, threshold, rules):
    events = find_events(*curve, threshold=threshold, rules=rules)
    for before, after in pairwise(events):
        assert after.start > before.end and after.start_frame > before.end_frame
        assert after.start - before.end >= rules.merge_seconds - 1e-6
    for event in events:
        assert event.end - event.start >= rules.min_seconds - 1e-6
        assert event.start <= event.peak_time <= event.end
        assert event.peak >= np.float64(threshold) and 0 <= event.start_frame < event.end_frame <= curve[2][-1]


@settings(deadline=None)
@given(curves(), st.floats(0.05, 1), st.floats(0.05, 1), rules_of)
def test_a_higher_threshold_only_takes_event_time_away(curve, one, other, rules):
    wide = find_events(*curve, threshold=min(one, other), rules=rules)
    for event in find_events(*curve, threshold=max(one, other), rules=rules):
        assert any(around.start <= event.start and event.end <= around.end for around in wide)


@settings(deadline=None)
@given(curves(), thresholds, rules_of)
def test_time_reversed_is_the_same_story(curve, threshold, rules):
    scores, times, frames = curve
    there = find_events(scores, times, frames, threshold=threshold, rules=rules)
    back = find_events(
        scores[::-1], times[-1] - times[::-1], frames[-1] - frames[::-1], threshold=threshold, rules=rules
    )
    assert [(e.start_frame, e.end_frame, e.peak) for e in there] == [
        (frames[-1] - e.end_frame, frames[-1] - e.start_frame, e.peak) for e in reversed(back)
    ]


def test_hysteresis_merging_and_length_in_one_curve():
    scores = np.array([0.1, 0.5, 0.9, 0.5, 0.1, 0.5, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9])
    times, frames = np.arange(16) * 1.0, np.arange(16) * 16

    def found(**rules):
        events = find_events(scores, times, frames, threshold=0.8, rules=EventRules(**rules))
        return [(e.start, e.end) for e in events]

    assert found(low=1, min_seconds=0, merge_seconds=0) == [(2, 3), (8, 9), (14, 15)]
    assert found(low=0.5, min_seconds=0, merge_seconds=0) == [(1, 4), (8, 9), (14, 15)]
    assert found(low=0.5, min_seconds=1.5, merge_seconds=0) == [(1, 4)]
    assert found(low=0.5, min_seconds=0, merge_seconds=4) == [(1, 4), (8, 9), (14, 15)]
    assert found(low=0.5, min_seconds=0, merge_seconds=4.5) == [(1, 9), (14, 15)]
    assert found(low=0.5, min_seconds=1.5, merge_seconds=100) == [(1, 15)]


def test_an_event_becomes_plain_json():
    (event,) = find_events(
        np.float32([0.25, 0.75, 0.5]),
        np.array([0, 0.64, 1.28, 1.6]),
        np.array([0, 16, 32, 40]),
        threshold=0.5,
        rules=EventRules(min_seconds=0),
    )
    assert json.loads(json.dumps(asdict(event))) == {
        "start_frame": 16,
        "end_frame": 40,
        "start": 0.64,
        "end": 1.6,
        "peak": 0.75,
        "peak_time": 0.96,
        "rarity": None,
    }


@pytest.mark.parametrize("low", [0, -0.1, 1.1])
def test_the_lower_threshold_is_a_share_of_the_upper(low):
    with pytest.raises(UsageError, match=rf"low {low}: a number, above 0 to 1"):
        EventRules(low=low)


@pytest.mark.parametrize("seconds", [-1, 1e30, float("nan"), True])
@pytest.mark.parametrize("name", ["min_seconds", "merge_seconds"])
def test_a_rule_that_nothing_meets_is_refused(name, seconds):
    with pytest.raises(UsageError, match=rf"{name} .*: a number, from 0 to 86400"):
        EventRules(**{name: seconds})


@settings(deadline=None)
@given(curves(), curves(), thresholds, rules_of, st.sampled_from([11.0, 2400.0]))
def test_a_gap_in_which_nothing_was_filmed_parts_events_as_if_there_were_two_videos(a, b, threshold, rules, gap):
    (scores_a, times_a, frames_a), (scores_b, times_b, frames_b) = a, b
    after = times_a[-1] + gap
    scores = np.concatenate([scores_a, scores_b]).astype(np.float64)
    times = np.concatenate([times_a[:-1], after + times_b])  # the last snippet before the gap lasts until its end
    frames = np.concatenate([frames_a[:-1], frames_a[-1] + frames_b])
    filmed = np.concatenate([np.diff(times_a), np.diff(times_b)])
    found = find_events(scores, times, frames, threshold=threshold, rules=rules, filmed=filmed)
    one = find_events(scores_a.astype(np.float64), times_a, frames_a, threshold=threshold, rules=rules)
    two = find_events(scores_b.astype(np.float64), times_b, frames_b, threshold=threshold, rules=rules)
    moved = [
        replace(
            each, start=after + each.start, end=after + each.end, peak_time=after + each.peak_time,
            start_frame=frames_a[-1] + each.start_frame, end_frame=frames_a[-1] + each.end_frame,
        )
        for each in two
    ]  # fmt: skip
    assert [(e.start_frame, e.end_frame, e.peak) for e in found] == [
        (e.start_frame, e.end_frame, e.peak) for e in [*one, *moved]
    ]
    for event, expected in zip(found, [*one, *moved], strict=True):
        assert [event.start, event.end, event.peak_time] == pytest.approx(
            [expected.start, expected.end, expected.peak_time], abs=1e-6
        )
