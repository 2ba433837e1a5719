"""Weakly-supervised video anomaly detection: from a folder of labelled videos to the moments that matter.

The names here are the stable interface; `examples/` shows three uses.

    Detector        a trained detector: `Detector.load(run)`, `score(path | frames | features)`, `live()`
    LiveScorer      scores a live source frame by frame; equal to the replay of its recording
    Timeline        what a detector finds in one video: scores, events, times
    Event           one event of a timeline
    WallClock       where the start of a recording is looked for: given, in names, in metadata
    write_clips     a video file of each event of a timeline
    write_exports   scores and events of timelines as CSV, JSON, SRT, VTT, EDL, ICS
    open_dataset    videos with their weak labels, from a folder or the official files of a published dataset
    extract         feature files of a dataset
    train           a detector from a folder of labelled videos
    evaluate        metrics of a run, or of the scores of any system
    METHODS, ENCODERS, DATASETS    registries of names; other packages add theirs by entry points
    WsvadError      raised when a file, a label or a setting is wrong: one line that says what to do
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsvad.version import __version__

if TYPE_CHECKING:
    from wsvad.datasets.benchmark import DATASETS
    from wsvad.datasets.open import open_dataset
    from wsvad.detection.detector import Detector
    from wsvad.detection.exports import write_exports
    from wsvad.detection.live import LiveScorer
    from wsvad.detection.timeline import Timeline
    from wsvad.encoders import ENCODERS
    from wsvad.errors import WsvadError
    from wsvad.evaluation.measure import evaluate
    from wsvad.extraction.prepare import extract_dataset as extract
    from wsvad.methods import METHODS
    from wsvad.metrics.events import Event
    from wsvad.pages.event_clips import write_clips
    from wsvad.training.train import train
    from wsvad.video.wall_clock import WallClock

__all__ = [
    "DATASETS", "ENCODERS", "METHODS", "Detector", "Event", "LiveScorer", "Timeline", "WallClock", "WsvadError",
    "__version__", "evaluate", "extract", "open_dataset", "train", "write_clips", "write_exports",
]  # fmt: skip

_PLACES = {
    "DATASETS": "wsvad.datasets.benchmark:DATASETS",
    "ENCODERS": "wsvad.encoders:ENCODERS",
    "METHODS": "wsvad.methods:METHODS",
    "Detector": "wsvad.detection.detector:Detector",
    "Event": "wsvad.metrics.events:Event",
    "LiveScorer": "wsvad.detection.live:LiveScorer",
    "Timeline": "wsvad.detection.timeline:Timeline",
    "WallClock": "wsvad.video.wall_clock:WallClock",
    "WsvadError": "wsvad.errors:WsvadError",
    "evaluate": "wsvad.evaluation.measure:evaluate",
    "extract": "wsvad.extraction.prepare:extract_dataset",
    "open_dataset": "wsvad.datasets.open:open_dataset",
    "train": "wsvad.training.train:train",
    "write_clips": "wsvad.pages.event_clips:write_clips",
    "write_exports": "wsvad.detection.exports:write_exports",
}


def __getattr__(name: str) -> Any:
    """Import what is used when it is used: `import wsvad` itself loads no torch."""
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'wsvad' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
