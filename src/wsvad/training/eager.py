"""PyTorch's optimisers without its compiler. Their decorators import it, some seconds of a processor and 800 modules,
only to tell it to leave them alone; nothing here is compiled."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def eager(optimizer: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser, which imports no compiler; what is not PyTorch's own is left as it is."""
    own = isinstance(optimizer, type) and optimizer.__module__.partition(".")[0] == "torch"
    return _undecorated(optimizer) if own else optimizer


@cache
def _undecorated(optimizer: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    plain = inspect.unwrap(optimizer.step)

    def step(self: torch.optim.Optimizer, closure: Any = None) -> Any:
        with torch.set_grad_enabled(self.defaults.get("differentiable", False)):
            return plain(self, closure)

    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in DECORATED}
    return type(optimizer.__name__, (optimizer,), methods | {"step": step})
