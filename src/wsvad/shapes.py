"""What a file has to look like that was written by an earlier call, and may have been edited or damaged since.

A shape is a type: `int`, `float` (a finite number), `list[T]`, `tuple[T, T]` (a list as long), `tuple[T, ...]` (of any
length), `dict[str, T]`, `T | None`, `Literal[…]`, `Any`, a `TypedDict` (more keys may be there), a dataclass (no more
than its fields), or one of these with limits, functions that say what is allowed where a value is not:
`Annotated[int, Range(1)]`.
"""

import dataclasses
import reprlib
from collections.abc import Iterable, Iterator
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from wsvad.errors import WsvadError

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}


def checked(path: Path | str, value: Any, shape: Any, remedy: str, where: str = "") -> Any:
    """The value, if it has the shape.

    Args:
        path: the file that it was read from.
        remedy: what to do otherwise.
        where: its place in the file; empty for all of it.

    Raises:
        WsvadError: it has not; the place and what should be there are named.
    """
    for problem in problems(value, shape, where):
        raise WsvadError(f"{path}: damaged ({problem}); {remedy}")
    return value


def problems(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """What is wrong with a value, by its place in the file."""
    origin, inner = get_origin(shape), get_args(shape)
    if shape is Any:
        return
    if origin in (Union, UnionType):
        each = [list(problems(value, one, where)) for one in inner if one is not NoneType or value is None]
        yield from min(each, key=len)
    elif origin is Annotated:
        yield from _limited(value, inner[0], inner[1:], where)
    elif origin is Literal:
        if not any(value == one and type(value) is type(one) for one in inner):  # True is not 1
            yield _said(where, value, " or ".join(map(str, inner)))
    elif is_typeddict(shape) or dataclasses.is_dataclass(shape):
        yield from _record(value, shape, where)
    elif origin is dict:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from problems(item, inner[1], _below(where, key))
        else:
            yield _said(where, value, "a mapping")
    elif origin is list:
        if isinstance(value, list):
            yield from _each(value, inner[0], where)
        else:
            yield _said(where, value, "a list")
    elif origin is tuple:
        yield from _sequence(value, inner, where)
    elif not _is(value, shape):
        yield _said(where, value, WORDS[shape])


def _sequence(value: Any, inner: tuple[Any, ...], where: str) -> Iterator[str]:
    any_length = inner[-1] is Ellipsis
    if not isinstance(value, list) or not (any_length or len(value) == len(inner)):
        yield _said(where, value, "a list" if any_length else f"a list of {len(inner)}")
        return
    if any_length or len(set(inner)) == 1:
        yield from _each(value, inner[0], where)
        return
    for place, item in enumerate(value):
        yield from problems(item, inner[place], _below(where, place))


def _each(items: list[Any], shape: Any, where: str) -> Iterator[str]:
    """What is wrong with the items of a list that all have one shape."""
    plain, *limits = get_args(shape) if get_origin(shape) is Annotated else (shape,)
    limits = [limit for limit in limits if callable(limit)]
    for place, item in enumerate(items):
        # Scores of a day are hundreds of thousands of numbers, nearly all of them right: no more is done for those.
        if plain in WORDS and _is(item, plain) and not any(limit(item) for limit in limits):
            continue
        yield from problems(item, shape, _below(where, place))


def _limited(value: Any, shape: Any, limits: Iterable[Any], where: str) -> Iterator[str]:
    wrong = list(problems(value, shape, where))
    yield from wrong
    if not wrong:
        allowed = (limit(value) for limit in limits if callable(limit))
        yield from (_said(where, value, said) for said in allowed if said)


def _record(value: Any, shape: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _said(where, value, "a mapping")
        return
    hints = _hints(shape)
    optional = {key for key, hint in hints.items() if get_origin(hint) is NotRequired}
    if dataclasses.is_dataclass(shape):
        nothing = dataclasses.MISSING
        fields = dataclasses.fields(shape)
        optional = {f.name for f in fields if f.default is not nothing or f.default_factory is not nothing}
        yield from (f"'{_below(where, key)}' is not known" for key in value if key not in hints)
    for key, hint in hints.items():
        if key in value:
            inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
            yield from problems(value[key], inner, _below(where, key))
        elif key not in optional:
            yield f"'{_below(where, key)}' is missing"


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape, include_extras=True)


def _is(value: Any, shape: Any) -> bool:
    if shape is float:
        try:
            return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        except OverflowError:  # a whole number that no float can hold
            return False
    return isinstance(value, shape) and not (shape is int and isinstance(value, bool))


def _said(where: str, value: Any, words: str) -> str:
    return f"{where or 'it'} is {reprlib.repr(value)} instead of {words}"


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
