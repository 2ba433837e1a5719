"""Pictures of events while they begin: the middle of each snippet that may be a part of one."""

from collections import deque
from datetime import datetime

import cv2
import numpy as np

from wsvad.metrics.events import Event
from wsvad.video.reader import Frame

MOST = 64
"""Snippets that are remembered of those that score high: an event may have begun before a pause in it."""
WIDTH, QUALITY = 640, 80


class Stills:
    """Of one camera: the middle frame of the snippet that is filmed now, and JPEGs of those before."""

    def __init__(self) -> None:
        self.middle: Frame | None = None
        """Of the newest snippet, once it is past."""
        self._count = 0
        self._half = 8
        self._kept: deque[tuple[float, float, bytes]] = deque(maxlen=MOST)

    def see(self, frame: Frame) -> None:
        """Take the next frame."""
        if self._count == self._half or self.middle is None:
            self.middle = frame
        self._count += 1

    def snippet(self, start: float, end: float, *, keep: bool) -> None:
        """The frames since the last snippet were one; whether it may be a part of an event."""
        if keep and self.middle is not None:
            self._kept.append((start, end, jpeg(self.middle)))
        self._half, self._count = max(1, self._count // 2), 0

    def of(self, event: Event) -> bytes | None:
        """The picture of an event's peak, or else of its end: behind a gap, an event may begin with a snippet that was
        taken for the next one of the event before."""
        peak = next((jpeg for start, end, jpeg in self._kept if start <= event.peak_time <= end), None)
        within = (jpeg for start, end, jpeg in reversed(self._kept) if start < event.end and end > event.start)
        return peak or next(within, None)

    def clear(self) -> None:
        """What comes does not continue what came."""
        self._kept.clear()
        self._count, self.middle = 0, None


def jpeg(frame: Frame) -> bytes:
    """A picture for people, no wider than `WIDTH`."""
    width, height = frame.pictures.size
    scale = min(1.0, WIDTH / max(width, height))
    image = frame.array((max(2, round(width * scale)), max(2, round(height * scale))))
    coded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return coded[1].tobytes()


def local(moment: datetime) -> str:
    """A moment by the local clock, as a file's name has it."""
    return f"{moment.astimezone():%Y%m%d-%H%M%S}"
