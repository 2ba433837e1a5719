"""Long videos, encoded in slices side by side and joined into the file that one pass would have written, byte for byte.

A slice is a file in `OUT/.slices`; they are removed when the video is done. Where a video cannot be divided safely
(`video.pieces`), or is found to be damaged in a slice, it is encoded as a whole.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsvad.encoders.encoder import Encoder
from wsvad.extraction.encode import Part, encode_pictures, encode_timed, passport
from wsvad.extraction.sound import apart
from wsvad.extraction.spent import Spent
from wsvad.features.store import StoredFeatures, load, read_passport, save
from wsvad.files import is_file, sha256
from wsvad.video.clock import SNIPPET
from wsvad.video.decoding import Decode
from wsvad.video.pieces import Indivisible, Piece, divided, frames_of, layout_of
from wsvad.video.reader import VideoReader

FRAMES = 16 * 16 * 176
"""Frames of a slice, half an hour: whole snippets, and whole batches of them on a device."""
FOLDER = ".slices"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The file that slices are of: one that has changed since fits none of them."""

    source: str
    """SHA-256."""
    size: int
    changed: int
    """When it was written last, in nanoseconds."""

    @classmethod
    def of(cls, path: Path, source: str) -> "Origin":
        found = path.stat()
        return cls(source=source, size=found.st_size, changed=found.st_mtime_ns)

    def check(self, path: Path) -> None:
        """Raises: Indivisible, it is another file by now."""
        if Origin.of(path, self.source) != self:
            raise Indivisible(f"{path}: has changed while it was encoded")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A piece of a video that is to be encoded."""

    piece: Piece
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Joining:
    """All pieces of a video, which are encoded."""

    pieces: tuple[Piece, ...]
    origin: Origin


class Long(Exception):
    """A video that was opened to be encoded is long enough for slices."""


def is_long(video: VideoReader, frames: int) -> bool:
    """Whether it has two slices of so many frames, as far as it says."""
    declared = video.info.declared or (video.header().seconds or 0) * video.info.rate  # Matroska has no count
    return declared >= 2 * frames


def slices_of(path: Path, encoders: dict[str, tuple[Encoder, ...]], frames: int) -> Joining | None:
    """How a long video is divided; None where it has to be encoded in one pass.

    Args:
        frames: of a slice.
    """
    if apart(encoders)[1]:
        return None
    with VideoReader(path, threads=1) as video:
        origin = Origin.of(path, sha256(path))
        layout = layout_of(video)
    pieces = divided(layout, frames) if layout is not None else []
    return Joining(pieces=tuple(pieces), origin=origin) if len(pieces) > 1 else None


def encode_slice(
    task: Slice, path: Path, video: str, encoders: dict[str, tuple[Encoder, ...]], out: Path,
    on_frames: Callable[[int], None], at_once: int, spent: Spent, decode: Decode,
) -> None:  # fmt: skip
    """Encode a slice into a file for each stream, unless they are there.

    Raises:
        Indivisible: the video has to be encoded as a whole.
    """
    task.origin.check(path)
    piece = task.piece
    count, source = piece.end - piece.first, task.origin.source
    wanted = {stream: passport(some, decode=decode, frames=count, source=source) for stream, some in encoders.items()}
    places = {stream: _place(out, stream, video, piece) for stream in encoders}
    if all(is_file(place) and read_passport(place) == wanted[stream] for stream, place in places.items()):
        on_frames(count)
        return
    with VideoReader(path, threads=1, decode=decode) as reader:
        rows = encode_pictures(frames_of(reader, piece), encoders, on_frames, at_once, spent)
    task.origin.check(path)
    with spent.on("write"):
        for stream, each in rows.items():
            save(places[stream], StoredFeatures(features=np.stack(each, axis=-2), passport=wanted[stream]))


def joined(
    task: Joining, path: Path, video: str, encoders: dict[str, tuple[Encoder, ...]], out: Path, decode: Decode
) -> dict[str, StoredFeatures]:
    """What one pass over the video would have made.

    Raises:
        Indivisible: the video has changed, or a slice is not there.
    """
    task.origin.check(path)
    rows: dict[str, list[np.ndarray]] = {}
    for stream in encoders:
        features = [load(_place(out, stream, video, piece)).features for piece in task.pieces]
        rows[stream] = [row for each in features for row in np.moveaxis(each, -2, 0)]
    with VideoReader(path, threads=1) as reader:
        layout = layout_of(reader)
        if layout is None or len(layout.stamps) != task.pieces[-1].end:
            raise Indivisible(f"{path}: has changed while it was encoded")
        frames = reader.of_stamps(map(int, layout.stamps), layout.last)
        rate, source = reader.info.rate, task.origin.source
        stored = encode_timed(frames, encoders, Part(rows), rate=rate, source=source, decode=decode)
    task.origin.check(path)
    return stored


def forget(out: Path, video: str, streams: tuple[str, ...]) -> None:
    """Remove the slices of a video."""
    for stream in streams:
        shutil.rmtree(out / FOLDER / stream / video, ignore_errors=True)


def forget_all(out: Path) -> None:
    """Remove all slices."""
    with suppress(OSError):
        shutil.rmtree(out / FOLDER)


def _place(out: Path, stream: str, video: str, piece: Piece) -> Path:
    name = f"{piece.first // SNIPPET:08}-{-(-piece.end // SNIPPET):08}.safetensors"
    return out / FOLDER / stream / video / name
