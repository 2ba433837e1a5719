"""What may be wrong with a camera itself: its picture stands still, is black, or shows another place.

Judged once a snippet, by one picture. A fault is believed when it has lasted (`Patience`), and is over when a picture
is right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from wsvad.video.reader import Frame

DARK, FLAT = 28.0, 4.0
"""Luma (black is 16) and its standard deviation below which a picture is black."""
SAME, CHANGED = 4, 2e-4
"""Grey levels that a pixel may differ in a picture that stands still, and share of pixels that may differ more: an
encoder that is given the same picture again changes it by less, and noise, wind or a clock in the picture by more."""
ALIKE = 0.35
"""Correlation of the outlines of two pictures of one place, at least."""
GRID = (48, 27)
"""Width and height at which outlines are compared."""
SMOOTH, KNOWN = 0.05, 0.002
"""Share of a new picture in the outlines of now, and in those that are known: some ten seconds, and five minutes."""


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """Seconds that a fault has to last."""

    frozen: float = 60.0
    black: float = 10.0
    moved: float = 30.0
    learn: float = 120.0
    """Until the camera's own place is known; and that another one is shown until it is taken for its own."""


class Faults:
    """Of one camera. `now` says what is wrong, with the second since which it is."""

    def __init__(self, lasting: Lasting | None = None):
        self._lasting = lasting or Lasting()
        self._since: dict[str, float] = {}
        self._before: np.ndarray | None = None
        self._place: _Place = _Place(self._lasting)

    def see(self, frame: Frame) -> dict[str, float]:
        """Take the picture of a snippet; what is wrong by now → since which second of the frames."""
        time, luma = float(frame.time), frame.array(None, "gray")
        still = self._before is not None and self._before.shape == luma.shape and _same(self._before, luma)
        dark = cv2.mean(luma)[0] < DARK and bool(luma.std() < FLAT)
        if not still:
            self._before = luma
        signs: dict[str, Callable[[], bool]] = {
            "black": lambda: dark,
            "frozen": lambda: still and not dark,
            "moved": lambda: not dark and not still and self._place.other(luma, time),
        }
        for kind, sign in signs.items():
            if sign():
                self._since.setdefault(kind, time)
            else:
                self._since.pop(kind, None)
        return {kind: since for kind, since in self._since.items() if time - since >= getattr(self._lasting, kind)}

    def cut(self) -> None:
        """The source has a break: how long something has lasted is not known."""
        self._since.clear()
        self._before = None


def _same(before: np.ndarray, now: np.ndarray) -> bool:
    changed = cv2.absdiff(before, now) > SAME
    return int(np.count_nonzero(changed)) <= CHANGED * changed.size


class _Place:
    """What a camera shows as a rule, by outlines: light changes them little."""

    def __init__(self, lasting: Lasting):
        self._lasting = lasting
        self._known: np.ndarray | None = None
        self._now: np.ndarray | None = None
        self._begun: float | None = None
        self._other_since: float | None = None

    def other(self, luma: np.ndarray, time: float) -> bool:
        """Take a picture; whether it is of another place than those before."""
        outlines = _outlines(luma)
        if self._known is None or self._now is None or self._begun is None:
            self._known = self._now = outlines
            self._begun = time
            return False
        self._now = self._now + SMOOTH * (outlines - self._now)
        learning = time - self._begun < self._lasting.learn
        if learning or _correlation(self._known, self._now) >= ALIKE:
            self._known = self._known + (SMOOTH if learning else KNOWN) * (outlines - self._known)
            self._other_since = None
            return False
        self._other_since = time if self._other_since is None else self._other_since
        if time - self._other_since > self._lasting.moved + self._lasting.learn:  # it stays so
            self._known, self._begun, self._other_since = self._now, time, None
            return False
        return True


def _outlines(luma: np.ndarray) -> np.ndarray:
    # To halve takes a fraction of the time of any other step.
    while luma.shape[1] >= 4 * GRID[0] and luma.shape[0] >= 4 * GRID[1]:
        luma = cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA)
    small = cv2.resize(luma, (2 * GRID[0], 2 * GRID[1]), interpolation=cv2.INTER_AREA).astype(np.float32)
    x, y = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    return cv2.resize(np.log1p(np.hypot(x, y)), GRID, interpolation=cv2.INTER_AREA)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    x, y = a - a.mean(), b - b.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size else 1.0
