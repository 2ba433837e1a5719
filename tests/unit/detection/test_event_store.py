"""`events.db`: events with their alerts, what people said, features, and what is deleted first."""

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from alerts import JPEG, NOON, alert
from hypothesis import given, settings
from hypothesis import strategies as st
from kills import forks

from wsvad.detection.event_store import EventStore, Review
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.outbox import Outbox, status


class Silent:
    config_class = object

    def deliver(self, alert):
        raise AssertionError("the outbox was not started")


@pytest.fixture
def store(tmp_path):
    found = EventStore(tmp_path / "events.db")
    found.camera("gate", source="rtsp://gate/1", run="gate-run")
    found.camera("yard")
    yield found
    found.close()


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def waiting(store):
    return [row["key"] for row in store.database.read("SELECT key FROM alerts ORDER BY number")]


def keep(store, id, seconds=0.0, *, over=True, **fields):
    times = {"start": at(seconds), "evidence": at(seconds), "due": at(seconds + 1), "raised": at(seconds + 1)}
    store.start(alert(id, **times | fields))
    if over:
        store.finish(alert(id, "end", **times | {"end": at(seconds + 5)} | fields))


def test_an_event_from_its_alert_to_its_end(store):
    outbox = Outbox(store.database, {"a": Silent()})
    store.start(alert("e1"), outbox)
    kept = store.event("e1")
    assert (kept.alert.state, kept.alert.end, kept.still, kept.clip, kept.review) == ("start", None, True, "", None)
    assert store.still("e1") == JPEG and store.still("e2") is None
    store.update("e1", last=at(4), score=0.95)
    assert store.event("e1").alert.score == 0.95
    end = alert("e1", "end", score=0.97, category="falling", still=None)
    store.finish(end, outbox)
    assert store.event("e1").alert == end
    assert waiting(store) == ["e1-start", "e1-end"]


def test_an_event_and_its_alert_are_written_together_or_not_at_all(store, monkeypatch):
    outbox = Outbox(store.database, {"a": Silent()})

    def full(*_):
        raise WsvadError("the disk is full")

    monkeypatch.setattr("wsvad.sinks.outbox._kept", full)
    with pytest.raises(WsvadError, match="the disk is full"):
        store.start(alert("e1"), outbox)
    assert store.events() == [] and store.still("e1") is None and status(store.database)[0].waiting == 0


def test_a_camera_that_nobody_has_spoken_of_and_an_alert_that_comes_again(store):
    for _ in range(2):
        store.start(alert("e1", camera="new", still=None))
    store.keep_features("newer", {"rgb": np.ones((1, 1))}, {}, start=at(0), end=at(1))
    assert [event.alert.camera for event in store.events()] == ["new"]
    store.camera("new", source="rtsp://new", run="r")
    assert [tuple(row)[:3] for row in store.database.read("SELECT * FROM cameras WHERE name LIKE 'new%'")] == [
        ("new", "rtsp://new", "r"), ("newer", "", ""),
    ]  # fmt: skip
    with pytest.raises(WsvadError, match="NOT NULL constraint failed"):
        store.start(alert("e2", score=float("nan")))


def test_what_a_kill_left_open_ends_where_it_had_got_to_and_says_so(store):
    keep(store, "e0")
    keep(store, "e1", 100, over=False)
    keep(store, "e2", 200, over=False)
    store.update("e2", last=at(230), score=0.99)
    outbox = Outbox(store.database, {"a": Silent()})
    assert store.finish_open(outbox) == ["e1", "e2"]
    assert [store.event(id).alert.end for id in ("e1", "e2")] == [at(101), at(230)]
    assert store.event("e2").alert.score == 0.99 and store.finish_open(outbox) == []
    assert waiting(store) == ["e1-end", "e2-end"]


def test_events_are_found_by_camera_time_and_whether_they_were_reviewed(store):
    for number in range(6):
        keep(store, f"e{number}", 60 * number, camera="yard" if number % 2 else "gate")
    store.review(["e0", "e1"], Review(verdict="confirmed"))

    def ids(**wanted):
        return [event.alert.id for event in store.events(**wanted)]

    assert ids() == ["e5", "e4", "e3", "e2", "e1", "e0"]
    assert ids(limit=2, offset=1) == ["e4", "e3"]
    assert ids(camera="yard") == ["e5", "e3", "e1"]
    assert ids(after=at(60), before=at(180)) == ["e2", "e1"]
    assert ids(reviewed=True) == ["e1", "e0"] and ids(reviewed=False, camera="gate") == ["e4", "e2"]
    assert store.counts() == {"gate": (3, 2), "yard": (3, 2)}
    with pytest.raises(UsageError, match=r"events.db: no event has the id 'x'"):
        store.event("x")


