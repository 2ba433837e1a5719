"""What a method of another package has to keep, tried before it is trained: `tests/contract` tries more."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsvad.errors import WsvadError
from wsvad.methods import METHODS
from wsvad.methods.method import NORMALISATIONS, Phase

B, C, T = 2, 3, 5
"""Videos, crops and snippets of the attempt."""
CLOSE = 1e-4
"""By how much a rounded score may be beside another one, or above 1."""


def check_method(method: Any, widths: Mapping[str, int]) -> None:
    """Try a method that was just built, as scoring will.

    Args:
        widths: D of each stream.

    Raises:
        WsvadError: it does not score as it has to, or lists no phases.
    """
    if not issubclass(type(method), nn.Module):
        raise fault(method, "it is no torch.nn.Module")
    if method.normalisation not in NORMALISATIONS:
        raise fault(method, f"its normalisation is {method.normalisation!r}, not {' or '.join(NORMALISATIONS)}")
    training = method.training
    method.eval()
    with torch.random.fork_rng(), torch.no_grad():
        streams = {name: torch.randn(B, C, T, widths[name]) for name in method.runs_on}
        scores = method(streams)
        check_scores(method, scores, (B, T), f"streams of {B} videos, {C} crops and {T} snippets")
        each = [method({name: stream[:, crop] for name, stream in streams.items()}) for crop in range(C)]
        check_scores(method, each[0], (B, T), f"streams of {B} videos and {T} snippets")
    if not torch.allclose(scores, torch.stack(each).mean(0), atol=CLOSE):
        raise fault(method, "the score of several crops is not the mean of their scores; average it over the crops")
    method.train(training)
    phases = method.phases()
    if not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise fault(method, "its phases() are no list of Phase")


def check_scores(method: Any, scores: Any, shape: tuple[int, ...], given: str = "its streams") -> None:
    """Scores are one number in [0, 1] a snippet.

    Raises:
        WsvadError: they are not.
    """
    if not isinstance(scores, Tensor) or tuple(scores.shape) != shape:
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"type {type(scores).__name__}"
        crops = "; crops are to be averaged" if isinstance(scores, Tensor) and scores.ndim > len(shape) else ""
        raise fault(method, f"its scores for {given} have {found}, not {shape}{crops}")
    if not ((scores >= 0) & (scores <= 1 + CLOSE)).all():
        low, high = float(scores.min()), float(scores.max())
        raise fault(method, f"its scores reach from {low:.3g} to {high:.3g}, not from 0 to 1")


def check_loss(method: Any, parts: Any) -> None:
    """A loss gives its parts by name, and their sum as `total`.

    Raises:
        WsvadError: it does not.
    """
    if not isinstance(parts, Mapping):
        raise fault(method, f"its loss is of type {type(parts).__name__}, not a mapping of its parts and their 'total'")
    if "total" not in parts:
        there = ", ".join(map(str, parts)) or "nothing"
        raise fault(method, f"its loss has no 'total', only {there}; add their sum under that name")
    if wrong := [name for name, part in parts.items() if not isinstance(part, Tensor) or part.ndim]:
        raise fault(method, f"the part '{wrong[0]}' of its loss is no tensor of one number")
    if not parts["total"].requires_grad:
        raise fault(method, "the 'total' of its loss does not depend on anything that is trained")


def fault(method: Any, what: str) -> WsvadError:
    """That a method does not keep what it has to."""
    who = METHODS.who(METHODS.name_of(method))
    return WsvadError(f"{who}: {what}; correct it as wsvad.methods.method says")
