"""One HTML file that says what happened, when and how sure: it opens offline, on a phone as well as on a desk.

Everything is inside the page (styles, script, thumbnails, small copies of the videos within `COPIES_BYTES`), and it
asks nothing of any network: its content security policy forbids it. The page is written as plain HTML, so that curves
and events are there where no script runs; the script adds playing, seeking, sorting and the reading under the cursor.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from wsvad.detection.timeline import Timeline
from wsvad.files import write_text
from wsvad.pages.card import card, peak_time
from wsvad.pages.category_map import category_map
from wsvad.pages.days import days
from wsvad.pages.preview import Preview, make_preview
from wsvad.pages.render import render_page
from wsvad.pages.summary import ReportSummary, head, toolbar
from wsvad.storage import is_remote

COPIES_BYTES = 18_000_000
"""All small copies of videos together, as text in the page. With it the page stays below about 25 MB."""
COPY_SECONDS = 900.0
"""Longer videos are not copied into the page."""
COPY_BYTES_PER_SECOND = 4_000
"""Expected of a copy at the least; no copy is tried that would not fit."""
PICTURED = 300
"""Videos shown with pictures, the most suspicious first."""
STILLS = 600
"""Pictures of events in the whole page; each video has its share of them, for its strongest events."""


def write_report(
    path: Path | str, timelines: Sequence[Timeline], *, title: str, summary: ReportSummary | None = None
) -> dict[str, dict[float, bytes]]:
    """Write the page, whole or not at all.

    Videos that cannot be read (any more) are shown without pictures; a report is never lost for a picture.

    Args:
        path: the file to write, `.html`. Links to the videos are relative to it.
        timelines: one a video; the names are untrusted text.
        title: the page's title.
        summary: the detector, its threshold and its measured quality.

    Returns:
        The pictures in it: video → second → JPEG.
    """
    path = Path(path)
    ranked = sorted(timelines, key=lambda timeline: (not timeline.events, -timeline.peak, timeline.video))
    cards, stills = [], {}
    for rank, (timeline, preview) in enumerate(zip(ranked, _previews(ranked), strict=True)):
        cards.append(card(rank, timeline, preview, link_to(timeline.path, path)))
        stills[timeline.video] = preview.stills
    page = render_page(
        "report",
        title=title,
        head=head(ranked, summary or ReportSummary()),
        map=category_map(ranked, [f"v{rank}" for rank in range(len(ranked))]),
        days=days(ranked),
        toolbar=toolbar(ranked),
        cards=cards,
    )
    write_text(path, page)
    return stills


def _previews(timelines: Sequence[Timeline]) -> Iterator[Preview]:
    """Pictures of the first videos, and small copies as long as there is room for them in the page."""
    left = COPIES_BYTES
    for rank, timeline in enumerate(timelines):
        preview = _preview(timeline, len(timelines), left) if rank < PICTURED else Preview()
        yield preview
        left -= 4 * -(-len(preview.copy or b"") // 3)  # in base64, three bytes are four


def _preview(timeline: Timeline, videos: int, left: int) -> Preview:
    """Stills of the strongest moments and, if it is short and fits into the bytes left, a small copy."""
    if timeline.path is None:
        return Preview()
    strongest = sorted(timeline.events, key=lambda event: -event.peak)[: STILLS // videos]
    times = [peak_time(timeline), *(event.peak_time for event in strongest)]
    room = left * 3 // 4
    fits = timeline.duration <= COPY_SECONDS and timeline.duration * COPY_BYTES_PER_SECOND <= room
    span = float(timeline.times[0]), float(timeline.times[-1])
    return make_preview(timeline.path, times, copy_bytes=room if fits else 0, span=span, rate=timeline.rate)


def link_to(video: Path | None, page: Path) -> str | None:
    """The video's address relative to the page; None where there is none (another drive, a store, no such
    file)."""
    if video is None or is_remote(video) or not video.is_file():
        return None
    try:
        relative = os.path.relpath(video.absolute(), page.absolute().parent)
    except ValueError:
        return None
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))
