"""How a method is fitted and selected, whatever the method; and what a budget makes of its phases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Annotated, Literal

from wsvad.datasets.dataset import LabelledVideo
from wsvad.device import device_of, on_this_machine
from wsvad.methods.method import Phase
from wsvad.ranges import Count, Seed, Share, check_fields
from wsvad.runs.normalisation import Kind
from wsvad.training.loop import Precision

UCF_CRIME = 810
"""Videos of the larger class in the training split of UCF-Crime, by which `data` budgets are scaled."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a method is fitted and selected, whatever the method.

    Raises:
        UsageError: a number is out of its range, or the device is not on this machine.
    """

    seeds: Count = 1
    """Independent runs; results are their mean and standard deviation."""
    first_seed: Seed = 0
    """Seed of the first run; the others count up from it."""
    budget: Literal["paper", "data"] = "paper"
    """paper: iterations, batch and segments as published. data: a share (`Phase.share`, mostly a fifth) of the passes
    over the videos that the paper makes over UCF-Crime, no more bags than there are videos, no more segments than the
    longest video has snippets; never more than paper."""
    iterations: Count | None = None
    """Iterations of the longest phase (the others in proportion), instead of the budget's."""
    segments: Count | None = None
    """Segments that a bag is averaged to in training, instead of the budget's."""
    bags: Count | None = None
    """Normal bags in a batch (as many abnormal ones go with them), instead of the budget's."""
    normalise: Kind | None = None
    """How features are normalised (per-camera: by each camera's statistics); if not set, as in the method's paper. Of
    several encoders' features side by side, standardise scales those of the wider ones down."""
    streams: Literal["all", "auto"] = "all"
    """Streams side by side: all of them, or auto: without those that add nothing on held-out training videos."""
    hold_out: Share = 0.2
    """Fraction of training videos held out for model selection and threshold calibration; 0 disables both."""
    points: Count = 20
    """How often a fit is evaluated."""
    precision: Precision = "fp32"
    """Arithmetic of training."""
    device: Annotated[str, on_this_machine] = "auto"
    """Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them."""

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "device", device_of(self.device))


def under_budget(
    phases: Sequence[Phase], protocol: Protocol, videos: Sequence[LabelledVideo], snippets: int
) -> list[Phase]:
    """A method's phases as the protocol wants them.

    Args:
        phases: as the method lists them.
        videos: the training videos.
        snippets: T of the longest of them.
    """
    phases = list(phases)
    if protocol.budget == "data":
        phases = [scale_to_data(phase, videos, snippets) for phase in phases]
    if protocol.iterations:
        factor = protocol.iterations / max(phase.iterations for phase in phases)
        phases = [replace(phase, iterations=max(1, round(phase.iterations * factor))) for phase in phases]
    if protocol.segments:
        phases = [replace(phase, segments=protocol.segments) for phase in phases]
    if protocol.bags:
        phases = [replace(phase, bags=protocol.bags) for phase in phases]
    return phases


def scale_to_data(phase: Phase, videos: Sequence[LabelledVideo], snippets: int) -> Phase:
    """A share of the paper's passes over UCF-Crime, on fewer and shorter videos."""
    abnormal = sum(video.label for video in videos)
    larger = max(abnormal, len(videos) - abnormal)
    bags = min(phase.bags, larger)
    passes = phase.share * phase.iterations * phase.bags / UCF_CRIME
    return replace(
        phase,
        bags=bags,
        segments=min(phase.segments, snippets),
        iterations=min(phase.iterations, ceil(passes * larger / bags)),
    )
