"""The leaderboard as people see it: names are text, and cells say what they are sorted by. See also tests/e2e."""

import io
import math
from pathlib import Path

import pytest
from hostile import HOSTILE
from rich.console import Console
from timelines import Page

from wsvad.cli.tables import leaderboard_table
from wsvad.studies.leaderboard import Leaderboard
from wsvad.studies.leaderboard_page import as_page
from wsvad.studies.published import Published


def spread(mean: float | None) -> dict:
    return {"mean": mean, "std": 0.25, "values": [mean, mean]}


def board_full_of(name: str) -> Leaderboard:
    """A board in which a name stands wherever one can stand."""
    row = {
        "data": name, "method": name, "streams": [name], "selection": "last", "metrics": {"auc": spread(0.5)},
        "seconds": 1.0, "parameters": 1, "features": {name: name, "other": name}, "peak_memory": None,
        "intervals": {"auc": [0.4, 0.6]}, "against": {"auc": {"p": 0.25, "difference": 0.1}},
        "per_category": {name: spread(0.5), "unknown": spread(None)},
    }  # fmt: skip
    card = {
        "command": name, "seeds": [0], "iterations": {name: 1}, "held_out_iterations": [None, 3],
        "features": {"rgb": {"encoder": "motion"}}, "versions": {name: name}, "machine": name,
    }  # fmt: skip
    theirs = Published(dataset=name, method=name, features=name, source=name, metrics={"auc": 0.75})
    return Leaderboard(
        data=name, headline="auc", baseline=name, rows=[row], cards={name: card}, videos={name: 1}, published=[theirs]
    )


def page(path: Path, name: str) -> Page:
    path.write_text(as_page(board_full_of(name)), encoding="utf-8")
    return Page(path)


@pytest.mark.parametrize(("evil", "shown"), HOSTILE.items())
def test_names_are_text_wherever_they_stand(tmp_path: Path, evil: str, shown: str):
    harmless, evils = page(tmp_path / "a.html", "harmless"), page(tmp_path / "b.html", evil)
    assert evils.tags == [
        (tag, {key: value and value.replace("harmless", shown) for key, value in attributes.items()})
        for tag, attributes in harmless.tags
    ]
    assert evils.words == harmless.words.replace("harmless", shown)
    assert harmless.source.count("harmless") > 20


def test_brackets_are_text_at_the_terminal():
    console = Console(file=io.StringIO(), width=200)
    console.print(leaderboard_table(board_full_of("gate[north]")).drawn(console.width))
    printed = console.file.getvalue()
    assert "gate[north], %" in printed and "│ gate[north] " in printed and "AUC against gate[north]" in printed


def test_a_cell_says_what_it_is_sorted_by_and_the_unknown_says_nothing(tmp_path: Path):
    found = page(tmp_path / "a.html", "m")
    values = [cell.get("data-value") for cell in found.all("td") if cell.get("class") == "number"]
    # AUC, its interval, p, five metrics that nobody measured, seconds, memory, weights; and what is published
    assert values == ["0.5", "0.4", "0.25", *[None] * 5, "1", None, "1", "0.75", *[None] * 10]
    bars = [line for line in found.all("line") if line["class"] == "spread"]
    assert [(bar["x1"], bar["x2"]) for bar in bars] == [("25.00%", "75.00%")]  # none for what has no mean


def test_nothing_known_has_no_bar(tmp_path: Path):
    board = board_full_of("m")
    board.rows[0]["per_category"] = {"fight": {"mean": math.nan, "std": math.nan, "values": [math.nan]}}
    path = tmp_path / "a.html"
    path.write_text(as_page(board), encoding="utf-8")
    assert not Page(path).all("rect") and "fight" in Page(path).words
    board.rows[0].pop("per_category")
    assert "No test video has a category with intervals." in as_page(board)


def test_a_line_is_the_most_events_that_any_threshold_finds_with_at_most_so_many_false_alarms(tmp_path: Path):
    points = [(0.9, 0.0, 0.25), (0.8, 10.0, 0.5), (0.7, 10.0, 0.75), (0.6, 100.0, 0.5), (0.5, 1000.0, 1.0)]
    names = ("threshold", "false_alarms_per_hour", "events_found")
    board = board_full_of("m")
    board.rows[0]["alerts"] = {"whole": {"curve": [dict(zip(names, point, strict=True)) for point in points]}}
    board.rows[0]["metrics"] |= {"false_alarms_per_hour": spread(100.0), "events_found": spread(0.75)}
    path = tmp_path / "a.html"
    path.write_text(as_page(board), encoding="utf-8")
    found = Page(path)
    (line,) = found.all("path")
    # From 0 found nothing more until 10/h, where the scale of two decades begins; 100/h finds less.
    assert line["d"] == "M0.0 75.0H40.0V25.0H1000.0V0.0H1000"
    (dot,) = (mark for mark in found.all("i") if mark["class"] == "dot")
    assert "left:52.0%;bottom:75.0%" in dot["style"]
    assert found.all("svg")[0]["aria-label"] == "m: 75 % of events found at 100 false alarms/h"
    assert "Whole videos" in found.words and "A running camera" not in found.words
    assert "Events found against false alarms" not in as_page(board_full_of("m"))