@settings(deadline=None, max_examples=8)
@given(st.lists(st.sampled_from(["confirmed", "false alarm", "unsure", "undo"]), max_size=12))
def test_what_was_said_can_be_taken_back_to_any_depth_and_all_of_it_is_remembered(tmp_path_factory, said):
    store = EventStore(tmp_path_factory.mktemp("reviews") / "events.db")
    store.camera("gate")
    keep(store, "e1")
    stack = []
    for word in said:
        if word == "undo":
            store.undo(["e1"], by="me")
            stack = stack[:-1]
        else:
            store.review(["e1"], Review(verdict=word, note=str(len(stack))), by="you")
            stack.append(Review(verdict=word, note=str(len(stack))))
        assert store.event("e1").review == (stack[-1] if stack else None)
    history = store.history("e1")
    assert [row["verdict"] for row in history] == [word for word in said if word != "undo"]
    assert sum(row["undone_at"] is None for row in history) == len(stack)
    assert all(row["by"] == "you" and row["undone_by"] in (None, "me") for row in history)
    store.close()


def test_a_review_of_several_events_is_for_all_or_for_none(store):
    keep(store, "e1")
    with pytest.raises(UsageError, match="no event has the id 'e9'"):
        store.review(["e1", "e9"], Review(verdict="confirmed"))
    with pytest.raises(UsageError, match="verdict 'maybe': one of confirmed, false alarm, unsure"):
        store.review(["e1"], Review(verdict="maybe"))
    assert store.event("e1").review is None


@pytest.mark.parametrize(("largest", "dtype"), [(1.0, np.float16), (1e6, np.float32), (0.0, np.float16)])
def test_features_are_kept_in_half_precision_where_they_fit(store, largest, dtype):
    keep(store, "e1")
    rows = largest * np.random.default_rng(0).uniform(0.5, 1, (3, 2, 4)).astype(np.float32)
    made = {"rgb": {"encoder": "motion"}}
    for event in ("e1", None):
        store.keep_features("gate", {"rgb": rows}, made, start=at(0), end=at(2), event=event)
        (found,) = store.features(event)
        assert found.rows.dtype == dtype and found.rows.shape == rows.shape
        np.testing.assert_allclose(found.rows, rows, rtol=1e-3)
        assert (found.passport, found.start, found.end, found.event) == (made["rgb"], at(0), at(2), event)
    assert list(store.features(None, camera="yard")) == []
    assert len(store.database.read("SELECT * FROM passports")) == 1


def fill(store, folder, count=4):
    """Events of 5,000 bytes: 3,000 of a clip, 1,000 of a picture, 1,000 of features; and as much of quiet time."""
    for number in range(count):
        id = f"e{number}"
        keep(store, id, 60 * number, still=bytes(1000))
        (folder / f"{id}.mp4").write_bytes(bytes(3000))
        store.clip(id, folder / f"{id}.mp4", start=at(0), end=at(5))
        store.keep_features("gate", {"rgb": np.ones((5, 100))}, {}, start=at(0), end=at(1), event=id)
    store.keep_features("gate", {"rgb": np.ones((5, 100))}, {}, start=at(1000), end=at(1001))


def left(store):
    """Of each event whether it has a clip, a picture and features; and whether there is any quiet time."""
    found = {
        event.alert.id: (bool(event.clip), event.still, bool(list(store.features(event.alert.id))))
        for event in store.events()
    }
    return found | {"quiet": bool(list(store.features(None)))}


def test_too_much_goes_reviewed_before_others_old_before_new_and_pictures_before_what_can_be_learned(store, tmp_path):
    fill(store, tmp_path)
    store.review(["e1", "e3"], Review(verdict="false alarm"))
    assert store.bytes() == 4 * 5000 + 1000
    whole, thin = (True, True, True), (False, False, True)
    paths = store.expire(most_bytes=16_500)
    assert paths == [str(tmp_path / f"{id}.mp4") for id in ("e1", "e3")]
    assert left(store) == {"e0": whole, "e1": thin, "e2": whole, "e3": thin, "quiet": True}
    assert store.expire(most_bytes=9_000) == [str(tmp_path / "e0.mp4")]
    assert store.expire(most_bytes=4_000) == [str(tmp_path / "e2.mp4")]
    assert left(store) == {"e0": thin, "e1": thin, "e2": thin, "e3": thin, "quiet": False}
    store.expire(most_bytes=2_999)
    assert left(store) == {"e0": thin, "e2": thin, "quiet": False}
    store.expire(most_bytes=0)
    assert left(store) == {"quiet": False} and store.bytes() == 0


