"""The thresholds of a detector: one for each mode, with what makes an event and what can be promised."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np

from wsvad.detection.operating import Known
from wsvad.detection.rarity import RarityScale, scale_of
from wsvad.detection.threshold import WORDS, Calibration, Normal, calibrate, time_in_words, usable
from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules, Rarity
from wsvad.ranges import Range
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import UNCALIBRATED, threshold_of
from wsvad.runs.scorer import MODES, Mode
from wsvad.shapes import checked
from wsvad.video.clock import are_borders, are_filmed

RARITY_UNKNOWN = (
    "It is not known how rare a score is: the run has no held-out normal video in this mode; train with normal videos "
    "and --hold-out 0.2."
)
RARITY_BEFORE = (
    "It is not known how rare a score is: the run was trained by a version that did not record it; train again."
)
NEVER = "no event will ever be reported"
NOT_CALIBRATED = f"Not calibrated: no normal training video was held out. Using threshold {UNCALIBRATED:.2f}."


@dataclass(frozen=True, kw_only=True)
class NormalScores:
    """What is calibrated on: scores of normal training videos by fits that have not seen them."""

    fits: int
    """How many fits scored them."""
    curves: Mapping[Mode, Sequence[tuple[str, np.ndarray, np.ndarray]]]
    """Of each video its name, its scores `(T,)` in that mode, and its snippets' borders `(T + 1,)` in seconds."""
    filmed: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Of each video the seconds filmed in each snippet, `(T,)`; without those whose features do not say."""
    hours: float | None = None
    """Length of all normal training video, scored or not; None where that was not recorded."""

    def __post_init__(self) -> None:
        for each in self.curves.values():
            for name, scores, times in each:
                _check_times(name, scores, times, self.filmed.get(name))

    def of(self, mode: Mode) -> list[Normal]:
        """The videos in a mode, as `calibrate` takes them."""
        each = self.curves.get(mode, ())
        return [(s, t, self.filmed[name]) if name in self.filmed else (s, t) for name, s, t in each]

    def as_dict(self) -> dict[str, Any]:
        """For `calibration.json`."""
        filmed = {"filmed": {name: counted.tolist() for name, counted in self.filmed.items()}} if self.filmed else {}
        hours = {} if self.hours is None else {"hours": self.hours}
        return {"fits": self.fits, **hours, **filmed} | {
            mode: [{"video": name, "scores": scores.tolist(), "times": times.tolist()} for name, scores, times in each]
            for mode, each in self.curves.items()
        }

    @classmethod
    def read(cls, record: Any) -> "NormalScores":
        """From `calibration.json`; a run of format 2 has a list, of whole videos."""
        if isinstance(record, list):
            record = {"fits": 1, "whole": record}
        return cls(
            fits=record["fits"],
            filmed={name: np.asarray(counted) for name, counted in record.get("filmed", {}).items()},
            curves={
                mode: [(one["video"], np.asarray(one["scores"]), np.asarray(one["times"])) for one in record[mode]]
                for mode in MODES
                if mode in record
            },
            hours=record.get("hours"),
        )


def _check_times(name: str, scores: np.ndarray, times: np.ndarray, counted: np.ndarray | None = None) -> None:
    if not are_borders(times, len(scores)) or not (counted is None or are_filmed(counted, times)):
        raise WsvadError(
            f"{name}: {len(scores)} scores for calibration do not go with {len(times)} times; delete the run folder "
            "and train again"
        )


def known_record(known: Mapping[Mode, Sequence[Known]]) -> dict[str, Any]:
    """For `calibration.json`, beside the normal scores: known events; empty where there are none."""
    each = {
        mode: [
            {
                "video": one.video,
                "scores": np.asarray(one.scores).tolist(),
                "times": np.asarray(one.times).tolist(),
                "events": [list(event) for event in one.events],
                "split": one.split,
            }
            for one in videos
        ]
        for mode, videos in known.items()
    }
    return {"known": each} if any(each.values()) else {}


def read_known(record: Any) -> dict[Mode, list[Known]]:
    """From `calibration.json`; empty where none are recorded."""
    found: dict[Mode, list[Known]] = {}
    for mode in MODES:
        for one in (record.get("known", {}) if isinstance(record, dict) else {}).get(mode, ()):
            arrays = {name: np.asarray(one[name], np.float64) for name in ("scores", "times")}
            _check_times(one["video"], arrays["scores"], arrays["times"])
            events = [(start, end) for start, end in one["events"]]
            found.setdefault(mode, []).append(Known(video=one["video"], events=events, split=one["split"], **arrays))
    return found


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A threshold that a person set, in place of the one that training chose."""

    threshold: Annotated[float, Range(0, 1.001, above=True)]
    """Score at or above which an event opens."""
    by: str
    """How it was set: the option, as in `--find 0.9`."""
    sentence: str
    """What a reader should know of it."""


