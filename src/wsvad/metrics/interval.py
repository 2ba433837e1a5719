"""What happens when: the unit of truth."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Frames `[start, end)` in which something abnormal happens."""

    start: int
    end: int
    category: str
