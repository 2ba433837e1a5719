"""RefineVAD: when it moves, and what kind of thing it is (AAAI 2026).

MoTAR lets motion decide how far features shift in time, and looks at the whole video with a light transformer. CORE
asks which categories of anomaly the video looks like, softly, and lets their prototypes refine every snippet. "Normal"
is no category but the absence of all. RGB alone will do; the paper has a text stream beside it.

The paper's text was open to us through a review, which leaves sizes, schedule and one loss open; fields say so.

Shapes: B videos, C crops, N sequences (B·C), T snippets, D input features (all streams side by side), H width, K
categories of anomaly. A batch holds its normal bags first, then as many abnormal ones.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.errors import UsageError, WsvadError
from wsvad.layers import pieces
from wsvad.layers.block import Block
from wsvad.layers.pieces import over_crops
from wsvad.methods.method import Batch, Phase

NORMAL = "normal"
"""What a category is called that is none."""


@dataclass(frozen=True, kw_only=True)
class RefineVadConfig:
    """Published are the optimiser, the batch, λ1, λ2 and that e_y is added; what is open says so."""

    streams: tuple[str, ...] = ("rgb",)
    """Put side by side, in training and in scoring: `rgb`, or `rgb` and `text` as in the paper (A10)."""
    categories: tuple[str, ...] = ()
    """The categories of anomaly, in order. Empty: one, `abnormal`, whatever the abnormal videos are said to show."""
    motar: bool = True
    """Shift and transformer; without them each snippet is embedded by itself, as in the ablation's base."""
    shift: Literal["soft", "ste", "hard"] = "soft"
    """Channels that a shift s between two whole numbers moves (A11): `soft`, the last one in part; `hard`, ⌊s⌋ of them
    as printed, with which the gate never learns; `ste`, ⌊s⌋ with the gradient of `soft`."""
    motion: Literal["variance", "log1p", "relative"] = "variance"
    """What the gate reads: the variance v as printed, log(1 + v), or v over the variance of the two snippets, which no
    scale of the features can drown (ours)."""
    fold: float = 8.0
    """K of the paper, the folding factor: at most D/K channels come from each side. At least 2. Open."""
    gate: int = 16
    """Width of the gate's two hidden layers. Open."""
    hidden: int = 512
    """Width H of everything after the embedding. Open."""
    depth: int = 1
    """Transformer blocks. Open ("light")."""
    heads: int = 8
    """Attention heads of the blocks and of the cross-attention. Open."""
    feed_forward: int = 2048
    """Hidden width of a block's feed-forward layer. Open."""
    dropout: float = 0.1
    """Dropout in the blocks and in the head, in training. Open."""
    head: int = 128
    """Hidden width of the score head. Open."""
    core: Literal["soft", "hard", "off"] = "soft"
    """Prototypes mixed softly; `hard`, the likeliest category's alone; or `off`, no CORE."""
    attention: Literal["pooled", "segment"] = "pooled"
    """Cross-attention (A12): `pooled`, the soft embedding v asks all snippets, as printed; `segment`, each snippet asks
    the weighted prototypes, as the abstract has it."""
    classifier: Literal["prototypes", "linear"] = "prototypes"
    """Soft classifier, open: the cosine of the video to each prototype, so that L_cat keeps the prototypes apart and a
    category can be added later; or a linear layer H → 2K beside them."""
    tau: float = 0.1
    """What that cosine is divided by. Open."""
    prototype_std: float = 0.02
    """Scale of the first prototypes. Open; small, so that what is learnt outweighs it."""
    w_temp: float = 1.0
    """What p is divided by before the softmax that gives w. With the paper's 1, w is nearly the same for all."""
    add_truth: bool = True
    """Add the true categories' prototypes in training, as published. Normal bags have none to add (A14)."""
    categorise_by: Literal["video", "snippet"] = "video"
    """Whose soft category a snippet's class scores follow: the video's (7.6), or its own. Open."""
    lambda1: float = 0.1
    """λ1, weight of L_GMM; 0 leaves it out, with the warm-up."""
    lambda2: float = 0.2
    """λ2, weight of L_cat."""
    margin: float = 1.0
    """By how much an abnormal bag's top-k mean should exceed a normal bag's. Open."""
    top_every: int = 16
    """k = ⌊T / this⌋ + 1 snippets stand for a bag. Open."""
    peaks: int = 1
    """Peaks of an abnormal bag that L_GMM starts from. Open."""
    near: float = 0.9
    """A peak spreads to the neighbours that score at least this share of it. Open."""
    sigma: float = 0.1
    """ς of L_GMM's kernels; a video is 2 long. Open."""
    sigma_by: Literal["fixed", "embedding", "category"] = "fixed"
    """Conditioning of ς on the weighted category embedding: none, ς·exp(tanh(linear(v))), or a learned scale of each
    category averaged by w (A13). Open."""
    iterations: int = 655
    """Iterations after the warm-up: with it 30 epochs of UCF-Crime's 1,610 videos. (XD-Violence: 1,753.)"""
    warm_up_iterations: int = 100
    """Iterations before L_GMM sets in. Open."""
    segments: int = 200
    """Time bins that a bag is averaged to in training. Open."""
    bags: int = 32
    """Normal bags in a batch of 64, and as many abnormal ones."""
    lr: float = 1e-4
    """Learning rate of AdamW at the start. Open."""
    final_lr: float = 1e-6
    """Where its cosine ends. Open."""
    weight_decay: float = 1e-4
    """AdamW's weight decay. Open."""

    def __post_init__(self) -> None:
        if not self.streams or len(set(self.streams)) < len(self.streams):
            raise UsageError(f"streams: one or more, each once, not '{','.join(self.streams)}'")
        for name in self.categories:
            if not name.strip() or name != name.strip() or ";" in name or name == NORMAL:
                raise UsageError(f"categories: '{name}' is no name of a category of anomaly")
            if self.categories.count(name) > 1:
                raise UsageError(f"categories: '{name}' is there twice")
        if self.fold < 2:
            raise UsageError(f"fold: at least 2, not {self.fold:g}: both sides' channels must fit")

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.streams

    @property
    def runs_on(self) -> tuple[str, ...]:
        return self.streams

    @property
    def named(self) -> tuple[str, ...]:
        """The K categories."""
        return self.categories or ("abnormal",)


