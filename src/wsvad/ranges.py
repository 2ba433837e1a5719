"""Ranges of settings, declared where the field is: `seeds: Count = 1`. Checked before any work begins."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
from numbers import Integral, Real
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from wsvad.errors import UsageError


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an end is left out where `above` or `below` says so."""

    low: float
    high: float = inf
    above: bool = False
    below: bool = False

    def __call__(self, value: float) -> str:
        """What is allowed, where the value is not; empty where it is. NaN never is."""
        enough = value > self.low if self.above else value >= self.low
        small = value < self.high if self.below else value <= self.high
        return "" if enough and small else str(self)

    def __str__(self) -> str:
        if self.high == inf:
            return f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return f"{'above' if self.above else 'from'} {self.low:g} to {'below ' if self.below else ''}{self.high:.10g}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range(0)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Score = Annotated[float, Range(0, 1, above=True)]
"""A threshold for scores. At 0 all of a video would be one event."""
Share = Annotated[float, Range(0, 1, below=True)]
"""A part that leaves something of the whole."""


def check_fields(settings: Any) -> None:
    """Check a dataclass's fields against what their annotations allow.

    Raises:
        UsageError: a number is out of its range, infinite or not a number; the message names the field and the range.
    """
    kind: Any = type(settings)
    hints = hints_of(kind)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if said := problem(value, hints[field.name]):
            raise UsageError(f"{field.name} {value}: {said}")


@cache
def hints_of(of: Any) -> Mapping[str, Any]:
    """Annotations of a class or function, with what `Annotated` adds to them."""
    return get_type_hints(of, include_extras=True)


def problem(value: Any, hint: Any) -> str:
    """What an annotation allows, where the value is outside of it; empty where it is not."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        inner = [one for one in get_args(plain_type(hint)) if one is not Ellipsis]
        each = inner * len(value) if len(inner) == 1 else inner
        return next((said for one, of in zip(value, each, strict=False) if (said := problem(one, of))), "")
    if plain_type(hint) in (int, float) and not _number(value, plain_type(hint)):
        return allowed(hint)
    for limit in limits_of(hint):
        if callable(limit) and (said := limit(value)):
            return allowed(hint) if isinstance(limit, Range) else said
    return ""


def allowed(hint: Any) -> str:
    """What an annotation allows, in words: `a whole number, at least 1`; empty for text."""
    of, ranges = plain_type(hint), [str(limit) for limit in limits_of(hint) if isinstance(limit, Range)]
    if get_origin(of) is Literal:
        *most, last = map(str, get_args(of))
        return f"{', '.join(most)} or {last}" if most else last
    if get_origin(of) is tuple:
        return "a list, as in [a, b]"
    words = {int: "a whole number", float: "a number", bool: "yes or no"}.get(of, "")
    return ", ".join([words, *ranges]) if words else ""


def plain_type(hint: Any) -> Any:
    """The type itself: `Annotated[int, …] | None` → `int`."""
    hint = without_none(hint)
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def limits_of(hint: Any) -> tuple[Any, ...]:
    """What stands beside the type in `Annotated[type, …]`."""
    hint = without_none(hint)
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def without_none(hint: Any) -> Any:
    """`X | None` → `X`."""
    if get_origin(hint) is Annotated:
        return hint
    rest = [one for one in get_args(hint) if one is not type(None)]
    return rest[0] if len(rest) == 1 and type(None) in get_args(hint) else hint


def _number(value: Any, of: type) -> bool:
    """A finite number, and a whole one where the type is `int`; yes and no are none."""
    if isinstance(value, bool) or not isinstance(value, Integral if of is int else Real):
        return False
    return isfinite(value)
