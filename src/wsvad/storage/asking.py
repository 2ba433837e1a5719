"""Ask a store, again while it is busy, and say in a line why it does not answer."""

import random
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from wsvad.errors import UsageError, WsvadError, shortage

EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
"""Scheme → the extra that installs what it needs."""
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or 'gcloud auth application-default login'",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Scheme → where its credentials are looked for."""
TRIES, WAIT, LONGEST_WAIT = 8, 0.5, 10.0
"""Requests before one is given up, and seconds between the first two, doubled each time up to the longest."""
CONNECT, ANSWER = 10, 60
"""Seconds for a connection, and for an answer."""


class StorageError(WsvadError):
    """A store does not do what it is asked for."""


def ask(url: str, scheme: str, request: Callable[[Any], Any]) -> Any:
    """What a store answers to a request that is made of its file system, asked again while it is busy or cannot be
    reached.

    Raises:
        FileNotFoundError: there is no such object, or no such bucket.
        StorageError: no, or no answer.
        UsageError: what is needed for such a store is not installed.
    """
    said = ""
    for turn in range(TRIES):
        if turn:
            time.sleep(min(WAIT * 2 ** (turn - 1), LONGEST_WAIT) * random.uniform(0.5, 1))
        try:
            return request(store_of(scheme))
        except (FileNotFoundError, WsvadError):
            raise
        except Exception as error:
            said, final = _reason(error, scheme)
        if final:
            raise StorageError(f"{url}: {said}") from None
    raise StorageError(
        f"{url}: {said}, {TRIES} times in a row; run the same command again later, with fewer --workers if it is "
        "too busy"
    )


@cache
def store_of(scheme: str) -> Any:
    """The file system of fsspec for a scheme, which neither repeats requests by itself nor remembers listings.

    Raises:
        UsageError: it is not installed.
    """
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        limits = {"connect_timeout": CONNECT, "read_timeout": ANSWER, "retries": {"total_max_attempts": 1}}
        options["config_kwargs"] = limits
    try:
        import fsspec

        store = fsspec.filesystem(scheme, **options)
    except ImportError:
        raise UsageError(f"{scheme}://: needs another package; pip install 'wsvad[{EXTRAS[scheme]}]'") from None
    if scheme == "s3":
        store.retries = 1
    return store


_BUSY = {"SlowDown", "RequestLimitExceeded", "TooManyRequests", "Throttling", "ThrottlingException", "ServerBusy",
         "ServiceUnavailable", "429", "503"}  # fmt: skip
_DENIED = {"AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
           "AllAccessDisabled", "401", "403"}  # fmt: skip
_ANONYMOUS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ClientAuthenticationError",
              "ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError"}  # fmt: skip


def _reason(error: BaseException, scheme: str) -> tuple[str, bool]:
    """What an error of a store means, and whether to ask again is of no use. Its own words may hold what is secret."""
    if short := shortage(error):
        return short, True
    names, codes = set[str](), set[str]()
    at: BaseException | None = error
    while at is not None:
        names.add(type(at).__name__)
        response = getattr(at, "response", None)
        if isinstance(response, dict):
            codes.add(str(response.get("Error", {}).get("Code", "")))
            codes.add(str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")))
        codes.update(str(vars(at).get(name, "")) for name in ("code", "status", "status_code", "error_code"))
        at = at.__cause__ or at.__context__
    if names & _ANONYMOUS or (isinstance(error, ValueError) and scheme == "az"):
        return f"no credentials are found; set {CREDENTIALS[scheme]}", True
    if codes & _DENIED or "PermissionError" in names:
        return f"access is denied; check the rights to it, and the credentials ({CREDENTIALS[scheme]})", True
    if codes & _BUSY:
        return f"the store is too busy ({', '.join(sorted(codes & _BUSY))})", False
    if names & {"TimeoutError", "ConnectTimeoutError", "ReadTimeoutError", "FSTimeoutError", "ServerTimeoutError"}:
        return "no answer in time", False
    if names & {"EndpointConnectionError", "ClientConnectorError", "ConnectionError", "ConnectionRefusedError"}:
        return "no connection to the store", False
    code = next((code for code in sorted(codes) if re.fullmatch(r"[A-Za-z]\w{2,40}|[45]\d\d", code)), "")
    return f"the store fails ({code or type(error).__name__})", False
