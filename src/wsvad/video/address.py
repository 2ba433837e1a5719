"""Where pictures come from while they are filmed: an address on the network, a device, a file; and how an address is
shown, which never includes its password."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from wsvad.environment import hidden
from wsvad.errors import WsvadError
from wsvad.files import is_file
from wsvad.spelling import plain

Kind = Literal["rtsp", "http", "device", "file"]
Transport = Literal["tcp", "udp"]

_SCHEMES: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http", "file": "file"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One camera, or a file in its place."""

    address: str
    """`rtsp://`, `rtsps://`, `http://` or `https://`, a device (`/dev/video0`), or a video file."""
    transport: Transport = "tcp"
    """Of RTSP: `udp` loses pictures where the network does, and is late less often."""
    real_time: bool = True
    """Of a file: as fast as it was filmed, as a camera would; otherwise as fast as it is read, and nothing is left
    out."""

    def __post_init__(self) -> None:
        check(self.address)
        if scheme := _SCHEME.match(self.address):  # FFmpeg knows it in small letters
            object.__setattr__(self, "address", scheme[0].lower() + self.address[scheme.end() :])

    def __repr__(self) -> str:
        return f"Source({self.shown})"

    @property
    def shown(self) -> str:
        """The address without its password."""
        return plain(hidden(self.address))

    @property
    def kind(self) -> Kind:
        return kind_of(self.address)

    @property
    def lossless(self) -> bool:
        """Whether the source waits for whoever reads it; a camera does not."""
        return self.kind == "file" and not self.real_time


def kind_of(address: str) -> Kind:
    """What an address stands for."""
    if scheme := _SCHEME.match(address):
        return _SCHEMES[scheme[1].lower()]
    return "device" if address.startswith("/dev/") and not is_file(address) else "file"


def check(address: str) -> None:
    """Look at an address before it is opened.

    Raises:
        WsvadError: nothing can be there.
    """
    shown = hidden(address)
    scheme = _SCHEME.match(address)
    if scheme is None:
        if re.match(r"[A-Za-z]+:/(?!/)", address):
            raise WsvadError(f"{shown}: an address has two slashes, as in rtsp://HOST/PATH")
        if kind_of(address) == "file" and not is_file(address):
            raise WsvadError(
                f"{shown}: there is no such video file; addresses of cameras begin with rtsp:// or http://"
            )
        return
    if scheme[1].lower() not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES if name != "file")
        raise WsvadError(f"{shown}: {scheme[1]}:// is not known here; addresses begin with {known}")
    if re.search(r"[\s\x00-\x1f]", address):  # of which it is not known how far a password goes
        raise WsvadError(f"{scheme[0]}…: an address has no spaces; write %20 for one")
    if scheme[1].lower() == "file":
        raise WsvadError(f"{shown}: give the file's path without file://")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise WsvadError(
            f"{shown}: the port is no number from 0 to 65535; in a password, write / as %2F, : as %3A and @ as %40"
        ) from None
    if not host:
        raise WsvadError(
            f"{shown}: has no host; write {scheme[1]}://HOST/PATH, or {scheme[1]}://USER:PASSWORD@HOST/PATH"
        )
