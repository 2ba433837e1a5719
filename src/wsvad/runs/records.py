"""What the files of a run folder hold."""

from typing import Any, Literal, NotRequired, TypedDict


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


class Settings(TypedDict):
    """`config.yaml`."""

    source: NotRequired[dict[str, str]]
    features: NotRequired[str]
    config: NotRequired[dict[str, Any]]
    protocol: NotRequired[dict[str, Any]]
    grown: NotRequired[list[dict[str, Any]]]


class Model(TypedDict):
    """`model.json`, in both formats."""

    method: str
    config: dict[str, Any]
    widths: dict[str, int]
    normalisation: dict[str, Literal["none", "l2", "standardise"]]
    encoders: dict[str, str]
    passports: dict[str, dict[str, Any]]
    window: int
    calibration: NotRequired[dict[str, Any]]
    threshold: NotRequired[dict[str, Any]]
    plugins: NotRequired[dict[str, str]]


class ScoredVideo(TypedDict):
    """A normal video that was kept apart."""

    video: str
    scores: list[float]
    times: list[float]


class NormalRecord(TypedDict):
    """`calibration.json`."""

    fits: int
    whole: NotRequired[list[ScoredVideo]]
    online: NotRequired[list[ScoredVideo]]


class Mean(TypedDict):
    mean: float | None
    std: float | None
    values: NotRequired[list[float | None]]


class Selections(TypedDict):
    last: dict[str, Mean]
    held_out: NotRequired[dict[str, Mean]]
    best_on_test: NotRequired[dict[str, Mean]]


class Metrics(TypedDict):
    data: str
    seeds: list[int]
    iterations: list[int | None]
    selection: Selections
    per_category: dict[str, Mean]
    per_category_ap: NotRequired[dict[str, dict[str, Mean]]]


class Row(TypedDict):
    """A point of a fit."""

    phase: str
    iteration: int
    loss: dict[str, float | None]


class LogRow(Row):
    fit: str


class HeldOut(TypedDict):
    videos: list[str]


class Selection(TypedDict):
    iteration: int | None
    history: list[Row]
    normal: dict[str, dict[str, list[float]]]
    reconstruction: dict[str, float | None]


class Fit(TypedDict):
    history: list[Row]
    parameters: int


class Result(TypedDict):
    seed: int
    metrics: dict[str, dict[str, float | None] | None]
    per_category: dict[str, float | None]
    per_category_ap: dict[str, dict[str, float | None]]
    iteration: int | None
    reconstruction: dict[str, float | None]
    parameters: int


class Timing(TypedDict):
    seconds: float
    peak_memory: NotRequired[int | None]


Fold = dict[str, dict[str, list[float]]]
"""Mode → normal video → its scores."""

OF_SEED: dict[str, Any] = {
    "held_out": HeldOut,
    "selection": Selection,
    "fit": Fit,
    "result": Result,
    "timing": Timing,
}
"""File of a seed's folder → what it holds; the others are of folds."""
