"""Raw streams: pictures without a container, and so without times. Their frames are counted, at a rate that the stream
says itself or that is given."""

from fractions import Fraction
from pathlib import Path

import av

from wsvad.errors import WsvadError
from wsvad.video.clock import exact_rate

_NO_TIMESTAMPS = 0x80
"""FFmpeg's mark of such formats (AVFMT_NOTIMESTAMPS)."""
_TICKING = {"m4v", "h261", "h263"}
"""Formats that say the rate of a clock, of which a picture takes one tick or several."""
_FASTEST = 1000
"""Frames per second above which a stream counts ticks rather than frames."""


def has_times(container: av.container.InputContainer) -> bool:
    """Whether the format has timestamps: raw streams have none, though FFmpeg gives them some."""
    return not container.format.flags & _NO_TIMESTAMPS


def counted(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, given: Fraction | float | None
) -> Fraction | None:
    """Frames per second of a raw stream: as it says itself, else as given. None of a file that is none.

    Raises:
        WsvadError: nobody says it.
    """
    if has_times(container):
        return None
    # Not the stream's average, which FFmpeg sets to 25 for all of them.
    own = stream.codec_context.framerate
    if own and own <= _FASTEST and container.format.name not in _TICKING:
        return own
    if given is not None:
        return exact_rate(given, "raw_rate")
    raise WsvadError(
        f"{path}: a raw stream that does not say its frames per second; say it with --raw-rate 25 (train, score, "
        "extract), or wrap it with FFmpeg (-r 25 -i … -c copy)"
    )
