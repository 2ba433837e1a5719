"""An object read in blocks, as they are asked for, and the hash of all of it."""

import hashlib
import io
import re
from collections import OrderedDict
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from wsvad.storage.asking import StorageError
from wsvad.storage.cache import cache_folder, temporary

if TYPE_CHECKING:
    from wsvad.storage.remote import Facts, Remote

BLOCK, BLOCKS, OBJECTS = 2 * 2**20, 4, 4
"""Bytes that are read at once, how many times that is held of an object, and of how many objects."""


class _Object:
    """Some blocks of an object, and the hash of as much of it as was read in order."""

    def __init__(self, path: "Remote", facts: "Facts"):
        self.path, self.facts = path, facts
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._hash, self._hashed, self._lock = hashlib.sha256(), 0, Lock()

    def block(self, index: int) -> bytes:
        """A block of the object.

        Raises:
            StorageError: it cannot be had.
        """
        with self._lock:
            if index not in self._blocks:
                self._blocks[index] = self._fetched(index * BLOCK)
                if len(self._blocks) > BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(index)
            data = self._blocks[index]
            if index * BLOCK == self._hashed:
                self._hash.update(data)
                self._hashed += len(data)
            return data

    def _fetched(self, start: int) -> bytes:
        end = min(start + BLOCK, self.facts.size)

        def request(store: Any) -> bytes:
            data = store.cat_file(self.path.key, start=start, end=end)
            if len(data) != end - start:
                raise OSError(f"{len(data)} bytes came")
            return data

        try:
            return self.path.ask(request)
        except FileNotFoundError:
            raise deleted(self.path) from None

    def sha256(self) -> str:
        """Hash of all of it; what was not read yet is.

        Raises:
            StorageError: it cannot be had.
        """
        while self._hashed < self.facts.size:
            self.block(self._hashed // BLOCK)
        return self._hash.hexdigest()


_objects: OrderedDict[str, _Object] = OrderedDict()
_held = Lock()


def _object(path: "Remote") -> _Object:
    """What is held of an object, as it is now."""
    facts = path.look()
    key = path.digest(facts)
    with _held:
        if key not in _objects:
            _objects[key] = _Object(path, facts)
            if len(_objects) > OBJECTS:
                _objects.popitem(last=False)
        _objects.move_to_end(key)
        return _objects[key]


class Ranged(io.RawIOBase):
    """An object as a file."""

    def __init__(self, path: "Remote"):
        self._object, self._at = _object(path), 0
        self.name = f"object/{path.name}"  # FFmpeg looks at the ending

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._object.facts.size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._object.facts.size:
            return 0
        data = self._object.block(self._at // BLOCK)[self._at % BLOCK :][: len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def content_hash(path: "Remote") -> str:
    """SHA-256 of an object's bytes, in hexadecimal. That of one that was hashed on this machine before, and of
    which the store says that it is the same, is remembered.

    Raises:
        StorageError: it cannot be read; or it is another one by now than `path.facts` say, or than it was at first.
    """
    try:
        found = _object(path)
        digest = _remembered(found)
        path.check(found.facts)
    except FileNotFoundError:
        raise deleted(path) from None
    return digest


def _remembered(found: _Object) -> str:
    known = cache_folder() / "hashes" / found.path.digest(found.facts)
    with suppress(OSError):
        if re.fullmatch("[0-9a-f]{64}", said := known.read_text(encoding="ascii")):
            return said
    digest = found.sha256()
    with suppress(OSError), temporary(known) as part:  # the next time it is read again
        part.write_text(digest, encoding="ascii")
        known.parent.mkdir(parents=True, exist_ok=True)
        part.replace(known)
    return digest


def deleted(path: "Remote") -> StorageError:
    """What is said of an object that was there."""
    return StorageError(f"{path}: was deleted while it was read; put it back, or leave it out")
