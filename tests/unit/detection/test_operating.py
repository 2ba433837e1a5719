"""What each threshold does: false alarms with their bounds, and known events that are found."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from turned import PLAIN, bursts, known

from wsvad.detection import operating
from wsvad.detection.operating import Known, OperatingCurve, in_figures
from wsvad.detection.threshold import rates
from wsvad.metrics.events import EventRules, find_events, spans


def curve(normal=(), events=(), rules=PLAIN, **more) -> OperatingCurve:
    return OperatingCurve(mode="whole", rules=rules, normal=normal, known=events, **more)


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_the_interval_of_a_rate_is_garwoods_where_alarms_are_independent(count):
    rate, low, high = rates(count, 4.0, spread=0)
    assert rate == count / 4
    assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * count) / 8 if count else 0, rel=1e-8)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * count + 2) / 8, rel=1e-8)


@pytest.mark.parametrize("count", [1, 20])
def test_with_a_spread_the_interval_has_its_share_of_a_negative_binomial_on_each_side(count):
    _, low, high = rates(count, 1.0, spread=0.3)
    shape = 1 / 0.3**2
    assert stats.nbinom.sf(count - 1, shape, shape / (shape + low)) == pytest.approx(0.025, rel=1e-6)
    assert stats.nbinom.cdf(count, shape, shape / (shape + high)) == pytest.approx(0.025, rel=1e-6)


rules_of = st.builds(
    EventRules,
    low=st.sampled_from([0.5, 0.8, 1.0]),
    min_seconds=st.sampled_from([0, 1.6, 3.0]),
    merge_seconds=st.sampled_from([0, 1.6, 3.2]),
)
scores_of = st.lists(st.integers(0, 12).map(lambda x: x / 12), min_size=1, max_size=25)


@st.composite
def known_videos(draw):
    scores = np.array(draw(scores_of))
    ends = st.floats(0, 1.6 * len(scores)).map(lambda x: round(x, 2))
    events = draw(st.lists(st.tuples(ends, ends).filter(lambda e: e[0] < e[1]), max_size=3))
    return Known(video="v", scores=scores, times=np.arange(len(scores) + 1) * 1.6, events=events)


def found(video: Known, threshold: float, rules: EventRules) -> list[bool]:
    """Which of its events are found, by the detector's own rule."""
    events = find_events(video.scores, video.times, np.arange(len(video.times)), threshold=threshold, rules=rules)
    return [any(one.start < end and one.end > start for one in events) for start, end in video.events]


@settings(deadline=None)
@given(st.lists(known_videos(), max_size=3), rules_of, st.floats(0.001, 1))
def test_an_event_is_found_by_every_threshold_up_to_its_own_and_by_no_higher_one(videos, rules, threshold):
    of = curve(events=videos, rules=rules)
    each = [one for video in videos for one in video.found_up_to(rules)]
    for at in (threshold, *each, *(one + 1e-6 for one in each)):
        if at > 0:
            truth = [one for video in videos for one in found(video, at, rules)]
            assert [at <= one * (1 + 2e-12) for one in each] == truth
            assert of.at(at).found == (sum(truth) if truth else None)


def test_each_threshold_is_tried_once_however_many_events_are_known(monkeypatch):
    tried, looked_at = [], []

    def counted(*given, within):
        tried.append(given[2])
        looked_at.append(len(within))
        return spans(*given, within=within)

    monkeypatch.setattr(operating, "spans", counted)
    scores = np.random.default_rng(0).random(2000)
    starts = np.linspace(0, 1999, 5000).tolist()
    video = Known(video="v", scores=scores, times=np.arange(2001.0), events=[(s, s + 0.5) for s in starts])
    assert len(video.found_up_to(PLAIN)) == 5000
    assert len(tried) == len(set(tried)) <= 4000
    assert np.median(looked_at) <= 20  # of 2,000: the stretches that a lower one reports where these events are


@settings(deadline=None)
@given(st.lists(known_videos(), min_size=1, max_size=3), rules_of, st.floats(0.01, 1))
def test_the_threshold_of_a_share_finds_it_and_a_higher_one_does_not(videos, rules, share):
    of = curve(events=videos, rules=rules)
    total = of.events
    wanted = math.ceil(share * total - 1e-9)
    threshold = of.finding(share) if total else None
    if threshold is None:
        assert sum(any(found(v, 1e-6, rules)[n : n + 1]) for v in videos for n in range(len(v.events))) < max(wanted, 1)
        return
    assert sum(sum(found(video, threshold, rules)) for video in videos) >= wanted
    assert sum(sum(found(video, threshold + 2e-5, rules)) for video in videos) < wanted


@settings(deadline=None, max_examples=50)
@given(scores_of, rules_of)
def test_points_of_the_curve_are_what_the_detector_would_say(scores, rules):
    times = np.arange(len(scores) + 1) * 1.6
    of = curve([(np.array(scores), times)], rules=rules)
    levels = [point.threshold for point in of.points]
    assert levels == sorted(set(levels), reverse=True) and of.points[0].false_alarms == 0
    for point in of.points:
        events = find_events(np.array(scores), times, np.arange(len(times)), threshold=point.threshold, rules=rules)
        assert point.false_alarms == len(events)
        assert point.per_hour == pytest.approx(rates(len(events), 1.6 * len(scores) / 3600))


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (0.8, "0.8"),
        (0.60001, "0.6"),
        (0.8344, "0.834"),
        (0.999976, "0.999976"),
        (0.01312, "0.0131"),
        (1.00001, "1.00001"),
    ],
)
def test_a_threshold_is_written_as_finely_as_scores_lie(level, words):
    assert in_figures(level) == words


def test_the_curve_of_many_snippets_has_few_points_most_of_them_where_alarms_are_few():
    scores = np.random.default_rng(0).beta(1, 6, 40_000)
    of = curve([(scores, np.arange(40_001) * 1.0)])
    alarms = [point.false_alarms for point in of.points]
    assert len(alarms) <= 200
    assert sum(count < 100 for count in alarms) > 40


def test_a_table_has_the_lowest_threshold_for_so_many_alarms_and_the_highest_for_a_share():
    of = curve([bursts(np.linspace(0.2, 0.9, 8))], [known([0.95, 0.85, 0.3, 0.1])])
    rows = of.rows(0.5)
    told = {row.threshold: (row.false_alarms, row.found) for row in rows}
    assert told[0.5] == (5, 2)
    none = max(t for t, (alarms, _) in told.items() if alarms == 0)
    assert 0.9 < none <= 0.902  # 0 alarms: just above the highest burst
    assert [told[t] for t in sorted(told)] == sorted(told.values(), reverse=True)
    assert (8, 4) in told.values() and (7, 3) in told.values()
    assert len(set(told.values())) == len(told)


@pytest.mark.parametrize(("normal", "events"), [([], []), ([], [known([0.0])]), ([bursts([1.0, 1.0])], [known([1.0])])])
def test_with_nothing_to_see_or_everything_at_the_top_there_is_still_a_table(normal, events):
    of = curve(normal, events)
    (row,) = [row for row in of.rows(0.5) if row.threshold == 0.5]
    assert row.false_alarms == (2 if normal else None)
    assert row.found == (1 if normal else 0 if events else None)
    assert of.finding(1.0) == (pytest.approx(1.0, abs=2e-5) if normal else None)
    assert all(0 < point.threshold <= 1.001 for point in of.points)
