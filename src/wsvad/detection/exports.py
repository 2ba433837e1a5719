"""Events in the formats of other programs: subtitles for players, an edit list for editors, entries for calendars."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from wsvad.detection.timeline import (
    Timeline,
    printable,
    write_events_csv,
    write_left_out_csv,
    write_scores_csv,
    write_scores_json,
)
from wsvad.errors import UsageError
from wsvad.files import write_text
from wsvad.metrics.events import Event
from wsvad.video.clock import NOMINAL
from wsvad.video.names import file_stems

FIRST_HOUR = 3600
"""Seconds at which the record side of an edit list begins, as editors have it."""
CODED = (24, 25, 30, 48, 50, 60)
"""Frames per second that time codes exist for."""
FOLD = 73
"""Bytes in a line of a calendar, without its end; a longer one goes on in the next, behind a space."""


def caption(timeline: Timeline, event: Event) -> str:
    """An event in a few words: "fight 87 %, score 0.93", on one line."""
    likely = timeline.categories(event)
    kind = next((f"{name} {p:.0%}" for name, p in likely.items()), "abnormal")
    return f"{_line(' '.join(kind.split()))}, score {event.peak:.2f}".replace("%", " %")


def srt(timeline: Timeline) -> str:
    """SubRip subtitles: each event's caption for as long as it lasts, in the video's own seconds."""
    blocks = (
        f"{number}\n{_stamp(event.start, ',')} --> {_stamp(event.end, ',')}\n{_bare(caption(timeline, event))}\n"
        for number, event in enumerate(timeline.events, 1)
    )
    return "\n".join(blocks)


def vtt(timeline: Timeline) -> str:
    """WebVTT, the same for browsers."""
    blocks = (
        f"{_stamp(event.start, '.')} --> {_stamp(event.end, '.')}\n{_escaped(caption(timeline, event))}\n"
        for event in timeline.events
    )
    return "\n".join(["WEBVTT\n", *blocks])


def edl(timeline: Timeline) -> str:
    """A CMX 3600 edit list: the events one after the other, cut from the video.

    Time codes count frames at the nominal whole rate, as for 29.97 without drop frame. Editors know few rates: others,
    and those that vary, are written at 30, or at one that is a multiple of theirs.
    """
    own = round(timeline.rate or NOMINAL)
    rate = next((known for known in CODED if own and known % own == 0), int(NOMINAL))
    lines = [f"TITLE: {_line(timeline.video)[:70]}", "FCM: NON-DROP FRAME", ""]
    record = FIRST_HOUR * rate
    for number, event in enumerate(timeline.events, 1):
        first, end = _frames(timeline, event, rate)
        codes = (_timecode(frame, rate) for frame in (first, end, record, record + end - first))
        lines += [
            f"{number:03d}  AX       V     C        {' '.join(codes)}",
            f"* FROM CLIP NAME: {_line(timeline.video)}",
            f"* COMMENT: {caption(timeline, event)}",
            "",
        ]
        record += end - first
    return "\n".join(lines)


def ics(timelines: Sequence[Timeline]) -> str:
    """One calendar of the events of all videos whose start is known, in universal time."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//wsvad//events//EN", "CALSCALE:GREGORIAN"]
    for timeline in timelines:
        if timeline.recorded is None:
            continue
        for event in timeline.events:
            start, end = (timeline.recorded.at(seconds) for seconds in (event.start, event.end))
            what = f"{_line(timeline.video)}, frames {event.start_frame}–{event.end_frame}"
            key = f"{printable(timeline.video)} {start.isoformat()} {event.start_frame}"
            where = timeline.recorded.camera or timeline.video
            lines += [
                "BEGIN:VEVENT",
                f"UID:{hashlib.sha256(key.encode()).hexdigest()[:32]}@wsvad",
                f"DTSTAMP:{_universal(start)}",
                f"DTSTART:{_universal(start)}",
                f"DTEND:{_universal(max(end, start))}",
                f"SUMMARY:{_calendar_text(caption(timeline, event))}",
                f"LOCATION:{_calendar_text(_line(where))}",
                f"DESCRIPTION:{_calendar_text(what)}",
                "END:VEVENT",
            ]
    return "".join(f"{line}\r\n" for line in _folded([*lines, "END:VCALENDAR"]))


OF_VIDEO: dict[str, Callable[[Timeline], str]] = {"srt": srt, "vtt": vtt, "edl": edl}
"""Formats with a file of each video."""
FORMATS = ("csv", "json", *OF_VIDEO, "ics")


def write_exports(
    out: Path | str,
    timelines: Sequence[Timeline],
    formats: Sequence[str],
    left_out: Mapping[str, str] | None = None,
    *,
    stems: Mapping[str, str] | None = None,
) -> None:
    """Write the scores and events of videos in some of the `FORMATS`.

    csv: `events.csv`, `scores.csv` and `left-out.csv`; json: `scores.json`; ics: `events.ics`; others: a file named
    after each video, `gate/cam0.events.srt` for `gate/cam0.avi`.

    Args:
        left_out: files that could not be scored, with the reason.
        stems: video → what its files are named after (`file_stems`), where there are more videos than these.

    Raises:
        UsageError: there is no such format.
        WsvadError: a file cannot be written.
    """
    out = Path(out)
    if unknown := [form for form in formats if form not in FORMATS]:
        raise UsageError(f"format {unknown[0]}: there are {', '.join(FORMATS)}")
    if "json" in formats:
        write_scores_json(out / "scores.json", timelines, left_out)
    if "csv" in formats:
        write_events_csv(out / "events.csv", timelines)
        write_scores_csv(out / "scores.csv", timelines)
        write_left_out_csv(out / "left-out.csv", left_out or {})
    if "ics" in formats:
        write_text(out / "events.ics", ics(timelines))
    stems = stems or file_stems([timeline.video for timeline in timelines])
    for form in (form for form in OF_VIDEO if form in formats):
        for timeline in timelines:
            write_text(out / export_name(stems[timeline.video], form), OF_VIDEO[form](timeline))


def export_name(stem: str, form: str) -> str:
    """The file of a video, by its stem (`file_stems`), in a format."""
    return f"{stem}.events.{form}"


def _stamp(seconds: float, point: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _bare(text: str) -> str:
    """Text in which nothing is a time or a tag, for a format in which nothing can be escaped."""
    return text.replace("-->", "→").translate(str.maketrans("<>{}", "‹›()"))


def _escaped(text: str) -> str:
    """Text in which nothing is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _frames(timeline: Timeline, event: Event, rate: int) -> tuple[int, int]:
    """First frame and end of an event: the video's own frames where they come at that rate."""
    if timeline.rate is not None and round(timeline.rate) == rate:
        return event.start_frame, event.end_frame
    first, end = (round(Fraction(seconds) * rate) for seconds in (event.start, event.end))
    return first, max(end, first + 1)


def _timecode(frame: int, rate: int) -> str:
    seconds, frames = divmod(frame, rate)
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"


def _line(name: str) -> str:
    """A name that stays on its line."""
    return "".join(letter if letter.isprintable() else "�" for letter in printable(name))


def _universal(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _calendar_text(text: str) -> str:
    for letter in "\\;,":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\n", "\\n")


def _folded(lines: Sequence[str]) -> list[str]:
    """Lines of at most 75 bytes; no letter is cut into two."""
    folded = []
    for line in lines:
        part = ""
        for letter in line:
            if len((part + letter).encode()) > FOLD:
                folded.append(part)
                part = " "
            part += letter
        folded.append(part)
    return folded
