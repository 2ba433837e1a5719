"""The contact sheet: a still of every event at its place."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from clips import level, write_clip
from timelines import event, timeline

from wsvad.pages import contact_sheet
from wsvad.pages.contact_sheet import EDGE, LINE, STILL_HEIGHT, write_contact_sheet
from wsvad.pages.preview import STILL_WIDTH

HEIGHT = STILL_HEIGHT + 3 * LINE + 2 * EDGE


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def middle(sheet: np.ndarray, place: int) -> float:
    """The grey in the middle of the still at a place."""
    top = LINE + 2 * EDGE + place // 4 * HEIGHT + STILL_HEIGHT // 2
    left = EDGE + place % 4 * (STILL_WIDTH + EDGE) + STILL_WIDTH // 2
    return float(sheet[top - 3 : top + 3, left - 3 : left + 3].mean())


def test_each_event_has_the_picture_of_its_peak(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 29, size=(64, 48), rate=10)
    spans = [(0, 2), (4, 6), (8, 10), (12, 14), (20, 22)]
    line = timeline("a.mp4", events=[event(*span) for span in spans], path=clip)
    line = replace(line, times=line.times * 2.9 / line.times[-1])
    write_contact_sheet(tmp_path / "sheet.jpg", [line])
    sheet = read(tmp_path / "sheet.jpg")
    assert sheet.shape == (LINE + 2 * EDGE + 2 * HEIGHT, EDGE + 4 * (STILL_WIDTH + EDGE), 3)
    for place, (start, end) in enumerate(spans):
        assert abs(middle(sheet, place) - level((start + end) // 2)) < 4


def test_a_video_that_is_gone_leaves_an_empty_frame(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 20, size=(64, 48), rate=10)
    gone = timeline("Überfall " * 30, path=tmp_path / "gone.mp4", events=[event(0, 4)])
    write_contact_sheet(tmp_path / "sheet.jpg", [gone, timeline("a.mp4", path=clip, events=[event(8, 12)])])
    sheet = read(tmp_path / "sheet.jpg")
    assert middle(sheet, 0) < 40
    assert abs(middle(sheet, 1) - level(10)) < 4


def test_pictures_that_are_known_are_not_looked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 29, size=(64, 48), rate=10)
    line = timeline("a.mp4", path=clip, events=[event(4, 6), event(20, 22)])
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 250, np.uint8))[1].tobytes()
    write_contact_sheet(tmp_path / "sheet.jpg", [line], {"a.mp4": {line.events[0].peak_time: jpeg}})
    sheet = read(tmp_path / "sheet.jpg")
    assert middle(sheet, 0) > 245
    assert abs(middle(sheet, 1) - level(21)) < 4


def test_without_events_it_says_so(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.jpg", [timeline("a.mp4", events=[])])
    sheet = read(tmp_path / "sheet.jpg")
    assert sheet.shape[0] == LINE + 2 * EDGE
    assert sheet.max() > 200, "there is a line of text"


def test_the_strongest_are_shown_where_there_are_too_many(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(contact_sheet, "MOST", 2)
    clip = write_clip(tmp_path / "a.mp4", 29, size=(64, 48), rate=10)
    line = timeline("a.mp4", path=clip, events=[event(0, 4, 0.9), event(8, 12, 0.6), event(16, 20, 0.8)])
    write_contact_sheet(tmp_path / "sheet.jpg", [line])
    sheet = read(tmp_path / "sheet.jpg")
    assert sheet.shape[1] == EDGE + 2 * (STILL_WIDTH + EDGE)
    assert [abs(middle(sheet, 0) - level(2)) < 4, abs(middle(sheet, 1) - level(18)) < 4] == [True, True]
