"""A map of prototypes and events for the report page, drawn as SVG: like lies beside like."""

from collections.abc import Sequence

import numpy as np

from wsvad.detection.explanation import directions
from wsvad.detection.timeline import Timeline
from wsvad.pages.card import count, span, text
from wsvad.pages.palette import paint

MAPPED = 300
"""Events on the map, the strongest."""
WIDTH, HEIGHT, EDGE = 900, 440, 70
"""Of the map, in its own units; points keep away from the edge, where names need room."""


def category_map(timelines: Sequence[Timeline], ids: Sequence[str]) -> str:
    """A section with the map; nothing where there are no prototypes or fewer than four points.

    Args:
        ids: of each video's article on the page.
    """
    told = next((t.explanation for t in timelines if t.explanation and t.explanation.prototypes is not None), None)
    if told is None or told.prototypes is None:
        return ""
    events = [
        (event.peak, look, timeline, number, rank)
        for timeline, rank in zip(timelines, ids, strict=True)
        if timeline.explanation is not None and timeline.explanation.event_embeddings is not None
        for number, (event, look) in enumerate(zip(timeline.events, timeline.explanation.event_embeddings, strict=True))
    ]
    events = sorted(events, key=lambda one: -one[0])[:MAPPED]
    if len(told.prototypes) + len(events) < 4:
        return ""
    event_embeddings = np.array([look for _, look, *_ in events]).reshape(-1, told.prototypes.shape[1])
    points = np.concatenate([apart(told.prototypes), apart(event_embeddings)])
    try:
        places = placed(points)
    except ImportError:
        return "<p class=\"muted\">A map of the categories needs scikit-learn: pip install 'wsvad[text]'.</p>"
    marks = [
        _event(x, y, timeline, number, rank)
        for (x, y), (_, _, timeline, number, rank) in zip(places[len(told.categories) :], events, strict=True)
    ]
    named = zip(told.categories, places, strict=False)
    marks += [_prototype(x, y, number, name) for number, (name, (x, y)) in enumerate(named)]
    return f"""<details class="map" id="map">
<summary><b>Map of categories</b> <span>{count(len(told.categories), "prototype")}, \
{count(len(events), "event")}</span></summary>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="Prototypes and events, similar ones close together">\
{"".join(marks)}</svg>
<p class="muted">Diamonds are the prototypes of the categories, dots are events in the colour of the category that \
they are named. Similar ones lie close together; directions and long distances mean nothing (t-SNE of cosine \
distances, without what all dots, or all diamonds, have in common).</p>
</details>"""


def apart(x_NH: np.ndarray) -> np.ndarray:
    """Directions without what all of them have in common, from three on; at length 1."""
    each = directions(x_NH)
    return directions(each - each.mean(0)) if len(each) > 2 else each


def placed(points_NH: np.ndarray) -> np.ndarray:
    """Where to draw points of length 1, `(N, 2)` in the map's units, by t-SNE; the same each time. N ≥ 4.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.manifold import TSNE

    # On the unit sphere Euclidean distance grows with cosine distance. From its principal axes, nothing is random.
    perplexity = min(30.0, (len(points_NH) - 1) / 3)
    found = TSNE(perplexity=perplexity, init=_axes(points_NH), method="exact", random_state=0).fit_transform(points_NH)
    low, high = found.min(0), found.max(0)
    share = (found - low) / np.where(high > low, high - low, 1)
    return EDGE + share * (np.array([WIDTH, HEIGHT]) - 2 * EDGE)


def _axes(points_NH: np.ndarray) -> np.ndarray:
    """The two principal axes, as small as t-SNE wants its start to be."""
    u, s, _ = np.linalg.svd(points_NH - points_NH.mean(0), full_matrices=False)
    axes = np.zeros((len(points_NH), 2))
    axes[:, : min(2, len(s))] = u[:, :2] * s[:2]
    axes *= np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    spread = axes[:, 0].std()
    return (1e-4 * axes / (spread or 1.0)).astype(np.float32)


def _event(x: float, y: float, timeline: Timeline, number: int, rank: str) -> str:
    event = timeline.events[number]
    name, share = next(iter(timeline.categories(event).items()))
    assert timeline.explanation is not None
    words = f"{name} {share:.0%}, {timeline.video}, {span(event.start, event.end)}"
    kind = timeline.explanation.categories.index(name)
    return (
        f'<a href="#{rank}"><circle cx="{x:.1f}" cy="{y:.1f}" r="6" {paint(kind)}>'
        f"<title>{text(words)}</title></circle></a>"
    )


def _prototype(x: float, y: float, number: int, name: str) -> str:
    side = "end" if x > 0.55 * WIDTH else "start"
    aside = -15 if side == "end" else 15
    return (
        f'<path d="M{x:.1f} {y - 11:.1f}l11 11l-11 11l-11-11z" {paint(number)}/>'
        f'<text x="{x + aside:.1f}" y="{y + 5:.1f}" text-anchor="{side}">{text(name)}</text>'
    )
