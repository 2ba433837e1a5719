"""Fit a method under a protocol: seeds, an honest selection, and metrics with mean and standard deviation.

For each seed there are two fits. The *selection fit* leaves a share of the training videos out; their video AUC says
after how many iterations to stop, and the scores that they get from a network that never saw them are what a threshold
is calibrated on. The *fit* learns from all training videos. Its one curve of test metrics then gives three results:

    last           after the last iteration: the headline
    held_out       after the number of iterations that the held-out training videos chose
    best_on_test   at the best test AUC: what papers print, and not an honest estimate
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.bags import keep_bags, load_bags
from wsvad.datasets.categories import with_categories
from wsvad.datasets.dataset import Bag, Dataset
from wsvad.datasets.division import hold_out
from wsvad.datasets.memory import Memory
from wsvad.datasets.scenes import Looks, known_normal, looks_of, promise, scenes_of, units
from wsvad.detection.calibration import Calibrations
from wsvad.encoders.build import shortened, split
from wsvad.errors import WsvadError
from wsvad.evaluation.alerting import Alerts, affordable, passes, with_rate
from wsvad.evaluation.cost import forget_peak_memory, peak_memory
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.evaluation.explained import beyond_bags, undefined
from wsvad.evaluation.measure import Measured, curves_of, measure_scored
from wsvad.evaluation.scores_file import write_scores
from wsvad.features.source import unused
from wsvad.locks import writing
from wsvad.methods import METHODS
from wsvad.methods.abilities import NamesCategories, Remarks
from wsvad.methods.method import Phase, learns_from, runs_on
from wsvad.runs.familiarity import Familiarity
from wsvad.runs.fingerprint import fingerprint_of
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.scorer import CLASSES, Mode, Scored, Scorer
from wsvad.runs.seed import SeedFolder
from wsvad.training.added import added_by_streams, parts_of
from wsvad.training.alerting import alerts_of, calibrations_of, record_of
from wsvad.training.auto import Choice
from wsvad.training.fitting import Fitting
from wsvad.training.protocol import Protocol
from wsvad.training.selection import best_iteration, choose, moment_auc
from wsvad.training.summary import summary_of
from wsvad.training.team import Team

logger = logging.getLogger(__name__)

WINDOW = 64
"""Snippets that an online score looks back on, its own included; no more than the longest video that was learned from,
because longer ones are foreign to the network."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a protocol leaves behind."""

    metrics: dict[str, Any]
    """The content of `metrics.json`."""
    trained: TrainedMethod
    """The first seed's method after the last iteration: the one that is used."""
    test_scores: dict[str, np.ndarray]
    """Test video → `(T,)`, by that method."""
    alerts: Mapping[Mode, Alerts] = field(default_factory=dict)
    """Figures of alerts with their resamples, which the metrics have as well."""
    ending: Sequence[str] = ()
    """What a reader should know of it beside the metrics, in sentences."""


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
    choice: Choice | None = None
    """How the method was chosen, where nobody named it."""
    memory: Memory = field(default_factory=Memory)
    """For features; what it has no room for is read from disk, with the same result."""
    team: Team | None = None
    """Of ranks that fit together; see `Fitting.follow` for those that are not rank 0."""

    def __post_init__(self) -> None:
        self.from_labels = isinstance(self.config, NamesCategories) and not self.config.categories
        self.config, self.remarks = with_categories(self.config, self.dataset)
        if isinstance(self.config, Remarks) and self.config.remark:
            self.remarks.append(self.config.remark)
        if left := unused(self.features, learns_from(METHODS[self.name], self.config)):
            told = f"{self.name} does not read {' and '.join(left)}, which {self.features} has"
            if hasattr(self.config, "streams"):
                together = ",".join([*runs_on(METHODS[self.name], self.config), *left])
                told += f"; --config.streams {together} puts them side by side"
            self.remarks.append(f"{told}.")
        self.remarks += [self.choice.why] if self.choice and self.choice.why else []
        self.folder = RunFolder(self.out)
        self.memory.folder = self.memory.folder or self.out
        self.fitting = self._fitting(self.config)

    def _fitting(self, config: Any) -> Fitting:
        return Fitting(
            dataset=self.dataset, features=self.features, name=self.name, config=config, protocol=self.protocol,
            teacher=self.teacher, core=self.core, scenes=lambda: self.scenes, memory=self.memory, team=self.team,
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        """For another process: without what was read of features."""
        rest = {name: value for name, value in self.__dict__.items() if name not in ("fitting", "test_bags")}
        return rest | {"fitted": self.fitting.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.fitting = self._fitting(self.__dict__.pop("fitted"))

    @property
    def seeds(self) -> range:
        return range(self.protocol.first_seed, self.protocol.first_seed + self.protocol.seeds)

    @property
    def streams(self) -> tuple[str, ...]:
        """What training needs."""
        return self.fitting.streams

    @cached_property
    def scenes(self) -> dict[str, int]:
        """Training video → its scene."""
        return scenes_of(self.dataset.train, self.looks)

    @cached_property
    def looks(self) -> Looks:
        """What is seen of the training videos."""
        return looks_of(self.dataset.train)

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        """Of abnormal training videos, which parts are known to be normal."""
        return known_normal(self.dataset.train, self.looks)

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """What the training videos look like, by held-out ones; None where the protocol holds nothing out."""
        if not self.protocol.hold_out:
            return None
        together = units(self.dataset.train, self.scenes)
        return self.fitting.familiarity({v.name: str(n) for n, unit in enumerate(together) for v in unit})

    @cached_property
    def test_bags(self) -> list[Bag]:
        fitting = self.fitting
        return keep_bags(load_bags(self.dataset.test, fitting.source, fitting.scored, fitting.check), self.memory)

    # ------------------------------------------------------------------------------------------ all seeds

    def run(self) -> Fitted:
        """Fit and measure all seeds, and write the run folder.

        Raises:
            WsvadError: the folder holds a run with other settings.
        """
        with writing(self.out):
            self.begin()
            return self.end()

    def fit(self) -> Fitted:
        """Fit and measure all seeds, going on where an earlier call was stopped; what it comes to is not yet written.

        Raises:
            WsvadError: the folder holds a run with other settings.
        """
        self.begin()
        return self.fitted()

    def begin(self) -> None:
        """Before any seed is fitted: choose streams, and claim the folder, which the caller holds."""
        self.choose_streams()
        self.folder.claim(self.settings(), self.fingerprint())
        if self.protocol.hold_out and (said := promise(self.dataset.train, self.scenes)):
            self.remarks.append(said)
        for remark in self.remarks:
            logger.info("note: %s", remark)
        for sentence in beyond_bags(self.dataset.test, self.test_bags):
            logger.info("note: %s", sentence)

    def fitted(self) -> Fitted:
        """What all seeds come to; those that are not fitted yet are fitted."""
        results = [self.one_seed(seed) for seed in self.seeds]
        first = self.folder.seed(self.seeds[0])
        return Fitted(
            metrics=summary_of(self, results),
            trained=replace(first.load(), filmed_at=self.fitting.filmed_at),
            test_scores=self.test_scores(first),
        )

    def end(self) -> Fitted:
        """After all seeds are fitted: measure them together, and write the run."""
        fitted, calibrations = self.fitted(), calibrations_of(self)
        fitted.trained.calibration = calibrations[0].as_dict()
        fitted = self.with_alerts(fitted, calibrations)
        for sentence in fitted.metrics["undefined"]:
            logger.info("note: %s", sentence)
        self.finish(fitted)
        return fitted

    def choose_streams(self) -> None:
        """Of several streams, say which add nothing; under `auto` they are left out of all fits."""
        fitting, auto = self.fitting, self.protocol.streams == "auto"
        free = hasattr(self.config, "streams") or len(fitting.scored) == 1
        if not free or self.core or not (auto or self.protocol.hold_out) or len(parts := parts_of(fitting)) < 2:
            return
        added = added_by_streams(fitting, self.scenes, self.seeds[0])
        kept = tuple(dict.fromkeys(parts[name][0] for name in added.kept))

        def remedy(name: str) -> str:
            stream = parts[name][0]
            if stream not in kept:
                return "it is left out" if auto else "leave it out with --streams auto"
            some = [parts[one][1] for one in added.kept if parts[one][0] == stream]
            specs = split(self.encoders.get(stream, ""))
            rest = "+".join(shortened(specs[place]) for place in some if place < len(specs) > 1)
            return f"make {stream} with {rest or 'the others'} alone to leave it out"

        self.remarks += added.sentences(remedy, auto=auto)
        if auto and set(kept) < set(fitting.scored):
            self.fitting = replace(fitting, config=replace(self.config, streams=kept))
            self.__dict__.pop("test_bags", None)  # they may have been read with all streams

    def with_alerts(self, fitted: Fitted, calibrations: Sequence[Calibrations]) -> Fitted:
        """With figures of alerts in the metrics, at the thresholds of each seed."""
        alerts, metrics = alerts_of(self, calibrations), fitted.metrics
        record = record_of(alerts)
        intervals = {key: list(bounds) for one in alerts.values() for key, bounds in one.intervals.items()}
        why = undefined({key: value["mean"] for key, value in record["events"].items()}, self.test_curves()[0])
        joined = {
            "intervals": metrics["intervals"] | intervals,
            "undefined": [*metrics["undefined"], *why],
        }
        return replace(fitted, metrics=metrics | joined | record, alerts=alerts)

    def finish(self, fitted: Fitted, calibration: Any = None, report: Callable[[Path], object] | None = None) -> None:
        """Write the run folder; arguments as in `RunFolder.finish`."""
        log = [self.folder.seed(seed).log() for seed in self.seeds]
        self.folder.finish(fitted.trained, metrics=fitted.metrics, log=log, calibration=calibration, report=report)

    def settings(self) -> dict[str, Any]:
        """The command. The device is not part of it: a fit may go on on another one."""
        protocol = dataclasses.asdict(self.protocol)
        del protocol["device"]
        settings = {
            "data": self.dataset.name,
            "source": self.dataset.source,
            "features": str(self.features),
            "method": self.name,
            "config": dataclasses.asdict(self.config),
            "protocol": protocol,
            "encoders": self.encoders,
        }
        if self.from_labels:
            settings["from_labels"] = ["categories"]
        if self.choice:
            settings["auto"] = self.choice.as_dict()
        runs = {"teacher": self.teacher, "core": self.core}
        return settings | {name: str(path) for name, path in runs.items() if path}

    def fingerprint(self) -> dict[str, Any]:
        """What the run is made from."""
        fitting = self.fitting
        return fingerprint_of(
            self.dataset,
            fitting.source,
            learns_from=fitting.streams,
            runs_on=fitting.scored,
            passports=fitting.passports,
            teacher=RunFolder(self.teacher).weights_hash() if self.teacher else None,
            core=RunFolder(self.core).weights_hash() if self.core else None,
        )

    # ------------------------------------------------------------------------------------------ one seed

    def one_seed(self, seed: int) -> dict[str, Any]:
        """Both fits of a seed, measured; kept in its folder, and read from there the next time."""
        folder = self.folder.seed(seed)
        found = folder.read("result")
        if found is None:
            started = time.perf_counter()
            forget_peak_memory(self.protocol.device)
            selection = folder.read("selection") or self.selection_fit(seed, folder)
            fit = folder.read("fit")
            if fit is None:
                fit = self.whole_fit(seed, folder)
                cost = {"seconds": time.perf_counter() - started, "peak_memory": peak_memory(self.protocol.device)}
                folder.write("timing", cost)
            found = self.result(seed, folder, selection, fit)
        folder.end_fits()
        return found

    def selection_fit(self, seed: int, folder: SeedFolder) -> dict[str, Any]:
        """Fit without the held-out videos: at which iteration they score best, and how each of them scores at last."""
        out = self.held_out(seed, folder)
        videos = [video for video in self.dataset.train if video.name in out]
        if not videos:
            return {"iteration": None, "history": [], "normal": {}, "reconstruction": {}}
        fitting = self.fitting
        bags = keep_bags(load_bags(videos, fitting.source, fitting.streams, fitting.check), self.memory)
        method = fitting.build(seed)
        scorer = Scorer(method, fitting.normalisation, device=self.protocol.device)

        def at_point(phase: Phase, iteration: int, loss: dict[str, float]) -> dict[str, Any]:
            scores = scorer.scores(bags)
            curves = curves_of(videos, [bag.clock for bag in bags], scores)
            moments = {"moment_auc": moment_auc(videos, scores, self.known)} if self.known else {}
            return {"held_out": {"video_auc": evaluate(curves)["video_auc"], **moments}}

        history = fitting.fit(method, seed, folder.checkpoint("selection"), at_point, f"seed {seed}, held out", out)
        normal = [bag for bag in bags if bag.label == 0]
        return folder.write(
            "selection",
            {
                "iteration": best_iteration(history),
                "history": history,
                "normal": {
                    mode: {bag.video: one.tolist() for bag, one in zip(normal, scores, strict=True)}
                    for mode, scores in (
                        ("whole", scorer.scores(normal)),
                        ("online", scorer.running(normal, self.scenes)),
                    )
                },
                "reconstruction": scorer.reconstruction_error(bags),
            },
        )

    def held_out(self, seed: int, folder: SeedFolder) -> set[str]:
        """The training videos that are held out, of other scenes than the rest; as far as they are still there, those
        of the last call."""
        if not self.protocol.hold_out:
            return set()
        before = (folder.read("held_out") or {"videos": []})["videos"]
        if before and (folder.read("selection") or folder.checkpoint("selection").is_file()):
            return set(before)  # of the same training videos, by whichever version that drew them
        videos = hold_out(self.dataset.train, self.protocol.hold_out, seed, before, self.scenes)[1]
        folder.write("held_out", {"videos": videos})
        return set(videos)

    def whole_fit(self, seed: int, folder: SeedFolder) -> dict[str, Any]:
        """Fit to all training videos; the test videos are scored at every point, and measured later."""
        fitting = self.fitting
        method = fitting.build(seed)
        scorer = Scorer(method, fitting.normalisation, device=self.protocol.device)
        wanted = CLASSES if scorer.categories else ()

        def at_point(phase: Phase, iteration: int, loss: dict[str, float]) -> dict[str, Any]:
            scored = scorer(self.test_bags, wanted)
            names = [bag.video for bag in self.test_bags]
            folder.write_point(iteration, dict(zip(names, scored, strict=True)))
            return {"scored": True}

        history = fitting.fit(method, seed, folder.checkpoint("fit"), at_point, f"seed {seed}")
        folder.write_model(
            TrainedMethod(
                name=self.name,
                method=method.cpu(),
                widths=fitting.widths,
                normalisation=fitting.normalisation,
                encoders={stream: spec for stream, spec in self.encoders.items() if stream in fitting.streams},
                passports=fitting.passports,
                window=min(WINDOW, fitting.longest),
                familiarity=self.familiarity,
            )
        )
        parameters = sum(parameter.numel() for parameter in method.parameters())
        return folder.write("fit", {"history": history, "parameters": parameters})

    def result(self, seed: int, folder: SeedFolder, selection: dict[str, Any], fit: dict[str, Any]) -> dict[str, Any]:
        """Measure the fit at each of its points, and write what the seed came to."""
        scorer = Scorer.of(folder.load())
        history, points = [], folder.points()
        for row in fit["history"]:
            point = {name: value for name, value in row.items() if name != "scored"}
            if row["iteration"] in points:
                last = self.measured(scorer, self.scored_at(folder, row["iteration"]))
                point["test"] = last.metrics
            history.append(point)
        self.keep_class_scores(folder, scorer, last)
        lines = [{"seed": seed, "fit": "selection", **row} for row in selection["history"]]
        folder.write_log([*lines, *({"seed": seed, "fit": "all", **row} for row in history)])
        return folder.write(
            "result",
            {
                "seed": seed,
                "metrics": choose(history, selection["iteration"]),
                "per_category": last.per_category,
                "per_category_ap": last.per_category_ap,
                "iteration": selection["iteration"],
                "reconstruction": selection["reconstruction"],
                "parameters": fit["parameters"],
            },
        )

    def scored_at(self, folder: SeedFolder, iteration: int) -> dict[str, Scored]:
        """What the test videos score after so many iterations.

        Raises:
            WsvadError: the file is damaged, or is of other videos.
        """
        found, lengths = folder.read_point(iteration), {bag.video: bag.clock.snippets for bag in self.test_bags}
        # There may be more: a test video that was removed needs no other scores of the rest.
        if any(name not in found or len(found[name].scores) != length for name, length in lengths.items()):
            raise WsvadError(
                f"{folder.path}: the scores after {iteration} iterations are not of these test videos; delete "
                f"{folder.path} and run again"
            )
        return found

    def measured(self, scorer: Scorer, scored: dict[str, Scored]) -> Measured:
        """Metrics of the test videos' scores at a point."""
        each = [scored[bag.video] for bag in self.test_bags]
        clocks = [bag.clock for bag in self.test_bags]
        return measure_scored(self.dataset.test, clocks, each, scorer.distinguished)

    def keep_class_scores(self, folder: SeedFolder, scorer: Scorer, last: Measured) -> None:
        """A scores file of the test videos, for a method that gives class scores."""
        if not scorer.categories:
            return
        scored, of_frames = self.scored_at(folder, folder.points()[-1]), {}
        for curve in last.curves:
            class_scores = scored[curve.video].class_scores
            assert class_scores is not None
            of_frames[curve.video] = np.repeat(class_scores, curve.lengths, axis=0)
        frame_scores = {curve.video: curve.frame_scores for curve in last.curves}
        write_scores(folder.class_scores, frame_scores, classes=(scorer.categories, of_frames))

    # ------------------------------------------------------------------------------------------ results

    def test_curves(self, mode: Mode = "whole") -> list[Sequence[Curve]]:
        """Each finished seed's scores of the test videos after the last iteration, beside the truth."""
        clocks = [with_rate(bag.clock, v) for bag, v in zip(self.test_bags, self.dataset.test, strict=True)]
        scores_of = self.test_scores if mode == "whole" else self.online_scores
        each = (scores_of(folder) for folder in map(self.folder.seed, self.seeds))
        return [curves_of(self.dataset.test, clocks, [one[bag.video] for bag in self.test_bags]) for one in each]

    def test_scores(self, folder: SeedFolder) -> dict[str, np.ndarray]:
        """Test video → its scores by a seed's method."""
        return {name: one.scores for name, one in self.scored_at(folder, folder.points()[-1]).items()}

    @property
    def watchable(self) -> bool:
        """Whether the test videos are few enough to be scored as a live camera has them."""
        window = min(WINDOW, self.fitting.longest)
        return affordable(sum(passes(bag, window) for bag in self.test_bags), self.protocol.device)

    def online_scores(self, folder: SeedFolder) -> dict[str, np.ndarray]:
        """The same as a live camera has them; kept in the seed's folder."""
        kept = (folder.read("online") or {}).get("online", {})
        if any(len(kept.get(bag.video, ())) != bag.clock.snippets for bag in self.test_bags):
            scorer = Scorer.of(folder.load(), self.protocol.device)
            scores = scorer.scores(self.test_bags, "online")
            each = {bag.video: one.tolist() for bag, one in zip(self.test_bags, scores, strict=True)}
            kept = folder.write("online", {"online": each})["online"]
        return {name: np.asarray(one, np.float32) for name, one in kept.items()}
