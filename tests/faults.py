"""Faults of cameras at random moments, the same for the same seed: for runs that last minutes or days.

    with RtspServer() as server, Faults(server, {"/gate": (640, 360)}, seed=0, every=60) as faults:
        ...
    faults.done

Kept apart from what they are done to, so that a broker or a disk can have its own beside those of the cameras.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Self

from rtsp import RtspServer

KINDS = ("drop", "freeze", "restart", "away", "resize")


def schedule(seed: int, every: float) -> "list[tuple[float, str, float]]":
    """The first thousand faults: seconds since the one before, kind, and a number in [0, 1) that it may use."""
    rng = random.Random(seed)
    return [(every * rng.uniform(0.5, 1.5), rng.choice(KINDS), rng.random()) for _ in range(1000)]


class Faults:
    """Does them, one after the other, in a thread; all is well again when it is left."""

    def __init__(
        self,
        server: RtspServer,
        cameras: Mapping[str, tuple[int, int]],
        *,
        seed: int,
        every: float,
        lasting: float = 5.0,
        more: Mapping[str, Callable[[], None]] | None = None,
    ):
        """
        Args:
            cameras: paths on the server, and their sizes.
            every: seconds between two faults, on average.
            lasting: seconds that a frozen picture, or a server that is away, lasts.
            more: other faults by name, each of which is done in the place of one of the server's.
        """
        self.done: list[tuple[float, str, str]] = []
        """Moment by the monotonic clock, kind, and the camera's path (empty: all of them)."""
        self._server, self._cameras, self._lasting = server, dict(cameras), lasting
        self._more, self._schedule = dict(more or {}), schedule(seed, every)
        self._sizes = dict(cameras)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def _run(self) -> None:
        names = [*KINDS, *self._more]
        for pause, kind, number in self._schedule:
            if self._leaving.wait(pause):
                return
            if self._more and number < len(self._more) / len(names):
                kind = sorted(self._more)[int(number * len(names))]
            path = sorted(self._cameras)[int(number * len(self._cameras))]
            self.done.append((time.monotonic(), kind, path if kind in ("freeze", "resize") else ""))
            (self._more.get(kind) or getattr(self, f"_{kind}", None) or getattr(self._server, kind))(
                *([path] if kind in ("freeze", "resize") else [])
            )

    def _freeze(self, path: str) -> None:
        self._server.freeze(path)
        self._leaving.wait(self._lasting)
        self._server.freeze(path, False)

    def _away(self) -> None:
        self._server.stop()
        self._leaving.wait(self._lasting)
        self._server.start()

    def _resize(self, path: str) -> None:
        (width, height), own = self._sizes[path], self._cameras[path]
        self._sizes[path] = own if (width, height) != own else (width // 4 * 2, height // 4 * 2)
        self._server.resize(path, *self._sizes[path])
