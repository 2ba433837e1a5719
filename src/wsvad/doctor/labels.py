"""Which labels of videos are contradicted by what the videos show.

**Score.** Three light models, none of which has seen the video, say how abnormal it is: ridge regressions of the label
on (a) its snippets, (b) random Fourier features of its snippets (Rahimi and Recht, 2007), which know what nearly the
same snippet was elsewhere, and (c) the mean and the maximum over its snippets. Of (a) and (b) the video has the mean
over its highest quarter of snippets: of an abnormal video, no more than a part need be abnormal. Each is standardised
over the videos, and summed, over several divisions into folds.

**Chance that a label is wrong.** Suppose that the true label is logistic in the score, and that a label was then
changed with rate ε, by chance alone. The share of labels that contradict even the clearest scores tells the rate; the
chance for a video is the posterior mean over rates up to 0.3. Before looking there is an even chance
that no label is wrong. What is hard to see in the features, an abnormal video that looks normal, is no wrong label, but
counts as one where it is frequent among clear scores. `benchmarks/results/audit.md` has how often the chance comes
true.

**Guessing.** All models are linear in the labels, so permuted labels cost little: p is the share of permutations whose
labels are predicted from the videos as well as the given ones. In the same way some labels are changed on purpose, to
see how many of these the list would begin with.

**Inverted labels.** A fit learns inverted labels as well as others, and its AUC does not fall. But abnormal is what a
part of a video is enough for. If the lowest quarter of the snippets tells the label better than the highest does (a
paired bootstrap over videos), it is the "normal" videos that have such a part.

Shapes: V videos, S snippets of all, P columns of labels, D features.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wsvad.errors import WsvadError
from wsvad.metrics.bootstrap import auc_interval, draw, p_value, resampled_auc
from wsvad.metrics.frame import roc_auc

FEWEST = 4
"""Videos of each label from which on labels are judged."""
FOLDS, DIVISIONS = 10, 3
"""Scores are averaged over so many divisions; of permuted labels one is enough, the same for all."""
PERMUTATIONS = 199
PLANTED, PLANTED_SHARE = 40, 0.1
"""How often labels are changed on purpose, and which share of them."""
LEVEL = 0.05
"""P-values above it are chance."""
SURE = 1 - LEVEL
"""Of intervals."""
CLAIMED = 0.5
"""Chance to be wrong from which on a label is called contradicted."""
WIDTH = 512
"""Features that the models see at most: wider ones are reduced to so many principal components."""
FOURIER = 400
"""Random Fourier features."""
BANDWIDTH = 2.0
"""Of their kernel, in median distances of two snippets."""
RIDGE = {"snippets": 0.1, "alike": 0.01, "whole": 3.0}
"""Added to the diagonal of the covariance, as a multiple of its mean."""
TOP = 0.25
"""Share of the snippets that a video's score is the mean of."""
SAMPLE = 8192
"""Snippets that principal components are found from."""

DOUBTED = 0.2
"""From which on it is called doubtful."""

MEANING = (
    "Each video is scored by models that have not seen it, and its label is compared with the score.",
    "The chance that a label is wrong assumes that wrong labels are changed by chance. A video whose event is hard to "
    "see in the features looks like a wrong label too: look at it before you correct it.",
    "A label is called doubtful from a chance of 20 % on, and contradicted from 50 % on. Of 26 sets in which no label "
    "had been changed, one had a contradicted label, and seven had doubtful ones.",
)
"""What a reader has to know of the numbers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What videos say of their labels."""

    suspicion: np.ndarray
    """`(V,)`: how far the score lies on the other label's side, in standard deviations. Videos are listed by it: the
    chance below also depends on how frequent labels are, which finds fewer wrong ones."""
    wrong: np.ndarray
    """`(V,)` chance that the label is wrong."""
    peaks: tuple[int, ...]
    """V: the snippet with the highest score."""
    auc: float
    """Of the labels, by the scores of videos not seen."""
    interval: tuple[float, float]
    """Of the AUC, over videos, at 95 %."""
    p: float
    """Share of permutations with as high an AUC."""
    p_worse: float
    """Share of permutations with as low an AUC."""
    p_inverted: float
    """P-value of the lowest snippets not telling the label better than the highest; small: inverted."""
    clean: float
    """Chance that no label is wrong."""
    found: float
    """Of labels that were changed on purpose, the share among as many of the most suspicious. Labels that were wrong
    already take places of theirs, so that it is more of all wrong ones."""

    @property
    def verdict(self) -> tuple[str, ...]:
        """What it comes to, for a reader."""
        return tuple(_verdict(self))

    @property
    def quality(self) -> tuple[str, ...]:
        """How far that can be trusted; empty where it cannot."""
        return tuple(_quality(self))


