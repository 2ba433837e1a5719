"""All events on one picture: a still of each with its video, its time and its score, for a mail or a printed report."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from wsvad.detection.timeline import Timeline, clock
from wsvad.files import atomic
from wsvad.metrics.events import Event
from wsvad.pages.overlay import ALARM, FONT, GROUND, INK
from wsvad.pages.preview import STILL_WIDTH, make_preview
from wsvad.pages.words import count

COLUMNS = 4
MOST = 400
"""Events on a sheet, the strongest; a JPEG is at most 65,535 pixels high."""
EDGE, STILL_HEIGHT, LINE = 8, 180, 18
"""Pixels around a still, its greatest height, and those of a line of text."""
QUALITY = 85


def write_contact_sheet(
    path: Path | str, timelines: Sequence[Timeline], known: Mapping[str, Mapping[float, bytes]] | None = None
) -> None:
    """Write a JPEG of the events of all videos, in the order of the videos and of time.

    An event whose picture cannot be had has an empty frame. Without events the sheet says so.

    Args:
        known: pictures that are there already, as `write_report` returns them.

    Raises:
        WsvadError: it cannot be written.
    """
    events = [(timeline, event) for timeline in timelines for event in timeline.events]
    strongest = sorted(range(len(events)), key=lambda i: -events[i][1].peak)[:MOST]
    shown = [events[i] for i in sorted(strongest)]
    stills = {}
    for timeline in {id(timeline): timeline for timeline, _ in shown}.values():
        own = [event for one, event in shown if one is timeline]
        stills[timeline.video] = _stills(timeline, own, (known or {}).get(timeline.video, {}))
    cells = [_cell(timeline, event, stills[timeline.video].get(event.peak_time)) for timeline, event in shown]
    left = f", the {MOST} strongest" if len(events) > MOST else ""
    sheet = _sheet(cells, f"{count(len(events), 'event')} in {count(len(timelines), 'video')}{left}")
    with atomic(path) as temporary:
        coded = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        temporary.write_bytes(coded.tobytes())


def _stills(timeline: Timeline, events: Sequence[Event], known: Mapping[float, bytes]) -> dict[float, np.ndarray]:
    """A picture at the peak of each event, as far as the video can be read."""
    times = [event.peak_time for event in events]
    missing = [time for time in times if time not in known]
    found = {time: known[time] for time in times if time in known}
    if missing and timeline.path is not None:
        span = float(timeline.times[0]), float(timeline.times[-1])
        found |= make_preview(timeline.path, missing, copy_bytes=0, span=span, rate=timeline.rate).stills
    return {time: _decoded(jpeg) for time, jpeg in found.items()}


def _decoded(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None  # it was made here
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _cell(timeline: Timeline, event: Event, still: np.ndarray | None) -> np.ndarray:
    """A still in the middle of its place, with three lines below it."""
    cell = _ground(STILL_HEIGHT + 3 * LINE + EDGE, STILL_WIDTH)
    if still is not None:
        scale = min(1.0, STILL_HEIGHT / still.shape[0])
        size = max(1, round(still.shape[1] * scale)), max(1, round(still.shape[0] * scale))
        image = cv2.resize(still, size, interpolation=cv2.INTER_AREA)
        top, left = (STILL_HEIGHT - size[1]) // 2, (STILL_WIDTH - size[0]) // 2
        cell[top : top + size[1], left : left + size[0]] = image
    kind = next(iter(timeline.categories(event)), "abnormal")
    when = clock(event.start) if timeline.recorded is None else timeline.recorded.words(event.start)
    _write(cell, timeline.video, STILL_HEIGHT, INK)
    _write(cell, when, STILL_HEIGHT + LINE, INK)
    _write(cell, f"{event.peak:.2f}  {event.end - event.start:.1f} s  {kind}", STILL_HEIGHT + 2 * LINE, ALARM)
    return cell


def _sheet(cells: Sequence[np.ndarray], title: str) -> np.ndarray:
    """The cells in rows below a title."""
    rows = -(-len(cells) // COLUMNS)
    columns = min(COLUMNS, max(2, len(cells)))
    height, width = STILL_HEIGHT + 3 * LINE + 2 * EDGE, STILL_WIDTH + EDGE
    sheet = _ground(LINE + 2 * EDGE + rows * height, EDGE + columns * width)
    head = sheet[EDGE : EDGE + LINE, EDGE:]
    _write(head, title, 0, INK)
    for place, cell in enumerate(cells):
        top, left = LINE + 2 * EDGE + place // COLUMNS * height, EDGE + place % COLUMNS * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _ground(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GROUND, np.uint8)


def _write(image: np.ndarray, text: str, top: int, colour: tuple[int, int, int]) -> None:
    """A line of text, its end cut off where it is too long; the drawn font knows ASCII alone."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = "".join(letter for letter in plain if letter.isprintable())
    scale = cv2.getFontScaleFromHeight(FONT, LINE // 2)
    while cv2.getTextSize(plain, FONT, scale, 1)[0][0] > image.shape[1] and len(plain) > 4:
        plain = f"{plain[:-4]}..."
    line = np.ascontiguousarray(image[top : top + LINE])
    cv2.putText(line, plain, (0, LINE - 5), FONT, scale, colour, 1, cv2.LINE_AA)
    image[top : top + LINE] = line
