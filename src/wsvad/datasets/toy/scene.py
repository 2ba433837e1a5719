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
    return tuple(place(rng) for place in (_beside_the_road, _across_the_road, _along_the_road))


def _beside_the_road(rng: np.random.Generator) -> Scene:
    """The pavement in front, the road behind it, houses at the back; the zone at the front on one side."""
    side = rng.choice([-1.0, 1.0])
    kerb = rng.uniform(6.3, 7.0)
    zone = _sided(side, 1.6, 6.2, -1.2, 2.4)
    return Scene(
        name="beside",
        camera=Camera(
            position=(rng.uniform(-0.5, 0.5), rng.uniform(-7.2, -6.4), rng.uniform(5.2, 5.8)),
            yaw=rng.uniform(-7, 7),
            pitch=rng.uniform(25.5, 28),
            focal=rng.uniform(260, 280),
        ),
        rate=Fraction(25),
        road=(kerb + 0.25, kerb + 6.5),
        pavements=((0.0, kerb), (kerb + 6.8, kerb + 9.5)),
        passage=(2.9, kerb - 0.5),
        away=0.0,
        walkable=_sided(side, -6.5, 5.0, 3.0, kerb - 0.8),
        zone=zone,
        facade=kerb + 10.2,
        trees=tuple((x, kerb + 9.0) for x in rng.uniform(-14, 14, size=2)),
        lamps=((-4.5 * side, kerb - 0.3), (6.0 * side, kerb - 0.3)),
        palette=int(rng.integers(2**31)),
    )


def _across_the_road(rng: np.random.Generator) -> Scene:
    """The road in front, a square behind it, houses at the back; the zone on the square on one side."""
    side = rng.choice([-1.0, 1.0])
    depth = rng.uniform(10.6, 11.4)
    return Scene(
        name="across",
        camera=Camera(
            position=(rng.uniform(-0.5, 0.5), rng.uniform(-6.2, -5.6), rng.uniform(5.3, 6.0)),
            yaw=rng.uniform(-7, 7),
            pitch=rng.uniform(23, 25.5),
            focal=rng.uniform(295, 315),
        ),
        rate=Fraction(20),
        road=(-1.6, 3.9),
        pavements=((4.2, depth),),
        passage=(4.6, 6.0),
        away=-side,
        walkable=_sided(side, -6.2, 1.6, 4.8, depth - 1.5),
        zone=_sided(side, 2.0, 7.5, 6.4, depth),
        facade=depth + 1.2,
        trees=((-7.0 * side, depth + 0.2),),
        lamps=((-3.5 * side, 4.5), (5.0 * side, 4.5)),
        palette=int(rng.integers(2**31)),
    )


def _along_the_road(rng: np.random.Generator) -> Scene:
    """The street runs away from the camera: the pavement in the middle, the road on the left, the zone on the right."""
    return Scene(
        name="along",
        camera=Camera(
            position=(rng.uniform(-12.5, -11.5), rng.uniform(2.2, 3.0), rng.uniform(5.4, 6.0)),
            yaw=rng.uniform(84, 90),
            pitch=rng.uniform(21, 23),
            focal=rng.uniform(280, 300),
        ),
        rate=Fraction(15),
        road=(4.6, 10.6),
        pavements=((0.2, 4.4), (10.8, 13.0)),
        passage=(0.5, 3.9),
        away=0.0,
        walkable=(-5.0, 6.0, 0.8, 3.8),
        zone=(-3.5, 5.0, -4.4, -0.6),
        facade=13.6,
        trees=((8.0, -2.5), (14.0, -3.0), (20.0, 11.9)),
        lamps=((-3.0, 4.3), (8.0, 4.3), (19.0, 4.3)),
        palette=int(rng.integers(2**31)),
    )


def _sided(side: float, x0: float, x1: float, y0: float, y1: float) -> Rectangle:
    """The rectangle, or its mirror image in X."""
    return (x0, x1, y0, y1) if side > 0 else (-x1, -x0, y0, y1)