def judge(x: Sequence[np.ndarray], labels: np.ndarray, *, seed: int = 0) -> Judgement:
    """Judge the labels of V videos.

    Args:
        x: of each video its snippets' features, `(T, D)`.
        labels: `(V,)`, 1 for abnormal.
        seed: of folds and draws.

    Raises:
        WsvadError: a label has too few videos, or a feature is not a finite number.
    """
    labels = np.asarray(labels, np.int64)
    counts = np.bincount(labels, minlength=2)
    if counts.min() < FEWEST:
        raise WsvadError(
            f"{counts[0]} normal and {counts[1]} abnormal training videos are too few to judge their labels; "
            f"{FEWEST} of each are needed at least"
        )
    if not all(np.isfinite(one).all() for one in x):
        raise WsvadError("the features are not all finite numbers; check them with 'wsvad doctor'")
    rng = np.random.default_rng(seed)
    permuted = [labels, *(rng.permutation(labels) for _ in range(PERMUTATIONS))]
    planted = [_planted(len(labels), rng) for _ in range(PLANTED)]
    y_VP = np.stack([*permuted, *(np.where(them, 1 - labels, labels) for them in planted)], axis=1).astype(np.float64)
    told = scores(x, y_VP, rng)
    auc_P = np.array([_auc(score, y) for score, y in zip(told.one_VP.T, permuted, strict=False)])
    score_V = _standard(told.score_V)
    times = draw(len(labels))
    wrong_V, clean = chance_of_wrong(score_V, labels)
    apart_R = _resampled(told.high_V, labels, times) - _resampled(told.low_V, labels, times)
    starts = np.cumsum([0, *map(len, x)])
    found = [
        _found(_suspicion(score, np.where(them, 1 - labels, labels)), them)
        for score, them in zip(told.one_VP.T[len(permuted) :], planted, strict=True)
    ]
    return Judgement(
        suspicion=_suspicion(score_V, labels),
        wrong=wrong_V,
        peaks=tuple(int(told.snippets_S[a:b].argmax()) for a, b in pairwise(starts)),
        auc=_auc(score_V, labels),
        interval=auc_interval(_resampled(score_V, labels, times), counts[1], counts[0], SURE),
        p=float((auc_P >= auc_P[0]).mean()),
        p_worse=float((auc_P <= auc_P[0]).mean()),
        p_inverted=p_value(apart_R) if np.nanmean(apart_R) < 0 else 1.0,
        clean=clean,
        found=float(np.mean(found)),
    )


def _verdict(judged: Judgement) -> Iterator[str]:
    if judged.p_worse <= LEVEL:
        yield (
            f"Worse than guessing: what the other videos teach contradicts the labels ({_auc_in_words(judged)}, p = "
            f"{judged.p_worse:.3f}). Videos that look alike have opposite labels: are some of the labels inverted?"
        )
    elif judged.p > LEVEL:
        yield (
            "No better than guessing: the label of a video cannot be predicted from the other videos "
            f"({_auc_in_words(judged)}, p = {judged.p:.2f}). The list says little; more videos or another encoder may "
            "help."
        )
    elif judged.p_inverted <= LEVEL:
        yield (
            "Are the labels inverted? The videos labelled normal have moments that the ones labelled abnormal lack, "
            f"not the other way round (p = {judged.p_inverted:.3f})."
        )
    total, doubted, claimed = len(judged.wrong), judged.wrong >= DOUBTED, int((judged.wrong >= CLAIMED).sum())
    if doubted.any():
        number, some = int(doubted.sum()), f", {claimed} contradicted by what the videos show" if claimed else ""
        yield (
            f"{number} of {total} training labels {'is' if number == 1 else 'are'} doubtful{some}; about "
            f"{max(1, judged.wrong[doubted].sum()):.0f} may be wrong. Look at the videos before you correct labels."
        )
    elif judged.p <= LEVEL:
        yield f"No single one of {total} training labels can be called doubtful."


def _quality(judged: Judgement) -> Iterator[str]:
    if judged.p <= LEVEL:
        yield f"Labels of unseen videos are predicted with {_auc_in_words(judged)} (p = {judged.p:.3f})."
        yield (
            "How well this list finds wrong labels: of one label in ten that was changed on purpose, "
            f"{100 * judged.found:.0f} % were among as many of the most suspicious."
        )


def _auc_in_words(judged: Judgement) -> str:
    low, high = (100 * bound for bound in judged.interval)
    return f"AUC {100 * judged.auc:.0f}, 95 % interval {low:.0f} to {high:.0f}"


# ------------------------------------------------------------------------------------------------------------ scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What models tell of videos that they have not seen."""

    score_V: np.ndarray
    """Of each video, higher for abnormal."""
    low_V: np.ndarray
    high_V: np.ndarray
    """Of its lowest and of its highest snippets, by the models that look at snippets."""
    snippets_S: np.ndarray
    """Of each snippet, by the same."""
    one_VP: np.ndarray
    """Of each video, by one division into folds alone, for each column of labels."""


