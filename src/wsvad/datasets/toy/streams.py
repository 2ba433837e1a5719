"""The exact pose, depth, mask, flow and text of every snippet, from the renderer's own truth.

Maps are averaged over a grid (6 rows, 8 columns; cells in reading order) and over `SAMPLED` frames of a snippet.

| stream | D | contents |
|---|---|---|
| pose | 115 | people in view; mean, then maximum over people and frames of 57 numbers each (`pose`) |
| depth | 144 | per cell: mean and maximum of 1 / depth, and its mean distance from the empty street, 1 / metres |
| mask | 624 | per class of `shapes.CLASSES`, per cell: the share of its area |
| flow | 192 | per cell: mean x, mean y, mean and maximum of the magnitude, pixels a frame |
| text | 95 | per word of `captions.VOCABULARY`: log(1 + how often it occurs in the caption) |
"""

import numpy as np

from wsvad.datasets.toy.camera import HEIGHT, WIDTH
from wsvad.datasets.toy.captions import captions, embed
from wsvad.datasets.toy.render import TRUTH_HEIGHT, TRUTH_WIDTH, Renderer
from wsvad.datasets.toy.shapes import CLASSES, Actor
from wsvad.datasets.toy.story import Story
from wsvad.encoders.encoder import Sampling
from wsvad.video.clock import SNIPPET, snippet_count

ROWS, COLUMNS = 6, 8
SAMPLED = 4
STATURE = 1.75
"""Metres; lengths of the pose stream are in these, as they appear at the person's distance."""


def exact_streams(renderer: Renderer) -> dict[str, np.ndarray]:
    """`pose`, `depth`, `mask`, `flow` and `text` of a story, each `(T, D)` float32."""
    story = renderer.story
    snippets = [
        (start, min(start + SNIPPET, story.frames))
        for start in range(0, snippet_count(story.frames) * SNIPPET, SNIPPET)
    ]
    offsets = Sampling(count=SAMPLED).offsets
    maps: dict[str, list[np.ndarray]] = {"depth": [], "mask": [], "flow": []}
    for start, end in snippets:
        truths = [renderer.truth(start + offset) for offset in dict.fromkeys(offsets(end - start))]
        for name, summary in (("depth", _depth), ("mask", _mask), ("flow", _flow)):
            maps[name].append(np.mean([summary(truth, renderer.static) for truth in truths], axis=0))
    streams = {name: np.stack(rows) for name, rows in maps.items()}
    streams["pose"] = pose(story, snippets)
    streams["text"] = embed(captions(story))
    return {name: stream.astype(np.float32) for name, stream in streams.items()}


def _cells(image: np.ndarray) -> np.ndarray:
    """`(TRUTH_HEIGHT, TRUTH_WIDTH)` → `(cells, pixels of a cell)`."""
    blocks = image.reshape(ROWS, TRUTH_HEIGHT // ROWS, COLUMNS, TRUTH_WIDTH // COLUMNS)
    return blocks.swapaxes(1, 2).reshape(ROWS * COLUMNS, -1)


def _depth(truth: np.ndarray, static: np.ndarray) -> np.ndarray:
    nearness = 1 / np.maximum(truth[..., 1], 0.5)
    cells, change = _cells(nearness), _cells(np.abs(nearness - 1 / np.maximum(static[..., 1], 0.5)))
    return np.stack([cells.mean(axis=1), cells.max(axis=1), change.mean(axis=1)], axis=-1).ravel()


def _mask(truth: np.ndarray, static: np.ndarray) -> np.ndarray:
    cells = _cells(truth[..., 0])
    return np.stack([(cells == index).mean(axis=1) for index in range(len(CLASSES))]).ravel()


def _flow(truth: np.ndarray, static: np.ndarray) -> np.ndarray:
    x, y = _cells(truth[..., 2]), _cells(truth[..., 3])
    magnitude = np.hypot(x, y)
    return np.stack([x.mean(axis=1), y.mean(axis=1), magnitude.mean(axis=1), magnitude.max(axis=1)], axis=-1).ravel()


def pose(story: Story, snippets: list[tuple[int, int]]) -> np.ndarray:
    """`(T, 115)`: mean number of people in view; then mean and maximum of 57 numbers over people and frames.

    They are: the 17 keypoints about the hips (x, y each), the 17 keypoints' speeds, the hips' velocity (x, y), the
    direction of the trunk (x, y), and the hips' place in the picture (x, y; 0 to 1). Lengths are in statures, times
    in seconds.
    """
    people = [actor for actor in story.actors if actor.kind == "person"]
    numbers = [_person(actor, story) for actor in people]
    width = 57
    pooled = np.zeros((len(snippets), 1 + 2 * width))
    for row, (start, end) in zip(pooled, snippets, strict=True):
        seen = [values[start:end][actor.shown[start:end]] for actor, values in zip(people, numbers, strict=True)]
        values = np.concatenate(seen) if seen else np.zeros((0, width))
        if len(values):
            row[0] = len(values) / (end - start)
            row[1 : 1 + width], row[1 + width :] = values.mean(axis=0), values.max(axis=0)
    return pooled


def _person(actor: Actor, story: Story) -> np.ndarray:
    """`(F, 57)`: see `pose`."""
    assert actor.joints is not None
    joints, rate = actor.joints, float(story.scene.rate)
    stature = STATURE * story.scene.camera.focal / np.maximum(actor.depth, 1.0)
    hips, shoulders = joints[:, 11:13].mean(axis=1), joints[:, 5:7].mean(axis=1)
    relative = (joints - hips[:, None]) / stature[:, None, None]
    velocity = np.gradient(joints, axis=0) * rate / stature[:, None, None]
    trunk = shoulders - hips
    trunk = trunk / np.maximum(np.linalg.norm(trunk, axis=1, keepdims=True), 1e-3)
    moving = velocity[:, 11:13].mean(axis=1)
    place = hips / np.array([WIDTH, HEIGHT])
    speeds = np.linalg.norm(velocity, axis=-1)
    return np.concatenate([relative.reshape(-1, 34), speeds, moving, trunk, place], axis=1)
