"""One video before it is drawn: who does what in front of which camera, in which light."""

from dataclasses import dataclass

import numpy as np

from wsvad.datasets.toy.events import EVENTS
from wsvad.datasets.toy.life import everyday, stroll
from wsvad.datasets.toy.scene import Scene
from wsvad.datasets.toy.shapes import Actor
from wsvad.datasets.toy.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything that the renderer has to know."""

    scene: Scene
    frames: int
    night: bool
    rain: bool
    actors: list[Actor]
    intervals: list[tuple[int, int]]
    """Half-open and in order; empty in a normal video."""
    gain: np.ndarray
    """`(F,)` exposure: drift, flicker, automatic gain, an explosion's flash."""
    noise: float
    """Standard deviation of the sensor noise, grey levels."""
    crf: int
    """Compression of the video."""
    stamp: int | None
    """Seconds since midnight that the picture shows; None = it shows no time."""
    texture: int
    """Seed of noise and smoke."""

    def stamp_at(self, frame: int) -> str:
        assert self.stamp is not None
        clock = self.stamp + int(frame / self.scene.rate)
        camera = self.scene.name.upper()
        return f"CAM {camera}  {clock // 3600 % 24:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}"


def tell(scene: Scene, category: str, seed: np.random.SeedSequence, *, night: bool, busy: float) -> Story:
    """Invent a video of `category` (`normal` or one of `EVENTS`). The same arguments give the same story.

    Weather, traffic and everything else that is not the event are drawn in the same way for all categories. Where an
    abnormal video has its event, a normal one has people who stroll, so that how many there are tells nothing.

    Args:
        scene: before which camera.
        category: what happens.
        seed: the dice.
        night: whether it is dark.
        busy: from 0, a quiet street, to 1, rush hour.
    """
    rng = np.random.default_rng(seed)
    frames = round(float(scene.rate) * rng.uniform(10.0, 18.0))
    rain = bool(rng.random() < 0.15)
    sunny = not night and not rain and rng.random() < 0.75
    angle = rng.uniform(0, 2 * np.pi)
    sun = (0.8 * float(np.cos(angle)), 0.8 * float(np.sin(angle))) if sunny else None
    stage = Stage(scene=scene, frames=frames, night=night, sun=sun, rng=rng)
    everyday(stage, busy)
    intervals = []
    if category == "normal":
        stroll(stage)
    else:
        intervals = _abnormal(stage, category)
    gain = _exposure(stage, rain)
    if category == "explosion":
        for start, _ in intervals:
            age = stage.seconds - stage.at(start)
            gain = gain * np.where(age >= 0, 1 + 0.8 * np.exp(-np.maximum(age, 0) / 0.12), 1)
    hour = rng.integers(19, 24) if night else rng.integers(8, 18)
    return Story(
        scene=scene,
        frames=frames,
        night=night,
        rain=rain,
        actors=stage.actors,
        intervals=intervals,
        gain=gain,
        noise=float(rng.uniform(3.0, 5.0) if night else rng.uniform(1.5, 3.0)),
        crf=int(rng.integers(21, 30)),
        stamp=int(hour * 3600 + rng.integers(3600)) if rng.random() < 0.6 else None,
        texture=int(rng.integers(2**31)),
    )


def _abnormal(stage: Stage, category: str) -> list[tuple[int, int]]:
    """One event, or two if there is time."""
    duration, rng = float(stage.seconds[-1]), stage.rng
    event = EVENTS[category]
    start, end = event(stage, rng.uniform(0.15, 0.40) * duration)
    intervals = [(start, end)]
    again = stage.at(end) + rng.uniform(1.2, 2.2)
    if again < duration - 3.5 and rng.random() < 0.6:
        intervals.append(event(stage, again))
    return [(start, end) for start, end in intervals if end - start >= 4]


def _exposure(stage: Stage, rain: bool) -> np.ndarray:
    """Clouds that pass, a camera that re-adjusts itself suddenly, lamps that flicker: none of it means anything."""
    rng, seconds = stage.rng, stage.seconds
    gain = np.full(stage.frames, rng.uniform(0.88, 1.1) * (0.85 if rain else 1.0))
    gain *= 1 + rng.uniform(0.02, 0.10) * np.sin(2 * np.pi * seconds / rng.uniform(6, 18) + rng.uniform(0, 6.3))
    for _ in range(rng.poisson(0.6)):
        moment, lasts = rng.uniform(0, seconds[-1]), rng.uniform(1.5, 5.0)
        step = rng.choice([-1, 1]) * rng.uniform(0.06, 0.2)
        gain *= 1 + step * np.interp(
            seconds, [moment, moment + 0.8, moment + lasts, moment + lasts + 0.8], [0, 1, 1, 0]
        )
    if rng.random() < 0.3:
        gain *= 1 + rng.uniform(0.005, 0.015) * np.sin(2 * np.pi * rng.uniform(1.5, 5.0) * seconds)
    return gain
