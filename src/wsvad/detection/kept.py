"""What a detector said of videos, kept beside the results: `score` is taken up where it was interrupted, and another
threshold needs no second look at the videos.

    OUT/scored/VIDEO.safetensors
    OUT/scored/VIDEO.part               of a video that is not finished: the rows of its streams

Tensors: `scores`, and `times`, `filmed`, `borders`, `class_scores`, `shift`, `embeddings`, `attributions.NAME` where
there are any. Metadata: `record`, in JSON: what they were made from, the clock, and what the container says of the
recording's start. Whatever does not fit is scored again.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.errors import WsvadError, refuse_shortage, shortage
from wsvad.extraction.encode import Part
from wsvad.features.store import FrameRate, Frames, feature_path
from wsvad.files import atomic, check_file, is_file, overlong, remove, sampled_sha256
from wsvad.ranges import NotNegative
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import Mode, Scored
from wsvad.runs.sealed import digest_of, sealed, unsealed
from wsvad.shapes import problems
from wsvad.version import __version__
from wsvad.video.clock import SnippetClock, are_borders, are_filmed, are_frames
from wsvad.video.reader import DECODER, counted_rate

logger = logging.getLogger(__name__)

DAMAGED = (
    WsvadError, OSError, SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What reading a file ends with that is not as it was written."""


class Record(TypedDict):
    made: dict[str, str]
    size: int
    modified: int
    tags: dict[str, str]
    frames: Frames
    stride: Frames
    rate: FrameRate | None
    distance: NotRequired[NotNegative]
    tensors: str
    """Hash of the numbers."""
    sha256: str
    """Hash of the rest of the record."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was said of a video."""

    clock: SnippetClock
    scored: Scored
    tags: dict[str, str]
    """What its container says of when it was recorded (`wsvad.video.wall_clock.TAGS`)."""


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """How a file is known again."""

    size: int
    modified: int
    """Nanoseconds."""
    source: str
    """Hash of its size and of samples of its bytes."""
    raw_rate: str | None
    """Frames per second at which it is read, where it is a raw stream."""

    @classmethod
    def of(cls, file: Path, raw_rate: float | None = None) -> "Stamp":
        """Of a file as it is now.

        Args:
            raw_rate: frames per second of a raw stream that does not say it.

        Raises:
            WsvadError: it cannot be read.
        """
        check_file(file)
        try:
            found = file.stat()
            counted = counted_rate(file, raw_rate)
            return cls(
                size=found.st_size,
                modified=found.st_mtime_ns,
                source=sampled_sha256([file]),
                raw_rate=str(counted) if counted else None,
            )
        except OSError as error:
            refuse_shortage(error, file)
            raise WsvadError(f"{file}: cannot be read ({error.strerror or error}); leave it out") from None


