"""Temporal resampling: features of m snippets, averaged into a fixed number L of segments."""

import numpy as np


def bin_average(features: np.ndarray, segments: int) -> np.ndarray:
    """Bin averaging (specification 2.2): `(..., m, D)` → `(..., L, D)` float32.

    Edges are r_i = ⌊i·m/L⌋ for i = 0..L; segment i is the mean of features r_i … r_{i+1}−1, or a copy of feature r_i
    where the bin is empty (videos shorter than L are stretched). Edges are exact integers; public code truncates a
    float linspace instead, which can be one lower where rounding falls short of a whole number.
    """
    m = features.shape[-2]
    edges = np.arange(segments + 1) * m // segments
    totals = np.zeros((*features.shape[:-2], m + 1, features.shape[-1]), dtype=np.float64)
    np.cumsum(features, axis=-2, dtype=np.float64, out=totals[..., 1:, :])
    start, end = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    sums = totals[..., end, :] - totals[..., start, :]
    return (sums / (end - start)[:, None]).astype(np.float32)
