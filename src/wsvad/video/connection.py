"""Keep the packets of one camera coming, for ever: connect, reconnect, and replace a reader that does not come back."""

import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass

from wsvad.environment import hidden
from wsvad.spelling import reason
from wsvad.video import feed
from wsvad.video.address import Source
from wsvad.video.feed import Order, Problem
from wsvad.video.ring import Ring, Why
from wsvad.video.stretches import Stretches

STEADY = 5.0
"""Seconds for which pictures have to come before a connection counts as one that works."""
UNREAD = 64
"""Packets that a file may be ahead of whoever reads it without leaving out any."""
GATHER = 0.1
"""Seconds that a thread rests between two looks at what a camera has sent: to be woken for each packet costs more of a
processor than what is done with it."""
_FULL = 2**15
"""Bytes that were there at once from which on it does not rest: half of what a pipe holds."""
QUICK, QUICKLY = 3.0, 2
"""Seconds in which a camera that has opened before has to send something again, unless it took a quarter of that then
or more, and for so many attempts: a server that is about to end, or has just begun, takes a connection and never
answers, or answers and sends nothing."""
_LOOK = 0.25
"""Seconds after which a thread that waits looks whether it shall go on."""
_WHY: dict[str, Why] = {"silent": "paused", "hung": "hung"}
"""Of problems, what a break says; of others that the connection was lost."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a camera, in seconds."""

    open: float = 10.0
    """Until it is connected."""
    read: float = 20.0
    """Without a picture until the connection is given up."""
    margin: float = 5.0
    """That `read` is longer at least than the usual distance of two key frames."""
    grace: float = 5.0
    """Beyond those, after which the process that reads is ended and replaced."""
    longest: float = 5.0
    """Between two attempts to connect, at most."""
    login: float = 60.0
    """Between two attempts with a password that was refused: cameras lock out whoever tries often."""


def pause(failures: int, why: str, patience: Patience) -> float:
    """Seconds until the next attempt: none after the first drop, then more and more, never the same for all the cameras
    that were lost together."""
    if failures <= 1:
        return 0.0
    if why == "login":
        return patience.login
    return min(patience.longest, 0.5 * 2 ** min(failures - 2, 20)) * random.uniform(0.5, 1)


