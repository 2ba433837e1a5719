"""What has wheels: cars, vans and bicycles, as boxes that are seen from the right sides."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH, Camera
from wsvad.datasets.toy.people import Performance, person, shade
from wsvad.datasets.toy.shapes import Actor, Colour, Part, in_picture

PAINT = (
    (168, 34, 34), (38, 70, 128), (200, 200, 204), (232, 232, 228), (52, 54, 58),
    (110, 114, 118), (66, 104, 76), (196, 150, 52),
)  # fmt: skip
GLASS = (58, 70, 82)
FACES = {  # corners of a box (front/back, left/right, bottom/top as bits 4, 2, 1) and the face's outward normal
    "back": ((0, 2, 3, 1), (-1, 0)),
    "front": ((4, 6, 7, 5), (1, 0)),
    "right": ((0, 4, 5, 1), (0, -1)),
    "left": ((2, 6, 7, 3), (0, 1)),
    "top": ((1, 5, 7, 3), None),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Metres: a lower box, and a cabin on it from `cabin[0]` to `cabin[1]` along the length (0 = middle)."""

    length: float
    width: float
    waist: float
    roof: float
    cabin: tuple[float, float]


CAR = Shape(length=4.3, width=1.78, waist=0.88, roof=1.48, cabin=(-1.75, 0.75))
BUS = Shape(length=9.0, width=2.4, waist=1.35, roof=2.9, cabin=(-4.4, 4.3))
VAN = Shape(length=5.2, width=1.95, waist=1.15, roof=2.15, cabin=(-2.5, 1.75))


def vehicle(
    position: np.ndarray, heading: np.ndarray, camera: Camera, rng: np.random.Generator,
    sun: tuple[float, float] | None, *, lights: bool, action: str, shape: Shape | None = None,
) -> Actor:  # fmt: skip
    """A car, van or bus that goes along `position` `(F, 2)`, looking towards `heading` `(F,)` radians from +X."""
    shape = shape or (CAR, VAN, BUS)[rng.choice(3, p=(0.6, 0.2, 0.2))]
    paint = PAINT[rng.integers(len(PAINT))]
    frame = _Frame(position, heading, camera)
    half, side = shape.length / 2, shape.width / 2
    parts = [*frame.wheels(half * 0.62, side, 0.32, far=True)]
    parts += frame.box(-half, half, side, 0.28, shape.waist, paint)
    glass = frame.box(*shape.cabin, side * 0.88, shape.waist, shape.roof, GLASS, top=shade(paint, 1.12))
    parts += [*glass, *frame.wheels(half * 0.62, side, 0.32, far=False), *frame.lamps(half, side, lights)]
    middle = np.column_stack([position, np.full(len(position), 0.7)])
    _, depth = camera.project(middle)
    outline = frame.corners(-half, half, side, 0.0, shape.roof)
    pixels, _ = camera.project(outline)
    shadow = []
    if sun:
        high = frame.corners(-half, half, side, 0.0, 1.2)[:, [1, 3, 7, 5]]
        high[..., :2] += high[..., 2:] * np.array(sun)
        high[..., 2] = 0
        ground = outline[:, [0, 2, 6, 4]]
        shadow = [
            Part(kind="polygon", points=camera.project(quad)[0], colour=(255, 255, 255))
            for quad in (ground, high, (ground + high) / 2)
        ]
    return Actor(
        kind="vehicle",
        parts=parts,
        depth=depth,
        shown=in_picture(pixels, depth, WIDTH, HEIGHT),
        shadow=shadow,
        beams=[frame.beam(half)] if lights else [],
        actions=[(0, len(depth), action)],
    )


def bicycle(
    position: np.ndarray, rate: Fraction, camera: Camera, rng: np.random.Generator, sun: tuple[float, float] | None
) -> list[Actor]:
    """A cyclist: the machine, and the person on it."""
    rider = person(Performance(position=position, rate=rate, pedal=True), camera, rng, sun, "ride")
    step = np.gradient(position, axis=0)
    frame = _Frame(position, np.arctan2(step[:, 1], step[:, 0]), camera)
    scale = camera.focal / np.maximum(rider.depth, 1.0)
    colour: Colour = (40, 40, 44)
    parts = [
        Part(kind="line", points=frame.ring(x, 0.0, 0.34), colour=colour, size=0.05 * scale) for x in (-0.52, 0.52)
    ]
    for line in (((-0.52, 0.34), (-0.1, 0.8), (0.42, 0.85), (0.52, 0.34)), ((-0.1, 0.8), (0.0, 0.32), (0.42, 0.85))):
        points = np.array([[x, 0.0, z] for x, z in line])
        parts.append(Part(kind="line", points=frame.place(points), colour=(150, 40, 36), size=0.06 * scale))
    machine = Actor(kind="bicycle", parts=parts, depth=rider.depth + 0.05, shown=rider.shown)
    return [machine, rider]


