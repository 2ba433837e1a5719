"""What normal and abnormal behaviour have in common: the place, the time and the ways that people take."""

from dataclasses import dataclass, field

import numpy as np

from wsvad.datasets.toy.people import Performance, person
from wsvad.datasets.toy.scene import Scene
from wsvad.datasets.toy.shapes import Actor


@dataclass(kw_only=True)
class Stage:
    """A scene at a certain time, with those who are on it so far."""

    scene: Scene
    frames: int
    night: bool
    sun: tuple[float, float] | None
    """Ground vector of the shadow of one metre; None at night and under clouds."""
    rng: np.random.Generator
    actors: list[Actor] = field(default_factory=list)

    @property
    def seconds(self) -> np.ndarray:
        """`(F,)` time of each frame."""
        return np.arange(self.frames) / float(self.scene.rate)

    def at(self, frame: int) -> float:
        return frame / float(self.scene.rate)

    def way(self, *keys: tuple[float, float, float]) -> np.ndarray:
        """`(F, 2)`: from each `(second, x, y)` straight to the next; it stands still before the first and after the
        last."""
        times, x, y = np.array(keys).T
        return np.column_stack([np.interp(self.seconds, times, x), np.interp(self.seconds, times, y)])

    def add(self, position: np.ndarray, action: str, **how: object) -> Actor:
        """Put a person on the stage."""
        act = Performance(position=position, rate=self.scene.rate, **how)  # type: ignore[arg-type]
        actor = person(act, self.scene.camera, self.rng, self.sun, action)
        self.actors.append(actor)
        return actor

    def pulse(self, start: float, end: float, ramp: float = 0.25) -> np.ndarray:
        """`(F,)`: 0, up to 1 within `ramp` seconds from `start`, down to 0 within `ramp` seconds until `end`."""
        return np.interp(self.seconds, [start, start + ramp, max(end - ramp, start + ramp), end], [0, 1, 1, 0])

    def spot(self, reach: float = 0.0) -> np.ndarray:
        """`(2,)`: a place where people linger, in view, and not within `reach` metres of the end of it."""
        spots = self.scene.spots
        x0, x1 = spots[:, 0].min(), spots[:, 0].max()
        inner = spots[(spots[:, 0] >= x0 + reach) & (spots[:, 0] <= x1 - reach)]
        return self.rng.choice(inner if len(inner) else spots) + self.rng.uniform(-0.2, 0.2, size=2)

    def side(self) -> float:
        """Sign of X of the side that somebody comes from or goes to."""
        return self.scene.away or float(self.rng.choice([-1.0, 1.0]))

    def pace(self) -> float:
        """Metres a second of somebody who walks."""
        return float(np.clip(self.rng.normal(1.35, 0.25), 0.8, 2.0))

    def come(self, place: np.ndarray, when: float, side: float | None = None) -> tuple[float, float, float]:
        """First key of a way that walks to `place` along the road and is there at `when`."""
        return 0.0, place[0] + (side or self.side()) * self.pace() * when, place[1] + self.rng.uniform(-0.3, 0.3)

    def go(self, place: np.ndarray, when: float, side: float | None = None) -> tuple[float, float, float]:
        """Last key of a way that walks away from `place` along the road at `when`."""
        left = max(self.seconds[-1] - when, 0.0) + 0.1
        return when + left, place[0] + (side or self.side()) * self.pace() * left, place[1]
