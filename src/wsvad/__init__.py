"""Weakly-supervised video anomaly detection: from a folder of labelled videos to the moments that matter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsvad.version import __version__

if TYPE_CHECKING:
    from wsvad.detection.detector import Detector
    from wsvad.errors import WsvadError

__all__ = ["Detector", "WsvadError", "__version__"]

_PLACES = {"Detector": "wsvad.detection.detector", "WsvadError": "wsvad.errors"}


def __getattr__(name: str) -> Any:
    """Import what is used when it is used: `import wsvad` itself loads no torch."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'wsvad' has no attribute '{name}'")
