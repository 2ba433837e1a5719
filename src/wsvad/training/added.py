"""What each of several streams adds on held-out training videos: a linear model with it and without. Where one stream
has the features of several encoders side by side, each of these is judged as a stream is.

The model is a ridge regression of the label on the segments of each video, in its dual form. Each stream is
standardised and gives the products of all pairs of segments, divided by its width, so that a narrow stream counts as
much as a wide one; a set of streams is the mean of these. The cost is that of the segments, at most `ROWS`, whatever
the widths. Videos are held out in folds, by scenes, and a video's score is that of its highest segment. How far the
model ranks streams as the methods do: `benchmarks/results/sides.md`.

Shapes: V videos, N segments of all of them, D features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsvad.datasets.bags import pack
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.division import folds
from wsvad.datasets.scenes import Scenes
from wsvad.metrics.frame import roc_auc
from wsvad.training.fitting import Fitting

ROWS = 1024
"""Segments that the model is fitted to, at most; of more videos than that some are drawn."""
FOLDS = 5
FEWEST = 10
"""Videos of either label below which nothing is left out: of so few, chance decides which rank higher."""
LEAST = 0.01
"""Video AUC that a stream has to add: it costs its encoder, and what tells nothing adds as much by chance."""
STRENGTHS = (0.03, 0.3, 3.0, 30.0)
"""Of the ridge, in mean squared lengths of a segment; each set of streams has the one that is best for it."""

Streams = tuple[str, ...]
Value = tuple[float, float]
"""Video AUC; and where that is level, how many standard deviations the mean scores of the two labels are apart."""


@dataclass(frozen=True, kw_only=True)
class Added:
    """What came of it."""

    kept: Streams
    """Those that add something; one at least. What is an encoder's part of a stream is called by both."""
    left_out: tuple[tuple[str, float, float], ...]
    """The others in the order in which they were left out, with the video AUC before and after."""
    auc: float
    """With those that are kept; NaN where there are too few videos to say."""

    def sentences(self, remedy: Callable[[str], str], *, auto: bool) -> list[str]:
        """For the reader of a run.

        Args:
            remedy: what is done, or can be done, about one that adds nothing.
            auto: it was asked to leave them out, so it says as well that it does not.
        """
        found = []
        for name, with_it, without in self.left_out:
            much = "nothing" if with_it <= without else "less than a point"
            found.append(
                f"{name} added {much} on held-out training videos: video AUC {in_words(with_it)} with it, "
                f"{in_words(without)} without; {remedy(name)}."
            )
        if auto and not self.left_out:
            names = ", ".join(self.kept)
            why = (
                f"fewer than {FEWEST} training videos of a label cannot say what each adds"
                if np.isnan(self.auc)
                else f"each adds to the video AUC of held-out training videos, {in_words(self.auc)} with all of them"
            )
            found.append(f"No stream of {names} is left out: {why}.")
        return found


def in_words(auc: float) -> str:
    return f"{100 * auc:.0f}"


def parts_of(fitting: Fitting) -> dict[str, tuple[str, int, slice]]:
    """What is judged: name → stream, the encoder's place in it, its columns."""
    assert fitting.widths
    found = {}
    for stream in fitting.scored:
        passport = fitting.check.passports[stream]
        widths, names = passport.widths or (passport.width,), list(passport.settings)
        ends = np.cumsum(widths).tolist()
        for place, (end, width) in enumerate(zip(ends, widths, strict=True)):
            called = names[place] if len(names) == len(widths) else f"encoder {place + 1}"
            name = stream if len(widths) == 1 else f"{called} in {stream}"
            found[name] = (stream, place, slice(end - width, end))
    return found


