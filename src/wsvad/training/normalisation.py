"""What is done to features between the file and the network."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Kind = Literal["none", "l2", "standardise"]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """`none`; `l2`, each feature vector to unit length (Sultani); or `standardise`, each dimension by the mean and the
    standard deviation of the training segments. Part of a detector: what was fitted in training is applied in scoring.
    """

    kind: Kind
    mean: dict[str, Tensor] = field(default_factory=dict)
    """`(D,)` a stream, for `standardise`."""
    std: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def fit(cls, kind: Kind, streams: dict[str, Tensor]) -> "Normalisation":
        """Take the statistics from packed training streams, each `(N, L, D)`."""
        if kind != "standardise":
            return cls(kind=kind)
        mean, std = {}, {}
        for name, stream_NLD in streams.items():
            rows = torch.stack([bag.to(torch.float64).mean(0) for bag in stream_NLD])
            squares = torch.stack([bag.to(torch.float64).square().mean(0) for bag in stream_NLD])
            mean[name] = rows.mean(0).to(torch.float32)
            variance = squares.mean(0) - rows.mean(0).square()
            deviation = variance.clamp(min=0).sqrt().to(torch.float32)
            # A constant dimension carries nothing; dividing by 1 keeps it at 0 instead of blowing up rounding noise.
            std[name] = torch.where(deviation > 1e-6 * mean[name].abs().clamp(min=1e-6), deviation, 1.0)
        return cls(kind=kind, mean=mean, std=std)

    def __call__(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """Streams of any leading shape `(..., D)`, in any float type → float32."""
        streams = {name: stream.to(torch.float32) for name, stream in streams.items()}
        match self.kind:
            case "none":
                return streams
            case "l2":
                return {name: normalize(stream, dim=-1) for name, stream in streams.items()}
            case "standardise":
                return {name: (stream - self.mean[name]) / self.std[name] for name, stream in streams.items()}
