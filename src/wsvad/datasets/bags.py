"""Bags from feature files: whole for scoring, pooled and packed once for training."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.datasets.memory import Memory, Rows, StoredRows, StoredStreams
from wsvad.errors import WsvadError
from wsvad.features.official import UNKNOWN_TAIL
from wsvad.features.segments import bin_average
from wsvad.features.source import FeatureSource, Released, open_features
from wsvad.features.store import Passport, StoredFeatures, rate_of
from wsvad.video.decoding import told


def load_bag(
    video: LabelledVideo, features: Path | FeatureSource, streams: Sequence[str]
) -> tuple[Bag, dict[str, StoredFeatures]]:
    """Read one video's streams.

    Where one stream has crops, a stream without is shared by all of them. Where one stream is of a public release,
    another may be a snippet longer or shorter than the first: its last snippet is dropped or repeated (8.5).

    Raises:
        WsvadError: a stream is missing or broken, or two streams differ in length or in crops.
    """
    source = open_features(features)
    stored = {name: _existing(video, source, name).load(video.name, name) for name in streams}
    first = stored[streams[0]]
    rates = {name: item.passport.rate or "its own" for name, item in stored.items()}
    if len(set(rates.values())) > 1:
        shown = ", ".join(f"{name} {rate}" for name, rate in rates.items())
        raise WsvadError(
            f"{source.folder}: the streams of {video.name} are of different frame rates ({shown}); extract them "
            "together, with one --rate or none"
        )
    ways = {name: told(item.passport.decode) for name, item in stored.items() if item.passport.decoder}
    if len(set(ways.values())) > 1:
        shown = ", ".join(f"{name} {way}" for name, way in ways.items())
        raise WsvadError(
            f"{source.folder}: the streams of {video.name} were decoded in different ways ({shown}); extract them "
            "together, with one --decode or none"
        )
    stored = {name: _fitted(item, first) for name, item in stored.items()}
    lengths = {name: item.features.shape[-2] for name, item in stored.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise WsvadError(
            f"{source.folder}: the streams of {video.name} differ in length ({shown} snippets); extract them together, "
            "with one tail policy"
        )
    passport = first.passport
    tensors = {name: torch.from_numpy(item.features) for name, item in stored.items()}
    counts = {name: len(tensor) for name, tensor in tensors.items() if tensor.ndim == 3}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise WsvadError(
            f"{source.folder}: the streams of {video.name} have different crops ({shown}); extract them in the same "
            "way, or give one of them without crops, which all share"
        )
    crops = max(counts.values(), default=0)
    bag = Bag(
        streams={name: x if x.ndim == 3 or not crops else x.expand(crops, *x.shape) for name, x in tensors.items()},
        label=video.label,
        category=video.category,
        frames=passport.frames,
        video=video.name,
        stride=passport.stride,
        times=first.times,
        rate=rate_of(passport),
        filmed=first.filmed,
        borders=first.borders,
    )
    return bag, stored


class PassportCheck:
    """Remembers the first passport of each stream and refuses to mix it with features that were made differently."""

    def __init__(self, features: Path | FeatureSource):
        self.source = open_features(features)
        self.passports: dict[str, Passport] = {}
        self._first: dict[str, str] = {}

    def __call__(self, bag: Bag, stored: dict[str, StoredFeatures]) -> Bag:
        for stream, item in stored.items():
            first = self.passports.setdefault(stream, item.passport)
            name = self._first.setdefault(stream, bag.video)
            if difference := first.difference(item.passport):
                raise WsvadError(
                    f"{self.source.path(bag.video, stream)}: made differently from those of {name} "
                    f"({difference}); extract both in the same way"
                )
        return bag


def load_bags(
    videos: Sequence[LabelledVideo],
    features: Path | FeatureSource,
    streams: Sequence[str],
    check: PassportCheck | None = None,
) -> Iterator[Bag]:
    """Read the bags of several videos, one after the other, at native length and in the precision of their files."""
    source = open_features(features)
    check = check or PassportCheck(source)
    for video in videos:
        yield check(*load_bag(video, source, streams))


def keep_bags(bags: Iterable[Bag], memory: Memory | None = None) -> list[Bag]:
    """All of them, to be scored again and again. What memory has no room for lies in a file, and is read when it is
    asked for."""
    memory, file, found = memory or Memory(), None, list[Bag]()
    for bag in bags:
        size = sum(stream.nbytes for stream in bag.streams.values())
        if memory.takes(size):
            memory.hold(size, bag)
        else:
            file = file or memory.file()  # a single one: each is open for as long as it is there
            bag = replace(bag, streams=StoredStreams(bag.streams, file))
        found.append(bag)
    return found


@dataclass(frozen=True, kw_only=True)
class PackedBags:
    """Training bags pooled to L segments, all in one tensor a stream. Crops are samples of their own."""

    streams: Mapping[str, Rows]
    """Each `(N, L, D)` float32, in memory or in a file."""
    labels: Tensor
    """`(N,)` int64."""
    categories: tuple[str, ...]
    """N."""
    videos: tuple[str, ...]
    """N names."""

    @property
    def on_disk(self) -> bool:
        """Whether a batch has to be read."""
        return any(isinstance(stream, StoredRows) for stream in self.streams.values())

    @property
    def crops(self) -> int:
        """C, the samples of each video, which lie side by side.

        Raises:
            WsvadError: videos have different numbers of crops.
        """
        counts = Counter(self.videos)
        (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
        if many != few:
            raise WsvadError(
                f"{most} has {many} crops, {least} has {few}; this method needs the same number for every video"
            )
        return many

    def rows(self, label: int, without: Collection[str] = ()) -> Tensor:
        """Indices of the samples with that label, less those of the videos named in `without`."""
        return torch.tensor(
            [row for row, name in enumerate(self.videos) if int(self.labels[row]) == label and name not in without]
        )


def pack(
    videos: Sequence[LabelledVideo],
    features: Path | FeatureSource,
    streams: Sequence[str],
    segments: int,
    check: PassportCheck | None = None,
    memory: Memory | None = None,
) -> PackedBags:
    """Pool each bag once (2.2) and stack them, so that the training loop only gathers rows.

    Bags are read one at a time: memory holds the packed tensors, as far as it may, and a single bag.
    """
    source, memory = open_features(features), memory or Memory()
    shapes = [[_existing(video, source, name).shape(video.name, name) for name in streams] for video in videos]
    crops = [max(shape[0] if len(shape) == 3 else 1 for shape in each) for each in shapes]
    widths = [shape[-1] for shape in shapes[0]]
    packed = {name: memory.rows((sum(crops), segments, width)) for name, width in zip(streams, widths, strict=True)}
    row = 0
    for bag, copies in zip(load_bags(videos, source, streams, check), crops, strict=True):
        for name, stream in bag.streams.items():
            for crop in range(copies):  # one at a time: averaging makes a copy in double precision
                averaged = bin_average((stream[crop] if stream.ndim == 3 else stream).numpy(), segments)
                packed[name][row + crop] = torch.from_numpy(averaged)
        row += copies
    each = [video for video, copies in zip(videos, crops, strict=True) for _ in range(copies)]
    return PackedBags(
        streams=packed,
        labels=torch.tensor([video.label for video in each]),
        categories=tuple(video.category for video in each),
        videos=tuple(video.name for video in each),
    )


def longest(videos: Sequence[LabelledVideo], features: Path | FeatureSource, stream: str) -> int:
    """The number of snippets of the longest of the videos."""
    source = open_features(features)
    return max(_existing(video, source, stream).shape(video.name, stream)[-2] for video in videos)


def _existing(video: LabelledVideo, source: FeatureSource, stream: str) -> FeatureSource:
    """The source, if a stream of a video is there."""
    if not source.has(video.name, stream):
        of_release = isinstance(source, Released) and stream in source.streams
        make = f"make them with 'wsvad extract --stream {stream}=ENCODER …'"
        make = "'wsvad doctor' lists all that are missing" if of_release else make
        options = "--modalities; --config.backbones of dakd; --config.streams of mil, refinevad and ur-dmu"
        leave = "" if stream == "rgb" else f", or leave the stream out ({options})"
        raise WsvadError(f"{source.path(video.name, stream)}: {video.name} has no {stream} features; {make}{leave}")
    return source


def _fitted(item: StoredFeatures, first: StoredFeatures) -> StoredFeatures:
    """A stream that is a snippet off where one of the two is released, with its last snippet dropped or repeated."""
    found, snippets = item.features.shape[-2], first.features.shape[-2]
    if UNKNOWN_TAIL not in (item.passport.tail, first.passport.tail) or abs(found - snippets) != 1:
        return item
    rows = np.minimum(np.arange(snippets), found - 1)
    return replace(item, features=item.features[..., rows, :])
