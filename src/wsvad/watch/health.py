"""For supervisors, on loopback: `/healthz` says whether all is well, and why not; `/metrics` counts for Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from wsvad.errors import WsvadError
from wsvad.files import without_nan, write_json

if TYPE_CHECKING:  # who asks how a watch is doing runs no network, and does not wait for torch
    from wsvad.watch.site import Watch

EVENTS = "events.db"
"""Where a watch keeps what happened."""
HOST = "127.0.0.1"
RUNNING = "running.json"
"""Where a watch says at which port it answers."""
COUNTED = {
    "packets": "Packets that came.",
    "frames": "Frames that were decoded.",
    "dropped": "Snippets of 16 frames that were dropped, because frames come faster than they are processed.",
    "damaged": "Pictures that could not be decoded.",
    "connections": "Times that pictures came after a connection.",
    "attempts": "Times that a connection was tried.",
    "stalls": "Times that a connection stood and no pictures came.",
    "replaced": "Times that the process that reads was replaced.",
    "leaps": "Times that timestamps leapt.",
    "snippets": "Snippets that were scored.",
    "unsettled": "Snippets that were scored before the window was full.",
    "events": "Events.",
    "errors": "Errors that nobody expected.",
    "seconds_of_work": "Seconds that were worked for a camera.",
}
GAUGES = {
    "score": "Score of the newest snippet.",
    "threshold": "Score at which an event starts.",
    "distance": "How far what a camera shows lies from the training videos; above 1 its scores may mean nothing.",
    "behind": "Seconds by which the newest frame that was decoded came before the newest packet.",
    "age": "Seconds since the last packet.",
    "held_seconds": "Seconds of packets that are held for clips.",
    "held_bytes": "Bytes of them.",
    "drift": "Seconds by which the camera's clock falls behind in a second.",
    "delay_median": "Seconds from when the last frame came that an alert needed to its hand-over; half are below.",
    "delay_most": "The longest of the last 1,000.",
}


def unwell(now: dict[str, Any]) -> list[str]:
    """What is wrong, in words; empty where all is well."""
    said = [
        f"camera '{name}': {camera['said'] or camera['state']}"
        for name, camera in now["cameras"].items()
        if camera["state"] not in ("live", "warming up", "ended", "connecting")
    ]
    said += [f"camera '{name}': {camera['error']}" for name, camera in now["cameras"].items() if camera["error"]]
    return said + [f"sink '{name}': {one['error']}" for name, one in now["sinks"].items() if one["error"]]


class HealthServer:
    """Answers while a watch runs."""

    def __init__(self, watched: Watch):
        """
        Raises:
            WsvadError: the port is taken.
        """

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(watched, self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        port = watched.site.health.port
        try:
            self._server = ThreadingHTTPServer((HOST, port), Handler)
        except OSError as error:
            raise WsvadError(
                f"port {port} of {HOST}: {error.strerror}; write 'health: {{port: 0}}' into cameras.yaml for any that "
                "is free, or another number"
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._note = watched.folder / RUNNING

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True).start()
        write_json(self._note, {"port": self.port})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._note.unlink(missing_ok=True)


def answer(watched: Watch, path: str) -> tuple[int, str, bytes]:
    """Status, type and body for a path."""
    try:
        if path == "/healthz":
            now = watched.as_dict()
            wrong = unwell(now)
            body = json.dumps(without_nan({"well": not wrong, "wrong": wrong, **now}))
            return (503 if wrong else 200), "application/json", body.encode()
        if path == "/metrics":
            if find_spec("prometheus_client") is None:
                return 501, "text/plain", b"needs pip install 'wsvad[live]'\n"
            from prometheus_client import CONTENT_TYPE_LATEST

            return 200, CONTENT_TYPE_LATEST, metrics(watched.as_dict())
    except WsvadError as error:
        return 503, "text/plain; charset=utf-8", f"{error}\n".encode()
    return 404, "text/plain", b"/healthz or /metrics\n"


def metrics(now: dict[str, Any]) -> bytes:
    """In the form of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Now(Collector):
        def collect(self) -> Iterator[Any]:
            for key, words in COUNTED.items():
                count = CounterMetricFamily(f"wsvad_{key}", words, labels=["camera"])
                for name, camera in now["cameras"].items():
                    count.add_metric([name], camera[key])
                yield count
            for key, words in GAUGES.items():
                gauge = GaugeMetricFamily(f"wsvad_{key}", words, labels=["camera"])
                for name, camera in now["cameras"].items():
                    if camera[key] is not None:
                        gauge.add_metric([name], camera[key])
                yield gauge
            states = GaugeMetricFamily("wsvad_live", "1 while pictures come and are right.", labels=["camera"])
            breaks = CounterMetricFamily("wsvad_breaks", "Breaks, by their reason.", labels=["camera", "why"])
            stages = CounterMetricFamily("wsvad_stage_seconds", "Seconds of work.", labels=["camera", "stage"])
            for name, camera in now["cameras"].items():
                for stage, seconds in camera["stages"].items():
                    stages.add_metric([name, stage], seconds)
                states.add_metric([name], camera["state"] in ("live", "warming up"))
                for why, number in camera["breaks"].items():
                    breaks.add_metric([name, why], number)
            yield from (states, breaks, stages)
            for key, words in {"waiting": "Alerts in a sink's queue.", "failures": "Failures in a row."}.items():
                gauge = GaugeMetricFamily(f"wsvad_sink_{key}", words, labels=["sink"])
                for name, sink in now["sinks"].items():
                    gauge.add_metric([name], sink[key])
                yield gauge
            for key, words in {
                "delivered": "Alerts that a sink took.",
                "dropped": "Alerts that found a queue full.",
            }.items():
                count = CounterMetricFamily(f"wsvad_sink_{key}", words, labels=["sink"])
                for name, sink in now["sinks"].items():
                    count.add_metric([name], sink[key])
                yield count
            yield GaugeMetricFamily("wsvad_kept_bytes", "Bytes of clips, pictures and features.", now["clips"]["bytes"])
            failed = CounterMetricFamily("wsvad_clips_failed", "Clips that could not be written.")
            failed.add_metric([], now["clips"]["failed"])
            yield failed

    registry = CollectorRegistry()
    registry.register(Now())
    return generate_latest(registry)
