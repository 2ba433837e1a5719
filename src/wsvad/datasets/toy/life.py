"""Normal behaviour, and it is rich: people walk, wait, talk, cross and squat, cars drive fast, trees sway."""

import numpy as np

from wsvad.datasets.toy.props import bird, fence, tree
from wsvad.datasets.toy.stage import Stage
from wsvad.datasets.toy.traffic import bicycle, vehicle


def everyday(stage: Stage, busy: float) -> None:
    """Fill the stage with a usual day. `busy` is 0 (quiet) to 1 (rush hour)."""
    rng, scene = stage.rng, stage.scene
    stage.actors += fence(scene.zone, stage.frames, scene.camera)
    wind = rng.uniform(0.03, 0.12)
    stage.actors += [tree(place, stage.seconds, wind, scene.camera, rng) for place in scene.trees]
    duration = stage.seconds[-1]
    for _ in range(1 + rng.binomial(round(0.36 * duration), 0.35 + 0.5 * busy)):
        passer_by(stage)
    if len(scene.pavements) > 1:
        for _ in range(rng.integers(0, 3)):
            far_passer_by(stage)
    for chance, what in ((0.4, talkers), (0.3, waiting), (0.3, squatting), (0.4, crossing)):
        if rng.random() < chance * (0.7 + 0.6 * busy):
            what(stage)
    traffic(stage, busy)
    for _ in range(rng.poisson(0.5)):
        stage.actors.append(bird(stage.seconds, rng))


def passer_by(stage: Stage) -> None:
    """One to three people who walk through the picture side by side."""
    rng, scene = stage.rng, stage.scene
    company = int(rng.choice([1, 1, 1, 2, 2, 3]))
    direction, pace = rng.choice([-1.0, 1.0]), stage.pace()
    low, high = scene.passage
    y = rng.uniform(low, high)
    x0, x1 = scene.span(y)
    x0, x1 = max(x0, -16), min(x1, 22)
    middle, moment = rng.uniform(x0, x1), rng.uniform(0, stage.seconds[-1])
    drift = rng.uniform(-0.06, 0.06)
    for index in range(company):
        x = middle + direction * pace * (stage.seconds - moment) + rng.uniform(-0.25, 0.25)
        offset = (index - (company - 1) / 2) * 0.75
        wander = 0.12 * np.sin(0.5 * stage.seconds + rng.uniform(0, 6.3))
        stage.add(np.column_stack([x, np.clip(y + offset + drift * (x - middle), low, high) + wander]), "walk")


def far_passer_by(stage: Stage) -> None:
    """Somebody on the pavement across the road."""
    rng = stage.rng
    y = rng.uniform(*stage.scene.pavements[1])
    x0, x1 = stage.scene.span(y)
    x = rng.uniform(x0, x1) + rng.choice([-1, 1]) * stage.pace() * (stage.seconds - rng.uniform(0, stage.seconds[-1]))
    stage.add(np.column_stack([x, np.full_like(x, y)]), "walk")


def talkers(stage: Stage) -> None:
    """Two people who face each other and talk with their hands."""
    place, angle = stage.spot(), stage.rng.uniform(0, 2 * np.pi)
    for sign in (-1, 1):
        position = place + sign * 0.45 * np.array([np.cos(angle), np.sin(angle)])
        position = position + 0.04 * np.sin(0.8 * stage.seconds[:, None] + stage.rng.uniform(0, 6.3, size=2))
        facing = np.full(stage.frames, angle + (np.pi if sign > 0 else 0.0))
        speaks = 0.5 + 0.5 * np.sin(0.9 * stage.seconds + (0 if sign > 0 else np.pi))
        stage.add(position, "talk", facing=facing, gesture=0.6 * speaks)


def waiting(stage: Stage) -> None:
    """Somebody who stands and looks around."""
    place, turn = stage.spot(), stage.rng.uniform(0, 6.3)
    facing = turn + 0.8 * np.sin(0.5 * stage.seconds + turn)
    stage.add(np.tile(place, (stage.frames, 1)), "stand", facing=facing)


def squatting(stage: Stage) -> None:
    """Somebody walks up, squats to tie a shoe, and walks on."""
    place, side = stage.spot(), stage.side()
    start = stage.rng.uniform(0.2, 0.6) * stage.seconds[-1]
    end = start + stage.rng.uniform(2.0, 4.0)
    position = stage.way(stage.come(place, start, side), (start, *place), (end, *place), stage.go(place, end))
    actor = stage.add(position, "walk", crouch=stage.pulse(start, end, 0.6))
    actor.actions.append((frame_of(stage, start), frame_of(stage, end), "squat"))


