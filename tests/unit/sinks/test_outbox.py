"""The outbox: at least once, in order where it matters, whoever is slow, down or killed."""

import json
import logging
import random
import threading

import pytest
from alerts import JPEG, alert, wait_for
from kills import forks

from wsvad.database import Database
from wsvad.environment import hide
from wsvad.errors import WsvadError
from wsvad.sinks.outbox import NEXT, TABLES, Outbox, _Worker, status
from wsvad.sinks.sink import CameraState, Rejected

QUICK = {"first": 0.001, "longest": 0.01}


class Receiver:
    """A sink that does what a test says with the number of the call."""

    config_class = object

    def __init__(self, answer=lambda number, alert: None):
        self.got: list[str] = []
        self.tried: list[str] = []
        self.alerts = []
        self._answer = answer

    def deliver(self, alert):
        self.tried.append(alert.key)
        self._answer(len(self.tried), alert)
        self.got.append(alert.key)
        self.alerts.append(alert)


@pytest.fixture
def database(tmp_path):
    found = Database(tmp_path / "events.db", [TABLES])
    yield found
    found.close()


def one(database, name):
    return next(found for found in status(database) if found.name == name)


def down(number, alert):
    raise WsvadError("the server is down")


def test_every_sink_gets_every_alert_as_it_was(database):
    sinks = {"a": Receiver(), "b": Receiver()}
    outbox = Outbox(database, sinks, **QUICK)
    sent = [alert(f"e{number}", state) for number in range(3) for state in ("start", "end")]
    outbox.start()
    for each in sent:
        outbox.put(each)
    assert outbox.drained(60)
    outbox.stop()
    assert sinks["a"].alerts == sent and sinks["b"].alerts == sent and sent[0].still == JPEG
    for name in sinks:
        found = one(database, name)
        assert (found.waiting, found.delivered, found.dropped, found.rejected, found.failures) == (0, 6, 0, 0, 0)
    assert database.read("SELECT * FROM alerts") == []


def test_what_fails_is_tried_again_until_it_is_taken(database, caplog):
    def answer(number, alert):
        if number <= 4:
            down(number, alert)

    sinks = {"a": Receiver(answer)}
    outbox = Outbox(database, sinks, **QUICK)
    outbox.put(alert("e1"))
    with caplog.at_level(logging.WARNING):
        outbox.start()
        assert outbox.drained(60)
        outbox.stop()
    assert sinks["a"].tried == ["e1-start"] * 5 and sinks["a"].got == ["e1-start"]
    said = [record.getMessage() for record in caplog.records]
    assert said == ["sink 'a': the server is down; it will be tried again", "sink 'a' works again after 4 failures"]
    found = one(database, "a")
    assert (found.delivered, found.failures, found.error, found.retry_at) == (1, 0, "", None)


def test_a_sink_that_hangs_holds_up_nobody(database):
    let_go = threading.Event()
    sinks = {"slow": Receiver(lambda number, alert: let_go.wait(30)), "quick": Receiver()}
    outbox = Outbox(database, sinks, **QUICK)
    outbox.start()
    for number in range(5):
        outbox.put(alert(f"e{number}"))
    wait_for(lambda: len(sinks["quick"].got) == 5)
    assert sinks["slow"].got == [] and one(database, "slow").waiting == 5 and one(database, "slow").oldest is not None
    outbox.stop(timeout=0.01)
    let_go.set()


def test_one_alert_that_a_sink_cannot_digest_does_not_hold_up_the_others_but_its_end_waits(database):
    def answer(number, alert):
        if alert.id == "bad" and len(receiver.tried) < 12:
            down(number, alert)

    receiver = Receiver(answer)
    outbox = Outbox(database, {"a": receiver}, **QUICK)
    for each in (alert("bad"), alert("good"), alert("bad", "end"), alert("good", "end")):
        outbox.put(each)
    outbox.start()
    assert outbox.drained(60)
    outbox.stop()
    assert receiver.got == ["good-start", "good-end", "bad-start", "bad-end"]


