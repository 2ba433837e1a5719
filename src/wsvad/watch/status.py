"""How a watch is doing, for a table: from its process, or from `events.db` when that is gone."""

import http.client
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsvad.detection.event_store import EventStore
from wsvad.errors import WsvadError
from wsvad.files import read_json
from wsvad.progress import duration
from wsvad.sinks.outbox import status
from wsvad.watch.health import EVENTS, HOST, RUNNING, unwell

NEWEST = """
SELECT c.name, c.source, h.at, h.record FROM cameras c LEFT JOIN health h ON h.camera = c.name
    AND h.at = (SELECT max(at) FROM health WHERE camera = c.name)
ORDER BY c.name
"""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is known."""

    runs: bool
    since: datetime | None
    """When it was started; of one that is gone, when it was last heard of."""
    ended: bool = False
    """Whether it was ended in order."""
    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)
    sinks: list[list[str]] = field(default_factory=list)
    """Rows of a table."""
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return self.runs and not self.wrong

    head = ("camera", "state", "pictures", "score", "snippets", "dropped", "reconnects", "last picture", "events")

    @property
    def rows(self) -> list[list[str]]:
        """Of the table of cameras."""
        return [_row(name, camera) for name, camera in self.cameras.items()]

    @property
    def notes(self) -> list[str]:
        """What has to be known of a camera, though nothing is wrong with it."""
        return [f"camera '{name}': {note}" for name, camera in self.cameras.items() if (note := camera.get("note"))]

    @property
    def sentence(self) -> str:
        """All in all."""
        when = f"{self.since.astimezone():%Y-%m-%d %H:%M:%S}" if self.since else ""
        if not self.runs:
            how = "was ended" if self.ended else "was killed, or its machine was"
            return f"not running since {when}: it {how}; the table is of then" if when else "not running, never noted"
        return f"runs since {when}" + (f"; {'; '.join(self.wrong)}" if self.wrong else "; all is well")

    def as_dict(self) -> dict[str, Any]:
        return {
            "runs": self.runs,
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
            "ended": self.ended,
            "wrong": self.wrong,
            "cameras": self.cameras,
        }


def _row(name: str, camera: dict[str, Any]) -> list[str]:
    def number(key: str, form: str = ",") -> str:
        value = camera.get(key)
        return "" if value is None else f"{value:{form}}"

    pictures = (
        f"{camera['codec']} {camera['width']}x{camera['height']} {camera['rate'] or 0:.3g}/s"
        if camera.get("codec")
        else ""
    )
    age = camera.get("age")
    state = "EVENT" if camera.get("event") else str(camera.get("state", ""))
    return [
        name, state, pictures, number("score", ".3f"), number("snippets"), number("dropped"),
        str(max(0, camera.get("connections", 0) - 1)), "" if age is None else f"{duration(age)} ago", number("events"),
    ]  # fmt: skip


def status_of(folder: Path) -> Status:
    """How the watch of a folder is doing.

    Raises:
        WsvadError: there is none.
    """
    if not (folder / EVENTS).is_file():
        raise WsvadError(f"{folder}: no watch has written here; 'wsvad watch … --out {folder}' does")
    store = EventStore(folder / EVENTS)
    try:
        sinks = [
            [one.name, f"{one.delivered:,}", f"{one.waiting:,}", f"{one.dropped:,}", one.error]
            for one in status(store.database)
        ]
        if (now := _asked(folder)) is not None:
            return Status(
                runs=True,
                since=datetime.fromisoformat(now["since"]),
                cameras=now["cameras"],
                sinks=sinks,
                wrong=unwell(now),
            )
        rows = store.database.read(NEWEST)
        cameras = {row["name"]: json.loads(row["record"]) if row["record"] else {} for row in rows}
        last = max((row["at"] for row in rows if row["at"]), default=None)
    except (ValueError, KeyError) as error:
        raise store.database.damaged(str(error)) from None
    finally:
        store.close()
    ended = bool(cameras) and all(camera.get("ended") for camera in cameras.values())
    since = None if last is None else datetime.fromtimestamp(last, UTC)
    return Status(runs=False, since=since, ended=ended, cameras=cameras, sinks=sinks)


def _asked(folder: Path) -> dict[str, Any] | None:
    """What the process says; None where there is none."""
    try:
        port = read_json(folder / RUNNING)["port"]
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            found = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found if isinstance(found, dict) and "cameras" in found else None
    except (WsvadError, OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return None
