"""Alerts for tests, and a receiver that fails on purpose."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wsvad.sinks.alert import Alert

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(64) + b"\xff\xd9"


def alert(id: str = "e1", state: str = "start", **fields: Any) -> Alert:
    values: dict[str, Any] = {
        "camera": "gate", "run": "gate-run", "start": NOON, "evidence": NOON + timedelta(seconds=0.5),
        "due": NOON + timedelta(seconds=1), "raised": NOON + timedelta(seconds=1.25), "score": 0.9, "threshold": 0.5,
        "category": "fighting", "categories": {"fighting": 0.75, "falling": 0.25},
        "attributions": {"pose": 0.6, "flow": 0.4}, "still": JPEG,
        "end": NOON + timedelta(seconds=8) if state == "end" else None,
    }  # fmt: skip
    return Alert(id=id, state=state, **values | fields)  # type: ignore[arg-type]


class Received:
    """What a server was sent: method, path, headers, body."""

    def __init__(self, url: str):
        self.url = url
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def json(self) -> list[Any]:
        return [json.loads(body) for *_, body in self.requests if body]


Answers = Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]
"""Method, path, headers and body → status, headers and body."""


@contextmanager
def server(answers: Answers | None = None, *, wrap: Any = None) -> Iterator[Received]:
    """A web server on loopback; without `answers` all is well. `wrap` makes its socket one of TLS."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            received.requests.append((self.command, self.path, headers, body))
            status, more, content = answers(self.command, self.path, headers, body) if answers else (200, {}, b"")
            self.send_response(status)
            for key, value in more.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        if wrap:
            http.socket = wrap(http.socket)
        received = Received(f"{'https' if wrap else 'http'}://127.0.0.1:{http.server_address[1]}")
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield received
        finally:
            http.shutdown()


def wait_for(condition: Callable[[], Any], seconds: float = 60.0, pause: float = 0.01) -> Any:
    """What the condition gives, as soon as it is true."""
    event = threading.Event()
    for _ in range(int(seconds / pause)):
        if found := condition():
            return found
        event.wait(pause)
    raise AssertionError("it did not happen")
