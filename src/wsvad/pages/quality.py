"""How good a model is, as a table for the report: a row a metric, a column a way of choosing the weights."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wsvad.evaluation.vocabulary import (
    ALWAYS,
    METRICS,
    SELECTIONS,
    UNDEFINED,
    in_unit,
    span_of,
    spread_of,
    with_unit,
    words_for,
)

DIGITS = 1
"""Decimals of percents on the page."""


def quality(
    selections: Mapping[str, Mapping[str, Any]], intervals: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Any] | None:
    """All that `quality.html` shows; None where nothing was measured.

    Args:
        selections, intervals: as `ReportSummary.metrics` and `ReportSummary.intervals`.
    """
    intervals = intervals or {}
    chosen = [key for key in SELECTIONS if key in selections]
    if not chosen:
        return None
    first = selections[chosen[0]]
    seeds = max(len(over_seeds(first.get(key))) for key in ALWAYS)
    return {
        "selections": [SELECTIONS[key] for key in chosen],
        "seeds": seeds,
        "main": [{"name": METRICS[key].name, "value": in_words(first.get(key), key)} for key in ALWAYS],
        "rows": [
            {
                "metric": words_for(key),
                "cells": [{"class": one, "value": in_words(selections[one].get(key), key)} for one in chosen],
                "interval": span_of(intervals.get(key), DIGITS, words_for(key).unit),
            }
            for key in measured(selections[one] for one in chosen)
        ],
        "intervals": bool(intervals),
        "constant_does": mean_of(first.get("auc_constant")) >= mean_of(first.get("auc")),
    }


def measured(each: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that any selection has, and those that are always shown, in reading order."""
    found = {key for values in each for key in values} | set(ALWAYS)
    return [*(key for key in METRICS if key in found), *sorted(found - set(METRICS))]


def in_words(value: Any, key: str) -> dict[str, str]:
    """A metric in percent or its unit, and its spread over seeds; no mean where it was not measured or is not
    defined."""
    unit = words_for(key).unit
    mean = in_unit(mean_of(value), unit, DIGITS)
    spread = spread_of(value, DIGITS, unit) if isinstance(value, Mapping) else ""
    if mean == UNDEFINED:
        return {"mean": "", "spread": spread}
    # The unit stands behind the last number.
    return {"mean": mean if spread else with_unit(mean, unit), "spread": with_unit(spread, unit)}


def mean_of(value: Any) -> float:
    """Of a number, or of `{"mean", …}`; NaN where there is none."""
    mean = value.get("mean") if isinstance(value, Mapping) else value
    return math.nan if mean is None else float(mean)


def over_seeds(value: Any) -> Sequence[float]:
    """The values of single seeds, where there are any."""
    return value.get("values", ()) if isinstance(value, Mapping) else ()
