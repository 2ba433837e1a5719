"""Zones that are ignored: blacked out in every picture before anything is computed of it."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import av
import cv2
import numpy as np

from wsvad.video.pictures import Colour, Pictures
from wsvad.video.reader import Frame
from wsvad.watch.settings import Zone

_SHIFT = 8
"""Bits of a pixel to which corners are drawn exactly."""


class Zones:
    """Those of one camera.

    A picture that is resized mixes neighbouring pixels, so a zone is drawn as much larger as that reaches: nothing of
    what is inside comes through.
    """

    def __init__(self, zones: Sequence[Zone]):
        self.zones = tuple(zones)
        self._of: Pictures | None = None
        self._blackened: Pictures | None = None

    def __call__(self, frame: Frame) -> Frame:
        """The frame without what is ignored."""
        if not self.zones:
            return frame
        if frame.pictures is not self._of or self._blackened is None:
            self._of, self._blackened = frame.pictures, _Blackened(frame.pictures, self.zones)
        return replace(frame, pictures=self._blackened)


class _Blackened(Pictures):
    """Converts as another converter of pictures does, with the zones black."""

    def __init__(self, inner: Pictures, zones: Sequence[Zone]):
        super().__init__(*inner.size, inner.rotation, inner.mirrored)
        self._zones = zones
        self._masks: dict[tuple[int, int], np.ndarray] = {}

    def array(self, picture: av.VideoFrame, size: tuple[int, int] | None, colour: Colour) -> np.ndarray:
        array = super().array(picture, size, colour)
        shape = (array.shape[0], array.shape[1])
        if shape not in self._masks:
            self._masks[shape] = _mask(shape, self.size, self._zones)
        array[self._masks[shape]] = 0
        return array


def _mask(shape: tuple[int, int], own: tuple[int, int], zones: Sequence[Zone]) -> np.ndarray:
    """`(h, w)`, true where it is black.

    Args:
        own: width and height of the picture before it was resized.
    """
    height, width = shape
    drawn = np.zeros(shape, np.uint8)
    # Chroma of a pixel is that of two by two; a bilinear filter reaches one pixel of the larger picture and one of the
    # smaller one to each side.
    reach = 2 + 2 * ceil(max(1.0, width / own[0], height / own[1]))
    for zone in zones:
        corners = np.array([[x * width - 0.5, y * height - 0.5] for x, y in zone])
        points: Any = np.round(corners * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(drawn, [points], 1, shift=_SHIFT)
        cv2.polylines(drawn, [points], True, 1, thickness=2 * reach, shift=_SHIFT)
    return drawn.astype(bool)
