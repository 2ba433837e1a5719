"""From what the user types to encoders: `motion`, `tflite:FILE`, `pose:FILE`, `motion+tflite:FILE`, `auto`."""

import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wsvad.encoders.encoder import Encoder, ResolvesArgument
from wsvad.encoders.external_data import network_files
from wsvad.encoders.recipe import SCHEME, Recipe, models_folder, ours, read
from wsvad.errors import UsageError, WsvadError
from wsvad.registry import Registry

ENCODERS = Registry(
    "encoder",
    *("input", "argument", "summary"),
    motion="wsvad.encoders.motion:Motion",
    onnx="wsvad.encoders.network:Onnx",
    tflite="wsvad.encoders.network:TfLite",
    flow="wsvad.encoders.flow:Flow",
    hf="wsvad.encoders.hf.encoder:Hf",
    raft="wsvad.encoders.flow:Raft",
    i3d="wsvad.encoders.clip_network:InceptionI3D",
    i3d_resnet="wsvad.encoders.clip_network:ResNetI3D",
    s3d="wsvad.encoders.clip_network:SeparableS3D",
    pose="wsvad.encoders.pose:Pose",
    mask="wsvad.encoders.mask:Mask",
    objects="wsvad.encoders.objects:Objects",
    lsa="wsvad.encoders.lsa:Lsa",
    audio="wsvad.encoders.audio:Audio",
    sentence="wsvad.encoders.sentence:Sentence",
    recipe="wsvad.encoders.recipe:ByRecipe",
)
"""Encoder classes by scheme: `motion` is `Motion()`, `tflite:FILE` is `TfLite("FILE")`. Beside the protocol `Encoder`,
a class tells how it is used: `input` ("video", or what else), `argument` (what is typed after the colon, in a word, or
""), `summary` (for a list), and where it needs a library that is not always there, `runtime` (the module, or several of
which any will do) and `extra` (the optional dependency of this package that installs it). A class whose argument is a
file has `resolve` (`ResolvesArgument`)."""


NEEDS = {
    "video": ("name", "width", "sampling", "encode", "passport"),
    "sound": ("name", "width", "hearing", "encode_sound", "passport"),
}
"""What encoders of a file have, by what they read: `Encoder`, `SoundEncoder`."""


def build(spec: str) -> tuple[Encoder, ...]:
    """The encoders of a specification; their outputs are concatenated, in this order.

    `spec` is one encoder, several joined by `+`, or `auto`. A file name may hold a `+`, because only one that is
    followed by the name of an encoder separates.

    Raises:
        UsageError: no encoder has that name, it does not read video, or its file is not given.
        WsvadError: a file is missing or broken, or the library that runs it is not installed.
    """
    _refuse_mixture(spec)
    return tuple(_build_one(part) for part in split(auto()[0] if spec == "auto" else spec))


def split(spec: str) -> list[str]:
    """`a+b` → `[a, b]`, cut only where the name of an encoder follows.

    Raises:
        UsageError: an encoder is listed twice, whose features would be twice the same.
    """
    names = "|".join(re.escape(name) for name in ENCODERS)
    parts = re.split(rf"\+(?=(?:{names})(?::|\+|$))", spec)
    if twice := [part for part in parts if parts.count(part) > 1]:
        raise UsageError(f"'{spec}': {twice[0]} is listed {parts.count(twice[0])} times; once is enough")
    return parts


def resolve(spec: str) -> tuple[str, str | None]:
    """A specification that means the same in every folder and later on, and a sentence on the choice of `auto`.

    Raises:
        UsageError: no encoder has that name, or one reads video and another something else.
    """
    spec, sentence = auto() if spec == "auto" else (spec, None)
    _refuse_mixture(spec)
    return "+".join(_resolved(part) for part in split(spec)), sentence


def resolved(streams: object) -> dict[str, str]:
    """Stream → specification, as somebody gave them in Python; resolved.

    Raises:
        UsageError: it is no mapping of names to specifications, or empty; no encoder has that name.
    """
    if not isinstance(streams, Mapping) or not streams:
        raise UsageError(f"streams {reprlib.repr(streams)}: give each stream its encoder, as in {{'rgb': 'motion'}}")
    for stream, spec in streams.items():
        if not (isinstance(stream, str) and isinstance(spec, str) and stream and spec) or "/" in stream:
            raise UsageError(f"streams: {stream!r}: {spec!r}; give a name and an encoder, as in {{'rgb': 'motion'}}")
    return {stream: resolve(spec)[0] for stream, spec in streams.items()}


def shortened(spec: str) -> str:
    """A resolved specification as it may be typed in the current folder: files are relative to it where that is shorter
    and resolves to the same."""
    return "+".join(_shortened(part) for part in split(spec))


def argument_of(spec: str) -> str:
    """What stands behind the first colon of one encoder; empty where there is none."""
    return spec.partition(":")[2]


def _resolved(part: str) -> str:
    scheme, _, argument = part.partition(":")
    if recipe := recipe_of(part):
        return f"{scheme}:{recipe.resolved}"
    encoder = ENCODERS[scheme]  # a wrong name is an error before any work
    return f"{scheme}:{encoder.resolve(argument)}" if argument and isinstance(encoder, ResolvesArgument) else part


def _shortened(part: str) -> str:
    argument = argument_of(part)
    near = part.removesuffix(argument) + os.path.relpath(argument) if argument else part
    here = part.replace(os.path.join(os.getcwd(), ""), "")  # noqa: PTH109, PTH118 (also of two files in one argument)
    return min((one for one in (part, near, here) if _resolved(one) == part), key=len)


