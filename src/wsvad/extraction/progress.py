"""How far an extraction is: videos done, video frames a second, time left."""

import time
from collections.abc import Sequence

from wsvad.extraction.jobs import Advanced, Begun, Event, Finished, Job
from wsvad.extraction.spent import Spent
from wsvad.progress import duration


class Estimate:
    """Takes the events of the queue. The time left comes from the frames that headers promise; a video that was not
    opened yet counts by its bytes, at the frames per byte of those that were.
    """

    def __init__(self, jobs: Sequence[Job]):
        self._count, self._sizes = len(jobs), {job.video: job.size for job in jobs}
        self._expected: dict[str, int] = {}
        """Video → frames, of those that are open and promise any."""
        self._read: dict[str, int] = {}
        """Video → frames, of those that are open."""
        self._finished, self._failed = 0, 0
        # Sums are kept, not made anew: there may be a million videos, and an event for each.
        self._all_bytes, self._known_bytes = sum(self._sizes.values()), 0
        self._all_expected, self._all_read = 0, 0
        self.spent = Spent()
        self._started = time.monotonic()

    def update(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Begun():
                self._reads(event.video, 0)  # once more, where it has ended its worker
                if event.declared is not None:
                    self._expects(event.video, event.declared)
            case Advanced():
                self.spent.add(event.spent)
                self._reads(event.video, self._read.get(event.video, 0) + event.frames)
            case Finished():
                self.spent.add(event.spent)
                self._finished += 1
                self._failed += event.reason is not None
                self._reads(event.video, event.frames)
                self._expects(event.video, event.frames)
                for known in (self._sizes, self._expected, self._read):
                    del known[event.video]

    def _reads(self, video: str, frames: int) -> None:
        self._all_read += frames - self._read.get(video, 0)
        self._read[video] = frames

    def _expects(self, video: str, frames: int) -> None:
        self._known_bytes += 0 if video in self._expected else self._sizes[video]
        self._all_expected += frames - self._expected.get(video, 0)
        self._expected[video] = frames

    def frames(self) -> int:
        """Frames read so far."""
        return self._all_read

    def total(self) -> float | None:
        """Frames of all jobs, estimated; None while nothing is known."""
        if not self._all_expected or not self._known_bytes:
            return None
        return max(self._all_expected * self._all_bytes / self._known_bytes, self.frames())

    def fraction(self) -> float:
        """How much is done, 0–1."""
        total = self.total()
        return self.frames() / total if total else self._finished / max(self._count, 1)

    def status(self) -> str:
        """`12/50 videos, 1 failed, 2,345 frames/s, 3 min left (network 61%, decode 30%)`."""
        seconds = time.monotonic() - self._started
        rate = self.frames() / seconds if seconds > 0 else 0.0
        parts = [f"{self._finished}/{self._count} videos", *[f"{self._failed} failed"] * (self._failed > 0)]
        parts.append(f"{rate:,.0f} frames/s")
        if (total := self.total()) and rate:
            parts.append(f"{duration((total - self.frames()) / rate)} left")
        shares = [f"{what} {share:.0%}" for what, share in self.spent.shares().items() if share >= 0.05]
        return ", ".join(parts) + (f" ({', '.join(shares)})" if shares else "")
