"""What is drawn: actors made of flat parts, each given for all F frames of a video at once.

Everything is in pixels of the final picture, already projected, so that drawing one frame only has to look numbers up.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

CLASSES = (
    "sky", "building", "ground", "road", "pavement", "zone",
    "tree", "fence", "person", "vehicle", "bicycle", "bird", "smoke",
)  # fmt: skip
"""Classes of the exact mask. The first six are painted once as the backdrop, the others are actors."""

Colour = tuple[int, int, int]


@dataclass(kw_only=True)
class Part:
    """One flat shape of one colour."""

    kind: Literal["line", "disc", "polygon", "puff"]
    """A thick line through its points, a disc at its one point, a filled convex polygon, or a soft cloud."""
    points: np.ndarray
    """`(F, n, 2)` pixels."""
    colour: Colour
    size: np.ndarray | None = None
    """`(F,)` pixels: thickness of a line, radius of a disc or cloud."""
    shown: np.ndarray | None = None
    """`(F,)`; None = always."""
    glow: bool = False
    """It shines by itself, so it stays bright at night."""
    opacity: np.ndarray | None = None
    """`(F,)`, of a cloud, 0 to 1."""

    def velocity(self) -> np.ndarray:
        """`(F, 2)` mean displacement of its points to the next frame (the last frame repeats the one before)."""
        if len(self.points) == 1:
            return np.zeros((1, 2))
        step = np.diff(self.points.mean(axis=1), axis=0)
        return np.concatenate([step, step[-1:]])


@dataclass(kw_only=True)
class Actor:
    """A person, a vehicle, a tree …"""

    kind: str
    """One of `CLASSES`."""
    parts: list[Part]
    """In painting order."""
    depth: np.ndarray
    """`(F,)` metres along the optical axis; farther actors are painted first."""
    shown: np.ndarray
    """`(F,)`; False where it is out of the picture."""
    shadow: list[Part] = field(default_factory=list)
    beams: list[np.ndarray] = field(default_factory=list)
    """Headlight beams on the ground, polygons `(F, n, 2)`."""
    ground: np.ndarray | None = None
    """`(F, 2)` metres: where a person stands."""
    joints: np.ndarray | None = None
    """`(F, 17, 2)` pixels, COCO's keypoints of a person."""
    actions: list[tuple[int, int, str]] = field(default_factory=list)
    """What it does in frames `[start, end)`, for the captions."""

    def action(self, frame: int) -> str | None:
        """What it does in that frame: the entry that was added last."""
        return next((name for start, end, name in reversed(self.actions) if start <= frame < end), None)


def in_picture(pixels: np.ndarray, depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """`(F,)`: where the bounding box of `(F, n, 2)` pixels meets the picture, in front of the camera."""
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    inside = (high[:, 0] > 0) & (low[:, 0] < width) & (high[:, 1] > 0) & (low[:, 1] < height)
    return inside & (depth > 1.0)
