"""Score whole bags with a trained method."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from wsvad.datasets.dataset import Bag
from wsvad.training.normalisation import Normalisation

TOGETHER = 4096
"""Snippets (over all crops) that are scored in one forward pass, if videos of the same length allow it."""


@torch.inference_mode()
def score_bags(
    method: Any, bags: Sequence[Bag], normalisation: Normalisation, device: torch.device | str = "cpu"
) -> list[np.ndarray]:
    """Scores of each bag at its native length, in order: `(T,)` in [0, 1]. Crops are averaged.

    Videos of the same length share a forward pass; none is padded, because the temporal networks would see it.
    """
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
            scores |= dict(zip(chunk, method(streams).float().cpu().numpy(), strict=True))
    return [scores[number] for number in range(len(bags))]
