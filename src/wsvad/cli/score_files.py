"""Score video files and write everything that people look at."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wsvad.datasets.folder import videos_in
from wsvad.detection.detector import Detector, Mode
from wsvad.detection.kept import Kept
from wsvad.detection.timeline import Timeline, write_events_csv, write_scores_csv, write_scores_json
from wsvad.errors import Interrupted, UsageError, WsvadError, shortage
from wsvad.files import overlong, read_json, sha256, write_json
from wsvad.interrupts import interrupted_by
from wsvad.locks import writing
from wsvad.pages.overlay import write_overlay
from wsvad.pages.report import ReportSummary, write_report
from wsvad.progress import report_progress
from wsvad.runs.folder import RunFolder

logger = logging.getLogger(__name__)


def score_files(
    what: Sequence[Path],
    model: Path,
    *,
    mode: Mode = "whole",
    out: Path,
    max_false_alarms_per_hour: float | None = None,
    overlay: bool = False,
    rate: float | None = None,
) -> tuple[list[Timeline], dict[str, str], str]:
    """Everything that `wsvad score` does.

    Returns:
        The timelines; the videos that could not be scored, with the reason; and what can be said of the threshold.

    Raises:
        WsvadError: not a run; or `out` cannot be written to, or something else would be written over there.
        Interrupted: by Ctrl-C; what is finished is written, and kept for the next call.
    """
    detector = Detector.load(model, max_false_alarms_per_hour=max_false_alarms_per_hour)
    videos = dict(videos_in(what))
    overlays = overlay_names(list(videos)) if overlay else {}
    spare(out, [out / one for one in overlays.values()], list(videos.values()))
    kept, failed = Kept(out, detector.run, mode, rate), {}
    for name, path in videos.items():
        if overlay and (long := overlong(out / overlays[name])):
            failed[str(path)] = f"{path}: its overlay would need {long}; shorten the video's name"
    videos = {name: path for name, path in videos.items() if str(path) not in failed}
    scoring = Scoring(detector=detector, kept=kept, mode=mode, videos=videos, failed=failed)
    stopped = False
    with writing(out):
        try:
            scoring.run(overlays)
        except KeyboardInterrupt:
            stopped = True
        timelines = [scoring.found[name] for name in videos if name in scoring.found]
        if timelines:
            write_all(out, timelines, scoring, stopped)
    if stopped:
        raise Interrupted(f"{out}: {scoring.so_far}; run the same command again to resume")
    return timelines, scoring.failed, detector.calibrations.sentence(mode)


@dataclass(kw_only=True)
class Scoring:
    """Videos that are scored one after the other; what was said of each is kept at once."""

    detector: Detector
    kept: Kept
    mode: Mode
    videos: Mapping[str, Path]
    found: dict[str, Timeline] = field(default_factory=dict)
    """Name → what was found in it."""
    failed: dict[str, str] = field(default_factory=dict)
    """File → why it could not be scored."""

    @property
    def so_far(self) -> str:
        """How far it had come when it was interrupted."""
        return f"interrupted; {len(self.found)} of {len(self.videos)} videos are finished and kept"

    def run(self, overlays: Mapping[str, str]) -> None:
        """Score what was not scored before, and draw what is to be drawn.

        Raises:
            WsvadError: what was found in a video cannot be written.
        """
        for name, path in self.videos.items():
            if said := self.kept.read(name, path):
                self.found[name] = self.detector.timeline(name, *said, mode=self.mode, path=path)
        if self.found:
            logger.info("%d of %d videos were scored before, and are kept", len(self.found), len(self.videos))
        for name, path in self.videos.items():
            try:
                if name not in self.found:
                    self.score(name, path)
                if name in overlays:
                    self.draw(name, overlays[name])
            except Exception as error:
                if interrupted_by(error):
                    raise KeyboardInterrupt from error
                short = shortage(error)
                if not short and not isinstance(error, WsvadError):
                    raise
                if isinstance(error.__cause__, OSError):  # it is not the video's fault that nothing can be written
                    raise
                self.failed[str(path)] = f"{path}: {short}" if short else str(error)

    def score(self, name: str, path: Path) -> None:
        """Score a video."""
        frames = 0

        def on_frames(count: int) -> None:
            nonlocal frames
            frames += count
            report_progress(name, frames, None, f"{frames:,} frames")

        clock, scored = self.detector.look_at(path, mode=self.mode, rate=self.kept.rate, on_frames=on_frames)
        self.kept.write(name, path, clock, scored)
        self.found[name] = self.detector.timeline(name, clock, scored, mode=self.mode, path=path)
        report_progress(name, clock.frames, clock.frames, f"{clock.frames:,} frames")

    def draw(self, name: str, overlay: str) -> None:
        """Draw a video with its scores, if that was not done."""
        timeline, scores = self.found[name], self.kept.path(name)
        drawn = {"scores": sha256(scores), "threshold": timeline.threshold, "low": timeline.low}
        note, place = self.kept.drawing(name), self.kept.out / overlay
        if not place.is_file() or not note.is_file() or read_json(note) != drawn:
            write_overlay(timeline, place)
            write_json(note, drawn)


def write_all(out: Path, timelines: Sequence[Timeline], scoring: Scoring, stopped: bool) -> None:
    """The results of all videos, as far as they are scored."""
    write_scores_json(out / "scores.json", timelines)
    write_events_csv(out / "events.csv", timelines)
    write_scores_csv(out / "scores.csv", timelines)
    summary = ReportSummary(
        model=f"{scoring.detector.trained.name}, {scoring.mode}",
        threshold=scoring.detector.calibrations.sentence(scoring.mode),
        notes=[f"{scoring.so_far.capitalize()}."] if stopped else [],
    )
    write_report(out / "report.html", timelines, title="Scored videos", summary=summary)


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
