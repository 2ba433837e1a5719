"""The curve of one video and the strips under it, as numbers for a drawing: SVG path data, percents, words.

Curves are 1000 wide and 100 high; the page stretches them to their place. T snippets have T + 1 borders.
"""

from typing import Any

import numpy as np

from wsvad.detection.timeline import Timeline, clock
from wsvad.metrics.events import Event
from wsvad.pages.palette import Paint, paint
from wsvad.pages.words import figure, span

CURVE_POINTS = 800
"""A longer curve is drawn by the highest score of each of as many equal spans of time: no peak is ever hidden."""

STRIP_BINS, STRIP_SHADES = 120, 6
"""How finely the strips under a curve are drawn: parts of the video, and shades."""

SHIFT_SPAN = 0.05
"""A shift ratio that varies less is drawn flat: what is left is noise."""

TICKS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds between the marks under a curve."""


def chart(timeline: Timeline) -> dict[str, Any]:
    """All that `chart.html` draws."""
    start, end = float(timeline.times[0]), float(timeline.times[-1])
    return {
        "start": f"{start:.3f}",
        "end": f"{end:.3f}",
        "start_words": clock(start),
        "end_words": clock(end),
        "levels": levels(timeline.threshold),
        "curve": curve(timeline),
        "truth": truth(timeline),
        "strips": [strip(timeline, name) for name in timeline.attributions],
        "shift": shift(timeline),
        "ticks": ticks(start, end),
    }


def levels(threshold: float) -> list[dict[str, str]]:
    """The scores beside the curve: 1, 0 and the threshold, which the others make room for."""
    own = {"class": "at", "bottom": f"{100 * min(threshold, 1.0):.1f}", "words": figure(threshold)}
    own |= {"words": ">1"} if threshold > 1 else {}
    ends = [
        {"class": "", "bottom": f"{100 * end:.1f}", "words": f"{end:.0f}"}
        for end in (1.0, 0.0)
        if abs(end - threshold) > 0.14
    ]
    return [*ends, own]


def curve(timeline: Timeline) -> dict[str, Any]:
    """The picture of the scores: bands and caps of events, area and line of the curve, and the thresholds' heights."""
    times, scores = envelope(timeline.times, timeline.scores)
    x = share_of_length(timeline, times) * 1000
    y = 100 - 100 * np.asarray(scores, dtype=float)
    steps = "".join(f"V{top:.1f}H{right:.1f}" for top, right in zip(y, x[1:], strict=True))
    spans = event_spans(timeline)
    threshold, low = (f"{100 - 100 * min(value, 1.0):.1f}" for value in (timeline.threshold, timeline.low))
    return {
        "bands": "".join(f"M{left:.1f} 0H{right:.1f}V100H{left:.1f}Z" for left, right in spans),
        "caps": [
            {"paint": event_paint(timeline, event), "path": f"M{left:.1f} 1.5H{right:.1f}"}
            for event, (left, right) in zip(timeline.events, spans, strict=True)
        ],
        "area": f"M0 100{steps}V100Z",
        "line": f"M0 {y[0]:.1f}{steps[steps.index('H') :]}",
        "threshold": threshold,
        "low": low if low != threshold else "",
    }


def event_paint(timeline: Timeline, event: Event) -> Paint | None:
    """The colour of what an event is named; None where it has no name."""
    name = next(iter(timeline.categories(event)), "")
    return paint(timeline.explanation.categories.index(name)) if timeline.explanation and name else None


def event_spans(timeline: Timeline) -> list[tuple[float, float]]:
    """Where events lie, of a width of 1000; a very short one is kept visible."""
    ends = np.array([(event.start, event.end) for event in timeline.events]).reshape(-1, 2)
    return [(left, max(right, left + 3.0)) for left, right in share_of_length(timeline, ends) * 1000]


