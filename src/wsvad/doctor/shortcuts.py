"""Can the label of a video be told from what is not the event? Then a detector may learn that instead.

For each fact (picture size, frame rate, codec, bit rate, length, hour, first picture …) a ridge regression tells the
label of videos that it has not seen, in cross-validation; its AUC is compared with those for permuted labels. With V
videos and P permutations of the labels all is linear: predictions are H·Y, H `(V, V)` from the fact and the folds
alone, Y `(V, P + 1)` the labels and their permutations. P-values are adjusted for the number of facts by the smallest
p-value of each permutation (Westfall and Young, 1993).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsvad.doctor.facts import FACTS, UNSAID, Facts

PERMUTATIONS = 1999
FOLDS = 5
RIDGE = 1.0
"""Added to the diagonal, with columns of unit variance."""
LEVEL, NOTABLE = 0.01, 0.7
"""The adjusted p-value and the AUC that a warning takes: a fact that tells little is no shortcut, however certain."""
FEWEST = 4
"""Videos of a class with which something can be said."""

REMEDIES = {
    ("the camera", "add {0} footage of the same camera"): ("camera", "size", "rate", "sound", "codec"),
    ("how the files were written", "convert all videos in the same way"): ("codec", "container", "writer"),
    ("the bit rate", "encode all videos in the same way"): ("bits_per_second",),
    ("the length", "cut the videos to similar lengths"): ("seconds",),
    ("the time of day", "add {0} footage of the same hours"): ("hour",),
    ("the scene", "add {0} footage of the same scenes, cameras and light"): ("picture",),
}
"""What a detector may learn, and what to do → the facts that it would learn it from. A codec alone is no camera."""


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A fact that tells the label."""

    fact: str
    """Its name in `Facts`."""
    auc: float
    """Of labels that were predicted for videos not seen."""
    p: float
    """Adjusted for the number of facts that were tried."""


@dataclass(frozen=True, kw_only=True)
class Caution:
    """For readers: one fact, or several that are of one kind."""

    facts: tuple[str, ...]
    auc: float
    """Of the one that tells most."""
    sentence: str
    """Where the classes differ, in numbers, and what a detector may learn from it."""
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Shortcuts:
    """What was found."""

    found: tuple[Shortcut, ...]
    """Those worth a warning, the surest first."""
    p: float
    """Chance of something as telling as the most telling fact, if labels had nothing to do with any; 1 where nothing
    could be tried."""
    tried: tuple[str, ...]
    """Facts that differ between videos."""
    cautions: tuple[Caution, ...] = ()
    """The same for readers."""


def shortcuts(
    facts: Sequence[Facts], labels: ArrayLike, *, words: tuple[str, str] = ("normal", "abnormal"), seed: int = 0
) -> Shortcuts:
    """Look for facts that tell the label.

    Args:
        facts: of each of V videos.
        labels: `(V,)`, 1 for abnormal.
        words: what readers call the videos of either label, as `("normal", "fight")`.
        seed: of folds and permutations.
    """
    y_V = np.asarray(labels, np.float64)
    columns = {name: x for name in FACTS if (x := _columns(facts, name)) is not None}
    if min(y_V.sum(), len(y_V) - y_V.sum()) < FEWEST or not columns:
        return Shortcuts(found=(), p=1.0, tried=tuple(columns))
    rng = np.random.default_rng(seed)
    fold_V = rng.permutation(np.arange(len(y_V)) % min(FOLDS, len(y_V)))
    y_VP = np.stack([y_V, *(rng.permutation(y_V) for _ in range(PERMUTATIONS))], axis=1)
    auc_NP = np.stack([aucs(_told(x, fold_V, y_VP), y_VP) for x in columns.values()])
    adjusted_N = _adjusted(auc_NP)
    each = [
        Shortcut(fact=name, auc=float(auc), p=float(p))
        for name, auc, p in zip(columns, auc_NP[:, 0], adjusted_N, strict=True)
    ]
    notable = sorted(
        (one for one in each if one.p <= LEVEL and one.auc >= NOTABLE), key=lambda one: (one.p, -round(one.auc, 3))
    )
    return Shortcuts(
        found=tuple(notable),
        p=float(adjusted_N.min()),
        tried=tuple(columns),
        cautions=tuple(_cautions(facts, y_V, notable, words)),
    )


