"""What is one thing at many moments: a few of them in each run of the tests, all of them with `make sweep`."""

import os
from collections.abc import Iterable
from typing import TypeVar

Case = TypeVar("Case")
FULL = os.environ.get("WSVAD_SWEEP") == "full"


def some(cases: Iterable[Case], keep: int) -> list[Case]:
    """`keep` of the cases spread evenly, the first and the last among them; all of them in a full sweep."""
    every = list(cases)
    if FULL or keep >= len(every):
        return every
    return [every[round(i * (len(every) - 1) / max(keep - 1, 1))] for i in range(keep)]
