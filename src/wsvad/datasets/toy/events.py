"""Abnormal behaviour: each event puts its actors on the stage and says in which frames it is seen."""

from collections.abc import Callable

import numpy as np

from wsvad.datasets.toy.life import frame_of
from wsvad.datasets.toy.people import smooth
from wsvad.datasets.toy.props import FENCE, explosion
from wsvad.datasets.toy.stage import Stage
from wsvad.datasets.toy.traffic import CAR, vehicle

Interval = tuple[int, int]


def running(stage: Stage, onset: float) -> Interval:
    """Somebody who walks breaks into a run, to and fro across the pavement; one or two others give chase."""
    rng = stage.rng
    speed, people = rng.uniform(5.2, 6.4), int(rng.integers(2, 4))
    return _run(stage, onset, onset + rng.uniform(3.6, 5.6), people, speed, apart=0.3)


def _run(stage: Stage, onset: float, end: float, people: int, speed: float, apart: float) -> Interval:
    """People run to and fro from `onset` until about `end`, one after the other, at most `apart` metres aside."""
    rng, start = stage.rng, stage.spot()
    places, times = [start], [onset]
    while times[-1] < end:
        far = [spot for spot in (stage.spot() for _ in range(12)) if np.linalg.norm(spot - places[-1]) > 2.6]
        place = far[0] if far else stage.spot()
        times.append(times[-1] + max(float(np.linalg.norm(place - places[-1])), 0.5) / speed)
        places.append(place)
    end = times[-1]
    for index in range(people):
        late, aside = 0.6 * index, rng.uniform(-apart, apart, size=2) * index
        keys = [(time + late, *(place + aside)) for time, place in zip(times, places, strict=True)]
        first = stage.come(start + aside, onset + late)
        position = stage.way(first, *keys, stage.go(places[-1] + aside, end + late))
        actor = stage.add(position, "walk")
        actor.actions.append((frame_of(stage, onset + late), frame_of(stage, end + late), "run"))
    return frame_of(stage, onset), frame_of(stage, end + 0.6 * (people - 1))


def fight(stage: Stage, onset: float) -> Interval:
    """Three or four people walk up to one another and come to blows; then they part."""
    rng, place = stage.rng, stage.spot(0.8)
    end = onset + rng.uniform(4.0, 6.5)
    angle, members = rng.uniform(-0.5, 0.5), int(rng.integers(3, 5))
    first, last = frame_of(stage, onset), frame_of(stage, end)
    lunge = stage.pulse(onset, end) * 0.45
    beat = 2 * np.pi * stage.seconds
    push = np.column_stack([np.sin(beat * 1.25 + rng.uniform(0, 6)), 0.8 * np.sin(beat * 0.85 + rng.uniform(0, 6))])
    for index in range(members):
        direction = angle + index * 2 * np.pi / members
        own = place + 0.42 * np.array([np.cos(direction), np.sin(direction)])
        side = stage.scene.away or (1.0 if np.cos(direction) > 0 else -1.0)
        position = stage.way(stage.come(own, onset, side), (onset, *own), (end, *own), stage.go(own, end, side))
        jerk = np.sin(beat * 2.1 + index * 2)[:, None] * -np.array([np.cos(direction), np.sin(direction)]) * 0.3
        position = position + lunge[:, None] * push + (stage.pulse(onset, end)[:, None] * jerk)
        facing = np.full(stage.frames, direction + np.pi)
        walked = np.arctan2(0.0, -side)
        facing[:first], facing[last:] = walked, walked + np.pi
        actor = stage.add(position, "walk", facing=facing, punch=stage.pulse(onset, end))
        actor.actions.append((first, last, "fight"))
    return first, last


def fall(stage: Stage, onset: float) -> Interval:
    """Somebody drops to the ground in mid-step and thrashes about; one kneels down to help, another runs for aid."""
    rng, place, side = stage.rng, stage.spot(0.8), stage.side()
    down = onset + rng.uniform(0.45, 0.65)
    rise = down + rng.uniform(3.6, 5.6)
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
    beside = ahead + np.array([0.0, 0.7])
    helps = stage.pulse(down + 0.6, end, 0.4)
    position = stage.way(
        stage.come(beside, down + 0.6, side), (down + 0.6, *beside), (end, *beside), stage.go(beside, end, -side)
    )
    helper = stage.add(position, "walk", crouch=helps, punch=0.7 * helps)
    helper.actions.append((frame_of(stage, down + 0.6), last, "help"))
    _, back = _run(stage, down, end - 1.0, 1, rng.uniform(4.5, 5.8), apart=0.0)
    return first, max(last, back)


