"""An object in a store as a path, and which paths are those of objects."""

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from wsvad.errors import UsageError
from wsvad.storage.asking import CREDENTIALS, StorageError, ask
from wsvad.storage.blocks import Ranged
from wsvad.storage.cache import cache_folder, make_room, temporary

_URL = re.compile(r"(s3|gs|az|file):/+(.*)", re.DOTALL)
_OTHER = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://|(s3a|s3n|gcs|abfss?|azure|wasbs?|https?|ftps?|sftp|ssh|smb|hdfs|rtsps?|memory):/)"
)
"""Any other kind; a `Path` has made one slash of two."""
_SECRET = re.compile(r"[?&;](sig|se|sp|token|x-[a-z]+-(signature|credential)|awsaccesskeyid|signature)=", re.IGNORECASE)


def place(given: Path | str) -> Path:
    """The path that somebody has given: of this machine, or a `Remote`.

    Raises:
        UsageError: a URL of another kind, without a bucket, or with credentials in it, which are not repeated.
    """
    if isinstance(given, Remote):
        return given
    text = str(given)
    if ":/" not in text:
        return Path(given)
    if found := _URL.fullmatch(text):
        scheme, rest = found[1], found[2]
        if scheme == "file":
            return Path("/" + unquote(rest))
        bucket = rest.partition("/")[0]
        if "@" in bucket or _SECRET.search(rest):
            raise UsageError(
                f"{scheme}://…: credentials do not belong into a URL; leave them out, and set {CREDENTIALS[scheme]}"
            )
        if not bucket:
            raise UsageError(f"{scheme}://: names no bucket; write {scheme}://BUCKET/FOLDER")
        return Remote(f"{scheme}:/{rest}")
    if (other := _OTHER.match(text)) and not os.path.lexists(text):
        scheme = other[1] or other[2]
        near = {"gcs": "; write gs://", "s3a": "; write s3://", "s3n": "; write s3://", "azure": "; write az://"}
        raise UsageError(
            f"{scheme}://…: nothing is read or written there{near.get(scheme, '; give a path, or s3://, gs://, az://')}"
        )
    return Path(given)


