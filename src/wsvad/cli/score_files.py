"""Score video files and write everything that people look at."""

from collections.abc import Sequence
from pathlib import Path

from wsvad.datasets.folder import videos_in
from wsvad.detection.detector import Detector, Mode
from wsvad.detection.timeline import Timeline, write_events_csv, write_scores_csv, write_scores_json
from wsvad.errors import WsvadError
from wsvad.pages.overlay import write_overlay
from wsvad.pages.report import ReportSummary, write_report
from wsvad.progress import report_progress


def score_files(
    what: Sequence[Path],
    model: Path,
    *,
    mode: Mode = "whole",
    out: Path,
    max_false_alarms_per_hour: float | None = None,
    overlay: bool = False,
) -> tuple[list[Timeline], dict[str, str], str]:
    """Everything that `wsvad score` does.

    Returns:
        The timelines; the videos that could not be scored, with the reason; and what can be said of the threshold.
    """
    detector = Detector.load(model, max_false_alarms_per_hour=max_false_alarms_per_hour)
    timelines: list[Timeline] = []
    failed: dict[str, str] = {}
    for path in videos_in(what):
        frames = 0

        def on_frames(count: int, name: str = path.name) -> None:
            nonlocal frames
            frames += count
            report_progress(name, frames, None, f"{frames:,} frames")

        try:
            timeline = detector.score(path, mode=mode, on_frames=on_frames)
            if overlay:
                again = sum(Path(other.video).stem == path.stem for other in timelines)
                write_overlay(timeline, out / f"{path.stem}{f'-{again + 1}' if again else ''}.overlay.mp4")
            timelines.append(timeline)
            report_progress(path.name, timeline.frames, timeline.frames, f"{timeline.frames:,} frames")
        except WsvadError as error:
            failed[str(path)] = str(error)
    if timelines:
        write_scores_json(out / "scores.json", timelines)
        write_events_csv(out / "events.csv", timelines)
        write_scores_csv(out / "scores.csv", timelines)
        summary = ReportSummary(
            model=f"{detector.trained.name}, {mode}", threshold=detector.calibrations.sentence(mode)
        )
        write_report(out / "report.html", timelines, title="Scored videos", summary=summary)
    return timelines, failed, detector.calibrations.sentence(mode)
