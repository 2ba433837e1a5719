"""Score videos with a trained method: whole or online, on any device, and all that the method says from one pass.

Shapes: B videos, C crops, T snippets, D features, K categories, H width of the method's embedding.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from wsvad.datasets.dataset import Bag, one_bag
from wsvad.errors import WsvadError
from wsvad.methods.abilities import (
    Attributes,
    Describes,
    Embeds,
    NamesCategories,
    Outputs,
    Reconstructs,
    ScoresNewest,
    Shifts,
    TellsCategories,
    scored_whole,
)
from wsvad.methods.contract import check_scores
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.online import score_online, score_running

Mode = Literal["whole", "online"]
"""`whole` looks at all of a video at once; `online` scores each snippet by the last W, as a live camera has to."""
MODES: tuple[Mode, ...] = ("whole", "online")
Wanted = Literal["class_scores", "attributions", "shift", "embeddings"]
EVERYTHING: tuple[Wanted, ...] = ("class_scores", "attributions", "shift", "embeddings")
CLASSES: tuple[Wanted, ...] = ("class_scores",)
EMBEDDINGS: tuple[Wanted, ...] = ("embeddings",)
BLOCK = 2048
"""A longer video is scored in overlapping blocks of so many snippets (18 minutes at 30 frames per second), because
temporal networks take time with the square of the length. How much that changes, and why so many:
benchmarks/results/long.md."""
OVERLAP = 1 / 8
"""Share of a block that it has in common with the next one; each gives up its outer half of it."""
TOGETHER = 4096
"""Snippets (over all crops) that are scored in one forward pass, if videos of the same length allow it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What a method says of one video; what was not wanted, or what it does not say, is None or empty."""

    scores: np.ndarray
    """`(T,)` in [0, 1]; crops are averaged."""
    class_scores: np.ndarray | None = None
    """`(T, K)` in [0, 1], for the categories of the method's configuration (`named`)."""
    attributions: dict[str, np.ndarray] = field(default_factory=dict)
    """Name → `(T,)` share of the score's attribution."""
    shift: np.ndarray | None = None
    """`(T,)` in [0, 1]: how much of a snippet is taken from its neighbours."""
    embeddings: np.ndarray | None = None
    """`(T, H)`."""
    distance: float | None = None
    """How far the video lies from those that were learned from, see `Familiarity`; None where that is not known."""


class Source(Protocol):
    """What a scorer needs to know of a trained method: `wsvad.runs.model.TrainedMethod` is one."""

    method: Any
    normalisation: Normalisation
    window: int


