"""Events in the formats of other programs, read back by the parsers of others."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import icalendar
import numpy as np
import opentimelineio
import pytest
import srt as srt_library
import webvtt
from timelines import event, timeline

from wsvad.detection.explanation import Explanation
from wsvad.detection.exports import FORMATS, caption, edl, ics, srt, vtt, write_exports
from wsvad.detection.timeline import Timeline, write_events_csv, write_scores_json
from wsvad.errors import UsageError
from wsvad.metrics.events import Event
from wsvad.video.wall_clock import Start

BERLIN = ZoneInfo("Europe/Berlin")
START = Start(moment=datetime(2024, 10, 27, 2, 59, 50, tzinfo=BERLIN), origin="name", camera="gate; north, 2")
"""Ten seconds before the clocks are set back."""
NASTY = 'day 1/ga,te; "x" --> <b>\\n & é' + "ü" * 60 + ".mp4"


def of_kind(line: Timeline, kind: str) -> Timeline:
    scores = np.tile([0.9, 0.1], (len(line.scores), 1))
    return replace(line, explanation=Explanation(categories=(kind, "other"), class_scores=scores))


LONG = timeline(
    NASTY,
    scores=[0.1] * 6000,
    events=(event(16, 48, 0.91), event(36_000, 36_160, 0.6), event(95_000, 96_000, 0.7)),
    recorded=START,
)
"""At 10 frames a second: events at 0:00:01.6, 1:00:00 and 2:38:20."""


def test_subtitles_of_players() -> None:
    subtitles = list(srt_library.parse(srt(LONG)))
    assert [(s.start, s.end) for s in subtitles] == [
        (timedelta(seconds=e.start), timedelta(seconds=e.end)) for e in LONG.events
    ]
    assert [s.content for s in subtitles] == [
        "abnormal, score 0.91",
        "abnormal, score 0.60",
        "abnormal, score 0.70",
    ]
    assert [s.index for s in subtitles] == [1, 2, 3]
    assert srt(timeline(events=())) == ""


def test_subtitles_of_browsers() -> None:
    line = of_kind(LONG, "<i>fight --> \n run & hide</i>")
    captions = webvtt.from_string(vtt(line)).captions
    assert [(c.start_in_seconds, c.start[-3:], c.end) for c in captions] == [
        (1, "600", "00:00:04.800"),
        (3600, "000", "01:00:16.000"),
        (9500, "000", "02:40:00.000"),
    ]
    share = next(iter(line.categories(line.events[0]).values()))
    assert captions[0].raw_text == f"&lt;i&gt;fight --&gt; run &amp; hide&lt;/i&gt; {share:.0%}, score 0.91".replace(
        "%", " %"
    )
    assert len(webvtt.from_string(vtt(timeline(events=()))).captions) == 0


@pytest.mark.parametrize(
    ("rate", "coded", "times"),
    [(Fraction(10), 30, 3), (Fraction(30000, 1001), 30, 1), (Fraction(25), 25, 1), (Fraction(25, 2), 24, None)],
)
def test_edit_lists(rate: Fraction, coded: int, times: int | None) -> None:
    line = replace(LONG, rate=rate)
    found = opentimelineio.adapters.read_from_string(edl(line), "cmx_3600", rate=coded)
    clips = list(found.find_clips())
    ranges = [clip.source_range for clip in clips]
    if times:
        assert [(one.start_time.value, one.duration.value) for one in ranges] == [
            (times * e.start_frame, times * (e.end_frame - e.start_frame)) for e in line.events
        ]
    assert [clip.name for clip in clips] == [NASTY] * 3


def test_an_edit_list_of_a_varying_rate_goes_by_time() -> None:
    found = opentimelineio.adapters.read_from_string(edl(replace(LONG, rate=None)), "cmx_3600", rate=30)
    assert [clip.source_range.start_time.to_seconds() for clip in found.find_clips()] == pytest.approx(
        [e.start for e in LONG.events], abs=1 / 30
    )


def test_calendars() -> None:
    text = ics([LONG, timeline("no start.mp4")])
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    entries = icalendar.Calendar.from_ical(text).walk("VEVENT")
    # Three o'clock comes an hour and ten seconds after the start: the hour from two comes twice.
    assert [entry["DTSTART"].dt for entry in entries] == [
        datetime(2024, 10, 27, 0, 59, 51, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 59, 50, tzinfo=UTC),
        datetime(2024, 10, 27, 3, 38, 10, tzinfo=UTC),
    ]
    assert [str(entry["LOCATION"]) for entry in entries] == ["gate; north, 2"] * 3
    assert NASTY in str(entries[0]["DESCRIPTION"])
    assert len({str(entry["UID"]) for entry in entries}) == 3
    assert ics([LONG]) == ics([LONG])


def test_a_name_cannot_forge_a_line_of_a_format() -> None:
    line = of_kind(timeline("a\r\nBEGIN:VEVENT\n\n2\n00:00 --> 01:00\nb.mp4", recorded=START), "x\r\nEND:VEVENT")
    assert len(icalendar.Calendar.from_ical(ics([line])).walk("VEVENT")) == 1
    assert len(list(srt_library.parse(srt(line)))) == len(webvtt.from_string(vtt(line)).captions) == 1
    assert len(list(opentimelineio.adapters.read_from_string(edl(line), "cmx_3600", rate=30).find_clips())) == 1


def test_wall_times_are_in_json_and_csv(tmp_path: Path) -> None:
    write_scores_json(tmp_path / "a.json", [LONG, timeline("b.mp4")])
    known, unknown = json.loads((tmp_path / "a.json").read_text())["videos"]
    assert (known["recorded"], known["recorded_origin"], known["camera"]) == (
        "2024-10-27T02:59:50.000+02:00",
        "name",
        "gate; north, 2",
    )
    assert [(e["wall_start"], e["wall_end"]) for e in known["events"]][:2] == [
        ("2024-10-27T02:59:51.600+02:00", "2024-10-27T02:59:54.800+02:00"),
        ("2024-10-27T02:59:50.000+01:00", "2024-10-27T03:00:06.000+01:00"),
    ]
    assert "recorded" not in unknown and "wall_start" not in unknown["events"][0]
    write_events_csv(tmp_path / "a.csv", [timeline("b.mp4", recorded=START)])
    assert (
        (tmp_path / "a.csv")
        .read_text()
        .splitlines()[1]
        .endswith(",2024-10-27T02:59:51.600+02:00,2024-10-27T02:59:53.200+02:00,,")
    )


def test_each_video_has_its_files(tmp_path: Path) -> None:
    lines = [timeline("day/a.mp4", recorded=START), timeline("b.avi")]
    write_exports(tmp_path, lines, FORMATS)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "b.events.edl", "b.events.srt", "b.events.vtt", "day/a.events.edl", "day/a.events.srt", "day/a.events.vtt",
        "events.csv", "events.ics", "left-out.csv", "scores.csv", "scores.json",
    ]  # fmt: skip
    write_exports(tmp_path / "few", [*lines, timeline("b.mp4")], ["vtt"])
    assert sorted(path.name for path in (tmp_path / "few").rglob("*.*")) == [
        "a.events.vtt", "b.avi.events.vtt", "b.mp4.events.vtt",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="format xls: there are csv, json"):
        write_exports(tmp_path, lines, ["xls"])


def test_a_caption_tells_kind_and_score() -> None:
    one = Event(start_frame=0, end_frame=16, start=0, end=1.6, peak=0.876, peak_time=0.8)
    line = timeline(scores=(0.9,), events=(one,))
    assert caption(line, one) == "abnormal, score 0.88"
    assert caption(of_kind(line, "fight"), one).startswith("fight ")


def test_what_a_category_is_called_is_no_control_no_tag_and_no_time() -> None:
    line = of_kind(LONG, "\x1b[2J\u202e<font>{\\an8}00:00:01,000 --> 00:00:02,000")
    for text in (srt(line), vtt(line), edl(line), ics([line])):
        assert not set("\x1b\u202e") & set(text)
    first = next(iter(srt_library.parse(srt(line))))
    assert first.content.startswith("�[2J�‹font›(\\an8)00:00:01,000 → 00:00:02,000 9")
    assert srt(line).count("-->") == len(line.events)
