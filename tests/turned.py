"""Finished runs that were never trained: normal video and known events, as `train` keeps their scores."""

from pathlib import Path

import numpy as np

from wsvad.detection.calibration import NormalScores, calibrated, known_record
from wsvad.detection.operating import Known
from wsvad.methods.mil import Mil, MilConfig
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Normalisation

PLAIN = EventRules(low=1, min_seconds=0, merge_seconds=0)


def bursts(peaks, seconds: float = 100.0, apart: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Scores and times of a quiet video with a burst of one snippet at each peak."""
    scores = np.full(apart * len(peaks) + apart, 0.01)
    scores[apart * np.arange(1, len(peaks) + 1)] = peaks
    return scores, np.arange(len(scores) + 1) * seconds


def known(peaks, split: str = "test") -> Known:
    """A video with an event at each peak, of 10 s in the middle of the burst."""
    scores, times = bursts(peaks)
    return Known(
        video="k.mp4", scores=scores, times=times, split=split,
        events=[(times[10 * n] + 40, times[10 * n] + 50) for n in range(1, len(peaks) + 1)],
    )  # fmt: skip


def finished_run(
    path: Path, normal=None, events=None, *, fits: int = 5, hours: float | None = None, budget: float = 1.0
) -> RunFolder:
    """A finished run of an untrained method.

    Args:
        normal: scores and times of a normal video; none by default.
        events: a video with known events.
        hours: of normal training video in all.
    """
    run, modes = RunFolder(path), ("whole", "online")
    run.path.mkdir(parents=True, exist_ok=True)
    curves = {mode: [("n.mp4", *normal)] for mode in modes} if normal else {}
    scores = NormalScores(fits=fits if normal else 0, curves=curves, hours=hours)
    calibration = calibrated(scores, PLAIN, budget).as_dict()
    method = Mil({"rgb": 3}, MilConfig(hidden=(4, 2)))
    trained = TrainedMethod(
        name="mil", method=method, widths={"rgb": 3}, normalisation=Normalisation(kinds={"rgb": "l2"}),
        calibration=calibration,
    )  # fmt: skip
    record = scores.as_dict() | known_record({mode: [events] if events else [] for mode in modes})
    run.finish(trained, calibration=record)
    return run
