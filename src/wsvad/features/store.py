"""One stream of one video in one safetensors file, with the passport that says how it was made.

    FEATURES/<stream>/<video>.safetensors        e.g. features/rgb/camera-3.mp4.safetensors

Tensors: `features` `(T, D)`, or `(C, T, D)` with crops, float16 or float32; `times` `(T+1,)` float64, the seconds at
which each snippet starts and the last one ends (optional); `filmed` `(T,)` float64, the seconds of video in each, which
are fewer where a recorder has left gaps (optional, only beside `times`); `borders` `(T+1,)` int64, the frames of the
video itself at which each snippet starts and the last one ends (only where it was resampled); `quiet` `(T,)` bool, the
snippets in which nothing moves, which have the features of another one (only with a gate). Metadata: `passport`, in
JSON.

Files come from anywhere: whatever is read is checked here, and nowhere else.
"""

import dataclasses
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.errors import WsvadError
from wsvad.files import atomic, is_file
from wsvad.ranges import Count, Range, Whole, problem
from wsvad.shapes import problems
from wsvad.storage import Remote, place
from wsvad.video.clock import Rate, SnippetClock, are_borders, are_filmed, are_frames
from wsvad.video.decoding import Decode
from wsvad.video.names import taken_apart

HEADER = 2**20
"""Bytes of a feature file's header, at most; ours have a thousand."""
FIRST = 64 * 2**10
"""Bytes of an object in a store that are read for its passport."""
DEEPEST = 32
"""Levels of a passport's settings, at most."""
FLOATS = ("F16", "F32", "F64")
"""Types of numbers that features may have, as safetensors writes them."""
NUMBERS = (*FLOATS, "BOOL", *(f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)))
"""Those that NumPy knows as well."""


def _rate(text: str) -> str:
    """What a frame rate is, where the text is none. The digits are counted before any is computed with."""
    found = re.fullmatch(r"([0-9]{1,10})(?:/([0-9]{1,10}))?", text)
    good = found and int(found[1]) and (found[2] is None or int(found[2]))
    return "" if good else "frames per second as 30000/1001"


def _shallow(settings: object, level: int = 1) -> str:
    if level > DEEPEST:
        return f"at most {DEEPEST} levels"
    inner = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list | tuple) else ()
    return next((said for one in inner if (said := _shallow(one, level + 1))), "")


Frames = Annotated[int, Range(1, 2**27)]
"""Up to seven weeks of video."""


def _resampled(text: str) -> str:
    return _rate(text) or problem(float(Fraction(text)), Rate)


FrameRate = Annotated[str, _rate]
"""Frames per second as an exact fraction, `30000/1001`."""
Resampled = Annotated[str, _resampled]
"""The same, in the range that videos are resampled to."""

STREAMS = ("rgb", "pose", "depth", "mask", "flow", "text", "audio")
"""The streams that have a name of their own; a second backbone may have any other."""


