"""A site while it is watched: cameras, who works for them, sinks, and what is kept.

Few cameras are watched by threads of this process, many by several processes (`watch.apart`). Each keeps its cameras'
events and writes their clips; this one delivers alerts, says how everything is, and deletes what is too old.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wsvad.detection.event_store import EventStore
from wsvad.device import device_of
from wsvad.errors import WsvadError
from wsvad.extraction.workers import processors
from wsvad.locks import writing
from wsvad.resident import few_pools, give_back
from wsvad.sinks.alert import ANOMALY, Alert
from wsvad.sinks.outbox import Outbox, status
from wsvad.video.connection import Patience
from wsvad.watch.apart import Apart
from wsvad.watch.camera import State, as_dict
from wsvad.watch.clips import CLIPS, Retention
from wsvad.watch.health import EVENTS
from wsvad.watch.settings import Site
from wsvad.watch.share import Hears, Model, Plan, Share

logger = logging.getLogger(__name__)

EACH = 4
"""Cameras for which there is another process, up to one for each processor. Two take 240 MB more than one, each further
one 110 MB."""
TIDY, NOTE = 60.0, 60.0
"""Seconds from one look at what is too old to the next, and from one note of how cameras are."""


class Watch:
    """All that is watched, from when it is made to `stop`.

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
        processes: int | None = None,
    ):
        """Open everything; cameras are connected in the background.

        Args:
            folder: for `events.db` and clips.
            on_alert: called, from any thread, with what is put into the outbox.
            processes: that watch cameras; by default one for each `EACH`, up to as many as there are processors, and
                one where networks run on a device. One is this one.

        Raises:
            WsvadError: a model cannot be loaded, or the folder cannot be written, or is another watch's.
        """
        self.begun = datetime.now(UTC)
        self.site, self.folder = site, folder
        few_pools()
        with ExitStack() as held:
            held.enter_context(writing(folder))
            plans = plans_of(site, folder.absolute(), device, patience, processes)
            self.shares: list[Share | Apart] = []
            for plan in plans:
                share = Share(plan) if len(plans) == 1 else Apart(plan)
                held.callback(share.end)
                self.shares.append(share)
            self._models = {name: model for share in self.shares for name, model in share.models.items()}
            self.store = EventStore(folder / EVENTS)
            held.callback(self.store.close)
            if damage := self.store.database.damage():
                raise WsvadError(damage)
            self.outbox = Outbox(self.store.database, site.sinks)
            self._retention = Retention(self.store, folder / CLIPS, site.clips)
            self._retention.clear()
            for id in self.store.finish_open(self.outbox, self._alerted):
                logger.warning("the event %s was open when this was last ended; it is over", id[:8])
            self.outbox.start()
            held.callback(self.outbox.stop)
            for share in self.shares:
                share.begin(Hears(alert=on_alert, wake=self.outbox.wake, show=self.outbox.show))
            self._held = held.pop_all()

    @property
    def models(self) -> dict[str, Model]:
        """Camera → what is known of its model."""
        return {name: self._models[name] for name in self.site.cameras}

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
            WsvadError: a thread does not move any more, or a process has ended.
        """
        tidied = noted = time.monotonic()
        self._tidy()
        while not stopped.wait(every) and not all(state.done for state in self.states()):
            show()
            for share in self.shares:
                share.check()
            beat()
            now = time.monotonic()
            if now - tidied > TIDY:
                tidied = now
                self._tidy()
            if now - noted > NOTE:
                noted = now
                self.note()

    def stop(self) -> None:
        """End: open events are over, clips are written as far as they go, what is not delivered is kept."""
        first, *others = self.shares
        with ThreadPoolExecutor(len(self.shares)) as pool:
            ended = [pool.submit(share.end) for share in others]
            first.end()  # here: the threads that PyTorch computes with are each thread's own setting
            for one in ended:
                one.result()
        with suppress(WsvadError):
            self.note(ended=True)
        self._held.close()

    def _tidy(self) -> None:
        give_back()
        try:
            self._retention.tidy()
        except (WsvadError, OSError) as error:
            logger.warning("what is too old is not deleted: %s", error)

    # -------------------------------------------------------------------------------------------------------- state

    def states(self) -> list[State]:
        """How cameras are, or were a moment ago."""
        found = {state.name: state for share in self.shares for state in share.now().states}
        return [found[name] for name in self.site.cameras]

    def processes(self) -> list[int]:
        """Numbers of the processes that work for it: this one, those that watch, those that read."""
        apart = (share.pid for share in self.shares if isinstance(share, Apart))
        readers = (state.reader for state in self.states())
        return [os.getpid(), *(pid for pid in (*apart, *readers) if pid is not None)]

    def note(self, ended: bool = False) -> None:
        """Keep how everything is, for whoever asks later.

        Args:
            ended: whether it was ended in order, as far as it did not fail.

        Raises:
            WsvadError: it cannot be written.
        """
        now = datetime.now(UTC)
        for share in self.shares:
            if not (ended and share.failed):
                for state in share.now().states:
                    self.store.health(state.name, as_dict(state) | {"ended": ended}, now)

    def as_dict(self) -> dict[str, Any]:
        """How everything is, in plain values."""
        sinks = {
            one.name: {key: _plain(value) for key, value in vars(one).items()} for one in status(self.store.database)
        }
        written, failed = map(sum, zip(*(share.now().clips for share in self.shares), strict=True))
        return {
            "since": self.begun.isoformat(timespec="seconds"),
            "cameras": {state.name: as_dict(state) for state in self.states()},
            "sinks": sinks,
            "clips": {"written": written, "failed": failed, "bytes": self.store.bytes()},
        }


def plans_of(
    site: Site, folder: Path, device: str, patience: Patience | None, processes: int | None = None
) -> list[Plan]:
    """What each process watches."""
    cores, names = processors(), list(site.cameras)
    if processes is None:
        processes = 1 if device_of(device) != "cpu" else min(cores, math.ceil(len(names) / EACH))
    processes, plans = max(1, min(processes, len(names))), []
    for number in range(processes):
        some = names[number::processes]
        cameras = {name: site.cameras[name] for name in some}
        models = {name: site.models[name].absolute() for name in some}
        own = max(1, cores // processes + (number < cores % processes))
        count = min(own, len(some))
        plans.append(
            Plan(
                site=replace(site, cameras=cameras, models=models, sinks={}),
                folder=folder,
                sinks=tuple(site.sinks),
                device=device,
                threads=count,
                libraries=max(1, own // count),
                patience=patience,
            )
        )
    return plans


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