def added_by_streams(fitting: Fitting, scenes: Scenes, seed: int) -> Added:
    """Judge the streams that a method scores with.

    Args:
        scenes: of the training videos.
        seed: of folds, and of the draw of videos where there are too many.
    """
    videos: Sequence[LabelledVideo] = fitting.dataset.train
    if len(videos) > ROWS:
        drawn = np.random.default_rng(seed).permutation(len(videos))[:ROWS]
        videos = [videos[place] for place in sorted(drawn.tolist())]
    segments = max(1, min(fitting.longest, ROWS // len(videos)))
    packed = pack(videos, fitting.source, fitting.scored, segments, memory=fitting.memory)
    of_crops = [packed.videos.index(video.name) for video in videos]  # the first crop of each
    fold_of = {name: number for number, some in enumerate(folds(videos, FOLDS, seed, scenes)) for name in some}
    return judged(
        {
            name: products_of(packed.streams[stream][of_crops][..., columns].flatten(0, 1).double().numpy())
            for name, (stream, _, columns) in parts_of(fitting).items()
        },
        labels=np.array([video.label for video in videos]),
        owner=np.repeat(np.arange(len(videos)), segments),
        fold=np.array([fold_of.get(video.name, -1) for video in videos]),
    )


def products_of(x_ND: np.ndarray) -> np.ndarray:
    """Scalar products of standardised segments, `(N, N)`, whose diagonal has the mean 1; what is constant counts for
    nothing, and a stream that is constant throughout gives 0."""
    deviation = x_ND.std(0)
    varies = deviation > 1e-6 * np.abs(x_ND.mean(0)).clip(min=1e-6)
    x = (x_ND[:, varies] - x_ND[:, varies].mean(0)) / deviation[varies]
    return x @ x.T / max(1, x.shape[1])


def judged(products: Mapping[str, np.ndarray], labels: np.ndarray, owner: np.ndarray, fold: np.ndarray) -> Added:
    """Leave out stream after stream, as long as it adds less than `LEAST`.

    Args:
        products: stream → `(N, N)`, see `products_of`.
        labels: `(V,)`.
        owner: `(N,)`, the video of each segment.
        fold: `(V,)`; a video of none, -1, is in each fit.
    """
    known: dict[Streams, Value] = {}

    def value(names: Streams) -> Value:
        if names not in known:
            some = [products[name] for name in names if products[name].any()] or [products[names[0]]]
            together = np.mean(some, axis=0)
            known[names] = max(value_of(scores, labels) for scores in unseen(together, labels, owner, fold))
        return known[names]

    kept, left_out = tuple(products), []
    if min(np.bincount(labels[fold >= 0], minlength=2)) < FEWEST:
        return Added(kept=kept, left_out=(), auc=np.nan)
    while len(kept) > 1:
        best = max((tuple(one for one in kept if one != out) for out in kept), key=value)
        if value(kept)[0] - value(best)[0] >= LEAST:
            break
        (out,) = set(kept) - set(best)
        left_out.append((out, value(kept)[0], value(best)[0]))
        kept = best
    return Added(kept=kept, left_out=tuple(left_out), auc=value(kept)[0])


def unseen(products: np.ndarray, labels: np.ndarray, owner: np.ndarray, fold: np.ndarray) -> list[np.ndarray]:
    """For each strength, the score of each video by a fit that has not seen it, `(V,)`; NaN where each has."""
    found = [np.full(len(labels), np.nan) for _ in STRENGTHS]
    y = labels[owner].astype(np.float64)
    for number in sorted({*fold.tolist()} - {-1}):
        out = fold[owner] == number
        rest = ~out
        mean = y[rest].mean()
        inside = products[np.ix_(rest, rest)]
        # Both are centred on the segments that are fitted to, which is what an intercept does.
        shift = inside.mean(0)
        across = products[np.ix_(out, rest)]
        across = across - across.mean(1, keepdims=True) - shift + shift.mean()
        inside = inside - shift - shift[:, None] + shift.mean()
        for scores, strength in zip(found, STRENGTHS, strict=True):
            told = across @ np.linalg.solve(inside + strength * np.eye(len(inside)), y[rest] - mean)
            highest = np.full(len(labels), -np.inf)
            np.maximum.at(highest, owner[out], told)
            scores[fold == number] = highest[fold == number]
    return found


def value_of(scores: np.ndarray, labels: np.ndarray) -> Value:
    """Of scores of videos of both labels, all folds together; NaN is none."""
    scores, labels = scores[~np.isnan(scores)], labels[~np.isnan(scores)]
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    spread = np.sqrt((normal.var() + abnormal.var()) / 2)
    return roc_auc(scores, labels, 1 - labels), float((abnormal.mean() - normal.mean()) / max(spread, 1e-9))
