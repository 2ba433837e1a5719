"""The loss curve of every method on a tiny, fixed training run, against the curve in the file beside this one.

After a change that is meant to change training, make the curves anew and look at the difference:

    python tests/golden/test_golden.py
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsvad.datasets.bags import PackedBags
from wsvad.datasets.memory import Memory, Rows
from wsvad.methods import METHODS
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.runs.normalisation import Normalisation
from wsvad.training.loop import run_phases

STEPS, BAGS, SEGMENTS, WIDTH = 30, 4, 32, 16
TINY: dict[str, dict[str, Any]] = {
    "linear": {"mil": True},
    "mil": {"hidden": (16, 8), "dropout": 0.0},  # torch's own dropout draws differently in other builds
    "rtfm": {"head": (32, 16), "dropout": 0.0},
    "ur-dmu": {
        "hidden": 32, "heads": 2, "feed_forward": 32, "abnormal_slots": 17, "normal_slots": 17, "head": 16, "lr": 1e-3,
    },
    "dakd": {
        "projection": 16, "hidden": 32, "heads": 2, "head": (16, 8), "g": (16, 8), "dropout": 0.0, "lr": 1e-2,
        "temporal_lr": 1e-2, "attention_dropout": 0.0,
    },
    "refinevad": {
        "hidden": 32, "heads": 2, "feed_forward": 32, "head": 16, "dropout": 0.0, "lr": 1e-3,
        "categories": ("fighting", "falling"), "sigma_by": "embedding", "attention": "segment",
    },
}  # fmt: skip
TINY["pi-vad"] = {
    "ur_dmu": UrDmuConfig(**TINY["ur-dmu"]), "latent": 16, "heads": 2, "wide_heads": 2, "modalities": ("pose", "text"),
    "infonce_exclude_positive": False, "clip": 3.0,
}  # fmt: skip


def bags(streams: tuple[str, ...]) -> PackedBags:
    """Eight videos of each class; a quarter of each abnormal one is shifted in feature space."""
    rng = np.random.default_rng(0)
    packed = {}
    for name in streams:
        x = rng.normal(size=(16, SEGMENTS, WIDTH)).astype(np.float32)
        x[1::2, 8:16] += 1.5 * rng.normal(size=WIDTH).astype(np.float32)
        packed[name] = torch.from_numpy(x)
    return PackedBags(
        streams=packed,
        labels=torch.tensor([0, 1] * 8),
        categories=("normal", "fighting") * 8,
        videos=tuple(f"v{i}" for i in range(16)),
    )


def fitted(name: str, memory: Memory | None = None, **changed: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A trained method, and the history of its loss at every step.

    Args:
        memory: for the bags; by default they are in memory.
        changed: of the method's configuration.
    """
    method_class = METHODS[name]
    torch.manual_seed(0)
    widths = dict.fromkeys((*method_class.learns_from, *method_class.runs_on), WIDTH)
    method = method_class(widths, method_class.config_class(**TINY.get(name, {}) | changed))
    phases = [replace(phase, iterations=STEPS, bags=BAGS, segments=SEGMENTS) for phase in method.phases()]
    packed = bags(method.learns_from)
    if memory:
        packed = replace(packed, streams={stream: stored(x, memory) for stream, x in packed.streams.items()})
        assert packed.on_disk
    normalisation = Normalisation.fit(dict.fromkeys(method.learns_from, method.normalisation), packed.streams)
    history = run_phases(method, phases, lambda segments: packed, normalisation, seed=0, points=STEPS)
    return method, history


def stored(x: torch.Tensor, memory: Memory) -> Rows:
    rows = memory.rows(x.shape)
    for number, row in enumerate(x):
        rows[number] = row
    return rows


def curves(name: str) -> dict[str, dict[str, list[float]]]:
    """Phase → part of the loss → its value at every step."""
    _, history = fitted(name)
    return {
        phase: {
            part: [float(f"{row['loss'][part]:.6g}") for row in history if row["phase"] == phase]
            for part in next(row["loss"] for row in history if row["phase"] == phase)
        }
        for phase in dict.fromkeys(row["phase"] for row in history)
    }


def golden(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.json")


@pytest.mark.parametrize("name", list(METHODS))
def test_the_loss_falls_as_it_did(name):
    expected, found = json.loads(golden(name).read_text()), curves(name)
    assert {phase: list(parts) for phase, parts in found.items()} == {p: list(parts) for p, parts in expected.items()}
    for phase, parts in expected.items():
        for part, curve in parts.items():
            np.testing.assert_allclose(found[phase][part], curve, rtol=1e-3, atol=1e-6, err_msg=f"{phase} {part}")
        assert np.mean(parts["total"][-5:]) < np.mean(parts["total"][:5])


@pytest.mark.parametrize("name", list(METHODS))
def test_bags_that_are_read_from_disk_teach_the_same_to_the_digit(name):
    """Also with dropout, whose draws reading ahead must not move."""
    changed = {"dropout": 0.3} if hasattr(METHODS[name].config_class(), "dropout") else {}
    (one, said), (other, same) = fitted(name, **changed), fitted(name, Memory(0), **changed)
    assert said == same
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


if __name__ == "__main__":
    for name in METHODS:
        golden(name).write_text(json.dumps(curves(name), indent=1) + "\n")
