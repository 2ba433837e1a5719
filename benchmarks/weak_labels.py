"""What could bring the linear model further from labels of videos alone, by held-out training videos of three sets.

`limits.py` shows what came of it. All candidates were written down before any figure of them was seen, each with its
reason, and all have the strength of `linear`, λ = 0.5: a change of labels or of features may make the measure point
another way over strengths, so strength is not chosen here. No test video is read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scenes import Footage
from sklearn.linear_model import LogisticRegression

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.datasets.division import folds
from wsvad.encoders.motion import HEIGHT, WIDTH, is_cut
from wsvad.metrics.frame import roc_auc
from wsvad.training.selection import moment_auc
from wsvad.video.reader import VideoReader

DECAY = 0.5
"""λ of `linear`."""
SECOND = 1.0
"""Standard deviation of the Gaussian in seconds: events last seconds."""
LIMIT = 2.0
"""Standard deviations at which features are cut off."""
ROUNDS = 5
FITS = 20
FOLDS, DIVISIONS = 5, 4
"""Each of four divisions holds out every video once."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """What a fit and a score may know of a video. N snippets, D features."""

    name: str
    label: int
    x: np.ndarray
    """`(N, D)`, standardised by training videos."""
    seconds: np.ndarray
    """`(N,)` middles of the snippets."""
    shot: np.ndarray
    """`(N,)` number of the shot that the middle lies in."""
    normal: np.ndarray
    """`(N,)` bool: known to be normal, by the video's label or as a scene that a normal video shows."""

    def near(self, within_shots: bool = False) -> np.ndarray:
        """`(N, N)` weights of a Gaussian over time, each row's sum 1."""
        weight = np.exp(-(((self.seconds[:, None] - self.seconds) / SECOND) ** 2) / 2)
        if within_shots:
            weight *= self.shot[:, None] == self.shot
        return weight / weight.sum(1, keepdims=True)


Rows = Callable[[Video], np.ndarray]
"""The features of a video that the linear model sees, `(N, D')`."""
Teach = Callable[[Sequence[Video], Sequence[np.ndarray]], "Model"]
"""A model from videos and their rows."""
After = Callable[[Video, np.ndarray], np.ndarray]
"""Scores from logits."""


@dataclass(frozen=True)
class Model:
    weight: np.ndarray
    bias: float

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return rows @ self.weight + self.bias


# ------------------------------------------------------------------------------------------------- fits


