"""What may be chosen of a model of `transformers` that is used as an encoder."""

from dataclasses import dataclass
from typing import Literal

from wsvad.encoders.image_network import Frames
from wsvad.errors import UsageError
from wsvad.ranges import Count, check_fields

Space = Literal["mean", "first", "flatten"]
Pooling = Literal["mean", "mean+std", "middle"]


@dataclass(frozen=True, kw_only=True)
class HfSettings:
    """What is read of a snippet, and what is taken of the model. None means: as is usual for its type."""

    frames: Frames | None = None
    """Frames of a snippet that are read."""
    tap: str | int | None = None
    """What is taken: the number of a hidden layer (0 what the first one reads, -1 the last), a field of the output
    (`pooler_output`, `last_hidden_state`), or the name of any module inside."""
    space: Space | None = None
    """Over tokens or positions: their mean (without class and register tokens), the first token, or all of them."""
    pooling: Pooling | None = None
    """Over the frames of a snippet: mean; mean and standard deviation; or the middle frame alone."""
    clip: Count | None = None
    """Frames that a network for clips reads at once, for one that takes any number."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.pooling == "middle" and self.frames not in (None, 1):
            raise UsageError(f"pooling: middle reads 1 frame, not {self.frames}; leave 'frames' out")
