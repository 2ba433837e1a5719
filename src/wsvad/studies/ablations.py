"""Which rows an ablation table has: a paper's tables, and the questions that it leaves open.

A new method adds a function here and a line to `ABLATIONS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from torch import Tensor

from wsvad.layers.disentangled import TERMS
from wsvad.methods.dakd import DakdConfig
from wsvad.methods.mil import MilConfig
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.methods.refinevad import RefineVadConfig
from wsvad.methods.ur_dmu import UrDmuConfig

Score = Callable[[Any, dict[str, Tensor]], Tensor]
"""A method and streams `(B, T, D)` → scores `(B, T)`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: a trained method, and how it is scored."""

    label: str
    method: str
    config: Any
    teacher: str | None = None
    """Label of the row whose runs teach this one."""
    runs: str | None = None
    """Label under which its runs are kept, where another table has the same row by another label."""
    like: str | None = None
    """Label of the row whose runs are scored here, in another way; by default this row has its own."""
    score: Score | None = None
    """The other way; by default the method's own."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A table."""

    title: str
    rows: Callable[[Any], Sequence[Row]]
    """Configuration → rows."""
    costs: bool = False
    """With weights, multiply-adds and speed beside the metrics."""
    elsewhere: bool = False
    """Measured on another dataset than the one trained on."""


# ------------------------------------------------------------------------------------------------------------- π-VAD

TEACHER, WHOLE, TRUE = "UR-DMU (teacher)", "π-VAD", "align + distill, true modalities"


def _pi_vad(config: PiVadConfig, label: str = WHOLE, **fields: Any) -> Row:
    return Row(label=label, method="pi-vad", config=replace(config, **fields), teacher=TEACHER)


def _teacher(config: PiVadConfig) -> Row:
    return Row(label=TEACHER, method="ur-dmu", config=config.ur_dmu)


def _losses(config: PiVadConfig) -> list[Row]:
    """Table 3."""
    return [
        _teacher(config),
        _pi_vad(config, "PMG", auxiliary=("pmg",)),
        _pi_vad(config, "PMG + align", auxiliary=("pmg", "align")),
        _pi_vad(config, "PMG + distill", auxiliary=("pmg", "distill")),
        _pi_vad(config, TRUE, auxiliary=("align", "distill")),
        _pi_vad(config),
    ]


def _positions(config: PiVadConfig) -> list[Row]:
    """Table 4."""
    early, *_, late = config.after
    return [
        _teacher(config),
        _pi_vad(config, "early", after=(early,)),
        _pi_vad(config, "late", after=(late,)),
        _pi_vad(config, WHOLE),
    ]


def _profiles(config: PiVadConfig) -> list[Row]:
    """Table 5."""
    profiles: tuple[Literal["light", "paper"], ...] = ("light", "paper")
    rows = {profile: _pi_vad(config, f"π-VAD {profile}", profile=profile) for profile in profiles}
    rows[config.profile] = replace(rows[config.profile], runs=WHOLE)
    return [_teacher(config), *rows.values()]


def _subsets(config: PiVadConfig) -> list[Row]:
    """Table 6: each modality by itself, then one more at a time."""
    printed = [j for j in ("pose", "depth", "text", "mask", "flow") if j in config.modalities]
    order = [*printed, *(j for j in config.modalities if j not in printed)]
    single = [_pi_vad(config, j, modalities=(j,)) for j in order]
    growing = [_pi_vad(config, " + ".join(order[:n]), modalities=tuple(order[:n])) for n in range(2, len(order))]
    return [_teacher(config), *single, *growing, _pi_vad(config)]


def _real(config: PiVadConfig) -> list[Row]:
    """What making modalities up costs in accuracy."""
    swapped = _pi_vad(config, "π-VAD, true modalities at test")
    return [
        _teacher(config),
        _pi_vad(config),
        replace(swapped, like=WHOLE, score=lambda method, streams: method.scores(streams, real=True)),
        _pi_vad(config, TRUE, auxiliary=("align", "distill")),
    ]


