"""Which method fits these videos (`--method auto`): those that labels and streams allow are fitted to a part of the
training videos and compared on the rest.

Videos are held out in folds, by scenes. What scores are worth is measured as closely as the labels allow: where it is
known when something happens, by frame AUC and event F1; where normal videos say of most abnormal ones which moments are
normal, by those (`selection.moment_auc`); else by video AUC and by how far the videos of both labels are apart. Fits of
two folds need not score on one scale, so scores become ranks within their fold, and alerts begin at a threshold of the
fold's own. The same resamples of the videos, of all methods, say how far a difference could be chance: a method is
behind another one, if it is by more than the standard error of the difference.

Shapes: R resamples, V videos.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsvad.datasets.bags import keep_bags, load_bags
from wsvad.datasets.categories import categories_of, with_categories
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.division import folds
from wsvad.errors import WsvadError
from wsvad.evaluation.alerting import footage_of, known_truth, with_rate
from wsvad.evaluation.certainty import deciding, resample, resample_videos
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.evaluation.measure import curves_of
from wsvad.evaluation.vocabulary import METRICS, percent, words_for
from wsvad.methods import METHODS
from wsvad.methods.abilities import ChoosesModalities, NamesCategories
from wsvad.methods.method import default_config, learns_from
from wsvad.metrics.bootstrap import auc_interval, draw, interval
from wsvad.metrics.events import EventRules
from wsvad.progress import duration
from wsvad.runs.fingerprint import fingerprint_of
from wsvad.runs.scorer import Scorer
from wsvad.training.fitting import Fitting
from wsvad.training.selection import known_snippets

if TYPE_CHECKING:  # an experiment records the choice
    from wsvad.training.experiment import Experiment

logger = logging.getLogger(__name__)

AUTO = "auto"
DEFAULT = "ur-dmu"
"""The method where nothing is chosen."""
BY_COST = ("linear", "mil", "rtfm", "ur-dmu", "dakd", "refinevad", "pi-vad")
"""What is chosen from, the cheapest at scoring first."""
FOLDS = 3
FEWEST = 5
"""Held-out videos of either label below which nothing is chosen: of so few, chance decides."""
POINTS = 4
"""How often a fit can be taken up again after a kill."""
OURS = {"moment_auc": "AUC of moments", "separation": "separation"}
"""Names of figures that no results page has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """What held-out videos say, and what resamples of them do."""

    value: float
    drawn: np.ndarray
    """`(R,)`."""
    kinds: tuple[int, int] | None = None
    """Of an AUC, how many videos are positive and how many negative: all resamples of few may be perfect."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the 95 % interval."""
        return auc_interval(self.drawn, *self.kinds) if self.kinds else interval(self.drawn)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A method that was tried."""

    method: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """What decides first comes first; all methods have the same."""
    seconds: float = 0.0
    """Of all its fits."""
    failed: str = ""
    """Why it could not be fitted."""

    def as_dict(self) -> dict[str, Any]:
        """For the run's record."""
        if self.failed:
            return {"method": self.method, "failed": self.failed}
        figures = {
            name: {"value": round(one.value, 4), "low": round(one.bounds[0], 4), "high": round(one.bounds[1], 4)}
            for name, one in self.figures.items()
        }
        return {"method": self.method, **figures, "seconds": round(self.seconds, 1)}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which method, and why."""

    method: str
    why: str = ""
    tried: Sequence[Tried] = ()

    @property
    def table(self) -> list[str]:
        """A line for each method that was tried."""
        return [f"{one.method}: {_in_words(one)}" for one in self.tried]

    @property
    def sentences(self) -> list[str]:
        """The table, for the report."""
        return [f"Compared on held-out training videos: {'; '.join(self.table)}."] if self.tried else []

    def as_dict(self) -> dict[str, Any]:
        """For the run's record."""
        return {"why": self.why, "tried": [one.as_dict() for one in self.tried]}


