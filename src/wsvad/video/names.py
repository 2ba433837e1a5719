"""What a video is called: its path below the folder that was given, the same on every system and in every file.

    gate/cam0.mp4       for  gate\\cam0.mp4, ./gate/cam0.mp4 and gate//cam0.mp4, and for é in one character or in two

A name has `/` between its parts and is in Unicode's composed form (NFC); Windows writes `\\`, and macOS takes letters
apart (NFD). It never leads out of the folder, and it can be written as UTF-8.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wsvad.errors import WsvadError

UNDECODED = re.compile("[\ud800-\udfff]")
"""How Python holds the bytes of a file's name that are not text."""
LONGEST = 255
"""Bytes of the longest part of a name that file systems take."""
ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
FILE_ENDING = r"\.(?:npy|npz|pt|pth|pkl|h5|hdf5|mat|safetensors|mp4|avi|mkv|mov|m4v|webm|mpe?g|wmv|flv|txt)"
"""What the files of a video end in, theirs and those of its features, as a pattern."""
BACKBONES = (
    "i3d", "s3d", "c3d", "x3d", "r21d", "resnet", "rgb", "flow", "vggish", "audio", "clip", "vit", "swin", "videomae",
    "emb", "text",
)  # fmt: skip
"""What stands between a video's name and a feature file's ending, behind `_` or `__`."""
_FILE_ENDING = re.compile(rf"{FILE_ENDING}$", re.IGNORECASE)
_BACKBONE = re.compile(rf"__?({'|'.join(BACKBONES)})$", re.IGNORECASE)
_CROP = re.compile(r"__(\d\d?)$")


def normal(text: str) -> str:
    """A name as it is compared and kept, whoever wrote it. Two texts are the same video if these are equal.

    Every text has one: a path that leads out of the folder, which scores of other systems may have, stays one.
    """
    text = UNDECODED.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", text)
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    parts = [part for part in (part.strip() for part in text.split("/")) if part not in ("", ".")]
    return "/" * text.strip().startswith("/") + "/".join(parts)


def unfit(name: str) -> str:
    """Why no file can have this name; empty where one can."""
    if "\0" in name:
        return "has a NUL in it"
    long = max(len(part.encode()) for part in name.split("/"))
    return f"has a part of {long:,} bytes, where files have at most {LONGEST}" if long > LONGEST else ""


def checked_name(text: str) -> str:
    """The name that somebody wrote into a list.

    Raises:
        WsvadError: it is empty, absolute, or has a part `..`, or no file can have it.
    """
    name = normal(text)
    if not name or ABSOLUTE.match(name) or ".." in name.split("/"):
        raise WsvadError(f"{text} lies outside the folder; use names relative to it")
    if said := unfit(name):
        raise WsvadError(f"the name of a video {said}: '{name}'; rename it")
    return name


def video_name(path: Path, folder: Path | None = None) -> str:
    """The name of a video file: its path below a folder; of a file that was given by itself, its own name.

    Raises:
        WsvadError: the file's name cannot be a video's (a folder called `c:`).
    """
    return checked_name(path.name if folder is None else str(path.relative_to(folder)))


@dataclass(frozen=True, kw_only=True)
class Named:
    """What the name of a file of a video says."""

    video: str
    """The video's name, without folder, ending, backbone and crop."""
    backbone: str = ""
    """What stands behind the video's name, `i3d`, in lower case; empty where nothing does."""
    crop: int | None = None
    """Which crop, where there is a number behind `__`."""


def named(text: str) -> Named:
    """Take the name of any file of a video apart: of a list, an annotation, a feature file, a scores file.

    `…/Abuse/Abuse001_x264__7.npy`, `Abuse001_x264_i3d.npy` and `Abuse/Abuse001_x264.mp4` are all of `Abuse001_x264`.
    A number behind a single `_` may be a video's (`Assault_1`), so it stays in the name.
    """
    name, backbone, crop = normal(text).rpartition("/")[2], "", None
    while True:
        if found := _FILE_ENDING.search(name):
            pass
        elif found := _BACKBONE.search(name):
            backbone = backbone or found[1].lower()
        elif crop is None and (found := _CROP.search(name)):
            crop = int(found[1])
        if not found or not found.start():
            return Named(video=name, backbone=backbone, crop=crop)
        name = name[: found.start()]


def matched(names: Iterable[str], videos: Iterable[str]) -> Mapping[str, str]:
    """Which of the videos each name means: name → video, for those that mean one.

    A name that is a video's is that video. Another one is the only video that is called so without folder, ending,
    backbone and crop (`named`), if nothing else means that video as well: two crops are not one video.
    """
    names, known = list(names), set(videos)
    found = {name: name for name in names if name in known}
    by_bare: dict[str, list[str]] = {}
    for video in known:
        by_bare.setdefault(named(video).video, []).append(video)
    guessed = {
        name: those[0]
        for name in names
        if name not in found and len(those := by_bare.get(named(name).video, [])) == 1 and those[0] not in found
    }
    times = list(guessed.values())
    return found | {name: video for name, video in guessed.items() if times.count(video) == 1}


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
