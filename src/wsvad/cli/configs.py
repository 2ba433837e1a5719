"""Configurations of methods from the command line: `--config FILE.yaml`, `--config METHOD.FIELD=VALUE`, and
`--config.FIELD VALUE` where there is one method. Defaults give way to files, and files to single fields."""

import dataclasses
import json
from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser

from wsvad.cli.help import hyphenated
from wsvad.cli.options import AUTO_METHOD, divided
from wsvad.errors import UsageError, WsvadError
from wsvad.files import parse_yaml
from wsvad.ranges import hints_of, plain_type

if TYPE_CHECKING:
    from wsvad.cli.parser import Verb

Setting = tuple[str, str]
"""A field, as it is typed, and its value; or `""` and a file."""
Given = tuple[str, Mapping[str, Any]]
"""A file, and what it says of one method's fields."""


def taken_out(words: Sequence[str]) -> tuple[list[str], list[Setting]]:
    """A command line without its `--config…`, and what those say.

    Raises:
        UsageError: a value is missing.
    """
    rest: list[str] = []
    settings: list[Setting] = []
    words, names = divided(words)
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name != "--config" and not name.startswith("--config."):
            rest.append(word)
            continue
        if not equals:
            value = next(left, "--")
            if value.startswith("--"):
                raise UsageError(f"{name}: a value is missing")
        field = name.removeprefix("--config").removeprefix(".")
        if not field and "=" in value and not Path(value).exists():
            field, _, value = value.partition("=")
            if not field:
                raise UsageError(f"--config {field}={value}: write FIELD=VALUE, or METHOD.FIELD=VALUE")
        settings.append((field.strip(), value))
    return [*rest, *names], settings


