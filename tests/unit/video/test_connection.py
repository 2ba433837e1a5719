"""How long to wait for a camera, and what to do with a reader that sends rubbish."""

import io
import json
import os
import re
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction

import av
import pytest
from packets import Filmed, pictures

from wsvad.environment import expand
from wsvad.video import connection, feed
from wsvad.video.address import Source
from wsvad.video.connection import Connection, Patience, Reader, pause
from wsvad.video.feed import (
    ABOUT,
    HEAD,
    OPENED,
    PACKET,
    PROBLEM,
    STRETCH,
    Deadline,
    Limit,
    Order,
    Problem,
    Writer,
    explained,
)
from wsvad.video.ring import Break, Packet, Ring


def order(address: str = "rtsp://gate:s3cret@camera/1", **more) -> Order:
    fields = {"transport": "tcp", "real_time": True, "open": 10.0, "read": 20.0, "margin": 5.0, "prompt": False}
    return Order(address=address, **fields | more)


def test_the_pause_between_attempts():
    """At once after the first drop; then longer and longer up to a limit, each camera at another moment."""
    patience = Patience(longest=8, login=60)
    assert pause(1, "closed", patience) == pause(1, "login", patience) == 0
    for failures, most in ((2, 0.5), (3, 1), (4, 2), (6, 8), (7, 8), (10**6, 8)):
        waits = [pause(failures, "unreachable", patience) for _ in range(200)]
        assert most / 2 <= min(waits) < max(waits) <= most and len(set(waits)) > 100
    assert pause(2, "login", patience) == 60, "cameras lock out whoever tries a wrong password often"


def test_a_camera_may_be_silent_as_long_as_its_key_frames_are_apart():
    limit = Limit(order())
    assert float(limit) == 20.0
    grown = [limit.key(moment) for moment in (0.0, 10.0, 40.0, 50.0)]
    assert grown == [False, False, True, False] and float(limit) == 35.0
    assert 9 < float(Deadline(order())) <= 10 and float(Deadline(order(open=0))) == 0.1


def test_errors_are_said_without_the_password():
    for error in (OSError("rtsp://gate:s3cret@camera/1 is gone"), RuntimeError(), ValueError("x" * 5000)):
        problem = explained(error, order(), opening=False, waited=False)
        assert problem.why == "closed" and "\n" not in problem.said and len(problem.said) < 300
    waited = explained(ValueError("odd"), order(), opening=True, waited=True)
    assert waited == Problem(why="unreachable", said="does not answer within 10 s; check the address and the network")


class Script:
    """A reader that says what it was told to say."""

    pid = 0

    def __init__(self, messages: list):
        self._messages = messages

    def order(self, order: Order) -> None:
        pass

    def next(self, seconds: float) -> tuple[bytes, bytes] | None:
        if not self._messages:
            raise EOFError
        return self._messages.pop(0)

    def end(self) -> None:
        pass


FILM = Filmed(pictures(10))
GOOD = [(OPENED, b""), (STRETCH, FILM.form)] + [
    (PACKET, ABOUT.pack(time.monotonic(), pts, dts, 3600, key) + data) for pts, dts, key, data in FILM.packets
]
LOST = (PROBLEM, json.dumps({"why": "closed", "said": "the connection was lost"}).encode())


@pytest.mark.parametrize(
    "rubbish",
    [
        [(STRETCH, b"no JSON\n")],
        [(STRETCH, b"{}\n")],
        [(STRETCH, FILM.form.replace(b'"25"', b'"1/0"'))],
        [(PACKET, b"short")],
        [(OPENED, b""), (PACKET, GOOD[2][1])],
        [(PROBLEM, b"[1]")],
        [(b"?", b"unknown"), LOST],
        [],
    ],
)
def test_whatever_a_reader_says_the_next_one_is_heard(rubbish, monkeypatch):
    scripts = [list(rubbish), [*GOOD, LOST], list(rubbish), [*GOOD, LOST]]
    monkeypatch.setattr(connection, "Reader", lambda: Script(scripts.pop(0) if scripts else []))
    ring = Ring(1e6, 2**30)
    running = Connection(Source(address="rtsp://gate:s3cret@camera/1"), ring, Patience(longest=0.01))
    number, items = -1, []
    while len([item for item in items if isinstance(item, Packet)]) < 20:
        following = ring.after(number, 60)
        assert following is not None
        number = following.number
        items.append(following.item)
    running.close()
    said = [item.said for item in items if isinstance(item, Break)] + [running.said]
    assert not any("s3cret" in one for one in said) and all(
        one.startswith("rtsp://gate:***@camera/1: ") for one in said
    )


