"""How pictures are decoded: exactly, faster and nearly the same, or by hardware."""

from functools import cache
from typing import TYPE_CHECKING, Literal, cast, get_args

from wsvad.errors import UsageError

if TYPE_CHECKING:  # the command line reads this module, and is to start without FFmpeg
    from av import VideoStream
    from av.codec.hwaccel import HWAccel

Decode = Literal["exact", "fast", "hardware"]
"""`fast`: without the loop filter of H.264, HEVC and VP8, which smooths the borders of blocks. `hardware`: by a
processor's or graphics card's own decoder."""

WAYS: tuple[Decode, ...] = get_args(Decode)
FAST = {"skip_loop_filter": "all"}
"""Options of FFmpeg's decoders. There is none for fewer colours: `lowres` and `gray` do nothing for H.264."""
DEVICES = "cuda", "vaapi", "videotoolbox", "d3d11va"
"""Kinds of hardware that give pictures to FFmpeg's own decoders, the first that is there is taken."""
TO_THE_BIT = {"h264", "hevc", "vp8", "vp9"}
"""Decoders of FFmpeg that hardware can help, and whose standard says what each pixel is; of any other, hardware rounds
as it likes and is not asked."""


def checked(decode: str) -> Decode:
    """Raises: UsageError, it is no way to decode."""
    if decode not in WAYS:
        raise UsageError(f"--decode {decode}: one of {', '.join(WAYS)}")
    return cast(Decode, decode)


def told(decode: Decode) -> Decode:
    """As which of them pictures count where runs and features are compared: those of hardware are exact, unless a video
    is damaged."""
    return "exact" if decode == "hardware" else decode


@cache
def device() -> str:
    """The kind of hardware that decodes here, opened once to see that it does.

    Raises:
        UsageError: there is none.
    """
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available

    known, failed = hwdevices_available(), []
    for kind in (kind for kind in DEVICES if kind in known):
        try:
            HWAccel(kind).create(av.Codec("h264", "r"))
        except (av.FFmpegError, OSError, NotImplementedError) as error:
            failed.append(f"{kind}: {getattr(error, 'strerror', None) or error}")
        else:
            return kind
    tried = "; ".join(failed) or f"this PyAV knows {', '.join(known) or 'none'}"
    raise UsageError(
        f"--decode hardware: this machine has no hardware that decodes ({tried}); leave it out, or use fast"
    )


def hardware() -> "HWAccel":
    """The same, for a file that is opened. A stream that it cannot decode is decoded in software.

    Raises:
        UsageError: there is none.
    """
    from av.codec.hwaccel import HWAccel

    return HWAccel(device(), allow_software_fallback=True)


def in_hardware(stream: "VideoStream") -> bool:
    """Whether pictures of a stream, one of which was decoded, come from hardware."""
    context = stream.codec_context
    forms = {config.format.name for config in context.codec.hardware_configs if config.format}
    return bool(context.is_hwaccel) and context.pix_fmt in forms
