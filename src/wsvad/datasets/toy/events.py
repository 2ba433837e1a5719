"""Abnormal behaviour: each event puts its actors on the stage and says in which frames it is seen."""

from collections.abc import Callable

import numpy as np

from wsvad.datasets.toy.life import frame_of
from wsvad.datasets.toy.props import FENCE, explosion
from wsvad.datasets.toy.stage import Stage
from wsvad.datasets.toy.traffic import vehicle

Interval = tuple[int, int]


def running(stage: Stage, onset: float) -> Interval:
    """Somebody who walks breaks into a run, to and fro across the pavement; often somebody else gives chase."""
    rng = stage.rng
    start, speed = stage.spot(), rng.uniform(4.8, 6.2)
    places, times = [start], [onset]
    ends = onset + rng.uniform(2.6, 4.6)
    while times[-1] < ends:
        far = [spot for spot in (stage.spot() for _ in range(12)) if np.linalg.norm(spot - places[-1]) > 2.6]
        place = far[0] if far else stage.spot()
        times.append(times[-1] + max(float(np.linalg.norm(place - places[-1])), 0.5) / speed)
        places.append(place)
    end = times[-1]
    chasers = 1 + int(rng.random() < 0.6)
    for index in range(chasers):
        late, aside = 0.75 * index, rng.uniform(-0.3, 0.3, size=2) * index
        keys = [(time + late, *(place + aside)) for time, place in zip(times, places, strict=True)]
        first = stage.come(start + aside, onset + late)
        position = stage.way(first, *keys, stage.go(places[-1] + aside, end + late))
        actor = stage.add(position, "walk")
        actor.actions.append((frame_of(stage, onset + late), frame_of(stage, end + late), "run"))
    return frame_of(stage, onset), frame_of(stage, end + 0.75 * (chasers - 1))


def fight(stage: Stage, onset: float) -> Interval:
    """Two or three people walk up to one another and come to blows; then they part."""
    rng, place = stage.rng, stage.spot(0.8)
    end = onset + rng.uniform(3.0, 5.5)
    angle, members = rng.uniform(-0.5, 0.5), 2 + int(rng.random() < 0.35)
    first, last = frame_of(stage, onset), frame_of(stage, end)
    lunge = stage.pulse(onset, end) * 0.30
    beat = 2 * np.pi * stage.seconds
    push = np.column_stack([np.sin(beat * 1.25 + rng.uniform(0, 6)), 0.8 * np.sin(beat * 0.85 + rng.uniform(0, 6))])
    for index in range(members):
        direction = angle + index * 2 * np.pi / members
        own = place + 0.42 * np.array([np.cos(direction), np.sin(direction)])
        side = stage.scene.away or (1.0 if np.cos(direction) > 0 else -1.0)
        position = stage.way(stage.come(own, onset, side), (onset, *own), (end, *own), stage.go(own, end, side))
        jerk = np.sin(beat * 2.1 + index * 2)[:, None] * -np.array([np.cos(direction), np.sin(direction)]) * 0.22
        position = position + lunge[:, None] * push + (stage.pulse(onset, end)[:, None] * jerk)
        facing = np.full(stage.frames, direction + np.pi)
        walked = np.arctan2(0.0, -side)
        facing[:first], facing[last:] = walked, walked + np.pi
        actor = stage.add(position, "walk", facing=facing, punch=stage.pulse(onset, end))
        actor.actions.append((first, last, "fight"))
    return first, last


def fall(stage: Stage, onset: float) -> Interval:
    """Somebody drops to the ground in mid-step, thrashes about there, and at last gets up again."""
    rng, place, side = stage.rng, stage.spot(0.8), stage.side()
    down = onset + rng.uniform(0.45, 0.65)
    rise = down + rng.uniform(2.6, 4.6)
    end = rise + 1.1
    ahead = place - np.array([side * 0.7, 0.0])
    position = stage.way(
        stage.come(place, onset, side), (onset, *place), (down, *ahead), (end, *ahead), stage.go(ahead, end, -side)
    )
    lying = np.interp(stage.seconds, [onset, down, rise, end], [0, 1, 1, 0]) ** 1.5
    # Twice or three times it tries to sit up, and drops back.
    tries = np.maximum(0, np.sin(2 * np.pi * (stage.seconds - down) / rng.uniform(1.1, 1.5))) * stage.pulse(down, rise)
    struggle = np.interp(stage.seconds, [onset, down, rise, end], [0, 1, 1, 0])
    actor = stage.add(position, "walk", fall=lying * (1 - 0.35 * tries), struggle=struggle)
    first, bottom, last = (frame_of(stage, second) for second in (onset, down, end))
    actor.actions += [(first, bottom, "fall"), (bottom, last, "lie")]
    return first, last


