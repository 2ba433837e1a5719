"""Memory that is free goes back to the system."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

STATM = Path("/proc/self/statm")
BEGIN = """
from pathlib import Path
import numpy as np
from wsvad.resident import give_back, large_apart

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 10**6

"""
SMALL = """
before, arrays = resident(), [np.ones(10_000, np.uint8) for _ in range(20_000)]
held = arrays[::100]
del arrays
full = resident()
give_back()
print(full - before, resident() - before, len(held))
"""
LARGE = """
rng, before, held = np.random.default_rng(0), resident(), []
for number in range(150):
    some = [np.ones(int(size), np.uint8) for size in rng.integers(2 * 10**6, 10**7, 4)]
    held.append(np.ones(250_000, np.uint8))
    del some
print(resident() - before)
"""
real_pools = pytest.mark.skipif(
    not STATM.exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc, whose pools this is about"
)


def printed(code: str) -> list[int]:
    """In a process of its own: what this one has freed before would serve the arrays."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@real_pools
def test_what_lies_free_between_what_is_held_goes_back():
    full, after, held = printed(SMALL)
    assert full > 100, "what is freed stays in the pools, or there is nothing to give back"
    assert after < full / 4
    assert held == 200


@real_pools
def test_what_is_large_leaves_no_holes():
    """Arrays of two to ten megabytes come and go, and 40 MB of small ones stay."""
    (pooled,), (apart,) = printed(LARGE), printed("large_apart()\n" + LARGE)
    assert apart < 45
    assert pooled > apart + 10, "there is nothing to prevent"
