"""What is neither person nor vehicle: trees in the wind, birds, the fence, and an explosion's flash and smoke."""

from itertools import pairwise

import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH, Camera
from wsvad.datasets.toy.people import shade
from wsvad.datasets.toy.scene import Rectangle
from wsvad.datasets.toy.shapes import Actor, Part

FENCE = 1.25
"""Height of the fence, metres."""


def tree(
    place: tuple[float, float], seconds: np.ndarray, wind: float, camera: Camera, rng: np.random.Generator
) -> Actor:
    """A trunk, and a crown of discs that sway; `wind` is the sway in metres."""
    frames, height = len(seconds), rng.uniform(4.2, 5.5)
    foot = np.array([*place, 0.0])
    pixels, depth = camera.project(np.stack([foot, foot + [0, 0, height * 0.7]]))
    scale = camera.focal / max(float(depth[0]), 1.0)
    still = np.full(frames, scale)
    trunk = np.broadcast_to(pixels, (frames, 2, 2))
    parts = [Part(kind="line", points=trunk, colour=(84, 66, 50), size=0.28 * still)]
    green = (58, 92, 48)
    leaves = [(rng.normal(0, 0.85), rng.normal(0, 0.5), height + rng.normal(0, 0.7)) for _ in range(14)]
    for x, y, z in sorted(leaves, key=lambda leaf: leaf[2]):
        sway = wind * np.sin(2 * np.pi * (0.35 + 0.2 * rng.random()) * seconds + rng.uniform(0, 6.3))
        points = foot + np.stack([x + sway, np.full(frames, y), z + 0.3 * sway - 0.0], axis=-1)
        colour = shade(green, rng.uniform(0.75, 1.35))
        size = rng.uniform(0.55, 0.95) * still
        parts.append(Part(kind="disc", points=camera.project(points)[0][:, None], colour=colour, size=size))
    return Actor(kind="tree", parts=parts, depth=np.full(frames, depth[0]), shown=np.full(frames, depth[0] > 2))


def bird(seconds: np.ndarray, rng: np.random.Generator) -> Actor:
    """It crosses the upper part of the picture in two or three seconds, flapping."""
    start, speed, side = rng.uniform(0, seconds[-1]), rng.uniform(90, 150), rng.choice([-1, 1])
    x = WIDTH / 2 + side * speed * (seconds - start)
    y = rng.uniform(0.08, 0.45) * HEIGHT + 8 * np.sin(2 * seconds + rng.uniform(0, 6.3))
    flap, span = 4 * np.sin(2 * np.pi * 4.5 * seconds), rng.uniform(4, 7)
    points = np.stack(
        [np.stack([x + dx, y + dy], axis=-1) for dx, dy in ((-span, -flap), (0 * span, 0 * flap), (span, -flap))],
        axis=1,
    )
    size = np.full(len(seconds), 1.6)
    part = Part(kind="line", points=points, colour=(44, 44, 48), size=size)
    shown = (x > -10) & (x < WIDTH + 10)
    return Actor(kind="bird", parts=[part], depth=np.full(len(seconds), 6.0), shown=shown, actions=[(0, len(x), "fly")])


def fence(zone: Rectangle, frames: int, camera: Camera) -> list[Actor]:
    """Panels of posts, rails and wire around the zone; each is an actor, so that people stand before or behind it."""
    x0, x1, y0, y1 = zone
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])
    panels = []
    for start, end in pairwise(corners):
        count = max(1, round(float(np.linalg.norm(end - start)) / 1.5))
        posts = start + (end - start) * np.linspace(0, 1, count + 1)[:, None]
        panels += [_panel(a, b, frames, camera) for a, b in pairwise(posts)]
    return [panel for panel in panels if panel.depth[0] > 1.5]


def _panel(start: np.ndarray, end: np.ndarray, frames: int, camera: Camera) -> Actor:
    def line(points: list[tuple[float, float]]) -> np.ndarray:
        world = np.array([[*(start + (end - start) * along), up * FENCE] for along, up in points])
        return np.broadcast_to(camera.project(world)[0], (frames, len(points), 2))

    middle = np.array([*(start + end) / 2, FENCE / 2])
    depth = float(camera.project(middle)[1])
    scale = np.full(frames, camera.focal / max(depth, 1.0))
    zigzag = [(0.125 * index, 0.08 + 0.87 * (index % 2)) for index in range(9)]
    mirrored = [(along, 1.03 - up) for along, up in zigzag]
    parts = [
        Part(kind="line", points=line(zigzag), colour=(146, 148, 146), size=0.012 * scale),
        Part(kind="line", points=line(mirrored), colour=(126, 128, 126), size=0.012 * scale),
        Part(kind="line", points=line([(0, 0), (0, 1), (1, 1), (1, 0)]), colour=(178, 180, 176), size=0.05 * scale),
    ]
    return Actor(kind="fence", parts=parts, depth=np.full(frames, depth), shown=np.ones(frames, dtype=bool))


