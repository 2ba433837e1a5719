"""Retention, the pages for supervisors, a threshold from normal footage, and how many cameras a machine carries."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from alerts import alert
from prometheus_client.parser import text_string_to_metric_families

from wsvad.cli.main import main
from wsvad.detection.event_store import EventStore, Review
from wsvad.detection.live import LiveScore
from wsvad.detection.threshold import calibrate, hours_needed
from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules
from wsvad.watch import calibrate as on_site
from wsvad.watch import clips as clips_module
from wsvad.watch.capacity import Capacity
from wsvad.watch.clips import Clips, Retention
from wsvad.watch.health import COUNTED, GAUGES, metrics, unwell
from wsvad.watch.settings import ClipSettings
from wsvad.watch.status import status_of

NOW = datetime.now(UTC)


def kept(folder, days):
    """A store with an event and a clip of 1 MB for each age in days, and the clips' paths."""
    store = EventStore(folder / "events.db")
    store.camera("gate", run="gate-run")
    paths = []
    for number, age in enumerate(days):
        start, end = NOW - timedelta(days=age), NOW - timedelta(days=age) + timedelta(seconds=9)
        for state in ("start", "end"):
            (store.start if state == "start" else store.finish)(
                alert(f"e{number}", state, start=start, evidence=start, due=start, raised=start, end=end, still=None)
            )
        path = folder / "clips" / "gate" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10**6))
        store.clip(f"e{number}", path, start=start, end=end)
        paths.append(path)
    return store, paths


def test_what_is_too_old_or_too_much_goes_reviewed_events_first(tmp_path):
    store, paths = kept(tmp_path, [40, 5, 4, 3])
    stray = paths[0].with_name("stray.mp4")
    stray.touch()
    os.utime(stray, (0, 0))
    Retention(store, tmp_path / "clips", ClipSettings(days=30)).tidy()
    assert [path.exists() for path in paths] == [False, True, True, True] and not stray.exists()
    store.review(["e3"], Review(verdict="confirmed"))
    Retention(store, tmp_path / "clips", ClipSettings(gigabytes=0.0021)).tidy()
    assert [path.exists() for path in paths] == [False, True, True, False]
    assert len(store.events()) == 3, "what people said stays"


def test_what_a_kill_left_half_written_is_gone_at_the_next_start(tmp_path):
    store, paths = kept(tmp_path, [3])
    half = paths[0].with_name(".0123abcd.1.mp4")
    half.write_bytes(b"half")
    Retention(store, tmp_path / "clips", ClipSettings()).clear()
    assert not half.exists() and paths[0].exists()


def test_a_disk_that_fills_is_never_filled(tmp_path, monkeypatch):
    """What is missing to the reserve goes, and no clip is begun."""
    store, paths = kept(tmp_path, [3, 2, 1])
    usage = SimpleNamespace(total=100 * 2**30, free=2**30 - 1_500_000)
    monkeypatch.setattr(clips_module.shutil, "disk_usage", lambda _: usage)
    clips = Clips(store, tmp_path / "clips", ClipSettings())
    clips.begin(alert("e2"), SimpleNamespace(), 0.0, lambda: 1.0)
    clips.wait(10)
    assert (clips.written, clips.failed) == (0, 1)
    Retention(store, tmp_path / "clips", ClipSettings()).tidy()
    assert [path.exists() for path in paths] == [False, False, True]


def camera_state(**changes):
    return {
        **dict.fromkeys(COUNTED, 3), **dict.fromkeys(GAUGES, 0.5), "drift": None, "state": "live", "said": "",
        "error": "", "breaks": {"dropped": 2}, "stages": {"decode": 1.5, "head": 0.25},
    } | changes  # fmt: skip


def test_metrics_are_what_prometheus_reads():
    sink = {"waiting": 4, "failures": 0, "delivered": 9, "dropped": 0, "error": ""}
    now = {
        "cameras": {'a "gate"\n': camera_state(), "yard": camera_state(state="black")}, "sinks": {"phone": sink},
        "clips": {"bytes": 7, "failed": 1},
    }  # fmt: skip
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics(now).decode())
        for sample in family.samples
    }
    assert samples["wsvad_frames_total", "yard"] == 3 and samples["wsvad_live", 'a "gate"\n'] == 1
    assert samples["wsvad_live", "yard"] == 0 and samples["wsvad_breaks_total", "yard", "dropped"] == 2
    assert samples["wsvad_stage_seconds_total", "yard", "decode"] == 1.5
    assert samples["wsvad_sink_waiting", "phone"] == 4 and ("wsvad_drift", "yard") not in samples
    assert unwell(now) == ["camera 'yard': black"]
    now["sinks"]["phone"]["error"] = "refuses"
    assert unwell(now)[1:] == ["sink 'phone': refuses"]


