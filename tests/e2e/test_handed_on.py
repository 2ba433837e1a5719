"""Events to hand on: what `wsvad score` writes for other programs and people, with the time on the wall clock."""

import csv
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import cv2
import icalendar
import jsonschema
import numpy as np
import opentimelineio
import pytest
import srt
import webvtt
from clips import scene, write_clip

import wsvad
from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.video.reader import VideoReader
from wsvad.video.results import COMMENT, is_result
from wsvad.video.wall_clock import parse_zone

SCHEMA = Path(wsvad.__file__).parent / "detection" / "scores.schema.json"
RATE = 25
EVENTS = {"gate_20241027_025950": [(100, 150), (300, 350)], "yard_20240115_093000": [(100, 150)]}
"""Name → frames in which something bright crosses the picture. At the gate the clocks are set back in between."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("handed") / "videos"
    for number in range(8):
        rng, kind = np.random.default_rng(number), ("normal", "fight")[number % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_clip(folder / kind / f"{number}.mp4", [scene(i, number % 2 > 0 and 32 <= i < 64, rng) for i in range(96)])
    small = ["--seeds", "1", "--workers", "0", "--hold-out", "0", "--config.hidden", "64", "--config.lr", "0.0003"]
    assert main(["train", str(folder), "--rgb", "motion", "--out", str(folder.parent / "run"), *small]) == 0
    return folder.parent / "run"


@pytest.fixture(scope="module")
def footage(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    for (name, events), ending in zip(EVENTS.items(), ("mp4", "avi"), strict=True):
        rng = np.random.default_rng(len(name))
        frames = [scene(i, any(a <= i < b for a, b in events), rng) for i in range(events[-1][1] + 40)]
        write_clip(folder / f"{name}.{ending}", frames, rate=RATE, g="25")
    return folder


@pytest.fixture(scope="module")
def known(run, footage, tmp_path_factory) -> Path:
    """What was found in the footage, for tests that need not find it again."""
    out = tmp_path_factory.mktemp("known")
    assert main(["score", str(footage), "--model", str(run), "--out", str(out), "--format", "json"]) == 0
    return out / "scored"


def score(capsys, what: Path, run: Path, out: Path, *options: str, status: int = 0) -> str:
    capsys.readouterr()
    found = main(["score", str(what), "--model", str(run), "--out", str(out), "--time-zone", "Europe/Berlin", *options])
    said = capsys.readouterr().err
    assert found == status, said
    return said


def bright(frame: np.ndarray) -> bool:
    return bool((frame > 180).mean() > 0.01)


def results(out: Path) -> list[dict]:
    return json.loads((out / "scores.json").read_text())["videos"]


def test_every_event_is_in_every_format_at_its_time(run, footage, known, tmp_path, capsys):
    shutil.copytree(known, tmp_path / "scored")
    said = score(capsys, footage, run, tmp_path, "--format", "csv,json,srt,vtt,edl,ics", "--clips")
    assert "Starts of recordings: 2 from names." in said
    gate, yard = results(tmp_path)
    jsonschema.validate(json.loads((tmp_path / "scores.json").read_text()), json.loads(SCHEMA.read_text()))
    assert [len(video["events"]) for video in (gate, yard)] == [2, 1]
    for video in (gate, yard):
        stem = Path(video["video"]).stem
        spans = [(event["start_frame"], event["end_frame"]) for event in video["events"]]
        for (first, end), (a, b) in zip(spans, EVENTS[stem], strict=True):
            assert first < b and end > a and end - first < 100
        seconds = [(event["start"], event["end"]) for event in video["events"]]
        subtitles = list(srt.parse((tmp_path / f"{stem}.events.srt").read_text()))
        assert [(one.start.total_seconds(), one.end.total_seconds()) for one in subtitles] == seconds
        captions = webvtt.read(tmp_path / f"{stem}.events.vtt").captions
        assert [one.start_in_seconds for one in captions] == [int(start) for start, _ in seconds]
        edl = opentimelineio.adapters.read_from_string(
            (tmp_path / f"{stem}.events.edl").read_text(), "cmx_3600", rate=RATE
        )
        ranges = [clip.source_range for clip in edl.find_clips()]
        assert [(one.start_time.value, one.end_time_exclusive().value) for one in ranges] == spans
    # Ten seconds after the start it is three o'clock, and two o'clock again.
    starts = [datetime.fromisoformat(event["wall_start"]) for video in (gate, yard) for event in video["events"]]
    zone = parse_zone("Europe/Berlin")
    begun = [datetime(2024, 10, 27, 2, 59, 50, tzinfo=zone)] * 2 + [datetime(2024, 1, 15, 9, 30, tzinfo=zone)]
    offsets = [event["start"] for video in (gate, yard) for event in video["events"]]
    for start, begin, offset in zip(starts, begun, offsets, strict=True):
        assert (start - begin.astimezone(UTC)) / timedelta(seconds=1) == pytest.approx(offset, abs=0.001)
    assert [start.isoformat()[11:13] + start.isoformat()[-6:] for start in starts] == [
        "02+02:00", "02+01:00", "09+01:00",
    ]  # fmt: skip
    entries = icalendar.Calendar.from_ical((tmp_path / "events.ics").read_text()).walk("VEVENT")
    assert [entry["DTSTART"].dt for entry in entries] == [
        start.astimezone(UTC).replace(microsecond=0) for start in starts
    ]
    with (tmp_path / "events.csv").open(newline="") as file:
        assert [row["wall_start"] for row in csv.DictReader(file)] == [
            event["wall_start"] for video in (gate, yard) for event in video["events"]
        ]
    page = (tmp_path / "report.html").read_text()
    for start in starts:
        assert f"{start:%a %Y-%m-%d %H:%M:%S} CE" in page
    assert page.count("Sun 2024-10-27 02:59:50 CEST, from its name") == 1
    sheet = cv2.imread(str(tmp_path / "contact-sheet.jpg"))
    assert sheet is not None and sheet.shape[1] > 3 * 240
    holds_the_events(tmp_path, gate, yard)


def holds_the_events(out: Path, gate: dict, yard: dict) -> None:
    """Each clip shows its event, from some seconds before to some seconds after it."""
    clips = sorted(path.relative_to(out / "clips").as_posix() for path in (out / "clips").rglob("*.mp4"))
    times = [event["wall_start"][:19].replace("T", "_").replace(":", "-") for event in gate["events"] + yard["events"]]
    assert clips == [
        f"gate_20241027_025950.001.{times[0]}.mp4",
        f"gate_20241027_025950.002.{times[1]}.mp4",
        f"yard_20240115_093000.001.{times[2]}.mp4",
    ]
    lengths = [video["frames"] / RATE for video in (gate, gate, yard)]
    for name, event, length in zip(clips, gate["events"] + yard["events"], lengths, strict=True):
        with VideoReader(out / "clips" / name) as video:
            shown = [bright(frame.array()) for frame in video]
        wanted = min(event["end"] + 5, length) - max(event["start"] - 5, 0)
        assert wanted * RATE - 1 <= len(shown) <= (wanted + 1) * RATE + 1  # from the key frame before
        assert sum(shown) >= 50


def test_clips_are_kept_where_nothing_changed_and_are_never_scored(run, footage, known, tmp_path, capsys):
    """They lie below the folder that is scored."""
    place = tmp_path / "recorder"
    shutil.copytree(footage, place)
    out = place / "scores"
    shutil.copytree(known, out / "scored")

    def stamps() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in out.glob("clips/*")}

    score(capsys, place, run, out, "--clips", "--overlay")
    first = stamps()
    assert len(first) == 3 and all(is_result(path) for path in out.rglob("*.mp4"))
    assert "2 of 2 videos were scored before" in score(capsys, place, run, out, "--clips", "--overlay")
    assert stamps() == first
    # One that was deleted is made again, and it alone; those of another margin and of fewer events take their place.
    lost = next(name for name in first if name.startswith("yard"))
    (out / "clips" / lost).unlink()
    score(capsys, place, run, out, "--clips")
    again = stamps()
    assert {name for name in again if again[name] != first[name]} == {lost}
    score(capsys, place, run, out, "--clips", "--clip-margin", "0.5")
    assert stamps().keys() == first.keys() and not set(stamps().values()) & set(again.values())
    score(capsys, place, run, out, "--clips", "--days", "mon-fri")
    assert list(stamps()) == [lost]
    moved = tmp_path / lost
    shutil.copy(out / "clips" / lost, moved)
    assert "that 'wsvad score' wrote" in score(capsys, moved, run, tmp_path / "other", status=1)
    # What is no clip of ours is left as it is, and only its video is left out.
    (out / "clips" / lost).write_bytes(b"mine")
    said = score(capsys, place, run, out, "--clips", "--clip-margin", "1", status=3)
    assert "is no clip that wsvad wrote" in said and (out / "clips" / lost).read_bytes() == b"mine"


def test_alerts_of_some_hours_and_days(run, footage, known, tmp_path, capsys):
    whole = known.parent
    for out in ("a", "b"):
        shutil.copytree(known, tmp_path / out / "scored")
    said = score(capsys, footage, run, tmp_path / "a", "--between", "22:00-06:00")
    assert "Alerts are limited to 22:00–06:00: 1 event is left out." in said
    assert [len(video["events"]) for video in results(tmp_path / "a")] == [2, 0]
    assert [v["snippets"] for v in results(tmp_path / "a")] == [v["snippets"] for v in results(whole)]
    assert "Alerts are limited to 22:00–06:00: 1 event is left out." in (tmp_path / "a" / "report.html").read_text()
    said = score(capsys, footage, run, tmp_path / "b", "--days", "mon-sat", "--between", "03:00-10:00")
    assert "2 events are left out" in said
    # Where the start is unknown, nothing is left out.
    shutil.copy(footage / "gate_20241027_025950.mp4", tmp_path / "gate.mp4")
    (tmp_path / "c" / "scored").mkdir(parents=True)
    shutil.copy(known / "gate_20241027_025950.mp4.safetensors", tmp_path / "c" / "scored" / "gate.mp4.safetensors")
    said = score(capsys, tmp_path / "gate.mp4", run, tmp_path / "c", "--between", "12:00-13:00")
    assert "0 events are left out. Where the start is unknown, all events are reported (1 video)." in said
    assert len(results(tmp_path / "c")[0]["events"]) == 2
    said = score(
        capsys, tmp_path / "gate.mp4", run, tmp_path / "c", "--start", "2024-01-15 11:59:50", "--between", "12:00-13:00"
    )
    assert "1 event is left out" in said and results(tmp_path / "c")[0]["recorded_origin"] == "given"


def test_patterns_of_names_say_camera_and_time(run, footage, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("gate 15.1.2024 9h30.mp4", "other.mp4"):
        shutil.copy(footage / "gate_20241027_025950.mp4", tmp_path / "in" / name)
    pattern = "{camera} {day}.{month}.{year} {hour}h{minute}"
    said = score(capsys, tmp_path / "in", run, tmp_path / "out", "--name-pattern", pattern)
    assert f"--name-pattern {pattern}: fits 1 of 2 names, not other.mp4" in said
    assert "Starts of recordings: 1 from names, 1 unknown." in said
    gate, other = results(tmp_path / "out")
    assert (gate["camera"], gate["recorded"]) == ("gate", "2024-01-15T09:30:00.000+01:00") and "recorded" not in other
    jsonschema.validate({"videos": [gate, other], "left_out": []}, json.loads(SCHEMA.read_text()))
    said = score(capsys, tmp_path / "in", run, tmp_path / "new", "--name-pattern", "{epoch}", status=2)
    assert "fits none of 2 names, such as 'gate 15.1.2024 9h30.mp4'" in said and not (tmp_path / "new").exists()
    said = score(capsys, tmp_path / "in", run, tmp_path / "new", "--start", "2024-01-15 09:30", status=2)
    assert "--start: is for one video, not for 2" in said


def test_what_could_not_be_read_stands_in_all_results_and_is_said_once(run, footage, known, tmp_path, capsys):
    folder = tmp_path / "rec"
    shutil.copytree(footage, folder)
    shutil.copytree(known, tmp_path / "out" / "scored")
    (folder / "<b>broken.mp4").write_bytes(b"not a video")
    said = score(capsys, folder, run, tmp_path / "out", status=3)
    assert said.count("broken.mp4") == 1 and said.splitlines()[-1].startswith("skipped: ")
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    (left,) = found["left_out"]
    assert left["file"] == str(folder / "<b>broken.mp4") and "not a video" in left["reason"]
    with (tmp_path / "out" / "left-out.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [left]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 file left out" in page and "&lt;b&gt;broken.mp4: not a video" in page
    # What cannot be reached is no less missing.
    (folder / "lost.mp4").symlink_to("nowhere")
    said = score(capsys, folder, run, tmp_path / "out", status=3)
    assert said.count("lost.mp4: a broken link") == 1
    found = json.loads((tmp_path / "out" / "scores.json").read_text())["left_out"]
    assert [Path(one["file"]).name for one in found] == ["lost.mp4", "<b>broken.mp4"]
    with (tmp_path / "out" / "left-out.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == found
    assert "2 files left out" in (tmp_path / "out" / "report.html").read_text()
    (folder / "lost.mp4").unlink()
    # Where nothing could be read, the results of an earlier night are not left there.
    for path in folder.iterdir():
        path.write_bytes(b"not a video")
    capsys.readouterr()
    assert main(["score", str(folder), "--model", str(run), "--out", str(tmp_path / "out"), "--json"]) == 1
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert not found["videos"] and len(found["left_out"]) == 3
    assert "3 files left out" in (tmp_path / "out" / "report.html").read_text()
    # And it is mended by the same command.
    shutil.rmtree(folder)
    shutil.copytree(footage, folder)
    score(capsys, folder, run, tmp_path / "out")
    assert not json.loads((tmp_path / "out" / "scores.json").read_text())["left_out"]


def test_files_of_a_video_have_one_name_whatever_becomes_of_its_namesake(run, footage, tmp_path, capsys):
    """A damaged one is no reason for subtitles to be called otherwise than the overlay, and otherwise tomorrow."""
    (tmp_path / "rec").mkdir()
    shutil.copy(footage / "yard_20240115_093000.avi", tmp_path / "rec" / "yard.avi")
    (tmp_path / "rec" / "yard.mp4").write_bytes(b"not a video")
    score(capsys, tmp_path / "rec", run, tmp_path / "out", "--format", "srt", "--overlay", status=3)
    named = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith("yard")}
    assert named == {"yard.avi.events.srt", "yard.avi.overlay.mp4"}


def test_a_half_copied_video_is_scored_and_stands_among_what_was_left_out(run, tmp_path, capsys):
    rng, path = np.random.default_rng(0), tmp_path / "rec" / "half.mp4"
    path.parent.mkdir()
    write_clip(path, [scene(i, True, rng) for i in range(160)], rate=RATE, g="25", muxer={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 1])  # 50 % whether that is even or odd
    for _ in range(2):  # also where it was scored before
        said = score(capsys, path.parent, run, tmp_path / "out", status=3)
        reason = f"{path}: only the first 50 % of the file are there, and the rest is not looked at; copy it again"
        assert said.splitlines()[-1] == f"skipped: {reason}"
        found = json.loads((tmp_path / "out" / "scores.json").read_text())
        assert found["left_out"] == [{"file": str(path), "reason": reason}]
        (half,) = found["videos"]
        assert half["frames"] < 100 and half["events"]
    path.write_bytes(whole)
    score(capsys, path.parent, run, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert found["videos"][0]["frames"] == 160 and not found["left_out"]


def test_a_folder_that_grows_is_scored_where_it_is_new(run, footage, tmp_path, capsys, monkeypatch):
    """A file of the same size and time is not even read; one that was touched or copied is known by its bytes."""
    folder, out, looked = tmp_path / "rec", tmp_path / "out", []
    (folder / "yard").mkdir(parents=True)
    shutil.copy(footage / "yard_20240115_093000.avi", folder / "yard")
    look_at = Detector.look_at
    monkeypatch.setattr(
        Detector, "look_at", lambda self, path, **how: (looked.append(path.name), look_at(self, path, **how))[1]
    )
    score(capsys, folder, run, out)
    (folder / "gate").mkdir()
    shutil.copy(footage / "gate_20241027_025950.mp4", folder / "gate")
    score(capsys, folder, run, out)
    assert looked == ["yard_20240115_093000.avi", "gate_20241027_025950.mp4"]
    page = (out / "report.html").read_text()
    assert all(words in page for words in ("Events by day and camera", "<option>gate</option>", "Sun 2024-10-27</th>"))
    hashed: list[Path] = []
    monkeypatch.setattr("wsvad.detection.kept.sampled_sha256", lambda paths: (hashed.extend(paths), "")[1])
    score(capsys, folder, run, out)
    assert not hashed
    monkeypatch.undo()
    os.utime(folder / "gate" / "gate_20241027_025950.mp4", (1, 1))
    assert "2 of 2 videos were scored before" in score(capsys, folder, run, out)
    with (folder / "gate" / "gate_20241027_025950.mp4").open("ab") as file:
        file.write(bytes(9))
    assert "1 of 2 videos were scored before" in score(capsys, folder, run, out)


def test_formats_are_those_that_are_asked_for(run, footage, known, tmp_path, capsys):
    shutil.copytree(known, tmp_path / "scored")
    score(capsys, footage / "yard_20240115_093000.avi", run, tmp_path, "--format", "srt")
    assert {path.name for path in tmp_path.iterdir()} == {
        "contact-sheet.jpg", "report.html", "scored", "yard_20240115_093000.events.srt",
    }  # fmt: skip
    assert "--format xls: there are csv" in score(capsys, footage, run, tmp_path, "--format", "xls", status=2)
    assert "--clip-margin is not for results without" in score(
        capsys, footage, run, tmp_path, "--clip-margin", "2", status=2
    )


def test_the_same_from_python(run, footage, tmp_path):
    video = footage / "gate_20241027_025950.mp4"
    clock = wsvad.WallClock(zone=parse_zone("Europe/Berlin"))
    timeline = wsvad.Detector.load(run).score(video, wall_clock=clock)
    assert timeline.recorded is not None and timeline.recorded.words(0) == "Sun 2024-10-27 02:59:50 CEST"
    clips = wsvad.write_clips(timeline, tmp_path / "clips", margin=1)
    assert [is_result(clip) for clip in clips] == [True, True]
    wsvad.write_exports(tmp_path, [timeline], ["json", "ics"])
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "events.ics", "scores.json"}
    assert len(icalendar.Calendar.from_ical((tmp_path / "events.ics").read_text()).walk("VEVENT")) == 2


def test_notes_and_links_lead_to_nothing_outside(run, footage, known, tmp_path, capsys):
    """A folder of results that somebody else made."""
    out, others = tmp_path / "out", tmp_path / "others"
    shutil.copytree(known, out / "scored")
    score(capsys, footage, run, out, "--clips")
    others.mkdir()
    clip = others / "gate.001.0h00m05s.mp4"
    shutil.copy(next((out / "clips").glob("*.mp4")), clip)
    (note,) = (path for path in (out / "scored").glob("gate*.clips.json"))
    held = json.loads(note.read_text())
    names = ("../../others/gate.001.0h00m05s.mp4", str(clip), "gate.001../../../others/gate.001.0h00m05s.mp4")
    note.write_text(json.dumps(held | {"clips": held["clips"] | {name: [] for name in names}}))
    score(capsys, footage, run, out, "--clips", "--clip-margin", "1")
    assert clip.exists() and len(list((out / "clips").glob("*.mp4"))) == 3
    for folder in ("clips", "scored"):
        kept = shutil.move(out / folder, tmp_path / folder)
        (out / folder).symlink_to(others)
        said = score(capsys, footage, run, out, "--clips", status=2)
        assert f"{out / folder}: a link leads out of" in said and list(others.iterdir()) == [clip]
        (out / folder).unlink()
        shutil.move(kept, out / folder)


def test_a_video_that_says_of_itself_that_it_is_a_result_is_not_passed_over_in_silence(
    run, footage, known, tmp_path, capsys
):
    place, out = tmp_path / "recorder", tmp_path / "out"
    shutil.copytree(footage, place)
    shutil.copytree(known, out / "scored")
    with av.open(place / "gate_20241027_025950.mp4") as video, av.open(place / "burglary.mp4", "w") as made:
        made.metadata["comment"] = COMMENT
        stream = made.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    os.mkfifo(place / "pipe.mp4")
    said = score(capsys, place, run, out, status=3)
    assert "burglary.mp4: a video that 'wsvad score' wrote" in said and "pipe.mp4: a pipe" in said
    left = json.loads((out / "scores.json").read_text())["left_out"]
    assert [Path(one["file"]).name for one in left] == ["burglary.mp4", "pipe.mp4"]
    assert "burglary.mp4" in (out / "left-out.csv").read_text()
    assert "burglary.mp4" in (out / "report.html").read_text()