# -------------------------------------------------------------------------------------------------------------- MoTAR


def motion(x_NTD: Tensor, kind: Literal["variance", "log1p", "relative"] = "variance") -> Tensor:
    """v_t = Var(x_t − x_{t−1}) over the channels, `(N, T)`, ≥ 0; 0 for the first snippet."""
    v_NT = F.pad(x_NTD.diff(dim=1).var(-1, correction=0), (1, 0))
    if kind == "relative":
        own_NT = x_NTD.var(-1, correction=0)
        return v_NT / (own_NT + F.pad(own_NT[:, :-1], (1, 0))).clamp(min=1e-12)
    return v_NT.log1p() if kind == "log1p" else v_NT


def shifted(x_NTD: Tensor, s_NT: Tensor, reach: float, mode: Literal["soft", "ste", "hard"] = "soft") -> Tensor:
    """y_t: the first s_t channels from the snippet before, the next s_t from the one after, the others its own.

    Args:
        s_NT: shift in channels, from 0 to `reach`; zeros come in from beyond both ends.
        reach: the largest shift that there can be; channels from 2·`reach` on are not looked at.
        mode: what a shift between two whole numbers moves, see `RefineVadConfig.shift`.
    """
    width = min(math.ceil(2 * reach), x_NTD.shape[-1])
    x, rest = x_NTD[..., :width], x_NTD[..., width:]
    channel = torch.arange(width, device=x.device, dtype=s_NT.dtype)

    def masks(s_NT1: Tensor) -> tuple[Tensor, Tensor]:
        before = (s_NT1 - channel).clamp(0, 1)
        return before, (2 * s_NT1 - channel).clamp(0, 1) - before

    if mode == "soft":
        m1, m2 = masks(s_NT[..., None])
    else:
        m1, m2 = masks(s_NT[..., None].floor())
    if mode == "ste":
        soft1, soft2 = masks(s_NT[..., None])
        m1, m2 = m1 + soft1 - soft1.detach(), m2 + soft2 - soft2.detach()
    before, after = F.pad(x, (0, 0, 1, 0))[:, :-1], F.pad(x, (0, 0, 0, 1))[:, 1:]
    return torch.cat([x + m1 * (before - x) + m2 * (after - x), rest], dim=-1)


