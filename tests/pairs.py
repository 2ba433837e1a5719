"""Two ranks that train side by side on a CPU, started once for all that is to be asked of them."""

import json
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed as dist
from sweep import FULL
from torch import nn

from wsvad.datasets.bags import PackedBags
from wsvad.layers.dropout import Dropout, ExactDropout
from wsvad.layers.norm import BatchNorm1d
from wsvad.layers.share import each_bag
from wsvad.methods import METHODS
from wsvad.runs.normalisation import Normalisation
from wsvad.training import checkpoint as checkpoints
from wsvad.training import team as teams
from wsvad.training.eager import eager
from wsvad.training.loop import run_phases

STEPS, BAGS, SEGMENTS, WIDTH = 50 if FULL else 20, 3, 16, 6
"""Steps of all phases together."""
HALF = STEPS // 2


class Stopped(Exception):
    """A fit was interrupted."""


def bags(streams: tuple[str, ...], seed: int = 0) -> PackedBags:
    """Eight videos of each class; a quarter of each abnormal one is shifted in feature space."""
    rng, shift = np.random.default_rng(seed), np.random.default_rng(9).normal(size=WIDTH)
    packed = {}
    for name in streams:
        x = rng.normal(size=(16, SEGMENTS, WIDTH))
        x[1::2, 4:8] += 1.5 * shift
        packed[name] = torch.from_numpy(x.astype(np.float32))
    return PackedBags(
        streams=packed,
        labels=torch.tensor([0, 1] * 8),
        categories=("normal", "fighting") * 8,
        videos=tuple(f"v{i}" for i in range(16)),
    )


def fitted(
    name: str, fields: dict[str, Any], team: Any = None, checkpoint: Path | None = None, stop: int | None = None
) -> tuple[list[float], np.ndarray]:
    """The total loss of every step, and the scores of other videos `(16, T)` afterwards.

    Args:
        fields: of the method's configuration.
        stop: steps after which the fit is interrupted.
    """
    kind = METHODS[name]
    torch.manual_seed(0)
    config = kind.config_class(**fields)
    method = kind(dict.fromkeys((*kind.learns_from, *kind.runs_on), WIDTH), config)
    phases = method.phases()
    phases = [replace(p, iterations=-(-STEPS // len(phases)), bags=BAGS, segments=SEGMENTS) for p in phases]
    packed = bags(method.learns_from)
    normalisation = Normalisation.fit(dict.fromkeys(method.learns_from, method.normalisation), packed.streams)
    losses: list[float] = []

    def at_step(phase: Any, iteration: int, loss: float) -> None:
        losses.append(loss)
        if len(losses) == stop:
            raise Stopped

    def at_point(*_: Any) -> dict[str, Any]:
        torch.rand(1)  # whoever takes stock may draw
        return {}

    with patch.object(checkpoints, "SHARE", math.inf):
        run_phases(
            method, phases, lambda segments: packed, normalisation, seed=0, points=2, at_step=at_step,
            at_point=at_point, checkpoint=checkpoint, team=team,
        )  # fmt: skip
    with torch.no_grad():
        given = normalisation.of_videos(bags(method.runs_on, seed=1).streams, [""] * 16)
        return losses, method(given).numpy()


class Parts(nn.Module):
    """All that a share must not count or draw by itself, and weights on either side of `each_bag`."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.both = nn.Linear(4, 4), nn.Linear(4, 4)
        self.norm, self.dropout, self.exact = BatchNorm1d(4), Dropout(0.5), ExactDropout(0.5)

    def network(self, x_NTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.norm(self.inside(x_NTD).transpose(1, 2)).transpose(1, 2)
        return self.exact(self.both(self.dropout(x))), x

    def loss(self, x_NTD: torch.Tensor) -> torch.Tensor:
        """Every bag is compared with every other one; what came out goes through `each_bag` once more."""
        y, x = each_bag(self.network, x_NTD)
        (z,) = each_bag(lambda rows: (self.both(rows).tanh(),), y + self.both(x))
        mean_ND = z.mean(1)
        return (mean_ND[:, None] - mean_ND[None]).square().sum(-1).topk(2, dim=1).values.sum()


def gradients(team: Any = None, count: int = 5) -> dict[str, np.ndarray]:
    """Of `Parts` on bags that two ranks cannot share equally; and what it remembers."""
    torch.manual_seed(3)
    parts, x = Parts().train(), torch.randn(count, 7, 4)
    optimizer = eager(torch.optim.SGD)(parts.parameters(), lr=1.0)
    if team is None:
        parts.loss(x).backward()
    else:
        with team.step(parts):
            loss = parts.loss(x)
        loss.backward()
        team.average(optimizer)
    found = {name: p.grad for name, p in parts.named_parameters()} | dict(parts.named_buffers())
    return {name: value.numpy().copy() for name, value in found.items() if value is not None}


def work(rank: int, folder: Path, fields: dict[str, dict[str, Any]], resumed: list[str]) -> None:
    """What a rank of two does: fit every method; go on with fits of one rank, and leave some for it; at last one of
    them does not answer."""
    torch.set_num_threads(1)
    teams.GRACE = 1.0
    team = teams.joined(rank, 2, dist.FileStore(str(folder / "store")), "cpu", 60)
    found: dict[str, Any] = {"gradients": {key: value.tolist() for key, value in gradients(team).items()}}
    for name, config in fields.items():
        losses, scores = fitted(name, config, team)
        found[name] = [losses, scores.tolist()]
    for name in resumed:
        losses, scores = fitted(name, fields[name], team, folder / f"{name}.one")
        found[f"{name}, resumed"] = [losses, scores.tolist()]
        try:
            fitted(name, fields[name], team, folder / f"{name}.two", HALF + 1)
        except Stopped:
            team.meet()
    dist.destroy_process_group()
    team = teams.joined(rank, 2, dist.FileStore(str(folder / "other")), "cpu", 1)
    if rank:
        time.sleep(3)
        return
    try:
        gradients(team)
    except teams.RankLost as error:
        found["silent"] = str(error)
    (folder / "found.json").write_text(json.dumps(found))


def both(folder: Path, fields: dict[str, dict[str, Any]], resumed: list[str], meanwhile: Callable[[], Any]) -> Any:
    """What two ranks found, and what `meanwhile` gives."""
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=work, args=(rank, folder, fields, resumed)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    try:
        own = meanwhile()
        for rank in ranks:
            rank.join()
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.exitcode for rank in ranks] == [0, 0]
    return json.loads((folder / "found.json").read_text()), own
