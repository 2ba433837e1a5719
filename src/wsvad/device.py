"""Where networks run: the devices of this machine, by the names that PyTorch gives them.

PyTorch is imported where a device is asked for: a process that only decodes names its device and loads no network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsvad.errors import UsageError

if TYPE_CHECKING:
    import torch


def on_this_machine(device: str) -> str:
    """What devices there are, where this is none of them; empty where it is."""
    if device in ("auto", "cpu"):
        return ""
    import torch

    name, colon, number = device.partition(":")
    there = {
        "cuda": torch.cuda.is_available() and (not colon or (number.isdecimal() and int(number) < _cuda_devices())),
        "mps": not colon and torch.backends.mps.is_available(),
    }
    if there.get(name, False):
        return ""
    here = ", ".join(["cpu", *(f"cuda:{n}" for n in range(_cuda_devices())), *(["mps"] if there["mps"] else [])])
    return f"not a device of this machine, which has {here}; auto takes the fastest"


def device_of(device: "torch.device | str") -> str:
    """The device of that name; for `auto`, the fastest.

    Raises:
        UsageError: this machine does not have it.
    """
    if said := on_this_machine(str(device)):
        raise UsageError(f"device {device}: {said}")
    if str(device) != "auto":
        return str(device)
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def name_of(device: str) -> str:
    """A device as people know it: "cuda (NVIDIA H100)"."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


@contextmanager
def library_threads(count: int) -> Iterator[None]:
    """Have PyTorch and OpenCV compute with so many threads, and as before afterwards."""
    import cv2
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
