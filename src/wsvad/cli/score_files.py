"""Score video files and write everything that people look at."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wsvad.datasets.folder import videos_in
from wsvad.detection.detector import Detector, Mode
from wsvad.detection.timeline import Timeline, write_events_csv, write_scores_csv, write_scores_json
from wsvad.errors import UsageError, WsvadError
from wsvad.files import check_writable, overlong
from wsvad.pages.overlay import write_overlay
from wsvad.pages.report import ReportSummary, write_report
from wsvad.progress import report_progress
from wsvad.runs.folder import RunFolder


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

    Raises:
        WsvadError: not a run; or `out` cannot be written to, or something else would be written over there.
    """
    detector = Detector.load(model, max_false_alarms_per_hour=max_false_alarms_per_hour)
    timelines: list[Timeline] = []
    failed: dict[str, str] = {}
    videos = videos_in(what)
    overlays = overlay_names([name for name, _ in videos]) if overlay else {}
    spare(out, [out / one for one in overlays.values()], [path for _, path in videos])
    check_writable(out)
    for name, path in videos:
        if name in overlays and (long := overlong(out / overlays[name])):
            failed[str(path)] = f"{path}: its overlay would need {long}; shorten the video's name"
    videos = [(name, path) for name, path in videos if str(path) not in failed]
    for name, path in videos:
        frames = 0

        def on_frames(count: int, name: str = name) -> None:
            nonlocal frames
            frames += count
            report_progress(name, frames, None, f"{frames:,} frames")

        try:
            timeline = detector.score(path, name=name, mode=mode, on_frames=on_frames)
            if overlay:
                write_overlay(timeline, out / overlays[name])
            timelines.append(timeline)
            report_progress(name, timeline.frames, timeline.frames, f"{timeline.frames:,} frames")
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


def overlay_names(videos: Sequence[str]) -> dict[str, str]:
    """Video → its overlay, `gate/cam0.overlay.mp4` for `gate/cam0.avi`; videos that differ in the ending alone keep
    it, `gate/cam0.avi.overlay.mp4`."""
    stems = {video: str(PurePosixPath(video).with_suffix("")) for video in videos}
    times = Counter(stems.values())
    return {video: f"{stem if times[stem] == 1 else video}.overlay.mp4" for video, stem in stems.items()}
