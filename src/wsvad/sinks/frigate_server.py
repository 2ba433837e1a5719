"""How Frigate is asked: where it is, and the login that some of its addresses want."""

import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from wsvad.environment import expand, hide
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.http import LARGEST, Answer, Refused, host_of, request, trust

COOKIE = "frigate_token"
_JSON = {"Content-Type": "application/json"}


class Server:
    """Asks it, and logs in where it wants that."""

    def __init__(self, *, url: str, user: str = "", password: str = "", token: str = "", ca: str = ""):
        """
        Args:
            url: where it is; like all of these it may have ${NAME} in it, which is looked up when it is used.
            user, password: whose token is asked for where it is needed.
            token: in place of both.
            ca: file with the certificate of its authority, where the system does not know it.

        Raises:
            WsvadError: the address has no host, both ways to log in are given, or the file holds no certificate.
        """
        if "${" not in url:
            host_of(url)
        if token and user:
            raise UsageError("'token' and 'user' are both given; give one of them")
        trust(ca)
        self._given_url, self._user, self._password, self._given_token, self._ca = url, user, password, token, ca
        self._token = ""

    @property
    def url(self) -> str:
        """Its address, with its secrets, without `/api`."""
        return expand(self._given_url, "url").rstrip("/").removesuffix("/api")

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return host_of(self.url)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, most: int = LARGEST) -> Any:
        """Ask, after a login where one is needed or the one before has run out.

        Args:
            path: below `/api/`.
            most: bytes of the answer that are read.

        Raises:
            WsvadError: it cannot be reached, refuses, or answers something else than Frigate.
        """
        try:
            answer = self._send(method, path, body, most)
        except Refused as error:
            if error.status != 401 or not self._user:
                raise
            self._login()
            answer = self._send(method, path, body, most)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise WsvadError(f"{self.host}: answers, but not as Frigate does; check the address") from None

    def _login(self) -> None:
        known = {"user": expand(self._user, "user"), "password": expand(self._password, "password")}
        answer = request("POST", f"{self.url}/api/login", json.dumps(known).encode(), _JSON, ca=self._ca)
        self._token = _cookie(answer)
        hide(self._token)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, most: int) -> Answer:
        token = self._token or expand(self._given_token, "token")
        headers = _JSON | ({"Authorization": f"Bearer {token}"} if token else {})
        content = None if body is None else json.dumps(body).encode()
        return request(method, f"{self.url}/api/{path}", content, headers, ca=self._ca, most=most)


def _cookie(answer: Answer) -> str:
    for line in answer.headers.get_all("Set-Cookie") or ():
        try:
            found = SimpleCookie(line)
        except CookieError:
            continue
        for name, value in found.items():
            if name == COOKIE:
                return value.value
    raise WsvadError("Frigate took user and password, but gave no token; is its login set up as usual?")
