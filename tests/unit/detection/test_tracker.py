"""The tracker against `find_events` on whole curves, and when it says what."""

import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.detection import tracker as module
from wsvad.detection.tracker import EventTracker
from wsvad.metrics.events import Event, EventRules, alerts, ends_of, find_events, spans

rules_of = st.builds(
    EventRules,
    low=st.sampled_from([0.5, 0.75, 1.0]),
    min_seconds=st.sampled_from([0, 0.5, 1.0, 1.75, 5.0]),
    merge_seconds=st.sampled_from([0, 0.5, 1.0, 1.75, 3.25]),
)
thresholds = st.sampled_from([0.2, 0.5, 0.8, 1.0])


@st.composite
def curves(draw, gaps: bool = True):
    """Scores, seconds, frames, and seconds filmed: all of a snippet's time, a little less (a camera that is slower than
    it says), or much less (a recorder that pauses). All are exact in binary, so nothing hangs on rounding."""
    scores = draw(st.lists(st.integers(0, 10).map(lambda x: x / 10), min_size=1, max_size=40))
    count = len(scores)
    filmed = np.array(draw(st.lists(st.sampled_from([0.5, 1.75, 0.125]), min_size=count, max_size=count)))
    pauses = [0, 0, 0, 0.125, 1.0, 1.5, 2.5, 8.0] if gaps else [0]
    pause = np.array(draw(st.lists(st.sampled_from(pauses), min_size=count, max_size=count)))
    frames = 16 * np.arange(count + 1)
    frames[-1] -= draw(st.integers(0, 15))
    return np.array(scores), 4 + np.concatenate([[0.0], np.cumsum(filmed + pause)]), frames, filmed if gaps else None


def track(curve, threshold, rules, said=None):
    """All that the tracker says, each with the number of the snippet after which it says it; T behind the last."""
    scores, times, frames, filmed = curve
    tracker = EventTracker(threshold=threshold, rules=rules)
    ends = times[1:] if filmed is None else times[:-1] + filmed
    said = [None] * len(scores) if said is None else said
    found = []
    for t, (score, start, end, count, row) in enumerate(
        zip(scores, times[:-1], ends, np.diff(frames), said, strict=True)
    ):
        found += [(t, one) for one in tracker.push(score, start, end, frames=int(count), said=row)]
    return found + [(len(scores), one) for one in tracker.end(at=times[-1])]


@settings(deadline=None, max_examples=200)
@given(st.one_of(curves(), curves(gaps=False)), thresholds, rules_of)
def test_what_it_says_in_the_end_is_what_find_events_says(curve, threshold, rules):
    scores, times, frames, filmed = curve
    expected = find_events(scores, times, frames, threshold=threshold, rules=rules, filmed=filmed)
    found = track(curve, threshold, rules)
    assert [one.event for _, one in found if one.state == "end"] == expected


@settings(deadline=None, max_examples=60)
@given(st.one_of(curves(), curves(gaps=False)), thresholds, rules_of)
def test_each_event_starts_once_grows_and_ends_once(curve, threshold, rules):
    found = [one for _, one in track(curve, threshold, rules)]
    for before, after in pairwise(found):
        assert (before.state == "end") == (after.state == "start")
        if after.state != "start":
            assert (after.event.start, after.evidence, after.due) == (before.event.start, before.evidence, before.due)
            assert after.event.end >= before.event.end and after.event.peak >= before.event.peak
    assert not found or (found[0].state, found[-1].state) == ("start", "end")


@settings(deadline=None, max_examples=60)
@given(curves(gaps=False), thresholds, rules_of)
def test_alerts_are_due_when_evaluation_counts_them(curve, threshold, rules):
    """The delays of `metrics.alerts` are those of a camera."""
    scores, times, _, _ = curve
    _, _, out = alerts(scores, times, threshold, rules)
    due = [one.due for _, one in track(curve, threshold, rules) if one.state == "start"]
    assert due == times[out + 1].tolist()


@settings(deadline=None, max_examples=100)
@given(st.one_of(curves(), curves(gaps=False)), thresholds, rules_of)
def test_an_alert_is_neither_later_nor_sooner_than_the_rules_allow(curve, threshold, rules):
    """It comes behind the first snippet t for which the curve up to t has the event, whatever comes after it; where a
    snippet lasted longer than it said, behind the one after it, which says so."""
    scores, times, _, filmed = curve
    found = track(curve, threshold, rules)
    ends = ends_of(times, filmed)
    for t, one in found:
        if one.state != "start":
            continue
        first = int(np.searchsorted(times, one.event.start))
        certain = next(
            last
            for last in range(len(scores))
            if any(
                times[a] == one.event.start
                for a in spans(scores[: last + 1], times[: last + 2], threshold, rules, _upto(filmed, last))[0]
            )
        )
        assert certain <= t <= certain + 1
        if filmed is None or ends[certain] == times[certain] + filmed[certain]:
            assert t == certain and one.due == one.event.end
        reached = next(i for i in range(first, len(scores)) if scores[i] >= threshold)
        assert one.evidence == times[reached] <= one.due


