"""Models in the layout of Hugging Face: where their files lie, and whether they can be read. Nothing is asked of a hub.

A model is a folder with `config.json` and `model.safetensors` (or its parts and their index), or a name, whose files
are in the cache that all programs of that family share: `models--ORG--NAME/snapshots/COMMIT`.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from wsvad.encoders.encoder import file_argument
from wsvad.errors import WsvadError, refuse_shortage
from wsvad.files import check_file, instead, is_file, is_folder, read_json, sha256
from wsvad.shapes import checked
from wsvad.spelling import plain, reason, short

if TYPE_CHECKING:
    from torch import Tensor

NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")
"""ORG/NAME, or NAME alone, and a branch, tag or commit."""
CONFIG = "config.json"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
"""Formats of weights that run code when they are opened, or that only other libraries read."""
MOST_JSON = 2**24
"""Bytes of a file of settings."""
OWN = "use the model's own file"
"""What to do about a file that is wrong."""
NO_NUMBERS = (
    "_name_or_path", "transformers_version", "architectures", "auto_map", "dtype", "torch_dtype", "id2label",
    "label2id", "initializer_range", "initializer_factor", "_commit_hash", "use_cache",
)  # fmt: skip
"""Fields of `config.json` that change no feature."""


def resolve(argument: str) -> str:
    """`ResolvesArgument.resolve`: a folder's absolute path; the name of a model stays as it is."""
    folder = Path(argument).expanduser()
    named = NAME.fullmatch(argument) and not argument.startswith(".")
    return argument if named and not is_folder(folder) else file_argument(argument)


def find(argument: str) -> Path:
    """The folder of a model.

    Raises:
        WsvadError: it is no folder, and no name of a model in the cache.
    """
    folder = Path(argument).expanduser()
    return folder if is_folder(folder) else in_cache(argument)


def in_cache(argument: str) -> Path:
    """The folder of a model in the cache.

    Raises:
        WsvadError: there is none of that name.
    """
    match = NAME.fullmatch(argument)
    if match is None or argument.startswith("."):
        raise WsvadError(
            f"{argument}: there is no such folder; name a folder with {CONFIG} and {WHOLE}, or a model as ORG/NAME"
        )
    place = cache() / cached_as(match["name"])
    if not is_folder(place):
        raise WsvadError(
            f"{argument}: neither a folder nor a model in the cache ({cache()}); nothing is downloaded unless you ask: "
            f"wsvad encoders --get {argument}"
        )
    return _snapshot(place, argument, match["revision"])


def cache() -> Path:
    """The cache of Hugging Face's libraries, by their own environment variables."""
    if given := os.environ.get("HF_HUB_CACHE"):
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME")
    root = Path(home).expanduser() if home else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return root.expanduser() / "hub"


def cached_as(name: str) -> str:
    """The folder of a model's name in the cache."""
    return f"models--{name.replace('/', '--')}"


