"""One vocabulary: terminal, report and leaderboard call a metric and a selection alike, and write its value alike."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from timelines import Page, timeline, write

from wsvad.cli.tables import leaderboard_table, metrics_table, selections_table
from wsvad.evaluation.vocabulary import METRICS, SELECTIONS, percent, with_spread, words_for
from wsvad.studies.leaderboard import Leaderboard, as_markdown
from wsvad.studies.leaderboard_page import as_page

VALUES = {key: {"mean": 0.5, "std": 0.01, "values": [0.49, 0.51]} for key in METRICS}
WRITTEN = {"%": ("50.00", "50.0 ± 1.0"), "/h": ("0.50/h", "0.5 ± 0.0/h"), "s": ("0.50\u00a0s", "0.5 ± 0.0\u00a0s")}
"""0.5, and 0.5 ± 0.01 on the page, in each unit."""
SELECTED = dict.fromkeys(SELECTIONS, VALUES)


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(table.drawn(400))
    return console.file.getvalue()


def board(headline: str) -> Leaderboard:
    rows = [
        {
            "data": "d", "method": "mil", "streams": ["rgb"], "selection": selection, "metrics": VALUES, "seconds": 1.0,
            "parameters": 1, "features": {"rgb": "motion 304"}, "peak_memory": None,
        }
        for selection in SELECTIONS
    ]  # fmt: skip
    return Leaderboard(data="d", headline=headline, baseline="mil", rows=rows)


def squeezed(text: str) -> str:
    return "".join(text.split())


def page(path: Path, source: str) -> Page:
    path.write_text(source, encoding="utf-8")
    return Page(path)


@pytest.mark.parametrize("key", METRICS)
def test_terminal_report_and_leaderboard_call_a_metric_alike(tmp_path: Path, key: str):
    metric = METRICS[key]
    rows = [line.split("│") for line in printed(metrics_table({key: 0.5})).splitlines() if "│" in line]
    assert [cell.strip() for cell in rows[-1][1:-1]] == [
        metric.name, key, WRITTEN[metric.unit][0]
    ]  # fmt: skip
    assert f"│ {metric.name} " in printed(selections_table({"selection": SELECTED}))
    report = write(tmp_path / "r.html", [timeline()], metrics=SELECTED)
    row = (metric.name, *[WRITTEN[metric.unit][1]] * len(SELECTIONS), metric.meaning)
    assert squeezed("".join(row)) in squeezed(report.words)
    leaderboard = board(headline=key)
    html = page(tmp_path / "l.html", as_page(leaderboard))
    assert {f"{metric.name}: {metric.meaning}"} <= {button.get("title") for button in html.all("button")}
    assert f"{metric.short} {metric.unit}" in html.words
    assert f" {metric.short} " in printed(leaderboard_table(leaderboard))
    assert f"| {metric.short} |" in as_markdown(leaderboard)


@pytest.mark.parametrize("key", METRICS)
def test_the_leaderboard_knows_which_way_a_metric_is_better(tmp_path: Path, key: str):
    html = page(tmp_path / "l.html", as_page(board(headline=key)))
    (head,) = (head for head in html.all("th") if "aria-sort" in head)
    assert head["aria-sort"] == ("ascending" if METRICS[key].lower_is_better else "descending")


def test_false_alarms_and_delays_alone_are_better_few():
    fewer = {key.removesuffix("_online") for key, metric in METRICS.items() if metric.lower_is_better}
    assert fewer == {"far", "false_alarms_per_hour", "onset_delay"}


def test_terminal_report_and_leaderboard_call_a_selection_alike(tmp_path: Path):
    texts = (
        printed(selections_table({"selection": SELECTED})),
        write(tmp_path / "r.html", [timeline()], metrics=SELECTED).words,
        page(tmp_path / "l.html", as_page(board(headline="auc"))).words,
        as_markdown(board(headline="auc")),
    )
    for text in texts:
        places = [text.index(selection.name) for selection in SELECTIONS.values()]
        assert places == sorted(places)


def test_a_table_has_the_interval_beside_the_last_iteration_and_best_on_test_where_it_is_asked_for():
    metrics = {"selection": SELECTED, "intervals": {"auc": [0.42, 0.615]}}
    heads, *rows = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in printed(selections_table(metrics, everything=False)).splitlines()
        if "│" in line or "┃" in line
    ]
    assert heads == ["metric, %", "Last", "95 % interval", "Held-out"]
    assert rows[0] == ["Frame AUC", "50.00 ± 1.00", "42.0 to 61.5", "50.00 ± 1.00"]
    assert rows[1] == ["AUC on abnormal videos", "50.00 ± 1.00", "", "50.00 ± 1.00"]
    assert "Best on test" in printed(selections_table(metrics))
    assert "95 %" not in printed(selections_table({"selection": SELECTED}))


def test_names_are_different_and_an_unknown_key_stands_for_itself():
    for words in ([m.short for m in METRICS.values()], [m.name for m in METRICS.values()]):
        assert len(set(words)) == len(METRICS)
    assert (words_for("new").short, words_for("new").name, words_for("new").meaning) == ("new", "new", "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"mean": 0.9033, "std": 0.0021, "values": [0.9, 0.906]}, "90.33 ± 0.21"),
        ({"mean": 0.9033, "std": 0.0, "values": [0.9033]}, "90.33"),
        ({"mean": None, "std": None, "values": [None, None]}, "–"),
        ({"mean": math.nan, "std": math.nan, "values": [math.nan, 0.5]}, "–"),
    ],
)
def test_percent_with_its_spread(value, words):
    assert with_spread(value) == words
    assert percent(value["mean"]) == words.partition(" ")[0]
