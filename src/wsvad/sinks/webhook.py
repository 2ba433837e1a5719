"""An address that alerts are posted to, signed as in the Standard Webhooks specification (version 1), for which there
are libraries that check it in most languages."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass

from wsvad.environment import expand
from wsvad.errors import UsageError
from wsvad.sinks.alert import Alert
from wsvad.sinks.http import host_of, request, trust

PREFIX = "whsec_"


@dataclass(frozen=True, kw_only=True)
class WebhookConfig:
    """A server of one's own."""

    url: str
    """Where alerts are posted to, as https://HOST/PATH; parts may be ${NAME}."""
    secret: str = ""
    """What messages are signed with, as ${NAME}: whsec_ and base64, or any text; empty leaves them unsigned."""
    ca: str = ""
    """File with the certificate of the server's authority (PEM), where the system does not know it."""


class Webhook:
    """One POST an alert; the picture is within the JSON, so that one signature holds for all of it."""

    config_class = WebhookConfig

    def __init__(self, settings: WebhookConfig):
        self._settings = settings
        if "${" not in settings.url:
            host_of(settings.url)
        trust(settings.ca)

    def deliver(self, alert: Alert) -> None:
        url, secret = expand(self._settings.url, "url"), expand(self._settings.secret, "secret")
        body = json.dumps(payload(alert), ensure_ascii=False).encode("utf-8", "backslashreplace")
        headers = signed(alert.key, body, secret, int(time.time()))
        request("POST", url, body, headers | {"Content-Type": "application/json; charset=utf-8"}, ca=self._settings.ca)


def payload(alert: Alert) -> dict[str, object]:
    """The alert's JSON with its picture."""
    still = alert.still and {"type": "image/jpeg", "base64": base64.b64encode(alert.still).decode("ascii")}
    return alert.as_dict() | {"still": still}


def signed(key: str, body: bytes, secret: str, now: int) -> dict[str, str]:
    """Headers that say which message it is, and prove from whom and when."""
    headers = {"webhook-id": key, "webhook-timestamp": str(now)}
    if secret:
        digest = hmac.new(_bytes_of(secret), f"{key}.{now}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode('ascii')}"
    return headers


def _bytes_of(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise UsageError("secret: not base64 after 'whsec_'; copy it again") from None
