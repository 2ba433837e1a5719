"""By which measure held-out training videos choose the number of iterations."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.datasets.dataset import LabelledVideo
from wsvad.training.selection import best_iteration, moment_auc


def video(name, label):
    return LabelledVideo(name=name, label=label, category="fight" if label else "normal", split="train")


def brute(positive, negative):
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(pairs) / len(pairs)


def test_parts_that_normal_videos_show_too_count_as_normal():
    videos = [video("n", 0), video("a", 1), video("b", 1)]
    scores = [np.array([0.1, 0.5]), np.array([0.2, 0.9, 0.3, 0.4]), np.array([0.0, 0.0])]
    found = moment_auc(videos, scores, {"a": np.array([True, False])})  # its second half is abnormal; b is left out
    assert found == pytest.approx(brute([0.3, 0.4], [0.1, 0.5, 0.2, 0.9]))


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_each_snippet_takes_the_part_that_its_middle_lies_in(snippets, parts, seed):
    rng = np.random.default_rng(seed)
    known, scores = rng.random(parts) < 0.5, rng.integers(0, 5, snippets) / 4
    normal = rng.integers(0, 5, 3) / 4
    abnormal = [not known[int((t + 0.5) / snippets * parts)] for t in range(snippets)]
    found = moment_auc([video("n", 0), video("a", 1)], [normal, scores], {"a": known})
    positive = [s for s, yes in zip(scores, abnormal, strict=True) if yes]
    negative = [*normal, *(s for s, yes in zip(scores, abnormal, strict=True) if not yes)]
    assert found == pytest.approx(brute(positive, negative)) if positive else isnan(found)


def test_without_either_kind_of_moment_there_is_none():
    assert isnan(moment_auc([video("n", 0)], [np.ones(2)], {}))
    assert isnan(moment_auc([video("a", 1)], [np.ones(2)], {"a": np.array([False])}))
    assert isnan(moment_auc([], [], {}))


def row(iteration, **measures):
    return {"iteration": iteration, "held_out": measures}


def test_moments_go_before_videos_and_a_late_point_before_an_early_one():
    history = [row(1, video_auc=0.9, moment_auc=0.6), row(2, video_auc=0.5, moment_auc=0.7), {"iteration": 3}]
    assert best_iteration(history) == 2
    assert best_iteration([row(1, video_auc=0.9), row(2, video_auc=0.5), row(3, video_auc=0.9)]) == 3
    assert best_iteration([row(1, video_auc=0.9, moment_auc=nan), row(2, video_auc=0.5, moment_auc=None)]) == 1
    assert best_iteration([row(1, video_auc=0.0), row(2, video_auc=None)]) == 1
    assert best_iteration([row(1, video_auc=nan)]) is None
    assert best_iteration([]) is None
