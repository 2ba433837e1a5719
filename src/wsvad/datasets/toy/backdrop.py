"""The part of the picture that never moves: ground, houses and sky, by casting one ray per pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH
from wsvad.datasets.toy.scene import Scene
from wsvad.datasets.toy.shapes import CLASSES

SKY, BUILDING, GROUND, ROAD, PAVEMENT, ZONE = range(6)
FAR = 200.0
"""Depth of the sky, metres."""


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """What the camera sees of an empty street, at twice the final size."""

    colour: np.ndarray
    """`(2·HEIGHT, 2·WIDTH, 3)` uint8, in daylight."""
    classes: np.ndarray
    """`(2·HEIGHT, 2·WIDTH)`, index into `CLASSES`."""
    depth: np.ndarray
    """`(2·HEIGHT, 2·WIDTH)` metres."""
    lamplight: np.ndarray
    """`(HEIGHT / 4, WIDTH / 4)` float32: how much of the street lamps' light each place gets, 0 to 1."""


def paint(scene: Scene) -> Backdrop:
    """Look from the scene's camera at its ground, its houses and its sky."""
    rng = np.random.default_rng(scene.palette)
    height, width = 2 * HEIGHT, 2 * WIDTH
    rays, eye = scene.camera.rays(width, height), np.array(scene.camera.position)
    with np.errstate(divide="ignore"):
        to_ground = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        to_wall = np.where(rays[..., 1] > 0, (scene.facade - eye[1]) / rays[..., 1], np.inf)
    depth = np.minimum(np.minimum(to_ground, to_wall), FAR)
    x, y, z = np.moveaxis(eye + depth[..., None] * rays, -1, 0)

    classes = np.full((height, width), SKY, dtype=np.uint8)
    ground = (to_ground <= to_wall) & (to_ground < FAR)
    wall = (to_wall < to_ground) & (to_wall < FAR) & (z < 9.5)
    classes[wall] = BUILDING
    classes[ground] = GROUND
    for y0, y1 in scene.pavements:
        classes[ground & (y >= y0) & (y < y1)] = PAVEMENT
    classes[ground & (y >= scene.road[0]) & (y < scene.road[1])] = ROAD
    x0, x1, y0, y1 = scene.zone
    classes[ground & (x >= x0) & (x < x1) & (y >= y0) & (y < y1)] = ZONE

    grain = _noise(rng)
    fine, coarse = _sample(grain, x * 17, y * 17 + z * 17), _sample(grain, x * 2.3, y * 2.3 + z * 1.7)
    colour = _sky(rng, height, width)
    colour[wall] = _houses(rng, x, z, coarse)[wall]
    colour[ground] = _surfaces(rng, scene, classes, x, y, depth, coarse)[ground]
    colour[classes != SKY] += (12 * fine + 5 * coarse)[classes != SKY, None]
    haze = (1 - np.exp(-depth / 150))[..., None]
    solid = (classes != SKY)[..., None]
    colour = np.where(solid, colour * (1 - haze) + 185 * haze, colour)
    return Backdrop(
        colour=np.clip(colour, 0, 255).astype(np.uint8),
        classes=classes,
        depth=depth.astype(np.float32),
        lamplight=_lamplight(scene, x, y, z, ground | wall),
    )


