"""What each file of a folder is: a video that is read, a video that is not, with its reason, or something else."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

from wsvad.datasets.walk import Found, walk
from wsvad.errors import WsvadError
from wsvad.files import instead
from wsvad.video.boxes import lacks_index
from wsvad.video.kinds import is_video
from wsvad.video.names import normal
from wsvad.video.reader import open_container, video_stream
from wsvad.video.results import WHAT, is_result

Kind = Literal["video", "unread", "other"]
DOWNLOADS = {
    ".part", ".crdownload", ".download", ".partial", ".opdownload", ".filepart", ".aria2", ".!ut", ".!qb", ".tmp",
    ".temp", ".icloud",
}  # fmt: skip
"""Endings of files that a browser or another program is still writing, or has not fetched yet."""
OURS = {".safetensors", ".npy", ".npz", ".onnx", ".tflite", ".pkl", ".pt", ".pth", ".yaml", ".jsonl", ".log", ".lock"}
"""Endings of features, networks and runs, which nobody takes for a video."""
DOWNLOADING = "still downloading, or left by a download that was interrupted; wait, or download it again"
SIGNATURES = (b"PK\3\4", b"%PDF", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!")
"""How documents and archives begin: Office's, old and new, PDF, ZIP, gzip, 7-Zip, RAR."""
BEGINNING = 4096
"""Bytes by which a text is known: it has no control characters, or begins with the mark of UTF-16."""
_TYPES = mimetypes.MimeTypes(filenames=())
"""Endings as Python knows them, the same on every machine."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file, or one that cannot be reached."""

    file: str
    """Its path below the folder."""
    path: Path
    kind: Kind
    """`other`: no video, and nothing says that it should be one."""
    reason: str = ""
    """Why it is not read, and what to do; empty for a video."""
    opened: bool = False
    """It was opened as a video, and no picture could be read."""


def contents(folder: Path, root: Path) -> Iterator[Entry]:
    """What is in a folder, in order of the files' names.

    Args:
        root: the part of it that videos are read from: the folder itself, or `videos/` in it.

    Raises:
        WsvadError: the folder cannot be read.
    """
    for found in walk(folder):
        file = normal(str(found.path.relative_to(folder)))
        kind, reason = _judged(found)
        if kind == "video" and not found.path.is_relative_to(root):
            kind, reason = "unread", f"not in {root.name}/, from which alone videos are read; move it there"
        yield Entry(file=file, path=found.path, kind=kind, reason=reason)


def _judged(found: Found) -> tuple[Kind, str]:
    path, suffix = found.path, found.path.suffix.lower()
    if suffix in DOWNLOADS:
        return "unread", DOWNLOADING
    if found.problem:  # what cannot be reached, or is a pipe, is not opened
        return "unread" if found.may_be_video else "other", found.problem
    try:
        taken = path.is_file() and is_video(path)
        if found.hidden:
            # Beside each file that it copies to a disk of another kind, macOS writes one of its own: ._clip.mp4
            video = taken and not path.name.startswith("._")
            return "unread" if video else "other", "hidden (its name begins with a dot)"
        size = path.stat().st_size
        return _video(path, size) if taken else _of_content(path, suffix, size)
    except OSError as error:
        return "unread", f"{error.strerror or error}; check its rights, the disk or the network drive"


def _type(suffix: str) -> str:
    """What an ending stands for: `text`, `image`, `video` …; empty where it is not known."""
    return (_TYPES.guess_type(f"a{suffix}")[0] or "").partition("/")[0]


def _video(path: Path, size: int) -> tuple[Kind, str]:
    """A file that is taken for a video. Whether it has pictures is found when it is opened."""
    if is_result(path):
        return "unread", WHAT
    if size == 0:
        return "unread", "the file is empty (0 bytes); copy it again or leave it out"
    if what := instead(path):
        return "unread", what
    if lacks_index(path):
        return "unread", "without its index (moov): still downloading or recording, or cut off; copy it again"
    return "video", ""


def _of_content(path: Path, suffix: str, size: int) -> tuple[Kind, str]:
    """A file that is not taken for a video; it may be one for all that."""
    kind = _type(suffix)
    ending = f"unknown ending '{path.suffix}'" if path.suffix else "no ending"
    if size == 0 and kind != "video":
        return "other", "empty (0 bytes)"
    if suffix in OURS or kind in ("text", "image", "font") or _is_document(path):
        return "other", "no video by its ending"
    try:
        with open_container(path) as container:
            video_stream(container, path)
    except WsvadError:
        if kind in ("audio", "application"):  # .3gp and .bin are, and may hold a video
            return "other", "no video by its ending and content"
        return "unread", f"{ending}, and no video that can be read by its content; convert it, or move it away"
    new = f"ffmpeg -i {quote(path.name)} -c copy {quote(f'{path.stem}.mkv')}"
    return "unread", f"{ending}, though it holds a video; rename it if that is only its name, or convert it: {new}"


def _is_document(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(BEGINNING)
    if begin.startswith((b"\xff\xfe", b"\xfe\xff", *SIGNATURES)):
        return True
    return b"\0" not in begin and sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in begin) == 0
