"""A training run's state in one safetensors file: weights, optimiser, random numbers, and where the run stands."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsvad.errors import WsvadError
from wsvad.files import atomic


def save_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer, place: dict[str, Any]) -> None:
    """Write everything that the rest of the run depends on; `place` is JSON that says how far it has come."""
    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    with atomic(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, temporary, {"place": json.dumps(place)}
        )


def read_place(path: Path) -> dict[str, Any] | None:
    """How far the run had come; None if there is no checkpoint."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["place"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError):
        raise WsvadError(f"{path}: not a checkpoint of wsvad; delete it to train from the beginning") from None


def load_checkpoint(path: Path, method: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimiser and random numbers back."""
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (not a dictionary)
            value = file.get_tensor(name)
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
