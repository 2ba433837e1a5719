"""The threshold of one camera, from its own normal footage, in online mode.

The footage is scored as a camera's is, snippet by snippet, and the windows of a video reach back into the one before
(`runs.online`); of a live source each break begins a new window, and what comes until it is full is left out.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsvad.detection.live import LiveScore
from wsvad.detection.threshold import Calibration, Normal, calibrate, hours_needed, time_in_words, usable
from wsvad.errors import WsvadError
from wsvad.files import write_json
from wsvad.progress import report_progress
from wsvad.runs.folder import RunFolder
from wsvad.video.live import LiveSource
from wsvad.video.reader import VideoReader
from wsvad.video.ring import Break
from wsvad.watch.model import CameraModel, on_site
from wsvad.watch.settings import CameraSettings, Site
from wsvad.watch.zones import Zones

logger = logging.getLogger(__name__)

A_DAY = 1 / 24
"""One false alarm a day, by the hour."""


class NormalFootage:
    """Scores of what is taken to be normal."""

    def __init__(self) -> None:
        self.parts: list[list[LiveScore]] = [[]]
        """Snippets that follow each other, of each video or stretch."""

    def add(self, scored: LiveScore | None) -> None:
        if scored is not None and scored.settled:
            self.parts[-1].append(scored)

    def cut(self) -> None:
        """What comes does not follow."""
        if self.parts[-1]:
            self.parts.append([])

    @property
    def hours(self) -> float:
        return sum(one.end - one.start for part in self.parts for one in part) / 3600

    def normal(self) -> list[Normal]:
        """As `calibrate` takes it."""
        found: list[Normal] = []
        for part in filter(None, self.parts):
            times = np.array([*(one.start for one in part), part[-1].end])
            filmed = np.array([one.end - one.start for one in part])
            found.append((np.array([one.score for one in part]), times, np.minimum(filmed, np.diff(times))))
        return found


def of_videos(
    model: CameraModel, settings: CameraSettings, videos: Sequence[Path], stopped: threading.Event
) -> NormalFootage:
    """Score videos one after the other, as one camera shows them, until it is stopped.

    Raises:
        WsvadError: one cannot be read.
    """
    found, scorer, zones = NormalFootage(), model.scorer(settings), Zones(settings.zones)
    for number, path in enumerate(videos):
        report_progress("score", number, len(videos), path.name)
        with VideoReader(path, decode=model.detector.trained.decode) as video:
            for frame in video:
                if stopped.is_set():
                    break
                found.add(scorer.push(zones(frame)))
        scorer.next_recording()
        found.cut()
    report_progress("score", len(videos), len(videos))
    return found


def of_camera(site: Site, name: str, model: CameraModel, hours: float, stopped: threading.Event) -> NormalFootage:
    """Score a camera for so many hours, or until it is stopped."""
    settings = site.cameras[name]
    found, scorer, zones = NormalFootage(), model.scorer(settings), Zones(settings.zones)
    said, reported = "", 0.0
    with LiveSource(site.source(name), decode=model.detector.trained.decode) as source:
        while not stopped.is_set() and not source.ended and found.hours < hours:
            item = source.take(0.5)
            if isinstance(item, Break):
                scorer.reset()
                found.cut()
            elif item is not None:
                found.add(scorer.push(zones(item)))
            if (now := source.health.said) != said:
                said = now
                logger.info("%s: %s", name, said or "pictures come")
            if time.monotonic() - reported > 1:
                reported = time.monotonic()
                done = f"{time_in_words(found.hours)} of {time_in_words(hours)}"
                report_progress("calibrate", found.hours, hours, done)
    return found


@dataclass(frozen=True, kw_only=True)
class OnSiteThreshold:
    """What was found."""

    calibration: Calibration
    path: Path
    """Where it is kept."""
    sentences: Sequence[str]


def calibrate_camera(
    model: CameraModel, camera: str, footage: NormalFootage, per_hour: float, *, keep: bool = True
) -> OnSiteThreshold:
    """Choose the threshold, and keep it beside the run.

    Args:
        per_hour: false alarms an hour that are allowed.

    Raises:
        WsvadError: there is no footage, or the run's folder cannot be written.
    """
    normal = footage.normal()
    if not normal:
        raise WsvadError(
            f"no snippet could be scored with a full window of {model.detector.scorer.window}; give more normal footage"
        )
    found = calibrate(normal, model.rules, per_hour, mode="online", fits=0)
    found = usable(found, normal, model.rules)
    path = on_site(model.detector.run, camera)
    if keep:
        names = ("scores", "times", "filmed")
        scores = [dict(zip(names, (array.tolist() for array in part), strict=True)) for part in normal]
        record = {
            "camera": camera,
            "threshold": found.threshold,
            "scoring": RunFolder(model.detector.run).scoring_hash(),
            "sentence": f"Found on site: {found.sentence}",
            "calibration": vars(found),
            "normal": scores,
        }
        write_json(path, record)
    return OnSiteThreshold(calibration=found, path=path, sentences=list(_sentences(found)))


def _sentences(found: Calibration) -> Iterable[str]:
    yield found.sentence
    for per_day in (1.0, 1 / 7):
        needed = hours_needed(per_day * A_DAY)
        if needed > found.hours and per_day * A_DAY < found.budget_per_hour - 1e-9:
            what = "day" if per_day == 1 else "week"
            more = time_in_words(needed - found.hours)
            yield f"To promise 1 false alarm a {what}, {more} more of normal footage without an alarm are needed."
