"""One video on the report page: verdict, player, curve, events."""

import base64
import json
from typing import Any

import numpy as np

from wsvad.datasets.categories import UNNAMED, names_of
from wsvad.detection.timeline import Timeline, clock
from wsvad.metrics.events import Event
from wsvad.pages.chart import chart, envelope, event_paint, shift_range
from wsvad.pages.days import camera_of, days_of
from wsvad.pages.preview import Preview
from wsvad.pages.verdict import WRONG, touches, verdict, verdict_in_words
from wsvad.pages.words import figure, length, signed, span

ALSO = 0.05
"""The next two categories of an event are named beside its likeliest, if they have such a share."""
ORIGINS = {"given": "as was given", "name": "from its name", "container": "from its metadata"}
"""How a recording's start is known."""


def card(rank: int, timeline: Timeline, preview: Preview, link: str | None) -> dict[str, Any]:
    """All that `card.html` shows.

    Args:
        rank: place among the videos; the most suspicious has 0.
        link: address of the video file relative to the page; None where there is none.
    """
    kind = verdict(timeline)
    return {
        "rank": rank,
        "name": timeline.video,
        "camera": camera_of(timeline),
        "days": " ".join(map(str, days_of(timeline))),
        "began": f"{timeline.recorded.moment.timestamp():.0f}" if timeline.recorded else "",
        "verdict": kind,
        "verdict_words": verdict_in_words(timeline),
        "wrong": kind in WRONG,
        "readings": readings(timeline),
        "facts": " · ".join(facts(timeline)),
        "shape": preview.shape,
        "blind": not preview.stills,
        "small_copy": base64.b64encode(preview.copy or b"").decode(),
        "link": link,
        "poster": still(preview, peak_time(timeline)),
        "chart": chart(timeline),
        "events": [event_values(timeline, event, still(preview, event.peak_time)) for event in timeline.events],
    }


def facts(timeline: Timeline) -> list[str]:
    """What is known of a video, in a few words each."""
    parts = [
        f"peak {figure(timeline.peak)}",
        timeline.rarity.words if timeline.rarity else "",
        clock(timeline.duration),
        f"{timeline.frames:,} frames",
        f"{float(timeline.rate):.5g} fps" if timeline.rate else "",
        f"began {timeline.recorded.words(0)}, {ORIGINS[timeline.recorded.origin]}" if timeline.recorded else "",
        f"camera {timeline.recorded.camera}" if timeline.recorded and timeline.recorded.camera else "",
        "scored online, without looking ahead" if timeline.mode == "online" else "",
        f"labelled {timeline.category}" if timeline.category else "",
        shift_range(timeline),
    ]
    return [part for part in parts if part]


def readings(timeline: Timeline) -> str:
    """What the script reads the score from, under the cursor: JSON of T + 1 times and T scores."""
    times, scores = envelope(timeline.times, timeline.scores)
    value = {"times": np.round(times, 3).tolist(), "scores": np.round(np.asarray(scores, dtype=float), 3).tolist()}
    return json.dumps(value, separators=(",", ":"))


def peak_time(timeline: Timeline) -> float:
    """The middle of the snippet with the highest score, in seconds."""
    index = int(np.argmax(timeline.scores))
    return float(timeline.times[index] + timeline.times[index + 1]) / 2


def still(preview: Preview, seconds: float) -> str:
    """The picture of that moment as an address; nothing where there is none."""
    image = preview.stills.get(seconds)
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" if image else ""


# ------------------------------------------------------------------------------------------------------------ events


def event_values(timeline: Timeline, event: Event, picture: str) -> dict[str, Any]:
    """One event: when, how sure, what it is named, and what speaks for it."""
    shares = list(timeline.event_attributions(event).items())[:2]
    return {
        "start": f"{event.start:.3f}",
        "end": f"{event.end:.3f}",
        "picture": picture,
        "when": span(event.start, event.end),
        "wall": timeline.recorded.words(event.start) if timeline.recorded else "",
        "rarity": event.rarity.words if event.rarity else "",
        "strength": f"{length(event.end - event.start)}, peak {figure(event.peak)}",
        "outside": bool(timeline.truth) and not touches(event, timeline.truth or ()),
        "attributions": ", ".join(f"{name}\u00a0{share:.0%}" for name, share in shares),
        "category": likeliest_category(timeline, event),
        "near": ", ".join(f"{name}\u00a0{signed(cosine)}" for name, cosine in timeline.nearest(event).items()),
    }


def likeliest_category(timeline: Timeline, event: Event) -> dict[str, Any] | None:
    """What an event is named and how surely, what else it may be, and what it is in truth if that is something else;
    None where the method does not say."""
    likely = timeline.categories(event)
    if not likely:
        return None
    (name, share), *others = likely.items()
    true = {n for one in timeline.truth or () if touches(event, [one]) for n in names_of(one.category)}
    true -= {UNNAMED} - set(likely)
    return {
        "paint": event_paint(timeline, event),
        "name": name,
        "share": f"{share:.0%}",
        "truth": ", ".join(sorted(true)) if name not in true else "",
        "also": ", ".join(f"{other}\u00a0{p:.0%}" for other, p in others[:2] if p >= ALSO),
    }
