"""What an encoder is: snippets of frames in, one feature vector a snippet out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from wsvad.encoders.fit import Fit

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which frames of a snippet an encoder reads, and in what form. Only these are converted from the codec's."""

    count: int
    """Frames per snippet, evenly spaced."""
    size: tuple[int, int] | None = None
    """Width and height that frames are resized to; None keeps the video's own size."""
    colour: Literal["rgb", "gray"] = "rgb"
    """Three channels `(h, w, 3)`, or luma alone `(h, w)`."""
    fit: Fit | Callable[[np.ndarray], np.ndarray] | None = None
    """Instead of `size`: how a picture of the video's own size becomes the network's, where it has to be exact. `Fit`,
    or another frozen dataclass that turns `(h, w, 3)` uint8 into the same of another size."""

    def offsets(self, length: int) -> list[int]:
        """Frame offsets inside a snippet of `length` frames: the centres of `count` equal parts, always `count` of
        them (a short last snippet repeats frames)."""
        return [(2 * i + 1) * length // (2 * self.count) for i in range(self.count)]


class Encoder(Protocol):
    """Makes one stream of a video. It keeps nothing from one snippet to the next, so that a live stream and the same
    video in a file give the same features. One that sees several crops has an attribute `crops`, their number C."""

    name: str
    """As the user typed it."""
    width: int
    """D."""
    sampling: Sampling

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` or `(count, h, w)` uint8 → `(N, D)` float32, or `(N, C, D)` with crops.

        How many come at once changes no number: bit by bit on a CPU, and within rounding on another device."""
        ...

    def passport(self) -> dict[str, object]:
        """The fields of `wsvad.features.store.Passport` that the encoder answers for: `encoder`, `width`, `weights`,
        `settings`. What it calls itself there is the same wherever its files lie."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What an encoder of sound hears of each snippet."""

    rate: int
    """Samples per second."""
    seconds: float
    """Of sound around the middle of the snippet."""


class SoundEncoder(Protocol):
    """Makes one stream of the sound of a video, on the clock of its snippets. Its class has `input = "sound"`."""

    name: str
    width: int
    hearing: Hearing

    def encode_sound(self, waves: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(round(rate · seconds),)` float32 in about [-1, 1], 0 where there is no sound → `(N, D)`
        float32."""
        ...

    def passport(self) -> dict[str, object]:
        """As `Encoder.passport`."""
        ...


class CaptionEncoder(Protocol):
    """Makes a text stream of captions. Its class has `input = "captions"`, and `captions`, a static method: what is
    typed after the colon → the captions file."""

    name: str
    width: int

    def encode(self, captions: list[str]) -> np.ndarray:
        """T captions → `(T, D)` float32."""
        ...

    def passport(self) -> dict[str, object]:
        """As `Encoder.passport`."""
        ...


@runtime_checkable
class OnDevice(Protocol):
    """An encoder whose network may run on another device; it is made on the CPU."""

    def runs_on(self, device: "torch.device") -> bool:
        """Whether what is installed here runs it there."""
        ...

    def to(self, device: "torch.device") -> None:
        """Move the network there. Many snippets are then encoded at a time."""
        ...


@runtime_checkable
class HasRuntimes(Protocol):
    """An encoder whose network several libraries can run on a CPU, as `runtime:` in the YAML file beside it says."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Their names, the one that runs it first; one or none where there is no choice."""
        ...

    def run_by(self, runtime: str) -> None:
        """Have another one run it from now on.

        Raises:
            WsvadError: it is not installed, or does not run it.
        """
        ...


@runtime_checkable
class ResolvesArgument(Protocol):
    """An encoder class whose argument, what is typed after the colon, means something only where and when it is typed:
    a file, most often. The argument of any other class is kept as it is typed."""

    def resolve(self, argument: str, /) -> str:
        """A static method: the argument in a form that means the same in every folder and later on, which is what runs
        keep and what the class is made with. Resolved again, it stays as it is."""
        ...


def file_argument(argument: str) -> str:
    """`ResolvesArgument.resolve` of an argument that is a file: its absolute path."""
    return str(Path(argument).expanduser().absolute())
