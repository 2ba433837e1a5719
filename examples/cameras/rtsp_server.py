"""An RTSP server on loopback that fails on command; runs under the system's Python, which has GStreamer (`gi`).

    python3 examples/cameras/rtsp_server.py

Orders come as lines of JSON on the standard input, each answered by a line on the standard output; `rtsp.py` has
them as methods. The end of the input ends it.
"""

import json
import sys
import threading
from typing import ClassVar

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)

PICTURES = (
    "videotestsrc is-live=true name=scene pattern={pattern} ! "
    "capsfilter name=size caps=video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 "
)
ENCODERS = {
    "h264": "x264enc threads=1 tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! valve name=gate ! "
    "rtph264pay name=pay0 pt=96 config-interval={config}",
    "h264-b": "x264enc threads=1 speed-preset=superfast bframes=2 b-adapt=false rc-lookahead=2 key-int-max={gop} ! "
    "valve name=gate ! rtph264pay name=pay0 pt=96 config-interval={config}",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! valve name=gate ! "
    "rtph265pay name=pay0 pt=96 config-interval={config}",
    "mjpeg": "jpegenc ! valve name=gate ! rtpjpegpay name=pay0 pt=26",
    "raw": "valve name=gate ! rtpvrawpay name=pay0 pt=96",
}
SOUND = "audiotestsrc is-live=true wave=silence ! alawenc ! rtppcmapay name={pay} pt=8"
FILM = (
    "appsrc name=film is-live=true format=time caps=video/x-h264,stream-format=byte-stream,alignment=au ! "
    "valve name=gate ! rtph264pay name=pay0 pt=96 config-interval=-1"
)
"""Pictures that were encoded before: many cameras cost little then."""


class Camera:
    """A path of the server, and what it shows."""

    def __init__(self, server: "Server", path: str, settings: dict):
        self.settings = {
            "codec": "h264", "width": 160, "height": 120, "rate": 25, "gop": 25, "pattern": "ball", "config": -1,
            "sound": False, "pictures": True, "frozen": False,
        } | settings  # fmt: skip
        self.media: list[GstRtspServer.RTSPMedia] = []
        self.films: list[Film] = []
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(self._launch())
        factory.set_shared(True)
        factory.connect("media-configure", self._configured)
        if settings.get("password"):
            allowed = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            factory.add_role_from_structure(Gst.Structure.new_from_string(allowed))
        server.mounts.add_factory(path, factory)

    def _launch(self) -> str:
        s = self.settings
        if s.get("file"):
            return f"( {FILM} )"
        parts = [PICTURES.format(**s) + "! " + ENCODERS[s["codec"]].format(**s)] if s["pictures"] else []
        if s["sound"]:
            parts.append(SOUND.format(pay=f"pay{len(parts)}"))
        return f"( {' '.join(parts)} )"

    def _configured(self, _: object, media: GstRtspServer.RTSPMedia) -> None:
        self.media.append(media)
        media.connect("unprepared", lambda gone: gone in self.media and self.media.remove(gone))
        self.freeze(self.settings["frozen"])
        if self.settings.get("file"):
            self.films = [film for film in self.films if not film.over]
            self.films.append(Film(self.settings["file"], self.settings["rate"]))
            self.films[-1].play(media)

    def freeze(self, frozen: bool) -> None:
        """Connections stay, pictures do not come."""
        self.settings["frozen"] = frozen
        for media in self.media:
            media.get_element().get_by_name("gate").set_property("drop", frozen)

    def show(self, file: str) -> None:
        """The same connection goes on with another film."""
        self.settings["file"] = file
        for film in self.films:
            film.show(file)

    def resize(self, width: int, height: int) -> None:
        """The same connection goes on with another size."""
        self.settings |= {"width": width, "height": height}
        caps = f"video/x-raw,format=I420,width={width},height={height},framerate={self.settings['rate']}/1"
        for media in self.media:
            media.get_element().get_by_name("size").set_property("caps", Gst.Caps.from_string(caps))


