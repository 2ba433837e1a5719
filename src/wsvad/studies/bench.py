"""Compare methods over seeds on one dataset: one table, every selection, remade by one command."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.categories import names_of
from wsvad.datasets.dataset import Dataset
from wsvad.datasets.open import open_dataset
from wsvad.datasets.toy import make_toy
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.alerting import with_events
from wsvad.evaluation.certainty import Resampled, against, intervals, not_above, resample
from wsvad.evaluation.curves import Curve
from wsvad.evaluation.totals import check_bags, introduce
from wsvad.evaluation.totals import headline as headline_of
from wsvad.evaluation.vocabulary import ALERT_KEYS, METRICS, words_for
from wsvad.extraction.prepare import first_passport, prepare, without
from wsvad.features.source import released
from wsvad.files import check_writable, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import learns_from
from wsvad.runs.folder import RunFolder
from wsvad.studies.cells import run_cells
from wsvad.studies.leaderboard import Leaderboard, as_csv, as_markdown
from wsvad.studies.leaderboard_page import as_page
from wsvad.studies.published import published
from wsvad.studies.run_card import command, features_in_words, run_card
from wsvad.training.above_linear import LINEAR
from wsvad.training.experiment import Experiment, Fitted
from wsvad.training.protocol import Protocol
from wsvad.video.decoding import Decode

logger = logging.getLogger(__name__)

TOY_VIDEOS = 96
"""Videos of the dataset `toy`."""


def run_bench(
    data: str,
    methods: Mapping[str, Any],
    protocol: Protocol | Mapping[str, Protocol],
    *,
    streams: Mapping[str, str],
    features: Path | None = None,
    out: Path,
    headline: str | None = None,
    baseline: str | None = None,
    workers: int | None = 0,
) -> Leaderboard:
    """Fit every method on the same features and write `bench.json`, `bench.csv`, `bench.md` and `bench.html` to `out`.

    Run again, it goes on where it was stopped. A method that fails is a row that says why.

    Args:
        data: a dataset (`open_dataset`), or `toy`.
        methods: name → configuration.
        protocol: one for all, or one for each method.
        streams: stream → resolved encoder, for what the features folder lacks.
        features: by default in `out`; for `toy` in its own folder, where the exact streams are.
        headline: the metric that methods are sorted by; by default the one that papers print for the dataset, or AUC.
        baseline: the method that the others are compared with; by default `linear` if it is among them, or the first.
        workers: processes, see `run_cells`. Figures do not depend on how many; those of this process (0), whose torch
            may have several threads, can differ in the last digits.

    Raises:
        UsageError: there is no such metric or baseline.
        WsvadError: every method failed, which is the reason of the first.
    """
    baseline = baseline or default_baseline(methods)
    check_names(methods, headline, baseline)
    of = {name: protocol if isinstance(protocol, Protocol) else protocol[name] for name in methods}
    dataset, place, left_out = open_data(data, streams, features, out, device=of[baseline].device)
    encoders = {stream: encoder for stream, encoder in streams.items() if stream not in released(place)}
    headline = headline or headline_of(dataset) or "auc"
    experiments = {
        name: Experiment(
            dataset=dataset, features=place, name=name, config=config, protocol=of[name], out=out / name,
            encoders=encoders,
        )
        for name, config in methods.items()
    }  # fmt: skip
    if dataset.benchmark:
        first = next(iter(experiments.values()))
        for sentence in check_bags(dataset, first.test_bags):
            logger.info("%s", sentence)
        del first.test_bags
    commands = Commands(data=data, configs=methods, features=features, out=out)
    found, failed = run_cells(experiments, commands.entry, workers)
    rows = {name: entry.rows for name, entry in found.items()}
    judge(rows, {name: entry.resampled for name, entry in found.items()}, baseline)
    board = Leaderboard(
        data=dataset.name, headline=headline, baseline=baseline, rows=ranked(rows, headline),
        cards={name: entry.card for name, entry in found.items()}, videos=videos_of(dataset),
        published=published(dataset.benchmark), left_out=left_out,
        remarks=not_above_linear({name: entry.curves for name, entry in found.items()}),
        failed={name: str(error) for name, error in failed.items()},
    )  # fmt: skip
    write_board(out, board)
    return board


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the table has of a method."""

    rows: list[dict[str, Any]]
    card: dict[str, Any]
    curves: Sequence[Sequence[Curve]]
    resampled: Resampled


@dataclass(frozen=True, kw_only=True)
class Commands:
    """What a study was called with, for the command that remakes a method's rows."""

    data: str
    configs: Mapping[str, Any]
    features: Path | None
    out: Path

    def entry(self, experiment: Experiment, fitted: Fitted) -> Entry:
        """Of a finished experiment."""
        name = experiment.name
        # Also what --streams auto has left out: the same command has to look at it again.
        read = learns_from(METHODS[name], experiment.config)
        used = {stream: spec for stream, spec in experiment.encoders.items() if stream in read}
        remade_by = command(self.data, name, self.configs[name], experiment.protocol, used, self.features, self.out)
        card, curves = run_card(experiment, remade_by), experiment.test_curves()
        counted = {key: values for one in fitted.alerts.values() for key, values in one.resampled.items()}
        return Entry(
            rows=rows_of(fitted.metrics, experiment.folder.costs(), card["features"]), card=card, curves=curves,
            resampled=resample(curves) | counted,
        )  # fmt: skip


def default_baseline(methods: Mapping[str, Any]) -> str:
    """What the others are compared with where nobody says otherwise."""
    return LINEAR if LINEAR in methods else next(iter(methods))


