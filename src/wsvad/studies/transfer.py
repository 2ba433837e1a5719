"""What a trained run is worth on another dataset: as it is, and with only its CORE kept."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsvad.datasets.bags import PassportCheck, keep_bags, load_bags, pack
from wsvad.datasets.categories import names_of
from wsvad.datasets.dataset import Bag, Dataset, LabelledVideo
from wsvad.datasets.memory import Rows
from wsvad.evaluation.measure import measure_scorer
from wsvad.files import write_text
from wsvad.methods.abilities import KeepsCore
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.scorer import Scorer
from wsvad.studies.ablate import Result, as_csv, as_markdown, last_metrics
from wsvad.studies.cells import run_cells
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol
from wsvad.training.selection import over_seeds

logger = logging.getLogger(__name__)

ZERO_SHOT, KEPT, THERE = "zero-shot", "CORE kept, the rest trained there", "trained there"
BY_PLACE = "zero-shot, statistics of the place"
SEGMENTS = 32
"""Of each training video of another place, for its statistics."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run is carried to."""

    dataset: Dataset
    features: Path


def transfer(run: Path, to: Place, protocol: Protocol, out: Path, *, workers: int | None = 0) -> list[Result]:
    """Measure a run on another dataset's test videos, and write `transfer.csv` and `transfer.md` to `out`.

    zero-shot: the whole network with its normalisation, every seed that the run has.
    zero-shot, statistics of the place: of a run that was normalised per camera; the features' mean and deviation are
    those of the other dataset's training videos, whose labels are not used.
    CORE kept, the rest trained there: for a method with CORE. Prototypes, classifier and cross-attention stay as they
    are; everything else is retrained on the other dataset's training videos. Where those show a category that the CORE
    does not know, no true category is used in learning (λ2 = 0).
    trained there: the same method with nothing of the run, to compare with.

    Args:
        workers: processes that train, see `run_cells`.

    Raises:
        WsvadError: the other dataset's features were made differently from the run's.
    """
    folder = RunFolder(run)
    first = folder.load()
    results = [Result(label=ZERO_SHOT, metrics=zero_shot(folder, to))]
    if "per-camera" in first.normalisation.kinds.values():
        results.append(Result(label=BY_PLACE, metrics=zero_shot(folder, to, by_place=True)))
    if not isinstance(first.method, KeepsCore) or not first.method.has_core:
        logger.info("%s: %s has no CORE to keep, so there is only the zero-shot row", run, first.name)
    else:
        kept, dataset = without_unknown(first.method.config, to.dataset)
        own = replace(first.method.config, categories=())
        experiments = {
            label: Experiment(
                dataset=data, features=to.features, name=first.name, config=config, protocol=protocol,
                out=out / ("core-kept" if core else "trained-there"), encoders=first.encoders, core=core,
            )
            for label, config, data, core in ((KEPT, kept, dataset, run), (THERE, own, to.dataset, None))
        }  # fmt: skip
        found, failed = run_cells(experiments, last_metrics, workers)
        results += [
            Result(label=label, metrics=found[label])
            if label in found
            else Result(label=label, metrics={}, failed=str(failed[label]))
            for label in experiments
        ]
    write_text(out / "transfer.csv", as_csv(results))
    untold = without_truth(to.dataset)
    if untold:
        logger.info("%s", untold)
    notes = " ".join(filter(None, (note(results), untold)))
    write_text(out / "transfer.md", f"# {title(run, first, to)}\n\n{notes}\n\n{as_markdown(results)}")
    return results


def title(run: Path, trained: TrainedMethod, to: Place) -> str:
    """What was carried where."""
    home = (RunFolder(run).read_metrics() or {}).get("data", run.name)
    return f"{trained.name}, {home} → {to.dataset.name}"


def note(results: Sequence[Result]) -> str:
    """What the figures are."""
    counts = [(result.label, len(result.metrics["auc"]["values"])) for result in results if not result.failed]
    seeds = ", ".join(f"{label}: {n} seed{'s' if n > 1 else ''}" for label, n in counts)
    return f"Test videos; percent, mean ± standard deviation, last iteration. {seeds}."


def without_truth(dataset: Dataset) -> str:
    """What figures are missing for want of intervals; nothing where all test videos have them."""
    unknown, count = sum(video.intervals is None for video in dataset.test), len(dataset.test)
    if not unknown:
        return ""
    so = "only video AUC is measured" if unknown == count else "all metrics but video AUC leave them out"
    return f"{dataset.name}: it is not known when anything happens in {unknown} of {count} test videos, so {so}."


def zero_shot(run: RunFolder, to: Place, *, by_place: bool = False) -> dict[str, dict[str, Any]]:
    """Test metrics of every seed of a run, as it is; or with the statistics of the other dataset's training videos."""
    check, bags, place = PassportCheck(to.features), list[Bag](), dict[str, Rows]()
    run.refuse_trained_on(to.dataset, check.source)
    each = []
    for trained in run.each_seed():
        bags = bags or keep_bags(load_bags(to.dataset.test, check.source, trained.method.runs_on, check))
        trained.check_making(check.passports, check.source.folder, run.path)
        if by_place:
            place = place or dict(pack(to.dataset.train, check.source, trained.method.runs_on, SEGMENTS, check).streams)
            trained.normalisation = trained.normalisation.at(place)
        each.append(measure_scorer(Scorer.of(trained), to.dataset.test, bags, calibration=trained.calibration).metrics)
    return over_seeds(each)


def without_unknown(config: Any, dataset: Dataset) -> tuple[Any, Dataset]:
    """The configuration and the dataset with which a CORE that knows some categories can learn: names that it does not
    know are taken off the training videos, and if there are any, no true category is used. A CORE of one category
    knows that something is abnormal, whatever it is called."""
    if len(config.named) == 1:
        name = config.named[0]
        return config, replace(dataset, videos=tuple(_renamed(video, [name]) for video in dataset.videos))
    unknown = {n for v in dataset.train if v.label for n in names_of(v.category)} - set(config.categories)
    if not unknown:
        return config, dataset
    videos = (_renamed(v, [n for n in names_of(v.category) if n in config.categories]) for v in dataset.videos)
    return replace(config, lambda2=0.0, add_truth=False), replace(dataset, videos=tuple(videos))


def _renamed(video: LabelledVideo, names: Sequence[str]) -> LabelledVideo:
    """A training video under other names; "normal", as a category, is none."""
    if video.split == "test" or not video.label:
        return video
    return replace(video, category=";".join(names) or "normal")
