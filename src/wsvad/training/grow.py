"""One more category for a finished run, from a handful of videos; nothing is trained again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from wsvad.datasets.bags import keep_bags, load_bags
from wsvad.datasets.categories import names_of
from wsvad.datasets.dataset import one_bag
from wsvad.datasets.folder import videos_in
from wsvad.datasets.open import open_dataset
from wsvad.detection.detector import Detector
from wsvad.detection.explanation import shares
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.classes import evaluate_classes, score_classes
from wsvad.files import write_text
from wsvad.progress import track
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.run import TrainedMethod, save_method
from wsvad.studies.ablate import slug

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A run with one more category, and how the videos were seen without and with it."""

    out: Path
    name: str
    videos: tuple[str, ...]
    before: tuple[dict[str, float], ...]
    """Of each video: category → share, summing to 1."""
    after: tuple[dict[str, float], ...]
    tested: tuple[dict[str, float], ...]
    """Class metrics of the run's own test videos, before and after; empty where those were not to be had."""

    @property
    def sentence(self) -> str:
        """What has become of the videos."""
        named = sum(max(each, key=lambda one: each[one]) == self.name for each in self.after)
        return f"'{self.name}' is now the likeliest category in {named} of {len(self.videos)} video(s)"


def grow(run: Path, name: str, what: Sequence[Path], out: Path | None = None) -> Grown:
    """Write a run that knows one more category.

    Its weights are the run's, with rows added for the category. Thresholds are kept, and the scores that a new budget
    is calibrated on; there is no `metrics.json`, which tells of training.

    Args:
        what: videos that show the category, or folders of them.
        out: by default beside the run.

    Raises:
        UsageError: the run's method has no categories, the name is taken, or `out` is there already.
        WsvadError: a video cannot be read.
    """
    out = out or run.parent / f"{run.resolve().name}-{slug(name)}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is there already and would be overwritten; name another folder with --out")
    detector = Detector.load(run)
    trained = detector.trained
    _check(run, trained, name)
    names, paths = zip(*videos_in(what), strict=True)
    streams = [detector.encoded(path) for path in track(paths, "encode")]
    given = [trained.normalisation(one_bag(each)) for each in streams]
    with torch.inference_mode():
        embeddings = [trained.method.embeddings(each)[0] for each in given]
    grown = trained.method.add_category(name, embeddings)
    before, after = ([_shares(method, each) for each in given] for method in (trained.method, grown))
    tested = _tested(run, (trained.method, grown), trained.normalisation)
    _write(run, out, name, paths, trained, grown)
    return Grown(
        out=out, name=name, videos=names, before=tuple(before), after=tuple(after),
        tested=tested,
    )  # fmt: skip


def _check(run: Path, trained: TrainedMethod, name: str) -> None:
    """What is wrong is told before minutes of encoding."""
    method = trained.method
    if not hasattr(method, "add_category"):
        raise UsageError(f"{run}: {trained.name} tells no categories apart, so it learns none; train refinevad")
    if not len(method.prototypes):
        raise UsageError(f"{run}: was trained without categories (core: off), so it learns none; train anew")
    if name in method.config.named:
        known = ", ".join(method.config.named)
        raise UsageError(f"{run}: knows '{name}' already ({known}); take another name")
    if names_of(name) != (name,):
        raise UsageError(f"{run}: '{name}' is no name of a category; take one without ';', and not 'normal'")


@torch.inference_mode()
def _shares(method: Any, streams: dict[str, torch.Tensor]) -> dict[str, float]:
    """How likely each category is in a video as a whole."""
    mean_K = shares(method.class_scores(streams)[0].float().numpy())
    return dict(zip(method.config.named, mean_K.tolist(), strict=True))


def _tested(run: Path, methods: Sequence[Any], normalisation: Normalisation) -> tuple[dict[str, float], ...]:
    """What a category more does to the others: each method's class metrics of the run's own test videos."""
    told = _config(run)
    if "source" not in told:
        return ()
    try:
        test = open_dataset(**told["source"], seed=told["protocol"]["first_seed"], need_training=False).test
        bags = keep_bags(load_bags(test, Path(told["features"]), methods[0].runs_on))
    except WsvadError as error:
        logger.warning("its test videos are not measured again: %s", error)
        return ()
    return tuple(evaluate_classes(score_classes(method, test, bags, normalisation))[0] for method in methods)


def _config(run: Path) -> dict[str, Any]:
    """What a run's configuration file says; nothing where it has none."""
    path = run / "config.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write(run: Path, out: Path, name: str, paths: Sequence[Path], trained: TrainedMethod, grown: Any) -> None:
    """The run folder; `model.json` last, so that a folder with it is whole."""
    if (run / "held_out.json").is_file():
        write_text(out / "held_out.json", (run / "held_out.json").read_text(encoding="utf-8"))
    told = _config(run)
    told.setdefault("config", {})["categories"] = list(grown.config.named)
    told.setdefault("grown", []).append({"from": str(run.resolve()), "category": name, "videos": list(map(str, paths))})
    write_text(out / "config.yaml", yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
    trained.method = grown
    save_method(out, trained)
