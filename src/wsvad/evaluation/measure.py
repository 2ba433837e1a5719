"""Metrics of a scores file, of a run, or of a run on another dataset."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.bags import PassportCheck, load_bags
from wsvad.datasets.dataset import Bag, Dataset, LabelledVideo
from wsvad.datasets.open import benchmark_of, open_dataset
from wsvad.errors import UsageError
from wsvad.evaluation.alerting import NOT_COUNTED, TOO_MANY, Alerts, At, affordable, alerts_at, passes, timed, with_rate
from wsvad.evaluation.classes import Classes, Compat, beside_truth, evaluate_classes
from wsvad.evaluation.curves import Curve, per_category
from wsvad.evaluation.curves import evaluate as evaluate_curves
from wsvad.evaluation.explained import beyond_videos, undefined
from wsvad.evaluation.score_forms import holds_scores
from wsvad.evaluation.scores_file import classes_from_scores_file, curves_from_scores_file, of_test_videos, read_scores
from wsvad.evaluation.totals import check_totals, explain_labels, introduce
from wsvad.features.source import open_features, unused
from wsvad.files import path_of
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import threshold_of
from wsvad.runs.scorer import CLASSES, Mode, Scored, Scorer
from wsvad.video.clock import SnippetClock

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Fractions, by the keys of the metrics file."""

    metrics: dict[str, float]
    per_category: dict[str, float]
    """Frame AUC of each category's abnormal videos."""
    per_category_ap: dict[str, dict[str, float]] = field(default_factory=dict)
    """Average precision of each category's intervals, `ap@0.1` …; empty without class scores."""
    curves: Sequence[Curve] = ()
    """What was measured: each video's scores beside its truth; empty where only metrics were read."""
    notes: list[str] = field(default_factory=list)
    """On what it was measured, beside published totals; and how truths differ. Sentences for the terminal."""
    alerts: Mapping[str, Any] = field(default_factory=dict)
    """Mode → where alerts begin, and what other thresholds do (`Alerts.as_dict`); the figures are among `metrics`."""
    intervals: dict[str, Sequence[float]] = field(default_factory=dict)
    """Key → the 95 % interval over test videos, of those that have one."""


def evaluate(
    what: Path | str,
    data: Path | str | Dataset | None = None,
    features: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    compat: Compat | None = None,
    threshold: float | None = None,
    max_false_alarms_per_hour: float | None = None,
) -> Measured:
    """Measure a run, or the frame scores of any system.

    Args:
        what: a run folder; or scores: .npz with `video`, `frames`, `score` and optionally `label`, `class_score` and
            `categories`; .csv; .npy; a folder of .npy.
        data: where the truth comes from: a dataset, its folder, or NAME:FOLDER of a published one. None = the labels
            in the scores file, or the run's own test videos. Videos without a split are divided as the run did.
        features: features of that dataset, for a run.
        labels, intervals: the files, where they are not in the folder.
        compat: mAP exactly as a published evaluator computes it; needs `data`.
        threshold: score at which alerts begin; by default a run's own.
        max_false_alarms_per_hour: instead of that, the lowest threshold that keeps this rate in the normal test videos;
            for scores 1 by default.

    Raises:
        UsageError: something is missing; `what` is neither; the run was trained on one of the test videos.
    """
    at = At(threshold=threshold, false_alarms_per_hour=max_false_alarms_per_hour)
    what = path_of("what", what)
    if data is not None and not isinstance(data, Dataset):
        data = open_dataset(data, labels, intervals, **RunFolder(what).division(), need_training=False)
    return measure(what, data, path_of("features", features) if features is not None else None, compat, at)


def measure(
    what: Path, dataset: Dataset | None, features: Path | None, compat: Compat | None = None, at: At | None = None
) -> Measured:
    """Frame metrics, frame AUC by category, figures of alerts, and mAP of intervals where there are class scores.

    Args:
        what: a scores file, or a run folder.
        dataset: where the truth comes from; None = the labels in the scores file, or the run's own test videos.
        features: features of `dataset`, for a run.
        compat: mAP exactly as a published evaluator computes it; needs `dataset`.
        at: where alerts begin.

    Raises:
        UsageError: something is missing; `what` is neither; the run was trained on one of the test videos.
    """
    if compat and dataset is None:
        raise UsageError(f"{what}: --compat {compat} needs the truth; name the dataset with --data")
    if holds_scores(what):
        return _of_scores_file(what, dataset, compat, at or At())
    run = RunFolder(what)
    if not run.finished:
        raise UsageError(f"{what}: neither scores (.npz, .csv, .npy, a folder of .npy) nor the folder of a run")
    if dataset is None and at not in (None, At()):
        raise UsageError(
            f"{what}: holds figures at the threshold that it was trained with; for another one name --data"
        )
    if dataset is None:
        return _stored(run)
    if features is None:
        raise UsageError(f"{what}: to measure a run on a dataset, name that dataset's --features")
    return _of_run(run, dataset, features, compat, at or At())


