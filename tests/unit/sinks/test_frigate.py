"""The Frigate sink against a server that keeps to its API."""

import json
import re
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from alerts import alert, server

from wsvad.database import Database
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.frigate import Frigate, FrigateConfig
from wsvad.sinks.frigate_server import Server
from wsvad.sinks.outbox import TABLES, Outbox, status
from wsvad.sinks.sink import Rejected


class Fake:
    """Cameras, events and users, as the API of Frigate has them. An event is there a moment after it was made."""

    def __init__(self, user: str = "", password: str = "", late: int = 0):
        self.events: list[dict] = []
        self.login = (user, password)
        self.token = "t0"
        self.late = late
        """How many requests an event is made late."""
        self._waiting: list[list] = []
        self._lock = threading.Lock()

    def __call__(self, method, path, headers, body):
        with self._lock:
            for one in self._waiting:
                one[0] -= 1
            self.events += [event for left, event in self._waiting if left < 0]
            self._waiting = [one for one in self._waiting if one[0] >= 0]
            return self.answer(method, urlsplit(path), headers, json.loads(body) if body else {})

    def answer(self, method, parts, headers, body):
        if (method, parts.path) == ("POST", "/api/login"):
            if (body["user"], body["password"]) != self.login:
                return said(401, message="Login failed")
            return 200, {"Set-Cookie": f"frigate_token={self.token}; HttpOnly; Path=/; SameSite=lax"}, b""
        if self.login[0] and headers.get("authorization") != f"Bearer {self.token}":
            return said(401, success=False, message="Not authorized")
        if (method, parts.path) == ("GET", "/api/events"):
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            cameras, marks = query["cameras"].split(","), query["sub_labels"].split(",")
            found = [event for event in self.events if event["camera"] in cameras and event["sub_label"] in marks]
            return 200, {}, json.dumps(found[: int(query["limit"])]).encode()
        if create := re.fullmatch(r"/api/events/([^/]+)/([^/]+)/create", parts.path):
            return self.create(*map(unquote, create.groups()), body) if method == "POST" else said(405)
        if end := re.fullmatch(r"/api/events/([^/]+)/end", parts.path):
            return self.end(unquote(end[1]), body) if method == "PUT" else said(405)
        return said(404, detail="Not Found")

    def create(self, camera, label, body):
        if camera not in ("gate", "yard_1"):
            return said(404, success=False, message=f"{camera} is not a valid camera.")
        now = time.time()
        event = {
            "id": f"{now}-abcdef", "camera": camera, "label": label, "sub_label": body["sub_label"], "end_time": None,
            "start_time": now - body["pre_capture"], "data": {"type": "api", "score": body["score"]},
        }  # fmt: skip
        assert body["duration"] is None and body["include_recording"] is True
        self._waiting.append([self.late, event])
        return said(200, success=True, message="Successfully created event.", event_id=event["id"])

    def end(self, id, body):
        event = next((event for event in self.events if event["id"] == id), None)
        if event is None:
            return said(404, success=False, message=f"Event {id} not found.")
        if body["end_time"] < event["start_time"]:
            return said(400, success=False, message="end_time cannot be before start_time")
        event["end_time"] = body["end_time"]
        return said(200, success=True, message="Event successfully ended.")


def said(status, **fields):
    return status, {"Content-Type": "application/json"}, json.dumps(fields).encode()


@contextmanager
def recorder(**settings):
    fake = Fake(**{key: settings.pop(key) for key in ("user", "password", "late") if key in settings})
    with server(fake) as received:
        yield fake, received


def lately(id, state="start", seconds=5.0, **fields):
    start = datetime.now(UTC) - timedelta(seconds=20)
    end = start + timedelta(seconds=seconds) if state == "end" else None
    return alert(id, state, **{"start": start, "end": end} | fields)


def sink_at(received, **settings):
    return Frigate(FrigateConfig(url=received.url, **settings))


def test_an_event_begins_where_it_began_and_ends_where_it_ended():
    with recorder() as (fake, received):
        sink = sink_at(received)
        start, end = lately("e1"), lately("e1", "end")
        sink.deliver(start)
        sink.deliver(end)
    (event,) = fake.events
    assert (event["camera"], event["label"], event["sub_label"]) == ("gate", "fighting", "wsvad e1")
    assert event["data"]["score"] == 0.9
    assert start.start.timestamp() - 1.5 < event["start_time"] <= start.start.timestamp() + 0.5
    assert event["end_time"] == pytest.approx(end.end.timestamp(), abs=0.01)


