"""Videos that are the same, or share a part: by their bytes, and by how their pictures change.

The pictures of a fixed camera all look alike; what tells one moment from another is what changes. So of each video
small pictures at every quarter of a second (`facts.sampled`) are compared by their differences over half a second,
without what all pixels have in common. These are the same, up to a factor, at any size, frame rate and codec. Two
seconds of two videos match if their differences correlate; two seconds in which nothing moves, or the same again and
again, match nothing.

Shapes: B videos, K samples of a video (their differences), W windows, D pixels.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wsvad.doctor.facts import STEP
from wsvad.files import sampled_sha256, sha256
from wsvad.progress import track

LOOKED = 30.0
"""Seconds of the beginning of each video that are compared."""
APART = 2
"""Samples between the two whose difference is taken."""
WINDOW = 8
"""Samples that match together: two seconds."""
ALIKE = 0.75
"""Correlation of two windows that match."""
OWN = 0.5
"""Correlation of a window with another one of the same video from which it says nothing: something repeats itself."""
MOVING = 1.0
"""Grey levels by which the pixels of a sample change where something moves."""
SHARE = 0.5
"""Of the windows in which something moves, how many match in two videos that are the same."""
LENGTHS = 0.6
"""Seconds by which the lengths of the same video in two files may differ."""
BLOCK = 64
"""Videos that are compared with one at once."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Two videos that show the same."""

    a: str
    b: str
    """Their names, in the order in which they were given."""
    how: Literal["bytes", "pictures", "part"]
    """The same file; the same pictures, encoded another time; a part that both have."""
    at: tuple[float, float] = (0.0, 0.0)
    """Where the part begins in each, seconds."""
    seconds: float | None = None
    """How long the part is, as far as was looked; None where it is all."""


def same_bytes(files: Iterable[tuple[str, Path]]) -> list[Copy]:
    """Pairs of files with the same bytes: the first of each group with each other one. A file that cannot be read any
    more is like no other."""
    groups: dict[object, list[tuple[str, Path]]] = {None: list(files)}
    for key in (lambda path: path.stat().st_size, lambda path: sampled_sha256([path]), sha256):
        finer: dict[object, list[tuple[str, Path]]] = defaultdict(list)
        for before, members in groups.items():
            for name, path in members if len(members) > 1 else ():
                try:
                    finer[before, key(path)].append((name, path))
                except OSError:
                    continue
        groups = finer
    return [
        Copy(a=members[0][0], b=other, how="bytes") for members in groups.values() for other, _ in members[1:]
    ]  # fmt: skip


def same_pictures(
    samples: Mapping[str, np.ndarray], lengths: Mapping[str, float | None], apart: Iterable[str] = ()
) -> list[Copy]:
    """Pairs of videos with the same pictures, and of those that share a part between `apart` and the others.

    Args:
        samples: video → `(K, D)`, as `facts.sampled` gives them.
        lengths: video → seconds, None where they are not known.
        apart: the videos for testing, which must share nothing with those for training.
    """
    each = {name: _windows(x) for name, x in samples.items() if len(x) >= WINDOW + APART}
    each = {name: one for name, one in each.items() if one.telling.any()}
    names, apart, found = list(each), set(apart), []
    for number, name in enumerate(track(names, "compare")):
        later = names[number + 1 :]
        across = {other for other in later if (name in apart) != (other in apart)}
        whole = {other for other in later if _as_long(lengths[name], lengths[other])}
        likely = {*_likely(each, name, [*across], anywhere=True), *_likely(each, name, [*(whole - across)])}
        for other in (other for other in later if other in likely):
            copy = _compared(name, other, each[name], each[other], whole=other in whole)
            if copy and (copy.how == "pictures" or other in across):
                found.append(copy)
    return found


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A video's changes, and which two seconds of them say something."""

    changes: np.ndarray
    """`(K, D)` float16: how each sample differs from the one half a second later, of length 1, or less where little
    moves: a cut between two scenes counts no more than what happens in them."""
    energy: np.ndarray
    """`(W,)`: sum of squares over each window, up to `WINDOW`."""
    telling: np.ndarray
    """`(W,)` bool: something moves in it, and not in the same way at another time."""


