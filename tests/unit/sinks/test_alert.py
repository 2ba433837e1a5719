"""Alerts as JSON and in words."""

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alerts import JPEG, NOON, alert
from places import ROOT

from wsvad.detection.live import LiveScore
from wsvad.sinks.alert import Alert


@pytest.mark.parametrize("state", ["start", "end"])
def test_json_and_back(state):
    sent = alert("e1", state)
    record = json.loads(json.dumps(sent.as_dict()))
    assert Alert.of_dict(record, JPEG) == sent
    assert (record["key"], record["start"], record["delay"]) == (f"e1-{state}", "2026-01-15T12:00:00.000+00:00", 0.25)
    assert record["end"] == (None if state == "start" else "2026-01-15T12:00:08.000+00:00")


def test_an_alert_that_waited_since_an_earlier_version_is_read():
    record = alert().as_dict()
    del record["distance"]
    assert Alert.of_dict(record, JPEG) == alert()


def test_moments_are_written_in_utc_whatever_their_zone():
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert alert(start=there).as_dict()["start"] == "2026-01-15T12:00:00.000+00:00"


def test_a_number_that_is_none_is_null():
    assert alert(score=math.nan).as_dict()["score"] is None


def test_words_for_people(monkeypatch):
    monkeypatch.setattr("wsvad.sinks.alert.datetime", datetime)
    local = datetime(2026, 1, 15, 12, 0, 5).astimezone()
    sent = alert(start=local)
    assert sent.title == "gate: fighting"
    assert sent.text == (
        "since 2026-01-15 12:00:05, score 0.90 (threshold 0.50), fighting 75%, mostly pose (60%)"
    )  # fmt: skip
    over = alert("e1", "end", start=local, end=local + timedelta(seconds=70), category="", attributions={})
    assert over.title == "gate: something abnormal is over"
    assert over.text == "2026-01-15 12:00:05 to 12:01:15, score 0.90 (threshold 0.50)"
    assert alert(camera="ga\nte\x1b[2J", category="").title == "ga\\nte\\x1b[2J: something abnormal"
    assert (
        "unlike" not in alert(distance=1.0).text
        and "unlike the training videos (2.3 times" in alert(distance=2.34).text
    )
    fault = alert(kind="frozen", category="", attributions={}, start=local)
    assert (fault.title, fault.text) == ("gate: frozen", "since 2026-01-15 12:00:05")


def test_the_page_on_alerts_names_every_key_and_shows_an_alert_as_it_is():
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    record = alert("4f0c2a9d6f7e4c5b8a1d3e2f5c6b7a89").as_dict()
    assert list(shown) == list(record)
    assert Alert.of_dict(shown).as_dict() == shown
    table = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(record) | {"still"} <= table
    assert datetime.fromisoformat(shown["raised"]).tzinfo == UTC


def test_the_example_on_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    scores = [LiveScore(score=0.9 if 2 <= t < 5 else 0.1, alarm=False, start=t, end=t + 1) for t in range(12)]
    known = {"live_scores": scores, "wall_clock": lambda seconds: NOON + timedelta(seconds=seconds)}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], known)
    assert capsys.readouterr().out.startswith("gate: something abnormal since ")
    lines = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [(line["state"], line["end"]) for line in lines] == [
        ("start", None), ("end", "2026-01-15T12:00:05.000+00:00"),
    ]  # fmt: skip
    known["store"].close()