class Film:
    """The pictures of an H.264 file without B-frames, over and over."""

    known: ClassVar[dict[str, list[bytes]]] = {}

    def __init__(self, path: str, rate: int):
        self.rate, self.sent, self.over = rate, 0, False
        self.show(path)

    def show(self, path: str) -> None:
        """From its first picture on."""
        self.pictures, self.first = self.known.setdefault(path, []), self.sent
        if not self.pictures:
            self._read(path)

    def _read(self, path: str) -> None:
        pipeline = Gst.parse_launch(
            f"filesrc location={path} ! qtdemux ! h264parse config-interval=-1 ! "
            "video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=sink sync=false"
        )
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        while (sample := sink.emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            self.pictures.append(buffer.extract_dup(0, buffer.get_size()))
        pipeline.set_state(Gst.State.NULL)

    def play(self, media: GstRtspServer.RTSPMedia) -> None:
        """Push what is due, as long as the media is there."""
        source = media.get_element().get_by_name("film")
        begun = None

        def push() -> bool:
            nonlocal begun
            clock = source.get_clock()
            # Before it plays, the time at which it began may not be set yet, though there is a clock.
            if clock is None or source.get_state(0)[1] != Gst.State.PLAYING:
                return True
            now = clock.get_time() - source.get_base_time()
            begun = now if begun is None else begun
            while self.sent / self.rate <= (now - begun) / Gst.SECOND:
                picture = self.pictures[(self.sent - self.first) % len(self.pictures)]
                buffer = Gst.Buffer.new_wrapped(picture)
                buffer.pts = buffer.dts = begun + self.sent * Gst.SECOND // self.rate
                buffer.duration = Gst.SECOND // self.rate
                self.sent += 1
                if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    self.over = True
                    return False
            return True

        GLib.timeout_add(10, push)


class Server:
    def __init__(self) -> None:
        self.server: GstRtspServer.RTSPServer | None = None
        self.cameras: dict[str, Camera] = {}
        self.settings: dict[str, dict] = {}
        self.port, self.password, self._source = 0, None, 0

    def start(self) -> int:
        """Listen, at the same port as before."""
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address("127.0.0.1")
        self.server.set_service(str(self.port))
        self.mounts = self.server.get_mount_points()
        if self.password:
            auth = GstRtspServer.RTSPAuth()
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", "viewer")
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic("gate", self.password), token)
            self.server.set_auth(auth)
        for path, settings in self.settings.items():
            self.cameras[path] = Camera(self, path, settings | ({"password": True} if self.password else {}))
        self._source = self.server.attach(None)
        self.port = self.server.get_bound_port()
        return self.port

    def stop(self) -> None:
        """Drop all clients and refuse new ones."""
        if self.server is not None:
            GLib.source_remove(self._source)
            self.drop()
            self.server = None

    def drop(self) -> int:
        """Drop all clients."""
        return len(self.server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE) or [])

    def order(self, order: dict) -> object:
        name = order.pop("do")
        if name == "camera":
            path = order.pop("path")
            self.settings[path] = order
            self.cameras[path] = Camera(self, path, order | ({"password": True} if self.password else {}))
            return None
        if name == "restart":
            self.stop()
            return self.start()
        if name == "password":
            self.password = order["password"]
            self.stop()
            return self.start()
        if name in ("start", "stop", "drop"):
            return getattr(self, name)()
        if name == "clients":
            return len(self.server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF) or [])
        return getattr(self.cameras[order.pop("path")], name)(**order)


def main() -> None:
    server, loop = Server(), GLib.MainLoop()

    def obey(order: dict) -> bool:
        try:
            answer = {"answer": server.order(order)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
        return False

    def listen() -> None:
        for line in sys.stdin:
            GLib.idle_add(obey, json.loads(line))
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
