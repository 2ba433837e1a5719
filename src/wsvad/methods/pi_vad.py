"""π-VAD: inductors synthesise pose, depth, masks, flow and text from RGB (Majhi et al., CVPR 2025).

A teacher, UR-DMU, is trained and frozen. The student has its architecture and random weights, and a Poly-modal Inductor
(PI) after an early and a late stage. A PI generates the other modalities from the student's feature F* (PMG), and
binds them to it and to the task (CMI); its output F*_M is what the next stage gets. The true modalities are needed in
training only.

Shapes: N sequences (B·C), T snippets, D input features, H width of a stage (the paper's D_i), L latent width, d width
of a modality j, S = Σ d, k kernel size. A batch holds its normal bags first, then as many abnormal ones.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.errors import UsageError
from wsvad.layers.attention import LocalNorm, fold_attention
from wsvad.layers.block import Block
from wsvad.layers.pieces import over_crops
from wsvad.layers.share import each_bag
from wsvad.layers.temporal import TemporalConv, convolve
from wsvad.methods.abilities import Outputs
from wsvad.methods.method import Batch, Phase
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.ranges import Count, Positive, Share, Whole, check_fields

MODALITIES = ("pose", "depth", "mask", "flow", "text")
"""The paper's five, in the order in which they are concatenated; `audio` is the sixth on XD-Violence (A1)."""
SIZES = {"paper": (256, 2, 2), "light": (128, 0, 1)}
"""Profile → latent, wide_depth, depth. `paper` has the published budget, 82.81 M weights executed at inference."""


