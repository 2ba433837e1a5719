"""Memory that is free goes back to the system."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

STATM = Path("/proc/self/statm")
MEASURED = """
from pathlib import Path
import numpy as np
from wsvad.watch.resident import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 10**6

before, arrays = resident(), [np.ones(10_000, np.uint8) for _ in range(20_000)]
held = arrays[::100]
del arrays
full = resident()
give_back()
print(full - before, resident() - before, len(held))
"""


@pytest.mark.skipif(
    not STATM.exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc, whose pools this is about"
)
def test_what_lies_free_between_what_is_held_goes_back():
    """In a process of its own: what this one has freed before would serve the arrays."""
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    full, after, held = map(int, found.split())
    assert full > 100, "what is freed stays in the pools, or there is nothing to give back"
    assert after < full / 4
    assert held == 200
