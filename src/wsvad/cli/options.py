"""What options mean: their types in the words that help shows, lists of names, encoders of streams; and the refusal of
options that cannot apply."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from wsvad.errors import UsageError

File = Annotated[Path, "FILE"]
Folder = Annotated[Path, "FOLDER"]
Run = Annotated[Path, "RUN"]
Video = Annotated[Path, "VIDEO"]
Features = Annotated[Path, "FOLDER"]
DataFolder = Annotated[Path, "DATA"]
Data = Annotated[str, "DATA"]
Names = Annotated[str, "NAME,…"]
Size = Annotated[str, "SIZE"]

DEFAULT_METHOD = "ur-dmu"
AUTO_METHOD = "auto"
"""Of `train`: the method is chosen."""
DEFAULT_BUDGET = 1.0
"""False alarms per hour."""
STREAM_OPTIONS = {
    "rgb": "Encoder of the rgb stream: motion, tflite:FILE, onnx:FILE, several joined by +, lsa:captions.jsonl, or "
    "auto, the best one on this machine.",
    "pose": "Encoder of the pose stream: pose:FILE, a keypoint network.",
    "depth": "Encoder of the depth stream: onnx:FILE or tflite:FILE, a depth network.",
    "mask": "Encoder of the mask stream: mask:FILE, a segmentation network.",
    "flow": "Encoder of the flow stream: flow, or raft:FILE.",
    "text": "Encoder of the text stream: lsa:captions.jsonl, or sentence:MODEL:captions.jsonl.",
}
"""Streams with an option of their own. A method says which streams it learns from."""
OTHER_STREAM = (
    "Another stream and its encoder, by any name. --pose, --depth, --mask, --flow and --text are short for streams of "
    "those names. Repeatable."
)


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before a lone `--`, and that with all behind it, which are names even where they begin with a dash."""
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end:])


def names(option: str, text: str) -> list[str]:
    """Names that are joined by commas; spaces around them do not matter.

    Raises:
        UsageError: a name is empty, or there twice.
    """
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise UsageError(f"{option} '{text}': a name is empty; write names joined by commas")
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise UsageError(f"{option} '{text}': {twice} is listed twice")
    return found


def refuse(what: str, given: Mapping[str, object]) -> None:
    """Stop at an option that means nothing here.

    Args:
        what: here.
        given: option → its value, None, False or empty where it is not given.

    Raises:
        UsageError: one is given.
    """
    for option, value in given.items():
        if value is not None and value is not False and value != "":
            raise UsageError(f"{option} is not for {what}; leave it out")


def refuse_own_truth(dataset: Any, labels: Path | None, intervals: Path | None) -> None:
    """The truth of a published dataset is in its official files."""
    if dataset.benchmark:
        refuse(f"{dataset.benchmark}, whose official files contain it", {"--labels": labels, "--intervals": intervals})


def refuse_teacher(method: str, config: Any, teacher: Path | None) -> None:
    """Stop at a teacher that would teach nobody."""
    from wsvad.methods import METHODS
    from wsvad.methods.method import teacher_method

    if teacher_method(METHODS[method], config) is None:
        refuse(f"{method}, which learns without a teacher", {"--teacher": teacher})


def narrowed(config: Any, modalities: str | None, method: str) -> Any:
    """A method's configuration with `--modalities`.

    Raises:
        UsageError: the method has none, or not these.
    """
    import dataclasses

    from wsvad.methods.abilities import ChoosesModalities

    if modalities is None:
        return config
    if not isinstance(config, ChoosesModalities):
        raise UsageError(f"--modalities: this method learns from rgb only ({method}); leave the option out")
    return dataclasses.replace(config, modalities=tuple(names("--modalities", modalities)))  # type: ignore[type-var]


def memory_of(size: str | None, processes: int = 1) -> Any:
    """`--memory`, of features, of which each of several processes has its part.

    Raises:
        UsageError: it is no size.
    """
    from wsvad.datasets.memory import MOST, Memory, bytes_of

    return Memory((bytes_of("--memory", size) if size is not None else MOST) // processes)


def learned(methods: Iterable[tuple[str, Any]]) -> list[str]:
    """The streams that some of the methods, under their configurations, learn from."""
    from wsvad.methods import METHODS
    from wsvad.methods.method import learns_from

    found = [stream for name, config in methods for stream in learns_from(METHODS[name], config)]
    return list(dict.fromkeys(found))


def encoders_for(streams: Mapping[str, str], methods: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Encoders of the streams that the methods learn from: those that are given, and for rgb one by default.

    Raises:
        UsageError: one is given for a stream that none of them learns from.
    """
    methods = list(methods)
    wanted = learned(methods)
    called = ", ".join(dict.fromkeys(name for name, _ in methods))
    for stream, spec in streams.items():
        if stream not in wanted:
            refuse(f"{called}, which learns from {', '.join(wanted)} only", {option_of(stream, spec): spec})
    return ({"rgb": "auto"} if "rgb" in wanted else {}) | dict(streams)


def resolved(streams: Mapping[str, str], features: Path | None = None) -> dict[str, str]:
    """Encoders with their files as absolute paths; what `auto` chose is said, but for streams that `features` has."""
    from wsvad.cli.output import say
    from wsvad.encoders import resolve
    from wsvad.features.source import holds

    specs = {}
    for stream, spec in streams.items():
        specs[stream], sentence = resolve(spec)
        if sentence and not (features and holds(features, stream)):
            say(sentence)
    return specs


def option_of(stream: str, spec: str) -> str:
    """How the encoder of a stream is given on the command line."""
    return f"--{stream}" if stream in STREAM_OPTIONS else f"--stream {stream}={spec}"


def streams_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Stream → encoder, as the options give them.

    Raises:
        UsageError: `--stream` is not NAME=ENCODER, or a stream has two encoders.
    """
    streams = {name: values[name] for name in STREAM_OPTIONS if values[name] is not None}
    for given in values["stream"] or ():
        name, equals, spec = (part.strip() for part in given.partition("="))
        if not (name and equals and spec) or "/" in name:
            raise UsageError(f"--stream {given}: write NAME=ENCODER, as in --stream clip=onnx:clip.onnx")
        if name in streams:
            raise UsageError(f"--stream {given}: {name} has an encoder already ({streams[name]}); give one")
        streams[name] = spec
    if empty := next((name for name, spec in streams.items() if not spec.strip()), None):
        raise UsageError(f"--{empty} '': name an encoder, see 'wsvad encoders'")
    return streams
