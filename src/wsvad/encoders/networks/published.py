"""Public files of weights: whose network they are, under which of its names, and the first thing that is wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from wsvad.errors import WsvadError
from wsvad.spelling import short
from wsvad.weights import check_finite, read_weights, without_prefix

COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that only training reads, and that files of older versions do not have."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a public file names the parts of our network."""

    known_as: str
    """A file that is named like this, as people know it."""
    names: tuple[tuple[str, str], ...] = ()
    """Patterns in our names, and what stands in their place there; one after the other, as `re.sub` takes them."""
    unused: str = "$^"
    """Pattern of further names that may be there: a classifier, most often."""

    def name(self, ours: str) -> str:
        for pattern, theirs in self.names:
            ours = re.sub(pattern, theirs, ours)
        return ours


Network = TypeVar("Network", bound=nn.Module)


def load(build: Callable[[], Network], path: Path | str, schemes: Sequence[Scheme]) -> tuple[Network, Scheme]:
    """A network with the weights of a file, and how the file names them.

    Raises:
        WsvadError: as `read_weights`; or they are not this network's weights.
    """
    weights = without_prefix(read_weights(path))
    with torch.device("meta"):  # nothing is made up that the file replaces
        network = build()
    try:
        scheme = fill(network, weights, schemes)
    except WsvadError as error:
        raise WsvadError(f"{path}: {error}") from None
    check_finite(path, weights)
    return network.eval(), scheme


def fill(network: nn.Module, weights: Mapping[str, Tensor], schemes: Sequence[Scheme]) -> Scheme:
    """Give a network its weights, by the scheme that knows most of their names.

    Raises:
        WsvadError: a name is missing, unexpected, or of another shape or type; the message names the first.
    """
    wanted = network.state_dict()
    scheme = max(schemes, key=lambda one: len({one.name(ours) for ours in wanted} & weights.keys()))
    theirs = {ours: scheme.name(ours) for ours in wanted if not ours.endswith(COUNTER)}
    if difference := _first_difference(wanted, weights, theirs, scheme):
        raise WsvadError(
            f"not the weights of {type(network).__name__} as in {scheme.known_as}: {difference}; give that file"
        )
    counters = {ours: torch.zeros((), dtype=torch.long) for ours in wanted if ours.endswith(COUNTER)}
    network.load_state_dict({ours: weights[name].float() for ours, name in theirs.items()} | counters, assign=True)
    return scheme


def _first_difference(
    wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], theirs: Mapping[str, str], scheme: Scheme
) -> str:
    """In the order of the network; empty where there is none."""
    for ours, name in theirs.items():
        shape = list(wanted[ours].shape)
        if name not in weights:
            return f"'{name}' {shape} is missing"
        if list(weights[name].shape) != shape:
            return f"'{name}' is {list(weights[name].shape)}, expected {shape}"
        if not weights[name].is_floating_point():
            return f"'{name}' is of type {weights[name].dtype}"
    known = set(theirs.values())
    for name in weights:
        if name not in known and not name.endswith(COUNTER) and not re.match(scheme.unused, name):
            return f"'{short(name)}' is unexpected"
    return ""
