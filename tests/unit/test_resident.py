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
from wsvad.resident import give_back, keep_lean

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
MANY_SIZES = """
import threading, time
rng, before, held, owner = np.random.default_rng(0), resident(), [], threading.Event()
{do}
for number in range(300):
    some = [np.ones(int(size), np.uint8) for size in rng.integers(2 * 10**6, 10**7, 4)]
    held += [np.ones(250_000, np.uint8)] if number < 150 else []
    del some
time.sleep(0.6)
print(resident() - before)
del owner
time.sleep(0.6)
print(threading.active_count())
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
def test_what_is_kept_lean_has_no_holes_for_long():
    """Arrays of two to ten megabytes come and go, and 40 MB of small ones stay."""
    (pooled, _), (lean, threads) = (printed(MANY_SIZES.format(do=do)) for do in ("", "keep_lean(owner)"))
    assert lean < 45
    assert pooled > lean + 10, "there is nothing to prevent"
    assert threads == 1, "it goes on without its owner"
