"""The leaderboard as a visitor sees it: it sorts by mouse and by keyboard, fits, and asks nothing of any network."""

import json
import tempfile
from pathlib import Path

import pytest
from chromium import EXECUTABLE, Chromium

from wsvad.studies.leaderboard import Leaderboard
from wsvad.studies.leaderboard_page import as_page
from wsvad.studies.published import published

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium on the PATH"),
]


def spread(mean: float) -> dict:
    return {"mean": mean, "std": 0.01, "values": [mean - 0.01, mean + 0.01]}


def row(method: str, selection: str, auc: float, seconds: float) -> dict:
    metrics = {"auc": auc, "auc_abnormal": 0.6, "auc_constant": 0.6, "ap": 0.2, "video_auc": 0.7, "far": 1 - auc}
    last = {
        "intervals": {"auc": [auc - 0.05, auc + 0.05]},
        "per_category": {"fight": spread(auc), "<b>fire": spread(0.4), "never": {"mean": None, "std": 0, "values": []}},
    }
    return {
        "data": "d", "method": method, "streams": ["rgb"], "selection": selection, "seconds": seconds,
        "metrics": {name: spread(value) for name, value in metrics.items()}, "parameters": 10_000,
        "features": {"rgb": "<i>made 5"}, "peak_memory": None if method == "mil" else 700_000_000,
    } | (last if selection == "last" else {})  # fmt: skip


def board() -> Leaderboard:
    rows = [
        row(method, selection, auc, seconds)
        for method, auc, seconds in (
            ("ur-dmu", 0.9, 1000.0),
            ("a-method-with-a-long-name", 0.8, 30.0),
            ("mil", 0.7, 4.0),
        )
        for selection in ("last", "held_out", "best_on_test")
    ]
    rows[0]["against"] = {"method": "mil", "auc": {"low": 0.1, "high": 0.2, "p": 0.002, "difference": 0.2}}
    card = {
        "command": "wsvad bench --data '<x>' " + "--word " * 40, "seeds": [0, 1], "iterations": {"train": 80},
        "held_out_iterations": [4, None], "features": {"rgb": {"encoder": "<i>"}}, "versions": {"wsvad": "1"},
        "machine": "cpu",
    }  # fmt: skip
    return Leaderboard(
        data="<d>", headline="auc", baseline="mil", rows=rows, cards={"ur-dmu": card, "mil": card},
        videos={"fight": 3, "<b>fire": 1}, published=published("ucf-crime"),
    )  # fmt: skip