@dataclass(frozen=True, kw_only=True)
class PiVadConfig:
    """The paper gives no sizes, weights or iterations; what it leaves open says so, and is our choice."""

    modalities: tuple[str, ...] = MODALITIES
    """Streams that are synthesised from RGB; any subset, also one, of any width."""
    profile: Literal["paper", "light"] = "paper"
    """Sizes of an inductor: `paper` as large as published, `light` a tenth of that."""
    ur_dmu: UrDmuConfig = field(default_factory=UrDmuConfig)
    """The network of teacher and student, and how they are trained."""
    after: tuple[int, ...] = (0, 2)
    """Stages that an inductor follows: 0 the embedding (early), then the blocks (2, the last one: late). Open."""
    auxiliary: tuple[Literal["pmg", "align", "distill"], ...] = ("pmg", "align", "distill")
    """Losses beside L_MIL. Without `pmg` nothing is synthesised: the true modalities are fused, and needed in
    scoring."""
    latent: Count | None = None
    """Width L of PMG's latent space. Open; by profile 256 or 128."""
    encoder_kernel: Count = 1
    """Snippets that PMG's encoder sees. Open."""
    decoder_kernel: Count = 3
    """Snippets that a decoder sees. Open."""
    decoder_gain: float = 0.01
    """Scale of the decoders' first weights. Open; near 0, so that each modality starts as its mean and departs from it
    only as far as it is learnt. With 1, torch's default, it starts as noise."""
    encoder_relu: bool = True
    """ReLU after PMG's encoder. The paper names none; without it a modality is a linear map of F*."""
    wide_depth: Whole | None = None
    """Blocks over the concatenated modalities, before F* is added. Open; by profile 2 or 0."""
    wide_heads: Count = 8
    """Their attention heads, as wide as those of the other blocks. Open."""
    depth: Whole | None = None
    """Blocks after F* was added, as wide as it. Open; by profile 2 or 1."""
    heads: Count = 4
    """Their attention heads, each H/heads wide. Open."""
    dropout: Share = 0.5
    """Dropout in the blocks, in training. Open; as UR-DMU."""
    local_norm: LocalNorm = "column"
    """Sums that the blocks' local weights are divided by. Open; as UR-DMU."""
    add_rgb: Literal["once", "each"] = "once"
    """F* is "added between the transformer blocks": before the first of the narrow ones, or before each (A21)."""
    tau: Positive = 0.07
    """Temperature τ of InfoNCE. Open."""
    infonce_exclude_positive: bool = True
    """Leave the positive out of the denominator, as eq. 2 is printed (A2); InfoNCE itself, which it is called, has
    it."""
    infonce_direction: Literal["both", "rgb-to-modality"] = "both"
    """"Bi-directional" as the text says, or the one direction that is printed (A3)."""
    align_projection: bool = True
    """Linear layer d → H before the cosine, in the loss only (A4); without it every d must equal H."""
    mask_duplicates: bool = True
    """Copies of a snippet, which a short video's bins hold, are no negatives of each other. Open."""
    mil: Literal["all", "classification"] = "all"
    """L_MIL: UR-DMU's whole loss, or its classification term (A20)."""
    lambda1: float = 0.05
    """λ1, weight of L_align in the second step. Open."""
    lambda2: float = 1.0
    """λ2, weight of L_distill in the second step. Open."""
    clip: Positive | None = None
    """True modalities are limited to so many standard deviations; None = not. Ours: a dimension that is nearly always 0
    (a class of objects in one corner) is a hundred of them away when it is not, and L_PMG about nothing else."""
    warm_up_iterations: Whole = 1000
    """Iterations of the first step. Open; teacher and second step take UR-DMU's."""
    data_budget: ClassVar[dict[str, Any]] = {"infonce_exclude_positive": False, "clip": 3.0}
    """Other defaults where the budget is the data's: InfoNCE with its positive, and rare objects kept within bounds."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.modalities or "rgb" in self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise UsageError(f"modalities: one or more other than rgb, each once, not '{','.join(self.modalities)}'")
        if self.ur_dmu.streams != ("rgb",):
            raise UsageError("ur_dmu.streams: rgb alone; other streams are modalities of pi-vad")
        if not self.after or not set(self.after) <= set(range(self.ur_dmu.depth + 1)):
            raise UsageError(f"after: one or more of the stages 0 to {self.ur_dmu.depth}, not {list(self.after)}")

    @property
    def learns_from(self) -> tuple[str, ...]:
        return ("rgb", *self.modalities)

    @property
    def runs_on(self) -> tuple[str, ...]:
        return ("rgb",) if "pmg" in self.auxiliary else self.learns_from

    @property
    def standardised(self) -> tuple[str, ...]:
        """L_PMG divides by a modality's width and not by its scale, so a modality of large numbers would drown the
        others."""
        return self.modalities

    @property
    def sizes(self) -> tuple[int, int, int]:
        """L, wide blocks, narrow blocks."""
        own = self.latent, self.wide_depth, self.depth
        latent, wide, depth = (
            default if size is None else size for size, default in zip(own, SIZES[self.profile], strict=True)
        )
        return latent, wide, depth


# ------------------------------------------------------------------------------------------------------ the inductor


class PseudoModalityGeneration(nn.Module):
    """PMG (4.2): one shared encoder; for each modality a linear layer and a convolution."""

    def __init__(self, width: int, widths: dict[str, int], config: PiVadConfig):
        super().__init__()
        latent = config.sizes[0]
        self.relu = config.encoder_relu
        self.encoder = TemporalConv(width, latent, config.encoder_kernel)
        self.linears = nn.ModuleList(nn.Linear(latent, latent) for _ in widths)
        self.decoders = nn.ModuleList(TemporalConv(latent, d, config.decoder_kernel) for d in widths.values())
        with torch.no_grad():
            for parameter in self.decoders.parameters():
                parameter.mul_(config.decoder_gain)

    def encode(self, x_NTH: Tensor) -> Tensor:
        """F* → latent, `(N, T, L)`."""
        return convolve(x_NTH, self.encoder.weight, self.encoder.bias, relu=self.relu)

    def forward(self, x_NTH: Tensor) -> Tensor:
        """F* → the pseudo-modalities ê side by side, `(N, T, S)`."""
        z_NTL = self.encode(x_NTH)
        return torch.cat([decoder(linear(z_NTL)) for linear, decoder in self._pairs()], dim=-1)

    @torch.no_grad()
    def folded(self) -> tuple[Tensor, Tensor]:
        """Nothing non-linear stands between the linear layers and the convolutions, so all of them are one convolution
        of `[z ; 1]`: weight `(S, L+1, k)` and bias `(S,)`. The ones carry the linear layers' biases, which the zeros
        beyond both ends of the video must not have."""
        weights = [
            torch.einsum("dlk,lm->dmk", decoder.weight, torch.cat([linear.weight, linear.bias[:, None]], dim=1))
            for linear, decoder in self._pairs()
        ]
        return torch.cat(weights), torch.cat([decoder.bias for _, decoder in self._pairs()])  # type: ignore[misc]

    def _pairs(self) -> Iterator[tuple[nn.Linear, TemporalConv]]:
        return zip(self.linears, self.decoders, strict=True)  # type: ignore[arg-type]


class CrossModalInduction(nn.Module):
    """CMI (4.3), without its losses: the modalities side by side, transformer blocks, F* added between them."""

    def __init__(self, width: int, widths: dict[str, int], config: PiVadConfig):
        super().__init__()
        _, wide_depth, depth = config.sizes
        total = sum(widths.values())
        self.add_each = config.add_rgb == "each"

        def block(size: int, heads: int) -> Block:
            return Block(
                size, heads=heads, head_width=width // config.heads, feed_forward=size,
                dropout=config.dropout, local_norm=config.local_norm,
            )  # fmt: skip

        self.wide = nn.Sequential(*(block(total, config.wide_heads) for _ in range(wide_depth)))
        self.project = nn.Linear(total, width)
        self.narrow = nn.ModuleList(block(width, config.heads) for _ in range(depth))

    def forward(self, x_NTH: Tensor, e_NTS: Tensor) -> Tensor:
        """F* and the modalities → F*_M, `(N, T, H)`."""
        return self.add(x_NTH, self.project(self.wide(e_NTS)))

    def add(self, x_NTH: Tensor, u_NTH: Tensor) -> Tensor:
        """F* and the projected modalities → F*_M."""
        u_NTH = u_NTH + x_NTH
        for number, block in enumerate(self.narrow):
            u_NTH = block(u_NTH + x_NTH if self.add_each and number else u_NTH)
        return u_NTH


class Induced(NamedTuple):
    """What an inductor gives."""

    rgb: Tensor
    """F*, as it came in, `(N, T, H)`."""
    modalities: Tensor
    """ê side by side (e, where nothing is synthesised), `(N, T, S)`."""
    output: Tensor
    """F*_M, `(N, T, H)`."""


class PolyModalInductor(nn.Module):
    """PI: plugs between any two stages of any network; takes F* `(N, T, H)` and gives F*_M of the same shape."""

    def __init__(self, width: int, widths: dict[str, int], config: PiVadConfig):
        super().__init__()
        self.widths = widths
        self.pmg = PseudoModalityGeneration(width, widths, config) if "pmg" in config.auxiliary else None
        self.cmi = CrossModalInduction(width, widths, config)
        self.align: nn.ModuleDict | None = None
        if "align" in config.auxiliary:
            project = config.align_projection
            if not project and set(widths.values()) != {width}:
                raise UsageError(f"align_projection: without it every modality must be {width} wide, not {widths}")
            self.align = nn.ModuleDict(
                {j: nn.Linear(d, width) if project else nn.Identity() for j, d in widths.items()}
            )
        self.folded: TemporalConv | None = None
        self.through: TemporalConv | None = None

    def forward(self, x_NTH: Tensor, real_NTS: Tensor | None = None, silenced: Collection[str] = ()) -> Induced:
        """F* → F*_M. `real_NTS`, the true modalities, are fused in place of the synthesised ones; those in `silenced`
        are put to 0, which is their mean."""
        e_NTS = self.generate(x_NTH) if real_NTS is None else real_NTS
        if silenced:
            e_NTS = torch.cat([e * (j not in silenced) for j, e in self.split(e_NTS).items()], dim=-1)
        return Induced(x_NTH, e_NTS, self.cmi(x_NTH, e_NTS))

    def induce(self, x_NTH: Tensor) -> Tensor:
        """F*_M alone, by the shortest way."""
        if self.through is None or self.pmg is None:
            return self(x_NTH).output
        return self.cmi.add(x_NTH, self.through(self._with_ones(x_NTH)))

    def generate(self, x_NTH: Tensor) -> Tensor:
        """F* → ê side by side, `(N, T, S)`."""
        if self.pmg is None:
            raise UsageError(
                "this inductor synthesises nothing (no 'pmg' among its losses); give it the true modalities"
            )
        return self.pmg(x_NTH) if self.folded is None else self.folded(self._with_ones(x_NTH))

    def _with_ones(self, x_NTH: Tensor) -> Tensor:
        """`[z ; 1]`, what a folded convolution takes, `(N, T, L+1)`."""
        assert self.pmg is not None
        return F.pad(self.pmg.encode(x_NTH), (0, 1), value=1.0)

    def split(self, e_NTS: Tensor) -> dict[str, Tensor]:
        """The modalities, each `(N, T, d)`."""
        return dict(zip(self.widths, e_NTS.split(list(self.widths.values()), dim=-1), strict=True))

    def activations(self, e_NTS: Tensor) -> Tensor:
        """What each modality contributes to the first block, as shares `(N, T, J)` that sum to 1 (figure 4, row 3).

        The mean magnitude of the first block's normalised output over a modality's channels; where no block is as wide
        as all modalities together, that of its part of the projection.
        """
        if len(self.cmi.wide):
            h_NTS = F.layer_norm(self.cmi.wide[0](e_NTS).float(), e_NTS.shape[-1:])
            parts = list(self.split(h_NTS).values())
        else:
            weights = self.cmi.project.weight.split(list(self.widths.values()), dim=1)
            parts = [F.linear(e, w) for e, w in zip(self.split(e_NTS).values(), weights, strict=True)]
        a_NTJ = torch.stack([part.abs().mean(-1) for part in parts], dim=-1)
        return a_NTJ / a_NTJ.sum(-1, keepdim=True).clamp(min=1e-12)

    @torch.no_grad()
    def compact(self) -> None:
        """Fold what no non-linearity keeps apart: decoders, and the projection too where no block stands between. Drop
        the loss-only layers."""
        self.align = None
        fold_attention(self)
        if self.pmg is None:
            return
        weight, bias = self.pmg.folded()
        self.folded = conv_of(weight, bias)
        self.pmg.linears, self.pmg.decoders = nn.ModuleList(), nn.ModuleList()
        if not len(self.cmi.wide):
            project = self.cmi.project
            weight = torch.einsum("hs,smk->hmk", project.weight, weight)
            self.through = conv_of(weight, project.weight @ bias + project.bias)


def conv_of(weight_EDk: Tensor, bias_E: Tensor) -> TemporalConv:
    """A convolution with these parameters."""
    out, width, kernel = weight_EDk.shape
    conv = TemporalConv(width, out, kernel).to(weight_EDk.device)
    conv.load_state_dict({"weight": weight_EDk, "bias": bias_E})
    return conv


# ------------------------------------------------------------------------------------------------------------ losses


def l_pmg(generated: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """Eq. 1: for each modality the mean squared error of its dimensions, averaged over snippets and videos, summed over
    modalities."""
    return torch.stack([F.mse_loss(exact(e), exact(real[j])) for j, e in generated.items()]).sum()


def l_infonce(
    x_NTH: Tensor,
    e_NTH: Tensor,
    *,
    tau: float,
    exclude_positive: bool = False,
    direction: Literal["both", "rgb-to-modality"] = "both",
    same_NTT: Tensor | None = None,
) -> Tensor:
    """Eq. 2: each snippet's RGB feature has to find its own modality embedding among those of the video, by cosine, and
    the other way round.

    Args:
        same_NTT: True where two positions hold the same snippet; they are no negatives of each other.
    """
    with torch.autocast(x_NTH.device.type, enabled=False):  # 8 bits of a cosine are too few once it is divided by τ
        c_NTT = F.normalize(exact(x_NTH), dim=-1) @ F.normalize(exact(e_NTH), dim=-1).transpose(1, 2) / tau
    own = torch.eye(c_NTT.shape[-1], dtype=torch.bool, device=c_NTT.device)
    others = ~own if same_NTT is None else ~(same_NTT | own)
    # A snippet without any negative keeps its positive, and so a loss of 0.
    kept = others | (own & ~others.any(-1, keepdim=True)) if exclude_positive else others | own
    logits = c_NTT.masked_fill(~kept, -torch.inf)
    positive = c_NTT.diagonal(dim1=1, dim2=2)
    to_modality = (logits.logsumexp(2) - positive).mean()
    return (
        to_modality if direction == "rgb-to-modality" else (to_modality + (logits.logsumexp(1) - positive).mean()) / 2
    )


def l_distill(induced_NTH: Tensor, teacher_NTH: Tensor) -> Tensor:
    """Eq. 4: the mean squared error between F*_M and the teacher's feature at the same stage."""
    return F.mse_loss(exact(induced_NTH), exact(teacher_NTH))


