"""The streams of a video that are made from its sound, on the clock of its snippets."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from wsvad.encoders.encoder import Encoder, SoundEncoder
from wsvad.errors import WsvadError
from wsvad.video.sound import has_sound, windows

AT_ONCE = 16
"""Snippets that an encoder gets at a time."""


def apart(
    encoders: Mapping[str, tuple[Encoder, ...]],
) -> tuple[dict[str, tuple[Encoder, ...]], dict[str, tuple[SoundEncoder, ...]]]:
    """The streams that are made from frames, and those that are made from sound."""
    heard = {stream for stream, each in encoders.items() if any(hasattr(one, "hearing") for one in each)}
    return (
        {stream: each for stream, each in encoders.items() if stream not in heard},
        {stream: cast("tuple[SoundEncoder, ...]", each) for stream, each in encoders.items() if stream in heard},
    )


def hear(
    path: Path,
    encoders: Mapping[str, tuple[SoundEncoder, ...]],
    middles: Sequence[float],
    start: Fraction,
    offsets: Sequence[Fraction],
) -> dict[str, list[np.ndarray]]:
    """The rows `(D,)` of each stream, one a snippet.

    Args:
        path: the video.
        encoders: stream → encoders, joined on the feature axis.
        middles: seconds of the middle of each snippet.
        start, offsets: see `windows`.

    Raises:
        WsvadError: the file cannot be opened; or an encoder breaks its word.
    """
    if not encoders:
        return {}
    each = {id(encoder): encoder for several in encoders.values() for encoder in several}
    rows = {key: np.concatenate(list(_rows(path, encoder, middles, start, offsets))) for key, encoder in each.items()}
    return {
        stream: list(np.concatenate([rows[id(encoder)] for encoder in several], axis=1))
        for stream, several in encoders.items()
    }


def silence(path: Path, encoders: Mapping[str, tuple[Encoder, ...]]) -> str:
    """A sentence, where streams are made from the sound of a video that has none."""
    heard = apart(encoders)[1]
    if not heard or has_sound(path):
        return ""
    return f"{path}: has no sound; its {' and '.join(heard)} features are those of silence"


def _rows(
    path: Path, encoder: SoundEncoder, middles: Sequence[float], start: Fraction, offsets: Sequence[Fraction]
) -> Iterator[np.ndarray]:
    hearing = encoder.hearing
    sound = windows(path, middles, rate=hearing.rate, seconds=hearing.seconds, start=start, offsets=offsets)
    while waves := list(islice(sound, AT_ONCE)):
        rows = np.asarray(encoder.encode_sound(waves), dtype=np.float32)
        if rows.shape != (len(waves), encoder.width):
            raise WsvadError(
                f"encoder {encoder.name}: gave features of shape {rows.shape} for {len(waves)} snippets, not "
                f"({len(waves)}, {encoder.width})"
            )
        yield rows
