"""Bags from feature files: whole for scoring, pooled and packed once for training."""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.errors import WsvadError
from wsvad.features.half import fits_half
from wsvad.features.official import UNKNOWN_TAIL
from wsvad.features.segments import bin_average
from wsvad.features.source import FeatureSource, Released, open_features
from wsvad.features.store import Passport, StoredFeatures, rate_of

IN_MEMORY = 4 * 2**30
"""Packed training features larger than this many bytes go to a memory map, in half precision where that holds them; so
do, as they are, bags that are kept for scoring, from there on."""


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


def keep_bags(bags: Iterable[Bag]) -> list[Bag]:
    """All of them, to be scored again and again. From `IN_MEMORY` bytes on they lie in a file that is mapped, whose
    pages the system drops where memory is short."""
    found: list[Bag] = []
    size = 0
    with tempfile.TemporaryFile() as file:  # a single one, as every map holds a file open
        for bag in bags:
            size += sum(stream.nbytes for stream in bag.streams.values())
            if size > IN_MEMORY:
                for stream in bag.streams.values():
                    file.write(stream.contiguous().numpy().tobytes().ljust(_aligned(stream), b"\0"))
                bag = replace(bag, streams={name: stream.to("meta") for name, stream in bag.streams.items()})
            found.append(bag)
        mapped = torch.from_numpy(np.memmap(file, mode="r+")) if size > IN_MEMORY else torch.empty(0)
    place = 0
    for bag in found:
        for name, stream in bag.streams.items():
            if stream.is_meta:
                bag.streams[name] = mapped[place : place + stream.nbytes].view(stream.dtype).view(stream.shape)
                place += _aligned(stream)
    return found


def _aligned(stream: Tensor) -> int:
    """Its bytes, in whole float64."""
    return -(-stream.nbytes // 8) * 8


@dataclass(frozen=True, kw_only=True)
class PackedBags:
    """Training bags pooled to L segments, all in one tensor a stream. Crops are samples of their own."""

    streams: dict[str, Tensor]
    """Each `(N, L, D)`, float32 in memory, or in a memory map: float16 where that holds the features of all videos."""
    labels: Tensor
    """`(N,)` int64."""
    categories: tuple[str, ...]
    """N."""
    videos: tuple[str, ...]
    """N names."""

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
) -> PackedBags:
    """Pool each bag once (2.2) and stack them, so that the training loop only gathers rows.

    Bags are read one at a time: memory holds the packed tensors (or their memory map) and a single bag.
    """
    source = open_features(features)
    shapes = [[_existing(video, source, name).shape(video.name, name) for name in streams] for video in videos]
    crops = [max(shape[0] if len(shape) == 3 else 1 for shape in each) for each in shapes]
    count, widths = sum(crops), [shape[-1] for shape in shapes[0]]
    on_disk = count * segments * sum(widths) * 4 > IN_MEMORY
    packed = {name: _allocate((count, segments, width), on_disk) for name, width in zip(streams, widths, strict=True)}
    row = 0
    for bag, copies in zip(load_bags(videos, source, streams, check), crops, strict=True):
        for name, stream in bag.streams.items():
            for crop in range(copies):  # one at a time: averaging makes a copy in double precision
                averaged = bin_average((stream[crop] if stream.ndim == 3 else stream).numpy(), segments)
                if packed[name].dtype == np.float16 and not fits_half(averaged):
                    packed[name] = _widened(packed[name], row + crop)
                packed[name][row + crop] = averaged
        row += copies
    each = [video for video, copies in zip(videos, crops, strict=True) for _ in range(copies)]
    return PackedBags(
        streams={name: torch.from_numpy(array) for name, array in packed.items()},
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


def _widened(packed: np.ndarray, rows: int) -> np.ndarray:
    """A copy in single precision, on disk as well, of which so many rows are filled."""
    wide = _on_disk(packed.shape, np.float32)
    for row in range(rows):
        wide[row] = packed[row]
    return wide


def _allocate(shape: tuple[int, ...], on_disk: bool) -> np.ndarray:
    return _on_disk(shape, np.float16) if on_disk else np.empty(shape, dtype=np.float32)


def _on_disk(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    # Unnamed, so that the space is free again however the process ends.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
