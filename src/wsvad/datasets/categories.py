"""Categories of anomaly: which a dataset names, and what a method that tells them apart should know of them."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import UsageError
from wsvad.methods.abilities import NamesCategories

UNNAMED = "abnormal"
"""The category of an abnormal video or interval of which nothing more is known."""


def names_of(category: str) -> tuple[str, ...]:
    """The single categories of a label: several are joined by `;`, and "normal" is not one."""
    names = (name.strip() for name in category.split(";"))
    return tuple(dict.fromkeys(name for name in names if name not in ("", "normal")))


def categories_of(videos: Iterable[LabelledVideo]) -> tuple[str, ...]:
    """The categories that the abnormal videos' labels name, sorted; empty where all are just "abnormal"."""
    found = sorted({name for video in videos if video.label for name in names_of(video.category)})
    return () if set(found) <= {UNNAMED} else tuple(found)


def with_categories(config: Any, dataset: Dataset) -> tuple[Any, list[str]]:
    """A method's configuration with the categories of the training videos, where it has a place for them and the user
    named none; and what the reader of its results should know, a sentence each.

    Raises:
        UsageError: the user's categories leave out one that a training video shows.
    """
    if not isinstance(config, NamesCategories):
        return config, []
    if not config.categories:
        config = dataclasses.replace(config, categories=categories_of(dataset.train))  # type: ignore[type-var]
    if not config.categories:
        return config, []
    for video in dataset.train:
        for name in names_of(video.category) if video.label else ():
            if name not in config.categories:
                raise UsageError(
                    f"categories: '{name}' is missing, which the training video {video.name} shows; add it, or leave "
                    "the option out"
                )
    return config, remarks(config.categories, dataset)


def remarks(categories: tuple[str, ...], dataset: Dataset) -> list[str]:
    """Categories that can be learnt badly or not at all; of a single one nothing is said."""
    if len(categories) == 1:
        return []
    shown = Counter(name for video in dataset.train if video.label for name in names_of(video.category))
    unseen = [name for name in categories_of(dataset.test) if name not in categories]
    rare = [name for name in categories if shown[name] == 1]
    sentences = []
    if unseen:
        sentences.append(
            f"Only test videos show {_listed(unseen)}: categories without training videos cannot be predicted."
        )
    if rare:
        sentences.append(f"Only one training video shows {_listed(rare)}: too few to predict the category reliably.")
    return sentences


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
