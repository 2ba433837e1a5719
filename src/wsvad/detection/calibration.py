"""The thresholds of a detector: one for each mode, with what makes an event and what can be promised."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from wsvad.detection.events import EventRules
from wsvad.detection.threshold import Calibration, Normal, calibrate, usable
from wsvad.errors import WsvadError
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import MODES, Mode
from wsvad.shapes import checked
from wsvad.video.clock import are_borders, are_filmed

UNCALIBRATED = 0.5
"""The threshold of a detector that no normal video was kept apart for."""
NOT_CALIBRATED = f"Not calibrated: no normal training video was held out. Using threshold {UNCALIBRATED:.2f}."


@dataclass(frozen=True, kw_only=True)
class NormalScores:
    """What is calibrated on: scores of normal training videos by fits that have not seen them."""

    fits: int
    """How many fits scored them."""
    curves: Mapping[Mode, Sequence[tuple[str, np.ndarray, np.ndarray]]]
    """Of each video its name, its scores `(T,)` in that mode, and its snippets' borders `(T + 1,)` in seconds."""
    filmed: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Of each video the seconds filmed in each snippet, `(T,)`; without those whose features do not say."""

    def __post_init__(self) -> None:
        for each in self.curves.values():
            for name, scores, times in each:
                counted = self.filmed.get(name)
                fits = are_borders(times, len(scores)) and (counted is None or are_filmed(counted, times))
                if not fits:
                    raise WsvadError(
                        f"{name}: {len(scores)} scores for calibration do not go with {len(times)} times; delete the "
                        "run folder and train again"
                    )

    def of(self, mode: Mode) -> list[Normal]:
        """The videos in a mode, as `calibrate` takes them."""
        each = self.curves.get(mode, ())
        return [(s, t, self.filmed[name]) if name in self.filmed else (s, t) for name, s, t in each]

    def as_dict(self) -> dict[str, Any]:
        """For `calibration.json`."""
        filmed = {"filmed": {name: counted.tolist() for name, counted in self.filmed.items()}} if self.filmed else {}
        return {"fits": self.fits, **filmed} | {
            mode: [{"video": name, "scores": scores.tolist(), "times": times.tolist()} for name, scores, times in each]
            for mode, each in self.curves.items()
        }

    @classmethod
    def read(cls, record: Any) -> "NormalScores":
        """From `calibration.json`; a run of format 2 has a list, of whole videos."""
        if isinstance(record, list):
            record = {"fits": 1, "whole": record}
        return cls(
            fits=record["fits"],
            filmed={name: np.asarray(counted) for name, counted in record.get("filmed", {}).items()},
            curves={
                mode: [(one["video"], np.asarray(one["scores"]), np.asarray(one["times"])) for one in record[mode]]
                for mode in MODES
                if mode in record
            },
        )


@dataclass(frozen=True, kw_only=True)
class Calibrations:
    """What `model.json` says of thresholds."""

    rules: EventRules = field(default_factory=EventRules)
    each: Mapping[Mode, Calibration] = field(default_factory=dict)
    """A mode without one was not calibrated."""

    def threshold(self, mode: Mode) -> float:
        """The score at which an event starts: that of the mode, else that of the other one."""
        found = self.each.get(mode) or next(iter(self.each.values()), None)
        return found.threshold if found else UNCALIBRATED

    def sentence(self, mode: Mode) -> str:
        """What a reader should know of it."""
        if mode in self.each:
            return self.each[mode].sentence
        if not self.each:
            return NOT_CALIBRATED
        return f"Not calibrated for mode {mode}. Using threshold {self.threshold(mode):.2f} of another mode."

    def as_dict(self) -> dict[str, Any]:
        """For `model.json`."""
        modes = {mode: dataclasses.asdict(found) for mode, found in self.each.items()}
        return {"rules": dataclasses.asdict(self.rules), "modes": modes}

    @classmethod
    def read(cls, record: Mapping[str, Any], path: Path) -> "Calibrations":
        """From `model.json`; run format 2 has one threshold, which was calibrated for whole videos.

        Raises:
            WsvadError: the file is damaged.
        """
        rules = checked(path, record.get("rules", {}), EventRules, "train again", "rules")
        modes = record.get("modes", {})
        if "threshold" in record:
            old = {name: value for name, value in record.items() if name != "rules"}
            modes = {"whole": old | {"mode": "whole", "fits": 1, "spread": 0.0}}
        modes = checked(path, modes, Modes, "train again", "modes")
        return cls(rules=EventRules(**rules), each={mode: Calibration(**found) for mode, found in modes.items()})


class Modes(TypedDict):
    """Of `model.json`."""

    whole: NotRequired[Calibration]
    online: NotRequired[Calibration]


def calibrated(normal: NormalScores, rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Choose a threshold for each mode that has scores."""
    each: dict[Mode, Calibration] = {}
    for mode in normal.curves:
        if plain := normal.of(mode):
            found = calibrate(plain, rules, max_false_alarms_per_hour, mode=mode, fits=normal.fits)
            each[mode] = usable(found, plain, rules)
    return Calibrations(rules=rules, each=each)


def recalibrated(run: RunFolder, rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Calibrate a finished run for another budget.

    Raises:
        WsvadError: it kept no scores of normal videos.
    """
    record = run.read_calibration()
    found = calibrated(NormalScores.read(record), rules, max_false_alarms_per_hour) if record else Calibrations()
    if not found.each:
        raise WsvadError(f"{run.path}: keeps no scores of held-out normal video; train again with --hold-out 0.2")
    return found
