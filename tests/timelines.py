"""Timelines and report pages for tests."""

from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from wsvad.detection.timeline import Timeline
from wsvad.metrics.events import Event
from wsvad.pages.report import ReportSummary, write_report


def event(start: int, end: int, peak: float = 0.9) -> Event:
    """At 10 frames per second."""
    return Event(
        start_frame=start, end_frame=end, start=start / 10, end=end / 10, peak=peak, peak_time=(start + end) / 20
    )


EVENT = event(16, 32)


def timeline(video: str = "a.mp4", *, scores=(0.1, 0.9, 0.2), events=(EVENT,), **changes) -> Timeline:
    edges = np.arange(len(scores) + 1) * 16
    values = {
        "video": video,
        "path": None,
        "rate": Fraction(10),
        "frames": int(edges[-1]),
        "times": edges / 10,
        "frame_edges": edges,
        "scores": np.array(scores),
        "events": tuple(events),
        "threshold": 0.5,
        "low": 0.35,
    }
    return Timeline(**(values | changes))


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._silent = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write(path: Path, timelines, **summary) -> Page:
    write_report(path, timelines, title="Night shift", summary=ReportSummary(**summary))
    return Page(path)