def measure_scorer(
    scorer: Scorer,
    videos: Sequence[LabelledVideo],
    bags: Iterable[Bag],
    compat: Compat | None = None,
    *,
    normal_is_event: bool = False,
    mode: Mode = "whole",
    calibration: Mapping[str, Any] | None = None,
    at: At | None = None,
) -> Measured:
    """Score videos and measure what comes out.

    Args:
        bags: those of `videos`, in order. A sequence is scored together; of anything else one bag is in memory at a
            time, since ten crops of a whole test set take gigabytes.
        compat, normal_is_event: as in `evaluate_classes`.
        calibration: what the run says of its thresholds; with it alerts are counted, of whole videos and online.
        at: where they begin.
    """
    wanted = CLASSES if scorer.distinguished else ()
    clocks, scored, online, count = list[SnippetClock](), list[Scored](), list[np.ndarray](), 0
    for some in [bags] if isinstance(bags, Sequence) else ([bag] for bag in bags):
        scored += scorer(some, wanted, mode)
        count += sum(passes(bag, scorer.window) for bag in some)
        wanted_online = calibration is not None and affordable(count, scorer.device.type)
        online += scorer.scores(some, "online") if wanted_online else []
        clocks += [bag.clock for bag in some]
    found = measure_scored(videos, clocks, scored, scorer.distinguished, compat, normal_is_event=normal_is_event)
    if calibration is None:
        return found
    clocks = [with_rate(clock, video) for clock, video in zip(clocks, videos, strict=True)]
    scores: dict[Mode, list[np.ndarray]] = {"whole": [one.scores for one in scored], "online": online}
    if len(online) < len(scored):
        logger.info("note: %s", TOO_MANY)
        del scores["online"]
    curves = {kind: curves_of(videos, clocks, some) for kind, some in scores.items()}
    rules = EventRules(**calibration.get("rules", {}))
    each = (alerts_at(some, rules, kind, at or At(), threshold_of(calibration, kind)) for kind, some in curves.items())
    return with_alerts(found, each)


def with_alerts(found: Measured, each: Iterable[Alerts | None]) -> Measured:
    """With figures of alerts, of one seed."""
    known = [one for one in each if one is not None]
    metrics = {key: values[0] for one in known for key, values in one.values.items()}
    intervals = {key: bounds for one in known for key, bounds in one.intervals.items()}
    return replace(
        found,
        metrics=found.metrics | metrics,
        alerts={one.mode: one.as_dict() for one in known},
        intervals=found.intervals | intervals,
    )


def measure_scored(
    videos: Sequence[LabelledVideo],
    clocks: Sequence[SnippetClock],
    scored: Sequence[Scored],
    categories: Sequence[str] = (),
    compat: Compat | None = None,
    *,
    normal_is_event: bool = False,
) -> Measured:
    """Measure scores of videos, and class scores of these categories, beside the truth."""
    if compat and any(clock.borders is not None for clock in clocks):
        raise UsageError(f"--compat {compat}: every snippet has 16 frames there, but these videos were resampled")
    curves = curves_of(videos, clocks, [one.scores for one in scored])
    classes = None
    if categories:
        each = [one.class_scores for one in scored if one.class_scores is not None]
        classes = beside_truth(categories, videos, each, [curve.lengths for curve in curves])
    return measure_curves(curves, classes, compat, normal_is_event=normal_is_event)


def measure_curves(
    curves: Sequence[Curve], classes: Classes | None, compat: Compat | None = None, *, normal_is_event: bool = False
) -> Measured:
    """All metrics of curves, and of class scores where there are any."""
    metrics, by_category = evaluate_classes(classes, compat, normal_is_event=normal_is_event)
    return Measured(
        metrics=evaluate_curves(curves) | metrics,
        per_category=per_category(curves),
        per_category_ap=by_category,
        curves=curves,
    )


def curves_of(
    videos: Sequence[LabelledVideo], clocks: Sequence[SnippetClock], scores: Sequence[np.ndarray]
) -> list[Curve]:
    """Each video's scores `(T,)` with the frames that they stand for, and the truth."""
    return [Curve.of(v, s, c) for v, s, c in zip(videos, scores, clocks, strict=True)]


