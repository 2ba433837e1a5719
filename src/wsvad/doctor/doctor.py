"""What is wrong with a set of features, and which convention it follows.

Pure functions from files and annotated frame counts to findings; nothing is written, no more than a video is in memory.
A check that needs another set to compare with is in `compare`.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsvad.doctor.finding import Finding, concerning
from wsvad.doctor.lengths import check_lengths
from wsvad.errors import WsvadError
from wsvad.features.official import CROPS, OfficialStream, read_array
from wsvad.features.store import Passport, feature_path, read_passport, stored_array
from wsvad.video.clock import SNIPPET

WIDTHS = {128, 512, 768, 1024, 2048, 4096}
"""Usual widths, by which a lone file is understood."""


BLOCK = 2**26
"""Bytes of a file that are looked at together."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A video's files as they are, before anything is assumed about their layout."""

    video: str
    paths: tuple[Path, ...]
    """One a crop, or one in all."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """As the files have them."""
    dtypes: tuple[str, ...] = ()
    """Of each file."""
    broken: tuple[tuple[int, ...], ...] = ()
    """Where a file has NaN or infinity, as positions on all axes but one; the first of each file."""
    digest: str = ""
    """Of the numbers: equal for two videos that have the same."""
    passport: Passport | None = None
    """Of a file of our own."""
    trouble: str = ""
    """Why the files could not be read."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the axes of a set are to be read."""

    width: int
    """D of most videos."""
    axes: Mapping[str, tuple[int, ...]]
    """Video → the order of its file's axes that makes `(T, D)` or `(C, T, D)` of it."""
    turned: tuple[str, ...]
    """Videos whose features are not on the last axis."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found about one stream."""

    looks: list[Look]
    """Of the videos whose files can be read."""
    layout: Layout | None
    """None where no file can be read."""
    findings: list[Finding]

    def __str__(self) -> str:
        if not self.looks or not self.layout:
            return "no features"
        crops, _, width = crops_shape(self.looks[0], self.layout)
        return f"{len(self.looks):,} videos, {crops} crop{'s' * (crops > 1)}, {width} wide, {self.looks[0].dtypes[0]}"


def examine(files: OfficialStream | Path, stream: str, frames: Mapping[str, int | None]) -> Examination:
    """All checks of a stream's files that need no other set.

    Args:
        files: a released stream, or a feature folder of `wsvad extract` (then the stream is a folder in it).
        stream: its name.
        frames: the dataset's videos with their annotated frame counts, None where these are not known.
    """
    looks, findings = look_at(files, stream, frames)
    readable = [look for look in looks if not look.trouble]
    unreadable = tuple(look.video for look in looks if look.trouble)
    if unreadable:
        first = next(look for look in looks if look.trouble)
        findings.append(
            Finding(
                kind="unreadable", level="wrong", videos=unreadable,
                message=f"{concerning(unreadable, len(frames))}: {first.trouble}",
                remedy="download or extract these files again",
            )
        )  # fmt: skip
    if not readable:
        return Examination(looks=[], layout=None, findings=findings)
    layout = understand(readable, frames)
    findings += [
        *_numbers(readable),
        *_passports(readable),
        *_axes(readable, layout),
        *_crops(readable, layout),
        *check_lengths(_lengths(readable, layout), frames, ours=isinstance(files, Path)),
    ]
    return Examination(looks=readable, layout=layout, findings=findings)


def look_at(
    files: OfficialStream | Path, stream: str, frames: Mapping[str, int | None]
) -> tuple[list[Look], list[Finding]]:
    """Each video's files, and what is wrong with their names: missing, twice, of no video."""
    looks, missing, claimed = [], [], set()
    twice: dict[str, Sequence[Path]] = {}
    for video in frames:
        if isinstance(files, Path):
            path = feature_path(files, stream, video)
            found = [[path]] if path.is_file() else []
        else:
            found = [files.files[stem] for stem in files.stems(video)]
        claimed |= {path for paths in found for path in paths}
        if not found:
            missing.append(video)
            continue
        if double := [paths for paths in found if len(paths) > 1]:
            twice[video] = double[0]
        looks.append(look(video, [paths[0] for paths in found]))
    every = files.joinpath(stream).rglob("*.safetensors") if isinstance(files, Path) else _all(files)
    loose = [path for path in every if path not in claimed and path.name != "lsa.safetensors"]
    place = files / stream if isinstance(files, Path) else files.place
    return looks, _names(place, tuple(frames), missing, twice, loose)


