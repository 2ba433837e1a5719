"""A detector: a trained method with its encoders, its normalisation and its thresholds. Video in, events out."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsvad.datasets.dataset import LabelledVideo
from wsvad.detection.calibration import Calibrations, recalibrated
from wsvad.detection.choose import for_one_call
from wsvad.detection.explanation import explain
from wsvad.detection.live import LiveScorer
from wsvad.detection.timeline import Timeline
from wsvad.device import device_of
from wsvad.encoders import build
from wsvad.encoders.build import from_video
from wsvad.encoders.encoder import Encoder
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.device import AT_ONCE, move
from wsvad.extraction.encode import Part, encode_frames, encode_video, passport
from wsvad.extraction.snippets import shape_of
from wsvad.extraction.sound import apart, silence
from wsvad.features.store import StoredFeatures
from wsvad.files import path_of
from wsvad.methods.abilities import Compacts
from wsvad.metrics.events import Rarity, find_events
from wsvad.ranges import Positive, Score, problem
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.scorer import EVERYTHING, MODES, Mode, Scored, Scorer, Wanted
from wsvad.storage import place
from wsvad.video.clock import NOMINAL, SNIPPET, SnippetClock, exact_rate, filmed
from wsvad.video.names import video_name
from wsvad.video.reader import Frame
from wsvad.video.wall_clock import WallClock, tags_of

logger = logging.getLogger(__name__)

WANTED: dict[Mode, tuple[Wanted, ...]] = {"whole": EVERYTHING, "online": ("class_scores",)}
"""What a timeline shows beside scores: shift, embeddings and attributions explain a video that is looked at as a
whole."""


def _built(run: Path, stream: str, spec: str) -> tuple[Encoder, ...]:
    """What makes a stream of a run.

    Raises:
        WsvadError: as `build`; most often its files were moved, and where they were, only the run says.
    """
    try:
        return build(spec)
    except WsvadError as error:
        raise type(error)(
            f"{error}; {run} was trained with '{spec}' for {stream}, which has to be there as it was (or a link to it)"
        ) from None


@dataclass(kw_only=True)
class Detector:
    """Made by `Detector.load(RUN)`.

    >>> detector = Detector.load("runs/gate")                       # doctest: +SKIP
    >>> for event in detector.score("gate.mp4").events:             # doctest: +SKIP
    ...     print(event.start, event.end, event.peak)
    """

    trained: TrainedMethod
    scorer: Scorer
    encoders: dict[str, tuple[Encoder, ...]]
    """Those of the streams that the method runs on (the others are needed in training only); empty for a run that was
    fitted on features, which scores features alone."""
    calibrations: Calibrations
    """Threshold and promise of each mode, and what makes an event."""
    run: Path
    """Where it was loaded from, for messages."""

    @classmethod
    def load(
        cls,
        run: Path | str,
        *,
        device: torch.device | str = "cpu",
        threshold: float | None = None,
        max_false_alarms_per_hour: float | None = None,
    ) -> "Detector":
        """Open a run folder.

        Args:
            device: where networks run, the encoders' and the method's: `cpu`, `cuda`, … or `auto`, the fastest.
            threshold: the score at which an event starts; by default the run's own thresholds, which training chose,
                or a person ('wsvad threshold').
            max_false_alarms_per_hour: instead of that, calibrate again for this budget, on the normal video that was
                held out in training.

        Raises:
            WsvadError: not a run, an encoder's file is missing, or this machine has no such device.
        """
        folder, device = RunFolder(path_of("run", run)), device_of(device)
        if said := problem(max_false_alarms_per_hour, Positive):
            raise UsageError(f"max_false_alarms_per_hour {max_false_alarms_per_hour}: {said}")
        if said := problem(threshold, Score):
            raise UsageError(f"threshold {threshold}: {said}")
        if threshold is not None and max_false_alarms_per_hour is not None:
            raise UsageError("threshold and max_false_alarms_per_hour are both given; give one of them")
        trained = folder.load()
        if isinstance(trained.method, Compacts):
            trained.method = trained.method.compact()
        calibrations = Calibrations.read(trained.calibration, folder.path / "model.json")
        if max_false_alarms_per_hour is not None:
            calibrations = recalibrated(folder, calibrations.rules, max_false_alarms_per_hour)
        if threshold is not None:
            calibrations = for_one_call(folder, calibrations, threshold)
        needed = {stream: trained.encoders.get(stream, "") for stream in trained.method.runs_on}
        known = all(spec and from_video(spec) for spec in needed.values())
        encoders = {stream: _built(folder.path, stream, spec) for stream, spec in needed.items()} if known else {}
        if device != "cpu":
            move((encoder for some in encoders.values() for encoder in some), device)
        return cls(
            trained=trained,
            scorer=Scorer.of(trained, device),
            encoders=encoders,
            calibrations=calibrations,
            run=folder.path,
        )

    def score(
        self,
        source: Path | str | Mapping[str, np.ndarray | Tensor] | Iterable[Frame | np.ndarray],
        *,
        mode: Mode = "whole",
        name: str = "",
        raw_rate: Fraction | float | None = None,
        on_frames: Callable[[int], None] | None = None,
        wall_clock: WallClock | None = None,
    ) -> Timeline:
        """Score a video.

        Args:
            source: a video file; or features, stream → `(T, D)` or `(C, T, D)`, as the detector's encoders make them;
                or frames in order, `(h, w, 3)` uint8 RGB arrays or `Frame`s of a reader.
            mode: `whole` looks at all of it at once; `online` scores each snippet by the last W alone, as a live camera
                has to.
            name: what the video is called; by default as its file.
            raw_rate: frames per second of arrays, or those that features were made from, 30 by default (of features the
                rate that the detector was trained at, where it has one); of a file only where it is a raw stream that
                does not say it itself.
            on_frames: called with the number of frames that were read since the last call, for a progress bar.
            wall_clock: where the recording's start is looked for; by default in the file's name, then in its metadata.

        Raises:
            WsvadError: the video cannot be read, or would be encoded differently from the training videos; the
                detector's encoders are not known.
        """
        clock, scored = self.look_at(source, mode=mode, raw_rate=raw_rate, on_frames=on_frames)
        path = place(source) if isinstance(source, str | Path) else None
        timeline = self.timeline(name or (video_name(path) if path else ""), clock, scored, mode=mode, path=path)
        for note in timeline.notes:
            logger.warning("%s", note)
        called, tags = (path.as_posix(), tags_of(path)) if path else (name, {})
        return replace(timeline, recorded=(wall_clock or WallClock()).start(called, tags))

    def timeline(self, name: str, clock: SnippetClock, scored: Scored, *, mode: Mode, path: Path | None) -> Timeline:
        """The events in what was scored, by the detector's thresholds; and what has to be known of the video."""
        timeline = timeline_of(name, clock, scored, self.scorer, self.calibrations, mode=mode, path=path)
        known = self.trained.familiarity
        said = (self.trained.foreign_rate(clock), known.note(scored.distance) if known else "")
        return replace(timeline, notes=tuple(f"{name or 'the video'}: {note}" for note in said if note))

    def look_at(
        self,
        source: Path | str | Mapping[str, np.ndarray | Tensor] | Iterable[Frame | np.ndarray],
        *,
        mode: Mode,
        raw_rate: Fraction | float | None = None,
        on_frames: Callable[[int], None] | None = None,
        part: Part | None = None,
    ) -> tuple[SnippetClock, Scored]:
        """What the method says of a video, on its clock; arguments and errors as in `score`.

        Args:
            part: what was encoded of a file before (`encode_video`).
        """
        if mode not in MODES:
            raise UsageError(f"mode {mode}: {' or '.join(MODES)}")
        given = exact_rate(raw_rate, "raw_rate") if raw_rate is not None else None
        if isinstance(source, Mapping):
            streams = {stream: _real(stream, x) for stream, x in source.items()}
            snippets = self._check_streams(streams)
            given = given or self.trained.rate or NOMINAL
            clock = SnippetClock(snippets=snippets, frames=SNIPPET * snippets, rate=given)
        else:
            if isinstance(source, str | Path):
                path = path_of("source", source)
                encoded = encode_video(
                    path, self._encoders(), on_frames, raw_rate=given, rate=self.trained.rate, hashed=False, part=part,
                    decode=self.trained.decode, at_once=1 if self.scorer.device.type == "cpu" else AT_ONCE,
                )  # fmt: skip
                if remark := silence(path, self._encoders()):
                    logger.info(remark)
                stored = self._same_making(path, encoded)
            elif not isinstance(source, Iterable):
                raise UsageError(f"source {source!r}: give a video file, features by stream, or frames")
            else:
                frames = Frame.of_arrays(source, given or NOMINAL)
                encoded = encode_frames(
                    frames, self._encoders(), on_frames, rate=self.trained.rate, decode=self.trained.decode
                )
                stored = self._same_making("frames", encoded)
            streams = {stream: torch.from_numpy(item.features) for stream, item in stored.items()}
            clock = next(iter(stored.values())).clock
        scored, known = self.scorer.describe(streams, WANTED[mode], mode), self.trained.familiarity
        return clock, replace(scored, distance=known.distance(streams)) if known else scored

    def rarity(self, score: float, *, mode: Mode = "whole") -> Rarity | None:
        """How often normal video has an event with such a score, by what the run was calibrated on in this mode; None
        where there was no normal video. Events of a timeline carry that of their peak."""
        return self.calibrations.rarity_of(score, mode)

    def live(
        self, *, rate: Fraction | float | None = None, encoders: Mapping[str, tuple[Encoder, ...]] | None = None
    ) -> LiveScorer:
        """A scorer that takes the frames of a live source, one by one; its scores are those of `mode="online"`.

        Args:
            rate: frames per second to resample to, of a detector that was not trained at a rate of its own.
            encoders: the detector's own in another form, as for several threads.

        Raises:
            WsvadError: it was trained at another rate.
        """
        trained, given = self.trained.rate, exact_rate(rate, "rate") if rate is not None else None
        if trained and given and trained != given:
            raise WsvadError(f"{self.run}: was trained at {float(trained):g} frames/s; leave the rate out")
        return LiveScorer(
            self.scorer,
            encoders or self._encoders(),
            self.calibrations,
            trained or given,
            self.trained.familiarity,
        )

    def passports(self, rate: Fraction | float | None = None) -> dict[str, dict[str, object]]:
        """Stream → how its features are made of a live source, resampled or not, as a passport says it."""
        return {
            stream: passport(
                some, rate=self.trained.rate or rate, decode=self.trained.decode, frames=SNIPPET
            ).identity()
            for stream, some in self._encoders().items()
        }

    def encoded(self, path: Path | str) -> dict[str, Tensor]:
        """The streams of a video file as the method reads them, before normalisation, `(T, D)` or `(C, T, D)` each.

        Raises:
            WsvadError: as `score`.
        """
        encoded = encode_video(path, self._encoders(), rate=self.trained.rate, decode=self.trained.decode, hashed=False)
        stored = self._same_making(path, encoded)
        return {stream: torch.from_numpy(item.features) for stream, item in stored.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Stream → the shape of a snippet's row, `(D,)` or `(C, D)`, of those that it makes from frames; the others are
        made of the sound when all frames were read."""
        return {stream: shape_of(encoders) for stream, encoders in apart(self.encoders)[0].items()}

    def _encoders(self) -> dict[str, tuple[Encoder, ...]]:
        if not self.encoders:
            known = {name: self.trained.encoders.get(name) for name in self.trained.method.runs_on}
            other = [
                f"{name} stream is made by {spec}" for name, spec in known.items() if spec and not from_video(spec)
            ]
            unknown = [name for name, spec in known.items() if not spec]
            why = f"was fitted on features whose {', '.join(unknown)} encoder is not known"
            if other:
                why = f"its {' and its '.join(other)}, not from video"
            raise WsvadError(
                f"{self.run}: {why}, so it cannot score videos; train on videos, or score features with "
                "'wsvad evaluate'"
            )
        return self.encoders

    def _same_making(self, source: object, stored: dict[str, StoredFeatures]) -> dict[str, StoredFeatures]:
        for stream, item in stored.items():
            if difference := self.trained.difference(stream, item.passport):
                raise WsvadError(
                    f"{source}: its {stream} stream would be made differently from the training videos' "
                    f"({difference}); use the encoder that the detector was trained with, or train again"
                )
        return stored

    def _check_streams(self, streams: Mapping[str, Tensor]) -> int:
        """T of features from memory, which have to be what the method reads."""
        for stream in self.trained.method.runs_on:
            width, found = self.trained.widths[stream], streams.get(stream)
            if found is None or found.ndim not in (2, 3) or 0 in found.shape or found.shape[-1] != width:
                what = "is missing" if found is None else f"has shape {tuple(found.shape)}"
                raise WsvadError(f"the stream '{stream}' {what}; give it as (T, {width}) or (C, T, {width})")
        lengths = {stream: streams[stream].shape[-2] for stream in self.trained.method.runs_on}
        if len(set(lengths.values())) > 1:
            raise WsvadError(f"streams differ in length ({lengths} snippets); encode them together")
        return next(iter(lengths.values()))


def _real(stream: str, array: np.ndarray | Tensor) -> Tensor:
    """Features from memory, as a tensor.

    Raises:
        WsvadError: they are no real numbers, or not all of them are finite.
    """
    try:
        tensor = torch.as_tensor(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WsvadError(f"the stream '{stream}' is no array of numbers ({error})") from None
    if tensor.is_complex() or not tensor.isfinite().all():
        raise WsvadError(f"the stream '{stream}' has values that are not finite real numbers; encode it again")
    return tensor


def timeline_of(
    name: str,
    clock: SnippetClock,
    scored: Scored,
    scorer: Scorer,
    calibrations: Calibrations,
    *,
    mode: Mode = "whole",
    path: Path | None = None,
    video: LabelledVideo | None = None,
) -> Timeline:
    """What was scored on the clock of its features, the events in it, and what the method says of them.

    Args:
        video: what is known of it. Times are by `NOMINAL` frames per second where the clock knows no better.
    """
    times, rules = clock.seconds(NOMINAL), calibrations.rules
    assert times is not None
    threshold = calibrations.threshold(mode)
    found = find_events(
        scored.scores, times, clock.edges, threshold=threshold, rules=rules, filmed=filmed(times, clock.filmed)
    )
    timeline = Timeline(
        video=name,
        path=path,
        rate=clock.rate,
        frames=clock.frames,
        times=times,
        seconds_filmed=clock.filmed,
        frame_edges=clock.edges,
        scores=scored.scores,
        events=tuple(replace(event, rarity=calibrations.rarity_of(event.peak, mode)) for event in found),
        rarity=calibrations.rarity_of(float(scored.scores.max()), mode),
        threshold=threshold,
        low=threshold * rules.low,
        truth=(() if video.label == 0 else video.intervals) if video else None,
        label=video.label if video else None,
        category=video.category if video else "",
        mode=mode,
        block=scorer.block_of(clock.snippets, mode),
        attributions=scored.attributions,
        distance=scored.distance,
    )
    spans = [timeline.snippets(event) for event in timeline.events]
    return replace(timeline, explanation=explain(scorer.method, scorer.categories, scored, spans))