def test_what_is_rejected_is_counted_and_not_tried_again(database):
    def answer(number, alert):
        if alert.id == "bad":
            raise Rejected("too large")

    receiver = Receiver(answer)
    outbox = Outbox(database, {"a": receiver}, **QUICK)
    for each in (alert("bad"), alert("good")):
        outbox.put(each)
    outbox.start()
    assert outbox.drained(60)
    outbox.stop()
    assert receiver.tried == ["bad-start", "good-start"]
    found = one(database, "a")
    assert (found.delivered, found.rejected) == (1, 1)


def test_what_another_version_has_written_does_not_hold_up_the_rest(database):
    receiver = Receiver()
    outbox = Outbox(database, {"a": receiver}, **QUICK)
    for number in range(4):
        outbox.put(alert(f"e{number}"))
    with database.transaction() as tables:
        tables.execute("""UPDATE alerts SET body = json_set(body, '$.colour', 'red') WHERE key = 'e0-start'""")
        tables.execute("UPDATE alerts SET body = '[]' WHERE key = 'e1-start'")
        tables.execute("UPDATE alerts SET body = json_remove(body, '$.start') WHERE key = 'e2-start'")
    outbox.start()
    assert outbox.drained(60)
    outbox.stop()
    assert receiver.got == ["e0-start", "e3-start"] and one(database, "a").rejected == 2


def test_a_full_queue_keeps_the_oldest_and_counts_the_rest_and_ends_still_fit(database):
    outbox = Outbox(database, {"down": Receiver(down), "also": Receiver()}, most=3, **QUICK)
    for number in range(5):
        outbox.put(alert(f"e{number}"))
    outbox.put(alert("e0", "end"))
    kept = [row["key"] for row in database.read("SELECT key FROM alerts ORDER BY number")]
    assert kept == ["e0-start", "e1-start", "e2-start", "e0-end"]
    assert [(s.waiting, s.dropped) for s in status(database)] == [(4, 2), (4, 2)]


def test_pictures_have_a_limit_of_their_own(database, monkeypatch):
    monkeypatch.setattr("wsvad.sinks.outbox.MOST_STILLS", 2 * len(JPEG))
    receiver = Receiver()
    outbox = Outbox(database, {"a": receiver}, **QUICK)
    for number in range(3):
        outbox.put(alert(f"e{number}"))
    outbox.start()
    assert outbox.drained(60)
    outbox.stop()
    assert [each.still for each in receiver.alerts] == [JPEG, JPEG, None]


def test_an_alert_is_put_with_what_else_is_written_or_not_at_all(database):
    outbox = Outbox(database, {"a": Receiver()})
    with pytest.raises(ZeroDivisionError), database.transaction():
        outbox.put(alert())
        _ = 1 / 0
    assert one(database, "a").waiting == 0
    outbox.put(alert())
    outbox.put(alert())
    assert one(database, "a").waiting == 1


def test_what_waits_is_there_after_a_restart_and_a_sink_that_was_removed_is_forgotten(database, caplog):
    outbox = Outbox(database, {"a": Receiver(), "gone": Receiver()})
    outbox.put(alert("e1"))
    outbox.put(alert("e2"))
    receiver = Receiver()
    again = Outbox(database, {"a": receiver, "new": Receiver()}, **QUICK)
    assert "sink 'gone' is not configured any more; 2 alerts for it are left out" in caplog.text
    again.start()
    assert again.drained(60)
    again.stop()
    assert receiver.got == ["e1-start", "e2-start"]
    assert [(s.name, s.delivered) for s in status(database)] == [("a", 2), ("new", 0)]


def test_what_a_sink_has_is_not_given_again_where_that_could_not_be_written_down(database, monkeypatch):
    receiver = Receiver()
    outbox = Outbox(database, {"a": receiver}, **QUICK)
    outbox.put(alert())
    queue, full = outbox._workers[0].queue, [True, True]

    def delivered(number, real=queue.delivered):
        if full:
            full.pop()
            raise WsvadError("the disk is full")
        real(number)

    monkeypatch.setattr(queue, "delivered", delivered)
    outbox.start()
    assert outbox.drained(60)
    outbox.stop()
    assert receiver.tried == ["e1-start"] and one(database, "a").delivered == 1


