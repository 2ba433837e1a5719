"""The first day of somebody with a recorder's folder and a table: the commands of docs/first-day.md, one after the
other."""

import csv
import html
import json
import re
import shlex
import shutil
from datetime import datetime
from pathlib import Path

import icalendar
import numpy as np
import pytest
import srt
from clips import write_clip
from places import ROOT

from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.video.reader import VideoReader

WRONG = "yard/NVR_ch2_main_20260115110000.mp4"
"""A fight that the table calls normal."""
SMALL = shlex.split(
    "--iterations 60 --points 2 --hold-out 0.25 --workers 0 --config.hidden 32 --config.lr 0.0003 --segments 12"
)


def commands() -> list[list[str]]:
    """The commands of the page, in their order."""
    text = (ROOT / "docs" / "first-day.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def footage(rng: np.random.Generator, fight: bool) -> list[np.ndarray]:
    """Noise, in which something bright jumps about for a while when there is a fight."""
    noise, begin = rng.integers(4, 20), rng.integers(8, 32)
    frames, (x, y) = [], rng.integers(0, 60, 2)
    for i in range(96):
        image = rng.integers(40, 40 + noise, (96, 128, 3)).astype(np.uint8)
        if fight and begin <= i < begin + 56:
            x, y = (int(v) for v in np.clip([x, y] + rng.integers(-14, 15, 2), 0, (90, 60)))
            image[y : y + 30, x : x + 25] = 220
        frames.append(image)
    return frames


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> Path:
    """A recorder's folder, 24 videos of two cameras, and a table with semicolons in Windows-1252."""
    place = tmp_path_factory.mktemp("day")
    rows = ["Video;Label;Split;Bemerkung"]
    for number in range(24):
        rng, fight = np.random.default_rng(number), number % 2 == 1
        camera, channel = (("gate", 1), ("yard", 2))[number // 2 % 2]
        name = f"{camera}/NVR_ch{channel}_main_202601{15 + number // 12}{8 + number % 12:02d}0000.mp4"
        (place / "recordings" / camera).mkdir(parents=True, exist_ok=True)
        write_clip(place / "recordings" / name, footage(rng, fight), rate=25, g="25")
        label = "Schlägerei" if fight and name != WRONG else "nein"
        split = "Test" if number >= 18 else "Train"
        rows.append(f"D:\\Aufnahmen\\{name.replace('/', chr(92))};{label};{split};")
    (place / "recordings" / "labels.csv").write_bytes("\r\n".join([*rows, ";;;", ""]).encode("cp1252"))
    (place / "recordings" / "gate" / "NVR_ch1_main_20260117080000.mp4.part").write_bytes(b"half")
    return place


def run(capsys, words: list[str], *more: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main([*words, *more])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_from_a_folder_and_a_table_to_clips_and_a_threshold(day, capsys, monkeypatch):
    monkeypatch.chdir(day)
    check, train, audit, again, thresholds, budget, score = commands()

    status, out, err = run(capsys, check)

    assert status == 3 and "24 videos" in out and "Schlägerei" in out
    assert "NVR_ch1_main_20260117080000.mp4.part: still downloading" in out
    status, out, err = run(capsys, check, "--json")
    videos = json.loads(out)["videos"]
    assert len(videos) == 24

    status, out, err = run(capsys, train, *SMALL)
    assert status == 0, err
    assert "labels.csv: 24 rows, separator ';', Windows-1252" in err
    assert re.search(r"Threshold [0-9.]+ for files: ", err) and "for live cameras: " in err
    assert "Compared with the labels of 6 videos: 3 found, 3 correctly without events." in err

    verdict = [line for line in err.splitlines() if "training labels" in line]
    report = Path("runs/gate/report.html").read_text(encoding="utf-8")
    assert verdict and verdict[0] in html.unescape(report)

    status, out, err = run(capsys, audit, "--json")
    assert json.loads(out)["sentences"][0] == verdict[0]
    assert status == 0 and json.loads(out)["videos"][0]["video"] == WRONG
    assert Path("runs/gate/audit.html").read_text(encoding="utf-8").count("<img") >= 12  # the videos are found again
    rows = list(csv.DictReader(Path("relabel.csv").read_text(encoding="utf-8").splitlines()))
    assert (rows[0]["video"], rows[0]["label"], len(rows)) == (WRONG, "normal", 24)
    rows[0]["label"] = "Schlägerei"
    with Path("relabel.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    status, out, err = run(capsys, again, *SMALL)
    assert status == 0, err
    assert "relabel.csv: 24 rows, separator ';', UTF-8" in err
    record = json.loads(Path("runs/gate/fingerprint.json").read_text())["training"]
    assert record[WRONG]["label"] == 1 and sum(one["label"] for one in record.values()) == 9

    status, out, err = run(capsys, thresholds, "--json")
    curve = json.loads(out)
    assert status == 0 and Path("runs/gate/threshold.html").is_file() and curve
    status, out, err = run(capsys, budget)
    assert status == 0 and "set by hand (--max-false-alarms-per-day 1)" in err
    assert "For 1 false alarm/day, 83 h of normal training video are needed in all" in err
    chosen = Detector.load("runs/gate").calibrations.threshold("whole")

    # The night is from 16 h on here: the events of that camera's day are few.
    score[score.index("--between") + 1] = "16:00-20:00"
    status, out, err = run(capsys, score, "--time-zone", "Europe/Berlin")
    assert status == 0, err
    record = json.loads(Path("scores/scores.json").read_text())
    assert len(record["videos"]) == 24 and {video["threshold"] for video in record["videos"]} == {round(chosen, 6)}
    events = [(video["video"], event) for video in record["videos"] for event in video["events"]]
    assert events and all(16 <= datetime.fromisoformat(event["wall_start"]).hour < 20 for _, event in events)
    assert all(int(video.split("_")[-1][8:10]) % 2 == 1 for video, _ in events)  # at odd hours somebody fights
    clips = sorted(Path("scores/clips").rglob("*.mp4"))
    assert len(clips) == len(events)
    for clip in clips:
        with VideoReader(clip) as video:
            assert any((frame.array() > 180).mean() > 0.01 for frame in video)
    calendar = icalendar.Calendar.from_ical(Path("scores/events.ics").read_bytes())
    assert len(calendar.walk("VEVENT")) == len(events)
    captions = [one for path in Path("scores").rglob("*.srt") for one in srt.parse(path.read_text(encoding="utf-8"))]
    assert len(captions) == len(events)

    shutil.copy("recordings/gate/NVR_ch1_main_20260115080000.mp4", "recordings/gate/NVR_ch1_main_20260118080000.mp4")
    status, out, err = run(capsys, score, "--time-zone", "Europe/Berlin")
    assert status == 0 and "24 of 25 videos were scored before, and are kept" in err
    assert len(json.loads(Path("scores/scores.json").read_text())["videos"]) == 25
