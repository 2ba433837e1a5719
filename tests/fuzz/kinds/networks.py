"""Networks of ONNX and TensorFlow Lite, their weights and what stands beside them, as encoders: of pictures, of several
people and of objects."""

import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from small_networks import WEIGHTS, external, onnx_network, tflite_network, write_constant

from fuzz.harness import INTERNAL, Case, Fault, kind
from fuzz.mutate import as_yaml, damaged_bytes, damaged_value, replace
from wsvad.encoders import build

SETTINGS = {"size": [6, 4], "colour": "bgr", "scale": 0.1, "mean": [1.0, 2.0, 3.0], "std": 2.0, "output": "map",
            "frames": 2, "space": "mean", "pooling": "mean+std", "layout": None}  # fmt: skip
OBJECTS = {"size": [32, 32], "score": 0.4, "classes": ["a", "c"], "names": ["a", "b", "c"], "frames": 2}
PEOPLE = {"size": [32, 32], "score": 0.4, "frames": 3, "std": 1.0}
SCHEMES = {"c.onnx": "onnx", "t.tflite": "tflite", "people.onnx": "pose", "objects.onnx": "objects"}


@cache
def whole() -> dict[str, dict[str, bytes]]:
    """Name of the network → name of each file → its bytes."""
    weights, text = WEIGHTS[:, :, None, None], yaml.safe_dump(SETTINGS).encode()
    location = external("w", "c.data", weights)
    settings = {name: SETTINGS[name] for name in ("mean", "std", "frames")}
    return {
        "c.onnx": {"c.onnx": onnx_network(location), "c.data": weights.tobytes(), "c.onnx.yaml": text},
        "t.tflite": {"t.tflite": tflite_network(), "t.tflite.yaml": yaml.safe_dump(settings).encode()},
        "people.onnx": found("people.onnx", (1, 6, 56), PEOPLE),
        "objects.onnx": found("objects.onnx", (1, 7, 20), OBJECTS),
    }


def found(name: str, shape: tuple[int, ...], beside: dict[str, object]) -> dict[str, bytes]:
    """A network that finds something."""
    numbers = np.random.default_rng(0).uniform(0, 1, size=shape)
    with tempfile.TemporaryDirectory() as place:
        network = write_constant(Path(place) / name, {"y": numbers}, shape=(1, "h", "w", 3)).read_bytes()
    return {name: network, f"{name}.yaml": yaml.safe_dump(beside).encode()}


@kind("networks")
def networks(rng: random.Random, folder: Path) -> Case:
    name = rng.choice(list(whole()))
    files = {folder / "net" / file: content for file, content in whole()[name].items()}
    (folder / "net").mkdir()
    for path, content in files.items():
        path.write_bytes(content)
    damaged = rng.choice(list(files))
    if rng.random() < 0.1:
        replace(rng, damaged)
    elif damaged.suffix == ".yaml" and rng.random() < 0.8:
        value = damaged_value(rng, yaml.safe_load(damaged.read_text()))
        damaged.write_text(as_yaml(value), errors="surrogatepass")
    else:
        damaged.write_bytes(damaged_bytes(rng, files[damaged]))
    return lambda: encoded(f"{SCHEMES[name]}:{folder / 'net' / name}")


def encoded(spec: str) -> None:
    """What an encoder makes of a snippet.

    Raises:
        Fault: not what it says of itself.
    """
    (encoder,) = build(spec)
    sampling = encoder.sampling
    width, height = sampling.size or (6, 4)
    shape = (sampling.count, height, width) + ((3,) if sampling.colour == "rgb" else ())
    features = encoder.encode([np.full(shape, 7, dtype=np.uint8)])
    if features.shape != (1, encoder.width) or encoder.passport()["width"] != encoder.width:
        raise Fault(INTERNAL, f"features {features.shape}, said to be {encoder.width} wide")


for original in whole():  # the libraries are loaded once, before the cases
    with tempfile.TemporaryDirectory() as place:
        for file, content in whole()[original].items():
            (Path(place) / file).write_bytes(content)
        encoded(f"{SCHEMES[original]}:{Path(place) / original}")
