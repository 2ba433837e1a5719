"""The thresholds of a detector: one for each mode, with what makes an event and what can be promised."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsvad.detection.events import EventRules
from wsvad.detection.threshold import Calibration, calibrate, usable
from wsvad.errors import WsvadError
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import MODES, Mode

UNCALIBRATED = 0.5
"""The threshold of a detector that no normal video was kept apart for."""
NOT_CALIBRATED = f"Not calibrated: no normal training video was held out. Using threshold {UNCALIBRATED:.2f}."


@dataclass(frozen=True, kw_only=True)
class Calibrations:
    """What `model.json` says of thresholds."""

    rules: EventRules = field(default_factory=EventRules)
    each: dict[Mode, Calibration] = field(default_factory=dict)
    """A mode without one was not calibrated."""

    def threshold(self, mode: Mode) -> float:
        """The score at which an event starts."""
        found = self._nearest(mode)
        return found.threshold if found else UNCALIBRATED

    def sentence(self, mode: Mode) -> str:
        """What a reader should know of it."""
        found = self._nearest(mode)
        if found is None:
            return NOT_CALIBRATED
        other = next((name for name in MODES if name not in self.each), None) if mode not in self.each else None
        return f"{found.sentence} (calibrated for another mode than {other})" if other else found.sentence

    def as_dict(self) -> dict[str, Any]:
        """For `model.json`."""
        modes = {mode: dataclasses.asdict(found) for mode, found in self.each.items()}
        return {"rules": dataclasses.asdict(self.rules), "modes": modes}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Calibrations":
        """From `model.json`; of run format 2, whose one threshold was calibrated for whole videos, too."""
        rules = EventRules(**record.get("rules", {}))
        if "threshold" in record:
            old = {name: value for name, value in record.items() if name != "rules"}
            return cls(rules=rules, each={"whole": Calibration(**old)})
        return cls(rules=rules, each={mode: Calibration(**found) for mode, found in record.get("modes", {}).items()})

    def _nearest(self, mode: Mode) -> Calibration | None:
        """That of the mode, or of the other one where only that was calibrated."""
        return self.each.get(mode) or next(iter(self.each.values()), None)


Curves = list[tuple[np.ndarray, np.ndarray]]
"""Of each normal video its scores `(T,)` and its snippets' borders `(T + 1,)` in seconds."""


def calibrated(curves: Mapping[Mode, Curves], rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Choose a threshold for each mode that has curves."""
    each = {
        mode: usable(calibrate(normal, rules, max_false_alarms_per_hour), normal, rules)
        for mode, normal in curves.items()
        if normal
    }
    return Calibrations(rules=rules, each=each)


def recalibrated(run: RunFolder, rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Calibrate a finished run for another budget.

    Raises:
        WsvadError: it kept no scores of normal videos.
    """
    record = run.read_calibration()
    if not record:
        raise WsvadError(
            f"{run.path}: keeps no scores of held-out normal video to calibrate on; train with --hold-out 0.2"
        )
    if isinstance(record, list):  # format 2
        record = {"whole": record}
    curves: dict[Mode, Curves] = {
        mode: [(np.asarray(one["scores"]), np.asarray(one["times"])) for one in record[mode]]
        for mode in MODES
        if record.get(mode)
    }
    return calibrated(curves, rules, max_false_alarms_per_hour)
