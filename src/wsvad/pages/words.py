"""Numbers and times in words, for pages."""

import math

from wsvad.detection.timeline import clock


def figure(score: float) -> str:
    """A score with two decimals, or with two significant ones near 0: 0.013 and 0.0092 are not both 0.01."""
    digits = 2 if score >= 0.05 or score <= 0 else min(6, 1 - math.floor(math.log10(score)))
    return f"{score:.{digits}f}"


def count(number: int, noun: str) -> str:
    """ "1 event", "2 events"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def span(start: float, end: float) -> str:
    """ "0:03.2–0:06.0"."""
    return f"{clock(start)}–{clock(end)}"


def length(seconds: float) -> str:
    """A duration in words that stay on one line: "8.6 s", "3 min 12 s", "1 h 4 min"."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u00a0h\u00a0{minutes}\u00a0min" if hours else f"{minutes}\u00a0min\u00a0{rest}\u00a0s"


def signed(cosine: float) -> str:
    """Three decimals, for prototypes may lie close together, and a true minus."""
    return f"{cosine:z.3f}".replace("-", "−")
