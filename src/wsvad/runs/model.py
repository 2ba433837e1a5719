"""A trained method on disk: `model.safetensors` (weights, normalisation) and `model.json` (everything else).

Both are as they were written or refused, see `wsvad.runs.sealed`. To change a finished run, load it, replace what is to
be changed and save it; for thresholds alone there is `save_calibration`.
"""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from wsvad.datasets.dataset import Bag
from wsvad.encoders.build import ENCODERS, split
from wsvad.errors import UsageError, WsvadError
from wsvad.features.official import RELEASE
from wsvad.features.store import Passport
from wsvad.files import atomic, read_json, sha256, write_json
from wsvad.methods import METHODS
from wsvad.runs.familiarity import Familiarity
from wsvad.runs.familiarity_record import familiarity_of, numbers_of, tensors_of
from wsvad.runs.normalisation import FITTED, Normalisation
from wsvad.runs.records import Model
from wsvad.runs.sealed import AGAIN, SEAL, check_weights, own_file, sealed, unsealed
from wsvad.shapes import checked
from wsvad.version import __version__
from wsvad.video.clock import SnippetClock
from wsvad.video.decoding import Decode, told

UNCALIBRATED = 0.5
"""The threshold of a detector that no normal video was kept apart for."""
FORMAT = 4
"""Version of the run folder; raised when an older program could no longer read it, or would believe what this one does
not. From 4 on, model.json has hashes."""
FOREIGN = 1.5
"""By how much the frame rate of a video may differ from those of the training videos, without a word."""
READ = (2, 3, 4)
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
    filmed_at: tuple[float, float] | None = None
    """Frames per second of the training videos themselves, from the slowest to the fastest of nine in ten; None where
    that is not known."""
    familiarity: Familiarity | None = None
    """What the training videos look like; None of a run that did not record it."""

    @property
    def rate(self) -> Fraction | None:
        """Frames per second that the training videos were resampled to, as every video then has to be; None for their
        own."""
        found = [self.passports.get(stream, {}).get("rate") for stream in self.method.runs_on]
        return next((Fraction(str(rate)) for rate in found if rate), None)

    @property
    def decode(self) -> Decode:
        """How videos have to be decoded: as the training videos were, without hardware that is not everywhere."""
        found = {self.passports.get(stream, {}).get("decode", "exact") for stream in self.method.runs_on}
        return "fast" if "fast" in found else "exact"

    def foreign_rate(self, clock: SnippetClock) -> str:
        """How the frame rate of a video is another one than in training, where it is not resampled; empty where it is
        near, or not known."""
        found = clock.filmed_rate
        if self.rate or not self.filmed_at or not found:
            return ""
        low, high = self.filmed_at
        if low / FOREIGN <= round(found, 2) <= high * FOREIGN:  # a rate that was measured is never whole
            return ""
        learned = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
        return (
            f"{found:.3g} frames/s, but the detector learned from videos with {learned}: what moves has another speed "
            f"in its features; train again with --rate {min(low, found):.3g}"
        )

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

    def difference(self, stream: str, passport: Passport) -> str | None:
        """How features of a stream are made otherwise than those that were learned from, as text; None where they are
        not, or nothing is known, as of an imported run.

        Another version of the decoder does not count: it changes pixels by a rounding at most. Nor does decoding by
        hardware: it changes those of damaged videos alone. Nor does a gate: what moves has the same features, and what
        does not move those of another moment of the same stillness. Nor does the number of crops in the files of a
        release, which says nothing of how they were made.
        """
        if stream not in self.passports:
            return None
        learned = Passport(**{**vars(passport), "rate": None, "decode": "exact", **self.passports[stream]})
        there = replace(passport, decoder=learned.decoder, gate=learned.gate)
        if told(learned.decode) == told(passport.decode):
            there = replace(there, decode=learned.decode)
        if learned.encoder == passport.encoder == RELEASE:
            there = replace(there, settings=learned.settings)
        return learned.difference(there)

    def check_making(self, passports: Mapping[str, Passport], features: object, run: Path) -> None:
        """Make sure that features are made as those that were learned from.

        Args:
            passports: of each stream.
            features, run: where they and this run are.

        Raises:
            WsvadError: a stream is not.
        """
        for stream, passport in passports.items():
            if difference := self.difference(stream, passport):
                raise WsvadError(
                    f"{features}: its {stream} features were made differently from those of {run} ({difference}); "
                    "extract them in the same way"
                )


