"""From a folder of weakly labelled videos to a detector: extract, fit, calibrate, report."""

import logging
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from wsvad.datasets.dataset import Dataset
from wsvad.datasets.folder import open_folder
from wsvad.datasets.memory import Memory
from wsvad.detection.calibration import Calibrations, calibrated, known_record
from wsvad.detection.choose import chosen_before, curves_of
from wsvad.detection.detector import Detector, timeline_of
from wsvad.detection.operating import in_figures
from wsvad.detection.timeline import Timeline
from wsvad.doctor.audit import verdict_of
from wsvad.encoders.build import resolved
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.alerting import with_events, with_rate
from wsvad.extraction.prepare import prepare, without
from wsvad.features.source import released
from wsvad.files import path_of
from wsvad.locks import writing
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.metrics.events import EventRules
from wsvad.pages.report import ReportSummary, write_report
from wsvad.pages.summary import against_truth, sentence
from wsvad.pages.threshold import write_threshold_page
from wsvad.ranges import Positive, problem
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import MODES, Scorer
from wsvad.storage import place
from wsvad.training.above_linear import not_above_linear
from wsvad.training.auto import AUTO, DEFAULT, Choice, candidates, choose_method
from wsvad.training.cross_fit import normal_scores
from wsvad.training.experiment import Experiment, Fitted
from wsvad.training.known import known_events
from wsvad.training.protocol import Protocol
from wsvad.video.clock import NOMINAL
from wsvad.video.decoding import Decode

logger = logging.getLogger(__name__)

DEFAULTS = Protocol(budget="data", normalise="standardise")
"""How a detector is trained from a folder of videos, where nothing else is said."""


def train(
    data: Path | str | Dataset,
    out: Path | str,
    *,
    method: str = DEFAULT,
    streams: Mapping[str, str] | None = None,
    config: Any = None,
    protocol: Protocol = DEFAULTS,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    teacher: Path | str | None = None,
    features: Path | str | None = None,
    max_false_alarms_per_hour: float = 1.0,
    workers: int | None = None,
    raw_rate: Fraction | float | None = None,
    rate: Fraction | float | None = None,
    decode: Decode = "exact",
) -> Detector:
    """Train a detector on videos that are labelled normal or abnormal as a whole. Interrupted and called again, it
    resumes; with other videos or labels it repeats what depends on them, and logs that.

    Args:
        data: a folder of videos with labels.csv, or with subfolders named after what they show; or a dataset.
        out: run folder to write.
        method: name in `METHODS`, or `auto`: the one that fits these videos, by held-out ones of them.
        streams: stream → encoder, by default `{"rgb": "auto"}`; see `wsvad encoders`.
        config: the method's configuration; by default that for small sets.
        protocol: seeds, budget, hold-out.
        labels, intervals: the files, where they are not in the folder.
        teacher: run folder of a trained teacher, for a method that has one.
        features: where streams are kept; by default in the run folder.
        max_false_alarms_per_hour: budget from which the thresholds are chosen.
        workers: processes that extract; by default one for each core.
        raw_rate: frames per second of raw streams that do not say it.
        rate: frames per second that videos are resampled to, here and wherever the detector scores; None for their own.
        decode: how videos are decoded, here and wherever the detector scores (`video.decoding`).

    Returns:
        The detector; `evaluate(out)` has its metrics. Videos that could not be read are left out, and logged.

    Raises:
        WsvadError: a file, a label or a setting is wrong.
    """
    out, config_class = path_of("out", out), type(None) if method == AUTO else METHODS[method].config_class
    specs = resolved(streams or {"rgb": "auto"})
    for name, given, wanted in (("config", config, config_class), ("protocol", protocol, Protocol)):
        if given is not None and not isinstance(given, wanted):
            if wanted is type(None):
                raise UsageError("method 'auto' takes no config; name a method to configure it")
            raise UsageError(f"{name} {reprlib.repr(given)}: {method} takes a {wanted.__name__}")
    if not isinstance(data, Dataset):
        data = open_folder(data, labels, intervals, seed=protocol.first_seed, split=RunFolder(out).split())
    fitted, failed = train_detector(
        data,
        specs,
        method,
        config if config is not None or method == AUTO else default_config(config_class, protocol.budget),
        protocol,
        out,
        teacher=Path(teacher) if teacher else None,
        features=place(features) if features else None,
        max_false_alarms_per_hour=max_false_alarms_per_hour,
        workers=workers,
        raw_rate=raw_rate,
        rate=rate,
        decode=decode,
    )
    for said in fitted.ending:
        logger.info("%s", said)
    for reason in failed.values():
        logger.warning("left out: %s", reason)
    return Detector.load(out)


