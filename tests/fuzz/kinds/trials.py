"""Fits by which `--method auto` compares methods (`RUN/auto`): whatever is damaged, the same comparison again has the
figures of the whole ones, makes them again, or is refused."""

import random
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.harness import NOTHING, Case, Fault, kind
from fuzz.kinds import run_folders
from fuzz.kinds.run_folders import damage, seal
from wsvad.datasets.open import open_dataset
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.metrics.events import EventRules
from wsvad.training.auto import choose_method
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

OFFERED = {name: default_config(METHODS[name].config_class, "data") for name in ("linear", "mil")}


@cache
def whole() -> dict[str, Any]:
    """A run whose method is being chosen, and what is found of each."""
    run = run_folders.whole()["folder"] / "compared"
    return {"run": run, "found": compared(run)}


def compared(run: Path) -> Any:
    data = run_folders.whole()["folder"]
    dataset = open_dataset(str(data))
    dataset = replace(dataset, videos=[replace(video, split="train") for video in dataset.videos])
    experiment = Experiment(
        dataset=dataset, features=data / "features", name="mil", config=OFFERED["mil"], out=run,
        protocol=Protocol(budget="data", iterations=20, device="cpu"),
    )  # fmt: skip
    choice = choose_method(experiment, OFFERED, 1.0, EventRules())
    return choice.method, [{name: one.value for name, one in each.figures.items()} for each in choice.tried]


@kind("trials", prepare=whole)
def trials(rng: random.Random, folder: Path) -> Case:
    run = folder / "run"
    shutil.copytree(whole()["run"], run)
    damage(rng, rng.choice(sorted((run / "auto").glob("*.json"))))
    knows = rng.random() < 0.3
    if knows:
        seal(run)

    def case() -> None:
        found = compared(run)
        if not knows and found != whole()["found"]:
            raise Fault(NOTHING, f"after a damaged trial: {str(found)[:300]}")

    return case
