"""A site is watched over real RTSP: alerts with pictures and clips, faults, kills and restarts."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
import rtsp
import torch
import yaml
from alerts import wait_for
from clips import write_clip
from live_run import WINDOW, tiny_run
from packets import pictures

from wsvad import Detector
from wsvad.cli.main import main
from wsvad.detection.event_store import EventStore
from wsvad.device import library_threads
from wsvad.encoders.motion import Motion
from wsvad.extraction.workers import processors
from wsvad.video.clock import SNIPPET
from wsvad.video.connection import Patience
from wsvad.watch import camera, capacity
from wsvad.watch.health import HealthServer
from wsvad.watch.settings import read_site
from wsvad.watch.site import Watch
from wsvad.watch.status import status_of

SOON = Patience(open=20, read=30, margin=0.5, grace=10, longest=0.2, login=0.2)
PASSWORD = "s3cret-w0rd"
real_server = pytest.mark.skipif(bool(rtsp.missing()), reason=rtsp.missing())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("watch"))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Nothing moves for four seconds, then something does for two."""
    folder = tmp_path_factory.mktemp("film")
    moving = pictures(50, (160, 120))
    return write_clip(folder / "film.mp4", [moving[0]] * 100 + moving, rate=25, g="25", tune="zerolatency")


@pytest.fixture(scope="module")
def server() -> Iterator[rtsp.RtspServer]:
    with rtsp.RtspServer() as server:
        yield server


def write_site(folder: Path, run: Path, source: str, **camera: Any) -> Path:
    path = folder / "cameras.yaml"
    site = {
        "model": str(run), "cameras": {"gate": {"source": source, "threshold": 0.5, **camera}},
        "sinks": {"log": {"type": "jsonl", "path": str(folder / "alerts.jsonl")}},
        "clips": {"before": 1, "after": 1}, "health": {"port": 0},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(site))
    return path


def alerts_in(folder: Path) -> list[dict[str, Any]]:
    path = folder / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Watching:
    """A watch that runs in a thread of this process."""

    def __init__(self, site: Path, folder: Path):
        self.stopped = threading.Event()
        self.watch = Watch(read_site(site), folder, patience=SOON)
        self._thread = threading.Thread(target=self.watch.run, args=(self.stopped, 0.05))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self.watch

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._thread.join()
        self.watch.stop()


