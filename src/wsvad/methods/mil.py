"""Deep MIL ranking: a bag's highest segment score should beat a normal bag's (Sultani et al., CVPR 2018).

Shapes: B bags, C crops, T segments, D features. A training batch holds its normal bags first, then as many abnormal.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wsvad.layers.dropout import ExactDropout
from wsvad.layers.share import each_bag
from wsvad.methods.method import Batch, Phase
from wsvad.methods.streams import check_streams, side_by_side
from wsvad.ranges import Count, NotNegative, Positive, Share, check_fields


@dataclass(frozen=True, kw_only=True)
class MilConfig:
    """The official code's settings."""

    stream: str = "rgb"
    """The one stream that it reads; the paper's is rgb."""
    streams: tuple[str, ...] = ()
    """Several, put side by side, in place of one: `rgb` and `audio`. Each is brought to unit length by itself."""
    hidden: tuple[Count, Count] = (512, 32)
    """Widths of the two hidden layers; the second one is linear, as in the official model."""
    dropout: Share = 0.6
    """Dropout after each hidden layer, in training."""
    top: Count = 1
    """So many of a bag's highest segments stand for it, by their mean; the paper has the highest alone."""
    margin: float = 1.0
    """By how much an abnormal bag's maximum should exceed a normal bag's."""
    sparsity: float = 8e-5
    """Weight of the sum of abnormal scores (eq. 7)."""
    smoothness: float = 8e-5
    """Weight of the squared differences of neighbouring abnormal scores (eq. 7)."""
    weight_decay: NotNegative = 1e-3
    """L2 penalty: weight of the sum of the squared weights, biases left out."""
    lr: Positive = 0.01
    """Learning rate of Adagrad, as in the official code (the paper says 0.001)."""
    eps: Positive = 1e-8
    """Adagrad's ε."""
    iterations: Count = 20_000
    """Training iterations."""
    segments: Count = 32
    """Time bins that a bag is averaged to in training."""
    bags: Count = 30
    """Normal bags in a batch, and as many abnormal ones."""
    data_budget: ClassVar[dict[str, Any]] = {"top": 6}
    """Other defaults where the budget is the data's: of the few snippets of a short video the highest one alone is
    mostly noise (benchmarks/results/linear.md)."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_streams(self.learns_from)

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.streams or (self.stream,)

    @property
    def runs_on(self) -> tuple[str, ...]:
        return self.learns_from


class Mil(nn.Module):
    """Scores each segment by itself; only the ranking of bag maxima is supervised."""

    learns_from: ClassVar[tuple[str, ...]] = ("rgb",)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "l2"
    side_by_side: ClassVar[bool] = True
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = MilConfig

    def __init__(self, widths: dict[str, int], config: MilConfig | None = None):
        super().__init__()
        self.config = config = config or MilConfig()
        self.learns_from = self.runs_on = config.learns_from  # type: ignore[misc]
        self.widths = {name: widths[name] for name in config.learns_from}
        first, second = config.hidden
        self.scorer = nn.Sequential(
            nn.Linear(sum(self.widths.values()), first), nn.ReLU(), ExactDropout(config.dropout),
            nn.Linear(first, second), ExactDropout(config.dropout),
            nn.Linear(second, 1), nn.Sigmoid(),
        )  # fmt: skip
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def layers(self) -> list[nn.Linear]:
        """The three fully connected layers."""
        return [layer for layer in self.scorer if isinstance(layer, nn.Linear)]

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1]."""
        scores = self.scorer(side_by_side(streams, self.widths)).float().squeeze(-1)
        return scores.mean(1) if scores.ndim == 3 else scores

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 7: every abnormal maximum against every normal one, summed over abnormal bags, averaged over normal."""
        normal_BT, abnormal_BT = each_bag(self, batch.streams).chunk(2)
        top = min(self.config.top, normal_BT.shape[1])
        top_n, top_a = (scores_BT.topk(top, dim=1).values.mean(1) for scores_BT in (normal_BT, abnormal_BT))
        gap_BB = self.config.margin - top_a[None, :] + top_n[:, None]
        parts = {
            "ranking": gap_BB.relu().sum(1).mean(),
            "sparsity": self.config.sparsity * abnormal_BT.sum(),
            "smoothness": self.config.smoothness * abnormal_BT.diff(dim=1).square().sum(),
        }
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def phases(self) -> list[Phase]:
        """One: Adagrad on everything."""
        config = self.config
        groups = [
            # An optimiser adds weight_decay·w to the gradient, the gradient of half the penalty that is meant.
            {"params": [layer.weight for layer in self.layers], "weight_decay": 2 * config.weight_decay},
            {"params": [layer.bias for layer in self.layers], "weight_decay": 0.0},
        ]
        return [
            Phase(
                name="train", loss=self.loss, parameters=groups, iterations=config.iterations,
                segments=config.segments, bags=config.bags,
                optimizer=torch.optim.Adagrad, lr=config.lr, weight_decay=0.0, options={"eps": config.eps},
            )
        ]  # fmt: skip