def not_above_linear(curves: Mapping[str, Sequence[Sequence[Curve]]]) -> list[str]:
    """A sentence for each method that is not above `linear`, where that is among them; see `not_above`."""
    if LINEAR not in curves:
        return []
    others = [name for name in curves if name != LINEAR]
    return [said for name in others for said in not_above(name, curves[name], LINEAR, curves[LINEAR])]


def check_names(methods: Mapping[str, Any], headline: str | None, baseline: str) -> None:
    """Raises: UsageError, there is no such metric, or the baseline is none of the methods."""
    if headline is not None and headline not in METRICS:
        raise UsageError(f"--headline {headline}: no such metric; choose one of: {', '.join(METRICS)}")
    if baseline not in methods:
        raise UsageError(f"--against {baseline}: it is not among the methods; choose one of: {', '.join(methods)}")


def open_data(
    data: str,
    streams: Mapping[str, str],
    features: Path | None,
    out: Path,
    split: Mapping[str, str] | None = None,
    rate: Fraction | None = None,
    decode: Decode = "exact",
    device: str = "auto",
) -> tuple[Dataset, Path, dict[str, str]]:
    """A dataset (`open_dataset`), or `toy`, with its streams on disk.

    Args:
        rate: frames per second that videos are resampled to; by default as features that are there were.
        decode: how videos are decoded where no features are there; otherwise it is as these say.
        device: where networks run, see `extract`.

    Returns:
        The dataset; where its streams are: by default in `out`, or for `toy` in its own folder, where the exact streams
        are; and the videos that had to be left out, with the reason.

    Raises:
        WsvadError: no test video is left.
    """
    folder = toy_folder() if data == "toy" else None
    features = features or (folder or out) / "features"
    dataset = open_dataset(folder or data, split=earlier_split(out) if split is None else split)
    for sentence in introduce(dataset):
        logger.info("%s", sentence)
    there = first_passport(dataset, streams, features)
    if there:
        rate, decode = rate or (Fraction(there.rate) if there.rate else None), there.decode
    failed = prepare(dataset, streams, features, rate=rate, decode=decode, device=device)
    rest = without(dataset, failed)
    if not rest.test:
        raise WsvadError(f"{features}: no test video could be encoded; fix the files listed above")
    return rest, features, failed


def earlier_split(out: Path) -> dict[str, str]:
    """How the runs in a folder divided the videos; empty where there are none yet."""
    return next((found for path in sorted(out.glob("*")) if (found := RunFolder(path).split())), {})


def toy_folder() -> Path:
    """The simulated camera's dataset, made once in the user's cache.

    Raises:
        WsvadError: the cache cannot be written to.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsvad"
    try:
        check_writable(cache)
    except WsvadError as error:
        raise WsvadError(
            f"{error}; the videos of toy are kept in this cache: set XDG_CACHE_HOME to a folder that can be written "
            "to, or run 'wsvad toy FOLDER' and name that folder with --data"
        ) from None
    return make_toy(cache / f"toy-{TOY_VIDEOS}", videos=TOY_VIDEOS, seed=0)


def videos_of(dataset: Dataset) -> dict[str, int]:
    """How many test videos show each category; a video with several counts for each."""
    return dict(Counter(name for video in dataset.test if video.label for name in names_of(video.category)))


def rows_of(
    metrics: dict[str, Any], costs: Mapping[str, Any], passports: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The rows that `metrics.json` gives, one a selection."""
    sure = {key: bounds for key, bounds in metrics["intervals"].items() if key in metrics["events"]}
    of_last = {"per_category": metrics["per_category"], "alerts": metrics["alerts"], "intervals": sure}
    return [
        {
            "data": metrics["data"],
            "method": metrics["method"],
            "streams": metrics["streams"],
            "selection": selection,
            "metrics": values,
            "seconds": costs["seconds"],
            "parameters": metrics["parameters"],
            "features": features_in_words(passports),
            "peak_memory": costs["peak_memory"],
        }
        | (of_last if selection == "last" else {})
        for selection, values in with_events(metrics).items()
    ]


def judge(rows: Mapping[str, Sequence[dict[str, Any]]], resampled: Mapping[str, Resampled], baseline: str) -> None:
    """Add `intervals` and, but for the baseline itself, `against` to the rows of each method's last iteration: the only
    ones whose scores are kept."""
    for name, (last, *_) in rows.items():
        of_frames = {key: values for key, values in resampled[name].items() if key not in ALERT_KEYS}
        last["intervals"] |= intervals(of_frames)
        if name == baseline or baseline not in rows:  # it may have failed
            continue
        compared = against(resampled[name], resampled[baseline])
        for metric, found in compared.items():
            means = (row["metrics"][metric]["mean"] for row in (last, rows[baseline][0]))
            found["difference"] = float(np.subtract(*means))
        last["against"] = {"method": baseline, **compared}


def ranked(rows: Mapping[str, Sequence[dict[str, Any]]], headline: str) -> list[dict[str, Any]]:
    """The rows of all methods, the best method after the last iteration first."""

    def place(name: str) -> float:
        value = rows[name][0]["metrics"].get(headline, {}).get("mean")
        if value is None or value != value:
            return inf
        return value if words_for(headline).lower_is_better else -value

    return [row for name in sorted(rows, key=place) for row in rows[name]]


def write_board(out: Path, board: Leaderboard) -> None:
    """The table in every form."""
    rest = {"headline": board.headline, "baseline": board.baseline, "videos": board.videos, "remarks": board.remarks}
    failed = {"failed": board.failed} if board.failed else {}
    write_json(out / "bench.json", {"rows": board.rows, "cards": board.cards, **rest, **failed})
    write_text(out / "bench.csv", as_csv(board.rows, board.failed))
    write_text(out / "bench.md", as_markdown(board))
    write_text(out / "bench.html", as_page(board))
