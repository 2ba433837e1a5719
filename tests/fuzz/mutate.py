"""Damage, drawn at random: to bytes, to values as JSON and YAML have them, and to files as a whole."""

import copy
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

DEEP = 3000
"""Brackets one in another: more than Python recurses."""


# ---------------------------------------------------------------------------------------------------------------- bytes


def damaged_bytes(rng: random.Random, content: bytes, times: int = 0) -> bytes:
    """Flip, cut, insert, repeat or zero a part, once or a few times; it may happen that nothing changes."""
    for _ in range(times or rng.choice((1, 1, 2, 5))):
        content = rng.choice((_flip, _flip, _cut, _end, _insert, _repeat, _zero))(rng, content)
    return content


def _part(rng: random.Random, content: bytes) -> tuple[int, int]:
    """A part of it, mostly a short one."""
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + int(2 ** rng.uniform(0, math.log2(len(content) + 2))))


def _flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 8, 64)) if content else 0):
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, content: bytes) -> bytes:
    start, end = _part(rng, content)
    return content[:start] + content[end:]


def _end(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 2, 16, 1000))) + content[start:]


def _repeat(rng: random.Random, content: bytes) -> bytes:
    start, end = _part(rng, content)
    return content[:end] + content[start:end] * rng.choice((1, 2, 20)) + content[end:]


def _zero(rng: random.Random, content: bytes) -> bytes:
    start, end = _part(rng, content)
    return content[:start] + bytes(end - start) + content[end:]


# --------------------------------------------------------------------------------------------------------------- values


class Deep:
    """Brackets one in another, which only text can hold."""


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, -5, 0.5, 1.5, 1e-300, 1e30, 1e308, 2147483648, 10**6, 10**400, math.nan, math.inf,
    -math.inf, "", "x", "0.5", "1/0", "../../etc/passwd", "/dev/zero", "a" * 100_000, "\0", "\u202e=1+1", "\ud800",
    "${path:x}", [], {}, [1], [None], ["x"] * 1000, [[[[]]]], {"a": 1}, {"__path__": "x"}, "2020-01-01", Deep,
)  # fmt: skip
"""What stands in place of a value."""


def damaged_value(rng: random.Random, value: Any) -> Any:
    """A copy in which one thing is another, missing or there beside."""
    value = copy.deepcopy(value)
    inside = [(within, key) for within, key in _places(value) if rng.random() < 0.999]
    if not inside or rng.random() < 0.03:
        return rng.choice(HOSTILE)
    within, key = rng.choice(inside)
    match rng.randrange(8):
        case 0:
            del within[key]
        case 1 if isinstance(within, dict):
            within[rng.choice(("extra", "", "__path__", "threshold", "\ud800"))] = rng.choice(HOSTILE)
        case 1:
            within.insert(key, rng.choice(HOSTILE))
        case 2:
            within[key] = _near(rng, within[key])
        case 3 if isinstance(within, dict):
            other = rng.choice(list(within))
            within[key], within[other] = within[other], within[key]
        case _:
            within[key] = rng.choice(HOSTILE)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything inside of a value: what holds it, and its key there. Of long lists a few."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(min(len(value), 8))
        for key in keys:
            yield value, key
            yield from _places(value[key])


def _near(rng: random.Random, value: Any) -> Any:
    """Something of the same type, or of one that is taken for it."""
    if isinstance(value, bool):
        return rng.choice((not value, int(value), str(value)))
    if isinstance(value, int | float):
        near = min(max(value, -(10**300)), 10**300)  # what was damaged before may be no float
        return rng.choice((-value, value + 1, value * 1000, near / 1000, float(near), str(value), [value]))
    if isinstance(value, str):
        return rng.choice((value + "x", value[1:], value.upper(), [value], value + "\n", {value: value}))
    if isinstance(value, list):
        return rng.choice((value[1:], value * 2, value[::-1], [value], {"0": value}, value[:1]))
    if isinstance(value, dict):
        return rng.choice(
            ({}, list(value), [value], {**value, "extra": 1}, {key.upper(): v for key, v in value.items()})
        )
    return rng.choice(HOSTILE)


def as_json(value: Any) -> str:
    """JSON as Python reads it, with `NaN` and brackets without end."""
    return json.dumps(value, default=lambda _: "\0deep").replace('"\\u0000deep"', "[" * DEEP)


def as_yaml(value: Any) -> str:
    text = yaml.dump(_plain(value), allow_unicode=True)
    return text.replace("deep-brackets", "[" * DEEP)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else "deep-brackets" if value is Deep else value


# ---------------------------------------------------------------------------------------------------------------- files


def damage_bytes(rng: random.Random, path: Path) -> None:
    """Its bytes."""
    path.write_bytes(damaged_bytes(rng, path.read_bytes()))


def damage_json(rng: random.Random, path: Path) -> None:
    """A value in it, or a few."""
    value = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice((1, 1, 1, 3))):
        value = damaged_value(rng, value)
    path.write_text(as_json(value), encoding="utf-8", errors="surrogatepass")


def damage_yaml(rng: random.Random, path: Path) -> None:
    """A value in it, or a few."""
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice((1, 1, 1, 3))):
        value = damaged_value(rng, value)
    path.write_text(as_yaml(value), encoding="utf-8", errors="surrogatepass")


def replace(rng: random.Random, path: Path) -> None:
    """The file itself: empty, missing, a pipe, a link, a folder, in another encoding, without permission, of another
    type."""
    rng.choice(WHOLE)(path)


def _gone(path: Path, then: Callable[[Path], Any]) -> None:
    path.unlink()
    then(path)


def _linked(path: Path) -> None:
    """What it was lies elsewhere, and a link leads there."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


WHOLE: tuple[Callable[[Path], Any], ...] = (
    lambda path: path.write_bytes(b""),
    lambda path: path.unlink(),
    lambda path: _gone(path, os.mkfifo),
    lambda path: _gone(path, lambda there: there.symlink_to("/dev/zero")),
    lambda path: _gone(path, lambda there: there.symlink_to(there.name)),
    lambda path: _gone(path, Path.mkdir),
    _linked,
    lambda path: path.write_bytes("ü".encode("latin-1") + path.read_bytes()),
    lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    lambda path: path.write_text(" "),
    lambda path: path.write_text("<!doctype html><html><body>404</body></html>"),
    lambda path: path.write_text("[" * DEEP),
    lambda path: path.write_text("9" * 6000),
    lambda path: path.chmod(0),
)
