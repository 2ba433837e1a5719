"""Which labels are contradicted: models against scikit-learn, the chance against its own model, and what is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from wsvad.doctor import labels as module
from wsvad.doctor.labels import CLAIMED, DOUBTED, chance_of_wrong, judge, unseen
from wsvad.errors import WsvadError
from wsvad.metrics.bootstrap import lowest_of_perfect

SNIPPETS, EVENT = 8, slice(3, 5)


def videos(labels: np.ndarray, seed: int = 0, lift: float = 4.0) -> list[np.ndarray]:
    """Noise, and in the middle of an abnormal video an event."""
    x = np.random.default_rng(seed).normal(size=(len(labels), SNIPPETS, 6))
    x[labels == 1, EVENT, :2] += lift
    return list(x)


def changed(labels: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels some of which are wrong, and which."""
    wrong = np.isin(np.arange(len(labels)), np.random.default_rng(seed).permutation(len(labels))[:count])
    return np.where(wrong, 1 - labels, labels), wrong


HALF = np.tile([0, 1], 30)


# ------------------------------------------------------------------------------------------------------------ scores


def test_a_perfect_auc_of_few_videos_is_not_known_exactly():
    labels = np.tile([0, 1], 5)
    judged = judge(videos(labels, lift=40.0), labels)
    assert judged.auc == 1 and judged.interval == (lowest_of_perfect(5, 5), 1.0)
    assert 0.5 < judged.interval[0] < 0.7


@pytest.mark.parametrize("width", [3, 40])  # fewer features than snippets, and more
def test_a_model_is_a_weighted_ridge_regression_without_the_fold(width):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4, 12)
    video = np.repeat(np.arange(12), lengths)
    x, y, fold = rng.normal(size=(len(video), width)), rng.normal(size=(12, 2)), np.arange(12) % 3
    told = unseen(x, video, y, fold, 0.7)
    for out in range(3):
        rest, here = (fold != out)[video], (fold == out)[video]
        weight = 1 / lengths[video[rest]] / 8
        centre = np.average(x[rest], axis=0, weights=weight)
        alpha = 0.7 * (weight[:, None] * (x[rest] - centre) ** 2).sum() / width
        fit = Ridge(alpha=alpha).fit(x[rest], y[video[rest]], sample_weight=weight)
        expected = fit.predict(x[here]) - np.average(y[video[rest]], axis=0, weights=weight)
        np.testing.assert_allclose(told[here], expected, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 11), st.integers(0, 2**20))
def test_a_label_does_not_reach_the_score_of_its_own_video(number, seed):
    rng = np.random.default_rng(seed)
    x, video = rng.normal(size=(24, 5)), np.repeat(np.arange(12), 2)
    y, fold = rng.integers(0, 2, (12, 1)).astype(float), rng.permutation(12) % 4
    other = y.copy()
    other[number] = 1 - other[number]
    told, again = (unseen(x, video, labels, fold, 0.1) for labels in (y, other))
    np.testing.assert_array_equal(told[video == number], again[video == number])


