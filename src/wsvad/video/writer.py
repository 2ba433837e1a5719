"""Frames to a video file that every player and browser opens: H.264, 4:2:0, in an MP4 that starts to play at once."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from wsvad.errors import WsvadError
from wsvad.files import atomic

PRESET = "veryfast"
REPEATABLE = "mbtree=0"
"""x264's macroblock tree reads memory that it has not written (seen with AVX-512): one small file in fifty differed."""


def write_video(
    path: Path | str, frames: Iterable[np.ndarray], rate: Fraction | int, *, crf: int = 23, comment: str = ""
) -> None:
    """Write frames as H.264, whole or not at all. The same frames give the same bytes: the encoder has one thread.

    Frames are taken one at a time, so that a long video needs little memory. 4:2:0 needs even sizes: an odd width or
    height is padded by repeating the last column or row.

    Args:
        path: the file to write, `.mp4` or `.mov`.
        frames: each `(h, w, 3)` uint8 RGB, all of one size.
        rate: frames per second, exact (`Fraction(30000, 1001)`, not 29.97).
        crf: quality, 0 (lossless) to 51 (worst); 18 looks like the original, 30 like a cheap camera.
        comment: what the file's metadata says of it.

    Raises:
        WsvadError: there is no frame, a frame differs from the first in size, or the file cannot be written.
    """
    path, images = Path(path), iter(frames)
    if path.suffix.lower() not in (".mp4", ".mov"):
        raise WsvadError(f"{path}: videos are written as .mp4 or .mov; choose such a name")
    first = next(images, None)
    if first is None:
        raise WsvadError(f"{path}: no frames to write; a video needs at least one")
    height, width = first.shape[:2]
    try:
        with atomic(path) as temporary, av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
            if comment:
                container.metadata["comment"] = comment
            stream = h264_stream(container, width, height, rate, crf=crf)
            for index, image in enumerate(chain([first], images)):
                if image.shape != (height, width, 3):
                    raise WsvadError(
                        f"{path}: frame {index} has shape {image.shape}, frame 0 had {(height, width, 3)}; "
                        "give all frames one size"
                    )
                container.mux(stream.encode(picture(image, index)))
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise WsvadError(f"{path}: cannot be encoded as H.264 ({error}); this PyAV may lack libx264") from None


def h264_stream(
    container: av.container.OutputContainer,
    width: int,
    height: int,
    rate: Fraction | int,
    *,
    crf: int = 23,
    time_base: Fraction | None = None,
) -> av.VideoStream:
    """Add a stream of H.264 that every player opens; ticks are frames unless there is a `time_base`."""
    options = {"preset": PRESET, "crf": str(crf), "x264-params": REPEATABLE}
    stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = time_base or 1 / Fraction(rate)
    # The conversion from RGB is BT.601; players assume BT.709 for large pictures unless the file says so.
    stream.codec_context.colorspace = av.video.reformatter.Colorspace.SMPTE170M
    return stream


def picture(image: np.ndarray, tick: int) -> av.VideoFrame:
    """An RGB array as a frame of such a stream, of even size."""
    frame = av.VideoFrame.from_ndarray(_even(image), format="rgb24")
    frame.pts = tick
    return frame


def _even(image: np.ndarray) -> np.ndarray:
    """Pad an odd width or height by one pixel, and make the memory contiguous."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
