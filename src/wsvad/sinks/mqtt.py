"""An MQTT broker; cameras become devices of Home Assistant by themselves."""

import json
import math
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wsvad.environment import expand
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.alert import ANOMALY, Alert
from wsvad.sinks.home_assistant import OFF, OFFLINE, ON, ONLINE, Topics, discovery, event_types
from wsvad.sinks.http import host_of, trust, unreachable
from wsvad.sinks.sink import TIMEOUT, CameraState

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

SCORE_EVERY = 5.0
"""Seconds from one score of a camera to the next."""
KEEPALIVE = 30
"""Seconds after which a broker takes a client that says nothing for gone."""
RECONNECT = (1, 60)
"""Seconds until a lost connection is made again: at first, and at most."""
WAITING = 1000
"""Messages that the library keeps while it has no connection; states are sent again then anyway."""


@dataclass(frozen=True, kw_only=True)
class MqttConfig:
    """A broker, as Mosquitto."""

    url: str
    """mqtt://HOST:1883, or mqtts://HOST:8883 over TLS."""
    user: str = ""
    """Name at the broker; may be ${NAME}."""
    password: str = ""
    """Password at the broker, as ${NAME}."""
    ca: str = ""
    """File with the certificate of the broker's authority (PEM), where the system does not know it."""
    topic: str = "wsvad"
    """What topics begin with. Two processes at one broker need two."""
    discovery: str = "homeassistant"
    """Where Home Assistant looks for devices; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What is known of a camera."""

    camera: str
    run: str = ""
    online: bool = True
    anomaly: bool = False
    types: tuple[str, ...] = ()
    """Of events: those that its model distinguishes, and those that have come up."""
    scored: float = -math.inf
    """When its score was last sent."""

    def of(self, run: str, *categories: str) -> "_Shown":
        """The same with what is new."""
        new = tuple(name for name in dict.fromkeys(categories) if name not in event_types(self.types))
        return replace(self, run=run or self.run, types=self.types + new)


