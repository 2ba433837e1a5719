"""RTFM: robust temporal feature magnitude (Tian et al., ICCV 2021). The longest features stand for a bag.

Shapes: B videos, C crops, N sequences (B·C), T snippets, D input features, H width of the temporal network. A training
batch holds its normal bags first, then as many abnormal ones; `_n` and `_a` are the two halves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers.dropout import Dropout
from wsvad.layers.multiscale import MultiScale
from wsvad.layers.pieces import over_crops
from wsvad.layers.share import each_bag
from wsvad.methods.method import Batch, Phase
from wsvad.methods.official import Names, from_official, to_official
from wsvad.ranges import Count, NotNegative, Positive, Share, check_fields


@dataclass(frozen=True, kw_only=True)
class RtfmConfig:
    """The official code's settings."""

    hidden: Count | None = None
    """Width H of the temporal network's output, four times that of each of its scales. By default that of the features,
    as published (2048 for 2048), rounded up to a multiple of 8; any other H puts a 1×1 convolution beside (open)."""
    head: tuple[Count, Count] = (512, 128)
    """Hidden widths of the classifier."""
    dropout: Share = 0.7
    """Dropout after each layer of the classifier but the last, and of the magnitudes that choose, in training."""
    top_every: Count = 10
    """k = ⌊T / this⌋ snippets stand for a bag; 3 of the published 32."""
    top_least: Count = 1
    """At least so many snippets stand for a bag; all, where it has no more."""
    margin: float = 100.0
    """Magnitude that abnormal bags are drawn to."""
    magnitude_weight: float = 1e-4
    """α, weight of the magnitude loss."""
    smoothness: float = 8e-4
    """Weight of the squared differences of neighbouring abnormal scores."""
    sparsity: float = 8e-3
    """Weight of the norm of the abnormal scores."""
    iterations: Count = 15_000
    """Training iterations."""
    segments: Count = 32
    """Time bins that a bag is averaged to in training."""
    bags: Count = 32
    """Normal bags in a batch, each with all its crops, and as many abnormal ones."""
    lr: Positive = 1e-3
    """Learning rate of Adam, constant."""
    weight_decay: NotNegative = 0.005
    """L2 penalty of Adam (not decoupled)."""

    def __post_init__(self) -> None:
        check_fields(self)


