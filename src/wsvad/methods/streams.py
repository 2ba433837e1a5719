"""Several streams side by side, for methods that read one sequence of features.

Shapes: B videos, C crops, T snippets, D features of all streams together.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wsvad.errors import UsageError, WsvadError


def check_streams(names: Sequence[str]) -> None:
    """Check a configuration's streams.

    Raises:
        UsageError: there is none, or one twice.
    """
    if not names or len(set(names)) < len(names):
        raise UsageError(f"streams: one or more, each once, not '{','.join(names)}'")


def given(streams: Mapping[str, Tensor], widths: Mapping[str, int]) -> list[Tensor]:
    """The streams that a method reads, in its order.

    Raises:
        WsvadError: a stream has another width than in training, or other snippets than the first one.
    """
    length = streams[next(iter(widths))].shape[-2]
    for name, width in widths.items():
        found = streams[name].shape[-2:]
        if found != (length, width):
            raise WsvadError(
                f"the stream '{name}' is {found[0]} snippets × {found[1]}, and should be {length} × {width}; "
                "extract all streams from the same video, with the encoders of training"
            )
    return [streams[name] for name in widths]


def side_by_side(streams: Mapping[str, Tensor], widths: Mapping[str, int]) -> Tensor:
    """One sequence of all streams that a method reads, `(B, T, D)` or `(B, C, T, D)`; a stream without crops is shared
    by those of another.

    Raises:
        WsvadError: as `given`.
    """
    if len(widths) == 1:
        return streams[next(iter(widths))]
    parts = given(streams, widths)
    crops = max((part.shape[1] for part in parts if part.ndim == 4), default=0)
    return torch.cat([p[:, None].expand(-1, crops, -1, -1) if crops and p.ndim == 3 else p for p in parts], dim=-1)
