"""Events found against false alarms an hour, a line a method: the chart of the leaderboard page.

The drawing is 1000 wide and 100 high, and stretched to its place. Rates rise to the right on a logarithmic scale; none
at all is its left edge. A line is the most events that any threshold finds with at most so many false alarms.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsvad.evaluation.alerting import WORDS
from wsvad.evaluation.vocabulary import ONLINE, percent
from wsvad.pages.palette import paint
from wsvad.runs.scorer import MODES

WIDTH, HEIGHT = 1000, 100
NONE = 40
"""Where the scale begins: left of it there is no false alarm."""


def alert_charts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A chart of each mode in which some method has a curve."""
    charts = []
    for mode in MODES:
        curves = {row["method"]: row.get("alerts", {}).get(mode, {}).get("curve", []) for row in rows}
        end = ONLINE if mode == "online" else ""
        if curves := {name: curve for name, curve in curves.items() if curve}:
            deployed = {row["method"]: operating(row, end) for row in rows if row["method"] in curves}
            charts.append({"name": WORDS[mode]} | chart(curves, deployed))
    return charts


def operating(row: Mapping[str, Any], end: str) -> tuple[float, float]:
    """False alarms an hour and share of events found at the deployed thresholds, the mean over seeds."""
    rate, share = (row["metrics"][f"{key}{end}"]["mean"] for key in ("false_alarms_per_hour", "events_found"))
    return rate, share


def chart(
    curves: Mapping[str, Sequence[Mapping[str, float]]], deployed: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """All that is drawn of one mode.

    Args:
        curves: method → its curve, as in `bench.json`.
        deployed: method → rate and share at its deployed threshold.
    """
    each = {name: best(curve) for name, curve in curves.items()}
    known = np.concatenate([*(rates for rates, _ in each.values()), [rate for rate, _ in deployed.values()]])
    some = known[known > 0]
    low = math.floor(math.log10(some.min())) if some.size else 0
    high = max(math.ceil(math.log10(some.max())), low + 1) if some.size else low + 1

    def across(rate: float) -> float:
        return 0.0 if rate <= 0 else NONE + (WIDTH - NONE) * (math.log10(rate) - low) / (high - low)

    return {
        "lines": [
            {
                "method": name,
                "paint": paint(number),
                "path": steps([across(rate) for rate in rates], shares.tolist()),
                "left": f"{across(deployed[name][0]) / WIDTH * 100:.1f}",
                "bottom": f"{100 * deployed[name][1]:.1f}",
            }
            for number, (name, (rates, shares)) in enumerate(each.items())
        ],
        "decades": [
            {"left": f"{across(10.0**one) / WIDTH * 100:.1f}", "words": f"{10.0**one:,.6g}"}
            for one in range(low, high + 1)
        ],
        "words": "; ".join(f"{name}: {in_words(*both)}" for name, both in deployed.items()),
    }


def best(curve: Sequence[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Rates, rising, at which more events are found than at any lower one, and the share that is found."""
    rates = np.array([point["false_alarms_per_hour"] for point in curve])
    shares = np.array([point["events_found"] for point in curve])
    order = np.lexsort((-shares, rates))
    rates, shares = rates[order], shares[order]
    more = np.append(True, shares[1:] > np.maximum.accumulate(shares)[:-1])
    return rates[more], shares[more]


def steps(x: Sequence[float], shares: Sequence[float]) -> str:
    """SVG path data: from each rate on, the share that is found."""
    heights = [HEIGHT * (1 - share) for share in shares]
    first, *rest = zip(x, heights, strict=True)
    return f"M{first[0]:.1f} {first[1]:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in rest) + f"H{WIDTH}"


def in_words(rate: float, share: float) -> str:
    """What a method does at its deployed threshold, for whoever cannot see it."""
    return f"{percent(share, 0)} % of events found at {rate:.3g} false alarms/h"
