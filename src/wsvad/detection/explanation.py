"""Which category of anomaly a video shows and why a method thinks so, for methods that say it.

Shapes: T snippets, K categories, E events, H width of the method's embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsvad.methods.abilities import Embeds

if TYPE_CHECKING:  # a page may be written, and times told in words, without torch
    from wsvad.runs.scorer import Scored


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What a method says of one video beside its scores; what it does not say is None or empty."""

    categories: tuple[str, ...] = ()
    """K names, at least two: of a single one there is nothing to say."""
    class_scores: np.ndarray | None = None
    """`(T, K)` in [0, 1]."""
    shift: np.ndarray | None = None
    """`(T,)` in [0, 1]: how much of a snippet is taken from the one before and the one after."""
    event_embeddings: np.ndarray | None = None
    """`(E, H)`: the mean embedding of each event's snippets."""
    prototypes: np.ndarray | None = None
    """`(K, H)`, to be compared with `event_embeddings` by cosine."""


def explain(
    method: Any, categories: Sequence[str], scored: Scored, events: Sequence[tuple[int, int]]
) -> Explanation | None:
    """What a method said of a video, for a reader; None if there is nothing to say.

    Args:
        categories: names of the columns of the class scores.
        scored: what it said. Of a video that was scored online, only class scores: embeddings and shift explain a video
            that is looked at as a whole.
        events: first snippet of each event, and the one after its last.
    """
    names = tuple(categories) if len(categories) > 1 else ()
    shift = scored.shift if scored.shift is not None and scored.shift.any() else None
    event_embeddings = prototypes = None
    if names and scored.embeddings is not None and isinstance(method, Embeds) and len(method.prototypes):
        x_TH = scored.embeddings
        event_embeddings = np.array([x_TH[first:end].mean(0) for first, end in events]).reshape(-1, x_TH.shape[1])
        prototypes = method.prototypes.float().cpu().numpy()
    if not names and shift is None:
        return None
    return Explanation(
        categories=names,
        class_scores=scored.class_scores if names else None,
        shift=shift,
        event_embeddings=event_embeddings,
        prototypes=prototypes,
    )


def shares(scores_TK: np.ndarray) -> np.ndarray:
    """How likely each category is, `(K,)`, given that something happens: the mean class scores, made to sum to 1."""
    mean = scores_TK.mean(0, dtype=np.float64)
    return mean / mean.sum() if mean.sum() else np.full(len(mean), 1 / len(mean))


def cosines(embeddings_EH: np.ndarray, prototypes_KH: np.ndarray) -> np.ndarray:
    """`(E, K)` in [−1, 1]; 0 with a vector of zeros."""
    return directions(embeddings_EH) @ directions(prototypes_KH).T


def directions(x_NH: np.ndarray) -> np.ndarray:
    """Each row at length 1; zeros stay zeros."""
    length = np.linalg.norm(x_NH.astype(np.float64), axis=-1, keepdims=True)
    return x_NH / np.where(length, length, 1)
