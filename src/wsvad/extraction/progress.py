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
        self._sizes = {job.video: job.size for job in jobs}
        self._expected: dict[str, int] = {}
        """Video → frames, of those that were opened and promise any."""
        self._read: dict[str, int] = {}
        self._finished = 0
        self.spent = Spent()
        self._started = time.monotonic()

    def update(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Begun():
                self._read[event.video] = 0  # once more, where it has ended its worker
                if event.declared is not None:
                    self._expected[event.video] = event.declared
            case Advanced():
                self.spent.add(event.spent)
                self._read[event.video] = self._read.get(event.video, 0) + event.frames
            case Finished():
                self.spent.add(event.spent)
                self._finished += 1
                self._read[event.video] = event.frames
                self._expected[event.video] = event.frames

    def frames(self) -> int:
        """Frames read so far."""
        return sum(self._read.values())

    def total(self) -> float | None:
        """Frames of all jobs, estimated; None while nothing is known."""
        known = sum(self._expected.values())
        known_bytes = sum(self._sizes[video] for video in self._expected)
        if not known or not known_bytes:
            return None
        return max(known * sum(self._sizes.values()) / known_bytes, self.frames())

    def fraction(self) -> float:
        """How much is done, 0–1."""
        total = self.total()
        return self.frames() / total if total else self._finished / max(len(self._sizes), 1)

    def status(self) -> str:
        """`12/50 videos, 2,345 frames/s, 3 min left (network 61%, decode 30%)`."""
        seconds = time.monotonic() - self._started
        rate = self.frames() / seconds if seconds > 0 else 0.0
        parts = [f"{self._finished}/{len(self._sizes)} videos", f"{rate:,.0f} frames/s"]
        if (total := self.total()) and rate:
            parts.append(f"{duration((total - self.frames()) / rate)} left")
        shares = [f"{what} {share:.0%}" for what, share in self.spent.shares().items() if share >= 0.05]
        return ", ".join(parts) + (f" ({', '.join(shares)})" if shares else "")