def _snapshot(place: Path, argument: str, revision: str | None) -> Path:
    """The folder of a revision: of a branch or tag what it stood for when it was last downloaded, or a commit."""
    snapshots = place / "snapshots"
    there = sorted(one.name for one in snapshots.iterdir() if is_folder(one)) if is_folder(snapshots) else []
    wanted = revision or "main"
    reference = place / "refs" / wanted
    if ".." not in wanted and is_file(reference):
        wanted = reference.read_text(encoding="ascii", errors="replace").strip()
    found = [one for one in there if one == wanted or (len(wanted) >= 7 and one.startswith(wanted))]
    if not found and revision is None and len(there) == 1:
        found = there
    if len(found) != 1:
        known = ", ".join(one[:12] for one in there) or "none"
        raise WsvadError(
            f"{argument}: revision '{plain(revision or 'main')}' is not in the cache ({place}; commits there: "
            f"{known}); run: wsvad encoders --get {argument}"
        )
    return snapshots / found[0]


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`, a mapping with `model_type`.

    Raises:
        WsvadError: it is not there, not JSON or not a model's.
    """
    path = folder / CONFIG
    if not is_file(path):
        raise WsvadError(
            f"{folder}: it has no {CONFIG}; name the folder that save_pretrained wrote, or download the model again"
        )
    config = checked(path, read_json(path, most=MOST_JSON, remedy=OWN), dict[str, Any], OWN)
    if not isinstance(config.get("model_type"), str):
        raise WsvadError(f"{path}: it has no 'model_type'; use the file of a model of the library transformers")
    return config


def weight_files(folder: Path) -> list[Path]:
    """The files of weights, in the order of their names.

    Raises:
        WsvadError: there are none in safetensors' format, or the index names one that is not there.
    """
    if is_file(folder / WHOLE):
        return [folder / WHOLE]
    index = folder / INDEX
    if is_file(index):
        again = "download it again"
        weight_map = checked(index, read_json(index, most=MOST_JSON, remedy=again), dict[str, Any], again)
        files = checked(index, weight_map.get("weight_map"), dict[str, str], again, "weight_map")
        return [_part(index, name) for name in sorted(set(files.values()))]
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        raise WsvadError(
            f"{folder}: its only weights are {short(pickled[0])}, a format that can run code and is never opened; use "
            f"a revision with {WHOLE}, or, where you trust it, load it in a Python session of your own and call "
            "save_pretrained on it"
        )
    raise WsvadError(f"{folder}: it has no {WHOLE}; download the model again, or put that file there")


def _part(index: Path, name: str) -> Path:
    """One of several files, in the folder itself."""
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise WsvadError(f"{index}: it refers to weights in {short(name)!r}, not a .safetensors file beside it")
    if not is_file(index.parent / name):
        raise WsvadError(f"{index}: it refers to {short(name)}, which is not there; download the model again")
    return index.parent / name


def read_weights(folder: Path) -> dict[str, "Tensor"]:
    """All weights by name.

    Raises:
        WsvadError: a file is truncated or damaged, or lacks what the index says of it.
    """
    weights: dict[str, Tensor] = {}
    for path in weight_files(folder):
        if said := instead(path):
            raise WsvadError(f"{path}: {said}")
        check_file(path)
        try:
            with safe_open(path, framework="pt") as file:
                weights |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
        except (SafetensorError, OSError, ValueError) as error:
            refuse_shortage(error, path)
            raise WsvadError(f"{path}: truncated or damaged ({reason(error)}); download it again") from None
    index = folder / INDEX
    named = read_json(index, most=MOST_JSON)["weight_map"] if not is_file(folder / WHOLE) else {}
    if lacking := sorted(set(named) - set(weights)):
        raise WsvadError(
            f"{index}: '{short(lacking[0])}' is not in {short(named[lacking[0]])}, where it should be; the files are "
            "not of one model; download it again"
        )
    return weights


def weights_hash(folder: Path, config: dict[str, Any]) -> str:
    """SHA-256 of the weights and of what `config.json` says that changes numbers."""
    words = json.dumps(_numbers(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{sha256(*weight_files(folder))}\n{words}".encode()).hexdigest()


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items() if key not in NO_NUMBERS}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


@contextmanager
def library(folder: Path) -> Iterator[None]:
    """`transformers` may be imported and used meanwhile. It asks no hub, whatever was imported before, and its reports
    and progress lines are left out: what matters of them is said by us, in one line. What the user set holds again
    afterwards.

    Raises:
        WsvadError: it is not installed.
    """
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import PIL  # noqa: F401
        import transformers  # noqa: F401
        from huggingface_hub import constants
        from transformers.utils import logging as reports
    except ImportError as error:
        raise WsvadError(
            f"{folder}: running it needs {error.name}, which is not installed; pip install 'wsvad[transformers]'"
        ) from None
    finally:
        os.environ.pop("HF_HUB_OFFLINE")
        if before is not None:
            os.environ["HF_HUB_OFFLINE"] = before
    level, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    constants.HF_HUB_OFFLINE = True
    reports.set_verbosity(logging.CRITICAL)
    reports.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = is_offline()
        reports.set_verbosity(level)
        if bars:
            reports.enable_progress_bar()


def is_offline() -> bool:
    """Whether the user wants no hub to be asked, as the hub's library reads the environment."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE")


def first_of(names: Iterable[str]) -> str:
    """The first of some names of weights, as it is shown."""
    return f"'{short(min(names))}'"
