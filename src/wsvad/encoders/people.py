"""What `pose:FILE` makes of a network that finds several people: how many there are, and what they do together.

Such a network is recognised by its output. MoveNet MultiPose gives `[1, 6, 56]`, six people with 17 keypoints (y, x,
score), a box (y0, x0, y1, x1) and a score. YOLO's pose networks give `[1, 56, N]` or `[1, N, 56]`, boxes as middle,
width and height with a score and 17 keypoints (x, y, score), of which many show the same person; or `[1, N, 57]`, boxes
as corners with score, class and keypoints.

Place, size and speed come from boxes, which hold where keypoints are too small to see; angles from keypoints whose
score is at least `SEEN`. All numbers but `x` are the same in a mirror.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from wsvad.encoders.detections import (
    OVERLAP,
    Found,
    corners,
    distances,
    follow,
    found_in,
    from_corners,
    overlaps,
)
from wsvad.encoders.image_network import ImageNetwork
from wsvad.encoders.pooling import extremes, masked, ranges
from wsvad.encoders.skeleton import HIPS, KEYPOINTS, LIMBS, SEEN, SHOULDERS, direction, middle

BODY = (
    *("score", "x", "y", "size", "upright", "seen"),
    *("trunk", "upper arms", "forearms", "thighs", "shins", "elbows", "knees"),
)
MOTION = ("speed", "limb speed", "fastest limb")
SCENE = ("people", "closeness", "overlap")
OVER_PEOPLE = ("mean", "spread", "lowest", "highest")
FRAMES = 4
"""Of a snippet, unless the YAML file says otherwise; such a network takes ten times as long as one for one person."""
SHORTER = 256
"""Of the picture's sides, for a network that takes any size."""


def dimensions() -> dict[str, slice]:
    """The part of the feature that each name stands for, in order. Of each frame there are

    * `scene`, 3: the number of people; the closeness of the two nearest, 1 / (1 + distance), where the distance is from
      middle to middle of their boxes in the mean size of the two; and the largest intersection over union of two boxes.
      The last two are 0 to 1, and 0 where there are fewer than two people;
    * `mean body`, `spread body`, `lowest body`, `highest body`, 13 each, over people, of: the score; the middle of the
      box, `x` and `y`, 0 to 1; the size (the diagonal of the box) in heights of the picture, from 0.02; how upright the
      box is, height / (height + width); the share of keypoints seen; how far the trunk, the upper arms, forearms,
      thighs and shins point up (1), to the side (0) or down (-1), each the mean of left and right; how bent elbows and
      knees are, 0 (straight) to 1;
    * `mean motion`, `spread motion`, `lowest motion`, `highest motion`, 3 each, over the people who are in this frame
      and the next sampled one (4 frames later in a full snippet): how far the middle of the box goes, how far keypoints
      go against it on average, and the one that goes furthest; in sizes, from 0.

    The feature has `mean <part>`, then `deviation <part>`, over the frames in which it is known, 0 where that is none,
    and last `peak motion`, the highest of all."""
    parts = {"scene": len(SCENE)}
    parts |= {f"{statistic} body": len(BODY) for statistic in OVER_PEOPLE}
    parts |= {f"{statistic} motion": len(MOTION) for statistic in OVER_PEOPLE}
    named = {f"{statistic} {name}": size for statistic in ("mean", "deviation") for name, size in parts.items()}
    return ranges(named | {"peak motion": len(MOTION)})


@dataclass(frozen=True)
class Form:
    """How a kind of network writes what it found."""

    name: str
    read: Callable[[np.ndarray], Found]
    """Rows of one frame, `(N, W)` → people."""
    score: float
    """Of a person that is there, at least, unless the YAML file says otherwise."""
    pixels: tuple[float, float, float]
    """Scale, mean and deviation of a float input."""
    fill: int
    """The grey level around the picture that it was trained with."""


def _read_movenet(rows: np.ndarray) -> Found:
    keypoints = rows[:, :51].reshape(-1, KEYPOINTS, 3)[..., [1, 0, 2]]
    return from_corners(rows[:, [52, 51, 54, 53]], rows[:, 55], keypoints=keypoints)


def _read_yolo(rows: np.ndarray) -> Found:
    return from_corners(corners(rows[:, :4]), rows[:, 4], keypoints=rows[:, 5:].reshape(-1, KEYPOINTS, 3))


def _read_yolo_end_to_end(rows: np.ndarray) -> Found:
    return from_corners(rows[:, :4], rows[:, 4], keypoints=rows[:, 6:].reshape(-1, KEYPOINTS, 3))


# Of 18 boxes with scores of 0.15 to 0.2 that were looked at, in footage of surveillance cameras, all 18 held a person.
MOVENET = Form("MoveNet MultiPose", _read_movenet, score=0.15, pixels=(1.0, 0.0, 1.0), fill=0)
YOLO = Form("YOLO", _read_yolo, score=0.25, pixels=(1 / 255, 0.0, 1.0), fill=114)
YOLO_END_TO_END = Form("YOLO end to end", _read_yolo_end_to_end, score=0.25, pixels=(1 / 255, 0.0, 1.0), fill=114)


def form_of(shape: tuple[int, ...]) -> Form | None:
    """The form of an output, where it is one of several people."""
    if len(shape) != 3:
        return None
    if shape[1:] == (6, 56):
        return MOVENET
    if 56 in shape[1:]:
        return YOLO
    return YOLO_END_TO_END if shape[2] == 57 else None


