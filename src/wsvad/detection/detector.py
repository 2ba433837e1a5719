"""A detector: a trained method with its encoders, its normalisation and its threshold. Video in, events out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.detection.events import EventRules, find_events
from wsvad.detection.explanation import explain
from wsvad.detection.online import score_online
from wsvad.detection.threshold import Calibration, Mode, calibrate, usable
from wsvad.detection.timeline import Timeline
from wsvad.encoders import build
from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError
from wsvad.extraction.encode import encode_video
from wsvad.features.store import Passport, StoredFeatures
from wsvad.files import read_json
from wsvad.runs.run import TrainedMethod, load_method
from wsvad.runs.scorer import reasons, score_bags
from wsvad.video.clock import snippet_lengths

UNCALIBRATED = 0.5
"""The threshold of a detector that no normal video was held out for."""


@dataclass(kw_only=True)
class Detector:
    """Made by `Detector.load(RUN)`.

    >>> detector = Detector.load("runs/gate")                       # doctest: +SKIP
    >>> for event in detector.score("gate.mp4").events:             # doctest: +SKIP
    ...     print(event.start, event.end, event.peak)
    """

    trained: TrainedMethod
    encoders: dict[str, tuple[Encoder, ...]]
    """Those of the streams that the method runs on; the others are needed in training only."""
    threshold: float
    rules: EventRules
    sentence: str
    """What can be said of the threshold."""

    @classmethod
    def load(cls, folder: Path | str, *, max_false_alarms_per_hour: float | None = None) -> "Detector":
        """Open a run folder.

        Args:
            max_false_alarms_per_hour: calibrate anew for this budget, on the normal video that was held out in
                training; by default the threshold that training chose.

        Raises:
            WsvadError: not a run, no encoder recorded (it was fitted on features), an encoder's file is missing.
        """
        folder = Path(folder)
        trained = load_method(folder)
        if hasattr(trained.method, "compact"):
            trained.method = trained.method.compact()
        needed = {stream: trained.encoders.get(stream) for stream in trained.method.runs_on}
        if missing := [stream for stream, spec in needed.items() if not spec]:
            raise WsvadError(
                f"{folder}: was fitted on features whose {', '.join(missing)} encoder is not known, so it cannot score "
                "videos; train on videos, or score features with 'wsvad evaluate'"
            )
        told = trained.threshold
        rules = EventRules(**told.get("rules", {}))
        threshold, sentence = told.get("threshold", UNCALIBRATED), told.get("sentence", "")
        if max_false_alarms_per_hour is not None:
            normal = held_out_normal(folder)
            calibration = usable(calibrate(normal, rules, max_false_alarms_per_hour), normal, rules)
            threshold, sentence = calibration.threshold, calibration.sentence
        return cls(
            trained=trained,
            encoders={stream: build(spec) for stream, spec in needed.items() if spec},
            threshold=threshold,
            rules=rules,
            sentence=sentence,
        )

    def score(
        self, path: Path | str, *, mode: Mode = "whole", on_frames: Callable[[int], None] | None = None
    ) -> Timeline:
        """Score a video file.

        Args:
            mode: `whole` looks at all of it at once; `online` scores each snippet by the last W alone, as a live camera
                has to.
            on_frames: told how many more frames were read, for a progress bar.

        Raises:
            WsvadError: the video cannot be read, or would be encoded otherwise than the training videos were.
        """
        path = Path(path)
        stored = self._encode(path, on_frames)
        first = next(iter(stored.values()))
        streams = {name: torch.from_numpy(item.features) for name, item in stored.items()}
        timeline = make_timeline(
            path.name,
            first,
            self.score_streams(streams, mode),
            threshold=self.threshold,
            rules=self.rules,
            path=path,
            mode=mode,
            attributions=reasons(self.trained.method, streams, self.trained.normalisation) if mode == "whole" else None,
        )
        return explained(timeline, self.trained, streams)

    def encoded(self, path: Path | str) -> dict[str, torch.Tensor]:
        """The streams of a video file as the method reads them, before normalisation, `(T, D)` or `(C, T, D)` each.

        Raises:
            WsvadError: as `score`.
        """
        return {name: torch.from_numpy(item.features) for name, item in self._encode(Path(path)).items()}

    def _encode(self, path: Path, on_frames: Callable[[int], None] | None = None) -> dict[str, StoredFeatures]:
        stored = encode_video(path, self.encoders, on_frames)
        for stream, item in stored.items():
            self._same_making(path, stream, item.passport)
        return stored

    def score_streams(self, streams: dict[str, torch.Tensor], mode: Mode = "whole") -> np.ndarray:
        """Score features, each stream `(T, D)` or `(C, T, D)`: `(T,)` in [0, 1]."""
        trained = self.trained
        if mode == "online":
            return score_online(trained.method, trained.normalisation(streams), trained.window).numpy()
        bag = Bag(streams=streams, label=0, category="", frames=0, video="")
        return score_bags(trained.method, [bag], trained.normalisation)[0]

    def _same_making(self, path: Path, stream: str, passport: Passport) -> None:
        trained_on = Passport(**{**vars(passport), **self.trained.passports[stream]})
        # Another decoder version changes pixels by a rounding at most; anything else changes what a feature means.
        if difference := trained_on.difference(Passport(**{**vars(passport), "decoder": trained_on.decoder})):
            raise WsvadError(
                f"{path}: its {stream} stream would be made differently from the training videos' ({difference}); "
                "use the encoder that the detector was trained with, or train again"
            )


def make_timeline(
    name: str,
    stored: StoredFeatures,
    scores_T: np.ndarray,
    *,
    threshold: float,
    rules: EventRules,
    path: Path | None = None,
    video: LabelledVideo | None = None,
    mode: Mode = "whole",
    attributions: dict[str, np.ndarray] | None = None,
) -> Timeline:
    """Scores with the clock of the features that they were made from, and the events in them."""
    passport = stored.passport
    edges = np.concatenate([[0], np.cumsum(snippet_lengths(passport.frames, len(scores_T), passport.stride))])
    rate = Fraction(passport.frame_rate) if passport.frame_rate else None
    if stored.times is None:
        raise WsvadError(f"{name}: its features carry no times; extract them again")
    events = find_events(scores_T, stored.times, edges, threshold=threshold, rules=rules)
    return Timeline(
        video=name,
        path=path,
        rate=rate,
        frames=passport.frames,
        times=stored.times,
        frame_edges=edges,
        scores=scores_T,
        events=tuple(events),
        threshold=threshold,
        low=threshold * rules.low,
        truth=(() if video.label == 0 else video.intervals) if video else None,
        label=video.label if video else None,
        category=video.category if video else "",
        mode=mode,
        attributions=attributions or {},
    )


def explained(timeline: Timeline, trained: TrainedMethod, streams: dict[str, torch.Tensor]) -> Timeline:
    """A timeline with the kinds of its events, where the method says."""
    events = [timeline.snippets(event) for event in timeline.events]
    return replace(timeline, explanation=explain(trained, streams, events, online=timeline.mode == "online"))


def held_out_normal(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and times of the normal videos that a run's threshold is calibrated on."""
    told: list[dict[str, Any]] = read_json(folder / "held_out.json")
    return [(np.asarray(video["scores"]), np.asarray(video["times"])) for video in told]


def calibration_sentence(calibration: Calibration | None) -> str:
    """What a reader should know of a threshold."""
    if calibration is None:
        return (
            f"Threshold {UNCALIBRATED}: no normal training video was held out, so nothing is promised of false alarms."
        )
    return calibration.sentence
