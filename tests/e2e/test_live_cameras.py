"""Cameras over the network that fail as cameras do: RTSP by GStreamer's server, pictures over HTTP, and files."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import rtsp
from clips import write_clip
from live_run import tiny_run
from packets import pictures

from wsvad import Detector
from wsvad.cli.main import main
from wsvad.video.address import Source
from wsvad.video.connection import Patience
from wsvad.video.live import Health, LiveSource
from wsvad.video.reader import Frame, VideoReader
from wsvad.video.ring import Break

SOON = Patience(open=20, read=30, margin=0.5, grace=10, longest=0.2, login=0.2)
"""Tries again at once, and waits long for an answer, as a busy machine may need it."""
SHORT = Patience(open=0.5, read=0.5, margin=0.2, grace=20, longest=0.2, login=0.2)
"""For cameras that never answer."""
LIMIT = 60.0
"""Seconds to wait for what has to come."""
real_server = pytest.mark.skipif(bool(rtsp.missing()), reason=rtsp.missing())


def until(source: LiveSource, wanted: Callable[[Any, Health], bool]) -> list[Frame | Break]:
    """Everything up to an item, or a state of health, that is waited for."""
    items: list[Frame | Break] = []
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        item = source.take(0.05)
        if item is not None:
            items.append(item)
        if wanted(item, source.health):
            return items
    raise AssertionError(f"did not come: {source.health}, {items[-3:]}")


def frames(count: int) -> Callable[[Any, Health], bool]:
    """Wait for so many frames."""
    left = [count]

    def counted(item: Any, _: Health) -> bool:
        left[0] -= isinstance(item, Frame)
        return left[0] <= 0

    return counted


def broken(item: Any, _: Health) -> bool:
    return isinstance(item, Break)


def broken_by(why: str) -> Callable[[Any, Health], bool]:
    """Wait for a break of that kind; on a machine that is busy others may come before it."""
    return lambda item, _: isinstance(item, Break) and item.why == why


def breaks(items: list[Frame | Break]) -> list[str]:
    return [item.why for item in items if isinstance(item, Break)]


@pytest.fixture(scope="module")
def server() -> Iterator[rtsp.RtspServer]:
    with rtsp.RtspServer() as server:
        yield server


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A detector of something that moves."""
    return tiny_run(tmp_path_factory.mktemp("live"))


