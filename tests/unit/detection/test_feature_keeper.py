"""Which features are kept, against a loop over the whole curve."""

from datetime import timedelta

import numpy as np
import pytest
from alerts import NOON, alert
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsvad.detection.event_store import EventStore
from wsvad.detection.feature_keeper import BLOCK, RECENT, FeatureKeeper
from wsvad.detection.tracker import EventTracker
from wsvad.metrics.events import EventRules, spans

RULES = EventRules(low=0.75, min_seconds=1.0, merge_seconds=2.0)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def watch(store, scores, share=0.0, seed=0, tremble=0.0):
    """Snippets of half a second, whose features are their numbers; by the clock they end that much later than the next
    begins. Each event → the snippet with which its alert was due."""
    due = {}
    tracker = EventTracker(threshold=0.8, rules=RULES)
    keeper = FeatureKeeper(store, "gate", {"rgb": {"encoder": "numbers"}}, share=share, seed=seed)

    def follow(found):
        for one in found:
            id = f"e{one.event.start}"
            if one.state == "start":
                due[id] = number
                store.start(alert(id))
                keeper.begin(id, at(one.event.start))
            elif one.state == "end":
                keeper.end(at(one.event.end))

    for number, score in enumerate(scores):
        start = number / 2
        keeper.push({"rgb": np.array([number, 1])}, at(start), at(start + 0.5 + tremble))
        follow(tracker.push(score, start, start + 0.5))
        assert len(keeper._recent) <= RECENT and len(keeper._block) <= max(2 * BLOCK, RECENT)
    follow(tracker.end())
    keeper.cut()
    return due


def numbers(store, event):
    rows = [found.rows[:, 0] for found in store.features(event)]
    return np.concatenate(rows).astype(int).tolist() if rows else []


def expected(scores):
    first, last = spans(np.array(scores), np.arange(len(scores) + 1) / 2, 0.8, RULES)
    return {f"e{a / 2}": list(range(a, b + 1)) for a, b in zip(first.tolist(), last.tolist(), strict=True)}


@pytest.fixture
def store(tmp_path):
    found = EventStore(tmp_path / "events.db")
    found.camera("gate")
    yield found
    found.close()


@settings(deadline=None, max_examples=12)
@example([(0.9, 2), (0.1, 1), (0.7, 140)], False, 0)
@example([(0.7, 140), (0.7, 140), (0.9, 1)], False, 0)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.7, 0.9]), st.sampled_from([1, 2, 5, 90, 140])), max_size=8),
    st.booleans(),
    st.sampled_from([0, 0.004, -0.004]),
)
def test_of_each_event_exactly_its_snippets_are_kept_and_quiet_time_is_none_of_them(
    tmp_path_factory, parts, quiet, tremble
):
    """As far as they are remembered when its alert is due: one that nearly was one for hours has the last minutes."""
    store = EventStore(tmp_path_factory.mktemp("keeper") / "events.db")
    store.camera("gate")
    scores = [score for score, count in parts for _ in range(count)]
    due = watch(store, scores, share=1.0 if quiet else 0.0, tremble=tremble)
    events = expected(scores)
    assert {id: numbers(store, id) for id in events} == {
        id: [number for number in some if number > due[id] - RECENT] for id, some in events.items()
    }
    found, taken = numbers(store, None), {number for some in events.values() for number in some}
    assert len(set(found)) == len(found) and not set(found) & taken
    if not quiet:
        assert found == []
    elif not events:
        assert found == list(range(len(scores)))
    store.close()


def test_a_share_of_quiet_time_is_kept_in_whole_blocks(store):
    watch(store, [0.1] * BLOCK * 60, share=0.25, seed=3)
    found = list(store.features(None))
    assert all(len(one.rows) == BLOCK and one.rows[0, 0] % BLOCK == 0 for one in found)
    assert 6 <= len(found) <= 25  # of 60, 15 expected: beyond four standard deviations otherwise


def test_a_long_event_is_written_as_it_goes(store):
    keeper = FeatureKeeper(store, "gate", {}, share=0)
    store.start(alert("e"))
    keeper.begin("e", at(0))
    for number in range(3 * BLOCK):
        keeper.push({"rgb": np.array([number])}, at(number), at(number + 1))
    assert len(numbers(store, "e")) == 2 * BLOCK
    keeper.end(at(3 * BLOCK - 1))
    assert numbers(store, "e") == list(range(3 * BLOCK - 1))


def test_after_a_break_nothing_from_before_is_taken_for_a_later_event(store):
    keeper = FeatureKeeper(store, "gate", {}, share=0)
    keeper.push({"rgb": np.array([1])}, at(0), at(1))
    keeper.cut()
    keeper.push({"rgb": np.array([2])}, at(100), at(101))
    keeper.push({"rgb": np.array([3])}, at(50), at(51))
    store.start(alert("e"))
    keeper.begin("e", at(0))
    keeper.end(at(1000))
    assert numbers(store, "e") == [3]