class Kept:
    """The scored videos of a folder, by one detector in one mode."""

    def __init__(self, out: Path, run: Path, mode: Mode, raw_rate: float | None = None):
        self.out = out
        self.raw_rate = raw_rate
        """Frames per second that raw streams are read at which do not say it."""
        self.made = {"wsvad": __version__, "model": RunFolder(run).scoring_hash(), "mode": mode}

    def path(self, video: str) -> Path:
        """Where a video's scores are kept: by its name, or by the hash of one that is too long for that."""
        path = feature_path(self.out, "scored", video)
        short = hashlib.sha256(os.fsencode(video)).hexdigest()
        return self.out / "scored" / f"{short}.safetensors" if overlong(f"{path}.overlay.json") else path

    def note(self, video: str, what: str) -> Path:
        """Where it is noted what a video's overlay, or its clips, were made from."""
        return self.path(video).with_suffix(f".{what}.json")

    def read(self, video: str, file: Path) -> Found | None:
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
                record = unsealed(path, record)
                if not self._made_from(record, file):
                    return None
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no dictionary)
            if digest_of(arrays) != record["tensors"]:
                raise ValueError("other numbers than were written")
            return _understood(record, arrays)
        except DAMAGED as error:
            if shortage(error):
                raise
            logger.info("%s: damaged (%s); scoring the video again", path, error)
            return None

    def write(self, video: str, stamp: Stamp, found: Found) -> None:
        """Keep what was said of a video.

        Args:
            stamp: of the file, from before it was read: one that grows meanwhile is another one.

        Raises:
            WsvadError: the disk is full.
        """
        clock, scored = found.clock, found.scored
        rows = {
            "scores": scored.scores,
            "times": clock.times,
            "filmed": clock.filmed,
            "borders": clock.borders,
            "class_scores": scored.class_scores,
            "shift": scored.shift,
            "embeddings": scored.embeddings,
        } | {f"attributions.{name}": share for name, share in scored.attributions.items()}
        record = {
            "made": self.made | self._read(stamp),
            "size": stamp.size,
            "modified": stamp.modified,
            "tags": found.tags,
            "frames": clock.frames,
            "stride": clock.stride,
            "rate": None if clock.rate is None else str(clock.rate),
            **({} if scored.distance is None else {"distance": scored.distance}),
        }
        tensors = {name: np.ascontiguousarray(array) for name, array in rows.items() if array is not None}
        record = sealed(record | {"tensors": digest_of(tensors)})
        with atomic(self.path(video)) as temporary:
            temporary.write_bytes(serialise(tensors, metadata={"record": json.dumps(record)}))
        remove(self.part(video))

    def part(self, video: str) -> Path:
        """Where it is kept how far a video was encoded."""
        return self.path(video).with_suffix(".part")

    def read_part(self, video: str, stamp: Stamp, shapes: Mapping[str, tuple[int, ...]]) -> Part:
        """How far a video was encoded; nothing where the file, the model or the decoder are others.

        Args:
            shapes: stream → the shape of a snippet's row.
        """
        path, part = self.part(video), Part({})
        if not is_file(path):
            return part
        try:
            with safe_open(path, framework="numpy") as stored:
                about = stored.metadata() or {}
                if json.loads(about["made"]) != self._making(stamp):
                    return part
                rows = {name: stored.get_tensor(name) for name in shapes}
                if about["tensors"] != digest_of(rows):
                    raise ValueError("other numbers than were written")
        except DAMAGED as error:
            refuse_shortage(error, path)
            logger.info("%s: damaged (%s); scoring the video from its start", path, error)
            return part
        if len({array.shape[:1] for array in rows.values()}) == 1 and all(
            array.dtype == np.float32 and array.shape[1:] == shapes[name] and np.isfinite(array).all()
            for name, array in rows.items()
        ):
            part.rows = {name: list(array) for name, array in rows.items()}
        return part

    def write_part(self, video: str, stamp: Stamp, part: Part) -> None:
        """Keep how far a video was encoded.

        Raises:
            WsvadError: the disk is full.
        """
        tensors = {name: np.stack(rows[: part.snippets]) for name, rows in part.rows.items()}
        about = {"made": json.dumps(self._making(stamp)), "tensors": digest_of(tensors)}
        with atomic(self.part(video)) as temporary:
            temporary.write_bytes(serialise(tensors, metadata=about))

    def _making(self, stamp: Stamp) -> dict[str, str]:
        """What rows are made from: those of another mode are the same."""
        made = {name: made for name, made in self.made.items() if name != "mode"}
        return made | self._read(stamp) | {"decoder": DECODER}

    @staticmethod
    def _read(stamp: Stamp) -> dict[str, str]:
        """Of which bytes, and at which rate."""
        return {"source": stamp.source} | ({"raw_rate": stamp.raw_rate} if stamp.raw_rate else {})

    def _made_from(self, record: dict[str, Any], file: Path) -> bool:
        """Whether a record is of this file, by this detector in this mode. A file of another time is read for its
        hash: a copy of the same bytes is the same."""
        source = record["made"].get("source")
        counted = counted_rate(file, self.raw_rate)
        if record["made"] != self.made | {"source": source} | ({"raw_rate": str(counted)} if counted else {}):
            return False
        there = file.stat()
        if there.st_size != record["size"]:
            return False
        return there.st_mtime_ns == record["modified"] or sampled_sha256([file]) == source


def _understood(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> Found:
    """What a file holds.

    Raises:
        ValueError, LookupError, ArithmeticError: it is not what `write` writes.
    """
    scores, times, borders = arrays["scores"], arrays.pop("times", None), arrays.pop("borders", None)
    if scores.ndim != 1 or not len(scores) or not all(len(array) == len(scores) for array in arrays.values()):
        raise ValueError("arrays of different lengths")
    if times is not None and not are_borders(times, len(scores)):
        raise ValueError("times that do not increase")
    if borders is not None and not are_frames(borders, record["frames"], len(scores)):
        raise ValueError("borders that are not those of the frames")
    filmed = arrays.pop("filmed", None)
    if filmed is not None and (times is None or not are_filmed(filmed, times)):
        raise ValueError("more was filmed than the times allow")
    if not all(np.isfinite(array).all() for array in arrays.values()) or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores outside [0, 1]")
    rate = None if record["rate"] is None else Fraction(record["rate"])
    clock = SnippetClock(
        snippets=len(scores), frames=record["frames"], stride=record["stride"], times=times, rate=rate, filmed=filmed,
        borders=borders,
    )  # fmt: skip
    named = (name.partition(".") for name in arrays)
    scored = Scored(
        scores=scores,
        class_scores=arrays.get("class_scores"),
        shift=arrays.get("shift"),
        embeddings=arrays.get("embeddings"),
        attributions={name: arrays[f"attributions.{name}"] for kind, _, name in named if kind == "attributions"},
        distance=record.get("distance"),
    )
    return Found(clock=clock, scored=scored, tags=record["tags"])
