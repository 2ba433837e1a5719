"""What a sink is, and how one is made of its settings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from wsvad.environment import hidden, hide
from wsvad.errors import UsageError, WsvadError
from wsvad.ranges import check_fields
from wsvad.shapes import problems
from wsvad.sinks import SINKS
from wsvad.sinks.alert import Alert
from wsvad.spelling import short, unknown

SECRETS = {"password", "secret", "token"}
"""Settings whose values are never shown, also where they are written out."""
TIMEOUT = 15.0
"""Seconds that a receiver may take to answer."""


class Rejected(WsvadError):
    """The receiver has understood an alert and will never take it: it is counted, and not tried again."""


class Sink(Protocol):
    """A kind of receiver. Made as `TheSink(settings)`; all calls but `show` come from one thread of its own."""

    config_class: ClassVar[type]
    """A frozen dataclass of its settings, which are text, numbers, yes or no, and mappings of them. Secrets are
    `${NAME}` there; `environment.expand` gives their values where they are used."""

    def __init__(self, settings: Any) -> None: ...

    def deliver(self, alert: Alert) -> None:
        """Hand an alert over, and return when the receiver has it. It may come again, with the same `key`.

        Raises:
            Rejected: it will never be taken.
            Exception: anything else is tried again later. The message is shown to people.
        """


@runtime_checkable
class Opens(Protocol):
    """A sink with a connection that stays."""

    def open(self) -> None:
        """Connect, before the first alert; what it raises is tried again later."""

    def close(self) -> None:
        """Let go of it at the end."""


@dataclass(frozen=True, kw_only=True)
class CameraState:
    """How a camera is just now."""

    camera: str
    online: bool
    """Whether pictures come from it."""
    score: float | None = None
    """Its newest snippet's."""
    categories: tuple[str, ...] = ()
    """What its model distinguishes."""
    run: str = ""


@runtime_checkable
class ShowsCameras(Protocol):
    """A sink that also shows how cameras are."""

    def show(self, state: CameraState) -> None:
        """Show the newest state, at once or as soon as it is connected. It must not wait, and nothing is tried again.
        Called from any thread."""


def make(name: str, given: Any) -> Sink:
    """A sink from its settings, `{"type": "webhook", "url": …}`.

    Args:
        name: what the user calls it, for messages.

    Raises:
        UsageError: there is no such type or setting, or a value is not allowed.
        WsvadError: it needs a package that is not installed.
    """
    where = f"sink '{short(name)}'"
    if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
        raise UsageError(f"{where}: 'type' is missing; choose one of: {', '.join(SINKS)}")
    kind = SINKS[given["type"]]
    settings = {key: value for key, value in given.items() if key != "type"}
    fields = [field.name for field in dataclasses.fields(kind.config_class)]
    for key in settings:
        if key not in fields:
            raise UsageError(f"{where}: {unknown(key, fields, given['type'])}")
    for key in SECRETS & settings.keys():
        if "${" not in str(settings[key]):
            hide(str(settings[key]))
    if said := next(problems(settings, kind.config_class), ""):
        raise UsageError(f"{where}: {short(hidden(said), 300)}")
    try:
        config = kind.config_class(**settings)
        check_fields(config)
        sink: Sink = kind(config)
    except WsvadError as error:
        raise type(error)(f"{where}: {error}") from None
    return sink
