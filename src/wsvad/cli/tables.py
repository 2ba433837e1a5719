"""Results as tables for the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from wsvad.cli.output import table
from wsvad.detection.timeline import Timeline, clock
from wsvad.evaluation.vocabulary import METRICS, percent
from wsvad.studies.leaderboard import Leaderboard, lines
from wsvad.training.grow import Grown

MEASURED = ("category_accuracy", "map@0.1")
"""Metrics of the run's own test videos that are shown without and with the new category."""


def events_table(timelines: Sequence[Timeline]) -> Table:
    """When something abnormal happens, a row an event."""
    named = any(timeline.categories(event) for timeline in timelines for event in timeline.events)
    rows: list[tuple[str, ...]] = []
    for timeline in timelines:
        if not timeline.events:
            at = ["–", "nothing abnormal"] if named else ["nothing abnormal"]
            rows.append((timeline.video, "–", "–", f"{timeline.peak:.2f}", *at))
        for event in timeline.events:
            likeliest = [f"{name} {p:.0%}" for name, p in timeline.categories(event).items()][:1]
            times = clock(event.start), clock(event.end), f"{event.peak:.2f}", clock(event.peak_time)
            rows.append((timeline.video, *times, *likeliest))
    return table(("video", "from", "to", "peak score", "at", *(["what"] if named else [])), rows)


def leaderboard_table(board: Leaderboard) -> Table:
    """Features, time and memory are in the files."""
    head, *body = lines(board)
    shown = [i for i, name in enumerate(head) if name not in ("features", "seconds", "MB")]
    rows = [[line[i] for i in shown] for line in body]
    return table([head[i] for i in shown], rows, title=f"{board.data}, %")


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
