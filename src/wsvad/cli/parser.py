"""From a command line to a verb's arguments: parsers are made from the verbs' signatures and docstrings.

Mistakes are found here, before any work: unknown options, values of another type or out of range, missing ones. Each is
one line that says what is allowed.
"""

import re
from argparse import ArgumentError, _AppendAction
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from os.path import lexists
from pathlib import Path
from typing import Any, Literal, get_args

from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader, set_parsing_settings
from yaml import YAMLError

from wsvad.cli.help import Formatter, hyphenated, word_of
from wsvad.cli.options import OTHER_STREAM, STREAM_OPTIONS, divided, streams_of
from wsvad.errors import UsageError
from wsvad.ranges import allowed, hints_of, plain_type, problem
from wsvad.storage import place

set_parsing_settings(docstring_parse_attribute_docstrings=True)
# A path whose bytes are not UTF-8 is a path: that it is no YAML either says nothing against it.
set_loader("yaml", get_loader("yaml"), exceptions=(YAMLError, UnicodeEncodeError))


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
    optional: tuple[str, ...] = ()
    """Parameters of text whose option may stand without a value, which is then empty."""
    learns: Literal["", "paper", "data"] = ""
    """The verb takes a protocol, with this budget by default."""
    hold_out: float = 0.2
    """Fraction of training videos that is held out by default."""
    configures: str = ""
    """The parameter that names the methods whose configurations the verb takes, or `=` and the name of the one."""
    chooses: bool = False
    """The method may be `auto`."""
    encodes: bool = False
    """It takes an encoder for each stream, as one argument `streams`: those that are given."""

    @property
    def help(self) -> str:
        return (self.function.__doc__ or "").splitlines()[0]


