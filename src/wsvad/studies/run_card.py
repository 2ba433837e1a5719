"""What stands behind a row of a leaderboard, and the one command that remakes it."""

import dataclasses
import json
import platform
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.encoders.build import shortened
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol
from wsvad.version import __version__

DEFAULTS = Protocol(budget="data", normalise="standardise")
"""What `wsvad bench` does where its command line says nothing."""


def command(
    data: str, name: str, config: Any, protocol: Protocol, streams: Mapping[str, str], features: Path | None, out: Path
) -> str:
    """The command line of one method's rows. Arguments as in `run_bench`."""
    words = ["wsvad", "bench", "--data", data, "--methods", name]
    default = default_config(METHODS[name].config_class, protocol.budget)
    words += [*options("--", protocol, DEFAULTS), *options("--config.", config, default)]
    for stream, spec in streams.items():
        spec = shortened(spec)
        words += [f"--{stream}", spec] if stream in NAMED else ["--stream", f"{stream}={spec}"]
    words += ["--features", str(features)] if features else []
    return shlex.join([*words, "--out", str(out)])


NAMED = ("rgb", "pose", "depth", "mask", "flow", "text")
"""Streams that have an option of their own; any other is `--stream NAME=ENCODER`."""


def options(prefix: str, value: Any, default: Any) -> Iterator[str]:
    """What a dataclass has other than another, as command line options; one in a dataclass by a dotted name."""
    for field in dataclasses.fields(value):
        ours, theirs = getattr(value, field.name), getattr(default, field.name)
        name = f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(ours):
            yield from options(f"{name}.", ours, theirs)
        elif ours != theirs:
            text = ours if isinstance(ours, str) else json.dumps(ours, ensure_ascii=False)
            yield from [f"{name}={text}"] if text.startswith("-") else [name, text]


def run_card(experiment: Experiment, remade_by: str) -> dict[str, Any]:
    """A finished experiment: command, seeds, versions, what the features are, how long each phase was, and which
    iteration the held-out videos chose for each seed."""
    metrics = experiment.folder.read_metrics() or {}
    phases: dict[str, int] = {}
    for line in experiment.folder.read_log():
        if line["fit"] == "all":
            phases[line["phase"]] = max(line["iteration"], phases.get(line["phase"], 0))
    return {
        "command": remade_by,
        "seeds": metrics["seeds"],
        "iterations": phases,
        "held_out_iterations": metrics["iterations"],
        "features": experiment.fitting.passports,
        "versions": {
            "wsvad": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": f"{experiment.protocol.device}, {platform.machine()}",
    }


def features_in_words(passports: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Stream → its encoder and width: `motion 304`."""
    return {stream: f"{passport['encoder']} {passport['width']}" for stream, passport in passports.items()}
