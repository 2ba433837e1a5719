"""Scores of normal training videos by fits that have not seen them: what a threshold is calibrated on.

The deployed weights have learned from every training video, so their own scores of these promise nothing. The training
videos are divided into K folds, by scenes; for each fold a fit under the same protocol leaves it out and scores its
normal videos in both modes, and those of which it is known when something happens. `detection.threshold` says what can
be promised of the deployed weights from that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wsvad.datasets.bags import keep_bags, load_bags
from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.division import folds
from wsvad.detection.calibration import NormalScores
from wsvad.detection.threshold import hours_needed
from wsvad.runs.scorer import MODES, Scorer
from wsvad.runs.seed import SeedFolder
from wsvad.video.clock import filmed

if TYPE_CHECKING:  # an experiment asks for these scores itself
    from wsvad.training.experiment import Experiment

FOLDS = 5
"""K. More folds come closer to the deployed fit, and cost a fit each."""
POINTS = 4
"""How often the fit of a fold can be taken up again after a kill."""


def normal_scores(experiment: "Experiment", max_false_alarms_per_hour: float) -> NormalScores:
    """Scores of the normal training videos for calibration, by the first seed's fits.

    Folds are fitted where there is enough normal video to promise the budget; otherwise the scores that the selection
    fit gave to its held-out videos have to do. Nothing where the protocol holds nothing out.
    """
    folder = experiment.folder.seed(experiment.seeds[0])
    if not experiment.protocol.hold_out:
        return NormalScores(fits=0, curves={})
    times, counted = borders(experiment)
    hours = sum(float(filmed(each, counted.get(name)).sum()) for name, each in times.items()) / 3600
    left_out = divided(experiment, folder)
    fitted = bool(left_out) and len(folds_so_far(experiment)) == len(left_out)
    if hours < hours_needed(max_false_alarms_per_hour) and not fitted:
        return selection_scores(experiment)[0]
    folder.write("folds", {"videos": left_out})
    fits = [one_fold(experiment, folder, number, left_out) for number in range(len(left_out))]
    return _beside_times(fits, times, counted, hours)


def selection_scores(experiment: "Experiment") -> list[NormalScores]:
    """Of each seed, what its selection fit gave to the normal videos that it left out."""
    if not experiment.protocol.hold_out:
        return [NormalScores(fits=0, curves={}) for _ in experiment.seeds]
    times, counted = borders(experiment)
    hours = sum(float(filmed(each, counted.get(name)).sum()) for name, each in times.items()) / 3600
    kept = [experiment.folder.seed(seed).read("selection") for seed in experiment.seeds]
    return [_beside_times([one["normal"]] if one else [], times, counted, hours) for one in kept]


def divided(experiment: "Experiment", folder: SeedFolder) -> list[list[str]]:
    """Names that each fold leaves out: those recorded with the first fit, otherwise of other scenes than the rest."""
    if record := folder.read("folds"):
        return list(record["videos"])
    begun = folder.read("fold-0") or folder.checkpoint("fold-0").is_file()  # by a version that knew no scenes
    scenes = {} if begun else experiment.scenes
    return folds(experiment.dataset.train, FOLDS, experiment.seeds[0], scenes)


def folds_so_far(experiment: "Experiment") -> list[dict[str, Any]]:
    """What each fold's fit gave to the videos that it left out, as far as that is there; see `one_fold`."""
    folder = experiment.folder.seed(experiment.seeds[0])
    return [found for number in range(FOLDS) if (found := folder.read(f"fold-{number}"))]


def one_fold(
    experiment: "Experiment", folder: SeedFolder, number: int, left_out: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Mode → video, normal or with intervals → its scores by the fit that left the fold out; kept in the seed's
    folder."""
    name = f"fold-{number}"
    if found := folder.read(name):
        return found
    fitting, seed = experiment.fitting, experiment.seeds[0]
    method = fitting.build(seed)
    task = f"seed {seed}, calibration {number + 1} of {len(left_out)}"
    fitting.fit(method, seed, folder.checkpoint(name), lambda *_: {}, task, left_out[number], points=POINTS)
    scorer = Scorer(method, fitting.normalisation, device=experiment.protocol.device)
    out = set(left_out[number])
    videos = [v for v in experiment.dataset.train if v.name in out and (v.label == 0 or v.intervals)]
    found = folder.write(name, by_mode(experiment, scorer, videos))
    folder.end_fits()
    return found


def by_mode(experiment: "Experiment", scorer: Scorer, videos: Sequence[LabelledVideo]) -> dict[str, Any]:
    """Mode → video → its scores; online, normal ones as on a camera that has run for a while."""
    fitting = experiment.fitting
    bags = keep_bags(load_bags(videos, fitting.source, fitting.scored, fitting.check), fitting.memory)
    normal, others = ([bag for bag in bags if (bag.label == 0) is quiet] for quiet in (True, False))
    each = {
        "whole": scorer.scores([*normal, *others]),
        "online": [*scorer.running(normal, experiment.scenes), *scorer.scores(others, "online")],
    }
    names = [bag.video for bag in (*normal, *others)]
    return {mode: {name: one.tolist() for name, one in zip(names, each[mode], strict=True)} for mode in MODES}


def borders(experiment: "Experiment") -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each normal training video the snippets' borders in seconds, `(T + 1,)`, where they are known; and the seconds
    that were filmed of each snippet, `(T,)`, where they were counted."""
    source, stream = experiment.fitting.source, experiment.fitting.scored[0]
    times, counted = {}, {}
    for video in experiment.dataset.train:
        if video.label == 0:
            clock = source.clock(video.name, stream)
            if (seconds := clock.seconds()) is not None:
                times[video.name] = seconds
            if clock.filmed is not None:
                counted[video.name] = clock.filmed
    return times, counted


def _beside_times(
    fits: Sequence[dict[str, Any]], times: dict[str, np.ndarray], counted: dict[str, np.ndarray], hours: float
) -> NormalScores:
    curves = {
        mode: [
            (name, np.asarray(scores), times[name])
            for fit in fits
            for name, scores in fit.get(mode, {}).items()
            if name in times
        ]
        for mode in MODES
    }
    scored = {name for each in curves.values() for name, *_ in each}
    known = {name: seconds for name, seconds in counted.items() if name in scored}
    return NormalScores(fits=len(fits), curves=curves, filmed=known, hours=hours)