@dataclass(frozen=True, kw_only=True)
class Calibrations:
    """What `model.json` says of thresholds."""

    rules: EventRules = field(default_factory=EventRules)
    each: Mapping[Mode, Calibration] = field(default_factory=dict)
    """A mode without one was not calibrated."""
    chosen: Mapping[Mode, Choice] = field(default_factory=dict)
    """Thresholds that a person set, which go before those of training."""
    rarity: Mapping[Mode, RarityScale] = field(default_factory=dict)
    """How rare scores are in normal video; a mode without one was not calibrated."""

    def threshold(self, mode: Mode) -> float:
        """The score at which an event starts: that of the mode, else that of the other one."""
        return threshold_of(self.as_dict(), mode)

    def rarity_of(self, score: float, mode: Mode) -> Rarity | None:
        """How rare a score is in normal video; None where that is not known."""
        scale = self.rarity.get(mode)
        return None if scale is None else scale.of(score)

    def rarity_sentence(self, mode: Mode) -> str:
        """Where that is from, or why it is not known."""
        scale = self.rarity.get(mode)
        if scale is None:
            return RARITY_BEFORE if mode in self.each else RARITY_UNKNOWN
        return (
            f"How rare a score is: events with such a score in {time_in_words(scale.hours)} of normal training video, "
            f"{WORDS[mode]}, by fits that had not seen it."
        )

    def sentence(self, mode: Mode) -> str:
        """What a reader should know of it."""
        if told := self.chosen.get(mode) or self.each.get(mode):
            # Whatever a file says: a threshold that silences the detector is not kept quiet.
            silent = told.threshold > 1 and NEVER not in told.sentence
            return f"{told.sentence} No score is as high, so {NEVER}." if silent else told.sentence
        if not self.each and not self.chosen:
            return NOT_CALIBRATED
        return f"Not calibrated for mode {mode}. Using threshold {self.threshold(mode):.2f} of another mode."

    def as_dict(self) -> dict[str, Any]:
        """For `model.json`."""
        modes, chosen = ({mode: dataclasses.asdict(one) for mode, one in of.items()} for of in (self.each, self.chosen))
        rarity = {mode: dataclasses.asdict(one) for mode, one in self.rarity.items()}
        more = {name: of for name, of in (("chosen", chosen), ("rarity", rarity)) if of}
        return {"rules": dataclasses.asdict(self.rules), "modes": modes} | more

    @classmethod
    def read(cls, record: Mapping[str, Any], path: Path) -> "Calibrations":
        """From `model.json`; run format 2 has one threshold, which was calibrated for whole videos.

        Raises:
            WsvadError: the file is damaged.
        """
        rules = checked(path, record.get("rules", {}), EventRules, "train again", "rules")
        modes = record.get("modes", {})
        if "threshold" in record:
            old = {name: value for name, value in record.items() if name != "rules"}
            modes = {"whole": old | {"mode": "whole", "fits": 1, "spread": 0.0}}
        modes = checked(path, modes, Modes, "train again", "modes")
        chosen = checked(path, record.get("chosen", {}), Choices, "train again", "chosen")
        rarity = checked(path, record.get("rarity", {}), Scales, "train again", "rarity")
        scales = {mode: RarityScale(**rarity[mode]) for mode in MODES if mode in rarity}
        if bad := next((mode for mode, scale in scales.items() if not scale.whole), None):
            raise WsvadError(f"{path}: damaged (rarity of mode {bad} is no scale of rising scores); train again")
        return cls(
            rarity=scales,
            rules=EventRules(**rules),
            each={mode: Calibration(**modes[mode]) for mode in MODES if mode in modes},
            chosen={mode: Choice(**chosen[mode]) for mode in MODES if mode in chosen},
        )


class Modes(TypedDict):
    """Of `model.json`."""

    whole: NotRequired[Calibration]
    online: NotRequired[Calibration]


class Choices(TypedDict):
    """Of `model.json`."""

    whole: NotRequired[Choice]
    online: NotRequired[Choice]


class Scales(TypedDict):
    """Of `model.json`."""

    whole: NotRequired[RarityScale]
    online: NotRequired[RarityScale]


def calibrated(normal: NormalScores, rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Choose a threshold for each mode that has scores."""
    each: dict[Mode, Calibration] = {}
    rarity: dict[Mode, RarityScale] = {}
    for mode in normal.curves:
        if plain := normal.of(mode):
            if scale := scale_of(plain, rules):
                rarity[mode] = scale
            found = calibrate(plain, rules, max_false_alarms_per_hour, mode=mode, fits=normal.fits, in_all=normal.hours)
            each[mode] = usable(found, plain, rules, normal.hours)
    return Calibrations(rules=rules, each=each, rarity=rarity)


def recalibrated(run: RunFolder, rules: EventRules, max_false_alarms_per_hour: float) -> Calibrations:
    """Calibrate a finished run for another budget.

    Raises:
        WsvadError: it kept no scores of normal videos.
    """
    record = run.read_calibration()
    found = calibrated(NormalScores.read(record), rules, max_false_alarms_per_hour) if record else Calibrations()
    if not found.each:
        raise WsvadError(f"{run.path}: keeps no scores of held-out normal video; train again with --hold-out 0.2")
    return found
