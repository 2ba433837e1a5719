"""Run the rows of an ablation table, and write it as CSV, Markdown and a plot."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.datasets.bags import PassportCheck, keep_bags, load_bags
from wsvad.datasets.dataset import Dataset
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.alerting import with_events
from wsvad.evaluation.cost import executed_weights, multiply_adds, snippets_per_second
from wsvad.evaluation.measure import measure_scorer
from wsvad.evaluation.vocabulary import UNDEFINED, with_spread, words_for
from wsvad.files import atomic, slug, write_text
from wsvad.methods.abilities import Compacts
from wsvad.methods.method import default_config
from wsvad.runs.scorer import Scorer
from wsvad.studies.ablations import ABLATIONS, Ablation, Row, Score
from wsvad.studies.cells import run_cells
from wsvad.tables import markdown, table_text
from wsvad.training.experiment import Experiment, Fitted
from wsvad.training.protocol import Protocol
from wsvad.training.selection import over_seeds

logger = logging.getLogger(__name__)

METRICS = (
    "auc", "auc_abnormal", "auc_constant", "ap", "video_auc",
    "events_found", "false_alarms_per_hour", "onset_delay", "event_f1", "ap_onset", "map@0.1", "category_accuracy",
)  # fmt: skip
"""Columns, the last two where a method gives class scores; the file has all."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row with its figures."""

    label: str
    metrics: dict[str, dict[str, Any]]
    """`{metric: {"mean", "std", "values"}}` after the last iteration, over seeds."""
    costs: dict[str, float] = field(default_factory=dict)
    failed: str = ""
    """Why there are none."""


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Another dataset to test on."""

    dataset: Dataset
    features: Path


def ablation(method: str, table: str) -> Ablation:
    """The table of that name.

    Raises:
        UsageError: there is none.
    """
    tables = ABLATIONS.get(method)
    if not tables:
        raise UsageError(f"there are no tables of '{method}'; choose one of: {', '.join(ABLATIONS)}")
    if table not in tables:
        raise UsageError(f"{method} has no table '{table}'; choose one of: {', '.join(tables)}")
    return tables[table]


def configured(table: Ablation, config: Any, others: Mapping[str, Any], budget: str) -> Ablation:
    """The table with rows of other methods under configurations of their own.

    Args:
        config: that of the table's method.
        others: method → configuration; what it has other than the default is put into the method's rows.
        budget: that of the default, see `default_config`.

    Raises:
        UsageError: the table has no row of such a method.
    """
    there = list(dict.fromkeys(row.method for row in table.rows(config)))
    if unknown := next((name for name in others if name not in there), None):
        raise UsageError(f"--config {unknown}: '{table.title}' has no row of it; its methods are {', '.join(there)}")

    def rows(config: Any) -> list[Row]:
        return [
            replace(row, config=replace(row.config, **changed(others[row.method], budget)))
            if row.method in others
            else row
            for row in table.rows(config)
        ]

    return replace(table, rows=rows)


def changed(config: Any, budget: str) -> dict[str, Any]:
    """The fields of a configuration that are not its default's."""
    default = default_config(type(config), budget)
    own = {f.name: getattr(config, f.name) for f in fields(config)}
    return {name: value for name, value in own.items() if value != getattr(default, name)}


def run_ablation(
    table: Ablation,
    config: Any,
    dataset: Dataset,
    features: Path,
    protocol: Protocol,
    out: Path,
    *,
    elsewhere: Elsewhere | None = None,
    workers: int | None = 0,
) -> list[Result]:
    """Train and measure every row; run again, it goes on where it was stopped. A row that fails says why.

    Tables with the same `out` share the runs of rows that they have in common.

    Args:
        workers: processes, see `run_cells`.

    Raises:
        UsageError: the table is about another dataset, and none is given.
        WsvadError: every row failed, which is the reason of the first.
    """
    if table.elsewhere and elsewhere is None:
        raise UsageError("this table is about another dataset; name it with --to and --to-features")
    rows = table.rows(config)
    places = {row.label: out / slug(row.runs or row.label) for row in rows}
    experiments = {
        row.label: Experiment(
            dataset=dataset, features=features, name=row.method, config=row.config, protocol=protocol,
            out=places[row.label], teacher=places[row.teacher] if row.teacher else None,
        )
        for row in rows
        if row.like is None
    }  # fmt: skip
    found, failed = run_cells(experiments, last_metrics, workers)
    results = []
    for row in rows:
        label = row.like or row.label
        if label in failed:
            results.append(Result(label=row.label, metrics={}, failed=str(failed[label])))
            continue
        # Costs are of one network alone on the machine; a row's own way of scoring cannot travel.
        again = row.score or elsewhere
        metrics = measured(experiments[label], row, elsewhere) if again else found[label]
        costs = costs_of(experiments[label]) if table.costs else {}
        results.append(Result(label=row.label, metrics=metrics, costs=costs))
        logger.info("%s: AUC %s", row.label, with_spread(metrics["auc"]))
    return results


def last_metrics(experiment: Experiment, fitted: Fitted) -> dict[str, dict[str, Any]]:
    """Of a finished experiment, those after the last iteration."""
    return with_events(fitted.metrics)["last"]


