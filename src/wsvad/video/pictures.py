"""Decoded pictures to upright arrays: colours, size and turning in one pass."""

import math
from collections import defaultdict
from typing import Literal

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

Colour = Literal["rgb", "gray"]

# Exact rounding gives the same bytes on every processor, and no seam at odd widths.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_EIGHT_BIT_LUMA = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}


class Pictures:
    """Convert decoded pictures into upright arrays of one video's size; keeps one swscale context per form."""

    def __init__(self, width: int, height: int, rotation: int = 0, mirrored: bool = False):
        self.size = (width, height)
        self.rotation = rotation
        self.mirrored = mirrored
        self._scalers: defaultdict[tuple[int, int, str], VideoReformatter] = defaultdict(VideoReformatter)

    def array(self, picture: av.VideoFrame, size: tuple[int, int] | None, colour: Colour) -> np.ndarray:
        """The picture upright, `(h, w, 3)` or `(h, w)` uint8; the array is the caller's own."""
        width, height = size or self.size
        if self.rotation in (90, 270):
            width, height = height, width
        if colour == "rgb":
            array = self._scaled(picture, width, height, "rgb24")
        elif (picture.width, picture.height) == (width, height) and picture.format.name in _EIGHT_BIT_LUMA:
            array = _plane(picture)
        else:
            array = self._scaled(picture, width, height, "gray")
        if not self.rotation and not self.mirrored:
            return array
        turned = np.rot90(array, self.rotation // 90)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def _scaled(self, picture: av.VideoFrame, width: int, height: int, form: str) -> np.ndarray:
        scaler = self._scalers[width, height, form]
        # Gray stays luma as it is stored: with both ranges declared full, swscale does not stretch it.
        stored = ColorRange.JPEG if form == "gray" else None
        scaled = scaler.reformat(
            picture,
            width=width,
            height=height,
            format=form,
            src_color_range=stored,
            dst_color_range=stored,
            interpolation=_EXACT,
            threads=1,
        )
        array = scaled.to_ndarray()
        return array.copy() if scaled is picture else array


def _plane(picture: av.VideoFrame) -> np.ndarray:
    """A copy of the luma plane without the padding at the end of its lines."""
    plane = picture.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * picture.height]
    return lines.reshape(picture.height, plane.line_size)[:, : picture.width].copy()


def orientation(picture: av.VideoFrame) -> tuple[int, bool]:
    """How a stored picture comes to stand upright: see `VideoInfo.rotation` and `mirrored`."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return 0, False
    # A point (x, y), y down, goes to (a·x + c·y, b·x + d·y).
    a, b, _, c, d, *_ = np.frombuffer(memoryview(matrix), np.int32).astype(np.float64)
    mirrored = bool(a * d - b * c < 0)
    turned = math.degrees(math.atan2(b, -a if mirrored else a))
    return round(-turned / 90) * 90 % 360, mirrored
