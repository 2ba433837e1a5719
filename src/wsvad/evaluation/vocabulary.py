"""What metrics and selections are called, and how their values are written: one vocabulary for the terminal, the
report and the leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsvad.metrics.detection import IOUS


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
    return UNDEFINED if fraction is None or fraction != fraction else f"{100 * fraction:.{digits}f}"


def span_of(interval: Sequence[float] | None, digits: int = 1) -> str:
    """`71.2 to 76.8`, in percent; nothing where there is no interval."""
    return "" if interval is None else f"{percent(interval[0], digits)} to {percent(interval[1], digits)}"


def spread_of(value: Mapping[str, Any], digits: int = 2) -> str:
    """`0.21`: the standard deviation over seeds in percent; nothing where there is one seed or no mean.

    Args:
        value: `{"mean", "std", "values"}`, fractions.
    """
    known = len(value["values"]) > 1 and percent(value["mean"]) != UNDEFINED
    return percent(value["std"], digits) if known else ""


def with_spread(value: Mapping[str, Any]) -> str:
    """`90.33 ± 0.21` in percent; the spread is left out where there is one seed."""
    return " ± ".join(filter(None, (percent(value["mean"]), spread_of(value))))
