"""The verb that shows and sets the threshold of a finished run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from wsvad.cli.common import DONE
from wsvad.cli.options import Run
from wsvad.cli.output import Table, say, show, show_json, table
from wsvad.errors import UsageError, WsvadError
from wsvad.ranges import Positive, Range, Score

if TYPE_CHECKING:
    from wsvad.detection.calibration import Calibrations, Choice
    from wsvad.detection.operating import OperatingCurve
    from wsvad.runs.folder import RunFolder

Portion = Annotated[float, Range(0, 1, above=True)]


def threshold(
    run: Run,
    set: Score | None = None,
    max_false_alarms_per_day: Positive | None = None,
    max_false_alarms_per_hour: Positive | None = None,
    find: Portion | None = None,
    reset: bool = False,
    mode: Literal["whole", "online"] = "whole",
    json: bool = False,
) -> int:
    """Show what each threshold of a finished run does, and set another one.

    False alarms are counted in the normal training videos, by fits that had not seen them; events found, where
    intervals say when something happens. Without an option nothing is changed. 'wsvad score' uses the threshold that is
    set here; 'wsvad score --threshold 0.8' uses another one for one call.

    Args:
        run: Run folder of a trained detector.
        set: Set the threshold to this score.
        max_false_alarms_per_day: Set the lowest threshold that keeps this budget, as far as the normal video can tell.
        max_false_alarms_per_hour: The same, by the hour.
        find: Set the highest threshold that finds this share of the known events, 0.9 for nine of ten.
        reset: Go back to the threshold that training chose.
        mode: The threshold of: whole, video files; online, live cameras.
        json: Print the curve as JSON instead of a table.
    """
    from wsvad.detection.choose import calibrations_of, keep_choice, operating_curves, resolution
    from wsvad.runs.folder import RunFolder

    folder = RunFolder(run)
    asked = {
        "--set": set,
        "--max-false-alarms-per-day": max_false_alarms_per_day,
        "--max-false-alarms-per-hour": max_false_alarms_per_hour,
        "--find": find,
        "--reset": reset or None,
    }
    given = [(option, value) for option, value in asked.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(option for option, _ in given)}: give one of them")
    calibrations = calibrations_of(folder)
    curves = operating_curves(folder, calibrations.rules)
    curve = curves[mode]
    for option, value in given:
        calibrations = keep_choice(folder, mode, choice_of(folder, curve, option, value))
    if json:
        show_json(as_json(curve, calibrations))
    elif curve.hours or curve.events:
        show(curve_table(curve, calibrations))
    say(calibrations.sentence(mode))
    say(resolution(curve))
    draw(folder, curves, calibrations)
    if given and folder.report.is_file():
        say(f"{folder.report} shows the events of the earlier threshold until the same 'train' command is run again")
    return DONE


def choice_of(run: "RunFolder", curve: "OperatingCurve", option: str, value: Any) -> "Choice | None":
    """The threshold that an option asks for; None for that of training."""
    from wsvad.detection.choose import A_DAY, at_budget, at_share, at_threshold

    by = f"{option} {value:g}"
    match option:
        case "--set":
            return at_threshold(curve, value, by)
        case "--find":
            return at_share(curve, value, by)
        case "--reset":
            return None
        case _:
            return at_budget(run, curve, value * (A_DAY if option.endswith("day") else 1), by)


def curve_table(curve: "OperatingCurve", calibrations: "Calibrations") -> Table:
    """A few thresholds, the highest first, and what they do."""
    from wsvad.pages.threshold import cells, evidence, heads

    current, rows = calibrations.threshold(curve.mode), []
    for point in curve.rows(current):
        first, *rest = cells(curve, point)
        rows.append((f"{first} (in use)" if point.threshold == current else first, *rest))
    head = heads(curve)
    return table(head, rows, numbers=len(head) - 1, title=f"{curve.mode}: {evidence(curve)}")


def as_json(curve: "OperatingCurve", calibrations: "Calibrations") -> dict[str, Any]:
    """The whole curve, for programs."""
    choice = calibrations.chosen.get(curve.mode)
    return {
        "mode": curve.mode,
        "threshold": calibrations.threshold(curve.mode),
        "set_by": choice.by if choice else None,
        "sentence": calibrations.sentence(curve.mode),
        "hours": curve.hours,
        "hours_in_all": curve.in_all,
        "fits": curve.fits,
        "known_events": curve.events,
        "in_use": curve.at(calibrations.threshold(curve.mode)).as_dict(),
        "curve": [point.as_dict() for point in curve.points],
    }


def draw(run: "RunFolder", curves: Any, calibrations: "Calibrations") -> None:
    """The page in the run folder; one that cannot be written to loses nothing but that."""
    from wsvad.pages.threshold import write_threshold_page

    try:
        write_threshold_page(run, curves, calibrations)
    except WsvadError as error:
        say(f"the curve was not drawn: {error}")
    else:
        say(f"the curve is drawn in {Path(run.threshold_page)}")
