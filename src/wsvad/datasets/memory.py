"""How much memory features may take that are read again and again; the rest lies in files without a name, beside the
run, and is read as it is needed. Nothing is mapped: what is mapped counts as memory as soon as it was read once.

Shapes: N samples, L segments, D features.
"""

import re
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsvad.errors import UsageError
from wsvad.files import explain
from wsvad.resident import keep_lean

MOST = 4 * 2**30
"""Bytes, where nobody says."""


def bytes_of(option: str, text: str) -> int:
    """How many bytes `8GB` or `500MB` are.

    Raises:
        UsageError: it is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", text.strip().upper())
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " ")) if found else 0
    if size <= 0:
        raise UsageError(f"{option} {text}: not a size; write it as in 8GB or 500MB")
    return size


class Memory:
    """What may be held in memory, by all that shares it."""

    def __init__(self, most: int = MOST, folder: Path | None = None):
        """`folder`: of the files; by default, and while it is not there, the system's for temporary files."""
        self.most, self.folder = most, folder
        self._left, self._lean = most, False

    def __reduce__(self) -> Any:
        return Memory, (self.most, self.folder)  # what is held is held by one process

    def takes(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        return size <= self._left

    def hold(self, size: int, owner: object) -> None:
        """Count so many bytes for as long as `owner` is there."""
        self._left -= size
        weakref.finalize(owner, self._give_back, size).atexit = False

    def _give_back(self, size: int) -> None:
        self._left += size

    def rows(self, shape: tuple[int, int, int]) -> "Rows":
        """Room for `(N, L, D)` in single precision, in memory if there is enough of it."""
        size = 4 * shape[0] * shape[1] * shape[2]
        if not self.takes(size):
            return StoredRows(shape, self.file())
        held = torch.empty(shape)
        self.hold(size, held)
        return held

    def file(self) -> "Unnamed":
        """For what there is no room for. Whoever asks has little: what is used up goes back from now on."""
        if not self._lean:
            self._lean = True
            keep_lean(self)
        return Unnamed(self.folder if self.folder and self.folder.is_dir() else None)


class Unnamed:
    """A file of numbers without a name: its space is free again however the process ends."""

    def __init__(self, folder: Path | None):
        self._folder, self._lock = folder or Path(tempfile.gettempdir()), Lock()
        self.end = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (for as long as the object)
        except OSError as error:
            raise explain(error, self._folder) from error

    def write(self, place: int, values: Tensor) -> None:
        """Raises: WsvadError, the disk is full."""
        try:
            with self._lock:
                self._file.seek(place)
                self._file.write(_bytes_of(values.contiguous()))
                self._file.flush()
        except OSError as error:
            raise explain(error, self._folder) from error
        self.end = max(self.end, place + values.nbytes)

    def read(self, place: int, into: Tensor) -> Tensor:
        """Fill a tensor; threads take turns."""
        with self._lock:
            self._file.seek(place)
            assert self._file.readinto(_bytes_of(into)) == into.nbytes
        return into


class StoredRows:
    """`(N, L, D)` in a file. What it is indexed with is read, as a tensor."""

    dtype = torch.float32

    def __init__(self, shape: tuple[int, int, int], file: Unnamed):
        self.shape, self._file = torch.Size(shape), file
        self._bytes = 4 * shape[1] * shape[2]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: int | Sequence[int] | Tensor) -> Tensor:
        numbers = torch.as_tensor(rows)
        found = torch.empty(numbers.numel(), *self.shape[1:])
        for row, number in zip(found, numbers.flatten().tolist(), strict=True):
            self._file.read(range(len(self))[number] * self._bytes, row)
        return found.reshape(*numbers.shape, *self.shape[1:])

    def __setitem__(self, row: int, values: Tensor) -> None:
        self._file.write(range(len(self))[row] * self._bytes, values.to(self.dtype))


Rows = Tensor | StoredRows
"""`(N, L, D)` that can be indexed by rows, and looped over."""


class StoredStreams(Mapping[str, Tensor]):
    """A bag's streams in a file; each is read whenever it is asked for."""

    def __init__(self, streams: Mapping[str, Tensor], file: Unnamed):
        self._file, self._places = file, dict[str, tuple[int, torch.dtype]]()
        self.shapes = {name: tuple(stream.shape) for name, stream in streams.items()}
        for name, stream in streams.items():
            place = -(-file.end // 8) * 8
            self._places[name] = (place, stream.dtype)
            file.write(place, stream)

    def __getitem__(self, name: str) -> Tensor:
        place, dtype = self._places[name]
        return self._file.read(place, torch.empty(self.shapes[name], dtype=dtype))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _bytes_of(values: Tensor) -> memoryview:
    """The memory of a tensor whose numbers lie one after the other."""
    return values.numpy().reshape(-1).view(np.uint8).data
