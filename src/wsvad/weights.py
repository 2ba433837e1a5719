"""Weights in a file: the tensors by name, and nothing that would run."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from wsvad.errors import WsvadError
from wsvad.files import instead
from wsvad.spelling import short

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
"""Keys under which training scripts put the weights beside an optimiser's state and an epoch."""

PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.")
"""What stands before all names where a network was saved inside of something else: DataParallel, a trainer, a compiled
module."""

NUMBERS = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16,
    torch.int32, torch.int64,
)  # fmt: skip
"""Types of numbers that weights may have."""


class Beside:
    """What stands in place of a thing beside the weights that is not read: it takes whatever it is made of, and keeps
    nothing."""

    def __init__(self, *made_of: Any, **settings: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


SKIPPED = (
    "argparse.Namespace", "types.SimpleNamespace", "pathlib.Path", "pathlib.PosixPath",
    "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath", "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{what}" for core in ("core", "_core") for what in ("scalar", "_reconstruct")),
)  # fmt: skip
"""What training scripts keep beside the weights: their options, and a metric as a NumPy number."""


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """A checkpoint's tensors by name: `.safetensors`, or whatever ending a file of `torch.save` has.

    Only tensors are read. A file of `torch.save` is a pickle, which may call any function when it is opened; what is
    known to stand beside weights is passed over, and a file that asks for anything else is not opened.

    Raises:
        WsvadError: the file is missing, would run code, or does not hold weights.
    """
    path = Path(path)
    if not path.is_file():
        raise WsvadError(f"{path}: there is no such file; nothing is downloaded, so put the weights there")
    if told := instead(path):
        raise WsvadError(f"{path}: {told}")
    try:
        if path.suffix == ".safetensors":
            return _tensors(path, load(path.read_bytes()))
        _check_unpacked(path)
        with torch.serialization.safe_globals([(Beside, name) for name in SKIPPED]):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except WsvadError:
        raise
    except pickle.UnpicklingError as error:
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = (
            f"refused, because opening it would call {called[1][:200]}"
            if called
            else "not a checkpoint of weights only"
        )
        raise WsvadError(
            f"{path}: {why}; if you trust it, save its weights only: torch.save(model.state_dict(), FILE)"
        ) from None
    except Exception as error:  # a damaged pickle fails in any way
        raise WsvadError(f"{path}: not a checkpoint ({_reason(error)}); copy or download it again") from None
    return _tensors(path, held)


def without_prefix(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that the network itself gives them."""
    given = dict(state_dict)
    while given and (found := next((p for p in PREFIXES if all(key.startswith(p) for key in given)), None)):
        given = {key.removeprefix(found): tensor for key, tensor in given.items()}
    return given


def check_finite(path: Path | str, weights: Mapping[str, Tensor]) -> None:
    """Make sure that weights are numbers.

    Raises:
        WsvadError: some are not.
    """
    bad = next((key for key, tensor in weights.items() if not bool(torch.isfinite(tensor).all())), None)
    if bad is not None:
        raise WsvadError(f"{path}: '{short(bad)}' holds numbers that are not finite; copy or download it again")


def _check_unpacked(path: Path) -> None:
    """Compare sizes before anything is unpacked: `torch.save` writes an archive, and compresses nothing in it.

    Raises:
        WsvadError: there would be much more than is in the file.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return  # the older form, which is no archive
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(one.file_size for one in archive.infolist())
    if unpacked > 2 * (size := path.stat().st_size) + 2**20:
        raise WsvadError(
            f"{path}: refused, because {size:,} bytes unpack to {unpacked:,}; if you trust it, save its weights again "
            "with torch.save"
        )


def _tensors(path: Path, held: Any) -> dict[str, Tensor]:
    """The tensors of what was loaded, out of its wrappers."""
    inside, through = held, set[int]()
    while isinstance(inside, Mapping) and (key := _wrapper(inside)) is not None:
        if id(inside) in through:
            raise WsvadError(f"{path}: '{short(key)}' contains itself; save model.state_dict()")
        through.add(id(inside))
        inside = inside[key]
    if not isinstance(inside, Mapping) or not inside:
        raise WsvadError(f"{path}: holds a {type(inside).__name__} without named weights; save model.state_dict()")
    for name, value in inside.items():
        if not isinstance(value, Tensor):
            what = "thing that is not read" if isinstance(value, Beside) else type(value).__name__
            raise WsvadError(f"{path}: '{short(name)}' is a {what}, not a tensor; save model.state_dict()")
        if problem := _unusual(value):
            raise WsvadError(f"{path}: '{short(name)}' is {problem}; save model.state_dict() of plain tensors")
    return {str(name): value for name, value in inside.items()}


def _unusual(tensor: Tensor) -> str:
    """What a tensor is that is no array of numbers in memory; empty for one that is."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return "sparse, quantised or without numbers"
    if tensor.dtype not in NUMBERS:
        return f"of type {tensor.dtype}"
    # One whose rows are all the same place would take memory when it is copied.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "larger than what is stored of it"
    return ""


def _wrapper(held: Mapping[Any, Any]) -> Any:
    """The key under which the weights are, a usual one or that of the only thing that is tensors by name; None where
    they are here. A metric may stand beside them as a tensor of one number."""
    here = any(isinstance(value, Tensor) for value in held.values())
    inside = [key for key, value in held.items() if isinstance(value, Mapping) and value]
    whole = [key for key in inside if all(isinstance(value, Tensor) for value in held[key].values())]
    usual = next((key for key in WRAPPERS if key in (whole if here else inside)), None)
    many = any(isinstance(value, Tensor) and value.numel() > 1 for value in held.values())
    return usual if usual is not None or many or len(whole) != 1 else whole[0]


def _reason(error: Exception) -> str:
    words = (str(error).splitlines() or [""])[0][:120]
    return words if " " in words else "neither torch.save's nor safetensors"
