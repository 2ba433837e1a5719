"""Published datasets: how each is read from its official files, and what must come out (specification 1 and 1.1).

A benchmark is a module in this package. It reads splits and intervals from annotation files, never from positions in a
list or from a shipped array of labels, and it carries the totals by which a reader sees that files and lists are right.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wsvad.datasets.dataset import LabelledVideo
from wsvad.registry import Registry

DATASETS = Registry(
    "dataset",
    *("name", "marks", "read", "split", "headline"),
    ucf_crime="wsvad.datasets.ucf_crime:UCF_CRIME",
    xd_violence="wsvad.datasets.xd_violence:XD_VIOLENCE",
    shanghaitech="wsvad.datasets.shanghaitech:SHANGHAITECH",
    msad="wsvad.datasets.msad:MSAD",
    ucsd_ped2="wsvad.datasets.ucsd_ped2:UCSD_PED2",
)
"""Every published dataset by name. A new one is one file and one line here, or an entry point in another package."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the frame labels of the test videos add up to somewhere."""

    name: str
    """Whose labels, or which rule: `native frames`, `⌊F/16⌋·16`, `RTFM gt-sh`."""
    frames: int
    abnormal: int | None = None
    """Frames labelled abnormal."""
    in_abnormal: int | None = None
    """Frames of the videos that have an abnormal one."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A published dataset."""

    name: str
    marks: tuple[str, ...]
    """File names, any of which tells that a folder is this dataset's; with `*`."""
    read: Callable[[Path], list[LabelledVideo]]
    """From a folder with the official lists and annotations to its videos. Names are those of the feature files,
    without crop and ending."""
    split: Mapping[Literal["train", "test"], tuple[int, int]]
    """Abnormal and normal videos of each split."""
    totals: tuple[Totals, ...] = ()
    headline: Literal["auc", "ap"] = "auc"
    """The metric that papers print."""
    per_category: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Videos of each category in training and test, where they are published."""
    normal_is_event: bool = False
    """VadCLIP's evaluator counts each normal video of this dataset as an event of the class "normal" (3.5)."""
