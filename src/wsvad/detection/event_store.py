"""`events.db`: what happened on which camera, what people said of it, and the features to learn from later.

All is in one file of SQLite with the outbox, so that an event and its alerts are written together or not at all. Clips
are files beside it: a file is written before its row and removed after it, so that a kill leaves at most a file that no
row names (`strays`).
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from wsvad.database import Database
from wsvad.errors import UsageError, WsvadError
from wsvad.features.half import fits_half
from wsvad.sinks.alert import Alert
from wsvad.sinks.outbox import TABLES, Posts
from wsvad.spelling import reason, short

Verdict = Literal["confirmed", "false alarm", "unsure"]
EVENTS = """
CREATE TABLE cameras (name TEXT PRIMARY KEY, source TEXT NOT NULL, run TEXT NOT NULL, seen REAL NOT NULL);
CREATE TABLE events (id TEXT PRIMARY KEY, camera TEXT NOT NULL REFERENCES cameras, kind TEXT NOT NULL,
    start REAL NOT NULL, last REAL NOT NULL, end REAL, score REAL NOT NULL, category TEXT NOT NULL,
    record TEXT NOT NULL);
CREATE INDEX events_in_time ON events (start);
CREATE INDEX events_of_cameras ON events (camera, start);
CREATE TABLE stills (event TEXT PRIMARY KEY REFERENCES events ON DELETE CASCADE, jpeg BLOB NOT NULL);
CREATE TABLE clips (path TEXT PRIMARY KEY, event TEXT NOT NULL REFERENCES events ON DELETE CASCADE,
    start REAL NOT NULL, end REAL NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX clips_of_events ON clips (event);
CREATE TABLE reviews (number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL REFERENCES events ON DELETE CASCADE, verdict TEXT NOT NULL, category TEXT NOT NULL,
    note TEXT NOT NULL, by TEXT NOT NULL, at REAL NOT NULL, undone_by TEXT, undone_at REAL);
CREATE INDEX reviews_of_events ON reviews (event);
CREATE TABLE passports (number INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE);
CREATE TABLE features (number INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL REFERENCES cameras,
    event TEXT REFERENCES events ON DELETE CASCADE, stream TEXT NOT NULL,
    passport INTEGER NOT NULL REFERENCES passports, start REAL NOT NULL, end REAL NOT NULL,
    shape TEXT NOT NULL, dtype TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX features_of_events ON features (event);
CREATE INDEX features_of_cameras ON features (camera, end);
CREATE TABLE health (camera TEXT NOT NULL, at REAL NOT NULL, record TEXT NOT NULL);
CREATE INDEX health_in_time ON health (at)
"""
MIGRATIONS = (f"{TABLES};{EVENTS}",)
"""A change of the tables is one more script here; those that are there stay as they are."""
DTYPES = ("<f2", "<f4")
"""Half precision, or single."""
SELECT = """
SELECT e.*, r.verdict, r.category AS said, r.note, s.event IS NOT NULL AS still,
    (SELECT path FROM clips c WHERE c.event = e.id ORDER BY start LIMIT 1) AS clip
FROM events e LEFT JOIN stills s ON s.event = e.id LEFT JOIN reviews r ON r.number =
    (SELECT max(number) FROM reviews WHERE event = e.id AND undone_at IS NULL)
"""


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a person said of an event."""

    verdict: Verdict
    category: str = ""
    """What it was, where that differs from what the model says."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """An event as it is kept."""

    alert: Alert
    """As it is now, without its picture; of state `end` when it is over."""
    review: Review | None
    """The last that was said of it and not undone."""
    still: bool
    """Whether there is a picture."""
    clip: str
    """The path of its (first) clip; empty where there is none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFeatures:
    """Rows of one stream, of consecutive snippets."""

    camera: str
    event: str | None
    """None of quiet time."""
    stream: str
    passport: Mapping[str, Any]
    """How they were made."""
    start: datetime
    end: datetime
    rows: np.ndarray
    """`(T, D)` or `(T, C, D)`."""


class EventStore:
    """Several processes may write and read at the same time."""

    def __init__(self, path: Path | str):
        """
        Raises:
            WsvadError: the file cannot be opened or written, is damaged, or is of a newer version.
        """
        self.database = Database(path, MIGRATIONS)

    def close(self) -> None:
        self.database.close()

    # ---------------------------------------------------------------------------------------------------- events

    def camera(self, name: str, *, source: str = "", run: str = "") -> None:
        """Say where a camera is and what watches it.

        Args:
            source: its address without secrets.
        """
        with self.database.transaction() as tables:
            tables.execute(
                "INSERT INTO cameras VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET source = excluded.source, "
                "run = excluded.run, seen = excluded.seen",
                (name, source, run, time.time()),
            )

    def seen(self, camera: str) -> None:
        """A camera is still watched."""
        with self.database.transaction() as tables:
            tables.execute("UPDATE cameras SET seen = ? WHERE name = ?", (time.time(), camera))

    def start(self, alert: Alert, outbox: Posts | None = None) -> None:
        """An alert is due: keep the event, and put the alert into the outbox, both or none."""
        with self.database.transaction() as tables:
            start, record = alert.start.timestamp(), json.dumps(alert.as_dict())
            _know(tables, alert.camera)
            tables.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (alert.id, alert.camera, alert.kind, start, alert.due.timestamp(), alert.score, alert.category, record),
            )
            if alert.still:
                picture = "INSERT INTO stills VALUES (?, ?) ON CONFLICT (event) DO NOTHING"
                tables.execute(picture, (alert.id, alert.still))
            if outbox:
                outbox.put(alert)
        if outbox:
            outbox.wake()

    def update(self, id: str, *, last: datetime, score: float) -> None:
        """An open event has lasted until then; after a kill this is where it ended."""
        with self.database.transaction() as tables:
            tables.execute(
                "UPDATE events SET last = max(last, ?), score = max(score, ?) WHERE id = ? AND end IS NULL",
                (last.timestamp(), score, id),
            )

    def finish(self, alert: Alert, outbox: Posts | None = None) -> None:
        """An event is over; its alert of state `end` goes with it. One that was never kept has no end either."""
        assert alert.end is not None
        end = alert.end.timestamp()
        with self.database.transaction() as tables:
            changed = tables.execute(
                "UPDATE events SET last = ?, end = ?, score = ?, category = ?, record = ? WHERE id = ?",
                (end, end, alert.score, alert.category, json.dumps(alert.as_dict()), alert.id),
            ).rowcount
            if outbox and changed:
                outbox.put(alert)
        if outbox:
            outbox.wake()

    def finish_open(self, outbox: Posts | None = None, wanted: Callable[[Alert], bool] = lambda _: True) -> list[str]:
        """End the events that a kill has left open, where they had got to; their ids.

        Args:
            wanted: whether an event was an alert, whose end is sent as well.
        """
        found = [event.alert for event in self._select("WHERE e.end IS NULL ORDER BY e.start")]
        lasts = {row["id"]: row["last"] for row in self.database.read("SELECT id, last FROM events WHERE end IS NULL")}
        for alert in found:
            end = self.database.moment(lasts.get(alert.id)) or alert.due
            ended = replace(alert, state="end", end=end, raised=datetime.now(UTC))
            self.finish(ended, outbox if wanted(ended) else None)
        return [alert.id for alert in found]

    def event(self, id: str) -> StoredEvent:
        """
        Raises:
            UsageError: there is none.
        """
        for event in self._select("WHERE e.id = ?", id):
            return event
        raise UsageError(f"{self.database.path}: no event has the id '{short(id)}'")

    def events(
        self,
        *,
        camera: str = "",
        after: datetime | None = None,
        before: datetime | None = None,
        reviewed: bool | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[StoredEvent]:
        """Events that began in a time, the newest first."""
        wanted: list[tuple[str, Any]] = [("1 = ?", 1)]
        wanted += [("e.camera = ?", camera)] if camera else []
        wanted += [("e.start >= ?", after.timestamp())] if after else []
        wanted += [("e.start < ?", before.timestamp())] if before else []
        wanted += [("(r.verdict IS NOT NULL) = ?", reviewed)] if reviewed is not None else []
        where = " AND ".join(words for words, _ in wanted)
        values = (*(value for _, value in wanted), limit, offset)
        return list(self._select(f"WHERE {where} ORDER BY e.start DESC, e.id LIMIT ? OFFSET ?", *values))

    def counts(self) -> dict[str, tuple[int, int]]:
        """Camera → its events, and how many of them nobody has reviewed."""
        rows = self.database.read(
            "SELECT camera, count(*), sum(id NOT IN (SELECT event FROM reviews WHERE undone_at IS NULL)) FROM events "
            "GROUP BY camera"
        )
        return {camera: (count, left) for camera, count, left in rows}

    def still(self, id: str) -> bytes | None:
        """The picture of an event (JPEG)."""
        rows = self.database.read("SELECT jpeg FROM stills WHERE event = ?", (id,))
        return bytes(rows[0]["jpeg"]) if rows else None

    def _select(self, rest: str, *values: Any) -> Iterator[StoredEvent]:
        for row in self.database.read(f"{SELECT} {rest}", values):
            try:
                alert = Alert.of_dict(json.loads(row["record"]) | {"score": row["score"], "clip": row["clip"] or ""})
            except (ValueError, TypeError, RecursionError, WsvadError) as error:
                raise self.database.damaged(f"event {short(row['id'])}: {reason(error)}") from None
            said = Review(verdict=row["verdict"], category=row["said"], note=row["note"]) if row["verdict"] else None
            yield StoredEvent(alert=alert, review=said, still=bool(row["still"]), clip=alert.clip)

    # --------------------------------------------------------------------------------------------- clips, reviews

    def clip(self, id: str, path: Path | str, *, start: datetime, end: datetime) -> None:
        """A clip of an event is written."""
        with self.database.transaction() as tables:
            size = Path(path).stat().st_size
            tables.execute(
                "INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?)",
                (str(path), id, start.timestamp(), end.timestamp(), size),
            )

    def review(self, ids: Iterable[str], review: Review, *, by: str = "") -> None:
        """Say something of events, all at once.

        Raises:
            UsageError: there is no such event, or verdict; nothing is written then.
        """
        if review.verdict not in get_args(Verdict):
            raise UsageError(f"verdict '{short(review.verdict)}': one of {', '.join(get_args(Verdict))}")
        with self.database.transaction() as tables:
            for id in ids:
                self.event(id)
                tables.execute(
                    "INSERT INTO reviews (event, verdict, category, note, by, at) VALUES (?, ?, ?, ?, ?, ?)",
                    (id, review.verdict, review.category, review.note, by, time.time()),
                )

    def undo(self, ids: Iterable[str], *, by: str = "") -> None:
        """Take the last that was said of events back; what was said before holds again. Nothing is lost."""
        with self.database.transaction() as tables:
            tables.executemany(
                "UPDATE reviews SET undone_by = ?, undone_at = ? WHERE number = "
                "(SELECT max(number) FROM reviews WHERE event = ? AND undone_at IS NULL)",
                [(by, time.time(), id) for id in ids],
            )

    def history(self, id: str) -> list[dict[str, Any]]:
        """All that was said of an event, the oldest first: who, when, what, and whether it was taken back."""
        return [dict(row) for row in self.database.read("SELECT * FROM reviews WHERE event = ? ORDER BY number", (id,))]

    # ------------------------------------------------------------------------------------------- features, health

    def keep_features(
        self,
        camera: str,
        streams: Mapping[str, np.ndarray],
        passports: Mapping[str, Mapping[str, Any]],
        *,
        start: datetime,
        end: datetime,
        event: str | None = None,
    ) -> None:
        """Keep the rows of consecutive snippets, stream → `(T, D)` or `(T, C, D)`, in half precision where they fit.

        Args:
            passports: how each stream is made.
            event: whose they are; None of quiet time.
        """
        with self.database.transaction() as tables:
            _know(tables, camera)
            for stream, rows in streams.items():
                made = json.dumps(passports.get(stream, {}), sort_keys=True)
                tables.execute("INSERT OR IGNORE INTO passports (record) VALUES (?)", (made,))
                number = tables.execute("SELECT number FROM passports WHERE record = ?", (made,)).fetchone()[0]
                kept = _kept(rows)
                tables.execute(
                    "INSERT INTO features (camera, event, stream, passport, start, end, shape, dtype, data) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (camera, event, stream, number, start.timestamp(), end.timestamp(), json.dumps(kept.shape),
                     kept.dtype.str, kept.tobytes()),
                )  # fmt: skip

    def drop_quiet(self, camera: str, after: datetime) -> None:
        """What ends after that was not quiet: an event has begun."""
        with self.database.transaction() as tables:
            tables.execute(
                "DELETE FROM features WHERE camera = ? AND event IS NULL AND end > ?", (camera, after.timestamp())
            )

    def trim(self, event: str, end: datetime) -> None:
        """An event ended then: features that were kept because it might last longer are none of its. Snippets of one
        row are taken to be equally long."""
        last = end.timestamp()
        with self.database.transaction() as tables:
            query = "SELECT number, start, end, shape, data FROM features WHERE event = ? AND end > ?"
            for number, start, until, shape, data in tables.execute(query, (event, last)).fetchall():
                try:
                    count, *rest = json.loads(shape)
                    left = 0 if start >= last else min(count, round(count * (last - start) / (until - start)))
                except (ValueError, TypeError, RecursionError) as error:
                    raise self.database.damaged(f"features {number}: {reason(error)}") from None
                if not left:
                    tables.execute("DELETE FROM features WHERE number = ?", (number,))
                elif left < count:
                    tables.execute(
                        "UPDATE features SET end = ?, shape = ?, data = ? WHERE number = ?",
                        (last, json.dumps([left, *rest]), data[: len(data) // count * left], number),
                    )

    def features(self, event: str | None, *, camera: str = "") -> Iterator[StoredFeatures]:
        """Features of an event, or of all quiet time (of a camera), in order of time."""
        numbers = self.database.read(
            "SELECT number FROM features WHERE event IS ? AND ? IN ('', camera) ORDER BY camera, start, number",
            (event, camera),
        )
        for (number,) in numbers:  # one at a time: they may be many gigabytes
            query = "SELECT f.*, p.record FROM features f JOIN passports p ON p.number = f.passport WHERE f.number = ?"
            yield from map(self._features, self.database.read(query, (number,)))

    def _features(self, row: Any) -> StoredFeatures:
        start, end = (self.database.moment(row[key]) for key in ("start", "end"))
        try:
            passport, shape = json.loads(row["record"]), json.loads(row["shape"])
            if row["dtype"] not in DTYPES or start is None or end is None or not isinstance(passport, dict):
                raise ValueError("not as they are written")
            rows = np.frombuffer(row["data"], row["dtype"]).reshape(shape)
        except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
            raise self.database.damaged(f"features {row['number']}: {reason(error)}") from None
        return StoredFeatures(
            camera=row["camera"],
            event=row["event"],
            stream=row["stream"],
            passport=passport,
            start=start,
            end=end,
            rows=rows,
        )

    def health(self, camera: str, record: Mapping[str, Any], at: datetime) -> None:
        """Keep how a camera was at a time."""
        with self.database.transaction() as tables:
            tables.execute("INSERT INTO health VALUES (?, ?, ?)", (camera, at.timestamp(), json.dumps(record)))

    # -------------------------------------------------------------------------------------------------- retention

    def bytes(self) -> int:
        """What clips, pictures and features take."""
        parts = ("sum(bytes) FROM clips", "sum(length(jpeg)) FROM stills", "sum(length(data)) FROM features")
        return sum(self.database.read(f"SELECT {part}")[0][0] or 0 for part in parts)

    def expire(self, *, before: datetime | None = None, most_bytes: int | None = None) -> list[str]:
        """Delete what is too old or too much; the paths of the clips, which the caller removes.

        Too old is everything that ended before a time. Where it is still too much, clips and pictures go first, those
        of reviewed events before others and the oldest first; what people said and what can be learned stays. Then
        features of quiet time go, then whole events in the same order. An open event stays.
        """
        paths: list[str] = []
        with self.database.transaction() as tables:
            if before is not None:
                moment = before.timestamp()
                old = [row["id"] for row in tables.execute("SELECT id FROM events WHERE end < ?", (moment,))]
                paths += self._delete(old)
                tables.execute("DELETE FROM features WHERE event IS NULL AND end < ?", (moment,))
                tables.execute("DELETE FROM health WHERE at < ?", (moment,))
            if most_bytes is not None:
                paths += self._shrink_to(most_bytes)
        self.database.shrink()
        return paths

    def _shrink_to(self, most: int) -> list[str]:
        paths: list[str] = []
        too_much = self.bytes() - most
        order = [
            row["id"]
            for row in self.database.read(
                "SELECT id FROM events WHERE end IS NOT NULL ORDER BY "
                "id NOT IN (SELECT event FROM reviews WHERE undone_at IS NULL), start"
            )
        ]
        with self.database.transaction() as tables:
            for id in order:
                if too_much <= 0:
                    return paths
                too_much -= self._size(id, "clips", "bytes") + self._size(id, "stills", "length(jpeg)")
                paths += [row["path"] for row in tables.execute("SELECT path FROM clips WHERE event = ?", (id,))]
                tables.execute("DELETE FROM clips WHERE event = ?", (id,))
                tables.execute("DELETE FROM stills WHERE event = ?", (id,))
            quiet = "SELECT number, length(data) AS size FROM features WHERE event IS NULL ORDER BY end"
            for number, size in tables.execute(quiet).fetchall():
                if too_much <= 0:
                    return paths
                too_much -= size
                tables.execute("DELETE FROM features WHERE number = ?", (number,))
            for id in order:
                if too_much <= 0:
                    return paths
                too_much -= self._size(id, "features", "length(data)")
                self._delete([id])
        return paths

    def _size(self, id: str, table: str, what: str) -> int:
        return self.database.read(f"SELECT coalesce(sum({what}), 0) FROM {table} WHERE event = ?", (id,))[0][0]

    def _delete(self, ids: Sequence[str]) -> list[str]:
        """Delete events with all that is theirs; the paths of their clips."""
        paths = []
        with self.database.transaction() as tables:
            for id in ids:
                paths += [row["path"] for row in tables.execute("SELECT path FROM clips WHERE event = ?", (id,))]
                tables.execute("DELETE FROM events WHERE id = ?", (id,))
        return paths

    def strays(self, folder: Path | str, *, older: float = 3600.0) -> list[Path]:
        """Files in a folder of clips that no event names, and that are as many seconds old: what a kill has left."""
        known = {Path(row["path"]).absolute() for row in self.database.read("SELECT path FROM clips")}
        limit = time.time() - older
        return sorted(
            path
            for path in Path(folder).rglob("*")
            if path.is_file() and path.absolute() not in known and path.stat().st_mtime < limit
        )


def _know(tables: sqlite3.Connection, camera: str) -> None:
    tables.execute("INSERT INTO cameras VALUES (?, '', '', ?) ON CONFLICT (name) DO NOTHING", (camera, time.time()))


def _kept(rows: np.ndarray) -> np.ndarray:
    """In half precision where the numbers fit, else in single."""
    return np.ascontiguousarray(rows, DTYPES[0] if fits_half(rows) else DTYPES[1])
