"""Public checkpoints: damaged as a file, in the pickle inside, with weights that are none, and with intent."""

import argparse
import io
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as serialise

from fuzz.harness import INTERNAL, Case, Fault, kind
from fuzz.mutate import damaged_bytes, replace
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs.importing import import_checkpoint
from wsvad.runs.model import load_method

CONFIG = UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8)


@cache
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(UrDmu({"rgb": 16}, CONFIG).to_official())


@kind("checkpoints", prepare=weights)
def checkpoints(rng: random.Random, folder: Path) -> Case:
    marker = folder / "executed"
    content = rng.choice((plain, plain, inside, inside, odd, odd, hostile))(rng, marker)
    path = (
        folder / f"weights{'.safetensors' if content[:1] not in (b'P', bytes([128])) else rng.choice(('.pkl', '.pt'))}"
    )
    path.write_bytes(content)
    if rng.random() < 0.05:
        replace(rng, path)

    def case() -> None:
        try:
            import_checkpoint(path, "ur-dmu", CONFIG, folder / "run")
        finally:
            if marker.exists():
                raise Fault(INTERNAL, "the file was executed")
        load_method(folder / "run")

    return case


def saved(what: Any, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def plain(rng: random.Random, marker: Path) -> bytes:
    """A whole file in one of its forms, with bytes of it damaged."""
    beside = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "auc": np.float64(0.9)}
    form: Callable[[], bytes] = rng.choice(
        (
            lambda: saved(weights()),
            lambda: saved(weights(), legacy=True),
            lambda: saved({"state_dict": weights(), **beside}),
            lambda: saved({f"module.{name}": value for name, value in weights().items()}),
            lambda: serialise(weights()),
        )
    )
    content = form()
    # Most of a file is numbers; what is around them is at its ends.
    edge = rng.choice((len(content), 2000))
    return damaged_bytes(rng, content[:edge]) + content[edge:] if rng.random() < 0.8 else damaged_bytes(rng, content)


def inside(rng: random.Random, marker: Path) -> bytes:
    """An archive that is whole, of a damaged file in it, or more."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(weights()))) as archive, zipfile.ZipFile(file, "w") as other:
        hit = rng.choice([one for one in archive.namelist() if "data/" not in one or rng.random() < 0.3])
        for name in archive.namelist():
            content = archive.read(name)
            if name == hit:
                content = rng.choice((damaged_bytes(rng, content), bytes(30_000_000), b"", content * 2))
            packed = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            if name != hit or rng.random() < 0.95:
                other.writestr(name, content, packed)
    return file.getvalue()


def odd(rng: random.Random, marker: Path) -> bytes:
    """Tensors that are no weights."""
    held: dict[Any, Any] = dict(weights())
    name = rng.choice(sorted(held))
    one = held[name]
    held[name] = rng.choice(
        (
            lambda: one * torch.nan, lambda: torch.zeros(1).expand(10**6, 10**6), lambda: one.to_sparse(),
            lambda: one.to(torch.complex64), lambda: one.to(torch.float8_e4m3fn), lambda: one.to("meta"),
            lambda: torch.quantize_per_tensor(one.float(), 0.1, 0, torch.qint8), lambda: one[:1], lambda: one.double(),
            lambda: one.to(torch.int64), lambda: torch.nn.Parameter(one), lambda: {"a": one}, lambda: None,
            lambda: "x" * 100_000, lambda: torch.zeros(()), lambda: torch.zeros(0), lambda: one[None],
        )
    )()  # fmt: skip
    if rng.random() < 0.3:
        held[rng.choice((0, None, "x" * 10_000, "a\nb", "\x1b[31m", ("x", 1)))] = held.pop(name)
    if rng.random() < 0.1:
        return saved(around_itself(rng, held), legacy=rng.random() < 0.3)
    if rng.random() < 0.3:
        wrapped: Any = held
        for _ in range(rng.choice((1, 3, 100))):
            wrapped = {rng.choice(("state_dict", "model", "x", 0)): wrapped}
        held = wrapped
    return saved(held, legacy=rng.random() < 0.3)


def around_itself(rng: random.Random, held: dict[Any, Any]) -> Any:
    """Something that contains itself, beside the weights or in place of them."""
    outer: dict[Any, Any] = dict(held) if rng.random() < 0.5 else {}
    inner = outer
    for _ in range(rng.randrange(3)):
        key = rng.choice(("state_dict", "model", "x"))
        inner[key] = {}
        inner = inner[key]
    round_it: Any = rng.choice((outer, [outer], (outer,), {"net": outer}))
    if isinstance(round_it, list):
        round_it.append(round_it)
    inner[rng.choice(("state_dict", "model", "net", "y", 0))] = round_it
    return outer


class Executed:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


def hostile(rng: random.Random, marker: Path) -> bytes:
    """Something that runs when it is opened, or that is larger in memory."""
    match rng.randrange(4):
        case 0:
            return pickle.dumps({"state_dict": Executed(marker)})
        case 1:
            return saved({**weights(), "x": Executed(marker)}, legacy=rng.random() < 0.5)
        case 2:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for number in range(3):
                    archive.writestr(f"archive/data/{number}", bytes(10**7))
                archive.writestr("archive/data.pkl", pickle.dumps({}))
                archive.writestr("archive/version", "3\n")
            return file.getvalue()
        case _:
            return pickle.dumps(rng.choice(([], {}, "x", 10**5000, [[]] * 10**5, bytearray(10**6), {"a": {"b": {}}})))
