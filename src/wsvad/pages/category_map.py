"""A map of prototypes and events for the report page: like lies beside like."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wsvad.detection.explanation import directions
from wsvad.detection.timeline import Timeline
from wsvad.metrics.events import Event
from wsvad.pages.chart import event_paint
from wsvad.pages.palette import paint
from wsvad.pages.words import count, span

MAPPED = 300
"""Events on the map, the strongest."""
WIDTH, HEIGHT, EDGE = 900, 440, 70
"""Of the map, in its own units; points keep away from the edge, where names need room."""


def category_map(timelines: Sequence[Timeline], ids: Sequence[str]) -> dict[str, Any] | None:
    """All that `category_map.html` draws; None where there are no prototypes or fewer than four points.

    Where scikit-learn is missing, `prototypes` and `events` are None.

    Args:
        ids: of each video's article on the page.
    """
    first = next((t.explanation for t in timelines if t.explanation and t.explanation.prototypes is not None), None)
    if first is None or first.prototypes is None:
        return None
    events = strongest_events(timelines, ids)
    if len(first.prototypes) + len(events) < 4:
        return None
    looks = np.array([look for look, *_ in events]).reshape(-1, first.prototypes.shape[1])
    try:
        places = placed(np.concatenate([apart(first.prototypes), apart(looks)]))
    except ImportError:
        return {"prototypes": None, "events": None}
    own, others = places[: len(first.prototypes)], places[len(first.prototypes) :]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "counts": f"{count(len(own), 'prototype')}, {count(len(events), 'event')}",
        "events": [mark | _at(*place) for (_, mark), place in zip(events, others, strict=True)],
        "prototypes": [
            {"name": name, "paint": paint(number), "side": "end" if x > 0.55 * WIDTH else "start"} | _at(x, y)
            for number, (name, (x, y)) in enumerate(zip(first.categories, own, strict=True))
        ],
    }


def strongest_events(timelines: Sequence[Timeline], ids: Sequence[str]) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """The embedding of each of the strongest events, and what its mark is: address, colour, words."""
    events = [
        (event.peak, look, timeline, event, address)
        for timeline, address in zip(timelines, ids, strict=True)
        if timeline.explanation is not None and timeline.explanation.event_embeddings is not None
        for event, look in zip(timeline.events, timeline.explanation.event_embeddings, strict=True)
    ]
    strongest = sorted(events, key=lambda one: -one[0])[:MAPPED]
    return [(look, _event(timeline, event, address)) for _, look, timeline, event, address in strongest]


def _event(timeline: Timeline, event: Event, address: str) -> dict[str, Any]:
    name, share = next(iter(timeline.categories(event).items()))
    words = f"{name} {share:.0%}, {timeline.video}, {span(event.start, event.end)}"
    return {"id": address, "paint": event_paint(timeline, event), "words": words}


def _at(x: float, y: float) -> dict[str, float]:
    return {"x": float(x), "y": float(y)}


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
