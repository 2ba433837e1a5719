"""Clips of events, and how much of everything is kept."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wsvad.detection.event_store import EventStore
from wsvad.environment import hidden
from wsvad.errors import WsvadError
from wsvad.files import slug
from wsvad.sinks.alert import Alert
from wsvad.spelling import reason
from wsvad.video.live import LiveSource
from wsvad.watch.settings import ClipSettings
from wsvad.watch.stills import local

logger = logging.getLogger(__name__)

CLIPS = "clips"
"""The folder beside `events.db`."""
LONGEST = 600.0
"""Seconds of a clip: an event that lasts for hours is shown by its beginning."""
WAIT = 15.0
"""Seconds that an event may last until its clip is begun; the packets are held for longer."""
RESERVE = 2**30, 0.02
"""Bytes of the disk that are always left free, and share of it; whichever is less."""


class Clips:
    """Writes clips into a folder beside `events.db`, each in a thread of its own: it waits for the event's end."""

    def __init__(self, store: EventStore, folder: Path, settings: ClipSettings):
        self.written = self.failed = 0
        self._store, self._folder, self._settings = store, folder, settings
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def begin(self, alert: Alert, source: LiveSource, start: float, end: Callable[[], float | None]) -> None:
        """An event has begun.

        Args:
            start: its first second on the source's clock.
            end: tells its last one, once it is known.
        """
        name = f"{slug(alert.camera)}/{local(alert.start)}-{alert.id[:8]}.mp4"
        thread = threading.Thread(
            target=self._write, args=(alert, source, self._folder / name, start, end), name="clip", daemon=True
        )
        with self._lock:
            self._running.add(thread)
        thread.start()

    def _write(
        self, alert: Alert, source: LiveSource, path: Path, start: float, end: Callable[[], float | None]
    ) -> None:
        longest, begun = start + LONGEST, time.monotonic()

        def until() -> float | None:
            known = end()
            if known is not None:
                return min(known + self._settings.after, longest)
            return longest if time.monotonic() - begun > LONGEST else None

        # Of an event that is over, the clip ends where it should: what was copied cannot be taken back.
        while end() is None and time.monotonic() - begun < WAIT:
            time.sleep(0.1)
        try:
            if _room(self._folder) <= 0:
                raise WsvadError(f"{path.parent}: the disk is nearly full")
            clip = source.clip(path, max(0.0, start - self._settings.before), until)
            moments = (datetime.fromtimestamp(source.wall(at), UTC) for at in (clip.start, clip.end))
            self._store.clip(alert.id, clip.path, **dict(zip(("start", "end"), moments, strict=True)))
            self.written += 1
        except (WsvadError, OSError) as error:
            self.failed += 1
            logger.warning(
                "%s: no clip of the event at %s: %s", alert.camera, local(alert.start), hidden(reason(error))
            )
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())

    def wait(self, seconds: float) -> None:
        """Wait for the clips that are being written, so long at most."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join(max(0.0, (until - datetime.now(UTC)).total_seconds()))


class Retention:
    """Keeps the folder of clips and `events.db` within their bounds."""

    def __init__(self, store: EventStore, folder: Path, settings: ClipSettings):
        self._store, self._folder, self._settings = store, folder, settings

    def clear(self) -> None:
        """Delete what a kill has left half written, before anybody writes here."""
        for path in self._folder.rglob(".*"):
            with suppress(OSError):
                path.unlink()

    def tidy(self) -> None:
        """Delete what is too old or too much, and what a kill has left.

        Raises:
            WsvadError: the database cannot be written.
        """
        most = int(self._settings.gigabytes * 1e9)
        if (short_of := -_room(self._folder)) > 0:
            most = min(most, max(0, self._store.bytes() - short_of))
        before = datetime.now(UTC) - timedelta(days=self._settings.days)
        for path in map(Path, self._store.expire(before=before, most_bytes=most)):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()
        if self._folder.is_dir():
            for path in self._store.strays(self._folder):
                with suppress(OSError):
                    path.unlink()


def _room(folder: Path) -> int:
    """Bytes that may still be written."""
    with suppress(OSError):
        usage = shutil.disk_usage(folder if folder.is_dir() else folder.parent)
        return usage.free - int(min(RESERVE[0], RESERVE[1] * usage.total))
    return 1
