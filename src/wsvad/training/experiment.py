"""Fit a method under a protocol: seeds, an honest selection, and metrics with mean and standard deviation.

For each seed there are two fits. The *selection fit* leaves a share of the training videos out; their video AUC says
after how many iterations to stop, and the scores that they get from a network that never saw them are what a threshold
is calibrated on. The *fit* learns from all training videos. Its one curve of test metrics then gives three results:

    last           after the last iteration: the headline
    held_out       after the number of iterations that the held-out training videos chose
    best_on_test   at the best test AUC: what papers print, and not an honest estimate
"""

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from wsvad import __version__
from wsvad.datasets.bags import PackedBags, PassportCheck, keep_bags, load_bags, longest, pack
from wsvad.datasets.categories import with_categories
from wsvad.datasets.dataset import Bag, Dataset, LabelledVideo
from wsvad.datasets.folder import hold_out
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.classes import evaluate_classes, score_classes
from wsvad.evaluation.cost import forget_peak_memory, peak_memory
from wsvad.evaluation.curves import Curve, evaluate, per_category
from wsvad.evaluation.scores_file import write_scores
from wsvad.features.source import FeatureSource, open_features
from wsvad.files import read_json, without_nan, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import Phase, learns_from, runs_on, standardised, teacher_method
from wsvad.progress import report_progress
from wsvad.runs.model import TrainedMethod, load_method, save_method
from wsvad.runs.normalisation import Kind, Normalisation
from wsvad.runs.scorer import class_score_bags, reconstruction_error, score_bags
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol, under_budget
from wsvad.training.selection import SELECTIONS, choose, over_seeds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a protocol leaves behind."""

    metrics: dict[str, Any]
    """The content of `metrics.json`."""
    trained: TrainedMethod
    """The first seed's method after the last iteration: the one that is used."""
    test_scores: dict[str, np.ndarray]
    """Test video → `(T,)`, by that method."""
    held_out_scores: dict[str, np.ndarray]
    """Held-out training video → `(T,)`, by its selection fit; empty without one."""


