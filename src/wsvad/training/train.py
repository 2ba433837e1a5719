"""From a folder of weakly labelled videos to a detector: extract, fit, calibrate, report."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wsvad.datasets.dataset import Dataset
from wsvad.detection.detector import UNCALIBRATED, calibration_sentence, explained, make_timeline
from wsvad.detection.events import EventRules
from wsvad.detection.threshold import Calibration, calibrate, usable
from wsvad.detection.timeline import Timeline
from wsvad.errors import WsvadError
from wsvad.extraction.prepare import prepare, without
from wsvad.features.store import feature_path, load
from wsvad.files import write_json
from wsvad.pages.report import ReportSummary, write_report
from wsvad.runs.model import save_method
from wsvad.runs.scorer import reasons
from wsvad.training.experiment import Experiment, Fitted
from wsvad.training.protocol import Protocol


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
) -> tuple[Fitted, dict[str, str]]:
    """Everything that `wsvad train` does.

    Args:
        streams: stream → resolved encoder specification; a stream that the method learns from and that has none must
            lie in `features`.
        teacher: run folder of a trained teacher, for a method that has one.
        features: where streams are kept; by default in the run folder.

    Returns:
        What was fitted, and the videos that had to be left out, with the reason.
    """
    features, rules = features or out / "features", rules or EventRules()
    failed = prepare(dataset, streams, features, workers=workers)
    dataset = without(dataset, failed)
    for label, word in enumerate(("normal", "abnormal")):
        if not any(video.label == label for video in dataset.train):
            raise WsvadError(f"{features}: no {word} training video could be read; mend the files that are named above")
    experiment = Experiment(
        dataset=dataset, features=features, name=method, config=config, protocol=protocol, out=out,
        encoders=dict(streams), teacher=teacher,
    )  # fmt: skip
    fitted = experiment.run()
    calibration = calibrate_run(dataset, features, experiment.streams[0], fitted, rules, max_false_alarms_per_hour, out)
    fitted.trained.threshold = {"rules": dataclasses.asdict(rules)} | (
        dataclasses.asdict(calibration) if calibration else {}
    )
    save_method(out, fitted.trained)
    threshold = calibration.threshold if calibration else UNCALIBRATED
    timelines = test_timelines(dataset, features, fitted, threshold, rules)
    read = ", ".join(f"{passport['encoder']} as {stream}" for stream, passport in fitted.trained.passports.items())
    seeds = "1 seed" if protocol.seeds == 1 else f"{protocol.seeds} seeds"
    summary = ReportSummary(
        model=f"{method} on {read}, trained on {len(dataset.train)} videos, {seeds}",
        threshold=calibration_sentence(calibration),
        metrics=fitted.metrics["selection"],
        notes=[
            *fitted.metrics["remarks"],
            *trust(fitted.metrics["reconstruction"]),
            *(f"Left out: {reason}" for reason in failed.values()),
        ],
    )
    write_report(out / "report.html", timelines, title=f"{dataset.name}: test videos", summary=summary)
    return fitted, failed


def calibrate_run(
    dataset: Dataset, features: Path, stream: str, fitted: Fitted, rules: EventRules, budget: float, out: Path
) -> Calibration | None:
    """Choose the threshold on the held-out normal videos and keep their curves for another budget; None without any."""
    normal = [video for video in dataset.train if video.label == 0 and video.name in fitted.held_out_scores]
    stored = [load(feature_path(features, stream, video.name)) for video in normal]
    curves = [
        (video.name, fitted.held_out_scores[video.name], item.times)
        for video, item in zip(normal, stored, strict=True)
        if item.times is not None
    ]
    write_json(
        out / "held_out.json",
        [{"video": name, "scores": scores.tolist(), "times": times.tolist()} for name, scores, times in curves],
    )
    if not curves:
        return None
    plain = [(scores, times) for _, scores, times in curves]
    return usable(calibrate(plain, rules, budget), plain, rules)


def test_timelines(
    dataset: Dataset, features: Path, fitted: Fitted, threshold: float, rules: EventRules
) -> list[Timeline]:
    """The test videos as the first seed's detector sees them."""
    trained, timelines = fitted.trained, []
    for video in dataset.test:
        stored = {name: load(feature_path(features, name, video.name)) for name in trained.method.runs_on}
        streams = {name: torch.from_numpy(item.features) for name, item in stored.items()}
        timeline = make_timeline(
            video.name,
            next(iter(stored.values())),
            fitted.test_scores[video.name],
            threshold=threshold,
            rules=rules,
            path=video.path,
            video=video,
            attributions=reasons(trained.method, streams, trained.normalisation),
        )
        timelines.append(explained(timeline, trained, streams))
    return timelines


def trust(reconstruction: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How far the streams that a method makes up can be trusted, in a sentence; none where it makes none up."""
    if not reconstruction:
        return []
    errors = ", ".join(f"{name} {error['mean']:.2f}" for name, error in reconstruction.items())
    return [
        f"Made up from rgb, with this error on training videos that were kept apart: {errors} "
        "(0 is perfect, 1 no better than always the mean)."
    ]