class Scorer:
    """A method with its normalisation, on a device."""

    def __init__(
        self,
        method: Any,
        normalisation: Normalisation,
        *,
        device: torch.device | str = "cpu",
        window: int = 64,
        block: int = BLOCK,
    ):
        """`window` is W, the snippets that an online score looks back on, its own included; a video of more than
        `block` snippets is scored in blocks of so many. The method is moved to the device and put into evaluation mode
        when something is scored."""
        self.method = method
        self.normalisation = normalisation
        self.device = torch.device(device)
        self.window = window
        self.block = block

    @classmethod
    def of(cls, trained: Source, device: torch.device | str = "cpu") -> "Scorer":
        """Of a trained method, as it lies in a run."""
        return cls(trained.method, trained.normalisation, device=device, window=trained.window)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the K columns of class scores; empty for a method that gives none."""
        method = self.method
        return tuple(method.config.named) if isinstance(method, TellsCategories) else ()

    @property
    def distinguished(self) -> tuple[str, ...]:
        """The same; empty also where the configuration keeps the method from telling apart the categories that it was
        trained with (its mAP would be of other categories than theirs)."""
        config = self.method.config if self.categories else None
        merged = isinstance(config, NamesCategories) and len(config.named) < len(config.categories)
        return () if merged else self.categories

    def block_of(self, snippets: int, mode: Mode = "whole") -> int | None:
        """Snippets of the blocks that a video of this length is scored in; None where it is scored at once."""
        return self.block if mode == "whole" and snippets > self.block and not scored_whole(self.method) else None

    def scores(self, bags: Sequence[Bag], mode: Mode = "whole") -> list[np.ndarray]:
        """Scores of each bag at its native length, in order: `(T,)` in [0, 1]."""
        return [scored.scores for scored in self(bags, mode=mode)]

    def running(self, bags: Sequence[Bag], scenes: Mapping[str, int] | None = None) -> list[np.ndarray]:
        """Online scores `(T,)` of each bag, as a camera gives them that has run for a while and shows them one after
        the other: the windows of a video reach back into those before it. Where features are normalised per camera,
        into those of its own camera alone: statistics of a window of two cameras are those of neither.

        Args:
            scenes: video → the scene that its camera shows; one that is not there has a camera of its own.
        """
        by_camera = "per-camera" in self.normalisation.kinds.values()
        cameras: dict[int | str, list[int]] = defaultdict(list)
        for number, bag in enumerate(bags):
            cameras[(scenes or {}).get(bag.video, bag.video) if by_camera else 0].append(number)
        found: dict[int, np.ndarray] = {}
        for numbers in cameras.values():
            videos = [_Read(bags[n].streams, self.method.runs_on) for n in numbers]
            scores = score_running(self.score_streams, videos, self.window)
            found |= {n: one.float().cpu().numpy() for n, one in zip(numbers, scores, strict=True)}
        return [found[number] for number in range(len(bags))]

    @torch.inference_mode()
    def score_streams(self, streams: dict[str, Tensor]) -> Tensor:
        """Streams `(B, T, D)` or `(B, C, T, D)` as they come from the encoders → scores `(B, T)`, as tensors."""
        self.method.to(self.device).eval()
        return _numbers(self._scored(self._given(streams)).float().cpu())

    @torch.inference_mode()
    def score_newest(self, streams: dict[str, Tensor]) -> Tensor:
        """The last column of `score_streams`, `(B,)`, for less where the method can."""
        method = self.method
        if not isinstance(method, ScoresNewest):
            return self.score_streams(streams)[:, -1]
        method.to(self.device).eval()  # type: ignore[attr-defined]
        given = self._given(streams)
        scores = method.newest(given)
        self._check(scores[:, None], {name: stream[..., -1:, :] for name, stream in given.items()})
        return _numbers(scores.float().cpu())

    def describe(
        self, streams: Mapping[str, Tensor], wanted: Collection[Wanted] = EVERYTHING, mode: Mode = "whole"
    ) -> Scored:
        """All that the method says of one video.

        Args:
            streams: `(T, D)` or `(C, T, D)` each, as they come from the encoders.
        """
        bag = Bag(streams=dict(streams), label=0, category="", frames=0, video="")
        return next(iter(self([bag], wanted, mode)))

    def __call__(self, bags: Sequence[Bag], wanted: Collection[Wanted] = (), mode: Mode = "whole") -> list[Scored]:
        """Score bags, in order.

        Whole videos of the same length share a forward pass; none is padded, because the temporal networks would see
        it. A long one goes through in blocks, which share passes too. Online, the windows of a video share passes.
        """
        self.method.to(self.device).eval()
        if mode == "online":
            return [self._online(bag, wanted) for bag in bags]
        found = {i: self._in_blocks(bag, wanted) for i, bag in enumerate(bags) if self.block_of(bag.snippets)}
        for numbers in self._together(bags):
            streams = {name: torch.stack([bags[i].streams[name] for i in numbers]) for name in self.method.runs_on}
            outputs = self._outputs(self._given(streams), wanted)
            columns_BTN = torch.cat(_columns(outputs), dim=-1)
            found |= {number: _from_columns(one, outputs) for number, one in zip(numbers, columns_BTN, strict=True)}
        return [found[number] for number in range(len(bags))]

    def embeddings(self, streams: Mapping[str, Tensor]) -> Tensor:
        """The method's embedding of one video, `(T, H)`; for a method that `Embeds`."""
        found = self.describe(streams, EMBEDDINGS).embeddings
        assert found is not None
        return torch.from_numpy(found)

    def reconstruction_error(self, bags: Iterable[Bag]) -> dict[str, float]:
        """How well the method synthesises the streams that it does not run on: stream → squared error over all
        snippets, as a share of that of always predicting the mean; nothing for a method that synthesises none."""
        if not isinstance(self.method, Reconstructs):
            return {}
        self.method.to(self.device).eval()  # type: ignore[attr-defined]
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        with torch.inference_mode():
            for bag in bags:
                streams = dict(bag.streams)
                for first, end, kept in blocks(bag.snippets, self.block_of(bag.snippets) or bag.snippets):
                    part = {name: stream[..., first:end, :] for name, stream in streams.items()}
                    for name, both in self.method.reconstruction(self._given(one_bag(part))).items():
                        sums[name] += [float(errors_BT[:, kept].double().sum()) for errors_BT in both]
        return {name: float(error / mean) if mean else float("nan") for name, (error, mean) in sums.items()}

    # ------------------------------------------------------------------------------------------------------ inside

    def _together(self, bags: Sequence[Bag]) -> Iterator[list[int]]:
        """Numbers of bags that share a forward pass."""
        alike: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
        for number, bag in enumerate(bags):
            if self.block_of(bag.snippets):
                continue
            alike[tuple(bag.shape(name) for name in self.method.runs_on)].append(number)
        for shapes, numbers in alike.items():
            together = max(1, TOGETHER // int(np.prod(shapes[0][:-1])))
            yield from (numbers[start : start + together] for start in range(0, len(numbers), together))

    def _given(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Normalised, on the device."""
        return {name: stream.to(self.device) for name, stream in self.normalisation(dict(streams)).items()}

    @torch.inference_mode()
    def _outputs(self, streams: dict[str, Tensor], wanted: Collection[Wanted]) -> Outputs:
        """Everything wanted, from one pass where the method can."""
        method = self.method
        if not wanted:
            return Outputs(scores=self._scored(streams))
        if isinstance(method, Describes):
            found = method.describe(streams)
            self._check(found.scores, streams)
            return Outputs(scores=found.scores, **{name: getattr(found, name) for name in wanted})
        asked: dict[str, Any] = {}
        if "class_scores" in wanted and isinstance(method, TellsCategories):
            asked["class_scores"] = method.class_scores(streams)
        if "attributions" in wanted and isinstance(method, Attributes):
            asked["attributions"] = method.attributions(streams)
        if "shift" in wanted and isinstance(method, Shifts):
            asked["shift"] = method.shift(streams)
        if "embeddings" in wanted and isinstance(method, Embeds):
            asked["embeddings"] = method.embeddings(streams)
        return Outputs(scores=self._scored(streams), **asked)

    def _scored(self, streams: dict[str, Tensor]) -> Tensor:
        """The method's scores `(B, T)`, which are what they have to be."""
        scores = self.method(streams)
        self._check(scores, streams)
        return scores

    def _check(self, scores: Tensor, streams: Mapping[str, Tensor]) -> None:
        first = next(iter(streams.values()))
        if type(self.method).__module__.startswith("wsvad."):
            _numbers(scores)  # of our own methods the features are the cause, of others it may be their code
        check_scores(self.method, scores, (first.shape[0], first.shape[-2]))

    def _in_blocks(self, bag: Bag, wanted: Collection[Wanted]) -> Scored:
        """One long video, in time and memory that grow with its length alone."""
        names, parts, form = self.method.runs_on, [], None
        given = {name: bag.streams[name] for name in names}
        crops = max(stream[..., 0, 0].numel() for stream in given.values())
        where, together = list(blocks(bag.snippets, self.block)), max(1, TOGETHER // (self.block * crops))
        for some in (where[start : start + together] for start in range(0, len(where), together)):
            streams = {name: torch.stack([given[name][..., a:b, :] for a, b, _ in some]) for name in names}
            form = self._outputs(self._given(streams), wanted)
            columns_BTN = torch.cat(_columns(form), dim=-1).float().cpu()
            parts += [columns_TN[kept] for columns_TN, (*_, kept) in zip(columns_BTN, some, strict=True)]
        assert form is not None
        return _from_columns(torch.cat(parts), form)

    def _online(self, bag: Bag, wanted: Collection[Wanted]) -> Scored:
        """Each snippet as the newest of the last W."""
        form: list[Outputs] = []

        def side_by_side(streams: dict[str, Tensor]) -> Tensor:
            form[:] = [self._outputs(self._given(streams), wanted)]
            return torch.cat(_columns(form[0]), dim=-1)

        streams = {name: bag.streams[name] for name in self.method.runs_on}
        columns_TN = score_online(side_by_side, streams, self.window)
        return _from_columns(columns_TN, form[0])


class _Read(Mapping[str, Tensor]):
    """The streams of a bag that a method reads; those that lie on disk are in memory only while they are used."""

    def __init__(self, streams: Mapping[str, Tensor], names: Sequence[str]):
        self._streams, self._names = streams, names

    def __getitem__(self, name: str) -> Tensor:
        return self._streams[name].to(torch.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def blocks(snippets: int, block: int, overlap: int | None = None) -> Iterator[tuple[int, int, slice]]:
    """Where the blocks of a video are: first snippet, the one after the last, and which part of the block counts.

    Neighbours share `overlap` snippets or more (the last block is as long as the others); each counts up to the middle
    of what they share, so that every snippet counts once. By default they share `OVERLAP` of a block.
    """
    overlap = int(block * OVERLAP) if overlap is None else overlap
    starts = [*range(0, max(snippets - block, 0), block - overlap), max(snippets - block, 0)]
    ends = [min(start + block, snippets) for start in starts]
    borders = [0, *((start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)), snippets]
    for start, end, low, high in zip(starts, ends, borders[:-1], borders[1:], strict=True):
        yield start, end, slice(low - start, high - start)


def _numbers(outputs: Tensor) -> Tensor:
    """The same. What is not a number reaches no threshold, and would pass for normal.

    Raises:
        WsvadError: not all of them are finite.
    """
    if not outputs.isfinite().all():
        raise WsvadError(
            "the network gives scores that are not finite numbers; check the features with 'wsvad doctor', or train "
            "again"
        )
    return outputs


def _columns(outputs: Outputs) -> list[Tensor]:
    """All outputs as `(B, T, ·)`, in a fixed order."""
    rest = [outputs.class_scores, outputs.shift, outputs.embeddings, *outputs.attributions.values()]
    found = [outputs.scores, *(one for one in rest if one is not None)]
    return [one[..., None] if one.ndim == 2 else one for one in found]


def _from_columns(columns_TN: Tensor, form: Outputs) -> Scored:
    """`_columns` of one video, put apart again."""
    sizes = [column.shape[-1] for column in _columns(form)]
    parts = iter(column.numpy() for column in _numbers(columns_TN.float().cpu()).split(sizes, -1))
    return Scored(
        scores=next(parts)[:, 0],
        class_scores=next(parts) if form.class_scores is not None else None,
        shift=next(parts)[:, 0] if form.shift is not None else None,
        embeddings=next(parts) if form.embeddings is not None else None,
        attributions={name: next(parts)[:, 0] for name in form.attributions},
    )
