"""Hours and days in which an event is an alert: the night at a gate, working days at a machine.

    22:00-06:00 on mon-fri      from Monday, 22:00, to Tuesday, 6:00 … and from Friday, 22:00, to Saturday, 6:00

A night belongs to the day on which it begins. Hours are those of the clock on the wall, also in the night of a clock
change.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from wsvad.detection.timeline import Timeline
from wsvad.errors import UsageError
from wsvad.metrics.events import Event
from wsvad.video.clock import filmed

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_STEP = 60.0
"""Seconds between the moments of an event that are looked at: hours begin and end at whole minutes."""
_STEPS = 8 * _DAY
"""Moments that are looked at, at most: all hours come once in a week, however a clock change shifts them."""
_GAP, _HAIR = 1.0, 1e-3
"""Seconds of a gap in which nothing was filmed, and between a moment and the last one before it."""


@dataclass(frozen=True, kw_only=True)
class AlertHours:
    """When events are alerts."""

    start: int = 0
    """Minutes after midnight, in [0, 1440)."""
    end: int = _DAY
    """In (0, 1440]; not above `start` where the hours end on the next day."""
    days: frozenset[int] = frozenset(range(7))
    """0 is Monday."""

    @classmethod
    def of(cls, between: str | None, days: str | None) -> "AlertHours | None":
        """As somebody types them, "22:00-06:00" and "mon-fri"; None where neither is given.

        Raises:
            UsageError: one of them cannot be read.
        """
        if between is None and days is None:
            return None
        start, end = (0, _DAY) if between is None else _minutes(between)
        return cls(start=start, end=end, days=frozenset(range(7)) if days is None else _days(days))

    def __str__(self) -> str:
        """ "22:00–06:00 on mon, tue"."""
        hours = "–".join(f"{minutes // 60:02d}:{minutes % 60:02d}" for minutes in (self.start, self.end))
        days = ", ".join(DAYS[day] for day in sorted(self.days))
        parts = [hours] if (self.start, self.end) != (0, _DAY) else []
        return " on ".join([*parts, days] if len(self.days) < 7 or not parts else parts)

    def at(self, moment: datetime) -> bool:
        """Whether a moment, by the clock on the wall, lies in them."""
        minute = moment.hour * 60 + moment.minute
        if self.start < self.end:
            return self.start <= minute < self.end and moment.weekday() in self.days
        begun = moment if minute >= self.start else moment.date() - timedelta(days=1)
        return (minute >= self.start or minute < self.end) and begun.weekday() in self.days

    def alert(self, timeline: Timeline, event: Event) -> bool:
        """Whether a part of an event lies in them. Where nobody says when the recording began, every event is one."""
        if timeline.recorded is None:
            return True
        return any(self.at(timeline.recorded.at(seconds)) for seconds in _moments(timeline, event))


def _moments(timeline: Timeline, event: Event) -> Iterator[float]:
    """Seconds of an event of which one at least is in each minute that was filmed of it; none in a gap."""
    first, end = timeline.snippets(event)
    begins, ends = timeline.times[:-1][first:end], timeline.times[1:][first:end]
    stops = begins + filmed(timeline.times, timeline.seconds_filmed)[first:end]
    gaps = [(a, b) for a, b in zip(stops.tolist(), ends.tolist(), strict=True) if b - a > _GAP]
    # The last moment before its end; an event that ends when the hours begin is none.
    last = max(event.start, event.end - _HAIR)
    count = min(int((event.end - event.start) // _STEP), _STEPS)
    steps = (event.start + _STEP * step for step in range(count + 1))
    edges = (edge for a, b in gaps for edge in (max(event.start, a - _HAIR), b - _HAIR, b))
    for seconds in (*steps, *edges, last):
        if seconds <= last and not any(a <= seconds < b - _HAIR for a, b in gaps):
            yield seconds


def _minutes(text: str) -> tuple[int, int]:
    """Start and end of "22:00-06:00", in minutes after midnight."""
    found = re.fullmatch(r"\s*(\d{1,2})(?::(\d\d))?\s*[-–]\s*(\d{1,2})(?::(\d\d))?\s*", text)
    hour, minute, to_hour, to_minute = (int(part or 0) for part in found.groups()) if found else (25, 0, 0, 0)
    start, end = hour * 60 + minute, to_hour * 60 + to_minute
    if start >= _DAY or end > _DAY or max(minute, to_minute) > 59:
        raise UsageError(f"--between {text}: not two times of day; write 22:00-06:00")
    end = end or _DAY
    if start == end:
        raise UsageError(f"--between {text}: begins where it ends; leave it out for all hours")
    return start, end


def _days(text: str) -> frozenset[int]:
    """The days of "mon-fri" or "sat,sun"; a span may go over the end of the week."""
    days: set[int] = set()
    for part in text.lower().split(","):
        names = [name.strip() for name in re.split("[-–]", part)]
        places = [place for name in names for place, day in enumerate(DAYS) if len(name) > 2 and _means(name, day)]
        if len(names) > 2 or len(places) != len(names):
            raise UsageError(f"--days {text}: '{part.strip()}' is no day; write mon-fri, or sat,sun")
        days |= {(places[0] + step) % 7 for step in range((places[-1] - places[0]) % 7 + 1)}
    return frozenset(days)


def _means(name: str, day: str) -> bool:
    whole = {"tue": "tuesday", "wed": "wednesday", "thu": "thursday", "sat": "saturday"}.get(day, f"{day}day")
    return whole.startswith(name)
