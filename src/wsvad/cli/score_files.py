"""Score video files and write everything that people look at."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wsvad.cli.score_outputs import (
    Outputs,
    cut_events,
    draw_overlay,
    is_own,
    overlay_name,
    spare,
    stay_inside,
    too_long,
    write_all,
)
from wsvad.datasets.folder import videos_in
from wsvad.detection.detector import Detector, Mode
from wsvad.detection.kept import Found, Kept, Stamp
from wsvad.detection.timeline import Timeline
from wsvad.device import name_of
from wsvad.errors import Interrupted, UsageError, WsvadError, shortage
from wsvad.interrupts import interrupted_by
from wsvad.locks import writing
from wsvad.pages.report import ReportSummary
from wsvad.pages.words import count
from wsvad.progress import report_progress
from wsvad.video.clock import SNIPPET
from wsvad.video.names import file_stems
from wsvad.video.wall_clock import WallClock, tags_of
from wsvad.video.whole import cut_off

logger = logging.getLogger(__name__)
NAMED = 3
"""Names that a message lists."""
KEEP_EVERY = 60.0
"""Seconds after which it is kept how far a long video is encoded; longer where writing it takes long."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What `wsvad score` found."""

    timelines: Sequence[Timeline]
    failed: Mapping[str, str]
    """File → why it could not be scored."""
    sentences: Sequence[str]
    """What has to be known of threshold, hours and times."""


def score_files(
    what: Sequence[Path],
    model: Path,
    *,
    mode: Mode = "whole",
    out: Path,
    threshold: float | None = None,
    max_false_alarms_per_hour: float | None = None,
    outputs: Outputs,
    raw_rate: float | None = None,
    device: str = "auto",
) -> Scores:
    """Everything that `wsvad score` does.

    Raises:
        WsvadError: not a run; or `out` cannot be written to, or something else would be written over there.
        Interrupted: by Ctrl-C; what is finished is written, and kept for the next call.
    """
    detector = Detector.load(
        model, device=device, threshold=threshold, max_false_alarms_per_hour=max_false_alarms_per_hour
    )
    if detector.scorer.device.type != "cpu":
        logger.info("networks run on %s", name_of(str(detector.scorer.device)))
    left: dict[Path, str] = {}
    videos = dict(videos_in(what, left))
    stems = file_stems(list(videos))
    spare(out, [out / overlay_name(stem) for stem in stems.values() if outputs.overlay], list(videos.values()))
    check_names(videos, outputs.clock)
    # What says of itself that it was written here is believed where it would have been: anybody can say so.
    failed = {str(path): why for path, why in left.items() if not is_own(path.absolute(), out.absolute())}
    failed |= too_long(out, videos, outputs)
    videos = {name: path for name, path in videos.items() if str(path) not in failed}
    kept = Kept(out, detector.run, mode, raw_rate)
    stay_inside(out, [kept.path(name) for name in videos])
    stay_inside(out, [out / file for stem in stems.values() for file in outputs.files(stem).values()])
    scoring = Scoring(
        detector=detector, kept=kept, mode=mode, videos=videos, stems=stems, outputs=outputs, failed=failed
    )
    stopped = False
    with writing(out):
        try:
            scoring.run()
        except KeyboardInterrupt:
            stopped = True
        timelines = [scoring.found[name] for name in videos if name in scoring.found]
        # Also where nothing could be scored: results of an earlier call must not look like those of this one.
        if timelines or scoring.failed:
            summary = ReportSummary(
                model=f"{detector.trained.name}, {mode}",
                threshold=detector.calibrations.sentence(mode),
                notes=[
                    *([f"{scoring.so_far.capitalize()}."] if stopped else []),
                    detector.calibrations.rarity_sentence(mode),
                    *scoring.sentences,
                    *scoring.notes,
                ],
                left_out=list(scoring.failed.values()),
            )
            write_all(out, timelines, stems, scoring.failed, outputs, summary)
    if stopped:
        raise Interrupted(f"{out}: {scoring.so_far}; run the same command again to resume")
    told = detector.calibrations
    sentences = [told.sentence(mode), told.rarity_sentence(mode), *scoring.sentences]
    return Scores(timelines=timelines, failed=scoring.failed, sentences=sentences)


