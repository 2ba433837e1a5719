"""Frame metrics against scikit-learn on the expanded frames."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from wsvad.errors import WsvadError
from wsvad.metrics.frame import (
    average_precision,
    average_precision_trapezoid,
    false_alarm_rate,
    roc_auc,
)

METRICS = [roc_auc, average_precision, average_precision_trapezoid]


@st.composite
def snippets(draw):
    """Scores with many ties, in random order, with frame counts of both classes (some snippets stand for no frame)."""
    n = draw(st.integers(2, 40))
    levels = draw(st.sampled_from([2, 5, 1000]))
    score = np.array(draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))) / levels
    positives = np.array(draw(st.lists(st.integers(0, 16), min_size=n, max_size=n)))
    negatives = np.array(draw(st.lists(st.integers(0, 16), min_size=n, max_size=n)))
    assume(positives.sum() and negatives.sum())
    return score.astype(draw(st.sampled_from([np.float32, np.float64]))), positives, negatives


def frames_of(score, positives, negatives):
    label = np.concatenate([[1] * p + [0] * n for p, n in zip(positives, negatives, strict=True)])
    return label.astype(int), np.repeat(score, positives + negatives)


@settings(deadline=None)
@given(snippets())
def test_agrees_with_scikit_learn_on_expanded_frames(data):
    label, score = frames_of(*data)
    precision, recall, _ = precision_recall_curve(label, score)
    assert roc_auc(*data) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert average_precision(*data) == pytest.approx(average_precision_score(label, score), abs=1e-9)
    assert average_precision_trapezoid(*data) == pytest.approx(auc(recall, precision), abs=1e-9)


@settings(deadline=None)
@given(snippets())
def test_frame_arrays_and_snippets_are_the_same(data):
    label, score = frames_of(*data)
    for metric in METRICS:
        assert metric(score, label, 1 - label) == pytest.approx(metric(*data), abs=1e-12)


@settings(deadline=None)
@given(snippets(), st.sampled_from([np.float16, np.float32, np.float64]))
def test_counts_may_be_floats(data, kind):
    """2,049 is 2,048 in half precision, to which they were brought once as to the narrowest type that holds them."""
    score, positives, negatives = data[0], 683 * data[1], 2049 * data[2]
    if kind == np.float16:
        positives, negatives = data[1], data[2]
    for metric in METRICS:
        assert metric(score, positives.astype(kind), negatives.astype(kind)) == metric(score, positives, negatives)
    assert false_alarm_rate(score, negatives.astype(kind)) == false_alarm_rate(score, negatives)


@pytest.mark.parametrize("count", [0.5, np.nan, np.inf, -1, -1.0])
def test_counts_that_are_none_are_refused(count):
    for metric in METRICS:
        with pytest.raises(WsvadError, match="frames: a score"):
            metric(np.array([0.1, 0.2]), np.array([3, count]), np.array([1, 2]))
    with pytest.raises(WsvadError, match="frames: a score"):
        false_alarm_rate(np.array([0.1, 0.2]), np.array([3, count]))


@settings(deadline=None)
@given(snippets())
def test_repeating_every_value_16_times_changes_nothing(data):
    repeated = [np.repeat(array, 16) for array in data]
    for metric in METRICS:
        assert metric(*repeated) == pytest.approx(metric(*data), abs=1e-12)


@settings(deadline=None)
@given(
    snippets(), st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7, lambda x: np.rint(1000 * x).astype(np.int64)])
)
def test_only_the_order_of_scores_matters(data, monotone):
    score, positives, negatives = data
    for metric in METRICS:
        assert metric(monotone(score.astype(np.float64)), positives, negatives) == metric(*data)


@settings(deadline=None)
@given(snippets())
def test_turning_the_scores_round_mirrors_the_auc(data):
    score, positives, negatives = data
    assert roc_auc(-score, positives, negatives) == pytest.approx(1 - roc_auc(*data), abs=1e-12)


@settings(deadline=None)
@given(snippets(), st.randoms(use_true_random=False))
def test_the_order_of_snippets_does_not_matter(data, random):
    order = list(range(len(data[0])))
    random.shuffle(order)
    for metric in METRICS:
        assert metric(*(array[order] for array in data)) == metric(*data)


def test_every_number_of_32_bits_has_its_place():
    """Negative, tiny, huge and infinite ones; 0 and −0 are equal."""
    rng = np.random.default_rng(0)
    bits = rng.integers(-(2**31), 2**31, 3000).astype(np.int32).view(np.float32)
    score = np.concatenate([bits[~np.isnan(bits)], np.float32([0, -0.0, 0, -0.0, np.inf, -np.inf, 1e-45, -1e-45])])
    score = rng.permutation(np.repeat(score, 2))
    label = rng.integers(0, 2, score.size)
    for metric in (roc_auc, average_precision):
        assert metric(score, label, 1 - label) == metric(score.astype(np.float64), label, 1 - label)


def test_constant_scores_are_chance_and_the_truth_is_perfect():
    positives, negatives = np.array([0, 16, 4, 0]), np.array([16, 0, 0, 3])
    constant, truth = np.full(4, 0.3), (positives > 0).astype(float)
    assert roc_auc(constant, positives, negatives) == 0.5
    assert average_precision(constant, positives, negatives) == pytest.approx(20 / 39)
    assert [metric(truth, positives, negatives) for metric in METRICS] == [1, 1, 1]


@pytest.mark.parametrize("metric", METRICS)
def test_undefined_with_one_class_or_none(metric):
    some, none = np.array([3, 4]), np.array([0, 0])
    assert math.isnan(metric(np.array([0.1, 0.2]), some, none))
    assert math.isnan(metric(np.array([0.1, 0.2]), none, some))
    assert math.isnan(metric(np.zeros(0), np.zeros(0, int), np.zeros(0, int)))


def test_counts_of_any_size_do_not_overflow():
    score, positives = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], np.uint8)
    assert roc_auc(score, positives, 1 - positives) == 0.75
    many = positives.astype(np.int64) * 500_000_000, (1 - positives.astype(np.int64)) * 500_000_000
    assert roc_auc(score, *many) == 0.75
    assert roc_auc(np.tile(score, 200), np.tile(positives, 200), np.tile(1 - positives, 200)) == 0.75


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(WsvadError, match="NaN"):
        roc_auc(np.array([0.1, math.nan]), np.array([1, 0]), np.array([0, 1]))


def test_false_alarm_rate_weighs_frames_and_counts_the_threshold_itself():
    score = np.array([0.5, 0.49999, 0.9, 0.1])
    assert false_alarm_rate(score, np.array([16, 16, 4, 4])) == 20 / 40
    assert false_alarm_rate(score, np.array([16, 16, 4, 4]), threshold=0.05) == 1
    assert math.isnan(false_alarm_rate(np.zeros(0), np.zeros(0, int)))
