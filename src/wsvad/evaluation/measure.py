"""Metrics of a scores file, of a run, or of a run on another dataset."""

from pathlib import Path

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Dataset
from wsvad.errors import UsageError
from wsvad.evaluation.curves import Curve, evaluate, per_category
from wsvad.evaluation.scores_file import curves_from_scores_file
from wsvad.files import read_json
from wsvad.training.run import load_method
from wsvad.training.scoring import score_bags


def measure(what: Path, dataset: Dataset | None, features: Path | None) -> tuple[dict[str, float], dict[str, float]]:
    """Frame metrics, and frame AUC by category.

    Args:
        what: a scores file, or a run folder.
        dataset: where the truth comes from; None = the labels in the scores file, or the run's own test videos.
        features: features of `dataset`, for a run.
    """
    if what.suffix == ".npz":
        curves = curves_from_scores_file(what, dataset)
        return evaluate(curves), per_category(curves)
    if dataset is None:
        told = read_json(what / "metrics.json")
        last = told["selection"]["last"]
        return {k: v["mean"] for k, v in last.items()}, {k: v["mean"] for k, v in told["per_category"].items()}
    if features is None:
        raise UsageError(f"{what}: to measure a run on a dataset, name that dataset's --features")
    trained = load_method(what)
    bags = list(load_bags(dataset.test, features, trained.method.runs_on))
    scores = score_bags(trained.method, bags, trained.normalisation)
    curves = [Curve.of(v, s, b.frames, b.stride) for v, b, s in zip(dataset.test, bags, scores, strict=True)]
    return evaluate(curves), per_category(curves)
