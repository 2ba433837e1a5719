"""Optimisers without PyTorch's compiler: the same numbers, and nothing of it is imported."""

import subprocess
import sys

import pytest
import torch

from wsvad.runs.model import _Undrawn
from wsvad.training.eager import eager

KINDS = [
    (torch.optim.Adagrad, {"eps": 1e-8}),
    (torch.optim.Adam, {"fused": True, "weight_decay": 0.1}),
    (torch.optim.Adam, {}),
    (torch.optim.AdamW, {"weight_decay": 0.1}),
    (torch.optim.SGD, {"momentum": 0.9}),
]


def three_steps(kind, options) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 3)
    optimizer = kind([{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.02}], lr=0.01, **options)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.rand(4, 5)).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return layer, optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_weights_and_state_are_those_of_the_optimiser_itself(kind, options):
    (ours, own), (theirs, other) = three_steps(eager(kind), options), three_steps(kind, options)
    assert isinstance(own, kind)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
        assert not value.requires_grad or ours.state_dict()[name].is_leaf
    one, two = own.state_dict(), other.state_dict()
    assert one["param_groups"] == two["param_groups"] and one["state"].keys() == two["state"].keys() != set()
    for number, fields in two["state"].items():
        assert one["state"][number].keys() == fields.keys()
        for field, value in fields.items():
            same = one["state"][number][field]
            assert torch.equal(same, value) if isinstance(value, torch.Tensor) else same == value


def test_optimisers_of_others_are_left_as_they_are():
    class Own(torch.optim.SGD):
        pass

    assert eager(Own) is Own and eager(three_steps) is three_steps


def test_a_fit_imports_no_compiler():
    code = """
import sys, numpy as np, torch
sys.path.insert(0, sys.argv[1])
from test_eager import KINDS, eager, three_steps
for kind, options in KINDS:
    three_steps(eager(kind), options)
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code, str(__file__).rpartition("/")[0]], check=False).returncode == 0


def test_a_run_is_loaded_without_a_compiler():
    """Of every method, with the sizes of a whole network."""
    code = """
import sys, torch
from wsvad.methods import METHODS
from wsvad.runs.model import _check_size
for name in METHODS:
    kind = METHODS[name]
    config, widths = kind.config_class(), dict.fromkeys((*kind.learns_from, *kind.runs_on), 3)
    tensors = {f"method.{key}": value for key, value in kind(widths, config).state_dict().items()}
    _check_size(kind, widths, config, tensors)
    assert "torch._dynamo" not in sys.modules, name
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_network_without_memory_may_compute_with_named_arguments():
    with torch.device("meta"), _Undrawn():
        assert torch.ones(2, 3).mul(other=2).shape == (2, 3)