def intrusion(stage: Stage, onset: float) -> Interval:
    """Somebody climbs over the fence and hurries about inside; sometimes climbs out again."""
    rng, scene = stage.rng, stage.scene
    x0, x1, y0, y1 = scene.zone
    inside = scene.visible((x0 + 0.6, x1 - 0.6, y0 + 0.6, y1 - 0.6), margin=8)
    nearest = inside[np.argsort(np.abs(inside - [0, scene.road[0]])[:, 1] + rng.uniform(0, 0.8, len(inside)))][0]
    x, middle = float(nearest[0]), (scene.passage[0] + scene.passage[1]) / 2
    edge, inwards = (y1, -1.0) if middle > y1 else (y0, 1.0)
    outside, within = np.array([x, edge - 0.5 * inwards]), np.array([x, edge + 0.6 * inwards])
    over = onset + 1.3
    places, times = [within], [over]
    ends = over + rng.uniform(3.0, 5.0)
    while times[-1] < ends:
        place = rng.choice(inside) + rng.uniform(-0.1, 0.1, size=2)
        times.append(times[-1] + max(float(np.linalg.norm(place - places[-1])), 0.4) / rng.uniform(2.0, 3.0))
        places.append(place)
    keys = [(time, *place) for time, place in zip(times, places, strict=True)]
    back = times[-1] + float(np.linalg.norm(places[-1] - within)) / 2.2
    out = back + 1.3
    keys += [(back, *within), (out, *outside)]
    lane = np.array([outside[0], np.clip(outside[1], *scene.passage)])
    arrive = max(onset - float(np.abs(lane - outside).sum()) / 1.3, 0.05)
    position = stage.way(
        stage.come(lane, arrive), (arrive, *lane), (onset, *outside), *keys,
        (out + 1.0, *lane), stage.go(lane, out + 1.0),
    )  # fmt: skip
    climbs = stage.pulse(onset, over, 0.3) + stage.pulse(back, out, 0.3)
    lift = FENCE * 0.95 * (_bump(stage, onset, over) + _bump(stage, back, out))
    actor = stage.add(position, "walk", climb=climbs, lift=lift)
    marks = [frame_of(stage, second) for second in (onset, over, back, out)]
    actor.actions += [(marks[0], marks[1], "climb"), (marks[1], marks[2], "trespass"), (marks[2], marks[3], "climb")]
    return marks[0], marks[3]


def _bump(stage: Stage, start: float, end: float) -> np.ndarray:
    inside = np.clip((stage.seconds - start) / (end - start), 0, 1)
    return np.sin(np.pi * inside) ** 0.7


def vehicle_on_pavement(stage: Stage, onset: float) -> Interval:
    """A car leaves the road, drives along the pavement, and leaves the picture or comes back to the road."""
    rng, scene = stage.rng, stage.scene
    near, far = scene.road
    low, high = scene.passage
    lane_y = near + 1.5 if abs(near - high) < abs(far - low) else far - 1.5
    kerb = near if lane_y == near + 1.5 else far
    y = high - 1.2 if kerb > high else low + 1.3
    direction, speed = rng.choice([-1.0, 1.0]), rng.uniform(3.6, 5.2)
    x0, x1 = scene.span(y)
    x0, x1 = max(x0, -9.0), min(x1, 12.0)
    entry = (x0 + 0.8 if direction > 0 else x1 - 0.8) + direction * rng.uniform(0, 2.5)
    length = x1 - x0 - abs(entry - (x0 if direction > 0 else x1)) + 2.0
    before, swerve = onset * 7.5, 3.2
    leave = onset + 0.8 + length / speed
    position = stage.way(
        (0.0, entry - direction * (before + swerve), lane_y),
        (onset - 0.4, entry - direction * (swerve + 2.0), lane_y),
        (onset + 0.8, entry, y),
        (leave, entry + direction * length, y),
        (leave + 1.0, entry + direction * (length + 5.0), lane_y),
        (leave + 10.0, entry + direction * (length + 75.0), lane_y),
    )
    width = max(1, round(float(scene.rate) * 0.5)) | 1
    kernel = np.full(width, 1 / width)
    position = np.column_stack([np.convolve(np.pad(p, width // 2, "edge"), kernel, "valid") for p in position.T])
    step = np.gradient(position, axis=0)
    heading = np.arctan2(step[:, 1], np.where(np.abs(step[:, 0]) < 1e-3, direction * 1e-3, step[:, 0]))
    actor = vehicle(position, heading, scene.camera, rng, stage.sun, lights=stage.night, action="drive")
    inner = (position[:, 1] < near + 0.6) if kerb == near else (position[:, 1] > far - 0.6)
    off_road = np.flatnonzero(inner & actor.shown)
    start, end = int(off_road[0]), int(off_road[-1]) + 1
    actor.actions.append((start, end, "mount"))
    stage.actors.append(actor)
    return start, end


def flash_and_smoke(stage: Stage, onset: float) -> Interval:
    """Something on the pavement goes up in a flash; thick smoke rises until it has thinned out."""
    end = onset + stage.rng.uniform(3.5, 5.5)
    first, last = frame_of(stage, onset), frame_of(stage, end)
    stage.actors.append(explosion(stage.spot(), first, last, stage.seconds, stage.scene.camera, stage.rng))
    return first, last


EVENTS: dict[str, Callable[[Stage, float], Interval]] = {
    "running": running,
    "fight": fight,
    "fall": fall,
    "intrusion": intrusion,
    "vehicle-on-pavement": vehicle_on_pavement,
    "explosion": flash_and_smoke,
}
"""Category → what puts it on the stage."""
