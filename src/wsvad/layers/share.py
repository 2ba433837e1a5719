"""A batch on several ranks (processes, each with a device): each computes its share of the bags, all get the whole.

A loss that compares bags needs all of them, the network mostly one at a time. So a method's loss sends what looks at
each bag by itself through `each_bag`, and goes on with the whole result, on every rank alike. Gradients are averaged
over ranks afterwards. What depends on the share alone counts as often as there are ranks (see `_Whole`), so that the
average is the gradient of one rank, up to the order of sums, whether a weight is used before, after, or both.

Shapes: B bags of the batch, b bags of the share.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from types import EllipsisType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Given = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Rows:
    """The bags that a rank computes, of a batch's."""

    start: int
    stop: int
    whole: int


class _Now:
    """Training on several ranks, and the share that is being computed."""

    team: tuple[int, int] | None = None
    """Rank, ranks."""
    rows: Rows | None = None


@contextmanager
def sharing(rank: int, ranks: int) -> Iterator[None]:
    """In the block `each_bag` shares its work with the other ranks, which must be in it too."""
    before, _Now.team = _Now.team, (rank, ranks)
    try:
        yield
    finally:
        _Now.team = before


def each_bag(function: Callable[..., Any], *given: Given) -> Any:
    """Apply a function that looks at each bag by itself; on several ranks, each does it for a share of the bags.

    Args:
        function: takes what is given, or the same rows of all of it. Dropout and batch norm in it must be those of
            `wsvad.layers`, which draw and count for the whole batch. Random numbers that it draws itself would differ.
        given: tensors `(B, …)`, or mappings of names to such.

    Returns:
        What the function makes of all bags: a tensor `(B, …)`, or a tuple of such.
    """
    team, whole = _Now.team, len(_tensors(given[0])[0])
    if team is None or _Now.rows is not None or whole < team[1]:  # too few to share: all of them on each rank
        return function(*given)
    rank, ranks = team
    edges = [whole * r // ranks for r in range(ranks + 1)]
    counts = [stop - start for start, stop in pairwise(edges)]
    _Now.rows = rows = Rows(edges[rank], edges[rank + 1], whole)
    try:
        found = function(*(_part(one, rows, ranks) for one in given))
    finally:
        _Now.rows = None
    if isinstance(found, Tensor):
        return _Whole.apply(found, counts, rank)
    return tuple(_Whole.apply(one, counts, rank) for one in found)


def whole_of(shape: Sequence[int]) -> tuple[tuple[int, ...], slice | EllipsisType]:
    """Of a tensor `(b, …)`, or with several entries a bag: the shape `(B, …)` that it has of the whole batch, and its
    own rows there. Outside of a share, its own shape and all of it."""
    rows = _Now.rows
    if rows is None:
        return tuple(shape), ...
    own = rows.stop - rows.start
    each, rest = divmod(shape[0], own)
    if rest:
        raise ValueError(f"{shape[0]} rows are not those of {own} bags")
    return (rows.whole * each, *shape[1:]), slice(rows.start * each, rows.stop * each)


def total_of(x: Tensor) -> Tensor:
    """The sum over ranks, of which each has added its share. Outside of a share, `x`."""
    return x if _Now.rows is None else _Total.apply(x)


def shared() -> bool:
    """Whether a share is being computed, not the whole batch."""
    return _Now.rows is not None


def _tensors(given: Given) -> list[Tensor]:
    return [given] if isinstance(given, Tensor) else list(given.values())


def _part(given: Given, rows: Rows, ranks: int) -> Given:
    """A share's rows."""
    if isinstance(given, Mapping):
        return {name: _own(x, rows, ranks) for name, x in given.items()}
    return _own(given, rows, ranks)


def _own(x: Tensor, rows: Rows, ranks: int) -> Tensor:
    return _Own.apply(x, rows, ranks) if x.requires_grad else x[rows.start : rows.stop]


class _Whole(torch.autograd.Function):
    """Each rank's `(b, …)` → `(B, …)`, on all ranks. On each the same loss follows, so the gradient of the own rows is
    here already; times the number of ranks, because the average over them comes later."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: list[int], rank: int) -> Tensor:
        ctx.start, ctx.stop, ctx.ranks = sum(counts[:rank]), sum(counts[: rank + 1]), len(counts)
        padded = own.new_zeros(max(counts), *own.shape[1:])  # all parts must be of one size
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        # As bytes: not every library that sends them knows every type.
        dist.all_gather([part.view(-1).view(torch.uint8) for part in parts], padded.view(-1).view(torch.uint8))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][ctx.start : ctx.stop] * ctx.ranks, None, None


class _Own(torch.autograd.Function):
    """`(B, …)` → the own rows of it. The gradients of all ranks' rows are put together, and lose the factor that
    `_Whole` gave them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows, ranks: int) -> Tensor:
        ctx.rows, ctx.ranks, ctx.shape = rows, ranks, x.shape
        return x[rows.start : rows.stop].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        whole = grads[0].new_zeros(ctx.shape)
        whole[ctx.rows.start : ctx.rows.stop] = grads[0] / ctx.ranks
        dist.all_reduce(whole)
        return whole, None, None


class _Total(torch.autograd.Function):
    """The sum over ranks; each rank's share reaches all ranks' losses, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
