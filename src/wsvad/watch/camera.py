"""One camera while it is watched: its frames to scores, its scores to events, and what is wrong with it."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wsvad.detection.camera_events import CameraEvents
from wsvad.detection.event_store import EventStore
from wsvad.detection.feature_keeper import FeatureKeeper
from wsvad.detection.live import LiveScore
from wsvad.environment import hidden
from wsvad.errors import WsvadError
from wsvad.metrics.events import Event
from wsvad.sinks.alert import Alert
from wsvad.sinks.outbox import Posts
from wsvad.sinks.sink import CameraState
from wsvad.spelling import reason
from wsvad.video.clock import SNIPPET
from wsvad.video.connection import Patience
from wsvad.video.live import Health, LiveSource
from wsvad.video.reader import Frame
from wsvad.video.ring import Break
from wsvad.watch.clips import Clips
from wsvad.watch.faults import Faults
from wsvad.watch.model import CameraModel
from wsvad.watch.settings import CameraSettings, Site
from wsvad.watch.stills import Stills, jpeg
from wsvad.watch.zones import Zones

logger = logging.getLogger(__name__)

OFFLINE = 30.0
"""Seconds without pictures after which that is an event."""
SHOW = 5.0
"""Seconds from one state for the sinks to the next."""
HELD = 30.0
"""Seconds of packets that are held beyond what a clip needs before its event's alert: it is begun later."""
LATER = 5.0
"""Seconds that a camera is left alone after something went wrong with it that nobody expected."""


@dataclass
class Counters:
    """What a camera has come to since the start."""

    snippets: int = 0
    """That were scored."""
    unsettled: int = 0
    """Of these, scored while the window was not full; they open no event."""
    breaks: dict[str, int] = field(default_factory=dict)
    events: int = 0
    errors: int = 0
    """Things that went wrong and that nobody expected."""
    seconds: float = 0.0
    """Of work."""
    decode: float = 0.0
    """Of these, to take frames."""
    head: float = 0.0
    """Of these, in which the method scored; what is scored together is shared evenly."""
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    """Seconds from when the frame came that made an alert due to its hand-over."""


@dataclass(frozen=True)
class State:
    """How a camera is just now."""

    name: str
    state: str
    """`connecting`, `live`, `warming up`, `waiting`, `ended`, or what is wrong with the camera, or `not
    answering` where its process does not."""
    said: str
    health: Health
    score: float | None
    threshold: float
    event: bool
    counters: Counters
    left: int
    """Snippets until events may open."""
    error: str
    """Why events cannot be written; empty while all is well."""
    distance: float | None
    """How far what it shows lies from the training videos; above 1 its scores may mean nothing."""
    note: str
    """That in words."""
    beat: float
    """When something was last done for it, or nothing was to do, by the monotonic clock."""
    done: bool
    """Whether nothing will ever come: a file was read to its end."""
    stages: Mapping[str, float]
    """Seconds of work of each stage: `decode`, `convert`, `network`, `head` (the method), `rest`."""
    reader: int | None
    """The number of the process that reads it; None between two of them."""


