"""One request to a server, and what went wrong in one line that names the host alone: addresses may hold secrets."""

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.sink import TIMEOUT, Rejected
from wsvad.spelling import reason, short
from wsvad.version import __version__

LARGEST = 1 << 20
"""Bytes of an answer that are read."""
NEVER = {400, 405, 410, 413, 414, 415, 422}
"""Answers by which a server will never take this request; others may change, as when a password is set right."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer, of success."""

    status: int
    headers: Message
    body: bytes


class Refused(WsvadError):
    """The server has answered with an error."""

    def __init__(self, line: str, status: int):
        super().__init__(line)
        self.status = status


class _NeverTaken(Refused, Rejected):
    """With one that will stay."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is posted is not for another address than the one that was given."""

    def redirect_request(self, *_: Any) -> None:
        return None


def host_of(url: str, schemes: tuple[str, ...] = ("http", "https"), *, where: str = "url") -> str:
    """Host and port of an address, for messages.

    Raises:
        UsageError: it has none, or is of another kind.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{where}: not an address; write it as {schemes[0]}://HOST:PORT/…") from None
    if parts.scheme not in schemes or not host or not url.isprintable() or " " in url:
        raise UsageError(f"{where}: not an address with a host; write it as {' or '.join(schemes)}://HOST:PORT/…")
    return f"{host}:{port}" if port else host


def trust(ca: str, where: str = "ca") -> ssl.SSLContext:
    """Which certificates are believed: those that the system knows, and those of a file of one's own.

    Raises:
        WsvadError: the file is missing, or holds none.
    """
    context = ssl.create_default_context()
    if ca:
        try:
            context.load_verify_locations(Path(ca).expanduser())
        except (OSError, ValueError) as error:
            raise WsvadError(f"{where} {short(ca)}: no certificate in it ({reason(error)}); give a PEM file") from None
    return context


def request(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    ca: str = "",
    most: int = LARGEST,
) -> Answer:
    """Send a request and read the answer.

    Args:
        most: bytes of the answer that are read.

    Raises:
        Refused: the server answers with an error; also `Rejected` where it will never take this.
        WsvadError: it cannot be reached, does not answer, or is not who it should be.
    """
    host = host_of(url)
    secure = [urllib.request.HTTPSHandler(context=trust(ca))] if urlsplit(url).scheme == "https" else []
    address, login = _apart(url)
    more = {"User-Agent": f"wsvad/{__version__}"} | login | (headers or {})
    asked = urllib.request.Request(address, body, more, method=method)
    try:
        with urllib.request.build_opener(_NoRedirects(), *secure).open(asked, timeout=TIMEOUT) as answer:
            return Answer(status=answer.status, headers=answer.headers, body=answer.read(most))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(host, error.code, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(host, error) from None


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """An address in letters that a request can have, without its login; and that as a header."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    allowed = "/%:=&?~+!$,;'@()*[]"
    address = urlunsplit((parts.scheme, place, quote(parts.path, allowed), quote(parts.query, allowed), ""))
    encoded = base64.b64encode(unquote(login).encode()).decode("ascii")
    return address, {"Authorization": f"Basic {encoded}"} if login else {}


def _refusal(host: str, status: int, answer: IO[bytes]) -> Refused:
    try:
        said = short(" ".join(answer.read(LARGEST).decode("utf-8", "replace").split()), 120)
    except (OSError, http.client.HTTPException):
        said = ""
    meaning = {
        401: "it wants another password or token",
        403: "it does not allow this; check the user's rights",
        404: "there is nothing at this address",
    }.get(status, "it moved; give the new address" if 300 <= status < 400 else http.client.responses.get(status, ""))
    line = f"{host} answered {status}{f', {meaning}' if meaning else ''}{f' ({said})' if said else ''}"
    return (_NeverTaken if status in NEVER else Refused)(line, status)


def unreachable(host: str, error: BaseException) -> WsvadError:
    """What kept us from a server, in a line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return WsvadError(
            f"{host}: its certificate does not fit ({short(cause.verify_message)}); give the certificate of its "
            "authority as 'ca', and the name that it is for in the address"
        )
    if isinstance(cause, ssl.SSLError):
        return WsvadError(f"{host}: no secure connection ({reason(cause, 80)}); does it speak TLS at this port?")
    if isinstance(cause, TimeoutError):
        return WsvadError(f"{host}: no answer within {TIMEOUT:g} s")
    if isinstance(cause, OSError):
        return WsvadError(f"{host}: cannot be reached ({cause.strerror or reason(cause, 80)})")
    return WsvadError(f"{host}: does not answer as a web server does ({reason(error, 80)})")