def check_names(videos: Mapping[str, Path], clock: WallClock) -> None:
    """Say which names do not fit a pattern, before any work.

    Raises:
        UsageError: none does; or one start was given for several videos.
    """
    if clock.given is not None and len(videos) > 1:
        raise UsageError(
            f"--start: is for one video, not for {len(videos)}; use --name-pattern, or score one at a time"
        )
    if clock.pattern is None:
        return
    fits = [name for name, path in videos.items() if clock.pattern.read(path.as_posix())]
    others = [name for name in videos if name not in fits]
    pattern = f"--name-pattern {clock.pattern.text}"
    if not fits:
        raise UsageError(f"{pattern}: fits none of {len(videos)} names, such as '{others[0]}'")
    if others:
        logger.warning("%s: fits %d of %d names, not %s", pattern, len(fits), len(videos), listed(others))
    never = [n for n in fits if (start := clock.start(videos[n].as_posix())) is None or start.origin != "name"]
    if never:
        logger.warning("%s: gives a start in the future, or before 1980, for %s", pattern, listed(never))


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@dataclass(kw_only=True)
class Scoring:
    """Videos that are scored one after the other; what was said of each is kept at once."""

    detector: Detector
    kept: Kept
    mode: Mode
    videos: Mapping[str, Path]
    stems: Mapping[str, str]
    """Name → what files about it are named after."""
    outputs: Outputs
    found: dict[str, Timeline] = field(default_factory=dict)
    """Name → what was found in it."""
    failed: dict[str, str] = field(default_factory=dict)
    """File → why it could not be scored."""
    outside: int = 0
    """Events that are not in the hours of alerts."""
    partly: str = ""
    """The video in which it was interrupted, and how far that is kept."""

    @property
    def so_far(self) -> str:
        """How far it had come when it was interrupted."""
        return f"interrupted; {len(self.found)} of {len(self.videos)} videos are finished and kept{self.partly}"

    @property
    def sentences(self) -> list[str]:
        """What has to be known of all videos, of hours and times."""
        origins = Counter(one.recorded.origin for one in self.found.values() if one.recorded is not None)
        unknown = len(self.found) - origins.total()
        words = {"given": "given", "name": "from names", "container": "from metadata"}
        told = ", ".join(f"{number} {words[origin]}" for origin, number in sorted(origins.items()))
        times = [f"Starts of recordings: {told}{f', {unknown} unknown' if unknown else ''}."] if told else []
        known = self.detector.trained.familiarity
        summary = known.summary([one.distance for one in self.found.values()]) if known else ""
        foreign = [summary] if summary else []
        if self.outputs.hours is None:
            return [*foreign, *times]
        known_not = count(unknown, "video")
        without = f" Where the start is unknown, all events are reported ({known_not})." if unknown else ""
        left = f"{count(self.outside, 'event')} {'is' if self.outside == 1 else 'are'} left out"
        return [*foreign, *times, f"Alerts are limited to {self.outputs.hours}: {left}.{without}"]

    @property
    def notes(self) -> list[str]:
        """What has to be known of single videos."""
        return [note for one in self.found.values() for note in self.notes_of(one)]

    def notes_of(self, timeline: Timeline) -> Sequence[str]:
        """The same of one. Where many are unlike the training videos, one of `sentences` says so of all of them."""
        many = sum(one.foreign for one in self.found.values()) > NAMED
        return timeline.notes[:-1] if many and timeline.foreign else timeline.notes

    def run(self) -> None:
        """Score what was not scored before, draw what is to be drawn, and cut what is to be cut.

        Raises:
            WsvadError: what was found in a video cannot be written.
        """
        for name, path in self.videos.items():
            if said := self.kept.read(name, path):
                self.take(name, said)
        if self.found:
            logger.info("%d of %d videos were scored before, and are kept", len(self.found), len(self.videos))
        for name, path in self.videos.items():
            try:
                if name not in self.found:
                    self.score(name, path)
                if self.outputs.overlay:
                    draw_overlay(self.found[name], self.kept, self.stems[name])
                if self.outputs.clips is not None:
                    cut_events(self.found[name], self.kept, self.stems[name], self.outputs.clips)
            except Exception as error:  # an interrupt or a shortage comes in whichever class a library gives it
                if interrupted_by(error):
                    raise KeyboardInterrupt from error
                short = shortage(error)
                if not short and not isinstance(error, WsvadError):
                    raise
                if isinstance(error.__cause__, OSError):  # it is not the video's fault that nothing can be written
                    raise
                self.failed[str(path)] = f"{path}: {short}" if short else str(error)

    def score(self, name: str, path: Path) -> None:
        """Score a video, from where an earlier call came in it."""
        frames, stamp = 0, Stamp.of(path, self.kept.raw_rate)
        part = self.kept.read_part(name, stamp, self.detector.shapes)
        if part.snippets:
            logger.info("%s: %s frames were encoded before, and are kept", name, f"{part.snippets * SNIPPET:,}")
        due = time.monotonic() + KEEP_EVERY

        def on_frames(count: int) -> None:
            nonlocal frames, due
            frames += count
            report_progress(name, frames, None, f"{frames:,} frames")
            if (begun := time.monotonic()) > due:
                self.kept.write_part(name, stamp, part)
                due = time.monotonic() + max(KEEP_EVERY, 50 * (time.monotonic() - begun))

        try:
            clock, scored = self.detector.look_at(
                path, mode=self.mode, raw_rate=self.kept.raw_rate, on_frames=on_frames, part=part
            )
        except BaseException as error:  # Ctrl-C is no Exception; whatever it is goes on
            if interrupted_by(error) and part.snippets:
                self.kept.write_part(name, stamp, part)
                self.partly = f", and {part.snippets * SNIPPET:,} frames of {name}"
            raise
        found = Found(clock=clock, scored=scored, tags=tags_of(path))
        self.kept.write(name, stamp, found)
        self.take(name, found)
        report_progress(name, clock.frames, clock.frames, f"{clock.frames:,} frames")

    def take(self, name: str, found: Found) -> None:
        """The events in what was found, those that are reported; and when they were."""
        path, hours = self.videos[name], self.outputs.hours
        timeline = self.detector.timeline(name, found.clock, found.scored, mode=self.mode, path=path)
        whole = replace(timeline, recorded=self.outputs.clock.start(path.as_posix(), found.tags))
        self.found[name] = whole if hours is None else whole.only(lambda event: hours.alert(whole, event))
        self.outside += len(whole.events) - len(self.found[name].events)
        for note in self.notes_of(whole):
            logger.warning("%s", note)
        if part_only := _cut_off(path):  # what there is of it stays, and nobody may think that all was looked at
            self.failed[str(path)] = f"{path}: {part_only}; copy it again"


def _cut_off(path: Path) -> str | None:
    """As `cut_off`; a file that is gone by now was looked at before."""
    try:
        return cut_off(path)
    except OSError:
        return None
