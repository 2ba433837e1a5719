"""A camera that is attached to the machine, where there is one; and what is said where there is none."""

import fcntl
import struct
from pathlib import Path

import pytest

from wsvad.video.address import Source
from wsvad.video.connection import Patience
from wsvad.video.live import LiveSource
from wsvad.video.reader import Frame

VIDIOC_QUERYCAP, VIDEO_CAPTURE, DEVICE_CAPS = 0x80685600, 0x1, 88
"""Of linux/videodev2.h: a question, an answer, and where in it that is."""


def cameras() -> list[Path]:
    """Devices that give pictures; of one camera others give metadata alone."""
    found = []
    for path in sorted(Path("/dev").glob("video*")):
        try:
            with path.open("rb", buffering=0) as device:
                said = fcntl.ioctl(device, VIDIOC_QUERYCAP, bytes(104))
        except OSError:
            continue
        if struct.unpack_from("=I", said, DEVICE_CAPS)[0] & VIDEO_CAPTURE:
            found.append(path)
    return found


def test_a_device_gives_upright_frames_of_one_size():
    if not (devices := cameras()):
        pytest.skip("no camera is attached (/dev/video*)")
    with LiveSource(Source(address=str(devices[0]))) as source:
        frames = [item for item in (source.take(20) for _ in range(20)) if isinstance(item, Frame)]
        health = source.health
    assert health.state == "live" and health.codec
    assert {frame.array().shape for frame in frames} == {(health.height, health.width, 3)}
    times = [frame.time for frame in frames]
    assert times == sorted(times) and times[0] < times[-1]


@pytest.mark.parametrize("address", ["/dev/video77", "/dev/null"])
def test_what_is_no_camera_is_said_with_where_to_look(address):
    with LiveSource(Source(address=address), patience=Patience(open=5)) as source:
        source.take(0.5)
        for _ in range(120):
            if source.health.said:
                break
            source.take(0.25)
        said = source.health.said
    assert said.startswith(f"{address}: cannot be opened (") and "'ls /dev/video*' lists the cameras" in said