def scores(x: Sequence[np.ndarray], y_VP: np.ndarray, rng: np.random.Generator) -> Told:
    """Score videos by models that have not seen them. The first column of labels is what counts; the others are
    compared with it."""
    lengths = np.array([len(one) for one in x])
    video_S, videos = np.repeat(np.arange(len(x)), lengths), np.arange(len(x))
    x_SD = _prepared(np.concatenate(x), rng)
    starts = np.cumsum([0, *lengths[:-1]])
    mean_VD, most_VD = np.add.reduceat(x_SD, starts) / lengths[:, None], np.maximum.reduceat(x_SD, starts)
    whole_VD = _standard(np.concatenate([mean_VD, most_VD], axis=1))
    score_V, low_V, high_V = np.zeros((3, len(x)))
    snippets_S, one_VP = np.zeros(len(x_SD)), np.zeros(y_VP.shape)
    for division in range(DIVISIONS):
        fold_V, columns = rng.permutation(videos % FOLDS), y_VP if division == 0 else y_VP[:, :1]
        told_VP = _standard(unseen(whole_VD, videos, columns, fold_V, RIDGE["whole"]))
        for name, features_SD in (("snippets", x_SD), ("alike", _fourier(x_SD, rng))):
            told_SP = unseen(features_SD, video_S, columns, fold_V, RIDGE[name])
            high_VP = _standard(_highest(told_SP, lengths))
            told_VP = told_VP + high_VP
            high_V += high_VP[:, 0]
            low_V -= _standard(_highest(-told_SP[:, :1], lengths))[:, 0]
            snippets_S += _standard(told_SP[:, 0])
        score_V += told_VP[:, 0]
        one_VP = told_VP if division == 0 else one_VP
    return Told(score_V=score_V, low_V=low_V, high_V=high_V, snippets_S=snippets_S, one_VP=one_VP)


def unseen(x_SD: np.ndarray, video_S: np.ndarray, y_VP: np.ndarray, fold_V: np.ndarray, ridge: float) -> np.ndarray:
    """What a ridge regression tells of snippets whose video it was fitted without, `(S, P)`; every video weighs the
    same. It is without the mean label of the other videos, which is lower where a fold has many abnormal ones."""
    lengths = np.bincount(video_S)
    told_SP = np.empty((len(x_SD), y_VP.shape[1]))
    for fold in np.unique(fold_V):
        out_S = (fold_V == fold)[video_S]
        weight_S = 1 / lengths[video_S[~out_S]] / (fold_V != fold).sum()
        inside_SD, y_SP = x_SD[~out_S], y_VP[video_S[~out_S]]
        mean_D, centre_P = weight_S @ inside_SD, weight_S @ y_SP
        root = np.sqrt(weight_S)[:, None]
        a_SD, b_SP = root * (inside_SD - mean_D), root * (y_SP - centre_P)
        told_SP[out_S] = (x_SD[out_S] - mean_D) @ _ridge(a_SD, b_SP, ridge)
    return told_SP.round(9)  # sums of the same numbers in another order are no difference


def _ridge(a_SD: np.ndarray, b_SP: np.ndarray, ridge: float) -> np.ndarray:
    """The weights `(D, P)`; in whichever form is smaller."""
    rows, width = a_SD.shape
    shift = ridge * (a_SD**2).sum() / width or 1.0
    if rows < width:
        return a_SD.T @ np.linalg.solve(a_SD @ a_SD.T + shift * np.eye(rows), b_SP)
    return np.linalg.solve(a_SD.T @ a_SD + shift * np.eye(width), a_SD.T @ b_SP)