def _silence(config: PiVadConfig) -> list[Row]:
    """What each pseudo-modality is worth in scoring, without training anew."""

    def without(j: str) -> Row:
        def score(method: Any, streams: dict[str, Tensor]) -> Tensor:
            return method.scores(streams, silenced=(j,))

        return replace(_pi_vad(config, f"{j} silenced"), like=WHOLE, score=score)

    return [_teacher(config), _pi_vad(config), *(without(j) for j in config.modalities)]


def _both(config: PiVadConfig) -> list[Row]:
    return [_teacher(config), _pi_vad(config)]


# -------------------------------------------------------------------------------------------------------------- DAKD

STUDENT = "DAKD student"


def _dakd(config: DakdConfig, label: str = STUDENT, **fields: Any) -> Row:
    return Row(label=label, method="dakd", config=replace(config, **fields))


def _dakd_teacher(row: Row, label: str) -> Row:
    """The teacher of a row's runs."""
    return replace(row, label=label, like=row.label, score=lambda method, streams: method.teacher_scores(streams))


def _temporal(config: DakdConfig) -> list[Row]:
    """Table 1, teacher and student of each temporal module."""
    kinds = ("mtn", "attention", "lstm", "rnn", "disentangled", "gru", "cnn", "tam")
    students = [_dakd(config, f"{kind}, student", temporal=kind) for kind in kinds]
    teachers = [_dakd_teacher(row, row.label.replace("student", "teacher")) for row in students]
    return [row for pair in zip(students, teachers, strict=True) for row in pair]


def _pupil(config: DakdConfig, label: str, **fields: Any) -> Row:
    """A student of the same teacher as the whole."""
    return replace(_dakd(config, label, **fields), teacher=STUDENT)


def _components(config: DakdConfig) -> list[Row]:
    """Table 4."""
    whole = _dakd(config)
    return [
        whole,
        _dakd_teacher(whole, "DAKD teacher"),
        _dakd(config, "without TAM", temporal="none"),
        _pupil(config, "without NCE", levels=("prediction",)),
        _pupil(config, "without BCE", levels=("feature",)),
        _pupil(config, "without min–max", min_max=False),
        _pupil(config, "without moving average", epsilon=0),
    ]


def _terms(config: DakdConfig) -> list[Row]:
    """Table 5, by the teacher, which alone has a cross term."""
    rows = [*(_dakd(config, term, terms=(term,)) for term in TERMS), _dakd(config, "all")]
    return [row for own in rows for row in (own, _dakd_teacher(own, f"{own.label}, teacher"))]


def _backbones(config: DakdConfig) -> list[Row]:
    """Figure 4: the teacher of each subset of the backbones."""
    subsets = [chosen for n in range(1, len(config.backbones) + 1) for chosen in combinations(config.backbones, n)]
    rows = [_dakd(config, " + ".join(b), backbones=b, student=b[0]) for b in subsets]
    return [replace(row, score=lambda method, streams: method.teacher_scores(streams)) for row in rows]


def _sweeps(config: DakdConfig) -> list[Row]:
    """Figure 5: one setting at a time; the paper prints curves without their points, so these are ours."""
    tau = [_pupil(config, f"τ = {value:g}", tau=value) for value in (1.0, 5.0, 15.0, 20.0)]
    alpha = [_pupil(config, f"α = {value:g}", alpha=value) for value in (1.0, 2.5, 5.0, 10.0)]
    k = [_dakd(config, f"k = {value}", k=value) for value in (1, 5, 10, 32)]
    delta = [_pupil(config, f"δ = {value:g}", delta=value) for value in (0.5, 0.7, 0.8, 0.95)]
    return [_dakd(config), *tau, *alpha, *k, *delta]