class Motar(nn.Module):
    """Motion-aware temporal attention recalibration: a shift as wide as there is motion, then a light transformer.

    The transformer's blocks are UR-DMU's, whose second branch weighs the neighbours by distance: it knows the order of
    time without positions, which are open in the paper.
    """

    def __init__(self, width: int, config: RefineVadConfig):
        super().__init__()
        self.config, hidden = config, config.hidden
        self.embedding = nn.Linear(width, hidden)
        self.gate, self.blocks = None, nn.Sequential()
        if not config.motar:
            return
        self.reach = width / config.fold
        self.gate = nn.Sequential(
            nn.Linear(1, config.gate), nn.GELU(), nn.Linear(config.gate, config.gate), nn.GELU(),
            nn.Linear(config.gate, 1),
        )  # fmt: skip
        self.blocks = nn.Sequential(
            *(
                Block(
                    hidden, heads=config.heads, feed_forward=config.feed_forward, dropout=config.dropout,
                    local_norm="column",
                )
                for _ in range(config.depth)
            )
        )  # fmt: skip

    def forward(self, *streams: Tensor) -> Tensor:
        """Streams `(N, T, ·)` → `x^tc` `(N, T, H)`."""
        return self.blocks(self._by_pieces(self._embed, *streams))

    def ratio(self, *streams: Tensor) -> Tensor:
        """r_t `(N, T)` in [0, 1], the share of D/K channels that come from each side; 0 where nothing is shifted."""
        return self._by_pieces(lambda x: self._ratio(x)[..., None], *streams).squeeze(-1)

    def _embed(self, x_NTD: Tensor) -> Tensor:
        if self.gate is not None:
            x_NTD = shifted(x_NTD, self._ratio(x_NTD) * self.reach, self.reach, self.config.shift)
        return self.embedding(x_NTD)

    def _ratio(self, x_NTD: Tensor) -> Tensor:
        if self.gate is None:
            return x_NTD.new_zeros(x_NTD.shape[:2])
        v_NT = motion(x_NTD, self.config.motion)
        return self.gate(v_NT[..., None]).squeeze(-1).float().sigmoid()

    def _by_pieces(self, function: Callable[[Tensor], Tensor], *streams: Tensor) -> Tensor:
        """Nothing before the transformer sees farther than one snippet: long videos go a piece at a time."""
        length, size = streams[0].shape[1], pieces.PIECE

        def piece(start: int) -> Tensor:
            low, stop = max(start - 1, 0), min(start + size, length)
            x_NTD = torch.cat([stream[:, low : stop + 1] for stream in streams], dim=-1)
            return function(x_NTD)[:, start - low : stop - low]

        return pieces.joined(map(piece, range(0, length, size)), length)


# --------------------------------------------------------------------------------------------------------------- CORE


