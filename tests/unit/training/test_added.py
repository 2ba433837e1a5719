"""What each stream adds: the dual form against the primal one, and streams of which it is known what they tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.training.added import LEAST, STRENGTHS, Added, judged, products_of, unseen, value_of

VIDEOS, SEGMENTS, FOLDS = 40, 4, 5
OWNER = np.repeat(np.arange(VIDEOS), SEGMENTS)
LABELS = np.arange(VIDEOS) % 2
FOLD = np.arange(VIDEOS) // 2 % FOLDS


def stream(width: int, tells: float, seed: int, scale: float = 1.0) -> np.ndarray:
    """`(N, D)`: noise, and in the first column of half the segments of an abnormal video something that tells it."""
    x = np.random.default_rng(seed).normal(size=(VIDEOS * SEGMENTS, width))
    x[:, 0] += tells * LABELS[OWNER] * (np.arange(len(x)) % 2)
    return scale * x + 3.0


def added(**streams: np.ndarray) -> Added:
    return judged({name: products_of(x) for name, x in streams.items()}, LABELS, OWNER, FOLD)


def test_scores_are_those_of_a_ridge_regression_with_an_intercept():
    x = stream(7, 2.0, seed=1)
    fold = np.where(np.arange(VIDEOS) < 6, -1, FOLD)
    z = (x - x.mean(0)) / x.std(0)
    found = unseen(products_of(x), LABELS, OWNER, fold)
    assert len(found) == len(STRENGTHS)
    for scores, strength in zip(found, STRENGTHS, strict=True):
        expected = np.full(VIDEOS, np.nan)
        for number in range(FOLDS):
            out = fold[OWNER] == number
            a, y = z[~out], LABELS[OWNER][~out].astype(float)
            # The diagonal of the products is 1 in the mean, so that of the primal form is the strength times the width.
            w = np.linalg.solve(
                (a - a.mean(0)).T @ (a - a.mean(0)) + strength * x.shape[1] * np.eye(x.shape[1]),
                (a - a.mean(0)).T @ (y - y.mean()),
            )
            told = (z[out] - a.mean(0)) @ w
            for video in np.flatnonzero(fold == number):
                expected[video] = told[OWNER[out] == video].max()
        np.testing.assert_allclose(scores, expected, atol=1e-9)
        assert np.isnan(scores[:6]).all()


def test_value_is_the_share_of_pairs_in_order():
    scores, labels = np.array([0.1, 0.4, np.nan, 0.4, 0.9, -1.0]), np.array([0, 0, 1, 1, 1, 0])
    pairs = [(a, n) for a in (0.4, 0.9) for n in (0.1, 0.4, -1.0)]
    auc, apart = value_of(scores, labels)
    assert auc == pytest.approx(np.mean([1.0 if a > n else 0.5 if a == n else 0.0 for a, n in pairs]))
    normal, abnormal = np.array([0.1, 0.4, -1.0]), np.array([0.4, 0.9])
    assert apart == pytest.approx((0.65 + 0.5 / 3) / np.sqrt((normal.var() + abnormal.var()) / 2))


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 2**16),
    st.sampled_from([1, 30, 400]),
    st.floats(1e-3, 1e4),
    st.permutations(["told", "noise", "same"]),
)
def test_what_tells_nothing_is_left_out_whatever_its_width_scale_and_place(seed, width, scale, order):
    told = stream(5, 20.0, seed)
    streams = {"told": told, "noise": stream(width, 0.0, seed + 1, scale), "same": np.full((len(told), 2), 7.0)}
    found = added(**{name: streams[name] for name in order})
    assert found.kept == ("told",) and {name for name, *_ in found.left_out} == {"noise", "same"}
    before, after = found.left_out[0][1:]
    assert before - after < LEAST and found.auc == found.left_out[-1][2]


def test_streams_that_tell_different_videos_are_all_kept():
    first, second = stream(6, 0.0, seed=3), stream(40, 0.0, seed=4)
    moments = LABELS[OWNER] * (np.arange(len(OWNER)) % 2)
    first[:, 0] += 5 * moments * (OWNER % 4 == 1)
    second[:, 0] += 20 * moments * (OWNER % 4 == 3)
    found = added(first=first, second=second)
    assert found.kept == ("first", "second") and found.left_out == ()
    assert found.sentences(str, auto=False) == []
    (said,) = found.sentences(str, auto=True)
    auc = f"{100 * found.auc:.0f}"
    assert said == (
        "No stream of first, second is left out: each adds to the video AUC of held-out training videos, "
        f"{auc} with all of them."
    )


def test_a_stream_that_is_constant_on_one_camera_is_judged_by_the_others():
    told = stream(5, 20.0, seed=8)
    told[np.repeat(FOLD == 2, SEGMENTS)] = 3.0
    found = added(noise=stream(30, 0.0, seed=9), told=told)
    assert "told" in found.kept and 0.75 < found.auc < 1  # its videos alone cannot be told


def test_too_few_videos_leave_nothing_out():
    products = {name: products_of(stream(5, tells, 5)) for name, tells in (("told", 4.0), ("noise", 0.0))}
    few = judged(products, np.where(np.arange(VIDEOS) < 9, 1, 0), OWNER, FOLD)
    assert few.kept == ("told", "noise") and np.isnan(few.auc) and few.sentences(str, auto=False) == []
    assert few.sentences(str, auto=True) == [
        "No stream of told, noise is left out: fewer than 10 training videos of a label cannot say what each adds."
    ]


@pytest.mark.parametrize(("without", "much"), [(0.734, "nothing"), (0.71, "nothing"), (0.705, "less than a point")])
def test_sentences_name_the_stream_and_what_to_do(without, much):
    found = Added(kept=("rgb",), left_out=(("people", 0.71, without),), auc=without)
    said = f"people added {much} on held-out training videos: video AUC 71 with it, {100 * without:.0f} without"
    for auto in (False, True):
        assert found.sentences(lambda name: f"do without {name}", auto=auto) == [f"{said}; do without people."]
