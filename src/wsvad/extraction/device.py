"""One process owns the device. Those that decode hand it their snippets in shared memory and get rows back, so that a
network is loaded once, and works while many videos are decoded ahead of it."""

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TypeGuard

import numpy as np

from wsvad.encoders.encoder import Encoder, OnDevice, Sampling
from wsvad.errors import WsvadError, shortage
from wsvad.interrupts import interrupted_by

AT_ONCE = 16
"""Snippets that a decoding process hands over at a time, at most (see `snippets.BYTES`)."""
SHARED = Path("/dev/shm")
"""Where Linux keeps shared memory, as files."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a decoding process has to know of a network that it does not hold."""

    spec: str
    name: str
    width: int
    crops: int
    sampling: Sampling
    passport: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class _Request:
    """Snippets of one encoder."""

    spec: str
    index: int
    """Which encoder of that specification."""
    block: str
    """Name of the shared memory that they are in, end to end."""
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    sent: list[np.ndarray] | None = None
    """They themselves, where there is no room for them in shared memory."""


class Served:
    """An encoder whose network is in another process."""

    def __init__(self, description: Description, index: int, connection: Connection, block: str):
        """
        Args:
            block: a name for shared memory that nobody else has; who ends this process removes it (`release`).
        """
        self.name, self.width, self.sampling = description.name, description.width, description.sampling
        self.crops = description.crops
        self._description, self._index, self._connection = description, index, connection
        self._name = block
        self._block: SharedMemory | None = None

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """As `Encoder.encode`; it waits for the device.

        Raises:
            WsvadError: the network says so.
        """
        shapes, dtype = tuple(one.shape for one in snippets), snippets[0].dtype
        sent: list[np.ndarray] | None = None
        try:
            block = self._of_size(sum(one.nbytes for one in snippets))
        except OSError:
            self.close()
            sent = snippets
        else:
            for view, one in zip(_views(block, shapes, dtype), snippets, strict=True):
                view[...] = one
        self._connection.send(
            _Request(
                spec=self._description.spec, index=self._index, block=self._name, shapes=shapes, dtype=dtype.str,
                sent=sent,
            )
        )  # fmt: skip
        answer = self._connection.recv()
        if isinstance(answer, WsvadError):
            raise answer
        return answer

    def passport(self) -> dict[str, object]:
        return self._description.passport

    def close(self) -> None:
        """Give the shared memory back."""
        if self._block is not None:
            self._block.close()
            self._block.unlink()
            self._block = None

    def _of_size(self, size: int) -> SharedMemory:
        """Raises: OSError, there is no room."""
        if self._block is None or self._block.size < size:
            self.close()
            self._block = SharedMemory(self._name, create=True, size=size)
            _fill(self._block)
        return self._block


def _fill(block: SharedMemory) -> None:
    """Take the memory now: where there is too little (64 MB in many containers), writing into it ends the process.

    Raises:
        OSError: there is too little.
    """
    if (SHARED / block.name).is_file():
        with (SHARED / block.name).open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, block.size)


def release(blocks: Iterable[str]) -> None:
    """Remove the shared memory of processes that have ended."""
    for name in blocks:
        with suppress(FileNotFoundError):
            left = SharedMemory(name)
            left.close()
            left.unlink()


class Owner:
    """The networks on the device, and who asks for them."""

    def __init__(self, encoders: Mapping[str, Sequence[Encoder]], device: str):
        """
        Args:
            encoders: specification → its encoders. Those of a specification with a network are moved to the device,
                the others are left to the processes that decode.
        """
        self.busy = 0.0
        """Seconds that the networks have worked."""
        self._encoders: dict[tuple[str, int], Encoder] = {}
        self._said = False
        for spec, some in encoders.items():
            if any(runs_on(encoder, device) for encoder in some):
                self._encoders |= {(spec, index): encoder for index, encoder in enumerate(some)}
                move(some, device)

    @property
    def served(self) -> dict[tuple[str, int], Description]:
        """What is here, by specification and place in it."""
        return {
            (spec, index): Description(
                spec=spec,
                name=encoder.name,
                width=encoder.width,
                crops=getattr(encoder, "crops", 1),
                sampling=encoder.sampling,
                passport=encoder.passport(),
            )
            for (spec, index), encoder in self._encoders.items()
        }

    def answer(self, connections: Sequence[Connection]) -> None:
        """Answer those that ask; snippets of several go through a network together."""
        asked: dict[tuple[str, int], list[tuple[Connection, _Request]]] = {}
        for connection in connections:
            with suppress(EOFError, OSError):  # its process has ended, which its other connection tells
                request = connection.recv()
                asked.setdefault((request.spec, request.index), []).append((connection, request))
        for key, some in asked.items():
            started = time.monotonic()
            answers = self._encode(self._encoders[key], [request for _, request in some])
            self.busy += time.monotonic() - started
            for (connection, _), answer in zip(some, answers, strict=True):
                with suppress(BrokenPipeError, OSError):
                    connection.send(answer)

    def _encode(self, encoder: Encoder, requests: Sequence[_Request]) -> list[np.ndarray | WsvadError]:
        """One answer a request. What is wrong with one is not told to the others: each is tried by itself then."""
        blocks, views, snippets = list[SharedMemory](), list[list[np.ndarray]](), list[np.ndarray]()
        try:
            for request in requests:
                if request.sent is None:
                    blocks.append(SharedMemory(request.block))
                    views.append(_views(blocks[-1], request.shapes, np.dtype(request.dtype)))
                else:
                    self._say_once()
                    views.append(request.sent)
            snippets = [view for some in views for view in some]
            ends = np.cumsum([len(some) for some in views])
            return list(np.split(encoder.encode(snippets), ends[:-1]))
        except Exception as error:
            told = _told(encoder, error)
        finally:
            views, snippets = [], []  # nothing may look into a block that is closed
            for block in blocks:
                block.close()
        return (
            [told] if len(requests) == 1 else [one for request in requests for one in self._encode(encoder, [request])]
        )

    def _say_once(self) -> None:
        if not self._said:
            logger.warning(
                "shared memory (%s) is full, so frames take a slower way; give it more room, in a container by "
                "--shm-size 1g",
                SHARED,
            )
        self._said = True


def move(encoders: Iterable[Encoder], device: str) -> None:
    """Move those encoders to a device that run there."""
    import torch

    for encoder in encoders:
        if runs_on(encoder, device):
            encoder.to(torch.device(device))


def runs_on(encoder: Encoder, device: str) -> TypeGuard[OnDevice]:
    """Whether an encoder has a network that runs on a device other than the CPU."""
    if not isinstance(encoder, OnDevice):
        return False
    import torch  # not by those that decode, each of which would hold 190 MB of it

    return encoder.runs_on(torch.device(device))


def _views(block: SharedMemory, shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> list[np.ndarray]:
    starts = np.cumsum([0, *(prod(shape) * dtype.itemsize for shape in shapes)]).tolist()
    return [np.ndarray(shape, dtype, block.buf, start) for shape, start in zip(shapes, starts[:-1], strict=True)]


def _told(encoder: Encoder, error: Exception) -> WsvadError:
    """An error that can travel.

    Raises:
        KeyboardInterrupt: it is Ctrl-C, of which a library has made another one.
    """
    if interrupted_by(error):
        raise KeyboardInterrupt from error
    if short := shortage(error):
        return WsvadError(f"encoder {encoder.name}: {short}")
    if isinstance(error, WsvadError):
        return WsvadError(str(error))
    return WsvadError(f"encoder {encoder.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
