"""The report as a visitor has it: opened from the disk in Chromium, touched, sorted, played."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chromium import EXECUTABLE, Chromium

from wsvad.detection.timeline import Timeline
from wsvad.metrics.events import Event
from wsvad.metrics.interval import Interval
from wsvad.pages.report import ReportSummary, write_report
from wsvad.video.wall_clock import Start
from wsvad.video.writer import write_video

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium on the PATH"),
]

EVIL = "<script>document.title='owned'<img src=x onerror=alert(1)>.mp4"


def event(start: float, end: float, peak: float) -> Event:
    return Event(
        start_frame=round(start * 10), end_frame=round(end * 10), start=start, end=end, peak=peak,
        peak_time=(start + end) / 2,
    )  # fmt: skip


def timeline(video: str, path: Path | None, events: list[Event], *, abnormal: bool) -> Timeline:
    edges = np.minimum(np.arange(9) * 16, 120)
    scores = np.full(8, 0.1)
    for e in events:
        scores[(edges[:-1] < e.end_frame) & (edges[1:] > e.start_frame)] = e.peak
    truth = (Interval(start=64, end=96, category="fight"),) if abnormal else ()
    return Timeline(
        video=video, path=path, rate=Fraction(10), frames=120, times=edges / 10, frame_edges=edges, scores=scores,
        events=tuple(events), threshold=0.5, low=0.35, truth=truth, label=int(abnormal),
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four videos: found, false alarm (with a nasty name), missed, quiet; two of them have a file."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    for name in ("b.mp4", "a10.mp4"):
        write_video(folder / name, (rng.integers(0, 255, (90, 120, 3), np.uint8) for _ in range(120)), 10, crf=40)
    lines = [
        timeline("b.mp4", folder / "b.mp4", [event(1.6, 3.2, 0.6), event(6.4, 9.6, 0.9)], abnormal=True),
        timeline(EVIL, None, [event(3.2, 4.8, 0.7)], abnormal=False),
        timeline("a10.mp4", folder / "a10.mp4", [], abnormal=True),
        timeline("a9" * 40 + ".mp4", None, [], abnormal=False),
    ]
    metrics = {
        kind: {"auc": 0.9, "auc_abnormal": 0.8, "auc_constant": 0.7} for kind in ("last", "held_out", "best_on_test")
    }
    write_report(folder / "report.html", lines, title="Night shift", summary=ReportSummary(metrics=metrics))
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def page() -> Iterator[Chromium]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as chromium:
        yield chromium


def names(page: Chromium) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('article:not([hidden])')].map((a) => a.dataset.name.slice(0, 5))"
    )


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_opens_without_complaint_and_fits_the_window(page: Chromium, report: str, width: int, dark: bool):
    page.visit(report, width=width, dark=dark)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait("document.querySelector('video').readyState >= 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.title") == "Night shift"
    assert page.problems == []
    assert all(address.startswith(("data:", "blob:", report)) for address in page.requests)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor").removeprefix("rgb(").split(",")[0]
    assert (int(background) < 60) is dark


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_menus_show_all_of_their_words(page: Chromium, report: str, width: int):
    """Each is as wide as its longest line needs, and inside the window."""
    page.visit(report, width=width)
    sizes = page.evaluate("""['sort', 'show'].map((id) => {
        const menu = document.getElementById(id), free = menu.cloneNode(true);
        free.style.cssText = 'position: absolute; width: max-content; min-width: 0; max-width: none';
        menu.parentNode.append(free);
        const box = menu.getBoundingClientRect(), needed = free.getBoundingClientRect().width;
        free.remove();
        return [box.width >= needed - .5, box.left >= 0 && box.right <= innerWidth, needed > 90] })""")
    assert sizes == [[True, True, True]] * 2


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("index", "start"), [(0, 1.6), (1, 6.4)])
def test_click_on_an_event_shows_its_start_and_plays(page: Chromium, report: str, width: int, index: int, start: float):
    page.visit(report, width=width)
    page.evaluate(
        "window.sought = []; for (const v of document.querySelectorAll('video')) "
        "v.addEventListener('seeking', () => window.sought.push(v.currentTime))"
    )
    page.click(f"#v0 .events li:nth-child({index + 1}) button")
    page.wait(f"document.querySelector('#v0 video').currentTime > {start} + 0.3")  # it decodes, and it runs
    assert page.evaluate("document.querySelector('#v0 video').videoWidth") == 120
    assert page.evaluate("window.sought.length ? window.sought[0] : 0") == pytest.approx(start, abs=0.2)
    page.evaluate("document.querySelector('#v0 video').pause()")
    assert page.evaluate("document.querySelector('#v0 .original').hash").startswith("#t=")
    assert page.problems == []


def test_click_on_the_curve_seeks_there(page: Chromium, report: str):
    page.visit(report, width=1280)
    page.click("#v0 .plot", share=0.75)
    page.wait("!document.querySelector('#v0 video').seeking && document.querySelector('#v0 video').readyState >= 2")
    assert page.evaluate("document.querySelector('#v0 video').currentTime") == pytest.approx(9.0, abs=0.2)
    assert page.evaluate("document.querySelector('#v0 video').paused")
    assert page.evaluate("document.querySelector('#v0 .readout').textContent") == "0:09.0   score 0.90"
    assert page.evaluate("document.querySelector('#v0 .plot').getAttribute('aria-valuetext')") == "0:09.0, score 0.90"
    assert page.problems == []


def test_curve_without_a_video_still_reads(page: Chromium, report: str):
    page.visit(report, width=1280)
    page.click("#v1 .plot", share=0.33)
    assert page.evaluate("document.querySelector('#v1 .readout').textContent") == "0:04.0   score 0.70"
    assert page.problems == []


def test_keys_step_through_the_events(page: Chromium, report: str):
    page.visit(report, width=1280)
    seen = []
    for key in "nnnnp":
        page.press(key)
        seen.append(page.evaluate("document.activeElement.querySelector('.when').textContent"))
    assert seen == ["0:01.6–0:03.2", "0:06.4–0:09.6", "0:03.2–0:04.8", "0:01.6–0:03.2", "0:03.2–0:04.8"]
    assert page.evaluate("document.querySelectorAll('[aria-current]').length") == 1


def chosen(page: Chromium, control: str, value: str) -> list[str]:
    """The videos that are shown when something is chosen in the bar."""
    page.evaluate(
        f"(() => {{ const e = document.getElementById('{control}'); e.value = '{value}'; "
        "e.dispatchEvent(new Event('input')); })()"
    )
    return names(page)


@pytest.mark.parametrize("width", [390, 1280])
def test_days_and_cameras_are_chosen(page: Chromium, tmp_path: Path, width: int):
    midnight = [Start(moment=datetime(2024, 1, day, 23, 59, 55, tzinfo=UTC), origin="name") for day in (15, 17)]
    lines = [
        replace(timeline("gate/a.mp4", None, [event(1.6, 3.2, 0.6)], abnormal=False), recorded=midnight[0]),
        replace(timeline("yard/b.mp4", None, [event(6.4, 9.6, 0.9)], abnormal=False), recorded=midnight[1]),
        timeline("gate/c.mp4", None, [], abnormal=False),
    ]
    write_report(tmp_path / "report.html", lines, title="A week", summary=ReportSummary(left_out=["x" * 200]))
    page.visit((tmp_path / "report.html").as_uri(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.getElementById('day').options].map((o) => o.textContent)") == [
        "All days", "Thu 2024-01-18", "Wed 2024-01-17", "Tue 2024-01-16", "Mon 2024-01-15",
    ]  # fmt: skip
    assert chosen(page, "sort", "newest") == ["yard/", "gate/", "gate/"]
    assert chosen(page, "day", "2024-01-16") == ["gate/"]
    assert chosen(page, "camera", "yard") == []
    assert chosen(page, "day", "2024-01-18") == ["yard/"]
    assert chosen(page, "day", "") == ["yard/"]
    assert chosen(page, "day", "2024-01-15") == []
    page.click("#reset")
    assert len(names(page)) == 3
    cells = page.evaluate("[...document.querySelectorAll('.days tr')].map((r) => r.innerText.split('\t').join('|'))")
    assert cells == [
        "day|gate|yard", "Thu 2024-01-18|–|1", "Wed 2024-01-17|–|0", "Tue 2024-01-16|0|–", "Mon 2024-01-15|1|–",
    ]  # fmt: skip
    assert page.problems == []


def test_sorts_and_filters(page: Chromium, report: str):
    page.visit(report, width=1280)

    def choose(control: str, value: str) -> list[str]:
        return chosen(page, control, value)

    assert names(page) == ["b.mp4", "<scri", "a10.m", "a9a9a"]
    assert choose("sort", "name")[-1] == "b.mp4"
    assert choose("sort", "name").index("a9a9a") < choose("sort", "name").index("a10.m")
    assert choose("sort", "wrong")[:2] == ["<scri", "a10.m"]
    assert choose("show", "wrong") == ["<scri", "a10.m"]
    assert choose("show", "events") == ["<scri", "b.mp4"]
    assert page.evaluate("document.getElementById('count').textContent") == "2 of 4 videos"
    assert choose("search", "zzz") == []
    assert not page.evaluate("document.getElementById('none').hidden")
    page.click("#reset")
    assert len(names(page)) == 4
    assert page.problems == []