def from_video(spec: str) -> bool:
    """Whether a specification makes its stream from a video's file alone (not from captions, say)."""
    return inputs_of(spec) <= {"video", "sound"}


def inputs_of(spec: str) -> set[str]:
    """What the encoders of a specification read: `video`, `sound`, `captions`."""
    parts = split(auto()[0] if spec == "auto" else spec)
    return {(recipe.kind if (recipe := recipe_of(part)) else ENCODERS[part.partition(":")[0]]).input for part in parts}


def recipe_of(part: str) -> Recipe | None:
    """The recipe that is typed as `recipe:NAME_OR_FILE`; None of any other encoder.

    Raises:
        UsageError: there is no recipe of that name.
        WsvadError: it is wrong.
    """
    scheme, _, argument = part.partition(":")
    return read(argument, ENCODERS) if scheme == SCHEME and argument else None


def recipes() -> list[Recipe]:
    """Our own recipes, by name."""
    return [read(name, ENCODERS) for name in ours()]


def _refuse_mixture(spec: str) -> None:
    if len(read := inputs_of(spec)) > 1:
        raise UsageError(f"'{spec}': one encoder reads {' and another '.join(sorted(read))}; give each its own stream")


def _build_one(spec: str) -> Encoder:
    scheme, _, argument = spec.partition(":")
    if recipe := recipe_of(spec):
        return _checked(recipe.build(), recipe.scheme)
    encoder = ENCODERS[scheme]
    if encoder.input not in NEEDS:
        raise UsageError(f"'{spec}': {scheme} makes features from {encoder.input}, not from video; use it alone")
    if bool(encoder.argument) != bool(argument):
        raise UsageError(f"'{spec}' is not complete or too long; write {_usage(scheme)}")
    return _checked(encoder(argument) if argument else encoder(), scheme)


def _checked(built: Any, scheme: str) -> Any:
    """An encoder, looked at where another package made it."""
    if ENCODERS.package(scheme):
        _check(built, ENCODERS.who(scheme))
    return built


def _check(encoder: Any, who: str) -> None:
    """An encoder of another package has what it needs.

    Raises:
        WsvadError: it has not.
    """
    if lacking := [one for one in NEEDS[encoder.input] if not hasattr(encoder, one)]:
        raise WsvadError(f"{who} has no {', '.join(lacking)}; fix that package, or uninstall it")
    passport = encoder.passport()
    if lacking := [one for one in ("encoder", "width", "weights", "settings") if one not in passport]:
        raise WsvadError(f"{who} has a passport without {', '.join(lacking)}; fix that package, or uninstall it")
    if passport["width"] != encoder.width:
        raise WsvadError(f"{who} is {encoder.width} wide, but {passport['width']} by its passport; fix that package")


def _usage(scheme: str) -> str:
    """How an encoder is typed, `tflite:FILE`."""
    argument = ENCODERS[scheme].argument
    return f"{scheme}:{argument}" if argument else scheme


def auto() -> tuple[str, str]:
    """The best encoder that this machine can run now, and one line for the user. Nothing is downloaded.

    Best is `motion` together with a network from the models folder (the largest that a library here can run, since
    its size is the only hint at quality that a file gives), else `motion` alone.
    """
    folder = models_folder()
    candidates = [
        (_size(path), path.name, f"{scheme}:{path}")
        for scheme in ("tflite", "onnx")
        if _installed(scheme)
        for path in folder.glob(f"*.{scheme}")
        if path.is_file()
    ]
    if candidates:
        _, name, spec = max(candidates)
        return (
            f"motion+{spec}",
            f"auto → motion and {name} in {folder}. To choose another encoder, name it: tflite:FILE or onnx:FILE.",
        )
    return "motion", (
        f"auto → motion (no weights needed). For better features put a .tflite or .onnx image model into {folder}, "
        "or name it: tflite:FILE or onnx:FILE."
    )


def _size(network: Path) -> int:
    """Bytes of a network, its weights included where they lie beside it."""
    try:
        files = network_files(network) if network.suffix == ".onnx" else [network]
    except WsvadError:  # said when it is opened
        files = [network]
    return sum(file.stat().st_size for file in files)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of `wsvad encoders`."""

    name: str
    """As it is typed, `tflite:FILE`."""
    input: str
    """What it makes features from, in words."""
    width: int | None
    """D; None where the file decides."""
    available: bool
    """Whether it runs on this machine as it is."""
    install: str | None
    """What makes it run, if it does not."""


def list_encoders() -> list[Listing]:
    """Every encoder that is known here, other packages' included, in the order of their names."""
    return [_listing(scheme, encoder) for scheme, encoder in ENCODERS.working()]


def _listing(scheme: str, encoder: Any) -> Listing:
    available = _installed(scheme)
    return Listing(
        name=_usage(scheme),
        input=encoder.summary,
        width=getattr(encoder, "width", None),
        available=available,
        install=None if available else _installation(scheme, encoder),
    )


def _installation(scheme: str, encoder: Any) -> str:
    """What makes an encoder run."""
    if ENCODERS.package(scheme):
        return f"needs {encoder.runtime}"
    return f"pip install 'wsvad[{encoder.extra}]'"


def _installed(scheme: str) -> bool:
    """Whether a library that the encoder runs on is there."""
    runtime: str | tuple[str, ...] = getattr(ENCODERS[scheme], "runtime", ())
    modules = (runtime,) if isinstance(runtime, str) else runtime
    return not modules or any(find_spec(module) is not None for module in modules)
