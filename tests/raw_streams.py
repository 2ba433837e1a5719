"""Raw streams whose every frame is known, with and without timing of their own; and a recorder's container (DHAV)."""

import re
import struct
from fractions import Fraction
from pathlib import Path

import av
from clips import write_clip

CODECS = {".h264": ("libx264", ".h264"), ".hevc": ("libx265", ".hevc"), ".m4v": ("mpeg4", ".avi")}
"""Encoder, and the ending of a file from which its packets are taken."""
HEAD, START = 24, b"DHAV"


def write_raw(path: Path, frames: int, rate: Fraction | int, *, timing: bool = True, bf: int = 2) -> Path:
    """Frames of `level(index)`, in a raw stream that says its rate itself or does not (MPEG-4 never does)."""
    codec, ending = CODECS[path.suffix]
    options = {"g": "12", "q": "2"} if codec == "mpeg4" else {"bf": str(bf), "g": "12", "preset": "medium"}
    if codec == "libx265":
        told = "" if timing else ":no-vui-timing-info=1"
        options = {"x265-params": f"log-level=none:pools=none:keyint=12:bframes={bf}:frame-threads=1{told}"}
    wrapped = write_clip(path.with_name(f".{path.name}{ending}"), frames, rate=rate, codec=codec, **options)
    with av.open(str(wrapped)) as container:
        content = b"".join(bytes(packet) for packet in container.demux(video=0))
    wrapped.unlink()
    path.write_bytes(content if timing or codec != "libx264" else without_timing(content))
    return path


def without_timing(content: bytes) -> bytes:
    """A stream of H.264 whose parameters say nothing of its rate."""
    parts = re.split(b"(\0\0\0?\1)", content)
    return b"".join(_silent(part) if part and part[0] & 31 == 7 else part for part in parts)


def _silent(unit: bytes) -> bytes:
    """Sequence parameters (ITU-T H.264, 7.3.2.1.1 and E.1.1) without `timing_info`."""
    bits, at = "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\0\0\3", b"\0\0")), 0

    def u(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    def ue() -> int:
        zeros = 0
        while not u(1):
            zeros += 1
        return (1 << zeros) - 1 + (u(zeros) if zeros else 0)

    profile, _, _ = u(8), u(16), ue()
    if profile in (100, 110, 122, 244):
        _ = ue(), ue(), ue(), u(1)
        assert not u(1), "scaling lists"
    ue()
    order = ue()
    assert order in (0, 2)
    _ = (ue() if order == 0 else 0), ue(), u(1), ue(), ue()
    _ = u(1) or u(1), u(1), u(1) and (ue(), ue(), ue(), ue())
    assert u(1), "no usability information"
    _ = u(1) and u(8) == 255 and u(32), u(1) and u(1), u(1) and (u(4), u(1) and u(24)), u(1) and (ue(), ue())
    assert bits[at] == "1", "no timing already"
    kept = bits[:at] + "0" + bits[at + 65 :].rstrip("0")
    kept += "0" * (-len(kept) % 8)
    escaped = bytearray()
    for byte in (int(kept[i : i + 8], 2) for i in range(0, len(kept), 8)):
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return unit[:1] + bytes(escaped)


def write_dhav(path: Path, frames: int, rate: int, *, times: list[int] | None = None) -> Path:
    """The same in the container of a recorder (Dahua), which has times in milliseconds: `times`, or those of a rate."""
    raw = write_raw(path.with_suffix(".h264"), frames, rate, bf=0)
    with av.open(str(raw)) as stream:
        units = [(bytes(packet), packet.is_keyframe) for packet in stream.demux(video=0) if packet.size]
    raw.unlink()
    assert len(units) == frames
    blocks = []
    for index, (unit, key) in enumerate(units):
        moment = times[index] if times else round(1000 * index / rate)
        seconds = moment // 1000
        date = 26 << 26 | 11 << 22 | 5 << 17 | 14 << 12 | seconds // 60 << 6 | seconds % 60
        more = struct.pack("<BBBBB3xHH", 0x81, 0, 2, rate, 0x82, 32, 24) if key else b""
        length = HEAD + len(more) + len(unit) + 8
        kind = 0xFD if key else 0xFC
        head = struct.pack("<4sBBBBIIIHBB", START, kind, 0, 0, 0, index, length, date, moment % 2**16, len(more), 0)
        blocks.append(head + more + unit + struct.pack("<4sI", START.lower(), length))
    path.write_bytes(b"".join(blocks))
    return path
