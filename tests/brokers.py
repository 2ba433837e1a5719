"""Mosquitto on loopback, and somebody who listens to it."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alerts import wait_for

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="the broker mosquitto is not installed (apt)")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def broker(folder: Path, *lines: str, port: int = 0, password: str = "") -> Iterator[int]:
    """A broker; with a password only for the user `me`. Gives its port."""
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    if password:
        (folder / "passwords").write_text(f"me:{password}\n")
        (folder / "passwords").chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", folder / "passwords"], check=True, capture_output=True)
        lines = (*lines, "allow_anonymous false", f"password_file {folder / 'passwords'}")
    else:
        lines = (*lines, "allow_anonymous true")
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([f"listener {port} 127.0.0.1", "persistence false", "user root", *lines]))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([str(MOSQUITTO), "-c", str(config)], stdout=quiet, stderr=quiet)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers)
        yield port
    finally:
        process.kill()
        process.wait()


class Listener:
    """Hears everything: topic, payload, whether it was kept from before, in order."""

    def __init__(self, port: int, user: str = "", password: str = ""):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._ready = False
        self.client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self.client.username_pw_set(user, password)

        def on_message(_: Any, __: Any, message: Any) -> None:
            self.heard.append((message.topic, message.payload, message.retain))

        def on_subscribe(*_: Any) -> None:
            self._ready = True

        self.client.on_message = on_message
        self.client.on_subscribe = on_subscribe
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("#", qos=1)
        wait_for(lambda: self._ready)

    def last(self, topic: str) -> bytes | None:
        return next((payload for name, payload, _ in reversed(self.heard) if name == topic), None)

    def all(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in self.heard if name == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def kept(port: int, expected: str) -> dict[str, bytes]:
    """What a broker keeps (retained messages), once a topic is among it."""
    listener = Listener(port)
    try:
        wait_for(lambda: listener.last(expected) is not None)
        return {topic: payload for topic, payload, retained in listener.heard if retained}
    finally:
        listener.close()
