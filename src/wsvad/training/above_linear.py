"""Whether a run is above `linear` on the same videos and streams: what a larger method costs, it has to earn."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wsvad.errors import WsvadError
from wsvad.evaluation.certainty import deciding, not_above
from wsvad.evaluation.curves import Curve
from wsvad.evaluation.measure import curves_of
from wsvad.methods.linear import LinearConfig
from wsvad.runs.scorer import Scorer
from wsvad.training.experiment import Experiment
from wsvad.training.fitting import Fitting

logger = logging.getLogger(__name__)

LINEAR = "linear"


def not_above_linear(experiment: Experiment) -> list[str]:
    """A sentence, where the finished fits of an experiment are not above `linear` by more than chance, in test videos;
    none where they are, or where the videos are too few to say it."""
    if experiment.name == LINEAR:
        return []
    ours = experiment.test_curves()
    if deciding(ours[0]) is None:
        return []
    try:
        said = not_above(experiment.name, ours, LINEAR, [linear_curves(experiment)])
    except WsvadError as error:
        logger.info("note: not compared with %s: %s", LINEAR, error)
        return []
    return [f"{one}. It is a logistic regression on the same features, which --method {LINEAR} trains" for one in said]


def linear_curves(experiment: Experiment) -> Sequence[Curve]:
    """The test videos by `linear`, fitted to the streams that the method scores with; its scores are kept in the first
    seed's folder."""
    folder, bags = experiment.folder.seed(experiment.seeds[0]), experiment.test_bags
    scores = (folder.read(LINEAR) or {}).get("whole", {})
    if any(len(scores.get(bag.video, ())) != bag.clock.snippets for bag in bags):
        found = fitted_scores(experiment)
        scores = {bag.video: one.tolist() for bag, one in zip(bags, found, strict=True)}
        scores = folder.write(LINEAR, {"whole": scores})["whole"]
        folder.end_fits()
    return curves_of(
        experiment.dataset.test, [bag.clock for bag in bags], [np.array(scores[bag.video], np.float64) for bag in bags]
    )


def fitted_scores(experiment: Experiment) -> list[np.ndarray]:
    """What it scores, in the order of the test videos."""
    seed = experiment.seeds[0]
    fitting = Fitting(
        dataset=experiment.dataset, features=experiment.features, name=LINEAR,
        config=LinearConfig(streams=experiment.fitting.scored),
        protocol=replace(experiment.protocol, iterations=None, segments=None, bags=None, normalise=None),
        memory=experiment.memory,
    )  # fmt: skip
    method = fitting.build(seed)
    checkpoint = experiment.folder.seed(seed).checkpoint(LINEAR)
    fitting.fit(method, seed, checkpoint, lambda *_: {}, f"{LINEAR}, to compare with", points=1)
    return Scorer(method, fitting.normalisation, device=experiment.protocol.device).scores(experiment.test_bags)
