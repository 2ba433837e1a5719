"""What `wsvad score` writes: results in all formats, the page, pictures, overlays and clips; and where."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from wsvad.detection.alert_hours import AlertHours
from wsvad.detection.exports import FORMATS, OF_VIDEO, export_name, write_exports
from wsvad.detection.kept import Kept
from wsvad.detection.timeline import Timeline
from wsvad.errors import UsageError, WsvadError
from wsvad.files import is_file, overlong, read_json, sha256, write_json
from wsvad.pages.contact_sheet import write_contact_sheet
from wsvad.pages.event_clips import cut_clips, longest_name, record_of, remaining, spans_of, stem_of
from wsvad.pages.overlay import write_overlay
from wsvad.pages.report import ReportSummary, write_report
from wsvad.runs.folder import RunFolder
from wsvad.shapes import problems
from wsvad.video.names import file_stems
from wsvad.video.wall_clock import NamePattern, WallClock, parse_start, parse_zone


class ClipsNote(TypedDict):
    """What is kept of the clips of a video."""

    scores: str
    """Hash of the scores whose events they show."""
    clips: dict[str, list[float]]
    """Clip → its first second and its end."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is asked for."""

    overlay: bool = False
    clips: float | None = None
    """Seconds before and after an event in its clip; None for no clips."""
    formats: Sequence[str] = ("csv", "json")
    clock: WallClock = field(default_factory=WallClock)
    hours: AlertHours | None = None
    """When events are reported; None for always."""

    def __post_init__(self) -> None:
        if unknown := [form for form in self.formats if form not in FORMATS]:
            raise UsageError(f"--format {unknown[0]}: there are {', '.join(FORMATS)}")

    def files(self, stem: str) -> dict[str, str]:
        """What there may be of a video → the longest name of a file of it, in the folder of the results."""
        files = {"overlay": overlay_name(stem)} if self.overlay else {}
        files |= {"clips": f"clips/{longest_name(stem)}"} if self.clips is not None else {}
        return files | {form: export_name(stem, form) for form in self.formats if form in OF_VIDEO}


def clock_of(start: str | None, pattern: str | None, zone: str | None) -> WallClock:
    """Where starts of recordings are looked for, as it is typed.

    Raises:
        UsageError: one of them cannot be read.
    """
    if start is not None and pattern is not None:
        raise UsageError("--start and --name-pattern: give one of them")
    return WallClock(
        zone=None if zone is None else parse_zone(zone),
        given=None if start is None else parse_start(start),
        pattern=None if pattern is None else NamePattern(pattern),
    )


OVERLAY = ".overlay.mp4"


def overlay_name(stem: str) -> str:
    """The overlay of a video, by its stem."""
    return f"{stem}{OVERLAY}"


def is_own(path: Path, out: Path) -> bool:
    """Whether a video is where overlays and clips of earlier calls are."""
    if path.is_relative_to(out / "clips"):
        return stem_of(path.relative_to(out / "clips").as_posix()) is not None
    return path.is_relative_to(out) and path.name.endswith(OVERLAY)


def too_long(out: Path, videos: Mapping[str, Path], outputs: Outputs) -> dict[str, str]:
    """Videos with a file that could not be written for its name: file → the reason."""
    stems, found = file_stems(list(videos)), {}
    for name, path in videos.items():
        for what, file in outputs.files(stems[name]).items():
            if long := overlong(out / file):
                needs = "clips would need" if what == "clips" else f"{what} would need"
                found[str(path)] = f"{path}: its {needs} {long}; shorten the video's name"
    return found


def spare(out: Path, overlays: Sequence[Path], videos: Sequence[Path]) -> None:
    """Make sure that nothing is written over a run's report or over a video that is to be scored.

    Raises:
        UsageError: something would be.
    """
    if RunFolder(out).exists:
        raise UsageError(f"{out}: a run is there, whose report would be written over; give another --out")
    inputs = {path.resolve() for path in videos}
    if over := [path for path in overlays if path.resolve() in inputs]:
        raise UsageError(f"{over[0]}: is to be scored, and the overlay would be written over it; give another --out")


def stay_inside(out: Path, files: Iterable[Path]) -> None:
    """Make sure that no link in a folder of results leads what is written, or removed, to another place.

    Raises:
        UsageError: one does.
    """
    root = os.path.realpath(out)
    for folder in {path.parent for path in files}:
        if not Path(os.path.realpath(folder)).is_relative_to(root):
            raise UsageError(f"{folder}: a link leads out of {out}; remove it, or give another --out")


# ------------------------------------------------------------------------------------------------------ of one video


def draw_overlay(timeline: Timeline, kept: Kept, stem: str) -> None:
    """Draw a video with its scores, if that was not done."""
    drawn = {"scores": sha256(kept.path(timeline.video)), "threshold": timeline.threshold, "low": timeline.low}
    drawn |= {"events": [event.start for event in timeline.events]}
    note, place = kept.note(timeline.video, "overlay"), kept.out / overlay_name(stem)
    if not is_file(place) or _noted(note) != drawn:
        write_overlay(timeline, place)
        write_json(note, drawn)


def cut_events(timeline: Timeline, kept: Kept, stem: str, margin: float) -> None:
    """Cut the clips of a video's events that are not there; those of other thresholds are removed."""
    folder, note = kept.out / "clips", kept.note(timeline.video, "clips")
    clips, scores = spans_of(timeline, folder, stem, margin), sha256(kept.path(timeline.video))
    before = _noted(note)
    earlier = {} if list(problems(before, ClipsNote, "clips")) else before["clips"]
    # What is not wanted any more is removed: of this video's clips, whatever a note says.
    earlier = {name: span for name, span in earlier.items() if stem_of(name) == stem}
    if before.get("scores") != scores:
        earlier = {name: [] for name in earlier}
    missing = remaining(clips, folder, earlier)
    # Before they are cut: those of a call that is interrupted are known to the next one.
    write_json(note, {"scores": scores, "clips": record_of(clips, folder)})
    cut_clips(timeline, missing)


def _noted(note: Path) -> dict[str, Any]:
    """What was noted; nothing where nothing was, or it is damaged."""
    try:
        found = read_json(note) if is_file(note) else {}
    except WsvadError:
        return {}
    return found if isinstance(found, dict) else {}


# ----------------------------------------------------------------------------------------------------- of all videos


def write_all(
    out: Path,
    timelines: Sequence[Timeline],
    stems: Mapping[str, str],
    failed: Mapping[str, str],
    outputs: Outputs,
    summary: ReportSummary,
) -> None:
    """The results of all videos, as far as they are scored; and which files could not be."""
    write_exports(out, timelines, outputs.formats, failed, stems=stems)
    stills = write_report(out / "report.html", timelines, title="Scored videos", summary=summary)
    write_contact_sheet(out / "contact-sheet.jpg", timelines, stills)
