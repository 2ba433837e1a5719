"""What the test videos score at a point of a fit, in one file.

Tensors: `scores.N` `(T,)` and, for a method that gives them, `class_scores.N` `(T, K)` of the N-th video. Metadata:
`videos`, in JSON, their names and the hash of the numbers. It is one entry, so that the same scores are the same bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.errors import WsvadError
from wsvad.files import atomic
from wsvad.runs.scorer import Scored
from wsvad.runs.sealed import digest_of, own_file
from wsvad.shapes import problems


class Point(TypedDict):
    names: list[str]
    sha256: str


def write_point(path: Path, scored: Mapping[str, Scored]) -> None:
    """Write the scores of videos, whole or not at all."""
    tensors = {}
    for number, one in enumerate(scored.values()):
        tensors[f"scores.{number}"] = np.ascontiguousarray(one.scores, np.float32)
        if one.class_scores is not None:
            tensors[f"class_scores.{number}"] = np.ascontiguousarray(one.class_scores, np.float32)
    about = {"names": list(scored), "sha256": digest_of(tensors)}
    with atomic(path) as temporary:
        temporary.write_bytes(serialise(tensors, metadata={"videos": json.dumps(about)}))


def read_point(path: Path, remedy: str) -> dict[str, Scored]:
    """Video → its scores.

    Raises:
        WsvadError: they are not there, or damaged.
    """
    try:
        own_file(path)
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
            about = json.loads((file.metadata() or {})["videos"])
        # Format 3 has the names alone.
        about = {"names": about, "sha256": digest_of(tensors)} if isinstance(about, list) else about
        for problem in problems(about, Point, "videos"):
            raise ValueError(problem)
        if about["sha256"] != digest_of(tensors):
            raise ValueError("other numbers than were written")
        return {
            name: Scored(
                scores=_floats(tensors[f"scores.{number}"], 1),
                class_scores=_floats(tensors[key], 2) if (key := f"class_scores.{number}") in tensors else None,
            )
            for number, name in enumerate(about["names"])
        }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WsvadError(f"{path}: damaged or missing ({error}); {remedy}") from None


def _floats(array: np.ndarray, axes: int) -> np.ndarray:
    if array.dtype != np.float32 or array.ndim != axes or not np.isfinite(array).all():
        raise ValueError(f"scores of type {array.dtype} and shape {array.shape}, or not finite")
    return array
