"""From a command line to a verb's arguments: parsers are made from the verbs' signatures and docstrings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser

from wsvad.errors import UsageError
from wsvad.version import __version__

DEFAULT_METHOD = "ur-dmu"
STREAM_OPTIONS = {
    "rgb": "Encoder of the rgb stream: motion, tflite:FILE, onnx:FILE, several joined by +, or auto (the best one on "
    "this machine); lsa:captions.jsonl for captions.",
    "pose": "Encoder of the pose stream: pose:FILE, a keypoint network.",
    "depth": "Encoder of the depth stream: onnx:FILE or tflite:FILE, a depth network.",
    "mask": "Encoder of the mask stream: mask:FILE, a segmentation network.",
    "flow": "Encoder of the flow stream: flow, or raft:FILE.",
    "text": "Encoder of the text stream: lsa:captions.jsonl.",
}
"""What `wsvad train`, `extract` and `bench` ask an encoder for. A method says which streams it learns from."""
OTHER_STREAM = "Another stream by a name of its own, such as a second backbone; may be given several times."


@dataclass(frozen=True, kw_only=True)
class Verb:
    """What the parser of a verb needs beside its function's signature."""

    function: Callable[..., int]
    example: str
    positional: str = ""
    """The parameter that is given without a name; several, in order, with spaces between them."""
    many: bool = False
    """The last of them takes one or more values."""
    flags: tuple[str, ...] = ()
    """Parameters that are switches."""
    learns: Literal["", "paper", "data"] = ""
    """The verb takes a protocol, with this budget by default."""
    hold_out: float = 0.2
    """Share of the training videos that the selection fit leaves out, by default."""
    configures: str = ""
    """Method whose configuration it takes; by default the one that the command line names."""
    encodes: bool = False
    """It takes an encoder for each stream, as one argument `streams`."""

    @property
    def help(self) -> str:
        return (self.function.__doc__ or "").splitlines()[0]


def underscored(word: str) -> str:
    """`--hold-out=0.1` → `--hold_out=0.1`: both spellings of an option are right."""
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else word


def build_parser(given: Sequence[str], verbs_by_name: Mapping[str, Verb]) -> ArgumentParser:
    """The parser, with the arguments of the verb that is called."""
    parser = ArgumentParser(
        prog="wsvad",
        description="Weakly-supervised video anomaly detection: from a folder of labelled videos to the moments that "
        "matter. In the names of options - and _ are the same; --debug shows the traceback of an error.",
        version=__version__,
        formatter_class=formatter(),
    )
    verbs = parser.add_subcommands(title="verbs", metavar="VERB", required=True)
    called = next((word for word in given if not word.startswith("-")), None)
    for name, verb in verbs_by_name.items():
        verbs.add_subcommand(name, verb_parser(verb, given) if name == called else ArgumentParser(), help=verb.help)
    return parser


def verb_parser(verb: Verb, given: Sequence[str]) -> ArgumentParser:
    """The parser of one verb: its function's parameters, and what learning needs."""
    parser = ArgumentParser(description=f"{verb.help}\n\nexample: {verb.example}", formatter_class=formatter())
    places = verb.positional.split()
    skip: set[str | int] = {*verb.flags, *places, "protocol", "config", "streams"}
    parser.add_function_arguments(verb.function, as_positional=False, skip=skip, fail_untyped=True)
    for place in places:
        many: dict[str, Any] = {"nargs": "+"} if verb.many and place == places[-1] else {}
        kind = verb.function.__annotations__[place]
        parser.add_argument(place, type=str if kind is str else Path, help=described(verb.function, place), **many)
    for flag in verb.flags:
        parser.add_argument(f"--{flag}", action="store_true", help=described(verb.function, flag))
    if verb.encodes:
        for stream, words in STREAM_OPTIONS.items():
            made = stream == "rgb" and not verb.configures
            parser.add_argument(f"--{stream}", default="auto" if made else None, help=words)
        parser.add_argument("--stream", action="append", metavar="NAME=ENCODER", help=OTHER_STREAM)
    if verb.learns:
        from wsvad.training.protocol import Protocol

        parser.add_class_arguments(Protocol)
        parser.set_defaults({"budget": verb.learns, "normalise": "standardise" if verb.learns == "data" else None})
        parser.set_defaults({"hold_out": verb.hold_out})
    if "config" in verb.function.__annotations__:
        from wsvad.methods import METHODS

        name = verb.configures or method_named(given, verb.positional)
        if "," not in name:  # several have no options in common
            kind = METHODS[name].config_class
            parser.add_class_arguments(kind, "config")
            if verb.learns == "data":
                parser.set_defaults({f"config.{n}": v for n, v in getattr(kind, "data_budget", {}).items()})
    return parser


def formatter() -> type:
    """Help with the example on a line of its own."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import DefaultHelpFormatter

    return type("Formatter", (DefaultHelpFormatter, RawDescriptionHelpFormatter), {})


def described(function: Callable[..., int], parameter: str) -> str | None:
    """What the function's docstring says of a parameter."""
    from docstring_parser import parse

    return next((p.description for p in parse(function.__doc__ or "").params if p.arg_name == parameter), None)


def method_named(given: Sequence[str], positional: str) -> str:
    """The method on the command line, whose configuration decides the other arguments; several with commas."""
    if positional == "method":
        return next((word for word in given[given.index("ablate") + 1 :] if not word.startswith("-")), DEFAULT_METHOD)
    for word, following in zip(given, [*given[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in ("--method", "--methods"):
            return value if equals else following
    return DEFAULT_METHOD


def collect(verb: Verb, values: dict[str, Any]) -> dict[str, Any]:
    """Parsed values as the function's arguments: encoders become one dictionary, the protocol's fields one protocol."""
    if verb.encodes:
        streams = {name: values[name] for name in STREAM_OPTIONS if values[name]}
        streams |= dict(named(given) for given in values["stream"] or ())
        values = {name: value for name, value in values.items() if name not in (*STREAM_OPTIONS, "stream")}
        values["streams"] = streams
    if not verb.learns:
        return values
    from wsvad.training.protocol import Protocol

    fields = Protocol.__dataclass_fields__
    protocol = Protocol(**{name: value for name, value in values.items() if name in fields})
    return {name: value for name, value in values.items() if name not in fields} | {"protocol": protocol}


def named(given: str) -> tuple[str, str]:
    """`NAME=ENCODER`, as `--stream` takes it."""
    name, equals, spec = given.partition("=")
    if not (name and equals and spec) or "/" in name:
        raise UsageError(f"--stream {given}: write NAME=ENCODER, as in --stream clip=onnx:clip.onnx")
    return name, spec
