"""Whole files or none: everything that is written goes to a temporary name first and is renamed when complete."""

import errno
import hashlib
import json
import os
import re
import reprlib
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from wsvad.errors import UsageError, WsvadError, shortage
from wsvad.storage import Remote, content_hash, outgoing, place

UMASK = os.umask(0)
os.umask(UMASK)


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, delete it when it does not.

    A reader sees the old file or the new one, never a part. The temporary name keeps the suffix (writers that look
    at it work) and starts with a dot (nothing that lists a folder takes it for a result).

    Raises:
        WsvadError: the disk is full or the folder cannot be written.
    """
    path = place(path)
    if isinstance(path, Remote):
        with outgoing(path) as temporary:
            yield temporary
        return
    temporary = path.with_name(_temporary(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~UMASK)  # some writers make files that only their owner can read
        temporary.replace(path)
    except OSError as error:
        raise explain(error, path) from error
    except SafetensorError as error:
        # A writer in another language, which keeps the system's number in its text: "(os error 28)".
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            raise explain(OSError(int(number[1]), os.strerror(int(number[1]))), path) from error
        raise
    finally:
        with suppress(OSError):  # a parent that is no folder, a disk that is read-only by now: the reason was said
            temporary.unlink(missing_ok=True)


def _temporary(name: str) -> str:
    """A name beside another one, no longer than it wherever that may matter: its own beginning, the other's end."""
    end = os.fsencode(name)[-(NAME_BYTES - 10) :]
    return f".{uuid.uuid4().hex[:8]}.{end.decode('utf-8', 'ignore') if len(end) < len(os.fsencode(name)) else name}"


NAME_BYTES, PATH_BYTES = 255, 4095
"""The longest name of a file, and the longest path, on most systems."""
KEY_BYTES = 1024
"""The longest key of an object."""


def overlong(path: Path | str) -> str:
    """What no file can have, where a path asks for it; empty where it does not."""
    if isinstance(path, Remote):
        whole = len(os.fsencode(path.key))
        return f"a key of {whole:,} bytes (at most {KEY_BYTES:,})" if whole > KEY_BYTES else ""
    if len(os.fsencode(os.path.abspath(path))) <= NAME_BYTES:  # noqa: PTH100 (of a million videos)
        return ""
    path = Path(path).absolute()
    name = max(map(len, map(os.fsencode, path.parts)))
    if name > NAME_BYTES:
        return f"a file name of {name} bytes (at most {NAME_BYTES})"
    whole = len(os.fsencode(path))
    return f"a path of {whole} bytes (at most {PATH_BYTES})" if whole > PATH_BYTES else ""


def is_file(path: Path | str) -> bool:
    """Whether a file is there. `Path.is_file` fails where the name is too long to ask for."""
    found = _stored(path)
    return os.path.isfile(path) if found is None else found.is_file()  # noqa: PTH113


def is_folder(path: Path | str) -> bool:
    """Whether a folder is there; as `is_file`."""
    found = _stored(path)
    return os.path.isdir(path) if found is None else found.is_dir()  # noqa: PTH112


def _stored(path: Path | str) -> Remote | None:
    """A path in a store, or its text; None for one of this machine."""
    if isinstance(path, Remote):
        return path
    found = place(path) if isinstance(path, str) and "://" in path else None
    return found if isinstance(found, Remote) else None


def local_only(path: Path) -> None:
    """Refuse a place in a store for what is written, and changed, on this machine alone.

    Raises:
        UsageError: it is one.
    """
    if isinstance(path, Remote):
        raise UsageError(f"{path}: only features are written to a store; give a local folder")


def path_of(name: str, given: object) -> Path:
    """The path that somebody gave for the argument of that name.

    Raises:
        UsageError: it is none.
    """
    if isinstance(given, str | Path) and str(given) and "\0" not in str(given):
        return place(given)
    raise UsageError(f"{name} {reprlib.repr(given)}: not a path; give it as text or as a pathlib.Path")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `atomic`, for a folder that is empty or not there yet.

    Raises:
        WsvadError: the disk is full, or it cannot be written here.
    """
    local_only(path)
    temporary = path.with_name(_temporary(path.name))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.is_dir():
            path.rmdir()
        temporary.rename(path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(folder: Path | str) -> None:
    """Find out whether a folder can be made and written to, before work that would be lost. It is not made yet.

    Raises:
        WsvadError: it cannot, or the disk is full.
    """
    folder = place(folder)
    local_only(folder)
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise explain(error, folder) from error


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link the link.

    Raises:
        WsvadError: the system refuses.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> WsvadError:
    """Turn the operating system's refusal to write `path` into a line that says what to do."""
    if short := shortage(error):
        return WsvadError(f"{path}: {short}")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return WsvadError(f"{path}: the disk is full; free some space and run the same command again")
        case errno.EACCES | errno.EROFS | errno.EPERM:
            return WsvadError(f"{path}: no permission to write here; choose another folder")
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR | errno.EEXIST:
            return WsvadError(f"{path}: {error.strerror}; choose another place to write to")
        case errno.EAGAIN:
            return WsvadError(f"{path}: does not wait until all is read; write to a file, or through '| cat'")
        case errno.ENAMETOOLONG:
            return WsvadError(f"{path}: the name is too long for a file; choose a shorter one")
        case errno.EFBIG:
            return WsvadError(f"{path}: a file as large as this may not be written here ('ulimit -f', or the disk)")
        case _:
            return WsvadError(f"{path}: {error.strerror or error}")


