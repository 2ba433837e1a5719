"""Which measure of held-out training videos follows the frame AUC of test videos; to `results/scenes.md`.

python benchmarks/scenes.py [OUT] [ENCODED]      by default runs/scenes and runs/encoders; footage beside the project

Eighteen settings of three methods on four sets: a logistic regression of snippets under their video's label and its MIL
form (the highest quarter of an abnormal video's snippets, four rounds), each at five strengths, and `mil` at two weight
decays and a quarter, half, three quarters and all of its iterations, but on captions. `motion` of the first two sets is
taken from ENCODED, where `benchmarks/encoders.py` puts it. Every fit's scores of all videos are kept in OUT, so that
another measure costs nothing.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Bag, Dataset
from wsvad.datasets.division import folds
from wsvad.datasets.open import open_dataset
from wsvad.datasets.scenes import ALIKE, edges_of, known_normal, looks_of
from wsvad.encoders import resolve
from wsvad.extraction.prepare import prepare
from wsvad.files import atomic, read_json, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.metrics.frame import roc_auc
from wsvad.runs.scorer import Scorer
from wsvad.studies.bench import open_data
from wsvad.tables import markdown
from wsvad.training.fitting import Fitting
from wsvad.training.protocol import Protocol
from wsvad.training.selection import moment_auc
from wsvad.video.reader import VideoReader

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"
SETS = ("cctv-fights", "ucsd-ped2", "toy", "ucf-crime")
"""The third is the simulated camera, the last UCF-Crime from captions."""
STRENGTHS = (0.0005, 0.002, 0.01, 0.05, 0.3)
DECAYS = (1e-3, 1e-2)
POINTS = 4
FOLDS = 5
HALVES = 4
TOP = 0.25
Curves = Mapping[str, np.ndarray]
"""Division and fold, `all` or `test` → scores of all training snippets, of the last of all test snippets."""


# ------------------------------------------------------------------------------------------------- a set


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A set with its features."""

    name: str
    dataset: Dataset
    features: Path

    @cached_property
    def bags(self) -> list[Bag]:
        return list(load_bags(self.dataset.train, self.features, ("rgb",)))

    @cached_property
    def test_bags(self) -> list[Bag]:
        return list(load_bags(self.dataset.test, self.features, ("rgb",)))

    @cached_property
    def owner(self) -> np.ndarray:
        """Of each training snippet the number of its video."""
        return np.repeat(np.arange(len(self.bags)), [bag.snippets for bag in self.bags])

    @cached_property
    def labels(self) -> np.ndarray:
        return np.array([bag.label for bag in self.bags])

    @property
    def weak(self) -> np.ndarray:
        """Of each training snippet the label of its video."""
        return self.labels[self.owner]

    @cached_property
    def snippets(self) -> tuple[np.ndarray, np.ndarray]:
        """Of training and test videos, standardised."""
        train, test = (
            np.concatenate([bag.streams["rgb"].float().numpy() for bag in bags]) for bags in (self.bags, self.test_bags)
        )
        mean, std = train.mean(0), train.std(0)
        std[std < 1e-9] = 1
        return (train - mean) / std, (test - mean) / std

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        return known_normal(self.dataset.train, looks_of(self.dataset.train))

    def nearest(self, those: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The distance from each of those training snippets to the nearest of the others that is of another video."""
        x = self.snippets[0]
        found, square = [], (x[others] ** 2).sum(1)
        for some in np.array_split(those, max(1, len(those) // 2000)):
            one = (x[some] ** 2).sum(1)[:, None] + square - 2 * x[some] @ x[others].T
            found.append(np.where(self.owner[some][:, None] == self.owner[others], np.inf, one).min(1))
        return np.sqrt(np.maximum(np.concatenate(found), 0))

    @cached_property
    def divisions(self) -> dict[str, "Division"]:
        return divisions(self)

    @cached_property
    def far(self) -> np.ndarray:
        """From each training snippet to the nearest one that the fit learned from which left it out."""
        found = np.zeros(len(self.owner))
        for name, (fitted, out) in self.divisions.items():
            if name.startswith("folds-"):
                found[out] = self.nearest(np.flatnonzero(out), np.flatnonzero(fitted))
        return found

    @cached_property
    def odd(self) -> np.ndarray:
        """Snippets of abnormal videos that are farther from all normal videos than 95 % of what these show is."""
        distance = self.nearest(np.arange(len(self.owner)), np.flatnonzero(self.weak == 0))
        return (self.weak == 1) & (distance > np.quantile(distance[self.weak == 0], 0.95))

    @cached_property
    def alike(self) -> np.ndarray | None:
        """Of two training snippets, whether their pictures are of one scene; None of one scene, or without pictures."""
        if not self.known:
            return None
        files = {video.name: video.path for video in self.dataset.train if video.path}
        x = np.concatenate([_edges(bag, files[bag.video]) for bag in self.bags]).astype(np.float32)
        return x @ x.T >= ALIKE

    def frame_auc(self, scores: np.ndarray) -> float:
        """Of the test videos."""
        counts = np.concatenate([np.diff(bag.clock.edges) for bag in self.test_bags]).astype(int)
        truth = []
        for bag, video in zip(self.test_bags, self.dataset.test, strict=True):
            of_video = np.zeros(bag.frames, np.int64)
            for one in video.intervals or ():
                of_video[one.start : one.end] = 1
            truth.append(of_video)
        y = np.concatenate(truth)
        return roc_auc(np.repeat(scores, counts), y, 1 - y)


def _edges(bag: Bag, path: Path) -> np.ndarray:
    """Of the picture in the middle of each snippet."""
    borders = bag.clock.edges
    middles = {int((a + b) // 2): place for place, (a, b) in enumerate(pairwise(borders))}
    pictures = np.zeros((bag.snippets, 24, 32), np.uint8)
    with VideoReader(path, threads=1) as video:
        for number, frame in enumerate(video):
            if number in middles:
                pictures[middles[number]] = frame.array((32, 24), "gray")
    return edges_of(pictures)


def footage(name: str, out: Path, encoded: Path) -> Footage:
    folder = out / "features" / name
    if name == "toy":
        dataset, features, _ = open_data("toy", {}, None, out)
        return Footage(name=name, dataset=dataset, features=features)
    if name == "ucf-crime":
        captions = SHARED / "ucf-crime-captions"
        dataset = open_dataset(f"ucf-crime:{captions}", split={})
        prepare(dataset, {"rgb": resolve(f"lsa:{captions}/captions.jsonl")[0]}, folder)
    else:
        dataset = open_dataset(SHARED / name, split={})
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "rgb").is_symlink():
            (folder / "rgb").symlink_to((encoded / name / "motion").resolve())
    return Footage(name=name, dataset=dataset, features=folder)


# ------------------------------------------------------------------------------------------------- divisions

Division = tuple[np.ndarray, np.ndarray]
"""Of each training snippet, whether a fit learns from it, and whether it is held out."""


def divisions(of: Footage) -> dict[str, Division]:
    """All that settings are fitted on; of look-alikes and of halves by linear models alone, which cost seconds."""
    found: dict[str, Division] = {}
    names = [bag.video for bag in of.bags]
    for number, out in enumerate(folds(of.dataset.train, FOLDS, 0)):
        held = np.isin(names, out)[of.owner]
        found[f"folds-{number}"] = ~held, held
        if of.alike is not None:
            fitted = ~held & ~of.alike[:, held].any(1)
            some = np.random.default_rng(number).choice(np.flatnonzero(~held), fitted.sum(), replace=False)
            found[f"look-alikes-{number}"] = fitted, held
            found[f"control-{number}"] = np.isin(np.arange(len(held)), some), held
    for number in range(HALVES):
        one = np.isin(names, folds(of.dataset.train, 2, 100 + number)[0])[of.owner]
        found |= {f"halves-{number}-a": (one, ~one), f"halves-{number}-b": (~one, one)}
        if of.alike is not None:
            scene = components(of.alike)
            some = np.random.default_rng(number).permutation(scene.max() + 1) % 2 == 0
            one = some[scene]
            found |= {f"scenes-{number}-a": (one, ~one), f"scenes-{number}-b": (~one, one)}
    return found


def components(alike: np.ndarray) -> np.ndarray:
    """Numbers of what is connected."""
    found = np.full(len(alike), -1)
    for start in range(len(alike)):
        if found[start] < 0:
            number, queue = found.max() + 1, [start]
            found[start] = number
            while queue:
                new = np.flatnonzero(alike[queue.pop()] & (found < 0))
                found[new] = number
                queue += new.tolist()
    return found


# ------------------------------------------------------------------------------------------------- fits


def linear(x: np.ndarray, y: np.ndarray, owner: np.ndarray, strength: float, rounds: int) -> LogisticRegression:
    """A logistic regression; after the first of several rounds abnormal videos are their highest quarter alone."""
    model, keep = LogisticRegression(C=strength, max_iter=300), np.ones(len(y), bool)
    for _ in range(rounds):
        model.fit(x[keep], y[keep])
        scores, keep = model.decision_function(x), y == 0
        for video in np.unique(owner[y == 1]):
            keep[highest(np.flatnonzero(owner == video), scores)] = True
    return model


def highest(places: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return places[np.argsort(-scores[places])[: max(1, int(np.ceil(TOP * len(places))))]]


def settings(of: Footage, out: Path) -> Iterator[tuple[str, Curves]]:
    """Name and scores of each, from its file where it was fitted before."""
    for kind, rounds in (("logistic", 1), ("its MIL form", 5)):
        for strength in STRENGTHS:
            file = out / "curves" / of.name / f"{kind}, C = {strength:g}.npz"
            if not file.is_file():
                _keep(file, _linear_curves(of, strength, rounds))
            yield file.stem, dict(np.load(file))
    for decay in DECAYS if of.name != "ucf-crime" else ():
        files = [out / "curves" / of.name / f"mil, decay {decay:g}, point {n + 1}.npz" for n in range(POINTS)]
        if not all(file.is_file() for file in files):
            for file, curves in zip(files, _mil_curves(of, decay, out), strict=True):
                _keep(file, curves)
        for file in files:
            yield file.stem, dict(np.load(file))


def _keep(file: Path, curves: Curves) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic(file) as temporary, temporary.open("wb") as whole:
        np.savez_compressed(whole, **{name: one.astype(np.float32) for name, one in curves.items()})
    print(file, file=sys.stderr, flush=True)


def _linear_curves(of: Footage, strength: float, rounds: int) -> dict[str, np.ndarray]:
    x, test = of.snippets
    model = linear(x, of.weak, of.owner, strength, rounds)
    found = {"all": model.decision_function(x), "test": model.decision_function(test)}
    for name, (fitted, _) in of.divisions.items():
        one = linear(x[fitted], of.weak[fitted], of.owner[fitted], strength, rounds)
        found[name] = one.decision_function(x)
    return found


def _mil_curves(of: Footage, decay: float, out: Path) -> list[dict[str, np.ndarray]]:
    fitting = Fitting(
        dataset=of.dataset, features=of.features, name="mil",
        config=replace(default_config(METHODS["mil"].config_class, "data"), weight_decay=decay),
        protocol=Protocol(budget="data", normalise="standardise", hold_out=0, device="cpu"),
    )  # fmt: skip
    found: list[dict[str, np.ndarray]] = [{} for _ in range(POINTS)]
    left_out = {f"folds-{number}": names for number, names in enumerate(folds(of.dataset.train, FOLDS, 0))}
    for name, names in {"all": [], **left_out}.items():
        method = fitting.build(0)
        scorer, points = Scorer(method, fitting.normalisation, device="cpu"), iter(found)

        def at_point(*_: object, name=name, scorer=scorer, points=points) -> dict[str, object]:
            point = next(points)
            point[name] = np.concatenate(scorer.scores(of.bags))
            if name == "all":
                point["test"] = np.concatenate(scorer.scores(of.test_bags))
            return {}

        checkpoint = out / "fit.checkpoint"
        fitting.fit(method, 0, checkpoint, at_point, name, names, points=POINTS)
        checkpoint.unlink(missing_ok=True)
    return found


# ------------------------------------------------------------------------------------------------- measures


@dataclass(frozen=True, kw_only=True)
class Held:
    """What fits give to the snippets that they left out, each in standard deviations of what it learned from."""

    score: np.ndarray
    snippet: np.ndarray
    """Its number in the set."""
    fold: np.ndarray


def held(of: Footage, curves: Curves, kind: str = "folds") -> Held:
    parts = []
    for number, (name, (fitted, out)) in enumerate(of.divisions.items()):
        if name.startswith(f"{kind}-"):
            score = (curves[name] - curves[name][fitted].mean()) / (curves[name][fitted].std() + 1e-9)
            parts.append((score[out], np.flatnonzero(out), np.full(out.sum(), number)))
    score, snippet, fold = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Held(score=score, snippet=snippet, fold=fold)


def auc(scores: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    y = np.asarray(y).astype(np.int64)
    weight = np.ones(len(y), np.int64) if weight is None else weight
    return roc_auc(scores, y * weight, (1 - y) * weight) if len(np.unique(y)) == 2 else np.nan


def per_video(of: Footage, one: Held, reduce: Callable[[np.ndarray], float] = np.max) -> tuple[np.ndarray, np.ndarray]:
    """A number for each video, and their labels."""
    owner = of.owner[one.snippet]
    videos = np.unique(owner)
    return np.array([reduce(one.score[owner == video]) for video in videos]), of.labels[videos]


def video_auc(of: Footage, curves: Curves, kind: str = "folds", reduce: Callable = np.max) -> float:  # type: ignore[type-arg]
    return auc(*per_video(of, held(of, curves, kind), reduce))


def each_fold(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    parts = [one.fold == fold for fold in np.unique(one.fold)]
    some = [Held(score=one.score[p], snippet=one.snippet[p], fold=one.fold[p]) for p in parts]
    return float(np.nanmean([auc(*per_video(of, part)) for part in some]))


def snippet_auc(of: Footage, curves: Curves, kind: str = "folds") -> float:
    one = held(of, curves, kind)
    return auc(one.score, of.weak[one.snippet])


def top_auc(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    y, owner = of.weak[one.snippet], of.owner[one.snippet]
    keep = np.flatnonzero(y == 0)
    tops = [highest(np.flatnonzero(owner == video), one.score) for video in np.unique(owner[y == 1])]
    keep = np.concatenate([keep, *tops])
    return auc(one.score[keep], y[keep])


def contrast(of: Footage, curves: Curves) -> float:
    return video_auc(of, curves, reduce=lambda scores: float(scores.max() - scores.mean()))


def separation(of: Footage, curves: Curves) -> float:
    score, y = per_video(of, held(of, curves))
    return float((score[y == 1].mean() - score[y == 0].mean()) / np.sqrt(score[y == 1].var() + score[y == 0].var()))


def far(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    at = of.far[one.snippet] >= np.median(of.far)
    return auc(one.score[at], of.weak[one.snippet[at]])


def extrapolated(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    at = of.far[one.snippet] < np.median(of.far)
    return 2 * far(of, curves) - auc(one.score[at], of.weak[one.snippet[at]])


def weighted(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    weight = np.ceil(100 * of.far[one.snippet] / of.far.max()).astype(np.int64)
    return auc(one.score, of.weak[one.snippet], weight)


def agreement(of: Footage, curves: Curves, kind: str = "folds") -> float:
    """Mean rank correlation of the scores that two fits give to the same training snippets; of halves, of the two."""
    names = [name for name in curves if name.startswith(f"{kind}-")]
    pairs = [(a, b) for a, b in combinations(names, 2) if kind == "folds" or a[:-1] == b[:-1]]
    return float(np.mean([spearmanr(curves[a], curves[b])[0] for a, b in pairs]))


def steadiness(of: Footage, curves: Curves) -> float:
    """Variance of videos' highest scores between videos, as a share of that over fits too."""
    names = [name for name in curves if name.startswith("folds-")]
    starts = np.flatnonzero(np.r_[True, np.diff(of.owner) > 0])
    score = np.stack(
        [np.maximum.reduceat((z - z.mean()) / (z.std() + 1e-9), starts) for z in (curves[n] for n in names)]
    )
    return float(score.mean(0).var() / (score.mean(0).var() + score.var(0).mean()))


def unlike_normal(of: Footage, curves: Curves) -> float:
    one = held(of, curves)
    return auc(one.score, of.odd[one.snippet])


def moments(of: Footage, curves: Curves) -> float:
    """`moment_auc` where parts of abnormal videos are known to be normal, else the video AUC."""
    if not of.known:
        return video_auc(of, curves)
    one, found = held(of, curves), []
    for fold in np.unique(one.fold):
        score, snippet = (part[one.fold == fold] for part in (one.score, one.snippet))
        numbers = np.unique(of.owner[snippet])
        each = [score[of.owner[snippet] == number] for number in numbers]
        found.append(moment_auc([of.dataset.train[number] for number in numbers], each, of.known))
    return float(np.nanmean(found))


Measure = Callable[[Footage, Curves], float]
MEASURES: dict[str, Measure] = {
    "**moments that are known to be normal, else videos**": moments,
    "video AUC, highest snippet": video_auc,
    "the same, each fold by itself": each_fold,
    "video AUC, mean snippet": lambda of, curves: video_auc(of, curves, reduce=np.mean),
    "snippet AUC by the video's label": snippet_auc,
    "the same, highest quarter of abnormal videos": top_auc,
    "contrast within videos": contrast,
    "separation by the spread of both labels": separation,
    "snippet AUC, the half far from what was fitted": far,
    "the same, extrapolated over the distance": extrapolated,
    "snippet AUC, weighed by that distance": weighted,
    "snippets unlike all normal videos": unlike_normal,
    "agreement of fits": agreement,
    "steadiness of videos over fits": steadiness,
    "agreement times video AUC": lambda of, curves: agreement(of, curves) * video_auc(of, curves),
}
LINEAR: dict[str, tuple[str, Measure]] = {
    "video AUC, look-alikes left out of the fit": ("look-alikes", lambda f, c: video_auc(f, c, "look-alikes")),
    "the same, as many left out at random": ("control", lambda f, c: video_auc(f, c, "control")),
    "snippet AUC, look-alikes left out": ("look-alikes", lambda f, c: snippet_auc(f, c, "look-alikes")),
    "agreement of fits on different halves": ("halves", lambda f, c: agreement(f, c, "halves")),
    "agreement of fits on different scenes": ("scenes", lambda f, c: agreement(f, c, "scenes")),
    "video AUC of fits on other scenes": ("scenes", lambda f, c: video_auc(f, c, "scenes")),
}
"""What linear models alone are fitted for: the division, and the measure."""

# ------------------------------------------------------------------------------------------------- the page

Table = dict[str, dict[str, float]]
"""Measure or setting → set → number."""
HEAD = """# Which held-out measure follows the test videos?

Spearman's rank correlation, over {count} settings of three methods (on captions ten of two), of a measure on
training videos alone with the frame AUC of the test videos: 1 where the setting that is better on held-out videos is
better on test videos too. In brackets, by how many points the frame AUC of the setting that the measure chooses is
below the best. `python benchmarks/scenes.py` makes it.

**The measure was chosen by this table, so it has seen the test figures of all four sets.** The second table is honest:
there each set is judged by the measure that the other three choose.

Each fit leaves out a fifth of the training videos; none of these sets can be divided by scenes. Abnormal
training videos with parts that are known to be normal:
{scenes}.

"""


FINDINGS = """
## What it says

Pictures are of one scene where their edges correlate by 0.5. Here nothing lies between 0.46 and 0.69: a fixed camera
stays alike by day, at night and in the rain, and different ones stay below. By that, 32 of 80 test videos of
cctv-fights show a camera that training videos show too, though hardly ever the same moment.

Folds by scene cannot be had here: ucsd-ped2 and the simulated camera are one scene, each video of cctv-fights is joined
of several scenes which others show too, and of captions there are no pictures. So videos are divided as before, and
`train` says that its promises hold for these cameras alone. Leaving look-alikes out of each fit makes the choice worse
on cctv-fights, and so does leaving out as many at random: less footage wants other settings. The distance to what was
fitted, and the agreement of fits, do not help either; agreement chooses the strongest regularisation.

What helps is another label, not another division. Where videos are joined of several scenes, a normal video says of
each scene that it shows that it is normal, also in abnormal videos. Among the moments of held-out videos that is nearly
the truth, and the order of settings that it gives on cctv-fights is nearest to that of test videos (0.64); the one that
it chooses loses 3.5 points, where most others lose 4.5 to 8.4. Of one fixed camera nothing is known in this way, and
video AUC by the highest snippet stays. Over the four sets it is the best in the mean, and what three of them choose for
the fourth, but for cctv-fights.

Not proven: only one of these sets is joined of scenes, so the other three could not have chosen this measure, and it
was found by trying several on the linear settings with test figures in sight, of `motion` version 1 and with the
highest snippet alone for a bag of `mil`: there it had 0.52 and lost half a point on cctv-fights, video AUC 0.10 and
8.7. With ten to eighteen settings a set, a difference of 0.3 is little.
"""


def likeness(out: Path, encoded: Path) -> list[list[str]]:
    """How alike the edges of pictures are, by what the two videos have in common."""
    looks = {name: looks_of(footage(name, out, encoded).dataset.videos) for name in SETS[:3]}
    fights = looks["cctv-fights"]
    tests, training = ({n: x for n, x in fights.items() if n.startswith(side)} for side in ("test", "train"))
    rows = [["of each video, the picture most like one of", "least", "10 %", "median", "most", "one scene"]]
    for title, one, other in (
        ("another video of ucsd-ped2, one camera", looks["ucsd-ped2"], looks["ucsd-ped2"]),
        ("another video of the simulated camera, by day, at night, in the rain", looks["toy"], looks["toy"]),
        ("a training video of cctv-fights; test videos", tests, training),
        ("cctv-fights; videos of ucsd-ped2", looks["ucsd-ped2"], fights),
        ("cctv-fights; videos of the simulated camera", looks["toy"], fights),
    ):
        each = [np.concatenate([y for name, y in other.items() if name != own]).astype(np.float32) for own in one]
        found = np.array([(x.astype(np.float32) @ y.T).max() for x, y in zip(one.values(), each, strict=True)])
        shown = [found.min(), np.quantile(found, 0.1), np.median(found), found.max()]
        rows.append([title, *(f"{value:.2f}" for value in shown), f"{(found >= ALIKE).sum()} of {len(found)}"])
    return rows


def choice(table: Table, losses: Table, sets: Sequence[str]) -> list[list[str]]:
    rows = []
    for name, found in table.items():
        cells = [f"{found[one]:.2f} ({100 * losses[name][one]:.1f})" if one in found else "–" for one in sets]
        mean = np.mean([found[one] for one in sets]) if len(found) == len(sets) else np.nan
        rows.append([name, *cells, "–" if np.isnan(mean) else f"{mean:.2f}"])
    return rows


def left_out(table: Table, losses: Table, sets: Sequence[str]) -> list[list[str]]:
    """For each set, the measure with the best mean on the others, and how it does there."""
    rows = []
    for one in sets:
        others = [other for other in sets if other != one]
        best = max(table, key=lambda name: np.mean([table[name][other] for other in others]))
        today = "video AUC, highest snippet"
        rows.append([one, best.strip("*"), f"{table[best][one]:.2f} ({100 * losses[best][one]:.1f})",
                     f"{table[today][one]:.2f} ({100 * losses[today][one]:.1f})"])  # fmt: skip
    return rows


Found = dict[str, list[float]]
"""Measure → its rank correlation with the frame AUC, and the loss of what it chooses."""


def compare(of: Footage, curves: Mapping[str, Curves], measures: Mapping[str, Measure]) -> Found:
    truth, rows = np.array([of.frame_auc(one["test"]) for one in curves.values()]), {}
    for name, measure in measures.items():
        found = np.array([measure(of, one) for one in curves.values()])
        rows[name] = [float(spearmanr(found, truth)[0]), float(truth.max() - truth[np.nanargmax(found)])]
    return rows


def compared(of: Footage, out: Path) -> dict[str, Any]:
    """All measures on a set; read from its file, where that is there."""
    file = out / "measures" / f"{of.name}.json"
    if not file.is_file():
        curves = dict(settings(of, out))
        fast = {setting: one for setting, one in curves.items() if not setting.startswith("mil")}
        some = {
            name: one for name, (kind, one) in LINEAR.items() if any(each.startswith(kind) for each in of.divisions)
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "auc": {setting: of.frame_auc(one["test"]) for setting, one in curves.items()},
            "all": compare(of, curves, MEASURES),
            "linear": compare(of, fast, some),
            "known": [len(of.known), int(of.labels.sum())],
        }
        write_json(file, found)
    return read_json(file)


def tables(found: Mapping[str, Any], kind: str) -> tuple[Table, Table]:
    """Rank correlations and losses of all sets."""
    measures = dict.fromkeys(name for one in found.values() for name in one[kind])
    rows = [{n: {s: one[kind][n][i] for s, one in found.items() if n in one[kind]} for n in measures} for i in (0, 1)]
    return rows[0], rows[1]


def main(out: Path = Path("runs/scenes"), encoded: Path = Path("runs/encoders")) -> None:
    found = {name: compared(footage(name, out, encoded), out) for name in SETS}
    told = "; ".join(f"{one['known'][0]} of {one['known'][1]} on {name}" for name, one in found.items())
    (table, losses), fast = tables(found, "all"), tables(found, "linear")
    count = max(len(one["auc"]) for one in found.values())
    head = ["measure", *SETS, "mean"]
    titles = ["set", "measure that the others choose", "on this set", "today's, video AUC by the highest snippet"]
    aucs = [[s, *(f"{100 * one['auc'][s]:.1f}" if s in one["auc"] else "–" for one in found.values())]
            for s in found[SETS[0]]["auc"]]  # fmt: skip
    parts = [
        HEAD.format(count=count, scenes=told),
        "## All settings\n\n", markdown([head, *choice(table, losses, SETS)]),
        "\n## Chosen on three sets, judged on the fourth\n\n", markdown([titles, *left_out(table, losses, SETS)]),
        "\n## Linear settings alone, with fits on other footage\n\n", markdown([head, *choice(*fast, SETS)]),
        "\n## Frame AUC of the test videos\n\n", markdown([["setting", *SETS], *aucs]),
    ]  # fmt: skip
    file = out / "measures" / "likeness.json"
    if not file.is_file():
        write_json(file, likeness(out, encoded))
    parts += ["\n## Pictures of one camera and of others\n\n", markdown(read_json(file)), FINDINGS]
    write_text(HERE / "results" / "scenes.md", "".join(parts))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