def is_remote(path: Path | str) -> bool:
    """Whether a path is that of an object, or of a folder of them."""
    return isinstance(path, Remote)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a store says of an object."""

    size: int
    """Bytes."""
    tag: str
    """Its ETag, or when it was written: another one has another."""
    written: float
    """Seconds since 1970."""

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Facts":
        """Of what fsspec says."""
        when = next((found[key] for key in ("LastModified", "last_modified", "updated", "mtime") if found.get(key)), "")
        tag = next((str(found[key]) for key in ("ETag", "etag", "generation") if found.get(key)), str(when))
        with suppress(ValueError):
            when = datetime.fromisoformat(when) if isinstance(when, str) else when
        return cls(size=int(found["size"]), tag=tag, written=when.timestamp() if isinstance(when, datetime) else 0.0)


class Remote(type(Path())):  # type: ignore[misc]
    """An object in a store, or a folder of them, as a path. Text of it is its URL; where a library of this machine's
    files takes it for one, it is given the copy in the cache."""

    facts: Facts | None = None
    """As a listing has them; they do not travel to other processes."""

    def __str__(self) -> str:
        return re.sub(r"^(s3|gs|az):/(?!/)", r"\1://", super().__str__())

    def __fspath__(self) -> str:
        return str(self.local())

    def __reduce__(self) -> tuple[Any, ...]:
        return place, (str(self),)

    @property
    def scheme(self) -> str:
        return self.parts[0].rstrip(":/")

    @property
    def key(self) -> str:
        """Bucket and key, as fsspec has them."""
        return "/".join(self.parts[1:])

    def look(self) -> Facts:
        """What the store says of the object now, or said in a listing that holds.

        Raises:
            FileNotFoundError: there is none.
            StorageError: the store does not answer, or not to us.
        """
        if self.facts is not None:
            return self.facts
        for folder, there in _listings.items():
            if str(self).startswith(f"{folder}/"):
                if str(self) not in there:
                    raise _absent(self)
                return there[str(self)]
        return self.now()

    def now(self) -> Facts:
        """What the store says of the object now. Raises as `look`."""
        found = self.ask(lambda store: store.info(self.key))
        if found["type"] != "file":
            raise _absent(self)
        return Facts.of(found)

    def check(self, facts: Facts) -> None:
        """That it still is the object of these facts.

        Raises:
            FileNotFoundError: there is none by now.
            StorageError: it is another one by now.
        """
        now = self.now()
        if (now.tag, now.size) != (facts.tag, facts.size):
            raise StorageError(f"{self}: has changed while it was read; run the same command again")

    def ask(self, request: Callable[[Any], Any]) -> Any:
        """What the store answers; as `asking.ask`."""
        return ask(str(self), self.scheme, request)

    def fresh(self) -> "Remote":
        """The same, of which nothing is known yet."""
        return Remote(self)

    def digest(self, facts: Facts) -> str:
        """A name for the object as it is by these facts, in hexadecimal."""
        whole = f"{self}\n{facts.tag}\n{facts.size}"
        return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    # ------------------------------------------------------------------------------------------- as of any path

    def absolute(self) -> "Remote":
        return self

    def resolve(self, strict: bool = False) -> "Remote":
        return self

    def is_absolute(self) -> bool:
        return True

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        found = self.look()
        whole, exact = int(found.written), {"st_mtime_ns": round(found.written * 10**9)}
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, found.size, whole, whole, whole), exact)

    def is_file(self) -> bool:
        try:
            return self.look() is not None
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        if self.facts is not None or not self.key:
            return False
        try:
            return self.ask(lambda store: store.info(self.key))["type"] == "directory"
        except FileNotFoundError:
            return False

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator["Remote"]:
        """Raises: FileNotFoundError, there is no such folder."""
        if self.key:
            found = self.ask(lambda store: store.ls(self.key, detail=True))
            yield from (self._found(one) for one in found if one["name"].rstrip("/") != self.key)

    def below(self) -> list["Remote"]:
        """Every object below a folder, in order of their names, by one listing."""
        found = self.ask(lambda store: store.find(self.key, detail=True))
        files = [self._found(one) for key, one in found.items() if not key.endswith("/") and key != self.key]
        return sorted(files, key=lambda file: file.parts)

    def rglob(self, pattern: str) -> Iterator["Remote"]:
        with suppress(FileNotFoundError):
            yield from (file for file in self.below() if fnmatchcase(file.name, pattern))

    def _found(self, one: dict[str, Any]) -> "Remote":
        path = Remote(f"{self.scheme}:/{one['name']}")
        if one["type"] == "file":
            path.facts = Facts.of(one)
        return path

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None,
             newline: str | None = None) -> IO[Any]:  # fmt: skip
        """For reading alone. What is written goes through `put`."""
        if set(mode) - set("rbt"):
            raise StorageError(f"{self}: is written as a whole, not opened for it")
        file = io.BufferedReader(Ranged(self))
        return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self.ask(lambda store: store.rm_file(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        self.ask(lambda store: store.pipe_file(self.key, b""))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """There are no folders to make."""

    # --------------------------------------------------------------------------------------------- to and from here

    def begin(self, count: int) -> bytes:
        """The first bytes of the object, and no more of it than that.

        Raises:
            FileNotFoundError: there is none.
            StorageError: it cannot be read.
        """
        end = min(count, self.look().size)

        def request(store: Any) -> bytes:
            data = store.cat_file(self.key, start=0, end=end) if end else b""
            if len(data) != end:
                raise OSError(f"{len(data)} bytes came")
            return data

        return self.ask(request)

    def put(self, file: Path) -> None:
        """Copy a file of this machine there, whole or not at all: stores show an object when all of it has come.

        Raises:
            StorageError: it cannot be written. An OSError is its cause, as of a disk.
        """

        def request(store: Any) -> None:
            store.put_file(str(file), self.key)
            if (there := store.info(self.key)["size"]) != file.stat().st_size:
                raise OSError(f"{there} bytes arrived")

        try:
            self.ask(request)
        except FileNotFoundError:
            raise StorageError(f"{self}: there is no such bucket; make it, or name another") from OSError("no bucket")
        except StorageError as error:
            raise StorageError(str(error)) from OSError(str(error))

    def local(self) -> Path:
        """A copy in the cache, of the object as it is now.

        Raises:
            FileNotFoundError: there is none.
            StorageError: it cannot be fetched; it is larger than the cache.
        """
        facts = self.look()
        path = cache_folder() / "objects" / self.digest(facts) / self.name
        if path.is_file() and path.stat().st_size == facts.size:
            with suppress(OSError):
                os.utime(path)  # the least used go first
            return path
        make_room(str(self), facts.size)
        with temporary(path) as part:

            def request(store: Any) -> None:
                store.get_file(self.key, str(part))
                if (got := part.stat().st_size) != facts.size:
                    raise OSError(f"{got} bytes of {facts.size} came")

            self.ask(request)
            self.check(facts)  # another one of the same size may have come
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
        return path


def _absent(path: Remote) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


_listings: dict[str, dict[str, Facts]] = {}
"""URL of a folder → that of each object in it → what is known of that."""


@contextmanager
def listed(folder: Path) -> Iterator[None]:
    """In the block, what is in a folder of a store is known by one listing, made now."""
    if not isinstance(folder, Remote):
        yield
        return
    there: list[Remote] = []
    with suppress(FileNotFoundError):
        there = folder.below()
    _listings[str(folder)] = {str(file): file.look() for file in there}
    try:
        yield
    finally:
        del _listings[str(folder)]


@contextmanager
def outgoing(path: Remote) -> Iterator[Path]:
    """A path of this machine to write a file to; it is put in place when the block ends well.

    Raises:
        StorageError: as `Remote.put`.
    """
    with temporary(path) as part:
        yield part
        path.put(part)


def as_now(path: Path) -> Path:
    """The same path; of an object, as it is now, which `content_hash` holds it to."""
    if isinstance(path, Remote):
        path = path.fresh()
        with suppress(FileNotFoundError):  # which opening it says
            path.facts = path.look()
    return path
