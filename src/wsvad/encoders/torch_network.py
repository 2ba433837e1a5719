"""A torch module that reads snippets, on any device; its output, or that of any part of it."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wsvad.errors import UsageError, WsvadError, shortage
from wsvad.spelling import plain

MOST_AT_ONCE = 32
"""Snippets that go through a network together, on a device other than the CPU."""


class TorchNetwork:
    """A module in evaluation mode, what is done to its input, and which of its tensors is taken.

    On a CPU every snippet goes through by itself, in one thread, so that its numbers are the same whatever comes with
    it and however many work beside each other. Elsewhere those that follow each other and have pictures of one size are
    joined, as many as the device's memory holds.
    """

    def __init__(
        self,
        module: nn.Module,
        prepare: Callable[[Tensor], Tensor],
        *,
        tap: str | None = None,
        take: Callable[[Any], Tensor] | None = None,
        at_once: int = MOST_AT_ONCE,
    ):
        """
        Args:
            prepare: pictures of some snippets, joined on the first axis, as they were read (uint8), on the device → the
                module's input.
            tap: name of a part of the module (`named_modules`), whose output is taken; None takes the module's.
            take: that output → a tensor with a part for each picture or clip on its first axis; by default it is one,
                or the first one in it.
            at_once: snippets that are joined at first.

        Raises:
            UsageError: the module has no such part.
        """
        self.module = module.eval().requires_grad_(False)
        self.device = torch.device("cpu")
        self._prepare, self._take, self._at_once = prepare, take or first_tensor, at_once
        self._tapped: list[Any] | None = None
        if tap is not None:
            part_of(module, tap).register_forward_hook(self._keep)
            self._tapped = []

    def to(self, device: torch.device) -> None:
        """Move it to a device."""
        self.device = device
        self.module.to(device)

    def __call__(self, snippets: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Each snippet's pictures `(M, …)` uint8 → what the network says of them, `(K, …)` float32 each; K is M for
        one that reads pictures, and the number of clips for one that reads several pictures at once.

        Raises:
            WsvadError: its output has not one part for each snippet.
            RuntimeError: the device's memory does not hold a single one (see `errors.shortage`).
        """
        outputs, alone = list[np.ndarray](), self.device.type == "cpu"
        while len(outputs) < len(snippets):
            some = _of_one_size(snippets[len(outputs) :][: 1 if alone else self._at_once])
            try:
                with _one_thread() if alone else nullcontext():
                    outputs += self._run(some)
                continue
            except RuntimeError as error:  # each kind of device has its own words for too little memory
                if len(some) == 1 or not shortage(error):
                    raise
            # Out of the handler: what failed is held as long as its error is.
            torch.cuda.empty_cache()
            self._at_once = len(some) // 2
        return outputs

    def runs_on(self, device: torch.device) -> bool:
        """It does on every device that PyTorch knows."""
        return True

    @torch.inference_mode()
    def _run(self, snippets: Sequence[np.ndarray]) -> list[np.ndarray]:
        joined = torch.from_numpy(np.concatenate(snippets)).to(self.device, non_blocking=True)
        if self._tapped is not None:
            self._tapped.clear()
        output: Any = self.module(self._prepare(joined))
        if self._tapped is not None:
            if not self._tapped:
                raise WsvadError("the part of the network that is to be tapped does not run; name another")
            output = self._tapped[-1]
            self._tapped.clear()  # else the device would hold it until the next batch
        taken = self._take(output).float().cpu().numpy()
        if taken.ndim == 0 or len(taken) % len(snippets):
            raise WsvadError(f"the network's output {list(taken.shape)} has not one part for each snippet; tap another")
        return np.split(taken, len(snippets))

    def _keep(self, module: nn.Module, inputs: Any, output: Any) -> None:
        assert self._tapped is not None
        self._tapped.append(output)


def _of_one_size(snippets: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first ones, which can be joined."""
    return list(takewhile(lambda one: one.shape == snippets[0].shape, snippets))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def part_of(module: nn.Module, name: str) -> nn.Module:
    """A part of a module, by its name.

    Raises:
        UsageError: there is none of that name; the message lists near ones.
    """
    parts = {known: part for known, part in module.named_modules() if known}
    if name not in parts:
        near = difflib.get_close_matches(name, parts, n=5, cutoff=0.4) or list(parts)[-5:]
        raise UsageError(f"tap '{plain(name)}': the network has no such part; near ones are {', '.join(near)}")
    return parts[name]


def first_tensor(output: Any) -> Tensor:
    """The tensor in what a module gives: itself, or the first one of a tuple or a mapping.

    Raises:
        WsvadError: there is none.
    """
    if isinstance(output, Tensor):
        return output
    inner = output.values() if isinstance(output, dict) else output if isinstance(output, list | tuple) else ()
    for one in inner:
        if isinstance(one, Tensor):
            return one
    raise WsvadError(f"the network gives {type(output).__name__}, not a tensor; tap another part")


def over_space(x: Tensor, *, channels_first: bool) -> Tensor:
    """`(N, D, …)` or `(N, …, D)` → `(N, D)`, the mean over all positions."""
    if x.ndim < 3:
        return x
    return x.flatten(2).mean(2) if channels_first else x.flatten(1, -2).mean(1)
