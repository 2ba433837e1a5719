"""The table of a comparison as one HTML file: sortable, with bars by category and the command behind each row.

Everything is inside the page, and it asks nothing of any network. Without a script all rows are there, best first; the
script sorts.
"""

import base64
import hashlib
import json
from html import escape
from importlib.resources import files as package_files
from string import Template
from typing import Any

from wsvad.evaluation.vocabulary import METRICS, SELECTIONS, UNDEFINED, percent, with_spread, words_for
from wsvad.studies.leaderboard import Leaderboard, bounds, certain, columns, compared
from wsvad.studies.published import Published

LOWER = (*(key for key, metric in METRICS.items() if metric.lower_is_better), "p", "seconds", "memory", "parameters")
"""Columns in which the lowest is the best."""
PUBLISHED = "Published"
"""Stands for a selection in rows that are not ours."""
WORDS = ("method", "features", "selection", "source")
"""Columns that are no numbers."""


def as_page(board: Leaderboard) -> str:
    """The page."""
    template, style, script = (
        (package_files("wsvad.studies") / f"leaderboard.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
    )
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    return Template(template).substitute(
        title=escape(f"{board.data}: methods side by side"),
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        style=style,
        script=script,
        legend=escape(board.legend),
        table=_table(board),
        switches=_switches(board),
        bars=_bars(board),
        cards="\n".join(_card(name, card) for name, card in board.cards.items()),
    )


# ------------------------------------------------------------------------------------------------------------- table


def _table(board: Leaderboard) -> str:
    names, sure = columns(board.rows, board.headline), certain(board.headline)
    words = {
        "method": "Method",
        "features": "Features",
        "selection": "Selection",
        names[0]: f"{words_for(names[0]).short} %",
        "interval": f"95 % of {words_for(sure).short}",
        "p": f"against {board.baseline}",
        **{name: f"{words_for(name).short} %" for name in names[1:]},
        "seconds": "Seconds",
        "memory": "MB",
        "parameters": "Weights",
        "source": "Source",
    }
    whole = board.headline if not board.published else ""  # which stand below ours, whatever they are
    heads = "".join(_head(key, label, key == whole) for key, label in words.items())
    best_first = sorted(board.published, key=lambda one: -one.metrics.get(board.headline, 0))
    body = [_ours(row, names, sure) for row in board.rows] + [_theirs(one, names) for one in best_first]
    return f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table>"


def _head(key: str, label: str, sorted_by: bool) -> str:
    metric = METRICS.get(key)
    title = f' title="{escape(f"{metric.name}: {metric.meaning}")}"' if metric else ""
    state = f' aria-sort="{"ascending" if key in LOWER else "descending"}"' if sorted_by else ""
    kind = "" if key in WORDS else ' class="number"'
    first = "ascending" if key in (*LOWER, *WORDS) else "descending"
    return (
        f'<th scope="col"{kind}{state}><button type="button" data-first="{first}"{title}>{escape(label)}</button></th>'
    )


def _cell(text: str, value: float | None = None) -> str:
    """A number as text, and as what it is sorted by; nothing known is a dash, and comes last."""
    known = value is not None and value == value
    return f'<td class="number"{f" data-value={value:.9g}" if known else ""}>{escape(text) if known else "–"}</td>'


def _ours(row: dict[str, Any], names: tuple[str, ...], sure: str) -> str:
    metrics = [row["metrics"].get(name, {"mean": None}) for name in names]
    first, *others = (_cell("–" if m["mean"] is None else with_spread(m), m["mean"]) for m in metrics)
    low, memory = row.get("intervals", {}).get(sure, (None, None))[0], row["peak_memory"]
    cells = [
        first,
        _cell(bounds(row, sure), low),
        _cell(compared(row, sure), row.get("against", {}).get(sure, {}).get("p")),
        *others,
        _cell(f"{row['seconds']:.0f}", row["seconds"]),
        _cell("" if memory is None else f"{memory / 1e6:,.0f}", memory),
        _cell(f"{row['parameters'] / 1e6:.2f} M", row["parameters"]),
    ]
    made = "<br>".join(escape(f"{stream}: {words}") for stream, words in row["features"].items())
    name = escape(row["method"])
    return (
        f'<tr class="{row["selection"]}"><th scope="row"><a href="#card-{name}">{name}</a></th><td>{made}</td>'
        f"<td>{SELECTIONS[row['selection']].name}</td>{''.join(cells)}<td>this run</td></tr>"
    )


def _theirs(one: Published, names: tuple[str, ...]) -> str:
    values = [one.metrics.get(name) for name in names]
    first, *others = (_cell(percent(value), value) for value in values)
    return (
        f'<tr class="published"><th scope="row">{escape(one.method)}</th><td>{escape(one.features)}</td>'
        f"<td>{PUBLISHED}</td>{first}{_cell('') * 2}{''.join(others)}{_cell('') * 3}<td>{escape(one.source)}</td></tr>"
    )


def _switches(board: Leaderboard) -> str:
    """Which rows are shown; styles alone do it."""
    used = {row["selection"] for row in board.rows}
    shown = {key: selection.name for key, selection in SELECTIONS.items() if key in used}
    if board.published:
        shown["published"] = PUBLISHED
    boxes = (
        f'<label><input type="checkbox" id="show-{kind}"{" checked" if kind in ("last", "published") else ""}> '
        f"{words}</label>"
        for kind, words in shown.items()
    )
    return f"<fieldset><legend>Rows</legend>{''.join(boxes)}</fieldset>"


# -------------------------------------------------------------------------------------------------------------- bars


def _bars(board: Leaderboard) -> str:
    """Frame AUC inside each category's abnormal videos, a bar a method."""
    rows = [row for row in board.rows if row.get("per_category")]
    categories = list(dict.fromkeys(category for row in rows for category in row["per_category"]))
    if not categories:
        return "<p>No test video has a category with intervals.</p>"
    return "\n".join(_category(name, board.videos.get(name), rows) for name in categories)


def _category(name: str, videos: int | None, rows: list[dict[str, Any]]) -> str:
    many = "" if videos is None else f" <small>{videos} test video{'s' if videos != 1 else ''}</small>"
    bars = [_bar(row["method"], row["per_category"][name]) for row in rows if name in row["per_category"]]
    return f'<section class="category"><h3>{escape(name)}{many}</h3>{"".join(bars)}</section>'


def _bar(method: str, value: dict[str, Any]) -> str:
    """One bar from 0 to 100 with a line at 50, and the spread over seeds as a thin one."""
    if value["mean"] is None or value["mean"] != value["mean"]:
        return f'<div class="bar"><span>{escape(method)}</span><span></span><span>{UNDEFINED}</span></div>'
    mean, low, high = (100 * (value["mean"] + sign * value["std"]) for sign in (0, -1, 1))
    drawn = (
        f'<svg height="14" aria-hidden="true"><rect class="whole" width="100%" height="14"/>'
        f'<rect class="value" y="2" width="{mean:.2f}%" height="10"/>'
        f'<line class="spread" x1="{max(low, 0):.2f}%" x2="{min(high, 100):.2f}%" y1="7" y2="7"/>'
        f'<line class="chance" x1="50%" x2="50%" y2="14"/></svg>'
    )
    return f'<div class="bar"><span>{escape(method)}</span>{drawn}<span>{with_spread(value)}</span></div>'


# ------------------------------------------------------------------------------------------------------------- cards


def _card(name: str, card: dict[str, Any]) -> str:
    """The command that remakes a method's rows, and what it was made with."""
    seeds = ", ".join(map(str, card["seeds"]))
    held = ", ".join("–" if number is None else str(number) for number in card["held_out_iterations"])
    phases = ", ".join(f"{phase} {number}" for phase, number in card["iterations"].items())
    versions = ", ".join(f"{what} {version}" for what, version in card["versions"].items())
    passports = json.dumps(card["features"], indent=2, ensure_ascii=False)
    told = {"Seeds": seeds, "Iterations": phases, "Held-out videos chose": held, "Versions": versions}
    items = "".join(f"<dt>{head}</dt><dd>{escape(words)}</dd>" for head, words in told.items())
    return f"""<section class="card" id="card-{escape(name)}"><h3>{escape(name)}</h3>
<pre><code>{escape(card["command"])}</code></pre>
<dl>{items}<dt>Machine</dt><dd>{escape(card["machine"])}</dd></dl>
<details><summary>Features</summary><pre>{escape(passports)}</pre></details></section>"""