def explosion(
    place: np.ndarray, start: int, end: int, seconds: np.ndarray, camera: Camera, rng: np.random.Generator
) -> Actor:
    """A flash that hurls debris about, then a fire that flickers and dies down, and smoke that rises and spreads; all
    of it is gone at frame `end`."""
    frames = len(seconds)
    age = seconds - seconds[start]
    lasts = seconds[min(end, frames) - 1] - seconds[start]
    base = np.array([*place, 0.4])
    depth = float(camera.project(base)[1])
    scale = camera.focal / depth
    parts = [_smoke(base, age, lasts, scale, camera, rng) for _ in range(14)]
    parts += [_debris(base, age, scale, camera, rng) for _ in range(10)]
    parts += [_flame(base, age, lasts, scale, camera, rng) for _ in range(9)]
    actions = [(start, end, "smoke"), (start, min(end, start + int((age < 0.9).sum() - start)), "flash")]
    shown = (np.arange(frames) >= start) & (np.arange(frames) < end)
    return Actor(kind="smoke", parts=parts, depth=np.full(frames, depth), shown=shown, actions=actions)


def _smoke(base, age, lasts, scale, camera, rng) -> Part:  # type: ignore[no-untyped-def]
    born, drift = rng.uniform(0.03, 0.72) * lasts, rng.normal(0, 0.55, size=3)
    own = np.clip(age - born, 0, None)
    curl = 0.22 * np.sin(2 * np.pi * rng.uniform(0.5, 1.1) * own + rng.uniform(0, 6.3)) * np.minimum(own, 1.5)
    rise = np.stack([drift[0] * own + 0.4 * own + curl, drift[1] * own, 2.1 * own**0.85], axis=-1)
    life = np.clip(own / max(min(lasts - born, 2.4), 0.5), 0, 1)
    grey = int(rng.integers(34, 118))
    return Part(
        kind="puff",
        points=camera.project(base + rise + rng.normal(0, 0.25, size=3) * [1, 1, 0])[0][:, None],
        colour=(grey, grey, grey + 3),
        size=(0.40 + 0.85 * own**0.6) * scale,
        opacity=np.where(own > 0, 0.9 * np.minimum(1, own / 0.2) * (1 - life) ** 0.7, 0),
    )


def _debris(base, age, scale, camera, rng) -> Part:  # type: ignore[no-untyped-def]
    throw = np.array([rng.normal(0, 2.4), rng.normal(0, 1.6), rng.uniform(2.5, 6.0)])
    own = np.maximum(age, 0)[:, None]
    points = base + throw * own - [0, 0, 4.9] * own**2
    landed = points[:, 2] < 0.05
    points[:, 2] = np.maximum(points[:, 2], 0.05)
    return Part(
        kind="disc",
        points=camera.project(points)[0][:, None],
        colour=(44, 40, 38),
        size=np.full(len(age), rng.uniform(0.05, 0.12)) * scale,
        shown=(age >= 0) & (~landed | (age < 0.1)),
    )


def _flame(base, age, lasts, scale, camera, rng) -> Part:  # type: ignore[no-untyped-def]
    offset = rng.normal(0, 0.28, size=3) * [1, 1, 0.5] + [0, 0, 0.15]
    own, pace = np.maximum(age, 0), rng.uniform(1.6, 3.0)
    cycle = np.mod(own * pace + rng.random(), 1.0)  # each flame leaps up again and again
    points = base + offset + cycle[:, None] * [0.1, 0, 1.0] + np.exp(-own / 0.2)[:, None] * rng.normal(0, 0.5, size=3)
    dying = np.clip((0.95 * lasts - own) / max(0.3 * lasts, 0.1), 0, 1)
    burst = np.exp(-own / 0.25)
    return Part(
        kind="puff",
        points=camera.project(points)[0][:, None],
        colour=(255, int(rng.integers(140, 235)), int(rng.integers(30, 110))),
        size=(0.22 + 0.42 * (1 - cycle) * dying + 0.95 * burst) * scale,
        opacity=np.where(age >= 0, np.maximum(0.9 * (1 - cycle) * dying, burst), 0),
        glow=True,
    )