def test_waiting_grows_to_a_limit_and_is_spread_by_chance(database):
    outbox = Outbox(database, {"a": Receiver()})
    worker = outbox._workers[0]
    assert isinstance(worker, _Worker)
    for failures in (1, 2, 3, 8, 9, 10, 1000, 10**9):
        worker._failures = failures
        longest = min(300, 2.0 ** min(failures - 1, 20))
        found = [worker._seconds() for _ in range(50)]
        assert all(longest / 2 <= each <= longest for each in found) and len(set(found)) == 50


def test_whose_turn_it_is_is_found_without_looking_at_all_that_wait(database):
    plan = [row["detail"] for row in database.read(f"EXPLAIN QUERY PLAN {NEXT}", ("a",))]
    assert not any("SCAN" in line or "B-TREE" in line for line in plan)
    assert any("deliveries_in_turn (sink=?)" in line for line in plan)
    assert any("deliveries_of_events (sink=? AND event=? AND alert<?)" in line for line in plan)


def test_a_sink_is_opened_before_it_delivers_again_and_again_and_closed_at_the_end(database):
    class Connection(Receiver):
        opened = closed = 0

        def open(self):
            self.opened += 1
            if self.opened < 3:
                raise OSError("no route")

        def close(self):
            self.closed += 1

        def show(self, state):
            self.shown = state
            raise ValueError("never mind")

    sink = Connection()
    outbox = Outbox(database, {"a": sink, "plain": Receiver()}, **QUICK)
    outbox.start()
    wait_for(lambda: sink.opened == 3 and one(database, "a").failures == 0)  # also without an alert
    outbox.put(alert())
    assert outbox.drained(60)
    state = CameraState(camera="gate", online=True)
    outbox.show(state)
    outbox.stop()
    assert (sink.opened, sink.closed, sink.got, sink.shown) == (3, 1, ["e1-start"], state)


def test_no_secret_is_written_down_or_logged(database, caplog):
    hide("hunter22", "${TOKEN}")

    def answer(number, alert):
        raise RuntimeError("POST https://me:pass@example.org/hunter22\nfailed " + "x" * 250 + "hunter22")

    outbox = Outbox(database, {"a": Receiver(answer)}, **QUICK)
    outbox.put(alert())
    outbox.start()
    wait_for(lambda: one(database, "a").failures)
    outbox.stop()
    said = one(database, "a").error
    assert said.startswith("POST https://me:***@example.org/${TOKEN} failed")
    for secret in ("hunter", "pass@"):
        assert secret not in said + caplog.text


# -------------------------------------------------------------------------------------------------------- killed

CHILD = """
import random
from alerts import alert
from wsvad.database import Database
from wsvad.sinks.jsonl import JsonLines, JsonLinesConfig
from wsvad.sinks.outbox import TABLES, Outbox
from wsvad.errors import WsvadError

class Flaky(JsonLines):
    def deliver(self, alert):
        if random.random() < 0.3:
            raise WsvadError("not now")
        super().deliver(alert)

def run(turn):
    sinks = {name: kind(JsonLinesConfig(path=str(folder / f"{name}.jsonl")))
             for name, kind in (("steady", JsonLines), ("flaky", Flaky))}
    outbox = Outbox(Database(folder / "events.db", [TABLES]), sinks, first=0.001, longest=0.005)
    outbox.start()
    for number in range(100000) if turn >= 0 else ():
        outbox.put(alert(f"{turn}-{number}", still=None))
        step(f"{turn}-{number}-start")
    assert outbox.drained(60)
"""


def test_a_kill_at_any_moment_loses_nothing_and_repeats_have_the_same_key(tmp_path):
    """What `put` has returned for is delivered; so is, or not, the one that it was killed in."""
    chance = random.Random(1)
    with forks(tmp_path, CHILD) as child:
        for turn in range(20):
            child.kill(turn, chance)
            database = Database(tmp_path / "events.db", [TABLES])
            assert database.damage() == ""
            database.close()
        assert child.finish(-1) == 0
        put = set(child.steps)
    assert len(put) > 20
    for name in ("steady", "flaky"):
        records = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        by_key = {}
        for record in records:
            assert by_key.setdefault(record["key"], record) == record
        assert put <= set(by_key)
        assert len(set(by_key) - put) <= 20 and len(records) - len(by_key) <= 40