@dataclass(frozen=True, kw_only=True)
class Passport:
    """How a feature file was made. Two files may be mixed only if everything above the line is equal."""

    encoder: str
    """What the encoder calls itself, the same wherever its files lie: `motion`, `tflite:mobilenet.tflite`."""
    width: Count
    """D, the width of one feature vector."""
    weights: str | None = None
    """SHA-256 of the encoder's weights file, or of the parameters that it was fitted to."""
    settings: Annotated[dict[str, Any], _shallow] = dataclasses.field(default_factory=dict)
    """Everything else that changes the numbers: sampled frames, resize, crops, colour order, mean, std, pooling …"""
    window: Count | None = 16
    """Frames that one feature sees; None where it differs from video to video (a fixed number of segments)."""
    tail: str = "keep"
    """Tail policy of the snippet clock."""
    decoder: str | None = None
    """Decoder and its version, `PyAV 18.1.0`; None where no video was decoded."""
    rate: Resampled | None = None
    """Frames per second that the video was resampled to, as an exact fraction; None for its own frames."""
    gate: Whole = 0
    """Version of the gate (`video.quiet`) that left out stretches in which nothing moves; 0 where all was encoded."""
    decode: Decode = "exact"
    """How the video was decoded, see `video.decoding`."""
    # ------------------------------------------------------------------------------ per video
    stride: Frames = 16
    """Frames from one feature to the next, of those that it was resampled to."""
    frames: Frames
    """F, the number of decoded frames, of the video itself."""
    frame_rate: FrameRate | None = None
    """Average frame rate of the video itself as an exact fraction, `30000/1001`."""
    source: str | None = None
    """SHA-256 of the video file; of its captions, where they were encoded."""
    widths: tuple[Count, ...] = ()
    """Of several encoders' features side by side, the width of each one's."""
    damaged: Whole = 0
    """Frames that could not be decoded and were replaced by the one before."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # as it is read, it is a list

    def identity(self) -> dict[str, object]:
        """The fields that must agree before two files are used together."""
        per_video = ("stride", "frames", "frame_rate", "source", "widths", "damaged")
        fields = {name: value for name, value in self.record().items() if name not in per_video}
        return json.loads(json.dumps(fields))  # as it is read back: a tuple that was written is a list

    def record(self) -> dict[str, Any]:
        """As it is written: without a rate of a video's own frames, without a gate, without `exact`, and without the
        widths of one encoder, as before there were these fields."""
        fields = dataclasses.asdict(self)
        usual = {"rate": None, "gate": 0, "decode": "exact", "widths": ()}
        return {name: value for name, value in fields.items() if name not in usual or value != usual[name]}

    def difference(self, other: "Passport") -> str | None:
        """The first field in which the two were made differently, as text; None if they may be mixed."""
        if self.rate != other.rate:
            own = "the video's own"
            return f"frames per second: {self.rate or own} against {other.rate or own}"
        if self.gate != other.gate:
            return f"gate: {self.gate or 'none'} against {other.gate or 'none'}"
        if self.decode != other.decode:
            return f"decode: {self.decode} against {other.decode}"
        theirs = other.identity()
        for name, value in self.identity().items():
            if value != theirs[name]:
                return _differing(name, value, theirs[name])
        return None


def _differing(name: str, one: object, other: object) -> str:
    """Two values that are not the same, as text; of two mappings, the first such entry."""
    if isinstance(one, dict) and isinstance(other, dict):
        key = next(key for key in (*one, *other) if key not in one or key not in other or one[key] != other[key])
        return _differing(f"{name}.{key}", one.get(key), other.get(key))
    return f"{_shown(name)}: {_shown(one)} against {_shown(other)}"


def _shown(value: object) -> str:
    """On one line, and no longer than is read."""
    text = str(value) if str(value).isprintable() else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def rate_of(passport: Passport) -> Fraction | None:
    """A video's frame rate as a number; None where it is not known."""
    return Fraction(passport.frame_rate) if passport.frame_rate else None


@dataclass(frozen=True, kw_only=True)
class StoredFeatures:
    """What a feature file holds."""

    features: np.ndarray
    """`(T, D)` or `(C, T, D)`."""
    passport: Passport
    times: np.ndarray | None = None
    """`(T+1,)` seconds."""
    filmed: np.ndarray | None = None
    """`(T,)` seconds of video in each snippet; None where they were not counted (`video.clock.filmed` estimates)."""
    borders: np.ndarray | None = None
    """`(T+1,)` frames of the video itself, where it was resampled."""
    quiet: np.ndarray | None = None
    """`(T,)` bool, snippets that have the features of an earlier one, because nothing moves; None without a gate."""

    @property
    def clock(self) -> SnippetClock:
        """When its snippets are."""
        return clock_of(self.passport, self.features.shape, self.times, self.filmed, self.borders)


def clock_of(
    passport: Passport,
    shape: tuple[int, ...],
    times: np.ndarray | None = None,
    filmed: np.ndarray | None = None,
    borders: np.ndarray | None = None,
) -> SnippetClock:
    """When the snippets of features of this shape are."""
    return SnippetClock(
        snippets=shape[-2], frames=passport.frames, stride=passport.stride, times=times, rate=rate_of(passport),
        filmed=filmed, borders=borders,
    )  # fmt: skip


def feature_path(folder: Path | str, stream: str, video: str) -> Path:
    """Where the stream of a video is kept: by its name, or where an earlier version has kept it as macOS writes it."""
    path = place(f"{folder}/{stream}/{video}.safetensors")
    if (apart := taken_apart(video)) == video:
        return path
    earlier = place(f"{folder}/{stream}/{apart}.safetensors")
    return earlier if not is_file(path) and is_file(earlier) else path