def _in_words(one: Tried) -> str:
    if one.failed:
        return f"not fitted, {one.failed}"
    cells = []
    for name, figure in one.figures.items():
        value, *bounds = (f"{x:.2f}" if name == "separation" else percent(x, 1) for x in (figure.value, *figure.bounds))
        cells.append(f"{called(name)} {value} ({bounds[0]} to {bounds[1]})")
    return ", ".join([*cells, f"fitted in {duration(one.seconds)}"])


def called(name: str) -> str:
    """A figure's name, in the middle of a sentence."""
    return words_for(name).in_words if name in METRICS else OURS[name]


# ------------------------------------------------------------------------------------------------- the choice


def best_of(tried: Sequence[Tried]) -> Choice:
    """The cheapest method that is in no figure behind the best one by more than the standard error of the difference;
    where each is behind in one, the best in the first figure.

    Args:
        tried: the cheapest first.
    """
    rows = [one for one in tried if not one.failed]
    if not rows:
        return Choice(method=DEFAULT, why=f"{DEFAULT} is taken, the default: no method could be fitted.", tried=tried)
    names = [name for name in rows[0].figures if all(isfinite(one.figures[name].value) for one in rows)]
    if not names:
        return Choice(method=DEFAULT, why=f"{DEFAULT} is taken, the default: nothing can be compared.", tried=tried)
    best = {name: max(rows, key=lambda one: one.figures[name].value) for name in names}
    level = [one for one in rows if not any(_behind(one, best[name], name) for name in names)]
    chosen = level[0] if level else best[names[0]]
    figures = " and ".join(map(called, names))
    if len(rows) == 1:
        why = "the only one that could be fitted"
    elif not level:
        why = f"the best in {called(names[0])}; in {called(names[-1])} another one is better"
    elif len(level) == 1:
        why = f"in {figures} on held-out training videos it alone is not behind the best by more than a standard error"
    else:
        others = " and ".join(one.method for one in level if one is not chosen)
        verb, more = ("is", "costs more") if len(level) == 2 else ("are", "cost more")
        why = f"{others} {verb} level with it in {figures} on held-out training videos, and {more} to score with"
    return Choice(method=chosen.method, why=f"{chosen.method} is chosen: {why}.", tried=tried)


def _behind(one: Tried, best: Tried, name: str) -> bool:
    ours, theirs = one.figures[name], best.figures[name]
    gaps = theirs.drawn - ours.drawn
    gaps = gaps[np.isfinite(gaps)]
    return theirs.value - ours.value > (float(np.std(gaps)) if gaps.size else 0.0)


# ------------------------------------------------------------------------------------------------- what is tried


def candidates(streams: Sequence[str], dataset: Dataset, budget: str) -> dict[str, Any]:
    """Methods that labels and streams allow, the cheapest first, each with its configuration for all of the streams."""
    each = {name: _configured(name, tuple(streams), dataset, budget) for name in BY_COST}
    return {name: config for name, config in each.items() if config is not None}


def _configured(name: str, streams: tuple[str, ...], dataset: Dataset, budget: str) -> Any:
    kind, several = METHODS[name], len(streams) > 1
    config = default_config(kind.config_class, budget)
    if isinstance(config, NamesCategories) and not categories_of(dataset.train):
        return None
    if hasattr(config, "streams"):
        return replace(config, streams=streams)
    if several and hasattr(config, "backbones"):
        return replace(config, backbones=streams, student="rgb" if "rgb" in streams else streams[0])
    if several and isinstance(config, ChoosesModalities) and "rgb" in streams:
        return replace(config, modalities=tuple(one for one in streams if one != "rgb"))  # type: ignore[type-var]
    return config if set(learns_from(kind, config)) <= set(streams) else None


