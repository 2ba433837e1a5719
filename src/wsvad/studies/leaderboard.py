"""The table that a comparison of methods ends in: for the terminal, as Markdown and as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsvad.evaluation.vocabulary import (
    ALERT_KEYS,
    ALWAYS,
    SELECTIONS,
    UNDEFINED,
    percent,
    span_of,
    with_spread,
    with_unit,
    words_for,
)
from wsvad.studies.published import Published
from wsvad.tables import markdown, table_text

COLUMNS = (*ALWAYS, "ap", "video_auc", "far")
"""Metrics in the printed table; the files have all."""
OF_ALERTS = ("events_found", "false_alarms_per_hour", "onset_delay", "event_f1", "ap_onset")
"""Those of alerts, after them; what a running camera has is in the files."""
FAILED = "failed"
"""In the place of a selection; the reason is then in that of the features."""
OF_CLASSES = ("map@0.1", "category_accuracy")
"""Those beside them where a method gives class scores."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """What a comparison found."""

    data: str
    """The dataset's name."""
    headline: str
    """The metric that it is sorted by."""
    baseline: str
    """The method that the others are compared with."""
    rows: list[dict[str, Any]]
    """One a method and selection: `data method streams selection metrics seconds parameters features peak_memory`; in
    rows of the selection `last` also `intervals` over test videos, `against` the baseline, and `per_category`."""
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Method → what remakes its rows, see `run_card`."""
    videos: dict[str, int] = field(default_factory=dict)
    """Category → how many test videos show it."""
    published: list[Published] = field(default_factory=list)
    """Of the same dataset."""
    remarks: list[str] = field(default_factory=list)
    """Sentences for the reader: which methods are not above `linear`."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Videos that could not be encoded, with the reason."""
    failed: dict[str, str] = field(default_factory=dict)
    """Methods that could not be fitted, with the reason."""

    @property
    def legend(self) -> str:
        """What the columns are."""
        seeds = max((len(row["metrics"]["auc"]["values"]) for row in self.rows), default=1)
        spread = f", mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
        sure = words_for(certain(self.headline)).short
        parts = [
            f"Percent where no unit is named{spread}; the best {words_for(self.headline).short} after the last "
            "iteration comes first.",
            f"The 95 % interval of the mean {sure} is from a bootstrap over test videos; p is two-sided, for no "
            f"difference to {self.baseline} in {sure}, from the same samples. Both are for the last iteration.",
            "Alerts are counted at each seed's deployed threshold, after the last iteration. "
            "Seconds are for all seeds, including the fits for selection; MB is the peak main memory of the "
            "process in training (of the device, where that has its own).",
        ]
        if self.published:
            parts.append("Published numbers are mostly those of the best checkpoint on the test set.")
        return " ".join([*parts, *(f"{remark}." for remark in self.remarks)])


def columns(rows: Sequence[dict[str, Any]], headline: str = "auc") -> tuple[str, ...]:
    """The metrics that the table has, the headline first."""
    there = (name for name in (*OF_ALERTS, *OF_CLASSES) if any(name in row["metrics"] for row in rows))
    shown = (*COLUMNS, *there)
    return (headline, *(name for name in shown if name != headline))