class Reader:
    """The process that reads, and what it says."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", feed.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what Python says of an error may have the address in it
            start_new_session=True,
            bufsize=0,
        )
        self._buffer = bytearray()
        self._gather, self._due = GATHER, 0.0
        """Seconds to rest between two looks, and when the next look is due."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, order: Order) -> None:
        """Have it open something.

        Raises:
            OSError: it is gone.
        """
        assert self._process.stdin is not None
        self._gather = GATHER if order.real_time and not feed.rests_between(order) else 0.0
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")

    def next(self, seconds: float) -> tuple[bytes, bytes] | None:
        """The next message; None if none comes within some seconds.

        Raises:
            EOFError: it has ended, or says what cannot be understood.
        """
        end = time.monotonic() + seconds
        while (message := self._taken()) is None:
            time.sleep(max(0.0, min(end, self._due) - time.monotonic()))
            left = end - time.monotonic()
            assert self._process.stdout is not None
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            if not (some := os.read(self._process.stdout.fileno(), 2**18)):
                raise EOFError
            self._buffer += some
            self._due = time.monotonic() + self._gather if len(some) < _FULL else 0.0
        return message

    def _taken(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < feed.HEAD.size:
            return None
        kind, length = feed.HEAD.unpack_from(self._buffer)
        if length > feed.MESSAGE_BYTES:
            raise EOFError
        end = feed.HEAD.size + length
        if len(self._buffer) < end:
            return None
        content = bytes(memoryview(self._buffer)[feed.HEAD.size : end])
        del self._buffer[:end]
        return kind, content

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


class Connection:
    """Fills a ring in a thread of its own."""

    def __init__(self, source: Source, ring: Ring, patience: Patience):
        self.state, self.said = "connecting", ""
        """`connecting`, `live`, `waiting` or `ended`; and what is wrong, if anything."""
        self.attempts = self.connections = self.stalls = self.replaced = 0
        """Times that it tried, that pictures came, that they stopped coming, that the reader was replaced."""
        self.packets = 0
        """That came."""
        self.last: float | None = None
        """When one came last, by the monotonic clock."""
        self.stretches = Stretches(source, ring)
        self._source, self._ring, self._patience = source, ring, patience
        self._closing = threading.Event()
        self._reader: Reader | None = None
        self._failures = 0
        """Attempts in a row that brought no pictures for long, the one by which they were lost included."""
        self._took: float | None = None
        """Seconds until it was open, the last time."""
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; comes back when the process that reads is gone."""
        self._closing.set()
        self._ring.close()
        self._thread.join()

    @property
    def reader(self) -> int | None:
        """The number of the process that reads."""
        reader = self._reader
        return None if reader is None else reader.pid

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                begun, before = time.monotonic(), self.packets
                problem = self._once()
                if self._closing.is_set():
                    break
                self.said = f"{self._source.shown}: {hidden(problem.said)}"
                why = "end" if self._source.kind == "file" else _WHY.get(problem.why, "connection")
                self.stretches.end(why, self.said)
                if self._source.kind == "file":  # reading it again would give the same
                    self.state = "ended"
                    break
                works = self.packets > before and time.monotonic() - begun >= STEADY
                self._failures = 1 if works else self._failures + 1
                self.state = "waiting"
                self._closing.wait(pause(self._failures, problem.why, self._patience))
        finally:
            if self._reader is not None:
                self._reader.end()
            self._ring.close()

    def _once(self) -> Problem:
        """One connection, from opening to whatever ends it."""
        self.state = "connecting"
        self.attempts += 1
        opening = self._opening()
        order = Order(
            address=self._source.address,
            transport=self._source.transport,
            real_time=self._source.real_time,
            open=opening,
            read=self._silence(),
            margin=self._patience.margin,
            prompt=opening < self._patience.open,
        )
        try:
            self._reader = self._reader or Reader()
            self._reader.order(order)
            return self._listen(self._reader, order.open)
        except (EOFError, OSError):
            self._replace()
            return Problem(why="closed", said="the process that reads it ended, and is replaced")
        except Exception as error:  # whatever is wrong with what a camera sends: the next attempt may be better
            self._replace()
            return Problem(why="closed", said=f"what it sends cannot be read ({hidden(reason(error))})")

    def _opening(self) -> float:
        """Seconds until it has to be open."""
        if self._took is None or not 0 < self._failures <= QUICKLY:
            return self._patience.open
        return min(self._patience.open, max(QUICK, 4 * self._took))

    def _silence(self) -> float:
        """Seconds without a picture that are too many."""
        return max(self._patience.read, (self.stretches.key_seconds or 0.0) + self._patience.margin)

    def _replace(self) -> None:
        self.replaced += 1
        if self._reader is not None:
            self._reader.end()
        self._reader = None

    def _listen(self, reader: Reader, opening: float) -> Problem:
        begun, waited, opened = time.monotonic(), 0.0, False
        while not self._closing.is_set():
            message = reader.next(_LOOK)
            if message is None:
                waited += _LOOK
                if waited >= (self._silence() if opened else opening) + self._patience.grace:
                    self._replace()
                    return Problem(why="hung", said=f"reading did not come back for {waited:.0f} s and starts again")
                continue
            waited = 0.0
            kind, content = message
            if kind == feed.PROBLEM:
                problem = Problem(**json.loads(content))
                self.stalls += problem.why == "silent"
                return problem
            if kind == feed.OPENED:
                opened, self._took = True, time.monotonic() - begun
                self.stretches.connected()
            elif kind == feed.WAITING:
                self.said = f"{self._source.shown}: waits for a key frame of the camera"
            elif kind == feed.STRETCH:
                self.stretches.form(content)
            elif kind == feed.PACKET:
                self._packet(content)
        return Problem(why="closed", said="")

    def _packet(self, content: bytes) -> None:
        arrival, pts, dts, duration, key = feed.ABOUT.unpack_from(content)
        self.packets += 1
        self.last = arrival
        if self.state != "live":
            self.state, self.said = "live", ""
            self.connections += 1
        self.stretches.packet(arrival, pts, dts, duration, bool(key), content[feed.ABOUT.size :])
        if self._source.lossless:
            self._ring.wait_until_read(UNREAD)
