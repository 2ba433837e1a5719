"""Tiny videos whose every frame is known, and encoders that make features of them which a loop can check."""

import os
import signal
import struct
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np

from wsvad.encoders.encoder import Encoder, Sampling
from wsvad.errors import WsvadError


def level(index: int) -> int:
    """The grey level of a frame of `write_clip`, which tells its index (up to 29)."""
    return 30 + 7 * (index % 30)


def index_of(array: np.ndarray) -> int:
    """The index (up to 29) of a frame by its RGB array."""
    return round((float(array.mean()) - 30) / 7)


def scene(index: int, moving: bool, rng: np.random.Generator) -> np.ndarray:
    """A dark, noisy scene; something bright crosses it when it moves."""
    image = rng.integers(40, 50, (96, 128, 3)).astype(np.uint8)
    if moving:
        x = (7 * index) % 100
        image[30:60, x : x + 25] = 220
    return image


def yard() -> np.ndarray:
    """What a fixed camera sees when nothing happens."""
    return np.random.default_rng(99).integers(60, 180, (72, 96, 3)).astype(np.uint8)


def walkers(seed: int, count: int, rate: int = 20, start: float = 0.0) -> list[np.ndarray]:
    """Two people walk through the yard, never twice in the same way; `start` is seconds into it."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6.28, (2, 2)), rng.uniform(0.4, 1.1, (2, 2))
    images = []
    for i in range(count):
        image = yard()
        for at, each in zip(phase, speed, strict=True):
            x, y = (0.5 + 0.45 * np.sin(at + each * (start + i / rate))) * (82, 50)
            image[int(y) : int(y) + 22, int(x) : int(x) + 14] = (230, 20, 90)
        images.append(image)
    return images


def write_clip(
    path: Path,
    frames: int | Sequence[np.ndarray],
    *,
    size: tuple[int, int] = (32, 24),
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int | None = None,
    first: int = 0,
    muxer: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write a video of plain grey frames of `level(index)`, or of the given RGB frames.

    `times` are timestamps in milliseconds (variable frame rate); `first` is added to the frames' indices.
    """
    images = (
        [np.full((size[1], size[0], 3), level(first + i), np.uint8) for i in range(frames)]
        if isinstance(frames, int)
        else frames
    )
    with av.open(str(path), "w", options=muxer or {}) as container:
        if codec == "libx264":
            options = {"crf": "4", "preset": "ultrafast"} | options
        stream = container.add_stream(codec, rate=Fraction(rate), options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / Fraction(rate)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts = times[index] if times else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def packets(path: Path) -> list[tuple[int, int]]:
    """Where the packets of a video lie in its file, in decoding order: offset and size."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path: Path, places: Sequence[tuple[int, int]], byte: int = 0xFF) -> Path:
    """Overwrite parts of a file with one byte value."""
    content = bytearray(path.read_bytes())
    for offset, size in places:
        content[offset : offset + size] = bytes([byte]) * size
    path.write_bytes(content)
    return path


def display(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Patch the matrix of an MP4's one track: a point (x, y), y down, is shown at (a·x + c·y, b·x + d·y)."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


TS_PACKET = 188
TICKS = 90_000
"""Ticks of a transport stream's clock in a second."""


def restamp(path: Path, change: Callable[[int, int], int | None], kind: int = 0xE) -> Path:
    """Patch the timestamps in a transport stream of one video without B-frames: `change(index, ticks)` gives each
    frame's new one, None to take it away (its bytes become stuffing). Of its sound with `kind` 0xC."""
    content, index = bytearray(path.read_bytes()), 0
    for packet in range(0, len(content), TS_PACKET):
        start = packet + 4 + (1 + content[packet + 4] if content[packet + 3] & 0x20 else 0)
        # The first packet of a picture has "payload starts here", and a start code of its kind.
        if not content[packet + 1] & 0x40 or content[start : start + 3] != b"\0\0\1" or content[start + 3] >> 4 != kind:
            continue
        kinds, place = content[start + 7] >> 6, start + 9
        ticks = change(index, _ticks(content[place : place + 5]))
        if ticks is None:
            content[start + 7] &= 0x3F
            content[place : place + content[start + 8]] = b"\xff" * content[start + 8]
        else:
            for n in range(2 if kinds == 3 else 1):
                content[place + 5 * n : place + 5 * n + 5] = _written(ticks, content[place + 5 * n] >> 4)
        index += 1
    path.write_bytes(content)
    return path


def _ticks(code: bytes) -> int:
    return (code[0] >> 1 & 7) << 30 | code[1] << 22 | code[2] >> 1 << 15 | code[3] << 7 | code[4] >> 1


def _written(ticks: int, kind: int) -> bytes:
    ticks %= 1 << 33
    return bytes(
        [kind << 4 | ticks >> 30 << 1 | 1, ticks >> 22 & 255, (ticks >> 15 & 127) << 1 | 1, ticks >> 7 & 255]
        + [(ticks & 127) << 1 | 1]
    )


class Means:
    """Mean of each of the frames eaten: `(N, count)`. The name says how: `means`, `means-slow` …"""

    def __init__(self, name: str = "means", count: int = 2, weights: str | None = None):
        self.name = name
        self.width = count
        self.weights = weights
        self.sampling = Sampling(count=count, size=(16, 12), colour="rgb")

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        if self.name == "means-slow":
            time.sleep(0.15)
        if self.name == "means-crash" and index_of(snippets[0]) == 29:
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(30)  # another thread may be the one that dies of it
        if self.name.startswith("means-once=") and index_of(snippets[0]) == 29:
            try:
                Path(self.name.partition("=")[2]).unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            except FileNotFoundError:
                pass  # it was killed before
        if self.name == "means-bug" and index_of(snippets[0]) == 29:
            raise IndexError("list index\nout of range")
        if self.name.endswith("-short") and any(index_of(snippet) == 29 for snippet in snippets):
            try:
                raise MemoryError
            except MemoryError:
                raise WsvadError("net.onnx: does not run on pictures; use another network") from None
        return np.stack([snippet.reshape(self.width, -1).mean(axis=1) for snippet in snippets]).astype(np.float32)

    def passport(self) -> dict[str, object]:
        settings = {"count": self.sampling.count, "size": self.sampling.size}
        return {"encoder": self.name, "width": self.width, "weights": self.weights, "settings": settings}


class OnDevice(Means):
    """`device`: the same numbers, by a network on a device; it notes in which process it works, and on how much."""

    seen: ClassVar[list[tuple[int, int]]] = []
    device: object = None

    def runs_on(self, device: object) -> bool:
        return True

    def to(self, device: object) -> None:
        self.device = device

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        assert self.device is not None, "its network is not where it is to be"
        self.seen.append((os.getpid(), len(snippets)))
        if self.name == "device-bug" and any(index_of(snippet) == 29 for snippet in snippets):
            raise IndexError("list index\nout of range")
        return super().encode(snippets)

    def passport(self) -> dict[str, object]:
        return super().passport() | {"encoder": "means"}


def build(spec: str) -> tuple[Encoder, ...]:
    """What `wsvad.encoders.build` does, for `Means`: `means`, `means-slow`, `means:4+means-crash`, `device`."""
    parts = [part.partition(":") for part in spec.split("+")]
    return tuple((OnDevice if name.startswith("device") else Means)(name, int(count or 2)) for name, _, count in parts)
