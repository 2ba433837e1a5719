"""One HTML file that says what happened, when and how sure: it opens offline, on a phone as well as on a desk.

Everything is inside the page (styles, script, thumbnails, small copies of the videos within `COPIES_BYTES`), and it
asks nothing of any network: its content security policy forbids it. The page is written as plain HTML, so that curves
and events are there where no script runs; the script adds playing, seeking, sorting and the reading under the cursor.
"""

import base64
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from wsvad.detection.timeline import Timeline
from wsvad.files import write_text
from wsvad.metrics.detection import IOUS
from wsvad.pages.card import WRONG, card, count, figure, length, peak_time, text, verdict
from wsvad.pages.category_map import category_map
from wsvad.pages.palette import paint
from wsvad.pages.preview import Preview, make_preview

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

SELECTIONS = {"last": "Last", "held_out": "Held-out", "best_on_test": "Best on test"}
MAP = (
    "how clean the list of intervals of each kind is, highest score first; one is right if it overlaps a true one of "
    f"its kind by at least {IOUS[0]:g} (frames in both over frames in either)"
)
METRICS = {
    "auc": ("Frame AUC", "chance that an abnormal frame scores above a normal one, over all videos; 50 is guessing"),
    "auc_abnormal": ("AUC on abnormal videos", "the same inside abnormal videos only: does it know <em>when</em>?"),
    "auc_constant": (
        "AUC of a constant per video",
        "what frame AUC becomes when every video gets one score, its mean: it knows <em>which</em>, never when",
    ),
    "ap": (
        "Average precision",
        "how clean the list of frames is, highest score first; the share of abnormal frames is guessing",
    ),
    "ap_trapezoid": ("Average precision, trapezoid", "the same by the trapezoidal rule, as some papers print it"),
    "ap_abnormal": ("Average precision on abnormal videos", "the same inside abnormal videos only"),
    "video_auc": ("Video AUC", "chance that an abnormal video's highest score is above a normal video's"),
    "far": ("False-alarm rate", "share of the frames of normal videos that score 0.5 or more; lower is better"),
    **{
        f"map@{iou:g}": (f"mAP at IoU {iou:g}", f"the same, where the overlap must be {iou:g}" if number else MAP)
        for number, iou in enumerate(IOUS)
    },
    "map": ("mAP, mean of these", ""),
    "category_accuracy": ("Named right", "share of true events whose likeliest kind is right"),
}
"""Names and explanations (HTML) of the metrics that `metrics.json` holds, in the order of the table."""
ALWAYS = ("auc", "auc_abnormal", "auc_constant")
"""Frame AUC is never shown without the two numbers that say how much of it is about time."""


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
    notes: Sequence[str] = ()
    """Anything else that the reader must know, a paragraph each."""


def write_report(
    path: Path | str, timelines: Sequence[Timeline], *, title: str, summary: ReportSummary | None = None
) -> None:
    """Write the page, whole or not at all.

    Videos that cannot be read (any more) are shown without pictures; a report is never lost for a picture.

    Args:
        path: the file to write, `.html`. Links to the videos are relative to it.
        timelines: one a video; the names are untrusted text.
        title: the page's title.
        summary: the detector, its threshold and its measured quality.
    """
    path = Path(path)
    ranked = sorted(timelines, key=lambda timeline: (not timeline.events, -timeline.peak, timeline.video))
    style, script = (_template(name) for name in ("report.css", "report.js"))
    cards, copies, left = [], [], COPIES_BYTES
    for rank, timeline in enumerate(ranked):
        preview = _preview(timeline, len(ranked), left) if rank < PICTURED else Preview()
        cards.append(card(rank, timeline, preview, _link(timeline.path, path)))
        if preview.copy:
            text64 = base64.b64encode(preview.copy).decode()
            copies.append(f'<script type="text/plain" id="copy-v{rank}">{text64}</script>')
            left -= len(text64)
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    page = Template(_template("report.html")).substitute(
        title=text(title),
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        style=style,
        script=script,
        head=_head(ranked, summary or ReportSummary()),
        toolbar=_toolbar(ranked),
        map=category_map(ranked, [f"v{rank}" for rank in range(len(ranked))]),
        videos="\n".join(cards),
        foot=_foot(ranked),
        copies="\n".join(copies),
    )
    write_text(path, page)