def train_detector(
    dataset: Dataset,
    streams: Mapping[str, str],
    method: str,
    config: Any,
    protocol: Protocol,
    out: Path,
    *,
    teacher: Path | None = None,
    features: Path | None = None,
    max_false_alarms_per_hour: float = 1.0,
    rules: EventRules | None = None,
    workers: int | None = None,
    raw_rate: Fraction | float | None = None,
    rate: Fraction | float | None = None,
    decode: Decode = "exact",
    memory: Memory | None = None,
) -> tuple[Fitted, dict[str, str]]:
    """Everything that `wsvad train` does.

    Args:
        streams: stream → resolved encoder specification; a stream that the method learns from and that has none must
            lie in `features`.
        method, config: of the method; `auto` and None, to choose it.
        teacher: run folder of a trained teacher, for a method that has one.
        features: where streams are kept; by default in the run folder.
        raw_rate: frames per second of raw streams that do not say it.
        rate: frames per second that videos are resampled to, here and wherever the detector scores; None for their own.
        decode: how videos are decoded, here and wherever the detector scores (`video.decoding`).
        memory: for features.

    Returns:
        What was fitted, and the videos that had to be left out, with the reason.
    """
    if said := problem(max_false_alarms_per_hour, Positive):
        raise UsageError(f"max_false_alarms_per_hour {max_false_alarms_per_hour}: {said}")
    features, rules = features or out / "features", rules or EventRules()
    encoders = {stream: spec for stream, spec in streams.items() if stream not in released(features)}
    offered, auto = {}, method == AUTO
    if auto:
        if teacher:
            raise UsageError(f"teacher {teacher}: method 'auto' chooses among methods without it; name the method")
        offered = candidates(tuple(streams), dataset, protocol.budget)
        method, config = DEFAULT, offered[DEFAULT]
    experiment = Experiment(
        dataset=dataset, features=features, name=method, config=config, protocol=protocol, out=out,
        encoders=encoders, teacher=teacher, choice=Choice(method=method) if auto else None, memory=memory or Memory(),
    )  # fmt: skip
    with writing(out):
        experiment.folder.refuse_other(experiment.settings())
        failed = prepare(
            dataset,
            encoders,
            features,
            workers=workers,
            raw_rate=raw_rate,
            rate=rate,
            device=protocol.device,
            decode=decode,
        )
        experiment = replace(experiment, dataset=without(dataset, failed), config=config)
        for label, word in enumerate(("normal", "abnormal")):
            if not any(video.label == label for video in experiment.dataset.train):
                raise WsvadError(f"{features}: no {word} training video could be read; fix the files listed above")
        if auto:
            choice = choose_method(experiment, offered, max_false_alarms_per_hour, rules)
            experiment = replace(experiment, name=choice.method, config=offered[choice.method], choice=choice)
        fitted = experiment.fit()
        fitted.metrics["certainty"].extend(not_above_linear(experiment))
        normal = normal_scores(experiment, max_false_alarms_per_hour)
        known = known_events(experiment, fitted)
        curves = curves_of(normal, known, rules)
        calibrations = replace(
            calibrated(normal, rules, max_false_alarms_per_hour),
            chosen=chosen_before(experiment.folder, experiment.seeds[0], curves),
        )
        fitted = experiment.with_alerts(fitted, [calibrations] * protocol.seeds)
        fitted.trained.calibration = calibrations.as_dict()
        timelines, notes = test_timelines(experiment, fitted, calibrations)
        labels = {video.name: video.label for video in experiment.dataset.test}
        verdict = verdict_of(
            experiment.dataset.train, features, list(fitted.trained.passports), labels, fitted.test_scores
        )
        if verdict:
            verdict = (*verdict, f"'wsvad audit {out}' shows which labels to look at.")
        summary = summarise(
            experiment, fitted, calibrations, [*notes, *verdict, *(f"Left out: {why}" for why in failed.values())]
        )

        def write_pages(path: Path) -> None:
            write_report(path, timelines, title=f"{dataset.name}: test videos", summary=summary)
            write_threshold_page(experiment.folder, curves, calibrations)

        chosen = {"chosen": fitted.trained.calibration.get("chosen", {})}
        calibration = normal.as_dict() | known_record(known) | chosen
        experiment.finish(fitted, calibration=calibration, report=write_pages)
    return replace(fitted, ending=[*ending(fitted, calibrations, timelines, out), *verdict]), failed


