"""Features in half precision."""

import numpy as np

HALF = float(np.finfo(np.float16).tiny), float(np.finfo(np.float16).max)
"""Least number that half precision holds with all its digits, and largest one."""


def fits_half(features: np.ndarray) -> bool:
    """Whether half precision holds features: none becomes infinity, nor do they all become nothing."""
    largest = float(np.abs(features).max())
    return largest == 0 or HALF[0] <= largest <= HALF[1]
