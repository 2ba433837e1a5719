"""Labels of recordings from a server that keeps to Frigate's API, through the command line."""

import csv
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from alerts import server
from clips import write_clip

from wsvad.cli.main import main
from wsvad.datasets.folder import open_folder
from wsvad.sinks import frigate_events

DAY = datetime(2026, 1, 15, 9, 0, tzinfo=UTC).timestamp()
"""Midnight of nothing: 09:00 of the day on which the recordings were made."""
RATE = 10


def event(id, start, end, label="fight", camera="gate", **more):
    """An event, `start` and `end` in seconds after 09:00, as Frigate gives it."""
    said = {
        "id": id, "camera": camera, "label": label, "sub_label": None, "start_time": DAY + start,
        "end_time": None if end is None else DAY + end, "false_positive": None, "zones": [], "thumbnail": "",
        "has_clip": True, "has_snapshot": True, "retain_indefinitely": False, "plus_id": None, "top_score": None,
        "box": None, "data": {"type": "object", "score": 0.8, "box": [0.1, 0.1, 0.2, 0.2]},
    }  # fmt: skip
    return said | more


EARLIER = event("earlier", -3 * 86_400, -3 * 86_400 + 5, "car")
"""By which it is known that nothing was forgotten."""


class Fake:
    """Frigate's events: those that begin after and before a time, the newest first, so many at most."""

    def __init__(self, events, cameras=("gate", "yard")):
        self.events, self.cameras, self.asked = events, cameras, []

    def __call__(self, method, path, headers, body):
        parts = urlsplit(path)
        if parts.path == "/api/config":
            return 200, {}, json.dumps({"cameras": {name: {"enabled": True} for name in self.cameras}}).encode()
        assert (method, parts.path) == ("GET", "/api/events")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append(query)
        found = [one for one in self.events if one["camera"] in query["cameras"].split(",")]
        found = [one for one in found if one["start_time"] < float(query["before"])]
        found = [one for one in found if "after" not in query or one["start_time"] > float(query["after"])]
        found.sort(key=lambda one: -one["start_time"])
        return 200, {}, json.dumps(found[: int(query["limit"])]).encode()


def record(folder, place, seconds=10):
    path = folder / f"{place}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clip(path, RATE * seconds, rate=RATE)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Half a minute of a gate and ten seconds of a yard, in pieces, as Frigate keeps them."""
    folder = tmp_path_factory.mktemp("recordings")
    for place in ("gate/00.00", "gate/00.10", "gate/00.20", "yard/00.10"):
        record(folder, f"2026-01-15/09/{place}")
    return folder


def labelled(recordings, tmp_path, events, *words, cameras=("gate", "yard")):
    """Exit status, both tables, and what the server was asked."""
    fake = Fake(events, cameras)
    with server(fake) as received:
        status = main(["labels", str(recordings), "--frigate", received.url, "--out", str(tmp_path / "l.csv"), *words])
    tables = {}
    for name in ("l.csv", "intervals.csv"):
        if (tmp_path / name).exists():
            with (tmp_path / name).open(encoding="utf-8", newline="") as file:
                tables[name] = [tuple(row) for row in csv.reader(file)][1:]
    return status, tables.get("l.csv"), tables.get("intervals.csv"), fake


def test_an_event_labels_the_recordings_that_show_it_and_their_frames(recordings, tmp_path):
    events = [EARLIER, event("a", 8.0, 12.55), event("b", 21.0, 22.0, "fall"), event("c", 24, 25, "person")]
    status, labels, intervals, _ = labelled(recordings, tmp_path, events, "--abnormal", "fight,fall")
    assert status == 0
    assert labels == [
        ("2026-01-15/09/gate/00.00.mp4", "abnormal", "fight"),
        ("2026-01-15/09/gate/00.10.mp4", "abnormal", "fight"),
        ("2026-01-15/09/yard/00.10.mp4", "normal", "normal"),
        ("2026-01-15/09/gate/00.20.mp4", "abnormal", "fall"),
    ]
    assert intervals == [
        ("2026-01-15/09/gate/00.00.mp4", "fight", "80", "100"),
        ("2026-01-15/09/gate/00.10.mp4", "fight", "0", "26"),
        ("2026-01-15/09/gate/00.20.mp4", "fall", "10", "20"),
    ]
    dataset = open_folder(recordings, labels=tmp_path / "l.csv", intervals=tmp_path / "intervals.csv")
    assert sum(video.label for video in dataset.videos) == 3


