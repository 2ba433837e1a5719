"""Whether a file of a run is the run's own, and as it was written.

A JSON file of a run holds a hash of the rest of it, and where it is about weights, theirs: numbers that a run remembers
of itself, a threshold above all, are not believed once they were edited or damaged, whatever was hit. It is no proof of
who wrote them. Files of older versions have no hash, and are held to their shape and ranges alone.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.errors import WsvadError
from wsvad.files import is_file, sha256, without_nan

SEAL = "sha256"
"""Key of the hash."""
AGAIN = "copy the run again from where it was made, or train again"
"""What to do about a file that is not as it was written."""


def own_file(path: Path) -> Path | None:
    """The path, if a regular file of its folder is there; None if nothing is.

    Raises:
        WsvadError: something else is there: a link out of the folder, a pipe, a folder.
    """
    if not os.path.lexists(path):
        return None
    # `realpath`, because it also ends where links lead in a circle.
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent))
    if not (inside and is_file(path)):
        raise WsvadError(f"{path}: not a regular file of this folder; copy the run again, with its files themselves")
    return path


def own_folder(path: Path) -> Path:
    """The path, if it is no link: what is written to a folder of a run, or removed there, is the run's.

    Raises:
        WsvadError: it is one.
    """
    if path.is_symlink():
        raise WsvadError(
            f"{path}: a link, which may lead out of the run; copy the run again, with its files themselves"
        )
    return path


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its hash, for `write_json`."""
    rest = {key: value for key, value in record.items() if key != SEAL}
    return {**rest, SEAL: _digest(json.loads(json.dumps(without_nan(rest))))}


def unsealed(path: Path, record: Any, remedy: str = AGAIN) -> Any:
    """What a file holds, without its hash, if it has one.

    Raises:
        WsvadError: the hash is of something else.
    """
    if not isinstance(record, dict) or SEAL not in record:
        return record
    rest = {key: value for key, value in record.items() if key != SEAL}
    if record[SEAL] != _digest(rest):
        raise WsvadError(f"{path}: was edited or damaged after it was written; {remedy}")
    return rest


def check_weights(path: Path, record: Mapping[str, Any], weights: Path, remedy: str = AGAIN) -> None:
    """Make sure that the weights are those that a record is about, as far as it says.

    Raises:
        WsvadError: they are others, or damaged.
    """
    try:
        same = "weights" not in record or (own_file(weights) is not None and sha256(weights) == record["weights"])
    except OSError as error:
        raise WsvadError(f"{weights}: {error.strerror or error}") from None
    if not same:
        raise WsvadError(f"{weights}: damaged, or not the weights that {path.name} belongs to; {remedy}")


def digest_of(tensors: Mapping[str, np.ndarray]) -> str:
    """A hash of arrays by name, for the metadata beside them."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape} ".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _digest(record: Any) -> str:
    try:
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    except RecursionError:
        return ""  # that of no record
