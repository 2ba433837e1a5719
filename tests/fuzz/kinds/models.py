"""Models of `transformers`: their settings, those of their processors, and their weights, as encoders."""

import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from fuzz.harness import INTERNAL, Case, Fault, kind
from fuzz.mutate import damage_bytes, damage_json, replace
from wsvad.encoders import build

FAMILIES = ("vit", "clip", "depth_anything", "videomae", "dinov3_vit", "siglip2")


@cache
def whole() -> dict[str, Path]:
    """Family → a folder, of which a case damages a copy. The libraries are loaded here, before the cases."""
    from tiny_models import save

    place = Path(tempfile.mkdtemp(prefix="wsvad-models-"))
    for family in FAMILIES:
        save(family, place / family, **({"max_shard_size": "20KB"} if family == "clip" else {}))
        encoded(place / family)
    return {family: place / family for family in FAMILIES}


@kind("models", prepare=whole)
def models(rng: random.Random, folder: Path) -> Case:
    net = shutil.copytree(whole()[rng.choice(FAMILIES)], folder / "net")
    damaged = rng.choice(sorted(net.iterdir()))
    if rng.random() < 0.05:
        replace(rng, damaged)
    elif damaged.suffix == ".json" and rng.random() < 0.9:
        damage_json(rng, damaged)
    else:
        damage_bytes(rng, damaged)
    return lambda: encoded(net)


def encoded(folder: Path) -> None:
    """What an encoder makes of a snippet.

    Raises:
        Fault: not what it says of itself.
    """
    (encoder,) = build(f"hf:{folder}")
    picture = np.full((40, 60, 3), 7, dtype=np.uint8)
    fitted = encoder.sampling.fit(picture) if encoder.sampling.fit else picture
    features = encoder.encode([np.repeat(fitted[None], encoder.sampling.count, axis=0)])
    if features.shape != (1, encoder.width) or encoder.passport()["width"] != encoder.width:
        raise Fault(INTERNAL, f"features {features.shape}, said to be {encoder.width} wide")
