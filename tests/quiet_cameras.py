"""A still camera with sensor noise, and somebody who walks through its picture at known moments."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from clips import write_clip

RATE, GROUP = 10, 20
"""Frames a second, and from key frame to key frame."""


def camera(
    path: Path,
    seconds: int,
    walks: Sequence[tuple[float, float]] = (),
    *,
    light: float = 0.0,
    seed: int = 0,
    **more: str,
) -> Path:
    """Write a recording.

    Args:
        walks: seconds from and to which somebody walks.
        light: by how much brighter it is at the end, as a share.
    """
    dice = np.random.default_rng(seed)
    still = cv2.resize(dice.integers(60, 160, (12, 16, 3)).astype(np.uint8), (160, 120)).astype(np.float32)
    images = []
    for index in range(seconds * RATE):
        image = still * (1 + light * index / (seconds * RATE)) + dice.normal(0, 2.5, still.shape)
        for start, end in walks:
            if start <= index / RATE < end:
                x = int((index / RATE - start) / (end - start) * 140)
                image[50:80, x : x + 12] = 230
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    options = {"crf": "26", "g": str(GROUP), "keyint_min": str(GROUP), "sc_threshold": "0"} | more
    return write_clip(path, images, rate=RATE, **options)
