"""The snippet clock against loops over single frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.encoders.encoder import Sampling
from wsvad.video.clock import SnippetClock, filmed, positive_frames, snippet_count, snippet_lengths

frames_and_stride = {"frames": st.integers(1, 400), "stride": st.integers(1, 40)}


@given(**frames_and_stride)
def test_snippets_cover_every_frame_once(frames, stride):
    count = snippet_count(frames, stride)
    owners = [frame // stride for frame in range(frames)]
    assert count == owners[-1] + 1
    assert snippet_lengths(frames, count, stride).tolist() == [owners.count(snippet) for snippet in range(count)]


@given(**frames_and_stride, snippets=st.integers(1, 60))
def test_lengths_of_any_number_of_snippets_sum_to_the_frames(frames, stride, snippets):
    owners = [min(frame // stride, snippets - 1) for frame in range(frames)]
    expected = [owners.count(snippet) for snippet in range(snippets)]
    assert snippet_lengths(frames, snippets, stride).tolist() == expected


@given(**frames_and_stride, snippets=st.integers(1, 60), seed=st.integers(0, 9))
def test_expanded_scores_are_those_of_the_snippet_of_each_frame(frames, stride, snippets, seed):
    scores = np.random.default_rng(seed).random(snippets)
    expected = [scores[min(frame // stride, snippets - 1)] for frame in range(frames)]
    clock = SnippetClock(snippets=snippets, frames=frames, stride=stride)
    assert np.repeat(scores, clock.lengths).tolist() == expected


@given(
    **frames_and_stride,
    snippets=st.integers(1, 60),
    intervals=st.lists(st.tuples(st.integers(-20, 450), st.integers(-20, 450)).map(lambda pair: tuple(sorted(pair)))),
)
def test_positive_frames_counts_frames_in_any_interval(frames, stride, snippets, intervals):
    expected = [0] * snippets
    for frame in range(frames):
        inside = any(start <= frame < end for start, end in intervals)
        expected[min(frame // stride, snippets - 1)] += inside
    clock = SnippetClock(snippets=snippets, frames=frames, stride=stride)
    assert positive_frames(intervals, clock.edges).tolist() == expected


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (15, 1), (16, 1), (17, 2), (1601, 101), (1615, 101)])
def test_the_tail_is_kept(frames, count):
    assert snippet_count(frames) == count


@given(count=st.integers(1, 40), length=st.integers(1, 40))
def test_sampled_offsets_are_even_and_inside(count, length):
    offsets = Sampling(count=count).offsets(length)
    assert len(offsets) == count
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0 and offsets[-1] < length
    if length % count == 0:
        part = length // count
        assert offsets == [i * part + part // 2 for i in range(count)]


def test_a_gap_is_not_filmed_time():
    borders = 0.64 * np.arange(62)
    assert filmed(borders).sum() == pytest.approx(borders[-1])
    leapt = borders + 36_000.0 * (borders > 20)
    assert leapt[-1] > 36_000
    assert filmed(leapt) == pytest.approx(np.full(61, 0.64))
    slow = 60.0 * np.arange(30)  # a picture every four seconds, all of it filmed
    assert filmed(slow).sum() == slow[-1]
    assert filmed(np.array([0.0, 0.64, 3600.0])) == pytest.approx([0.64, 0.64])
