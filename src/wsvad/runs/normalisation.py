"""What is done to features between the file and the network."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wsvad.errors import WsvadError

Kind = Literal["none", "l2", "standardise"]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """`none`; `l2`, each feature vector to unit length (Sultani); or `standardise`, each dimension by the mean and the
    standard deviation of the training segments. Part of a detector: what was fitted in training is applied in scoring.
    """

    kinds: dict[str, Kind]
    """Stream → what is done to it."""
    mean: dict[str, Tensor] = field(default_factory=dict)
    """`(D,)` a stream that is standardised."""
    std: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def fit(cls, kinds: dict[str, Kind], streams: dict[str, Tensor]) -> "Normalisation":
        """Take the statistics from packed training streams, each `(N, L, D)`.

        Raises:
            WsvadError: a stream that is to be standardised is the same in every segment.
        """
        mean, std = {}, {}
        for name in (name for name, kind in kinds.items() if kind == "standardise"):
            mean[name], deviation = moments(streams[name])
            # A constant dimension carries nothing; dividing by 1 keeps it at 0 instead of blowing up rounding noise.
            varies = deviation > 1e-6 * mean[name].abs().clamp(min=1e-6)
            if not varies.any():
                raise WsvadError(
                    f"the stream '{name}' is the same in every training video, so nothing can be learned from it; "
                    "extract it again, or leave it out"
                )
            std[name] = torch.where(varies, deviation, 1.0)
        return cls(kinds=kinds, mean=mean, std=std)

    def __call__(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """Streams of any leading shape `(..., D)`, in any float type → float32."""
        return {name: self._one(name, stream.to(torch.float32)) for name, stream in streams.items()}

    def like(self, other: "Normalisation") -> "Normalisation":
        """The same, but with `other`'s way for the streams that both know."""
        shared = self.kinds.keys() & other.kinds.keys()

        def merged(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
            rest = {name: value for name, value in own.items() if name not in shared}
            return rest | {name: value for name, value in theirs.items() if name in shared}

        kinds = {name: other.kinds.get(name, kind) for name, kind in self.kinds.items()}
        return Normalisation(kinds=kinds, mean=merged(self.mean, other.mean), std=merged(self.std, other.std))

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


def moments(stream_NLD: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, `(D,)` float32, in double precision one bag at a time."""
    mean = torch.stack([bag.to(torch.float64).mean(0) for bag in stream_NLD]).mean(0)
    square = torch.stack([bag.to(torch.float64).square().mean(0) for bag in stream_NLD]).mean(0)
    return mean.to(torch.float32), (square - mean.square()).clamp(min=0).sqrt().to(torch.float32)