@real_server
def test_from_a_camera_to_alert_picture_clip_and_status(server, run, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GATE_PASSWORD", PASSWORD)
    server.camera("/gate", file=str(film), rate=25)
    server.password(PASSWORD)
    site = write_site(tmp_path, run, server.address("/gate", "gate:${GATE_PASSWORD}@"))
    folder = tmp_path / "watch"
    try:
        with Watching(site, folder) as watched, HealthServer(watched):
            wait_for(lambda: [one for one in alerts_in(tmp_path) if one["state"] == "end"])
            wait_for(lambda: watched.as_dict()["clips"]["written"])
            found = status_of(folder)
            assert found.runs and found.cameras["gate"]["codec"] == "h264" and found.cameras["gate"]["events"] >= 1
            assert watched.states()[0].counters.unsettled == WINDOW - 1
    finally:
        server.password(None)
    start, end = [one for one in alerts_in(tmp_path) if one["kind"] == "anomaly"][:2]
    assert (start["state"], end["state"], start["id"]) == ("start", "end", end["id"])
    assert start["camera"] == "gate" and start["threshold"] == 0.5 and 0.5 <= start["score"] <= end["score"] <= 1
    store = EventStore(folder / "events.db")
    (event,) = [one for one in store.events() if one.alert.id == start["id"]]
    still = store.still(start["id"])
    with av.open(io.BytesIO(still)) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (160, 120)
    with av.open(event.clip) as clip:
        count = sum(1 for _ in clip.decode(video=0))
    seconds = (event.alert.end - event.alert.start).total_seconds()
    assert 25 * (seconds + 1) <= count <= 25 * (seconds + 1 + 1 + 1.2), "before, event and after, from a key frame"
    features = list(store.features(start["id"]))
    assert {one.stream for one in features} == {"rgb"} and sum(len(one.rows) for one in features) >= 2
    store.close()
    assert main(["status", str(folder)]) == 1
    said = capsys.readouterr()
    assert "it was ended" in said.err and "160x120" in said.out
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in kept and PASSWORD not in json.dumps(alerts_in(tmp_path)) + said.out + said.err


def test_a_process_computes_with_the_threads_it_had_before_it_watched(run, film, tmp_path):
    site = write_site(tmp_path, run, str(film), pace="fast")
    with library_threads(5):
        with Watching(site, tmp_path / "watch") as watched:
            wait_for(lambda: all(one.done for one in watched.states()))
            assert torch.get_num_threads() == cv2.getNumThreads() == processors()
        assert torch.get_num_threads() == cv2.getNumThreads() == 5


@real_server
def test_a_camera_that_is_gone_is_an_event_and_its_own_event_ends(server, run, film, tmp_path, monkeypatch):
    monkeypatch.setattr(camera, "OFFLINE", 0.5)
    moving = write_clip(tmp_path / "moving.mp4", pictures(50, (160, 120)), rate=25, g="25", tune="zerolatency")
    address = server.camera("/lost", file=str(moving), rate=25)
    with Watching(write_site(tmp_path, run, address), tmp_path / "watch"):
        wait_for(lambda: ("anomaly", "start") in kinds(tmp_path))
        server.stop()
        wait_for(lambda: {("anomaly", "end"), ("offline", "start")} <= kinds(tmp_path))
        server.start()
        wait_for(lambda: ("offline", "end") in kinds(tmp_path))


def kinds(folder: Path) -> set[tuple[str, str]]:
    return {(one["kind"], one["state"]) for one in alerts_in(folder)}


@real_server
def test_a_kill_loses_no_event_and_sigterm_ends_in_order(server, run, tmp_path):
    """What moves never stops: an event is open when the process is killed."""
    moving = write_clip(tmp_path / "moving.mp4", pictures(50, (160, 120)), rate=25, g="25", tune="zerolatency")
    site = write_site(tmp_path, run, server.camera("/kill", file=str(moving), rate=25))
    command = [sys.executable, "-m", "wsvad", "watch", str(site), "--out", str(tmp_path / "watch")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        wait_for(lambda: events_in(tmp_path))
        process.send_signal(signal.SIGKILL)
    assert "was killed" in status_of(tmp_path / "watch").sentence or "never" in status_of(tmp_path / "watch").sentence
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        wait_for(lambda: len(events_in(tmp_path)) == 2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "was open when this was last ended" in err, err
    found = events_in(tmp_path)
    assert list(found.values()) == [["start", "end"], ["start", "end"]]
    assert [line for line in out.splitlines() if "offline" not in line][-1].startswith(
        "gate: something abnormal is over"
    )
    store = EventStore(tmp_path / "watch" / "events.db")
    assert {one.alert.id for one in store.events() if one.alert.kind == "anomaly"} == set(found)
    assert all(one.alert.state == "end" for one in store.events()) and store.database.damage() == ""
    store.close()
    assert status_of(tmp_path / "watch").ended
    assert not list((tmp_path / "watch").rglob(".*")), "no half of a clip"


def events_in(folder: Path) -> dict[str, list[str]]:
    """Of each event that is no fault the states that were sent; a repetition, which a kill may cause, has its key."""
    found: dict[str, list[str]] = {}
    for one in {one["key"]: one for one in alerts_in(folder)}.values():
        if one["kind"] == "anomaly":
            found.setdefault(one["id"], []).append(one["state"])
    return found


def test_a_file_gives_the_events_of_its_replay_once_the_window_is_full(run, film, tmp_path, capsys):
    site = write_site(tmp_path, run, str(film), pace="fast")
    assert main(["watch", str(site), "--out", str(tmp_path / "watch"), "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["state"] for one in said] == ["start", "end"] and [one["key"] for one in alerts_in(tmp_path)] == [
        one["key"] for one in said
    ]
    (event,) = Detector.load(run, threshold=0.5).score(film, mode="online").events
    assert said[1]["score"] == pytest.approx(event.peak, abs=1e-5)
    start, end = (datetime.fromisoformat(said[1][key]) for key in ("start", "end"))
    assert (end - start).total_seconds() == pytest.approx(event.end - event.start, abs=2e-3)


def test_outside_of_its_hours_an_event_is_kept_and_sent_to_nobody(run, film, tmp_path, capsys):
    day = (datetime.now() + timedelta(days=2)).strftime("%a").lower()
    site = write_site(tmp_path, run, str(film), pace="fast", alert={"days": day})
    assert main(["watch", str(site), "--out", str(tmp_path / "watch")]) == 0
    assert capsys.readouterr().out == "" and alerts_in(tmp_path) == []
    store = EventStore(tmp_path / "watch" / "events.db")
    (event,) = store.events()
    assert event.alert.state == "end" and event.still
    store.close()


@real_server
def test_check_says_what_cameras_send_and_what_is_wrong(server, run, film, tmp_path, capsys):
    address = server.camera("/check", file=str(film), rate=25)
    site = yaml.safe_load(write_site(tmp_path, run, address).read_text())
    site["cameras"]["lost"] = {"source": server.address("/nothing"), "ignore": [[[0, 0], [1, 0], [1, 0.1]]]}
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump(site))
    assert main(["watch", str(tmp_path / "cameras.yaml"), "--check", "--seconds", "2", "--json"]) == 1
    gate, lost = json.loads(capsys.readouterr().out)
    assert gate["works"] and gate["pictures"] == "h264 160x120, 25/s" and "mil, motion" in gate["runs"]
    assert not lost["works"] and "no such stream (404)" in lost["notes"][0] and "1 ignored zone" in lost["runs"]
    assert not (tmp_path / "watch").exists()


def soon(monkeypatch, **more: float) -> None:
    """Have capacity watch for shorter than it does."""
    for name, value in ({"SETTLE": 0.2, "SECONDS": 3.0} | more).items():
        monkeypatch.setattr(capacity, name, value)


def test_capacity_of_a_camera_that_has_made_a_video(run, tmp_path, capsys, monkeypatch):
    soon(monkeypatch, FRAMES=4 * SNIPPET, LASTS=20, MOST=3)
    path = write_clip(tmp_path / "gate[red].mp4", 19 * SNIPPET, size=(64, 48), rate=15)
    read: list[Path] = []
    really = capacity.VideoReader
    monkeypatch.setattr(capacity, "VideoReader", lambda path, **more: read.append(path) or really(path, **more))
    sites: list[tuple[Path, int]] = []
    site = capacity._site
    monkeypatch.setattr(capacity, "_site", lambda run, *of: sites.append(of) or site(run, *of))
    assert main(["capacity", str(run), str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["camera"] == "gate[red].mp4: 64x48@15 h264" and found["rate"] == 15 and set(read) == {path}
    assert {of for of, _ in sites} == {path} and 1 <= found["watched"] == sites[-1][1] <= 3
    assert found["cameras"] == int(0.8 * found["processors"] / (found["whole"] * 15 / 1000))


@pytest.mark.parametrize(
    ("pictures", "said"),
    [(3 * SNIPPET, "has 48 pictures; give a video of 64 or more (3 s)"), (0, "not a video that can be read")],
)
def test_capacity_of_what_is_no_such_video(run, tmp_path, capsys, monkeypatch, pictures: int, said: str):
    soon(monkeypatch, FRAMES=4 * SNIPPET, LASTS=2)
    path = tmp_path / "gate.mp4"
    write_clip(path, pictures) if pictures else path.write_bytes(b"no video" * 100)
    assert main(["capacity", str(run), str(path)]) != 0
    assert said in capsys.readouterr().err


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="threads of one processor do not wait for each other")
def test_capacity_counts_what_threads_wait_for_each_other(run, monkeypatch):
    """Each snippet of this encoder keeps the interpreter to itself for 200 ms, so that two threads do no more than one:
    a number of one thread, times the processors, would be of twice the cameras that are carried."""
    really = Motion.encode

    def encode(self, snippets):
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            pass
        return really(self, snippets)

    monkeypatch.setattr(Motion, "encode", encode)
    monkeypatch.setattr("wsvad.watch.site.EACH", 100)  # in one process
    soon(monkeypatch, FRAMES=4 * SNIPPET, SETTLE=2)
    monkeypatch.setattr(capacity, "_taken", lambda *_: 0)  # what other programs take is not known everywhere
    found = capacity.measure(run, "64x48@25")
    assert found.whole > 0.9 * found.processors * 200 / SNIPPET and found.encode >= 200 / SNIPPET
    assert found.cameras == int(0.8 * found.processors / (found.whole * 25 / 1000))
