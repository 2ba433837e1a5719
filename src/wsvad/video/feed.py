"""Read packets of one camera, in a process of its own: `python -m wsvad.video.feed`, which `video.connection` starts.

A library that is waiting for a camera cannot be stopped within a process: looking up a name, a device that gives
nothing and a disk that is gone ignore every time-out. A process can be ended. What is read is not decoded here.

Each line of the standard input is an order to open something, in JSON (never an argument, which all users of a machine
can see). Messages are written to the standard output: a kind of one letter, the length, and the content.
"""

import errno
import hashlib
import io
import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import av

from wsvad.environment import hidden
from wsvad.spelling import reason
from wsvad.video.address import Kind, kind_of
from wsvad.video.kinds import FORMATS

HEAD = struct.Struct("<cI")
"""Kind and length of a message."""
OPENED, WAITING, STRETCH, PACKET, PROBLEM = b"o", b"w", b"s", b"p", b"x"
"""It is open; a packet came, and no key frame yet; another form, and what comes in it; why nothing comes any more."""
ABOUT = struct.Struct("<dqqqB")
"""Of a packet: arrival, pts, dts, duration, whether it is a key frame."""
MESSAGE_BYTES = 2**26
"""Of a message, at most; no picture has more."""
_UNTIMED = {"mpjpeg", "mjpeg", "jpeg_pipe"}
"""Formats without timestamps, of which FFmpeg makes them up."""
_FASTEST = 240
"""Frames per second, at most: where a camera does not say it, FFmpeg takes the ticks of its clock."""
_ARRIVAL_TICK = Fraction(1, 90_000)
SOON = 0.2
"""Seconds in which a packet comes that is there."""
REST = 0.09
"""Seconds without a look at what a camera sends, behind a packet that was waited for: what comes meanwhile lies in the
connection, and to be woken for each packet takes a third more of a processor, here and of all that it interrupts."""
_WAITED = 0.005
"""Seconds after which a packet has been waited for; others came before it was asked for them."""
_FORMATS = {
    "file": FORMATS,
    "rtsp": "rtsp,rtp,sdp,mpegts,asf,rm",
    "http": "mpjpeg,mjpeg,mpegts,flv,live_flv,matroska,webm,mov,mp4,h264,hevc,asf,ogg,jpeg_pipe",
}
"""FFmpeg's names of what is taken from the network: nothing that names other addresses or files, as playlists do."""
_PROTOCOLS = {"file": "file", "rtsp": "rtsp,rtp,udp,tcp,tls,crypto,http,https", "http": "http,https,tcp,tls,crypto"}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to open, and how long to wait for it."""

    address: str
    transport: str
    real_time: bool
    open: float
    """Seconds until it is open."""
    read: float
    """Seconds without a packet after which it is closed."""
    margin: float
    """Seconds to wait at least beyond the usual distance of two key frames."""
    prompt: bool
    """Whether a packet has to come within `open` too. For FFmpeg a camera is open that says what it will send and then
    sends nothing; one that sends a picture now and then looks the same."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why nothing comes (any more)."""

    why: str
    """`unreachable`, `login`, `missing`, `silent`, `sound` (alone), `codec`, `closed` or `end` (of a file)."""
    said: str
    """In a line for the user, without the address."""


class Deadline:
    """The time-out of opening, which PyAV takes as a number for each of its steps: what is left of it."""

    def __init__(self, order: Order):
        self._end = time.monotonic() + order.open

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def __float__(self) -> float:
        return max(0.1, self._end - time.monotonic())


class Limit:
    """The time-out of reading, which PyAV takes as a number each time that it begins to read."""

    def __init__(self, order: Order):
        self.seconds, self._margin = order.read, order.margin
        self._key: float | None = None

    def __float__(self) -> float:
        return float(self.seconds)

    def key(self, now: float) -> bool:
        """Note a key frame; whether the limit has grown."""
        apart, self._key = 0.0 if self._key is None else now - self._key, now
        grown = apart + self._margin > self.seconds
        self.seconds = max(self.seconds, apart + self._margin)
        return grown


class Writer:
    """Messages to whoever started the process."""

    def __init__(self, out: BinaryIO):
        self._out = out

    def write(self, kind: bytes, *parts: bytes) -> None:
        try:
            self._out.write(HEAD.pack(kind, sum(map(len, parts))) + b"".join(parts))
            self._out.flush()
        except OSError:  # nobody reads any more
            os._exit(0)

    def problem(self, problem: Problem) -> None:
        self.write(PROBLEM, json.dumps(asdict(problem) | {"said": hidden(problem.said)}).encode())


