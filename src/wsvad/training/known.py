"""Scores of videos in which it is known when something abnormal happens, for what a threshold finds of it."""

from collections.abc import Mapping

import numpy as np

from wsvad.datasets.dataset import LabelledVideo
from wsvad.detection.operating import Known
from wsvad.evaluation.alerting import with_rate
from wsvad.runs.scorer import MODES, Mode, Scorer
from wsvad.training.cross_fit import folds_so_far
from wsvad.training.experiment import Experiment, Fitted
from wsvad.video.clock import NOMINAL, SnippetClock


def known_events(experiment: Experiment, fitted: Fitted) -> dict[Mode, list[Known]]:
    """Of each mode, the test videos with intervals as the first seed's detector scores them, and the training videos
    with intervals as fits did that had not seen them."""
    pairs = [(v, bag) for v, bag in zip(experiment.dataset.test, experiment.test_bags, strict=True) if v.intervals]
    if experiment.watchable:
        online = experiment.online_scores(experiment.folder.seed(experiment.seeds[0]))
    else:
        scored = Scorer.of(fitted.trained).scores([bag for _, bag in pairs], "online")
        online = {video.name: one for (video, _), one in zip(pairs, scored, strict=True)}
    each = {"whole": fitted.test_scores, "online": online}
    scores: dict[Mode, list[np.ndarray]] = {mode: [each[mode][v.name] for v, _ in pairs] for mode in MODES}
    tested = {
        mode: [_known(v, bag.clock, one, "test") for (v, bag), one in zip(pairs, scores[mode], strict=True)]
        for mode in MODES
    }
    folds, clocks = folds_so_far(experiment), _clocks(experiment)
    return {
        mode: [
            *tested[mode],
            *(
                _known(video, clocks[video.name], np.asarray(fold[mode][video.name]), "train")
                for video in experiment.dataset.train
                for fold in folds
                if video.intervals and video.name in fold.get(mode, {})
            ),
        ]
        for mode in MODES
    }


def _clocks(experiment: Experiment) -> Mapping[str, SnippetClock]:
    source, stream = experiment.fitting.source, experiment.fitting.scored[0]
    return {v.name: source.clock(v.name, stream) for v in experiment.dataset.train if v.intervals}


def _known(video: LabelledVideo, clock: SnippetClock, scores: np.ndarray, split: str) -> Known:
    """Events that begin after the video's end are not in it."""
    clock = with_rate(clock, video)
    times = clock.seconds(NOMINAL)
    assert times is not None
    ends = [np.interp((one.start, one.end), clock.edges, times).tolist() for one in video.intervals or ()]
    events = [(start, end) for start, end in ends if start < end]
    return Known(video=video.name, scores=scores, times=times, events=events, split=split)
