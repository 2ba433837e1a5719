"""From scores to alerts: the same as in the replay, and at least once, also where the disk is full for a while."""

import json
from datetime import timedelta

import numpy as np
import pytest
from alerts import JPEG, NOON, server
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.detection import camera_events
from wsvad.detection.camera_events import CameraEvents
from wsvad.detection.event_store import EventStore
from wsvad.detection.feature_keeper import BLOCK, FeatureKeeper
from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules, find_events
from wsvad.sinks.jsonl import JsonLines, JsonLinesConfig
from wsvad.sinks.outbox import Outbox
from wsvad.sinks.webhook import Webhook, WebhookConfig

RULES = EventRules(low=0.7, min_seconds=1.0, merge_seconds=2.0)
STEP = 0.5


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def site(folder, sinks, share=0, **settings):
    store = EventStore(folder / "events.db")
    store.camera("gate", run="gate-run")
    outbox = Outbox(store.database, sinks, first=0.001, longest=0.01)
    keeper = FeatureKeeper(store, "gate", {}, share=share)
    known = {"store": store, "outbox": outbox, "keeper": keeper, "wall": at, "run": "gate-run"}
    events = CameraEvents("gate", threshold=0.5, rules=RULES, **known, **settings)
    return store, outbox, events


def without_disk(store, monkeypatch):
    """The disk is full as long as the list that comes back is not empty."""
    real, full = store.database.transaction, [True]

    def transaction():
        if full:
            raise WsvadError("events.db: the disk is full; free some space")
        return real()

    monkeypatch.setattr(store.database, "transaction", transaction)
    return full


def push_all(events, scores, **more):
    return [
        alert for number, score in enumerate(scores)
        for alert in events.push(score, STEP * number, STEP * (number + 1), rows={"rgb": np.array([number])}, **more)
    ] + events.cut()  # fmt: skip


def replayed(scores):
    edges = np.arange(len(scores) + 1)
    return find_events(np.array(scores), STEP * edges, 16 * edges, threshold=0.5, rules=RULES)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from([0.1, 0.4, 0.6, 0.9]), min_size=1, max_size=60))
def test_events_and_alerts_are_those_of_the_replay(tmp_path_factory, scores):
    store, _, events = site(tmp_path_factory.mktemp("site"), {})
    alerts = push_all(events, scores)
    expected = replayed(scores)
    stored = [event.alert for event in reversed(store.events())]
    assert [(a.start, a.end, a.score, a.state) for a in stored] == [
        (at(e.start), at(e.end), e.peak, "end") for e in expected
    ]
    assert [(a.id, a.state) for a in alerts] == [(a.id, state) for a in stored for state in ("start", "end")]
    for alert, event in zip(stored, expected, strict=True):
        (kept,) = store.features(alert.id)
        assert kept.rows[:, 0].tolist() == list(range(int(event.start / STEP), int(event.end / STEP)))
        assert alert.due >= alert.start + timedelta(seconds=RULES.min_seconds) and alert.evidence >= alert.start
    store.close()


def test_every_event_reaches_every_sink_with_category_attributions_and_picture(tmp_path):
    def answers(*_):
        return (200 if len(received.requests) % 2 else 503), {}, b""

    scores = [0.1] * 4 + [0.9, 0.8, 0.95] + [0.1] * 10 + [0.6] * 3 + [0.1] * 10
    path = tmp_path / "alerts.jsonl"
    with server(answers) as received:
        sinks = {"file": JsonLines(JsonLinesConfig(path=str(path))), "hook": Webhook(WebhookConfig(url=received.url))}
        store, outbox, events = site(tmp_path, sinks, categories=("fighting", "falling"), attributions=("pose", "flow"))
        outbox.start()
        alerts = push_all(events, scores, said=np.array([0.2, 0.6, 0.9, 0.1]), still=lambda event: JPEG)
        assert outbox.drained(60)
        outbox.stop()
    keys = [alert.key for alert in alerts]
    assert len(keys) == 4 and [json.loads(line)["key"] for line in path.read_text().splitlines()] == keys
    assert set(keys) == {record["key"] for record in received.json}
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["category"], first["categories"]) == ("falling", {"fighting": 0.25, "falling": 0.75})
    assert first["attributions"] == {"pose": 0.9, "flow": 0.1} and first["run"] == "gate-run"
    assert store.still(alerts[0].id) == JPEG and received.json[0]["still"]["type"] == "image/jpeg"
    store.close()


