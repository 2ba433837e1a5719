"""What a video is called: its path below the folder that was given, the same on every system and in every file.

    gate/cam0.mp4       for  gate\\cam0.mp4, ./gate/cam0.mp4 and gate//cam0.mp4, and for é in one character or in two

A name has `/` between its parts and is in Unicode's composed form (NFC); Windows writes `\\`, and macOS takes letters
apart (NFD). It never leads out of the folder, and it can be written as UTF-8.
"""

import os
import re
import unicodedata
from pathlib import Path

from wsvad.errors import WsvadError

_UNDECODED = re.compile("[\ud800-\udfff]")
"""How Python holds the bytes of a file's name that are not text."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def normal(text: str) -> str:
    """A name as it is compared and kept, whoever wrote it. Two texts are the same video if these are equal.

    Every text has one: a path that leads out of the folder, which scores of other systems may have, stays one.
    """
    text = _UNDECODED.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", text)
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    parts = [part for part in (part.strip() for part in text.split("/")) if part not in ("", ".")]
    return "/" * text.strip().startswith("/") + "/".join(parts)


def checked_name(text: str) -> str:
    """The name that somebody wrote into a list.

    Raises:
        WsvadError: it is empty, absolute, or has a part `..`.
    """
    name = normal(text)
    if not name or _ABSOLUTE.match(name) or ".." in name.split("/"):
        raise WsvadError(f"{text} lies outside the folder; use names relative to it")
    return name


def video_name(path: Path, folder: Path | None = None) -> str:
    """The name of a video file: its path below a folder; of a file that was given by itself, its own name.

    Raises:
        WsvadError: the file's name cannot be a video's (a folder called `c:`).
    """
    return checked_name(path.name if folder is None else str(path.relative_to(folder)))


def taken_apart(name: str) -> str:
    """A name in the form that macOS gives (NFD): earlier versions kept it where they found it so."""
    return unicodedata.normalize("NFD", name)


def distinct_names(videos: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Names and files, those that share a name with as many of their parent folders as tell them apart.

    Raises:
        WsvadError: the paths of two files differ in nothing that a name keeps.
    """
    # Without `..`, but with links as they were given: `Path.resolve` would follow them.
    absolute = {path: Path(os.path.abspath(path)) for _, path in videos}  # noqa: PTH100
    whole = {path: normal(str(full.relative_to(full.anchor))) for path, full in absolute.items()}
    names = {path: name for name, path in videos}
    while shared := _sharing(names):
        growing = [path for path in shared if names[path] != whole[path]]
        if not growing:
            raise WsvadError(f"{shared[0]}: another file that was given has the same name; rename one of them")
        for path in growing:
            start = whole[path].rfind("/", 0, len(whole[path]) - len(names[path]) - 1) + 1
            names[path] = whole[path][start:]
    return [(names[path], path) for _, path in videos]


def _sharing(names: dict[Path, str]) -> list[Path]:
    """The files whose name another one has as well."""
    by_name: dict[str, list[Path]] = {}
    for path, name in names.items():
        by_name.setdefault(name, []).append(path)
    return [path for paths in by_name.values() if len(paths) > 1 for path in paths]
