"""A file with one line of JSON an alert."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wsvad.files import explain
from wsvad.sinks.alert import Alert

LONGEST = 1 << 20
"""Bytes of what may be the beginning of a line of ours."""


@dataclass(frozen=True, kw_only=True)
class JsonLinesConfig:
    """A file that grows."""

    path: str
    """The file; it is made, and written behind what is there."""


class JsonLines:
    """A line is whole or not there: what a kill or a full disk has left of one is removed before the next."""

    config_class = JsonLinesConfig

    def __init__(self, settings: JsonLinesConfig):
        self._path = Path(settings.path).expanduser()

    def deliver(self, alert: Alert) -> None:
        line = json.dumps(alert.as_dict(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                whole = _without_part(file)
                try:
                    _write(file, line)
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(file, whole)
                    raise
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise explain(error, self._path) from error


def _write(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]


def _without_part(file: int) -> int:
    """Cut off what stands behind the last end of a line, unless it is a line that only lacks its end; the length."""
    size = os.fstat(file).st_size
    start = max(0, size - LONGEST)
    behind = os.pread(file, size - start, start)
    part = behind[behind.rfind(b"\n") + 1 :]
    if not part:
        return size
    try:
        json.loads(part)
    except ValueError:
        if len(part) < LONGEST:
            os.ftruncate(file, size - len(part))
            return size - len(part)
    _write(file, b"\n")
    return size + 1
