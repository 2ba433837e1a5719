"""DAKD: many backbones teach one (Dalvi et al., WACV 2025).

The teacher reads several frozen backbones: an MLP for each, the Temporal Aggregation Module (TAM), a head. It learns by
Sultani's ranking loss and is frozen. The student reads one backbone, with the same modules less the cross term, and
learns from the teacher alone: its refined scores are soft labels (prediction level), and its features are what the
student's should resemble (feature level). The paper's idea holds for any teacher that has scores: a finished run of
another method can be given one student of one backbone (`given`), which then learns at the prediction level.

Shapes: B videos, C crops, N sequences (B·C), T segments (snippets, where scored at native length), D input features, P
projected width, H width of the temporal module's output, Z width of z, S snippets of a video. A batch holds its normal
bags first, then as many abnormal ones; `^T` and `^S` of the paper are `_t` and `_s`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.errors import UsageError
from wsvad.layers.disentangled import TERMS, DisentangledAttention, Term
from wsvad.layers.dropout import Dropout
from wsvad.layers.multiscale import MultiScale
from wsvad.layers.pieces import over_crops
from wsvad.layers.share import each_bag
from wsvad.layers.temporal import TemporalConv
from wsvad.methods.method import Batch, Phase
from wsvad.ranges import Count, NotNegative, Positive, Share, Whole, check_fields

BACKBONES = ("rgb", "flow")
"""What the teacher reads by default; the paper's three are I3D, S3D and CLIP features, each a stream of its own."""
SHARE = 3 / 10
"""Of the paper's passes, where the budget is the data's: from there on held-out videos are told apart no better
(benchmarks/results/dakd.md)."""
KEPT = 2**30
"""Bytes of the teacher's features that are kept during the student's training; what is beyond is made anew."""


