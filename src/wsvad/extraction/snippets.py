"""Frames to snippets, and snippets to feature rows: one at a time from a live source, many at a time where the network
runs on a device of its own."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np

from wsvad.encoders.encoder import Encoder, Sampling
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.sound import apart
from wsvad.extraction.spent import Spent
from wsvad.video.clock import SNIPPET
from wsvad.video.reader import Frame

Encoders = Mapping[str, tuple[Encoder, ...]]
"""Stream name → encoders whose outputs are joined on the feature axis."""
Shown = dict[Sampling, np.ndarray]
"""What encoders read of one snippet: `(count, h, w, 3)` or `(count, h, w)` uint8 for each way of sampling."""
Rows = dict[str, np.ndarray]
"""Stream → the feature of one snippet, `(D,)`, or `(C, D)` with crops."""
BYTES = 2**26
"""Of pictures in a batch: with so many it goes to the network, however few snippets have them."""
WAITING, WAITING_BYTES = 2, 2 * BYTES
"""Batches, and bytes of their pictures, that are read and wait for the network, at most."""


class Snippets:
    """Frames in, what encoders read of them out each time that a snippet is full.

    Only those that an encoder reads are converted, each form once. A form in which every frame is read is made at once:
    a picture that was just decoded is in the processor's cache, and one that is let go leaves the decoder its memory.
    At most one snippet of decoded frames is held, for what only its length decides.
    """

    def __init__(self, encoders: Encoders, *, stride: int = SNIPPET):
        if deaf := apart(encoders)[1]:
            raise WsvadError(f"{', '.join(deaf)} is made from the sound of a file, and frames have none; give the file")
        self.stride = stride
        self._samplings = list(dict.fromkeys(one.sampling for some in encoders.values() for one in some))
        self._at_once = [one for one in self._samplings if len(set(one.offsets(stride))) == stride]
        self._frames: list[Frame | None] = []
        """Those of this snippet; None where all is made that may be read of it."""
        self._made: dict[tuple[object, ...], np.ndarray] = {}

    def push(self, frame: Frame) -> Shown | None:
        """Take the next frame; None while the snippet is not full."""
        self._frames.append(frame)
        for sampling in self._at_once:
            self._array(len(self._frames) - 1, sampling)
        if len(self._at_once) == len(self._samplings):
            self._frames[-1] = None
        return self.flush() if len(self._frames) == self.stride else None

    def flush(self) -> Shown | None:
        """The frames that remain (a short last snippet); None if there are none."""
        if not self._frames:
            return None
        snippet = {
            sampling: np.stack([self._array(offset, sampling) for offset in sampling.offsets(len(self._frames))])
            for sampling in self._samplings
        }
        self._frames, self._made = [], {}
        return snippet

    def _array(self, offset: int, sampling: Sampling) -> np.ndarray:
        """A frame of this snippet as it is read, made if it is not yet."""
        form, frame = (offset, sampling.size, sampling.colour, sampling.fit), self._frames[offset]
        if form not in self._made and frame is not None:
            self._made[form] = _picture(frame, sampling)
        return self._made[form]


def _picture(frame: Frame, sampling: Sampling) -> np.ndarray:
    if sampling.fit is None:
        return frame.array(sampling.size, sampling.colour)
    return sampling.fit(frame.array(None, "rgb"))


def encoded(encoders: Encoders, snippets: Sequence[Shown]) -> list[Rows]:
    """The rows of some snippets; an encoder of several streams sees them once.

    Raises:
        WsvadError: an encoder gives something else than one row of its width for each.
    """
    each = {id(encoder): encoder for some in encoders.values() for encoder in some}
    rows = {key: _rows(encoder, snippets) for key, encoder in each.items()}
    return [
        {stream: np.concatenate([rows[id(one)][i] for one in some], axis=-1) for stream, some in encoders.items()}
        for i in range(len(snippets))
    ]


def _rows(encoder: Encoder, snippets: Sequence[Shown]) -> np.ndarray:
    """`(N, D)` or `(N, C, D)` float32."""
    rows = np.asarray(encoder.encode([snippet[encoder.sampling] for snippet in snippets]), dtype=np.float32)
    if rows.shape != (expected := (len(snippets), *shape_of([encoder]))):
        raise WsvadError(
            f"encoder {encoder.name}: gave features of shape {rows.shape} for {len(snippets)} snippets, not {expected}"
        )
    return rows


def shape_of(encoders: Sequence[Encoder]) -> tuple[int, ...]:
    """The shape of a snippet's row in a stream that these encoders make together, `(D,)` or `(C, D)`.

    Raises:
        UsageError: they see different numbers of crops.
    """
    crops = {encoder.name: getattr(encoder, "crops", 1) for encoder in encoders}
    if len(set(crops.values())) > 1:
        each = ", ".join(f"{name}: {count}" for name, count in crops.items())
        raise UsageError(f"encoders of one stream see different numbers of crops ({each}); set one for all")
    width, count = sum(encoder.width for encoder in encoders), next(iter(crops.values()))
    return (width,) if count == 1 else (count, width)


class SnippetEncoder:
    """Frames in, one feature row per stream out each time that a snippet is full.

    A file and a live source give the same features bit by bit, because both go through `Snippets` and `encoded`.
    """

    def __init__(self, encoders: Encoders, *, stride: int = SNIPPET, spent: Spent | None = None):
        """
        Args:
            spent: counts where the time goes.
        """
        self._encoders, self._snippets, self._spent = encoders, Snippets(encoders, stride=stride), spent or Spent()

    def push(self, frame: Frame) -> Rows | None:
        """Take the next frame; the finished snippet's rows by stream, None while it is not full."""
        with self._spent.on("convert"):
            snippet = self._snippets.push(frame)
        return self._encoded(snippet)

    def flush(self) -> Rows | None:
        """The rows of the frames that remain (a short last snippet); None if there are none."""
        return self._encoded(self._snippets.flush())

    def _encoded(self, snippet: Shown | None) -> Rows | None:
        if snippet is None:
            return None
        with self._spent.on("network"):
            return encoded(self._encoders, [snippet])[0]