def _windows(samples: np.ndarray) -> Windows:
    changes = _changes(samples)
    energy = _energy(changes)
    moving = energy > WINDOW / 2
    alike = _correlation(_diagonals(changes @ changes.T), energy, energy)
    w = np.arange(len(energy))
    again = ((alike > OWN) & (np.abs(w[:, None] - w) >= WINDOW // 2) & moving).any(1)
    return Windows(changes=changes.astype(np.float16), energy=energy, telling=moving & ~again)


def _changes(samples: np.ndarray) -> np.ndarray:
    x = samples.astype(np.float32)
    changes = x[APART:] - x[:-APART]
    changes -= changes.mean(1, keepdims=True)
    least = MOVING * np.sqrt(changes.shape[1])
    return changes / np.maximum(np.linalg.norm(changes, axis=1, keepdims=True), least)


def _energy(changes: np.ndarray) -> np.ndarray:
    each = np.square(changes).sum(1)
    return np.convolve(each, np.ones(WINDOW, np.float32), "valid")


def _diagonals(products: np.ndarray) -> np.ndarray:
    """Sums over each window along the diagonals of the last two axes, `(…, K, K')` → `(…, W, W')`."""
    rows, columns = (size - WINDOW + 1 for size in products.shape[-2:])
    return sum(
        (products[..., i : i + rows, i : i + columns] for i in range(1, WINDOW)), products[..., :rows, :columns].copy()
    )


def _correlation(products: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return products / np.sqrt(np.maximum(one[..., :, None] * other[..., None, :], 1e-9))


def _likely(each: Mapping[str, Windows], name: str, others: Sequence[str], *, anywhere: bool = False) -> Iterator[str]:
    """Videos with a window like one of this video's, at the same time of both or anywhere in both."""
    own, changes = each[name], each[name].changes.astype(np.float32)
    for block in (others[start : start + BLOCK] for start in range(0, len(others), BLOCK)):
        longest = max(len(each[other].changes) for other in block)
        changes_BKD = np.zeros((len(block), longest, changes.shape[1]), np.float32)
        energy_BW = np.full((len(block), longest - WINDOW + 1), WINDOW, np.float32)
        for place, other in enumerate(block):
            changes_BKD[place, : len(each[other].changes)] = each[other].changes
            energy_BW[place, : len(each[other].energy)] = each[other].energy
        if anywhere:
            alike = _correlation(_diagonals(changes_BKD @ changes.T), energy_BW, own.energy)
            found = np.any(alike[..., own.telling] > ALIKE, axis=(1, 2))
        else:
            both = min(longest, len(changes))
            products_BK = np.einsum("kd,bkd->bk", changes[:both], changes_BKD[:, :both])
            sums_BW = np.lib.stride_tricks.sliding_window_view(products_BK, WINDOW, axis=1).sum(-1)
            w = sums_BW.shape[1]
            alike = sums_BW / np.sqrt(np.maximum(energy_BW[:, :w] * own.energy[:w], 1e-9))
            found = np.any(alike[:, own.telling[:w]] > ALIKE, axis=1)
        yield from (other for other, one in zip(block, found, strict=True) if one)


def _compared(a: str, b: str, one: Windows, other: Windows, *, whole: bool) -> Copy | None:
    """What two videos share; None where it is too little to be sure."""
    products = one.changes.astype(np.float32) @ other.changes.T.astype(np.float32)
    alike = _correlation(_diagonals(products), one.energy, other.energy)
    match = (alike > ALIKE) & one.telling[:, None] & other.telling
    lags = range(-match.shape[0] + 1, match.shape[1])
    weight = np.where(match, alike, 0)
    lag = max(lags, key=lambda each: float(weight.diagonal(each).sum()))
    line = match.diagonal(lag)
    both = (one.telling[:, None] & other.telling).diagonal(lag)
    if not line.any():
        return None
    if whole and abs(lag) <= 1 and line.sum() >= SHARE * both.sum():
        return Copy(a=a, b=b, how="pictures")
    first, last = np.flatnonzero(line)[[0, -1]]
    begin, step = int(first), float(STEP)
    at = (begin + max(0, -lag)) * step, (begin + max(0, lag)) * step
    return Copy(a=a, b=b, how="part", at=at, seconds=(int(last) - begin + WINDOW) * step)


def _as_long(one: float | None, other: float | None) -> bool:
    """Whether two lengths may be of the same video."""
    return one is None or other is None or abs(one - other) <= LENGTHS