def _cautions(
    facts: Sequence[Facts], y_V: np.ndarray, found: Sequence[Shortcut], words: tuple[str, str]
) -> Iterator[Caution]:
    """A sentence a remedy: facts that call for the same one are described together."""
    rest = {one.fact for one in found}
    for (learns, remedy), names in REMEDIES.items():
        mine = [one for one in found if one.fact in names and one.fact in rest]
        if not mine or (learns == "the camera" and [one.fact for one in mine] == ["codec"]):
            continue
        rest -= set(names)
        most = max(one.auc for one in mine)
        auc = f"AUC {100 * most:.0f}"
        if learns == "the scene":
            sentence = f"the first picture alone separates {words[1]} from {words[0]} videos ({auc})"
        else:
            ordered = [name for name in names if name in {one.fact for one in mine}]
            sentence = f"{_sentence(facts, y_V, ordered, words)} ({auc})"
        yield Caution(
            facts=tuple(one.fact for one in mine),
            auc=most,
            sentence=f"{sentence}: a detector may learn {learns} instead of the event",
            remedy=remedy.format(*words),
        )


def aucs(told_VP: np.ndarray, y_VP: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each column, ties counted half, `(P,)`."""
    positive = y_VP.sum(0)
    negative = len(y_VP) - positive
    above = (_ranks(told_VP) * y_VP).sum(0) - positive * (positive + 1) / 2
    return above / (positive * negative)


def _told(x_VD: np.ndarray, fold_V: np.ndarray, y_VP: np.ndarray) -> np.ndarray:
    """What a ridge regression tells of each video that it was fitted without, `(V, P)`."""
    told = np.empty_like(y_VP)
    for fold in np.unique(fold_V):
        out = fold_V == fold
        mean, std = x_VD[~out].mean(0), x_VD[~out].std(0)
        x, z = ((part - mean) / np.where(std > 0, std, 1) for part in (x_VD[~out], x_VD[out]))
        centre = y_VP[~out].mean(0)
        told[out] = centre + z @ np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y_VP[~out] - centre))
    # Sums of the same numbers in another order are no difference.
    return told.round(9)


def _ranks(values_VP: np.ndarray) -> np.ndarray:
    """Ranks from 1 in each column, equal values with their mean rank."""
    order_VP = np.argsort(values_VP, axis=0)
    sorted_VP = np.take_along_axis(values_VP, order_VP, axis=0)
    place_V1 = np.arange(len(values_VP))[:, None]
    begins_VP = np.ones(values_VP.shape, bool)
    begins_VP[1:] = sorted_VP[1:] != sorted_VP[:-1]
    ends_VP = np.ones(values_VP.shape, bool)
    ends_VP[:-1] = begins_VP[1:]
    first_VP = np.maximum.accumulate(np.where(begins_VP, place_V1, 0), axis=0)
    last_VP = np.minimum.accumulate(np.where(ends_VP, place_V1, len(values_VP))[::-1], axis=0)[::-1]
    ranks_VP = np.empty(values_VP.shape)
    np.put_along_axis(ranks_VP, order_VP, (first_VP + last_VP) / 2 + 1, axis=0)
    return ranks_VP


def _adjusted(auc_NP: np.ndarray) -> np.ndarray:
    """P-values of the first column, `(N,)`, each the chance that the smallest of all facts is as small."""
    count = auc_NP.shape[1]
    p_NP = np.stack([1 - np.searchsorted(np.sort(auc_P), auc_P) / count for auc_P in auc_NP])
    smallest_P = p_NP.min(0)
    return np.array([(smallest_P <= p).mean() for p in p_NP[:, 0]])


def _columns(facts: Sequence[Facts], name: str) -> np.ndarray | None:
    """A fact of all videos as numbers `(V, D)`; None where it is the same for all, or not known of all."""
    values = [getattr(one, name) for one in facts]
    if any(value is None for value in values) or not values:
        return None
    if name == "picture":
        x = np.stack(values)
    elif isinstance(values[0], str):
        kinds = [kind for kind, times in Counter(values).items() if times > 1]
        x = np.array([[value == kind for kind in kinds] for value in values], np.float64).reshape(len(values), -1)
        if name == "rate":  # telephones have another one in each video: 29.86, 29.91 …
            x = np.concatenate([x, _ranks(np.array(values, np.float64)[:, None]) / len(values) - 0.5], axis=1)
    elif name == "hour":
        # A circle: after 23 comes 0.
        turn = np.array(values, np.float64)[:, None] * (np.pi / 12)
        x = np.concatenate([np.cos(turn), np.sin(turn), np.cos(2 * turn), np.sin(2 * turn)], axis=1)
    else:
        # The order, and how far from the middle: very short and very long ones may be of one class.
        rank = _ranks(np.array(values, np.float64)[:, None]) / len(values) - 0.5
        x = np.concatenate([rank, np.abs(rank)], axis=1)
    return x if x.size and (x != x[0]).any() else None


# -------------------------------------------------------------------------------------------------------- sentences


def _sentence(facts: Sequence[Facts], y_V: np.ndarray, names: Sequence[str], words: tuple[str, str]) -> str:
    """Where the classes differ: abnormal videos first."""
    sides = []
    for label, word in ((1, words[1]), (0, words[0])):
        own = [one for one, y in zip(facts, y_V, strict=True) if y == label]
        sides.append((word, own))
    (word, first), (other, second) = sides
    if names[0] in ("seconds", "bits_per_second", "hour"):
        what = _WHAT[names[0]]
        return f"{what} of {word} videos is {_range(first, names[0])}, of {other} ones {_range(second, names[0])}"
    ones, (values, times) = "videos", _usual(first, names)
    all_of = f"all {times}" if times == len(first) else f"{times} of {len(first)}"
    rest = _usual(second, names)
    if rest[0] == values:  # the same is usual in both, in one more than in the other
        return f"{all_of} {word} {ones} are {_described(values)}, but {rest[1]} of {len(second)} {other} ones"
    ours = f"all {rest[1]}" if rest[1] == len(second) else f"{rest[1]} of {len(second)}"
    return f"{all_of} {word} {ones} are {_described(values)} and {ours} {other} ones {_described(rest[0])}"


_WHAT = {"seconds": "the length", "bits_per_second": "the bit rate", "hour": "the hour"}


def _usual(facts: Sequence[Facts], names: Sequence[str]) -> tuple[dict[str, str], int]:
    """The commonest values of some facts together, and how many videos have them."""
    found = Counter(tuple(str(getattr(one, name)) for name in names) for one in facts)
    values, times = found.most_common(1)[0]
    return dict(zip(names, values, strict=True)), times


def _described(values: Mapping[str, str]) -> str:
    """`640x360 at 30 fps, hevc`."""
    parts = []
    for name, value in values.items():
        match name:
            case "rate":
                parts.append(f"at {float(value):g} fps")
            case "container":
                parts.append(f"in a container of type {value}")
            case "sound":
                parts.append("without sound" if value == "none" else f"with {value} sound")
            case "writer":
                parts.append("without the name of a writing program" if value == UNSAID else f"written by {value}")
            case "camera":
                parts.append(f"of camera {value}")
            case _:
                parts.append(value)
    return ", ".join(parts).replace(", at ", " at ")


def _range(facts: Sequence[Facts], name: str) -> str:
    found = np.array([getattr(one, name) for one in facts], np.float64)
    low, middle, high = np.quantile(found, [0.1, 0.5, 0.9])
    unit, scale = {"seconds": (" s", 1), "bits_per_second": (" kbit/s", 1000), "hour": (" h", 1)}[name]
    digits = 0 if middle >= 10 * scale or name == "hour" else 1
    return f"{low / scale:,.{digits}f} to {high / scale:,.{digits}f}{unit} (median {middle / scale:,.{digits}f}{unit})"