class Mqtt:
    """What says how things are is retained; an event itself is not, so that nobody hears of it twice."""

    config_class = MqttConfig

    def __init__(self, settings: MqttConfig):
        self._settings = settings
        if "${" not in settings.url:
            _place(settings.url)
        for name, topic in (("topic", settings.topic), ("discovery", settings.discovery or "none")):
            if not topic or any(sign in topic for sign in "+#\0") or topic != topic.strip("/ "):
                raise UsageError(f"{name} '{topic}': write words with / between them, without + and #")
        trust(settings.ca)
        self._where = "the broker"
        self._lock = threading.Lock()
        self._shown: dict[str, _Shown] = {}
        self._client: Client | None = None
        self._answered = threading.Event()
        self._refusal = ""

    # ------------------------------------------------------------------------------------------- the connection

    def open(self) -> None:
        secure, host, port = _place(expand(self._settings.url, "url"))
        self._where = f"{host}:{port}"
        client = self._made(secure)
        self._answered.clear()
        self._refusal = ""
        self._client = client
        try:
            client.connect(host, port, keepalive=KEEPALIVE)
        except (OSError, ValueError) as error:
            self._client = None
            raise unreachable(self._where, error) from None
        client.loop_start()
        if not self._answered.wait(TIMEOUT) or self._refusal:
            self._client = None
            client.disconnect()
            client.loop_stop()
            raise WsvadError(self._refusal or f"{self._where}: no answer within {TIMEOUT:g} s; is it an MQTT broker?")

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(RuntimeError, ValueError):  # the connection is lost just now: the broker says so itself
            if client.is_connected():
                client.publish(self._topics("").process, OFFLINE, qos=1, retain=True).wait_for_publish(2)
        client.disconnect()
        client.loop_stop()

    def _made(self, secure: bool) -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise WsvadError("the package paho-mqtt is not installed; pip install 'wsvad[live]'") from None
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"wsvad-{secrets.token_hex(6)}")
        user, password = expand(self._settings.user, "user"), expand(self._settings.password, "password")
        if user:
            client.username_pw_set(user, password or None)
        if secure:
            client.tls_set_context(trust(self._settings.ca))
        client.will_set(self._topics("").process, OFFLINE, qos=1, retain=True)
        client.max_queued_messages_set(WAITING)
        client.connect_timeout = TIMEOUT
        client.reconnect_delay_set(*RECONNECT)
        client.on_connect = self._connected
        client.on_message = self._heard
        return client

    def _connected(self, client: "Client", _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._refusal = f"{self._where} refuses: {reason}; check 'user' and 'password', and the user's rights there"
        else:
            self._refusal = ""
            client.publish(self._topics("").process, ONLINE, qos=1, retain=True)
            if self._settings.discovery:
                client.subscribe(f"{self._settings.discovery}/status", qos=1)
            self._introduce_all()
        self._answered.set()

    def _heard(self, _: "Client", __: Any, message: Any) -> None:
        """Home Assistant has started: it has forgotten states that are not retained, and devices may be new to it."""
        if message.payload == ONLINE.encode() and not message.retain:
            self._introduce_all()

    # --------------------------------------------------------------------------------------------------- cameras

    def show(self, state: CameraState) -> None:
        now = time.monotonic()
        with self._lock:
            before = self._shown.get(state.camera)
            known = (before or _Shown(camera=state.camera)).of(state.run, *state.categories)
            due = state.score is not None and now - known.scored >= SCORE_EVERY
            after = replace(known, online=state.online, scored=now if due else known.scored)
            self._shown[state.camera] = after
        client = self._client
        if client is None or not client.is_connected():
            return
        if before is None or known != before:
            self._introduce(client, after)
        elif before.online != after.online:
            client.publish(self._topics(state.camera).available, _availability(after), qos=1, retain=True)
        if due:
            client.publish(self._topics(state.camera).score, f"{state.score:.4f}")

    def _introduce_all(self) -> None:
        client = self._client
        with self._lock:
            cameras = list(self._shown.values())
        if client is not None:
            for shown in cameras:
                self._introduce(client, shown)

    def _introduce(self, client: "Client", shown: _Shown) -> None:
        """Send all that stays true of a camera."""
        topics, prefix = self._topics(shown.camera), self._settings.discovery
        if prefix:
            message = discovery(topics, event_types(shown.types), shown.run)
            client.publish(topics.discovery(prefix), json.dumps(message), qos=1, retain=True)
        client.publish(topics.available, _availability(shown), qos=1, retain=True)
        client.publish(topics.anomaly, ON if shown.anomaly else OFF, qos=1, retain=True)

    def _topics(self, camera: str) -> Topics:
        return Topics(base=self._settings.topic, camera=camera)

    # ---------------------------------------------------------------------------------------------------- alerts

    def deliver(self, alert: Alert) -> None:
        client = self._client
        if client is None or not client.is_connected():
            raise WsvadError(self._refusal or f"{self._where}: the connection is lost")
        self._know(client, alert)
        topics = self._topics(alert.camera)
        messages: list[tuple[str, str | bytes, bool]] = []
        if alert.state == "start" and alert.still:
            messages.append((topics.image, alert.still, True))
        if alert.kind == ANOMALY:
            messages.append((topics.anomaly, ON if alert.state == "start" else OFF, True))
        if alert.state == "start":
            messages.append((topics.event, json.dumps({"event_type": _type(alert)} | alert.as_dict()), False))
        messages.append((topics.alert, json.dumps(alert.as_dict()), False))
        sent = [client.publish(topic, payload, qos=1, retain=retain) for topic, payload, retain in messages]
        self._wait(sent)

    def _know(self, client: "Client", alert: Alert) -> None:
        """A camera or a category that comes up for the first time has to be introduced before its event."""
        with self._lock:
            before = self._shown.get(alert.camera)
            after = (before or _Shown(camera=alert.camera)).of(alert.run, _type(alert))
            fresh = after != before
            if alert.kind == ANOMALY:
                after = replace(after, anomaly=alert.state == "start")
            self._shown[alert.camera] = after
        if fresh:
            self._introduce(client, after)

    def _wait(self, sent: "list[MQTTMessageInfo]") -> None:
        until = time.monotonic() + TIMEOUT
        for message in sent:
            try:
                message.wait_for_publish(max(0.01, until - time.monotonic()))
            except (RuntimeError, ValueError):
                raise WsvadError(f"{self._where}: the connection is lost") from None
            if not message.is_published():
                raise WsvadError(self._refusal or f"{self._where}: no answer within {TIMEOUT:g} s")


def _place(url: str) -> tuple[bool, str, int]:
    """Whether over TLS, host and port.

    Raises:
        UsageError: it is no address of a broker.
    """
    host_of(url, ("mqtt", "mqtts"))
    parts = urlsplit(url)
    if parts.username or parts.path.strip("/"):
        raise UsageError("url: write it as mqtt://HOST:PORT; 'user' and 'password' are settings of their own")
    secure = parts.scheme == "mqtts"
    return secure, parts.hostname or "", parts.port or (8883 if secure else 1883)


def _type(alert: Alert) -> str:
    return alert.kind if alert.kind != ANOMALY else alert.category or ANOMALY


def _availability(shown: _Shown) -> str:
    return ONLINE if shown.online else OFFLINE
