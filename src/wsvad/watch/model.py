"""The models of a site: each run is loaded once, however many cameras use it."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue
from typing import Annotated, Any, TypedDict

import numpy as np
import torch

from wsvad.detection.detector import Detector
from wsvad.detection.live import SAID, LiveScorer
from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError
from wsvad.files import read_json, slug
from wsvad.metrics.events import EventRules
from wsvad.ranges import Range
from wsvad.runs.folder import RunFolder
from wsvad.shapes import checked
from wsvad.watch.settings import CameraSettings, Site

logger = logging.getLogger(__name__)


class OnSite(TypedDict):
    """`RUN/cameras/NAME.json`, as `wsvad calibrate` writes it."""

    camera: str
    threshold: Annotated[float, Range(0, 1.001, above=True)]
    scoring: str
    """Hash of what decides how the run scores."""
    sentence: str


def on_site(run: Path, camera: str) -> Path:
    """Where the threshold of a camera is kept that was found on site."""
    return run / "cameras" / f"{slug(camera)}.json"


class SharedEncoder:
    """An encoder that several threads may use: each has one of its copies to itself while it encodes."""

    def __init__(self, copies: Sequence[Encoder]):
        self._first, self._free = copies[0], LifoQueue[Encoder]()
        for copy in copies:
            self._free.put(copy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        copy = self._free.get()
        try:
            return copy.encode(snippets)
        finally:
            self._free.put(copy)


@dataclass(frozen=True, kw_only=True)
class CameraModel:
    """The model of a camera, with its threshold."""

    detector: Detector
    encoders: Mapping[str, tuple[Encoder, ...]]
    threshold: float
    why: str
    """Where the threshold is from."""
    attributions: tuple[str, ...]

    @property
    def run(self) -> str:
        return self.detector.run.name

    @property
    def rules(self) -> EventRules:
        return self.detector.calibrations.rules

    @property
    def categories(self) -> tuple[str, ...]:
        """At least two, or none."""
        names = self.detector.scorer.categories
        return tuple(names) if len(names) > 1 else ()

    def scorer(self, settings: CameraSettings) -> LiveScorer:
        return self.detector.live(rate=settings.rate, encoders=dict(self.encoders))

    def passports(self, settings: CameraSettings) -> dict[str, dict[str, object]]:
        """Stream → how its features are made, with the zones that are ignored."""
        ignored = {"ignored": json.loads(json.dumps(settings.zones))} if settings.zones else {}
        return {stream: made | ignored for stream, made in self.detector.passports(settings.rate).items()}


def models_of(site: Site, *, device: str = "cpu", threads: int = 1) -> dict[str, CameraModel]:
    """Camera → its model.

    Args:
        threads: that encode at the same time, on processors; a device does one after the other.

    Raises:
        WsvadError: a run cannot be read, or cannot score videos; a rate is not that of training.
    """
    loaded: dict[Path, tuple[Detector, dict[str, tuple[Encoder, ...]], tuple[str, ...]]] = {}
    found = {}
    for name, settings in site.cameras.items():
        run = site.models[name].absolute()
        if run not in loaded:
            loaded[run] = _loaded(run, device, threads)
        detector, encoders, attributions = loaded[run]
        threshold, why = threshold_of(detector, name, settings)
        found[name] = CameraModel(
            detector=detector, encoders=encoders, threshold=threshold, why=why, attributions=attributions
        )
        try:
            found[name].scorer(settings)
        except WsvadError as error:
            raise type(error)(f"camera '{name}': {error}") from None
    return found


def _loaded(run: Path, device: str, threads: int) -> tuple[Detector, dict[str, tuple[Encoder, ...]], tuple[str, ...]]:
    detector = Detector.load(run, device=device)
    detector.live()  # of a run that cannot score videos this says why
    copies = threads if detector.scorer.device.type == "cpu" else 1
    encoders = _shared([detector.encoders, *(Detector.load(run).encoders for _ in range(copies - 1))])
    # Once on nothing: what is slow the first time is done then, and the names of attributions are known.
    nothing = {stream: torch.zeros(1, *shape).movedim(0, -2) for stream, shape in detector.shapes.items()}
    said = detector.scorer.describe(nothing, SAID)
    return detector, encoders, tuple(said.attributions)


def _shared(copies: Sequence[Mapping[str, tuple[Encoder, ...]]]) -> dict[str, tuple[Encoder, ...]]:
    """Encoders by stream, of which there are several copies; one of several streams stays one."""
    shared: dict[int, Any] = {}
    for stream, some in copies[0].items():
        for number, one in enumerate(some):
            if id(one) not in shared:
                shared[id(one)] = SharedEncoder([each[stream][number] for each in copies])
    return {stream: tuple(shared[id(one)] for one in some) for stream, some in copies[0].items()}


def threshold_of(detector: Detector, camera: str, settings: CameraSettings) -> tuple[float, str]:
    """The threshold of a camera, and where it is from.

    Raises:
        WsvadError: what was found on site is damaged.
    """
    if settings.threshold is not None:
        return settings.threshold, "set for this camera"
    path, again = on_site(detector.run, camera), "run 'wsvad calibrate' again"
    if path.is_file():
        record = checked(path, read_json(path, most=2**26, remedy=again), OnSite, again)
        if record["scoring"] == RunFolder(detector.run).scoring_hash():
            return record["threshold"], record["sentence"]
        logger.warning("%s: was found for an earlier model and is not used; %s", path, again)
    return detector.calibrations.threshold("online"), detector.calibrations.sentence("online")