class Found(Exception):
    """What is opened is not what is looked for."""

    def __init__(self, why: str, said: str):
        super().__init__(said)
        self.problem = Problem(why=why, said=said)


def run(order: Order, writer: Writer) -> Problem:
    """Read until it ends or fails, and say why it did."""
    begun: float | None = time.monotonic()
    limit, deadline = Limit(order), Deadline(order)
    try:
        with _opened(order, deadline, limit) as container:
            first = [_first(container, limit)] if order.prompt and deadline.over else []
            writer.write(OPENED)
            begun = None
            return _read(container, order, limit, writer, first)
    except Found as found:
        return found.problem
    except Exception as error:
        waited = begun is not None and time.monotonic() - begun > 0.9 * order.open
        return explained(error, order, opening=begun is not None, waited=waited)


def _first(container: av.container.InputContainer, limit: Limit) -> av.Packet:
    """What came while it was opened: FFmpeg has waited for a key frame, or for anything at all.

    Raises:
        av.FFmpegError: nothing did.
    """
    usual, limit.seconds = limit.seconds, SOON
    try:
        return next(container.demux(container.streams.video[0]))
    finally:
        limit.seconds = usual


def _opened(order: Order, deadline: Deadline, limit: Limit) -> av.container.InputContainer:
    kind = kind_of(order.address)
    if kind != "rtsp":
        return _with_pictures(_open(order, (deadline, limit), kind, {}))
    # Sound is not asked for: it costs, and FFmpeg would move the pictures' clock by what the camera says of both.
    try:
        return _with_pictures(_open(order, (deadline, limit), kind, {"allowed_media_types": "video"}))
    except (av.error.HTTPOtherClientError, av.error.HTTPServerError, Found):
        # What servers answer to somebody who wants nothing that they have.
        return _with_pictures(_open(order, (deadline, limit), kind, {"allowed_media_types": "video+audio"}))


def _open(
    order: Order, timeout: tuple[Deadline, Limit], kind: Kind, more: dict[str, str]
) -> av.container.InputContainer:
    options = {"fpsprobesize": "2"} | more
    if kind in _FORMATS:
        options |= {"format_whitelist": _FORMATS[kind], "protocol_whitelist": _PROTOCOLS[kind]}
    if kind == "rtsp":
        options["rtsp_transport"] = order.transport
    return av.open(
        f"file:{order.address}" if kind == "file" else order.address,
        format="v4l2" if kind == "device" else None,
        container_options=options,
        metadata_errors="replace",
        timeout=timeout,  # type: ignore[arg-type]
    )


def _with_pictures(container: av.container.InputContainer) -> av.container.InputContainer:
    if container.streams.video:
        return container
    sound = bool(container.streams.audio)
    container.close()
    if sound:
        raise Found("sound", "sends sound alone, no pictures; choose another stream of the camera")
    raise Found("missing", "sends no pictures; check the path of the address")


def explained(error: Exception, order: Order, *, opening: bool, waited: bool) -> Problem:
    """What an error of FFmpeg means to somebody who has a camera."""
    e, said = av.error, getattr(error, "strerror", None) or reason(error)
    if kind_of(order.address) == "file":
        what = "cannot be opened" if opening else "cannot be read to its end"
        return Problem(why="end", said=f"{what} ({said}); copy it again, or convert it with FFmpeg")
    if isinstance(error, e.HTTPUnauthorizedError | e.HTTPForbiddenError):
        has = "@" in order.address.split("/")[2] if "://" in order.address else False
        what = "refuses the user or the password; check both" if has else "asks for a user and a password; give both"
        return Problem(why="login", said=what)
    if isinstance(error, e.HTTPNotFoundError):
        return Problem(why="missing", said="has no such stream (404); check the path of the address")
    if isinstance(error, e.LookupError):
        return Problem(why="codec", said=f"cannot be read ({said}); set the camera to H.264 over RTSP")
    if not opening:
        silent = isinstance(error, e.ExitError | e.TimeoutError)
        if silent:
            return Problem(why="silent", said="sends nothing any more, though the connection stands")
        return Problem(why="closed", said=f"the connection was lost ({said})")
    return _unreachable(error, order, said, waited=waited)