def failures(results: Sequence[Result]) -> dict[str, str]:
    """Row → why it failed."""
    return {result.label: result.failed for result in results if result.failed}


@dataclass(frozen=True)
class Otherwise:
    """A method that is scored in a row's own way."""

    method: Any
    score: Score
    runs_on: tuple[str, ...]

    def __call__(self, streams: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.score(self.method, streams)

    def to(self, device: torch.device) -> "Otherwise":
        return replace(self, method=self.method.to(device))

    def eval(self) -> None:
        self.method.eval()


def measured(experiment: Experiment, row: Row, elsewhere: Elsewhere | None) -> dict[str, dict[str, Any]]:
    """Test metrics of an experiment's runs when they are scored in the row's way, or on another dataset."""
    dataset = elsewhere.dataset if elsewhere else experiment.dataset
    check = PassportCheck(elsewhere.features if elsewhere else experiment.features)
    streams = experiment.streams if row.score else experiment.fitting.scored
    bags = keep_bags(load_bags(dataset.test, check.source, streams, check))
    if elsewhere:
        experiment.folder.refuse_trained_on(dataset, check.source)
    each = []
    for seed in experiment.seeds:
        trained = experiment.folder.of_seed(seed)
        trained.check_making(check.passports, check.source.folder, experiment.folder.path)
        scorer = Scorer.of(trained)
        if row.score:
            scorer = Scorer(Otherwise(trained.method, row.score, streams), trained.normalisation)
        each.append(measure_scorer(scorer, dataset.test, bags, calibration=trained.calibration).metrics)
    return over_seeds(each)


def costs_of(experiment: Experiment) -> dict[str, float]:
    """Weights, multiply-adds and speed of the first seed's method, as a detector runs it."""
    trained = experiment.folder.of_seed(experiment.seeds[0])
    weights = executed_weights(trained.method, trained.widths)
    method = trained.method.compact() if isinstance(trained.method, Compacts) else trained.method
    return {
        "weights, M": weights / 1e6,
        "multiply-adds, G": multiply_adds(method, trained.widths) / 1e9,
        "snippets/s": snippets_per_second(method, trained.widths),
    }


# ------------------------------------------------------------------------------------------------------------ output


def as_markdown(results: Sequence[Result]) -> str:
    """Percent where no unit is named, mean ± standard deviation over seeds, after the last iteration."""
    names = [name for name in METRICS if any(name in r.metrics for r in results)]
    costs = next((r.costs for r in results if not r.failed), {})
    body = [
        [
            f"{r.label} (failed: {r.failed})" if r.failed else r.label,
            *(with_spread(r.metrics[name], words_for(name).unit) if name in r.metrics else UNDEFINED for name in names),
            *(f"{r.costs[name]:,.4g}" if name in r.costs else UNDEFINED for name in costs),
        ]
        for r in results
    ]
    return markdown([["", *names, *costs], *body])


def as_csv(results: Sequence[Result]) -> str:
    """Every metric of every seed on a line of its own; costs have no seed."""
    rows: list[tuple[object, ...]] = []
    for result in results:
        for metric, spread in result.metrics.items():
            rows += [(result.label, metric, seed, value) for seed, value in enumerate(spread["values"])]
        rows += [(result.label, name, "", value) for name, value in result.costs.items()]
        rows += [(result.label, "failed", "", result.failed)] if result.failed else []
    return table_text(("row", "metric", "seed", "value"), rows)


def plot(path: Path, title: str, results: Sequence[Result]) -> None:
    """Frame AUC over all and over abnormal videos, a pair of bars a row, with the spread over seeds, as SVG; without
    rows that failed.

    Raises:
        WsvadError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise WsvadError(f"{path}: drawing it needs matplotlib; pip install 'wsvad[plot]'") from None
    results = [result for result in results if not result.failed]
    figure = Figure(figsize=(8, 1.2 + 0.55 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(results))
    for shift, metric, words in ((-0.2, "auc", "frame AUC"), (0.2, "auc_abnormal", "AUC_A, abnormal videos only")):
        means = [100 * result.metrics[metric]["mean"] for result in results]
        spreads = [100 * result.metrics[metric]["std"] for result in results]
        axes.barh(places + shift, means, 0.36, xerr=spreads, label=words, error_kw={"lw": 1})
    low = min(100 * value for r in results for m in ("auc", "auc_abnormal") for value in r.metrics[m]["values"])
    axes.set(yticks=places, yticklabels=[r.label for r in results], xlim=(max(0, low - 5), 100), xlabel="%")
    axes.set_title(title, loc="left")
    axes.invert_yaxis()
    figure.legend(loc="outside lower right", ncols=2, fontsize="small")
    with atomic(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def write_results(folder: Path, name: str, title: str, note: str, results: Sequence[Result]) -> None:
    """`NAME.csv`, `NAME.md` and, where matplotlib is installed, `NAME.svg`; the plot last, so that its lack costs
    nothing."""
    write_text(folder / f"{name}.csv", as_csv(results))
    write_text(folder / f"{name}.md", f"# {title}\n\n{note}\n\n{as_markdown(results)}")
    plot(folder / f"{name}.svg", title, results)
