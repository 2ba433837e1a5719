"""What a run's training videos look like, as it lies in `model.safetensors` (tensors) and `model.json` (numbers)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from wsvad.errors import WsvadError
from wsvad.runs.familiarity import SHARES, Familiarity, Gaussian

TENSORS, NUMBERS = ("centre", "scale", "axes", "variances"), ("limits", "videos", "false", "length")


def tensors_of(familiarity: Familiarity) -> dict[str, Tensor]:
    """What lies beside the weights."""
    each = {(stream, part): getattr(known, part) for stream, known in familiarity.streams.items() for part in TENSORS}
    return {f"familiarity.{part}.{stream}": tensor.float().contiguous() for (stream, part), tensor in each.items()}


def numbers_of(familiarity: Familiarity) -> dict[str, Any]:
    """What stands in the record."""
    return {name: getattr(familiarity, name) for name in NUMBERS}


def familiarity_of(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor], widths: Mapping[str, int]) -> Familiarity:
    """It again.

    Args:
        widths: D of each stream of the run.

    Raises:
        WsvadError: the parts do not go together.
    """
    streams = {}
    for name, limits in numbers["limits"].items():
        parts = {part: tensors.get(f"familiarity.{part}.{name}") for part in TENSORS}
        axes, width = parts["axes"], widths.get(name, 0)
        count = len(axes) if axes is not None and axes.ndim else 0
        shapes = ((width,), (width,), (count, width), (count + 1,))
        wrong = [part for part, shape in zip(TENSORS, shapes, strict=True) if getattr(parts[part], "shape", 0) != shape]
        if wrong or len(limits) != len(SHARES):
            raise WsvadError(f"{(wrong or ['limits'])[0]} of {name}, by which familiar videos are known")
        known = Gaussian(**{part: tensor.double() for part, tensor in parts.items() if tensor is not None})
        if not (known.scale > 0).all() or not (known.variances > 0).all():
            raise WsvadError(f"deviations of familiar videos that are not above 0, of {name}")
        streams[name] = known
    return Familiarity(streams=streams, **{name: numbers[name] for name in NUMBERS})