def cells(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    """A row as text: percent, mean ± standard deviation over seeds; a dash where the method has no such metric."""
    values = {name: row["metrics"].get(name) for name in names}
    texts = [UNDEFINED if v is None else with_spread(v, words_for(name).unit) for name, v in values.items()]
    seeds = len(row["metrics"][COLUMNS[0]]["values"])
    return [
        row["method"],
        ", ".join(f"{stream}: {made}" for stream, made in row["features"].items()),
        SELECTIONS[row["selection"]].name,
        *texts,
        bounds(row, certain(names[0])),
        compared(row, certain(names[0])),
        str(seeds),
        f"{row['seconds']:.0f}",
        UNDEFINED if row["peak_memory"] is None else f"{row['peak_memory'] / 1e6:,.0f}",
    ]


def certain(headline: str) -> str:
    """The metric whose interval is shown: the headline, or AUC where the headline is not resampled."""
    return headline if headline in ("auc", "auc_abnormal", "ap", *ALERT_KEYS) else "auc"


def bounds(row: dict[str, Any], metric: str) -> str:
    """`71.2 to 76.8` in percent; a dash where it is not known."""
    low, high = row.get("intervals", {}).get(metric) or (float("nan"), float("nan"))
    return UNDEFINED if low != low else span_of((low, high), unit=words_for(metric).unit)


def compared(row: dict[str, Any], metric: str) -> str:
    """`+7.39, p 0.002`: the difference to the baseline in percent, or in its unit; a dash for the baseline itself."""
    found = row.get("against", {}).get(metric)
    if found is None or found["p"] != found["p"]:
        return UNDEFINED
    unit = words_for(metric).unit
    difference = f"{(100 if unit == '%' else 1) * found['difference']:+.2f}"
    return f"{with_unit(difference, unit)}, p {found['p']:.3f}"


def lines(board: Leaderboard) -> list[list[str]]:
    """Head and body of the table."""
    names = columns(board.rows, board.headline)
    sure = words_for(certain(board.headline)).short
    more = [f"95 % of {sure}", f"{sure} against {board.baseline}", "seeds", "seconds", "MB"]
    heads = ["method", "features", "selection", *(words_for(name).short for name in names), *more]
    empty = [UNDEFINED] * (len(heads) - 3)
    failed = [[name, why, FAILED, *empty] for name, why in board.failed.items()]
    return [heads, *(cells(row, names) for row in board.rows), *failed]


def as_markdown(board: Leaderboard) -> str:
    """For a results page: the table, what its columns are, published numbers beside it, and each method's command."""
    parts = [markdown(lines(board)), f"\n{board.legend}\n"]
    if board.published:
        parts.append(f"\nPublished, in percent, with their source:\n\n{markdown(published_lines(board))}")
    commands = "".join(f"    {card['command']}\n" for card in board.cards.values())
    return "".join([*parts, f"\nEach method alone:\n\n{commands}"])


def published_lines(board: Leaderboard) -> list[list[str]]:
    """Head and body of the table of published numbers, best first."""
    names = [
        name for name in columns(board.rows, board.headline) if any(name in one.metrics for one in board.published)
    ]

    def line(one: Published) -> list[str]:
        values = [percent(one.metrics.get(name)) for name in names]
        return [one.method, one.features, *values, one.source]

    best_first = sorted(board.published, key=lambda one: -one.metrics.get(board.headline, 0))
    heads = ["method", "features", *(words_for(name).short for name in names), "source"]
    return [heads, *(line(one) for one in best_first)]


def as_csv(rows: Sequence[dict[str, Any]], failed: Mapping[str, str]) -> str:
    """For a spreadsheet: every metric of every seed on a line of its own, with the interval of the mean over seeds; and
    a line with the reason for each method that failed."""
    first = ("data", "method", "streams", "selection", "metric", "seed", "value", "parameters")
    lines: list[tuple[object, ...]] = []
    for row in rows:
        who = (row["data"], row["method"], "+".join(row["streams"]), row["selection"])
        features = " + ".join(row["features"].values())
        for metric, spread in row["metrics"].items():
            bound = [_number(value) for value in row.get("intervals", {}).get(metric, ("", ""))]
            more = (row["parameters"], features, *bound, row["seconds"], row["peak_memory"])
            for number, value in enumerate(spread["values"]):
                lines.append((*who, metric, number, _number(value), *more))
    lines += [("", name, "", FAILED, "reason", "", why, *[""] * 6) for name, why in failed.items()]
    return table_text((*first, "features", "low", "high", "seconds", "peak_memory"), lines)


def _number(value: Any) -> Any:
    return "" if value != value else value