def _highest(told_SP: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The mean over the highest `TOP` of each video's snippets, `(V, P)`."""
    found = np.empty((len(lengths), told_SP.shape[1]))
    starts = np.cumsum([0, *lengths])
    for video, (start, end) in enumerate(pairwise(starts)):
        count = math.ceil(TOP * (end - start))
        found[video] = np.partition(told_SP[start:end], end - start - count, axis=0)[-count:].mean(0)
    return found


def _fourier(x_SD: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random features whose products are a Gaussian kernel, `(S, FOURIER)`."""
    some = x_SD[rng.permutation(len(x_SD))[:400]]
    square = (some**2).sum(1)
    distance = square[:, None] + square - 2 * some @ some.T
    usual = math.sqrt(max(np.median(distance[np.triu_indices(len(some), 1)]), 1e-12))
    frequency = rng.normal(size=(x_SD.shape[1], FOURIER)) / (BANDWIDTH * usual)
    return np.cos(x_SD @ frequency + rng.uniform(0, 2 * np.pi, FOURIER))


def _prepared(x_SD: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standardised; of more than `WIDTH` features their principal components, found on a sample, without a copy of all
    in double precision."""
    if x_SD.shape[1] <= WIDTH:
        return _standard(x_SD.astype(np.float64))
    some = x_SD[rng.permutation(len(x_SD))[:SAMPLE]].astype(np.float64)
    unit = _standard(some)
    _, vectors = np.linalg.eigh(unit.T @ unit)
    std = some.std(0)
    project = vectors[:, -WIDTH:] / np.where(std > 1e-9, std, 1)[:, None]
    return (x_SD @ project.astype(x_SD.dtype)).astype(np.float64) - some.mean(0) @ project


def _standard(x: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and variance 1; what is the same for all is 0."""
    std = x.std(0)
    return (x - x.mean(0)) / np.where(std > 1e-9, std, 1)


def _suspicion(score_V: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far a score lies on the other label's side of the middle between the two labels' means."""
    score_V = _standard(score_V)
    middle = (score_V[labels == 0].mean() + score_V[labels == 1].mean()) / 2
    return np.where(labels == 1, -1, 1) * (score_V - middle)


def _planted(videos: int, rng: np.random.Generator) -> np.ndarray:
    """Which labels are changed on purpose, `(V,)`."""
    return np.isin(np.arange(videos), rng.permutation(videos)[: max(1, round(PLANTED_SHARE * videos))])


def _found(suspicion_V: np.ndarray, wrong_V: np.ndarray) -> float:
    """The share of the wrong ones among as many of the most suspicious."""
    return float(wrong_V[np.argsort(-suspicion_V, kind="stable")[: wrong_V.sum()]].mean())


def _resampled(score_V: np.ndarray, labels: np.ndarray, times_RV: np.ndarray) -> np.ndarray:
    return resampled_auc(score_V, labels, 1 - labels, np.arange(len(labels)), times_RV)


# ------------------------------------------------------------------------------------------------- wrong labels

RATES = np.array([0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3])
"""Of wrong labels."""
CLEAN = 0.5
"""Chance, before looking, that no label is wrong; otherwise every rate is as likely as any other."""
STEPS, SLOPE = 60, 0.02
"""Steps of expectation and maximisation; the weight of the squared slope, which keeps it finite."""


def chance_of_wrong(score_V: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Chance that each label is wrong, `(V,)`, and that none is.

    Args:
        score_V: higher for abnormal, by models that have not seen the video; standardised.
    """
    rate = RATES[:, None]
    true, likelihood = _logistic(score_V, labels, rate)
    width = np.where(RATES > 0, np.gradient(RATES), 0)
    prior = np.where(RATES > 0, (1 - CLEAN) * width / width.sum(), CLEAN)
    posterior = np.log(prior) + likelihood
    posterior = np.exp(posterior - posterior.max())
    posterior /= posterior.sum()
    abnormal = _truth(true, rate, labels)
    return posterior @ np.where(labels == 1, 1 - abnormal, abnormal), float(posterior[RATES == 0].sum())


def _truth(true: np.ndarray, rate: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Chance to be abnormal of videos with these labels, where it was `true` without them, `(M, V)`."""
    right = np.where(labels == 1, 1 - rate, rate)
    return right * true / np.maximum(right * true + (1 - right) * (1 - true), 1e-300)


def _logistic(score_V: np.ndarray, labels: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of M rates the chance of each video to be abnormal, `(M, V)`, and the likelihood of the labels, `(M,)`,
    in logarithms; fitted by expectation and maximisation."""
    design = np.stack([np.ones_like(score_V), score_V])
    weights = np.tile([0.0, 1.0], (len(rate), 1))
    penalty = np.array([1e-6, 2 * SLOPE])
    for _ in range(STEPS):
        chance = _sigmoid(weights @ design)
        slope = (_truth(chance, rate, labels) - chance) @ design.T - penalty * weights
        curve = np.einsum("mv,iv,jv->mij", np.maximum(chance * (1 - chance), 1e-6), design, design)
        step = np.linalg.solve(curve + np.diag(penalty), slope[..., None])[..., 0]
        weights = weights + step * np.minimum(1, 2 / np.maximum(np.abs(step).max(1, keepdims=True), 1e-9))
    chance = _sigmoid(weights @ design)
    seen = rate * (1 - chance) + (1 - rate) * chance
    likelihood = np.log(np.maximum(np.where(labels == 1, seen, 1 - seen), 1e-300)).sum(1)
    return chance, likelihood - SLOPE * weights[:, 1] ** 2


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def _auc(score_V: np.ndarray, y_V: np.ndarray) -> float:
    return roc_auc(score_V, y_V.astype(np.int64), 1 - y_V.astype(np.int64))
