"""What a network's file cannot say of itself: a YAML file beside it, `FILE.yaml`, with the fields of a dataclass. A
recipe says the same in its place."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from wsvad.errors import WsvadError
from wsvad.files import parse_yaml, read_text
from wsvad.shapes import problems
from wsvad.spelling import reason

MOST_TEXT = 2**14
"""Bytes of the YAML file."""
Fields = TypeVar("Fields")


Settings = Mapping[str, Any]
"""What a recipe says of a network, by the fields of its dataclass, which it was checked against."""


def beside(model: Path, kind: type[Fields], settings: Settings | None = None, **defaults: Any) -> Fields:
    """The fields of `kind` from `FILE.yaml` beside a file or folder, or from a recipe's `settings`. What is left open
    is as in `defaults`, or as the kind has it.

    Raises:
        WsvadError: it is not YAML, or has a field or value that there is not.
    """
    path = model.with_name(model.name + ".yaml")
    given = settings if settings is not None else read_fields(path) if os.path.lexists(path) else {}
    if problem := next(problems(given, kind), ""):
        known = ", ".join(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        raise WsvadError(f"{path}: {problem[:300]}; the fields are: {known}")
    return kind(**defaults | {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})


def read_fields(path: Path) -> dict[str, Any]:
    """What a small YAML file says; nothing, where it is empty.

    Raises:
        WsvadError: it is not YAML, or no such file.
    """
    if not path.is_file() or path.stat().st_size > MOST_TEXT:
        raise WsvadError(f"{path}: not a file of at most {MOST_TEXT:,} bytes; write lines 'field: value', or remove it")
    try:
        found: dict[str, Any] = parse_yaml(read_text(path, "text in UTF-8"), _Loader) or {}
        return found
    except yaml.YAMLError as error:
        raise WsvadError(f"{path}: {reason(error, 300)}; write lines 'field: value'") from None


class _Loader(yaml.SafeLoader):
    """Plain values, of which `1e-3` is a number too."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), [*"-+.0123456789"]
)
