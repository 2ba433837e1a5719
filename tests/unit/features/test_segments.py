"""Bin averaging against a loop, and the cases that the specification names."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.features.segments import bin_average


def by_loop(features, segments):
    m = len(features)
    edges = [i * m // segments for i in range(segments + 1)]
    rows = [features[a:b].mean(0) if b > a else features[a] for a, b in pairwise(edges)]
    return np.stack(rows)


@given(st.integers(1, 300), st.sampled_from([1, 16, 32, 200]), st.integers(0, 3))
def test_equals_the_loop(m, segments, seed):
    features = np.random.default_rng(seed).normal(size=(m, 3)).astype(np.float32)
    np.testing.assert_allclose(bin_average(features, segments), by_loop(features, segments), rtol=1e-5, atol=1e-6)


def test_as_many_snippets_as_segments_is_the_identity():
    features = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    np.testing.assert_allclose(bin_average(features, 200), features, rtol=1e-6)


def test_half_as_many_snippets_come_twice():
    features = np.arange(100, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(bin_average(features, 200)[:, 0], np.repeat(np.arange(100), 2))


@pytest.mark.parametrize("m", [201, 399, 1000])
def test_no_snippet_is_lost(m):
    weights = np.stack([bin_average(np.eye(m, dtype=np.float32)[:, [i]], 200)[:, 0] for i in range(m)])
    assert (weights.sum(1) > 0).all()


def test_crops_are_averaged_each_for_itself():
    features = np.random.default_rng(0).normal(size=(5, 37, 4)).astype(np.float16)
    expected = np.stack([by_loop(crop.astype(np.float64), 32) for crop in features])
    np.testing.assert_allclose(bin_average(features, 32), expected, rtol=1e-5, atol=1e-6)