def check_file(path: Path | str, most: int | None = None) -> None:
    """Look at a file before it is read: a pipe would be waited for, and a device never ends.

    Args:
        most: bytes that it may have.

    Raises:
        WsvadError: there is none, it is no plain file, or it is larger.
    """
    try:
        found = place(path).stat()
    except FileNotFoundError:
        raise WsvadError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # also a name that is too long, or has a NUL in it
        raise WsvadError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise WsvadError(f"{path}: not a file that can be read as a whole; name a plain file")
    if most is not None and found.st_size > most:
        unit, of = ("MB", 2**20) if most >= 2**20 else ("kB", 2**10)
        size, limit = (f"{size / of:,.0f} {unit}" for size in (found.st_size, most))
        raise WsvadError(f"{path}: {size}, where such a file has at most {limit}; divide it, or name the right file")


def instead(path: Path) -> str | None:
    """What a file is that was downloaded in place of another one, and what to do; None for any other file."""
    if not is_file(path):  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            begin = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError:
        return None
    if begin.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")) and b"html" in begin:
        return "an HTML page, which the server gave in place of the file; open the address in a browser and download it"
    if begin.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself; fetch it with 'git lfs pull'"
    return None


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, whole or not at all. Bytes of a path that are no text are written "\\udcff", which JSON
    reads back."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON, whole or not at all; NaN is written as null."""
    write_text(path, json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path | str, what: str = "text in UTF-8", most: int | None = None, remedy: str = "") -> str:
    """Read a text file of at most so many bytes; `what` it should be, and what to do if it is not. A byte order mark is
    no part of it.

    Raises:
        WsvadError: it is missing, is no plain file, is larger, cannot be read or is not UTF-8.
    """
    check_file(path, most)
    try:
        return place(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise WsvadError(_damaged(path, what, error, remedy)) from None


def _damaged(path: Path | str, what: str, error: Exception, remedy: str) -> str:
    return f"{path}: not {what} ({' '.join(str(error).split())}){remedy and f'; {remedy}'}"


def read_json(path: Path | str, text: str | None = None, most: int | None = None, remedy: str = "") -> Any:
    """Read JSON of at most so many bytes; of a file that is a part of another, from its text.

    Raises:
        WsvadError: the file is missing, larger, or is not JSON.
    """
    try:
        return json.loads(read_text(path, "valid JSON", most, remedy) if text is None else text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and brackets without end
        raise WsvadError(_damaged(path, "valid JSON", error, remedy)) from None


MANY_NODES = 100_000
"""Values in a YAML file, counted as often as they are referred to; no setting has more."""
MANY_DIGITS = 1000
"""Characters of a number in one: with more, those in base 60 (1:30) take minutes."""


def read_yaml(path: Path | str, remedy: str) -> Any:
    """Read YAML that this program wrote.

    Raises:
        WsvadError: the file is missing or is not YAML.
    """
    try:
        return parse_yaml(read_text(path, "valid YAML", remedy=remedy), yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise WsvadError(_damaged(path, "valid YAML", error, remedy)) from None


def parse_yaml(text: str, loader: type[yaml.SafeLoader] | type[yaml.BaseLoader]) -> Any:
    """Plain values: no objects, and no references that stand for more than fits into memory.

    Raises:
        YAMLError: it is something else.
    """
    try:
        reader = loader(text)
        node = reader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MANY_NODES:
            raise yaml.YAMLError("more values than a setting has, or a value that contains itself")
        return reader.construct_document(node)
    except (ValueError, LookupError, AttributeError, RecursionError, ArithmeticError) as error:
        # Of tags on what they are not for, and of numbers in base 60 that are too large.
        raise yaml.YAMLError(str(error)) from None


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for."""
    if node.tag in _NUMBERS and len(node.value) > MANY_DIGITS:
        raise yaml.YAMLError(f"a number of {len(node.value):,} characters")
    if id(node) not in known:
        known[id(node)] = MANY_NODES + 1  # of one that contains itself
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]


def without_nan(value: Any) -> Any:
    """Replace NaN by None in nested dictionaries and lists (a metric that is undefined is null in JSON)."""
    match value:
        case dict():
            return {key: without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [without_nan(item) for item in value]
        case float() if value != value:
            return None
        case _:
            return value


SAMPLE = 64 * 1024
"""Bytes that `sampled_sha256` reads at the beginning, in the middle and at the end of a file."""


def sampled_sha256(paths: Sequence[Path]) -> str:
    """SHA-256 of the sizes of files and of samples of their bytes: enough to see that large arrays were replaced, and
    cheap; files that are small are read whole."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for start in sorted({0, max(0, (size - SAMPLE) // 2), max(0, size - SAMPLE)}):
                file.seek(start)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def sha256(path: Path | str, *more: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; of several files, that of theirs one after the other."""
    if more:
        return hashlib.sha256("".join(map(sha256, (path, *more))).encode()).hexdigest()
    path = place(path)
    if isinstance(path, Remote):
        return content_hash(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(label: str) -> str:
    """A label as the name of a folder."""
    for letter, name in zip("πταδλ", ("pi", "tau", "alpha", "delta", "lambda"), strict=True):
        label = label.replace(letter, name)
    return re.sub(r"[^\w]+", "-", label.lower()).strip("-")
