"""What a detector said of videos, kept beside the results: `score` is taken up where it was interrupted, and another
threshold needs no second look at the videos.

    OUT/scored/VIDEO.safetensors

Tensors: `scores`, and `times`, `class_scores`, `shift`, `embeddings`, `attributions.NAME` where there are any.
Metadata: `record`, in JSON: what they were made from and the clock. Whatever does not fit is scored again.
"""

import hashlib
import json
import logging
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.errors import shortage
from wsvad.features.store import feature_path
from wsvad.files import atomic, is_file, overlong, sampled_sha256
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import Mode, Scored
from wsvad.shapes import problems
from wsvad.version import __version__
from wsvad.video.clock import SnippetClock
from wsvad.video.reader import counted_rate

logger = logging.getLogger(__name__)


class Record(TypedDict):
    made: dict[str, str]
    frames: int
    stride: int
    rate: str | None


class Kept:
    """The scored videos of a folder, by one detector in one mode."""

    def __init__(self, out: Path, run: Path, mode: Mode, rate: float | None = None):
        self.out = out
        self.rate = rate
        """Frames per second that raw streams are read at which do not say it."""
        self.made = {"wsvad": __version__, "model": RunFolder(run).model_hash(), "mode": mode}

    def path(self, video: str) -> Path:
        """Where a video's scores are kept: by its name, or by the hash of one that is too long for that."""
        path = feature_path(self.out, "scored", video)
        short = hashlib.sha256(os.fsencode(video)).hexdigest()
        return self.out / "scored" / f"{short}.safetensors" if overlong(f"{path}.overlay.json") else path

    def drawing(self, video: str) -> Path:
        """Where it is noted what a video's overlay was drawn from."""
        return self.path(video).with_suffix(".overlay.json")

    def read(self, video: str, file: Path) -> tuple[SnippetClock, Scored] | None:
        """What was said of a video; None where it has to be scored: for the first time, or because the file, the model
        or the mode are others."""
        path = self.path(video)
        if not is_file(path) or not is_file(file):
            return None
        try:
            with safe_open(path, framework="numpy") as stored:
                record = json.loads((stored.metadata() or {})["record"])
                for problem in problems(record, Record, "record"):
                    raise ValueError(problem)
                if record["made"] != self._made_from(file):
                    return None
                return _understood(record, {name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            if shortage(error):
                raise
            logger.info("%s: damaged (%s); scoring the video again", path, error)
            return None

    def write(self, video: str, file: Path, clock: SnippetClock, scored: Scored) -> None:
        """Keep what was said of a video.

        Raises:
            WsvadError: the disk is full.
        """
        rows = {
            "scores": scored.scores,
            "times": clock.times,
            "class_scores": scored.class_scores,
            "shift": scored.shift,
            "embeddings": scored.embeddings,
        } | {f"attributions.{name}": share for name, share in scored.attributions.items()}
        record = {
            "made": self._made_from(file),
            "frames": clock.frames,
            "stride": clock.stride,
            "rate": None if clock.rate is None else str(clock.rate),
        }
        tensors = {name: np.ascontiguousarray(array) for name, array in rows.items() if array is not None}
        with atomic(self.path(video)) as temporary:
            temporary.write_bytes(serialise(tensors, metadata={"record": json.dumps(record)}))

    def _made_from(self, file: Path) -> dict[str, str]:
        rate = counted_rate(file, self.rate)
        return self.made | {"source": sampled_sha256([file])} | ({"rate": str(rate)} if rate else {})


def _understood(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[SnippetClock, Scored]:
    """What a file holds.

    Raises:
        ValueError, LookupError, ArithmeticError: it is not what `write` writes.
    """
    scores, times = arrays["scores"], arrays.pop("times", None)
    if scores.ndim != 1 or not len(scores) or not all(len(array) == len(scores) for array in arrays.values()):
        raise ValueError("arrays of different lengths")
    if times is not None and (times.shape != (len(scores) + 1,) or not (np.diff(times) >= 0).all()):
        raise ValueError("times that do not increase")
    if not all(np.isfinite(array).all() for array in arrays.values()) or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores outside [0, 1]")
    rate = None if record["rate"] is None else Fraction(record["rate"])
    clock = SnippetClock(snippets=len(scores), frames=record["frames"], stride=record["stride"], times=times, rate=rate)
    named = (name.partition(".") for name in arrays)
    return clock, Scored(
        scores=scores,
        class_scores=arrays.get("class_scores"),
        shift=arrays.get("shift"),
        embeddings=arrays.get("embeddings"),
        attributions={name: arrays[f"attributions.{name}"] for kind, _, name in named if kind == "attributions"},
    )
