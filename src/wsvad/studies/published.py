"""Numbers that papers and public code print for the published datasets, to stand beside ours with their source.

Most are the best checkpoint on the test set, which is to be compared with our selection of that name. Only what is
printed somewhere is here: `published.csv`, a line a number, in percent. Features that the source of a number does not
give are "not stated".
"""

import csv
from dataclasses import dataclass
from importlib.resources import files as package_files


@dataclass(frozen=True, kw_only=True)
class Published:
    """A method's numbers on a dataset from one source."""

    dataset: str
    method: str
    features: str
    source: str
    metrics: dict[str, float]
    """Fractions, by the keys of the metrics file."""


def published(dataset: str | None) -> list[Published]:
    """What is published for a dataset, by its name as in `wsvad datasets`; nothing for another one."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    with (package_files("wsvad.studies") / "published.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["dataset"] == dataset:
                key = line["method"], line["features"], line["source"]
                found.setdefault(key, {})[line["metric"]] = float(line["value"]) / 100
    return [
        Published(dataset=str(dataset), method=method, features=features, source=source, metrics=metrics)
        for (method, features, source), metrics in found.items()
    ]