@pytest.mark.parametrize("until", [6, 9, 15, 30])
def test_what_could_not_be_written_for_a_while_is_written_later(tmp_path, monkeypatch, caplog, until):
    scores = [0.1] * 4 + [0.9] * 4 + [0.1] * 20
    store, _, events = site(tmp_path, {"file": JsonLines(JsonLinesConfig(path=str(tmp_path / "a.jsonl")))})
    full = without_disk(store, monkeypatch)
    for number in range(len(scores)):
        if number == until:
            full.clear()
        events.push(scores[number], STEP * number, STEP * (number + 1), rows={"rgb": np.array([number])})
        assert bool(events.error) == (5 <= number < until)
    if until == 30:
        assert events.error and store.events() == []
        full.clear()
    events.cut()
    (event,) = store.events()
    assert (event.alert.start, event.alert.end, event.alert.state) == (at(2), at(4), "end") and events.error == ""
    assert len(store.database.read("SELECT * FROM deliveries")) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "gate: events.db: the disk is full; free some space; events are kept in memory until then",
        "gate: events are written again",
    ]
    store.close()


def test_after_a_break_what_follows_is_another_event(tmp_path):
    store, _, events = site(tmp_path, {})
    for number in range(4):
        events.push(0.9, STEP * number, STEP * (number + 1))
    assert [alert.state for alert in events.cut()] == ["end"]
    for number in range(4, 8):
        events.push(0.9, STEP * number, STEP * (number + 1))
    events.cut()
    assert [(event.alert.start, event.alert.end) for event in reversed(store.events())] == [
        (at(0), at(2)), (at(2), at(4)),
    ]  # fmt: skip
    store.close()


def test_an_event_that_lasts_while_the_disk_is_full_is_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(camera_events, "UNWRITTEN", 5)
    store, _, events = site(tmp_path, {"file": JsonLines(JsonLinesConfig(path=str(tmp_path / "a.jsonl")))})
    full = without_disk(store, monkeypatch)
    push_all(events, [0.1] * 4 + [0.9] * 200 + [0.1] * 10)
    full.clear()
    events.cut()
    (event,) = store.events()
    assert (event.alert.start, event.alert.end, event.alert.state) == (at(2), at(102), "end") and events.error == ""
    assert len(store.database.read("SELECT * FROM deliveries")) == 2
    store.close()


def test_of_more_events_than_can_be_remembered_the_first_are_kept_and_what_is_kept_has_an_end(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(camera_events, "UNWRITTEN", 10)
    monkeypatch.setattr(camera_events, "REST", 4)
    store, _, events = site(tmp_path, {"file": JsonLines(JsonLinesConfig(path=str(tmp_path / "a.jsonl")))})
    full = without_disk(store, monkeypatch)
    scores = ([0.9] * 4 + [0.1] * 6) * 30
    push_all(events, scores)
    full.clear()
    push_all(events, scores[:20])
    stored = [event.alert for event in reversed(store.events())]
    assert all(alert.state == "end" for alert in stored) and 3 <= len(stored) - 2 < 10
    assert [(a.start, a.end) for a in stored[:3]] == [(at(5 * n), at(5 * n + 2)) for n in (0, 0, 1)]
    assert len(store.database.read("SELECT * FROM deliveries")) == 2 * len(stored)
    assert sum("events that begin now are lost" in record.getMessage() for record in caplog.records) == 1
    store.close()


def test_features_that_could_not_be_written_are_no_fault_for_ever(tmp_path, monkeypatch):
    store, _, events = site(tmp_path, {}, share=1)
    full = without_disk(store, monkeypatch)
    for number in range(BLOCK):
        events.push(0.1, STEP * number, STEP * (number + 1), rows={"rgb": np.array([number])})
    assert "disk is full" in events.error
    full.clear()
    events.push(0.1, STEP * BLOCK, STEP * (BLOCK + 1), rows={"rgb": np.array([BLOCK])})
    assert events.error == ""
    store.close()
