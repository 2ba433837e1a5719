"""What the files of a run folder hold, and in which range."""

import json
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from wsvad.features.store import Passport, Resampled
from wsvad.ranges import Count, NotNegative, Positive, Range, Seed, Share, Whole
from wsvad.runs.normalisation import Kind
from wsvad.shapes import problems
from wsvad.video.decoding import Decode

Width = Annotated[int, Range(1, 2**17)]
Part = Annotated[float, Range(0, 1)]
"""Of a whole: every metric, and every score."""
Seconds = Annotated[float, Range(-1e10, 1e10)]
"""Three centuries: also clocks that count from 1970 stay within."""


def _identity(record: object) -> str:
    """What a passport's identity is, where the record has fields of nothing known."""
    known = Passport.__dataclass_fields__
    if not isinstance(record, dict) or not all(key in known for key in record):
        return "fields of a passport"
    wrong = [
        *problems(record.get("rate"), Resampled | None, "rate"),
        *problems(record.get("decode"), Decode | None, "decode"),
    ]
    return next(iter(wrong), "")


class Decoded(TypedDict):
    """Of a passport, what is read of it by name."""

    decoder: str | None


class Known(TypedDict):
    """A video in a fingerprint."""

    label: int
    category: str
    content: dict[str, str]


class Fingerprint(TypedDict):
    training: dict[str, Known]
    test: dict[str, Known]
    features: dict[str, Decoded]


class ProtocolRecord(TypedDict):
    """What is read of a protocol by name."""

    first_seed: NotRequired[Seed]


def _source(record: dict[str, str]) -> str:
    """Where a dataset was, as `open_dataset` takes it; of one that was made in memory nothing is known."""
    known = not record or ("folder" in record and record.keys() <= {"folder", "labels", "intervals"})
    return "" if known else "a folder, and the files of its labels and intervals"


def _whole_source(settings: dict[str, Any]) -> str:
    return "settings with 'features' beside 'source'" if settings.get("source") and "features" not in settings else ""


class SettingsRecord(TypedDict):
    source: NotRequired[Annotated[dict[str, str], _source]]
    features: NotRequired[str]
    config: NotRequired[dict[str, Any]]
    protocol: NotRequired[ProtocolRecord]
    grown: NotRequired[list[dict[str, Any]]]
    from_labels: NotRequired[list[str]]
    auto: NotRequired[dict[str, Any]]


Settings = Annotated[SettingsRecord, _whole_source]
"""`config.yaml`."""


def _finite(record: object) -> str:
    """JSON as Python reads it may hold infinity, which could not be written again."""
    try:
        json.dumps(record, allow_nan=False)
    except (ValueError, RecursionError):
        return "a mapping with finite numbers"
    return ""


class FamiliarityRecord(TypedDict):
    """What the training videos look like, beside its tensors."""

    limits: Annotated[dict[str, list[Positive]], lambda found: "" if found else "limits of a stream"]
    videos: Count
    false: Share
    length: Positive


class ModelRecord(TypedDict):
    method: str
    config: dict[str, Any]
    widths: dict[str, Width]
    normalisation: dict[str, Kind]
    encoders: dict[str, str]
    passports: dict[str, Annotated[dict[str, Any], _identity]]
    window: Annotated[int, Range(1, 2**16)]
    filmed_at: NotRequired[tuple[Positive, Positive]]
    familiarity: NotRequired[FamiliarityRecord]
    calibration: NotRequired[dict[str, Any]]
    threshold: NotRequired[dict[str, Any]]
    weights: NotRequired[str]
    sha256: NotRequired[str]
    plugins: NotRequired[dict[str, str]]


Model = Annotated[ModelRecord, _finite]
"""`model.json`, in all formats."""


class ScoredVideo(TypedDict):
    """A normal video that was kept apart."""

    video: str
    scores: list[Part]
    times: list[Seconds]


class KnownVideo(ScoredVideo):
    """A video in which it is known when something abnormal happens."""

    events: list[tuple[Seconds, Seconds]]
    split: Literal["train", "test"]


class KnownRecord(TypedDict):
    whole: NotRequired[list[KnownVideo]]
    online: NotRequired[list[KnownVideo]]


