"""Files in an object store, by URL: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`.

`place` makes of what somebody gave a path of this machine (also of `file:///PATH`), or a `Remote`: a path, too, with
the methods that
readers of files use. Objects are read in blocks as they are asked for; what only reads files of this machine gets a
copy in a cache of bounded size. An object is put whole, so that no reader ever sees a part of one.

Credentials are looked for by each store's own library, in the environment and its files of settings. What a library
says of an error is never shown, as it might hold some; only its code is.
"""

import errno
import hashlib
import io
import os
import random
import re
import shutil
import stat
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, Any
from urllib.parse import unquote

from wsvad.errors import UsageError, WsvadError, shortage

EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
"""Scheme → the extra that installs what it needs."""
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or 'gcloud auth application-default login'",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Scheme → where its credentials are looked for."""
TRIES, WAIT, LONGEST_WAIT = 8, 0.5, 10.0
"""Requests before one is given up, and seconds between the first two, doubled each time up to the longest."""
CONNECT, ANSWER = 10, 60
"""Seconds for a connection, and for an answer."""
BLOCK, BLOCKS, OBJECTS = 2 * 2**20, 4, 4
"""Bytes that are read at once, how many times that is held of an object, and of how many objects."""
CACHE = 10.0
"""GiB of the cache, unless WSVAD_CACHE_GB says otherwise."""

_URL = re.compile(r"(s3|gs|az|file):/+(.*)", re.DOTALL)
_OTHER = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://|(s3a|s3n|gcs|abfss?|azure|wasbs?|https?|ftps?|sftp|ssh|smb|hdfs|rtsps?|memory):/)"
)
"""Any other kind; a `Path` has made one slash of two."""
_SECRET = re.compile(r"[?&;](sig|se|sp|token|x-[a-z]+-(signature|credential)|awsaccesskeyid|signature)=", re.IGNORECASE)


class StorageError(WsvadError):
    """A store does not do what it is asked for."""


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
            if self.key.startswith(f"{folder}/"):
                if self.key not in there:
                    raise _absent(self)
                return there[self.key]
        found = self.ask(lambda store: store.info(self.key))
        if found["type"] != "file":
            raise _absent(self)
        return Facts.of(found)

    def ask(self, request: Callable[[Any], Any]) -> Any:
        """What a store answers, asked again while it is busy or cannot be reached.

        Raises:
            FileNotFoundError: there is no such object, or no such bucket.
            StorageError: no, or no answer.
            UsageError: what is needed for such a store is not installed.
        """
        said = ""
        for turn in range(TRIES):
            if turn:
                time.sleep(min(WAIT * 2 ** (turn - 1), LONGEST_WAIT) * random.uniform(0.5, 1))
            try:
                return request(store_of(self.scheme))
            except (FileNotFoundError, WsvadError):
                raise
            except Exception as error:
                said, final = _reason(error, self.scheme)
            if final:
                raise StorageError(f"{self}: {said}") from None
        raise StorageError(
            f"{self}: {said}, {TRIES} times in a row; run the same command again later, with fewer --workers if it is "
            "too busy"
        )

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
        file = io.BufferedReader(_Ranged(self))
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
        path = cache_folder() / "objects" / _digest(self, facts) / self.name
        if path.is_file() and path.stat().st_size == facts.size:
            with suppress(OSError):
                os.utime(path)  # the least used go first
            return path
        _make_room(self, facts.size)
        with _temporary(path) as temporary:

            def request(store: Any) -> None:
                store.get_file(self.key, str(temporary))
                if (got := temporary.stat().st_size) != facts.size:
                    raise OSError(f"{got} bytes of {facts.size} came")

            self.ask(request)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        return path


def _absent(path: Remote) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _deleted(path: Remote) -> StorageError:
    return StorageError(f"{path}: was deleted while it was read; put it back, or leave it out")


# --------------------------------------------------------------------------------------------------- asking a store


@cache
def store_of(scheme: str) -> Any:
    """The file system of fsspec for a scheme, which neither repeats requests by itself nor remembers listings.

    Raises:
        UsageError: it is not installed.
    """
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        limits = {"connect_timeout": CONNECT, "read_timeout": ANSWER, "retries": {"total_max_attempts": 1}}
        options["config_kwargs"] = limits
    try:
        import fsspec

        store = fsspec.filesystem(scheme, **options)
    except ImportError:
        raise UsageError(f"{scheme}://: needs another package; pip install 'wsvad[{EXTRAS[scheme]}]'") from None
    if scheme == "s3":
        store.retries = 1
    return store


_BUSY = {"SlowDown", "RequestLimitExceeded", "TooManyRequests", "Throttling", "ThrottlingException", "ServerBusy",
         "ServiceUnavailable", "429", "503"}  # fmt: skip
_DENIED = {"AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
           "AllAccessDisabled", "401", "403"}  # fmt: skip
_ANONYMOUS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ClientAuthenticationError",
              "ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError"}  # fmt: skip


