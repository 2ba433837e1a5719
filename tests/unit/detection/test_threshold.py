"""The threshold from a false-alarm budget."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from wsvad.detection.threshold import MOST, SPREAD, allowed_events, calibrate, hours_needed, upper_bound, usable
from wsvad.errors import UsageError, WsvadError
from wsvad.metrics.events import EventRules, find_events

PLAIN = EventRules(low=1, min_seconds=0, merge_seconds=0)
rules_of = st.builds(
    EventRules,
    low=st.sampled_from([0.5, 0.8, 1.0]),
    min_seconds=st.sampled_from([0, 1.6, 3.0]),
    merge_seconds=st.sampled_from([0, 1.6, 3.2]),
)


def video(scores, seconds=1.0):
    return np.array(scores, np.float64), np.arange(len(scores) + 1) * seconds


def events(normal, threshold, rules):
    """False alarms, counted video by video."""
    return sum(
        len(find_events(scores, times, np.arange(len(times)), threshold=threshold, rules=rules))
        for scores, times in normal
    )


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 100, 2000])
def test_garwood_bound_is_the_chi_square_quantile(count, confidence):
    exact = stats.chi2.ppf(confidence, 2 * count + 2) / 2
    assert upper_bound(count, confidence) == pytest.approx(exact, rel=1e-10)


def test_rule_of_three():
    assert upper_bound(0, 0.95) == pytest.approx(-math.log(0.05), rel=1e-12)


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_bound_with_a_spread_is_that_of_a_negative_binomial_number(count, confidence, spread):
    bound, shape = upper_bound(count, confidence, spread), 1 / spread**2
    assert stats.nbinom.cdf(count, shape, shape / (shape + bound)) == pytest.approx(1 - confidence, rel=1e-8)
    assert bound > upper_bound(count, confidence, spread / 2) > upper_bound(count, confidence)


def test_without_an_event_the_spread_costs_a_seventh_more_video():
    assert upper_bound(0, 0.95, 0.3) == pytest.approx((20**0.09 - 1) / 0.09, rel=1e-12)
    assert upper_bound(0, 0.95, 1e-4) == pytest.approx(-math.log(0.05), rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 200), st.floats(0.5, 0.999), st.sampled_from([0.0, 0.1, 0.3]))
def test_allowed_events_is_the_largest_number_whose_bound_is_within_the_mean(mean, confidence, spread):
    allowed = allowed_events(mean, confidence, spread)
    assert upper_bound(allowed + 1, confidence, spread) > mean * (1 - 1e-9)
    assert allowed == -1 or upper_bound(allowed, confidence, spread) <= mean * (1 + 1e-9)


def test_a_promise_is_kept_as_often_as_it_says():
    """Alarms of 4000 trainings: the fit that scores the held-out video has G times the rate of the detector."""
    rng, hours = np.random.default_rng(0), 10.0
    for spread in (0.0, SPREAD):
        allowed = allowed_events(hours, 0.95, spread)
        rate = upper_bound(allowed, 0.95, spread) / hours
        other = rng.gamma(1 / spread**2, spread**2, size=4000) if spread else np.ones(4000)
        broken = np.mean(rng.poisson(rate * other * hours) <= allowed)
        assert broken == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 4000))


@st.composite
def normal_videos(draw):
    levels = draw(st.sampled_from([4, 10, 1000]))
    score = st.integers(0, levels).map(lambda x: x / levels)
    return [
        video(scores, 1.6)
        for scores in draw(st.lists(st.lists(score, min_size=1, max_size=25), min_size=1, max_size=4))
    ]


@settings(deadline=None)
@given(normal_videos(), rules_of, st.sampled_from([1, 500, 2000, 10_000]), st.sampled_from([0.0, 0.3]))
def test_the_threshold_and_all_higher_ones_keep_the_budget_and_it_is_the_lowest_such(normal, rules, budget, spread):
    result = calibrate(normal, rules, budget, spread=spread)
    hours = sum(times[-1] for _, times in normal) / 3600
    everything = np.concatenate([scores for scores, _ in normal])
    assert result.hours == pytest.approx(hours)
    assert result.false_alarms == events(normal, result.threshold, rules)
    assert result.promised == (upper_bound(0, 0.95, spread) / hours <= budget)
    assert not result.promised or result.upper_bound_per_hour <= budget * (1 + 1e-9)

    mean, shape = budget * hours, 1 / max(spread, 1e-9) ** 2
    law = stats.nbinom(shape, shape / (shape + mean)) if spread else stats.poisson(mean)
    allowed = max(int(np.sum(law.cdf(np.arange(1000)) <= 0.05)) - 1, 0)
    assert result.upper_bound_per_hour == pytest.approx(upper_bound(allowed, 0.95, spread) / hours)
    assert result.false_alarms <= allowed
    higher = result.threshold + np.linspace(0, 1, 30) * max(0, 1.01 - result.threshold)
    assert max(events(normal, threshold, rules) for threshold in higher) <= allowed

    # A hair's breadth below the last score that is out of bounds, the budget breaks or half of the video is an alarm.
    below = result.threshold - 2.1e-5
    assume(below > 0)
    assert events(normal, below, rules) > allowed or np.mean(everything >= below) >= 0.5


def test_counts_events_not_frames_and_finds_the_known_threshold():
    # Ten bursts in a hundred hours, with peaks .50, .52 … .68, each two snippets long, over quiet scores.
    scores = np.full(3600, 0.01)
    for i in range(10):
        scores[300 * i + 100 : 300 * i + 102] = 0.5 + 0.02 * i
    normal = [video(scores, 100.0)]
    result = calibrate(normal, PLAIN, max_false_alarms_per_hour=0.1, fits=0, spread=0)
    # 10 expected at the budget: up to four alarms have a 95 % bound of 9.15, five one of 10.5.
    assert (
        result.promised and result.false_alarms == 4 and result.upper_bound_per_hour == pytest.approx(0.0915, abs=1e-4)
    )
    assert 0.60 < result.threshold < 0.62
    assert result.sentence == (
        "≤ 0.092 false alarms/h (95 % confidence, whole-video mode, this scene and these weights), from 100 h of "
        "normal video that they had not seen."
    )


@pytest.mark.parametrize(
    ("fits", "by"),
    [(1, "scored by a fit that had not seen it"), (5, "scored by 5 fits that had not seen it")],
)
def test_a_spread_allows_fewer_alarms_and_the_promise_says_what_it_is_of(fits, by):
    scores = np.full(3600, 0.01)
    for i in range(10):
        scores[300 * i + 100 : 300 * i + 102] = 0.5 + 0.02 * i
    result = calibrate([video(scores, 100.0)], PLAIN, 0.1, mode="online", fits=fits)
    # Variance 10 + 9: three alarms have a bound of 9.56, four one of 11.2.
    assert result.false_alarms == 3 and result.upper_bound_per_hour == pytest.approx(upper_bound(3, 0.95, 0.3) / 100)
    assert (result.mode, result.fits) == ("online", fits)
    assert result.sentence == (
        "≤ 0.096 false alarms/h (95 % confidence, online mode on a running camera, this scene and this detector's "
        f"training procedure), from 100 h of normal video {by}."
    )


def test_the_promise_does_not_get_better_by_what_happens_to_be_found():
    # Six alarms of one height: none is found above it, all six below, while four are allowed.
    scores = np.full(3600, 0.01)
    scores[100:1900:300] = 0.6
    result = calibrate([video(scores, 100.0)], PLAIN, 0.1, spread=0)
    assert result.false_alarms == 0 and result.upper_bound_per_hour == pytest.approx(upper_bound(4, 0.95) / 100)


def test_too_little_normal_video_is_said_with_what_is_missing():
    scores = np.full(720, 0.1)
    scores[100:110] = 0.4
    scores[300] = 0.8
    result = calibrate([video(scores)], EventRules(min_seconds=2), max_false_alarms_per_hour=1)
    assert not result.promised and result.false_alarms == 0
    # The single snippet of .8 is too short to be an event: the highest event peaks at .4.
    assert result.threshold == pytest.approx(0.4, abs=2e-5) and result.threshold > 0.4
    assert result.sentence == (
        "Not calibrated: 12 min of normal training video, about 3.4 h in all are needed for ≤ 1 false alarm/h in "
        "whole-video mode, 3.2 h more. Using threshold 0.40."
    )
    assert result.upper_bound_per_hour == pytest.approx(upper_bound(0, 0.95, SPREAD) / 0.2)
    assert json.loads(json.dumps(asdict(result)))["promised"] is False


@pytest.mark.parametrize(
    ("budget", "in_all", "says"),
    [
        (
            1,
            1.0,
            "1 h of normal training video, about 3.4 h in all are needed for ≤ 1 false alarm/h in whole-video mode, "
            "2.4 h more",
        ),
        (
            1 / 24,
            50.0,
            "50 h of normal training video, about 83 h in all are needed for ≤ 1 false alarm/day in whole-video mode, "
            "33 h more",
        ),
        (
            2 / 24,
            50.0,
            "only 10 min of 50 h of normal training video were scored by a fit that had not seen them; train again "
            "with ≤ 2 false alarms/day as the budget to use all",
        ),
    ],
)
def test_what_is_missing_is_of_all_normal_video_not_of_what_was_held_out(budget, in_all, says):
    normal = [video(np.full(600, 0.1))]
    result = usable(calibrate(normal, PLAIN, budget, in_all=in_all), normal, PLAIN, in_all)
    assert result.sentence == f"Not calibrated: {says}. Using threshold 0.50."


def test_ten_hours_in_which_nothing_was_filmed_promise_nothing():
    times = 0.64 * np.arange(62) + 36_000.0 * (np.arange(62) > 20)
    result = calibrate([(np.full(61, 0.1), times)], PLAIN, max_false_alarms_per_hour=1)
    assert result.hours * 3600 == pytest.approx(61 * 0.64)
    assert not result.promised


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 1000), st.floats(0.5, 0.99), st.sampled_from([0.0, 0.3]))
def test_a_budget_can_be_promised_from_the_hours_needed_on(budget, confidence, spread):
    hours = hours_needed(budget, confidence, spread)
    for share, promised in ((0.999, False), (1.001, True)):
        quiet = [video(np.zeros(10), 360 * hours * share)]
        assert calibrate(quiet, PLAIN, budget, confidence, spread=spread).promised is promised


def test_merging_at_low_thresholds_does_not_pass_for_few_alarms():
    # Peaks of .9 over a floor of .3: at .3 all is one event, and one event is within the budget.
    scores = np.tile([0.3, 0.3, 0.3, 0.9, 0.3, 0.3], 600)
    result = calibrate([video(scores, 10.0)], PLAIN, max_false_alarms_per_hour=1)
    assert result.threshold > 0.9 and result.promised and result.false_alarms == 0


def test_one_endless_alarm_is_not_one_alarm():
    result = calibrate([video(np.full(3600, 0.3), 10.0)], PLAIN, max_false_alarms_per_hour=1)
    assert 0.3 < result.threshold < 0.301 and result.false_alarms == 0


def test_a_budget_that_cannot_be_spent_is_counted_to_an_end():
    found = calibrate([video([0.9, 0.1] * 20, 10.0)], PLAIN, 1e300)
    assert found.false_alarms == 20 and found.threshold < 0.9 and found.promised
    assert found.upper_bound_per_hour == pytest.approx(upper_bound(MOST, 0.95, SPREAD) / (400 / 3600))


def test_videos_do_not_merge_with_one_another():
    normal = [video([0.2] * 40 + [0.9]), video([0.8] + [0.2] * 40)] * 2
    rules = EventRules(min_seconds=0, merge_seconds=60)
    assert calibrate(normal, rules, 10_000).false_alarms == 4


def test_a_saturated_detector_is_told_of():
    result = calibrate([video([0.0, 1.0, 0.0, 0.0])], PLAIN, 1)
    assert result.threshold > 1 and "no event will ever be reported" in result.sentence


def test_single_precision_scores_below_the_threshold_stay_below():
    scores = np.random.default_rng(0).random(500).astype(np.float32)
    result = calibrate([(scores, np.arange(501) * 1.0)], PLAIN, 1)
    assert result.threshold > scores.max() and not (scores >= np.float32(result.threshold)).any()


@pytest.mark.parametrize("normal", [[], [(np.zeros(0), np.zeros(1))]])
def test_no_normal_video_is_an_error(normal):
    with pytest.raises(WsvadError, match="no held-out normal video"):
        calibrate(normal, PLAIN, 1)


def test_wrong_arguments_are_refused():
    for budget, confidence in [(0, 0.95), (-1, 0.95), (math.nan, 0.95), (1, 1), (1, 0.1)]:
        with pytest.raises(UsageError):
            calibrate([video([0.1])], PLAIN, budget, confidence)
    with pytest.raises(WsvadError, match="NaN"):
        calibrate([video([0.1, math.nan])], PLAIN, 1)


@pytest.mark.parametrize(("peak", "threshold", "alarms"), [(0.01, 0.5, 0), (0.7, 0.70001, 0), (1.0, 0.95, 1)])
def test_while_nothing_is_promised_the_threshold_stays_usable(peak, threshold, alarms):
    normal = [video([0.0, peak, 0.0, 0.0])]
    result = usable(calibrate(normal, PLAIN, 1), normal, PLAIN)
    assert result.threshold == pytest.approx(threshold)
    assert result.false_alarms == alarms
    assert result.upper_bound_per_hour == pytest.approx(upper_bound(alarms, 0.95, SPREAD) / result.hours)
    assert result.sentence == (
        "Not calibrated: 4 s of normal training video, about 3.4 h in all are needed for ≤ 1 false alarm/h in "
        f"whole-video mode, 3.4 h more. Using threshold {threshold:.2f}."
    )


def test_a_promise_is_left_as_it_is():
    normal = [video(np.full(3600, 0.01), 10.0)]
    result = calibrate(normal, PLAIN, max_false_alarms_per_hour=1)
    assert result.promised and usable(result, normal, PLAIN) is result
