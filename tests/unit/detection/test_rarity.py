"""How rare a score is, against counting the events of every threshold."""

import dataclasses
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.detection.calibration import RARITY_BEFORE, RARITY_UNKNOWN, Calibrations, NormalScores, calibrated
from wsvad.detection.rarity import scale_of
from wsvad.detection.threshold import rates
from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules, find_events

RULES = EventRules(low=0.75, min_seconds=1.0, merge_seconds=1.5)
LEVELS = [0.004, *np.round(np.linspace(0.05, 1, 39) + 0.001, 3)]
"""Clear of scores, which are twentieths."""


@st.composite
def normal_videos(draw):
    """Snippets of half a second."""
    lengths = draw(st.lists(st.integers(1, 14), min_size=1, max_size=4))
    each = [draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)) for n in lengths]
    return [(np.array(scores) / 20, 0.5 * np.arange(len(scores) + 1)) for scores in each]


def events_at(normal, threshold, rules=RULES):
    return sum(
        len(find_events(scores, times, np.arange(len(times)), threshold=threshold, rules=rules))
        for scores, times in normal
    )


@settings(max_examples=80, deadline=None)
@given(normal_videos())
def test_a_score_is_as_rare_as_the_most_events_from_it_on(normal):
    scale, scores = scale_of(normal, RULES), np.concatenate([scores for scores, _ in normal])
    steps = np.unique(np.concatenate([scores, scores / RULES.low])) * (1 - 1e-9)
    for level in LEVELS:
        found = scale.of(level)
        if found.words.startswith("half"):
            assert (scores >= level).mean() >= 0.5
            continue
        wanted = max(events_at(normal, one) for one in [*steps[steps > level], level])
        assert found.events == wanted
        assert found.per_hour == rates(wanted, scale.hours)


@settings(max_examples=40, deadline=None)
@given(normal_videos())
def test_a_higher_score_is_never_less_rare(normal):
    scale = scale_of(normal, RULES)
    events = [scale.of(level).events for level in sorted(LEVELS)]
    assert all(lower >= higher for lower, higher in pairwise(events))
    assert scale.of(1.01).events == 0


def test_a_long_recording_has_a_short_scale_that_is_close():
    scores, rules = np.random.default_rng(0).random(5_000) ** 3, EventRules(min_seconds=0)
    normal = [(scores, 0.5 * np.arange(len(scores) + 1))]
    scale = scale_of(normal, rules)
    assert len(scale.scores) <= 201 and scale.whole
    for level in scores[scores > 0.7][:40]:
        exact = events_at(normal, level, rules)
        assert 0.98 * exact - 1 <= scale.of(float(level)).events <= 1.2 * exact + 3


def hours_of(hours, peaks):
    """Normal video with an event of 2 s of each of these peaks, far apart."""
    scores = np.full(int(7200 * hours), 0.05)
    for place, peak in enumerate(peaks):
        scores[100 + 50 * place : 104 + 50 * place] = peak
    return NormalScores(fits=5, curves={"whole": [("a", scores, 0.5 * np.arange(len(scores) + 1))]})


def test_words_are_those_of_the_hours_that_there_are():
    found = calibrated(hours_of(2, (0.6, 0.6, 0.8)), EventRules(), 1.0)
    assert found.rarity_of(0.5, "whole").words == "once in 40 min of normal video"
    assert found.rarity_of(0.7, "whole").words == "once in 2 h of normal video"
    assert found.rarity_of(0.9, "whole").words == "never in 2 h of normal video"
    assert found.rarity_of(0.01, "whole").words == "half of normal video scores as high"
    assert found.rarity_of(0.9, "online") is None
    assert "2 h of normal training video" in found.rarity_sentence("whole")
    assert found.rarity_sentence("online") == RARITY_UNKNOWN
    assert replace(found, rarity={}).rarity_sentence("whole") == RARITY_BEFORE
    few = calibrated(hours_of(0.01, ()), EventRules(), 1.0)
    assert few.rarity_of(0.9, "whole").words == "never in 36 s of normal video"
    assert Calibrations().rarity_of(0.9, "whole") is None


def test_a_scale_comes_back_from_model_json_and_a_damaged_one_does_not(tmp_path: Path):
    found = calibrated(hours_of(1, (0.6,)), EventRules(), 1.0)
    record = json.loads(json.dumps(found.as_dict()))
    assert Calibrations.read(record, tmp_path) == found
    for change in ({"scores": [0.5, 0.2]}, {"events": [1]}, {"events": [0, 1]}, {"scores": [], "events": []}):
        bad = record | {"rarity": {"whole": {"hours": 1.0, "scores": [0.2, 0.5], "events": [2, 1]} | change}}
        with pytest.raises(WsvadError, match="rarity"):
            Calibrations.read(bad, tmp_path / "model.json")


def test_normal_video_that_scores_nothing_is_a_scale_too():
    scale = scale_of([(np.zeros(8), np.arange(9.0))], EventRules())
    assert scale.of(0.5).words == "never in 8 s of normal video"
    assert dataclasses.asdict(scale) == {"hours": 8 / 3600, "scores": [0.0], "events": [0]}
    assert scale_of([], EventRules()) is None
