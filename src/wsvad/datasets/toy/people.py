"""Walkers: a skeleton with swinging limbs, its 17 keypoints, and the shapes that clothe it.

A `Performance` says what a body does in each of F frames; `person` turns it into an actor before a camera.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH, Camera
from wsvad.datasets.toy.shapes import Actor, Colour, Part, in_picture

LIMBS = ((5, 7, 9), (6, 8, 10), (11, 13, 15), (12, 14, 16))
"""Left arm, right arm, left leg, right leg, as COCO keypoints from the trunk outwards."""
SKIN = ((224, 182, 150), (198, 146, 108), (140, 96, 66), (92, 62, 46))
CLOTHES = (
    (176, 52, 46), (46, 84, 150), (58, 112, 74), (220, 214, 202), (48, 48, 54), (202, 160, 60),
    (120, 72, 130), (90, 100, 112), (206, 108, 50), (62, 138, 150),
)  # fmt: skip
TROUSERS = ((44, 48, 62), (68, 76, 100), (92, 82, 68), (34, 34, 36), (120, 112, 100))


@dataclass(kw_only=True)
class Performance:
    """What one body does, frame by frame; all `(F,)` but `position`."""

    position: np.ndarray
    """`(F, 2)` metres on the ground."""
    rate: Fraction
    """Frames per second."""
    facing: np.ndarray | None = None
    """Radians from +X towards +Y; None = where it goes."""
    punch: np.ndarray | float = 0.0
    """0 = no, 1 = both fists fly and a leg kicks."""
    gesture: np.ndarray | float = 0.0
    """0 = hands down, 1 = talking with the hands."""
    crouch: np.ndarray | float = 0.0
    """0 = upright, 1 = squatting."""
    fall: np.ndarray | float = 0.0
    """0 = upright, 1 = flat on the ground."""
    struggle: np.ndarray | float = 0.0
    """0 = limbs still, 1 = limbs thrash (of somebody who lies)."""
    lift: np.ndarray | float = 0.0
    """Metres above the ground."""
    climb: np.ndarray | float = 0.0
    """0 = no, 1 = hands and feet on a fence."""
    pedal: bool = False
    """It sits on a bicycle."""
    shown: np.ndarray | None = None
    """Frames in which it is there at all; None = all."""

    def speed(self) -> np.ndarray:
        """`(F,)` metres a second, averaged over 0.3 s."""
        step = np.linalg.norm(np.gradient(self.position, axis=0), axis=1) * float(self.rate)
        return smooth(step, self.rate, 0.3)

    def heading(self) -> np.ndarray:
        """`(F,)` radians: `facing`, or where it goes; one that stands keeps looking where it went."""
        if self.facing is not None:
            return self.facing
        step = np.gradient(self.position, axis=0) * float(self.rate)
        step = np.column_stack([smooth(step[:, 0], self.rate, 0.35), smooth(step[:, 1], self.rate, 0.35)])
        moving = np.linalg.norm(step, axis=1) > 0.15
        if not moving.any():
            return np.zeros(len(step))
        index = np.maximum.accumulate(np.where(moving, np.arange(len(step)), np.argmax(moving)))
        return np.unwrap(np.arctan2(step[index, 1], step[index, 0]))


def smooth(values: np.ndarray, rate: Fraction, seconds: float) -> np.ndarray:
    """Average over a centred window; the ends are repeated."""
    width = max(1, round(float(rate) * seconds)) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def skeleton(act: Performance, rng: np.random.Generator) -> np.ndarray:
    """`(F, 17, 3)`: COCO's keypoints in the world, metres."""
    frames, rate = len(act.position), float(act.rate)
    speed, seconds = act.speed(), np.arange(frames) / rate
    running = np.clip((speed - 2.3) / 1.5, 0, 1)
    stride = np.where(speed > 0.05, 0.75 + 0.5 * speed, 1.0) * (1 - 0.1 * running)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(speed / stride) / rate
    wobble = rng.uniform(0, 2 * np.pi)

    # Angles of the limbs in the body's own plane, left then right: (F, 2), positive forwards.
    side = np.array([0.0, np.pi])
    swing = np.sin(phase[:, None] + side)
    vigour = (np.clip(speed / 1.4, 0, 1) * (0.42 + 0.35 * running))[:, None]
    hip = vigour * swing + 0.12 * running[:, None]
    knee = vigour * (0.9 + 0.9 * running[:, None]) * np.maximum(0, np.cos(phase[:, None] + side)) + 0.08
    shoulder = -vigour * 0.95 * swing
    elbow = 0.2 + 1.35 * running[:, None] + 0.15 * np.abs(swing)
    lean = 0.03 + 0.2 * running

    beat = seconds[:, None] * 2 * np.pi
    shoulder, elbow = (
        _mix(shoulder, 0.5 + 0.35 * np.sin(beat * 0.9 + wobble + side), act.gesture),
        _mix(elbow, 1.3 + 0.5 * np.sin(beat * 1.3 + wobble + side), act.gesture),
    )
    blow = np.maximum(0, np.sin(beat * 2.1 + wobble + side))
    shoulder, elbow = _mix(shoulder, 0.7 + 1.0 * blow, act.punch), _mix(elbow, 2.1 - 2.0 * blow, act.punch)
    kick = np.maximum(0, np.sin(beat * 0.9 + wobble + side)) ** 6
    hip, knee = _mix(hip, 0.1 + 1.3 * kick, act.punch), _mix(knee, 0.3 + 0.5 * kick, act.punch)
    lean = lean + 0.28 * np.sin(beat[:, 0] * 2.1 + wobble) * act.punch + 0.7 * np.asarray(act.crouch)
    hip, knee = _mix(hip, np.array([1.9, 1.2]), act.crouch), _mix(knee, np.array([2.2, 2.0]), act.crouch)
    thrash = np.sin(beat * np.array([2.1, 2.6]) + wobble)
    hip, knee = _mix(hip, 0.6 + 0.7 * thrash, act.struggle), _mix(knee, 0.9 - 0.6 * thrash, act.struggle)
    shoulder = _mix(shoulder, 1.2 + 1.1 * np.sin(beat * np.array([2.4, 1.9]) + 2 * wobble), act.struggle)
    reach = np.sin(beat * 1.4 + wobble + side)
    shoulder, elbow = _mix(shoulder, 2.3 + 0.4 * reach, act.climb), _mix(elbow, 0.5 - 0.4 * reach, act.climb)
    hip, knee = _mix(hip, 0.9 - 0.7 * reach, act.climb), _mix(knee, 1.2 - 0.8 * reach, act.climb)
    if act.pedal:
        turn = np.cumsum(speed / 5.0)[:, None] / rate * 2 * np.pi + side
        hip, knee = 1.15 + 0.32 * np.sin(turn), 1.45 + 0.35 * np.cos(turn)
        shoulder, elbow, lean = np.full_like(hip, 0.75), np.full_like(hip, 0.35), np.full(frames, 0.5)

    body = _assemble(hip, knee, shoulder, elbow, lean, rng.uniform(1.6, 1.88))
    lowest = 0.32 if act.pedal else body[:, 15:17, 2].min(axis=1) - 0.06
    body[..., 2] -= np.reshape(lowest, (-1, 1))
    if act.pedal:
        body[..., 2] += 0.32 + 0.6 - body[:, 11, 2].mean()
    body = _topple(body, np.broadcast_to(act.fall, frames))
    heading = act.heading()
    cosine, sine = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x = act.position[:, :1] + body[..., 0] * cosine - body[..., 1] * sine
    y = act.position[:, 1:] + body[..., 0] * sine + body[..., 1] * cosine
    return np.stack([x, y, body[..., 2] + np.reshape(act.lift, (-1, 1))], axis=-1)


