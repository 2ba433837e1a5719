"""Days and cameras: counted once more by a loop over seconds, also at midnight and in the night of a clock change."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from timelines import Page, event, timeline, write

from wsvad.pages.days import camera_of, days, days_of
from wsvad.video.wall_clock import Start

BERLIN = ZoneInfo("Europe/Berlin")


def began(text: str, camera: str = "") -> Start:
    return Start(moment=datetime.fromisoformat(text).replace(tzinfo=BERLIN), origin="name", camera=camera)


@pytest.mark.parametrize(
    ("video", "told", "camera"),
    [
        ("gate/2024-01-15/09.mp4", "", "gate"),
        ("2024-01-15/001/gate/09.mp4", "", "gate"),
        ("2024/01/15/09.mp4", "", ""),
        ("a.mp4", "", ""),
        ("gate/a.mp4", "north gate", "north gate"),
    ],
)
def test_cameras(video, told, camera):
    assert camera_of(timeline(video, recorded=began("2024-01-15", told))) == camera


@pytest.mark.parametrize(
    "start", ["2024-01-15 23:59:50", "2024-01-15 23:59:59", "2024-01-15 00:00", "2024-10-26 23:59"]
)
@pytest.mark.parametrize("snippets", [1, 6, 30_000, 90_000])
def test_the_days_of_a_recording(start, snippets):
    line = timeline(scores=[0.1] * snippets, events=(), recorded=began(start))
    assert line.recorded is not None
    tenths = range(0, 16 * snippets, 1 if snippets < 10 else 600)
    assert days_of(line) == sorted({line.recorded.at(tenth / 10).date() for tenth in tenths})
    assert days_of(timeline()) == []


def test_the_days_of_a_gap_are_no_days_of_a_recording():
    line = timeline(scores=[0.1] * 4, events=(), recorded=began("2024-01-15 12:00"))
    gaps = replace(line, times=np.array([0, 86_400 * 3, 86_400 * 3 + 1, 86_400 * 40_000, 86_400 * 40_000 + 1.0]))
    begin = date(2024, 1, 15)
    assert days_of(gaps) == [begin + timedelta(days=number) for number in (0, 3, 40_000)]


def test_days_in_a_gap_are_not_recorded():
    """Days without a recording would look like days without events."""
    line = timeline(scores=[0.1] * 5, events=(), recorded=began("2024-01-15 23:59:57"))
    line = replace(line, times=np.array([0, 1.6, 2.6, 4 * 86_400, 4 * 86_400 + 1.6, 4 * 86_400 + 3.2]))
    assert days_of(line) == [date(2024, 1, 15), date(2024, 1, 19), date(2024, 1, 20)]


def test_events_are_counted_by_the_day_and_the_camera(tmp_path: Path):
    midnight = began("2024-01-15 23:59:58", "gate")
    lines = [
        timeline("a.mp4", events=(event(0, 10), event(16, 32), event(32, 48)), recorded=midnight),  # at 0, 1.6, 3.2 s
        timeline("b.mp4", events=(), recorded=began("2024-01-15 12:00", "yard")),
        timeline("c.mp4"),
    ]
    assert days(lines) == {
        "cameras": ["gate", "yard"],
        "rows": [{"words": "Tue 2024-01-16", "cells": [1, None]}, {"words": "Mon 2024-01-15", "cells": [2, 0]}],
    }
    page = write(tmp_path / "r.html", lines)
    assert [cell["data-days"] for cell in page.all("article") if "data-days" in cell] == [
        "2024-01-15 2024-01-16", "2024-01-15",
    ]  # fmt: skip
    assert [one.get("data-camera") for one in page.all("article")] == ["gate", "", "yard"]
    assert "Events by day and camera" in page.words
    evil = write(tmp_path / "e.html", [timeline('"><b>/a.mp4', recorded=began("2024-01-15")), *lines])
    assert [one["data-camera"] for one in evil.all("article")].count('"><b>') == 1
    assert len(evil.all("b")) == len(page.all("b")) + 1 and '"><b>' in evil.words  # one more event is counted
    assert date(2024, 1, 15) + timedelta(days=1) in days_of(lines[0])


def test_a_page_of_one_day_or_of_unknown_days_has_no_table(tmp_path: Path):
    assert days([timeline("gate/a.mp4"), timeline("yard/b.mp4")]) is None
    assert days([timeline(recorded=began("2024-01-15 12:00"))]) is None
    page: Page = write(tmp_path / "r.html", [timeline("a.mp4"), timeline("b.mp4")])
    assert not [one for one in page.all("select") if one["id"] in ("day", "camera")]


def test_what_was_left_out_stands_on_the_page_as_text(tmp_path: Path):
    page = write(tmp_path / "r.html", [], left_out=["<b>x.mp4: not a video", "y.mp4: empty"])
    assert "2 files left out" in page.words and "<b>x.mp4: not a video" in page.words
    assert "No video was scored." in page.words