def _upto(filmed, last):
    return None if filmed is None else filmed[: last + 1]


@settings(deadline=None, max_examples=60)
@given(st.one_of(curves(), curves(gaps=False)), thresholds, rules_of, st.integers(0, 1000))
def test_what_was_said_of_snippets_is_averaged_over_each_event(curve, threshold, rules, seed):
    scores, times, _, filmed = curve
    said = np.random.default_rng(seed).integers(0, 8, (len(scores), 3)).astype(float)
    ended = [one for _, one in track(curve, threshold, rules, said) if one.state == "end"]
    first, last = spans(scores, times, threshold, rules, filmed)
    expected = [said[a : b + 1].mean(0) for a, b in zip(first, last, strict=True)]
    np.testing.assert_allclose([one.said for one in ended], expected) if expected else None
    assert len(ended) == len(expected)


def run(scores, **rules):
    tracker = EventTracker(threshold=0.8, rules=EventRules(**rules))
    return [(t, one.state, one.event.start, one.event.end) for t, score in enumerate(scores)
            for one in tracker.push(score, t, t + 1)]  # fmt: skip


def test_an_event_is_over_a_merge_gap_after_its_last_snippet():
    scores = [0, 0.9, 0.6, 0, 0, 0, 0, 0]
    assert run(scores, merge_seconds=2, min_seconds=1) == [
        (1, "start", 1, 2), (2, "update", 1, 3), (4, "end", 1, 3),
    ]  # fmt: skip
    assert run(scores, merge_seconds=0, min_seconds=1)[-1] == (3, "end", 1, 3)


def test_a_stretch_below_the_threshold_keeps_the_event_waiting_and_joins_it_when_it_reaches_it():
    scores = [0.9, 0, 0.6, 0.6, 0.6, 0.9, 0, 0, 0]
    assert run(scores, merge_seconds=2, min_seconds=1) == [
        (0, "start", 0, 1), (5, "update", 0, 6), (7, "end", 0, 6),
    ]  # fmt: skip
    assert run([*scores[:5], 0, 0], merge_seconds=2, min_seconds=1) == [(0, "start", 0, 1), (5, "end", 0, 1)]


def test_after_a_break_the_open_event_has_ended_and_what_follows_is_another():
    tracker = EventTracker(threshold=0.5, rules=EventRules(min_seconds=0.5))
    assert [one.state for one in tracker.push(0.9, 0, 1)] == ["start"]
    assert tracker.event == Event(start_frame=0, end_frame=16, start=0, end=1, peak=0.9, peak_time=0.5)
    assert [(one.state, one.event.end) for one in tracker.end()] == [("end", 1)]
    assert tracker.event is None and tracker.end() == []
    assert [(one.state, one.event.start) for one in tracker.push(0.9, 1, 2)] == [("start", 1)]
    assert [one.state for one in tracker.push(0.9, 0.5, 1.5)] == ["end", "start"]  # its clock began again


def test_whether_an_event_goes_on_with_the_next_snippet():
    tracker, lasting = EventTracker(threshold=0.8, rules=EventRules(merge_seconds=2, min_seconds=2)), []
    for second, score in enumerate([0.9, 0.9, 0.6, 0, 0.6, 0.9, 0, 0, 0]):
        tracker.push(score, second, second + 1)
        lasting.append(tracker.lasting)
    assert lasting == [False, True, True, False, False, True, False, False, False]


def test_memory_is_constant():
    """However long an event lasts, and however long something below the threshold keeps it waiting."""
    tracker = EventTracker(threshold=0.5, rules=EventRules())

    def held():
        return sum(len(value) if isinstance(value, list) else 1 for value in vars(tracker).values())

    sizes = set()
    for t, score in enumerate([0.9, 0.1, 0.4, 0.1, 0.4, 0.1, 0.9] * 50):
        tracker.push(score, t, t + 1, said=np.ones(2))
        sizes.add(held())
    assert max(sizes) - min(sizes) <= 1


def test_the_example_in_its_docstring_is_true():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("score", [float("nan"), -1.0])
def test_a_score_that_is_none_opens_nothing(score):
    assert run([score] * 3, min_seconds=0) == []