def exact(x: Tensor) -> Tensor:
    """In at least single precision, whatever the layers before work in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def same_snippet(x_NTD: Tensor) -> Tensor:
    """Where two positions of a bag hold copies of one snippet, `(N, T, T)`: bins of a video with fewer snippets."""
    new = (x_NTD[:, 1:] != x_NTD[:, :-1]).any(-1)
    number = F.pad(new.long().cumsum(1), (1, 0))
    return number[:, :, None] == number[:, None, :]


# ------------------------------------------------------------------------------------------------------------ method


class PiVad(nn.Module):
    """Teacher, student, and the student's inductors."""

    learns_from: ClassVar[tuple[str, ...]] = ("rgb", *MODALITIES)
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = UrDmu.normalisation
    standardised: ClassVar[tuple[str, ...]] = MODALITIES
    config_class: ClassVar[type] = PiVadConfig
    teacher_method: ClassVar[str] = "ur-dmu"

    def __init__(self, widths: dict[str, int], config: PiVadConfig | None = None):
        super().__init__()
        self.config = config = config or PiVadConfig()
        self.learns_from, self.runs_on = config.learns_from, config.runs_on  # type: ignore[misc]
        self.student = UrDmu({"rgb": widths["rgb"]}, config.ur_dmu)
        chosen = {j: widths[j] for j in config.modalities}
        self.inductors = nn.ModuleDict(
            {str(stage): PolyModalInductor(config.ur_dmu.hidden, chosen, config) for stage in sorted(config.after)}
        )
        self.teacher: UrDmu | None = UrDmu({"rgb": widths["rgb"]}, config.ur_dmu)
        self.taught = False

    @property
    def placed(self) -> dict[int, PolyModalInductor]:
        """Stage → the inductor that follows it, from early to late."""
        return {int(stage): inductor for stage, inductor in self.inductors.items()}  # type: ignore[misc]

    @property
    def late(self) -> PolyModalInductor:
        """The last inductor."""
        return self.placed[max(self.config.after)]

    # ---------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1]. RGB is all it needs."""
        if self.runs_on != ("rgb",):
            return self.scores(streams, real=True)
        return over_crops(lambda x_NTD: self.student.score(self._induce(x_NTD)), streams["rgb"])

    def _induce(self, x: Tensor) -> Tensor:
        """Features → the last stage's (or inductor's) output, `(N, T, H)`, by the shortest way."""
        return self._from_late(self._until_late(x))

    def _until_late(self, x: Tensor) -> Tensor:
        """Features → F* of the late inductor, `(N, T, H)`."""
        placed = self.placed
        *before, late = self.student.stages[: max(placed) + 1]
        for number, stage in enumerate(before):
            x = stage(x)
            x = placed[number].induce(x) if number in placed else x
        return late(x)

    def _from_late(self, x_NTH: Tensor) -> Tensor:
        """F* of the late inductor → the last stage's (or inductor's) output."""
        x_NTH = self.late.induce(x_NTH)
        for stage in self.student.stages[max(self.placed) + 1 :]:
            x_NTH = stage(x_NTH)
        return x_NTH

    def walk(
        self, x: Tensor, real_NTS: Tensor | None = None, silenced: Collection[str] = ()
    ) -> tuple[Tensor, list[Induced]]:
        """The same, `(N, T, H)`, with all that the inductors give on the way, from early to late."""
        given, placed = [], self.placed
        for number, stage in enumerate(self.student.stages):
            x = stage(x)
            if number in placed:
                given.append(placed[number](x, real_NTS, silenced))
                x = given[-1].output
        return x, given

    def _walked(self, x_NTD: Tensor, real_NTS: Tensor | None = None) -> tuple[Tensor, ...]:
        """The same in one row: the output, then what each inductor gives."""
        x_NTH, given = self.walk(x_NTD, real_NTS)
        return (x_NTH, *chain.from_iterable(given))

    def scores(self, streams: dict[str, Tensor], *, real: bool = False, silenced: Collection[str] = ()) -> Tensor:
        """Scores `(B, T)` as `forward`, with the true modalities in place of the synthesised ones (`real`, table 3), or
        with some of them put to their mean."""

        def score(x_NTD: Tensor, real_NTS: Tensor | None = None) -> Tensor:
            return self.student.score(self.walk(x_NTD, real_NTS, silenced)[0])

        return over_crops(score, streams["rgb"], *([self._side_by_side(streams)] if real else []))

    def attributions(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the score depends on: each modality's share of the activations in the first block of the late inductor,
        `(B, T)` each, summing to 1 (figure 4, row 3). Crops are averaged."""

        def shares(x_NTD: Tensor, real_NTS: Tensor | None = None) -> Tensor:
            return self.late.activations(self.walk(x_NTD, real_NTS)[1][-1].modalities)

        real = [] if self.runs_on == ("rgb",) else [self._side_by_side(streams)]
        shares_BTJ = over_crops(shares, streams["rgb"], *real)
        return dict(zip(self.config.modalities, shares_BTJ.unbind(-1), strict=True))

    def describe(self, streams: dict[str, Tensor]) -> Outputs:
        """Scores and attributions, each as the function of that name gives it, from one pass."""
        if self.runs_on != ("rgb",):
            return Outputs(scores=self(streams), attributions=self.attributions(streams))

        def both(x_NTD: Tensor) -> Tensor:
            x_NTH = self._until_late(x_NTD)
            shares_NTJ = self.late.activations(self.late.generate(x_NTH))
            return torch.cat([self.student.score(self._from_late(x_NTH))[..., None], shares_NTJ], dim=-1)

        scores_BT, *shares = over_crops(both, streams["rgb"]).unbind(-1)
        return Outputs(scores=scores_BT, attributions=dict(zip(self.config.modalities, shares, strict=True)))

    def reconstruction(self, streams: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """How far off the late inductor's modalities are: for each the mean squared error of its dimensions, and that
        of always predicting their mean, `(B, T)` both. Nothing where none are synthesised."""
        if self.runs_on != ("rgb",):
            return {}

        def errors(x_NTD: Tensor, real_NTS: Tensor) -> Tensor:
            off_NTS = self.walk(x_NTD)[1][-1].modalities - real_NTS
            both = zip(self.late.split(off_NTS).values(), self.late.split(real_NTS).values(), strict=True)
            return torch.stack([torch.stack([off, e], -1).square().mean(-2) for off, e in both], dim=-2)

        errors_BTJ2 = over_crops(errors, streams["rgb"], self._side_by_side(streams))
        return {
            j: (one[..., 0], one[..., 1]) for j, one in zip(self.config.modalities, errors_BTJ2.unbind(-2), strict=True)
        }

    def _side_by_side(self, streams: dict[str, Tensor]) -> Tensor:
        """The true modalities e, `(B, T, S)`."""
        e_NTS = torch.cat([streams[j] for j in self.config.modalities], dim=-1)
        return e_NTS if self.config.clip is None else e_NTS.clamp(-self.config.clip, self.config.clip)

    def compact(self) -> "PiVad":
        """Itself for scoring alone: decoders folded, teacher and loss-only layers gone. The scores stay."""
        self.teacher = None
        self.student.compact()
        for inductor in self.placed.values():
            inductor.compact()
        return self.eval()

    # --------------------------------------------------------------------------------------------------- learning

    def teach(self, teacher: UrDmu) -> None:
        """Take over a trained teacher; `phases` has none to train then.

        Raises:
            RuntimeError: its weights do not fit this configuration.
        """
        assert self.teacher is not None
        self.teacher.load_state_dict(teacher.state_dict())
        self.taught = True

    @torch.no_grad()
    def teacher_features(self, x: Tensor) -> list[Tensor]:
        """F_teach at the inductors' stages, from early to late, without dropout and without a gradient."""
        assert self.teacher is not None
        self.teacher.eval()
        features = []
        for number, stage in enumerate(self.teacher.stages[: max(self.config.after) + 1]):
            x = stage(x)
            if number in self.config.after:
                features.append(x)
        return features

    def _auxiliary(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The last stage's output, and L_PMG, L_align and L_distill, each summed over the inductors."""
        config, rgb_NTD = self.config, batch.streams["rgb"]
        real_NTS = self._side_by_side(batch.streams)
        x_NTH, *flat = each_bag(self._walked, rgb_NTD, *([] if "pmg" in config.auxiliary else [real_NTS]))
        given = [Induced(*flat[place : place + 3]) for place in range(0, len(flat), 3)]
        late, parts = self.late, {}
        if "pmg" in config.auxiliary:
            real = late.split(real_NTS)
            parts["pmg"] = torch.stack([l_pmg(late.split(one.modalities), real) for one in given]).sum()
        if "align" in config.auxiliary:
            same_NTT = same_snippet(rgb_NTD) if config.mask_duplicates else None
            pairs = zip(self.placed.values(), given, strict=True)
            parts["align"] = torch.stack([self._l_align(inductor, one, same_NTT) for inductor, one in pairs]).sum()
        if "distill" in config.auxiliary:
            taught = each_bag(lambda x_NTD: tuple(self.teacher_features(x_NTD)), rgb_NTD)
            parts["distill"] = torch.stack(
                [l_distill(one.output, t) for one, t in zip(given, taught, strict=True)]
            ).sum()
        return x_NTH, parts

    def _l_align(self, inductor: PolyModalInductor, given: Induced, same_NTT: Tensor | None) -> Tensor:
        """Eq. 3: L_InfoNCE summed over modalities."""
        assert inductor.align is not None
        config = self.config
        return torch.stack(
            [
                l_infonce(
                    given.rgb, inductor.align[j](e), tau=config.tau, same_NTT=same_NTT,
                    exclude_positive=config.infonce_exclude_positive, direction=config.infonce_direction,
                )
                for j, e in inductor.split(given.modalities).items()
            ]
        ).sum()  # fmt: skip

    def l_first(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 5, the warm-up: L_PMG + L_align + L_distill."""
        _, parts = self._auxiliary(batch)
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def l_second(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 6: L_MIL + λ1·L_align + λ2·L_distill + L_PMG. The parts are weighted, those of L_MIL are UR-DMU's."""
        config = self.config
        x_NTH, parts = self._auxiliary(batch)
        weights = {"pmg": 1.0, "align": config.lambda1, "distill": config.lambda2}
        mil = self.student.l_mil(x_NTH)
        mil.pop("total")
        mil = mil if config.mil == "all" else {"cls": mil["cls"]}
        parts = mil | {name: weights[name] * part for name, part in parts.items()}
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def phases(self) -> list[Phase]:
        """Teacher (unless there is one), warm-up, main. Optimiser, batch and segments are UR-DMU's in all three.

        In the warm-up memories and head have no part; nor have stages behind the last inductor.
        """
        assert self.teacher is not None
        config, (like,) = self.config, self.teacher.phases()
        stages = [self.student.embedding, *self.student.blocks][: max(config.after) + 1]
        warmed = [p for module in (*stages, self.inductors) for p in module.parameters()]
        learns = [p for module in (self.student, self.inductors) for p in module.parameters()]
        teacher = replace(like, name="teacher")
        return [
            *([] if self.taught else [teacher]),
            replace(
                like, name="warm-up", loss=self.l_first, parameters=warmed, iterations=config.warm_up_iterations
            ),
            replace(like, name="main", loss=self.l_second, parameters=learns),
        ]  # fmt: skip
