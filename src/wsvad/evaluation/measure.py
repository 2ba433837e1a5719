"""Metrics of a scores file, of a run, or of a run on another dataset."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Dataset
from wsvad.errors import UsageError
from wsvad.evaluation.classes import Classes, Compat, evaluate_classes, score_classes
from wsvad.evaluation.curves import Curve, evaluate, per_category
from wsvad.evaluation.score_forms import holds_scores
from wsvad.evaluation.scores_file import classes_from_scores_file, curves_from_scores_file
from wsvad.evaluation.totals import check_totals, explain_labels, introduce
from wsvad.files import read_json
from wsvad.training.run import load_method
from wsvad.training.scoring import score_bags


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
        UsageError: something is missing.
    """
    if compat and dataset is None:
        raise UsageError(f"{what}: --compat {compat} needs the truth; name the dataset with --data")
    if holds_scores(what):
        classes = classes_from_scores_file(what, dataset, compat) if dataset else None
        found = _measured(what, curves_from_scores_file(what, dataset), classes, compat, dataset)
        return replace(found, notes=[*found.notes, *explain_labels(what, dataset)]) if dataset else found
    if dataset is None:
        if (what / "model.json").is_file() and not (what / "metrics.json").is_file():
            raise UsageError(f"{what}: an imported run has no metrics of its own; name --data and --features")
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
    trained = load_method(what)
    bags = list(load_bags(dataset.test, features, trained.method.runs_on))
    trained.check(bags[0])
    scores = score_bags(trained.method, bags, trained.normalisation)
    curves = [Curve.of(v, s, b.frames, b.stride) for v, b, s in zip(dataset.test, bags, scores, strict=True)]
    classes = score_classes(trained.method, dataset.test, bags, trained.normalisation)
    return _measured(what, curves, classes, compat, dataset)


def _measured(
    what: Path, curves: list[Curve], classes: Classes | None, compat: Compat | None, dataset: Dataset | None
) -> Measured:
    if compat and classes is None:
        raise UsageError(f"{what}: --compat {compat} is about mAP, which needs class scores, and there are none")
    metrics, by_category = evaluate_classes(classes, compat, dataset.benchmark if dataset else None)
    return Measured(
        metrics=evaluate(curves) | metrics,
        per_category=per_category(curves),
        per_category_ap=by_category,
        notes=[*introduce(dataset), *check_totals(dataset, curves)] if dataset else [],
    )