def test_components_of_wide_features_keep_distances_to_the_mean(monkeypatch):
    """As many components as there are dimensions in truth lose nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 20)) + 5
    monkeypatch.setattr(module, "WIDTH", 6)
    narrow, unit = module._prepared(x, rng), (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose((narrow**2).sum(1), (unit**2).sum(1))


def test_videos_that_are_all_the_same_say_nothing():
    judged = judge([np.ones((2, 3), np.float32)] * 12, HALF[:12])
    assert (judged.auc, judged.p) == (0.5, 1.0)
    assert judged.verdict[0].startswith("No better than guessing")


def test_a_feature_that_is_no_number_is_refused():
    x = videos(HALF)
    x[5][0, 0] = np.nan
    with pytest.raises(WsvadError, match="wsvad doctor"):
        judge(x, HALF)


def test_wide_features_are_reduced_and_constant_ones_harmless(monkeypatch):
    monkeypatch.setattr(module, "WIDTH", 8)
    rng = np.random.default_rng(0)
    wide = [np.concatenate([one, np.zeros((SNIPPETS, 2)), rng.normal(size=(SNIPPETS, 4))], 1) for one in videos(HALF)]
    assert judge(wide, HALF).auc > 0.9


def test_wrong_labels_stand_first_and_the_moment_is_that_of_the_event():
    labels, wrong = changed(HALF, 6)
    judged = judge(videos(HALF), labels)
    assert wrong[np.argsort(-judged.suspicion)[:6]].sum() >= 5
    assert wrong[judged.wrong >= DOUBTED].sum() >= 4
    peaks = np.array(judged.peaks)[HALF == 1]
    assert ((peaks >= EVENT.start) & (peaks < EVENT.stop)).mean() > 0.95


def test_the_auc_is_that_of_the_scores():
    judged = judge(videos(HALF, lift=1.0), HALF)
    score = np.where(HALF == 1, -judged.suspicion, judged.suspicion)
    assert judged.auc == pytest.approx(roc_auc_score(HALF, score))
    assert judged.interval[0] < judged.auc < judged.interval[1]


# ------------------------------------------------------------------------------------------------------------ chance


def drawn(rate: float, seed: int, videos: int = 400, apart: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and which of these are wrong, as the chance supposes them to be."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=videos)
    true = (rng.random(videos) < 1 / (1 + np.exp(-apart * score))).astype(int)
    wrong = rng.random(videos) < rate
    return score, np.where(wrong, 1 - true, true), wrong


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2])
def test_the_chance_comes_true_and_rather_less(rate):
    each = [(chance_of_wrong(score, labels)[0], wrong) for score, labels, wrong in (drawn(rate, s) for s in range(12))]
    chance, wrong = (np.concatenate(one) for one in zip(*each, strict=True))
    assert rate - 0.06 < chance.mean() < rate + 0.02
    for low, high in ((0.1, 0.5), (0.5, 1.0)):
        some = (chance >= low) & (chance < high)
        if some.sum() > 30:
            assert chance[some].mean() - 0.1 < wrong[some].mean() < chance[some].mean() + 0.25
    assert (chance >= CLAIMED).sum() >= (20 if rate else 0)


def test_without_wrong_labels_hardly_any_is_contradicted():
    each = [chance_of_wrong(score, labels) for score, labels, _ in (drawn(0.0, s, 80) for s in range(20))]
    assert sum((chance >= CLAIMED).any() for chance, _ in each) <= 2
    assert np.mean([clean for _, clean in each]) > module.CLEAN


def test_the_chance_is_the_posterior_of_a_brute_force():
    score, labels, _ = drawn(0.1, 3, 60)
    rates, weights, chances = module.RATES, [], []
    widths = [0, *((b - a) / 2 for a, b in zip(rates[:-2], rates[2:], strict=True)), rates[-1] - rates[-2]]
    for rate, width in zip(rates, widths, strict=True):
        true, likelihood = module._logistic(score, labels, np.array([[rate]]))
        p = true[0]
        seen = np.where(labels == 1, rate * (1 - p) + (1 - rate) * p, (1 - rate) * (1 - p) + rate * p)
        chances.append(np.where(labels == 1, rate * (1 - p), rate * p) / seen)
        prior = (1 - module.CLEAN) * width / sum(widths) if rate else module.CLEAN
        weights.append(prior * np.exp(likelihood[0]))
    expected = np.array(weights) @ np.array(chances) / sum(weights)
    np.testing.assert_allclose(chance_of_wrong(score, labels)[0], expected, atol=1e-9)


def test_the_fit_is_the_most_likely_one():
    score, labels, _ = drawn(0.1, 5, 100)
    rate = np.array([[0.1]])
    found, likelihood = module._logistic(score, labels, rate)

    def of(intercept: float, slope: float) -> float:
        p = 1 / (1 + np.exp(-intercept - slope * score))
        seen = 0.1 * (1 - p) + 0.9 * p
        return np.log(np.where(labels == 1, seen, 1 - seen)).sum() - module.SLOPE * slope**2

    logit = np.log(found[0] / (1 - found[0]))
    slope, intercept = np.polyfit(score, logit, 1)
    assert of(intercept, slope) == pytest.approx(likelihood[0])
    assert max(of(intercept + a, slope + b) for a in (-0.05, 0, 0.05) for b in (-0.1, 0, 0.1)) == of(intercept, slope)


# ------------------------------------------------------------------------------------------------------ what is said


def test_a_fifth_of_the_labels_wrong_is_said():
    true = np.tile([0, 1], 80)
    labels, wrong = changed(true, 32)
    judged = judge(videos(true), labels)
    doubted = judged.wrong >= DOUBTED
    assert judged.verdict[0].startswith(f"{doubted.sum()} of 160 training labels are doubtful")
    assert wrong[doubted].mean() > 0.7
    assert wrong[doubted].sum() >= 16


def test_right_labels_are_left_alone():
    judged = judge(videos(HALF), HALF)
    assert judged.verdict[0].startswith("No single one of 60 training labels can be called doubtful")
    assert (judged.p, judged.p_inverted) == (1 / 200, 1.0)
    assert judged.found > 0.8  # of those that the audit changes itself


def test_labels_by_chance_are_guessing():
    labels = np.random.default_rng(2).permutation(HALF)
    judged = judge(videos(np.zeros(60, int)), labels)
    assert judged.verdict[0].startswith("No better than guessing")
    assert judged.p > 0.05


def test_inverted_labels_are_asked_about():
    judged = judge(videos(HALF), 1 - HALF)
    assert judged.verdict[0].startswith("Are the labels inverted? ")
    assert judged.p_inverted < 0.05


def test_videos_that_look_alike_with_opposite_labels_are_worse_than_guessing():
    rng = np.random.default_rng(0)
    pairs = np.repeat(rng.normal(size=(20, SNIPPETS, 6)), 2, axis=0) + rng.normal(size=(40, SNIPPETS, 6)) / 100
    judged = judge(list(pairs), np.tile([0, 1], 20))
    assert judged.verdict[0].startswith("Worse than guessing")


def test_too_few_videos_are_refused():
    with pytest.raises(WsvadError, match="1 normal and 1 abnormal training videos are too few"):
        judge(videos(HALF)[:2], HALF[:2])
