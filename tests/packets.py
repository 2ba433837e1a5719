"""Packets as a camera sends them, without a camera: encoded here, and added to a ring one by one."""

import io
import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from wsvad.video.address import Source, Transport
from wsvad.video.feed import header_of
from wsvad.video.ring import Ring
from wsvad.video.stretches import Stretches

TICK = Fraction(1, 90_000)
OPTIONS = {"libx264": {"preset": "ultrafast", "tune": "zerolatency"}, "libx264-b": {"preset": "veryfast", "bf": "2"}}


def pictures(count: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> list[np.ndarray]:
    """Something that moves over noise, so that each picture is another one."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return [np.roll(base, 3 * index, axis=1) for index in range(count)]


class Filmed:
    """Encoded pictures: the stream's form as `feed` sends it, and packets (pts, dts, key, data) at 25 a second."""

    def __init__(
        self,
        images: Sequence[np.ndarray],
        codec: str = "libx264",
        gop: int = 10,
        pixels: str = "yuv420p",
        options: dict[str, str] | None = None,
    ):
        file, made = io.BytesIO(), []
        name = codec.removesuffix("-b")
        with av.open(file, "w", format="nut") as container:
            stream = container.add_stream(name, rate=25, options={"g": str(gop)} | (options or OPTIONS.get(codec, {})))
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = pixels
            stream.codec_context.thread_count = 1
            for index, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
                frame.pts = index
                made += stream.encode(frame)
            made += stream.encode(None)
            scale = Fraction(1, 25) / TICK
            self.packets = [
                (round(packet.pts * scale), round(packet.dts * scale), packet.is_keyframe, bytes(packet))
                for packet in made
            ]
            container.mux(made)
        with av.open(io.BytesIO(file.getvalue()), "r", format="nut") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            self.extradata = context.extradata
            form = (context.width, context.height, context.pix_fmt)
            about: dict[str, Any] = {"codec": context.codec.canonical_name, "width": form[0], "height": form[1]}
            about |= {"pixels": form[2], "rate": "25", "tick": str(TICK), "reorder": context.reorder_depth}
            self.form = json.dumps(about).encode() + b"\n" + header_of(stream, form, self.packets[0][3])
        self.step = round(1 / TICK / 25)

    def decoded(self, start: int = 0) -> list[np.ndarray]:
        """The luma of the pictures, by a decoder of its own."""
        context, found = av.CodecContext.create("h264", "r"), []
        context.extradata = self.extradata
        for *_, data in self.packets[start:]:
            found += context.decode(av.Packet(data))
        return [picture.to_ndarray(format="gray") for picture in [*found, *context.decode(None)]]


class Camera:
    """Sends packets to a ring, at the moments that the test says."""

    def __init__(self, seconds: float = 1e6, most_bytes: int = 2**40, transport: Transport = "tcp"):
        self.ring = Ring(seconds, most_bytes)
        self.stretches = Stretches(Source(address="rtsp://camera/1", transport=transport), self.ring)
        self.now = self.stretches.epoch

    def connect(self, filmed: Filmed) -> None:
        self.stretches.connected()
        self.stretches.form(filmed.form)

    def send(
        self, filmed: Filmed, start: int = 0, end: int | None = None, ahead: float = 0.0, pace: float = 1.0
    ) -> Iterator[None]:
        """Packets one after the other, as they are due; their clock is so many seconds ahead."""
        for pts, dts, key, data in filmed.packets[start:end]:
            self.now += pace * float(filmed.step * TICK)
            moved = round(ahead / TICK)
            self.stretches.packet(self.now, pts + moved, dts + moved, filmed.step, key, data)
            yield

    def damaged(self, filmed: Filmed, changed: dict[int, bytes | None], end: int = 60) -> None:
        """Send packets of which some have other bytes, or do not come."""
        for index, (pts, dts, key, data) in enumerate(filmed.packets[:end]):
            self.now += float(filmed.step * TICK)
            if (given := changed.get(index, data)) is not None:
                self.stretches.packet(self.now, pts, dts, filmed.step, key, given)

    def sent(self, filmed: Filmed, *args: Any, **more: Any) -> None:
        for _ in self.send(filmed, *args, **more):
            pass