def test_a_repetition_makes_no_second_event():
    with recorder() as (fake, received):
        for _ in range(3):
            sink_at(received).deliver(lately("e1"))  # as after a restart
        sink_at(received).deliver(lately("e2"))
        assert sink_at(received).deliver(lately("e2", "end")) is None
    assert [event["sub_label"] for event in fake.events] == ["wsvad e1", "wsvad e2"]


def test_names_of_cameras_and_labels():
    with recorder() as (fake, received):
        sink = sink_at(received, cameras={"Yard / North": "yard_1"})
        sink.deliver(lately("e1", camera="Yard / North", category="breaking in/out ä"))
        sink.deliver(lately("e2", category=""))
        sink.deliver(lately("e3", category="", kind="frozen"))
        with pytest.raises(WsvadError, match=r"answered 404, .*pond is not a valid camera"):
            sink.deliver(lately("e4", camera="pond"))
        sink.deliver(lately("e3", "end"))
    assert [(event["camera"], event["label"]) for event in fake.events] == [
        ("yard_1", "breaking in-out ä"), ("gate", "anomaly"), ("gate", "frozen"),
    ]  # fmt: skip


def test_an_event_that_is_made_late_is_ended_all_the_same(tmp_path):
    with recorder(late=3) as (fake, received):
        database = Database(tmp_path / "d", [TABLES])
        outbox = Outbox(database, {"nvr": sink_at(received)}, first=0.001, longest=0.01)
        outbox.put(lately("e1"))
        outbox.put(lately("e1", "end"))
        outbox.start()
        assert outbox.drained(60)
        outbox.stop()
    assert [event["end_time"] is None for event in fake.events] == [False]
    assert status(database)[0].delivered == 2


def test_the_end_of_an_event_that_was_deleted_there_is_given_up():
    with recorder() as (_, received):
        with pytest.raises(WsvadError, match="Frigate has no event of e1 yet") as raised:
            sink_at(received).deliver(lately("e1", "end"))
        assert not isinstance(raised.value, Rejected)
        with pytest.raises(Rejected, match="Frigate has no event of e1 that could be ended"):
            sink_at(received).deliver(alert("e1", "end"))


def test_a_clock_that_differs_does_not_end_an_event_before_it_began():
    with recorder() as (fake, received):
        sink_at(received).deliver(lately("e1"))
        sink_at(received).deliver(lately("e1", "end", seconds=-30))
    assert fake.events[0]["end_time"] == fake.events[0]["start_time"]


def test_a_login_is_made_when_it_is_needed_and_again_when_it_has_run_out(monkeypatch):
    monkeypatch.setenv("FRIGATE_PASSWORD", "pass word")
    with recorder(user="admin", password="pass word") as (fake, received):
        sink = sink_at(received, user="admin", password="${FRIGATE_PASSWORD}")
        sink.deliver(lately("e1"))
        fake.token = "t1"
        sink.deliver(lately("e2"))
        sink.deliver(lately("e2", "end"))
        assert len([path for _, path, _, _ in received.requests if path == "/api/login"]) == 2
        with pytest.raises(WsvadError, match=r"answered 401, it wants another password or token \(.*Login failed"):
            sink_at(received, user="admin", password="wrong").deliver(lately("e3"))
        with pytest.raises(WsvadError, match="answered 401, it wants another password"):
            sink_at(received).deliver(lately("e3"))
        monkeypatch.setenv("FRIGATE_TOKEN", fake.token)
        sink_at(received, token="${FRIGATE_TOKEN}").deliver(lately("e3"))
    assert [event["end_time"] is None for event in fake.events] == [True, False]


def test_another_server_and_settings_that_contradict_each_other():
    for page, words in ((b"<html>a router</html>", "not as Frigate does; check the address"), (b"[]", "did not say")):
        with server(lambda *_, page=page: (200, {}, page)) as received, pytest.raises(WsvadError, match=words):
            sink_at(received).deliver(lately("e1"))
    with pytest.raises(UsageError, match="'token' and 'user' are both given"):
        Frigate(FrigateConfig(url="http://h", user="a", token="b"))
    assert Server(url="http://h:5000/api/").url == "http://h:5000"