@dataclass(kw_only=True)
class Experiment:
    """One method on one dataset with its features, under one protocol, kept in one folder."""

    dataset: Dataset
    features: Path
    name: str
    """The method's."""
    config: Any
    protocol: Protocol
    out: Path
    encoders: dict[str, str] = field(default_factory=dict)
    """Stream → encoder, for the detector; empty where only features are there."""
    teacher: Path | None = None
    """Run folder of a trained teacher, for a method that has one; by default the method trains its own."""
    core: Path | None = None
    """Run folder whose CORE is taken over and stays as it is, for a method that has one."""

    def __post_init__(self) -> None:
        self.config, self.remarks = with_categories(self.config, self.dataset)
        if own := getattr(self.config, "remark", ""):
            self.remarks.append(own)

    # ------------------------------------------------------------------------------------------ data

    @property
    def seeds(self) -> range:
        return range(self.protocol.first_seed, self.protocol.first_seed + self.protocol.seeds)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """What training needs."""
        return learns_from(METHODS[self.name], self.config)

    @cached_property
    def scored(self) -> tuple[str, ...]:
        """What scoring needs."""
        return runs_on(METHODS[self.name], self.config)

    @cached_property
    def source(self) -> FeatureSource:
        """Where the streams come from."""
        return open_features(self.features)

    @cached_property
    def check(self) -> PassportCheck:
        return PassportCheck(self.source)

    @cached_property
    def widths(self) -> dict[str, int]:
        """D of each stream, as the first training video has it."""
        list(load_bags(self.dataset.train[:1], self.source, self.streams, self.check))
        return {stream: passport.width for stream, passport in self.check.passports.items()}

    @cached_property
    def test_bags(self) -> list[Bag]:
        return keep_bags(load_bags(self.dataset.test, self.source, self.scored, self.check))

    @cached_property
    def _packs(self) -> dict[int, PackedBags]:
        return {}

    def packed(self, segments: int) -> PackedBags:
        if segments not in self._packs:
            self._packs[segments] = pack(self.dataset.train, self.source, self.streams, segments, self.check)
        return self._packs[segments]

    @cached_property
    def normalisation(self) -> Normalisation:
        """Fitted to the training bags as the last phase sees them; that of a given teacher, for the streams that it
        reads."""
        kind = METHODS[self.name]
        with torch.random.fork_rng():  # asking for the phases builds a network, which must not cost random numbers
            phases = self.phases(kind(self.widths, self.config))
        asked = self.protocol.normalise or kind.normalisation
        fixed = standardised(kind, self.config)
        kinds: dict[str, Kind] = {name: "standardise" if name in fixed else asked for name in self.streams}
        fitted = Normalisation.fit(kinds, self.packed(phases[-1].segments).streams)
        if getattr(self.config, "given", "") and self.teacher:
            return fitted.like(load_method(self.teacher).normalisation)
        return fitted

    # ------------------------------------------------------------------------------------------ method and budget

    def build(self, seed: int) -> Any:
        """The method with that seed's initial weights."""
        torch.manual_seed(seed)
        method = METHODS[self.name](self.widths, self.config)
        if self.teacher:
            self.teach(method, self.teacher, seed)
        if self.core:
            own = self.core / f"seed-{seed}"
            method.core.load_state_dict(load_method(own if own.is_dir() else self.core).method.core.state_dict())
            method.core.requires_grad_(False)
        return method.to(self.protocol.device)

    def teach(self, method: Any, run: Path, seed: int) -> None:
        """Give the method the teacher of a finished run: that of the same seed, where the run has one.

        Raises:
            WsvadError: the method has no teacher, or the run is of another method, other features, another
                normalisation or another size.
        """
        own = run / f"seed-{seed}"
        trained = load_method(own if own.is_dir() else run)
        wanted = teacher_method(METHODS[self.name], self.config)
        if trained.name != wanted:
            raise UsageError(f"{run}: a run of {trained.name}, but {self.name} learns from {wanted or 'no teacher'}")
        for stream, passport in trained.passports.items():
            if stream not in self.streams:
                continue
            here = json.loads(json.dumps(self.check.passports[stream].identity()))
            for name, value in passport.items():
                if value != here[name]:
                    raise WsvadError(
                        f"{run}: the teacher learned from other {stream} features ({name}: {value} against "
                        f"{here[name]}); train it on these, or name its --features"
                    )
        given = getattr(self.config, "given", "")
        if not given and not trained.normalisation.same(self.normalisation):
            raise WsvadError(
                f"{run}: the teacher saw its features normalised otherwise ({trained.normalisation.kinds}); train it "
                "with the same --normalise, on the same videos"
            )
        try:
            method.teach(trained.method)
        except RuntimeError as error:
            raise WsvadError(
                f"{run}: the teacher has another size ({str(error).splitlines()[-1].strip()}); give both the same "
                "configuration"
            ) from None

    def phases(self, method: Any) -> list[Phase]:
        """The method's phases under the protocol's budget."""
        return under_budget(method.phases(), self.protocol, self.dataset.train, self.longest)

    @cached_property
    def longest(self) -> int:
        return longest(self.dataset.train, self.source, self.streams[0])

    # ------------------------------------------------------------------------------------------ fits

    def run(self) -> Fitted:
        """Fit all seeds, going on where an earlier call was stopped, and write the run folder.

        Raises:
            WsvadError: the folder holds a run with other settings.
        """
        self.claim()
        for remark in self.remarks:
            logger.info("note: %s", remark)
        seeds = self.seeds
        results = [self.one_seed(seed) for seed in seeds]
        first = self.out / f"seed-{seeds[0]}"
        trained = load_method(first)
        metrics = self.summary(results)
        write_json(self.out / "metrics.json", metrics)
        write_text(
            self.out / "log.jsonl", "".join((self.out / f"seed-{s}" / "log.jsonl").read_text("utf-8") for s in seeds)
        )
        save_method(self.out, trained)
        return Fitted(
            metrics=metrics,
            trained=trained,
            test_scores={name: np.asarray(scores) for name, scores in results[0]["test_scores"].items()},
            held_out_scores={name: np.asarray(s) for name, s in results[0]["selection"]["scores"].items()},
        )

    def claim(self) -> None:
        """Write `config.yaml`, or make sure that the folder's is the same."""
        settings = {
            "wsvad": __version__,
            "data": self.dataset.name,
            "source": self.dataset.source,
            "features": str(self.features),
            "method": self.name,
            "config": dataclasses.asdict(self.config),
            "protocol": dataclasses.asdict(self.protocol),
            "encoders": self.encoders,
        } | ({"teacher": str(self.teacher)} if self.teacher else {})
        settings |= {"core": str(self.core)} if self.core else {}
        text = yaml.safe_dump(json.loads(json.dumps(settings)), sort_keys=False, allow_unicode=True)
        path = self.out / "config.yaml"
        before, now = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}, yaml.safe_load(text)
        other = next((key for key in now if key != "source" and before.get(key) != now[key]), None)
        if before and other:
            raise WsvadError(f"{path}: the run there has another '{other}'; give another --out, or delete the folder")
        write_text(path, text)

    def one_seed(self, seed: int) -> dict[str, Any]:
        """Both fits of a seed; kept in its folder, and read from there the next time."""
        folder = self.out / f"seed-{seed}"
        if (folder / "result.json").is_file():
            return read_json(folder / "result.json")
        started = time.perf_counter()
        forget_peak_memory(self.protocol.device)
        selection = self.selection_fit(seed, folder)
        method = self.build(seed)
        kept: dict[str, np.ndarray] = {}
        by_category: dict[str, dict[str, float]] = {}

        def at_point(phase: Phase, iteration: int, loss: dict[str, float]) -> dict[str, Any]:
            scores = score_bags(method, self.test_bags, self.normalisation, self.protocol.device)
            kept.update(zip((bag.video for bag in self.test_bags), scores, strict=True))
            metrics, ap = self.measured(method, scores)
            by_category.update(ap)
            return {"test": metrics}

        history = self.fit(method, seed, folder / "fit.checkpoint", at_point, f"seed {seed}")
        if not kept:  # the run was stopped after its last point
            at_point(self.phases(method)[-1], 0, {})
        self.keep_class_scores(folder, method, kept)
        trained = TrainedMethod(
            name=self.name,
            method=method.cpu(),
            widths=self.widths,
            normalisation=self.normalisation,
            encoders=self.encoders,
            passports={stream: passport.identity() for stream, passport in self.check.passports.items()},
        )
        save_method(folder, trained)
        lines = [{"seed": seed, "fit": "selection", **row} for row in selection["history"]]
        lines += [{"seed": seed, "fit": "all", **row} for row in history]
        write_text(folder / "log.jsonl", "".join(json.dumps(without_nan(line)) + "\n" for line in lines))
        last = [kept[bag.video] for bag in self.test_bags]
        result = {
            "seed": seed,
            "metrics": choose(history, selection["iteration"]),
            "per_category": per_category(self.curves(self.dataset.test, self.test_bags, last)),
            "per_category_ap": by_category,
            "selection": selection,
            "test_scores": {name: scores.tolist() for name, scores in kept.items()},
            "parameters": sum(parameter.numel() for parameter in method.parameters()),
        }
        write_json(folder / "result.json", result)
        cost = {"seconds": time.perf_counter() - started, "peak_memory": peak_memory(self.protocol.device)}
        write_json(folder / "timing.json", cost)
        (folder / "fit.checkpoint").unlink(missing_ok=True)
        (folder / "selection.checkpoint").unlink(missing_ok=True)
        return read_json(folder / "result.json")

    def selection_fit(self, seed: int, folder: Path) -> dict[str, Any]:
        """Fit without the held-out videos: at which iteration they score best, and how each of them scores at last."""
        path = folder / "selection.json"
        if path.is_file():
            return read_json(path)
        out = set(hold_out(self.dataset.train, self.protocol.hold_out, seed)[1]) if self.protocol.hold_out else set()
        videos = [video for video in self.dataset.train if video.name in out]
        if not videos:
            return {"iteration": None, "history": [], "scores": {}, "reconstruction": {}}
        bags = keep_bags(load_bags(videos, self.source, self.streams, self.check))
        method = self.build(seed)
        kept: dict[str, list[float]] = {}

        def at_point(phase: Phase, iteration: int, loss: dict[str, float]) -> dict[str, Any]:
            scores = score_bags(method, bags, self.normalisation, self.protocol.device)
            kept.update({bag.video: s.tolist() for bag, s in zip(bags, scores, strict=True)})
            return {"held_out": {"video_auc": evaluate(self.curves(videos, bags, scores))["video_auc"]}}

        history = self.fit(method, seed, folder / "selection.checkpoint", at_point, f"seed {seed}, held out", out)
        if not kept:
            at_point(self.phases(method)[-1], 0, {})
        reconstruction = reconstruction_error(method, bags, self.normalisation, self.protocol.device)
        found = [(row["held_out"]["video_auc"], row["iteration"]) for row in history if "held_out" in row]
        judged = [pair for pair in found if pair[0] is not None and not isnan(pair[0])]
        result = {"iteration": max(judged)[1] if judged else None, "history": history, "scores": kept}
        write_json(path, result | {"reconstruction": reconstruction})
        return read_json(path)

    def fit(
        self,
        method: Any,
        seed: int,
        checkpoint: Path,
        at_point: Callable[[Phase, int, dict[str, float]], dict[str, Any]],
        task: str,
        without: Sequence[str] | set[str] = (),
    ) -> list[dict[str, Any]]:
        """Run the phases; only the last one is evaluated."""
        phases = self.phases(method)
        total = sum(phase.iterations for phase in phases)

        def at_step(phase: Phase, iteration: int, loss: float) -> None:
            done = sum(p.iterations for p in phases[: [p.name for p in phases].index(phase.name)]) + iteration
            report_progress(task, done, total, f"{phase.name}, loss {loss:.3f}")

        return run_phases(
            method,
            phases,
            self.packed,
            self.normalisation,
            seed=seed,
            without=without,
            points=self.protocol.points,
            at_point=lambda phase, i, loss: at_point(phase, i, loss) if phase is phases[-1] else {},
            at_step=at_step,
            checkpoint=checkpoint,
            precision=self.protocol.precision,
            device=self.protocol.device,
        )

    def measured(self, method: Any, scores: Sequence[np.ndarray]) -> tuple[dict[str, float], dict[str, Any]]:
        """Metrics of test scores, and of the class scores of a method that gives them; AP of each category."""
        videos, bags = self.dataset.test, self.test_bags
        classes = score_classes(method, videos, bags, self.normalisation, self.protocol.device)
        metrics, by_category = evaluate_classes(classes)
        return evaluate(self.curves(videos, bags, scores)) | metrics, by_category

    def keep_class_scores(self, folder: Path, method: Any, scores: Mapping[str, np.ndarray]) -> None:
        """`test_scores.npz`, a scores file of the test videos, for a method that gives class scores."""
        if not hasattr(method, "class_scores"):
            return
        found = class_score_bags(method, self.test_bags, self.normalisation, self.protocol.device)
        each = [scores[bag.video] for bag in self.test_bags]
        curves = self.curves(self.dataset.test, self.test_bags, each)
        of_frames = {c.video: np.repeat(classes, c.lengths, axis=0) for c, classes in zip(curves, found, strict=True)}
        frame_scores = {curve.video: curve.frame_scores for curve in curves}
        write_scores(folder / "test_scores.npz", frame_scores, classes=(method.config.named, of_frames))

    @staticmethod
    def curves(videos: Sequence[LabelledVideo], bags: Sequence[Bag], scores: Sequence[np.ndarray]) -> list[Curve]:
        """What `evaluate` takes: each video's scores with the frames that they stand for, and the truth."""
        return [Curve.of(v, s, b.frames, b.stride) for v, b, s in zip(videos, bags, scores, strict=True)]

    # ------------------------------------------------------------------------------------------ results

    def costs(self) -> dict[str, Any]:
        """`seconds` that the fits of all seeds took (since they were last taken up), and `peak_memory`, the most bytes
        that one held; None where that was not measured."""
        told = [read_json(path) for path in self.out.glob("seed-*/timing.json")]
        most = max((each.get("peak_memory", 0) for each in told), default=0)
        return {"seconds": sum(each["seconds"] for each in told), "peak_memory": most or None}

    def test_curves(self) -> list[list[Curve]]:
        """Each finished seed's scores of the test videos after the last iteration, beside the truth."""
        kept = [read_json(self.out / f"seed-{seed}" / "result.json")["test_scores"] for seed in self.seeds]
        return [
            self.curves(self.dataset.test, self.test_bags, [np.asarray(scores[b.video]) for b in self.test_bags])
            for scores in kept
        ]

    def summary(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """`metrics.json` of all seeds."""
        selection = {
            name: over_seeds([result["metrics"][name] for result in results])
            for name in SELECTIONS
            if all(result["metrics"].get(name) for result in results)
        }
        return {
            "data": self.dataset.name,
            "method": self.name,
            "streams": list(self.streams),
            "seeds": [result["seed"] for result in results],
            "iterations": [result["selection"]["iteration"] for result in results],
            "parameters": results[0]["parameters"],
            "selection": selection,
            "per_category": over_seeds([result["per_category"] for result in results]),
            "per_category_ap": {
                name: over_seeds([result["per_category_ap"][name] for result in results])
                for name in results[0].get("per_category_ap", {})
            },
            "remarks": self.remarks,
            "reconstruction": over_seeds([result["selection"]["reconstruction"] for result in results]),
        }
