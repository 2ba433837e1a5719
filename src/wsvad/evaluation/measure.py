"""Metrics of a scores file, of a run, or of a run on another dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.open import benchmark_of
from wsvad.errors import UsageError
from wsvad.evaluation.classes import Classes, Compat, beside_truth, evaluate_classes, told_apart
from wsvad.evaluation.curves import Curve, evaluate, per_category
from wsvad.evaluation.score_forms import holds_scores
from wsvad.evaluation.scores_file import classes_from_scores_file, curves_from_scores_file, of_test_videos, read_scores
from wsvad.evaluation.totals import check_totals, explain_labels, introduce
from wsvad.files import read_json
from wsvad.runs.run import TrainedMethod, load_method
from wsvad.runs.scorer import class_score_bags, score_bags


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Fractions, by the keys of the metrics file."""

    metrics: dict[str, float]
    per_category: dict[str, float]
    """Frame AUC of each category's abnormal videos."""
    per_category_ap: dict[str, dict[str, float]] = field(default_factory=dict)
    """Average precision of each category's intervals, `ap@0.1` …; empty without class scores."""
    notes: list[str] = field(default_factory=list)
    """On what it was measured, beside published totals; and how truths differ. Sentences for the terminal."""


def measure(what: Path, dataset: Dataset | None, features: Path | None, compat: Compat | None = None) -> Measured:
    """Frame metrics, frame AUC by category, and mAP of intervals where there are class scores.

    Args:
        what: a scores file, or a run folder.
        dataset: where the truth comes from; None = the labels in the scores file, or the run's own test videos.
        features: features of `dataset`, for a run.
        compat: mAP with the quirks of a published evaluator; needs `dataset`.

    Raises:
        UsageError: something is missing; `what` is neither.
    """
    if compat and dataset is None:
        raise UsageError(f"{what}: --compat {compat} needs the truth; name the dataset with --data")
    if holds_scores(what):
        given, training = read_scores(what), 0
        if dataset:
            given, training = of_test_videos(given, dataset)
        classes = classes_from_scores_file(given, dataset, compat) if dataset else None
        found = _measured(what, curves_from_scores_file(given, dataset), classes, compat, dataset)
        if dataset is None and all(video.label is None for video in given.values()):
            found.notes.append(f"{what}: holds no labels to measure by; name the dataset with --data")
        if training:
            found.notes.append(f"{what}: {training} training videos are left out; the test videos alone are measured")
        return replace(found, notes=[*found.notes, *explain_labels(given, dataset)]) if dataset else found
    if not (what / "model.json").is_file():
        raise UsageError(f"{what}: neither scores (.npz, .csv, .npy, a folder of .npy) nor the folder of a run")
    if dataset is None:
        if not (what / "metrics.json").is_file():
            raise UsageError(f"{what}: an imported or grown run has no metrics of its own; name --data and --features")
        told = read_json(what / "metrics.json")
        return Measured(
            metrics={name: value["mean"] for name, value in told["selection"]["last"].items()},
            per_category={name: value["mean"] for name, value in told["per_category"].items()},
            per_category_ap={
                category: {name: value["mean"] for name, value in each.items()}
                for category, each in told.get("per_category_ap", {}).items()
            },
        )
    if features is None:
        raise UsageError(f"{what}: to measure a run on a dataset, name that dataset's --features")
    return _measured(what, *_scored(load_method(what), dataset.test, features), compat, dataset)


def _scored(
    trained: TrainedMethod, videos: Sequence[LabelledVideo], features: Path
) -> tuple[list[Curve], Classes | None]:
    """A run's scores of videos, and its class scores. One bag is in memory at a time: ten crops of a whole test set
    would take gigabytes."""
    method, curves, of_classes = trained.method, list[Curve](), list[np.ndarray]()
    names = told_apart(method)
    for video, bag in zip(videos, load_bags(videos, features, method.runs_on), strict=True):
        if not curves:
            trained.check(bag)
        (scores,) = score_bags(method, [bag], trained.normalisation)
        curves.append(Curve.of(video, scores, bag.frames, bag.stride))
        of_classes += class_score_bags(method, [bag], trained.normalisation) if names else []
    lengths = [curve.lengths for curve in curves]
    return curves, beside_truth(names, videos, of_classes, lengths) if names else None


def _measured(
    what: Path, curves: list[Curve], classes: Classes | None, compat: Compat | None, dataset: Dataset | None
) -> Measured:
    if compat and classes is None:
        raise UsageError(f"{what}: --compat {compat} is about mAP, which needs class scores, and there are none")
    benchmark = benchmark_of(dataset) if dataset else None
    normal_is_event = benchmark is not None and benchmark.normal_is_event
    metrics, by_category = evaluate_classes(classes, compat, normal_is_event=normal_is_event)
    return Measured(
        metrics=evaluate(curves) | metrics,
        per_category=per_category(curves),
        per_category_ap=by_category,
        notes=[*introduce(dataset), *check_totals(dataset, curves)] if dataset else [],
    )