def look(video: str, paths: Sequence[Path]) -> Look:
    """Read a video's files once."""
    shapes, broken, digest, dtypes = [], [], hashlib.sha256(), []
    passport = None
    try:
        for path in paths:
            passport = read_passport(path) if path.suffix == ".safetensors" else None
            array = read(path)
            shapes.append(array.shape)
            dtypes.append(str(array.dtype))
            broken.append(_first_broken(array))
            for block in _blocks(array):
                digest.update(np.ascontiguousarray(block).data)
    except WsvadError as error:
        return Look(video=video, paths=tuple(paths), trouble=str(error).partition(": ")[2] or str(error))
    return Look(
        video=video,
        paths=tuple(paths),
        shapes=tuple(shapes),
        dtypes=tuple(dtypes),
        broken=tuple(broken),
        digest=digest.hexdigest(),
        passport=passport,
    )


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array in parts along its first axis, so that a long one is never in memory as a whole."""
    step = max(1, BLOCK // max(array[:1].nbytes, 1))
    return (array[start : start + step] for start in range(0, len(array), step))


def _first_broken(array: np.ndarray) -> tuple[int, ...]:
    """Where the first NaN or infinity is; empty where there is none."""
    start = 0
    for block in _blocks(array) if array.dtype.kind == "f" else ():
        finite = np.isfinite(block)
        if not finite.all():
            row, *rest = (int(i) for i in np.argwhere(~finite)[0])
            return (start + row, *rest)
        start += len(block)
    return ()


def read(path: Path) -> np.ndarray:
    """The array of a feature file of either kind, unchecked.

    Raises:
        WsvadError: it cannot be read, or has no axes of time and feature.
    """
    array = stored_array(path) if path.suffix == ".safetensors" else read_array(path)
    if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind not in "iufb":
        raise WsvadError(f"{path}: an array of shape {array.shape}, {array.dtype}, is not a sequence of features")
    return array


def understand(looks: Sequence[Look], frames: Mapping[str, int | None]) -> Layout:
    """Which axis is what: what our own files say, else what most videos have in common. D and the crops are always the
    same; T is not, in most sets."""
    crops = {look.video: _crop_axis(look, looks) for look in looks}
    pairs = {}
    for look in looks:
        axis = crops[look.video]
        pairs[look.video] = [i for i in range(len(look.shapes[0])) if i != axis]
    sizes = {look.video: tuple(look.shapes[0][i] for i in pairs[look.video]) for look in looks}
    ours = looks[0].passport is not None
    width = _most([size[1] for size in sizes.values()])[0] if ours else _width(sizes, frames)
    axes: dict[str, tuple[int, ...]] = {}
    turned = []
    for look in looks:
        time, feature = pairs[look.video]
        if not look.passport and sizes[look.video][1] != width and sizes[look.video][0] == width:
            time, feature = feature, time
        axis = crops[look.video]
        axes[look.video] = (time, feature) if axis is None else (axis, time, feature)
        if feature != len(look.shapes[0]) - 1:
            turned.append(look.video)
    return Layout(width=width, axes=axes, turned=tuple(turned))


def crops_shape(look: Look, layout: Layout) -> tuple[int, int, int]:
    """C (1 without crops), T of the first file, D."""
    shape = [look.shapes[0][i] for i in layout.axes[look.video]]
    return shape[0] if len(shape) == 3 else len(look.paths), shape[-2], shape[-1]


def of_its_width(look: Look, layout: Layout) -> bool:
    """Whether all of a video's files are as wide as most of the set."""
    return all(shape[layout.axes[look.video][-1]] == layout.width for shape in look.shapes)


def as_crops(look: Look, layout: Layout, snippets: int) -> np.ndarray:
    """The first snippets of a video as `(C, T, D)` float32; crops of several lengths are cut to the shortest."""
    arrays = [read(path).transpose(layout.axes[look.video])[..., :snippets, :] for path in look.paths]
    if arrays[0].ndim == 3:
        return arrays[0].astype(np.float32)
    common = min(map(len, arrays))
    return np.stack([array[:common].astype(np.float32) for array in arrays])


def _lengths(looks: Sequence[Look], layout: Layout) -> dict[str, int]:
    """Snippets of the videos on the clock of 16 of their own frames."""
    return {
        look.video: crops_shape(look, layout)[1]
        for look in looks
        if not look.passport or (look.passport.stride == SNIPPET and not look.passport.rate)
    }


