"""Frigate's event API: an event here becomes a manual event there, with its recording."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from wsvad.errors import WsvadError
from wsvad.sinks.alert import ANOMALY, Alert
from wsvad.sinks.frigate_server import Server
from wsvad.sinks.sink import Rejected

MARK = "wsvad "
"""With which the `sub_label` of our own events begins."""
GONE = timedelta(minutes=10)
"""After so long an event that is not there will not come up any more."""


@dataclass(frozen=True, kw_only=True)
class FrigateConfig:
    """A recorder. Creating events needs the role admin there."""

    url: str
    """http://HOST:5000 within its own network, without login, or https://HOST:8971 with one."""
    user: str = ""
    """Name of an admin; may be ${NAME}."""
    password: str = ""
    """The admin's password, as ${NAME}."""
    token: str = ""
    """A token in place of user and password, as ${NAME}."""
    ca: str = ""
    """File with the certificate of its authority (PEM), where the system does not know it."""
    cameras: dict[str, str] = field(default_factory=dict)
    """Names of cameras there, where they differ: {ours: theirs}."""


class Frigate:
    """Frigate gives each event an id of its own, so the one of an alert is found again by its `sub_label`: a repetition
    makes no second event, and nothing has to be kept here."""

    config_class = FrigateConfig

    def __init__(self, settings: FrigateConfig):
        self._settings = settings
        self._server = Server(
            url=settings.url, user=settings.user, password=settings.password, token=settings.token, ca=settings.ca
        )

    def deliver(self, alert: Alert) -> None:
        camera = self._settings.cameras.get(alert.camera, alert.camera)
        event = self._find(camera, alert)
        if alert.state == "start":
            if event is None:
                self._create(camera, alert)
        elif event is not None:
            assert alert.end is not None
            end = max(alert.end.timestamp(), float(event.get("start_time") or 0))
            self._server.ask("PUT", f"events/{quote(str(event['id']), safe='')}/end", {"end_time": end})
        elif datetime.now(UTC) - (alert.end or alert.start) > GONE:
            raise Rejected(f"Frigate has no event of {alert.id} that could be ended")
        else:  # it makes events a moment after it has answered
            raise WsvadError(f"Frigate has no event of {alert.id} yet")

    def _find(self, camera: str, alert: Alert) -> Mapping[str, Any] | None:
        query = urlencode({"cameras": camera, "sub_labels": _mark(alert), "limit": 1, "include_thumbnails": 0})
        found = self._server.ask("GET", f"events?{query}")
        return next((one for one in found if isinstance(one, dict) and "id" in one), None) if found else None

    def _create(self, camera: str, alert: Alert) -> None:
        """Frigate dates an event from now; `pre_capture` takes it back to when it began."""
        label = alert.kind if alert.kind != ANOMALY else alert.category or ANOMALY
        body = {
            "sub_label": _mark(alert),
            "score": round(alert.score, 4),
            "duration": None,
            "include_recording": True,
            "draw": {},
            "pre_capture": max(0, math.ceil(time.time() - alert.start.timestamp())),
        }
        names = (quote(name.replace("/", "-"), safe="") for name in (camera, label))
        said = self._server.ask("POST", f"events/{'/'.join(names)}/create", body)
        if not (isinstance(said, dict) and said.get("success")):
            raise WsvadError("Frigate did not say that it has made an event; is the address right?")


def _mark(alert: Alert) -> str:
    """By which the event of an alert is found; people see it beside the label."""
    return f"{MARK}{alert.id[:16]}"
