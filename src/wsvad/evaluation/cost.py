"""What a method costs: weights, arithmetic, seconds, memory."""

import copy
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SNIPPETS = 240
"""Length of the video that costs are counted on: at it UR-DMU's linear and convolutional layers come to the 1.54 G
multiply-adds that the π-VAD paper prints."""
ROUNDS = 5
"""Times that scoring is timed; the fastest counts."""


def executed_weights(method: nn.Module, widths: dict[str, int]) -> int:
    """Weights of linear and convolutional layers (biases included) that scoring uses: what papers print as parameters.

    Layer norms, memory slots, a teacher, and layers that only a loss uses are not among them (section 4.9).
    """
    probe = copy.deepcopy(method).float().eval()
    for parameter in probe.parameters():
        parameter.grad = None
    probe(example(probe, widths, 4)).sum().backward()
    layers = [module for module in probe.modules() if isinstance(module, nn.Linear | nn.Conv1d)]
    return sum(p.numel() for layer in layers for p in layer.parameters(recurse=False) if p.grad is not None)


def multiply_adds(method: nn.Module, widths: dict[str, int], snippets: int = SNIPPETS) -> int:
    """Multiply-adds of scoring a video, attention included, as they are executed."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        method.eval()(example(method, widths, snippets))
    return counter.get_total_flops() // 2


def snippets_per_second(method: nn.Module, widths: dict[str, int], snippets: int = SNIPPETS) -> float:
    """How fast a video is scored from its features, on this machine, with the threads that torch has."""
    streams = example(method, widths, snippets)
    method.eval()
    seconds = []
    with torch.inference_mode():
        method(streams)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            method(streams)
            seconds.append(time.perf_counter() - start)
    return snippets / min(seconds)


def example(method: Any, widths: dict[str, int], snippets: int) -> dict[str, torch.Tensor]:
    """A random video of that length, with the streams that the method runs on."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(1, snippets, widths[name], generator=generator) for name in method.runs_on}


def forget_peak_memory(device: str = "cpu") -> None:
    """Let `peak_memory` count from now on. Where the system cannot (it is not Linux), it counts from the start."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str = "cpu") -> int:
    """The most bytes that this process has held since: on the device, or in main memory, features and libraries
    included."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        import resource  # which Windows lacks

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