class _Frame:
    """The vehicle's own axes: x forwards, y to its left, z up, the origin on the ground under its middle."""

    def __init__(self, position: np.ndarray, heading: np.ndarray, camera: Camera):
        self.position, self.heading, self.camera = position, heading, camera
        to_camera = np.array(camera.position)[:2] - position
        cosine, sine = np.cos(heading), np.sin(heading)
        self.toward = np.stack(
            [to_camera[:, 0] * cosine + to_camera[:, 1] * sine, to_camera[:, 1] * cosine - to_camera[:, 0] * sine],
            axis=-1,
        )  # (F, 2): the camera, seen from the vehicle

    def world(self, points: np.ndarray) -> np.ndarray:
        """`(n, 3)` → `(F, n, 3)`."""
        cosine, sine = np.cos(self.heading)[:, None], np.sin(self.heading)[:, None]
        x = self.position[:, :1] + points[:, 0] * cosine - points[:, 1] * sine
        y = self.position[:, 1:] + points[:, 0] * sine + points[:, 1] * cosine
        return np.stack([x, y, np.broadcast_to(points[:, 2], x.shape)], axis=-1)

    def place(self, points: np.ndarray) -> np.ndarray:
        """`(n, 3)` → pixels `(F, n, 2)`."""
        return self.camera.project(self.world(points))[0]

    def corners(self, x0: float, x1: float, side: float, z0: float, z1: float) -> np.ndarray:
        return self.world(np.array([[x, y, z] for x in (x0, x1) for y in (-side, side) for z in (z0, z1)]))

    def box(
        self, x0: float, x1: float, side: float, z0: float, z1: float, colour: Colour, top: Colour | None = None
    ) -> list[Part]:
        """The faces that the camera can see, differently lit."""
        pixels, _ = self.camera.project(self.corners(x0, x1, side, z0, z1))
        ends, limits = {"back": 0.8, "front": 0.85, "left": 1.0, "right": 1.0}, (x0, x1)
        parts = []
        for name, (corners, normal) in FACES.items():
            if normal is None:
                parts.append(Part(kind="polygon", points=pixels[:, corners], colour=top or shade(colour, 1.18)))
                continue
            if normal[0]:
                shown = (self.toward[:, 0] - limits[normal[0] > 0]) * normal[0] > 0
            else:
                shown = self.toward[:, 1] * normal[1] > side
            parts.append(Part(kind="polygon", points=pixels[:, corners], colour=shade(colour, ends[name]), shown=shown))
        return parts

    def ring(self, x: float, y: float, radius: float) -> np.ndarray:
        """A closed wheel, pixels `(F, 13, 2)`."""
        angles = np.linspace(0, 2 * np.pi, 13)
        return self.place(
            np.stack([x + radius * np.cos(angles), np.full(13, y), radius * (1 + np.sin(angles))], axis=-1)
        )

    def wheels(self, x: float, side: float, radius: float, *, far: bool) -> list[Part]:
        parts = []
        for y in (-side, side):
            seen = self.toward[:, 1] * np.sign(y) > 0
            for middle in (-x, x):
                shown = ~seen if far else seen
                parts.append(
                    Part(kind="polygon", points=self.ring(middle, y, radius), colour=(26, 26, 28), shown=shown)
                )
                if not far:
                    hub = self.ring(middle, y * 1.01, radius * 0.5)
                    hub = hub + (self.ring(middle, y, radius).mean(axis=1) - hub.mean(axis=1))[:, None]
                    parts.append(Part(kind="polygon", points=hub, colour=(120, 122, 126), shown=shown))
        return parts

    def lamps(self, half: float, side: float, lights: bool) -> list[Part]:
        """White in front, red behind; they shine when the lights are on."""
        parts = []
        for x, colour in ((half, (255, 246, 214)), (-half, (214, 30, 24))):
            shown = (self.toward[:, 0] - x) * np.sign(x) > 0
            for y in (-side * 0.75, side * 0.75):
                point = self.world(np.array([[x, y, 0.68]]))
                pixels, depth = self.camera.project(point)
                size = (0.13 if x < 0 else 0.15) * self.camera.focal / np.maximum(depth[:, 0], 1.0)
                parts.append(Part(kind="disc", points=pixels, colour=colour, size=size, shown=shown, glow=lights))
        return parts

    def beam(self, half: float) -> np.ndarray:
        """Where the headlights fall on the ground."""
        return self.place(np.array([[half, -0.7, 0], [half + 8, -2.3, 0], [half + 8, 2.3, 0], [half, 0.7, 0.0]]))