def _surfaces(rng, scene: Scene, classes, x, y, depth, coarse) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Colour of each ground point: slabs, asphalt with its markings, grass, gravel."""
    tint = rng.uniform(-10, 10, size=3)
    slab = np.array([158, 152, 144]) + tint
    colour = np.empty((*classes.shape, 3))
    colour[:] = np.array([88, 112, 66]) + rng.uniform(-8, 8, size=3)
    colour[classes == PAVEMENT] = slab
    joints = ((np.mod(x, 1.2) < 0.06) | (np.mod(y, 0.8) < 0.06)) & (depth < 28)
    colour[(classes == PAVEMENT) & joints] -= 26
    tone = np.floor(x / 1.2) * 7 + np.floor(y / 0.8) * 13
    colour[classes == PAVEMENT] += (6 * np.sin(tone * 12.9898))[classes == PAVEMENT, None]

    road = classes == ROAD
    near, far = scene.road
    middle = (near + far) / 2
    colour[road] = np.array([82, 82, 86]) + rng.uniform(-6, 6)
    colour[road & (np.abs(np.abs(y - middle) - (far - near) / 4) < 0.35)] -= 5  # tyre tracks
    colour[road & (np.abs(y - middle) < 0.07) & (np.mod(x, 4.0) < 2.2)] = 205
    for kerb in scene.road:
        colour[(np.abs(y - kerb) < 0.14) & (classes != ZONE)] = 188
        colour[(np.abs(y - kerb) < 0.05) & (classes != ZONE)] = 105

    zone = classes == ZONE
    x0, x1, y0, y1 = scene.zone
    colour[zone] = np.array([136, 118, 92]) + rng.uniform(-8, 8, size=3)
    rim = (x - x0 < 0.45) | (x1 - x < 0.45) | (y - y0 < 0.45) | (y1 - y < 0.45)
    hatch = np.mod(x + y, 0.8) < 0.4
    colour[zone & rim & hatch] = (205, 175, 50)
    colour[zone & rim & ~hatch] = (58, 54, 50)
    colour[zone] += (8 * coarse)[zone, None]
    return colour


def _houses(rng: np.random.Generator, x: np.ndarray, z: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Colour of each point of the wall: houses side by side, shop windows below, rows of windows above."""
    width = rng.uniform(6.5, 9.5)
    house = np.floor(x / width).astype(int)
    walls = np.array([[148, 98, 80], [176, 164, 142], [126, 120, 116], [164, 132, 98], [138, 148, 152]])
    walls = walls[rng.permutation(len(walls))] + rng.uniform(-8, 8, size=(len(walls), 3))
    colour = walls[house % len(walls)].astype(float)
    colour[np.mod(z, 0.3) < 0.05] -= 9
    u, v = np.mod(x, width) / width, np.mod(z - 3.2, 2.9) / 2.9
    window = (z > 3.2) & (np.abs(np.mod(u * 3, 1) - 0.5) < 0.26) & (np.abs(v - 0.5) < 0.29)
    frame = (z > 3.2) & (np.abs(np.mod(u * 3, 1) - 0.5) < 0.32) & (np.abs(v - 0.5) < 0.34)
    colour[frame] = 205
    colour[window] = np.array([62, 76, 92])
    colour[window] += (14 * coarse)[window, None]
    shop = (z < 2.6) & (z > 0.5) & (np.abs(u - 0.38) < 0.27)
    door = (z < 2.3) & (np.abs(u - 0.82) < 0.075)
    awning = (z >= 2.6) & (z < 3.05) & (np.abs(u - 0.38) < 0.31)
    signs = rng.uniform(50, 190, size=(7, 3))
    colour[awning] = signs[house % 7][awning]
    colour[shop] = np.array([74, 84, 88])
    colour[shop] += (16 * coarse)[shop, None]
    colour[door] = (signs[(house + 3) % 7] * 0.6)[door]
    colour[np.mod(x, width) < 0.18] -= 24
    return colour


def _sky(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    top = np.array([120, 158, 200]) + rng.uniform(-14, 14)
    ramp = np.linspace(0, 1, height)[:, None, None] * np.ones((1, width, 1))
    return top * (1 - ramp) + np.array([206, 210, 214]) * ramp


def _noise(rng: np.random.Generator) -> np.ndarray:
    """`(256, 256)` float32, smooth, about -1 to 1, and seamless at its borders."""
    noise = np.tile(rng.standard_normal((256, 256)).astype(np.float32), (3, 3))
    return cv2.GaussianBlur(noise, (0, 0), 1.2)[256:512, 256:512] * 4


def _sample(noise: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cv2.remap(
        noise,
        np.mod(x, 256).astype(np.float32),
        np.mod(y, 256).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _lamplight(scene: Scene, x: np.ndarray, y: np.ndarray, z: np.ndarray, solid: np.ndarray) -> np.ndarray:
    light = np.zeros_like(x)
    for lamp_x, lamp_y in scene.lamps:
        light += np.exp(-((x - lamp_x) ** 2 + (y - lamp_y) ** 2 + 0.6 * z**2) / (2 * 4.2**2))
    light = np.where(solid, np.minimum(light, 1.0), 0.0).astype(np.float32)
    return cv2.GaussianBlur(cv2.resize(light, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA), (0, 0), 1.5)


assert CLASSES[ZONE] == "zone"
