"""A page that shows what each threshold of a detector does: false alarms a day, and known events that are found.

Curves are 1000 wide and 100 high; the page stretches them to their place. Thresholds rise to the right, false alarms
are drawn on a logarithmic scale, and none at all lies on its lower edge.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsvad.detection.calibration import Calibrations
from wsvad.detection.choose import few, resolution
from wsvad.detection.operating import HOURS_A_DAY, OperatingCurve, OperatingPoint
from wsvad.detection.threshold import WORDS, time_in_words
from wsvad.files import write_text
from wsvad.pages.render import render_page
from wsvad.pages.words import count
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import Mode

WIDTH, HEIGHT = 1000, 100
MARKS = 6
"""Thresholds that are written under a curve."""


def write_threshold_page(run: RunFolder, curves: Mapping[Mode, OperatingCurve], calibrations: Calibrations) -> None:
    """Write `threshold.html` of a run, whole or not at all."""
    modes = [mode_values(curve, calibrations) for curve in curves.values()]
    write_text(run.threshold_page, render_page("threshold", title=f"Thresholds of {run.path.name}", modes=modes))


def mode_values(curve: OperatingCurve, calibrations: Calibrations) -> dict[str, Any]:
    """All that the page shows of one mode."""
    current = calibrations.threshold(curve.mode)
    return {
        "name": WORDS[curve.mode],
        "sentence": calibrations.sentence(curve.mode),
        "resolution": resolution(curve),
        "from": evidence(curve),
        "tested": any(video.split == "test" for video in curve.known),
        "chart": chart(curve, current),
        "rows": [{"now": point.threshold == current, "cells": cells(curve, point)} for point in curve.rows(current)],
        "heads": heads(curve),
    }


def evidence(curve: OperatingCurve) -> str:
    """What the numbers are from: "20 h of normal video, 9 known events"."""
    parts = [f"{time_in_words(curve.hours)} of normal video"] if curve.hours else []
    return ", ".join([*parts, *([count(curve.events, "known event")] if curve.events else [])])


def heads(curve: OperatingCurve) -> list[str]:
    """Of the columns that `cells` fills."""
    alarms = ["false alarms", "per hour (95 %)", "per day (95 %)"] if curve.hours else []
    return ["threshold", *alarms, *(["events found"] if curve.events else [])]


def cells(curve: OperatingCurve, point: OperatingPoint) -> list[str]:
    """What a threshold does, as the cells of a row."""
    row = [f"{point.threshold:.6g}"]
    if point.per_hour is not None:
        row.append(str(point.false_alarms))
        for hours in (1, HOURS_A_DAY):
            rate, low, high = (few(hours * one) for one in point.per_hour)
            row.append(f"{rate} ({low} to {high})")
    return [*row, *([f"{point.found} of {curve.events}"] if curve.events else [])]


# ----------------------------------------------------------------------------------------------------------- the curve


def chart(curve: OperatingCurve, current: float) -> dict[str, Any] | None:
    """The picture; None where nothing is known of any threshold."""
    points = curve.points
    if not points:
        return None
    thresholds = np.array([point.threshold for point in points])
    low, high = min(thresholds[-1], current), max(thresholds[0], current)
    reach = float(high - low) or 1.0

    def across(threshold: float) -> float:
        return WIDTH * (threshold - low) / reach

    x = [across(threshold) for threshold in thresholds]
    return {
        "now": f"{across(current):.1f}",
        "alarms": alarms(points, x) if curve.hours else None,
        "found": found(curve, points, x) if curve.events else None,
        "marks": [
            {"left": f"{100 * place:.1f}", "words": f"{low + place * reach:.3g}"} for place in np.linspace(0, 1, MARKS)
        ],
        "readings": json.dumps(
            [[round(place, 1), reading(curve, point)] for place, point in zip(x, points, strict=True)],
            separators=(",", ":"),
        ),
    }


def alarms(points: Sequence[OperatingPoint], x: Sequence[float]) -> dict[str, Any]:
    """False alarms a day: the line, the band of its 95 % intervals, and the decades beside them."""
    a_day = HOURS_A_DAY * np.array([point.per_hour for point in points if point.per_hour is not None])
    bottom = math.floor(math.log10(a_day[a_day > 0].min()))
    top = max(math.ceil(math.log10(a_day.max())), bottom + 1)

    def up(number: float) -> float:
        share = (math.log10(number) - bottom) / (top - bottom) if number > 0 else 0.0
        return HEIGHT * (1 - share)

    rate, low, high = ([up(one) for one in column] for column in a_day.T)
    step = max(1, math.ceil((top - bottom) / 5))
    return {
        "line": path(x, rate),
        "band": f"{path(x, high)}L{path(x[::-1], low[::-1])[1:]}Z",
        "decades": [
            {"bottom": f"{100 * (decade - bottom) / (top - bottom):.1f}", "words": f"{10.0**decade:,.6g}"}
            for decade in range(bottom, top + 1, step)
        ],
    }


def found(curve: OperatingCurve, points: Sequence[OperatingPoint], x: Sequence[float]) -> dict[str, str]:
    """The share of known events that are found: what a threshold finds is found by all lower ones, too."""
    heights = [HEIGHT * (1 - (point.found or 0) / curve.events) for point in points]
    return {"line": path(x, heights)}


def path(x: Sequence[float], y: Sequence[float]) -> str:
    """A line through points, as SVG path data."""
    return "M" + "L".join(f"{left:.1f} {top:.1f}" for left, top in zip(x, y, strict=True))


def reading(curve: OperatingCurve, point: OperatingPoint) -> str:
    """What stands beside the cursor."""
    parts = [f"threshold {point.threshold:.6g}"]
    if point.per_hour is not None:
        rate, low, high = (few(HOURS_A_DAY * one) for one in point.per_hour)
        parts.append(f"{rate} ({low} to {high}) false alarms/day")
    return ", ".join([*parts, *([f"{point.found} of {curve.events} events"] if curve.events else [])])
