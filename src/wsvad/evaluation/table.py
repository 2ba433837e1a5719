"""Metrics for a reader at a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from wsvad.metrics.detection import IOUS

NAMES = {
    "auc": "frame AUC, all videos",
    "auc_abnormal": "frame AUC, abnormal videos only",
    "auc_constant": "frame AUC if each video had one score",
    "ap": "frame average precision",
    "ap_trapezoid": "frame average precision, trapezoid rule",
    "ap_abnormal": "frame average precision, abnormal videos only",
    "video_auc": "video AUC (highest score against label)",
    "far": "frames of normal videos that score 0.5 or more",
    **{f"map@{iou:g}": f"mAP of intervals, IoU {iou:g}" for iou in IOUS},
    "map": "mAP of intervals, mean of these",
    "category_accuracy": "true events that are named right",
}
"""What each key of the metrics file is, in words, in reading order."""


def table(
    metrics: Mapping[str, float], per_category: Mapping[str, float] | None = None, headline: str | None = None
) -> Table:
    """A table of metrics in percent with two decimals, a dash where one is undefined.

    Args:
        metrics: fractions by their key in the metrics file; a key that has no plain name stands for itself.
        per_category: frame AUC of each category's abnormal videos, as fractions.
        headline: key of the metric that papers print for this dataset, which is marked.
    """
    result = Table("metric", "key")
    result.add_column("%", justify="right")
    for key in sorted(metrics, key=lambda key: list(NAMES).index(key) if key in NAMES else len(NAMES)):
        marked = " (headline)" if key == headline else ""
        result.add_row(NAMES.get(key, key) + marked, key, _percent(metrics[key]))
    if per_category:
        result.add_section()
        for category, value in per_category.items():
            result.add_row(f"frame AUC, {category}", "", _percent(value))
    return result


def categories_table(per_category: Mapping[str, float], per_category_ap: Mapping[str, Mapping[str, float]]) -> Table:
    """A row a category: frame AUC of its abnormal videos, and average precision of its intervals at each IoU."""
    columns = list(dict.fromkeys(name for each in per_category_ap.values() for name in each))
    result = Table("category, %")
    for head in ("frame AUC", *(name.replace("ap@", "AP@") for name in columns)):
        result.add_column(head, justify="right")
    for category in dict.fromkeys((*per_category, *per_category_ap)):
        precisions = per_category_ap.get(category, {})
        values = [per_category.get(category, float("nan")), *(precisions.get(name, float("nan")) for name in columns)]
        result.add_row(category, *map(_percent, values))
    return result


SELECTIONS = {"last": "last", "held_out": "held out", "best_on_test": "best on test"}
"""Column heads of the selections of `metrics.json`."""


def selections_table(selections: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """What a run reports: a column a selection, mean ± standard deviation over seeds in percent."""
    shown = [name for name in SELECTIONS if name in selections]
    result = Table("metric, %")
    for name in shown:
        result.add_column(SELECTIONS[name], justify="right")
    for key in (key for key in NAMES if any(key in selections[name] for name in shown)):
        result.add_row(NAMES[key], *(with_spread(selections[name][key]) for name in shown))
    return result


def with_spread(value: Mapping[str, Any]) -> str:
    """`90.33 ± 0.21` in percent; the spread is left out where there is one seed."""
    mean = _percent(value["mean"])
    return mean if len(value["values"]) < 2 or mean == "–" else f"{mean} ± {100 * value['std']:.2f}"


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None or fraction != fraction else f"{100 * fraction:.2f}"
