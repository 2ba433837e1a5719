"""What metrics and selections are called, and how their values are written: one vocabulary for the terminal, the
report and the leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from wsvad.metrics.alerts import MATCH, PORTION
from wsvad.metrics.detection import IOUS

Unit = Literal["%", "/h", "s"]
"""Of a share, kept as a fraction; of a number an hour; of seconds."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The words for one key of the metrics file."""

    short: str
    """The head of a column."""
    name: str
    """The head of a row."""
    meaning: str
    """What it measures, in a phrase without a full stop."""
    lower_is_better: bool = False
    unit: Unit = "%"

    @property
    def in_words(self) -> str:
        """A name of words in the middle of a sentence: "frame AUC"."""
        return self.name[0].lower() + self.name[1:]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The words for one way of choosing the iteration that is reported."""

    name: str
    meaning: str
    """A phrase without a full stop."""


def _map_at(iou: float) -> Metric:
    first = (
        "average precision of the detected intervals, mean over categories; one is correct if it overlaps a true "
        f"interval of its category by at least {iou:g} (frames in both over frames in either)"
    )
    meaning = first if iou == IOUS[0] else f"mAP where the overlap must be at least {iou:g}"
    return Metric(short=f"mAP@{iou:g}", name=f"mAP at IoU {iou:g}", meaning=meaning)


ONLINE = "_online"
"""How the key of a figure of alerts ends that is about a running camera."""
_OF_ALERTS = {
    "events_found": Metric(
        short="Events found",
        name="Events found",
        meaning="share of the true events that an alert overlaps, at the deployed threshold",
    ),
    "false_alarms_per_hour": Metric(
        short="False alarms",
        name="False alarms an hour",
        meaning="alerts in normal videos, an hour of normal video, at the deployed threshold; lower is better",
        lower_is_better=True,
        unit="/h",
    ),
    "onset_delay": Metric(
        short="Onset delay",
        name="Onset delay",
        meaning="median time from the first frame of a true event to its alert, over the events that are found; lower "
        "is better",
        lower_is_better=True,
        unit="s",
    ),
    "event_f1": Metric(
        short="Event F1",
        name="Event F1",
        meaning="harmonic mean of the share of alerts that are right and of true events with a right alert; one is "
        f"right if its IoU with a true event is at least {MATCH:g}, one for each event",
    ),
    "ap_onset": Metric(
        short="AP at onset",
        name="Average precision at onset",
        meaning=f"average precision where only the first {100 / PORTION:g} % of each true event is to be found, and "
        "the rest is left out; needs no threshold",
    ),
}


def _online(metric: Metric) -> Metric:
    return replace(
        metric,
        short=f"{metric.short}, online",
        name=f"{metric.name}, online",
        meaning=f"{metric.name[0].lower()}{metric.name[1:]} of scores as a live camera has them",
    )


METRICS = {
    "auc": Metric(
        short="AUC",
        name="Frame AUC",
        meaning="probability that an abnormal frame scores above a normal one, over all videos; 50 is chance",
    ),
    "auc_abnormal": Metric(
        short="AUC abnormal",
        name="AUC on abnormal videos",
        meaning="frame AUC within abnormal videos only; shows whether the model knows when",
    ),
    "auc_constant": Metric(
        short="AUC constant",
        name="AUC of a constant per video",
        meaning="frame AUC if each video had one score, its mean; it knows which videos are abnormal, never when",
    ),
    "ap": Metric(
        short="AP",
        name="Average precision",
        meaning="precision of the list of frames, highest score first, averaged over recall; chance is the share of "
        "abnormal frames",
    ),
    "ap_trapezoid": Metric(
        short="AP trapezoid",
        name="Average precision, trapezoid",
        meaning="average precision by the trapezoidal rule, as some papers print it",
    ),
    "ap_abnormal": Metric(
        short="AP abnormal",
        name="Average precision on abnormal videos",
        meaning="average precision within abnormal videos only",
    ),
    "video_auc": Metric(
        short="Video AUC",
        name="Video AUC",
        meaning="probability that an abnormal video's highest score is above a normal video's",
    ),
    "far": Metric(
        short="FAR",
        name="False-alarm rate",
        meaning="share of the frames of normal videos that score 0.5 or more; lower is better",
        lower_is_better=True,
    ),
    **_OF_ALERTS,
    **{f"{key}{ONLINE}": _online(metric) for key, metric in _OF_ALERTS.items()},
    **{f"map@{iou:g}": _map_at(iou) for iou in IOUS},
    "map": Metric(
        short="mAP", name="mAP, mean over IoUs", meaning=f"mean of mAP at IoU {', '.join(f'{iou:g}' for iou in IOUS)}"
    ),
    "category_accuracy": Metric(
        short="Category accuracy",
        name="Category accuracy",
        meaning="share of true events whose likeliest category is right",
    ),
}
"""Each key of the metrics file, in reading order."""

ALERT_KEYS = (*_OF_ALERTS, *(f"{key}{ONLINE}" for key in _OF_ALERTS))
"""Figures of alerts, of whole videos and of a running camera."""
ALWAYS = ("auc", "auc_abnormal", "auc_constant")
"""Frame AUC is never shown without the two numbers that say how much of it is about time."""

SELECTIONS = {
    "last": Selection(name="Last", meaning="at the end of training"),
    "held_out": Selection(
        name="Held-out", meaning="after the number of iterations that held-out training videos would choose"
    ),
    "best_on_test": Selection(
        name="Best on test",
        meaning="stopped at the best result on the test videos, as papers often do; optimistic by construction",
    ),
}
"""Each key of `selection` in the metrics file, in reading order."""

UNDEFINED = "–"
"""Stands where a metric was not measured or is not defined."""


def words_for(key: str) -> Metric:
    """The words for a metric; a key that has none stands for itself."""
    return METRICS.get(key) or Metric(short=key, name=key, meaning="")


def percent(fraction: float | None, digits: int = 2) -> str:
    """`90.33`; a dash for None and NaN."""
    return in_unit(fraction, "%", digits)


def in_unit(value: float | None, unit: Unit, digits: int = 2) -> str:
    """The number alone, a fraction in percent; a dash for None and NaN."""
    if value is None or value != value:
        return UNDEFINED
    return f"{100 * value if unit == '%' else value:.{digits}f}"


def with_unit(words: str, unit: Unit) -> str:
    """`1.35 s`, `0.80/h`: percent alone is left to the head of the table."""
    if unit == "%" or words in ("", UNDEFINED):
        return words
    return f"{words}\u00a0{unit}" if unit == "s" else f"{words}{unit}"


def span_of(interval: Sequence[float] | None, digits: int = 1, unit: Unit = "%") -> str:
    """`71.2 to 76.8`, in percent, or `1.2 to 3.0 s`; nothing where there is no interval."""
    if interval is None:
        return ""
    return with_unit(" to ".join(in_unit(end, unit, digits) for end in interval), unit)


def spread_of(value: Mapping[str, Any], digits: int = 2, unit: Unit = "%") -> str:
    """`0.21`: the standard deviation over seeds in percent; nothing where there is one seed or no mean.

    Args:
        value: `{"mean", "std", "values"}`, fractions.
    """
    known = len(value["values"]) > 1 and in_unit(value["mean"], unit) != UNDEFINED
    return in_unit(value["std"], unit, digits) if known else ""


def with_spread(value: Mapping[str, Any], unit: Unit = "%") -> str:
    """`90.33 ± 0.21` in percent, or `1.35 ± 0.20 s`; the spread is left out where there is one seed."""
    words = " ± ".join(filter(None, (in_unit(value["mean"], unit), spread_of(value, unit=unit))))
    return with_unit(words, unit)
