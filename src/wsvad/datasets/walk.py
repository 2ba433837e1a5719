"""All that is in a folder and below it, and what of it cannot be reached: no rights, broken links, links in circles."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsvad.errors import WsvadError, refuse_shortage
from wsvad.storage import Remote
from wsvad.video.kinds import OTHER_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file, or what stands in the place of one."""

    path: Path
    """As it is reached, through links as they are."""
    kind: Literal["file", "folder"] = "file"
    problem: str = ""
    """Why it cannot be reached, and what to do; empty for a file."""
    lost: bool = False
    """What is there is not found by another name either."""
    hidden: bool = False
    """Its name begins with a dot. What is in a hidden folder is not listed."""

    @property
    def may_be_video(self) -> bool:
        """Whether what cannot be reached may be a video, or hold some."""
        return self.kind == "folder" or self.path.suffix.lower() not in OTHER_SUFFIXES


def walk(folder: Path) -> Iterator[Found]:
    """Each file below a folder, and each entry that cannot be reached, in order of their names.

    A link to a folder is followed, once, unless that folder contains this one or is in it: so no circle is entered, and
    no file is found by two names.

    Raises:
        WsvadError: the folder itself cannot be read.
    """
    if isinstance(folder, Remote):
        yield from _in_store(folder)
        return
    seen = {os.path.realpath(folder)}
    try:
        entries = _entries(folder)
    except OSError as error:
        refuse_shortage(error, folder)
        raise WsvadError(f"{folder}: {_why(error, 'folder')}") from None
    waiting = entries[::-1]
    while waiting:
        entry = waiting.pop()
        if entry.name.startswith("."):
            yield Found(path=Path(entry), hidden=True)
            continue
        kind, problem = _kind(entry)
        lost = bool(problem)
        if kind == "folder" and not problem:
            try:
                if entry.is_symlink():
                    problem = _entered(entry, folder, seen)
                if not problem:
                    waiting += _entries(Path(entry))[::-1]
            except OSError as error:
                refuse_shortage(error, entry.path)
                problem, lost = _why(error, "folder"), True
        if kind == "file" or problem:
            yield Found(path=Path(entry), kind=kind, problem=problem, lost=lost)


def _in_store(folder: Remote) -> Iterator[Found]:
    try:
        files = folder.below()
    except FileNotFoundError:
        raise WsvadError(f"{folder}: there is no such folder") from None
    for file in files:
        *folders, name = file.relative_to(folder).parts
        if not any(part.startswith(".") for part in folders):
            yield Found(path=file, hidden=name.startswith("."))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry[str]) -> tuple[Literal["file", "folder"], str]:
    """`file` or `folder`, and why it cannot be reached."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        refuse_shortage(error, entry.path)
        return "file", _why(error, "link" if entry.is_symlink() else "file")
    if stat.S_ISDIR(mode):
        return "folder", ""
    return "file", "" if stat.S_ISREG(mode) else "a pipe, a socket or a device, not a file; move it away"


def _entered(link: os.DirEntry[str], root: Path, seen: set[str]) -> str:
    """Why a link to a folder is not followed; from now on it was."""
    target, home = os.path.realpath(link), os.path.realpath(root)
    if os.path.commonpath((target, home)) in (target, home):
        return "a link to a folder that contains it, or that is read already; not followed"
    if target in seen:
        return "another link to the same folder; not followed again"
    seen.add(target)
    return ""


def _why(error: OSError, what: str) -> str:
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"no permission to read this {what}; change its rights ('chmod')"
        case errno.ELOOP:
            return "a link that leads in a circle; delete it"
        case errno.ENOENT if what == "link":
            return "a broken link: what it points to is not there; restore that, or delete the link"
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no such {what}"
        case _:
            return f"{error.strerror or error}; check the disk or the network drive"
