"""Logistic regression of snippets that carry their video's label: what every other method has to beat.

A snippet of an abnormal video is taken to be abnormal, though most are not. Footage of the same kind is in the normal
videos too, so what is left of it in the weights is small where they are kept small; in its MIL form only the highest
snippets of an abnormal video keep the label (a bag's witnesses, Andrews et al., NIPS 2002), the weights of the first
phase being where it starts. Its ranked form is softer: all of them keep it, and weigh less the lower they are in their
video. `benchmarks/results/limits.md` compares these and others.

Shapes: B bags, C crops, T segments, D features. A training batch holds its normal bags first, then as many abnormal.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.errors import UsageError
from wsvad.methods.method import Batch, Phase
from wsvad.methods.streams import check_streams, side_by_side
from wsvad.ranges import Count, NotNegative, Positive, check_fields


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """One field matters, `weight_decay`."""

    streams: tuple[str, ...] = ("rgb",)
    """Put side by side, in training and in scoring."""
    weight_decay: Positive = 0.5
    """λ of the loss, mean cross-entropy + λ/2 · ‖w‖², biases left out. On N snippets it is the C = 1/(λN) of
    scikit-learn. As λ grows, w turns to the difference of the two classes' means."""
    mil: bool = False
    """Afterwards train on the highest snippets of each abnormal bag, and all of the normal ones."""
    top_every: Count = 16
    """k = ⌊T / this⌋ + 1 snippets of an abnormal bag are its highest (`mil`)."""
    ranked: bool = False
    """Afterwards train on all snippets, those of an abnormal bag weighed by their rank in it: the lowest least."""
    smooth: NotNegative = 0.0
    """Scores are smoothed over time by a Gaussian of this standard deviation in snippets (of 16 frames): 1.5 is about a
    second. 0 leaves them. Where scenes are cut often, it mixes one with the next."""
    iterations: Count = 500
    """Training iterations of each phase. The loss of the first one is convex: they reach its minimum."""
    segments: Count = 32
    """Time bins that a bag is averaged to in training; where no video is longer, they are its snippets."""
    bags: Count = 64
    """Normal bags in a batch, and as many abnormal ones."""
    lr: Positive = 0.1
    """Learning rate of Adam at first; it falls to a thousandth of that."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_streams(self.streams)
        if self.mil and self.ranked:
            raise UsageError("mil and ranked are two forms of a second phase; choose one of them")

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.streams

    @property
    def runs_on(self) -> tuple[str, ...]:
        return self.streams


class Linear(nn.Module):
    """One weight a feature and a bias."""

    learns_from: ClassVar[tuple[str, ...]] = ("rgb",)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "standardise"
    side_by_side: ClassVar[bool] = True
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = LinearConfig

    def __init__(self, widths: dict[str, int], config: LinearConfig | None = None):
        super().__init__()
        self.config = config = config or LinearConfig()
        self.learns_from, self.runs_on = config.learns_from, config.runs_on  # type: ignore[misc]
        self.widths = {name: widths[name] for name in config.streams}
        self.weight, self.bias = nn.Parameter(torch.zeros(sum(self.widths.values()))), nn.Parameter(torch.zeros(()))

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1]."""
        scores = smoothed(self.logits(streams), self.config.smooth).sigmoid()
        return scores.mean(1) if scores.ndim == 3 else scores

    def logits(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T)` or `(B, C, T)`."""
        return (side_by_side(streams, self.widths) @ self.weight).float() + self.bias

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of every snippet with its bag's label."""
        logits_BT = self.logits(batch.streams)
        loss = F.binary_cross_entropy_with_logits(logits_BT, batch.labels[:, None].expand_as(logits_BT))
        return {"snippets": loss, "total": loss}

    def mil_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same, with the highest snippets of each abnormal bag alone, which weigh as much as all of a normal's."""
        normal_BT, abnormal_BT = self.logits(batch.streams).chunk(2)
        k = abnormal_BT.shape[1] // self.config.top_every + 1
        parts = {
            "normal": F.softplus(normal_BT).mean() / 2,
            "highest": F.softplus(-abnormal_BT.topk(k, dim=1).values).mean() / 2,
        }
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def ranked_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same, with all snippets of an abnormal bag, by their ranks: 1 for the lowest, equal ones share theirs."""
        normal_BT, abnormal_BT = self.logits(batch.streams).chunk(2)
        weight_BT = ranks(abnormal_BT.detach())
        parts = {
            "normal": F.softplus(normal_BT).mean() / 2,
            "abnormal": (F.softplus(-abnormal_BT) * weight_BT).sum() / weight_BT.sum() / 2,
        }
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def phases(self) -> list[Phase]:
        """One, or two in the MIL and in the ranked form."""
        config = self.config
        groups: list[dict[str, Any]] = [{"params": [self.weight]}, {"params": [self.bias], "weight_decay": 0.0}]
        return [
            Phase(
                name=name, loss=loss, parameters=groups, iterations=config.iterations,
                segments=config.segments, bags=config.bags,
                optimizer=torch.optim.Adam, lr=config.lr, final_lr=config.lr / 1000, weight_decay=config.weight_decay,
                share=16,  # a minimum takes as many steps on a small set as on a large one
            )
            for name, loss in [
                ("train", self.loss),
                *([("mil", self.mil_loss)] if config.mil else []),
                *([("ranked", self.ranked_loss)] if config.ranked else []),
            ]
        ]  # fmt: skip


def ranks(x_BT: Tensor) -> Tensor:
    """Of each number among those of its row, from 1; equal ones have the mean of theirs."""
    ordered = x_BT.sort().values
    x_BT = x_BT.contiguous()
    return (torch.searchsorted(ordered, x_BT) + torch.searchsorted(ordered, x_BT, right=True) + 1) / 2


def smoothed(x: Tensor, deviation: float) -> Tensor:
    """The mean over the last axis with the weights of a Gaussian, whose sum is 1 at the ends too."""
    if not deviation:
        return x
    place = torch.arange(x.shape[-1], dtype=torch.float64)
    weight = torch.exp(-(((place[:, None] - place) / deviation) ** 2) / 2)
    return x @ (weight / weight.sum(1, keepdim=True)).T.to(x)