METHODS = "[...document.querySelectorAll('tbody tr')].filter((r) => r.offsetParent).map((r) => r.cells[0].textContent)"
VALUES = (
    "(name) => { const i = [...document.querySelectorAll('thead button')].findIndex((b) => b.textContent === name); "
    "return [...document.querySelectorAll('tbody tr')].filter((r) => r.offsetParent)"
    ".map((r) => r.cells[i].dataset.value) }"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "bench.html"
    path.write_text(as_page(board()), encoding="utf-8")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as browser:
        browser.address = path.as_uri()
        yield browser


def test_a_head_sorts_by_mouse_and_by_keyboard(page):
    page.visit(page.address, width=1280)
    ours = [name for name in page.evaluate(METHODS) if name in ("ur-dmu", "mil", "a-method-with-a-long-name")]
    assert ours == ["ur-dmu", "a-method-with-a-long-name", "mil"]
    page.click("thead th:nth-child(4) button")  # AUC: the best first, and then the other way round
    values = [float(v) for v in page.evaluate(f"({VALUES})('AUC %')")]
    assert values == sorted(values, reverse=True) and values[0] == 0.9158
    page.click("thead th:nth-child(4) button")
    values = [float(v) for v in page.evaluate(f"({VALUES})('AUC %')")]
    assert values == sorted(values) and values[0] == 0.7
    state = "[...document.querySelectorAll('th[aria-sort]')].map((e) => [e.textContent, e.getAttribute('aria-sort')])"
    assert page.evaluate(state) == [["AUC %", "ascending"]]
    page.evaluate("[...document.querySelectorAll('thead button')].find((b) => b.textContent === 'Seconds').focus()")
    page.press("\r")
    assert page.evaluate("document.getElementById('said').textContent") == "sorted by Seconds, ascending"
    known = page.evaluate(f"({VALUES})('Seconds')")
    assert known[:3] == ["4", "30", "1000"] and set(known[3:]) == {None}
    page.press(" ")
    assert page.evaluate(f"({VALUES})('Seconds')")[:3] == ["1000", "30", "4"]  # what is not known stays last
    page.click("thead th:first-child button")
    names = page.evaluate(METHODS)
    assert names[0] == "a-method-with-a-long-name"
    assert names.index("CLIP-TSA") < names.index("mil") < names.index("RTFM") < names.index("ur-dmu")
    assert page.problems == []


def test_rows_are_shown_by_kind(page):
    page.visit(page.address, width=1280)
    count = "[...document.querySelectorAll('tbody tr')].filter((r) => r.offsetParent).length"
    theirs = len(board().published)
    assert page.evaluate(count) == 3 + theirs
    page.click("#show-published")
    page.click("#show-best_on_test")
    assert page.evaluate(count) == 6


@pytest.mark.parametrize("metrics", [(), ("map@0.1", "category_accuracy")])
def test_all_columns_are_there_at_once_on_a_laptop(page, tmp_path, metrics):
    """With the metrics of categories too, which are the most that a table has."""
    shown = board()
    for one in shown.rows:
        one["metrics"] |= {name: spread(0.3) for name in metrics}
    (tmp_path / "bench.html").write_text(as_page(shown), encoding="utf-8")
    page.visit((tmp_path / "bench.html").as_uri(), width=1280)
    widths = "(() => { const e = document.querySelector('.scroll'); return [e.scrollWidth, e.clientWidth] })()"
    needed, there = page.evaluate(widths)
    assert needed == there > 1200
    right = "[...document.querySelectorAll('thead th')].at(-1).getBoundingClientRect().right"
    assert page.evaluate(right) <= 1280


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_is_readable_and_asks_nothing_of_the_network(page, width, dark):
    page.visit(page.address, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shares = page.evaluate("[...document.querySelectorAll('.value')].map((e) => e.getBoundingClientRect().width / "
                           "e.closest('svg').getBoundingClientRect().width)")  # fmt: skip
    assert shares == pytest.approx([0.9, 0.8, 0.7, 0.4, 0.4, 0.4], abs=0.01)
    assert page.evaluate("document.querySelectorAll('b, i').length") == 0  # names are text
    contrast = """(() => {
        const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => (v /= 255) <= .04045 ? v / 12.92 :
            ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
        const paper = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
        return ['tr.last td', 'tr.published td', 'h1', 'small', 'dt', 'pre'].map((s) => {
            const ink = light(getComputedStyle(document.querySelector(s)).color);
            return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05) }) })()"""
    assert min(page.evaluate(contrast)) > 4.5
    lefts = """(() => { document.querySelector('.scroll').scrollLeft = 300;
        return ['thead th', 'tbody th'].map((s) => document.querySelector(s).getBoundingClientRect().left) })()"""
    head, name = page.evaluate(lefts)
    assert head == name  # whose numbers these are stays in sight, under its head
    assert page.requests == [page.address] or all(url.startswith(("file:", "data:")) for url in page.requests)
    assert page.problems == []


def test_a_method_leads_to_the_command_that_remakes_it(page):
    page.visit(page.address, width=1280)
    page.click("tbody a[href='#card-mil']")
    page.wait("location.hash === '#card-mil'")
    told = page.evaluate("document.querySelector(':target code').textContent")
    assert json.dumps(told).startswith("\"wsvad bench --data '<x>'")
