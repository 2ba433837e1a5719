"""What verbs say at their end, and the status that they return."""

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar

from wsvad.cli.output import say

DONE, FOUND_WRONG, LEFT_OUT = 0, 1, 3
"""Exit statuses of a verb that came to its end; 1 also stands for every error, and 2 for a wrong command line."""

COMMAND: ContextVar[Sequence[str]] = ContextVar("COMMAND")
"""The words of the command line that is answered."""


def tell(sentences: Iterable[str]) -> None:
    """Messages, a line each."""
    for sentence in sentences:
        say(sentence)


def left_out(videos: Mapping[str, str], of: int | None = None, failed: Mapping[str, str] | None = None) -> int:
    """Name what was left out at the end, where it is seen.

    Args:
        videos: video → reason.
        of: how many videos there were; where none is left, nothing was done.
        failed: of a study, what could not be fitted → reason.
    """
    tell(f"skipped: {reason}" for reason in videos.values())
    tell(f"failed: {name}: {reason}" for name, reason in (failed or {}).items())
    if not videos and not failed:
        return DONE
    return FOUND_WRONG if of == len(videos) else LEFT_OUT
