"""Can the label of a video be told from what is not the event? Then a detector may learn that instead.

For each fact (picture size, frame rate, codec, bit rate, length, hour, first picture …) a ridge regression tells the
label of videos that it has not seen, in cross-validation; its AUC is compared with those for permuted labels. With V
videos and P permutations of the labels all is linear: predictions are H·Y, H `(V, V)` from the fact and the folds
alone, Y `(V, P + 1)` the labels and their permutations. P-values are adjusted for the number of facts by the smallest
p-value of each permutation (Westfall and Young, 1993).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsvad.doctor.facts import WORDS, Facts

PERMUTATIONS = 1999
FOLDS = 5
RIDGE = 1.0
"""Added to the diagonal, with columns of unit variance."""
LEVEL, NOTABLE = 0.01, 0.7
"""The adjusted p-value and the AUC that a warning takes: a fact that tells little is no shortcut, however certain."""
FEWEST = 4
"""Videos of a class with which something can be said."""


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A fact that tells the label."""

    fact: str
    """Its name in `Facts`."""
    auc: float
    """Of labels that were predicted for videos not seen."""
    p: float
    """Adjusted for the number of facts that were tried."""
    sentence: str
    """What it is, for a reader."""


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


def shortcuts(facts: Sequence[Facts], labels: ArrayLike, *, seed: int = 0) -> Shortcuts:
    """Look for facts that tell the label.

    Args:
        facts: of each of V videos.
        labels: `(V,)`, 1 for abnormal.
        seed: of folds and permutations.
    """
    y_V = np.asarray(labels, np.float64)
    columns = {name: x for name in WORDS if (x := _columns(facts, name)) is not None}
    if min(y_V.sum(), len(y_V) - y_V.sum()) < FEWEST or not columns:
        return Shortcuts(found=(), p=1.0, tried=tuple(columns))
    rng = np.random.default_rng(seed)
    fold_V = rng.permutation(np.arange(len(y_V)) % min(FOLDS, len(y_V)))
    y_VP = np.stack([y_V, *(rng.permutation(y_V) for _ in range(PERMUTATIONS))], axis=1)
    auc_NP = np.stack([aucs(_told(x, fold_V, y_VP), y_VP) for x in columns.values()])
    adjusted_N = _adjusted(auc_NP)
    each = [
        Shortcut(fact=name, auc=float(auc), p=float(p), sentence=_sentence(facts, y_V, name, float(auc)))
        for name, auc, p in zip(columns, auc_NP[:, 0], adjusted_N, strict=True)
    ]
    notable = [one for one in each if one.p <= LEVEL and one.auc >= NOTABLE]
    return Shortcuts(
        found=tuple(sorted(notable, key=lambda one: (one.p, -one.auc))),
        p=float(adjusted_N.min()),
        tried=tuple(columns),
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
    ranks = np.empty(values_VP.shape)
    for column, values in enumerate(values_VP.T):
        _, kind, times = np.unique(values, return_inverse=True, return_counts=True)
        ranks[:, column] = (np.cumsum(times) - (times - 1) / 2)[kind]
    return ranks


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
        x = np.array([[value == kind for kind in kinds] for value in values], np.float64)
    else:
        # The order, and how far from the middle: very short and very long ones may be of one class.
        rank = _ranks(np.array(values, np.float64)[:, None]) / len(values) - 0.5
        x = np.concatenate([rank, np.abs(rank)], axis=1)
    return x if x.size and (x != x[0]).any() else None


def _sentence(facts: Sequence[Facts], y_V: np.ndarray, name: str, auc: float) -> str:
    """Where the classes differ, in numbers."""
    values = [getattr(one, name) for one in facts]
    word = WORDS[name]
    if name == "picture":
        return f"the {word} alone tells the label (AUC {100 * auc:.0f}): other scenes, cameras or light"
    classes = {kind: [v for v, y in zip(values, y_V, strict=True) if y == label] for kind, label in _CLASSES}
    if isinstance(values[0], str):
        parts = [f"{kind} videos {_shares(Counter(found))}" for kind, found in classes.items()]
    else:
        parts = [f"{kind} videos {_range(np.array(found, np.float64), name)}" for kind, found in classes.items()]
    return f"{word}: {'; '.join(parts)} (AUC {100 * auc:.0f})"


_CLASSES = (("abnormal", 1), ("normal", 0))


def _shares(found: Counter[str]) -> str:
    total = found.total()
    if len(found) == 1:
        return f"all {total} {next(iter(found))}"
    told = [f"{times} of {total} {value}" for value, times in found.most_common(2)]
    return ", ".join([*told, "…"] if len(found) > 2 else told)


def _range(found: np.ndarray, name: str) -> str:
    low, middle, high = np.quantile(found, [0.1, 0.5, 0.9])
    unit, scale = {"seconds": (" s", 1), "bits_per_second": (" kbit/s", 1000), "hour": (" h", 1)}[name]
    return f"{low / scale:,.0f} to {high / scale:,.0f}{unit}, median {middle / scale:,.0f}"