@dataclass(frozen=True, kw_only=True)
class DakdConfig:
    """The paper's settings; what it leaves open says so, and is our choice."""

    backbones: tuple[str, ...] = BACKBONES
    """Streams that the teacher reads: one or more, of any width."""
    student: str = "rgb"
    """The one of them that the student reads. Empty: there is none; the teacher alone is trained and scores, and its
    run can teach any student (--teacher, or 'wsvad distill')."""
    given: str = ""
    """Method of a finished run that is the teacher, as 'wsvad distill' makes it: `backbones` are then the streams that
    the run needs for its scores, and the student's. Empty: the paper's teacher, which is trained here."""
    standardised: tuple[str, ...] = ()
    """Streams whose dimensions are standardised by the training set. Open; the paper mentions no normalisation."""
    projection: Count = 512
    """Hidden and output width P of the MLP of each backbone."""
    temporal: Literal["tam", "disentangled", "attention", "lstm", "rnn", "gru", "cnn", "mtn", "none"] = "tam"
    """The teacher's and the student's temporal module (table 1); all but `tam` read the backbones side by side (open).
    `none` is a layer that sees one segment (table 4, without TAM)."""
    reading: Literal["block", "wide"] = "block"
    """What "one hidden layer of 1024" means (A15): a layer as in DeBERTa, whose feed-forward part has that width, after
    P-wide attention with output layer, residual and LayerNorm; or, `wide`, the width of query, key and value, and
    nothing after. Without the residual all of a short video's segments come out nearly alike: the block is better at
    *when* (benchmarks/results/dakd.md)."""
    hidden: Count = 1024
    """Width of the hidden layer, see `reading`."""
    heads: Count = 8
    """Attention heads."""
    k: Count = 25
    """Maximum relative distance; the table of relative positions has 2k rows."""
    terms: tuple[Term, ...] = TERMS
    """Attention terms in use (table 5); the student has those that one backbone has."""
    p2c_index: Literal["ji", "ij"] = "ji"
    """Position-to-content by γ(j,i), as eq. 4 is printed, or by γ(i,j), as DeBERTa's code has it (A6)."""
    learn_table: bool = True
    """The table of relative positions is learned; "fixed" is read as "the same for all layers and backbones" (A7)."""
    table_std: float = 0.02
    """Standard deviation of the table's initial values. Open; DeBERTa's."""
    attention_dropout: Share = 0.1
    """Dropout of attention weights, in training. Open."""
    head: tuple[Count, Count] = (512, 32)
    """Hidden widths of the head; ReLU after the first. Where it has an activation is open."""
    dropout: Share = 0.6
    """Dropout after the head's hidden layers, in training. Open; Sultani's."""
    top: Count = 1
    """So many of a bag's highest segments stand for it, by their mean; the paper has the highest alone."""
    margin: float = 1.0
    """By how much an abnormal bag's maximum should exceed a normal bag's."""
    sparsity: float = 8e-5
    """Weight of the sum of abnormal scores. Open; Sultani's."""
    smoothness: float = 8e-5
    """Weight of the squared differences of neighbouring abnormal scores. Open; Sultani's."""
    epsilon: Whole = 2
    """ε of eq. 6: the moving average is over 2ε + 1 segments; 0 = none (A8). Open; MIST's window of 5."""
    passes: Whole = 1
    """How often the moving average is taken. Open; MIST takes two."""
    min_max: bool = True
    """Stretch an abnormal video's averaged scores to [0, 1]."""
    levels: tuple[Literal["prediction", "feature"], ...] = ("prediction", "feature")
    """Levels of distillation (table 4). Without `prediction` the student's scores are trained by the teacher's own
    ranking loss, since nothing else would train them (open). A given teacher has no features of this kind: scores
    only."""
    alpha: float = 7.5
    """α, weight of the feature level."""
    tau: Positive = 10.0
    """τ, temperature of L_nce."""
    tau_squared: bool = True
    """L_nce is scaled by τ², as eq. 8 has it (A9)."""
    delta: float = 0.9
    """δ: a segment is abnormal if the teacher's score is at least this."""
    delta_on: Literal["refined", "raw"] = "refined"
    """Which of the teacher's scores δ is for (A16). Open; raw ones rarely reach 0.9."""
    g: tuple[Count, Count] = (512, 128)
    """Widths of g, the MLP before L_nce; one for teacher and student, learned with the student. Open."""
    test: Literal["segments", "native"] = "segments"
    """Score as many segments as in training and expand them, the paper's way, or every snippet at native length."""
    segments: Count = 32
    """Time bins that a bag is averaged to in training."""
    bags: Count = 30
    """Normal bags in a batch, and as many abnormal ones."""
    iterations: Count = 2700
    """Iterations of each phase: 100 epochs of UCF-Crime, an epoch being a pass over the fewer class (open)."""
    lr: Positive = 1e-3
    """Learning rate of Adagrad, constant."""
    temporal_lr: Positive = 1e-4
    """Learning rate of the temporal modules."""
    weight_decay: NotNegative = 1e-3
    """L2 penalty of Adagrad (not decoupled)."""
    data_budget: ClassVar[dict[str, Any]] = {"test": "native"}
    """Other defaults where the budget is the data's: of an hour of video, 32 segments know little of *when*."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.backbones or len(set(self.backbones)) < len(self.backbones):
            raise UsageError(f"backbones: one or more streams, each once, not '{','.join(self.backbones)}'")
        if self.given and not self.student:
            raise UsageError(f"student: what should learn from {self.given}; name one of the backbones")
        if self.student and self.student not in self.backbones:
            known = ", ".join(self.backbones)
            raise UsageError(f"student: the teacher never sees '{self.student}'; take one of its backbones ({known})")
        if not self.terms or not set(self.terms) <= set(TERMS):
            raise UsageError(f"terms: one or more of {', '.join(TERMS)}, not '{','.join(self.terms)}'")
        if not self.levels:
            raise UsageError("levels: one or both of prediction, feature; a student of no level learns nothing")
        if self.given and "prediction" not in self.levels:
            raise UsageError("levels: a given teacher has scores, not features; prediction must be among them")
        if self.attends and self.inner % self.heads:
            raise UsageError(
                f"heads: {self.heads} cannot share an attention of width {self.inner}; take a divisor of it"
            )

    @property
    def learns_from(self) -> tuple[str, ...]:
        return self.backbones

    @property
    def runs_on(self) -> tuple[str, ...]:
        return (self.student,) if self.student else self.backbones

    @property
    def teacher_method(self) -> str:
        return self.given or "dakd"

    @property
    def scored_whole(self) -> bool:
        """The paper's segments are of the whole video; they take no time that its length could raise."""
        return self.test == "segments"

    @property
    def attends(self) -> bool:
        """The temporal module is attention."""
        return self.temporal in ("tam", "disentangled", "attention")

    @property
    def inner(self) -> int:
        """Width of query, key and value, all heads together."""
        return self.projection if self.reading == "block" else self.hidden

    @property
    def width(self) -> int:
        """H, of the temporal module's output."""
        return self.inner if self.attends else self.hidden


