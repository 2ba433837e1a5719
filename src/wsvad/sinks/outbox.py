"""The outbox: what sinks still have to be given, kept in a database so that a kill loses nothing.

Each sink has a queue and a thread of its own, so that one that is slow or down holds up nobody. An alert is put into
all queues in one transaction, and leaves a queue after the sink has taken it: at least once, with a key by which a
receiver knows a repetition.

What goes wrong is tried again after 1 s, 2 s, 4 s … up to 5 minutes, each time shortened by chance to as little as the
half, for ever. Meanwhile other alerts are tried first, so that one that a sink cannot digest does not hold up the
rest; but of one event the end never goes before the start. A queue is bounded: where a sink is down for so long that
it is full, what is new is left out and counted, and the oldest is kept.
"""

import json
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wsvad.database import Database
from wsvad.environment import hidden
from wsvad.errors import WsvadError
from wsvad.sinks.alert import Alert
from wsvad.sinks.sink import CameraState, Opens, Rejected, ShowsCameras, Sink
from wsvad.spelling import reason, short

logger = logging.getLogger(__name__)

TABLES = """
CREATE TABLE alerts (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL, still BLOB,
    at REAL NOT NULL);
CREATE TABLE deliveries (sink TEXT NOT NULL, alert INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,
    event TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (sink, alert)) WITHOUT ROWID;
CREATE INDEX deliveries_of_alerts ON deliveries (alert);
CREATE INDEX deliveries_of_events ON deliveries (sink, event, alert);
CREATE INDEX deliveries_in_turn ON deliveries (sink, attempts, alert, event);
CREATE TABLE sinks (name TEXT PRIMARY KEY, delivered INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    failed_at REAL, delivered_at REAL, retry_at REAL)
"""
"""A migration for the database that holds them."""
MOST = 10_000
"""Alerts that wait for one sink."""
MOST_STILLS = 256 << 20
"""Bytes of pictures that wait; with more, alerts are kept without theirs."""
FIRST, LONGEST = 1.0, 300.0
"""Seconds until a failure is tried again: at first, and at most."""
LOOK = 5.0
"""Seconds after which a queue is looked at even if nobody says that something is in it."""
NEXT = """
SELECT number, key, body, still FROM alerts WHERE number = (
    SELECT d.alert FROM deliveries d WHERE d.sink = ? AND NOT EXISTS
        (SELECT 1 FROM deliveries e WHERE e.sink = d.sink AND e.event = d.event AND e.alert < d.alert)
    ORDER BY d.attempts, d.alert LIMIT 1)
"""
"""Indices give them in turn, so that this takes no longer where thousands wait."""


@dataclass(frozen=True, kw_only=True)
class SinkStatus:
    """How a sink is doing."""

    name: str
    waiting: int
    """Alerts in its queue."""
    oldest: datetime | None
    """When the oldest of them was put there."""
    delivered: int
    dropped: int
    """Left out because the queue was full."""
    rejected: int
    """The receiver will never take them."""
    failures: int
    """In a row, up to now."""
    error: str
    """Of the last one; empty while it works."""
    failed_at: datetime | None
    delivered_at: datetime | None
    retry_at: datetime | None


class Posts(Protocol):
    """What takes alerts and states for sinks, from any thread."""

    def put(self, alert: Alert) -> None:
        """Queue an alert for every sink; in a transaction of the database, as a part of that, after which `wake` is
        called.

        Raises:
            WsvadError: the database cannot be written.
        """

    def wake(self) -> None:
        """Have the queues looked at now: a transaction in which something was put is finished."""

    def show(self, state: CameraState) -> None:
        """Show how a camera is, where sinks can; nothing waits for it, and what fails is left out."""


class Slot:
    """`Posts` into the queues of an outbox which delivers from another connection, in this process or another."""

    def __init__(
        self,
        database: Database,
        names: Collection[str],
        *,
        wake: Callable[[], None],
        show: Callable[[CameraState], None] = lambda _: None,
        most: int = MOST,
    ):
        """
        Args:
            names: of the sinks.
            wake, show: those of the outbox.
            most: alerts that wait for one of them.
        """
        self.wake, self.show = wake, show
        self._database, self._names, self._most = database, tuple(names), most

    def put(self, alert: Alert) -> None:
        # The end of an event is for a sink that was given its start: twice as many of them may wait.
        most = self._most if alert.state == "start" else 2 * self._most
        inside = self._database.in_transaction
        with self._database.transaction() as tables:
            waiting = dict(tables.execute("SELECT sink, count(*) FROM deliveries GROUP BY sink").fetchall())
            full = [(name,) for name in self._names if waiting.get(name, 0) >= most]
            tables.executemany("UPDATE sinks SET dropped = dropped + 1 WHERE name = ?", full)
            if len(full) < len(self._names):
                number = _kept(tables, alert)
                rows = [(name, number, alert.id) for name in self._names if (name,) not in full]
                tables.executemany("INSERT OR IGNORE INTO deliveries (sink, alert, event) VALUES (?, ?, ?)", rows)
        if not inside:  # to wake may take a while, and would keep all others from writing; nothing is there before
            self.wake()


