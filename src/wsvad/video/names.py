"""What a video is called: its path below the folder that was given, the same on every system and in every file.

    gate/cam0.mp4       for  gate\\cam0.mp4, ./gate/cam0.mp4 and gate//cam0.mp4, and for é in one character or in two

A name has `/` between its parts and is in Unicode's composed form (NFC); Windows writes `\\`, and macOS takes letters
apart (NFD). It never leads out of the folder, and it can be written as UTF-8.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsvad.errors import WsvadError
from wsvad.storage import is_remote

UNDECODED = re.compile("[\ud800-\udfff]")
"""How Python holds the bytes of a file's name that are not text."""
LONGEST = 255
"""Bytes of the longest part of a name that file systems take."""
ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
_VIDEOS = "mp4|avi|mkv|mov|m4v|webm|mpe?g|wmv|flv"
FILE_ENDING = rf"\.(?:npy|npz|pt|pth|pkl|h5|hdf5|mat|safetensors|{_VIDEOS}|txt)"
"""What the files of a video end in, theirs and those of its features, as a pattern."""
BACKBONES = (
    "i3d", "s3d", "c3d", "x3d", "r21d", "resnet", "rgb", "flow", "vggish", "audio", "clip", "vit", "swin", "videomae",
    "emb", "text",
)  # fmt: skip
"""What stands between a video's name and a feature file's ending, behind `_` or `__`."""
_FILE_ENDING = re.compile(rf"{FILE_ENDING}$", re.IGNORECASE)
_VIDEO_ENDING = re.compile(rf"\.(?:{_VIDEOS})$", re.IGNORECASE)
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
    A number behind a single `_` may be a video's (`Assault_1`), so it stays in the name, and so does all that stands
    before a video's own ending: `lobby_clip.mp4` is a video beside `lobby.mp4`.
    """
    return _taken_off(normal(text).rpartition("/")[2])[-1]


def _taken_off(name: str) -> list[Named]:
    """What the name of a file says, first with as much of it as may be the video's, last with as little."""
    backbone, crop, whole, found = "", None, False, [Named(video=name)]
    while len(name) <= LONGEST:  # a longer one is that of no file
        if taken := _FILE_ENDING.search(name):
            whole = whole or _VIDEO_ENDING.search(name) is not None
        elif whole:
            return found
        elif taken := _BACKBONE.search(name):
            backbone = backbone or taken[1].lower()
        elif crop is None and (taken := _CROP.search(name)):
            crop = int(taken[1])
        if not taken or not taken.start():
            return found
        name = name[: taken.start()]
        found.append(Named(video=name, backbone=backbone, crop=crop))
    return found


FOLDERS = 16
"""Folders in front of a name that are looked at, from the last one on."""


def matched(names: Iterable[str], videos: Iterable[str]) -> Mapping[str, str]:
    """Which of the videos each name means: name → video, for those that mean one.

    A name that is a video's is that video. Another one is the only video that is called so with less of an ending, a
    backbone and a crop (`named`), and whose folders are its own as far as both have some: `Abuse/x.mp4` and
    `/data/Abuse/x.npy` are `x` and `Abuse/x`, but `door/0900.mp4` is not `gate/0900.mp4`. Nothing else may mean that
    video as well: two crops are not one video.
    """
    names, known = list(names), set(videos)
    found = {name: name for name in names if name in known}
    whole: dict[str, set[str]] = {}
    ends: dict[str, set[str]] = {}
    for video in known:
        for paths in _paths(video):
            whole.setdefault(paths[-1], set()).add(video)
            for path in paths:
                ends.setdefault(path, set()).add(video)
    guessed: dict[str, str] = {}
    for name in (name for name in names if name not in found):
        for paths in _paths(name):
            those = ends.get(paths[-1], set()).union(*(whole.get(path, set()) for path in paths))
            if those:
                if len(those) == 1 and not those & found.keys():
                    (guessed[name],) = those
                break
    times = Counter(guessed.values())
    return found | {name: video for name, video in guessed.items() if times[video] == 1}


def _paths(text: str) -> Iterator[list[str]]:
    """What may be a video's name in that of a file, from all of it to the least (`named`), each time without folders,
    then with one more of them, up to all."""
    *folders, last = normal(text).rsplit("/", FOLDERS + 1)[-FOLDERS - 1 :]
    for file in _taken_off(last):
        yield ["/".join([*folders[len(folders) - count :], file.video]) for count in range(len(folders) + 1)]


def is_end(name: str, other: str) -> bool:
    """Whether one of two names, or of two folders, is the end of the other: `gate/a.mp4` is that of `x/gate/a.mp4`."""
    return f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")


def file_stems(videos: Sequence[str]) -> dict[str, str]:
    """Video → what files about it are named after, its name without the ending: `gate/cam0` for `gate/cam0.avi`. Where
    two would share one, they keep the ending."""
    stems = {video: str(PurePosixPath(video).with_suffix("")) for video in videos}
    times = Counter([*stems.values(), *videos])
    return {video: stem if times[stem] == 1 + (stem == video) else video for video, stem in stems.items()}


def taken_apart(name: str) -> str:
    """A name in the form that macOS gives (NFD): earlier versions kept it where they found it so."""
    return unicodedata.normalize("NFD", name)


def distinct_names(videos: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Names and files, those that share a name with as many of their parent folders as tell them apart.

    Raises:
        WsvadError: the paths of two files differ in nothing that a name keeps.
    """
    # Without `..`, but with links as they were given: `Path.resolve` would follow them.
    absolute = {path: path if is_remote(path) else Path(os.path.abspath(path)) for _, path in videos}  # noqa: PTH100
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