def _mix(base: np.ndarray, other: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    """Blend `(F, 2)` angles by a weight `(F,)`."""
    weight = np.reshape(np.asarray(weight, dtype=float), (-1, 1))
    return base * (1 - weight) + other * weight


def _assemble(hip, knee, shoulder, elbow, lean, stature) -> np.ndarray:  # type: ignore[no-untyped-def]
    """`(F, 17, 3)`: keypoints of an upright body about its pelvis; x forwards, y to its left, z up."""
    body = np.zeros((len(hip), 17, 3))
    up = stature * 0.30 * np.stack([np.sin(lean), np.zeros_like(lean), np.cos(lean)], axis=-1)
    head = up * (0.42 / 0.30)
    for offset, (forward, left, top) in enumerate(
        [(0.11, 0, 0.0), (0.09, 0.03, 0.03), (0.09, -0.03, 0.03), (0.0, 0.07, 0.0), (0.0, -0.07, 0.0)]
    ):
        body[:, offset] = head + np.array([forward, left, top])
    for index, left in enumerate((1, -1)):
        body[:, 5 + index] = up + np.array([0, 0.19 * left, 0])
        body[:, 11 + index] = np.array([0, 0.10 * left, 0])
        upper, lower = hip[:, index], hip[:, index] - knee[:, index]
        body[:, 13 + index] = body[:, 11 + index] + stature * 0.245 * _swung(upper)
        body[:, 15 + index] = body[:, 13 + index] + stature * 0.245 * _swung(lower)
        upper, lower = shoulder[:, index] + lean, shoulder[:, index] + elbow[:, index] + lean
        body[:, 7 + index] = body[:, 5 + index] + stature * 0.17 * _swung(upper)
        body[:, 9 + index] = body[:, 7 + index] + stature * 0.16 * _swung(lower)
    return body


def _swung(angle: np.ndarray) -> np.ndarray:
    """Unit vectors `(F, 3)` that hang down at 0 and point forwards at π/2."""
    return np.stack([np.sin(angle), np.zeros_like(angle), -np.cos(angle)], axis=-1)


def _topple(body: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """Turn the body about its feet to one side and forwards until it lies."""
    angle = (fall * 1.48)[:, None]
    along, z = body[..., 0] * 0.6 + body[..., 1] * 0.8, body[..., 2]
    across = body[..., 0] * 0.8 - body[..., 1] * 0.6
    turned = along * np.cos(angle) + z * np.sin(angle)
    z = z * np.cos(angle) - along * np.sin(angle) + 0.10 * np.sin(angle)
    z = z - np.minimum(z.min(axis=1, keepdims=True) - 0.05, 0)
    return np.stack([turned * 0.6 + across * 0.8, turned * 0.8 - across * 0.6, z], axis=-1)


def person(
    act: Performance, camera: Camera, rng: np.random.Generator, sun: tuple[float, float] | None, action: str
) -> Actor:
    """Dress the skeleton and look at it. `sun` is the ground vector of the shadow of one metre, None at night."""
    world = skeleton(act, rng)
    pixels, depths = camera.project(world)
    depth = depths.mean(axis=1)
    scale = camera.focal / np.maximum(depth, 1.0)
    shirt, trousers = CLOTHES[rng.integers(len(CLOTHES))], TROUSERS[rng.integers(len(TROUSERS))]
    skin = SKIN[rng.integers(len(SKIN))]
    hair = ((40, 32, 28), (84, 58, 38), (150, 122, 78), (120, 118, 116))[rng.integers(4)]
    left_is_far = bool(np.median(depths[:, 5] - depths[:, 6]) > 0)
    far, near = ((0, 2), (1, 3)) if left_is_far else ((1, 3), (0, 2))

    def limb(which: int, colour: Colour, metres: float) -> Part:
        return Part(kind="line", points=pixels[:, list(LIMBS[which])], colour=colour, size=metres * scale)

    def end(which: int, colour: Colour, metres: float) -> Part:
        return Part(kind="disc", points=pixels[:, [LIMBS[which][2]]], colour=colour, size=metres * scale)

    trunk = pixels[:, [5, 6, 12, 11]]
    spine = np.stack([pixels[:, [5, 6]].mean(axis=1), pixels[:, [11, 12]].mean(axis=1)], axis=1)
    head = pixels[:, [3, 4]].mean(axis=1)[:, None]
    crown = head + (head - spine[:, :1]) * 0.22
    parts = [
        limb(far[0], shade(shirt, 0.72), 0.10), end(far[0], shade(skin, 0.85), 0.06),
        limb(far[1], shade(trousers, 0.75), 0.15), end(far[1], (30, 26, 24), 0.08),
        limb(near[1], trousers, 0.16), end(near[1], (38, 32, 30), 0.085),
        Part(kind="line", points=spine, colour=shirt, size=0.27 * scale),
        Part(kind="polygon", points=trunk, colour=shirt),
        Part(kind="line", points=trunk[:, [0, 1]], colour=shirt, size=0.13 * scale),
        Part(kind="line", points=np.concatenate([spine[:, :1], head], axis=1), colour=skin, size=0.10 * scale),
        Part(kind="disc", points=crown, colour=hair, size=0.125 * scale),
        Part(kind="disc", points=head + (pixels[:, :1] - head) * 0.35, colour=skin, size=0.105 * scale),
        limb(near[0], shade(shirt, 0.88), 0.105), end(near[0], skin, 0.062),
    ]  # fmt: skip
    shown = in_picture(pixels, depth, WIDTH, HEIGHT)
    if act.shown is not None:
        shown &= act.shown
    return Actor(
        kind="person",
        parts=parts,
        depth=depth,
        shown=shown,
        shadow=_shadow(world, camera, scale, sun) if sun else [],
        ground=act.position,
        joints=pixels,
        actions=[(0, len(depth), action)],
    )


def _shadow(world: np.ndarray, camera: Camera, scale: np.ndarray, sun: tuple[float, float]) -> list[Part]:
    """The body's outline on the ground, away from the sun."""
    flat = world.copy()
    flat[..., :2] += world[..., 2:] * np.array(sun)
    flat[..., 2] = 0
    pixels, _ = camera.project(flat)
    lines = [(LIMBS[2], 0.14), (LIMBS[3], 0.14), (LIMBS[0], 0.09), (LIMBS[1], 0.09), ((5, 11), 0.3), ((6, 12), 0.3)]
    shadow = [Part(kind="line", points=pixels[:, list(line)], colour=(255,) * 3, size=w * scale) for line, w in lines]
    return [*shadow, Part(kind="disc", points=pixels[:, [3]], colour=(255,) * 3, size=0.12 * scale)]


def shade(colour: Colour, factor: float) -> Colour:
    """The same colour, darker or lighter."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
