"""What the events of a video come to, against what is known of it."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from wsvad.detection.timeline import Timeline
from wsvad.metrics.events import Event
from wsvad.metrics.interval import Interval
from wsvad.pages.words import count

Verdict = Literal["alarm", "silent", "found", "elsewhere", "missed", "false", "quiet"]
WRONG: tuple[Verdict, ...] = ("elsewhere", "missed", "false")
"""Verdicts that contradict the label or the truth."""


def verdict(timeline: Timeline) -> Verdict:
    """What the events come to: against the truth, or else the label; `alarm` or `silent` where neither is known.

    `found`: at least one event touches an abnormal interval. `elsewhere`: the video is abnormal and has events, none
    of which touches any.
    """
    abnormal = bool(timeline.truth) if timeline.label is None else bool(timeline.label)
    if timeline.label is None and timeline.truth is None:
        return "alarm" if timeline.events else "silent"
    if not abnormal:
        return "false" if timeline.events else "quiet"
    if not timeline.events:
        return "missed"
    if timeline.truth and not any(touches(event, timeline.truth) for event in timeline.events):
        return "elsewhere"
    return "found"


def verdict_in_words(timeline: Timeline) -> str:
    """The verdict as the line beside a video's name."""
    events = count(len(timeline.events), "event")
    match verdict(timeline):
        case "alarm":
            return events
        case "silent":
            return "No event"
        case "quiet":
            return "No event in a normal video, as it should be"
        case "false":
            return f"False alarm: {events} in a normal video"
        case "missed":
            return "Missed: no event in an abnormal video"
        case "elsewhere":
            return f"Missed: {events}, none inside the truth"
        case "found" if timeline.truth:
            met = sum(any(touches(event, [interval]) for event in timeline.events) for interval in timeline.truth)
            part = f" {met} of {len(timeline.truth)}" if len(timeline.truth) > 1 else ""
            return f"Found{part}: {events}, {inside_truth(timeline):.0%} inside the truth"
        case _:
            return f"{events} in an abnormal video"


def touches(event: Event, truth: Iterable[Interval]) -> bool:
    """Whether an event shares a frame with any of the intervals."""
    return any(event.start_frame < interval.end and event.end_frame > interval.start for interval in truth)


def inside_truth(timeline: Timeline) -> float:
    """The share of the events' frames in which something abnormal happens: an event over the whole video finds
    everything, and says little."""
    marked, abnormal = (np.zeros(timeline.frames, dtype=bool) for _ in range(2))
    for event in timeline.events:
        marked[event.start_frame : event.end_frame] = True
    for interval in timeline.truth or ():
        abnormal[interval.start : interval.end] = True
    return float(abnormal[marked].mean()) if marked.any() else 0.0
