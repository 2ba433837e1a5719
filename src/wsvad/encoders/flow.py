"""`flow` and `raft:FILE`: optical flow on a coarse grid, for the stream `flow`.

The layout is that of the simulated camera's exact flow: of each cell (6 rows, 8 columns, in reading order) the mean x,
the mean y, the mean and the maximum of the magnitude, averaged over pairs of consecutive frames. All are pixels a frame
of a picture of 160x120, in which a video of any size and shape is measured: x and y in about ±80, magnitudes from 0.
Pairs across a scene cut and pairs of equal frames are left out; where no pair remains all is 0.

`flow` estimates by DIS (Kroeger et al., ECCV 2016) and needs no weights. `raft:FILE` runs RAFT (Teed and Deng, ECCV
2020) from its public weights (`raft_weights.py`), or a network that was exported with two images in and the flow from
the first to the second out, as RAFT is: `(N, 2, h, w)` in its own pixels. Such networks want pixels in 0 … 255 and
normalise them themselves; one that does not (torchvision's: `scale: 0.00784313725`, `mean: 1`) says so in `FILE.yaml`,
with the fields of `FlowPreprocessing`.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.encoder import Sampling, file_argument
from wsvad.encoders.image_network import ImageNetwork, Level, Placed, Preprocessing, Spread
from wsvad.encoders.motion import COLUMNS, HEIGHT, ROWS, WIDTH, is_cut
from wsvad.encoders.runtime import FORMATS
from wsvad.video.clock import SNIPPET

if TYPE_CHECKING:
    import torch

    from wsvad.encoders.raft_weights import RaftWeights

STATISTICS = ("x", "y", "speed", "peak")
FLOW_WIDTH = ROWS * COLUMNS * len(STATISTICS)


def dimensions() -> dict[str, slice]:
    """The part of the feature that each name stands for, 48 cells each: `x` (to the right), `y` (down), `speed` (mean
    magnitude) and `peak` (maximum of the magnitude), pixels a frame of a picture of 160x120."""
    return {name: slice(index, FLOW_WIDTH, len(STATISTICS)) for index, name in enumerate(STATISTICS)}


class Flow:
    """The encoder `flow`."""

    input = "video"
    argument = ""
    summary = "optical flow between 16 grey frames a snippet; no weights"
    name = "flow"
    width = FLOW_WIDTH
    # All frames, as `motion` reads them: what is sampled evenly is then consecutive in a short snippet too.
    sampling = Sampling(count=SNIPPET, size=(WIDTH, HEIGHT), colour="gray")

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, 120, 160)` uint8 → `(N, 192)` float32. One frame shows no motion: 0."""
        features = np.zeros((len(snippets), FLOW_WIDTH), dtype=np.float32)
        for row, frames in zip(features, snippets, strict=True):
            # A given array would be taken as a first guess, so there is none.
            flows = [self._dis.calc(frames[i], frames[i + 1], None) for i in moments(frames)]  # type: ignore[call-overload]
            if flows:
                row[:] = describe(np.stack(flows))
        return features

    def passport(self) -> dict[str, object]:
        settings = {"version": 1, "flow": "DIS fast", "size": [WIDTH, HEIGHT], "frames": self.sampling.count}
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": settings}


@dataclass(frozen=True, kw_only=True)
class FlowPreprocessing(Preprocessing):
    """What a flow network wants; in `frames` it is how many pairs of consecutive frames it sees in a snippet."""

    scale: Level = 1.0
    mean: Level | tuple[Level, ...] | None = 0.0
    std: Spread | tuple[Spread, ...] | None = 1.0


class FlowNetwork(Placed):
    """A network in ONNX or TensorFlow Lite with two images in and the flow out."""

    output: Literal["flow"] = "flow"

    def __init__(self, path: Path, settings: Settings | None = None):
        """Open the network and try it.

        Raises:
            WsvadError: as `ImageNetwork`; or its output is not the flow between two images.
        """
        self.network = ImageNetwork(path, FlowPreprocessing, images=2, free_size=(320, 240), settings=settings)
        self.size, self.colour, self.frames = self.network.size, self.network.colour, self.network.asked.frames
        if self.network.asked.output is None:
            self._prefer_the_last_flow()
        self._flows(np.stack([self.network.blank(), self.network.blank()], axis=1))

    def __call__(self, snippets: list[np.ndarray]) -> list[np.ndarray]:
        """The pairs of each snippet, `(P, 2, h, w[, 3])` uint8 → `(P, h, w, 2)`."""
        return [self._flows(pairs) for pairs in snippets]

    def passport(self, width: int) -> dict[str, object]:
        return self.network.passport("raft", width, version=1)

    def _prefer_the_last_flow(self) -> None:
        """RAFT's exports give coarse or earlier estimates first and the best one last."""
        flows = [one for one in self.network.outputs if len(one.shape) == 4 and one.shape[1] in (2, None)]
        if flows:
            self.network.output = flows[-1]

    def _flows(self, pairs: np.ndarray) -> np.ndarray:
        width, height = self.size
        flows = self.network(pairs[:, 0], pairs[:, 1])
        if flows.shape[1:] != (2, height, width):
            raise self.network.wrong_output(flows.shape, f"the flow between two images, [N, 2, {height}, {width}]")
        return flows.transpose(0, 2, 3, 1)