def ending(fitted: Fitted, calibrations: Calibrations, timelines: Sequence[Timeline], out: Path) -> list[str]:
    """What is said at the end: how sure the numbers are, what was found and missed, and the thresholds."""
    thresholds = [
        ("" if mode in calibrations.chosen else f"Threshold {in_figures(calibrations.threshold(mode))} for {where}: ")
        + calibrations.sentence(mode)
        for mode, where in zip(MODES, ("files", "live cameras"), strict=True)
    ]
    compared = against_truth(timelines)
    turn = f"'wsvad threshold {out}' shows what other thresholds do, and sets one"
    known = [*fitted.metrics["undefined"], *fitted.metrics["certainty"]]
    return [*known, *([compared] if compared else []), *thresholds, turn]


def summarise(
    experiment: Experiment, fitted: Fitted, calibrations: Calibrations, notes: Sequence[str]
) -> ReportSummary:
    """What the report says above the videos."""
    count, protocol = len(experiment.dataset.train), experiment.protocol
    read = ", ".join(f"{passport['encoder']} as {stream}" for stream, passport in fitted.trained.passports.items())
    seeds = "1 seed" if protocol.seeds == 1 else f"{protocol.seeds} seeds"
    return ReportSummary(
        model=f"{experiment.name} on {read}, trained on {count} videos, {seeds}",
        threshold=f"{calibrations.sentence('whole')} Live: {calibrations.sentence('online')}",
        metrics=with_events(fitted.metrics),
        intervals=fitted.metrics["intervals"],
        notes=[
            calibrations.rarity_sentence("whole"),
            *(sentence(said) for kind in ("certainty", "undefined", "remarks") for said in fitted.metrics[kind]),
            *(one["sentence"] for one in fitted.metrics["alerts"].values()),
            *(experiment.choice.sentences if experiment.choice else ()),
            *trust(fitted.metrics["reconstruction"]),
            *notes,
        ],
    )


def test_timelines(
    experiment: Experiment, fitted: Fitted, calibrations: Calibrations
) -> tuple[list[Timeline], list[str]]:
    """The test videos as the first seed's detector sees them, and what a reader should know of their times."""
    scorer, timelines, assumed = Scorer.of(fitted.trained), [], 0
    for video, bag in zip(experiment.dataset.test, experiment.test_bags, strict=True):
        clock = with_rate(bag.clock, video)
        assumed += clock.seconds() is None
        scored = replace(scorer.describe(bag.streams), scores=fitted.test_scores[video.name])
        timelines.append(timeline_of(video.name, clock, scored, scorer, calibrations, path=video.path, video=video))
    few = f"{assumed} of {len(timelines)} videos" if assumed < len(timelines) else "the videos"
    note = f"The frame rate of {few} is not known; their times assume {NOMINAL} frames per second."
    return timelines, [note] if assumed else []


def trust(reconstruction: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How well a method synthesises the streams that it does not run on, in a sentence; nothing without any."""
    if not reconstruction:
        return []
    errors = ", ".join(f"{name} {error['mean']:.2f}" for name, error in reconstruction.items())
    return [
        f"Synthesised from rgb, with this error on held-out training videos: {errors} (0 is perfect, 1 is no "
        f"better than always predicting the mean)."
    ]
