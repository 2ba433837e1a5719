"""What a site's cameras send, before it is watched: each is opened for some seconds."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from wsvad.environment import hidden
from wsvad.runs.model import FOREIGN
from wsvad.video.connection import Patience
from wsvad.video.live import Health, LiveSource
from wsvad.video.reader import Frame
from wsvad.watch.model import CameraModel, models_of
from wsvad.watch.settings import Site

DRIFT = 0.02
"""Seconds a second by which a camera's clock may be wrong without a word."""
SELDOM = {"hevc": "H.265", "av1": "AV1"}
"""Codecs of clips that a browser plays only where its system can decode them."""
LONG = 10.0
"""Seconds from one key frame to the next after which clips begin early, and reconnecting takes long."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found of a camera."""

    camera: str
    source: str
    works: bool
    pictures: str
    key_frames: str
    clock: str
    runs: str
    """What will be run."""
    notes: tuple[str, ...]

    @property
    def cells(self) -> list[str]:
        return [self.camera, self.source, self.pictures, self.key_frames, self.clock, self.runs]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_site(
    site: Site, seconds: float, *, device: str = "cpu", patience: Patience | None = None
) -> Sequence[Checked]:
    """Open all cameras at once for so many seconds.

    Raises:
        WsvadError: a model cannot be loaded.
    """
    models = models_of(site, device=device)
    with ExitStack() as held:
        sources = {
            name: held.enter_context(
                LiveSource(site.source(name), patience=patience or Patience(), decode=model.detector.trained.decode)
            )
            for name, model in models.items()
        }
        counts, until = dict.fromkeys(sources, 0), time.monotonic() + seconds
        while time.monotonic() < until and not all(source.ended for source in sources.values()):
            for name, source in sources.items():
                while (item := source.take(0)) is not None and time.monotonic() < until:
                    counts[name] += isinstance(item, Frame)
            time.sleep(0.01)
        return [_checked(site, name, sources[name], models[name], counts[name]) for name in sources]


def _checked(site: Site, name: str, source: LiveSource, model: CameraModel, frames: int) -> Checked:
    health, settings = source.health, site.cameras[name]
    rate = f" at {settings.rate or float(model.detector.trained.rate or 0):g}/s" if _rate(settings.rate, model) else ""
    count = len(settings.zones)
    zones = f", {count} ignored zone{'' if count == 1 else 's'}" if count else ""
    encoders = "+".join(dict.fromkeys(one.name for some in model.encoders.values() for one in some))
    clock = "" if health.drift is None else f"{100 * health.drift:+.1f} %"
    return Checked(
        camera=name,
        source=hidden(source.source.shown),
        works=frames > 0,
        pictures=f"{health.codec} {health.width}x{health.height}, {health.rate or 0:.3g}/s" if health.codec else "none",
        key_frames="" if health.key_seconds is None else f"every {health.key_seconds:.1f} s",
        clock=clock,
        runs=f"{model.run} ({model.detector.trained.name}, {encoders}){rate}, threshold {model.threshold:.3g}{zones}",
        notes=tuple(_notes(health, model, settings.rate, frames)),
    )


def _rate(given: float | None, model: CameraModel) -> float | None:
    return given or (float(model.detector.trained.rate) if model.detector.trained.rate else None)


def _notes(health: Health, model: CameraModel, given: float | None, frames: int) -> list[str]:
    """What a user should know."""
    notes = [hidden(health.said)] if health.said else []
    if not frames and not health.said:
        notes.append("no picture came in this time; check for longer with --seconds 60")
    if name := SELDOM.get(health.codec or ""):
        notes.append(
            f"clips are {name} as the camera sends it, which some browsers do not play; for all of them set the camera "
            "to H.264"
        )
    if health.key_seconds is not None and health.key_seconds > LONG:
        notes.append(
            f"a key frame only every {health.key_seconds:.0f} s: clips begin up to so much early, and after a drop it "
            "takes as long until pictures come; set the camera to 2 s"
        )
    if health.drift is not None and abs(health.drift) > DRIFT:
        notes.append(
            f"its timestamps say {100 * health.drift:+.0f} % more time than passes; events are shown by the clock of "
            "this machine"
        )
    if health.dropped:
        notes.append(f"{health.dropped} snippets were dropped while it was read")
    filmed, found = model.detector.trained.filmed_at, health.rate
    if filmed and found and not _rate(given, model) and not filmed[0] / FOREIGN <= found <= filmed[1] * FOREIGN:
        notes.append(
            f"{found:.3g} frames/s, but the model learned from {filmed[0]:.3g} to {filmed[1]:.3g}; write "
            f"'rate: {filmed[1]:.3g}' for this camera if it is faster, or train with --rate"
        )
    return notes
