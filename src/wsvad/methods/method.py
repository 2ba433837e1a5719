"""What a method is: it says which streams it learns from and which it still needs, scores, and lists its phases."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

NORMALISATIONS = ("none", "l2", "standardise")
"""What may be done to features before the network."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Training bags, pooled to the same number of segments. The normal ones come first, then as many abnormal ones."""

    streams: dict[str, Tensor]
    """Each `(B, T, D)`, crops being bags of their own; or `(B, C, T, D)`, where the phase wants them together."""
    labels: Tensor
    """`(B,)`, 0 then 1, float32."""
    categories: tuple[str, ...] = ()
    """B category names."""
    rows: tuple[int, ...] = ()
    """B row numbers in the phase's packed bags: what a frozen network makes of a row may be kept under its number."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training: what it optimises, by which loss, for how long."""

    name: str
    loss: Callable[[Batch], dict[str, Tensor]]
    """Its parts, named as in the paper, and their sum as `total`."""
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]]
    """Parameters, or the optimiser's parameter groups."""
    iterations: int
    segments: int = 32
    """T in training: each bag is averaged to so many time bins (2.2)."""
    bags: int = 30
    """Normal bags in a batch; as many abnormal ones go with them."""
    crops: bool = False
    """A bag is a video with all its crops; otherwise each crop is a bag of its own."""
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adagrad
    lr: float = 1e-3
    final_lr: float | None = None
    """Where the learning rate ends after falling along half a cosine; None = it stays."""
    weight_decay: float = 1e-3
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the optimiser."""
    share: float = 1 / 5
    """Share of the paper's passes over the data that is enough for a small set (budget `data`). Small sets are soon
    memorised: then the scores within a video become nearly equal, and the model loses *when* before *which*
    (benchmarks/results/budget.md)."""


class Method(Protocol):
    """A network (`torch.nn.Module`) with its paper's loss. Built as `Method(widths, config)`, where `widths` maps each
    stream's name to its width D.

    `wsvad.methods.abilities` has what a method may give beside: a teacher, categories, attributions, a cheaper form …
    """

    learns_from: ClassVar[tuple[str, ...]]
    """Streams that training needs; a configuration with a field or property of that name decides otherwise."""
    runs_on: ClassVar[tuple[str, ...]]
    """Streams that scoring needs; as above."""
    normalisation: ClassVar[str]
    """What the paper does to features before the network: one of `NORMALISATIONS`, mostly `none`, or `l2` on each
    segment's feature."""
    standardised: ClassVar[tuple[str, ...]]
    """Streams that are standardised whatever is done to the others, by default none; as above."""
    side_by_side: ClassVar[bool]
    """Whether its streams become one sequence of features, by default not; then standardised ones are balanced by their
    widths."""
    config_class: ClassVar[type]
    """Its configuration, a frozen keyword-only dataclass that can be built without arguments: then it is the paper's,
    wherever the paper is clear. A class variable `data_budget` names what the budget `data` has instead."""
    config: Any

    def __call__(self, streams: dict[str, Tensor]) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` (crops are averaged) → scores `(B, T)` in [0, 1], at any T ≥ 1."""
        ...

    def phases(self) -> list[Phase]:
        """What to optimise, in order."""
        ...


def default_config(config_class: type, budget: str) -> Any:
    """A method's configuration where nobody says otherwise, under a budget (`Protocol.budget`)."""
    return config_class(**(getattr(config_class, "data_budget", {}) if budget == "data" else {}))


def learns_from(kind: type[Method], config: Any) -> tuple[str, ...]:
    """The streams that a method needs for training under a configuration."""
    return tuple(getattr(config, "learns_from", kind.learns_from))


def runs_on(kind: type[Method], config: Any) -> tuple[str, ...]:
    """The streams that a method needs for scoring under a configuration."""
    return tuple(getattr(config, "runs_on", kind.runs_on))


def standardised(kind: type[Method], config: Any) -> tuple[str, ...]:
    """The streams that are standardised under a configuration, whatever is done to the others."""
    return tuple(getattr(config, "standardised", getattr(kind, "standardised", ())))


def teacher_method(kind: type[Method], config: Any) -> str | None:
    """The method that teaches it under a configuration; None where it learns by itself."""
    return getattr(config, "teacher_method", getattr(kind, "teacher_method", None))
