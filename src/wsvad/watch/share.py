"""Cameras that one process watches, and the threads that work for them.

A camera's packets come from a process of its own (`video.feed`); what is computed of them, decoding, resizing, optical
flow, networks, lets go of Python's lock, so a few threads keep as many processor cores busy. A thread has a share of
the cameras and takes a snippet of each in turn: nothing waits for a lock of another camera, and one camera that is slow
drops snippets of its own.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wsvad.detection.event_store import EventStore
from wsvad.detection.live import score_together
from wsvad.device import library_threads
from wsvad.errors import WsvadError
from wsvad.resident import few_pools
from wsvad.sinks.alert import Alert
from wsvad.sinks.outbox import Slot
from wsvad.sinks.sink import CameraState
from wsvad.video.clock import SNIPPET
from wsvad.video.connection import Patience
from wsvad.watch.camera import State, WatchedCamera
from wsvad.watch.clips import CLIPS, Clips
from wsvad.watch.health import EVENTS
from wsvad.watch.model import models_of
from wsvad.watch.settings import Site

logger = logging.getLogger(__name__)

STUCK = 120.0
"""Seconds without a step of a thread after which the process ends, for whoever started it to start it again."""
IDLE, TURN = 0.05, 0.25
"""Seconds from one turn of a thread to the next for each camera of its share, and at most: snippets that are full by
then are scored together."""
WAIT = 10.0
"""Seconds that threads, and then clips, may take to end."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How some cameras are watched by a process."""

    site: Site
    """Its cameras, and no others."""
    folder: Path
    """For `events.db` and clips."""
    sinks: tuple[str, ...]
    """Names of those that the outbox has."""
    device: str = "cpu"
    threads: int = 1
    libraries: int = 1
    """Threads of PyTorch and OpenCV for each of those."""
    patience: Patience | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is known of a camera's model before it is watched."""

    threshold: float
    why: str
    """Where the threshold is from."""


@dataclass(frozen=True, kw_only=True)
class Now:
    """How a share is just now."""

    at: float
    """Seconds of the monotonic clock, which is that of all processes."""
    states: list[State]
    clips: tuple[int, int]
    """Clips that were written, and that could not be."""


@dataclass(frozen=True, kw_only=True)
class Hears:
    """What is called with what comes of cameras, from any thread."""

    alert: Callable[[Alert], None]
    """Something was put into the outbox."""
    wake: Callable[[], None]
    """The queues of the outbox are to be looked at."""
    show: Callable[[CameraState], None]
    """How a camera is, for sinks that show it."""


class Share:
    """From `begin` to `end`."""

    def __init__(self, plan: Plan):
        """Load the models.

        Raises:
            WsvadError: one of them cannot be loaded.
        """
        few_pools()
        self._plan = plan
        self._models = models_of(plan.site, device=plan.device, threads=plan.threads)
        self.models = {name: Model(threshold=one.threshold, why=one.why) for name, one in self._models.items()}
        self.cameras: list[WatchedCamera] = []
        self.failed = False
        """Whether it did not end, or does not move, as it should."""
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._held = ExitStack()

    def begin(self, hears: Hears) -> None:
        """Connect cameras, in the background, and work for them.

        Raises:
            WsvadError: the folder cannot be written.
        """
        plan = self._plan
        with ExitStack() as held:
            store = EventStore(plan.folder / EVENTS)
            held.callback(store.close)
            slot = Slot(store.database, plan.sinks, wake=hears.wake, show=hears.show)
            self.clips = Clips(store, plan.folder / CLIPS, plan.site.clips)
            for name, model in self._models.items():
                camera = WatchedCamera(
                    name, plan.site, model, store=store, outbox=slot, clips=self.clips, on_alert=hears.alert,
                    patience=plan.patience,
                )  # fmt: skip
                held.callback(camera.source.close)
                self.cameras.append(camera)
            held.enter_context(library_threads(plan.libraries))
            self._threads = [
                threading.Thread(target=self._work, args=(self.cameras[n :: plan.threads],), name="watch", daemon=True)
                for n in range(plan.threads)
            ]
            for thread in self._threads:
                thread.start()
            self._held = held.pop_all()

    def now(self) -> Now:
        """How it is; from any thread."""
        return Now(
            at=time.monotonic(),
            states=[camera.state() for camera in self.cameras],
            clips=(self.clips.written, self.clips.failed),
        )

    def check(self) -> None:
        """
        Raises:
            WsvadError: a thread does not move any more.
        """
        if said := stuck(self.now()):
            self.failed = True
            raise WsvadError(said)

    def end(self) -> None:
        """Open events are over, clips are written as far as they go."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(WAIT)
        for camera in self.cameras:
            camera.source.close()
        if self.cameras:
            self.clips.wait(WAIT)
        self._held.close()

    def _work(self, cameras: Iterable[WatchedCamera]) -> None:
        """The life of a thread."""
        cameras = list(cameras)
        turn = min(TURN, len(cameras) * IDLE)
        while not self._stopping.is_set():
            due = time.monotonic() + turn
            for camera in cameras:
                camera.take()
            work_on(cameras)
            if all(camera.source.unread < SNIPPET for camera in cameras):
                self._stopping.wait(max(due - time.monotonic(), 0.0))
        for camera in cameras:
            try:
                camera.close()
            except Exception:
                logger.exception("%s: not ended as it should", camera.name)


def stuck(now: Now) -> str:
    """What to say where a thread does not move any more; empty where all do."""
    names = [state.name for state in now.states if time.monotonic() - state.beat > STUCK]
    return f"nothing has moved for {STUCK:.0f} s ({', '.join(names)}); ending, to be started again" if names else ""


def work_on(cameras: Iterable[WatchedCamera]) -> None:
    """Score the snippets that wait in cameras, and see to what follows."""
    waiting = [camera for camera in cameras if camera.waits]
    begun = time.monotonic()
    score_together([camera.scorer for camera in waiting])
    seconds = (time.monotonic() - begun) / max(1, len(waiting))
    for camera in waiting:
        camera.finish(seconds)
