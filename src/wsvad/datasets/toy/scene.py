"""Where it happens: the street, the fenced zone and the camera over them. A seed has three such scenes."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH, Camera

Rectangle = tuple[float, float, float, float]
"""x0, x1, y0, y1 in metres."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One camera of the installation. Everything that is not road, pavement or zone is grass."""

    name: str
    camera: Camera
    rate: Fraction
    """Frames per second."""
    road: tuple[float, float]
    """Y from, to."""
    pavements: tuple[tuple[float, float], ...]
    """Y from, to; the first is the one that the camera sees best."""
    walkable: Rectangle
    """Part of the first pavement where people linger, and where most abnormal events happen."""
    passage: tuple[float, float]
    """Y from, to, of those who walk through the picture along the road."""
    away: float
    """Sign of X of the side on which people come and go at the height of `walkable`; 0 = both."""
    zone: Rectangle
    """Fenced, and nobody is to enter."""
    facade: float
    """Y of the wall of houses."""
    trees: tuple[tuple[float, float], ...]
    lamps: tuple[tuple[float, float], ...]
    palette: int
    """Seed of its colours and textures."""

    @cached_property
    def spots(self) -> np.ndarray:
        """`(N, 2)`: ground points of `walkable` on which a person is seen from head to foot."""
        return self.visible(self.walkable, margin=24.0)

    def visible(self, rectangle: Rectangle, margin: float = 10.0) -> np.ndarray:
        """Ground points of a rectangle, every 0.4 m, on which a person is seen from head to foot."""
        x0, x1, y0, y1 = rectangle
        x, y = np.meshgrid(np.arange(x0, x1 + 1e-6, 0.4), np.arange(y0, y1 + 1e-6, 0.4))
        ground = np.stack([x.ravel(), y.ravel()], axis=-1)
        keep = np.ones(len(ground), dtype=bool)
        for height in (0.0, 1.8):
            pixels, depth = self.camera.project(np.column_stack([ground, np.full(len(ground), height)]))
            low, high = np.array([margin, margin]), np.array([WIDTH - margin, HEIGHT - margin])
            keep &= ((pixels > low) & (pixels < high)).all(axis=1) & (depth > 1.0)
        return ground[keep]

    def span(self, y: float) -> tuple[float, float]:
        """X from, to of what the camera sees of the line at `y`, at most 45 m away."""
        x = np.arange(-60.0, 60.0, 0.5)
        pixels, depth = self.camera.project(np.stack([x, np.full_like(x, y), np.full_like(x, 0.8)], axis=-1))
        seen = x[(depth > 2) & (depth < 45) & (pixels[:, 0] > 0) & (pixels[:, 0] < WIDTH) & (pixels[:, 1] < HEIGHT)]
        return (float(seen[0]), float(seen[-1])) if len(seen) else (0.0, 0.0)


def scenes(seed: int) -> tuple[Scene, ...]:
    """The three scenes of a seed: the same kinds of place everywhere, in other dimensions, colours and views."""
    rng = np.random.default_rng([seed, 0])
    return tuple(place(rng) for place in (_street, _corner, _avenue))


def _street(rng: np.random.Generator) -> Scene:
    """Straight across the street: the pavement in front, the road behind it, houses at the back."""
    side, kerb = rng.choice([-1.0, 1.0]), rng.uniform(4.8, 5.3)
    return Scene(
        name="street",
        camera=Camera(
            position=(rng.uniform(-0.3, 0.3), rng.uniform(-6.2, -5.7), rng.uniform(4.1, 4.6)),
            yaw=rng.uniform(-5, 5),
            pitch=rng.uniform(21.5, 24),
            focal=rng.uniform(285, 305),
        ),
        rate=Fraction(20),
        road=(kerb + 0.25, kerb + 6.5),
        pavements=((-0.4, kerb), (kerb + 6.8, kerb + 9.3)),
        passage=(2.9, kerb - 0.4),
        away=-side,
        walkable=_sided(side, -4.6, 0.6, 0.6, 3.4),
        zone=_sided(side, 1.5, 5.6, -0.4, 2.6),
        facade=kerb + 10.2,
        trees=tuple((x, kerb + 9.0) for x in rng.uniform(-12, 12, size=2)),
        lamps=((-2.5 * side, kerb - 0.3), (4.5 * side, kerb - 0.3)),
        palette=int(rng.integers(2**31)),
    )


def _corner(rng: np.random.Generator) -> Scene:
    """Slantwise across the street, from farther up: the pavement in front, the road behind it on one side."""
    side, kerb = rng.choice([-1.0, 1.0]), rng.uniform(5.4, 6.0)
    return Scene(
        name="corner",
        camera=Camera(
            position=(-3.9 * side, rng.uniform(-5.0, -4.5), rng.uniform(4.5, 5.0)),
            yaw=side * rng.uniform(32, 38),
            pitch=rng.uniform(23, 25),
            focal=rng.uniform(280, 300),
        ),
        rate=Fraction(18),
        road=(kerb + 0.25, kerb + 6.0),
        pavements=((0.0, kerb), (kerb + 6.3, kerb + 8.6)),
        passage=(3.2, kerb - 0.4),
        away=-side,
        walkable=_sided(side, -4.5, 1.0, 1.0, 3.8),
        zone=_sided(side, 1.6, 6.0, -0.6, 2.8),
        facade=kerb + 9.4,
        trees=((9.5 * side, 1.2), (-3.0 * side, kerb + 8.2)),
        lamps=((-2.5 * side, kerb - 0.3), (6.0 * side, kerb - 0.3)),
        palette=int(rng.integers(2**31)),
    )


def _avenue(rng: np.random.Generator) -> Scene:
    """The street runs away from the camera: the pavement in the middle, the road on the left, the zone on the right."""
    return Scene(
        name="avenue",
        camera=Camera(
            position=(rng.uniform(-10.5, -10.0), rng.uniform(0.6, 1.2), rng.uniform(4.4, 4.9)),
            yaw=rng.uniform(85, 90),
            pitch=rng.uniform(21, 23),
            focal=rng.uniform(285, 305),
        ),
        rate=Fraction(16),
        road=(4.4, 10.2),
        pavements=((0.0, 4.2), (10.4, 12.8)),
        passage=(0.4, 3.6),
        away=0.0,
        walkable=(-4.6, 1.0, 0.7, 3.4),
        zone=(-3.6, 2.5, -3.6, -0.6),
        facade=13.4,
        trees=((7.0, -2.4), (13.0, -2.8), (20.0, 11.7)),
        lamps=((-3.0, 4.0), (7.0, 4.0), (18.0, 4.0)),
        palette=int(rng.integers(2**31)),
    )


def _sided(side: float, x0: float, x1: float, y0: float, y1: float) -> Rectangle:
    """The rectangle, or its mirror image in X."""
    return (x0, x1, y0, y1) if side > 0 else (-x1, -x0, y0, y1)