def choose_method(experiment: "Experiment", offered: Mapping[str, Any], rate: float, rules: EventRules) -> Choice:
    """Try the methods, going on where an earlier call was stopped. What a fit came to is kept in the run folder, and
    taken from there as long as the training videos and the settings are the same.

    Args:
        experiment: that of the default: its videos, features, protocol and folder.
        offered: name → configuration, the cheapest first.
        rate: false alarms an hour that a fold's threshold allows.
    """
    left_out = folds(experiment.dataset.train, FOLDS, experiment.seeds[0], experiment.scenes)
    held = {name for names in left_out for name in names}
    counts = np.bincount([video.label for video in experiment.dataset.train if video.name in held], minlength=2)
    if min(counts) < FEWEST:
        why = f"with fewer than {FEWEST} training videos of a label to hold out, nothing can be compared"
        return Choice(method=DEFAULT, why=f"{DEFAULT} is taken, the default: {why}.")
    many, parts = len(offered), len(left_out)
    fits = f"{many} methods, each fitted {parts} times to a part of the training videos, {many * parts} fits in all"
    logger.info("note: --method auto compares %s; then the one that is chosen is trained", fits)
    tried = []
    for name, config in offered.items():
        one = _try(experiment, name, config, left_out, rate, rules)
        logger.info("%s: %s", one.method, _in_words(one))
        tried.append(one)
    return best_of(tried)


