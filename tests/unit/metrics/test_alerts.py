"""Event-level figures against a loop over frames."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.errors import WsvadError
from wsvad.metrics.alerts import Footage, Watched, onsets
from wsvad.metrics.bootstrap import draw
from wsvad.metrics.events import EventRules, alerts, spans

RATE = 8
"""Frames per second; a power of two, so that seconds are exact."""
rules_of = st.builds(
    EventRules,
    low=st.sampled_from([0.5, 0.75, 1.0]),
    min_seconds=st.sampled_from([0, 0.125, 0.5, 1.0]),
    merge_seconds=st.sampled_from([0, 0.25, 0.5, 2.0]),
)
thresholds = st.sampled_from([0.2, 0.5, 0.8, 1.0])


@st.composite
def videos_of(draw):
    """Score of each snippet, frames of a snippet, true events in frames, whether it is normal."""
    scores = draw(st.lists(st.integers(0, 10).map(lambda x: x / 10), min_size=1, max_size=20))
    stride = draw(st.sampled_from([1, 2, 5]))
    frames = stride * len(scores)
    pairs = st.tuples(st.integers(0, frames - 1), st.integers(1, frames)).filter(lambda pair: pair[0] < pair[1])
    return scores, stride, draw(st.lists(pairs, max_size=3))


several = st.lists(videos_of(), min_size=1, max_size=4)


def footage_of(videos, rules):
    return Footage(
        [
            Watched(
                scores=np.array(scores),
                times=stride * np.arange(len(scores) + 1) / RATE,
                seconds=np.full(len(scores), stride / RATE),
                events=[(start / RATE, end / RATE) for start, end in events],
                normal=not events,
            )
            for scores, stride, events in videos
        ],
        rules,
    )


def watch(scores, stride, threshold, rules):
    """The frames of each alert, and the frame before which it goes out: a guard who looks at one snippet after the
    other, and at the end joins and drops."""
    frames = [score for score in scores for _ in range(stride)]
    stretches, now = [], None  # [start, end, reached, the ends of snippets at which it had been reached]
    for f, score in enumerate(frames):
        if score >= rules.low * threshold:
            if now is None:
                now = {"start": f, "end": f, "reached": False, "looks": []}
            now["end"] = f + 1
            now["reached"] |= score >= threshold
            if (f + 1) % stride == 0 and now["reached"]:
                now["looks"].append(f + 1)
        if score < rules.low * threshold or f == len(frames) - 1:
            if now and now["reached"]:
                stretches.append(now)
            now = None
    joined = []
    for one in stretches:
        if joined and (one["start"] - joined[-1]["end"]) / RATE < rules.merge_seconds - 1e-6:
            joined[-1]["end"] = one["end"]
            joined[-1]["looks"] += one["looks"]
        else:
            joined.append(dict(one))
    found = []
    for one in joined:
        if (one["end"] - one["start"]) / RATE >= rules.min_seconds - 1e-6:
            out = next(f for f in one["looks"] if (f - one["start"]) / RATE >= rules.min_seconds - 1e-6)
            found.append((set(range(one["start"], one["end"])), out))
    return found


def loop(videos, threshold, rules):
    """The figures, by sets of frames."""
    true = found = alarms = sent = matched = 0
    delays, quiet = [], 0
    for scores, stride, events in videos:
        each = watch(scores, stride, threshold, rules)
        sent += len(each)
        if not events:
            alarms += len(each)
            quiet += stride * len(scores)
        owners = set()
        for frames, _ in each:
            shares = [len(frames & set(range(a, b))) / len(frames | set(range(a, b))) for a, b in events]
            if shares and max(shares) >= 0.1:
                owners.add(shares.index(max(shares)))
        matched += len(owners)
        for start, end in events:
            true += 1
            touching = [out for frames, out in each if frames & set(range(start, end))]
            if touching:
                found += 1
                delays.append(max(0, touching[0] - start) / RATE)
    return {
        "events_found": found / true if true else math.nan,
        "false_alarms_per_hour": alarms / (quiet / RATE / 3600) if quiet else math.nan,
        "onset_delay": float(np.median(delays)) if delays else math.nan,
        "event_f1": 2 * matched / (sent + true) if true else math.nan,
    }


@settings(max_examples=150, deadline=None)
@given(several, thresholds, rules_of)
def test_figures_are_those_of_a_loop_over_frames(videos, threshold, rules):
    footage = footage_of(videos, rules)
    found = {name: float(value[0]) for name, value in footage.figures(footage.at(threshold)).items()}
    assert found == pytest.approx(loop(videos, threshold, rules), nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(several, thresholds, rules_of, st.integers(0, 99))
def test_a_resample_is_the_same_videos_again(videos, threshold, rules, seed):
    times_RV = draw(len(videos), 3, seed)
    footage = footage_of(videos, rules)
    found = footage.figures(footage.at(threshold), times_RV)
    for place, often in enumerate(times_RV):
        again = [video for video, times in zip(videos, often, strict=True) for _ in range(times)]
        wanted = loop(again, threshold, rules)
        assert {name: float(value[place]) for name, value in found.items()} == pytest.approx(wanted, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(videos_of(), thresholds, rules_of)
def test_alerts_are_the_events_and_go_out_while_they_last(video, threshold, rules):
    scores, stride, _ = video
    times = stride * np.arange(len(scores) + 1) / RATE
    first, last, out = alerts(scores, times, threshold, rules)
    np.testing.assert_array_equal([first, last], spans(scores, times, threshold, rules))
    assert ((first <= out) & (out <= last)).all()


@settings(max_examples=30, deadline=None)
@given(several, thresholds, rules_of, st.integers(1, 19))
def test_an_alert_goes_out_whatever_comes_after_it(videos, threshold, rules, cut):
    """What goes out by a moment goes out also where the video ends there."""
    scores, stride, _ = videos[0]
    times = stride * np.arange(len(scores) + 1) / RATE
    whole = set(alerts(scores, times, threshold, rules)[2].tolist())
    part = set(alerts(scores[:cut], times[: len(scores[:cut]) + 1], threshold, rules)[2].tolist())
    assert {out for out in whole if out < cut} == part


@settings(max_examples=30, deadline=None)
@given(several, rules_of, st.sampled_from([0, 50, 400, 5000]))
def test_a_threshold_for_a_rate_of_false_alarms_keeps_it_and_so_do_all_higher_ones(videos, rules, rate):
    footage = footage_of(videos, rules)
    found = footage.threshold_for(rate)
    if not footage.hours.any():
        assert found is None
        return
    for higher in (found, *(level for level in np.linspace(0.01, 1.3, 60) if level > found)):
        assert not loop(videos, higher, rules)["false_alarms_per_hour"] > rate + 1e-6


@given(several, rules_of)
@settings(max_examples=30, deadline=None)
def test_the_curve_is_what_its_thresholds_do(videos, rules):
    footage = footage_of(videos, rules)
    levels = [point.threshold for point in footage.curve]
    assert levels == sorted(set(levels), reverse=True)
    assert bool(levels) == (bool(footage.hours.any()) and any(events for *_, events in videos))
    for point in footage.curve:
        wanted = loop(videos, point.threshold, rules)
        assert point.false_alarms_per_hour == pytest.approx(wanted["false_alarms_per_hour"])
        assert point.events_found == pytest.approx(wanted["events_found"])


def test_what_was_not_filmed_is_no_hour_and_no_videos_are_an_error():
    """A recorder that films when something moves: two snippets of 2 s, an hour apart."""
    video = Watched(
        scores=np.array([0.9, 0.9]), times=np.array([0.0, 3600, 3602]), seconds=np.array([2.0, 2.0]), events=(),
        normal=True,
    )  # fmt: skip
    footage = Footage([video], EventRules())
    assert footage.hours.sum() == pytest.approx(4 / 3600)
    assert footage.at(0.5).alerts.tolist() == [2]
    with pytest.raises(WsvadError, match="no video whose truth is known"):
        Footage([], EventRules())


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)).filter(lambda pair: pair[0] < pair[1]), max_size=3))
def test_the_first_tenth_of_each_event_is_its_onset(events):
    for (start, end), (begun, over) in zip(events, onsets(events), strict=True):
        early = [frame for frame in range(start, end) if frame - start < max(1, (end - start) / 10)]
        assert list(range(begun, over)) == early
