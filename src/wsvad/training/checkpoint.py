"""A training run's state in one safetensors file: weights, optimiser, random numbers, and where the run stands. It is
gone on from as it was written, or refused."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsvad.errors import WsvadError, refuse_shortage
from wsvad.files import atomic, without_nan
from wsvad.ranges import Whole
from wsvad.runs.records import Row
from wsvad.runs.sealed import digest_of, own_file, sealed, unsealed
from wsvad.shapes import problems

SHARE = 0.05
"""Of the time of a fit that writing checkpoints may take: of a small network on few videos it would be half."""
LONGEST = 300.0
"""Seconds after which one is written in any case, however long a disk took once."""


class Place(TypedDict):
    """How far a run has come."""

    phase: Whole
    iteration: Whole
    history: list[Row]
    tensors: str
    """Hash of the numbers."""
    sha256: str


def save_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, place: dict[str, Any]) -> None:
    """Write everything that the rest of the run depends on; `place` is JSON that says how far it has come."""
    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    record = sealed(place | {"tensors": digest_of(_bytes(tensors))})
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"place": json.dumps(record)})


class Checkpoints:
    """One file that is written again as a fit goes on, the first time at once."""

    def __init__(self, path: Path):
        self._path = path
        self._due = -math.inf

    def save(self, method: nn.Module, optimizer: torch.optim.Optimizer, place: dict[str, Any]) -> None:
        """As `save_checkpoint`, unless it was written just before. What is lost then is done again, to the same
        numbers."""
        begun = time.monotonic()
        if begun < self._due:
            return
        save_checkpoint(self._path, method, optimizer, place)
        ended = time.monotonic()
        self._due = ended + min((ended - begun) / SHARE, LONGEST)


def read_place(path: Path) -> dict[str, Any] | None:
    """How far the run had come; None if there is no checkpoint."""
    if own_file(path) is None:
        return None
    try:
        with safe_open(path, framework="pt") as file:
            place = json.loads(file.metadata()["place"])
        for problem in problems(without_nan(place), Place):
            raise ValueError(problem)
        unsealed(path, without_nan(place))
        return dict(place)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError, WsvadError) as error:
        raise _refused(path, error) from None


def load_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimiser and random numbers back.

    Raises:
        WsvadError: they are other ones than were written, or of another method.
    """
    place = read_place(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        if place is None or digest_of(_bytes(tensors)) != place["tensors"]:
            raise ValueError("other numbers than were written")
        _put_back(tensors, method, optimizer)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise _refused(path, error) from None


def _put_back(tensors: Mapping[str, Tensor], method: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        match name.split(".", 2):
            case ["method", *_]:
                weights[name.removeprefix("method.")] = value
            case ["optimizer", index, field]:
                states.setdefault(int(index), {})[field] = value
            case ["random"]:
                torch.set_rng_state(value)
            case ["random", "cuda"] if torch.cuda.is_available():
                torch.cuda.set_rng_state(value)
    method.load_state_dict(weights)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _bytes(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors of any type, as NumPy can hold them."""
    return {name: value.detach().cpu().reshape(-1).view(torch.uint8).numpy() for name, value in tensors.items()}


def _refused(path: Path, error: Exception) -> WsvadError:
    refuse_shortage(error, path)
    return WsvadError(f"{path}: damaged, or not a checkpoint of wsvad; delete it to train from the beginning")
