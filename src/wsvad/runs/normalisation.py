"""What is done to features between the file and the network."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wsvad.datasets.memory import Rows
from wsvad.errors import WsvadError

logger = logging.getLogger(__name__)

Kind = Literal["none", "l2", "standardise", "per-camera"]
FITTED: tuple[Kind, ...] = ("standardise", "per-camera")
"""Kinds with statistics of the training segments."""
LEVEL = 256
"""Of several encoders' features side by side, those of a wider one are scaled down by its width over this. Optimisers
that divide by the gradient's size (Adam, Adagrad) move every weight alike, so what one step changes grows with the
width, and the widest would decide alone (`benchmarks/results/sides.md`)."""
PRIOR = 8
"""Snippets with the deviation of the training cameras that are added to those that a deviation is taken of."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """`none`; `l2`, each feature vector to unit length (Sultani); `standardise`, each dimension by the mean and the
    standard deviation of the training segments; or `per-camera`, by those of its camera. Part of a detector: what was
    fitted in training is applied in scoring.

    A camera's statistics are in training those of its training videos (`by_camera`). In scoring they are those of the
    snippets that the network sees together: the whole video, a block of a long one, or online the last W snippets, the
    newest included, and nothing of the future. Where there are other videos of that camera, `at` takes theirs instead.
    """

    kinds: dict[str, Kind]
    """Stream → what is done to it."""
    mean: dict[str, Tensor] = field(default_factory=dict)
    """`(D,)` a stream of the kinds `FITTED`."""
    std: dict[str, Tensor] = field(default_factory=dict)
    """The same; `per-camera` it is the deviation within cameras."""
    cameras: Mapping[str, "Normalisation"] = field(default_factory=dict)
    """Training video → that of its camera, `per-camera`; training alone needs it."""

    @classmethod
    def fit(
        cls, kinds: dict[str, Kind], streams: Mapping[str, Rows], parts: Mapping[str, Sequence[int]] | None = None
    ) -> "Normalisation":
        """Take the statistics from packed training streams, each `(N, L, D)`.

        Args:
            parts: of streams that are side by side with others, or have the features of several encoders side by side:
                the width of each encoder's; if standardised, these are balanced (`LEVEL`).

        Raises:
            WsvadError: a stream that is to be standardised is the same in every segment.
        """
        mean, std = {}, {}
        for name in (name for name, kind in kinds.items() if kind in FITTED):
            mean[name], deviation = moments(streams[name])
            # A constant dimension carries nothing; dividing by 1 keeps it at 0 instead of blowing up rounding noise.
            varies = deviation > 1e-6 * mean[name].abs().clamp(min=1e-6)
            if not varies.any():
                raise WsvadError(
                    f"the stream '{name}' is the same in every training video, so nothing can be learned from it; "
                    "extract it again, or leave it out"
                )
            std[name] = torch.where(varies, deviation, 1.0)
            if kinds[name] == "standardise" and (widths := (parts or {}).get(name)):
                std[name] *= torch.cat([torch.full((width,), max(1.0, width / LEVEL)) for width in widths])
        return cls(kinds=kinds, mean=mean, std=std)

    def __call__(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """Streams of any leading shape `(..., D)`, in any float type → float32."""
        return {name: self._one(name, stream.to(torch.float32)) for name, stream in streams.items()}

    def by_camera(
        self, streams: Mapping[str, Rows], videos: Sequence[str], scenes: Mapping[str, int]
    ) -> "Normalisation":
        """With the statistics of each training camera.

        Args:
            streams: packed as in `fit`.
            videos: of each row.
            scenes: video → the scene that its camera shows; one that is not there has a camera of its own.

        Raises:
            WsvadError: a stream is the same throughout the videos of each camera.
        """
        rows: dict[int | str, list[int]] = defaultdict(list)
        for row, video in enumerate(videos):
            rows[scenes.get(video, video)].append(row)
        if len(rows) == 1:
            logger.info("note: all training videos are of one camera, so nothing is learned of what others share")
        within = dict(self.std)
        for name in (name for name, kind in self.kinds.items() if kind == "per-camera"):
            each = torch.stack([moments(streams[name], some)[1] for some in rows.values()])
            counts = torch.tensor([len(some) for some in rows.values()])[:, None]
            deviation = (each.square() * counts).sum(0).div(len(videos)).sqrt()
            least = 1e-6 * self.mean[name].abs().clamp(min=1e-6)
            varies = deviation > least
            still = [videos[some[0]] for some, one in zip(rows.values(), each, strict=True) if not (one > least).any()]
            if still and varies.any():
                logger.info(
                    "note: the stream '%s' is the same throughout the videos of %d of %d cameras (one is that of %s), "
                    "so it says nothing there", name, len(still), len(rows), still[0],
                )  # fmt: skip
            if not varies.any():
                raise WsvadError(
                    f"the stream '{name}' is the same throughout the videos of each camera, so nothing can be learned "
                    "from it per camera; leave it out, or use --normalise standardise"
                )
            within[name] = torch.where(varies, deviation, 1.0)
        fitted, cameras = replace(self, std=within), dict[str, Normalisation]()
        for some in rows.values():
            camera = fitted.at(streams, some)
            cameras |= {videos[row]: camera for row in some}
        return replace(fitted, cameras=cameras)

    def at(self, streams: Mapping[str, Rows], rows: Sequence[int] | None = None) -> "Normalisation":
        """For one camera, by videos of it, packed as in `fit`, or by some of the rows. Their labels are not needed."""
        mean, std, kinds = dict(self.mean), dict(self.std), dict(self.kinds)
        for name in (name for name, kind in self.kinds.items() if kind == "per-camera"):
            mean[name], deviation = moments(streams[name], rows)
            count, segments = len(streams[name] if rows is None else rows), streams[name].shape[1]
            std[name] = self._deviation(name, deviation.square(), count * segments)
            kinds[name] = "standardise"
        return Normalisation(kinds=kinds, mean=mean, std=std)

    def of_videos(self, streams: dict[str, Tensor], videos: Sequence[str]) -> dict[str, Tensor]:
        """Streams `(B, ..., D)` of training videos, each as its camera's."""
        if not self.cameras:
            return self(streams)
        each = [self.cameras[v]({name: x[row] for name, x in streams.items()}) for row, v in enumerate(videos)]
        return {name: torch.stack([one[name] for one in each]) for name in streams}

    def _deviation(self, name: str, variance: Tensor, count: int) -> Tensor:
        """Of so many snippets, and of `PRIOR` that are as in training."""
        return ((count * variance + PRIOR * self.std[name].square()) / (count + PRIOR)).sqrt()

    def like(self, other: "Normalisation") -> "Normalisation":
        """The same, but with `other`'s way for the streams that both know."""
        shared = self.kinds.keys() & other.kinds.keys()

        def merged(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
            rest = {name: value for name, value in own.items() if name not in shared}
            return rest | {name: value for name, value in theirs.items() if name in shared}

        kinds = {name: other.kinds.get(name, kind) for name, kind in self.kinds.items()}
        cameras = {video: camera.like(other) for video, camera in self.cameras.items()}
        return Normalisation(
            kinds=kinds, mean=merged(self.mean, other.mean), std=merged(self.std, other.std), cameras=cameras
        )

    def same(self, other: "Normalisation") -> bool:
        """Whether it does the same as `other`, up to rounding, to the streams that it knows."""
        return all(other.kinds.get(name) == kind for name, kind in self.kinds.items()) and all(
            torch.allclose(mine[name], theirs[name], rtol=1e-3, atol=1e-5)
            for mine, theirs in ((self.mean, other.mean), (self.std, other.std))
            for name in mine
        )

    def _one(self, name: str, stream: Tensor) -> Tensor:
        match self.kinds[name]:
            case "none":
                return stream
            case "l2":
                return normalize(stream, dim=-1)
            case "standardise":
                return (stream - self.mean[name]) / self.std[name]
            case "per-camera":
                mean, variance = stream.mean(-2, keepdim=True), stream.var(-2, correction=0, keepdim=True)
                return (stream - mean) / self._deviation(name, variance, stream.shape[-2])


def moments(stream_NLD: Rows, rows: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, `(D,)` float32, in double precision one bag at a time; by default
    of all rows."""
    numbers = range(len(stream_NLD)) if rows is None else rows
    mean, square = (torch.empty(len(numbers), stream_NLD.shape[-1], dtype=torch.float64) for _ in range(2))
    for place, number in enumerate(numbers):
        bag = stream_NLD[number].to(torch.float64)
        mean[place], square[place] = bag.mean(0), bag.square().mean(0)
    of_all = mean.mean(0)
    return of_all.to(torch.float32), (square.mean(0) - of_all.square()).clamp(min=0).sqrt().to(torch.float32)