def truth(timeline: Timeline) -> dict[str, Any] | None:
    """Where it really happens; None where that is not known."""
    if timeline.truth is None:
        return None
    marks, spans = [], []
    for interval in timeline.truth:
        seconds = timeline.seconds(interval.start), timeline.seconds(interval.end)
        left, right = 100 * share_of_length(timeline, np.array(seconds))
        spans.append(span(*seconds))
        marks.append(
            {"left": f"{left:.2f}", "width": f"{right - left:.2f}", "words": f"{interval.category}, {spans[-1]}"}
        )
    words = f"Truth: abnormal {', '.join(spans)}" if spans else "Truth: normal throughout"
    return {"words": words, "marks": marks}


def strip(timeline: Timeline, name: str) -> dict[str, Any]:
    """The share of one attribution of the scores, over time: darkest where it is largest in the video."""
    shares = timeline.attributions[name].astype(np.float64)
    bins = min(len(shares), STRIP_BINS)
    edges = np.arange(bins + 1) * len(shares) // bins
    means = np.add.reduceat(shares, edges[:-1]) / np.diff(edges)
    low, high = means.min(), means.max()
    shades = np.rint(STRIP_SHADES * (means - low) / (high - low if high > low else 1.0)).astype(int)
    x = share_of_length(timeline, timeline.times[edges]) * 1000
    paths = [
        {
            "opacity": f"{shade / STRIP_SHADES:.2f}",
            "path": "".join(f"M{x[i]:.1f} 0H{x[i + 1]:.1f}V1H{x[i]:.1f}Z" for i in np.flatnonzero(shades == shade)),
        }
        for shade in range(1, STRIP_SHADES + 1)
        if (shades == shade).any()
    ]
    return {"name": name, "words": f"{name}: {low:.0%} to {high:.0%} of what the score depends on", "shades": paths}


def shift(timeline: Timeline) -> dict[str, str] | None:
    """The shift ratio as a thin curve from its lowest to its highest value; None where the method has none."""
    if timeline.explanation is None or timeline.explanation.shift is None:
        return None
    times, ratio = envelope(timeline.times, timeline.explanation.shift.astype(np.float64))
    x = share_of_length(timeline, times) * 1000
    y = 100 - 100 * (ratio - ratio.min()) / max(ratio.max() - ratio.min(), SHIFT_SPAN)
    steps = "".join(f"V{top:.0f}H{right:.1f}" for top, right in zip(y, x[1:], strict=True))
    words = f"{shift_range(timeline)}: how much of each moment's features is taken from the moments before and after"
    return {"words": words, "path": f"M0 {y[0]:.0f}{steps[steps.index('H') :]}"}


def shift_range(timeline: Timeline) -> str:
    """The lowest and the highest shift ratio in words; nothing where the method has none."""
    if timeline.explanation is None or timeline.explanation.shift is None:
        return ""
    return f"shift {timeline.explanation.shift.min():.2f} to {timeline.explanation.shift.max():.2f}"


def ticks(start: float, end: float) -> list[dict[str, str]]:
    """The times under the curve, but for the one at its end. From `start` to `end`, seconds."""
    step = next((step for step in TICKS if (end - start) / step <= 6), TICKS[-1])
    room = 0.72 if end >= 3600 else 0.83  # for the time at the end
    marks = np.arange(0, room * (end - start), step)
    return [
        {"left": f"{100 * mark / (end - start):.2f}", "words": clock(start + mark, whole=step >= 1)} for mark in marks
    ]


def envelope(times: np.ndarray, scores: np.ndarray, points: int = CURVE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Fewer points for drawing: borders `(N + 1,)` and the highest score between them `(N,)`, N ≤ `points`.

    A curve that is short enough is returned as it is.
    """
    if len(scores) <= points:
        return times, scores
    borders = np.linspace(times[0], times[-1], points + 1)
    first = np.searchsorted(times, borders[:-1], side="right") - 1
    last = np.searchsorted(times, borders[1:], side="left")
    spans = zip(first, np.maximum(last, first + 1), strict=True)
    return borders, np.array([scores[start:stop].max() for start, stop in spans])


def share_of_length(timeline: Timeline, seconds: np.ndarray) -> np.ndarray:
    """Seconds as a share of the video's length, in [0, 1]."""
    return np.clip((seconds - timeline.times[0]) / (timeline.duration or 1.0), 0.0, 1.0)