# ------------------------------------------------------------------------------------------------------------ names


def _all(files: OfficialStream) -> list[Path]:
    return [path for paths in files.files.values() for path in paths]


def _names(
    place: Path,
    videos: Sequence[str],
    missing: Sequence[str],
    twice: Mapping[str, Sequence[Path]],
    loose: Sequence[Path],
) -> list[Finding]:
    findings = []
    if missing:
        findings.append(
            Finding(
                kind="missing videos", level="wrong", videos=tuple(missing),
                message=f"{place}: no features of {concerning(missing, len(videos))}",
                remedy="download or extract them, or remove these videos from the lists and report that",
            )
        )  # fmt: skip
    again = [path for path in loose if any(path.stem.startswith(f"{video}_") for video in videos)] if loose else []
    if twice or again:
        first = next(iter(twice), None)
        message = (
            f"{first} is at {twice[first][0]} and {twice[first][1]}"
            if first
            else f"{again[0]} is a second file of its video"
        )
        findings.append(
            Finding(
                kind="duplicate videos", level="wrong", videos=tuple(twice),
                message=f"{message}{f' ({len(twice) + len(again)} such files)' if len(twice) + len(again) > 1 else ''}",
                remedy="keep one of each; two releases are mixed, or a folder was copied into itself",
            )
        )  # fmt: skip
    strange = [path for path in loose if path not in again]
    if strange:
        findings.append(
            Finding(
                kind="files of no video", level="note",
                message=f"{strange[0]} belongs to no video of the dataset ({len(strange):,} such files)",
                remedy="they are ignored; if videos are missing as well, rename these files as in the lists",
            )
        )  # fmt: skip
    return findings


# ---------------------------------------------------------------------------------------------------------- numbers


def _numbers(looks: Sequence[Look]) -> list[Finding]:
    """NaN, types, and videos that are copies of others."""
    findings = []
    total = len(looks)
    broken = [look for look in looks if any(look.broken)]
    if broken:
        number = next(i for i, place in enumerate(broken[0].broken) if place)
        path, place = broken[0].paths[number], broken[0].broken[number]
        findings.append(
            Finding(
                kind="NaN", level="wrong", videos=tuple(look.video for look in broken), repair="fill",
                message=f"{path}: NaN or infinity at {list(place)}; {concerning([x.video for x in broken], total)}",
                remedy="extract again; --repair replaces each with the nearest valid snippet",
            )
        )  # fmt: skip
    odd = {look.video: kind for look in looks for kind in look.dtypes if not kind.startswith("float")}
    wide = {look.video: kind for look in looks for kind in look.dtypes if kind == "float64"}
    if odd or wide:
        chosen = odd or wide
        rounded = "are not floating-point numbers: features were rounded or quantised"
        message = rounded if odd else "take twice the space"
        findings.append(
            Finding(
                kind="dtype", level="wrong" if odd else "note", videos=tuple(chosen),
                message=f"{concerning(list(chosen), total)}: {next(iter(chosen.values()))}, which {message}",
                remedy="use the original floating-point files" if odd else "float32 is sufficient", repair="float32",
            )
        )  # fmt: skip
    alike: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        alike[look.digest].append(look)
    copies = [group for group in alike.values() if len(group) > 1]
    if copies:
        first, second = copies[0][:2]
        findings.append(
            Finding(
                kind="copied videos", level="wrong", videos=tuple(x.video for group in copies for x in group[1:]),
                message=f"{second.video} has exactly the numbers of {first.video} ({first.paths[0].name})",
                remedy="one of the two is a file of another video with a wrong name; download or extract both again",
            )
        )  # fmt: skip
    return findings