def _of_scores_file(what: Path, dataset: Dataset | None, compat: Compat | None, at: At) -> Measured:
    given, training = read_scores(what), 0
    if dataset and dataset.drawn:
        raise UsageError(
            f"{what}: {dataset.name} does not say which videos are for testing, and scores do not say which ones were "
            "trained on; add a column 'split' (train or test) to the labels"
        )
    if dataset:
        given, training = of_test_videos(given, dataset)
    classes = classes_from_scores_file(given, dataset, compat) if dataset else None
    if compat and classes is None:
        raise _no_class_scores(what, compat)
    curves = curves_from_scores_file(given, dataset)
    found = measure_curves(curves, classes, compat, normal_is_event=_normal_is_event(dataset))
    in_seconds = timed(curves, dataset.test if dataset else ())
    alerts = alerts_at(in_seconds, EventRules(), "whole", at)
    found = with_alerts(found, [alerts])
    counted = [alerts.sentence] if alerts else [f"{what}: {NOT_COUNTED}"]
    if dataset is None:
        unknown = all(video.label is None for video in given.values())
        without = [f"{what}: holds no labels; name the dataset with --data"]
        return replace(found, notes=without if unknown else [*undefined(found.metrics, curves), *counted])
    notes = [*introduce(dataset), *check_totals(dataset, curves)]
    if training:
        notes.append(f"{what}: {training} training videos are left out; only the test videos are measured")
    lengths = {name: len(video.score) for name, video in given.items()}
    notes += [*beyond_videos(dataset.test, lengths), *undefined(found.metrics, curves)]
    return replace(found, notes=[*notes, *explain_labels(given, dataset), *counted])


def _of_run(run: RunFolder, dataset: Dataset, features: Path, compat: Compat | None, at: At) -> Measured:
    if not dataset.test:
        raise UsageError(f"{run.path}: there are no test videos in {dataset.name}; measure it on others")
    trained, source = run.load(), open_features(features)
    scorer = Scorer.of(trained)
    if compat and not scorer.distinguished:
        raise _no_class_scores(run.path, compat)
    run.refuse_trained_on(dataset, source)
    exact, making = set[str](), PassportCheck(source)

    def checked(bag: Bag) -> Bag:
        exact.update([bag.video] if bag.times is not None else [])
        trained.check(bag)
        trained.check_making(making.passports, source.folder, run.path)
        return bag

    bags = map(checked, load_bags(dataset.test, source, trained.method.runs_on, making))
    found = measure_scorer(
        scorer, dataset.test, bags, compat, normal_is_event=_normal_is_event(dataset), calibration=trained.calibration,
        at=at,
    )  # fmt: skip
    left = unused(source, trained.method.learns_from)
    notes = [f"{run.path}: {trained.name} did not learn from {' and '.join(left)}, which is not read"] if left else []
    lengths = {curve.video: int(curve.lengths.sum()) for curve in found.curves}
    notes += [*beyond_videos(dataset.test, lengths, exact), *undefined(found.metrics, found.curves)]
    notes = [*introduce(dataset), *check_totals(dataset, found.curves), *notes]
    sentences = [one["sentence"] for one in found.alerts.values()]
    return replace(found, notes=[*notes, *sentences])


def _stored(run: RunFolder) -> Measured:
    """What a run measured of its own test videos, the mean over its seeds."""
    record = run.read_metrics()
    if record is None:
        raise UsageError(
            f"{run.path}: this run was imported or extended, so it stores no metrics; name --data and --features"
        )
    means = record["selection"]["last"] | record.get("events", {})
    metrics = {name: nan if v["mean"] is None else v["mean"] for name, v in means.items()}
    alerts = record.get("alerts", {})
    sentences = [one["sentence"] for one in alerts.values()]
    now = {mode: threshold_of(run.read_thresholds(), mode) for mode in alerts}
    if changed := [f"{now[mode]:.3g} ({mode})" for mode in alerts if now[mode] not in alerts[mode]["thresholds"]]:
        sentences.append(
            f"The threshold is {' and '.join(changed)} by now: name --data and --features to measure at it."
        )
    return Measured(
        metrics=metrics,
        notes=[*record.get("certainty", ()), *undefined(metrics), *sentences],
        intervals=record.get("intervals", {}),
        alerts=alerts,
        per_category={name: value["mean"] for name, value in record["per_category"].items()},
        per_category_ap={
            category: {name: value["mean"] for name, value in each.items()}
            for category, each in record.get("per_category_ap", {}).items()
        },
    )


def _normal_is_event(dataset: Dataset | None) -> bool:
    benchmark = benchmark_of(dataset) if dataset else None
    return benchmark is not None and benchmark.normal_is_event


def _no_class_scores(what: Path, compat: Compat) -> UsageError:
    return UsageError(f"{what}: --compat {compat} is about mAP, which needs class scores, and there are none")
