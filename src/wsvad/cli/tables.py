"""Results as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsvad.cli.output import Table, table
from wsvad.detection.timeline import Timeline, clock
from wsvad.doctor.audit import Audit
from wsvad.evaluation.alerting import with_events
from wsvad.evaluation.vocabulary import (
    METRICS,
    SELECTIONS,
    UNDEFINED,
    in_unit,
    percent,
    span_of,
    with_spread,
    with_unit,
    words_for,
)
from wsvad.metrics.events import Rarity
from wsvad.studies.leaderboard import Leaderboard, lines
from wsvad.training.grow import Grown

RARE = "normal video"
"""Head of the column that says how often normal video has such a peak."""
MEASURED = ("category_accuracy", "map@0.1")
"""Metrics of the run's own test videos that are shown without and with the new category."""


def events_table(timelines: Sequence[Timeline]) -> Table:
    """When something abnormal happens, a row an event."""
    named = any(timeline.categories(event) for timeline in timelines for event in timeline.events)
    dated = any(timeline.recorded and timeline.events for timeline in timelines)
    rare = any(timeline.rarity for timeline in timelines)
    rows: list[tuple[str, ...]] = []
    for timeline in timelines:
        if not timeline.events:
            # A peak above the threshold may be too short for an event, or at an hour that is not reported.
            words = "nothing abnormal" if timeline.peak < timeline.threshold else "no event"
            at = ["–", words] if named else [words]
            often = [_often(timeline.rarity)] if rare else []
            rows.append((timeline.video, *(["–"] if dated else []), "–", "–", f"{timeline.peak:.2f}", *often, *at))
        for event in timeline.events:
            likeliest = [f"{name} {p:.0%}" for name, p in timeline.categories(event).items()][:1]
            wall = [timeline.recorded.words(event.start) if timeline.recorded else "–"] if dated else []
            times, often = (clock(event.start), clock(event.end)), [_often(event.rarity)] if rare else []
            peak = f"{event.peak:.2f}", *often, clock(event.peak_time)
            rows.append((timeline.video, *wall, *times, *peak, *likeliest))
    more = {name: [name] if there else [] for name, there in (("when", dated), (RARE, rare), ("what", named))}
    head = ("video", *more["when"], "from", "to", "peak score", *more[RARE], "at", *more["what"])
    return table(head, rows)


def _often(rarity: Rarity | None) -> str:
    """ "once in 40 min", "never in 3 h"."""
    return rarity.words.removesuffix(f" of {RARE}") if rarity else "–"


def suspects_table(found: Audit) -> Table:
    """The training videos whose label is the most suspicious, a row a video."""
    rows = [
        (one.video, one.words, f"{one.wrong:.0%}", "–" if one.moment is None else clock(one.moment))
        for one in found.shown
    ]
    return table(("video", "label", "chance to be wrong", "look at"), rows)


def metrics_table(
    metrics: Mapping[str, float],
    per_category: Mapping[str, float] | None = None,
    headline: str | None = None,
    intervals: Mapping[str, Sequence[float]] | None = None,
) -> Table:
    """Metrics in percent with two decimals, or with their unit; a dash where one is undefined.

    Args:
        metrics: fractions by their key in the metrics file; a key that has no plain name stands for itself.
        per_category: frame AUC of each category's abnormal videos, as fractions.
        headline: key of the metric that papers print for this dataset, which is marked.
        intervals: between which two those metrics lie with 95 % that have an interval over test videos.
    """
    intervals = intervals or {}
    rows: list[Sequence[str] | None] = []
    for key in sorted(metrics, key=lambda key: list(METRICS).index(key) if key in METRICS else len(METRICS)):
        marked = " (headline)" if key == headline else ""
        unit = words_for(key).unit
        value = with_unit(in_unit(metrics[key], unit), unit)
        sure = [span_of(intervals.get(key), unit=unit)] if intervals else []
        rows.append((words_for(key).name + marked, key, value, *sure))
    if per_category:
        rows.append(None)
        more = [""] if intervals else []
        rows += [(f"{METRICS['auc'].name}, {name}", "", percent(value), *more) for name, value in per_category.items()]
    head = ("metric", "key", "%", *(["95 % interval"] if intervals else []))
    return table(head, rows, numbers=len(head) - 2)


def categories_table(per_category: Mapping[str, float], per_category_ap: Mapping[str, Mapping[str, float]]) -> Table:
    """A row a category: frame AUC of its abnormal videos, and average precision of its intervals at each IoU."""
    columns = list(dict.fromkeys(name for each in per_category_ap.values() for name in each))
    rows = []
    for category in dict.fromkeys((*per_category, *per_category_ap)):
        precisions = per_category_ap.get(category, {})
        values = [per_category.get(category, float("nan")), *(precisions.get(name, float("nan")) for name in columns)]
        rows.append((category, *map(percent, values)))
    heads = METRICS["auc"].name, *(name.replace("ap@", "AP@") for name in columns)
    return table(("category, %", *heads), rows, numbers=len(heads))


def selections_table(metrics: Mapping[str, Any], *, everything: bool = True) -> Table:
    """What a run reports: a column a selection, mean ± standard deviation over seeds in percent; beside the first the
    95 % interval over test videos, where there is one.

    Args:
        metrics: as in `metrics.json`.
        everything: with the best on test, which is no estimate of what the model does on other videos.
    """
    selections, intervals = with_events(metrics), metrics.get("intervals", {})
    shown = [name for name in SELECTIONS if name in selections and (everything or name != "best_on_test")]
    heads = [SELECTIONS[name].name for name in shown]
    rows = []
    for key in METRICS:
        if any(key in selections[name] for name in shown):
            unit, each = METRICS[key].unit, (selections[name].get(key) for name in shown)
            cells = [UNDEFINED if value is None else with_spread(value, unit) for value in each]
            sure = [span_of(intervals.get(key), unit=unit)] if intervals else []
            rows.append((METRICS[key].name, cells[0], *sure, *cells[1:]))
    head = ("metric, %", heads[0], *(["95 % interval"] if intervals else []), *heads[1:])
    return table(head, rows, numbers=len(head) - 1)


def leaderboard_table(board: Leaderboard) -> Table:
    """Features, time and memory are in the files."""
    head, *body = lines(board)
    shown = [i for i, name in enumerate(head) if name not in ("features", "seconds", "MB")]
    rows = [[line[i] for i in shown] for line in body]
    words = sum(head[i] in ("method", "selection") for i in shown)
    return table([head[i] for i in shown], rows, numbers=len(shown) - words, title=f"{board.data}, %")


def shares_table(grown: Grown) -> Table:
    """A row a category: its mean share over the videos, before and after; then each video's likeliest category; then
    what was measured of test videos."""
    rows: list[tuple[str, ...] | None] = []
    for name in grown.after[0]:
        means = (float(np.mean([one.get(name, np.nan) for one in each])) for each in (grown.before, grown.after))
        rows.append((name, *(percent(mean, 1) for mean in means)))
    rows.append(None)
    for video, before, after in zip(grown.videos, grown.before, grown.after, strict=True):
        rows.append((video, _likeliest(before), _likeliest(after)))
    rows.append(None)
    measured = MEASURED if grown.tested else ()
    rows += [(METRICS[key].name, *(percent(metrics.get(key), 1) for metrics in grown.tested)) for key in measured]
    title = f"{len(grown.videos)} video(s) of '{grown.name}'"
    return table(("share of, %", "before", "after"), rows, title=title)


def _likeliest(each: Mapping[str, float]) -> str:
    name = max(each, key=lambda one: each[one])
    return f"{name} {percent(each[name], 1)}"