class NormalRecord(TypedDict):
    """`calibration.json`."""

    fits: Whole
    filmed: NotRequired[dict[str, list[NotNegative]]]
    whole: NotRequired[list[ScoredVideo]]
    online: NotRequired[list[ScoredVideo]]
    hours: NotRequired[NotNegative]
    known: NotRequired[KnownRecord]


class Mean(TypedDict):
    mean: Part | None
    std: Part | None
    values: NotRequired[list[Part | None]]


class Figure(TypedDict):
    """Mean and spread over seeds of a share, a rate an hour, or seconds."""

    mean: NotNegative | None
    std: NotNegative | None
    values: NotRequired[list[NotNegative | None]]


class PointRecord(TypedDict):
    threshold: float
    false_alarms_per_hour: NotNegative
    events_found: Part


class AlertRecord(TypedDict):
    """Where alerts begin, and what other thresholds do."""

    thresholds: list[NotNegative]
    by: str
    sentence: str
    curve: list[PointRecord]


class AlertRecords(TypedDict):
    whole: NotRequired[AlertRecord]
    online: NotRequired[AlertRecord]


def _headlines(metrics: dict[str, Any]) -> str:
    """What is missing of the metrics that every measurement has."""
    missing = [name for name in ("auc", "ap", "video_auc") if name not in metrics]
    return f"metrics with '{missing[0]}'" if missing else ""


def _alike(rows: dict[str, Any]) -> str:
    """What is wrong with selections that are no measurement: the headline is always there, and each has its metrics."""
    if not rows.get("last"):
        return "metrics of the last iteration"
    return "" if all(not row or row.keys() == rows["last"].keys() for row in rows.values()) else "the same metrics each"


class Selections(TypedDict):
    last: Annotated[dict[str, Mean], _headlines]
    held_out: NotRequired[dict[str, Mean]]
    best_on_test: NotRequired[dict[str, Mean]]


class Metrics(TypedDict):
    data: str
    seeds: list[Whole]
    iterations: list[Whole | None]
    selection: Annotated[Selections, _alike]
    per_category: dict[str, Mean]
    per_category_ap: NotRequired[dict[str, dict[str, Mean]]]
    intervals: NotRequired[dict[str, tuple[NotNegative, NotNegative]]]
    events: NotRequired[dict[str, Figure]]
    alerts: NotRequired[AlertRecords]
    certainty: NotRequired[list[str]]
    undefined: NotRequired[list[str]]


class Row(TypedDict):
    """A point of a fit."""

    phase: str
    iteration: Whole
    loss: dict[str, float | None]


class LogRow(Row):
    fit: str


class HeldOut(TypedDict):
    videos: list[str]


class Folds(TypedDict):
    videos: list[list[str]]
    """That each leaves out."""


Fold = dict[str, dict[str, list[Part]]]
"""Mode → normal video → its scores."""


class TrialRecord(TypedDict):
    of: str
    """Hash of what it depends on."""
    scores: dict[str, list[Part]]
    seconds: NotNegative


class Selection(TypedDict):
    iteration: Whole | None
    history: list[Row]
    normal: Fold
    reconstruction: dict[str, NotNegative | None]


class Fit(TypedDict):
    history: list[Row]
    parameters: Count


class Result(TypedDict):
    seed: Whole
    metrics: Annotated[dict[str, Annotated[dict[str, Part | None], _headlines] | None], _alike]
    per_category: dict[str, Part | None]
    per_category_ap: dict[str, dict[str, Part | None]]
    iteration: Whole | None
    reconstruction: dict[str, NotNegative | None]
    parameters: Count


class Tested(TypedDict):
    """A seed's result in format 2, as far as it is still read."""

    test_scores: NotRequired[dict[str, Any]]


class Timing(TypedDict):
    seconds: NotNegative
    peak_memory: NotRequired[Whole | None]


OF_SEED: dict[str, Any] = {
    "held_out": HeldOut,
    "folds": Folds,
    "selection": Selection,
    "fit": Fit,
    "result": Result,
    "timing": Timing,
}
"""File of a seed's folder → what it holds; the others are of folds."""