def _passports(looks: Sequence[Look]) -> list[Finding]:
    """Files of our own that were made differently, which nothing would learn from together."""
    groups: list[tuple[Passport, list[Look]]] = []
    for look in looks:
        if look.passport:
            alike = (group for passport, group in groups if not passport.difference(look.passport))
            if (group := next(alike, None)) is None:
                groups.append((look.passport, group := []))
            group.append(look)
    if len(groups) < 2:
        return []
    (usual, most), *others = sorted(groups, key=lambda one: len(one[1]), reverse=True)
    difference = usual.difference(others[0][0])
    names = [look.video for _, group in others for look in group]
    return [
        Finding(
            kind="passports", level="wrong", videos=tuple(names),
            message=f"{names[0]}: made differently from {most[0].video} ({difference}); "
            f"{concerning(names, len(looks))}",
            remedy="extract all videos in the same way",
        )
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- axes


def _crop_axis(look: Look, looks: Sequence[Look]) -> int | None:
    """The axis of a three-dimensional file that counts crops: 1, 5 or 10 in every file."""
    if len(look.shapes[0]) == 2:
        return None
    if look.passport:
        return 0
    shapes = [other.shapes[0] for other in looks if len(other.shapes[0]) == 3]
    share = {
        axis: sum(shape[axis] in (1, *CROPS) for shape in shapes) / len(shapes) + (look.shapes[0][axis] in (1, *CROPS))
        for axis in (1, 0, 2)
    }
    return max(share, key=lambda axis: share[axis])  # the first of equals: (T, C, D), as releases have it


def _width(sizes: Mapping[str, tuple[int, ...]], frames: Mapping[str, int | None]) -> int:
    """D: what most videos have on one of their two axes; between two candidates, what leaves the better lengths."""
    last, first = (_most([size[axis] for size in sizes.values()]) for axis in (1, 0))
    known = [(size, frames[video] or 0) for video, size in sizes.items() if frames.get(video)]
    both = 2 * min(last[1], first[1]) > len(sizes)
    if last[1] != first[1] and not (both and known):
        return last[0] if last[1] > first[1] else first[0]
    if known:
        off = [sum(abs(size[axis] * SNIPPET - n) for size, n in known) for axis in (0, 1)]
        return last[0] if off[0] <= off[1] else first[0]
    return first[0] if first[0] in WIDTHS and last[0] not in WIDTHS else last[0]


def _most(sizes: Sequence[int]) -> tuple[int, int]:
    """The most frequent of them, and how often it is there."""
    return Counter(sizes).most_common(1)[0]


def _axes(looks: Sequence[Look], layout: Layout) -> list[Finding]:
    findings = []
    if layout.turned:
        look = next(look for look in looks if look.video == layout.turned[0])
        wanted = tuple(look.shapes[0][i] for i in layout.axes[look.video])
        findings.append(
            Finding(
                kind="transposed axes", level="wrong", videos=layout.turned, repair="transpose",
                message=f"{look.paths[0].name} is {look.shapes[0]}: features, {layout.width} of them, are not "
                f"on the last "
                f"axis; {concerning(layout.turned, len(looks))}",
                remedy=f"transpose to {wanted}",
            )
        )  # fmt: skip
    other = [look for look in looks if look.shapes[0][layout.axes[look.video][-1]] != layout.width]
    if other:
        found = other[0].shapes[0][layout.axes[other[0].video][-1]]
        findings.append(
            Finding(
                kind="width", level="wrong", videos=tuple(look.video for look in other),
                message=f"{other[0].paths[0].name} is {found} wide, most are {layout.width}; "
                f"{concerning([look.video for look in other], len(looks))}",
                remedy="these are features from another network; download or extract them again",
            )
        )  # fmt: skip
    return findings


def _crops(looks: Sequence[Look], layout: Layout) -> list[Finding]:
    findings = []
    count = {look.video: crops_shape(look, layout)[0] for look in looks}
    usual = Counter(count.values()).most_common(1)[0][0]
    other = [look for look in looks if count[look.video] != usual]
    if other:
        findings.append(
            Finding(
                kind="crop count", level="wrong", videos=tuple(look.video for look in other),
                message=f"{other[0].paths[0].name}: {count[other[0].video]} crops, most videos have {usual}; "
                f"{concerning([look.video for look in other], len(looks))}",
                remedy="crop files are missing or from another release; download or extract these videos again",
            )
        )  # fmt: skip
    uneven = [look for look in looks if len(set(look.shapes)) > 1]
    if uneven:
        look = uneven[0]
        number = next(i for i, shape in enumerate(look.shapes) if shape != look.shapes[0])
        findings.append(
            Finding(
                kind="crop length", level="wrong", videos=tuple(x.video for x in uneven),
                message=f"{look.paths[number].name} is {look.shapes[number]}, {look.paths[0].name} {look.shapes[0]}; "
                f"{concerning([x.video for x in uneven], len(looks))}",
                remedy="all crops of a video must have the same length; extract these videos again",
            )
        )  # fmt: skip
    return findings