NETWORK = (
    "backbones", "projection", "temporal", "reading", "hidden", "heads", "k", "terms", "p2c_index", "head"
)  # fmt: skip
"""Fields of a configuration that a teacher's weights go with."""


# -------------------------------------------------------------------------------------------------------- the network


class Network(nn.Module):
    """A teacher or a student: an MLP for each backbone, the temporal module, the head (6.2–6.4)."""

    def __init__(self, widths: Mapping[str, int], config: DakdConfig):
        super().__init__()
        p, (first, second) = config.projection, config.head
        self.mlps = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(width, p), nn.ReLU(), nn.Linear(p, p)) for name, width in widths.items()}
        )
        self.temporal = temporal_module(config, len(widths))
        self.head = nn.Sequential(
            nn.Linear(config.width, first), nn.ReLU(), Dropout(config.dropout),
            nn.Linear(first, second), Dropout(config.dropout), nn.Linear(second, 1),
        )  # fmt: skip
        for layer in self.head:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def features(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Each backbone's `(N, T, D)` → h, the temporal module's output, `(N, T, H)`."""
        return self.temporal([mlp(streams[name]) for name, mlp in self.mlps.items()])

    def logits(self, h_NTH: Tensor) -> Tensor:
        """`(N, T, H)` → scores before σ, `(N, T)` float32."""
        return self.head(h_NTH).squeeze(-1).float()

    def scores(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Each backbone's `(N, T, D)` → scores `(N, T)` in [0, 1]."""
        return self.logits(self.features(streams)).sigmoid()

    def both(self, streams: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Each backbone's `(N, T, D)` → h, `(N, T, H)`, and its scores before σ, `(N, T)`."""
        h_NTH = self.features(streams)
        return h_NTH, self.logits(h_NTH)

    def groups(self, config: DakdConfig) -> list[dict[str, Any]]:
        """Parameters to learn, with their learning rates."""
        slow = [p for p in self.temporal.parameters() if p.requires_grad]
        return [
            {"params": slow, "lr": config.temporal_lr},
            {"params": [p for module in (self.mlps, self.head) for p in module.parameters()], "lr": config.lr},
        ]


def temporal_module(config: DakdConfig, backbones: int) -> nn.Module:
    """The temporal module: a list of `(N, T, P)` → `(N, T, H)`."""
    p, width = config.projection, config.hidden
    match config.temporal:
        case "tam":
            return Attending(config, p, backbones, config.terms)
        case "disentangled":
            return SideBySide(Attending(config, backbones * p, 1, config.terms))
        case "attention":
            return SideBySide(Attending(config, backbones * p, 1, ("self",)))
        case "lstm" | "rnn" | "gru":
            kind = {"lstm": nn.LSTM, "rnn": nn.RNN, "gru": nn.GRU}[config.temporal]
            return SideBySide(kind(backbones * p, width // 2, batch_first=True, bidirectional=True))
        case "cnn":
            return SideBySide(nn.Sequential(TemporalConv(backbones * p, width, 3), nn.ReLU()))
        case "mtn":
            return SideBySide(MultiScale(backbones * p, width))
        case "none":
            return SideBySide(nn.Sequential(nn.Linear(backbones * p, width), nn.ReLU()))


class Attending(nn.Module):
    """Disentangled attention alone, or as the first half of a block like DeBERTa's (A15)."""

    def __init__(self, config: DakdConfig, width: int, backbones: int, terms: Sequence[Term]):
        super().__init__()
        p, block = config.projection, config.reading == "block"
        self.attention = DisentangledAttention(
            width, config.inner, heads=config.heads, backbones=backbones, k=config.k, terms=terms,
            p2c_index=config.p2c_index, dropout=config.attention_dropout,
            learn_table=config.learn_table, table_std=config.table_std,
        )  # fmt: skip
        self.out = nn.Sequential(nn.Linear(p, p), Dropout(config.attention_dropout)) if block else None
        if block:
            self.residual = nn.Linear(width, p) if width != p else nn.Identity()
            self.norm, self.fed_norm = nn.LayerNorm(p), nn.LayerNorm(p)
            self.feed = nn.Sequential(
                nn.Linear(p, config.hidden), nn.GELU(), nn.Linear(config.hidden, p), Dropout(config.attention_dropout)
            )

    def forward(self, z: Tensor | Sequence[Tensor]) -> Tensor:
        """One `(N, T, P)`, or one of each backbone → `(N, T, H)`."""
        z = [z] if isinstance(z, Tensor) else z
        h_NTH = self.attention(z)
        if self.out is None:
            return h_NTH
        h_NTH = self.norm(self.residual(torch.stack(list(z)).mean(0)) + self.out(h_NTH))
        return self.fed_norm(h_NTH + self.feed(h_NTH))


class SideBySide(nn.Module):
    """A temporal network on the backbones' projections side by side."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, z: Sequence[Tensor]) -> Tensor:
        """A list of `(N, T, P)` → `(N, T, H)`."""
        h = self.net(torch.cat(list(z), dim=-1))
        return h[0] if isinstance(h, tuple) else h  # a recurrent network gives its last state too


# ------------------------------------------------------------------------------------------------------------- losses


def l_mil(scores_BT: Tensor, config: DakdConfig) -> dict[str, Tensor]:
    """Stage 1: Sultani's ranking loss, all pairs of a normal and an abnormal bag, mean over pairs. Weighted parts."""
    abnormal_BT = scores_BT.chunk(2)[1]
    top_n, top_a = scores_BT.topk(min(config.top, scores_BT.shape[1]), dim=1).values.mean(1).chunk(2)
    gap_BB = config.margin - top_a[None, :] + top_n[:, None]
    return {
        "ranking": gap_BB.relu().mean(),
        "sparsity": config.sparsity * abnormal_BT.sum(),
        "smoothness": config.smoothness * abnormal_BT.diff(dim=1).square().sum(),
    }


def refine(scores_BT: Tensor, labels_B: Tensor, *, epsilon: int = 2, passes: int = 1, min_max: bool = True) -> Tensor:
    """Eq. 6: a teacher's scores → soft labels ŷ, `(B, T)` in [0, 1]; 0 throughout in normal videos.

    Moving average over 2ε + 1 segments, the border ones repeated beyond; then min–max of each video. A video whose
    scores are all alike says nothing about where its event is, and gets 0 too.
    """
    y_BT = scores_BT
    for _ in range(passes if epsilon else 0):
        y_BT = F.avg_pool1d(F.pad(y_BT[:, None], (epsilon, epsilon), mode="replicate"), 2 * epsilon + 1, 1)[:, 0]
    if min_max:
        low, high = y_BT.aminmax(dim=1, keepdim=True)
        alike = high - low < 1e-6
        y_BT = torch.where(alike, 0.0, (y_BT - low) / (high - low).masked_fill(alike, 1.0))
    return y_BT * (labels_B[:, None] > 0)


def l_nce(z_t: Tensor, z_s: Tensor, abnormal: Tensor, *, tau: float) -> Tensor:
    """Eq. 7: a segment's feature of the teacher has to find the student's of the same segment among the student's of
    the other class, by cosine. Means over abnormal and over normal segments, summed; 0 where a class is empty.

    Args:
        z_t, z_s: `(B, T, Z)`.
        abnormal: `(B, T)` bool, the class of each segment.
    """
    if abnormal.all() or not abnormal.any():
        return 0.0 * z_s.sum()
    with torch.autocast(z_s.device.type, enabled=False):
        z_t, z_s = F.normalize(z_t.float(), dim=-1), F.normalize(z_s.float(), dim=-1)
        loss = []
        for own in (abnormal, ~abnormal):
            positive = (z_t[own] * z_s[own]).sum(-1, keepdim=True)
            logits = torch.cat([positive, z_t[own] @ z_s[~own].T], dim=1) / tau
            loss.append((logits.logsumexp(1) - logits[:, 0]).mean())
        return loss[0] + loss[1]


# ------------------------------------------------------------------------------------------------------------- method


class Taught(NamedTuple):
    """What the frozen teacher says of bags."""

    y: Tensor
    """Refined scores ŷ, `(B, T)` in [0, 1]."""
    abnormal: Tensor
    """Segments of abnormal videos whose score is at least δ, `(B, T)` bool."""
    h: Tensor
    """Features, `(B, T, H)`; of no width where the feature level is not wanted."""


class Dakd(nn.Module):
    """Teacher, student, and g, which compares their features."""

    learns_from: ClassVar[tuple[str, ...]] = BACKBONES
    runs_on: ClassVar[tuple[str, ...]] = ("rgb",)
    normalisation: ClassVar[str] = "none"
    standardised: ClassVar[tuple[str, ...]] = ()
    config_class: ClassVar[type] = DakdConfig
    teacher_method: ClassVar[str] = "dakd"

    def __init__(self, widths: dict[str, int], config: DakdConfig | None = None):
        super().__init__()
        self.config = config = config or DakdConfig()
        self.learns_from, self.runs_on = config.learns_from, config.runs_on  # type: ignore[misc]
        self.teacher: Network | None = None
        self.given: tuple[Any, ...] = ()  # not a module of this one: it is not learned, and not saved
        if not config.given:  # made first, so that a seed's teacher is the same whatever its student reads
            self.teacher = Network({name: widths[name] for name in config.backbones}, config)
        self.student: Network | None = None
        if config.student:
            self.student = Network({config.student: widths[config.student]}, config)
        self.g: nn.Module | None = None
        if self.student is not None and "feature" in config.levels and not config.given:
            first, second = config.g
            self.g = nn.Sequential(nn.Linear(config.width, first), nn.ReLU(), nn.Linear(first, second))
        self.bins: Tensor
        self.register_buffer("bins", torch.tensor(config.segments))  # T in training, which a small dataset may lower
        self.taught = False
        self.kept: dict[int, Taught] = {}
        self.kept_of: object = None

    # ------------------------------------------------------------------------------------------------------- scoring

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → the student's scores `(B, T)` in [0, 1]. Its backbone is
        all it needs. Where there is no student, the teacher's."""
        if self.student is None:
            return self.teacher_scores(streams)
        return self._expanded(self.student, {self.config.student: streams[self.config.student]})

    def teacher_scores(self, streams: dict[str, Tensor]) -> Tensor:
        """The same of the teacher, from all of its backbones.

        Raises:
            UsageError: they differ in length.
        """
        assert self.teacher is not None
        return self._expanded(self.teacher, self._backbones(streams))

    def _expanded(self, network: Network, streams: dict[str, Tensor]) -> Tensor:
        names = sorted(streams, key=lambda name: -streams[name].ndim)  # one with crops first, if there is one

        def score(*parts: Tensor) -> Tensor:
            given = dict(zip(names, parts, strict=True))
            if self.config.test == "native":
                return network.scores(given)
            length, bins = parts[0].shape[1], int(self.bins)
            held_TS = segments_of(length, bins).to(parts[0])
            pooled = {name: held_TS @ x for name, x in given.items()}
            return network.scores(pooled)[:, segment_at(length, bins)]

        return over_crops(score, *(streams[name] for name in names)).clamp(0, 1)

    def _backbones(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The teacher's streams, which must be of one length."""
        found = {name: streams[name] for name in self.config.backbones}
        if len({x.shape[-2] for x in found.values()}) > 1:
            told = ", ".join(f"{name} {x.shape[-2]}" for name, x in found.items())
            raise UsageError(f"the backbones differ in length ({told} snippets); extract them together")
        return found

    def compact(self) -> "Dakd":
        """Itself for scoring alone: the teacher, unless it is what scores, and g gone, the tables of relative positions
        multiplied out. The scores stay."""
        if self.student is not None:
            self.teacher = None
        self.g, self.given, self.kept = None, (), {}
        for module in self.modules():
            if isinstance(module, DisentangledAttention):
                module.fold()
        return self.eval()

    # ------------------------------------------------------------------------------------------------------ learning

    def teach(self, network: Any) -> None:
        """Take over the teacher of a trained run, whatever backbone its own student has, or the given run's method;
        `phases` has none to train then.

        Raises:
            RuntimeError: it does not fit this configuration.
            UsageError: there is nobody to teach.
        """
        if self.student is None:
            raise UsageError("student: there is none to train; name one of the backbones, or leave out --teacher")
        self.taught = True
        if self.teacher is None:
            self.given = (network.eval().requires_grad_(False),)
            return
        if network.teacher is None:
            raise RuntimeError("it was made compact, and has no teacher any more")
        for name in NETWORK:
            own, other = getattr(self.config, name), getattr(network.config, name)
            if own != other:
                raise RuntimeError(f"{name} is {other}, here {own}")
        self.teacher.load_state_dict(network.teacher.state_dict())

    def l_teacher(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 1: the ranking loss of the teacher's scores."""
        assert self.teacher is not None
        return self._l_mil(each_bag(self.teacher.scores, self._backbones(batch.streams)))

    def l_student(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8: BCE(ŷ, y^S) + α·τ²·L_nce. The parts are weighted."""
        assert self.student is not None
        config, taught = self.config, self.taught_of(batch)
        h_s, logits = each_bag(self.student.both, {config.student: batch.streams[config.student]})
        if "prediction" in config.levels:
            parts = {"bce": F.binary_cross_entropy_with_logits(logits, taught.y)}
        else:
            parts = self._l_mil(logits.sigmoid())
            parts.pop("total")
        if self.g is not None:
            weight = config.alpha * (config.tau**2 if config.tau_squared else 1.0)
            parts["nce"] = weight * l_nce(self.g(taught.h), self.g(h_s), taught.abnormal, tau=config.tau)
        self.bins.fill_(logits.shape[1])
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def _l_mil(self, scores_BT: Tensor) -> dict[str, Tensor]:
        self.bins.fill_(scores_BT.shape[1])
        parts = l_mil(scores_BT, self.config)
        return parts | {"total": torch.stack(list(parts.values())).sum()}

    def taught_of(self, batch: Batch) -> Taught:
        """What the teacher says of a batch. It is kept by row number, as the teacher and the rows stay the same for the
        whole phase, and is computed again once the teacher has changed."""
        if not batch.rows:
            return self._ask(batch.streams, batch.labels)
        weights = chain(self._teacher.parameters(), self._teacher.buffers())
        stamp = [(weight.data_ptr(), weight._version) for weight in weights]
        if stamp != self.kept_of:
            self.kept, self.kept_of = {}, stamp
        new = [row for row in dict.fromkeys(batch.rows) if row not in self.kept]
        fresh: dict[int, Taught] = {}
        if new:
            places = [batch.rows.index(row) for row in new]
            told = self._ask({name: x[places] for name, x in batch.streams.items()}, batch.labels[places])
            fresh = {row: Taught(*each) for row, each in zip(new, zip(*told, strict=True), strict=True)}
            room = KEPT // max(1, told.h[0].nbytes) - len(self.kept)
            self.kept |= dict(list(fresh.items())[: max(0, room)])
        rows = [self.kept.get(row) or fresh[row] for row in batch.rows]
        return Taught(*(torch.stack(parts) for parts in zip(*rows, strict=True)))

    @torch.no_grad()
    def _ask(self, streams: Mapping[str, Tensor], labels_B: Tensor) -> Taught:
        """Ask the teacher, without dropout and without a gradient."""
        config, teacher = self.config, self._teacher.eval()
        if isinstance(teacher, Network):
            h_BTH = teacher.features(self._backbones(streams))
            raw_BT = teacher.logits(h_BTH).sigmoid()
        else:
            score, needs = judge(teacher.to(labels_B.device))
            raw_BT = score({name: streams[name] for name in needs}).float()
            h_BTH = raw_BT[..., None]
        y_BT = refine(raw_BT, labels_B, epsilon=config.epsilon, passes=config.passes, min_max=config.min_max)
        abnormal_BT = ((y_BT if config.delta_on == "refined" else raw_BT) >= config.delta) & (labels_B[:, None] > 0)
        return Taught(y_BT, abnormal_BT, h_BTH if self.g is not None else h_BTH.new_empty(*y_BT.shape, 0))

    @property
    def _teacher(self) -> nn.Module:
        """Its own, or the given one.

        Raises:
            UsageError: it was to be given, and was not.
        """
        if self.teacher is None and not self.given:
            raise UsageError(f"this student learns from a run of {self.config.given}; name it, with --teacher RUN")
        return self.teacher if self.teacher is not None else self.given[0]

    def phases(self) -> list[Phase]:
        """Teacher (unless there is one), then student with g."""
        config = self.config
        self.kept = {}  # row numbers may mean other bags from here on

        def phase(name: str, loss: Callable[[Batch], dict[str, Tensor]], groups: list[dict[str, Any]]) -> Phase:
            return Phase(
                name=name, loss=loss, parameters=groups, iterations=config.iterations, share=SHARE,
                segments=config.segments, bags=config.bags,
                optimizer=torch.optim.Adagrad, lr=config.lr, weight_decay=config.weight_decay,
            )  # fmt: skip

        found = []
        if self.teacher is not None and not self.taught:
            found.append(phase("teacher", self.l_teacher, self.teacher.groups(config)))
        if self.student is not None:
            own = [{"params": list(self.g.parameters()), "lr": config.lr}] if self.g is not None else []
            found.append(phase("student", self.l_student, [*self.student.groups(config), *own]))
        return found


def judge(method: Any) -> tuple[Callable[[dict[str, Tensor]], Tensor], tuple[str, ...]]:
    """How a finished run's method scores as a teacher, and the streams that it needs for it: the teacher that it had,
    where that is kept (DAKD's), goes before itself."""
    if getattr(method, "teacher", None) is not None and hasattr(method, "teacher_scores"):
        return method.teacher_scores, method.learns_from
    return method, method.runs_on


def segments_of(length: int, bins: int) -> Tensor:
    """Each segment as weights of snippets, `(bins, length)`, by the rule of training (2.2): segment i is the mean of
    snippets `⌊i·S/bins⌋ … ⌊(i+1)·S/bins⌋ − 1`, or one snippet where that is empty."""
    edges = torch.arange(bins + 1) * length // bins
    start, end = edges[:-1, None], torch.maximum(edges[1:], edges[:-1] + 1)[:, None]
    snippets = torch.arange(length)
    held = ((snippets >= start) & (snippets < end)).float()
    return held / held.sum(1, keepdim=True)


def segment_at(length: int, bins: int) -> Tensor:
    """The segment whose score each snippet gets, `(length,)`, by the rule of Sultani's evaluation (3.1): edges at
    `round(i·S/bins)`, all snippets covered. It may be a snippet off the segment's own edges; `native` is not."""
    edges = torch.round(torch.arange(bins + 1, dtype=torch.float64) * length / bins).long()
    return torch.searchsorted(edges, torch.arange(length), right=True) - 1
