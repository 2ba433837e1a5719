"""How far an extraction is: a bar on a terminal, a line every ten seconds elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from wsvad.extraction.workers import Advanced, Begun, Event, Finished, Job

_LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class ExtractProgress:
    """Videos done, video frames a second, time left.

    The time left comes from the frames that headers promise; a video that was not opened yet counts by its bytes,
    at the frames per byte of those that were.
    """

    def __init__(self, jobs: Sequence[Job], console: Console):
        self.console = console
        self._sizes = {job.video: job.size for job in jobs}
        self._expected: dict[str, int] = {}
        """Video → frames, of those that were opened and promise any."""
        self._read: dict[str, int] = {}
        self._finished = 0
        self._started = self._told = time.monotonic()
        self._bar = Progress(
            TextColumn("extract"), BarColumn(), TextColumn("{task.description}"), console=console, transient=True
        )
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> Self:
        if self.console.is_terminal and self._sizes:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar.live.is_started:  # stopping one that was never started prints an empty line
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self, event: Event) -> None:
        """Take an event of the queue and show it."""
        match event:
            case Begun(declared=int(declared)):
                self._expected[event.video] = declared
            case Advanced():
                self._read[event.video] = self._read.get(event.video, 0) + event.frames
            case Finished():
                self._finished += 1
                self._read[event.video] = event.frames
                self._expected[event.video] = event.frames
        if self.console.is_terminal:
            self._bar.update(self._task, completed=self.fraction(), description=self.status())
        elif time.monotonic() - self._told > _LINE_EVERY:
            self._told = time.monotonic()
            self.say(f"extract: {self.status()}")

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
        """`12/50 videos, 2,345 frames/s, 3 min left`."""
        seconds = time.monotonic() - self._started
        rate = self.frames() / seconds if seconds > 0 else 0.0
        parts = [f"{self._finished}/{len(self._sizes)} videos", f"{rate:,.0f} frames/s"]
        if (total := self.total()) and rate:
            parts.append(f"{_span((total - self.frames()) / rate)} left")
        return ", ".join(parts)


def _span(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