@real_server
def test_live_is_the_replay_of_what_came_through_drops_and_changes(server, run, tmp_path, capsys):
    """Each stretch is recorded from its packets and scored as a file."""
    address = server.camera("/replay", rate=50)
    live = Detector.load(run).live()
    faults = [server.drop, lambda: server.resize("/replay", 320, 240), server.restart, None]
    stretches, now = [], ([], [])
    with LiveSource(Source(address=address), patience=SOON, behind=LIMIT) as source:
        for fault in faults:
            for item in until(source, frames(36)) + ([] if fault is None else [fault()] and until(source, broken)):
                if isinstance(item, Frame):
                    now[0].append(item)
                    now[1].extend([score] if (score := live.push(item)) else [])
                else:
                    now[1].extend([score] if (score := live.flush()) else [])
                    live.reset()
                    stretches.append(now)
                    now = ([], [])
        now[1].extend([score] if (score := live.flush()) else [])
        stretches.append(now)
        assert len(stretches) == 4 and source.health.connections == 3 and source.health.dropped == 0
        (tmp_path / "recorded").mkdir()
        for number, (given, _) in enumerate(stretches):
            path = tmp_path / "recorded" / f"{number}.mp4"
            clip = source.clip(path, given[0].time, given[-1].time + given[-1].duration / 2)
            assert (clip.copied, clip.start, clip.end, clip.pictures) == (
                True,
                given[0].time,
                given[-1].time,
                len(given),
            )
            with VideoReader(path) as video:
                for recorded, frame in zip(video, given, strict=True):
                    np.testing.assert_array_equal(recorded.array(), frame.array())
    assert (
        main(["score", str(tmp_path / "recorded"), "--model", str(run), "--mode", "online", "--out", str(tmp_path)])
        == 0
    )
    videos = json.loads((tmp_path / "scores.json").read_text())["videos"]
    for (given, scores), video in zip(stretches, videos, strict=True):
        assert len(scores) == -(-len(given) // 16) > 2
        expected = [(snippet["score"], snippet["start"], snippet["end"]) for snippet in video["snippets"]]
        begin = float(given[0].time)
        np.testing.assert_allclose(
            [(score.score, score.start - begin, score.end - begin) for score in scores], expected, atol=1e-5
        )


@real_server
def test_it_comes_back_from_everything(server):
    """The camera is not there yet, is lost, comes back, sends nothing, goes on; time never goes back."""
    address = server.camera("/back")
    server.stop()
    patience = Patience(open=20, read=1, margin=0.1, grace=LIMIT, longest=0.2)
    with LiveSource(Source(address=address), patience=patience) as source:
        until(source, lambda _, health: health.attempts >= 3)
        assert "cannot be reached (Connection refused)" in source.health.said and source.health.connections == 0
        server.start()
        items = until(source, frames(10))
        assert source.health.state == "live" and source.health.said == ""
        server.stop()
        items += until(source, broken_by("connection"))
        until(source, lambda _, health: "refused" in health.said)
        server.start()
        items += until(source, frames(10))
        server.freeze("/back")
        items += until(source, broken_by("paused"))
        assert source.health.stalls >= 1 and items[-1].said.endswith("the connection stands")
        server.freeze("/back", False)
        items += until(source, frames(10))
        assert set(breaks(items)) == {"connection", "paused"} and source.health.replaced == 0
        times = [item.time for item in items]
        assert times == sorted(times)
        assert abs(source.wall(times[-1]) - time.time()) < LIMIT
        assert (source.health.codec, source.health.width, source.health.rate) == ("h264", 160, 25.0)


@real_server
def test_a_wrong_password_is_not_an_unreachable_camera_and_is_never_shown(server):
    server.camera("/door")
    server.password("right")
    address = server.address("/door", "gate:wr0ng-s3cret@")
    try:
        with LiveSource(Source(address=address), patience=SOON) as source:
            until(source, lambda _, health: health.attempts >= 3)
            said = source.health.said
            assert said == f"rtsp://gate:***@127.0.0.1:{server.port}/door: refuses the user or the password; check both"
            commands = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
            assert "wsvad.video.feed" in commands and "wr0ng" not in commands
            server.password("wr0ng-s3cret")
            until(source, frames(5))
        with LiveSource(Source(address=server.address("/door")), patience=SOON) as source:
            until(source, lambda _, health: "asks for a user and a password" in health.said)
    finally:
        server.password(None)


@real_server
@pytest.mark.parametrize(
    ("path", "settings", "says"),
    [
        ("/sound", {"sound": True, "pictures": False}, "sends sound alone, no pictures"),
        (None, {}, "has no such stream (404); check the path"),
    ],
)
def test_what_sends_no_pictures_says_why(server, path, settings, says):
    address = server.camera(path, **settings) if path else server.address("/nothing")
    with LiveSource(Source(address=address), patience=SOON) as source:
        until(source, lambda _, health: says in health.said)
        assert source.health.connections == 0


@real_server
def test_codecs_and_transports(server, tmp_path):
    """Also pictures that were encoded before, which the server repeats."""
    film = write_clip(tmp_path / "film.mp4", pictures(50, (160, 120)), rate=25, g="25", tune="zerolatency")
    kinds = [("h264", "udp", False), ("h264", "tcp", True), ("h265", "tcp", False), ("mjpeg", "tcp", False)]
    with ExitStack() as stack:
        sources = []
        for codec, transport, sound in [*kinds, ("film", "tcp", False)]:
            settings = {"file": str(film)} if codec == "film" else {"codec": codec, "sound": sound}
            address = server.camera(f"/{codec}-{transport}", **settings)
            source = LiveSource(Source(address=address, transport=transport), patience=SOON, behind=LIMIT)
            sources.append(stack.enter_context(source))
        for (codec, *_), source in zip([*kinds, ("h264",)], sources, strict=True):
            given = until(source, frames(20))
            assert {(b.time - a.time) % Fraction(1, 25) for a, b in pairwise(given)} == {0}
            clip = source.clip(tmp_path / "a.mp4", given[0].time, given[-1].time)
            assert clip.copied == (codec != "mjpeg") and clip.pictures >= 19


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A camera that sends 50 pictures a second over HTTP: a second and a half of them, or for ever (`/endless`)."""
    jpegs = []
    for image in pictures(10):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
        jpegs.append(bytes(encoder.encode(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuvj420p"))[0]))

    deaf = iter([False, True])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "deaf" in self.path and next(deaf, False):
                time.sleep(10 * LIMIT)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(OSError):  # whoever looked is gone
                for index in range(75 if "endless" not in self.path else 10_000):
                    jpeg = jpegs[index % 10]
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                    self.wfile.write(jpeg + b"\r\n")
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pictures_over_http_are_timed_by_their_arrival(web, tmp_path):
    """Motion JPEG has no timestamps: FFmpeg would say 25 a second, and these are at most 50."""
    begun = time.monotonic()
    with LiveSource(Source(address=f"{web}/video?token=s3cret"), patience=SOON, behind=LIMIT) as source:
        *given, end = until(source, broken)
        lasted = time.monotonic() - begun
        assert "s3cret" not in end.said and "token=***" in end.said
        assert len(given) >= 60 and source.health.codec == "mjpeg"
        clip = source.clip(tmp_path / "a.mp4", given[0].time, given[-1].time)
        assert not clip.copied and clip.pictures >= len(given) - 1
    times = [frame.time for frame in given]
    assert 0 < times[0] <= times[-1] <= lasted and all(a < b for a, b in pairwise(times))
    with VideoReader(clip.path) as video:
        recorded = [clip.start + frame.time for frame in video]
    np.testing.assert_allclose([float(t) for t in recorded], [float(t) for t in times[: len(recorded)]], atol=1e-4)


def test_a_camera_that_opened_before_and_does_not_answer_is_asked_again_soon(web, monkeypatch):
    """Nothing is known of another, for which it waits as long as it may: a server that ends takes a connection, too."""
    monkeypatch.setattr("wsvad.video.connection.QUICK", 0.5)
    with LiveSource(Source(address=f"{web}/deaf"), patience=replace(SOON, open=10 * LIMIT), behind=LIMIT) as source:
        until(source, lambda _, health: health.connections == 2)
        assert source.health.attempts == 3


@pytest.mark.parametrize("answers", ["nothing", "rubbish"])
def test_an_answer_that_never_comes_or_makes_no_sense_is_given_up(answers):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                if answers == "rubbish":
                    connection.sendall(bytes(range(256)) * 64)
                kept.append(connection)

        kept: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        for scheme in ("rtsp", "http"):
            with LiveSource(
                Source(address=f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/1"), patience=SHORT
            ) as source:
                until(source, lambda _, health: health.attempts >= 2)
                assert source.health.said and source.health.connections == 0 and source.health.replaced == 0
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("rtsp://gate:s3cret@nowhere.invalid/1", "***@nowhere.invalid/1: the name nowhere.invalid is not known"),
        ("/dev/video99", "/dev/video99: cannot be opened (No such file or directory); 'ls /dev/video*' lists"),
    ],
)
def test_what_cannot_be_reached_says_what_to_check(address, says):
    with LiveSource(Source(address=address), patience=SOON) as source:
        until(source, lambda _, health: health.attempts >= 3)
        assert says in source.health.said


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_clip(path, pictures(100), rate=25, g="25", bf="2")


def test_a_file_as_fast_as_it_goes_gives_every_frame(film, tmp_path):
    """However slow whoever takes them is."""
    with LiveSource(Source(address=str(film), real_time=False), seconds=1, behind=0) as source:
        items = []
        for item in source:
            time.sleep(0.002)
            items.append(item)
        assert source.ended and source.health.state == "ended" and source.health.dropped == 0
    *given, end = items
    with VideoReader(film) as video:
        for recorded, frame in zip(video, given, strict=True):
            assert frame.time == recorded.time
            np.testing.assert_array_equal(recorded.array(), frame.array())
    assert end.why == "end" and end.time == 4


def test_a_file_in_real_time_takes_its_time(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(25), rate=25)
    begun = time.monotonic()
    with LiveSource(Source(address=str(path))) as source:
        items = list(source)
    assert len(items) == 26 and time.monotonic() - begun >= 24 / 25


def test_a_reader_that_hangs_or_dies_is_replaced(web):
    patience = Patience(open=20, read=0.5, margin=0.1, grace=0.5, longest=0.2)
    with LiveSource(Source(address=f"{web}/endless"), patience=patience) as source:
        until(source, frames(10))
        os.kill(source.reader, signal.SIGSTOP)
        items = until(source, broken_by("hung"))
        assert "reading did not come back" in items[-1].said
        until(source, frames(10))
        os.kill(source.reader, signal.SIGKILL)
        until(source, broken_by("connection"))
        until(source, frames(10))
        assert source.health.replaced >= 2
        last = source.reader
    assert not Path(f"/proc/{last}").exists() and source.take() is None and source.ended


def test_a_file_that_is_cut_off_ends_once(tmp_path):
    whole = write_clip(tmp_path / "a.ts", pictures(100), rate=25).read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "rubbish.mp4").write_bytes(b"rubbish" * 1000)
    for name, least, says in (("cut.ts", 30, ""), ("rubbish.mp4", 0, "cannot be opened")):
        with LiveSource(Source(address=str(tmp_path / name), real_time=False)) as source:
            *given, end = source
            assert len(given) >= least and end.why == "end" and says in end.said and source.health.attempts == 1


def test_no_reader_stays_when_its_process_is_killed(film):
    code = (
        "import sys; from wsvad.video.live import *; source = LiveSource(Source(address=sys.argv[1])); source.take(); "
        "print(source.reader, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(film)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        reader = int(process.stdout.readline())
        assert Path(f"/proc/{reader}").exists()
        process.kill()
    end = time.monotonic() + LIMIT
    while Path(f"/proc/{reader}").exists() and "Z (" not in Path(f"/proc/{reader}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
