"""Compare methods over seeds on one dataset: one table, every selection, remade by one command."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wsvad.datasets.dataset import Dataset
from wsvad.datasets.open import open_dataset
from wsvad.datasets.prepare import prepare, without
from wsvad.datasets.toy import make_toy
from wsvad.errors import WsvadError
from wsvad.evaluation.experiment import Experiment, training_progress
from wsvad.evaluation.protocol import Protocol
from wsvad.evaluation.table import with_spread
from wsvad.evaluation.totals import check_bags, introduce
from wsvad.features.source import released
from wsvad.files import write_json, write_text

TOY_VIDEOS = 96
"""Videos of the dataset `toy`."""
COLUMNS = ("auc", "auc_abnormal", "auc_constant", "ap", "video_auc", "far")
"""Metrics in the printed table; the files have all."""
OF_CLASSES = ("map@0.1", "category_accuracy")
"""Those beside them where a method gives class scores."""


def run_bench(
    data: str,
    methods: Mapping[str, Any],
    protocol: Protocol,
    *,
    streams: Mapping[str, str],
    features: Path | None = None,
    out: Path,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Fit every method on the same features and write `bench.json`, `bench.csv` and `bench.md` to `out`.

    Run again, it goes on where it was stopped.

    Args:
        data: a dataset (`open_dataset`), or `toy`.
        methods: name → configuration.
        streams: stream → resolved encoder, for what the features folder lacks.
        features: by default in `out`; for `toy` in its own folder, where the exact streams are.

    Returns:
        A row a method and selection: `data method streams selection metrics seconds parameters`.
    """
    console = console or Console(stderr=True)
    dataset, features = open_data(data, streams, features, out, console)
    encoders = {stream: encoder for stream, encoder in streams.items() if stream not in released(features)}
    rows: list[dict[str, Any]] = []
    for name, config in methods.items():
        with training_progress(console) as progress:
            experiment = Experiment(
                dataset=dataset,
                features=features,
                name=name,
                config=config,
                protocol=protocol,
                out=out / name,
                encoders=encoders,
                progress=progress,
            )
            if dataset.benchmark and not rows:
                for sentence in check_bags(dataset, experiment.test_bags):
                    console.print(sentence, highlight=False)
            rows += rows_of(experiment.run().metrics, seconds=experiment.seconds())
    write_json(out / "bench.json", {"rows": rows})
    write_text(out / "bench.csv", as_csv(rows))
    write_text(out / "bench.md", as_markdown(rows))
    return rows


def open_data(
    data: str, streams: Mapping[str, str], features: Path | None, out: Path, console: Console
) -> tuple[Dataset, Path]:
    """A dataset (`open_dataset`), or `toy`, with its streams on disk; and where they are: by default in `out`, or for
    `toy` in its own folder, where the exact streams are."""
    folder = toy_folder(console) if data == "toy" else None
    features = features or (folder or out) / "features"
    dataset = open_dataset(folder or data)
    for sentence in introduce(dataset):
        console.print(sentence, highlight=False)
    return complete(dataset, streams, features, console), features


def complete(dataset: Dataset, streams: Mapping[str, str], features: Path, console: Console) -> Dataset:
    """The dataset with its streams on disk; videos that cannot be encoded are left out, and named.

    Raises:
        WsvadError: a training or test class is empty then.
    """
    failed = prepare(dataset, streams, features, console=console)
    for reason in failed.values():
        console.print(f"left out: {reason}", highlight=False)
    rest = without(dataset, failed)
    if not rest.test:
        raise WsvadError(f"{features}: no test video could be encoded; mend the files that are named above")
    return rest


def toy_folder(console: Console) -> Path:
    """The simulated camera's dataset, made once in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsvad"
    return make_toy(cache / f"toy-{TOY_VIDEOS}", videos=TOY_VIDEOS, seed=0, console=console)


def rows_of(metrics: dict[str, Any], seconds: float | None = None) -> list[dict[str, Any]]:
    """The rows that `metrics.json` gives, one a selection."""
    return [
        {
            "data": metrics["data"],
            "method": metrics["method"],
            "streams": metrics["streams"],
            "selection": selection,
            "metrics": values,
            "seconds": seconds,
            "parameters": metrics["parameters"],
        }
        for selection, values in metrics["selection"].items()
    ]


def columns(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The metrics that the printed table has."""
    return (*COLUMNS, *(name for name in OF_CLASSES if any(name in row["metrics"] for row in rows)))


def cells(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    """A row as text: percent, mean ± standard deviation over seeds; a dash where the method has no such metric."""
    values = [row["metrics"].get(name) for name in names]
    texts = ["–" if value is None else with_spread(value) for value in values]
    seeds = len(row["metrics"][COLUMNS[0]]["values"])
    seconds = "–" if row["seconds"] is None else f"{row['seconds']:.0f}"
    return [row["data"], row["method"], row["selection"].replace("_", " "), *texts, str(seeds), seconds]


def lines(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Head and body of the table."""
    names = columns(rows)
    return [["data", "method", "selection", *names, "seeds", "seconds"], *(cells(row, names) for row in rows)]


def as_table(rows: Sequence[dict[str, Any]]) -> Table:
    """For the terminal."""
    head, *body = lines(rows)
    table = Table(*head)
    for line in body:
        table.add_row(*line)
    return table


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """For a results page; percent, mean ± standard deviation over seeds."""
    head, *body = lines(rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *body])


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """For a spreadsheet: every metric of every seed on a line of its own."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("data", "method", "streams", "selection", "metric", "seed", "value", "parameters"))
    for row in rows:
        for metric, spread in row["metrics"].items():
            for number, value in enumerate(spread["values"]):
                told = (row["data"], row["method"], "+".join(row["streams"]), row["selection"])
                writer.writerow((*told, metric, number, "" if value != value else value, row["parameters"]))
    return file.getvalue()