def _unreachable(error: Exception, order: Order, said: str, *, waited: bool) -> Problem:
    e = av.error
    if kind_of(order.address) == "device":
        return Problem(
            why="unreachable", said=f"cannot be opened ({said}); 'ls /dev/video*' lists the cameras there are"
        )
    if waited or isinstance(error, e.ExitError | e.TimeoutError):
        return Problem(
            why="unreachable", said=f"does not answer within {order.open:g} s; check the address and the network"
        )
    if isinstance(error, e.InvalidDataError):
        other = "udp" if order.transport == "tcp" else "tcp"
        what = f"the address, or try the transport {other}" if kind_of(order.address) == "rtsp" else "the address"
        return Problem(why="codec", said=f"answers with something that is no video; check {what}")
    if getattr(error, "errno", None) == errno.EIO and not _known(host := urlsplit(order.address).hostname or ""):
        return Problem(why="unreachable", said=f"the name {host} is not known in this network; check the address")
    return Problem(why="unreachable", said=f"cannot be reached ({said}); check the address, the network and the camera")


def _known(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


def _read(
    container: av.container.InputContainer, order: Order, limit: Limit, writer: Writer, first: Iterable[av.Packet]
) -> Problem:
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise Found("codec", "sends pictures in a format that cannot be decoded; set the camera to H.264")
    sender = _Sender(container, stream, writer)
    pace = _Pace() if kind_of(order.address) == "file" and order.real_time else None
    rests, ready = rests_between(order), time.monotonic()
    packets: Iterable[av.Packet] = chain(first, container.demux(stream))
    while True:
        for packet in packets:
            if not packet.size:
                return _ended(order)
            now = time.monotonic()
            if pace is not None:
                now = pace.wait(packet)
            sender.send(packet, now)
            if rests and now - ready > _WAITED:
                time.sleep(REST)
            ready = time.monotonic()
            if packet.is_keyframe and limit.key(now):
                break
        packets = container.demux(stream)  # begin to read again, with the new limit


def rests_between(order: Order) -> bool:
    """Whether packets may lie where they are for a moment: not where they are lost when nobody takes them (UDP), or
    where only their arrival says when they were filmed (HTTP)."""
    kind = kind_of(order.address)
    return order.real_time and (kind == "file" or (kind == "rtsp" and order.transport == "tcp"))


def _ended(order: Order) -> Problem:
    if kind_of(order.address) == "file":
        return Problem(why="end", said="is read to its end")
    return Problem(why="closed", said="the camera ended the stream")


_GAP = 10.0
"""Seconds of a gap in a file that are not waited for: nothing was filmed."""


class _Pace:
    """Packets of a file at the moments at which a camera would have sent them."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def wait(self, packet: av.Packet) -> float:
        """Wait until a packet is due; the time then."""
        now, stamp = time.monotonic(), packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return now
        shown = float(stamp * packet.time_base)
        ahead = 0.0 if self._begun is None else self._begun[0] + shown - self._begun[1] - now
        if self._begun is None or abs(ahead) > _GAP:
            self._begun, ahead = (now, shown), 0.0
        time.sleep(max(0.0, ahead))
        return time.monotonic()


class _Sender:
    """Packets as messages, each stretch with a header; those before the first key frame are left out."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream, writer: Writer):
        self._stream, self._writer = stream, writer
        self._by_arrival = container.format.name in _UNTIMED
        self._tick = _ARRIVAL_TICK if self._by_arrival else Fraction(stream.time_base or _ARRIVAL_TICK)
        self._extract: av.BitStreamFilterContext | None = None
        with suppress(av.FFmpegError, ValueError):  # not for every codec: some have no parameters of their own
            self._extract = av.BitStreamFilterContext("extract_extradata", stream)
        self._parameters: bytes | None = None
        self._form: tuple[int, int, str | None] | None = None
        self._forms: dict[bytes, tuple[int, int, str | None]] = {}
        """Of parameters that came before. To find it out a picture is decoded, and some senders write the same ones
        once in one key frame and twice in the next."""
        self._last: int | None = None
        self._waiting: list[tuple[float, int, bool, bytes]] = []
        """Packets before the first with a timestamp."""

    def send(self, packet: av.Packet, now: float) -> None:
        data, key = bytes(packet), packet.is_keyframe
        if key:
            self._check_form(data)
        if self._form is None:
            self._writer.write(WAITING)
            return
        duration = 0 if self._by_arrival else packet.duration or 0
        stamps = self._stamps(packet, now)
        if stamps is None:
            self._waiting.append((now, max(duration, 1), key, data))
            return
        pts, dts = stamps
        for index, (arrival, lasting, is_key, content) in enumerate(self._waiting):
            stamp = dts - (len(self._waiting) - index) * lasting
            self._packet(arrival, stamp, stamp, lasting, is_key, content)
        self._waiting = []
        self._packet(now, pts, dts, duration, key, data)

    def _stamps(self, packet: av.Packet, now: float) -> tuple[int, int] | None:
        """Timestamps of showing and decoding, also where the camera gave none; None as long as it has not given any:
        that of the next packet tells."""
        if self._by_arrival:
            stamp = max(int(now / self._tick), (self._last or 0) + 1)
            return stamp, stamp
        if packet.pts is not None:
            return packet.pts, packet.pts if packet.dts is None else packet.dts
        if packet.dts is not None:
            return packet.dts, packet.dts
        if self._last is None and len(self._waiting) < _UNSTAMPED:
            return None
        stamp = (self._last or 0) + max(packet.duration or 0, 1)
        return stamp, stamp

    def _packet(self, now: float, pts: int, dts: int, duration: int, key: bool, data: bytes) -> None:
        self._last = dts
        self._writer.write(PACKET, ABOUT.pack(now, pts, dts, duration, key), data)

    def _check_form(self, data: bytes) -> None:
        """A header for the first key frame, and for each that comes with another size."""
        parameters = self._parameters_of(data)
        if self._form is not None and (parameters is None or parameters == self._parameters):
            return
        self._parameters = parameters or self._parameters
        form = self._forms.get(self._parameters or b"") or self._form_of(data)
        if form is not None and self._parameters:
            self._forms = dict([*self._forms.items(), (self._parameters, form)][-_REMEMBERED:])
        if form is None or form == self._form:
            return
        self._form = form
        about = json.dumps(self._about(form)).encode() + b"\n"
        self._writer.write(STRETCH, about, header_of(self._stream, form, data, self._parameters))

    def _parameters_of(self, data: bytes) -> bytes | None:
        if self._extract is None:
            return None
        with suppress(av.FFmpegError):
            for packet in self._extract.filter(_packet_of(data)):
                found = packet.get_sidedata("new_extradata")
                if found:
                    return bytes(found)
        return None

    def _form_of(self, data: bytes) -> tuple[int, int, str | None] | None:
        """Width, height and pixel format: what the stream said when it was opened, then what key frames decode to."""
        context = self._stream.codec_context
        if self._form is None and context.width and context.pix_fmt:
            return context.width, context.height, context.pix_fmt
        decoder = av.CodecContext.create(context.codec.name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        if self._parameters or context.extradata:
            decoder.extradata = self._parameters or context.extradata
        decoder.thread_count = 1
        with suppress(av.FFmpegError):
            for picture in [*decoder.decode(_packet_of(data)), *decoder.decode(None)]:
                return picture.width, picture.height, picture.format.name
        return None

    def _about(self, form: tuple[int, int, str | None]) -> dict[str, Any]:
        context, stream = self._stream.codec_context, self._stream
        said = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        rate = next((rate for rate in said if rate and rate <= _FASTEST), 25)
        return {
            "codec": context.codec.canonical_name,
            "width": form[0],
            "height": form[1],
            "pixels": form[2],
            "rate": str(Fraction(rate)),
            "tick": str(self._tick),
            "reorder": context.reorder_depth,
            "parameters": hashlib.sha256(self._parameters or context.extradata or b"").hexdigest(),
        }


_REMEMBERED = 8
"""Parameters whose form is remembered."""
_UNSTAMPED = 50
"""Packets without a timestamp at the beginning that are waited for."""


def _packet_of(data: bytes) -> av.Packet:
    """A packet with room behind its data, which decoders read beyond."""
    packet = av.Packet(len(data))
    packet.update(data)
    return packet


def header_of(
    stream: av.VideoStream, form: tuple[int, int, str | None], data: bytes, parameters: bytes | None = None
) -> bytes:
    """The stream's parameters, or those that came with a key frame, and the key frame, as a file in NUT format."""
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        made = container.add_stream_from_template(stream, opaque=True)
        made.codec_context.width, made.codec_context.height = form[:2]
        own = stream.codec_context.extradata
        if parameters and (not own or own.startswith(b"\0\0")):  # those of an MP4 are in another form
            made.codec_context.extradata = parameters
        packet = _packet_of(data)
        packet.pts = packet.dts = 0
        packet.time_base = stream.time_base or _ARRIVAL_TICK
        packet.is_keyframe = True
        packet.stream = made
        container.mux(packet)
    return file.getvalue()


def main() -> None:
    """Obey orders until the input ends; whoever gave them may be gone at any time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: queue.Queue[Order] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(Order(**json.loads(line)))
        os._exit(0)  # the other thread may be waiting for a camera

    writer = Writer(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what a library prints is no message
    threading.Thread(target=listen, daemon=True).start()
    while True:
        writer.problem(run(orders.get(), writer))


if __name__ == "__main__":
    main()
