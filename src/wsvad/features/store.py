"""One stream of one video in one safetensors file, with the passport that says how it was made.

    FEATURES/<stream>/<video>.safetensors        e.g. features/rgb/camera-3.mp4.safetensors

Tensors: `features` `(T, D)`, or `(C, T, D)` with crops, float16 or float32; `times` `(T+1,)` float64, the seconds at
which each snippet starts and the last one ends (optional). Metadata: `passport`, in JSON.
"""

import dataclasses
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.errors import WsvadError
from wsvad.files import atomic, is_file
from wsvad.video.names import taken_apart

STREAMS = ("rgb", "pose", "depth", "mask", "flow", "text", "audio")
"""The streams that have a name of their own; a second backbone may have any other."""


@dataclass(frozen=True, kw_only=True)
class Passport:
    """How a feature file was made. Two files may be mixed only if everything above the line is equal."""

    encoder: str
    """What the encoder calls itself, the same wherever its files lie: `motion`, `tflite:mobilenet.tflite`."""
    width: int
    """D, the width of one feature vector."""
    weights: str | None = None
    """SHA-256 of the encoder's weights file, or of the parameters that it was fitted to."""
    settings: dict[str, object] = dataclasses.field(default_factory=dict)
    """Everything else that changes the numbers: sampled frames, resize, crops, colour order, mean, std, pooling …"""
    window: int | None = 16
    """Frames that one feature sees; None where it differs from video to video (a fixed number of segments)."""
    tail: str = "keep"
    """Tail policy of the snippet clock."""
    decoder: str | None = None
    """Decoder and its version, `PyAV 18.1.0`; None where no video was decoded."""
    # ------------------------------------------------------------------------------ per video
    stride: int = 16
    """Frames from one feature to the next."""
    frames: int
    """F, the number of decoded frames."""
    frame_rate: str | None = None
    """Average frame rate as an exact fraction, `30000/1001`."""
    source: str | None = None
    """SHA-256 of the video file; of its captions, where they were encoded."""
    damaged: int = 0
    """Frames that could not be decoded and were replaced by the one before."""

    def identity(self) -> dict[str, object]:
        """The fields that must agree before two files are used together."""
        per_video = ("stride", "frames", "frame_rate", "source", "damaged")
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name not in per_video}
        return json.loads(json.dumps(fields))  # as it is read back: a tuple that was written is a list

    def difference(self, other: "Passport") -> str | None:
        """The first field in which the two were made differently, as text; None if they may be mixed."""
        theirs = other.identity()
        for name, value in self.identity().items():
            if value != theirs[name]:
                return f"{name}: {value} against {theirs[name]}"
        return None


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


def feature_path(folder: Path | str, stream: str, video: str) -> Path:
    """Where the stream of a video is kept: by its name, or where an earlier version has kept it as macOS writes it."""
    place = Path(folder) / stream
    path, earlier = (place / f"{name}.safetensors" for name in (video, taken_apart(video)))
    return earlier if earlier != path and not is_file(path) and is_file(earlier) else path


def save(path: Path | str, stored: StoredFeatures) -> None:
    """Write a feature file, whole or not at all.

    Raises:
        WsvadError: the features are empty, hold NaN or infinity, or do not have the passport's width; disk full.
    """
    features = stored.features
    if features.ndim not in (2, 3) or 0 in features.shape:
        raise WsvadError(f"{path}: features of shape {features.shape}; expected (T, D) or (C, T, D), none of them 0")
    if features.shape[-1] != stored.passport.width:
        raise WsvadError(f"{path}: features are {features.shape[-1]} wide, their passport says {stored.passport.width}")
    if not np.isfinite(features).all():
        raise WsvadError(f"{path}: the features hold NaN or infinity; nothing was written")
    tensors = {"features": np.ascontiguousarray(features)}
    if stored.times is not None:
        tensors["times"] = np.ascontiguousarray(stored.times, dtype=np.float64)
    metadata = {"passport": json.dumps(dataclasses.asdict(stored.passport))}
    with atomic(path) as temporary:
        # Not save_file: it hides from us that a disk is full.
        temporary.write_bytes(serialise(tensors, metadata=metadata))


def load(path: Path | str) -> StoredFeatures:
    """Read a feature file.

    Raises:
        WsvadError: it is missing, broken, made by something else, or holds NaN.
    """
    passport = read_passport(path)
    with safe_open(path, framework="numpy") as file:
        if "features" not in file.keys():  # noqa: SIM118 (not a dictionary)
            raise WsvadError(f"{path}: there are no features in it; delete it and extract again")
        features = file.get_tensor("features")
        times = file.get_tensor("times") if "times" in file.keys() else None  # noqa: SIM118 (not a dictionary)
    if not np.isfinite(features).all():
        bad = int(np.argwhere(~np.isfinite(features))[0][-2])
        raise WsvadError(f"{path}: NaN or infinity in snippet {bad}; delete the file and extract it again")
    return StoredFeatures(features=features, passport=passport, times=times)


def read_passport(path: Path | str) -> Passport:
    """Read only the passport of a feature file (the features stay on disk).

    Raises:
        WsvadError: as `load`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return Passport(**json.loads((file.metadata() or {})["passport"]))
    except FileNotFoundError:
        raise WsvadError(f"{path}: there is no such feature file; run 'wsvad extract' first") from None
    except (SafetensorError, OSError) as error:
        raise WsvadError(f"{path}: broken feature file ({error}); delete it and extract again") from None
    except (KeyError, TypeError, json.JSONDecodeError):
        raise WsvadError(f"{path}: no valid passport, so wsvad did not make this file; extract it again") from None


def stored_shape(path: Path | str) -> tuple[int, ...]:
    """Shape of a file's features (they stay on disk): `(T, D)` or `(C, T, D)`."""
    read_passport(path)
    with safe_open(path, framework="numpy") as file:
        return tuple(file.get_slice("features").get_shape())