def test_by_default_what_was_marked_by_hand_counts(recordings, tmp_path):
    by_hand = {"data": {"type": "api", "score": 0}}
    events = [EARLIER, event("a", 1, 2, "person"), event("b", 11, 12, "vandal", **by_hand)]
    _, labels, _, _ = labelled(recordings, tmp_path, events)
    assert [row for row in labels if row[1] == "abnormal"] == [("2026-01-15/09/gate/00.10.mp4", "abnormal", "vandal")]


def test_what_wsvad_itself_reported_is_no_label(recordings, tmp_path, capsys):
    own = {"sub_label": "wsvad 4f0c2a9d6f7e4c5b", "data": {"type": "api"}}
    events = [EARLIER, event("a", 1, 2, **own), event("b", 11, 12, **own), event("c", 11, 13, sub_label=["theft", 0.9])]
    status, labels, _, _ = labelled(recordings, tmp_path, events, "--abnormal", "theft")
    assert status == 3
    assert [row[:2] for row in labels] == [
        ("2026-01-15/09/gate/00.10.mp4", "abnormal"),
        ("2026-01-15/09/yard/00.10.mp4", "normal"),
        ("2026-01-15/09/gate/00.20.mp4", "normal"),
    ]
    assert labels[0][2] == "theft"
    assert "00.00.mp4: shows what wsvad itself has reported, which is no label" in capsys.readouterr().err


def test_that_a_recording_is_normal_is_not_believed_of_a_time_that_may_be_forgotten(recordings, tmp_path, capsys):
    events = [event("a", 11, 12), event("kept", -5 * 86_400, -4 * 86_400, retain_indefinitely=True)]
    status, labels, _, _ = labelled(recordings, tmp_path, events, "--abnormal", "fight")
    assert status == 3
    assert [row[:2] for row in labels] == [
        ("2026-01-15/09/gate/00.10.mp4", "abnormal"), ("2026-01-15/09/gate/00.20.mp4", "normal"),
    ]  # fmt: skip
    told = capsys.readouterr().err
    assert "gate/00.00.mp4: older than the oldest event" in told and "yard/00.10.mp4: older than" in told


def test_an_event_that_lasts_and_one_that_was_none(recordings, tmp_path):
    events = [EARLIER, event("a", 15, None), event("b", 1, 2, false_positive=True)]
    _, labels, intervals, _ = labelled(recordings, tmp_path, events, "--abnormal", "fight")
    assert [row[1] for row in labels] == ["normal", "abnormal", "normal", "abnormal"]
    assert [row[2:] for row in intervals] == [("50", "100"), ("0", "100")]


