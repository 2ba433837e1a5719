"""From the numbers of frames to those of a snippet, where not every number is known in every frame."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np


def masked(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the first axis of the values that are known, 0 where none is."""
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / count
    return mean, np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / count)


def extremes(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest over the first axis of the values that are known, 0 where none is."""
    some = known.any(0)
    low, high = np.where(known, values, np.inf), np.where(known, values, -np.inf)
    return np.where(some, low.min(0, initial=np.inf), 0), np.where(some, high.max(0, initial=-np.inf), 0)


def ranges(parts: Mapping[str, int]) -> dict[str, slice]:
    """How many numbers there are under each name, one after the other → where they stand."""
    edges = np.cumsum([0, *parts.values()]).tolist()
    return {name: slice(start, end) for name, (start, end) in zip(parts, pairwise(edges), strict=True)}