class CrossAttention(nn.Module):
    """softmax(q·kᵀ/√d)·v per head, heads joined, then a linear layer. Keys have no bias: it would change nothing."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, query_NQH: Tensor, memory_NMH: Tensor) -> Tensor:
        """`(N, Q, H)` asks `(N, M, H)` → `(N, Q, H)`."""
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (self.query(query_NQH), self.key(memory_NMH), self.value(memory_NMH))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Core(nn.Module):
    """Category-oriented refinement: soft categories of the video, and their prototypes injected into each snippet."""

    def __init__(self, categories: int, config: RefineVadConfig):
        super().__init__()
        self.config, width = config, config.hidden
        self.coarse = nn.Linear(width, 1, bias=False)  # a bias would change nothing: scores are normalised over time
        self.prototypes = nn.Parameter(config.prototype_std * torch.randn(categories, width))
        self.linear, self.bias = None, None
        if config.classifier == "linear":
            self.linear = nn.Linear(width, 2 * categories)
        else:
            self.bias = nn.Parameter(torch.zeros(categories))
            self.register_buffer("seen", torch.zeros(1 + categories, width))
        self.cross = CrossAttention(width, config.heads)
        self.norm = nn.LayerNorm(width)

    seen: Tensor
    """`(1 + K, H)`: the mean direction of training videos that are normal, and of each category; 0 = none yet."""

    def pooled(self, x_NTH: Tensor) -> Tensor:
        """x̄ = Σ α_t x_t, `(N, H)`: α is the softmax over time of the coarse scores."""
        alpha_NT = self.coarse(x_NTH).squeeze(-1).float().softmax(-1)
        return torch.matmul(alpha_NT[:, None].to(x_NTH), x_NTH).squeeze(1)

    def logits(self, x_H: Tensor) -> Tensor:
        """Soft classifier, `(..., H)` → `(..., K)`: abnormal minus normal logit, so that its logistic is p^a."""
        if self.linear is not None:
            z = self.linear(x_H).float().unflatten(-1, (-1, 2))
            return z[..., 1] - z[..., 0]
        assert self.bias is not None
        cosine = F.linear(F.normalize(x_H.float(), dim=-1), F.normalize(self.prototypes.float(), dim=-1))
        return cosine / self.config.tau + self.bias.float()

    def weights(self, logits_NK: Tensor) -> Tensor:
        """w `(N, K)`, summing to 1: the softmax of p^a, or 1 for the likeliest category."""
        if self.config.core == "hard":
            return F.one_hot(logits_NK.argmax(-1), logits_NK.shape[-1]).to(logits_NK)
        return (logits_NK.sigmoid() / self.config.w_temp).softmax(-1)

    def injected(self, x_NTH: Tensor, w_NK: Tensor) -> Callable[[Tensor], Tensor]:
        """What makes `x^ca` of `x^tc`, or of a part of it, `(N, t, H)`."""
        w_NK = w_NK.to(self.prototypes)
        if self.config.attention == "pooled":
            v_NH = w_NK @ self.prototypes
            u_N1H = self.cross(v_NH[:, None], x_NTH)
            return lambda part: self.norm(part + u_N1H)
        weighted_NKH = w_NK[..., None] * self.prototypes
        return lambda part: self.norm(part + self.cross(part, weighted_NKH))

    @torch.no_grad()
    def remember(self, pooled_NH: Tensor, truth_NK: Tensor, momentum: float = 0.05) -> None:
        """Keep the mean direction of what a category's videos, and normal ones, look like. No loss looks at it."""
        if self.linear is not None:
            return
        share_NK = torch.cat([1 - truth_NK.sum(1, keepdim=True), truth_NK], 1)
        count_K = share_NK.sum(0)[:, None]
        mean_KH = share_NK.T @ F.normalize(pooled_NH.float(), dim=-1) / count_K.clamp(min=1e-12)
        first = ~self.seen.any(1, keepdim=True)
        self.seen += torch.where(count_K > 0, (mean_KH - self.seen) * torch.where(first, 1.0, momentum), 0.0)

    @torch.no_grad()
    def grow(self, pooled_nH: Tensor) -> None:
        """One more prototype: what sets these videos apart from all that was seen. Its bias puts p^a = ½ halfway
        between them and the nearest of the others."""
        assert self.bias is not None
        given_nH = F.normalize(pooled_nH.float(), dim=-1)
        others = self.seen[self.seen.any(1)]
        apart_H = given_nH.mean(0) - (others.mean(0) if len(others) else 0)
        apart_H = F.normalize(apart_H, dim=-1)
        ours, theirs = given_nH @ apart_H, others @ apart_H
        border = (ours.mean() + theirs.max()) / 2 if len(others) else torch.zeros(())
        length = self.prototypes.norm(dim=-1).mean()
        self.prototypes = nn.Parameter(torch.cat([self.prototypes, (length * apart_H)[None]]))
        self.bias = nn.Parameter(torch.cat([self.bias, -(border / self.config.tau)[None].to(self.bias)]))
        self.seen = torch.cat([self.seen, given_nH.mean(0, keepdim=True)])


# ------------------------------------------------------------------------------------------------------------- losses


def l_mil(scores_NT: Tensor, k: int, margin: float = 1.0) -> Tensor:
    """Top-k ranking: the mean over all pairs of relu(margin − top-k(abnormal) + top-k(normal)), normal half first."""
    normal_b, abnormal_b = scores_NT.topk(k, dim=-1).values.mean(-1).chunk(2)
    return (margin - abnormal_b[:, None] + normal_b[None, :]).relu().mean()


def l_cat(logits_NK: Tensor, truth_NK: Tensor) -> Tensor:
    """BCE of each category's p^a; a normal video is none of them."""
    return F.binary_cross_entropy_with_logits(logits_NK, (truth_NK > 0).to(logits_NK))


@torch.no_grad()
def centres(scores_NT: Tensor, peaks: int = 1, near: float = 0.9) -> Tensor:
    """True at the highest snippets, and at their neighbours as far as they score `near` times as high: `(N, T)`."""
    found = torch.zeros_like(scores_NT, dtype=torch.bool)
    for peak_N1 in scores_NT.topk(min(peaks, scores_NT.shape[1])).indices.split(1, dim=-1):
        high = scores_NT >= near * scores_NT.gather(1, peak_N1)
        breaks = (~high).cumsum(1)
        found |= high & (breaks == breaks.gather(1, peak_N1))
    return found


def gaussian_target(centres_NT: Tensor, sigma_N: Tensor) -> Tensor:
    """q `(N, T)` in [0, 1]: the highest of the kernels exp(−(h_i − h_p)²/2ς²) at the centres p, each stretched to
    [0, 1]; h runs from −1 to 1 over the video."""
    h_T = torch.linspace(-1, 1, centres_NT.shape[1], device=sigma_N.device)
    kernel_NTT = torch.exp(-(h_T[:, None] - h_T).square() / (2 * sigma_N[:, None, None].square()))
    lowest = kernel_NTT.amin(-1, keepdim=True)
    stretched = (kernel_NTT - lowest) / (1 - lowest) if len(h_T) > 1 else kernel_NTT
    return torch.where(centres_NT[:, :, None], stretched, 0.0).amax(1)


def l_gmm(logits_NT: Tensor, sigma_n: Tensor, peaks: int = 1, near: float = 0.9) -> Tensor:
    """Smoothing: BCE(s, q), q being Gaussian around the peaks of abnormal videos, and 0 in normal ones.

    The paper's definition is not known; this stands in for it (A13). Peaks have no gradient, ς has one.

    Args:
        sigma_n: ς of each abnormal video.
    """
    q_n = gaussian_target(centres(logits_NT.chunk(2)[1].sigmoid(), peaks, near), sigma_n)
    return F.binary_cross_entropy_with_logits(logits_NT, torch.cat([torch.zeros_like(q_n), q_n]))


class CosineAdamW(torch.optim.AdamW):
    """AdamW whose learning rate falls to `final_lr` along a cosine. It follows from the steps that are taken, which
    are part of the state, so that a run which is resumed goes on where it was."""

    def __init__(self, params: Any, *, lr: float, iterations: int, final_lr: float, **options: Any):
        self.course = lr, final_lr, iterations
        super().__init__(params, lr=lr, **options)

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        first, last, iterations = self.course
        taken = max((float(state["step"]) for state in self.state.values() if "step" in state), default=0.0)
        for group in self.param_groups:
            group["lr"] = last + (first - last) * (1 + math.cos(math.pi * min(taken / iterations, 1.0))) / 2
        return super().step(closure)


# ------------------------------------------------------------------------------------------------------------- method