class WatchedCamera:
    """Everything of one camera. All but `state` is called by one thread."""

    def __init__(
        self,
        name: str,
        site: Site,
        model: CameraModel,
        *,
        store: EventStore,
        outbox: Posts,
        clips: Clips,
        on_alert: Callable[[Alert], None],
        patience: Patience | None = None,
    ):
        settings: CameraSettings = site.cameras[name]
        self.name, self.model = name, model
        self._site, self._outbox, self._clips, self._on_alert = site, outbox, clips, on_alert
        rules = model.rules
        self.source = LiveSource(
            site.source(name),
            patience=patience,
            seconds=site.clips.before + rules.min_seconds + HELD,
            decode=model.detector.trained.decode,
        )
        self.counters = Counters()
        self.beat = time.monotonic()
        """When something was last done for it, or nothing was to do."""
        self.scorer = model.scorer(settings)
        self.waits = False
        """Whether a snippet is full and not scored yet."""
        self._zones, self._stills, self._faults = Zones(settings.zones), Stills(), Faults()
        store.camera(name, source=self.shown, run=model.run)
        self._events = CameraEvents(
            name,
            store=store,
            outbox=outbox,
            threshold=model.threshold,
            rules=rules,
            wall=self._wall,
            keeper=FeatureKeeper(store, name, model.passports(settings)),
            run=model.run,
            categories=model.categories,
            attributions=model.attributions,
            hours=site.hours(name),
            on_event=self._event,
        )
        self._score: float | None = None
        self._distance: float | None = None
        self._note = ""
        self._ending: list[float] = []
        """The last second of the newest event on the source's clock, once it is over."""
        self._shown = self._since_pictures = time.monotonic()
        self._resume = 0.0
        self._said = ""

    def _wall(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.source.wall(seconds), UTC)

    # ------------------------------------------------------------------------------------------------------ working

    def take(self) -> None:
        """Take what is there, a snippet at most. A full snippet `waits`, to be scored with those of other cameras."""
        begun = self.beat = time.monotonic()
        if begun < self._resume:
            return
        worked = False
        with self._going_on():
            for _ in range(SNIPPET):
                taken = time.perf_counter()
                item = self.source.take(0)
                self.counters.decode += time.perf_counter() - taken
                if item is None:
                    break
                worked = True
                if isinstance(item, Break):
                    self._break(item)
                elif self._frame(item):
                    break
            self._look(begun)
        self.beat = time.monotonic()
        self.counters.seconds += self.beat - begun if worked else 0.0

    def finish(self, seconds: float) -> None:
        """What follows of the snippet that waited, once it is scored.

        Args:
            seconds: for which it was scored.
        """
        begun, self.waits = time.monotonic(), False
        with self._going_on():
            if (scored := self.scorer.found()) is not None:
                self._scored(scored)
        self.beat = time.monotonic()
        self.counters.seconds += self.beat - begun + seconds
        self.counters.head += seconds

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Whatever goes wrong in the block, other cameras go on, and this one is tried again."""
        try:
            yield
        except Exception as error:
            self.counters.errors += 1
            self._resume = time.monotonic() + LATER
            logger.error("%s: %s; going on in %.0f s", self.name, hidden(_words(error)), LATER)
            self._cut(None)

    def close(self) -> None:
        """The end: an open event has ended, and what is wrong with the camera is over."""
        self._cut(None)
        for kind in list(self._events.faults):
            self._events.fault_over(kind)
        self._outbox.show(CameraState(camera=self.name, online=False, run=self.model.run))

    @property
    def shown(self) -> str:
        """Its address without secrets."""
        return hidden(self.source.source.shown)

    @property
    def done(self) -> bool:
        """Whether nothing will ever come: a file was read to its end."""
        return self.source.ended

    def _frame(self, frame: Frame) -> bool:
        """Take a frame; whether it completed a snippet."""
        self._since_pictures = time.monotonic()
        frame = self._zones(frame)
        self._stills.see(frame)
        self.waits = self.scorer.take(frame)
        return self.waits

    def _scored(self, scored: LiveScore) -> None:
        self.counters.snippets += 1
        self._score = scored.score
        self._familiar(scored.distance)
        if self._stills.middle is not None:
            self._fault(self._faults.see(self._stills.middle))
        if not scored.settled:
            self.counters.unsettled += 1
            self._stills.clear()
            return
        low = scored.score >= self.model.rules.low * self.model.threshold
        # An event has its picture when it begins; to make one of each snippet while it lasts takes as long as decoding.
        self._stills.snippet(scored.start, scored.end, keep=low and not self._events.lasting)
        alerts = self._events.push(
            scored.score,
            scored.start,
            scored.end,
            said=self.scorer.said(self.model.attributions) if low else None,
            distance=scored.distance,
            rows=scored.rows,
            still=self._stills.of,
        )
        for alert in alerts:
            if alert.state == "start":
                self.counters.delays.append(max(0.0, time.time() - self.source.wall(scored.end)))
            self._on_alert(alert)

    def _familiar(self, distance: float | None) -> None:
        """Whether what is shown is like the training videos; that it is not is said once."""
        known, before = self.model.detector.trained.familiarity, self._note
        self._distance = distance
        self._note = known.note(distance) if known else ""
        if self._note and not before:
            logger.warning("%s: %s", self.name, self._note)

    def _event(self, alert: Alert, event: Event) -> None:
        """An event begins, or is over."""
        if alert.state == "end":
            self._ending.append(event.end)
            return
        self.counters.events += 1
        ending: list[float] = []
        self._ending = ending
        self._clips.begin(alert, self.source, event.start, lambda: ending[0] if ending else None)

    def _break(self, item: Break) -> None:
        self.counters.breaks[item.why] = self.counters.breaks.get(item.why, 0) + 1
        if item.why == "end" and (last := self.scorer.flush()) is not None:
            self._scored(last)
        self._cut(float(item.time))
        if item.why != "end" or self._site.cameras[self.name].pace != "fast":
            self._said = item.said
            logger.info("%s: %s", self.name, hidden(item.said))

    def _cut(self, at: float | None) -> None:
        """What comes does not continue what came."""
        for alert in self._events.cut(at):
            self._on_alert(alert)
        self.scorer.reset()
        self.waits = False
        self._stills.clear()
        self._faults.cut()

    # ------------------------------------------------------------------------------------------------------- faults

    def _fault(self, found: Mapping[str, float]) -> None:
        """What is wrong with the picture now, and since when."""
        middle = self._stills.middle
        for kind, since in found.items():
            if kind not in self._events.faults:
                self._on_alert(self._events.fault(kind, self._wall(since), jpeg(middle) if middle else None))
        for kind in [one for one in self._events.faults if one not in found]:
            if over := self._events.fault_over(kind):
                self._on_alert(over)

    def _look(self, now: float) -> None:
        """What is to be done from time to time."""
        silent = now - self._since_pictures
        if silent >= OFFLINE and "offline" not in self._events.faults and not self.done:
            since = datetime.fromtimestamp(time.time() - silent, UTC)
            self._on_alert(self._events.fault("offline", since))
        if (said := self.source.said) != self._said:
            self._said = said
            logger.info("%s: %s", self.name, hidden(said) or "pictures come")
        if now - self._shown >= SHOW:
            self._shown = now
            self._events.write()
            self._outbox.show(
                CameraState(
                    camera=self.name,
                    online=silent < OFFLINE and not self.done,
                    score=self._score,
                    categories=self.model.categories,
                    run=self.model.run,
                )
            )

    # -------------------------------------------------------------------------------------------------------- state

    def state(self) -> State:
        """How it is; also from another thread."""
        health, faults = self.source.health, sorted(self._events.faults)
        left = self.scorer.unsettled
        state = ", ".join(faults) or ("warming up" if health.state == "live" and left else health.state)
        return State(
            name=self.name,
            state=state,
            said=hidden(health.said),
            health=health,
            score=self._score,
            threshold=self.model.threshold,
            event=self._events.open is not None,
            counters=self.counters,
            left=left,
            error=self._events.error,
            distance=self._distance,
            note=self._note,
            beat=self.beat,
            done=self.done,
            stages=self._stages(),
            reader=self.source.reader,
        )

    def _stages(self) -> dict[str, float]:
        counters, spent = self.counters, self.scorer.spent
        stages = {
            "decode": counters.decode,
            "convert": spent.convert,
            "network": spent.network,
            "head": counters.head,
        }
        return stages | {"rest": max(0.0, counters.seconds - sum(stages.values()))}


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, WsvadError) else f"{type(error).__name__}: {reason(error)}"


def as_dict(state: State) -> dict[str, Any]:
    """A camera's state in plain values, as the health rows of `events.db` and `/healthz` have it."""
    health, counters = vars(state.health).copy(), state.counters
    delays = sorted(counters.delays)
    return {
        "state": state.state,
        "said": state.said,
        "score": state.score,
        "threshold": state.threshold,
        "event": state.event,
        "unsettled_left": state.left,
        "error": state.error,
        "distance": state.distance,
        "note": state.note,
        "snippets": counters.snippets,
        "unsettled": counters.unsettled,
        "events": counters.events,
        "errors": counters.errors,
        "breaks": dict(counters.breaks),
        "seconds_of_work": round(counters.seconds, 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in state.stages.items()},
        "delay_median": delays[len(delays) // 2] if delays else None,
        "delay_most": delays[-1] if delays else None,
        **{key: value for key, value in health.items() if key not in ("state", "said")},
    }