def _try(
    experiment: "Experiment", name: str, config: Any, left_out: Sequence[Sequence[str]], rate: float, rules: EventRules
) -> Tried:
    trials = [experiment.folder.trial(f"{name}-{number}") for number in range(len(left_out))]
    kept = [trial.read() for trial in trials]  # a damaged file is no fault of the method's
    try:
        fitting = Fitting(
            dataset=experiment.dataset, features=experiment.features, name=name,
            config=with_categories(config, experiment.dataset)[0], protocol=experiment.protocol,
            scenes=lambda: experiment.scenes, memory=experiment.memory,
        )  # fmt: skip
        of, curves, seconds = _made_from(fitting), [], 0.0
        for number, (names, trial) in enumerate(zip(left_out, trials, strict=True)):
            videos = [video for video in experiment.dataset.train if video.name in names]
            made = hashlib.sha256(json.dumps({**of, "out": names}, sort_keys=True).encode()).hexdigest()
            found, again = kept[number], False
            if found is None or found["of"] != made:
                task, again = f"auto: {name}, fold {number + 1}", True
                found = trial.write({"of": made, **_fitted(fitting, videos, trial.checkpoint(made), task)})
            seconds += found["seconds"]
            if number == 0 and again:
                logger.info("note: %s takes about %s for each of its fits", name, duration(found["seconds"]))
            clocks = [with_rate(fitting.source.clock(v.name, fitting.scored[0]), v) for v in videos]
            curves.append(curves_of(videos, clocks, [np.asarray(found["scores"][v.name]) for v in videos]))
        return Tried(method=name, figures=figures_of(curves, experiment.known, rate, rules), seconds=seconds)
    except (WsvadError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        logger.debug("%s could not be fitted", name, exc_info=True)
        return Tried(method=name, failed=" ".join(str(error).split()) or type(error).__name__)


def _made_from(fitting: Fitting) -> dict[str, Any]:
    """What the scores of a fit depend on, beside the videos that it leaves out."""
    protocol = asdict(fitting.protocol)
    settings = {name: protocol[name] for name in ("budget", "iterations", "segments", "bags", "normalise", "precision")}
    made = fingerprint_of(
        fitting.dataset, fitting.source, learns_from=fitting.streams, runs_on=(), passports=fitting.passports
    )
    training = {name: made[name] for name in ("training", "features")}
    return training | {"config": asdict(fitting.config), "protocol": settings, "seed": fitting.protocol.first_seed}


def _fitted(fitting: Fitting, videos: Sequence[LabelledVideo], checkpoint: Path, task: str) -> dict[str, Any]:
    """Scores of the videos by a fit without them, and the seconds that it took."""
    started, seed = time.perf_counter(), fitting.protocol.first_seed
    method = fitting.build(seed)
    fitting.fit(method, seed, checkpoint, lambda *_: {}, task, [video.name for video in videos], points=POINTS)
    bags = keep_bags(load_bags(videos, fitting.source, fitting.scored, fitting.check), fitting.memory)
    scores = Scorer(method, fitting.normalisation, device=fitting.protocol.device).scores(bags)
    each = {bag.video: one.tolist() for bag, one in zip(bags, scores, strict=True)}
    if wrong := next((name for name, one in each.items() if not np.isfinite(one).all()), None):
        raise WsvadError(f"its scores of {wrong} are not numbers (NaN)")
    return {"scores": each, "seconds": time.perf_counter() - started}


# ------------------------------------------------------------------------------------------------- figures


def figures_of(
    each: Sequence[Sequence[Curve]], known: Mapping[str, np.ndarray], rate: float, rules: EventRules
) -> dict[str, Figure]:
    """What the scores of held-out videos are worth.

    Args:
        each: the curves of each fold.
        known: of abnormal videos, which parts are known to be normal (`scenes.known_normal`).
        rate: false alarms an hour that a fold's threshold allows.
    """
    curves = [curve for some in each for curve in ranked(some)]
    if deciding(curves) == "auc":
        return {"auc": _auc(curves), "event_f1": event_f1(each, rate, rules)}
    moments = [_moments(curve, known) for curve in curves if curve.label == 0 or curve.video in known]
    if deciding(moments) == "auc":
        return {"moment_auc": _auc(moments)}
    labels, value = np.array([one.label for one in curves]), float(evaluate(curves)["video_auc"])
    kinds = int(labels.sum()), int((1 - labels).sum())
    return {
        "video_auc": Figure(value=value, drawn=resample_videos([curves])["video_auc"], kinds=kinds),
        "separation": separation(np.array([one.peak for one in curves]), labels),
    }


def ranked(curves: Sequence[Curve]) -> list[Curve]:
    """A fold's scores as shares of its snippets that are below, equal ones counting half."""
    scores = np.concatenate([curve.scores for curve in curves])
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    share = ((np.cumsum(count) - count / 2) / len(scores))[place]
    parts = np.split(share, np.cumsum([len(curve.scores) for curve in curves])[:-1])
    return [replace(curve, scores=part) for curve, part in zip(curves, parts, strict=True)]


def _auc(curves: Sequence[Curve]) -> Figure:
    return Figure(value=float(evaluate(curves)["auc"]), drawn=resample([curves])["auc"])


def _moments(curve: Curve, known: Mapping[str, np.ndarray]) -> Curve:
    """With what is not known to be normal as what is abnormal."""
    normal = known_snippets(known[curve.video], len(curve.scores)) if curve.label else np.ones(len(curve.scores), bool)
    return replace(curve, positives=np.where(normal, 0, curve.lengths))


def event_f1(each: Sequence[Sequence[Curve]], rate: float, rules: EventRules) -> Figure:
    """Of alerts at each fold's own threshold, the lowest that allows so many false alarms an hour."""
    matched, alerts, true = (list[np.ndarray]() for _ in range(3))
    for curves in filter(None, map(known_truth, each)):
        footage = footage_of(curves, rules)
        threshold = footage.threshold_for(rate)
        if threshold is None:
            return Figure(value=np.nan, drawn=np.full(1, np.nan))
        counts = footage.at(threshold)
        for all_of, found in ((matched, counts.matched), (alerts, counts.alerts), (true, footage.true)):
            all_of.append(found)
    right, both = np.concatenate(matched), np.concatenate(alerts) + np.concatenate(true)

    def of(times_RV: np.ndarray) -> np.ndarray:
        there = np.concatenate(true) @ times_RV.T > 0
        return np.divide(2 * (times_RV @ right), times_RV @ both, out=np.full(len(times_RV), np.nan), where=there)

    return Figure(value=float(of(np.ones((1, len(right))))[0]), drawn=of(draw(len(right)).astype(np.float64)))


def separation(peaks: np.ndarray, labels: np.ndarray) -> Figure:
    """How many standard deviations the mean scores of normal and abnormal videos are apart."""
    y = np.asarray(labels, np.float64)

    def of(times_RV: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            moments = []
            for weight in (times_RV * (1 - y), times_RV * y):
                total = weight.sum(1)
                mean = weight @ peaks / total
                moments.append((mean, np.maximum(weight @ peaks**2 / total - mean**2, 0)))
            (normal, spread), (abnormal, wide) = moments
            return np.asarray((abnormal - normal) / np.maximum(np.sqrt((spread + wide) / 2), 1e-3))

    return Figure(value=float(of(np.ones((1, len(peaks))))[0]), drawn=of(draw(len(peaks)).astype(np.float64)))
