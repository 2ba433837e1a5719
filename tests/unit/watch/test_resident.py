"""Memory that is free goes back to the system."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from wsvad.watch.resident import give_back

STATM = Path("/proc/self/statm")


def resident():
    """Megabytes."""
    return int(STATM.read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(
    not STATM.exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc, whose pools this is about"
)
def test_what_lies_free_between_what_is_held_goes_back():
    before, arrays = resident(), [np.ones(10_000, np.uint8) for _ in range(20_000)]
    held = arrays[::100]
    del arrays
    full = resident()
    give_back()
    assert full - before > 100, "what is freed stays in the pools, or there is nothing to give back"
    assert resident() - before < (full - before) / 4
    assert len(held) == 200
