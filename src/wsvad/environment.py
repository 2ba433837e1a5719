"""Secrets stay in the environment: a setting holds `${NAME}`, its value is looked up where it is used, and what is
shown to people has the name in its place. A password that is written out in an address is never shown either."""

import logging
import os
import re
from urllib.parse import quote

from wsvad.errors import WsvadError

_NAME = re.compile(r"\$\{([A-Za-z_]\w*)\}", re.ASCII)
_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@|(?<=://)[^\s/?#:@]*:\S*@")
"""A user with a password before the host; also where a password has a slash in it that should have been written %2F.
That of a port and an @ in the path looks the same, and is hidden too."""
_SECRET = re.compile(
    r"(?<=[?&;])([\w.-]*(?:pass|pwd|token|secret|auth|key|sign|session)[\w.-]*=)[^&;#\s'\"]+", re.IGNORECASE
)
"""A field of an address that lets somebody in."""
_hidden: dict[str, str] = {}
"""Values that are never shown → what is shown instead. They are those that this process has used."""
SHORT = 4
"""Letters of a value that may be a part of any word, so that it is hidden only where it stands alone."""


def expand(text: str, where: str) -> str:
    """A setting with the values of the variables that it names; they are hidden from now on.

    Args:
        where: the setting, for the message.

    Raises:
        WsvadError: the environment has no variable of that name, or it is empty.
    """

    def value(found: re.Match[str]) -> str:
        known = os.environ.get(found[1], "").strip("\r\n")  # a file of secrets ends with a line
        if not known:
            raise WsvadError(
                f"{where}: the environment variable {found[1]} is not set; set it where wsvad is started, "
                f"as in '{found[1]}=… wsvad …', or in the service's EnvironmentFile"
            )
        hide(known, found[0])
        return known

    return _NAME.sub(value, text)


def hide(secret: str, shown: str = "***") -> None:
    """Never show this text again."""
    for form in {secret, quote(secret, safe=""), quote(secret)} - {""}:
        _hidden[form] = shown


def hidden(words: object) -> str:
    """Text without secrets: values of variables that were used, and passwords in addresses, as in
    `rtsp://gate:***@camera/1`. All that is shown, logged or kept of an address goes through here."""
    text = str(words)
    for secret, shown in sorted(_hidden.items(), key=lambda item: -len(item[0])):
        if len(secret) >= SHORT:
            text = text.replace(secret, shown)
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _, by=shown: by, text)  # type: ignore[misc]
    return _SECRET.sub(r"\1***", _LOGIN.sub(_user, text))


def _user(login: re.Match[str]) -> str:
    user, colon, _ = login[0][:-1].partition(":")
    return f"{user}:***@" if colon else f"{user}@"


class _Hides(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hidden(record.getMessage()), ()
        return True


_HIDES = _Hides()


def guard(*loggers: str) -> None:
    """Hide secrets also in what other libraries log, by the names of their loggers."""
    for name in loggers:
        logging.getLogger(name).addFilter(_HIDES)
