"""Figures of alerts on the test videos of an experiment, of whole videos and online, over its seeds."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsvad.detection.calibration import Calibrations, calibrated
from wsvad.evaluation.alerting import DEPLOYED, TOO_MANY, Alerts, measure_alerts
from wsvad.metrics.events import EventRules
from wsvad.runs.scorer import MODES, Mode
from wsvad.training.cross_fit import selection_scores
from wsvad.training.selection import spread

if TYPE_CHECKING:  # an experiment asks for these figures itself
    from wsvad.training.experiment import Experiment

logger = logging.getLogger(__name__)
BUDGET = 1.0
"""False alarms an hour by which thresholds are chosen where nobody says."""


def calibrations_of(experiment: "Experiment") -> list[Calibrations]:
    """Of each seed, the thresholds that its held-out normal videos give for 1 false alarm an hour: those of `wsvad
    train` where there is little normal video."""
    return [calibrated(normal, EventRules(), BUDGET) for normal in selection_scores(experiment)]


def alerts_of(experiment: "Experiment", calibrations: Sequence[Calibrations]) -> dict[Mode, Alerts]:
    """Figures of each mode; empty where the truth of no test video is known.

    Args:
        calibrations: the thresholds of each seed.
    """
    found, modes = {}, MODES if experiment.watchable else ("whole",)
    if modes != MODES:
        logger.info("note: %s", TOO_MANY)
    for mode in modes:
        thresholds, rules = [one.threshold(mode) for one in calibrations], calibrations[0].rules
        if alerts := measure_alerts(experiment.test_curves(mode), thresholds, rules, mode, DEPLOYED):
            found[mode] = alerts
    return found


def record_of(alerts: Mapping[Mode, Alerts]) -> dict[str, Any]:
    """For `metrics.json`: `events`, mean and spread over seeds of each key; `alerts`, where they begin and what other
    thresholds do."""
    values: dict[str, Sequence[float]] = {key: some for one in alerts.values() for key, some in one.values.items()}
    return {
        "events": {key: spread(some) for key, some in values.items()},
        "alerts": {mode: one.as_dict() for mode, one in alerts.items()},
    }