def _preview(timeline: Timeline, videos: int, left: int) -> Preview:
    """Stills of the strongest moments and, if it is short and fits into the bytes left, a small copy."""
    if timeline.path is None:
        return Preview()
    strongest = sorted(timeline.events, key=lambda event: -event.peak)[: STILLS // videos]
    times = [peak_time(timeline), *(event.peak_time for event in strongest)]
    room = left * 3 // 4  # in base64, three bytes are four
    fits = timeline.duration <= COPY_SECONDS and timeline.duration * COPY_BYTES_PER_SECOND <= room
    span = float(timeline.times[0]), float(timeline.times[-1])
    return make_preview(timeline.path, times, copy_bytes=room if fits else 0, span=span)


def _link(video: Path | None, page: Path) -> str | None:
    """The video's address relative to the page; None where there is none (another drive, no such file)."""
    if video is None or not video.is_file():
        return None
    try:
        relative = os.path.relpath(video.absolute(), page.absolute().parent)
    except ValueError:
        return None
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def _head(timelines: Sequence[Timeline], summary: ReportSummary) -> str:
    parts = [f'<p class="model">{text(summary.model)}</p>'] if summary.model else []
    parts.append(_headline(timelines))
    parts.append(_against_truth(timelines))
    parts.append(f"<p>{_thresholds(timelines)} {text(_sentence(summary.threshold))}</p>")
    parts += [f"<p>{text(note)}</p>" for note in summary.notes]
    parts.append(_metrics(summary.metrics))
    parts.append(_legend(timelines))
    return "\n".join(part for part in parts if part)


def _headline(timelines: Sequence[Timeline]) -> str:
    """Events in how many videos, and how long altogether."""
    events = [event for timeline in timelines for event in timeline.events]
    total = length(sum(timeline.duration for timeline in timelines))
    if not events:
        return f'<p class="headline"><b>No event</b> in {count(len(timelines), "video")}, {total}.</p>'
    concerned = sum(bool(timeline.events) for timeline in timelines)
    where = f"{concerned} of {count(len(timelines), 'video')}" if len(timelines) > 1 else "this video"
    seconds = length(sum(event.end - event.start for event in events))
    return (
        f'<p class="headline"><b class="alarm">{count(len(events), "event")}</b> in {where}: {seconds} of {total}.</p>'
    )


def _against_truth(timelines: Sequence[Timeline]) -> str:
    kinds = [verdict(timeline) for timeline in timelines]
    words = {
        "found": "found",
        "missed": "missed",
        "elsewhere": "with events only where nothing happens",
        "false": "false alarm",
        "quiet": "rightly quiet",
    }
    counts = {kind: kinds.count(kind) for kind in words if kind in kinds}
    parts = [count(n, "false alarm") if kind == "false" else f"{n} {words[kind]}" for kind, n in counts.items()]
    known = sum(kind in words for kind in kinds)
    return f"<p>Against what is known of {count(known, 'video')}: {', '.join(parts)}.</p>" if known else ""


def _thresholds(timelines: Sequence[Timeline]) -> str:
    levels = {(round(timeline.threshold, 6), round(timeline.low, 6)) for timeline in timelines}
    if len(levels) != 1:
        return "Each video has its own threshold, the dashed line."
    level, low = levels.pop()
    if level > 1:
        return "The threshold lies above every score, so no event is ever reported."
    stays = f"at {figure(low)} or above" if low < level else "there"
    starts = f"An event starts where the score reaches {figure(level)}"
    return f"{starts} and lasts while it stays {stays}; short gaps are bridged."


def _sentence(words: str) -> str:
    """With its full stop."""
    return f"{words}." if words and words[-1].isalnum() else words


def _metrics(selections: Mapping[str, Mapping[str, Any]]) -> str:
    """The table: a row a metric, a column a way of choosing the weights."""
    kinds = [kind for kind in SELECTIONS if kind in selections]
    if not kinds:
        return ""
    measured = {name for kind in kinds for name in selections[kind]}
    names = [name for name in METRICS if name in measured or name in ALWAYS]
    names += sorted(measured - set(METRICS))
    heads = "".join(f'<th scope="col">{SELECTIONS[kind]}</th>' for kind in kinds)
    rows = []
    for name in names:
        label, meaning = METRICS.get(name, (text(name), ""))
        cells = "".join(f'<td class="{kind}">{_percent(selections[kind].get(name))}</td>' for kind in kinds)
        rows.append(f'<tr><th scope="row">{label}</th>{cells}<td class="meaning">{meaning}</td></tr>')
    trio = ", ".join(f"{METRICS[name][0]} {_percent(selections[kinds[0]].get(name))}" for name in ALWAYS)
    return f"""<details class="figures" id="figures" style="--columns:{len(kinds)}">
<summary><b>How good is this model?</b> <span>{trio} ({SELECTIONS[kinds[0]].lower()}, percent)</span></summary>
<table><thead><tr><th scope="col">Percent</th>{heads}<td></td></tr></thead><tbody>{"".join(rows)}</tbody></table>
{_reading(kinds, selections)}</details>"""


def _reading(kinds: Sequence[str], selections: Mapping[str, Mapping[str, Any]]) -> str:
    """How to read the table, and what its numbers cannot support."""
    meanings = {
        "last": "<b>Last</b>: at the end of training.",
        "held_out": "<b>Held-out</b>: after as many iterations as training videos kept apart would choose.",
        "best_on_test": "<b>Best on test</b>: stopped by looking at the test videos, as papers often do; too good by "
        "construction.",
    }
    values = {name: selections[kinds[0]].get(name) for name in ALWAYS}
    seeds = max((len(_seeds(value)) for value in values.values()), default=0)
    spread = f" Mean ± standard deviation over {seeds} seeds." if seeds > 1 else ""
    parts = [f'<p class="muted">{" ".join(meanings[kind] for kind in kinds)}{spread}</p>']
    auc, constant = _mean(values.get("auc")), _mean(values.get("auc_constant"))
    if constant >= auc:
        parts.append(
            '<p class="caution">One constant score per video does as well in frame AUC here: the model tells which '
            "videos are abnormal, and its frame AUC is no evidence that it tells when.</p>"
        )
    return "\n".join(parts)


def _percent(value: Any) -> str:
    """A fraction as percent, "98.6 ± 0.3"; a dash where it was not measured or is not defined."""
    mean = _mean(value)
    if math.isnan(mean):
        return '<span aria-label="not measured">–</span>'
    std = value.get("std") if len(_seeds(value)) > 1 else None
    spread = "" if std is None else f" <small>± {100 * std:.1f}</small>"
    return f"{100 * mean:.1f}{spread}"


def _mean(value: Any) -> float:
    mean = value.get("mean") if isinstance(value, Mapping) else value
    return math.nan if mean is None else float(mean)


def _seeds(value: Any) -> Sequence[float]:
    return value.get("values", ()) if isinstance(value, Mapping) else ()


def _legend(timelines: Sequence[Timeline]) -> str:
    marks = {"curve": "score of each snippet, 0 to 1", "event": "event", "threshold": "threshold"}
    if any(timeline.low < timeline.threshold for timeline in timelines):
        marks["low"] = "an event ends below"
    if any(timeline.truth is not None for timeline in timelines):
        marks["truth"] = "where it really happens"
    if any(timeline.attributions for timeline in timelines):
        marks["why"] = "what the score leans on: stronger where a share is larger than elsewhere in the video"
    if any(timeline.explanation is not None and timeline.explanation.shift is not None for timeline in timelines):
        marks["shift"] = "shift: how much of a moment comes from its neighbours"
    items = "".join(f'<li><i class="k-{kind}"></i>{words}</li>' for kind, words in marks.items())
    return f'<ul class="legend">{items}</ul>{_kinds(timelines)}'


def _kinds(timelines: Sequence[Timeline]) -> str:
    """The colours of the categories, with how many events are named so."""
    known = next((t.explanation.categories for t in timelines if t.explanation and t.explanation.categories), ())
    named = [next(iter(t.categories(event)), "") for t in timelines for event in t.events]
    items = "".join(
        f"<li><i {paint(number, 'kind')}></i>{text(name)} <small>{named.count(name)}</small></li>"
        for number, name in enumerate(known)
    )
    return (
        f'<ul class="legend categories" aria-label="Categories, and how many events are named so">{items}</ul>'
        if items
        else ""
    )


def _toolbar(timelines: Sequence[Timeline]) -> str:
    """Search, order and filter where there are several videos; steps from event to event where there are events."""
    known = any(verdict(timeline) not in ("alarm", "silent") for timeline in timelines)
    wrong = sum(verdict(timeline) in WRONG for timeline in timelines)
    some = sum(bool(timeline.events) for timeline in timelines)
    parts = []
    if len(timelines) > 1:
        wrong_first = '<option value="wrong">Wrong first</option>' if known else ""
        wrong_only = f'<option value="wrong">Wrong ({wrong})</option>' if known else ""
        parts.append(f"""<input id="search" type="search" placeholder="Find a video" aria-label="Find a video by name">
<select id="sort" aria-label="Order"><option value="suspicious">Most suspicious first</option>\
<option value="name">By name</option>{wrong_first}</select>
<select id="show" aria-label="Show"><option value="all">All ({len(timelines)})</option>\
<option value="events">With events ({some})</option>{wrong_only}</select>
<span class="count" id="count" role="status">{count(len(timelines), "video")}</span>""")
    if sum(len(timeline.events) for timeline in timelines) > 1:
        parts.append("""<span class="step"><button type="button" id="previous" aria-label="Previous event">‹</button>\
<button type="button" id="next">Next event ›</button></span>""")
    return f'<nav class="bar" aria-label="Videos and events">{"".join(parts)}</nav>' if parts else ""


def _foot(timelines: Sequence[Timeline]) -> str:
    seek = "Click a curve or an event to see that moment."
    keys = "Keys: <kbd>n</kbd> next event, <kbd>p</kbd> previous, <kbd>/</kbd> find." if len(timelines) > 1 else ""
    sure = "A score orders moments by how unusual they look to this model. It is not a probability."
    return f"<p>{seek} {keys}</p><p>{sure}</p>"


def _template(name: str) -> str:
    return (package_files("wsvad.pages") / name).read_text(encoding="utf-8")
