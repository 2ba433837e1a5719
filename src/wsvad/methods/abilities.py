"""What a method may give beyond scores. Each ability is a small Protocol, so that whoever uses it says what it needs:
`isinstance(method, TellsCategories)`.

Shapes: B videos, T snippets, K categories, H width of the method's embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:  # who only asks what a configuration names does not wait for torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """All that a method says of videos, from one pass over its network; what it does not say is None or empty."""

    scores: Tensor
    """`(B, T)` in [0, 1]."""
    class_scores: Tensor | None = None
    """`(B, T, K)` in [0, 1], see `TellsCategories`."""
    attributions: Mapping[str, Tensor] = field(default_factory=dict)
    """Name → `(B, T)` share, see `Attributes`."""
    shift: Tensor | None = None
    """`(B, T)` in [0, 1]: how much of a snippet is taken from the one before and the one after."""
    embeddings: Tensor | None = None
    """`(B, T, H)`, see `Embeds`."""


@runtime_checkable
class Describes(Protocol):
    """It can say everything in one pass; without this, each ability is asked by itself."""

    def describe(self, streams: dict[str, Tensor]) -> Outputs: ...


@runtime_checkable
class ScoresNewest(Protocol):
    """It scores the newest snippet alone, `(B,)`, for less than all of them, as a camera asks at each snippet; the same
    up to rounding."""

    def newest(self, streams: dict[str, Tensor]) -> Tensor: ...


@runtime_checkable
class Compacts(Protocol):
    """It has a cheaper form for scoring alone, with the same scores."""

    def compact(self) -> Any: ...


@runtime_checkable
class Attributes(Protocol):
    """It attributes its scores: name → shares `(B, T)`, which sum to 1."""

    def attributions(self, streams: dict[str, Tensor]) -> dict[str, Tensor]: ...


@runtime_checkable
class TellsCategories(Protocol):
    """It says what category of anomaly a snippet shows: `(B, T, K)` in [0, 1] for the K categories of `config.named`.
    Each snippet's add up to its score, and what is missing to 1 is "normal"."""

    config: Any

    def class_scores(self, streams: dict[str, Tensor]) -> Tensor: ...


@runtime_checkable
class Shifts(Protocol):
    """It moves channels between neighbouring snippets: `(B, T)` in [0, 1], how much of each comes from them."""

    def shift(self, streams: dict[str, Tensor]) -> Tensor: ...


@runtime_checkable
class Embeds(Protocol):
    """It has an embedding `(B, T, H)`, and prototypes of categories `(K, H)` to compare it with by cosine."""

    def embeddings(self, streams: dict[str, Tensor]) -> Tensor: ...

    @property
    def prototypes(self) -> Tensor: ...


@runtime_checkable
class Grows(Embeds, TellsCategories, Protocol):
    """It can learn one more category from the embeddings `(T, H)` of a few videos, without training."""

    def add_category(self, name: str, embeddings: Sequence[Tensor]) -> Any: ...


@runtime_checkable
class Reconstructs(Protocol):
    """It synthesises the streams that it does not run on: name → squared errors, and those of always predicting the
    mean, `(B, T)` both."""

    def reconstruction(self, streams: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]: ...


@runtime_checkable
class Taught(Protocol):
    """It learns from a teacher, a trained method of the name `teacher_method`; after `teach`, `phases` need not train
    one. A configuration with a property of that name decides otherwise; where its `given` is not empty, the teacher is
    not of the method's own architecture, and its streams are normalised as it learned."""

    def teach(self, network: Any) -> None: ...


@runtime_checkable
class KeepsCore(Protocol):
    """It may have a CORE (category prototypes and what injects them), which another run can take over."""

    config: Any

    @property
    def has_core(self) -> bool: ...

    def take_core(self, other: Any) -> None:
        """Use the CORE of `other`, of the same class, as it is: nothing in it is trained from then on."""


@runtime_checkable
class FromOfficial(Protocol):
    """It is made from a public checkpoint, with the `widths` that it found there."""

    @classmethod
    def from_official(cls, state_dict: Mapping[str, Tensor], config: Any) -> Self: ...


@runtime_checkable
class NamesCategories(Protocol):
    """A configuration with `categories`, which the training videos' labels fill where they are empty; `named` are those
    that the method scores."""

    categories: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]: ...


@runtime_checkable
class ChoosesModalities(Protocol):
    """A configuration of a method that learns from modalities beside rgb, any of which can be left out."""

    modalities: tuple[str, ...]


@runtime_checkable
class Remarks(Protocol):
    """A configuration with a sentence that the reader of its results should know; empty where there is none."""

    @property
    def remark(self) -> str: ...


def given_teacher(config: Any) -> str:
    """The method of the teacher whose architecture is not the method's own; empty where it is, or there is none."""
    return str(getattr(config, "given", ""))


def scored_whole(method: Any) -> bool:
    """Whether a video must not be scored in blocks, however long: the method makes a fixed number of segments of it, as
    its configuration's `scored_whole` says."""
    return bool(getattr(getattr(method, "config", None), "scored_whole", False))