def save_weights(folder: Path, trained: TrainedMethod) -> str:
    """Write `model.safetensors`; its hash, for records that are about these weights."""
    tensors = {f"method.{name}": value.contiguous() for name, value in trained.method.state_dict().items()}
    for kind in ("mean", "std"):
        for stream, value in getattr(trained.normalisation, kind).items():
            tensors[f"normalisation.{kind}.{stream}"] = value
    if trained.familiarity:
        tensors |= tensors_of(trained.familiarity)
    path = folder / "model.safetensors"
    with atomic(path) as temporary:
        save_file(tensors, temporary)
    return sha256(path)


def save_method(folder: Path, trained: TrainedMethod) -> None:
    """Write both files; `model.json` last, so that a folder with it is whole."""
    weights = save_weights(folder, trained)
    record = {
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
        **({"filmed_at": list(trained.filmed_at)} if trained.filmed_at else {}),
        **({"familiarity": numbers_of(trained.familiarity)} if trained.familiarity else {}),
        "plugins": plugins(trained.name, trained.encoders.values()),
        "versions": {"wsvad": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "weights": weights,
    }
    write_json(folder / "model.json", sealed(record))


def read_calibration(folder: Path) -> dict[str, Any]:
    """The thresholds of a finished run, without its network.

    Raises:
        WsvadError: it is not a run, or its `model.json` was edited or damaged.
    """
    return _calibration(_record(folder))


def threshold_of(calibration: Mapping[str, Any], mode: str) -> float:
    """The score at which an event starts, by what `model.json` says of thresholds: that which a person set for the
    mode, else that of training; where neither is known, that of the other mode, else `UNCALIBRATED`."""
    # A run of format 2 has one threshold, which was calibrated for whole videos.
    own = {"whole": calibration} if "threshold" in calibration else calibration.get("modes", {})
    known = {**own, **calibration.get("chosen", {})}
    found = known.get(mode) or next(iter(known.values()), None)
    return float(found["threshold"]) if found else UNCALIBRATED


def _calibration(record: Mapping[str, Any]) -> dict[str, Any]:
    """Format 2 has one threshold."""
    found: dict[str, Any] = record.get("calibration" if record["format"] > 2 else "threshold", {})
    return found


def save_calibration(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Replace the thresholds of a finished run in `model.json`; all else stays as it was written.

    Raises:
        WsvadError: it is not a run, was edited or damaged, or cannot be written to.
    """
    path, weights = folder / "model.json", folder / "model.safetensors"
    record = _record(folder)
    check_weights(path, record, weights)
    # A run of an older format becomes one of this: with the hash of its weights, and its threshold in the new place.
    rest = {key: value for key, value in record.items() if key != "threshold"}
    changed = {"format": FORMAT, "calibration": calibration, "weights": sha256(weights)}
    write_json(path, sealed({**rest, **changed}))


def scoring_hash(folder: Path) -> str:
    """A hash of all that decides how a finished run scores a video. Thresholds do not: they decide what is an event."""
    later = ("format", "calibration", "threshold", "versions", "weights", "filmed_at")
    record = {key: value for key, value in _record(folder).items() if key not in later}
    text = json.dumps(record, sort_keys=True) + sha256(folder / "model.safetensors")
    return hashlib.sha256(text.encode()).hexdigest()


def plugins(method: str, specs: Iterable[str]) -> dict[str, str]:
    """What other packages brought to a method: `method top-mean` → `wsvad-example 0.1.0`."""
    schemes = sorted({part.partition(":")[0] for spec in specs for part in split(spec)})
    found = {f"method {method}": METHODS.package(method)}
    found |= {f"encoder {scheme}": ENCODERS.package(scheme) for scheme in schemes}
    return {what: package for what, package in found.items() if package}


def load_method(folder: Path | str) -> TrainedMethod:
    """Read a run folder.

    Raises:
        WsvadError: it is not a run, was written by a newer version, was edited or damaged, or its weights do not fit.
    """
    folder = Path(folder)
    record = _record(folder)
    kind = _kind(folder, record)
    weights = folder / "model.safetensors"
    if own_file(weights) is None:
        raise WsvadError(f"{weights}: there is no such file; {AGAIN}")
    check_weights(folder / "model.json", record, weights)
    try:
        config = configure(kind.config_class, record["config"])
        tensors = load(weights.read_bytes())  # from its bytes: a path that is not UTF-8 cannot be mapped
        _check_size(kind, record["widths"], config, tensors)
        method = kind(record["widths"], config)
        method.load_state_dict({n.removeprefix("method."): v for n, v in tensors.items() if n.startswith("method.")})
        _check_fit(method, record, tensors)
        known = record.get("familiarity")
        familiarity = familiarity_of(known, tensors, record["widths"]) if known else None
    except Exception as error:  # a configuration from a file can make a network fail in any way
        reason = str(error) if isinstance(error, _PLAIN) else f"{type(error).__name__}: {error}"
        reason = (reason.splitlines() or [type(error).__name__])[0][:300]
        raise WsvadError(f"{weights}: does not fit model.json ({reason}); train again") from None
    mean, std = (
        {
            stream: tensors[f"normalisation.{name}.{stream}"]
            for stream, kind in record["normalisation"].items()
            if kind in FITTED
        }
        for name in ("mean", "std")
    )
    return TrainedMethod(
        name=record["method"],
        method=method.eval(),
        widths=record["widths"],
        normalisation=Normalisation(kinds=record["normalisation"], mean=mean, std=std),
        encoders=record["encoders"],
        passports=record["passports"],
        calibration=_calibration(record),
        window=record["window"],
        filmed_at=tuple(record["filmed_at"]) if "filmed_at" in record else None,
        familiarity=familiarity,
    )


def _record(folder: Path) -> dict[str, Any]:
    """What `model.json` holds."""
    path = folder / "model.json"
    if own_file(path) is None:
        raise WsvadError(
            f"{folder}: not a finished run (no model.json); 'wsvad train … --out {folder}' creates or completes it"
        )
    record: dict[str, Any] = checked(path, read_json(path, remedy=AGAIN), dict[str, Any], AGAIN)
    if record.get("format") not in READ:
        raise WsvadError(
            f"{folder}/model.json: run format {record.get('format')!r:.40}, this is wsvad {__version__} with formats "
            f"{READ[0]} to {READ[-1]}; use wsvad {_writer(record)} or train again"
        )
    checked(path, record, Model, AGAIN)
    if missing := [key for key in (SEAL, "weights") if record["format"] >= 4 and key not in record]:
        raise WsvadError(f"{path}: damaged ('{missing[0]}' is missing); {AGAIN}")
    return dict(unsealed(path, record))


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
    for stream in method.runs_on:
        for part in ("widths", "normalisation", *(["passports"] if record["encoders"].get(stream) else [])):
            if stream not in record[part]:
                raise WsvadError(f"{part} without {stream}")
    for stream, kind in record["normalisation"].items():
        for name in ("mean", "std") if kind in FITTED else ():
            found = tensors.get(f"normalisation.{name}.{stream}")
            if found is None or found.shape != (record["widths"].get(stream),):
                raise WsvadError(f"no {name} of {stream}, or of another width")
            if name == "std" and not (found > 0).all():
                raise WsvadError(f"standard deviations of {stream} that are not above 0")
    if bad := [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise WsvadError(f"{bad[0]} is not finite")


def _check_size(kind: Any, widths: dict[str, int], config: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Compare sizes before a network takes memory: one without memory is built, of the parameters that are there.

    Raises:
        WsvadError: the network has others.
    """
    there = {name: tuple(value.shape) for name, value in tensors.items()}
    try:
        with torch.random.fork_rng([]), torch.device("meta"), _Undrawn(), _at_most(2 * len(there) + 100):
            method = kind(widths, config)
    except (NotImplementedError, RuntimeError):  # a method of another package may compute where there are no numbers
        return
    for name, value in method.state_dict().items():
        if there.get(f"method.{name}") != tuple(value.shape):
            found = there.get(f"method.{name}", "missing")
            raise WsvadError(f"{name} is {found}, the configuration needs {tuple(value.shape)}")


class _Undrawn(TorchFunctionMode):
    """Where there is no memory, no normal numbers are drawn and scaled: PyTorch would import its compiler for them, two
    seconds of a processor and a hundred megabytes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.normal_:
            return args[0]
        if func in (torch.Tensor.mul, torch.Tensor.__rmul__) and len(args) > 1 and isinstance(args[1], int | float):
            return args[0].detach()
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Let no network with more parameters be built; some are registered twice."""
    found = 0

    def count(*_: Any) -> None:
        nonlocal found
        found += 1
        if found > parameters:
            raise WsvadError("the configuration needs more weights than there are")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


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