def arguments(verb: "Verb", values: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """`config`, or `configs` by method, for a verb's function.

    Raises:
        UsageError: there is no such method or field, or a value cannot be right.
    """
    from wsvad.cli.options import names
    from wsvad.methods import METHODS

    which = verb.configures
    named = which[1:] if which.startswith("=") else values[which]
    if named == AUTO_METHOD and verb.chooses:
        if settings:
            raise UsageError("--config is of one method; name it instead of --method auto")
        return {"config": None}
    methods = names("--methods", named) if which == "methods" else [named]
    for name in methods:
        METHODS[name]  # a wrong name is named before its fields are
    others = which == "method" and "configs" in verb.function.__annotations__
    given = sorted_by_method(settings, methods, others=others)
    configs, budget = {}, values["protocol"].budget if "protocol" in values else verb.learns
    for name in dict.fromkeys((*methods, *given)):
        prefix = "--config." if [name] == methods else f"--config {name}."
        configs[name] = config_of(name, budget, *given.get(name, ([], [])), prefix)
    if "configs" in verb.function.__annotations__:
        return {"configs": configs}
    return {"config": configs[methods[0]]}


def sorted_by_method(
    settings: Sequence[Setting], methods: Sequence[str], *, others: bool
) -> dict[str, tuple[list[Given], list[Setting]]]:
    """Method → fields from files, nested as those have them, and single fields.

    Args:
        others: methods beside those may be configured as well: rows of a table may be of them.
    """
    from wsvad.methods import METHODS

    found: dict[str, tuple[list[Given], list[Setting]]] = {}
    for field, value in settings:
        if field:
            where = f"--config {field}"
            method, field = addressed(field, methods, where, others=others)
            type_of(METHODS[method].config_class, field, method, where)
            found.setdefault(method, ([], []))[1].append((field, value))
            continue
        for key, fields in of_run(value, read_file(Path(value)), methods, others=others).items():
            method, field = addressed(str(key), methods, f"{value}: {key}", others=others)
            nested = {field: fields} if field else fields
            if not isinstance(nested, Mapping):
                raise UsageError(f"{value}: {key}: {fields} instead of the fields of a method")
            checked = dict(spelt(METHODS[method].config_class, nested, method, value))
            found.setdefault(method, ([], []))[0].append((value, checked))
    return found


def of_run(path: str, content: Mapping[Any, Any], methods: Sequence[str], *, others: bool) -> Mapping[Any, Any]:
    """The content of a file; of a run's `config.yaml`, its method with the fields that were chosen for it. What the run
    took from its data (`from_labels`) is not among them.

    Raises:
        UsageError: a run of another method.
    """
    method, fields = content.get("method"), content.get("config")
    if not isinstance(method, str) or not isinstance(fields, Mapping) or "protocol" not in content:
        return content
    if method not in methods and not others:
        here = " or ".join(methods)
        raise UsageError(f"--config {path}: of a run of {method}, not of {here}; choose that method as well")
    filled = content.get("from_labels", ())
    return {method: {name: value for name, value in fields.items() if name not in filled}}


def addressed(field: str, methods: Sequence[str], where: str, *, others: bool) -> tuple[str, str]:
    """The method that a field is of, and the field: METHOD.FIELD, or FIELD where there is one method."""
    from wsvad.methods import METHODS

    head, _, rest = field.partition(".")
    name, alone = hyphenated(head), methods[0] if len(methods) == 1 else None
    if alone and head.replace("-", "_") in fields_of(METHODS[alone].config_class):
        return alone, field
    if name in methods or (others and name in METHODS):
        return name, rest
    if alone and name not in METHODS:
        return alone, field
    here = ", ".join(nearest_first(name, methods))
    raise UsageError(f"{where}: no method here is '{head}'; write METHOD.FIELD=VALUE with METHOD one of: {here}")


def config_of(method: str, budget: str, from_files: Sequence[Given], single: Sequence[Setting], prefix: str) -> Any:
    """The configuration of one method.

    Args:
        from_files: fields from each of the files, which go before those of the ones before.
        single: single fields, which go before.
        prefix: of single fields, as they are typed.
    """
    from wsvad.cli.parser import in_words, out_of_range, parsed
    from wsvad.methods import METHODS

    config_class = METHODS[method].config_class
    parser = config_parser(config_class, budget)
    together: dict[str, Any] = {}
    for path, fields in from_files:
        merge(together, fields)
        try:
            wrong = next(out_of_range(parser, parser.parse_object(dict(together))), None)
        except ArgumentError as error:
            raise UsageError(in_words(parser, [], str(error), f"--config {path}: {method}: ", "")) from None
        if wrong:
            raise UsageError(f"--config {path}: {method}: {hyphenated(wrong[0][2:])} {wrong[1]}: {wrong[2]}")
    start = parser.parse_object(dict(together))
    last = {field.replace("-", "_"): value for field, value in single}
    words = [
        f"--{field}={as_list(value, type_of(config_class, field, method, prefix))}" for field, value in last.items()
    ]
    values = vars(parsed(parser, words, prefix=prefix, start=start))
    try:
        return config_class(**values)
    except UsageError as error:
        raise UsageError(f"configuration of {method}: {error}") from None


@cache
def config_parser(config_class: type, budget: str) -> ArgumentParser:
    """The parser of a configuration's fields, to parse with and not to change."""
    from wsvad.cli.parser import empty_parser

    parser = empty_parser()
    parser.add_class_arguments(config_class, as_group=False)
    if budget == "data":
        parser.set_defaults(getattr(config_class, "data_budget", {}))
    return parser


def read_file(path: Path) -> Mapping[Any, Any]:
    """The mapping in a YAML file. Its values stay text, since a field knows better what it is: `core: off` is no
    boolean, and `lr: 1e-4` is a number.

    Raises:
        WsvadError: it is missing, or is none.
    """
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except FileNotFoundError:
        raise WsvadError(f"--config {path}: there is no such file; or write FIELD=VALUE") from None
    except OSError as error:
        raise WsvadError(f"--config {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WsvadError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, Mapping):
        raise WsvadError(
            f"--config {path}: not a mapping; write fields as FIELD: VALUE, one a line, or methods "
            f"with their fields below"
        )
    return found


def spelt(config_class: type, fields: Mapping[Any, Any], method: str, where: str, above: str = "") -> Iterator[Any]:
    """Fields of a file in our spelling; all of them must be the configuration's."""
    for key, value in fields.items():
        name = f"{above}{key}".replace("-", "_")
        inner = type_of(config_class, name, method, f"{where}: {above}{key}")
        nested = dataclasses.is_dataclass(inner) and isinstance(value, Mapping)
        yield name[len(above) :], dict(spelt(config_class, value, method, where, f"{name}.")) if nested else value


def type_of(config_class: Any, field: str, method: str, where: str) -> Any:
    """The type of a field, dotted where it is in another.

    Raises:
        UsageError: there is none; those that there are are named, the nearest first.
    """
    inner: Any = config_class
    for part in field.replace("-", "_").split("."):
        there = fields_of(inner)
        if part not in there:
            has = ", ".join(map(hyphenated, nearest_first(part, there))) or "no fields in it"
            raise UsageError(f"{where}: {method} has no field '{hyphenated(part)}'; it has {has}")
        inner = plain_type(hints_of(inner)[part])
    return inner


def as_list(value: str, kind: Any) -> str:
    """What is typed for a field that holds names: `rgb,audio` is `[rgb, audio]`."""
    names = get_origin(kind) is tuple and get_args(kind) == (str, ...)
    return json.dumps(value.split(",")) if names and value and not value.lstrip().startswith("[") else value


def fields_of(of: Any) -> list[str]:
    """Names of a dataclass's fields; none of another type."""
    return [field.name for field in dataclasses.fields(of)] if dataclasses.is_dataclass(of) else []


def nearest_first(word: str, names: Sequence[str]) -> list[str]:
    """Names, those that are spelt most like a word first."""
    return sorted(names, key=lambda name: -SequenceMatcher(None, word, name).ratio())


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put a nested mapping over another."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def add_help(parser: ArgumentParser, verb: "Verb", words: Sequence[str]) -> None:
    """The fields of the methods that a command line names, for `--help=all`."""
    from wsvad.methods import METHODS

    for name in named_in(verb, words):
        title = f"configuration of {name}; several methods: --config {name}.FIELD=VALUE; in a file: --config FILE.yaml"
        parser.add_argument_group(title).add_class_arguments(METHODS[name].config_class, "config", as_group=False)


def named_in(verb: "Verb", words: Sequence[str]) -> list[str]:
    """The methods on a command line that need not be complete."""
    from wsvad.cli.options import DEFAULT_METHOD
    from wsvad.methods import METHODS

    if verb.configures.startswith("="):
        return [verb.configures[1:]]
    given = [word.partition("=")[2] if word.startswith("--method") and "=" in word else word for word in words]
    found = [name for word in given for name in map(str.strip, word.split(",")) if name in list(METHODS)]
    return found[:1] or [DEFAULT_METHOD]
