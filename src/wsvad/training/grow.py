"""One more category for a finished run, from a handful of videos; nothing is trained again."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wsvad.datasets.bags import PassportCheck, keep_bags, load_bags
from wsvad.datasets.categories import names_of
from wsvad.datasets.folder import videos_in
from wsvad.datasets.open import open_dataset
from wsvad.detection.detector import Detector
from wsvad.detection.explanation import shares
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.measure import measure_scorer
from wsvad.files import slug, whole_folder
from wsvad.locks import writing
from wsvad.methods.abilities import Grows
from wsvad.metrics.detection import IOUS
from wsvad.progress import track
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.scorer import CLASSES, Scorer
from wsvad.storage import place

logger = logging.getLogger(__name__)

CLASS_METRICS = ("category_accuracy", "map", *(f"map@{iou:g}" for iou in IOUS))


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
    """Class metrics of the run's own test videos, before and after; empty where they are not available."""

    @property
    def sentence(self) -> str:
        """How the videos are classified now."""
        named = sum(max(each, key=lambda one: each[one]) == self.name for each in self.after)
        return f"'{self.name}' is now the likeliest category in {named} of {len(self.videos)} video(s)"


def grow(run: Path, name: str, what: Sequence[Path], out: Path | None = None) -> Grown:
    """Write a run that knows one more category.

    Its weights are the run's, with rows added for the category. Thresholds are kept, and the scores that a new budget
    is calibrated on; there is no `metrics.json`, which is about training.

    Args:
        what: videos that show the category, or folders of them.
        out: by default beside the run.

    Raises:
        UsageError: the run's method has no categories, the name is taken, or `out` is there already.
        WsvadError: a video cannot be read.
    """
    out = out or run.parent / f"{run.resolve().name}-{slug(name)}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists already and would be overwritten; name another folder with --out")
    detector = Detector.load(run)
    trained = detector.trained
    _check(run, trained, name)
    with writing(out):
        names, paths = zip(*videos_in(what), strict=True)
        streams = [detector.encoded(path) for path in track(paths, "encode")]
        scorer = detector.scorer
        method = trained.method.add_category(name, [scorer.embeddings(each) for each in streams])
        scorers = scorer, Scorer(method, trained.normalisation, device=scorer.device, window=trained.window)
        before, after = ([_shares(one, each) for each in streams] for one in scorers)
        tested = _tested(RunFolder(run), trained, scorers)
        with whole_folder(out) as temporary:
            _write(RunFolder(run), RunFolder(temporary), name, paths, replace(trained, method=method))
    return Grown(
        out=out, name=name, videos=names, before=tuple(before), after=tuple(after),
        tested=tested,
    )  # fmt: skip


def _check(run: Path, trained: TrainedMethod, name: str) -> None:
    """Refuse what cannot work before minutes of encoding."""
    method = trained.method
    if not isinstance(method, Grows):
        raise UsageError(
            f"{run}: {trained.name} does not distinguish categories, so none can be added; train refinevad"
        )
    if not len(method.prototypes):
        raise UsageError(
            f"{run}: was trained without categories (core: off), so none can be added; train it again with categories"
        )
    if name in method.config.named:
        known = ", ".join(method.config.named)
        raise UsageError(f"{run}: has the category '{name}' already ({known}); take another name")
    if names_of(name) != (name,):
        raise UsageError(
            f"{run}: '{name}' is not a valid name of a category; choose one without ';', other than 'normal'"
        )


def _shares(scorer: Scorer, streams: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """How likely each category is in a video as a whole."""
    class_scores = scorer.describe(streams, CLASSES).class_scores
    assert class_scores is not None
    return dict(zip(scorer.categories, shares(class_scores).tolist(), strict=True))


def _tested(run: RunFolder, trained: TrainedMethod, scorers: Sequence[Scorer]) -> tuple[dict[str, float], ...]:
    """What a category more does to the others: each scorer's class metrics of the run's own test videos."""
    settings = run.read_settings()
    if not settings.get("source"):
        return ()
    try:
        dataset = open_dataset(**settings["source"], **run.division(), need_training=False)
        check = PassportCheck(place(settings["features"]))
        bags = keep_bags(load_bags(dataset.test, check.source, trained.method.runs_on, check))
        trained.check_making(check.passports, check.source.folder, run.path)
    except WsvadError as error:
        logger.warning("its test videos are not measured again: %s", error)
        return ()
    each = [measure_scorer(scorer, dataset.test, bags).metrics for scorer in scorers]
    return tuple({key: value for key, value in metrics.items() if key in CLASS_METRICS} for metrics in each)


def _write(run: RunFolder, out: RunFolder, name: str, paths: Sequence[Path], grown: TrainedMethod) -> None:
    """The run folder: as the run it comes from, with what was added."""
    settings = run.read_settings()
    settings.setdefault("config", {})["categories"] = list(grown.method.config.named)
    settings.setdefault("grown", []).append(
        {"from": str(run.path.resolve()), "category": name, "videos": list(map(str, paths))}
    )
    out.write_made(settings)
    if fingerprint := run.fingerprint():
        out.write_fingerprint(fingerprint)
    out.finish(grown, calibration=run.read_calibration())