def _gain(config: DakdConfig) -> list[Row]:
    """What each backbone gives by itself, what all of them give, and what a student of each keeps of it."""
    top = config.top  # a bag is what it is to the teacher
    alone = [Row(label=f"mil on {b}", method="mil", config=MilConfig(stream=b, top=top)) for b in config.backbones]
    whole = replace(_dakd(config, f"student on {config.student}"), runs=STUDENT)
    students = [
        replace(_dakd(config, f"student on {b}", student=b), teacher=whole.label)
        for b in config.backbones
        if b != config.student
    ]
    return [*alone, whole, _dakd_teacher(whole, "DAKD teacher"), *students]


# --------------------------------------------------------------------------------------------------------- RefineVAD

REFINED = "RefineVAD"


def _refinevad(config: RefineVadConfig, label: str = REFINED, **fields: Any) -> Row:
    return Row(label=label, method="refinevad", config=replace(config, **fields))


def _modules(config: RefineVadConfig) -> list[Row]:
    """The paper's ablation, whose table has no number to us. Its categories without soft classification are hard."""
    return [
        _refinevad(config, "base (MLP + MIL)", motar=False, core="off"),
        _refinevad(config, "+ MoTAR", core="off"),
        _refinevad(config, "+ category injection", motar=False, core="hard"),
        _refinevad(config, "+ category injection + soft classification", motar=False, core="soft"),
        _refinevad(config),
    ]


def _streams(config: RefineVadConfig) -> list[Row]:
    """Beside the network that π-VAD stands on: by RGB alone, and with text, as in the paper."""
    rows = {
        streams: _refinevad(config, f"RefineVAD, {' + '.join(streams)}", streams=streams)
        for streams in (("rgb",), ("rgb", "text"))
    }
    if config.streams in rows:
        rows[config.streams] = replace(rows[config.streams], runs=REFINED)
    return [Row(label="UR-DMU", method="ur-dmu", config=UrDmuConfig(top_least=config.top_least)), *rows.values()]


def _smoothing(config: RefineVadConfig) -> list[Row]:
    """What L_GMM, whose definition is open, is worth."""
    return [_refinevad(config, "λ1 = 0", lambda1=0.0), _refinevad(config)]


def _readings(config: RefineVadConfig) -> list[Row]:
    """Both readings of the cross-attention (A12)."""
    readings: tuple[Literal["pooled", "segment"], ...] = ("segment", "pooled")
    rows = {reading: _refinevad(config, f"{reading} query", attention=reading) for reading in readings}
    rows[config.attention] = replace(rows[config.attention], runs=REFINED)
    return list(rows.values())


ABLATIONS: dict[str, dict[str, Ablation]] = {
    "pi-vad": {
        "1": Ablation(title="Table 1: against its teacher", rows=_both),
        "3": Ablation(title="Table 3: losses", rows=_losses),
        "4": Ablation(title="Table 4: position of the inductors", rows=_positions),
        "5": Ablation(title="Table 5: cost", rows=_profiles, costs=True),
        "6": Ablation(title="Table 6: modalities", rows=_subsets),
        "real": Ablation(title="True modalities against synthesised ones", rows=_real),
        "silence": Ablation(title="One pseudo-modality silenced in scoring", rows=_silence),
        "transfer": Ablation(title="Trained here, tested elsewhere", rows=_both, elsewhere=True),
    },
    "dakd": {
        "1": Ablation(title="Table 1: temporal modules", rows=_temporal),
        "4": Ablation(title="Table 4: components", rows=_components),
        "5": Ablation(title="Table 5: attention terms", rows=_terms),
        "figure-4": Ablation(title="Figure 4: backbones of the teacher", rows=_backbones),
        "figure-5": Ablation(title="Figure 5: τ, α, k and δ", rows=_sweeps),
        "gain": Ablation(title="One backbone alone, all together, and what a student keeps", rows=_gain),
    },
    "refinevad": {
        "components": Ablation(title="Components", rows=_modules),
        "streams": Ablation(title="Beside UR-DMU, with and without text", rows=_streams),
        "lambda1": Ablation(title="Without the smoothing loss", rows=_smoothing),
        "attention": Ablation(title="Cross-attention: segment or pooled query", rows=_readings),
    },
}
"""Method → table → its rows."""
