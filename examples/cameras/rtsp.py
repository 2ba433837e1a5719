"""Cameras on loopback over real RTSP, and faults on command: `rtsp_server.py` as an object."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Self

PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")
"""The system's, for which distributions have GStreamer's bindings."""
NEEDS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('videotestsrc', 'rtph264pay', 'x264enc', 'x265enc')))"
)


@cache
def missing() -> str:
    """Why there is no server here; empty where there is."""
    if PYTHON is None or subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode:
        return "needs GStreamer's RTSP server under the system's Python; .ci/run says which packages of Debian have it"
    return ""


class RtspServer:
    """Cameras by path; they fail when they are told to.

    with RtspServer() as server:
        server.camera("/gate", width=160, height=120)
        server.address("/gate")
        server.drop()
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("rtsp_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.port: int = self._do("start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _do(self, name: str, **more: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": name} | more) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def address(self, path: str, login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def camera(self, path: str, **settings: Any) -> str:
        """Add a camera.

        Args:
            settings: `codec`, `width`, `height`, `rate`, `gop`, `sound`, `pictures`, `pattern`; or `file`, an MP4 of
                H.264 without B-frames that is shown at `rate` over and over, and costs little.
        """
        self._do("camera", path=path, **settings)
        return self.address(path)

    def drop(self) -> None:
        """Close all connections."""
        self._do("drop")

    def freeze(self, path: str, frozen: bool = True) -> None:
        """Connections stay open, and no pictures come."""
        self._do("freeze", path=path, frozen=frozen)

    def resize(self, path: str, width: int, height: int) -> None:
        """Pictures of another size in the same stream."""
        self._do("resize", path=path, width=width, height=height)

    def show(self, path: str, file: str) -> None:
        """Another file in the same stream, which may be of another size, from its first picture on."""
        self._do("show", path=path, file=file)

    def stop(self) -> None:
        """Close all connections and refuse new ones."""
        self._do("stop")

    def start(self) -> None:
        """Listen again, at the same port."""
        self._do("start")

    def restart(self) -> None:
        self._do("restart")

    def password(self, password: str | None) -> None:
        """Ask for this password of the user `gate` from now on."""
        self._do("password", password=password)

    def pause(self) -> None:
        """Stop the whole server as it is: not even the connection is answered."""
        self._process.send_signal(19)

    def resume(self) -> None:
        self._process.send_signal(18)