def test_what_is_too_old_goes_and_an_open_event_stays(store, tmp_path):
    fill(store, tmp_path)
    keep(store, "open", -500, over=False)
    store.health("gate", {"frames": 5}, at(0))
    store.health("gate", {"frames": 6}, at(300))
    assert store.expire(before=at(100)) == [str(tmp_path / f"{id}.mp4") for id in ("e0", "e1")]
    assert [event.alert.id for event in store.events()] == ["e3", "e2", "open"]
    assert [row["record"] for row in store.database.read("SELECT record FROM health")] == ['{"frames": 6}']
    assert store.expire(before=at(1e6), most_bytes=0)[0].endswith("e2.mp4")
    assert [event.alert.id for event in store.events()] == ["open"] and store.database.damage() == ""


def test_files_that_a_kill_has_left_are_found(store, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    keep(store, "e1")
    for name in ("e1.mp4", "left.mp4", ".new.mp4"):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - 7200,) * 2)
    (folder / "fresh.mp4").write_bytes(b"x")
    store.clip("e1", folder / "e1.mp4", start=at(0), end=at(5))
    assert store.strays(folder) == [folder / ".new.mp4", folder / "left.mp4"]


# -------------------------------------------------------------------------------------------------------- killed

CHILD = """
from datetime import timedelta
import numpy as np
from alerts import NOON, alert
from wsvad.detection.event_store import EventStore, Review
from wsvad.sinks.outbox import Outbox

class Silent:
    def deliver(self, alert): ...

def run(turn):
    store = EventStore(folder / "events.db")
    outbox = Outbox(store.database, {"a": Silent()})
    store.camera("gate")
    store.finish_open(outbox)
    for number in range(100000) if turn >= 0 else ():
        id = f"{turn}-{number}"
        store.start(alert(id), outbox)
        store.keep_features("gate", {"rgb": np.ones((3, 4))}, {}, start=NOON, end=NOON, event=id)
        store.update(id, last=NOON + timedelta(seconds=5), score=0.95)
        step(id)
        store.review([id], Review(verdict="unsure"))
        store.finish(alert(id, "end"), outbox)
        if number % 3 == 2:
            store.expire(most_bytes=200)
"""


def test_a_kill_at_any_moment_leaves_the_file_whole_and_no_event_without_its_alerts(tmp_path):
    chance = random.Random(2)
    with forks(tmp_path, CHILD) as child:
        for turn in range(8):
            child.kill(turn, chance)
        assert child.finish(-1) == 0
        begun = set(child.steps)
    store = EventStore(tmp_path / "events.db")
    assert store.database.damage() == "" and store.database.read("PRAGMA foreign_key_check") == []
    keys = set(waiting(store))
    ids = {key.rpartition("-")[0] for key in keys}
    assert begun and begun <= ids and keys == {f"{id}-{state}" for id in ids for state in ("start", "end")}
    events = store.events(limit=1000)
    assert {event.alert.id for event in events} <= ids and all(event.alert.state == "end" for event in events)
    store.close()


def test_reading_goes_on_while_another_process_writes(store):
    keep(store, "e1")
    with store.database.transaction() as tables:
        tables.execute("UPDATE events SET score = 0.1")
        code = (
            "import sys; from wsvad.detection.event_store import EventStore\n"
            "print(EventStore(sys.argv[1]).event('e1').alert.score); assert 'torch' not in sys.modules"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, str(store.database.path)], capture_output=True, text=True, check=True
        )
    assert said.stdout == "0.9\n" and store.event("e1").alert.score == 0.1


def test_moments_keep_their_microseconds(store):
    moment = datetime(2026, 1, 15, 12, 0, 0, 123456, tzinfo=UTC)
    store.keep_features("gate", {"rgb": np.ones((1, 1))}, {}, start=moment, end=moment)
    assert next(store.features(None)).start == moment
