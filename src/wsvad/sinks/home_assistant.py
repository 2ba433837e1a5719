"""What Home Assistant is told of a camera over MQTT, so that it becomes a device there by itself.

Device discovery: one retained message a camera, with an `event` (one type a category), a `binary_sensor` that is on
while an event lasts, a `sensor` of the score and an `image`. All are available while both this process and the camera
are.
"""

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from wsvad.sinks.alert import ANOMALY, FAULTS
from wsvad.version import __version__

ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
SCORE_LASTS = 60
"""Seconds after which a score is no longer shown."""


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Where messages of this process, and of one camera, go."""

    base: str
    camera: str

    @property
    def process(self) -> str:
        return f"{self.base}/available"

    @property
    def available(self) -> str:
        return self._of("available")

    @property
    def alert(self) -> str:
        return self._of("alert")

    @property
    def event(self) -> str:
        return self._of("event")

    @property
    def anomaly(self) -> str:
        return self._of("anomaly")

    @property
    def score(self) -> str:
        return self._of("score")

    @property
    def image(self) -> str:
        return self._of("image")

    def discovery(self, prefix: str) -> str:
        return f"{prefix}/device/{self.node}/config"

    @property
    def node(self) -> str:
        """The device's name for Home Assistant, of letters, digits and `_`."""
        return f"{plain_name(self.base)}_{plain_name(self.camera)}"

    def _of(self, what: str) -> str:
        return f"{self.base}/{plain_name(self.camera)}/{what}"


def event_types(categories: tuple[str, ...]) -> list[str]:
    """What kind an event of a camera may be."""
    return list(dict.fromkeys([ANOMALY, *categories, *FAULTS]))


def discovery(topics: Topics, types: list[str], run: str) -> dict[str, Any]:
    """The message by which a camera becomes a device."""
    node, entity = topics.node, plain_name(topics.camera)
    components: dict[str, dict[str, Any]] = {
        "event": {"platform": "event", "name": "Event", "state_topic": topics.event, "event_types": types},
        "anomaly": {
            "platform": "binary_sensor",
            "name": "Anomaly",
            "device_class": "safety",
            "state_topic": topics.anomaly,
            "payload_on": ON,
            "payload_off": OFF,
        },
        "score": {
            "platform": "sensor",
            "name": "Score",
            "state_topic": topics.score,
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "expire_after": SCORE_LASTS,
            "icon": "mdi:gauge",
        },
        "still": {"platform": "image", "name": "Still", "image_topic": topics.image, "content_type": "image/jpeg"},
    }
    for key, component in components.items():
        component |= {
            "unique_id": f"{node}_{key}",
            "default_entity_id": f"{component['platform']}.{entity}_{key}",
        }
    return {
        "device": {
            "identifiers": [node],
            "name": topics.camera,
            "manufacturer": "wsvad",
            "model": run or "video anomaly detection",
            "sw_version": __version__,
        },
        "origin": {"name": "wsvad", "sw_version": __version__},
        "availability": [
            {"topic": topic, "payload_available": ONLINE, "payload_not_available": OFFLINE}
            for topic in (topics.process, topics.available)
        ],
        "availability_mode": "all",
        "components": components,
    }


def plain_name(name: str) -> str:
    """A name in lower-case letters, digits and `_`; where that loses more than spaces and marks between words, with
    some digits that tell it from others."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    found = re.sub(r"[^a-z0-9]+", "_", folded).strip("_")
    if re.fullmatch(r"[A-Za-z0-9]+([ _/-][A-Za-z0-9]+)*", name):
        return found
    return f"{found}_{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}".strip("_")
