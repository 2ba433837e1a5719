"""An object store on loopback, and a proxy before it that fails as stores do."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wsvad.datasets.folder import videos_in
from wsvad.extraction.extract import extract
from wsvad.storage import place

BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


def run(workers=0):
    """Extract what is in the store into it."""
    videos = videos_in([place("s3://site/videos")])
    return extract(videos, {"rgb": "means"}, place("s3://site/out"), workers=workers, builder="clips:build")


class Proxy(ThreadingHTTPServer):
    """Passes requests on, but for those that `fault(number, method, path)` names a fault for: `busy`, `cut` (half of
    the body), `lost` (no answer), `denied`, `stall` (an upload of which half is taken, and no more)."""

    daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.well()
        self.lock, self.stalled = threading.Lock(), threading.Event()

    def well(self):
        """From now on nothing fails."""
        self.fault, self.counted, self.faults = (lambda number, method, path: ""), 0, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that is killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _pass(self):
        with self.server.lock:
            self.server.counted += 1
            number = self.server.counted
        fault = self.server.fault(number, self.command, self.path)  # which may ask the store for something itself
        if fault:
            self.server.faults.append(fault)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "stall":
            self.rfile.read(length // 2)
            self.server.stalled.set()
            self.rfile.read()
            return
        body = self.rfile.read(length)
        if fault in ("busy", "denied"):
            said = BUSY if fault == "busy" else BUSY.replace(b"SlowDown", b"AccessDenied")
            self._answer(503 if fault == "busy" else 403, {"Content-Type": "application/xml"}, said)
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, dict(answer.getheaders()), data, cut=fault == "cut")

    def _answer(self, status, headers, data, cut=False):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "server", "date", "content-length"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(data)) if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass
