"""RefineVAD: when it moves, and what kind of thing it is (AAAI 2026).

MoTAR lets motion decide how far features shift in time, and looks at the whole video with a light transformer. CORE
asks which categories of anomaly the video looks like, softly, and lets their prototypes refine every snippet. "Normal"
is no category but the absence of all. RGB alone will do; the paper has a text stream beside it.

The paper is known to us from a review, which leaves sizes, schedule and one loss open; the fields' docstrings name
them.

Shapes: B videos, C crops, N sequences (B·C), T snippets, D input features (all streams side by side), H width, K
categories of anomaly. A batch holds its normal bags first, then as many abnormal ones; `_n` and `_a` are the halves.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.errors import UsageError, WsvadError
from wsvad.layers import pieces
from wsvad.layers.block import Block
from wsvad.layers.dropout import Dropout
from wsvad.layers.pieces import over_crops, with_neighbours
from wsvad.layers.share import each_bag
from wsvad.methods.abilities import Outputs
from wsvad.methods.method import Batch, Phase
from wsvad.methods.streams import check_streams, given
from wsvad.ranges import Count, NotNegative, Positive, Share, Whole, check_fields

NORMAL = "normal"
"""What a category is called that is none."""
GAIN = 10.0
"""The score's logit is so many times what the head gives. The head starts at zero, and grows in time by it: with a gain
of 1, held-out captions were told apart five points worse; 30 is as good."""


@dataclass(frozen=True, kw_only=True)
class RefineVadConfig:
    """Published are the optimiser, the batch, the epochs, λ1, λ2 and that e_y is added; what is open says so."""

    streams: tuple[str, ...] = ("rgb",)
    """Put side by side, in training and in scoring: `rgb`, or `rgb` and `text` as in the paper (A10)."""
    categories: tuple[str, ...] = ()
    """The categories of anomaly, in order. Empty: one, `abnormal`, whatever categories the labels name."""
    motar: bool = True
    """Shift and transformer; without them each snippet is embedded by itself, as in the ablation's base."""
    shift: Literal["soft", "ste", "hard"] = "soft"
    """Channels that a shift s between two whole numbers moves (A11): `soft`, the last one in part; `hard`, ⌊s⌋ of them
    as printed, with which the gate never learns; `ste`, ⌊s⌋ with the gradient of `soft`."""
    motion: Literal["variance", "log1p"] = "variance"
    """What the gate reads: the variance v as printed, or log(1 + v)."""
    fold: float = 8.0
    """K of the paper, the folding factor: at most D/K channels come from each side. At least 2. Open."""
    gate: Count = 16
    """Width of the gate's two hidden layers. Open."""
    hidden: Count = 512
    """Width H of everything after the embedding. Open."""
    depth: Whole = 1
    """Transformer blocks. Open ("light")."""
    heads: Count = 8
    """Attention heads of the blocks and of the cross-attention. Open."""
    feed_forward: Count = 2048
    """Hidden width of a block's feed-forward layer. Open."""
    dropout: Share = 0.1
    """Dropout in the blocks and in the head, in training. Open."""
    head: Count = 128
    """Hidden width of the score head. Open."""
    core: Literal["soft", "hard", "off"] = "soft"
    """Prototypes mixed softly; `hard`, the likeliest category's alone; or `off`, no CORE."""
    attention: Literal["segment", "pooled"] = "pooled"
    """Cross-attention (A12): `pooled`, v asks all snippets, as the formula reads, and all of a video get the same
    answer; `segment`, each snippet asks the weighted prototypes, as the abstract has it. On held-out videos `segment`
    is better at *when* (benchmarks/held_out.py)."""
    tau: Positive = 0.03
    """The soft classifier, open, is the cosine of the video to each prototype over this temperature, plus a bias: L_cat
    keeps the prototypes apart, and a category can be added later. A separate linear layer recognised fewer held-out
    categories."""
    w_temp: Positive = 1.0
    """What p is divided by before the softmax that gives w. With the paper's 1, w is nearly the same for all."""
    within: NotNegative = 2.0
    """A snippet's category is predicted from x̄ pooled within a Gaussian of this σ, in snippets, so that two events of
    a video can have different categories. 0: from the x̄ of the whole video. Open (7.6)."""
    add_truth: bool = True
    """Add the true categories' prototypes to v in training, as published. Normal bags have none to add (A14), and the
    `segment` query does not use v, which would reveal the label."""
    lambda1: float = 0.1
    """λ1, weight of L_GMM."""
    lambda2: float = 0.2
    """λ2, weight of L_cat."""
    margin: float = 1.0
    """By how much an abnormal bag's top-k mean should exceed a normal bag's. Open."""
    top_every: Count = 16
    """k = ⌊T / this⌋ + 1 snippets stand for a bag. Open."""
    top_least: Count = 1
    """At least so many snippets stand for a bag; all, where it has no more. No part of the paper."""
    near: float = 0.9
    """L_GMM's peak spreads to the neighbours that score at least this share of it. Open."""
    sigma: Positive = 0.1
    """ς of L_GMM's kernels; a video is 2 long. Open."""
    sigma_by: Literal["fixed", "embedding"] = "fixed"
    """Conditioning of ς on the weighted category embedding v (A13): none, or ς·exp(tanh(linear(v))). Open."""
    iterations: Count = 655
    """Iterations after the warm-up: with it 30 epochs of UCF-Crime's 1,610 videos. (XD-Violence: 1,753.)"""
    warm_up_iterations: Whole = 100
    """Iterations before L_GMM is used, while the highest score is not yet informative. Open."""
    segments: Count = 200
    """Time bins that a bag is averaged to in training. Open."""
    bags: Count = 32
    """Normal bags in a batch of 64, and as many abnormal ones."""
    lr: Positive = 1e-4
    """Learning rate of AdamW at the start. Open."""
    final_lr: NotNegative = 1e-6
    """Where its cosine ends, after the warm-up. Open."""
    weight_decay: NotNegative = 1e-4
    """AdamW's weight decay. Open."""
    data_budget: ClassVar[dict[str, Any]] = {"attention": "segment"}
    """Other defaults where the budget is the data's."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_streams(self.streams)
        for name in self.categories:
            if not name.strip() or name != name.strip() or ";" in name or name == NORMAL:
                raise UsageError(f"categories: '{name}' is not a valid name of a category of anomaly")
            if self.categories.count(name) > 1:
                raise UsageError(f"categories: '{name}' is listed twice")
        if self.fold < 2:
            raise UsageError(f"fold: at least 2, not {self.fold:g}: both sides' channels must fit")

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.streams

    @property
    def runs_on(self) -> tuple[str, ...]:
        return self.streams

    @property
    def remark(self) -> str:
        """What the reader of results should know."""
        alone = " + ".join(self.streams)
        return "" if "text" in self.streams else f"It learns and runs on {alone}, without the text stream of its paper."

    @property
    def named(self) -> tuple[str, ...]:
        """The K categories that are distinguished: without CORE there is one."""
        return (self.categories if self.core != "off" else ()) or ("abnormal",)


# -------------------------------------------------------------------------------------------------------------- MoTAR


def motion(x_NTD: Tensor, kind: Literal["variance", "log1p"] = "variance") -> Tensor:
    """v_t = Var(x_t − x_{t−1}) over the channels, `(N, T)`, ≥ 0; 0 for the first snippet."""
    delta_NTD = x_NTD.diff(dim=1)
    square_NT = torch.linalg.vector_norm(delta_NTD, dim=-1).square() / x_NTD.shape[-1]
    v_NT = F.pad((square_NT - delta_NTD.mean(-1).square()).clamp(min=0), (1, 0))  # torch's own variance is slow
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
    channel_D = torch.arange(width, device=x.device, dtype=s_NT.dtype)

    def masks(s_NT1: Tensor) -> tuple[Tensor, Tensor]:
        m1 = (s_NT1 - channel_D).clamp(0, 1)
        return m1, (2 * s_NT1 - channel_D).clamp(0, 1) - m1

    s_NT1 = s_NT[..., None]
    m1, m2 = masks(s_NT1 if mode == "soft" else s_NT1.floor())
    if mode == "ste":
        soft1, soft2 = masks(s_NT1)
        m1, m2 = m1 + soft1 - soft1.detach(), m2 + soft2 - soft2.detach()
    before, after = F.pad(x, (0, 0, 1, 0))[:, :-1], F.pad(x, (0, 0, 0, 1))[:, 1:]
    return torch.cat([torch.addcmul(torch.addcmul((1 - m1 - m2) * x, m1, before), m2, after), rest], dim=-1)


class Motar(nn.Module):
    """Motion-aware temporal attention recalibration: a shift as wide as there is motion, then a light transformer.

    The transformer's blocks are UR-DMU's, whose second branch weighs the neighbours by distance: it knows the order of
    time without positions, which are open in the paper.
    """

    def __init__(self, width: int, config: RefineVadConfig):
        super().__init__()
        self.mode, self.kind, self.reach = config.shift, config.motion, width / config.fold
        self.embedding = nn.Linear(width, config.hidden)
        self.gate: nn.Module | None = None
        if config.motar:
            self.gate = nn.Sequential(
                nn.Linear(1, config.gate), nn.GELU(), nn.Linear(config.gate, config.gate), nn.GELU(),
                nn.Linear(config.gate, 1),
            )  # fmt: skip
        self.blocks = nn.Sequential(
            *(
                Block(
                    config.hidden, heads=config.heads, feed_forward=config.feed_forward, dropout=config.dropout,
                    local_norm="column",
                )
                for _ in range(config.depth if config.motar else 0)
            )
        )  # fmt: skip

    def forward(self, *streams: Tensor) -> Tensor:
        """Streams `(N, T, ·)` → `x^tc` `(N, T, H)`."""
        return self.blocks(with_neighbours(self.embed, *streams))

    def embed(self, x_NTD: Tensor) -> Tensor:
        """Shift and embedding → `(N, T, H)`."""
        if self.gate is not None:
            x_NTD = shifted(x_NTD, self.reach * self.ratio(x_NTD).squeeze(-1), self.reach, self.mode)
        return self.embedding(x_NTD)

    def ratio(self, x_NTD: Tensor) -> Tensor:
        """r_t `(N, T, 1)` in [0, 1], the share of D/K channels that come from each side; 0 where nothing is shifted."""
        v_NT1 = motion(x_NTD, self.kind)[..., None]
        return self.gate(v_NT1).float().sigmoid() if self.gate is not None else torch.zeros_like(v_NT1)


# --------------------------------------------------------------------------------------------------------------- CORE


class Core(nn.Module):
    """Category-oriented refinement: soft categories of the video, and their prototypes injected into each snippet."""

    seen: Tensor
    """`(1 + K, H)`: the mean direction of training videos that are normal, and of each category; 0 = none yet."""

    def __init__(self, config: RefineVadConfig):
        super().__init__()
        self.config, width, categories = config, config.hidden, len(config.named)
        self.coarse = nn.Linear(width, 1, bias=False)  # a bias would change nothing: scores are normalised over time
        self.prototypes = nn.Parameter(0.02 * torch.randn(categories, width))
        self.bias = nn.Parameter(torch.zeros(categories))
        self.cross = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.register_buffer("seen", torch.zeros(1 + categories, width))

    def pooled(self, x_NTH: Tensor) -> Tensor:
        """x̄ = Σ α_t x_t, `(N, H)`: α is the softmax over time of the coarse scores."""
        alpha_NT1 = self.coarse(x_NTH).float().softmax(1)
        return torch.matmul(alpha_NT1.transpose(1, 2).to(x_NTH), x_NTH).squeeze(1)

    def around(self, x_NTH: Tensor, rows: slice) -> Tensor:
        """x̄_t for the chosen snippets, `(N, t, H)`: as x̄, but α is weighed by exp(−(t − j)²/2σ²) for snippet j."""
        length = x_NTH.shape[1]
        reach = min(math.ceil(3 * self.config.within), length)
        start, stop, _ = rows.indices(length)
        near_NtH = x_NTH[:, max(start - reach, 0) : stop + reach]
        beyond = max(reach - start, 0), max(stop + reach - length, 0)
        offsets_J = torch.arange(-reach, reach + 1, device=x_NTH.device)
        coarse_Nt = F.pad(self.coarse(near_NtH).float().squeeze(-1), beyond, value=-math.inf)
        coarse_NtJ = coarse_Nt.unfold(1, len(offsets_J), 1)
        alpha_NtJ = (coarse_NtJ - offsets_J.square() / (2 * self.config.within**2)).softmax(-1).to(x_NTH)
        near_NtH = F.pad(near_NtH, (0, 0, *beyond))
        looks_NtH = torch.zeros_like(near_NtH[:, : stop - start])
        for j in range(len(offsets_J)):
            looks_NtH = torch.addcmul(looks_NtH, alpha_NtJ[..., j, None], near_NtH[:, j : j + stop - start])
        return looks_NtH

    def logits(self, x_NH: Tensor) -> Tensor:
        """Soft classifier, `(…, H)` → `(…, K)`: abnormal minus normal logit, so that its logistic is p^a."""
        cosine = F.linear(F.normalize(x_NH.float(), dim=-1), F.normalize(self.prototypes.float(), dim=-1))
        return cosine / self.config.tau + self.bias.float()

    def weights(self, logits_NK: Tensor) -> Tensor:
        """w `(N, K)`, summing to 1: the softmax of p^a, or 1 for the likeliest category."""
        if self.config.core == "hard":
            return F.one_hot(logits_NK.argmax(-1), logits_NK.shape[-1]).to(logits_NK)
        return (logits_NK.sigmoid() / self.config.w_temp).softmax(-1)

    def embedding(self, w_NK: Tensor) -> Tensor:
        """v = Σ w_c e_c, `(N, H)`."""
        return w_NK.to(self.prototypes) @ self.prototypes

    def injected(self, x_NTH: Tensor, w_NK: Tensor) -> Callable[[Tensor], Tensor]:
        """What makes `x^ca` of `x^tc`, or of a piece of it, `(N, t, H)`."""
        if self.config.attention == "pooled":
            u_N1H, _ = self.cross(self.embedding(w_NK)[:, None], x_NTH, x_NTH, need_weights=False)
            return lambda piece: self.norm(piece + u_N1H)
        weighted_NKH = w_NK[..., None].to(self.prototypes) * self.prototypes
        return lambda piece: self.norm(piece + self.cross(piece, weighted_NKH, weighted_NKH, need_weights=False)[0])

    @torch.no_grad()
    def remember(self, pooled_NH: Tensor, truth_NK: Tensor, momentum: float = 0.05) -> None:
        """Keep the mean direction of what normal videos, and each category's, look like. No loss looks at it."""
        share_NK = torch.cat([1 - truth_NK.sum(1, keepdim=True), truth_NK], 1)
        count_K1 = share_NK.sum(0)[:, None]
        mean_KH = share_NK.T @ F.normalize(pooled_NH.float(), dim=-1) / count_K1.clamp(min=1e-12)
        first_K1 = ~self.seen.any(1, keepdim=True)
        self.seen += torch.where(count_K1 > 0, (mean_KH - self.seen) * torch.where(first_K1, 1.0, momentum), 0.0)

    @torch.no_grad()
    def grow(self, pooled_nH: Tensor) -> None:
        """One more prototype: what sets these videos apart from all that was seen. Its bias puts p^a = ½ halfway
        between them and the nearest of the others."""
        given_nH, others_KH = F.normalize(pooled_nH.float(), dim=-1), self.seen[self.seen.any(1)]
        apart_H = F.normalize(given_nH.mean(0) - (others_KH.mean(0) if len(others_KH) else 0), dim=-1)
        ours, theirs = (given_nH @ apart_H).mean(), (others_KH @ apart_H).max() if len(others_KH) else -1.0
        length = self.prototypes.norm(dim=-1).mean()
        self.prototypes = nn.Parameter(torch.cat([self.prototypes, (length * apart_H)[None]]))
        self.bias = nn.Parameter(torch.cat([self.bias, -((ours + theirs) / 2 / self.config.tau)[None]]))
        self.seen = torch.cat([self.seen, given_nH.mean(0, keepdim=True)])


# ------------------------------------------------------------------------------------------------------------- losses


def l_mil(scores_NT: Tensor, k: int, margin: float = 1.0) -> Tensor:
    """Top-k ranking: the mean over all pairs of relu(margin − top-k(abnormal) + top-k(normal)), normal half first."""
    top_n, top_a = scores_NT.topk(k, dim=-1).values.mean(-1).chunk(2)
    return (margin - top_a[:, None] + top_n[None, :]).relu().mean()


def l_cat(logits_NK: Tensor, truth_NK: Tensor) -> Tensor:
    """BCE of each category's p^a; a normal video is none of them."""
    return F.binary_cross_entropy_with_logits(logits_NK, (truth_NK > 0).to(logits_NK))


def around_peak(scores_NT: Tensor, near: float = 0.9) -> Tensor:
    """True at the highest snippet, and at its neighbours as far as they score `near` times as high: `(N, T)`."""
    peak_N1 = scores_NT.argmax(1, keepdim=True)
    high_NT = scores_NT >= near * scores_NT.gather(1, peak_N1)
    breaks_NT = (~high_NT).cumsum(1)
    return high_NT & (breaks_NT == breaks_NT.gather(1, peak_N1))


def gaussian_target(centres_NT: Tensor, sigma_N: Tensor) -> Tensor:
    """q `(N, T)` in [0, 1]: the highest of the kernels exp(−(h_i − h_p)²/2ς²) at the centres p, each stretched to
    [0, 1]; h runs from −1 to 1 over the video."""
    h_T = torch.linspace(-1, 1, centres_NT.shape[1], device=sigma_N.device)
    kernel_NTT = torch.exp(-(h_T[:, None] - h_T).square() / (2 * sigma_N[:, None, None].square()))
    lowest = kernel_NTT.amin(-1, keepdim=True) if len(h_T) > 1 else 0.0
    return torch.where(centres_NT[:, :, None], (kernel_NTT - lowest) / (1 - lowest), 0.0).amax(1)


