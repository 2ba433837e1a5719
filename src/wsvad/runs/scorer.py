"""Score whole bags with a trained method."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from wsvad.datasets.dataset import Bag, one_bag
from wsvad.runs.normalisation import Normalisation

TOGETHER = 4096
"""Snippets (over all crops) that are scored in one forward pass, if videos of the same length allow it."""


def score_bags(
    method: Any, bags: Sequence[Bag], normalisation: Normalisation, device: torch.device | str = "cpu"
) -> list[np.ndarray]:
    """Scores of each bag at its native length, in order: `(T,)` in [0, 1]. Crops are averaged.

    Videos of the same length share a forward pass; none is padded, because the temporal networks would see it.
    """
    return _over_bags(method, method, bags, normalisation, device)


def class_score_bags(
    method: Any, bags: Sequence[Bag], normalisation: Normalisation, device: torch.device | str = "cpu"
) -> list[np.ndarray]:
    """Class scores of each bag, in order: `(T, K)`, for a method that has `class_scores`."""
    return _over_bags(method.class_scores, method, bags, normalisation, device)


@torch.inference_mode()
def _over_bags(
    function: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    method: Any,
    bags: Sequence[Bag],
    normalisation: Normalisation,
    device: torch.device | str,
) -> list[np.ndarray]:
    """What a function of streams says of each bag."""
    method.eval()
    alike: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for number, bag in enumerate(bags):
        alike[tuple(tuple(bag.streams[name].shape) for name in method.runs_on)].append(number)
    scores: dict[int, np.ndarray] = {}
    for shapes, numbers in alike.items():
        together = max(1, TOGETHER // int(np.prod(shapes[0][:-1])))
        for start in range(0, len(numbers), together):
            chunk = numbers[start : start + together]
            streams = {name: torch.stack([bags[i].streams[name] for i in chunk]) for name in method.runs_on}
            streams = {name: stream.to(device) for name, stream in normalisation(streams).items()}
            scores |= dict(zip(chunk, function(streams).float().cpu().numpy(), strict=True))
    return [scores[number] for number in range(len(bags))]


@torch.inference_mode()
def reasons(method: Any, streams: dict[str, torch.Tensor], normalisation: Normalisation) -> dict[str, np.ndarray]:
    """What the scores of a video lean on, `(T,)` shares by name; nothing for a method that does not say.

    Args:
        streams: `(T, D)` or `(C, T, D)` each, as they come from the encoders.
    """
    if not hasattr(method, "attributions"):
        return {}
    shares = method.attributions(normalisation(one_bag({name: streams[name] for name in method.runs_on})))
    return {name: share_BT[0].float().cpu().numpy() for name, share_BT in shares.items()}


@torch.inference_mode()
def reconstruction_error(
    method: Any, bags: Sequence[Bag], normalisation: Normalisation, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """How well a method makes up the streams that it does not run on: stream → squared error over all snippets, as a
    share of that of always saying the mean; nothing for a method that makes none up."""
    if not hasattr(method, "reconstruction"):
        return {}
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for bag in bags:
        streams = {name: stream.to(device) for name, stream in normalisation(one_bag(bag.streams)).items()}
        for name, both in method.reconstruction(streams).items():
            sums[name] += [float(errors_BT.double().sum()) for errors_BT in both]
    return {name: float(error / mean) if mean else float("nan") for name, (error, mean) in sums.items()}
