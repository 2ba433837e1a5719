"""Which point of a training run is reported, and the mean and spread of that over seeds."""

from collections.abc import Sequence
from math import isnan, nan
from typing import Any

import numpy as np

SELECTIONS = ("last", "held_out", "best_on_test")


def choose(history: list[dict[str, Any]], iteration: int | None) -> dict[str, dict[str, float] | None]:
    """Test metrics of the three selections, from one fit's history."""
    tested = [row for row in history if "test" in row]
    by_iteration = {row["iteration"]: row["test"] for row in tested}
    # Held-out iterations come from the same grid of points, because both fits have the same phases.
    headline = "auc" if not isnan(tested[-1]["test"]["auc"] or nan) else "video_auc"
    best = max(tested, key=lambda row: -1.0 if isnan(row["test"][headline] or nan) else row["test"][headline])
    return {
        "last": tested[-1]["test"],
        "held_out": by_iteration.get(iteration) if iteration else None,
        "best_on_test": best["test"],
    }


def over_seeds(each: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """`{metric: {"mean", "std", "values"}}`; the standard deviation is that of a sample, 0 for one seed."""
    return {name: spread([nan if e[name] is None else e[name] for e in each]) for name in each[0]}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation and the values themselves."""
    mean = float(np.mean(values))
    return {"mean": mean, "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, "values": list(values)}
