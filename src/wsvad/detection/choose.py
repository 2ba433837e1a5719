"""Turn the threshold of a finished run: what each threshold does, and the one that a person wants."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from wsvad.detection.calibration import Calibrations, Choice, NormalScores, read_known, recalibrated
from wsvad.detection.operating import HOURS_A_DAY, Known, OperatingCurve, OperatingPoint, in_figures
from wsvad.detection.threshold import WORDS, hours_needed, time_in_words
from wsvad.errors import UsageError, WsvadError
from wsvad.locks import writing
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import MODES, Mode

logger = logging.getLogger(__name__)

A_DAY = 1 / HOURS_A_DAY
"""One false alarm a day, an hour."""


def operating_curves(run: RunFolder, rules: EventRules) -> dict[Mode, OperatingCurve]:
    """What the thresholds of a run do in each mode, by the scores that it kept.

    Raises:
        WsvadError: these are damaged.
    """
    record = run.read_calibration()
    normal = NormalScores.read(record) if record else NormalScores(fits=0, curves={})
    return curves_of(normal, read_known(record), rules)


def curves_of(
    normal: NormalScores, known: Mapping[Mode, Sequence[Known]], rules: EventRules
) -> dict[Mode, OperatingCurve]:
    """What thresholds do in each mode."""
    return {
        mode: OperatingCurve(
            mode=mode,
            rules=rules,
            normal=normal.of(mode),
            known=known.get(mode, ()),
            fits=normal.fits,
            in_all=normal.hours,
        )
        for mode in MODES
    }


def at_threshold(curve: OperatingCurve, threshold: float, by: str, how: str = "set by hand") -> Choice:
    """A threshold as it is given."""
    return Choice(threshold=threshold, by=by, sentence=_said(curve, threshold, f"{how} ({by})"))


def at_share(curve: OperatingCurve, share: float, by: str) -> Choice:
    """The highest threshold that finds such a share of the known events.

    Raises:
        UsageError: none does, or no event is known.
    """
    if not curve.events:
        raise UsageError(
            f"{by}: the run knows of no event; add intervals.csv for its test videos and run the same 'train' command "
            "again"
        )
    threshold = curve.finding(share)
    if threshold is None:
        most = int((curve.found_up_to > 0).sum())
        raise UsageError(f"{by}: no threshold finds more than {most} of the {curve.events} known events; ask for less")
    return at_threshold(curve, threshold, by)


def at_budget(run: RunFolder, curve: OperatingCurve, per_hour: float, by: str) -> Choice:
    """The threshold of a false-alarm budget.

    Raises:
        WsvadError: the run kept no scores of normal videos in this mode.
    """
    found = recalibrated(run, curve.rules, per_hour).each.get(curve.mode)
    if found is None:
        raise UsageError(f"{run.path}: keeps no scores of normal video in mode {curve.mode}; train again")
    known = f" {_found(curve, curve.at(found.threshold)).capitalize()}." if curve.events else ""
    return Choice(
        threshold=found.threshold,
        by=by,
        sentence=f"{_named(curve, found.threshold)}, set by hand ({by}). {found.sentence}{known}",
    )


def for_one_call(run: RunFolder, calibrations: Calibrations, threshold: float) -> Calibrations:
    """The calibrations of a run with another threshold in each mode, which the run does not keep."""
    curves = operating_curves(run, calibrations.rules)
    by = f"--threshold {threshold:g}"
    chosen = {mode: at_threshold(curve, threshold, by, "for this call only") for mode, curve in curves.items()}
    return replace(calibrations, chosen=chosen)


def keep_choice(run: RunFolder, mode: Mode, choice: Choice | None) -> Calibrations:
    """Set the threshold of a mode in a finished run, or, with None, go back to that of training.

    Raises:
        WsvadError: the run is damaged, or cannot be written to.
    """
    with writing(run.path):
        calibrations = calibrations_of(run)
        others = {one: kept for one, kept in calibrations.chosen.items() if one != mode}
        changed = replace(calibrations, chosen=others | ({mode: choice} if choice else {}))
        run.write_thresholds(changed.as_dict())
    return changed


def calibrations_of(run: RunFolder) -> Calibrations:
    """What a finished run says of its thresholds."""
    return Calibrations.read(run.read_thresholds(), run.path / "model.json")


def chosen_before(run: RunFolder, seed: int, curves: Mapping[Mode, OperatingCurve]) -> dict[Mode, Choice]:
    """The thresholds that a person set in a run which is made again, as far as they still mean something: with other
    weights, scores are others.

    While the pages of a run are drawn, there is no `model.json`; `calibration.json` has the choice as well, so that it
    is not lost where that is interrupted. What is said of a threshold is what the curves know now; the promise of a
    budget stays as it was given.
    """
    before = _chosen_before(run)
    if run.keeps_weights_of(seed):
        return {
            mode: choice if "--max" in choice.by else at_threshold(curves[mode], choice.threshold, choice.by)
            for mode, choice in before.items()
        }
    for mode, choice in before.items():
        logger.warning(
            "%s, set by hand (%s), is not kept, because the new fit has other scores: 'wsvad threshold %s' sets one",
            _named(curves[mode], choice.threshold), choice.by, run.path,
        )  # fmt: skip
    return {}


def _chosen_before(run: RunFolder) -> Mapping[Mode, Choice]:
    try:
        if run.finished:
            return calibrations_of(run).chosen
        record = run.read_calibration()
        return Calibrations.read(record if isinstance(record, dict) else {}, run.path / "calibration.json").chosen
    except WsvadError as error:
        logger.warning("a threshold that was set by hand is not kept: %s", error)
        return {}


# ------------------------------------------------------------------------------------------------- for a reader


def point_in_words(curve: OperatingCurve, point: OperatingPoint) -> str:
    """What a threshold does, without a full stop."""
    parts = []
    if point.per_hour is None:
        parts.append("how many false alarms it has is not known")
    else:
        alarms = f"{point.false_alarms} false alarm{'' if point.false_alarms == 1 else 's'}"
        _, low, high = point.per_hour
        parts.append(
            f"{alarms} in {time_in_words(curve.hours)} of normal video, {few(low)} to {few(high)}/h or "
            f"{few(HOURS_A_DAY * low)} to {few(HOURS_A_DAY * high)}/day with 95 % confidence"
        )
    if curve.events:
        parts.append(_found(curve, point))
    return "; ".join(parts)


def resolution(curve: OperatingCurve) -> str:
    """Which budgets the normal video can tell apart, and how much more it takes for one false alarm a day."""
    if not curve.hours:
        return (
            "No scores of normal training video were kept, so it is not known how many false alarms a threshold has; "
            "train with --hold-out 0.2."
        )
    least, there = hours_needed(1.0) / curve.hours, curve.in_all or curve.hours
    text = (
        f"{time_in_words(curve.hours)} of normal video cannot tell budgets below {few(least)} false alarms/h "
        f"({few(HOURS_A_DAY * least)}/day) apart: they all give the same threshold"
    )
    if there > 1.5 * curve.hours:
        text += (
            f". Only these of {time_in_words(there)} were scored by a fit that had not seen them; the same 'train' "
            f"command with --max-false-alarms-per-hour {math.ceil(hours_needed(1.0) / there)} scores all"
        )
    needed = hours_needed(A_DAY)
    if needed > there:
        text += (
            f". For 1 false alarm/day, {time_in_words(needed)} of normal training video are needed in all, "
            f"{time_in_words(needed - there)} more than there are"
        )
    return f"{text}."


def few(number: float) -> str:
    """To two significant digits; whole from 10 on."""
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.2g}"


def _said(curve: OperatingCurve, threshold: float, how: str) -> str:
    """The sentence of a threshold that a person set."""
    text = f"{_named(curve, threshold)}, {how}: {point_in_words(curve, curve.at(threshold))}."
    return text if threshold <= 1 else f"{text} No score is as high, so no event will ever be reported."


def _named(curve: OperatingCurve, threshold: float) -> str:
    return f"Threshold {in_figures(threshold)} for {WORDS[curve.mode]}"


def _found(curve: OperatingCurve, point: OperatingPoint) -> str:
    splits = {video.split for video in curve.known}
    on = "measured in training videos by fits that had not seen them"
    if "test" in splits:
        partly = "partly " if "train" in splits else ""
        on = f"measured {partly}on the test videos themselves, so on new video it may be less"
    return f"{point.found} of {curve.events} known events found, {on}"