@contextmanager
def mute_camera(pictures: Sequence[bytes] = ()) -> Iterator[str]:
    """A camera that answers everything that is asked over RTSP, says what it will send, and sends these pictures at 25
    a second, or nothing for ever."""
    said = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=mute\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets="
        "Z0LACtoKD+XARAAAAwAEAAADAMg8SJqA,aM4PyA==\r\na=control:track\r\n"
    )
    more = {
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(said)}\r\n",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
    }

    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked: list[str] = []
            for line in iter(self.rfile.readline, b""):
                asked.append(line.decode().strip())
                if asked[-1]:
                    continue
                method = asked[0].split()[0]
                number = next(one for one in asked if one.startswith("CSeq"))
                head = f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 1\r\n{more.get(method, '')}\r\n"
                self.wfile.write((head + (said if method == "DESCRIBE" else "")).encode())
                asked = []
                if method == "PLAY" and pictures:
                    for number, picture in enumerate(pictures):
                        packet = struct.pack(">BBHII", 0x80, 96 | 0x80, number, 3600 * number, 1) + picture
                        self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
                        time.sleep(0.04)
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/mute"
        server.shutdown()


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (True, Problem(why="unreachable", said="does not answer within 0.5 s; check the address and the network")),
        (False, Problem(why="silent", said="sends nothing any more, though the connection stands")),
    ],
)
def test_a_camera_that_answers_and_sends_nothing(prompt: bool, expected: Problem):
    """Of one that was quicker before not so much time is spent on it."""
    with mute_camera() as address:
        found = feed.run(order(address, open=0.5, read=1.0, prompt=prompt), Writer(out := io.BytesIO()))
    assert found == expected and bool(out.getvalue()) is not prompt


@pytest.mark.parametrize("prompt", [True, False])
def test_a_camera_that_is_open_before_its_next_key_frame_is_there(prompt: bool):
    """FFmpeg waits for one, and for no longer than it may take to open; what comes meanwhile is no silence."""
    between = [data.split(b"\0\0\1")[-1] for _, _, key, data in FILM.packets if not key]
    with mute_camera(between * 6) as address:
        found = feed.run(order(address, open=0.8, read=5.0, prompt=prompt), Writer(out := io.BytesIO()))
    assert found.why == "closed" and out.getvalue()[:1] == OPENED
    assert out.getvalue().count(HEAD.pack(feed.WAITING, 0)) >= len(between) * 6 - 1


def test_a_camera_that_was_quick_is_asked_to_be_quick_again_twice(monkeypatch):
    asked: list[tuple[float, bool]] = []

    class Asked(Script):
        def order(self, order: Order) -> None:
            asked.append((order.open, order.prompt))

    monkeypatch.setattr(connection, "Reader", lambda: Asked([*GOOD, LOST, LOST, LOST, LOST]))
    running = Connection(Source(address="rtsp://gate/1"), Ring(1e6, 2**30), Patience(open=8, longest=0.01))
    end = time.monotonic() + 60
    while len(asked) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    running.close()
    assert asked[:4] == [(8, False), (3, True), (3, True), (8, False)]


def test_a_secret_in_a_path_is_not_in_what_the_reader_said(monkeypatch):
    """The process that reads knows addresses, and not which part of one is secret."""
    monkeypatch.setenv("CAMERA_TOKEN", "t0k3n-in-the-path")
    address = expand("http://camera/${CAMERA_TOKEN}/video", "source")
    lost = (PROBLEM, json.dumps({"why": "closed", "said": f"{address} is gone"}).encode())
    scripts = [[*GOOD, lost]]
    monkeypatch.setattr(connection, "Reader", lambda: Script(scripts.pop(0) if scripts else [(b"?", b"")] * 1000))
    ring = Ring(1e6, 2**30)
    running = Connection(Source(address=address), ring, Patience())
    number = -1
    while not isinstance((following := ring.after(number, 60)).item, Break):
        number = following.number
    running.close()
    assert following.item.said == "http://camera/${CAMERA_TOKEN}/video: http://camera/${CAMERA_TOKEN}/video is gone"


