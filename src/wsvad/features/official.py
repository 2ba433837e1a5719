"""Feature files of public releases, read in place: `.npy` arrays whose names and shapes say what they are.

    name__0.npy … name__9.npy     one file a crop, each (T, D)             I3D-1024 and CLIP of UCF-Crime, XD-Violence
    name_0.npy … name_9.npy       the same                                 I3D-1024 of ShanghaiTech
    name.npy, name__1.npy …       the same, the first crop has no number   I3D-1024 of UCF-Crime, in lists of methods
    name_i3d.npy                  (T, C, D), ten or five crops             I3D-2048 of RTFM, TEVAD, MSAD
    name__vggish.npy              (T, D), shared by all crops              VGGish of XD-Violence
    name_emb.npy                  (T, D)                                   captions of TEVAD
    name.npy                      any of these                             S3D, Video-Swin, …

They may lie in folders below (`train/`, `Abuse/`), or be named by lists (`path,label` of VadCLIP, one path a line of
the others) whose paths are looked for as they stand, and then below the list's folder. Nothing is unpickled.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, single
from wsvad.files import check_file, instead
from wsvad.spelling import reason
from wsvad.tables import MOST_BYTES
from wsvad.tables.forms import encoding_of
from wsvad.video.clock import SNIPPET
from wsvad.video.names import BACKBONES, FILE_ENDING, is_end, named, normal

CROPS = (5, 10)
"""How many crops releases have."""
LISTS = (".csv", ".list", ".txt")
RELEASE = "release"
"""What the passport of a public release says of its encoder."""
UNKNOWN_TAIL = "unknown"
"""Passport entry: whether the extractor kept, padded or dropped a video's last frames cannot be read from the file."""


def holds_arrays(folder: Path) -> bool:
    """Whether a folder has `.npy` files in it or below, or a list of some, and none of our own feature files."""
    first = next(files_below(folder, ".npy", ".safetensors"), None)
    return first.suffix.lower() == ".npy" if first else any(listed_arrays(folder))


def files_below(folder: Path, *endings: str) -> Iterator[Path]:
    """Files with one of these endings, in a folder and below; also behind links, by which releases are often put
    together (`Path.rglob` stops at them)."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if name.lower().endswith(endings))


def listed_arrays(folder: Path) -> Iterator[str]:
    """Paths of `.npy` files as the lists in a folder (or the list that is given) have them, with `/` between parts."""
    there = [folder] if folder.is_file() else sorted(folder.iterdir())
    lists = [path for path in there if path.is_file() and (path == folder or path.suffix.lower() in LISTS)]
    for path in lists:
        if path == folder:
            check_file(path, MOST_BYTES)
        elif not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        try:
            # What merely lies in a folder may be any text, and names no file then.
            text = path.read_text(encoding=encoding_of(path), errors="strict" if path == folder else "replace")
        except (UnicodeError, OSError) as error:
            raise WsvadError(f"{path}: not a list of feature files ({error})") from None
        for line in text.splitlines():
            if found := re.match(r"\s*\"?([^#\s\"].*?\.npy)\b", line, re.IGNORECASE):
                yield found[1].replace("\\", "/")


def read_array(
    path: Path, what: str = "a feature array", remedy: str = "download or extract it again", most: int | None = None
) -> np.ndarray:
    """An array from a `.npy` file, mapped into memory, not read.

    Args:
        what: it should be, and what to do (`remedy`) where it is not.
        most: bytes that the file may have.

    Raises:
        WsvadError: it is missing, too large, cut off, or holds objects (which would have to be unpickled).
    """
    check_file(path, most)
    try:
        with np.errstate(all="ignore"):  # sizes beyond counting
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of several arrays")
        return array
    except Exception as error:  # the header is read as Python, whose errors of all kinds come through
        if told := instead(path):
            raise WsvadError(f"{path}: {told}") from None
        why = "it holds pickled objects, not numbers" if "Python objects" in str(error) else reason(error)
        raise WsvadError(f"{path}: not {what} ({why}); {remedy}") from None


def _bare(video: str) -> str:
    """A video's name without its ending."""
    return re.sub(rf"{FILE_ENDING}$", "", normal(video), flags=re.IGNORECASE)


