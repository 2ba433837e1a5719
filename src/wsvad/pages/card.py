"""One video on the report page, as HTML and SVG: verdict, curve, truth, events."""

import base64
import json
import math
from collections.abc import Iterable
from html import escape
from typing import Literal

import numpy as np

from wsvad.datasets.categories import UNNAMED, names_of
from wsvad.detection.events import Event
from wsvad.detection.timeline import Timeline, clock, printable
from wsvad.metrics.interval import Interval
from wsvad.pages.palette import paint
from wsvad.pages.preview import Preview

CURVE_POINTS = 800
"""A longer curve is drawn by the highest score of each of as many equal spans of time: no peak is ever hidden."""

STRIP_BINS, STRIP_SHADES = 120, 6
"""How finely the strips under a curve are drawn: parts of the video, and shades."""

SHIFT_SPAN = 0.05
"""A shift ratio that varies less is drawn flat: what is left is noise."""

ALSO = 0.05
"""The next two categories of an event are told beside its likeliest, if they have such a share."""

Verdict = Literal["alarm", "silent", "found", "elsewhere", "missed", "false", "quiet"]
WRONG: tuple[Verdict, ...] = ("elsewhere", "missed", "false")
"""Verdicts that contradict the label or the truth."""

TURNING = {code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Marks of the direction of writing."""

TICKS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds between the marks under a curve."""


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


def card(rank: int, timeline: Timeline, preview: Preview, link: str | None) -> str:
    """The whole article. `link` is the address of the video file relative to the page."""
    kind = verdict(timeline)
    name = text(timeline.video)
    screen = _screen(timeline, preview, link)
    shape = f' style="--shape:{preview.shape[0]}/{preview.shape[1]}"' if preview.shape else ""
    return f"""<article id="v{rank}" class="{kind}" data-name="{name}" data-rank="{rank}" \
data-events="{len(timeline.events)}" data-wrong="{int(kind in WRONG)}" data-curve="{_data(timeline)}"{shape}>
<header><h2><bdi>{name}</bdi></h2><p class="verdict">{_says(kind, timeline)}</p></header>
<p class="meta muted">{_meta(timeline)}</p>
<div class="body{"" if preview.stills else " blind"}">
{screen}{_chart(timeline, name)}
{_events(timeline, preview)}
</div>
</article>"""


def _says(kind: Verdict, timeline: Timeline) -> str:
    events = count(len(timeline.events), "event")
    match kind:
        case "alarm":
            return events
        case "silent":
            return "No event"
        case "quiet":
            return "No event in a normal video, rightly"
        case "false":
            return f"False alarm: {events} in a normal video"
        case "missed":
            return "Missed: no event in an abnormal video"
        case "elsewhere":
            return f"Missed: {events}, none where it happens"
        case "found" if timeline.truth:
            met = sum(any(touches(event, [interval]) for event in timeline.events) for interval in timeline.truth)
            part = f" {met} of {len(timeline.truth)}" if len(timeline.truth) > 1 else ""
            return f"Found{part}: {events}, {inside_truth(timeline):.0%} inside the truth"
        case _:
            return f"{events} in an abnormal video"


def _meta(timeline: Timeline) -> str:
    parts = [
        f"peak {figure(timeline.peak)}",
        clock(timeline.duration),
        f"{timeline.frames:,} frames",
        f"{float(timeline.rate):.5g} fps" if timeline.rate else "",
        "scored online, without looking ahead" if timeline.mode == "online" else "",
        f"labelled {text(timeline.category)}" if timeline.category else "",
        _shift_range(timeline),
    ]
    return " · ".join(part for part in parts if part)


def _screen(timeline: Timeline, preview: Preview, link: str | None) -> str:
    """The player, or nothing where neither a small copy nor the file is there."""
    name = text(timeline.video)
    original = f'<a class="original" href="{escape(link)}" target="_blank">Open the original</a>' if link else ""
    image = preview.stills.get(peak_time(timeline))
    poster = f' poster="{jpeg(image)}"' if image else ""
    player = f'<video controls muted playsinline preload="none"{poster} aria-label="{name}"'
    if preview.copy:
        screen = f'{player}></video><p class="muted">Small copy in this page. {original}</p>'
    elif link and image:
        lost = '<span class="lost" hidden>This browser cannot play it, or it is no longer there. </span>'
        screen = f'{player} data-original="{escape(link)}"></video><p class="muted">{lost}{original}</p>'
    elif image:
        screen = f'<img src="{jpeg(image)}" alt="The moment of the highest score">'
    elif link:
        screen = f'<p class="muted">{original}</p>'
    else:
        return ""
    return f'<div class="screen">{screen}</div>\n'


def peak_time(timeline: Timeline) -> float:
    """The middle of the snippet with the highest score, in seconds."""
    index = int(np.argmax(timeline.scores))
    return float(timeline.times[index] + timeline.times[index + 1]) / 2


def _chart(timeline: Timeline, name: str) -> str:
    start, end = float(timeline.times[0]), float(timeline.times[-1])
    level = float(timeline.threshold)
    levels = [(1.0, "1", ""), (0.0, "0", ""), (min(level, 1.0), figure(level) if level <= 1 else ">1", "at")]
    marks = "".join(
        f'<span class="{kind}" style="bottom:{100 * value:.1f}%">{words}</span>'
        for value, words, kind in levels
        if kind or abs(value - level) > 0.14
    )
    return f"""<div class="chart">
<div class="levels" aria-hidden="true">{marks}</div>
<div class="plot" role="slider" tabindex="0" aria-label="Score over time of {name}; move to seek" \
aria-valuemin="{start:.3f}" aria-valuemax="{end:.3f}" aria-valuenow="{start:.3f}" aria-valuetext="{clock(start)}">
{_svg(timeline)}
<i class="cursor" hidden></i><i class="playhead" hidden></i><output class="readout" hidden></output>
</div>
{_truth(timeline)}{_why(timeline)}{_shift(timeline)}<div class="ticks" aria-hidden="true">{_ticks(start, end)}</div>
</div>"""


def _svg(timeline: Timeline) -> str:
    """The picture of the curve, 1000 wide and 100 high, stretched by the page to its place."""
    times, scores = envelope(timeline.times, timeline.scores)
    x = _share(timeline, times) * 1000
    y = 100 - 100 * np.asarray(scores, dtype=float)
    steps = "".join(f"V{top:.1f}H{right:.1f}" for top, right in zip(y, x[1:], strict=True))
    bands = "".join(f"M{left:.1f} 0H{right:.1f}V100H{left:.1f}Z" for left, right in _spans(timeline, 1000))
    caps = "".join(
        f'<path {_cap(timeline, event)} d="M{left:.1f} 1.5H{right:.1f}"/>'
        for event, (left, right) in zip(timeline.events, _spans(timeline, 1000), strict=True)
    )
    level, low = (f"{100 - 100 * min(value, 1.0):.1f}" for value in (timeline.threshold, timeline.low))
    lower = f'<line class="low" x1="0" x2="1000" y1="{low}" y2="{low}"/>' if low != level else ""
    line = f"M0 {y[0]:.1f}{steps[steps.index('H') :]}" if len(y) else ""
    return f"""<svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">\
<path class="band" d="{bands}"/>{caps}\
<path class="area" d="M0 100{steps}V100Z"/><path class="line" d="{line}"/>{lower}\
<line class="threshold" x1="0" x2="1000" y1="{level}" y2="{level}"/></svg>"""


def _cap(timeline: Timeline, event: Event) -> str:
    """The line above an event, in the colour of what it is named."""
    name = next(iter(timeline.categories(event)), "")
    return paint(timeline.explanation.categories.index(name), "cap") if timeline.explanation and name else 'class="cap"'


def _spans(timeline: Timeline, width: float) -> list[tuple[float, float]]:
    """Where events lie, in `width` units; a very short one is kept visible."""
    ends = np.array([(event.start, event.end) for event in timeline.events]).reshape(-1, 2)
    return [(left, max(right, left + 0.003 * width)) for left, right in _share(timeline, ends) * width]


def _truth(timeline: Timeline) -> str:
    """The strip under the curve that shows where it really happens; nothing where that is not known."""
    if timeline.truth is None:
        return ""
    marks = []
    for interval in timeline.truth:
        seconds = [timeline.seconds(interval.start), timeline.seconds(interval.end)]
        left, right = 100 * _share(timeline, np.array(seconds))
        words = f"{text(interval.category)}, {span(*seconds)}"
        marks.append(f'<i style="left:{left:.2f}%;width:{right - left:.2f}%" title="{words}"></i>')
    return f'<div class="truth" role="img" aria-label="{_truth_words(timeline)}">{"".join(marks)}</div>\n'


def _why(timeline: Timeline) -> str:
    """A strip for each thing that the scores lean on: its share over time, darkest where it is largest in the video."""
    return "".join(
        f'<span class="source" aria-hidden="true">{text(name)}</span>{_strip(timeline, name)}\n'
        for name in timeline.attributions
    )


def _strip(timeline: Timeline, name: str) -> str:
    shares = timeline.attributions[name].astype(np.float64)
    bins = min(len(shares), STRIP_BINS)
    edges = np.arange(bins + 1) * len(shares) // bins
    means = np.add.reduceat(shares, edges[:-1]) / np.diff(edges)
    low, high = means.min(), means.max()
    shades = np.rint(STRIP_SHADES * (means - low) / (high - low if high > low else 1.0)).astype(int)
    x = _share(timeline, timeline.times[edges]) * 1000
    paths = "".join(
        f'<path fill-opacity="{shade / STRIP_SHADES:.2f}" d="'
        + "".join(f"M{x[i]:.1f} 0H{x[i + 1]:.1f}V1H{x[i]:.1f}Z" for i in np.flatnonzero(shades == shade))
        + '"/>'
        for shade in range(1, STRIP_SHADES + 1)
        if (shades == shade).any()
    )
    words = f"{text(name)}: {low:.0%} to {high:.0%} of what the score leans on"
    return (
        f'<svg class="why" viewBox="0 0 1000 1" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f"<title>{words}</title>{paths}</svg>"
    )


def _shift(timeline: Timeline) -> str:
    """The shift ratio as a thin curve from its lowest to its highest value, where the method has one."""
    if timeline.explanation is None or timeline.explanation.shift is None:
        return ""
    times, ratio = envelope(timeline.times, timeline.explanation.shift.astype(np.float64))
    x = _share(timeline, times) * 1000
    y = 100 - 100 * (ratio - ratio.min()) / max(ratio.max() - ratio.min(), SHIFT_SPAN)
    steps = "".join(f"V{top:.0f}H{right:.1f}" for top, right in zip(y, x[1:], strict=True))
    words = f"{_shift_range(timeline)}: how much of a moment comes from the one before and the one after"
    return (
        f'<span class="source" aria-hidden="true">shift</span>'
        f'<svg class="shift" viewBox="0 -4 1000 108" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<title>{words}</title><path d="M0 {y[0]:.0f}{steps[steps.index("H") :]}"/></svg>\n'
    )


def _shift_range(timeline: Timeline) -> str:
    if timeline.explanation is None or timeline.explanation.shift is None:
        return ""
    return f"shift {timeline.explanation.shift.min():.2f} to {timeline.explanation.shift.max():.2f}"


def _truth_words(timeline: Timeline) -> str:
    intervals = timeline.truth or ()
    ends = ", ".join(span(timeline.seconds(interval.start), timeline.seconds(interval.end)) for interval in intervals)
    return f"Truth: abnormal {ends}" if ends else "Truth: normal throughout"


def _ticks(start: float, end: float) -> str:
    step = next((step for step in TICKS if (end - start) / step <= 6), TICKS[-1])
    room = 0.72 if end >= 3600 else 0.83  # for the time at the end
    marks = np.arange(0, room * (end - start), step)
    words = "".join(
        f'<span style="left:{100 * mark / (end - start):.2f}%">{clock(start + mark, whole=step >= 1)}</span>'
        for mark in marks
    )
    return words + f'<span class="last" style="left:100%">{clock(end)}</span>'


def _events(timeline: Timeline, preview: Preview) -> str:
    rows = []
    for event in timeline.events:
        picture = preview.stills.get(event.peak_time)
        image = f'<img src="{jpeg(picture)}" alt="" loading="lazy">' if picture else ""
        outside = timeline.truth and not touches(event, timeline.truth)
        wrong = ' · <b class="wrong">outside the truth</b>' if outside else ""
        told = f"{length(event.end - event.start)}, peak {figure(event.peak)}{wrong}{_leans(timeline, event)}"
        what = _what(timeline, event)
        rows.append(
            f'<li><button type="button" data-start="{event.start:.3f}" data-end="{event.end:.3f}">{image}'
            f'<span class="when">{span(event.start, event.end)}</span>'
            f'{what}<span class="sure">{told}</span>{_near(timeline, event)}</button></li>'
        )
    return f'<ol class="events" aria-label="Events">{"".join(rows)}</ol>' if rows else ""


def _what(timeline: Timeline, event: Event) -> str:
    """What an event is named and how surely, what else it may be, and what it is in truth if that is something else."""
    likely = timeline.categories(event)
    if timeline.explanation is None or not likely:
        return ""
    (name, share), *others = likely.items()
    true = {n for one in timeline.truth or () if touches(event, [one]) for n in names_of(one.category)}
    true -= {UNNAMED} - set(likely)
    really = f' · <b class="wrong">truly {text(", ".join(sorted(true)))}</b>' if true and name not in true else ""
    mark = f"<i {paint(timeline.explanation.categories.index(name), 'kind')}></i>"
    told = ", ".join(f"{text(other)}\u00a0{p:.0%}" for other, p in others[:2] if p >= ALSO)
    also = f'<span class="also">or {told}</span>' if told else ""
    return f'<span class="what">{mark}<b>{text(name)}</b> {share:.0%}{really}</span>{also}'


def _near(timeline: Timeline, event: Event) -> str:
    """The prototypes that an event is nearest to."""
    near = ", ".join(f"{text(name)}\u00a0{_signed(cosine)}" for name, cosine in timeline.nearest(event).items())
    return f'<span class="near" title="cosine to the nearest prototypes">near {near}</span>' if near else ""


def _signed(cosine: float) -> str:
    """Three decimals: prototypes may lie close together."""
    return f"{cosine:z.3f}".replace("-", "−")


def _leans(timeline: Timeline, event: Event) -> str:
    """The two largest shares of an event, in words."""
    two = list(timeline.leans_on(event).items())[:2]
    return " · " + ", ".join(f"{text(name)}\u00a0{share:.0%}" for name, share in two) if two else ""


def _data(timeline: Timeline) -> str:
    """What the script reads the score from, under the cursor."""
    times, scores = envelope(timeline.times, timeline.scores)
    value = {"times": np.round(times, 3).tolist(), "scores": np.round(np.asarray(scores, dtype=float), 3).tolist()}
    return escape(json.dumps(value, separators=(",", ":")))


def _share(timeline: Timeline, seconds: np.ndarray) -> np.ndarray:
    """Seconds as a share of the video's length, in [0, 1]."""
    return np.clip((seconds - timeline.times[0]) / (timeline.duration or 1.0), 0.0, 1.0)


def text(words: str) -> str:
    """Untrusted text as HTML, in elements and in quoted attributes.

    Characters that turn the direction of writing are spelt out: they make "cod.exe" read as "exe.doc".
    """
    return escape(printable(words).translate(TURNING))


def jpeg(image: bytes) -> str:
    """A picture as an address."""
    return "data:image/jpeg;base64," + base64.b64encode(image).decode()


def figure(score: float) -> str:
    """A score with two decimals, or with two significant ones near 0: 0.013 and 0.0092 are not both 0.01."""
    digits = 2 if score >= 0.05 or score <= 0 else min(6, 1 - math.floor(math.log10(score)))
    return f"{score:.{digits}f}"


def count(number: int, noun: str) -> str:
    """ "1 event", "2 events"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def span(start: float, end: float) -> str:
    """ "0:03.2–0:06.0"."""
    return f"{clock(start)}–{clock(end)}"


def length(seconds: float) -> str:
    """A duration in words that stay on one line: "8.6 s", "3 min 12 s", "1 h 4 min"."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u00a0h\u00a0{minutes}\u00a0min" if hours else f"{minutes}\u00a0min\u00a0{rest}\u00a0s"
