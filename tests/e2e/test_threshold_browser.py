"""The page of a run's thresholds in Chromium: it fits, complains of nothing, and says what lies under the cursor."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import EXECUTABLE, Chromium
from turned import bursts, finished_run, known

from wsvad.cli.main import main

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium on the PATH"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    run = finished_run(
        tmp_path_factory.mktemp("runs") / "gate <b>&", bursts(np.linspace(0.2, 0.9, 8), 450.0), known([0.95, 0.5])
    )
    assert main(["threshold", str(run.path), "--set", "0.55"]) == 0
    return run.threshold_page.as_uri()


@pytest.fixture(scope="module")
def page() -> Iterator[Chromium]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as chromium:
        yield chromium


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_the_window_and_asks_for_nothing(page: Chromium, address: str, width: int, dark: bool):
    page.visit(address, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('h1').textContent") == "Thresholds of gate <b>&"
    assert page.problems == []
    assert all(one.startswith(("data:", address)) for one in page.requests)
    rows = page.evaluate("[...document.querySelectorAll('tr.now td')].map((cell) => cell.textContent).slice(0, 2)")
    assert rows == ["0.55 (in use)", "4"]


def test_under_the_cursor_is_the_nearest_threshold(page: Chromium, address: str):
    page.visit(address, width=1280)
    points = page.evaluate("JSON.parse(document.querySelector('.charts').dataset.readings)")
    for share in (0.0, 0.3, 0.999):
        page.click(".plot", share=share)
        shown = page.evaluate("document.querySelector('.readout').textContent")
        nearest = min(points, key=lambda point: abs(point[0] - 1000 * share))
        assert shown == nearest[1] and "false alarms/day" in shown and "of 2 events" in shown
    assert page.problems == []


def test_the_line_in_use_lies_between_the_bursts_that_it_passes(page: Chromium, address: str):
    page.visit(address, width=1280)
    now = float(page.evaluate("document.querySelector('line.now').getAttribute('x1')"))
    words = page.evaluate("JSON.parse(document.querySelector('.charts').dataset.readings)")
    above = [x for x, text in words if float(text.split()[1].rstrip(",")) > 0.55]
    below = [x for x, text in words if float(text.split()[1].rstrip(",")) < 0.55]
    assert max(below) < now < min(above)