def _reason(error: BaseException, scheme: str) -> tuple[str, bool]:
    """What an error of a store means, and whether to ask again is of no use. Its own words may hold what is secret."""
    if short := shortage(error):
        return short, True
    names, codes = set[str](), set[str]()
    at: BaseException | None = error
    while at is not None:
        names.add(type(at).__name__)
        response = getattr(at, "response", None)
        if isinstance(response, dict):
            codes.add(str(response.get("Error", {}).get("Code", "")))
            codes.add(str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")))
        codes.update(str(vars(at).get(name, "")) for name in ("code", "status", "status_code", "error_code"))
        at = at.__cause__ or at.__context__
    if names & _ANONYMOUS or (isinstance(error, ValueError) and scheme == "az"):
        return f"no credentials are found; set {CREDENTIALS[scheme]}", True
    if codes & _DENIED or "PermissionError" in names:
        return f"access is denied; check the rights to it, and the credentials ({CREDENTIALS[scheme]})", True
    if codes & _BUSY:
        return f"the store is too busy ({', '.join(sorted(codes & _BUSY))})", False
    if names & {"TimeoutError", "ConnectTimeoutError", "ReadTimeoutError", "FSTimeoutError", "ServerTimeoutError"}:
        return "no answer in time", False
    if names & {"EndpointConnectionError", "ClientConnectorError", "ConnectionError", "ConnectionRefusedError"}:
        return "no connection to the store", False
    code = next((code for code in sorted(codes) if re.fullmatch(r"[A-Za-z]\w{2,40}|[45]\d\d", code)), "")
    return f"the store fails ({code or type(error).__name__})", False


_listings: dict[str, dict[str, Facts]] = {}
"""Folder, as a key → all that is in it."""


@contextmanager
def listed(folder: Path) -> Iterator[None]:
    """In the block, what is in a folder of a store is known by one listing, made now."""
    if not isinstance(folder, Remote):
        yield
        return
    there: list[Remote] = []
    with suppress(FileNotFoundError):
        there = folder.below()
    _listings[folder.key] = {file.key: file.look() for file in there}
    try:
        yield
    finally:
        del _listings[folder.key]


# ------------------------------------------------------------------------------------------------- reading in blocks


class _Object:
    """Some blocks of an object, and the hash of as much of it as was read in order."""

    def __init__(self, path: Remote, facts: Facts):
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
            raise _deleted(self.path) from None

    def sha256(self) -> str:
        """Hash of all of it; what was not read yet is.

        Raises:
            StorageError: it is another object by now.
        """
        while self._hashed < self.facts.size:
            self.block(self._hashed // BLOCK)
        return self._hash.hexdigest()


_objects: OrderedDict[str, _Object] = OrderedDict()


def _object(path: Remote) -> _Object:
    facts = path.look()
    key = _digest(path, facts)
    if key not in _objects:
        _objects[key] = _Object(path, facts)
        if len(_objects) > OBJECTS:
            _objects.popitem(last=False)
    _objects.move_to_end(key)
    return _objects[key]


class _Ranged(io.RawIOBase):
    """An object as a file."""

    def __init__(self, path: Remote):
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


def content_hash(path: Remote) -> str:
    """SHA-256 of an object's bytes, in hexadecimal. Of one that was hashed on this machine before it is remembered, for
    which the store says that it is the same.

    Raises:
        FileNotFoundError: there is none.
        StorageError: it cannot be read; it was replaced meanwhile.
    """
    found = _object(path)
    known = cache_folder() / "hashes" / _digest(path, found.facts)
    with suppress(OSError):
        if re.fullmatch("[0-9a-f]{64}", said := known.read_text(encoding="ascii")):
            return said
    digest = found.sha256()
    try:
        now = Remote(path).look()
    except FileNotFoundError:
        raise _deleted(path) from None
    if now.tag != found.facts.tag:
        raise StorageError(f"{path}: has changed while it was read; run the same command again")
    with suppress(OSError), _temporary(known) as temporary:
        temporary.write_text(digest, encoding="ascii")
        known.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(known)
    return digest


# ---------------------------------------------------------------------------------------------------------- the cache


def cache_folder() -> Path:
    """Where copies are kept: `wsvad` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsvad"


def staging(folder: Path) -> Path:
    """A folder of this machine that stands for one in a store: whoever writes there holds it."""
    return cache_folder() / "staging" / hashlib.sha256(str(folder).encode()).hexdigest()[:32]


def _digest(path: Remote, facts: Facts) -> str:
    return hashlib.sha256(f"{path}\n{facts.tag}\n{facts.size}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path in the cache for a file that will be called like another; what is left there at the end is removed."""
    folder = cache_folder() / "part"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # of what was killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                left.unlink()
    temporary = folder / f"{uuid.uuid4().hex}{path.suffix}"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def outgoing(path: Path) -> Iterator[Path]:
    """A path of this machine to write a file to; it is put in place when the block ends well.

    Raises:
        StorageError: as `Remote.put`.
    """
    with _temporary(path) as temporary:
        yield temporary
        place(path).put(temporary)  # type: ignore[attr-defined]


def _make_room(path: Remote, size: int) -> None:
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
        raise StorageError(f"{path}: larger than the cache ({given} GiB); set WSVAD_CACHE_GB to more")
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
