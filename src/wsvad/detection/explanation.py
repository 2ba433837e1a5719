"""What kind of thing happens in a video and why a method thinks so, for methods that say it.

Shapes: T snippets, K categories, E events, H width of the method's embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from wsvad.datasets.dataset import one_bag
from wsvad.runs.model import TrainedMethod
from wsvad.runs.online import score_online


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


@torch.inference_mode()
def explain(
    trained: TrainedMethod, streams: dict[str, torch.Tensor], events: Sequence[tuple[int, int]], *, online: bool = False
) -> Explanation | None:
    """Ask a method; None if it has nothing to say.

    Args:
        streams: `(T, D)` or `(C, T, D)` each, as they come from the encoders.
        events: first snippet of each event, and the one after its last.
        online: class scores from the last W snippets alone, as `score_online` does; no embeddings and no shift, which
            explain a video that is looked at as a whole.
    """
    method = trained.method
    names = tuple(method.config.named) if hasattr(method, "class_scores") else ()
    names = names if len(names) > 1 else ()
    streams = trained.normalisation({name: streams[name] for name in method.runs_on})
    if online:
        scores = score_online(method.class_scores, streams, trained.window).float().numpy() if names else None
        return Explanation(categories=names, class_scores=scores) if names else None
    whole = one_bag(streams)
    scores = method.class_scores(whole)[0].float().numpy() if names else None
    shift = method.shift(whole)[0].float().numpy() if hasattr(method, "shift") else None
    if shift is not None and not shift.any():
        shift = None
    event_embeddings = prototypes = None
    if names and hasattr(method, "embeddings") and len(method.prototypes):
        x_TH = method.embeddings(whole)[0].float().numpy()
        event_embeddings = np.array([x_TH[first:end].mean(0) for first, end in events]).reshape(-1, x_TH.shape[1])
        prototypes = method.prototypes.float().numpy()
    if not names and shift is None:
        return None
    return Explanation(
        categories=names, class_scores=scores, shift=shift, event_embeddings=event_embeddings, prototypes=prototypes
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