def l_gmm(logits_NT: Tensor, sigma_a: Tensor, near: float = 0.9) -> Tensor:
    """Smoothing: BCE(s, q), q being Gaussian around the peak of an abnormal video, and 0 in a normal one.

    The paper's definition is not known; this stands in for it (A13). Peaks have no gradient; ς has one.

    Args:
        sigma_a: ς of each abnormal video.
    """
    _, logits_a = logits_NT.detach().chunk(2)
    q_a = gaussian_target(around_peak(logits_a.sigmoid(), near), sigma_a)
    return F.binary_cross_entropy_with_logits(logits_NT, torch.cat([torch.zeros_like(q_a), q_a]))


# ------------------------------------------------------------------------------------------------------------- method


class RefineVad(nn.Module):
    """MoTAR, CORE, score head.

    The head's last layer starts at zero (open in the paper), so that the first step takes its direction from the bags.
    With random weights it may point the wrong way, and the ranking loss is already low for normal snippets that are
    influenced by the abnormal ones beside them: videos are then classified well, with *when* inverted.
    """

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
        self.motar = Motar(sum(self.widths.values()), config)
        self.core = Core(config) if config.core != "off" else None
        self.head = nn.Sequential(
            nn.Linear(config.hidden, config.head), nn.ReLU(), Dropout(config.dropout), nn.Linear(config.head, 1)
        )
        for weight in self.head[-1].parameters():
            nn.init.zeros_(weight)
        self.widen: nn.Linear | None = None
        if self.core is not None and config.sigma_by == "embedding":
            self.widen = nn.Linear(config.hidden, 1)
            nn.init.zeros_(self.widen.weight)

    # -------------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1].

        Raises:
            WsvadError: a stream has another width than in training, or other snippets than the first stream.
        """
        return over_crops(lambda *x: self._scores(self.motar(*x)), *self._given(streams))

    def class_scores(self, streams: dict[str, Tensor]) -> Tensor:
        """Class scores `(B, T, K)` in [0, 1], in the order of `config.named`: P_tc = s_t · p_c / Σ p (7.6), where
        p is that of what lies around snippet t (`within`).

        They add up to s_t; what is missing to 1 is the score of "normal". Without CORE all are alike.
        """

        def scores(*x: Tensor) -> Tensor:
            x_NTH = self.motar(*x)
            return self._scores(x_NTH)[..., None] * self._shares(x_NTH)

        return over_crops(scores, *self._given(streams))

    def describe(self, streams: dict[str, Tensor]) -> Outputs:
        """Scores, class scores, shift and embeddings, each as the function of that name gives it, from one pass."""

        def all_four(*x: Tensor) -> Tensor:
            x_NTH, ratio_NT1 = self.motar(*x), with_neighbours(self.motar.ratio, *x)
            scores_NT1 = self._scores(x_NTH)[..., None]
            classes_NTK = scores_NT1 * self._shares(x_NTH)
            return torch.cat([scores_NT1, classes_NTK, ratio_NT1, x_NTH.float()], dim=-1)

        sizes = (1, len(self.config.named), 1, self.config.hidden)
        scores, class_scores, shift, embeddings = over_crops(all_four, *self._given(streams)).split(sizes, -1)
        return Outputs(
            scores=scores[..., 0], class_scores=class_scores, shift=shift[..., 0], embeddings=embeddings
        )  # fmt: skip

    def shift(self, streams: dict[str, Tensor]) -> Tensor:
        """MoTAR's ratio r_t, `(B, T)` in [0, 1]: how much of a snippet comes from its neighbours, by motion alone."""
        return over_crops(lambda *x: with_neighbours(self.motar.ratio, *x), *self._given(streams)).squeeze(-1)

    def embeddings(self, streams: dict[str, Tensor]) -> Tensor:
        """`x^tc`, `(B, T, H)`: the space that the prototypes live in, to be compared by cosine."""
        return over_crops(self.motar, *self._given(streams))

    @property
    def prototypes(self) -> Tensor:
        """E `(K, H)`, a row for each category of `config.named`; `(0, H)` without CORE."""
        return self.core.prototypes.detach() if self.core is not None else torch.empty(0, self.config.hidden)

    @property
    def has_core(self) -> bool:
        """False where the configuration turns it off."""
        return self.core is not None

    def take_core(self, other: "RefineVad") -> None:
        """Use another run's CORE as it is: prototypes, classifier and cross-attention learn no more."""
        assert self.core is not None and other.core is not None
        self.core.load_state_dict(other.core.state_dict())
        self.core.requires_grad_(False)

    def add_category(self, name: str, embeddings: Sequence[Tensor]) -> "RefineVad":
        """A copy that knows one more category; all its other weights are this method's.

        Args:
            name: of the category.
            embeddings: for each of a few videos that show it, what `embeddings` gives, or the part of it in which it
                happens: `(T, H)`.

        Raises:
            UsageError: the name is taken or is none, no embeddings are given, or there is no CORE.
        """
        if self.core is None:
            raise UsageError(f"cannot add '{name}': this method was trained without categories (core: off)")
        if name in self.config.named:
            raise UsageError(f"cannot add '{name}': there is a category of that name; take another one")
        if not embeddings or any(one.ndim != 2 or one.shape[1] != self.config.hidden for one in embeddings):
            raise UsageError(f"cannot add '{name}': it takes one or more videos' embeddings, (T, {self.config.hidden})")
        config = replace(self.config, categories=(*self.config.named, name))
        grown = copy.deepcopy(self)
        assert grown.core is not None
        grown.config = grown.core.config = config
        with torch.no_grad():
            grown.core.grow(torch.cat([self.core.pooled(one[None].to(self.core.prototypes)) for one in embeddings]))
        return grown

    def _given(self, streams: dict[str, Tensor]) -> list[Tensor]:
        """The configuration's streams in order, all of one length and as wide as in training."""
        return given(streams, self.widths)

    def _scores(self, x_NTH: Tensor) -> Tensor:
        """`x^tc` → s `(N, T)`."""
        w_NK = self.core.weights(self.core.logits(self.core.pooled(x_NTH))) if self.core is not None else None
        return self._score_logits(x_NTH, w_NK).sigmoid()

    def _shares(self, x_NTH: Tensor) -> Tensor:
        """`x^tc` → each category's share p_c / Σ p of a snippet, `(N, T, K)`, or of the whole video, `(N, 1, K)`."""
        core, length, count = self.core, x_NTH.shape[1], len(self.config.named)
        if core is None or count == 1:
            return x_NTH.new_full((len(x_NTH), 1, count), 1 / count)
        rows = (slice(start, start + pieces.PIECE) for start in range(0, length, pieces.PIECE))
        looks = map(partial(core.around, x_NTH), rows) if self.config.within else [core.pooled(x_NTH)[:, None]]
        p_NTK = torch.cat([core.logits(look).sigmoid().clamp(min=1e-12) for look in looks], dim=1)
        return p_NTK / p_NTK.sum(-1, keepdim=True)

    def _score_logits(self, x_NTH: Tensor, w_NK: Tensor | None) -> Tensor:
        """`x^tc` → `(N, T)`, whose logistic is s, with categories of these weights injected."""
        refine = self.core.injected(x_NTH, w_NK) if self.core is not None and w_NK is not None else nn.Identity()
        logits = (self.head(refine(x)).squeeze(-1) for x in x_NTH.split(pieces.PIECE, 1))
        return GAIN * torch.cat(list(logits), dim=1).float()

    # ------------------------------------------------------------------------------------------------------- learning

    def truth(self, batch: Batch) -> Tensor:
        """y `(B, K)`: the categories of an abnormal bag share 1, a normal one has none.

        Raises:
            WsvadError: a category that the configuration does not name.
        """
        if not self.config.categories:  # one category for all, whatever they are called
            return batch.labels[:, None].clone()
        known = {name: index for index, name in enumerate(self.config.categories)}
        truth_BK = torch.zeros(len(batch.labels), len(known))
        for row, (label, joined) in enumerate(zip(batch.labels.tolist(), batch.categories, strict=True)):
            names = sorted({name.strip() for name in joined.split(";")} - {NORMAL, ""}) if label else []
            for name in names:
                if name not in known:
                    raise WsvadError(f"the category '{name}' is none of this method's: {', '.join(known)}")
                truth_BK[row, known[name]] = 1 / len(names)
        return truth_BK.to(batch.labels)

    def loss(self, batch: Batch, smooth: bool = True) -> dict[str, Tensor]:
        """L_MIL + λ2·L_cat, and λ1·L_GMM where peaks already mean something. The parts are weighted."""
        config, core = self.config, self.core
        x_BTH = each_bag(self.motar, *self._given(batch.streams))
        w_BK, parts = None, {}
        if core is not None:
            pooled_BH, truth_BK = core.pooled(x_BTH), self.truth(batch)
            logits_BK = core.logits(pooled_BH)
            parts["cat"] = config.lambda2 * l_cat(logits_BK, truth_BK)
            w_BK = core.weights(logits_BK)
            if config.add_truth and config.attention == "pooled":
                w_BK = w_BK + truth_BK
            core.remember(pooled_BH, truth_BK)
        logits_BT = self._score_logits(x_BTH, w_BK)
        length = logits_BT.shape[1]
        k = min(length, max(config.top_least, length // config.top_every + 1))
        parts["mil"] = l_mil(logits_BT.sigmoid(), k, config.margin)
        if smooth:
            sigma_B = torch.full((len(logits_BT),), config.sigma, device=logits_BT.device)
            if self.widen is not None and core is not None and w_BK is not None:
                sigma_B = sigma_B * self.widen(core.embedding(w_BK)).squeeze(-1).float().tanh().exp()
            parts["gmm"] = config.lambda1 * l_gmm(logits_BT, sigma_B.chunk(2)[1], config.near)
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def phases(self) -> list[Phase]:
        """A warm-up without L_GMM at a constant rate, then everything, the rate falling along a cosine."""
        config = self.config
        main = Phase(
            name="main", loss=self.loss, parameters=list(self.parameters()), iterations=config.iterations,
            segments=config.segments, bags=config.bags, optimizer=torch.optim.AdamW, lr=config.lr,
            final_lr=config.final_lr, weight_decay=config.weight_decay, options={"fused": True},
            share=1.0,  # thirty passes are few
        )  # fmt: skip
        warm_up = replace(
            main, name="warm-up", loss=partial(self.loss, smooth=False), iterations=config.warm_up_iterations,
            final_lr=None,
        )  # fmt: skip
        return [warm_up, main] if config.warm_up_iterations else [main]
