"""UR-DMU: dual memory units with uncertainty regulation (Zhou et al., AAAI 2023). π-VAD's teacher and backbone.

Shapes: B videos, C crops, N sequences (B·C), T snippets, D input features, H hidden width, M memory slots. A training
batch holds its normal bags first, then as many abnormal ones; `_n` and `_a` are the two halves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers.attention import fold_attention
from wsvad.layers.block import Block
from wsvad.layers.memory import Memory
from wsvad.layers.pieces import ROWS, over_crops
from wsvad.layers.share import each_bag
from wsvad.layers.temporal import TemporalConv
from wsvad.methods.method import Batch, Phase
from wsvad.methods.official import Names, from_official, to_official
from wsvad.methods.streams import check_streams, side_by_side
from wsvad.ranges import Count, NotNegative, Positive, Share, Whole, check_fields


@dataclass(frozen=True, kw_only=True)
class UrDmuConfig:
    """The official code's settings; the paper states no other."""

    streams: tuple[str, ...] = ("rgb",)
    """Put side by side, in training and in scoring: `rgb` as in the paper, or `rgb` and `audio`."""
    hidden: Count = 512
    """Width H of everything after the embedding."""
    depth: Whole = 2
    """Transformer blocks."""
    heads: Count = 4
    """Attention heads, each H/heads wide."""
    feed_forward: Count = 512
    """Hidden width of a block's feed-forward layer."""
    dropout: Share = 0.5
    """Dropout after attention and in the feed-forward layer, in training."""
    abnormal_slots: Count = 60
    """Slots of the abnormal memory."""
    normal_slots: Count = 60
    """Slots of the normal memory."""
    head: Count = 128
    """Hidden width of the score head."""
    local_norm: Literal["column", "row"] = "column"
    """Sums that the local weights are divided by: `column` as the official code and its checkpoints (A17), or
    `row`."""
    kl_over: Literal["time", "channel"] = "time"
    """What the KL divergence is summed over: `time` as the official code (A17), or `channel` as is usual."""
    top_every: Count = 16
    """k = ⌊T / this⌋ + 1 snippets stand for a bag."""
    top_least: Count = 1
    """At least so many snippets stand for a bag; all, where it has no more. No part of the paper, whose k is 13."""
    triplet_margin: float = 1.0
    """Margin of the triplet loss."""
    distance_margin: float = 100.0
    """Margin of the magnitude distance loss."""
    dm_weight: float = 0.1
    """λ1, weight of the dual memory loss."""
    triplet_weight: float = 0.1
    """λ2, weight of the triplet loss."""
    kl_weight: float = 0.001
    """λ3, weight of the KL loss."""
    distance_weight: float = 0.0001
    """λ4, weight of the magnitude distance loss."""
    iterations: Count = 3000
    """Training iterations."""
    segments: Count = 200
    """Time bins that a bag is averaged to in training."""
    bags: Count = 64
    """Normal bags in a batch, and as many abnormal ones."""
    lr: Positive = 1e-4
    """Learning rate of Adam, constant."""
    weight_decay: NotNegative = 5e-5
    """L2 penalty of Adam (not decoupled)."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_streams(self.streams)

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.streams

    @property
    def runs_on(self) -> tuple[str, ...]:
        return self.streams


class UrDmu(nn.Module):
    """Embedding, transformer blocks, an abnormal and a normal memory, uncertainty, head.

    Another method may put modules after any of its `stages`, and use `score` and `l_mil`, the loss, on what comes out
    of the last one.
    """

    learns_from: ClassVar[tuple[str, ...]] = ("rgb",)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "none"
    side_by_side: ClassVar[bool] = True
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = UrDmuConfig

    def __init__(self, widths: dict[str, int], config: UrDmuConfig | None = None):
        super().__init__()
        self.config = config = config or UrDmuConfig()
        self.learns_from, self.runs_on = config.learns_from, config.runs_on  # type: ignore[misc]
        self.widths = {name: widths[name] for name in config.streams}
        width = config.hidden
        self.embedding = TemporalConv(sum(self.widths.values()), width, kernel=3)
        self.blocks = nn.Sequential(
            *(
                Block(
                    width, heads=config.heads, feed_forward=config.feed_forward, dropout=config.dropout,
                    local_norm=config.local_norm,
                )
                for _ in range(config.depth)
            )
        )  # fmt: skip
        self.abnormal_memory = Memory(config.abnormal_slots, width)
        self.normal_memory = Memory(config.normal_slots, width)
        self.mu, self.log_variance = nn.Linear(width, width), nn.Linear(width, width)
        self.head_hidden, self.head_score = nn.Linear(2 * width, config.head), nn.Linear(config.head, 1)

    # ---------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1]."""
        return over_crops(lambda x_NTD: self.score(self._encode_part(x_NTD)), side_by_side(streams, self.widths))

    def newest(self, streams: dict[str, Tensor]) -> Tensor:
        """The last column of `forward`, `(B,)`: the last block, the memories and the head see one snippet alone."""
        return over_crops(lambda x: self.score(self._encode_newest(x)), side_by_side(streams, self.widths)).squeeze(1)

    @property
    def stages(self) -> list[Callable[[Tensor], Tensor]]:
        """The embedding, then the blocks: each `(N, T, ·)` → `(N, T, H)`."""
        return [self.embed, *self.blocks]

    def encode(self, x_NTD: Tensor) -> Tensor:
        """Features → the last block's output, `(N, T, H)`."""
        return torch.cat([each_bag(self._encode_part, part) for part in x_NTD.split(max(1, ROWS // x_NTD.shape[1]))])

    def _encode_part(self, x: Tensor) -> Tensor:
        for stage in self.stages:  # one by one, so that what a stage has read is not held while the next one works
            x = stage(x)
        return x

    def _encode_newest(self, x: Tensor) -> Tensor:
        """The last row of `_encode_part`, `(N, 1, H)`."""
        *before, last = self.stages
        for stage in before:
            x = stage(x)
        return last(x, newest=True) if isinstance(last, Block) else last(x)[:, -1:]

    def embed(self, x_NTD: Tensor) -> Tensor:
        """Step 1: features → `(N, T, H)`, a convolution over three snippets and ReLU."""
        return self.embedding(x_NTD, relu=True)

    def score(self, x_NTH: Tensor) -> Tensor:
        """The last block's output → scores `(N, T)`, with `g = μ(A(x).aug) + μ(Nm(x).aug)` and no noise (4.7)."""
        a_NTM, n_NTM = self.abnormal_memory(x_NTH), self.normal_memory(x_NTH)
        g_NTH = self.abnormal_memory.augment(a_NTM, self.mu) + self.normal_memory.augment(n_NTM, self.mu)
        return self._head(x_NTH, g_NTH)

    def _head(self, x_NTH: Tensor, g_NTH: Tensor) -> Tensor:
        """Scores of `[x ; g]`, never joined: each half meets its half of the first layer's weight."""
        for_x, for_g = self.head_hidden.weight.chunk(2, 1)
        hidden = (F.linear(x_NTH, for_x, self.head_hidden.bias) + F.linear(g_NTH, for_g)).relu()
        return self.head_score(hidden).squeeze(-1).float().sigmoid()

    def compact(self) -> "UrDmu":
        """Itself for scoring alone: what depends on weights alone is computed once. The scores stay."""
        fold_attention(self)
        self.embedding.fold()
        for memory in (self.abnormal_memory, self.normal_memory):
            memory.fold(self.mu)
        return self.eval()

    # --------------------------------------------------------------------------------------------------- learning

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on a batch of normal bags, then as many abnormal ones."""
        return self.l_mil(self.encode(side_by_side(batch.streams, self.widths)))

    def l_mil(self, x_NTH: Tensor) -> dict[str, Tensor]:
        """The loss on the last block's output, normal half first (4.5, 4.6). π-VAD calls it L_MIL.

        The parts are weighted: `cls` (classification), `dm` (dual memory), `triplet`, `kl`, `distance`.
        """
        config, mu, log_variance = self.config, self.mu, self.log_variance
        abnormal, normal = self.abnormal_memory, self.normal_memory
        x_n, x_a = x_NTH.chunk(2)
        a_NTM, n_NTM = abnormal(x_NTH), normal(x_NTH)
        (a_n, a_a), (n_n, n_a) = a_NTM.chunk(2), n_NTM.chunk(2)
        an_att, a_att = abnormal.attention(a_NTM).chunk(2)
        n_att, na_att = normal.attention(n_NTM).chunk(2)
        length = x_NTH.shape[1]
        k = min(length, max(config.top_least, length // config.top_every + 1))
        anchors, positives, negatives = (top_indices(att, k) for att in (n_att, na_att, a_att))

        mu_n, log_variance_n = normal.augment(n_n, mu).float(), normal.augment(n_n, log_variance).float()
        sampled_n = mu_n + torch.randn_like(mu_n) * (log_variance_n / 2).exp()
        mu_a = abnormal.augment(a_a, mu)
        g_n = sampled_n + abnormal.augment(a_n, mu)
        g_a = mu_a + normal.augment(n_a, mu)
        scores = self._head(x_NTH, torch.cat([g_n, g_a]))

        labels = torch.cat([torch.zeros(len(x_n)), torch.ones(len(x_a))]).to(scores)
        anchor, positive, negative = (
            F.normalize(mean_at(x, index), dim=-1) for x, index in ((x_n, anchors), (x_a, positives), (x_a, negatives))
        )
        far, near = mean_at(mu_a, negatives).norm(dim=-1), mean_at(sampled_n, anchors).norm(dim=-1)
        divergence = -0.5 * (1 + log_variance_n - mu_n.square() - log_variance_n.exp())
        parts = {
            "cls": F.binary_cross_entropy(top_mean(scores, k), labels),
            "dm": config.dm_weight
            * (bce(top_mean(a_att, k), 1) + bce(top_mean(1 - na_att, k), 1) + bce(n_att, 1) + bce(an_att, 0)),
            "triplet": config.triplet_weight
            * F.triplet_margin_loss(anchor, positive, negative, margin=config.triplet_margin),
            "kl": config.kl_weight * divergence.sum(1 if config.kl_over == "time" else 2).mean(),
            "distance": config.distance_weight * (config.distance_margin - far + near).relu().mean(),
        }
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def phases(self) -> list[Phase]:
        """One: Adam on everything."""
        config = self.config
        return [
            Phase(
                name="train", loss=self.loss, parameters=list(self.parameters()), iterations=config.iterations,
                segments=config.segments, bags=config.bags,
                optimizer=torch.optim.Adam, lr=config.lr, weight_decay=config.weight_decay, options={"fused": True},
            )
        ]  # fmt: skip

    # ------------------------------------------------------------------------------------------ public checkpoints

    @classmethod
    def from_official(cls, state_dict: Mapping[str, Tensor], config: UrDmuConfig | None = None) -> "UrDmu":
        """Build from a public UR-DMU checkpoint's state dictionary; the input width D is read from it.

        Raises:
            WsvadError: keys are missing or unexpected, or shapes do not fit the configuration.
        """
        return from_official(cls, state_dict, OFFICIAL_NAMES, "embedding.conv_1.0.weight", config)

    def to_official(self) -> dict[str, Tensor]:
        """The state dictionary under the public checkpoint's names."""
        return to_official(self, OFFICIAL_NAMES)


OFFICIAL_NAMES: Names = (
    (r"^embedding\.", "embedding.conv_1.0."),
    (r"^blocks\.(\d+)\.attention_norm\.", r"selfatt.layers.\1.0.norm."),
    (r"^blocks\.(\d+)\.attention\.qkvt\.", r"selfatt.layers.\1.0.fn.to_qkv."),
    (r"^blocks\.(\d+)\.attention\.out\.", r"selfatt.layers.\1.0.fn.to_out.0."),
    (r"^blocks\.(\d+)\.feed_forward_norm\.", r"selfatt.layers.\1.1.norm."),
    (r"^blocks\.(\d+)\.feed_forward\.", r"selfatt.layers.\1.1.fn.net."),
    (r"^abnormal_memory\.slots", "Amemory.memory_block"),
    (r"^normal_memory\.slots", "Nmemory.memory_block"),
    (r"^mu\.", "encoder_mu.0."),
    (r"^log_variance\.", "encoder_var.0."),
    (r"^head_hidden\.", "cls_head.mlp.0."),
    (r"^head_score\.", "cls_head.mlp.2."),
)
"""Our names of parameters, and what the public checkpoints call them (from the official code)."""


def top_indices(att_NT: Tensor, k: int) -> Tensor:
    """The k snippets that are remembered best, `(N, k)`."""
    return att_NT.topk(k, dim=-1).indices


def top_mean(scores_NT: Tensor, k: int) -> Tensor:
    """The mean of the k largest, `(N,)`."""
    return scores_NT.topk(k, dim=-1).values.mean(-1)


def mean_at(x_NTH: Tensor, indices_Nk: Tensor) -> Tensor:
    """The mean feature of the chosen snippets, `(N, H)` float32."""
    return x_NTH.gather(1, indices_Nk[..., None].expand(-1, -1, x_NTH.shape[-1])).float().mean(1)


def bce(probability: Tensor, target: float) -> Tensor:
    """Binary cross-entropy with the same target everywhere."""
    return F.binary_cross_entropy(probability, torch.full_like(probability, target))