def save(path: Path | str, stored: StoredFeatures) -> None:
    """Write a feature file, whole or not at all.

    Raises:
        WsvadError: `load` would not take it; disk full.
    """
    features = stored.features
    if problem := _problem(features.shape, stored.passport):
        raise WsvadError(f"{path}: {problem}")
    if not np.isfinite(features).all():
        raise WsvadError(f"{path}: the features hold NaN or infinity; nothing was written")
    tensors = {"features": np.ascontiguousarray(features)}
    if stored.times is not None:
        if not are_borders(np.asarray(stored.times), features.shape[-2]):
            raise WsvadError(
                f"{path}: the times are not {features.shape[-2] + 1} seconds in order; nothing was written"
            )
        tensors["times"] = np.ascontiguousarray(stored.times, dtype=np.float64)
    if stored.filmed is not None:
        if stored.times is None or not are_filmed(np.asarray(stored.filmed), np.asarray(stored.times)):
            raise WsvadError(f"{path}: more was filmed than the times allow; nothing was written")
        tensors["filmed"] = np.ascontiguousarray(stored.filmed, dtype=np.float64)
    if (stored.borders is not None) != (stored.passport.rate is not None):
        raise WsvadError(f"{path}: a resampled video has borders in its own frames, and no other; nothing was written")
    if stored.borders is not None:
        if not are_frames(np.asarray(stored.borders), stored.passport.frames, features.shape[-2]):
            raise WsvadError(f"{path}: the borders are not those of its frames; nothing was written")
        tensors["borders"] = np.ascontiguousarray(stored.borders, dtype=np.int64)
    if stored.quiet is not None:
        if stored.quiet.shape != (features.shape[-2],) or not stored.passport.gate:
            raise WsvadError(f"{path}: quiet snippets are marked one by one, by a gate; nothing was written")
        tensors["quiet"] = np.ascontiguousarray(stored.quiet, dtype=bool)
    metadata = {"passport": json.dumps(stored.passport.record())}
    with atomic(path) as temporary:
        # Not save_file: it hides from us that a disk is full.
        temporary.write_bytes(serialise(tensors, metadata=metadata))


def load(path: Path | str) -> StoredFeatures:
    """Read a feature file.

    Raises:
        WsvadError: it is missing, broken, made by something else, or holds NaN.
    """
    with opened(path) as file:
        passport, shape = _checked(path, file, FLOATS)
        features = single(file.get_tensor("features"))
        times = _times(path, file, shape[-2])
        filmed, borders = _filmed(path, file, times), _borders(path, file, passport, shape[-2])
        quiet = _quiet(path, file, shape[-2])
    if not np.isfinite(features).all():
        bad = int(np.argwhere(~np.isfinite(features))[0][-2])
        raise WsvadError(f"{path}: NaN or infinity in snippet {bad}; delete the file and extract it again")
    return StoredFeatures(
        features=features, passport=passport, times=times, filmed=filmed, borders=borders, quiet=quiet
    )


def single(features: np.ndarray) -> np.ndarray:
    """Features in single precision, or in half where they are; what is too large for it becomes infinity."""
    with np.errstate(over="ignore"):
        return features.astype(np.float16 if features.dtype == np.float16 else np.float32, copy=False)


def read_passport(path: Path | str) -> Passport:
    """Read only the passport of a feature file (the features stay on disk).

    Raises:
        WsvadError: the file is missing or broken, or the passport is not valid.
    """
    if isinstance(path := place(path), Remote) and (header := _header(path)) is not None:
        return _passport(path, header)
    with opened(path) as file:
        return _passport(path, file)


@dataclass(frozen=True)
class _Header:
    """What safetensors gives of a file, as far as a passport needs it."""

    said: dict[str, str]

    def metadata(self) -> dict[str, str]:
        return self.said


def _header(path: Remote) -> _Header | None:
    """The header of an object, which is not fetched as a whole for it; None where there is something odd about it."""
    try:
        begin = path.begin(FIRST)
        end = 8 + int.from_bytes(begin[:8], "little")
        said = json.loads(begin[8:end]).get("__metadata__") if end <= len(begin) else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    text = said.get("passport") if isinstance(said, dict) else None
    return _Header({"passport": text}) if isinstance(text, str) else None


def read_clock(path: Path | str) -> SnippetClock:
    """When the snippets of a feature file are (the features stay on disk).

    Raises:
        WsvadError: as `load`, but for the numbers, which are not looked at.
    """
    with opened(path) as file:
        passport, shape = _checked(path, file, FLOATS)
        times = _times(path, file, shape[-2])
        borders = _borders(path, file, passport, shape[-2])
        return clock_of(passport, shape, times, _filmed(path, file, times), borders)


def stored_shape(path: Path | str) -> tuple[int, ...]:
    """Shape of a file's features (they stay on disk): `(T, D)` or `(C, T, D)`.

    Raises:
        WsvadError: as `load`, but for the numbers, which are not looked at.
    """
    with opened(path) as file:
        return _checked(path, file, FLOATS)[1]


def stored_array(path: Path | str) -> np.ndarray:
    """A file's features as they are, of whatever type of numbers.

    Raises:
        WsvadError: as `stored_shape`.
    """
    with opened(path) as file:
        _, shape = _checked(path, file, NUMBERS)
        _times(path, file, shape[-2])
        return np.asarray(file.get_tensor("features"))