class RefineVad(nn.Module):
    """MoTAR, CORE, score head."""

    learns_from: ClassVar[tuple[str, ...]] = ("rgb",)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "none"
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = RefineVadConfig

    def __init__(self, widths: dict[str, int], config: RefineVadConfig | None = None):
        super().__init__()
        self.config = config = config or RefineVadConfig()
        self.learns_from, self.runs_on = config.learns_from, config.runs_on  # type: ignore[misc]
        self.widths = {name: widths[name] for name in config.streams}
        hidden, categories = config.hidden, len(config.named)
        self.motar = Motar(sum(self.widths.values()), config)
        self.core = Core(categories, config) if config.core != "off" else None
        self.head = nn.Sequential(
            nn.Linear(hidden, config.head), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.head, 1)
        )
        self.scale: nn.Linear | nn.Parameter | None = None
        if self.core is not None and config.sigma_by == "embedding":
            self.scale = nn.Linear(hidden, 1)
            nn.init.zeros_(self.scale.weight)
            nn.init.zeros_(self.scale.bias)
        elif self.core is not None and config.sigma_by == "category":
            self.scale = nn.Parameter(torch.zeros(categories))

    # -------------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1].

        Raises:
            WsvadError: a stream has another width than in training, or other snippets than the first stream.
        """
        return over_crops(lambda *x: self._score(self.motar(*x)), *self._given(streams))

    def categorise(self, streams: dict[str, Tensor]) -> Tensor:
        """Class scores `(B, T, K)` in [0, 1], in the order of `config.named`: P_tc = s_t · p_c / Σ p (7.6).

        They add up to s_t; what is missing to 1 is the score of "normal".
        """

        def scores(*x: Tensor) -> Tensor:
            x_NTH = self.motar(*x)
            return self._score(x_NTH)[..., None] * self._shares(x_NTH)

        return over_crops(scores, *self._given(streams))

    def because(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """What kind of thing it is, whether it is one or not: each category's share p_c / Σ p, `(B, T)`."""
        shares_BTK = over_crops(lambda *x: self._shares(self.motar(*x)), *self._given(streams))
        return dict(zip(self.config.named, shares_BTK.unbind(-1), strict=True))

    def shift(self, streams: dict[str, Tensor]) -> Tensor:
        """MoTAR's ratio r_t, `(B, T)` in [0, 1]: how much of a snippet comes from its neighbours, by motion alone."""
        return over_crops(self.motar.ratio, *self._given(streams))

    def embeddings(self, streams: dict[str, Tensor]) -> Tensor:
        """`x^tc`, `(B, T, H)`: the space that the prototypes live in, to be compared by cosine."""
        return over_crops(self.motar, *self._given(streams))

    @property
    def prototypes(self) -> Tensor:
        """E `(K, H)`, one row a category of `config.named`; none without CORE."""
        return self.core.prototypes.detach() if self.core is not None else torch.empty(0, self.config.hidden)

    def add_category(self, name: str, embeddings: Sequence[Tensor]) -> "RefineVad":
        """A copy that knows one more category; all its other weights are this method's.

        Args:
            name: of the category.
            embeddings: for each of a few videos that show it, what `embeddings` gives, or a part of it in which it
                happens: `(T, H)`.

        Raises:
            UsageError: the name is taken or is none, no embeddings are given, or this configuration cannot grow.
        """
        if self.core is None or self.config.classifier != "prototypes":
            raise UsageError(f"cannot add '{name}': only a method with classifier 'prototypes' and CORE can grow")
        if name in self.config.named:
            raise UsageError(f"cannot add '{name}': there is a category of that name; take another one")
        if not embeddings or any(one.ndim != 2 or one.shape[1] != self.config.hidden for one in embeddings):
            raise UsageError(f"cannot add '{name}': it takes one or more videos' embeddings (T, {self.config.hidden})")
        grown = copy.deepcopy(self)
        grown.config = replace(self.config, categories=(*self.config.named, name))
        assert grown.core is not None
        with torch.no_grad():
            grown.core.grow(torch.cat([self.core.pooled(one[None].to(self.core.prototypes)) for one in embeddings]))
            if isinstance(grown.scale, nn.Parameter):
                grown.scale = nn.Parameter(torch.cat([grown.scale, grown.scale.mean()[None]]))
        return grown

    def _given(self, streams: dict[str, Tensor]) -> list[Tensor]:
        """The configuration's streams in order, all of one length and as wide as in training."""
        first = self.config.streams[0]
        for name, width in self.widths.items():
            if streams[name].shape[-1] != width:
                raise WsvadError(
                    f"the stream '{name}' is {streams[name].shape[-1]} wide, and {width} in training; "
                    "extract it with the same encoder"
                )
            if streams[name].shape[-2] != streams[first].shape[-2]:
                raise WsvadError(
                    f"the stream '{name}' has {streams[name].shape[-2]} snippets, '{first}' {streams[first].shape[-2]}; "
                    "extract them from the same video"
                )
        return [streams[name] for name in self.config.streams]

    def _score(self, x_NTH: Tensor) -> Tensor:
        w_NK = self.core.weights(self.core.logits(self.core.pooled(x_NTH))) if self.core is not None else None
        return self._score_logits(x_NTH, w_NK).sigmoid()

    def _score_logits(self, x_NTH: Tensor, w_NK: Tensor | None) -> Tensor:
        """`x^tc` → `(N, T)`, whose logistic is s, with categories of these weights injected."""
        refine = self.core.injected(x_NTH, w_NK) if self.core is not None and w_NK is not None else nn.Identity()
        parts = [self.head(refine(part)).squeeze(-1) for part in x_NTH.split(pieces.PIECE, 1)]
        return torch.cat(parts, dim=1).float()

    def _shares(self, x_NTH: Tensor) -> Tensor:
        """p_c / Σ p, `(N, T, K)`; all alike without CORE."""
        if self.core is None:
            return x_NTH.new_full((*x_NTH.shape[:2], len(self.config.named)), 1 / len(self.config.named))
        whose = x_NTH if self.config.categorise_by == "snippet" else self.core.pooled(x_NTH)[:, None]
        p = self.core.logits(whose).sigmoid().clamp(min=1e-12)
        return (p / p.sum(-1, keepdim=True)).expand(-1, x_NTH.shape[1], -1)

    # ------------------------------------------------------------------------------------------------------- learning

    def truth(self, batch: Batch) -> Tensor:
        """y `(B, K)`: a share of 1 for the categories of an abnormal bag, 0 for a normal one.

        Raises:
            WsvadError: a category that the configuration does not name.
        """
        own, known = self.config.categories, {name: index for index, name in enumerate(self.config.named)}
        if not own:  # one category for all, whatever they are called
            return batch.labels[:, None].clone()
        truth = torch.zeros(len(batch.labels), len(known))
        for row, (label, joined) in enumerate(zip(batch.labels.tolist(), batch.categories, strict=True)):
            names = sorted({name.strip() for name in joined.split(";")} - {NORMAL}) if label else []
            for name in names:
                if name not in known:
                    raise WsvadError(f"the category '{name}' is none of this method's: {', '.join(known)}")
                truth[row, known[name]] = 1 / len(names)
        return truth.to(batch.labels)

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor | None]:
        """L_MIL and L_cat, the score logits `(B, T)`, and the weights that were injected `(B, K)`."""
        config, core = self.config, self.core
        x_BTH = self.motar(*self._given(batch.streams))
        w_BK, parts = None, {}
        if core is not None:
            pooled_BH, truth_BK = core.pooled(x_BTH), self.truth(batch)
            logits_BK = core.logits(pooled_BH)
            parts["cat"] = config.lambda2 * l_cat(logits_BK, truth_BK)
            w_BK = core.weights(logits_BK) + (truth_BK if config.add_truth else 0)
            core.remember(pooled_BH, truth_BK)
        logits_BT = self._score_logits(x_BTH, w_BK)
        k = logits_BT.shape[1] // config.top_every + 1
        return {"mil": l_mil(logits_BT.sigmoid(), k, config.margin)} | parts, logits_BT, w_BK

    def l_first(self, batch: Batch) -> dict[str, Tensor]:
        """L_MIL + λ2·L_cat, the loss before the peaks mean anything. The parts are weighted."""
        parts, _, _ = self._losses(batch)
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_MIL + λ1·L_GMM + λ2·L_cat. The parts are weighted."""
        config = self.config
        parts, logits_BT, w_BK = self._losses(batch)
        sigma_n = self._sigma(w_BK, len(logits_BT)).chunk(2)[1].to(logits_BT)
        parts["gmm"] = config.lambda1 * l_gmm(logits_BT, sigma_n, config.peaks, config.near)
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def _sigma(self, w_BK: Tensor | None, bags: int) -> Tensor:
        """ς of each video, `(B,)`, between ς/e and ς·e."""
        if self.core is None or w_BK is None or self.scale is None:
            return torch.full((bags,), self.config.sigma)
        if isinstance(self.scale, nn.Linear):
            by_B = self.scale(w_BK.to(self.core.prototypes) @ self.core.prototypes).squeeze(-1)
        else:
            by_B = w_BK @ self.scale / w_BK.sum(-1)
        return self.config.sigma * by_B.float().tanh().exp()

    def phases(self) -> list[Phase]:
        """Warm-up without L_GMM at a constant rate, then all with AdamW along a cosine; one phase where λ1 is 0."""
        config = self.config
        scale = {id(p) for p in self.parameters()} - {
            id(p) for module in (self.motar, self.core, self.head) if module is not None for p in module.parameters()
        }
        whole = config.iterations + (0 if config.lambda1 else config.warm_up_iterations)
        main = Phase(
            name="main", loss=self.loss if config.lambda1 else self.l_first, parameters=list(self.parameters()),
            iterations=whole, segments=config.segments, bags=config.bags, optimizer=CosineAdamW, lr=config.lr,
            weight_decay=config.weight_decay,
            options={"iterations": whole, "final_lr": config.final_lr, "fused": True},
        )  # fmt: skip
        warm_up = replace(
            main, name="warm-up", loss=self.l_first, iterations=config.warm_up_iterations,
            parameters=[p for p in self.parameters() if id(p) not in scale],
            optimizer=torch.optim.AdamW, options={"fused": True},
        )  # fmt: skip
        return [warm_up, main] if config.lambda1 and config.warm_up_iterations else [main]
