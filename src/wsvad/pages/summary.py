"""What the report says above its videos: events, thresholds, the legend, and the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsvad.detection.timeline import Timeline
from wsvad.pages.days import camera_of, days_of
from wsvad.pages.palette import paint
from wsvad.pages.quality import quality
from wsvad.pages.verdict import WRONG, verdict
from wsvad.pages.words import count, figure, length


@dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """What the page says above the videos. Everything is plain text and may be left out."""

    model: str = ""
    """The detector in a few words: "ur-dmu on motion, trained on 12 videos"."""
    threshold: str = ""
    """Where the threshold comes from: the false-alarm budget and what it promises."""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The `selection` of `metrics.json`: `last`, `held_out`, `best_on_test`; each metric (a fraction) is a number or
    `{"mean", "std", "values"}` over seeds."""
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The `intervals` of `metrics.json`: of each metric of `last` the 95 % interval over test videos, `[low, high]`."""
    notes: Sequence[str] = ()
    """Anything else that the reader must know, a paragraph each."""
    left_out: Sequence[str] = ()
    """Files that were to be on the page and could not be read, each with the reason."""


def head(timelines: Sequence[Timeline], summary: ReportSummary) -> dict[str, Any]:
    """All that `head.html` shows."""
    return {
        "model": summary.model,
        "events": events_in_words(timelines),
        "against_truth": against_truth(timelines),
        "thresholds": f"{thresholds(timelines)} {sentence(summary.threshold)}",
        "notes": summary.notes,
        "left_out": summary.left_out,
        "left_out_words": f"{count(len(summary.left_out), 'file')} left out",
        "quality": quality(summary.metrics, summary.intervals),
        "legend": legend(timelines),
        "categories": categories(timelines),
    }


def events_in_words(timelines: Sequence[Timeline]) -> dict[str, str]:
    """How many events; in how many videos they are, and how long altogether. No number where there is none."""
    events = [event for timeline in timelines for event in timeline.events]
    total = length(sum(timeline.filmed() for timeline in timelines))
    if not events:
        return {"number": "", "where": f"in {count(len(timelines), 'video')}, {total}."}
    concerned = sum(bool(timeline.events) for timeline in timelines)
    where = f"{concerned} of {count(len(timelines), 'video')}" if len(timelines) > 1 else "this video"
    seconds = length(sum(timeline.filmed(event) for timeline in timelines for event in timeline.events))
    return {"number": count(len(events), "event"), "where": f"in {where}: {seconds} of {total}."}


def against_truth(timelines: Sequence[Timeline]) -> str:
    """How many videos have which verdict; nothing where nothing is known of any."""
    verdicts = [verdict(timeline) for timeline in timelines]
    words = {
        "found": "found",
        "missed": "missed",
        "elsewhere": "with events only at the wrong time",
        "false": "false alarm",
        "quiet": "correctly without events",
    }
    counts = {name: verdicts.count(name) for name in words if name in verdicts}
    parts = [count(n, "false alarm") if name == "false" else f"{n} {words[name]}" for name, n in counts.items()]
    known = sum(counts.values())
    return f"Compared with the labels of {count(known, 'video')}: {', '.join(parts)}." if known else ""


def thresholds(timelines: Sequence[Timeline]) -> str:
    """When an event starts and ends."""
    pairs = {(round(timeline.threshold, 6), round(timeline.low, 6)) for timeline in timelines}
    if not pairs:
        return "No video was scored."
    if len(pairs) != 1:
        return "Each video has its own threshold, the dashed line."
    threshold, low = pairs.pop()
    if threshold > 1:
        return "The threshold lies above every score, so no event is ever reported."
    stays = f"at {figure(low)} or above" if low < threshold else "there"
    starts = f"An event starts where the score reaches {figure(threshold)}"
    return f"{starts} and lasts while it stays {stays}; short gaps are bridged."


def sentence(words: str) -> str:
    """With its full stop."""
    return f"{words}." if words and words[-1].isalnum() else words


def legend(timelines: Sequence[Timeline]) -> dict[str, str]:
    """Mark → what it stands for; only those that the page has."""
    marks = {"curve": "score of each snippet, 0 to 1", "event": "event", "threshold": "threshold"}
    if any(timeline.low < timeline.threshold for timeline in timelines):
        marks["low"] = "an event ends below"
    if any(timeline.truth is not None for timeline in timelines):
        marks["truth"] = "truth: where something abnormal happens"
    if any(timeline.attributions for timeline in timelines):
        marks["why"] = "what the score depends on: stronger colour where a share is larger than elsewhere in the video"
    if any(timeline.explanation is not None and timeline.explanation.shift is not None for timeline in timelines):
        marks["shift"] = "shift: how much of each moment's features is taken from the moments before and after"
    return marks


def categories(timelines: Sequence[Timeline]) -> list[dict[str, Any]]:
    """The colours of the categories, with how many events are named so."""
    known = next((t.explanation.categories for t in timelines if t.explanation and t.explanation.categories), ())
    named = [next(iter(t.categories(event)), "") for t in timelines for event in t.events]
    return [{"paint": paint(number), "name": name, "events": named.count(name)} for number, name in enumerate(known)]


def toolbar(timelines: Sequence[Timeline]) -> dict[str, Any]:
    """All that `toolbar.html` shows."""
    verdicts = [verdict(timeline) for timeline in timelines]
    days = {day for timeline in timelines for day in days_of(timeline)}
    return {
        "videos": len(timelines),
        "videos_words": count(len(timelines), "video"),
        "days": [{"day": str(day), "words": f"{day:%a %Y-%m-%d}"} for day in sorted(days, reverse=True)],
        "cameras": sorted({camera_of(timeline) for timeline in timelines} - {""}),
        "with_events": sum(bool(timeline.events) for timeline in timelines),
        "known": any(one not in ("alarm", "silent") for one in verdicts),
        "wrong": sum(one in WRONG for one in verdicts),
        "events": sum(len(timeline.events) for timeline in timelines),
    }