def test_all_pages_are_read_also_where_many_events_begin_at_once(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(frigate_events, "PAGE", 3)
    events = [event(f"e{n}", 20 + 0.5 * (n // 4), 20.1 + 0.5 * (n // 4), "person") for n in range(8)]
    events += [EARLIER, event("a", 1, 2)]
    _, labels, _, fake = labelled(recordings, tmp_path, events, "--abnormal", "fight")
    assert labels[0] == ("2026-01-15/09/gate/00.00.mp4", "abnormal", "fight")
    assert 3 < len(fake.asked) < 12


def test_overlapping_events_of_a_kind_are_one_interval(recordings, tmp_path):
    events = [EARLIER, event("a", 1, 4), event("b", 3, 3.5), event("c", 3.9, 6), event("d", 2, 3, "fall")]
    _, labels, intervals, _ = labelled(recordings, tmp_path, events, "--abnormal", "fight,fall")
    assert [row[1:] for row in intervals] == [("fight", "10", "60"), ("fall", "20", "30")]
    assert labels[0][2] == "fight;fall"


def test_a_recording_is_not_decoded_where_nothing_happens(tmp_path):
    folder = tmp_path / "r"
    record(folder, "2026-01-15/09/gate/00.00")
    for second in (10, 20):
        (folder / f"2026-01-15/09/gate/00.{second}.mp4").write_bytes(b"no video")
    events = [EARLIER, event("a", 1, 2)]
    status, labels, _, _ = labelled(folder, tmp_path, events, "--abnormal", "fight")
    assert status == 0 and [row[1] for row in labels] == ["abnormal", "normal", "normal"]
    (tmp_path / "l.csv").unlink()
    (tmp_path / "intervals.csv").unlink()
    status, labels, _, _ = labelled(folder, tmp_path, [*events, event("b", 11, 12)], "--abnormal", "fight")
    assert status == 3 and [row[1] for row in labels] == ["abnormal", "normal"]


def test_names_of_another_recorder(tmp_path):
    record(tmp_path / "r", "gate_20260115_100000")
    record(tmp_path / "r", "gate_20260115_110000")
    words = ["--abnormal", "fight", "--name-pattern", "{camera}_{date}_{time}", "--time-zone", "Europe/Berlin"]
    _, labels, _, _ = labelled(tmp_path / "r", tmp_path, [EARLIER, event("a", 1, 2)], *words)
    assert [row[1] for row in labels] == ["abnormal", "normal"]


PERSON = event("a", 1, 2, "person")


@pytest.mark.parametrize(
    ("events", "words", "camera", "said"),
    [
        ([EARLIER, PERSON], [], "gate", "no event that was marked by hand is in these"),
        ([EARLIER, PERSON], ["--abnormal", "fght"], "gate", "of that time: person (1); name"),
        ([], ["--abnormal", "fight"], "Gate", "no camera 'gate' as the recordings are of; its cameras are 'Gate'"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys, events, words, camera, said):
    record(tmp_path / "r", "2026-01-15/09/gate/00.00")
    status, labels, intervals, _ = labelled(tmp_path / "r", tmp_path, events, *words, cameras=(camera,))
    told = capsys.readouterr().err.strip()
    assert (status, labels, intervals) == (1, None, None)
    assert said in told and "\n" not in told


@pytest.mark.parametrize("answer", [[PERSON | {"start_time": "noon"}], {"events": []}, [1], "<html>", None])
def test_another_server(tmp_path, capsys, answer):
    record(tmp_path / "r", "2026-01-15/09/gate/00.00")

    def answers(method, path, *_):
        return 200, {}, json.dumps(answer if "events" in path else {"cameras": {"gate": {}}}).encode()

    with server(answers) as received:
        assert main(["labels", str(tmp_path / "r"), "--frigate", received.url, "--out", str(tmp_path / "l.csv")]) == 1
    told = capsys.readouterr().err.strip()
    assert "answers, but not as Frigate does" in told and "\n" not in told
    with server(lambda *_: (200, {}, b"<html>a router</html>")) as received:
        assert main(["labels", str(tmp_path / "r"), "--frigate", received.url, "--out", str(tmp_path / "l.csv")]) == 1


def test_names_that_say_nothing_and_what_would_be_overwritten(tmp_path, capsys):
    record(tmp_path / "r", "holiday")
    assert labelled(tmp_path / "r", tmp_path, [])[0] == 1
    assert "no video here has a name that says when it was recorded" in capsys.readouterr().err
    (tmp_path / "intervals.csv").write_text("mine")
    assert labelled(tmp_path / "r", tmp_path, [])[0] == 2
    assert "exists already" in capsys.readouterr().err
    words = ["labels", str(tmp_path / "r"), "--frigate", "http://h", "--out", str(tmp_path / "new" / "intervals.csv")]
    assert main(words) == 2
    assert "the intervals are written under this name" in capsys.readouterr().err