class People:
    """How `pose:FILE` reads a network that finds several people."""

    width = dimensions()["peak motion"].stop

    def __init__(self, network: ImageNetwork, form: Form):
        """Settle what the form says and the YAML file leaves open."""
        self._network, self._form = network, form
        scale, mean, std = form.pixels
        network.prefer(frames=FRAMES, score=form.score, scale=scale, mean=mean, std=std)
        self._score: float = network.asked.score
        self.settings: dict[str, object] = {"version": 1, "seen": SEEN, "fit": f"pad {form.fill}"}
        self.settings |= {"form": form.name, "overlap": OVERLAP}
        if network.free:
            self.settings["size"] = f"shorter side {SHORTER}"

    def feature(self, frames: np.ndarray) -> np.ndarray:
        """One snippet, `(count, h, w, 3)` uint8 of any size → `(D,)`."""
        found = found_in(self._network, frames, self._read, score=self._score, shorter=SHORTER, fill=self._form.fill)
        return describe(found, frames.shape[2] / frames.shape[1])

    def _read(self, frame: np.ndarray) -> Found:
        ((rows,),) = self._network.run(frame, outputs=[self._network.output])
        return self._form.read(rows.T if self._form is YOLO and rows.shape[1] != 56 else rows)


def describe(frames: list[Found], aspect: float) -> np.ndarray:
    """The feature of one snippet, `(D,)`.

    Args:
        frames: the people in each frame, in heights of the picture.
        aspect: the picture's width over its height.
    """
    bodies = [_over_people(*_bodies(people, aspect)) for people in frames]
    pairs = list(pairwise(frames)) or [(frames[0], frames[0])]  # one frame shows no motion
    motions = [_over_people(*_motions(*pair)) for pair in pairs]
    scene = np.stack([_scene(people) for people in frames])
    parts = [(scene, np.ones_like(scene, dtype=bool)), *map(_stacked, (bodies, motions))]
    means, deviations = zip(*(masked(*part) for part in parts), strict=True)
    peak = extremes(*_stacked(motions))[1][-len(MOTION) :]
    return np.concatenate([*means, *deviations, peak])


def _stacked(frames: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    values, known = zip(*frames, strict=True)
    return np.stack(values), np.stack(known)


def _over_people(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of people, `(P, W)` → their `OVER_PEOPLE`, `(4 W,)`, and which are known of anybody."""
    pooled = np.concatenate([*masked(values, known), *extremes(values, known)])
    return pooled, np.tile(known.any(0), len(OVER_PEOPLE))


def _scene(people: Found) -> np.ndarray:
    """The numbers of `SCENE`."""
    count = len(people)
    if count < 2:
        return np.array([count, 0.0, 0.0])
    others = ~np.eye(count, dtype=bool)
    nearest = distances(people, people)[others].min()
    return np.array([count, 1 / (1 + nearest), overlaps(people.boxes, people.boxes)[others].max()])


def _bodies(people: Found, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of `BODY` of each person, `(P, 13)`, and which of them are known."""
    points, seen = people.keypoints[..., :2], people.keypoints[..., 2] >= SEEN
    width, height = (people.boxes[:, 2:] - people.boxes[:, :2]).T
    boxes = [people.scores, *(people.middles / [aspect, 1]).T, people.sizes, height / (height + width), seen.mean(1)]
    (hips, has_hips), (shoulders, has_shoulders) = (middle(points, seen, pair) for pair in (HIPS, SHOULDERS))
    trunk, has_trunk = -direction(shoulders - hips)[:, 1:], (has_hips & has_shoulders)[:, None]
    start, end = np.array(LIMBS).T
    # Arms or legs, left or right, upper or lower.
    limbs = direction(points[:, end] - points[:, start]).reshape(-1, 2, 2, 2, 2)
    has_limbs = (seen[:, start] & seen[:, end]).reshape(-1, 2, 2, 2)
    bends = (1 - (limbs[..., 0, :] * limbs[..., 1, :]).sum(-1)) / 2
    up, has_up = _of_both_sides(-limbs[..., 1], has_limbs)
    bent, has_bent = _of_both_sides(bends, np.logical_and(has_limbs[..., 0], has_limbs[..., 1]))
    known = np.ones((len(people), len(boxes)), dtype=bool)
    return (
        np.concatenate([np.stack(boxes, axis=1), trunk, up, bent], axis=1),
        np.concatenate([known, has_trunk, has_up, has_bent], axis=1),
    )


def _of_both_sides(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(P, 2, 2, …)`, left and right in the third axis → the mean of those that are known, `(P, …)`, and which are."""
    mean, _ = masked(np.moveaxis(values, 2, 0), np.moveaxis(known, 2, 0))
    flat = len(mean), prod(mean.shape[1:])
    return mean.reshape(flat), known.any(2).reshape(flat)


def _motions(before: Found, after: Found) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of `MOTION` of those who are in both frames, `(P, 3)`, and which of them are known."""
    one, other = follow(before, after)
    before, after = before.take(one), after.take(other)
    size = (before.sizes + after.sizes) / 2
    step = after.middles - before.middles
    seen = (before.keypoints[..., 2] >= SEEN) & (after.keypoints[..., 2] >= SEEN)
    against = after.keypoints[..., :2] - before.keypoints[..., :2] - step[:, None]
    speeds = np.linalg.norm(against, axis=-1) / size[:, None]
    mean, _ = masked(speeds.T, seen.T)
    fastest = np.where(seen, speeds, 0).max(1, initial=0)
    some = seen.any(1)
    values = np.stack([np.linalg.norm(step, axis=1) / size, mean, fastest], axis=1)
    return values, np.stack([np.ones_like(some), some, some], axis=1)