class OfficialStream:
    """One stream of a public release."""

    def __init__(self, place: Path, stream: str):
        """`place` is a folder, or a list of feature files."""
        self.place = place
        self.stream = stream
        self._asked: dict[Path, str] = {}
        """File → the first video whose it is."""

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Every `.npy` file by its name without ending; more than one path where several files have that name."""
        found: dict[str, list[Path]] = defaultdict(list)
        root = self.place.parent if self.place.is_file() else self.place
        if self.place.is_dir():
            for path in files_below(self.place, ".npy"):
                found[normal(path.stem)].append(path)
        for text in listed_arrays(self.place):
            if normal(Path(text).stem) in found and self.place.is_dir():
                continue
            listed = next((p for p in (Path(text), root / text, *_below(root, text)) if p.is_file()), None)
            if listed and listed not in found[normal(listed.stem)]:
                found[normal(listed.stem)].append(listed)
            elif listed is None and self.place.is_file():
                raise WsvadError(
                    f"{self.place}: {text} is listed but does not exist, nor is it below {root}; fix its path"
                )
        return {stem: paths for stem, paths in found.items() if paths}

    def paths(self, video: str) -> list[Path]:
        """The files of a video in the order of its crops; empty where there are none.

        Raises:
            WsvadError: two files have one name, a file would be that of two videos, or there are numbered crops beside
                a file of the whole.
        """
        stems = self.stems(video)
        if len(stems) == 1 and f"{stems[0]}__0" in self.files:
            raise WsvadError(
                f"{self._only(stems[0])}: {stems[0]}__0.npy is there as well; keep the one file, or the crops"
            )
        paths = [self._only(stem) for stem in stems]
        for path in paths:
            other = self._asked.setdefault(path, video)
            folders = [normal(name).rpartition("/")[0] for name in (video, other)]
            if all(folders) and not is_end(*folders):
                raise WsvadError(
                    f"{path}: features of '{other}', and of '{video}' as well, as far as its name says; give the files "
                    "of videos that share a name names of their own, or extract the features again"
                )
        return paths

    def stems(self, video: str) -> list[str]:
        """The names of a video's files, without ending, in the order of its crops."""
        own = Path(_bare(video)).name
        asked = named(own)
        others = self._bases.get(asked.video, []) if asked.video == own else []
        return next((crops for base in (Path(normal(video)).name, own, *others) if (crops := self._crops(base))), [])

    @cached_property
    def _bases(self) -> dict[str, list[str]]:
        """Video → how its files begin: `name_i3d` of `name_i3d__0`. Those of the stream's own kind come first."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for stem in self.files:
            base = re.sub(r"(__\d\d?|_\d)$", "", stem)
            for each in (stem, base):
                if (file := named(each)).video != each:
                    found[file.video][each] = file.backbone
        order = (self.stream, "", *BACKBONES)
        return {
            video: sorted(bases, key=lambda base: order.index(bases[base]) if bases[base] in order else -1)
            for video, bases in found.items()
        }

    def _crops(self, base: str) -> list[str]:
        """The files called `base`: one, or one a crop, of which the first may have no number."""
        for joint in ("__", "_"):
            numbers = range(max(CROPS) + (joint == "__"))  # from 0, or from 1 on
            crops = {c: f"{base}{joint}{c}" for c in numbers if f"{base}{joint}{c}" in self.files}
            if crops and 0 not in crops and base in self.files:
                crops[0] = base
            elif base in self.files:
                continue
            if crops and joint == "_" and set(crops) not in ({*range(n)} for n in (1, *CROPS)):
                continue  # `Assault_1` to `Assault_3` are videos, not crops of a video `Assault`
            if crops:
                return [stem for _, stem in sorted(crops.items())]
        return [base] if base in self.files else []

    def names(self) -> list[str]:
        """The videos that have files, as far as file names tell: without crop, backbone and ending."""
        bare = dict.fromkeys(named(stem).video for stem in self.files)
        single: dict[str, set[str]] = defaultdict(set)
        for name in bare:
            if found := re.fullmatch(r"(.+)_(\d)", name):
                single[found[1]] |= {found[2], "0"} if found[1] in bare else {found[2]}
        complete = [{str(crop) for crop in range(count)} for count in CROPS]
        return list(dict.fromkeys(n[:-2] if single.get(n[:-2]) in complete else n for n in bare))

    def path(self, video: str) -> Path:
        """The first file of a video, or where one would be looked for."""
        return next(iter(self.paths(video)), self.place / f"{video}.npy")

    def has(self, video: str) -> bool:
        return bool(self.stems(video))

    def arrays(self, video: str) -> list[np.ndarray]:
        """A video's arrays as they are, `(T, D)` a crop or one `(C, T, D)`; on disk.

        Raises:
            WsvadError: there are none, or they have no shape that a release has.
        """
        paths = self.paths(video)
        if not paths:
            raise WsvadError(
                f"{self.place}: no {self.stream} features of {video} ({video}.npy, {video}__0.npy, {video}_i3d.npy …); "
                "'wsvad doctor' lists what is missing"
            )
        return [self._layout(path, read_array(path)) for path in paths]

    def shape(self, video: str) -> tuple[int, ...]:
        """`(T, D)` or `(C, T, D)`."""
        arrays = self.arrays(video)
        return arrays[0].shape if len(arrays) == 1 else (len(arrays), *arrays[0].shape)

    def load(self, video: str) -> StoredFeatures:
        """All crops of a video, with a passport that says what can be seen.

        Raises:
            WsvadError: crops of several lengths, NaN, or as `arrays`.
        """
        arrays, paths = self.arrays(video), self.paths(video)
        for path, array in zip(paths, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise WsvadError(
                    f"{path}: {array.shape} where {paths[0].name} is {arrays[0].shape}; all crops of a video "
                    f"must have the same length; 'wsvad doctor' lists all such files"
                )
        features = np.stack(arrays) if len(arrays) > 1 else np.array(arrays[0])
        features = single(features)
        if not np.isfinite(features).all():
            bad = int(np.argwhere(~np.isfinite(features))[0][-2])
            raise WsvadError(
                f"{paths[0]}: NaN or infinity in snippet {bad}; 'wsvad doctor … --repair OUT' writes a fixed copy"
            )
        return StoredFeatures(features=features, passport=self.passport(video))

    @cached_property
    def crops_first(self) -> bool:
        """Whether three-dimensional files are `(C, T, D)`, as the first one that is unmistakable says."""
        for paths in self.files.values():
            shape = read_array(paths[0]).shape
            if len(shape) == 3 and (shape[0] in (1, *CROPS)) != (shape[1] in (1, *CROPS)):
                return shape[0] in (1, *CROPS)
        return False

    def _layout(self, path: Path, array: np.ndarray) -> np.ndarray:
        """`(T, D)` or `(C, T, D)`, whatever the file has."""
        if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind != "f":
            raise WsvadError(
                f"{path}: an array of shape {array.shape}, {array.dtype}; features are (T, D) or (T, C, D) of floating "
                "point numbers"
            )
        if array.ndim == 2:
            return array
        if not self.crops_first:
            array = array.transpose(1, 0, 2)
        return array[0] if len(array) == 1 else array

    def _only(self, stem: str) -> Path:
        paths = self.files[stem]
        if len(paths) > 1:
            raise WsvadError(f"{paths[0]}: the same name is at {paths[1]} as well; keep one of the two")
        return paths[0]

    def passport(self, video: str) -> Passport:
        """The length rule (1.1): the truth takes the length of the features, 16 frames a snippet."""
        shape = self.shape(video)
        return Passport(
            encoder=RELEASE,
            width=shape[-1],
            settings={"crops": shape[0] if len(shape) == 3 else 1},
            tail=UNKNOWN_TAIL,
            frames=SNIPPET * shape[-2],
        )


def _below(root: Path, text: str) -> Iterator[Path]:
    """A listed path from another machine, looked for below a folder by ever fewer of its parts."""
    parts = Path(text).parts
    for start in range(1, len(parts)):
        yield root.joinpath(*parts[start:])
