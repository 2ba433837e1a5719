"""A pinhole camera over a street: metres in, pixels out.

The world has X along the road, Y across it and Z up, in metres. Pixels have their origin at the top left corner of a
picture of `WIDTH` x `HEIGHT`.
"""

import math
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 320, 240
NEAR = 0.5
"""Metres; whatever is nearer than this, or behind the camera, is projected as if it were this far away."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where the camera hangs and where it looks."""

    position: tuple[float, float, float]
    """Metres."""
    yaw: float
    """Degrees from +Y (across the road) towards +X (along it)."""
    pitch: float
    """Degrees below the horizon."""
    focal: float
    """Pixels."""

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors to the right, downwards and forwards, in the world."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
        forward = np.array(
            [math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), -math.sin(pitch)],
        )
        return right, np.cross(forward, right), forward

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points `(..., 3)` → pixels `(..., 2)` and depths `(...)` in metres along the optical axis."""
        relative = points - np.array(self.position)
        right, down, forward = (relative @ axis for axis in self.axes())
        depth = np.maximum(forward, NEAR)
        pixels = np.stack([WIDTH / 2 + self.focal * right / depth, HEIGHT / 2 + self.focal * down / depth], axis=-1)
        return pixels, forward

    def rays(self, width: int, height: int) -> np.ndarray:
        """Direction through the centre of each pixel of a `width` x `height` picture, `(height, width, 3)`; a step of
        one along it is one metre of depth."""
        right, down, forward = self.axes()
        u = ((np.arange(width) + 0.5) * (WIDTH / width) - WIDTH / 2) / self.focal
        v = ((np.arange(height) + 0.5) * (HEIGHT / height) - HEIGHT / 2) / self.focal
        return forward + u[None, :, None] * right + v[:, None, None] * down
