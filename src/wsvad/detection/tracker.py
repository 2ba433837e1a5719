"""Events as they happen: the rules of `find_events`, one snippet at a time and in constant memory.

What the tracker says in the end is what `find_events` says of the whole curve. It says it as early as the rules allow:
an alert is due when an event has lasted its shortest length, and an event is over when nothing that may still come
could be merged with it, which is a merge gap after its last snippet.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsvad.metrics.events import CLOCK, LEAP, Event, EventRules
from wsvad.video.clock import SNIPPET

State = Literal["start", "update", "end"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracked:
    """What has become of an event. Those that are too short are never reported."""

    state: State
    """`start` once, when an alert is due; `update` when it has grown; `end` once, when it is over."""
    event: Event
    """As it is so far; its start stays, its end and its peak may change until `end`."""
    evidence: float
    """Seconds to the start of the first snippet that reached the threshold."""
    due: float
    """Seconds to the end of the snippet by which it had lasted its shortest length: no alert could be sooner."""
    said: np.ndarray | None
    """The mean of what was said of its snippets, as class scores or attributions; None where nothing was."""


@dataclass(kw_only=True, eq=False)
class _Stretch:
    """Consecutive snippets, or all of an event so far."""

    start: float
    start_frame: int
    end: float
    end_frame: int
    peak: float
    peak_start: float
    peak_end: float
    evidence: float | None
    said: np.ndarray | None
    count: int = 1

    def add(self, later: "_Stretch") -> None:
        """Grow by what comes behind it."""
        self.end, self.end_frame = later.end, later.end_frame
        if later.peak > self.peak:
            self.peak, self.peak_start, self.peak_end = later.peak, later.peak_start, later.peak_end
        if self.evidence is None:
            self.evidence = later.evidence
        self.add_said(later)

    def add_said(self, later: "_Stretch") -> None:
        self.said = later.said if self.said is None else self.said if later.said is None else self.said + later.said
        self.count += later.count

    def settle(self, end: float) -> None:
        """Move the end of the last snippet to where the next one starts."""
        if self.peak_end == self.end:
            self.peak_end = end
        self.end = end


class EventTracker:
    """One for each camera.

    >>> tracker = EventTracker(threshold=0.5, rules=EventRules(min_seconds=1, merge_seconds=1))
    >>> scores = [0.1, 0.9, 0.8, 0.2, 0.1, 0.1]
    >>> for second, score in enumerate(scores):
    ...     for found in tracker.push(score, second, second + 1):
    ...         print(second, found.state, found.event.start, found.event.end)
    1 start 1.0 2.0
    2 update 1.0 3.0
    3 end 1.0 3.0
    """

    def __init__(self, *, threshold: float, rules: EventRules):
        self._threshold = float(threshold)
        self._low = rules.low * self._threshold
        self._enough = rules.merge_seconds - CLOCK
        self._shortest = rules.min_seconds - CLOCK
        self._frame = 0
        self._forget()

    def _forget(self) -> None:
        self._last: _Stretch | None = None
        """The snippet before."""
        self._event: _Stretch | None = None
        self._due: float | None = None
        self._run: _Stretch | None = None
        """Snippets at or above the lower threshold up to now, none of which has reached the upper one."""
        self._between: list[_Stretch] = []
        """At most one: what came behind the event and may become a part of it."""
        self._lasting = False
        """Whether the snippet before belongs to the event."""

    @property
    def event(self) -> Event | None:
        """The open event, if an alert was due for it."""
        return None if self._event is None or self._due is None else _event(self._event)

    @property
    def lasting(self) -> bool:
        """Whether an event is open, and goes on with the next snippet that scores high enough."""
        return self._due is not None and self._lasting

    def push(
        self, score: float, start: float, end: float, *, frames: int = SNIPPET, said: np.ndarray | None = None
    ) -> list[Tracked]:
        """Take the next snippet; what has become of events.

        Args:
            start: seconds, on one clock, to the start of its first frame.
            end: to the end of its last one.
            frames: how many it has.
            said: values whose mean over each event is wanted, of one length for all snippets.
        """
        score, start, end = float(score), float(start), float(end)
        found = []
        if self._last is not None and start < self._last.start:  # another clock: what comes is no continuation
            found += self.end()
        one = _Stretch(
            start=start, start_frame=self._frame, end=end, end_frame=self._frame + frames, peak=score,
            peak_start=start, peak_end=end, evidence=start if score >= self._threshold else None,
            said=None if said is None else np.asarray(said, np.float64),
        )  # fmt: skip
        self._frame += frames
        self._settle(start)
        gap = 0.0 if self._last is None else start - self._last.end
        if gap >= max(self._enough, LEAP):
            self._stop()
        found += self._over(start)
        grown = self._place(one)
        self._last = one
        found += self._report(grown) + self._over(end)
        return found

    def end(self, at: float | None = None) -> list[Tracked]:
        """End what is open: the source has a break, or is at its end.

        Args:
            at: seconds at which the last snippet ends, where that is known better by now.
        """
        if at is not None:
            self._settle(at)
        found = self._closed()
        self._forget()
        return found

    def _settle(self, start: float) -> None:
        """The snippet before lasts until this one starts, unless there is a gap in which nothing was filmed."""
        last = self._last
        if last is None or start - last.start - (last.end - last.start) > LEAP:
            return
        if self._lasting and self._event is not None:
            self._event.settle(start)
        elif self._run is not None:
            self._run.settle(start)
        last.settle(start)

    def _place(self, one: _Stretch) -> bool:
        """Put a snippet where it belongs; whether the event has grown."""
        if not one.peak >= self._low:
            self._stop()
            self._put_between(one)
            return False
        if self._lasting and self._event is not None:
            self._event.add(one)
            return True
        if self._run is None:
            self._run = _copy(one)
        else:
            self._run.add(one)
        if self._run.evidence is None:
            return False
        if self._event is None:
            self._event = self._run
        else:
            for between in self._between:
                self._event.add_said(between)
            self._event.add(self._run)
        self._run, self._between, self._lasting = None, [], True
        return True

    def _stop(self) -> None:
        """The snippets up to now are not continued."""
        if self._run is not None:
            self._put_between(self._run)
        self._run, self._lasting = None, False

    def _put_between(self, one: _Stretch) -> None:
        if self._event is None:
            return
        if self._between:
            self._between[0].add_said(one)
        else:
            self._between = [_copy(one)]

    def _report(self, grown: bool) -> list[Tracked]:
        event = self._event
        if event is None or not event.end - event.start >= self._shortest:
            return []
        if self._due is None:
            self._due = event.end
            return [self._tracked("start", event)]
        return [self._tracked("update", event)] if grown else []

    def _over(self, now: float) -> list[Tracked]:
        """Close the event if nothing that starts from now on can be merged with it."""
        if self._event is None or self._lasting:
            return []
        earliest = now if self._run is None else self._run.start
        return self._closed() if earliest - self._event.end >= self._enough else []

    def _closed(self) -> list[Tracked]:
        event = self._event
        if event is None:
            return []
        found = self._report(False)
        if self._due is not None:
            found.append(self._tracked("end", event))
        self._event, self._due, self._between, self._lasting = None, None, [], False
        return found

    def _tracked(self, state: State, event: _Stretch) -> Tracked:
        assert event.evidence is not None and self._due is not None
        said = None if event.said is None else event.said / event.count
        return Tracked(state=state, event=_event(event), evidence=event.evidence, due=self._due, said=said)


def _copy(one: _Stretch) -> _Stretch:
    """Of a snippet, which stays as it is when more is added."""
    return _Stretch(**vars(one))


def _event(stretch: _Stretch) -> Event:
    return Event(
        start_frame=stretch.start_frame,
        end_frame=stretch.end_frame,
        start=stretch.start,
        end=stretch.end,
        peak=stretch.peak,
        peak_time=(stretch.peak_start + stretch.peak_end) / 2,
    )
