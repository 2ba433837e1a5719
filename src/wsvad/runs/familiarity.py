"""How far a video lies from those that were learned from: another scene, another camera, another light, a covered lens.

A video is known by the mean of its snippets' features, in each stream. Of the training videos' means there is a
Gaussian: covariance by Ledoit and Wolf ("A well-conditioned estimator for large-dimensional covariance matrices",
2004), of which the first `AXES` axes are kept and the rest has one variance. A video's distance is Mahalanobis', in
units of the *limit*: that of training videos which such a Gaussian had not seen, at most a share of `FALSE` of which
lies beyond (conformal prediction: of n videos the k-th smallest distance, k = ⌈(n + 1)(1 − FALSE)⌉, is exceeded by
another one with a probability of 1 − k / (n + 1)). The mean of a short video strays further, so the limit depends on
the length: there is one of parts of training videos too (`SHARES`). Of several streams the largest distance counts.

Shapes: N videos, L segments, D features, K axes, T snippets, C crops.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from wsvad.datasets.memory import Rows
from wsvad.runs.normalisation import moments

FALSE = 0.05
"""Share of familiar videos that may be beyond the limit."""
FEWEST = 8
"""Training videos from which on anything is said; with so few, one in nine is beyond the limit."""
GROUPS = 20
"""Groups, such as scenes, from which on they are left out whole: what is familiar is then another scene of that kind.
Of fewer it is another video of those scenes, as a detector of a few cameras has to know them from others."""
MOST = 1000
"""Videos that Gaussians are fitted to; of more, so many are drawn."""
AXES = 32
"""K. Of 16, 32 and all, on held-out training videos of four sets: all the same (benchmarks/results/foreign.md)."""
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Parts of a training video whose distances have limits; of a video shorter than the first nothing is said."""
LEAST = 1e-6
"""Variance at the least, and distance of the limit, where all videos are alike."""
FOLDS = 10
"""Parts that are left out in turn, where there are so many groups."""


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Of the training videos' mean features in one stream."""

    centre: Tensor
    """`(D,)`"""
    scale: Tensor
    """`(D,)`: standard deviation of the segments' features, all of them. Axes are in these units."""
    axes: Tensor
    """`(K, D)`, orthonormal."""
    variances: Tensor
    """`(K + 1,)` along each axis, and across all of them."""

    @classmethod
    def fit(cls, means_ND: Tensor, scale_D: Tensor) -> "Gaussian":
        """Ledoit and Wolf's covariance of standardised means. What it needs of S, `(D, D)`, is in `(N, N)` products."""
        centre = means_ND.mean(0)
        x = (means_ND - centre) / scale_D
        count, width = x.shape
        eigenvalues, vectors = torch.linalg.eigh(x @ x.T / count)
        eigenvalues, vectors = eigenvalues.flip(0).clamp(min=0), vectors.flip(1)
        mean, square = eigenvalues.sum() / width, eigenvalues.square().sum()
        spread = square / width - mean.square()
        noise = (x.square().sum(1).square().sum() / count - square) / (count * width)
        shrinkage = (noise.clamp(max=spread) / spread).clamp(0.01, 1) if spread > 0 else torch.ones_like(mean)
        kept = int((eigenvalues > 1e-9 * eigenvalues[0]).sum().clamp(max=AXES))
        axes = (vectors[:, :kept].T @ x) / (count * eigenvalues[:kept, None]).sqrt()
        across = eigenvalues[kept:].sum() / max(width - kept, 1)
        variances = (1 - shrinkage) * torch.cat([eigenvalues[:kept], across[None]]) + shrinkage * mean
        return cls(centre=centre, scale=scale_D, axes=axes, variances=variances.clamp(min=LEAST))

    def distance(self, means_ND: Tensor) -> Tensor:
        """`(N,)`; about 1 for what it was fitted to."""
        x = (means_ND - self.centre) / self.scale
        along = (x @ self.axes.T).square()
        across = (x.square().sum(-1) - along.sum(-1)).clamp(min=0)
        return ((along / self.variances[:-1]).sum(-1) + across / self.variances[-1]).div(x.shape[-1]).sqrt()


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """What the training videos look like, to know others by."""

    streams: dict[str, Gaussian]
    limits: dict[str, list[float]]
    """Stream → distance in its Gaussian that is 1 here, for each of the `SHARES`."""
    videos: int
    """Training videos that the limits come from."""
    false: float
    """Share of familiar videos that is expected beyond them; more than `FALSE` where there are few."""
    length: float
    """Snippets of a training video, in the median."""

    @classmethod
    def fit(
        cls,
        streams: Mapping[str, Rows],
        videos: Sequence[str],
        length: float,
        groups: Mapping[str, str] | None = None,
    ) -> "Familiarity | None":
        """From packed training features; None where there are too few videos, or nothing varies.

        Args:
            streams: `(rows, L, D)` each.
            videos: the name of each row; crops of a video are rows of one name.
            length: snippets of a video, in the median.
            groups: video → what is left out together, such as its scene (`GROUPS`); by default each by itself.
        """
        names = list(dict.fromkeys(videos))
        drawn = sorted(np.random.default_rng(0).permutation(len(names))[:MOST].tolist())
        folds = _folds([(groups or {}).get(names[number], names[number]) for number in drawn])
        scales = {name: _scale(stream) for name, stream in streams.items()}
        varies = [name for name in streams if scales[name] is not None]
        if not folds or not varies:
            return None
        gaussians, held_out = {}, {}
        for name in varies:
            scale, means = scales[name], [_means(streams[name], videos, names, share)[drawn] for share in SHARES]
            assert scale is not None
            gaussians[name] = Gaussian.fit(means[-1], scale)
            held_out[name] = torch.empty(len(SHARES), len(drawn), dtype=torch.float64)
            for fold in folds:
                others = Gaussian.fit(means[-1][~fold], scale)
                held_out[name][:, fold] = torch.stack([others.distance(part[fold]) for part in means])
        rank = min(ceil((len(drawn) + 1) * (1 - FALSE)), len(drawn))
        limits = {name: _limits(each, rank) for name, each in held_out.items()}
        largest = torch.stack([held_out[name] / limits[name][:, None] for name in varies]).max(0).values
        return cls(
            streams=gaussians,
            limits={name: (each * _limits(largest, rank)).tolist() for name, each in limits.items()},
            videos=len(drawn),
            false=1 - rank / (len(drawn) + 1),
            length=length,
        )

    def distance(self, streams: Mapping[str, Tensor | np.ndarray]) -> float | None:
        """Of a whole video, or of any part of one: the limit is 1. None where it is too short.

        Args:
            streams: `(T, D)` or `(C, T, D)` each, as they come from the encoders.
        """
        parts = {name: torch.as_tensor(streams[name]) for name in self.streams}
        snippets = next(iter(parts.values())).shape[-2]
        if snippets < SHARES[0] * self.length:
            return None
        each = []
        for name, part in parts.items():
            mean_D = part.to(torch.float64).flatten(0, -2).mean(0)
            limit = np.interp(snippets / self.length, SHARES, self.limits[name])
            each.append(float(self.streams[name].distance(mean_D[None])[0] / limit))
        return max(each)

    def live(self, window: int) -> "Running":
        """For a source without end: the distance of its last `window` snippets."""
        return Running(self, window)

    def note(self, distance: float | None) -> str:
        """What has to be known of a video at that distance; nothing where it is within the limit."""
        if distance is None or distance <= 1:
            return ""
        return (
            f"unlike the training videos ({distance:.1f} times the distance that {1 - self.false:.0%} of them keep): "
            "another scene, camera, light or rate, or a covered lens; its scores may mean nothing"
        )

    def summary(self, distances: Sequence[float | None]) -> str:
        """The same of several videos, where at least two are beyond it."""
        judged = [distance for distance in distances if distance is not None]
        beyond, expected = sum(distance > 1 for distance in judged), self.false * len(judged)
        if beyond < 2:
            return ""
        then = "Their scores may mean nothing: train with videos from there."
        return (
            f"{beyond} of {len(judged)} videos are unlike the {self.videos} training videos; of familiar ones "
            f"{expected:.1f} would be. {then if beyond > 2 * expected else 'That is no cause for concern.'}"
        )