def intrusion(stage: Stage, onset: float) -> Interval:
    """Two or three people climb over the fence, dash about inside, and climb out again."""
    number = int(stage.rng.integers(2, 4))
    both = [_intruder(stage, onset + 0.7 * index) for index in range(number)]
    return min(start for start, _ in both), max(end for _, end in both)


def _intruder(stage: Stage, onset: float) -> Interval:
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
        times.append(times[-1] + max(float(np.linalg.norm(place - places[-1])), 0.4) / rng.uniform(3.6, 4.8))
        places.append(place)
    keys = [(time, *place) for time, place in zip(times, places, strict=True)]
    back = times[-1] + float(np.linalg.norm(places[-1] - within)) / 3.0
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
    """A car leaves the road, careers to and fro on the pavement, and goes back to the road; people run for safety."""
    rng, scene = stage.rng, stage.scene
    near, far = scene.road
    low, high = scene.passage
    above = abs(near - high) < abs(far - low)
    lane, y = (near + 1.5, high - 1.2) if above else (far - 1.5, low + 1.3)
    direction, speed = rng.choice([-1.0, 1.0]), rng.uniform(3.8, 5.2)
    x0, x1 = scene.span(y)
    x0, x1 = max(x0, -9.0), min(x1, 12.0)
    reach = 0.55 * (x1 - x0)
    entry = (x0 + 0.2 * (x1 - x0) if direction > 0 else x1 - 0.2 * (x1 - x0)) + direction * rng.uniform(0, 1.0)
    first = onset + 0.8  # on the pavement; forwards until `turn`, backwards until `again`, forwards until `leave`
    turn, again = first + reach / speed, first + 1.8 * reach / speed
    leave = again + 0.8 * reach / speed
    keys = [
        (0.0, -onset * 7.5 - 3.2, lane), (onset - 0.4, -5.2, lane), (first, 0.0, y),
        (turn, reach, y - 0.4), (again, 0.2 * reach, y + 0.3), (leave, reach, y),
        (leave + 1.0, reach + 5.0, lane), (leave + 10.0, reach + 75.0, lane),
    ]  # fmt: skip
    position = stage.way(*[(second, entry + direction * along, across) for second, along, across in keys])
    position = np.column_stack([smooth(axis, scene.rate, 0.5) for axis in position.T])
    step = np.gradient(position, axis=0)
    backwards = (stage.seconds > turn) & (stage.seconds < again)
    sway = np.where(backwards, -1, 1) * step[:, 1]
    heading = np.arctan2(sway, direction * np.maximum(np.abs(step[:, 0]), 0.05))
    actor = vehicle(position, heading, scene.camera, rng, stage.sun, lights=stage.night, action="drive", shape=CAR)
    inner = (position[:, 1] < near + 0.6) if above else (position[:, 1] > far - 0.6)
    off_road = np.flatnonzero(inner & actor.shown)
    start, end = int(off_road[0]), int(off_road[-1]) + 1
    actor.actions.append((start, end, "mount"))
    stage.actors.append(actor)
    _, fled = _run(
        stage, stage.at(start), stage.at(end) - 1.5, int(rng.integers(1, 3)), rng.uniform(4.5, 5.8), apart=1.0
    )
    return start, max(end, fled)


def flash_and_smoke(stage: Stage, onset: float) -> Interval:
    """Something on the pavement goes up in a flash and burns; thick smoke rises, and people run about."""
    rng = stage.rng
    end = onset + rng.uniform(4.5, 6.5)
    first, last = frame_of(stage, onset), frame_of(stage, end)
    stage.actors.append(explosion(stage.spot(), first, last, stage.seconds, stage.scene.camera, rng))
    _, fled = _run(stage, onset, end - 1.5, int(rng.integers(1, 3)), rng.uniform(4.5, 5.8), apart=1.0)
    return first, max(last, fled)


EVENTS: dict[str, Callable[[Stage, float], Interval]] = {
    "running": running,
    "fight": fight,
    "fall": fall,
    "intrusion": intrusion,
    "vehicle-on-pavement": vehicle_on_pavement,
    "explosion": flash_and_smoke,
}
"""Category → what puts it on the stage."""
