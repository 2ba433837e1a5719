"""What the seeds of an experiment come to together: the metrics file of its run."""

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any

from wsvad.evaluation.certainty import in_a_sentence, intervals_of_run
from wsvad.evaluation.explained import undefined
from wsvad.training.selection import SELECTIONS, over_seeds

if TYPE_CHECKING:  # an experiment asks for its summary itself
    from wsvad.training.experiment import Experiment


def summary_of(experiment: "Experiment", results: list[dict[str, Any]]) -> dict[str, Any]:
    """`metrics.json` of all seeds."""
    selection = {
        name: over_seeds([result["metrics"][name] for result in results])
        for name in SELECTIONS
        if all(result["metrics"].get(name) for result in results)
    }
    return {
        "data": experiment.dataset.name,
        "method": experiment.name,
        "streams": list(experiment.streams),
        "seeds": [result["seed"] for result in results],
        "iterations": [result["iteration"] for result in results],
        "parameters": results[0]["parameters"],
        "selection": selection,
        "per_category": over_seeds([result["per_category"] for result in results]),
        "per_category_ap": {
            name: over_seeds([result["per_category_ap"][name] for result in results])
            for name in results[0].get("per_category_ap", {})
        },
        **certainty(experiment, results),
        "remarks": experiment.remarks,
        "reconstruction": over_seeds([result["reconstruction"] for result in results]),
    }


def certainty(experiment: "Experiment", results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How well the metrics after the last iteration are known, and why one cannot be had."""
    last = {k: nan if v is None else v for result in results for k, v in result["metrics"]["last"].items()}
    seeds = experiment.test_curves()
    found = intervals_of_run(seeds)
    return {
        "intervals": found,
        "certainty": in_a_sentence(len(seeds[0]), last, found),
        "undefined": undefined(last, seeds[0]),
    }