class Running:
    """The distance of the last snippets of a live source."""

    def __init__(self, familiarity: Familiarity, window: int):
        self._familiarity = familiarity
        self._rows: dict[str, deque[Tensor]] = {name: deque(maxlen=window) for name in familiarity.streams}

    def push(self, row: Mapping[str, Tensor | np.ndarray]) -> float | None:
        """The newest snippet's features, `(D,)` or `(C, D)` each → the distance; None until the window is full."""
        for name, rows in self._rows.items():
            rows.append(torch.as_tensor(row[name]))
        if any(len(rows) < (rows.maxlen or 0) for rows in self._rows.values()):
            return None
        return self._familiarity.distance({name: torch.stack(list(rows), -2) for name, rows in self._rows.items()})


def _means(stream: Rows, videos: Sequence[str], names: Sequence[str], share: float) -> Tensor:
    """`(N, D)` float64, the mean over crops and over some consecutive segments of each video, from anywhere in it."""
    place = {name: number for number, name in enumerate(names)}
    segments = max(1, round(share * stream.shape[1]))
    first = np.random.default_rng(0).integers(stream.shape[1] - segments + 1, size=len(names))
    numbers = [place[video] for video in videos]
    means = torch.empty(len(numbers), stream.shape[-1], dtype=torch.float64)
    for row, n in enumerate(numbers):  # one at a time: they may be on disk
        means[row] = stream[row][first[n] : first[n] + segments].to(torch.float64).mean(0)
    number = torch.tensor(numbers)
    sums = torch.zeros(len(names), means.shape[-1], dtype=torch.float64).index_add(0, number, means)
    return sums / number.bincount(minlength=len(names))[:, None]


def _limits(held_out: Tensor, rank: int) -> Tensor:
    """Of each row, the distance of that rank."""
    return held_out.sort(dim=1).values[:, rank - 1].clamp(min=LEAST)


def _scale(stream: Rows) -> Tensor | None:
    """`(D,)` float64: standard deviation of each dimension, 1 where it is constant; None where all are."""
    mean, deviation = moments(stream)
    varies = deviation > 1e-6 * mean.abs().clamp(min=1e-6)
    return torch.where(varies, deviation, 1.0).to(torch.float64) if varies.any() else None


def _folds(groups: Sequence[str]) -> list[Tensor]:
    """Masks `(N,)` of the parts that are left out in turn; nothing where there are too few videos."""
    if len(groups) < FEWEST:
        return []
    if len(set(groups)) < GROUPS:
        groups = [str(number) for number in range(len(groups))]
    known = list(dict.fromkeys(groups))
    order = np.random.default_rng(0).permutation(len(known))
    part = {known[number]: place % FOLDS for place, number in enumerate(order.tolist())}
    of = torch.tensor([part[group] for group in groups])
    return [of == number for number in range(min(FOLDS, len(known)))]
