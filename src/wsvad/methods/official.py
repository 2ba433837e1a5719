"""Public checkpoints: the same parameters under other names."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from wsvad.errors import WsvadError
from wsvad.weights import without_prefix

Names = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Patterns of our names of parameters, and what stands for each in the public checkpoints, as `re.sub` takes them."""


def official_name(name: str, names: Names) -> str:
    """What the public checkpoints call our parameter `name`."""
    for ours, theirs in names:
        name, found = re.subn(ours, theirs, name)
        if found:
            return name
    raise KeyError(name)


def to_official(method: Any, names: Names) -> dict[str, Tensor]:
    """A method's state dictionary under the public checkpoints' names."""
    return {official_name(name, names): tensor for name, tensor in method.state_dict().items()}


def from_official(kind: type, state_dict: Mapping[str, Tensor], names: Names, first: str, config: Any) -> Any:
    """Build a method from a public checkpoint's state dictionary.

    Args:
        kind: the method's class.
        state_dict: as it was saved; names may all begin with what the network was inside of (`wsvad.weights.PREFIXES`).
        names: how names are translated.
        first: the public name of the first layer's weight, `(·, D, ·)`, from which the input width is read.
        config: the method's configuration; None = the published one.

    Raises:
        WsvadError: keys are missing or unexpected, or shapes or streams do not fit the configuration.
    """
    given = without_prefix(state_dict)
    width = given[first].shape[1] if first in given and given[first].ndim == 3 else 1
    if (streams := getattr(config, "streams", ("rgb",))) != ("rgb",):
        raise WsvadError(f"public checkpoints read rgb, not {' and '.join(streams)}; leave the streams out")
    method = kind({"rgb": width}, config)
    own = method.state_dict()
    public = {official_name(name, names): name for name in own}
    missing, unexpected = public.keys() - given.keys(), given.keys() - public.keys()
    if missing or unexpected:
        raise WsvadError(
            f"not a checkpoint of {kind.__name__} in this configuration; missing: {_some(missing)}; "
            f"unexpected: {_some(unexpected)}"
        )
    wrong = [
        f"{theirs} is {tuple(given[theirs].shape)}, expected {tuple(own[ours].shape)}"
        for theirs, ours in public.items()
        if given[theirs].shape != own[ours].shape
    ]
    if wrong:
        raise WsvadError(f"the checkpoint of {kind.__name__} does not fit the configuration: {_some(wrong)}")
    method.load_state_dict({ours: given[theirs] for theirs, ours in public.items()})
    return method


def _some(told: Collection[str]) -> str:
    """The first few of them, on one line; a file may have names of any length."""
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return ", ".join(" ".join(one.split())[:200] for one in sorted(told)[:3]) + more or "none"
