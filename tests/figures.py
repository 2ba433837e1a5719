"""Figures of `evaluate --json`, for tests that compare two of them."""

from collections.abc import Mapping
from typing import Any

from wsvad.evaluation.vocabulary import ALERT_KEYS


def without_alerts(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those that do not depend on a threshold, which a scores file has not."""
    return {name: value for name, value in metrics.items() if name not in (*ALERT_KEYS, "alerts")}
