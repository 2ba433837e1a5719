"""A dataset: videos, their weak labels, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsvad.metrics.interval import Interval
from wsvad.video.clock import SNIPPET, SnippetClock

if TYPE_CHECKING:  # who only looks at videos and labels does not wait for torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LabelledVideo:
    """One row of `labels.csv`."""

    name: str
    """Its name (`wsvad.video.names`), unique in the dataset; the file's path below the dataset's folder."""
    label: int
    """1 = something abnormal happens somewhere in it, 0 = nothing does."""
    category: str
    """What happens; `normal` or `abnormal` where nothing more is known; several are joined by `;`."""
    split: Literal["train", "test"]
    path: Path | None = None
    """The video file; None where only features are there."""
    frames: int | None = None
    """F as annotated; None where only decoding can tell."""
    intervals: tuple[Interval, ...] | None = None
    """The truth, empty for a normal video; None where it is not known."""
    events: tuple[Interval, ...] | None = None
    """When each category happens, where that is annotated apart from `intervals` (XD-Violence): what mAP is about."""
    camera: str | None = None
    """Which camera filmed it, where the labels say so."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Videos of one source, in list order (which is the order that scores are concatenated in)."""

    name: str
    videos: tuple[LabelledVideo, ...]
    source: dict[str, str] = field(default_factory=dict)
    """Where it was read from, as the arguments of `open_dataset`; empty where it was not."""
    benchmark: str | None = None
    """The published dataset that it is, by name, whose totals and headline metric apply."""
    drawn: bool = False
    """Nobody said which videos are for testing: some were drawn, or were drawn by an earlier call."""
    understood: str = field(default="", compare=False)
    """How its tables were read, in a sentence: `labels.csv: 36 rows, separator ';', Windows-1252`."""

    @property
    def train(self) -> tuple[LabelledVideo, ...]:
        return tuple(video for video in self.videos if video.split == "train")

    @property
    def test(self) -> tuple[LabelledVideo, ...]:
        return tuple(video for video in self.videos if video.split == "test")


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A video's streams with its weak label. All streams share the snippet clock."""

    streams: Mapping[str, Tensor]
    """Each `(T, D)` or `(C, T, D)`, the same T; in memory, or read from a file whenever it is asked for."""
    label: int
    category: str
    frames: int
    """F."""
    video: str
    """Name."""
    stride: int = SNIPPET
    """Frames from one snippet to the next."""
    times: np.ndarray | None = None
    """`(T + 1,)` seconds at which each snippet starts and the last one ends; None where they are not known."""
    rate: Fraction | None = None
    """Frames per second; None where it is not known."""
    filmed: np.ndarray | None = None
    """`(T,)` seconds of video in each snippet; None where they were not counted."""
    borders: np.ndarray | None = None
    """`(T + 1,)` frames of the video itself at which snippets begin, where it was resampled."""

    @property
    def snippets(self) -> int:
        """T."""
        return self.shape(next(iter(self.streams)))[-2]

    def shape(self, stream: str) -> tuple[int, ...]:
        """Of a stream, which is not read for that."""
        from wsvad.datasets.memory import StoredStreams

        streams = self.streams
        return streams.shapes[stream] if isinstance(streams, StoredStreams) else tuple(streams[stream].shape)

    @property
    def clock(self) -> SnippetClock:
        """When its snippets are."""
        return SnippetClock(
            snippets=self.snippets, frames=self.frames, stride=self.stride, times=self.times, rate=self.rate,
            filmed=self.filmed, borders=self.borders,
        )  # fmt: skip


def one_bag(streams: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the batch dimension: `(T, D)` → `(1, T, D)`, `(C, T, D)` → `(1, C, T, D)`, in float32."""
    return {name: stream.float()[None] for name, stream in streams.items()}