class Outbox:
    """Queues of some sinks in a database that has the `TABLES`, and who delivers from them."""

    def __init__(
        self,
        database: Database,
        sinks: Mapping[str, Sink],
        *,
        most: int = MOST,
        first: float = FIRST,
        longest: float = LONGEST,
    ):
        """
        Args:
            sinks: by the names that the user gave them; queues of others are forgotten.
            most: alerts that wait for one of them.
            first, longest: seconds until a failure is tried again.
        """
        self._database = database
        self._slot = Slot(database, sinks, wake=self.wake, most=most)
        self._stopping = threading.Event()
        self._workers = [
            _Worker(_Queue(database, name), sink, self._stopping, first, longest) for name, sink in sinks.items()
        ]
        self._forget_others()

    def _forget_others(self) -> None:
        names = [worker.queue.name for worker in self._workers]
        others = f"NOT IN ({','.join('?' * len(names))})"
        with self._database.transaction() as tables:
            tables.executemany("INSERT OR IGNORE INTO sinks (name) VALUES (?)", [(name,) for name in names])
            gone = tables.execute(
                f"SELECT sink, count(*) FROM deliveries WHERE sink {others} GROUP BY sink", names
            ).fetchall()
            tables.execute(f"DELETE FROM deliveries WHERE sink {others}", names)
            tables.execute(f"DELETE FROM sinks WHERE name {others}", names)
            tables.execute("DELETE FROM alerts WHERE number NOT IN (SELECT alert FROM deliveries)")
        for name, count in gone:
            logger.warning("sink '%s' is not configured any more; %d alerts for it are left out", name, count)

    def put(self, alert: Alert) -> None:
        """As `Posts.put`."""
        self._slot.put(alert)

    def wake(self) -> None:
        """Look at the queues now: a transaction in which something was put is finished."""
        for worker in self._workers:
            worker.woken.set()

    def show(self, state: CameraState) -> None:
        """Show how a camera is, where sinks can; nothing waits for it, and what fails is left out."""
        for worker in self._workers:
            if isinstance(worker.sink, ShowsCameras):
                with suppress(Exception):
                    worker.sink.show(state)

    def start(self) -> None:
        """Begin to deliver."""
        for worker in self._workers:
            worker.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop; what is not delivered stays in the queues. A sink that hangs is left behind."""
        self._stopping.set()
        self.wake()
        until = time.monotonic() + timeout
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(max(0.0, until - time.monotonic()))

    def drained(self, timeout: float) -> bool:
        """Wait until all queues are empty; whether they were in time."""
        until = time.monotonic() + timeout
        while self._database.read("SELECT 1 FROM deliveries LIMIT 1"):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True


def _kept(tables: sqlite3.Connection, alert: Alert) -> int:
    """Keep an alert, unless it is there; its number."""
    still = alert.still
    if still and tables.execute("SELECT total(length(still)) FROM alerts").fetchone()[0] + len(still) > MOST_STILLS:
        still = None
    tables.execute(
        "INSERT OR IGNORE INTO alerts (key, body, still, at) VALUES (?, ?, ?, ?)",
        (alert.key, json.dumps(alert.as_dict()), still, time.time()),
    )
    return int(tables.execute("SELECT number FROM alerts WHERE key = ?", (alert.key,)).fetchone()[0])


class _Queue:
    """The queue of one sink, and what is known of it."""

    def __init__(self, database: Database, name: str):
        self.name = name
        self._database = database

    def next(self) -> sqlite3.Row | None:
        """The alert whose turn it is."""
        return next(iter(self._database.read(NEXT, (self.name,))), None)

    def delivered(self, number: int) -> None:
        self._settle(number, "delivered = delivered + 1, failures = 0, error = '', retry_at = NULL, delivered_at = ?")

    def rejected(self, number: int, error: str) -> None:
        self._settle(number, "rejected = rejected + 1, failed_at = ?, error = ?", error)

    def _settle(self, number: int, change: str, *values: str) -> None:
        with self._database.transaction() as tables:
            tables.execute("DELETE FROM deliveries WHERE sink = ? AND alert = ?", (self.name, number))
            tables.execute(
                "DELETE FROM alerts WHERE number = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = number)",
                (number,),
            )
            tables.execute(f"UPDATE sinks SET {change} WHERE name = ?", (time.time(), *values, self.name))

    def failed(self, number: int | None, failures: int, error: str, seconds: float) -> None:
        with self._database.transaction() as tables:
            tables.execute(
                "UPDATE deliveries SET attempts = attempts + 1 WHERE sink = ? AND alert = ?", (self.name, number)
            )
            tables.execute(
                "UPDATE sinks SET failures = ?, error = ?, failed_at = ?, retry_at = ? WHERE name = ?",
                (failures, error, time.time(), time.time() + seconds, self.name),
            )

    def works(self) -> None:
        with self._database.transaction() as tables:
            tables.execute("UPDATE sinks SET failures = 0, error = '', retry_at = NULL WHERE name = ?", (self.name,))


class _Worker(threading.Thread):
    """Gives a sink what is in its queue."""

    def __init__(self, queue: _Queue, sink: Sink, stopping: threading.Event, first: float, longest: float):
        super().__init__(name=f"sink {queue.name}", daemon=True)
        self.queue = queue
        self.sink = sink
        self.woken = threading.Event()
        self._stopping = stopping
        self._first, self._longest = first, longest
        self._failures = 0
        self._said = ""
        self._unrecorded: int | None = None
        """An alert that the sink has, where that could not be written down: it is not given again."""
        self._number: int | None = None
        """The alert whose turn it is."""

    def run(self) -> None:
        opened = False
        while not self._stopping.is_set():
            try:
                self._number = None
                if not opened and isinstance(self.sink, Opens):
                    self.sink.open()
                opened = True
                self._turn()
            except Exception as error:
                self._fail(error)
        if isinstance(self.sink, Opens):
            with suppress(Exception):
                self.sink.close()

    def _turn(self) -> None:
        """Deliver one alert, or wait for it."""
        self.woken.clear()
        found = self.queue.next()
        if found is None:
            if self._failures:
                self.queue.works()
            self._succeeded()
            self.woken.wait(LOOK)
            return
        self._number = found["number"]
        try:
            if self._number != self._unrecorded:
                self.sink.deliver(_read(found))
            self._unrecorded = self._number
            self.queue.delivered(self._number)
        except Rejected as error:
            said = _words(error)
            logger.warning("sink '%s' will never take the alert %s: %s", self.queue.name, found["key"], said)
            self.queue.rejected(self._number, said)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        if self._failures:
            logger.warning("sink '%s' works again after %d failures", self.queue.name, self._failures)
        self._failures, self._said = 0, ""

    def _fail(self, error: Exception) -> None:
        """Write down what went wrong, say it once, and wait."""
        self._failures += 1
        said = _words(error)
        if said != self._said:
            logger.warning("sink '%s': %s; it will be tried again", self.queue.name, said)
            self._said = said
        seconds = self._seconds()
        with suppress(Exception):  # of a database that cannot be written, the next turn says so again
            self.queue.failed(self._number, self._failures, said, seconds)
        self._stopping.wait(seconds)

    def _seconds(self) -> float:
        longest = min(self._longest, self._first * 2.0 ** min(self._failures - 1, 30))
        return longest * random.uniform(0.5, 1)


def _read(row: sqlite3.Row) -> Alert:
    try:
        return Alert.of_dict(json.loads(row["body"]), row["still"])
    except (ValueError, TypeError, RecursionError, WsvadError) as error:  # another version, or a hand, has written it
        raise Rejected(reason(error)) from None


def _words(error: Exception) -> str:
    """What went wrong, on a line without secrets."""
    return short(" ".join(hidden(error).split()) or type(error).__name__, 300)


def status(database: Database) -> list[SinkStatus]:
    """How each sink is doing; also from another process."""
    waiting = {
        row["sink"]: row
        for row in database.read(
            "SELECT d.sink, count(*) AS count, min(a.at) AS oldest FROM deliveries d "
            "JOIN alerts a ON a.number = d.alert GROUP BY d.sink"
        )
    }
    return [
        SinkStatus(
            name=row["name"],
            waiting=waiting[row["name"]]["count"] if row["name"] in waiting else 0,
            oldest=database.moment(waiting[row["name"]]["oldest"]) if row["name"] in waiting else None,
            delivered=row["delivered"],
            dropped=row["dropped"],
            rejected=row["rejected"],
            failures=row["failures"],
            error=row["error"],
            failed_at=database.moment(row["failed_at"]),
            delivered_at=database.moment(row["delivered_at"]),
            retry_at=database.moment(row["retry_at"]),
        )
        for row in database.read("SELECT * FROM sinks ORDER BY name")
    ]
