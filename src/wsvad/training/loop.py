"""One loop that runs the phases of any method; it knows nothing of teachers, students or streams."""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from wsvad.datasets.bags import PackedBags
from wsvad.errors import WsvadError
from wsvad.methods.contract import check_loss
from wsvad.methods.method import Batch, Phase
from wsvad.runs.normalisation import Normalisation
from wsvad.training.checkpoint import Checkpoints, load_checkpoint, read_place
from wsvad.training.eager import eager
from wsvad.training.team import Team

Precision = Literal["fp32", "bf16"]
AHEAD = 2
"""Batches that are read from disk while the network is at another one."""


class Sampler:
    """Which bags form batch i: each class is shuffled again every time it has been seen once, and drawn without a
    break (public code drops the last incomplete batch instead). A pure function of seed and i, so that a run can be
    resumed anywhere.
    """

    def __init__(self, normal: Tensor, abnormal: Tensor, bags: int, seed: tuple[int, ...]):
        self.classes = (normal, abnormal)
        self.bags = bags
        self.seed = seed

    def rows(self, iteration: int) -> Tensor:
        """Row numbers of a batch, normal first: `(2 * bags,)`."""
        return torch.cat([self._draw(label, iteration) for label in (0, 1)])

    def _draw(self, label: int, iteration: int) -> Tensor:
        rows = self.classes[label]
        places = np.arange(iteration * self.bags, (iteration + 1) * self.bags)
        rounds, order = places // len(rows), places % len(rows)
        shuffled = {r: np.random.default_rng((*self.seed, label, int(r))).permutation(len(rows)) for r in set(rounds)}
        return rows[[int(shuffled[r][o]) for r, o in zip(rounds, order, strict=True)]]


def run_phases(
    method: nn.Module,
    phases: Sequence[Phase],
    bags: Callable[[int], PackedBags],
    normalisation: Normalisation,
    *,
    seed: int,
    without: Collection[str] = (),
    points: int = 20,
    at_point: Callable[[Phase, int, dict[str, float]], dict[str, Any]] = lambda phase, iteration, loss: {},
    at_step: Callable[[Phase, int, float], None] = lambda phase, iteration, loss: None,
    checkpoint: Path | None = None,
    precision: Precision = "fp32",
    device: torch.device | str = "cpu",
    team: Team | None = None,
) -> list[dict[str, Any]]:
    """Run `phases` in order, and return the run's history.

    Args:
        bags: gives the training bags pooled to a number of segments.
        without: names of training videos that are left out.
        points: how often a phase stops to take stock: `at_point(phase, iteration, mean loss parts since the last
            point)` is called, what it returns becomes part of the history, and a checkpoint is due.
        checkpoint: written at points, if not too often, and read at the start, so that the same call after a kill goes
            on and ends in the same weights. The caller deletes it when the results are safe.
        team: of ranks that all make this call, and share each batch; rank 0 alone takes stock and writes.

    Raises:
        WsvadError: the loss is no longer a number; a rank is gone.
    """
    place = (read_place(checkpoint) if checkpoint else None) or {"phase": 0, "iteration": 0, "history": []}
    history: list[dict[str, Any]] = place["history"]
    kept = Checkpoints(checkpoint) if checkpoint else None
    for number in range(place["phase"], len(phases)):
        phase = phases[number]
        packed = bags(phase.segments)
        crops = packed.crops if phase.crops else 1
        normal, abnormal = (packed.rows(label, without)[::crops] for label in (0, 1))
        sampler = Sampler(normal, abnormal, phase.bags, (seed, number))
        kind = eager(phase.optimizer)
        optimizer = kind(phase.parameters, lr=phase.lr, weight_decay=phase.weight_decay, **phase.options)
        start = 0
        if number == place["phase"] and place["iteration"]:
            assert checkpoint is not None
            start = place["iteration"]
            load_checkpoint(checkpoint, method, optimizer)
        stops = {round((point + 1) * phase.iterations / points) for point in range(points)}
        since: list[dict[str, float]] = []
        method.train()
        if team:
            team.begin(method)  # the checkpoint may be written again from now on
        iterations, ahead = range(start, phase.iterations), AHEAD if packed.on_disk else 0
        drawn = map(sampler.rows, iterations)
        batches = in_order(
            partial(gather, packed, normalisation=normalisation, device=device, crops=crops), drawn, ahead
        )
        for iteration, batch in zip(iterations, batches, strict=True):
            set_rate(optimizer, phase, iteration)
            since.append(step(phase, batch, optimizer, precision, method, team))
            at_step(phase, iteration + 1, since[-1]["total"])
            if iteration + 1 not in stops:
                continue
            if team is None or team.leads:
                loss = {name: float(np.mean([parts[name] for parts in since])) for name in since[0]}
                method.eval()
                found = at_point(phase, iteration + 1, loss)
                method.train()
                history.append({"phase": phase.name, "iteration": iteration + 1, "loss": loss, **found})
                if kept:
                    kept.save(method, optimizer, {"phase": number, "iteration": iteration + 1, "history": history})
            since = []
            if team:
                team.draw_alike(method)  # taking stock may draw random numbers
    method.eval()
    return history