class Batches:
    """Frames in, rows out, of `at_once` snippets together. With more than one, or `beside`, the network works in a
    thread of its own while the next snippets are read, and at most `WAITING` batches wait for it, or fewer where
    pictures are large."""

    def __init__(self, encoders: Encoders, at_once: int = 1, spent: Spent | None = None, *, beside: bool = False):
        self._encoders, self._snippets, self._at_once = encoders, Snippets(encoders), at_once
        self._spent = spent or Spent()
        self._some: list[Shown] = []
        self._running: deque[tuple[Future[list[Rows]], int]] = deque()
        """Batches and their bytes."""
        self._pool = ThreadPoolExecutor(1) if beside or at_once > 1 else None

    def push(self, frame: Frame) -> Iterator[Rows]:
        """Take the next frame; the rows that are ready, in order."""
        with self._spent.on("convert"):
            snippet = self._snippets.push(frame)
        return self._taken(snippet)

    def flush(self) -> Iterator[Rows]:
        """The rows of all that is left."""
        yield from self._taken(self._snippets.flush())
        if self._some:
            self._start()
        while self._running:
            yield from self._running.popleft()[0].result()

    def _taken(self, snippet: Shown | None) -> Iterator[Rows]:
        if snippet is not None:
            self._some.append(snippet)
        if len(self._some) == self._at_once or _bytes(self._some) >= BYTES:
            self._start()
        while self._running and (
            len(self._running) > WAITING
            or sum(size for _, size in self._running) > WAITING_BYTES
            or self._running[0][0].done()
        ):
            yield from self._running.popleft()[0].result()

    def _start(self) -> None:
        some, self._some = self._some, []
        if self._pool is not None:
            self._running.append((self._pool.submit(self._encoded, some), _bytes(some)))
        else:
            future: Future[list[Rows]] = Future()
            self._running.append((future, 0))
            future.set_result(self._encoded(some))

    def _encoded(self, some: Sequence[Shown]) -> list[Rows]:
        with self._spent.on("network"):
            return encoded(self._encoders, some)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _bytes(some: Sequence[Shown]) -> int:
    return sum(pictures.nbytes for snippet in some for pictures in snippet.values())
