"""Make a finished run cheaper: a student that reads one stream learns from its scores, the general form of DAKD."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from wsvad.datasets.dataset import Dataset
from wsvad.datasets.open import folder_of, open_dataset
from wsvad.errors import UsageError
from wsvad.extraction.prepare import first_passport
from wsvad.features.source import open_features
from wsvad.methods.dakd import DakdConfig, judge
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.storage import place
from wsvad.training.experiment import Experiment, Fitted
from wsvad.training.protocol import Protocol
from wsvad.training.train import train_detector
from wsvad.video.decoding import Decode


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a student needs: the videos and features that its teacher learned from, and who the teacher is."""

    teacher: Path
    dataset: Dataset
    features: Path
    config: DakdConfig
    streams: dict[str, str]
    """Stream → encoder; a stream without one must lie in `features`."""
    rate: Fraction | None = None
    """Frames per second that its teacher's videos were resampled to."""
    decode: Decode = "exact"
    """How they were decoded."""


def distill(
    lesson: Lesson,
    protocol: Protocol,
    out: Path,
    *,
    max_false_alarms_per_hour: float = 1.0,
    workers: int | None = None,
) -> tuple[Fitted, dict[str, str]]:
    """Train the student: a detector where its encoder is known, a run for `wsvad evaluate` otherwise.

    Returns:
        What was fitted, and the videos that had to be left out, with the reason.
    """
    if lesson.config.student in lesson.streams:
        return train_detector(
            lesson.dataset, lesson.streams, "dakd", lesson.config, protocol, out,
            teacher=lesson.teacher, features=lesson.features,
            max_false_alarms_per_hour=max_false_alarms_per_hour, workers=workers, rate=lesson.rate,
            decode=lesson.decode,
        )  # fmt: skip
    experiment = Experiment(
        dataset=lesson.dataset, features=lesson.features, name="dakd", config=lesson.config, protocol=protocol,
        out=out, teacher=lesson.teacher,
    )  # fmt: skip
    return experiment.run(), {}


def lesson_of(
    run: Path,
    to: str,
    config: DakdConfig,
    streams: Mapping[str, str],
    *,
    data: Path | None = None,
    labels: Path | None = None,
    intervals: Path | None = None,
    features: Path | None = None,
) -> Lesson:
    """Look up what a run was made from.

    Args:
        run: folder of a finished run of any method.
        to: the student's stream.
        config: the student's; who teaches is filled in.
        streams: stream → resolved encoder, for one that the run does not know.
        data, labels, intervals, features: where they are now; by default where the run found them.

    Raises:
        WsvadError: they are no longer there, or nobody knows how to make the student's stream.
    """
    folder = RunFolder(run)
    trained, settings = folder.load(), folder.read_settings()
    asked: dict[str, Any] = {"folder": data, "labels": labels, "intervals": intervals}
    source: dict[str, Any] = asked if data else settings.get("source", {})
    if not source or not folder_of(source["folder"]).is_dir():
        raise UsageError(f"{run}: its videos have been moved or deleted; name their folder with --data")
    dataset = open_dataset(**source, **folder.division())
    config = taught_by(trained, to, config)
    features = features or (place(settings["features"]) if settings.get("features") else None)
    if features is None:
        raise UsageError(f"{run}: does not say where its features are; name them with --features")
    known = dict(streams) | trained.encoders
    encoders = {name: known[name] for name in config.backbones if name in known}
    for name in config.backbones:
        if name not in encoders and not open_features(features).has(dataset.train[0].name, name):
            raise UsageError(
                f"{run}: has no encoder for '{name}', and {features} has no such features; "
                f"name one with --stream {name}=ENCODER, or the features with --features"
            )
    return Lesson(
        teacher=run, dataset=dataset, features=features, config=config, streams=encoders, rate=trained.rate,
        decode=there.decode if (there := first_passport(dataset, encoders, features)) else trained.decode,
    )  # fmt: skip


def taught_by(trained: TrainedMethod, to: str, config: DakdConfig) -> DakdConfig:
    """The student's configuration. A run of DAKD teaches at its own levels, by the teacher that it had; any other, and
    any stream that its teacher never saw, at the level of predictions."""
    own = trained.method.config
    if trained.name == "dakd" and not own.given and to in own.backbones:
        asked = {f.name: getattr(config, f.name) for f in fields(config)}
        changed = {name: value for name, value in asked.items() if value != getattr(DakdConfig(), name)}
        return replace(own, **changed | {"student": to})
    needs = judge(trained.method)[1]
    return replace(
        config, given=trained.name, student=to, levels=("prediction",), backbones=tuple(dict.fromkeys((*needs, to)))
    )