class Raft:
    """The encoder `raft:FILE`."""

    input = "video"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    summary = "optical flow between 4 pairs of frames a snippet, by RAFT's public weights or a flow network in a file"
    width = FLOW_WIDTH

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """Open the network. `settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: as `FlowNetwork` and `RaftWeights`.
        """
        self.name = f"raft:{file}"
        self.network = _opened(Path(file).expanduser(), settings)
        if self.network.output == "state":
            self.width = self.network.state_width
        self.sampling = Sampling(count=SNIPPET, size=self.network.size, colour=self.network.colour)

    @staticmethod
    def settings_of(argument: str) -> type:
        """What may be set of a file."""
        if Path(argument).suffix.lower().removeprefix(".") in FORMATS:
            return FlowPreprocessing
        from wsvad.encoders.raft_weights import RaftPreprocessing

        return RaftPreprocessing

    def runs_on(self, device: "torch.device") -> bool:
        return self.network.runs_on(device)

    def to(self, device: "torch.device") -> None:
        self.network.to(device)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(16, h, w, 3)` uint8 of the size in `sampling` → `(N, 192)` float32, or `(N, 256)`."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        pairs = [self._pairs(frames) for frames in snippets]
        moving = [i for i, some in enumerate(pairs) if len(some)]
        seen = self.network([snippets[i][pairs[i]] for i in moving])
        for i, found in zip(moving, seen, strict=True):
            features[i] = describe(found) if self.network.output == "flow" else found.mean(0)
        return features

    def passport(self) -> dict[str, object]:
        return self.network.passport(self.width)

    def _pairs(self, frames: np.ndarray) -> np.ndarray:
        """Which frames are compared, `(P, 2)`: of all that show one scene at two moments as many as are asked for; for
        the state the same of any snippet, because it tells of what stands still, too."""
        if self.network.output == "state":
            return self.network.between()
        pairs = moments(np.stack([_small_grey(frame) for frame in frames]))
        first = np.array(pairs, dtype=int)[Sampling(count=min(self.network.frames, len(pairs))).offsets(len(pairs))]
        return np.stack([first, first + 1], axis=1)


def _opened(path: Path, settings: Settings | None) -> "FlowNetwork | RaftWeights":
    if path.suffix.lower().removeprefix(".") in FORMATS:
        return FlowNetwork(path, settings)
    from wsvad.encoders.raft_weights import RaftWeights  # torch is not loaded for other files

    return RaftWeights(path, settings)


def moments(frames: np.ndarray) -> list[int]:
    """Each i for which the grey frames i and i + 1 show one scene at two moments."""
    return [i for i, (a, b) in enumerate(pairwise(frames)) if not np.array_equal(a, b) and not is_cut(a, b)]


def describe(flows: np.ndarray) -> np.ndarray:
    """Flow fields of a snippet, `(M, h, w, 2)` in their own pixels → the feature, `(192,)`. M is at least 1.

    A pixel at the border of two cells counts for both in proportion, and for the maximum wholly.
    """
    height, width = flows.shape[1:3]
    flows = flows.astype(np.float32) * np.array([WIDTH / width, HEIGHT / height], dtype=np.float32)
    speed = np.hypot(flows[..., 0], flows[..., 1])
    maps = np.concatenate([flows, speed[..., None]], axis=-1)
    means = [cv2.resize(one, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) for one in maps]
    cells = np.concatenate([np.mean(means, axis=0), _peaks(speed)[..., None]], axis=-1)
    return cells.ravel()


def _peaks(speed: np.ndarray) -> np.ndarray:
    """Maximum over each cell, `(M, h, w)` → `(6, 8)`, averaged over the pairs."""
    height, width = speed.shape[1:]
    rows = [slice(i * height // ROWS, -(-(i + 1) * height // ROWS)) for i in range(ROWS)]
    columns = [slice(i * width // COLUMNS, -(-(i + 1) * width // COLUMNS)) for i in range(COLUMNS)]
    return np.array([[speed[:, row, column].max((1, 2)).mean() for column in columns] for row in rows])


def _small_grey(frame: np.ndarray) -> np.ndarray:
    """A frame as `motion` sees it, in which scene cuts are detected."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
    return cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