def test_status_of_what_is_gone(tmp_path):
    with pytest.raises(WsvadError, match="no watch has written here"):
        status_of(tmp_path)
    store, _ = kept(tmp_path, [1])
    assert status_of(tmp_path).sentence == "not running, never noted"
    store.health("gate", camera_state(connections=4, events=2, codec="h264", width=64, height=48, rate=25.0), NOW)
    found = status_of(tmp_path)
    assert not found.well and f"not running since {NOW.astimezone():%Y-%m-%d %H:%M:%S}: it was killed" in found.sentence
    assert found.rows == [["gate", "live", "h264 64x48 25/s", "0.500", "3", "3", "3", "0 s ago", "2"]]
    store.health("gate", camera_state(ended=True), NOW + timedelta(seconds=1))
    assert "it was ended" in status_of(tmp_path).sentence


class Model:
    """As much of a model as calibration asks for."""

    def __init__(self, run):
        self.rules = EventRules()
        self.detector = SimpleNamespace(run=run, scorer=SimpleNamespace(window=4))


def footage(hours, rng):
    found = on_site.NormalFootage()
    count = round(hours * 3600 / 0.64)
    for number, score in enumerate(rng.beta(2, 8, count)):
        settled = number % 5000 >= 4
        if not number % 5000:
            found.cut()
        found.add(LiveScore(score=score, alarm=False, start=0.64 * number, end=0.64 * (number + 1), settled=settled))
    return found


def test_a_threshold_from_normal_footage_is_that_of_its_parts(tmp_path, monkeypatch):
    """Unsettled snippets count for nothing, parts are kept apart, and a tighter promise says what it needs."""
    monkeypatch.setattr(on_site, "RunFolder", lambda _: SimpleNamespace(scoring_hash=lambda: "hash"))
    normal = footage(4.0, np.random.default_rng(1))
    assert normal.hours == pytest.approx(4.0 - 4 * 5 * 0.64 / 3600)
    found = on_site.calibrate_camera(Model(tmp_path), "Front gate", normal, 1.0)
    parts = normal.normal()
    assert len(parts) == 5
    assert found.calibration == calibrate(parts, EventRules(), 1.0, mode="online", fits=0)
    assert found.calibration.promised and found.path == tmp_path / "cameras" / "front-gate.json"
    more = hours_needed(1 / 24) - normal.hours
    assert f"To promise 1 false alarm a day, {more:.0f} h more" in found.sentences[1]
    with pytest.raises(WsvadError, match="full window of 4"):
        on_site.calibrate_camera(Model(tmp_path), "gate", on_site.NormalFootage(), 1.0)


@pytest.mark.parametrize(
    ("whole", "rate", "cameras"), [(1.0, 25.0, 64), (40.0, 25.0, 1), (41.0, 25.0, 1), (80.1, 25.0, 0)]
)
def test_cameras_that_leave_a_fifth_free(whole, rate, cameras):
    parts = {"read": 0.05, "decode": 0.1, "convert": 0.2, "encode": 0.4, "head": 0.1, "memory": 1.0}
    found = Capacity(camera="x", by="cpu", whole=whole, rate=rate, processors=2, watched=64, **parts)
    assert found.cameras == cameras and found.rest == pytest.approx(whole - 0.85)
    assert ("not one camera" in found.sentence) == (cameras == 0) and found.slowest in ("encode", "rest")


def test_a_name_that_no_file_can_have(tmp_path, capsys):
    (tmp_path / "quiet.mp4").touch()
    assert main(["calibrate", str(tmp_path / "run"), str(tmp_path / "quiet.mp4"), "--camera", "/.."]) == 2
    assert "--camera '/..': a camera needs a name" in capsys.readouterr().err
