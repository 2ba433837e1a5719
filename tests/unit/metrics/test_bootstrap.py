"""The bootstrap over videos, against loops that repeat the frames of the drawn videos, and what a p-value must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.metrics.bootstrap import draw, interval, p_value, resampled_auc, resampled_average_precision
from wsvad.metrics.frame import average_precision, roc_auc


@st.composite
def scored_videos(draw_from):
    """Scores with many ties, frames of either class or of none, a few videos."""
    size, videos = draw_from(st.integers(1, 30)), draw_from(st.integers(1, 6))
    rng = np.random.default_rng(draw_from(st.integers(0, 10_000)))
    return (
        rng.integers(0, draw_from(st.integers(1, 12)), size) / 8,
        rng.integers(0, 4, size) * rng.integers(0, 2, size),
        rng.integers(0, 4, size),
        rng.integers(0, videos, size),
        videos,
    )


@given(scored_videos())
def test_every_resample_is_the_metric_of_the_repeated_videos(given_set):
    score, positives, negatives, video, videos = given_set
    times = draw(videos, resamples=7, seed=3)
    assert (times.sum(1) == videos).all()
    for resampled, metric in ((resampled_auc, roc_auc), (resampled_average_precision, average_precision)):
        found = resampled(score, positives, negatives, video, times)
        for row, value in zip(times, found, strict=True):
            drawn = np.concatenate([np.flatnonzero(video == v) for v in range(videos) for _ in range(row[v])])
            drawn = drawn.astype(int)
            assert value == pytest.approx(metric(score[drawn], positives[drawn], negatives[drawn]), nan_ok=True)


def test_resamples_in_pieces_are_those_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    score, video = rng.random(200), np.repeat(np.arange(20), 10)
    positives = rng.integers(0, 17, 200)
    whole = resampled_average_precision(score, positives, 16 - positives, video, draw(20, 50))
    monkeypatch.setattr("wsvad.metrics.bootstrap.CELLS", 1000)
    assert np.array_equal(
        whole, resampled_average_precision(score, positives, 16 - positives, video, draw(20, 50)), equal_nan=True
    )


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """AUC of one score a video: normal videos N(0, 1), abnormal ones N(1, 1); the true AUC is Φ(1/√2)."""
    rng, inside = np.random.default_rng(1), 0
    label, video = np.repeat([0, 1], 40), np.arange(80)
    for trial in range(200):
        score = rng.normal(size=80) + label
        low, high = interval(resampled_auc(score, label, 1 - label, video, draw(80, 400, seed=trial)))
        inside += low <= 0.760250 <= high
    assert 0.90 <= inside / 200 <= 0.98


def test_the_interval_of_resamples_is_that_of_those_that_are_defined():
    assert interval(np.array([np.nan, *np.arange(101.0)]), 0.9) == pytest.approx((5, 95))
    assert np.isnan(interval(np.array([np.nan]))).all()
    assert np.isnan(p_value(np.array([np.nan])))


def test_equal_methods_are_not_told_apart_and_disjoint_ones_are():
    assert p_value(np.zeros(1000)) == 1
    assert p_value(np.linspace(0.1, 0.2, 999)) == pytest.approx(2 / 1000)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_a_p_value_is_a_chance_and_does_not_care_who_is_first(differences):
    value = p_value(np.array(differences))
    assert 0 < value <= 1
    assert value == p_value(-np.array(differences))


def test_p_values_of_methods_that_are_equally_good_are_spread_evenly():
    """Under the null hypothesis about one in ten is below 0.1."""
    rng, below = np.random.default_rng(2), 0
    label, video = np.repeat([0, 1], 40), np.arange(80)
    for trial in range(200):
        times, shared = draw(80, 300, seed=trial), rng.normal(size=80) + label
        first, second = (
            resampled_auc(shared + 0.7 * rng.normal(size=80), label, 1 - label, video, times) for _ in range(2)
        )
        below += p_value(first - second) < 0.1
    assert 0.04 <= below / 200 <= 0.18
