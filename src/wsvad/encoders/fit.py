"""How a picture of any size becomes a network's: resized and cut exactly as Pillow does it, which processors of
published networks use. The decoder's own scaling is faster and differs by a level or two."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wsvad.errors import WsvadError

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Rule = Callable[[int, int], tuple[int, int]]
"""Width and height of a picture → those that it is resized to. A frozen dataclass, so that a passport can hold it."""

MOST_PIXELS = 2**22
"""Of a picture that is made larger."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Resize, then cut from the middle."""

    resize: tuple[int, int] | int | Rule | None
    """Width and height; or the shorter side, and the other in proportion, rounded down; or a rule; None keeps both."""
    filter: Filter = "bilinear"
    crop: tuple[int, int] | None = None
    """Width and height of the part that is kept; black where the picture is smaller."""

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """`(h, w, 3)` uint8 → the same of the size that is wanted.

        Raises:
            WsvadError: Pillow is not installed; or the picture is so narrow that it would become huge.
        """
        image = _pillow().fromarray(picture)
        size = self.resized(image.width, image.height)
        if size[0] * size[1] > max(MOST_PIXELS, image.width * image.height):
            raise WsvadError(
                f"a picture of {image.width}x{image.height} would be resized to {size[0]}x{size[1]}, which is too "
                "large; crop the video, or use an encoder that reads pictures of one size"
            )
        if size != image.size:
            image = image.resize(size, _pillow().Resampling[self.filter.upper()])
        if self.crop is not None and self.crop != image.size:
            left, top = ((have - keep) // 2 for have, keep in zip(image.size, self.crop, strict=True))
            image = image.crop((left, top, left + self.crop[0], top + self.crop[1]))
        return np.array(image)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height before anything is cut."""
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize
        if callable(self.resize):
            return self.resize(width, height)
        short, long = sorted((width, height))
        other = int(self.resize * long / short)
        return (self.resize, other) if width <= height else (other, self.resize)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise WsvadError("resizing as Pillow does needs it; pip install 'wsvad[transformers]'") from None
    return Image
