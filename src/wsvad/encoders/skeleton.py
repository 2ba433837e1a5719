"""The body as COCO's 17 keypoints draw it: which joins which, and directions between them."""

import numpy as np

KEYPOINTS = 17
SHOULDERS, HIPS = (5, 6), (11, 12)
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
"""Upper arm, forearm of the left and of the right; thigh, shin of the left and of the right; outward."""
SEEN = 0.3
"""Score of a keypoint that is there, at least."""


def middle(points: np.ndarray, seen: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The middle of those of two keypoints that are seen, `(M, 2)`, and whether any is."""
    weight = seen[:, pair]
    count = weight.sum(1)
    middle = (points[:, pair] * weight[..., None]).sum(1) / np.maximum(count, 1)[:, None]
    return middle, count > 0


def direction(vector: np.ndarray) -> np.ndarray:
    """Scaled to length 1; (0, 0) stays."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.divide(vector, length, out=np.zeros_like(vector), where=length > 0)
