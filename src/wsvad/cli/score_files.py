"""Score video files and write everything that people look at."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from wsvad.datasets.folder import video_files
from wsvad.detection.detector import Detector
from wsvad.detection.threshold import Mode
from wsvad.detection.timeline import Timeline, clock, write_events_csv, write_scores_csv, write_scores_json
from wsvad.errors import WsvadError
from wsvad.pages.overlay import write_overlay
from wsvad.pages.report import ReportSummary, write_report


def score_files(
    what: Sequence[Path],
    model: Path,
    *,
    mode: Mode = "whole",
    out: Path,
    max_false_alarms_per_hour: float | None = None,
    overlay: bool = False,
    console: Console | None = None,
) -> tuple[list[Timeline], dict[str, str]]:
    """Everything that `wsvad score` does.

    Returns:
        The timelines, and the videos that could not be scored, with the reason.
    """
    console = console or Console(stderr=True)
    detector = Detector.load(model, max_false_alarms_per_hour=max_false_alarms_per_hour)
    timelines: list[Timeline] = []
    failed: dict[str, str] = {}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} frames"), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        for path in collect(what):
            task = progress.add_task(path.name, total=None)
            try:
                timeline = detector.score(path, mode=mode, on_frames=partial(progress.advance, task))
                if overlay:
                    again = sum(Path(other.video).stem == path.stem for other in timelines)
                    write_overlay(timeline, out / f"{path.stem}{f'-{again + 1}' if again else ''}.overlay.mp4")
                timelines.append(timeline)
                progress.update(task, total=timeline.frames, completed=timeline.frames)
            except WsvadError as error:
                failed[str(path)] = str(error)
                progress.remove_task(task)
    if timelines:
        write_scores_json(out / "scores.json", timelines)
        write_events_csv(out / "events.csv", timelines)
        write_scores_csv(out / "scores.csv", timelines)
        summary = ReportSummary(model=f"{detector.trained.name}, {mode}", threshold=detector.sentence)
        write_report(out / "report.html", timelines, title="Scored videos", summary=summary)
        console.print(events_table(timelines))
        console.print(f"{detector.sentence}\nscores, events and report.html are in {out}", highlight=False)
    return timelines, failed


def collect(what: Sequence[Path]) -> list[Path]:
    """The videos that were named, and those in folders that were named.

    Raises:
        WsvadError: a folder without videos.
    """
    found: list[Path] = []
    for path in what:
        inside = video_files(path) if path.is_dir() else [path]
        if not inside:
            raise WsvadError(f"{path}: there are no videos in this folder")
        found += inside
    return found


def events_table(timelines: Sequence[Timeline]) -> Table:
    """When something abnormal happens, for the terminal."""
    named = any(timeline.categories(event) for timeline in timelines for event in timeline.events)
    table = Table("video", "from", "to", "peak score", "at", *(["what"] if named else []))
    for timeline in timelines:
        if not timeline.events:
            at = ["–", "nothing abnormal"] if named else ["nothing abnormal"]
            table.add_row(timeline.video, "–", "–", f"{timeline.peak:.2f}", *at)
        for event in timeline.events:
            likeliest = [f"{name} {p:.0%}" for name, p in timeline.categories(event).items()][:1]
            times = clock(event.start), clock(event.end), f"{event.peak:.2f}", clock(event.peak_time)
            table.add_row(timeline.video, *times, *likeliest)
    return table
