"""Recipes of people's own, for an encoder without weights: all that is read is the recipe."""

import random
from pathlib import Path

from fuzz.harness import INTERNAL, Case, Fault, kind
from fuzz.mutate import damage_bytes, damage_yaml
from wsvad.encoders import build
from wsvad.encoders.build import recipe_of, recipes


@kind("recipes")
def damaged_recipes(rng: random.Random, folder: Path) -> Case:
    path = folder / "own.yaml"
    text = rng.choice(recipes()).path.read_text(encoding="utf-8")
    path.write_text(text if rng.random() < 0.5 else "model: flow\nlicence: MIT\nwhy: a test\nwidth: 192\n")
    (damage_bytes if rng.random() < 0.5 else damage_yaml)(rng, path)
    return lambda: read(path)


def read(path: Path) -> None:
    """A recipe, and its encoder where it needs no weights.

    Raises:
        Fault: it says what it does not give.
    """
    recipe = recipe_of(f"recipe:{path}")
    assert recipe is not None
    if recipe.wanted:
        return
    (encoder,) = build(f"recipe:{path}")
    if recipe.head.width not in (None, encoder.width):
        raise Fault(INTERNAL, f"{encoder.width} numbers, said to be {recipe.head.width}")