def solve(rows: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Model:
    """Mean weighted cross-entropy with targets in [0, 1], + λ/2 · ‖w‖², as `linear`."""
    weight = weight / weight.sum()
    x, y = np.concatenate([rows, rows]), np.repeat([1, 0], len(rows))
    each = np.concatenate([weight * target, weight * (1 - target)])
    some = each > 0
    model = LogisticRegression(C=1 / DECAY, max_iter=500).fit(x[some], y[some], each[some])
    return Model(model.coef_[0], float(model.intercept_[0]))


def balanced(videos: Sequence[Video], each: Sequence[np.ndarray]) -> np.ndarray:
    """Weights of snippets in which each video counts by the sum of its own, and both labels as much."""
    labels = np.array([video.label for video in videos])
    share = np.where(labels == 1, 0.5 / max(labels.sum(), 1), 0.5 / max((1 - labels).sum(), 1))
    return np.concatenate([one / max(one.sum(), 1e-9) * part for one, part in zip(each, share, strict=True)])


def by_label(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
    """`linear`: each snippet has its video's label."""
    target = np.concatenate([np.full(len(x), float(v.label)) for v, x in zip(videos, rows, strict=True)])
    return solve(np.concatenate(rows), target, balanced(videos, [np.ones(len(x)) for x in rows]))


def highest(share: float) -> Teach:
    """The MIL form: after the first fit the highest snippets of abnormal videos alone."""

    def teach(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
        model = by_label(videos, rows)
        target = np.concatenate([np.full(len(x), float(v.label)) for v, x in zip(videos, rows, strict=True)])
        for _ in range(ROUNDS):
            keep = [
                _highest(model(x), share) if v.label else np.ones(len(x)) for v, x in zip(videos, rows, strict=True)
            ]
            model = solve(np.concatenate(rows), target, balanced(videos, keep))
        return model

    return teach


def _highest(scores: np.ndarray, share: float) -> np.ndarray:
    count = max(1, int(np.ceil(share * len(scores))))
    return (scores >= np.sort(scores)[-count]).astype(float)


def expected(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
    """EM from the linear start: the target of an abnormal video's snippet is how likely it is abnormal, where half of
    the snippets of abnormal videos are."""
    model = by_label(videos, rows)
    weight = balanced(videos, [np.ones(len(x)) for x in rows])
    for _ in range(ROUNDS):
        logits = [model(x) for x in rows]
        middle = np.median(np.concatenate([z for v, z in zip(videos, logits, strict=True) if v.label]))
        spread = np.concatenate(logits).std() + 1e-9
        target = [
            1 / (1 + np.exp(-2 * (z - middle) / spread)) if v.label else np.zeros(len(z))
            for v, z in zip(videos, logits, strict=True)
        ]
        model = solve(np.concatenate(rows), np.concatenate(target), weight)
    return model


def softly(videos: Sequence[Video], rows: Sequence[np.ndarray], each: Sequence[np.ndarray] | None = None) -> Model:
    """Snippets of abnormal videos keep their label and weigh less the lower they are in their own video."""
    each = each or [np.ones(len(x)) for x in rows]
    target = np.concatenate([np.full(len(x), float(v.label)) for v, x in zip(videos, rows, strict=True)])
    model = solve(np.concatenate(rows), target, balanced(videos, each))
    for _ in range(ROUNDS):
        ranked = [
            one * (model(x).argsort().argsort() + 1.0) if v.label else one
            for v, x, one in zip(videos, rows, each, strict=True)
        ]
        model = solve(np.concatenate(rows), target, balanced(videos, ranked))
    return model


def without_known(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
    """Snippets of abnormal videos that show a scene of a normal video are left out."""
    target = np.concatenate([np.full(len(x), float(v.label)) for v, x in zip(videos, rows, strict=True)])
    return solve(np.concatenate(rows), target, balanced(videos, unknown(videos)))


def softly_without_known(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
    return softly(videos, rows, unknown(videos))


def unknown(videos: Sequence[Video]) -> list[np.ndarray]:
    """Of an abnormal video 0 for what is known to be normal, unless that is all of it."""
    return [np.ones(len(v.x)) if not v.label or v.normal.all() else 1.0 - v.normal for v in videos]


def known_as_normal(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
    """The same, labelled normal."""
    target = np.concatenate([np.where(v.normal, 0.0, float(v.label)) for v in videos])
    weight = np.where(target == 1, 0.5 / target.sum(), 0.5 / (1 - target).sum())
    return solve(np.concatenate(rows), target, weight)


def averaged(teach: Teach) -> Teach:
    """The mean of fits on videos that are drawn with replacement from each label."""

    def mean(videos: Sequence[Video], rows: Sequence[np.ndarray]) -> Model:
        labels, models = np.array([v.label for v in videos]), []
        for seed in range(FITS):
            rng = np.random.default_rng(seed)
            some = np.concatenate([rng.choice(np.flatnonzero(labels == y), (labels == y).sum()) for y in (0, 1)])
            models.append(teach([videos[i] for i in some], [rows[i] for i in some]))
        return Model(np.mean([m.weight for m in models], axis=0), float(np.mean([m.bias for m in models])))

    return mean


# ------------------------------------------------------------------------------------------------- candidates


def plain(video: Video) -> np.ndarray:
    return video.x


def beside_context(video: Video) -> np.ndarray:
    """Two halves, each as long as the features were."""
    return np.concatenate([video.x, video.near() @ video.x], 1) / np.sqrt(2)


def limited(video: Video) -> np.ndarray:
    return np.clip(video.x, -LIMIT, LIMIT)


def less_usual(video: Video) -> np.ndarray:
    """Less what the quiet part of the video has, its lowest quarter."""
    return video.x - np.quantile(video.x, 0.25, axis=0)


def as_is(video: Video, logits: np.ndarray) -> np.ndarray:
    return logits


def smooth(video: Video, logits: np.ndarray) -> np.ndarray:
    return video.near() @ logits


def smooth_in_shots(video: Video, logits: np.ndarray) -> np.ndarray:
    return video.near(within_shots=True) @ logits


def smooth_where_alike(video: Video, logits: np.ndarray) -> np.ndarray:
    """Without knowledge of cuts: a neighbour counts by how alike its features are."""
    square = ((video.x[:, None] - video.x) ** 2).mean(2)
    weight = video.near() * np.exp(-square / 2)
    return (weight / weight.sum(1, keepdims=True)) @ logits


@dataclass(frozen=True, kw_only=True)
class Candidate:
    why: str
    rows: Rows = plain
    teach: Teach = by_label
    after: After = as_is

    def scores(self, fitted: Sequence[Video], others: Sequence[Video]) -> list[np.ndarray]:
        model = self.teach(fitted, [self.rows(video) for video in fitted])
        return [self.after(video, model(self.rows(video))) for video in others]


CANDIDATES: Mapping[str, Candidate] = {
    "linear": Candidate(why="what is to be beaten"),
    "scores smoothed": Candidate(why="events last seconds, noise of snippets does not", after=smooth),
    "scores smoothed within shots": Candidate(why="and no event goes on across a cut", after=smooth_in_shots),
    "context": Candidate(why="what lies around a snippet, as features beside it", rows=beside_context),
    "features cut off": Candidate(why="a camera that shakes once should not weigh more than an event", rows=limited),
    "features less the video's quiet": Candidate(why="cameras differ in how much moves at rest", rows=less_usual),
    "MIL, highest half": Candidate(why="events fill a part of their video", teach=highest(0.5)),
    "MIL, highest quarter": Candidate(why="the same, a smaller part", teach=highest(0.25)),
    "lower snippets weigh less": Candidate(why="the same, softly", teach=softly),
    "EM": Candidate(why="the same, by probability", teach=expected),
    "mean of bootstrap fits": Candidate(why="few videos: less variance", teach=averaged(by_label)),
    "mean of bootstrap fits of EM": Candidate(why="the same, where labels depend on the fit", teach=averaged(expected)),
    "known moments left out": Candidate(why="a scene of a normal video is normal elsewhere too", teach=without_known),
    "known moments as normal": Candidate(why="the same, used as a label", teach=known_as_normal),
}

"""Written down before any figure was seen."""
TOGETHER: Mapping[str, Candidate] = {
    "shots, lower weigh less": Candidate(why="", teach=softly, after=smooth_in_shots),
    "shots, known left out": Candidate(why="", teach=without_known, after=smooth_in_shots),
    "shots, known left out, lower weigh less": Candidate(why="", teach=softly_without_known, after=smooth_in_shots),
    "the same, features cut off": Candidate(why="", rows=limited, teach=softly_without_known, after=smooth_in_shots),
    "smoothed, lower weigh less": Candidate(why="", teach=softly, after=smooth),
    "smoothed where alike": Candidate(why="", after=smooth_where_alike),
    "smoothed where alike, lower weigh less": Candidate(why="", teach=softly, after=smooth_where_alike),
}
"""Of those that raised the measure on cctv-fights and the simulated camera, or could not on one."""
CHOSEN = ("shots, lower weigh less", "smoothed where alike, lower weigh less")
"""The best mean of the measure over the three sets of those that are worse on none, the simpler of two that are level;
and the best of those that need not know of cuts. Chosen before any test figure of a candidate was seen."""


# ------------------------------------------------------------------------------------------------- videos


def shots(path: Path) -> list[int]:
    """First frames of the shots after the first."""
    cuts, before = [], None
    with VideoReader(path, threads=1) as video:
        for number, frame in enumerate(video):
            now = frame.array((WIDTH, HEIGHT), "gray")
            if before is not None and is_cut(before, now):
                cuts.append(number)
            before = now
    return cuts


def video_of(bag: Bag, x: np.ndarray, cuts: Sequence[int], known: np.ndarray | None) -> Video:
    edges, count = np.asarray(bag.clock.edges), bag.snippets
    middles = (edges[:-1] + edges[1:]) / 2
    normal = np.full(count, bag.label == 0)
    if known is not None and bag.label:
        normal = known[(np.arange(count) * 2 + 1) * len(known) // (2 * count)]
    return Video(
        name=bag.video, label=bag.label, x=x, seconds=middles / float(bag.rate or 25),
        shot=np.searchsorted(cuts, middles, side="right"), normal=normal,
    )  # fmt: skip


def split(x: np.ndarray, bags: Sequence[Bag]) -> list[np.ndarray]:
    return np.split(x, np.cumsum([bag.snippets for bag in bags])[:-1])


def training_videos(of: Footage, cuts: Mapping[str, Sequence[int]]) -> list[Video]:
    each = zip(of.bags, split(of.snippets[0], of.bags), strict=True)
    return [video_of(bag, x, cuts.get(bag.video, ()), of.known.get(bag.video)) for bag, x in each]


# ------------------------------------------------------------------------------------------------- the measure


def held_out(of: Footage, videos: Sequence[Video], candidate: Candidate) -> list[float]:
    """The measure of each fold: moments that are known to be normal, else frames of training videos with intervals,
    else videos by their highest snippet."""
    by_name, found = {video.name: place for place, video in enumerate(videos)}, []
    for seed in range(DIVISIONS):
        for names in folds(of.dataset.train, FOLDS, seed):
            out = [by_name[name] for name in names]
            left = [video for video in videos if video.name not in names]
            found.append(measure(of, out, candidate.scores(left, [videos[i] for i in out])))
    return found


def measure(of: Footage, out: Sequence[int], scores: Sequence[np.ndarray]) -> float:
    videos, bags = [of.dataset.train[i] for i in out], [of.bags[i] for i in out]
    if of.known:
        return moment_auc(videos, scores, of.known)
    if all(video.intervals is not None for video in videos):
        y, frames = truth(videos, bags)
        return roc_auc(np.concatenate(scores), y, frames - y)
    y = np.array([video.label for video in videos])
    return roc_auc(np.array([one.max() for one in scores]), y, 1 - y) if 0 < y.sum() < len(y) else np.nan


def truth(videos: Sequence[LabelledVideo], bags: Sequence[Bag]) -> tuple[np.ndarray, np.ndarray]:
    """Of each snippet of all videos, how many frames are abnormal, and how many there are."""
    positive, frames = [], []
    for video, bag in zip(videos, bags, strict=True):
        edges = np.asarray(bag.clock.edges)
        whole = np.zeros(edges[-1], np.int64)
        for one in video.intervals or ():
            whole[one.start : one.end] = 1
        positive.append(np.add.reduceat(whole, edges[:-1]))
        frames.append(np.diff(edges))
    return np.concatenate(positive), np.concatenate(frames)
