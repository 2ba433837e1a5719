"""Fit a method to the training videos of a dataset: streams, normalisation, teacher, phases."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.datasets.bags import PackedBags, PassportCheck, load_bags, longest, pack
from wsvad.datasets.dataset import Dataset
from wsvad.datasets.memory import Memory
from wsvad.errors import UsageError, WsvadError
from wsvad.features.source import FeatureSource, open_features
from wsvad.methods import METHODS
from wsvad.methods.abilities import KeepsCore, Taught, given_teacher
from wsvad.methods.contract import check_method
from wsvad.methods.method import Phase, learns_from, runs_on, standardised, teacher_method
from wsvad.progress import report_progress
from wsvad.runs.familiarity import Familiarity
from wsvad.runs.folder import RunFolder
from wsvad.runs.normalisation import Kind, Normalisation
from wsvad.training.forecast import forecast_of
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol, under_budget
from wsvad.training.team import Team

logger = logging.getLogger(__name__)

AtPoint = Callable[[Phase, int, dict[str, float]], dict[str, Any]]
"""Phase, iteration, mean loss parts since the last point → what becomes part of the history."""


@dataclass(kw_only=True)
class Fitting:
    """One method on the training videos of a dataset with its features, under one protocol."""

    dataset: Dataset
    features: Path
    name: str
    """The method's."""
    config: Any
    protocol: Protocol
    teacher: Path | None = None
    """Run folder of a trained teacher, for a method that has one; by default the method trains its own."""
    core: Path | None = None
    """Run folder whose CORE is taken over and stays as it is, for a method that has one."""
    scenes: Callable[[], Mapping[str, int]] = dict
    """Of the training videos, for `per-camera`."""
    memory: Memory = field(default_factory=Memory)
    """For features."""
    team: Team | None = None
    """Of ranks that fit together; this is rank 0, unless it follows."""
    _timed: bool = field(default=False, init=False)
    """Whether a fit was timed already, to say how long all of them take."""

    # ------------------------------------------------------------------------------------------ data

    @property
    def kind(self) -> Any:
        """The method's class."""
        return METHODS[self.name]

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """What training needs."""
        return learns_from(self.kind, self.config)

    @cached_property
    def scored(self) -> tuple[str, ...]:
        """What scoring needs."""
        return runs_on(self.kind, self.config)

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

    @property
    def passports(self) -> dict[str, dict[str, object]]:
        """Stream → how its features were made."""
        assert self.widths
        return {stream: passport.identity() for stream, passport in self.check.passports.items()}

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Of each stream that is put side by side with others, or in which several encoders are, their widths; of one
        that was made before passports said these, its own."""
        beside = getattr(self.kind, "side_by_side", False) and len(self.streams) > 1
        each = {name: tuple(self.check.passports[name].widths or (width,)) for name, width in self.widths.items()}
        return {name: widths for name, widths in each.items() if beside or len(widths) > 1}

    @property
    def filmed_at(self) -> tuple[float, float] | None:
        """Frames per second of the training videos themselves, without the slowest and the fastest twentieth."""
        clocks = (self.source.clock(video.name, self.scored[0]) for video in self.dataset.train)
        rates = [clock.filmed_rate for clock in clocks if clock.filmed_rate]
        if not rates:
            return None
        low, high = np.quantile(rates, 0.05, method="lower"), np.quantile(rates, 0.95, method="higher")
        return round(float(low), 3), round(float(high), 3)

    @cached_property
    def _packs(self) -> dict[int, PackedBags]:
        return {}

    def packed(self, segments: int) -> PackedBags:
        """The training videos, averaged to so many segments."""
        if segments not in self._packs:
            self._packs[segments] = pack(
                self.dataset.train, self.source, self.streams, segments, self.check, self.memory
            )
        return self._packs[segments]

    @cached_property
    def longest(self) -> int:
        """T of the longest training video."""
        return longest(self.dataset.train, self.source, self.streams[0])

    @cached_property
    def last_packed(self) -> PackedBags:
        """The training videos as the last phase sees them."""
        with torch.random.fork_rng():  # networks that are built here must not cost random numbers
            phases = self.phases(self.kind(self.widths, self.config))
        return self.packed(phases[-1].segments)

    def familiarity(self, groups: Mapping[str, str]) -> Familiarity | None:
        """What the training videos look like in the streams that scoring needs; arguments as in `Familiarity.fit`."""
        packed, source = self.last_packed, self.source
        lengths = [source.shape(video.name, self.scored[0])[-2] for video in self.dataset.train]
        streams = {name: packed.streams[name] for name in self.scored}
        return Familiarity.fit(streams, packed.videos, float(np.median(lengths)), groups)

    @cached_property
    def normalisation(self) -> Normalisation:
        """Fitted to the training bags as the last phase sees them; that of a given teacher, for the streams that it
        reads."""
        with torch.random.fork_rng():
            given = RunFolder(self.teacher).load() if given_teacher(self.config) and self.teacher else None
        asked = self.protocol.normalise or self.kind.normalisation
        fixed = standardised(self.kind, self.config)
        kinds: dict[str, Kind] = {name: "standardise" if name in fixed else asked for name in self.streams}
        packed = self.last_packed
        fitted = Normalisation.fit(kinds, packed.streams, self.parts)
        if "per-camera" in kinds.values():
            fitted = fitted.by_camera(packed.streams, packed.videos, self.scenes())
        return fitted.like(given.normalisation) if given else fitted

    # ------------------------------------------------------------------------------------------ method and budget

    def build(self, seed: int) -> Any:
        """The method with that seed's initial weights, its teacher and its CORE."""
        torch.manual_seed(seed)
        method = self.kind(self.widths, self.config)
        if METHODS.package(self.name):
            check_method(method, self.widths)
        if self.teacher:
            self.teach(method, self.teacher, seed)
        if self.core:
            assert isinstance(method, KeepsCore)
            method.take_core(RunFolder(self.core).of_seed(seed).method)
        return method.to(self.protocol.device)

    def teach(self, method: Any, run: Path, seed: int) -> None:
        """Give the method the teacher of a finished run: that of the same seed, where the run has one.

        Raises:
            WsvadError: the method has no teacher, or the run is of another method, other features, another
                normalisation or another size.
        """
        trained = RunFolder(run).of_seed(seed)
        wanted = teacher_method(self.kind, self.config)
        if trained.name != wanted:
            raise UsageError(f"{run}: a run of {trained.name}, but {self.name} learns from {wanted or 'no teacher'}")
        for stream in self.streams:
            if difference := trained.difference(stream, self.check.passports[stream]):
                raise WsvadError(
                    f"{run}: the teacher learned from other {stream} features ({difference}); train it on these, or "
                    "name its --features"
                )
        if not given_teacher(self.config) and not trained.normalisation.same(self.normalisation):
            raise WsvadError(
                f"{run}: the teacher was trained on features that were normalised differently "
                f"({trained.normalisation.kinds}); train it "
                "with the same --normalise, on the same videos"
            )
        assert isinstance(method, Taught)
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

    # ------------------------------------------------------------------------------------------ a fit

    def fit(
        self,
        method: Any,
        seed: int,
        checkpoint: Path,
        at_point: AtPoint,
        task: str,
        without: Collection[str] = (),
        points: int | None = None,
    ) -> list[dict[str, Any]]:
        """Run the phases; only in the last one stock is taken.

        Args:
            checkpoint: where the fit goes on after a kill.
            task: for reports of progress.
            without: names of training videos that are left out.
            points: how often stock is taken; by default as the protocol says.

        Returns:
            The history, a row each point.
        """
        phases = self.phases(method)
        if self.team:
            self.team.check(phases)
            if self.team.leads:
                streams = {"streams": self.config.streams} if hasattr(self.config, "streams") else {}
                fit = {"seed": seed, "checkpoint": str(checkpoint), "without": sorted(without), "points": points}
                self.team.send(fit | {"changed": streams})
        total = sum(phase.iterations for phase in phases)
        known = self._timed or self.dataset.benchmark
        foretold = None if known else forecast_of(method.phases(), self.protocol, self.dataset.train, self.longest)
        self._timed = True

        def at_step(phase: Phase, iteration: int, loss: float) -> None:
            if foretold and (said := foretold.after(phase)):
                logger.info("note: %s", said)
            done = sum(p.iterations for p in phases[: [p.name for p in phases].index(phase.name)]) + iteration
            report_progress(task, done, total, f"{phase.name}, loss {loss:.3f}")

        return run_phases(
            method,
            phases,
            self.packed,
            self.normalisation,
            seed=seed,
            without=without,
            points=points or self.protocol.points,
            at_point=lambda phase, i, loss: at_point(phase, i, loss) if phase is phases[-1] else {},
            at_step=at_step,
            checkpoint=checkpoint,
            precision=self.protocol.precision,
            device=self.protocol.device,
            team=self.team,
        )

    def follow(self) -> None:
        """Take part in the fits of rank 0, until there are no more.

        Raises:
            RankLost: rank 0, or another rank, is gone.
        """
        assert self.team is not None
        fitting = self
        while fit := self.team.next_job():
            changed = {name: tuple(value) for name, value in fit["changed"].items()}
            if any(getattr(fitting.config, name) != value for name, value in changed.items()):  # rank 0 left some out
                fitting = replace(self, config=replace(self.config, **changed))
            method = fitting.build(fit["seed"])
            checkpoint, without = Path(fit["checkpoint"]), set(fit["without"])
            fitting.fit(method, fit["seed"], checkpoint, lambda *_: {}, "", without, fit["points"])