def arguments_of(verb: Verb, words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a verb's function: encoders become one dictionary, the protocol's fields one protocol, and
    configurations `config`, or `configs` by method.

    Raises:
        UsageError: the command line is wrong.
    """
    from wsvad.cli import configs

    words, settings = configs.taken_out(words) if verb.configures else (list(words), [])
    values = parsed(kept_parser(verb), words, verb.example).as_dict()  # not vars(), which has a mark at `get`
    if verb.learns:
        from wsvad.training.protocol import Protocol

        fields = Protocol.__dataclass_fields__
        values["protocol"] = Protocol(**{name: values.pop(name) for name in fields})
    if verb.encodes:
        streams = streams_of(values)
        values = {name: value for name, value in values.items() if name not in (*STREAM_OPTIONS, "stream")}
        values["streams"] = streams
    if verb.configures:
        values |= configs.arguments(verb, values, settings)
    return values


def verb_parser(verb: Verb) -> ArgumentParser:
    """The parser of one verb: its function's parameters, encoders, and what learning needs."""
    parser = empty_parser()
    places, hints = verb.positional.split(), hints_of(verb.function)
    for name in places:
        many = verb.many and name == places[-1]
        of = get_args(hints[name])[0] if many else hints[name]
        times: dict[str, Any] = {"nargs": "+"} if many else {}
        parser.add_argument(name, type=of, help=described(verb.function, name), **times)
    skip: set[str | int] = {*verb.flags, *verb.optional, *places, "protocol", "config", "configs", "streams"}
    parser.add_function_arguments(verb.function, as_group=False, as_positional=False, skip=skip, fail_untyped=True)
    if verb.encodes:
        for stream, words in STREAM_OPTIONS.items():
            parser.add_argument(f"--{stream}", metavar="ENCODER", help=words)
        parser.add_argument("--stream", action="append", metavar="NAME=ENCODER", help=OTHER_STREAM)
    for flag in verb.flags:
        parser.add_argument(f"--{flag}", action="store_true", help=described(verb.function, flag))
    for name in verb.optional:
        shown = f"[{word_of(hints[name], name)}]"
        parser.add_argument(f"--{name}", nargs="?", const="", metavar=shown, help=described(verb.function, name))
    if verb.learns:
        from wsvad.training.protocol import Protocol

        parser.add_argument_group("protocol").add_class_arguments(Protocol, as_group=False)
        normalise = "standardise" if verb.learns == "data" else None
        parser.set_defaults({"budget": verb.learns, "normalise": normalise, "hold_out": verb.hold_out})
    return parser


@cache
def kept_parser(verb: Verb) -> ArgumentParser:
    """As `verb_parser`, to parse with and not to change: making one takes longer than parsing with it."""
    return verb_parser(verb)


def empty_parser() -> ArgumentParser:
    """A parser that raises its errors; `wsvad.cli.main` answers `--help`."""
    return ArgumentParser(
        prog="wsvad", formatter_class=Formatter, exit_on_error=False, allow_abbrev=False, add_help=False
    )


@cache
def described(function: Callable[..., int], parameter: str) -> str | None:
    """What the function's docstring says of a parameter."""
    from docstring_parser import parse

    return next((p.description for p in parse(function.__doc__ or "").params if p.arg_name == parameter), None)


# ------------------------------------------------------------------------------------------------------------ parsing


def parsed(
    parser: ArgumentParser, words: Sequence[str], example: str = "", prefix: str = "--", start: Namespace | None = None
) -> Namespace:
    """Parse words, and check every value against its range.

    Args:
        example: a command line that is right, for what is missing.
        prefix: of options, as the user types them.
        start: values to start from, instead of the defaults.

    Raises:
        UsageError: something is wrong.
    """
    words = joined(words)
    options = options_of(parser)
    given: dict[str, str | None] = {}
    for name, value in pairs(words):
        shown = prefix + hyphenated(name[2:])
        if name not in options:
            said = no_such("option", shown, [prefix + hyphenated(option[2:]) for option in options])
            named = prefix == "--" and (lexists(shown) or not said.endswith("?"))
            raise UsageError(f"no option '{shown}'{dashed(shown)}" if named else said)
        if value == "" and plain_type(getattr(options[name], "_typehint", None)) is Path:
            raise UsageError(f"{shown} '': the name of a {word_of(options[name])} is empty")
        once = options[name].nargs != 0 and not isinstance(options[name], _AppendAction)
        if once and name in given and value is not None:
            raise UsageError(f"{shown} is given twice ({given[name]} and {value}); give it once")
        given[name] = value
    for action in (action for action, word in places(parser, words) if word == ""):
        if action.dest != "name":  # a name is checked by whom it concerns
            raise UsageError(f"'': an argument is empty ({word_of(action)}); example: {example}")
    try:
        values = parser.parse_args(words, namespace=start)
    except ArgumentError as error:
        raise UsageError(in_words(parser, words, str(error), prefix, example)) from None
    for name, value, said in out_of_range(parser, values):
        raise UsageError(f"{prefix}{hyphenated(name[2:])} {given.get(name, value)}: {said}")
    values = parser.instantiate(values)
    for name, value in list(values.items()):
        if isinstance(value, Path):
            values[name] = place(value)
        elif isinstance(value, list):
            values[name] = [place(one) if isinstance(one, Path) else one for one in value]
    return values


def options_of(parser: ArgumentParser) -> dict[str, Any]:
    """The options of a parser by their long names, `--hold_out`."""
    return {action.option_strings[-1]: action for action in parser._actions if action.option_strings}


def out_of_range(parser: ArgumentParser, values: Namespace) -> Iterator[tuple[str, Any, str]]:
    """Each option whose value is outside of what its annotation allows: its name, the value, what is allowed."""
    for name, action in options_of(parser).items():
        hint, value = getattr(action, "_typehint", None), values.get(action.dest)
        if hint is not None and (said := problem(value, hint)):
            yield name, value, said


def joined(words: Sequence[str]) -> list[str]:
    """Options in the parser's spelling (`--hold-out` → `--hold_out`), and negative numbers joined to theirs, since
    `-1e-5` would be taken for an option."""
    done: list[str] = []
    words, names = divided(words)
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            done.append("--" + name[2:].replace("-", "_") + equals + value)
        elif done and re.match(r"-(\d|\.|inf|nan)", word) and re.fullmatch("--[^=]+", done[-1]):
            done[-1] += f"={word}"
        else:
            done.append(word)
    return [*done, *names]


def pairs(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each option with its value, as far as it has one."""
    for word, following in zip(words, [*words[1:], "--"], strict=False):
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            yield name, value if equals else None if following.startswith("--") else following


def places(parser: ArgumentParser, words: Sequence[str]) -> Iterator[tuple[Any, str]]:
    """Each word that is given without a name, with what it is for; the last place takes all that follow."""
    options = {option: action for action in parser._actions for option in action.option_strings}
    there = [action for action in parser._actions if not action.option_strings]
    words, names = divided(words)
    lone = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("--") and (before not in options or options[before].nargs == 0)
    ] + names[1:]
    for index, word in enumerate(lone if there else []):
        yield there[min(index, len(there) - 1)], word


def dashed(word: str) -> str:
    """How a name that begins with a dash is given, where a word may be one: there is such a file, or it has an ending
    or a folder."""
    looks = lexists(word) or re.search(r"[./\\]", word.partition("=")[0])
    return f"; a name that begins with a dash goes behind '--', or is written ./{word}" if looks else ""


def no_such(what: str, name: str, there: Sequence[str]) -> str:
    """That there is no such option or verb; the nearest spelling is offered."""
    near = [one for one in there if name.rstrip("-") and one.startswith(name)] or get_close_matches(name, there, n=1)
    return f"no {what} '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")


def in_words(parser: ArgumentParser, words: Sequence[str], message: str, prefix: str, example: str) -> str:
    """What the parser says, as one line for the user."""
    if key := re.match(r'Parser key "([^"]+)"', message):
        action = next(action for action in parser._actions if action.dest == key[1])
        typed = dict(pairs(words)).get(f"--{key[1]}")
        given = re.search(r"(?:Got value|Given value): (.*)", message)
        value = typed if typed is not None else given[1] if given else ""
        said = allowed(getattr(action, "_typehint", str)) or "not a valid value"
        return f"{prefix}{hyphenated(key[1])} {value or repr('')}: {said}"
    if missing := re.match("the following arguments are required: (.*)", message):
        actions = [action for action in parser._actions if action.dest in missing[1].split(", ")]
        asked = (f"{(hyphenated(a.option_strings[-1]) + ' ') if a.option_strings else ''}{word_of(a)}" for a in actions)
        behind = words[words.index("--") :] if "--" in words else ()
        if any(option in behind for action in actions for option in action.option_strings):
            return f"{', '.join(asked)} is missing before '--': all that follows it are names; put options first"
        return f"{', '.join(asked)} is missing; example: {example}"
    if lone := re.match("argument --([^:]+): expected", message):
        action = next(action for action in parser._actions if action.dest == lone[1])
        following = next((word for before, word in pairwise(words) if before == f"--{lone[1]}"), "--")
        option = f"{prefix}{hyphenated(lone[1])}"
        said = f"; one that begins with a dash is joined: {option}={following}" if re.match("-[^-]", following) else ""
        return f"{option}: a value is missing ({word_of(action)}){said}"
    if flag := re.match("argument --([^:]+): ignored explicit argument", message):
        return f"{prefix}{hyphenated(flag[1])} takes no value"
    if rest := re.match("unrecognized arguments: (.*)", message, re.DOTALL):
        word = next((word for word in words if rest[1].startswith(word)), rest[1])
        return (
            f"no option '{word}'{dashed(word)}"
            if word.startswith("-")
            else f"'{word}': one word too many; example: {example}"
        )
    return " ".join(message.split())
