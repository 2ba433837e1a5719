"""Where things lie that tests read besides their own."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
SHARED = ROOT.parent / "shared"
"""Footage and networks that cannot travel with the project; tests that need them are marked `real`."""
