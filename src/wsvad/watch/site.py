"""A site while it is watched: cameras, the threads that work for them, and what is kept.

One process. A camera's packets come from a process of its own (`video.feed`); what is computed of them, decoding,
resizing, optical flow, networks, lets go of Python's lock, so a thread a processor core keeps the cores busy. A thread
has a share of the cameras and takes a snippet of each in turn: nothing waits for a lock of another camera, and one
camera that is slow drops snippets of its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wsvad.detection.event_store import EventStore
from wsvad.detection.live import score_together
from wsvad.device import library_threads
from wsvad.errors import WsvadError
from wsvad.locks import writing
from wsvad.resident import few_pools, give_back
from wsvad.sinks.alert import ANOMALY, Alert
from wsvad.sinks.outbox import Outbox, status
from wsvad.video.clock import SNIPPET
from wsvad.video.connection import Patience
from wsvad.watch.camera import State, WatchedCamera, as_dict
from wsvad.watch.clips import Clips
from wsvad.watch.health import EVENTS
from wsvad.watch.model import models_of
from wsvad.watch.settings import Site

logger = logging.getLogger(__name__)

IDLE, TURN = 0.05, 0.25
"""Seconds from one turn of a thread to the next for each camera of its share, and at most: snippets that are full by
then are scored together."""
TIDY, NOTE = 60.0, 60.0
"""Seconds from one look at what is too old to the next, and from one note of how cameras are."""
STUCK = 120.0
"""Seconds without a step of a thread after which the process ends, for whoever started it to start it again."""


class Watch:
    """All that is watched, from `start` to `stop`.

    with Watch(site, Path("watch")) as watch:
        watch.run(stopped)
    """

    def __init__(
        self,
        site: Site,
        folder: Path,
        *,
        on_alert: Callable[[Alert], None] = lambda _: None,
        device: str = "cpu",
        patience: Patience | None = None,
        workers: int | None = None,
    ):
        """Open everything; cameras are connected in the background.

        Args:
            folder: for `events.db` and clips.
            on_alert: called, from any thread, with what is put into the outbox.

        Raises:
            WsvadError: a model cannot be loaded, or the folder cannot be written, or is another watch's.
        """
        self.begun = datetime.now(UTC)
        self.site, self.folder = site, folder
        self._stopping = threading.Event()
        few_pools()
        with ExitStack() as held:
            held.enter_context(writing(folder))
            count = min(len(site.cameras), workers or os.cpu_count() or 1)
            models = models_of(site, device=device, threads=count)
            self.store = EventStore(folder / EVENTS)
            held.callback(self.store.close)
            if damage := self.store.database.damage():
                raise WsvadError(damage)
            self.outbox = Outbox(self.store.database, site.sinks)
            self.clips = Clips(self.store, folder / "clips", site.clips)
            for id in self.store.finish_open(self.outbox, self._alerted):
                logger.warning("the event %s was open when this was last ended; it is over", id[:8])
            self.outbox.start()
            held.callback(self.outbox.stop)
            self.cameras: list[WatchedCamera] = []
            for name, model in models.items():
                camera = WatchedCamera(
                    name, site, model, store=self.store, outbox=self.outbox, clips=self.clips, on_alert=on_alert,
                    patience=patience,
                )  # fmt: skip
                held.callback(camera.source.close)
                self.cameras.append(camera)
            self._threads = [
                threading.Thread(target=self._work, args=(self.cameras[number::count],), name="watch", daemon=True)
                for number in range(count)
            ]
            held.enter_context(library_threads(max(1, (os.cpu_count() or 1) // count)))
            self._held = held.pop_all()

    def _alerted(self, alert: Alert) -> bool:
        """Whether an event that a kill left open was an alert, as far as its first moments say."""
        hours = self.site.hours(alert.camera)
        return (
            alert.kind != ANOMALY
            or hours is None
            or hours.at(alert.start.astimezone())
            or hours.at(alert.due.astimezone())
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, stopped: threading.Event, every: float = 0.5, show: Callable[[], None] = lambda: None) -> None:
        """Watch until that is set, or nothing will ever come.

        Args:
            show: called every so many seconds.

        Raises:
            WsvadError: a thread does not move any more.
        """
        tidied = noted = time.monotonic()
        for thread in self._threads:
            thread.start()
        self._tidy()
        while not stopped.wait(every) and not all(camera.done for camera in self.cameras):
            show()
            now = time.monotonic()
            if stuck := [camera for camera in self.cameras if now - camera.beat > STUCK]:
                names = ", ".join(camera.name for camera in stuck)
                raise WsvadError(f"nothing has moved for {STUCK:.0f} s ({names}); ending, to be started again")
            beat()
            if now - tidied > TIDY:
                tidied = now
                self._tidy()
            if now - noted > NOTE:
                noted = now
                self.note()

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

    def stop(self) -> None:
        """End: open events are over, clips are written as far as they go, what is not delivered is kept."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10.0)
        for camera in self.cameras:
            camera.source.close()
        self.clips.wait(10.0)
        with suppress(WsvadError):
            self.note(ended=True)
        self._held.close()

    def _tidy(self) -> None:
        give_back()
        try:
            self.clips.tidy()
        except (WsvadError, OSError) as error:
            logger.warning("what is too old is not deleted: %s", error)

    # -------------------------------------------------------------------------------------------------------- state

    def states(self) -> list[State]:
        return [camera.state() for camera in self.cameras]

    def note(self, ended: bool = False) -> None:
        """Keep how everything is, for whoever asks later.

        Raises:
            WsvadError: it cannot be written.
        """
        now = datetime.now(UTC)
        for state in self.states():
            self.store.health(state.name, as_dict(state) | {"ended": ended}, now)

    def as_dict(self) -> dict[str, Any]:
        """How everything is, in plain values."""
        sinks = {
            one.name: {key: _plain(value) for key, value in vars(one).items()} for one in status(self.store.database)
        }
        return {
            "since": self.begun.isoformat(timespec="seconds"),
            "cameras": {state.name: as_dict(state) for state in self.states()},
            "sinks": sinks,
            "clips": {"written": self.clips.written, "failed": self.clips.failed, "bytes": self.store.bytes()},
        }


def work_on(cameras: Iterable[WatchedCamera]) -> None:
    """Score the snippets that wait in cameras, and see to what follows."""
    waiting = [camera for camera in cameras if camera.waits]
    begun = time.monotonic()
    score_together([camera.scorer for camera in waiting])
    seconds = (time.monotonic() - begun) / max(1, len(waiting))
    for camera in waiting:
        camera.finish(seconds)


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def beat() -> None:
    """Say to systemd, if it is there and wants to know, that this process moves."""
    _notify("WATCHDOG=1")


def ready() -> None:
    """Say to systemd that everything is open."""
    _notify("READY=1")


def _notify(words: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        import socket

        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)