@contextmanager
def opened(path: Path | str) -> Iterator[Any]:
    """A feature file, with `features` in it, of whatever type and shape.

    Raises:
        WsvadError: it is missing or broken, or becomes so while it is read.
    """
    path = place(path)
    try:
        if isinstance(path, Remote):
            path = path.local()
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise WsvadError(f"{path}: not a regular file; delete it and extract again")
        with path.open("rb") as start:
            if int.from_bytes(start.read(8), "little") > HEADER:
                raise WsvadError(f"{path}: broken feature file (not safetensors); delete it and extract again")
        with safe_open(path, framework="numpy") as file:
            if "features" not in file.keys():  # noqa: SIM118 (not a dictionary)
                raise WsvadError(f"{path}: there are no features in it; delete it and extract again")
            yield file
    except FileNotFoundError:
        raise WsvadError(f"{path}: there is no such feature file; run 'wsvad extract' first") from None
    except (SafetensorError, OSError) as error:
        raise WsvadError(f"{path}: broken feature file ({_shown(error)}); delete it and extract again") from None


def _checked(path: Path | str, file: Any, kinds: Collection[str]) -> tuple[Passport, tuple[int, ...]]:
    """The passport and the shape of the features, which fit together."""
    passport, features = _passport(path, file), file.get_slice("features")
    kind, shape = features.get_dtype(), tuple(features.get_shape())
    problem = _problem(shape, passport)
    if kind not in kinds:
        problem = f"its features are numbers of type {kind}, expected float16 or float32"
    if problem:
        raise WsvadError(f"{path}: {problem}; delete it and extract again")
    return passport, shape


def _passport(path: Path | str, file: Any) -> Passport:
    text = (file.metadata() or {}).get("passport", "")
    try:
        value = json.loads(text, parse_constant=_refused)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate could not be written again
        problem = next(problems(value, Passport), "")
    except (ValueError, RecursionError) as error:
        problem = str(error).partition(";")[0]  # not how Python could be made to read it
    if problem:
        reason = f"no valid passport ({problem}), so wsvad did not make this file"
        raise WsvadError(f"{path}: {reason}; delete it and extract again")
    return Passport(**value)


def _refused(constant: str) -> None:
    """JSON has no NaN, which would differ from itself."""
    raise ValueError(f"{constant} is no number")


def _problem(shape: tuple[int, ...], passport: Passport) -> str:
    """Why features of this shape cannot have this passport; empty where they can."""
    if len(shape) not in (2, 3) or 0 in shape:
        return f"features of shape {shape}; expected (T, D) or (C, T, D), none of them 0"
    if shape[-1] != passport.width:
        return f"features are {shape[-1]} wide, their passport says {passport.width}"
    if passport.widths and sum(passport.widths) != passport.width:
        return f"the widths of its encoders, {', '.join(map(str, passport.widths))}, do not add up to {passport.width}"
    if (
        not passport.rate and passport.frames > (shape[-2] + 1) * passport.stride
    ):  # one more, where the tail was dropped
        every = f"{shape[-2]:,} snippets of {passport.stride:,} frames"
        return f"features of {every}, their passport says that the video has {passport.frames:,}"
    return ""


def _times(path: Path | str, file: Any, snippets: int) -> np.ndarray | None:
    if "times" not in file.keys():  # noqa: SIM118 (not a dictionary)
        return None
    found = file.get_slice("times")
    if found.get_dtype() == "F64" and found.get_shape() == [snippets + 1]:
        times = np.asarray(file.get_tensor("times"))
        if are_borders(times, snippets):
            return times
    raise WsvadError(f"{path}: its times are not {snippets + 1} seconds in order; delete it and extract again")


def _borders(path: Path | str, file: Any, passport: Passport, snippets: int) -> np.ndarray | None:
    """Of a resampled video; of another there are none."""
    if passport.rate is None:
        return None
    if "borders" in file.keys():  # noqa: SIM118 (not a dictionary)
        found = file.get_slice("borders")
        if found.get_dtype() == "I64" and found.get_shape() == [snippets + 1]:
            borders = np.asarray(file.get_tensor("borders"))
            if are_frames(borders, passport.frames, snippets):
                return borders
    raise WsvadError(f"{path}: its borders are not those of its video's frames; delete it and extract again")


def _quiet(path: Path | str, file: Any, snippets: int) -> np.ndarray | None:
    if "quiet" not in file.keys():  # noqa: SIM118 (not a dictionary)
        return None
    found = file.get_slice("quiet")
    if found.get_dtype() == "BOOL" and found.get_shape() == [snippets]:
        return np.asarray(file.get_tensor("quiet"))
    raise WsvadError(f"{path}: which snippets are quiet is damaged; delete it and extract again")


def _filmed(path: Path | str, file: Any, times: np.ndarray | None) -> np.ndarray | None:
    if "filmed" not in file.keys():  # noqa: SIM118 (not a dictionary)
        return None
    found = file.get_slice("filmed")
    if times is not None and found.get_dtype() == "F64" and found.get_shape() == [len(times) - 1]:
        filmed = np.asarray(file.get_tensor("filmed"))
        if are_filmed(filmed, times):
            return filmed
    raise WsvadError(f"{path}: more was filmed than its times allow; delete it and extract again")
