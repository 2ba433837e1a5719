"""The experiments of a study, cut into cells: one seed of one method in one setting, each kept in its folder.

An experiment is begun (its folder is claimed, which forgets what changed data made untrue), then its seeds are fitted,
in any order and anywhere, then it is ended: measured over seeds and written. A cell that was finished earlier is read
from its folder; so a stopped study goes on, and one whose data has changed repeats what depends on that.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from functools import partial
from typing import Any

import torch

from wsvad.datasets.memory import MOST, Memory
from wsvad.errors import WsvadError
from wsvad.extraction.extract import processors
from wsvad.locks import writing
from wsvad.studies.workers import Done, Job, Run, in_processes, in_this_process
from wsvad.training.experiment import Experiment, Fitted

Finish = Callable[[Experiment, Fitted], Any]
"""What a study keeps of a finished experiment; a function of a module, for it is called where the experiment ends."""


def run_cells(
    experiments: Mapping[str, Experiment], finish: Finish, workers: int | None
) -> tuple[dict[str, Any], dict[str, WsvadError]]:
    """Run all experiments; those that are taught by another one when that is done.

    Args:
        experiments: name → what is to be run; each has a folder of its own.
        workers: processes; 0 = this one; None = `usual_workers`. They share the memory for features. Files that one has
            read the system keeps for the others.

    Returns:
        Name → what `finish` made of it, in the order of `experiments`; and of those that failed, the reason.

    Raises:
        WsvadError: none could be finished, which is the reason of the first; another command writes there.
    """
    device = next(iter(experiments.values())).protocol.device
    if workers is None:
        workers = usual_workers(device)
    for experiment in experiments.values():
        experiment.memory = Memory(MOST // max(1, workers), experiment.out)
    run: Run = partial(in_processes, workers=workers) if workers else in_this_process
    study = _Study(experiments, finish)
    with ExitStack() as held:
        for experiment in experiments.values():
            held.enter_context(writing(experiment.out))
        cells = sum(len(experiment.seeds) for experiment in experiments.values())
        run([study.begin(name) for name in experiments if not study.taught_by(name)], study.follow, cells)
    found = {name: study.found[name] for name in experiments if name in study.found}
    failed = {name: study.failed[name] for name in experiments if name in study.failed}
    if not found:
        raise next(iter(failed.values()))
    return found, failed


def usual_workers(device: str) -> int:
    """Processes where nobody says how many: one for each processor, or a single one where a device does the work."""
    return processors() if torch.device(device).type == "cpu" else 1


class _Study:
    """Which jobs follow from which."""

    def __init__(self, experiments: Mapping[str, Experiment], finish: Finish):
        self.experiments, self.finish = experiments, finish
        self.begun: dict[str, Experiment] = {}
        self.left: dict[str, int] = {}
        """Name → seeds that are not done."""
        self.found: dict[str, Any] = {}
        self.failed: dict[str, WsvadError] = {}

    def taught_by(self, name: str) -> str | None:
        """The experiment of the study whose run is this one's teacher."""
        teacher = self.experiments[name].teacher
        return next((other for other, one in self.experiments.items() if one.out == teacher), None)

    def begin(self, name: str) -> Job:
        return Job(name=f"{name}, begin", do=_begun, shared=self.experiments[name], counts=False, of=name)

    def follow(self, done: Done) -> Sequence[Job]:
        """Take the end of a job; what can be done now."""
        name = done.job.of
        if done.error is not None:
            return self._fail(name, done.error)
        if done.job.do is _begun:
            experiment = self.begun[name] = done.value
            self.left[name] = len(experiment.seeds)
            return [
                Job(name=f"{name}, seed {seed}", do=_seed, shared=experiment, arguments=(seed,), of=name)
                for seed in experiment.seeds
            ]
        if done.job.do is _seed:
            self.left[name] -= 1
            if self.left[name] or name in self.failed:
                return []
            experiment = self.begun.pop(name)
            return [
                Job(name=f"{name}, end", do=_ended, shared=experiment, arguments=(self.finish,), counts=False, of=name)
            ]
        self.found[name] = done.value
        return [self.begin(other) for other in self.experiments if self.taught_by(other) == name]

    def _fail(self, name: str, error: WsvadError) -> Sequence[Job]:
        self.failed.setdefault(name, error)
        for other in self.experiments:
            if self.taught_by(other) == name and other not in self.failed:
                self._fail(other, WsvadError(f"{other}: its teacher, {name}, failed"))
        return []


def _begun(experiment: Experiment) -> Experiment:
    experiment = copy(experiment)  # which goes, with all that it has read, when the study is done with it
    experiment.begin()
    return experiment


def _seed(experiment: Experiment, seed: int) -> None:
    experiment.one_seed(seed)
    if experiment.watchable:  # its end measures them, in one process; making them takes as long as a fit
        experiment.online_scores(experiment.folder.seed(seed))


def _ended(experiment: Experiment, finish: Finish) -> Any:
    return finish(experiment, experiment.end())