def test_messages_that_are_too_long_or_cut_off_are_no_messages(monkeypatch):
    for sent, expected in (
        (HEAD.pack(PACKET, feed.MESSAGE_BYTES + 1), EOFError),
        (HEAD.pack(PACKET, 100) + b"too short", EOFError),
        (HEAD.pack(PROBLEM, 2) + b"{}", (PROBLEM, b"{}")),
    ):
        reader = Reader()
        reader._process.kill()
        reader._process.wait()
        reader._buffer += sent
        if isinstance(expected, tuple):
            assert reader.next(10) == expected
        else:
            with pytest.raises(expected):
                reader.next(10)
        reader.end()


class Said:
    """What a reader writes, by its kind."""

    def __init__(self) -> None:
        self.kinds: list[bytes] = []

    def write(self, kind: bytes, *parts: bytes) -> None:
        self.kinds.append(kind)


def test_parameters_that_came_before_are_not_looked_into_again(tmp_path, monkeypatch):
    """Some senders write them once in one key frame and twice in the next; to look into them, a picture is decoded."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.gop_size = 64, 48, "yuv420p", 2
    context.time_base, context.options = Fraction(1, 25), {"tune": "zerolatency"}
    images = (av.VideoFrame.from_ndarray(image, "rgb24") for image in pictures(24))
    keys, content = 0, b""
    for packet in [packet for image in images for packet in context.encode(image)]:
        data = bytes(packet)
        if packet.is_keyframe:
            units = re.split(b"\0{2,3}\1", data)[1:]
            content += (keys % 2) * b"".join(b"\0\0\0\1" + unit for unit in units if unit[0] & 31 in (7, 8))
            keys += 1
        content += data
    (tmp_path / "camera.h264").write_bytes(content)
    decoded, really = [], feed._Sender._form_of
    monkeypatch.setattr(feed._Sender, "_form_of", lambda *given: decoded.append(really(*given)) or decoded[-1])
    said = Said()
    assert feed.run(order(str(tmp_path / "camera.h264"), real_time=False), said).why == "end"
    assert keys == 12 and said.kinds.count(STRETCH) == 1
    assert decoded == 2 * [(64, 48, "yuv420p")]


def test_a_camera_is_not_looked_at_for_each_of_its_packets(monkeypatch):
    """To be woken for each costs more than what is done with it; a file that is read as fast as it goes waits for
    nothing, and what comes from a reader that rests itself is taken at once."""
    looks, really, started = [], os.read, subprocess.Popen
    steadily = (
        "import sys, time; sys.stdin.readline(); "
        "[(sys.stdout.buffer.write(b'p\\4\\0\\0\\0abcd'), sys.stdout.flush(), time.sleep(0.01)) for _ in range(100)]"
    )
    monkeypatch.setattr(
        connection.subprocess, "Popen", lambda _, **more: started([sys.executable, "-c", steadily], **more)
    )
    monkeypatch.setattr(connection.os, "read", lambda *given: looks.append(given) or really(*given))
    for transport, real_time, least, most in (("udp", True, 2, 15), ("udp", False, 40, 101), ("tcp", True, 40, 101)):
        looks.clear()
        reader = Reader()
        reader.order(order(transport=transport, real_time=real_time))
        assert [reader.next(5) for _ in range(100)] == 100 * [(PACKET, b"abcd")]
        assert least <= len(looks) <= most
        reader.end()


@pytest.mark.parametrize(
    ("address", "transport", "real_time", "rests"),
    [
        ("rtsp://gate/1", "tcp", True, True),
        ("rtsp://gate/1", "udp", True, False),  # what nobody takes in time is lost
        ("http://gate/1", "tcp", True, False),  # when a picture came says when it was filmed
        ("/videos/gate.mp4", "tcp", True, True),
        ("/videos/gate.mp4", "tcp", False, False),
    ],
)
def test_packets_lie_only_where_none_is_lost_and_all_have_times(address, transport, real_time, rests):
    assert feed.rests_between(order(address, transport=transport, real_time=real_time)) is rests
