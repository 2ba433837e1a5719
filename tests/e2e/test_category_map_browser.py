"""Explanation of events as a visitor sees them: the map opens, fits, and leads to the video."""

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chromium import EXECUTABLE, Chromium

from wsvad.detection.explanation import Explanation
from wsvad.detection.timeline import Timeline
from wsvad.metrics.events import Event
from wsvad.metrics.interval import Interval
from wsvad.pages.report import write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium on the PATH"),
]

NAMES = ("fight", "fall", "a kind with a very long name that has to go somewhere", "<b>fire")


def timeline(number: int) -> Timeline:
    """One event of kind `number % 4`, with a shift curve."""
    edges = np.arange(9) * 16
    event = Event(start_frame=32, end_frame=64, start=3.2, end=6.4, peak=0.9, peak_time=4.8)
    kind, rng = number % 4, np.random.default_rng(number)
    explanation = Explanation(
        categories=NAMES,
        class_scores=np.tile(0.1 + 0.6 * (np.arange(4) == kind), (8, 1)),
        shift=np.linspace(0.4, 0.6, 8),
        event_embeddings=np.eye(4)[[kind]] + 0.1 * rng.normal(size=(1, 4)),
        prototypes=np.eye(4),
    )
    return Timeline(
        video=f"v{number:02}.mp4", path=None, rate=Fraction(10), frames=128, times=edges / 10, frame_edges=edges,
        scores=np.where((edges[:-1] >= 32) & (edges[:-1] < 64), 0.9, 0.1), events=(event,), threshold=0.5, low=0.35,
        truth=(Interval(start=40, end=64, category="fall"),), label=1, explanation=explanation,
    )  # fmt: skip


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_map_opens_fits_and_leads_to_a_video(tmp_path: Path, width: int, dark: bool):
    write_report(tmp_path / "r.html", [timeline(number) for number in range(12)], title="Explanation")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as page:
        page.visit((tmp_path / "r.html").as_uri(), width=width, dark=dark)
        page.click("#map summary")
        assert page.evaluate("document.getElementById('map').open")
        inside = (
            "[...document.querySelectorAll('#map svg :is(circle, path)')].every((e) => { const a = "
            "e.getBoundingClientRect(), b = e.closest('svg').getBoundingClientRect(); return a.width > 3 && "
            "a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom; })"
        )
        assert page.evaluate(inside)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelectorAll('#map circle').length") == 12
        colours = "(s) => new Set([...document.querySelectorAll(s)].map((e) => getComputedStyle(e).fill)).size"
        assert page.evaluate(f"({colours})('#map circle')") == 4
        page.evaluate("document.querySelector('#map a[href=\"#v7\"]').dispatchEvent(new MouseEvent('click'))")
        page.wait("location.hash === '#v7'")
        assert page.evaluate("Math.abs(document.getElementById('v7').getBoundingClientRect().top)") < 200
        caps = "[...document.querySelectorAll('.cap')].map((e) => getComputedStyle(e).stroke)"
        assert len(set(page.evaluate(caps))) == 4
        assert page.problems == []