def crossing(stage: Stage) -> None:
    """Somebody crosses the road, walking."""
    rng, (near, far) = stage.rng, stage.scene.road
    x0, x1 = stage.scene.span((near + far) / 2)
    x0, x1 = max(x0, -6.0), min(x1, 10.0)
    x, moment, sign = rng.uniform(x0, x1), rng.uniform(0, stage.seconds[-1]), rng.choice([-1, 1])
    y = (near + far) / 2 + sign * stage.pace() * (stage.seconds - moment)
    low, high = near - 1.2, min(far + 1.2, stage.scene.facade - 0.4)
    turned = np.clip(y, low, high)
    along = x + rng.choice([-1, 1]) * np.abs(y - turned)
    actor = stage.add(np.column_stack([along, turned]), "walk")
    on_road = np.flatnonzero((turned > near) & (turned < far))
    if len(on_road):
        actor.actions.append((int(on_road[0]), int(on_road[-1]) + 1, "cross"))


def stroll(stage: Stage) -> None:
    """Several people walk up and down before the camera, for about as long as an event lasts."""
    rng = stage.rng
    for _ in range(rng.integers(4, 8)):
        moment = rng.uniform(0.1, 0.4) * stage.seconds[-1]
        end, place, pace = moment + rng.uniform(4.0, 9.0), stage.spot(), rng.uniform(1.2, 1.9)
        keys = [stage.come(place, moment), (moment, *place)]
        while moment < end:
            goal = stage.spot()
            moment, place = moment + max(float(np.linalg.norm(goal - place)), 0.4) / pace, goal
            keys.append((moment, *place))
        stage.add(stage.way(*keys, stage.go(place, moment)), "walk")


def traffic(stage: Stage, busy: float) -> None:
    """Cars, vans and cyclists in two lanes; each lane has its speed, and cars keep clear of people who cross."""
    rng, scene = stage.rng, stage.scene
    near, far = scene.road
    walkers = [(actor, start, end) for actor in stage.actors for start, end, name in actor.actions if name == "cross"]
    for lane, direction in ((0.26, 1.0), (0.74, -1.0)):
        y, speed = near + lane * (far - near), rng.uniform(4.0, 8.0)
        x0, x1 = scene.span(y)
        moment = -rng.exponential(2.5)
        while moment < stage.seconds[-1] + 1:
            moment += 1.3 + rng.exponential(6.5 - 5.7 * busy)
            x = (x0 + x1) / 2 + direction * speed * (stage.seconds - moment)
            if any(_meets(stage, x, y, *walker) for walker in walkers):
                continue
            path = np.column_stack([x, np.full_like(x, y) + rng.uniform(-0.15, 0.15)])
            if not ((x > x0 - 6) & (x < x1 + 6)).any():
                continue
            heading = np.full(stage.frames, 0.0 if direction > 0 else np.pi)
            lights = stage.night
            stage.actors.append(vehicle(path, heading, scene.camera, rng, stage.sun, lights=lights, action="drive"))
        if rng.random() < 0.3:
            x = rng.uniform(x0, x1) + direction * rng.uniform(3.2, 5.0) * (stage.seconds - rng.uniform(0, 12))
            edge = near + 0.45 if lane < 0.5 else far - 0.45
            stage.actors += bicycle(
                np.column_stack([x, np.full_like(x, edge)]), scene.rate, scene.camera, rng, stage.sun
            )


def _meets(stage: Stage, x: np.ndarray, y: float, walker, start: int, end: int) -> bool:  # type: ignore[no-untyped-def]
    """Whether a car at `x` would come within two metres of somebody who crosses in frames `[start, end)`."""
    feet = walker.ground[start:end] if walker.ground is not None else None
    if feet is None:
        return False
    return bool(((np.abs(x[start:end] - feet[:, 0]) < 3.5) & (np.abs(y - feet[:, 1]) < 1.7)).any())


def frame_of(stage: Stage, second: float) -> int:
    """The frame at that second, inside the video."""
    return int(np.clip(round(second * float(stage.scene.rate)), 0, stage.frames))
