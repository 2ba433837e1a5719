"""How long a fit under the paper's budget takes on a small set, and which budget suits it: said once, from the first
iterations."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from wsvad.datasets.dataset import LabelledVideo
from wsvad.methods.method import Phase
from wsvad.progress import duration
from wsvad.training.protocol import UCF_CRIME, Protocol, under_budget

WARM_UP = 3
"""Iterations that are not timed: the first ones also allocate."""
TIMED = 3.0
"""Seconds of iterations from which the others are foretold."""
LONG = 60.0
"""Seconds of all fits from which it is worth a sentence."""
SMALL = UCF_CRIME // 4
"""Videos of the larger class up to which a set is small."""


def forecast_of(
    phases: Sequence[Phase], protocol: Protocol, videos: Sequence[LabelledVideo], snippets: int
) -> "Forecast | None":
    """What is to be said of a fit; None where the budget is another one, or suits. Arguments as in `under_budget`, but
    `phases` as the method lists them."""
    abnormal = sum(video.label for video in videos)
    if protocol.budget != "paper" or protocol.iterations or max(abnormal, len(videos) - abnormal) > SMALL:
        return None
    paper = under_budget(phases, protocol, videos, snippets)
    data = under_budget(phases, replace(protocol, budget="data"), videos, snippets)
    # Its batches are smaller too, but a small batch takes longer than its share.
    suits = [replace(phase, iterations=short.iterations) for phase, short in zip(paper, data, strict=True)]
    fits = protocol.seeds * (1 + (protocol.hold_out > 0))
    return Forecast(work=work(paper), suits=work(suits), fits=fits, videos=len(videos))


def work(phases: Sequence[Phase]) -> int:
    """Segments that the phases read in all, to which the time that they take is about proportional."""
    return sum(phase.iterations * phase.bags * phase.segments for phase in phases)


@dataclass(kw_only=True)
class Forecast:
    """Times the first iterations."""

    work: int
    """Of a fit, see `work`."""
    suits: int
    """At most that of the budget `data`."""
    fits: int
    videos: int
    """For training."""
    clock: Callable[[], float] = field(default_factory=lambda: time.monotonic)
    _iterations: int = 0
    _started: float = 0.0

    def after(self, phase: Phase) -> str:
        """What there is to say after an iteration of a phase; empty while it is not known, and ever after."""
        self._iterations += 1
        if self._iterations == WARM_UP:
            self._started = self.clock()
        timed, seconds = self._iterations - WARM_UP, self.clock() - self._started
        if timed < 1 or seconds < TIMED or self.fits == 0:
            return ""
        fit = seconds * self.work / (timed * phase.bags * phase.segments)
        fits, self.fits = self.fits, 0
        if fit * fits < LONG:
            return ""
        each = f"{fits} fits of about {duration(fit)} each, {duration(fits * fit)} in all"
        return (
            f"budget 'paper' takes {each if fits > 1 else f'about {duration(fit)}'}; it is made for {UCF_CRIME} videos "
            f"of a class. For {self.videos} training videos --budget data suits better, and takes at most about "
            f"{duration(fits * fit * self.suits / self.work)}"
        )
