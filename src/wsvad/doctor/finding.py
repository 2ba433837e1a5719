"""What the doctor finds: one kind of trouble, the videos that have it, and what can be done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Repair = Literal["transpose", "float32", "fill", "length", "crops", "scale"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found out about a set of features."""

    kind: str
    """In two or three words: `tail dropped`, `crop order`."""
    level: Literal["fine", "note", "wrong"]
    """`fine` is correct, `note` matters when numbers are compared, `wrong` has to be fixed."""
    message: str
    """What was seen, naming the first video or file."""
    remedy: str = ""
    """What to do; empty where nothing need be done."""
    videos: tuple[str, ...] = ()
    """The videos that it concerns, in the dataset's order; empty where it is about the whole set."""
    repair: Repair | None = None
    """What `--repair` does about it."""
    how: Mapping[str, object] = field(default_factory=dict)
    """What the repair needs: video → wanted snippets, the order of crops, the factor."""


def concerning(videos: Sequence[str], total: int) -> str:
    """`Arson003 (and 4 more of 290)`."""
    more = f" (and {len(videos) - 1:,} more of {total:,})" if len(videos) > 1 else ""
    return f"{videos[0]}{more}"
