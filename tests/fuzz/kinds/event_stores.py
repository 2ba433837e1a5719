"""`events.db`: whatever is damaged, events and features are read as they were or the file is refused."""

import atexit
import json
import random
import shutil
import sqlite3
import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
from alerts import NOON, alert

from fuzz.harness import Case, kind
from fuzz.mutate import damaged_bytes, damaged_value
from wsvad.detection.event_store import EventStore, Review
from wsvad.sinks.outbox import Outbox, _read, status
from wsvad.sinks.sink import Rejected


class Silent:
    def deliver(self, _: object) -> None: ...


@cache
def whole() -> bytes:
    """A file with events, of which one is open; reviews, features, and alerts that wait."""
    folder = Path(tempfile.mkdtemp(prefix="wsvad-fuzz-events-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = EventStore(folder / "events.db")
    outbox = Outbox(store.database, {"a": Silent()})
    store.camera("gate")
    for number in range(4):
        store.start(alert(f"e{number}"), outbox)
        rows = np.random.default_rng(number).normal(size=(3, 2, 4))
        store.keep_features("gate", {"rgb": rows}, {"rgb": {"encoder": "x"}}, start=NOON, end=NOON, event=f"e{number}")
        if number < 3:
            store.finish(alert(f"e{number}", "end"), outbox)
            store.review([f"e{number}"], Review(verdict="unsure"))
    store.health("gate", {"frames": 5}, NOON)
    store.database.shrink()
    store.close()
    return (folder / "events.db").read_bytes()


@kind("event stores", prepare=whole)
def event_stores(rng: random.Random, folder: Path) -> Case:
    path = folder / "events.db"
    content = whole()
    if rng.random() < 0.5:
        path.write_bytes(damaged_bytes(rng, content))
    else:
        path.write_bytes(content)
        for _ in range(rng.choice((1, 2))):
            damage_row(rng, path)

    def use() -> None:
        store = EventStore(path)
        try:
            read(store)
        finally:
            store.close()

    return use


def read(store: EventStore) -> None:
    outbox = Outbox(store.database, {"a": Silent()})
    store.finish_open(outbox)
    for event in store.events():
        assert event.alert.as_dict() and event.alert.title and event.alert.text
        store.still(event.alert.id)
        store.history(event.alert.id)
        assert all(found.rows.ndim for found in store.features(event.alert.id))
    for row in store.database.read("SELECT * FROM alerts"):
        try:
            _read(row)
        except Rejected:
            continue
    status(store.database)
    store.counts()
    store.undo(["e0"])
    store.expire(before=NOON + timedelta(days=1), most_bytes=10)


def damage_row(rng: random.Random, path: Path) -> None:
    """Put something else into a value of a row."""
    with sqlite3.connect(path) as tables:
        table = rng.choice(["events", "alerts", "deliveries", "sinks", "reviews", "features", "passports", "stills"])
        columns = [row[1] for row in tables.execute(f"PRAGMA table_info({table})")]
        column = rng.choice(columns)
        found = tables.execute(f"SELECT rowid, {column} FROM {table}").fetchall() if table != "deliveries" else []
        if not found:
            return
        rowid, value = rng.choice(found)
        tables.execute("PRAGMA foreign_keys = OFF")
        try:
            tables.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (other(rng, value), rowid))
        except (sqlite3.Error, UnicodeEncodeError, OverflowError):
            return
    tables.close()


def other(rng: random.Random, value: object) -> object:
    if isinstance(value, bytes):
        return damaged_bytes(rng, value)
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.dumps(damaged_value(rng, json.loads(value)))
        except (ValueError, TypeError, RecursionError):
            return value[:-1]
    found = damaged_value(rng, value)
    return found if found is None or isinstance(found, int | float | str | bytes) else json.dumps(str(found))
