"""The first thirty losses of each method at fixed seeds, as they were when the method was last known to be right.

They catch what no formula does: a change of initialisation, of the order of random draws, of the optimiser. After a
change that is meant: `python tests/golden/test_losses.py` writes them anew.
"""

import json
from pathlib import Path

import pytest
import torch

from wsvad.methods import METHODS
from wsvad.methods.method import Batch

STEPS, WIDTH, SEGMENTS, BAGS = 30, 16, 32, 4
SETTINGS = {
    "mil": {"hidden": (32, 8), "dropout": 0.0},  # torch's own dropout draws differ between builds
    "ur-dmu": {"hidden": 32, "feed_forward": 32, "head": 16, "lr": 1e-3},
}


def losses(name: str) -> list[float]:
    """Total loss at each step of training on one batch whose abnormal bags hold a louder stretch."""
    torch.manual_seed(0)
    x = torch.randn(2 * BAGS, SEGMENTS, WIDTH)
    x[BAGS:, 10:16] *= 2
    batch = Batch(streams={"rgb": x}, labels=torch.tensor([0.0] * BAGS + [1.0] * BAGS))
    cls = METHODS[name]
    method = cls({"rgb": WIDTH}, cls.config_class(**SETTINGS[name])).train()
    (phase,) = method.phases()
    optimizer = phase.optimizer(phase.parameters, lr=phase.lr, weight_decay=phase.weight_decay, **phase.options)
    curve = []
    for _ in range(STEPS):
        total = phase.loss(batch)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        curve.append(total.item())
    return curve


def kept(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.json")


@pytest.mark.parametrize("name", SETTINGS)
def test_losses_are_as_they_were(name):
    assert losses(name) == pytest.approx(json.loads(kept(name).read_text()), rel=1e-3)


if __name__ == "__main__":
    for each in SETTINGS:
        kept(each).write_text(json.dumps([round(value, 7) for value in losses(each)], indent=1) + "\n")
