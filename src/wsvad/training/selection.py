"""Which point of a training run is reported, by which measure held-out videos choose it, and the mean and spread of
that over seeds.

Of held-out training videos only labels are known. Their video AUC says little of *when*, and where videos are joined of
several scenes it follows what a fit has memorised of scenes. But there a normal video says of each scene that it shows
that it is normal, in abnormal videos too: so scores can be measured moment by moment. `benchmarks/results/scenes.md`
compares both with others, by how well they follow the frame AUC of test videos.
"""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from wsvad.datasets.dataset import LabelledVideo
from wsvad.metrics.frame import roc_auc

SELECTIONS = ("last", "held_out", "best_on_test")


def choose(history: list[dict[str, Any]], iteration: int | None) -> dict[str, dict[str, float] | None]:
    """Test metrics of the three selections, from one fit's history."""
    tested = [row for row in history if "test" in row]
    by_iteration = {row["iteration"]: row["test"] for row in tested}
    # Held-out iterations come from the same grid of points, because both fits have the same phases.
    headline = "auc" if not isnan(tested[-1]["test"]["auc"] or nan) else "video_auc"
    best = max(tested, key=lambda row: -1.0 if isnan(row["test"][headline] or nan) else row["test"][headline])
    return {
        "last": tested[-1]["test"],
        "held_out": by_iteration.get(iteration) if iteration else None,
        "best_on_test": best["test"],
    }


def best_iteration(history: Sequence[Mapping[str, Any]]) -> int | None:
    """At which held-out videos score best in a fit's history, the later one of two: by `moment_auc` where that was
    measured, else by video AUC; None where neither was."""
    for measure in ("moment_auc", "video_auc"):
        found = [(row["held_out"].get(measure), row["iteration"]) for row in history if "held_out" in row]
        if known := [(value, iteration) for value, iteration in found if value is not None and not isnan(value)]:
            return int(max(known)[1])
    return None


def moment_auc(videos: Sequence[LabelledVideo], scores: Sequence[np.ndarray], known: Mapping[str, np.ndarray]) -> float:
    """AUC of snippets: those of normal videos and those that are known to be normal, against the others of abnormal
    videos; NaN where one of the two is missing.

    Args:
        scores: of each video, `(T,)`.
        known: of abnormal videos, whether each of K parts of the same length is normal (`scenes.known_normal`);
            others are left out.
    """
    each, abnormal = [], []
    for video, score in zip(videos, scores, strict=True):
        parts = known.get(video.name) if video.label else np.ones(1, bool)
        if parts is not None:
            each.append(score)
            abnormal.append(~known_snippets(parts, len(score)))
    y = np.concatenate([*abnormal, np.zeros(0, bool)]).astype(np.int64)
    if len(np.unique(y)) < 2:
        return nan
    return roc_auc(np.concatenate(each), y, 1 - y)


def known_snippets(parts: np.ndarray, count: int) -> np.ndarray:
    """Which of so many snippets are known to be normal, `(T,)`, where K parts of a video are."""
    return np.asarray(parts[(np.arange(count) * 2 + 1) * len(parts) // (2 * count)], bool)


def over_seeds(each: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """`{metric: {"mean", "std", "values"}}`; the standard deviation is that of a sample, 0 for one seed."""
    return {name: spread([nan if e[name] is None else e[name] for e in each]) for name in each[0]}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation and the values themselves."""
    mean = float(np.mean(values))
    return {"mean": mean, "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, "values": list(values)}