def in_order(make: Callable[[Tensor], Batch], drawn: Iterable[Tensor], ahead: int) -> Iterator[Batch]:
    """The batches of the rows that were drawn; up to so many of them are made beforehand, in a thread."""
    if not ahead:
        yield from map(make, drawn)
        return
    with ThreadPoolExecutor(1) as pool:
        made: deque[Future[Batch]] = deque()
        try:
            for rows in drawn:
                made.append(pool.submit(make, rows))
                if len(made) > ahead:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            for one in made:
                one.cancel()


def set_rate(optimizer: torch.optim.Optimizer, phase: Phase, iteration: int) -> None:
    """The learning rate of an iteration, where the phase wants it to fall."""
    if phase.final_lr is None:
        return
    share = (1 + math.cos(math.pi * iteration / phase.iterations)) / 2
    for group in optimizer.param_groups:
        group["lr"] = phase.final_lr + share * (phase.lr - phase.final_lr)


def gather(
    packed: PackedBags, rows: Tensor, normalisation: Normalisation, device: torch.device | str, crops: int = 1
) -> Batch:
    """A batch of packed bags, normalised, on the device; with more than one crop, those of a video follow its row."""
    each = rows[:, None] + torch.arange(crops) if crops > 1 else rows
    videos = [packed.videos[row] for row in rows.tolist()]
    streams = normalisation.of_videos({name: stream[each] for name, stream in packed.streams.items()}, videos)
    return Batch(
        streams={name: stream.to(device) for name, stream in streams.items()},
        labels=packed.labels[rows].to(device, torch.float32),
        categories=tuple(packed.categories[row] for row in rows.tolist()),
        rows=tuple(rows.tolist()),
    )


def step(
    phase: Phase,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    method: Any,
    team: Team | None = None,
) -> dict[str, float]:
    """One optimiser step; returns the loss parts, on every rank those of the whole batch."""
    device = batch.labels.device.type
    shared = team.step(method) if team else nullcontext()
    try:
        with shared, torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext():
            parts = phase.loss(batch)
    except RuntimeError as error:
        if "between 0 and 1" not in str(error):  # so PyTorch's cross-entropy says that a probability is no number
            raise
        raise WsvadError(
            f"training diverged in phase '{phase.name}' (scores are not finite); lower the learning rate, or use fp32"
        ) from None
    check_loss(method, parts)
    optimizer.zero_grad(set_to_none=True)
    with team.together() if team else nullcontext():
        parts["total"].backward()
    if team:
        team.average(optimizer)
    values = {name: float(part.detach()) for name, part in parts.items()}
    if not np.isfinite(values["total"]):
        shown = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        raise WsvadError(f"training diverged in phase '{phase.name}' ({shown}); lower the learning rate, or use fp32")
    optimizer.step()
    return values