class Rtfm(nn.Module):
    """A multi-scale temporal network (MTN), whose features' lengths choose, and a classifier, which scores."""

    learns_from: ClassVar[tuple[str, ...]] = ("rgb",)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "none"
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = RtfmConfig

    def __init__(self, widths: dict[str, int], config: RtfmConfig | None = None):
        super().__init__()
        self.config = config = config or RtfmConfig()
        self.widths = dict(widths)
        width = widths["rgb"]
        hidden, (first, second) = config.hidden or -(-width // 8) * 8, config.head
        self.mtn = MultiScale(width, hidden)
        self.head_1, self.head_2, self.head_3 = nn.Linear(hidden, first), nn.Linear(first, second), nn.Linear(second, 1)
        self.dropout = Dropout(config.dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    # ---------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1]."""
        return over_crops(lambda x_NTD: self.classify(self.mtn(x_NTD)), streams["rgb"])

    def classify(self, f_NTH: Tensor) -> Tensor:
        """The MTN's features → scores `(N, T)`."""
        hidden = self.dropout(self.head_1(f_NTH).relu())
        return self.head_3(self.dropout(self.head_2(hidden).relu())).squeeze(-1).float().sigmoid()

    # --------------------------------------------------------------------------------------------------- learning

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """8.2, on bags `(B, T, D)` or `(B, C, T, D)`. The parts are weighted: `cls` (classification by the chosen
        snippets), `magnitude`, `smoothness`, `sparsity`.

        Smoothness runs over all abnormal scores in one row, across the borders of videos, as in the official code.
        """
        config, x = self.config, batch.streams["rgb"]
        x_BCTD = x if x.ndim == 4 else x[:, None]
        shape = x_BCTD.shape[:2]
        f_NTH, s_NT = each_bag(self._featured, x_BCTD.flatten(0, 1))
        s_BT = s_NT.unflatten(0, shape).mean(1)
        f_BCTH = f_NTH.float().unflatten(0, shape)
        chosen_Bk = self.choose(f_BCTH)
        far_n, far_a = mean_at(f_BCTH, chosen_Bk).norm(dim=-1).chunk(2)
        abnormal = s_BT.chunk(2)[1].flatten()
        parts = {
            "cls": F.binary_cross_entropy(s_BT.gather(1, chosen_Bk).mean(1), batch.labels),
            "magnitude": config.magnitude_weight * ((config.margin - far_a).abs() + far_n).square().mean(),
            "smoothness": config.smoothness * abnormal.diff().square().sum(),
            "sparsity": config.sparsity * abnormal.norm(),
        }
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def _featured(self, x_NTD: Tensor) -> tuple[Tensor, Tensor]:
        """The MTN's features `(N, T, H)`, and scores `(N, T)`."""
        f_NTH = self.mtn(x_NTD)
        return f_NTH, self.classify(f_NTH)

    @torch.no_grad()
    def choose(self, f_BCTH: Tensor) -> Tensor:
        """The k snippets of the largest magnitude, averaged over crops, `(B, k)`. In training a random choice of the
        snippets does not take part, so that it is not always the same few that learn."""
        magnitude_BT = f_BCTH.norm(dim=-1).mean(1)
        magnitude_BT = magnitude_BT * self.dropout(torch.ones_like(magnitude_BT))
        length = magnitude_BT.shape[1]
        k = min(length, max(self.config.top_least, length // self.config.top_every))
        return magnitude_BT.topk(k, dim=-1).indices

    def phases(self) -> list[Phase]:
        """One: Adam on everything. A bag is a video with all its crops."""
        config = self.config
        return [
            Phase(
                name="train", loss=self.loss, parameters=list(self.parameters()), iterations=config.iterations,
                segments=config.segments, bags=config.bags, crops=True,
                optimizer=torch.optim.Adam, lr=config.lr, weight_decay=config.weight_decay, options={"fused": True},
            )
        ]  # fmt: skip

    # ------------------------------------------------------------------------------------------ public checkpoints

    @classmethod
    def from_official(cls, state_dict: Mapping[str, Tensor], config: RtfmConfig | None = None) -> "Rtfm":
        """Build from a public RTFM checkpoint's state dictionary; the input width D is read from it.

        Raises:
            WsvadError: keys are missing or unexpected, or shapes do not fit the configuration.
        """
        return from_official(cls, state_dict, OFFICIAL_NAMES, "Aggregate.conv_1.0.weight", config)

    def to_official(self) -> dict[str, Tensor]:
        """The state dictionary under the public checkpoint's names."""
        return to_official(self, OFFICIAL_NAMES)


OFFICIAL_NAMES: Names = (
    (r"^mtn\.scales\.(\d)\.", lambda found: f"Aggregate.conv_{int(found[1]) + 1}."),
    (r"^mtn\.narrow\.", "Aggregate.conv_4.0."),
    (r"^mtn\.join\.", "Aggregate.conv_5."),
    (r"^mtn\.wide\.", "Aggregate.non_local.W."),
    (r"^mtn\.value\.", "Aggregate.non_local.g."),
    (r"^mtn\.(theta|phi)\.", r"Aggregate.non_local.\1."),
    (r"^mtn\.residual\.", "Aggregate.residual."),
    (r"^head_(\d)\.", r"fc\1."),
)
"""Our names of parameters, and what the public checkpoints call them (from the official code, which has no
`residual`)."""


def mean_at(f_BCTH: Tensor, indices_Bk: Tensor) -> Tensor:
    """The mean feature of the chosen snippets, the same in every crop, `(B, C, H)`."""
    _, crops, _, width = f_BCTH.shape
    return f_BCTH.gather(2, indices_Bk[:, None, :, None].expand(-1, crops, -1, width)).mean(2)
