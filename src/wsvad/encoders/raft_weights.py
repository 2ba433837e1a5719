"""RAFT from its public weights (`.pth`, `.pt`, `.safetensors`), for the encoder `raft:FILE`.

What may be otherwise stands in a YAML file beside the weights, `FILE.yaml`, with the fields of `RaftPreprocessing`:

    # raft-things.pth.yaml
    output: state

`flow` is the optical flow itself, `state` (256 numbers) what the network keeps in mind of it: its last recurrent state
and the context features of the first picture, averaged over space and over pairs of pictures.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from wsvad.encoders.beside import Settings, beside
from wsvad.encoders.image_network import Frames
from wsvad.encoders.networks.published import load
from wsvad.encoders.networks.raft import HIDDEN, ITERATIONS, RAFT, SCHEMES, SMALLEST, Motion
from wsvad.encoders.torch_network import TorchNetwork, over_space
from wsvad.files import sha256
from wsvad.ranges import Range
from wsvad.video.clock import SNIPPET

AT_ONCE = 8
"""Snippets; each pair of pictures has its correlation volume."""


def _side(pixels: int) -> str:
    limits = Range(SMALLEST, 1024)
    return f"{limits}, in steps of 8" if limits(pixels) or pixels % 8 else ""


Side = Annotated[int, _side]


@dataclass(frozen=True, kw_only=True)
class RaftPreprocessing:
    """How RAFT is used."""

    size: tuple[Side, Side] = (320, 240)
    """Width and height of the pictures."""
    output: Literal["flow", "state"] = "flow"
    """The flow on a grid, or the mean of the recurrent state."""
    frames: Frames | None = None
    """Pairs of frames that the network sees in a snippet: by default 4 of consecutive frames for the flow, and 2 of
    frames four apart for the state."""
    iterations: Annotated[int, Range(1, 64)] = ITERATIONS
    """How often the flow is corrected."""


class RaftWeights:
    """RAFT on any device."""

    colour: Literal["rgb"] = "rgb"

    def __init__(self, path: Path, settings: Settings | None = None):
        """Read the weights.

        Raises:
            WsvadError: as `published.load`; or the YAML file is wrong.
        """
        self.path, self.asked = path, beside(path, RaftPreprocessing, settings)
        self.size, self.output = self.asked.size, self.asked.output
        self.frames = self.asked.frames or (4 if self.output == "flow" else 2)
        module, _ = load(lambda: RAFT(self.asked.iterations), path, SCHEMES)
        self.network = TorchNetwork(module, _pairs, take=_flow if self.output == "flow" else _state, at_once=AT_ONCE)

    def __call__(self, snippets: list[np.ndarray]) -> list[np.ndarray]:
        """The pairs of each snippet, `(P, 2, h, w, 3)` uint8 → `(P, h, w, 2)` flow, or `(P, 256)` state."""
        return self.network(snippets)

    def between(self) -> np.ndarray:
        """Pairs for the state, `(P, 2)`: between the edges that divide the snippet into P + 2 equal parts, without the
        outer ones."""
        edges = [part * SNIPPET // (self.frames + 2) for part in range(1, self.frames + 2)]
        return np.array([edges[:-1], edges[1:]]).T

    @property
    def state_width(self) -> int:
        return 2 * HIDDEN

    def runs_on(self, device: torch.device) -> bool:
        return self.network.runs_on(device)

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    def passport(self, width: int) -> dict[str, object]:
        settings = asdict(self.asked) | {"frames": self.frames, "size": list(self.size), "version": 1}
        return {
            "encoder": f"raft:{self.path.name}",
            "width": width,
            "weights": self._weights,
            "settings": settings,
        }

    @cached_property
    def _weights(self) -> str:
        return sha256(self.path)


def _pairs(pictures_P2HW3: Tensor) -> Tensor:
    return pictures_P2HW3.permute(0, 1, 4, 2, 3) * (2 / 255) - 1


def _flow(motion: Motion) -> Tensor:
    return motion.flow_B2HW.permute(0, 2, 3, 1)


def _state(motion: Motion) -> Tensor:
    return over_space(motion.state_B256hw, channels_first=True)
