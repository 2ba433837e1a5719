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


def curves(name: str) -> dict[str, dict[str, list[float]]]:
    """Phase → part of the loss → its value at every step."""
    method_class = METHODS[name]
    torch.manual_seed(0)
    widths = dict.fromkeys((*method_class.learns_from, *method_class.runs_on), WIDTH)
    method = method_class(widths, method_class.config_class(**TINY.get(name, {})))
    phases = [replace(phase, iterations=STEPS, bags=BAGS, segments=SEGMENTS) for phase in method.phases()]
    packed = bags(method.learns_from)
    normalisation = Normalisation.fit(dict.fromkeys(method.learns_from, method.normalisation), packed.streams)
    history = run_phases(method, phases, lambda segments: packed, normalisation, seed=0, points=STEPS)
    return {
        phase.name: {
            part: [float(f"{row['loss'][part]:.6g}") for row in history if row["phase"] == phase.name]
            for part in next(row["loss"] for row in history if row["phase"] == phase.name)
        }
        for phase in phases
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


if __name__ == "__main__":
    for name in METHODS:
        golden(name).write_text(json.dumps(curves(name), indent=1) + "\n")
