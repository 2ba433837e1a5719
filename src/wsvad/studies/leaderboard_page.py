"""The table of a comparison as one HTML file: sortable, with bars by category and the command behind each row.

Everything is inside the page, and it asks nothing of any network. Without a script all rows are there, best first; the
script sorts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wsvad.evaluation.vocabulary import METRICS, SELECTIONS, UNDEFINED, percent, with_spread, words_for
from wsvad.pages.render import render_page
from wsvad.pages.words import count
from wsvad.studies.alert_chart import alert_charts
from wsvad.studies.leaderboard import FAILED, Leaderboard, bounds, certain, columns, compared
from wsvad.studies.published import Published

LOWER = (*(key for key, metric in METRICS.items() if metric.lower_is_better), "p", "seconds", "memory", "parameters")
"""Columns in which the lowest is the best."""
WORDS = ("method", "features", "selection", "source")
"""Columns that are no numbers."""
PUBLISHED = "published"
"""Stands for a selection in rows that are not ours."""


def as_page(board: Leaderboard) -> str:
    """The page."""
    names, sure = columns(board.rows, board.headline), certain(board.headline)
    best_first = sorted(board.published, key=lambda one: -one.metrics.get(board.headline, 0))
    return render_page(
        "leaderboard",
        title=f"{board.data}: methods side by side",
        legend=board.legend,
        switches=switches(board),
        heads=heads(board, names, sure),
        rows=[
            *(our_row(row, names, sure) for row in board.rows),
            *(failed_row(name, why, len(names)) for name, why in board.failed.items()),
            *(their_row(one, names) for one in best_first),
        ],
        alerts=alert_charts([row for row in board.rows if row["selection"] == "last"]),
        categories=categories(board),
        cards=[card(method, made) for method, made in board.cards.items()],
    )


# ------------------------------------------------------------------------------------------------------------- table


def heads(board: Leaderboard, names: Sequence[str], sure: str) -> list[dict[str, Any]]:
    """The heads of the columns.

    Args:
        names: the metrics that are shown, the headline first.
        sure: the metric whose interval is shown.
    """
    headline, *others = ((name, f"{words_for(name).short} {words_for(name).unit}") for name in names)
    words = {
        "method": "Method",
        "features": "Features",
        "selection": "Selection",
        headline[0]: headline[1],
        "interval": f"95 % of {words_for(sure).short}",
        "p": f"against {board.baseline}",
        **dict(others),
        "seconds": "Seconds",
        "memory": "MB",
        "parameters": "Weights",
        "source": "Source",
    }
    return [
        {
            "words": label,
            "meaning": f"{METRICS[key].name}: {METRICS[key].meaning}" if key in METRICS else "",
            "number": key not in WORDS,
            "first": "ascending" if key in (*LOWER, *WORDS) else "descending",
            # Published rows stand below ours, whatever they are.
            "sorted": key == board.headline and not board.published,
        }
        for key, label in words.items()
    ]


def our_row(row: dict[str, Any], names: Sequence[str], sure: str) -> dict[str, Any]:
    """A row of the comparison. Arguments as in `heads`."""
    metrics = [(row["metrics"].get(name), words_for(name).unit) for name in names]
    first, *others = (cell(with_spread(one, unit), one["mean"]) if one else cell() for one, unit in metrics)
    low, memory = row.get("intervals", {}).get(sure, (None, None))[0], row["peak_memory"]
    return {
        "method": row["method"],
        "ours": True,
        "features": [f"{stream}: {words}" for stream, words in row["features"].items()],
        "selection": row["selection"],
        "selection_words": SELECTIONS[row["selection"]].name,
        "cells": [
            first,
            cell(bounds(row, sure), low),
            cell(compared(row, sure), row.get("against", {}).get(sure, {}).get("p")),
            *others,
            cell(f"{row['seconds']:.0f}", row["seconds"]),
            cell("" if memory is None else f"{memory / 1e6:,.0f}", memory),
            cell(f"{row['parameters'] / 1e6:.2f} M", row["parameters"]),
        ],
        "source": "this run",
    }


def failed_row(method: str, why: str, metrics: int) -> dict[str, Any]:
    """A method that has no figures, with the reason."""
    return {
        "method": method,
        "ours": True,
        "features": [why],
        "selection": "last",
        "selection_words": FAILED.capitalize(),
        "cells": [cell()] * (metrics + 5),
        "source": "this run",
    }


def their_row(one: Published, names: Sequence[str]) -> dict[str, Any]:
    """A row of published numbers; nobody publishes intervals, time or memory."""
    first, *others = (cell(percent(value), value) for value in map(one.metrics.get, names))
    return {
        "method": one.method,
        "ours": False,
        "features": [one.features],
        "selection": PUBLISHED,
        "selection_words": PUBLISHED.capitalize(),
        "cells": [first, cell(), cell(), *others, cell(), cell(), cell()],
        "source": one.source,
    }


def cell(words: str = "", value: float | None = None) -> dict[str, str]:
    """A number as text, and as what it is sorted by; nothing known is a dash, and comes last."""
    known = value is not None and value == value
    return {"words": words if known else UNDEFINED, "value": f"{value:.9g}" if known else ""}


def switches(board: Leaderboard) -> list[dict[str, Any]]:
    """Which rows can be shown, and which are at first; styles alone do it."""
    used = {row["selection"] for row in board.rows}
    shown = {key: selection.name for key, selection in SELECTIONS.items() if key in used}
    shown |= {PUBLISHED: PUBLISHED.capitalize()} if board.published else {}
    return [{"rows": key, "words": words, "on": key in ("last", PUBLISHED)} for key, words in shown.items()]


# -------------------------------------------------------------------------------------------------------------- bars


def categories(board: Leaderboard) -> list[dict[str, Any]]:
    """Frame AUC inside each category's abnormal videos, a bar a method."""
    rows = [(row["method"], row["per_category"]) for row in board.rows if row.get("per_category")]
    names = dict.fromkeys(name for _, per_category in rows for name in per_category)
    return [
        {
            "name": name,
            "videos": count(board.videos[name], "test video") if name in board.videos else "",
            "bars": [bar(method, per_category[name]) for method, per_category in rows if name in per_category],
        }
        for name in names
    ]


def bar(method: str, value: Mapping[str, Any]) -> dict[str, str]:
    """A bar and the spread over seeds, in percent of its length; no width where there is no value."""
    if percent(value["mean"]) == UNDEFINED:
        return {"method": method, "width": "", "words": UNDEFINED}
    mean, low, high = (100 * (value["mean"] + sign * value["std"]) for sign in (0, -1, 1))
    ends = {"low": f"{max(low, 0):.2f}", "high": f"{min(high, 100):.2f}"}
    return {"method": method, "width": f"{mean:.2f}", **ends, "words": with_spread(value)}


# ------------------------------------------------------------------------------------------------------------- cards


def card(method: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """The command that remakes a method's rows, and what it was made with: a run card (`run_card`)."""
    held_out = (UNDEFINED if number is None else str(number) for number in made["held_out_iterations"])
    return {
        "method": method,
        "command": made["command"],
        "facts": {
            "Seeds": ", ".join(map(str, made["seeds"])),
            "Iterations": ", ".join(f"{phase} {number}" for phase, number in made["iterations"].items()),
            "Held-out videos chose": ", ".join(held_out),
            "Versions": ", ".join(f"{what} {version}" for what, version in made["versions"].items()),
            "Machine": made["machine"],
        },
        "passports": json.dumps(made["features"], indent=2, ensure_ascii=False),
    }
