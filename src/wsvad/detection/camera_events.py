"""From a camera's scores to its alerts: what is done when an event starts, grows and ends."""

import logging
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from wsvad.detection.alert_hours import AlertHours
from wsvad.detection.event_store import EventStore
from wsvad.detection.explanation import shares
from wsvad.detection.feature_keeper import FeatureKeeper
from wsvad.detection.tracker import EventTracker, Tracked
from wsvad.errors import WsvadError
from wsvad.metrics.events import Event, EventRules
from wsvad.sinks.alert import Alert
from wsvad.sinks.outbox import Posts
from wsvad.video.clock import SNIPPET

logger = logging.getLogger(__name__)

UPDATE_EVERY = 2.0
"""Seconds of an open event from one note of how long it lasts to the next."""
UNWRITTEN = 1000
"""Changes that are remembered while the database cannot be written; with so many, events that begin are left out."""
REST = 100
"""Changes beyond those, of events that have begun."""


class CameraEvents:
    """One for each camera. The database may fail for a while, as on a full disk: what was to be written is remembered
    and written later, and `error` says why."""

    def __init__(
        self,
        camera: str,
        *,
        store: EventStore,
        outbox: Posts,
        threshold: float,
        rules: EventRules,
        wall: Callable[[float], datetime],
        keeper: FeatureKeeper | None = None,
        run: str = "",
        categories: Sequence[str] = (),
        attributions: Sequence[str] = (),
        hours: AlertHours | None = None,
        on_event: Callable[[Alert, Event], None] = lambda *_: None,
    ):
        """
        Args:
            wall: from seconds on the camera's clock to the time of day.
            on_event: called where an event begins and where it is over, alert or not, also with its seconds.
            hours: when an event is an alert, by the local clock; None for always. An event that lasts into them becomes
                one then. Events outside of them are kept, and sent to nobody.
            categories, attributions: what the values `said` of a snippet are: scores of these categories, then shares
                of these.
        """
        self.error = ""
        """Why something could not be written; empty while all is well."""
        self._camera = camera
        self._store, self._outbox, self._keeper = store, outbox, keeper
        self._tracker = EventTracker(threshold=threshold, rules=rules)
        self._threshold = threshold
        self._wall = wall
        self._run = run
        self._categories, self._attributions = tuple(categories), tuple(attributions)
        self._hours, self._on_event = hours, on_event
        self._open: Alert | None = None
        self._sent = False
        """Whether the open event was an alert."""
        self._faults: dict[str, Alert] = {}
        """What is wrong with the camera itself, by its kind."""
        self._noted = 0.0
        self._distance: float | None = None
        self._to_write = _Unwritten(camera)

    def push(
        self,
        score: float,
        start: float,
        end: float,
        *,
        frames: int = SNIPPET,
        said: np.ndarray | None = None,
        distance: float | None = None,
        rows: Mapping[str, np.ndarray] | None = None,
        still: Callable[[Event], bytes | None] | None = None,
    ) -> list[Alert]:
        """Take the next snippet; the alerts that are due by it, which are in the outbox then.

        Args:
            start: seconds on the camera's clock to the start of its first frame.
            end: to the end of its last one.
            said: what the method says of it, categories before attributions.
            distance: how far it lies from the training videos.
            rows: its features, where they may be kept.
            still: makes the picture of an event (JPEG), if one is wanted.
        """
        self._distance = distance
        if (keeper := self._keeper) is not None and rows is not None:
            kept = self._try(lambda: keeper.push(rows, self._wall(start), self._wall(end)))
            if not kept and not self._to_write:  # a small change says when it can be written again
                self._to_write.append(lambda: self._store.seen(self._camera))
        return self._follow(self._tracker.push(score, start, end, frames=frames, said=said), still)

    def cut(self, at: float | None = None) -> list[Alert]:
        """The source has a break, or is at its end: an open event has ended."""
        alerts = self._follow(self._tracker.end(at), None)
        if self._keeper is not None:
            self._try(self._keeper.cut)
        return alerts

    def _follow(self, found: list[Tracked], still: Callable[[Event], bytes | None] | None) -> list[Alert]:
        alerts = []
        for one in found:
            if one.state == "start":
                alert = self._start(one, still)
                alerts += [alert] if self._sent else []
                self._on_event(alert, one.event)
            elif self._open is not None and one.state == "end":
                alert = self._end(one, self._open)
                alerts += [alert] if self._sent else []
                self._on_event(alert, one.event)
            elif self._open is not None and one.event.end - self._noted >= UPDATE_EVERY:
                self._noted = one.event.end
                self._to_write.append(self._note(self._open.id, one.event))
                if not self._sent and self._wanted(self._wall(one.event.end)):
                    self._sent, alert = True, self._open
                    self._to_write.append(lambda alert=alert: self._outbox.put(alert))  # type: ignore[misc]
                    alerts.append(alert)
        self._write()
        return alerts

    @property
    def open(self) -> Alert | None:
        """The event that lasts, as it began."""
        return self._open

    @property
    def lasting(self) -> bool:
        """Whether an event is open, and goes on with the next snippet that scores high enough."""
        return self._tracker.lasting

    @property
    def faults(self) -> Mapping[str, Alert]:
        """What is wrong with the camera itself just now, by its kind."""
        return self._faults

    def fault(self, kind: str, since: datetime, still: bytes | None = None) -> Alert:
        """Something is wrong with the camera itself; it is an event of that kind until `fault_over`.

        Args:
            kind: one of `FAULTS`.
        """
        now = datetime.now(UTC)
        alert = Alert(
            id=uuid.uuid4().hex,
            state="start",
            camera=self._camera,
            kind=kind,
            run=self._run,
            start=since,
            evidence=since,
            due=now,
            raised=now,
            score=1.0,
            threshold=1.0,
            still=still,
        )
        self._faults[kind] = alert
        if self._to_write.room():
            self._to_write.append(lambda: self._store.start(alert, self._outbox))
        self._write()
        return alert

    def fault_over(self, kind: str) -> Alert | None:
        """It is right again, if it was not."""
        opened = self._faults.pop(kind, None)
        if opened is None:
            return None
        now = datetime.now(UTC)
        alert = replace(opened, state="end", end=now, raised=now, still=None)
        self._to_write.append(lambda: self._store.finish(alert, self._outbox))
        self._write()
        return alert

    def write(self) -> None:
        """Try again to write what could not be written."""
        self._write()

    def _wanted(self, *moments: datetime) -> bool:
        return self._hours is None or any(self._hours.at(moment.astimezone()) for moment in moments)

    def _start(self, one: Tracked, still: Callable[[Event], bytes | None] | None) -> Alert:
        alert = Alert(
            id=uuid.uuid4().hex,
            state="start",
            camera=self._camera,
            run=self._run,
            start=self._wall(one.event.start),
            evidence=self._wall(one.evidence),
            due=self._wall(one.due),
            raised=datetime.now(UTC),
            score=one.event.peak,
            threshold=self._threshold,
            distance=self._distance,
            still=still(one.event) if still else None,
        )
        alert = self._with_said(alert, one.said)
        self._open, self._noted = alert, one.event.end
        self._sent = self._wanted(alert.start, alert.due)
        outbox = self._outbox if self._sent else None
        if self._to_write.room():
            self._to_write.append(lambda: self._store.start(alert, outbox))
            if (keeper := self._keeper) is not None:
                self._to_write.append(lambda: keeper.begin(alert.id, alert.start))
        return alert

    def _end(self, one: Tracked, opened: Alert) -> Alert:
        now, end = datetime.now(UTC), self._wall(one.event.end)
        alert = replace(
            opened, state="end", end=end, raised=now, score=one.event.peak, distance=self._distance, still=None
        )
        alert = self._with_said(alert, one.said)
        self._open = None
        outbox = self._outbox if self._sent else None
        self._to_write.append(lambda: self._store.finish(alert, outbox))
        if (keeper := self._keeper) is not None:
            self._to_write.append(lambda: keeper.end(end))
        return alert

    def _note(self, id: str, event: Event) -> "_Note":
        return _Note(store=self._store, id=id, last=self._wall(event.end), score=event.peak)

    def _with_said(self, alert: Alert, said: np.ndarray | None) -> Alert:
        """With category and attributions, where the method gives them."""
        if said is None:
            return alert
        count = len(self._categories)
        likely = dict(zip(self._categories, shares(said[None, :count]).tolist(), strict=True)) if count else {}
        depends = dict(zip(self._attributions, said[count:].tolist(), strict=True))
        category = max(likely, key=lambda name: likely[name]) if likely else ""
        return replace(alert, category=category, categories=likely, attributions=depends)

    def _write(self) -> None:
        """Write what is to be written, in order, up to what fails."""
        written = 0
        while self._to_write:
            if not self._try(self._to_write[0]):
                return
            self._to_write.popleft()
            written += 1
        if self.error and written:
            logger.warning("%s: events are written again", self._camera)
            self.error = ""

    def _try(self, change: Callable[[], None]) -> bool:
        try:
            change()
            return True
        except WsvadError as error:
            if str(error) != self.error:
                logger.error("%s: %s; events are kept in memory until then", self._camera, error)
                self.error = str(error)
            return False


@dataclass(frozen=True, kw_only=True)
class _Note:
    """How long an open event has lasted."""

    store: EventStore
    id: str
    last: datetime
    score: float

    def __call__(self) -> None:
        self.store.update(self.id, last=self.last, score=self.score)


class _Unwritten(deque[Callable[[], None]]):
    """Changes that are still to be written, in order. A later note of an event takes the place of the one before: an
    event that lasts through a night with a full disk must not push its own beginning out."""

    def __init__(self, camera: str):
        super().__init__()
        self._camera, self._full = camera, False

    def room(self) -> bool:
        """Whether there is room for another event; that there is none is said once."""
        full, before = len(self) >= UNWRITTEN, self._full
        self._full = full
        if full and not before:
            logger.error("%s: %d changes wait to be written; events that begin now are lost", self._camera, len(self))
        return not full

    def append(self, change: Callable[[], None]) -> None:
        last = self[-1] if self else None
        if isinstance(change, _Note) and isinstance(last, _Note) and last.id == change.id:
            self[-1] = change
        elif len(self) < UNWRITTEN + REST:
            super().append(change)
