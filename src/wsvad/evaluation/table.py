"""Metrics for a reader at a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from wsvad.evaluation.vocabulary import METRICS, SELECTIONS, percent, with_spread, words_for


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
    for key in sorted(metrics, key=lambda key: list(METRICS).index(key) if key in METRICS else len(METRICS)):
        marked = " (headline)" if key == headline else ""
        result.add_row(words_for(key).name + marked, key, percent(metrics[key]))
    if per_category:
        result.add_section()
        for category, value in per_category.items():
            result.add_row(f"{METRICS['auc'].name}, {category}", "", percent(value))
    return result


def categories_table(per_category: Mapping[str, float], per_category_ap: Mapping[str, Mapping[str, float]]) -> Table:
    """A row a category: frame AUC of its abnormal videos, and average precision of its intervals at each IoU."""
    columns = list(dict.fromkeys(name for each in per_category_ap.values() for name in each))
    result = Table("category, %")
    for head in (METRICS["auc"].name, *(name.replace("ap@", "AP@") for name in columns)):
        result.add_column(head, justify="right")
    for category in dict.fromkeys((*per_category, *per_category_ap)):
        precisions = per_category_ap.get(category, {})
        values = [per_category.get(category, float("nan")), *(precisions.get(name, float("nan")) for name in columns)]
        result.add_row(category, *map(percent, values))
    return result


def selections_table(selections: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """What a run reports: a column a selection, mean ± standard deviation over seeds in percent."""
    shown = [name for name in SELECTIONS if name in selections]
    result = Table("metric, %")
    for name in shown:
        result.add_column(SELECTIONS[name].name, justify="right")
    for key in (key for key in METRICS if any(key in selections[name] for name in shown)):
        result.add_row(METRICS[key].name, *(with_spread(selections[name][key]) for name in shown))
    return result
