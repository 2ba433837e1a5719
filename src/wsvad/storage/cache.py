"""Copies of objects on this machine, as many as have room, and files on their way to a store."""

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsvad.errors import UsageError
from wsvad.storage.asking import StorageError

CACHE = 10.0
"""GiB of the cache, unless WSVAD_CACHE_GB says otherwise."""


def cache_folder() -> Path:
    """Where copies are kept: `wsvad` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsvad"


def staging(folder: Path) -> Path:
    """A folder of this machine that stands for one in a store: whoever writes there holds it."""
    return cache_folder() / "staging" / hashlib.sha256(str(folder).encode()).hexdigest()[:32]


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A path in the cache for a file that will be called like another; what is left there at the end is removed."""
    folder = cache_folder() / "part"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # of what was killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                left.unlink()
    part = folder / f"{uuid.uuid4().hex}{path.suffix}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def make_room(url: str, size: int) -> None:
    """Remove what was used least, until so much more has room.

    Raises:
        UsageError: WSVAD_CACHE_GB is no size.
        StorageError: it has no room in an empty cache.
    """
    given = os.environ.get("WSVAD_CACHE_GB") or str(CACHE)
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", given):
        raise UsageError(f"WSVAD_CACHE_GB {given}: not a number of gigabytes; write one such as 20")
    most = int(float(given) * 2**30)
    if size > most:
        raise StorageError(f"{url}: larger than the cache ({given} GiB); set WSVAD_CACHE_GB to more")
    files = []
    for file in (cache_folder() / "objects").glob("*/*"):
        with suppress(OSError):
            found = file.stat()
            files.append((found.st_mtime, found.st_size, file))
    used = sum(length for _, length, _ in files)
    for _, length, file in sorted(files):
        if used + size <= most:
            return
        shutil.rmtree(file.parent, ignore_errors=True)
        used -= length
