"""A trained method on disk: `model.safetensors` (weights, normalisation) and `model.json` (everything else)."""

import dataclasses
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from wsvad.datasets.dataset import Bag
from wsvad.encoders.build import ENCODERS, split
from wsvad.errors import UsageError, WsvadError
from wsvad.files import atomic, is_file, read_json, write_json
from wsvad.methods import METHODS
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.records import Model
from wsvad.shapes import checked
from wsvad.version import __version__

FORMAT = 3
"""Version of the run folder; raised when an older program could no longer read it."""
READ = (2, 3)
"""Versions that are read."""


@dataclass(kw_only=True)
class TrainedMethod:
    """A method with what scoring needs beside its network."""

    name: str
    """Name in the registry."""
    method: Any
    """The network, in eval mode."""
    widths: dict[str, int]
    """D of each stream."""
    normalisation: Normalisation
    encoders: dict[str, str] = field(default_factory=dict)
    """Stream → encoder as the user named it, with its path; empty where only features were there."""
    passports: dict[str, dict[str, object]] = field(default_factory=dict)
    """Stream → how the training features were made."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """Thresholds and what they promise, see `wsvad.detection.calibration`."""
    window: int = 64
    """W, the snippets that online scoring looks back on."""

    def check(self, bag: Bag) -> Bag:
        """The bag, if its streams are as wide as those that were learned from.

        Raises:
            WsvadError: one is not.
        """
        for stream in self.method.runs_on:
            found = bag.streams[stream].shape[-1]
            if found != self.widths[stream]:
                raise WsvadError(
                    f"{bag.video}: {stream} features of width {found}, but this run of {self.name} reads "
                    f"{self.widths[stream]}; use features of the encoder that it was trained with"
                )
        return bag


def save_method(folder: Path, trained: TrainedMethod) -> None:
    """Write both files; `model.json` last, so that a folder with it is whole."""
    tensors = {f"method.{name}": value.contiguous() for name, value in trained.method.state_dict().items()}
    for kind in ("mean", "std"):
        for stream, value in getattr(trained.normalisation, kind).items():
            tensors[f"normalisation.{kind}.{stream}"] = value
    with atomic(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "method": trained.name,
            "config": dataclasses.asdict(trained.method.config),
            "learns_from": list(trained.method.learns_from),
            "runs_on": list(trained.method.runs_on),
            "widths": trained.widths,
            "normalisation": trained.normalisation.kinds,
            "encoders": trained.encoders,
            "passports": trained.passports,
            "calibration": trained.calibration,
            "window": trained.window,
            "plugins": plugins(trained.name, trained.encoders.values()),
            "versions": {"wsvad": __version__, "torch": torch.__version__, "python": platform.python_version()},
        },
    )


def plugins(method: str, specs: Iterable[str]) -> dict[str, str]:
    """What other packages brought to a method: `method top-mean` → `wsvad-example 0.1.0`."""
    schemes = sorted({part.partition(":")[0] for spec in specs for part in split(spec)})
    found = {f"method {method}": METHODS.package(method)}
    found |= {f"encoder {scheme}": ENCODERS.package(scheme) for scheme in schemes}
    return {what: package for what, package in found.items() if package}


def load_method(folder: Path | str) -> TrainedMethod:
    """Read a run folder.

    Raises:
        WsvadError: it is not a run, was written by a newer version, or its weights do not fit.
    """
    folder = Path(folder)
    if not is_file(folder / "model.json"):
        raise WsvadError(
            f"{folder}: not a finished run (no model.json); 'wsvad train … --out {folder}' creates or completes it"
        )
    record = checked(folder / "model.json", read_json(folder / "model.json"), dict[str, Any], "train again")
    if record.get("format") not in READ:
        raise WsvadError(
            f"{folder}/model.json: run format {record.get('format')}, this is wsvad {__version__} with formats "
            f"{READ[0]} to {READ[-1]}; use wsvad {_writer(record)} or "
            "train again"
        )
    record = checked(folder / "model.json", record, Model, "train again")
    kind = _kind(folder, record)
    try:
        # From its bytes: a path that is not UTF-8 cannot be mapped.
        tensors = load((folder / "model.safetensors").read_bytes())
        method = kind(record["widths"], configure(kind.config_class, record["config"]))
        weights = {n.removeprefix("method."): v for n, v in tensors.items() if n.startswith("method.")}
        method.load_state_dict(weights)
        _check_fit(method, record, tensors)
    except Exception as error:  # a configuration from a file can make a network fail in any way
        reason = str(error).splitlines()[0] if isinstance(error, _PLAIN) else f"{type(error).__name__}: {error}"
        raise WsvadError(f"{folder}/model.safetensors: does not fit model.json ({reason}); train again") from None
    statistics = {
        name: {
            stream: tensors[f"normalisation.{name}.{stream}"]
            for stream, kind in record["normalisation"].items()
            if kind == "standardise"
        }
        for name in ("mean", "std")
    }
    return TrainedMethod(
        name=record["method"],
        method=method.eval(),
        widths=record["widths"],
        normalisation=Normalisation(kinds=record["normalisation"], **statistics),
        encoders=record["encoders"],
        passports=record["passports"],
        # Format 2 has one threshold.
        calibration=record.get("calibration" if record["format"] > 2 else "threshold", {}),
        window=record["window"],
    )


_PLAIN = (WsvadError, OSError, SafetensorError, RuntimeError, TypeError)
"""What says by itself what is wrong."""


def _writer(record: dict[str, Any]) -> str:
    """The version that wrote it."""
    versions = record.get("versions")
    return str(versions.get("wsvad")) if isinstance(versions, dict) else "of another version"


def _kind(folder: Path, record: dict[str, Any]) -> Any:
    """The method's class. The encoders of the run are asked for as well, if they come from other packages."""
    for what, package in record.get("plugins", {}).items():
        registry, name = METHODS if what.startswith("method ") else ENCODERS, what.partition(" ")[2]
        if name not in list(registry):
            raise WsvadError(f"{folder}/model.json: {what} comes from {package}, which is not installed; install it")
    try:
        return METHODS[record["method"]]
    except UsageError as error:
        raise WsvadError(f"{folder}/model.json: {error}") from None


def _check_fit(method: Any, record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """The parts of a run folder go together.

    Raises:
        WsvadError: they do not.
    """
    if record["window"] < 1:
        raise WsvadError(f"window {record['window']}")
    for stream in method.runs_on:
        for part in ("widths", "normalisation", *(["passports"] if record["encoders"].get(stream) else [])):
            if stream not in record[part]:
                raise WsvadError(f"{part} without {stream}")
    for stream, kind in record["normalisation"].items():
        for name in ("mean", "std") if kind == "standardise" else ():
            found = tensors.get(f"normalisation.{name}.{stream}")
            if found is None or found.shape != (record["widths"].get(stream),):
                raise WsvadError(f"no {name} of {stream}, or of another width")
    if bad := [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise WsvadError(f"{bad[0]} is not finite")


def configure(config_class: type, values: dict[str, Any]) -> Any:
    """Build a configuration from JSON or YAML, where tuples have become lists and nested configurations dictionaries.

    Values of fields that there are no longer are passed on, so that the class refuses them.
    """
    defaults = config_class()
    given = {}
    for name, value in values.items():
        default = getattr(defaults, name, None)
        if dataclasses.is_dataclass(default):
            value = configure(type(default), value)
        given[name] = tuple(value) if isinstance(default, tuple) else value
    return config_class(**given)
