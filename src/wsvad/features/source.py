"""Where streams come from: our own store of safetensors files, or the feature files of a public release, read in place.

A place for features is written

    FOLDER                     one folder a stream in it (`rgb/`, `audio/`), or files of the stream rgb themselves
    LIST                       a list of feature files of the stream rgb
    rgb=PLACE,audio=PLACE      each stream in a place of its own: a folder, or a list of feature files
    s3://BUCKET/FOLDER         our own store as `wsvad extract` wrote it, in an object store
"""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from wsvad.errors import WsvadError
from wsvad.features.official import OfficialStream, holds_arrays
from wsvad.features.store import (
    Passport,
    StoredFeatures,
    clock_of,
    feature_path,
    load,
    read_clock,
    read_passport,
    stored_shape,
)
from wsvad.files import is_file, sampled_sha256
from wsvad.storage import is_remote, place
from wsvad.video.clock import SnippetClock
from wsvad.video.names import matched, named


class FeatureSource(Protocol):
    """Streams of videos, by the videos' names."""

    folder: Path
    """For messages."""

    def path(self, video: str, stream: str) -> Path:
        """The file (or the first of several) that holds, or would hold, a stream."""

    def has(self, video: str, stream: str) -> bool:
        """Whether a stream of a video is there."""

    def load(self, video: str, stream: str) -> StoredFeatures:
        """Read a stream.

        Raises:
            WsvadError: it is missing or broken.
        """

    def shape(self, video: str, stream: str) -> tuple[int, ...]:
        """`(T, D)` or `(C, T, D)` of a stream, which stays on disk."""

    def passport(self, video: str, stream: str) -> Passport:
        """How a stream was made; it stays on disk."""

    def clock(self, video: str, stream: str) -> SnippetClock:
        """When the snippets of a stream are; its features stay on disk."""

    def content(self, video: str, stream: str) -> str:
        """A hash that tells what a stream was made from: of the video, where that is known, else of the features."""


ENDING = ".safetensors"


class Store:
    """A folder that `wsvad extract` wrote. A video that has no file of its very name has the one that means it and no
    other: lists of published datasets name `Abuse001_x264` what is `Abuse/Abuse001_x264.mp4` below a folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._there: dict[str, dict[str, list[str]]] = {}
        """Stream → what `named` takes a video to be → names that are there."""

    def path(self, video: str, stream: str) -> Path:
        path = feature_path(self.folder, stream, video)
        if is_file(path):
            return path
        alike = [name for name in self._names(stream).get(named(video).video, []) if _same_but_ending(name, video)]
        meant = [name for name, of in matched(alike, [video]).items() if of == video]
        return feature_path(self.folder, stream, meant[0]) if meant else path

    def _names(self, stream: str) -> dict[str, list[str]]:
        if stream not in self._there:
            found = self._there[stream] = {}
            for path in (self.folder / stream).rglob(f"[!.]*{ENDING}"):
                name = str(path.relative_to(self.folder / stream)).removesuffix(ENDING)
                found.setdefault(named(name).video, []).append(name)
        return self._there[stream]

    def has(self, video: str, stream: str) -> bool:
        return is_file(self.path(video, stream))

    def load(self, video: str, stream: str) -> StoredFeatures:
        return load(self.path(video, stream))

    def shape(self, video: str, stream: str) -> tuple[int, ...]:
        return stored_shape(self.path(video, stream))

    def passport(self, video: str, stream: str) -> Passport:
        return read_passport(self.path(video, stream))

    def clock(self, video: str, stream: str) -> SnippetClock:
        return read_clock(self.path(video, stream))

    def content(self, video: str, stream: str) -> str:
        return self.passport(video, stream).source or sampled_sha256([self.path(video, stream)])


def _same_but_ending(name: str, video: str) -> bool:
    """Whether the files themselves are called the same, but that one of the two may be without its ending."""
    one, other = sorted((name.rpartition("/")[2], video.rpartition("/")[2]), key=len)
    return other == one or other.startswith(f"{one}.")


class Released:
    """Streams some of which are files of a public release; the others are a store's."""

    def __init__(self, folder: Path, streams: dict[str, OfficialStream]):
        self.folder = folder
        self.streams = streams
        self.store = Store(folder)

    def path(self, video: str, stream: str) -> Path:
        found = self.streams.get(stream)
        return found.path(video) if found else self.store.path(video, stream)

    def has(self, video: str, stream: str) -> bool:
        found = self.streams.get(stream)
        return found.has(video) if found else self.store.has(video, stream)

    def load(self, video: str, stream: str) -> StoredFeatures:
        found = self.streams.get(stream)
        return found.load(video) if found else self.store.load(video, stream)

    def shape(self, video: str, stream: str) -> tuple[int, ...]:
        found = self.streams.get(stream)
        return found.shape(video) if found else self.store.shape(video, stream)

    def passport(self, video: str, stream: str) -> Passport:
        found = self.streams.get(stream)
        return found.passport(video) if found else self.store.passport(video, stream)

    def clock(self, video: str, stream: str) -> SnippetClock:
        found = self.streams.get(stream)
        return clock_of(found.passport(video), found.shape(video)) if found else self.store.clock(video, stream)

    def content(self, video: str, stream: str) -> str:
        found = self.streams.get(stream)
        return sampled_sha256(found.paths(video)) if found else self.store.content(video, stream)


def open_features(features: Path | FeatureSource) -> FeatureSource:
    """The source that a place for features stands for; a source is given back as it is.

    Raises:
        WsvadError: a place that is named for a stream is not there.
    """
    if not isinstance(features, Path):
        return features
    if is_remote(features):
        return Store(features)
    places = named_places(features)
    if places:
        return Released(features, {stream: OfficialStream(where, stream) for stream, where in places.items()})
    if features.is_file():
        return Released(features, {"rgb": OfficialStream(features, "rgb")})
    if not features.is_dir():
        return Store(features)
    streams = {
        folder.name: OfficialStream(folder, folder.name)
        for folder in sorted(features.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and holds_arrays(folder)
    }
    if "rgb" not in streams and not (features / "rgb").is_dir() and holds_arrays(features):
        return Released(features, {"rgb": OfficialStream(features, "rgb")})
    return Released(features, streams) if streams else Store(features)


def released(features: Path) -> set[str]:
    """The streams that are files of a public release, and so were not made by an encoder of wsvad."""
    source = open_features(features)
    return set(source.streams) if isinstance(source, Released) else set()


def holds(features: Path, stream: str) -> bool:
    """Whether a place for features has a stream, of any video."""
    return stream in released(features) or next((features / stream).rglob("*.safetensors"), None) is not None


def unused(features: Path | FeatureSource, names: Collection[str]) -> list[str]:
    """Released streams that are there and are not among these."""
    source = open_features(features)
    return [stream for stream in source.streams if stream not in names] if isinstance(source, Released) else []


def named_places(features: Path) -> dict[str, Path]:
    """`rgb=/data/i3d,audio=/data/vggish` as streams and places; empty for a plain folder.

    Raises:
        WsvadError: a place is not there.
    """
    if features.exists() or "=" not in str(features):
        return {}
    places = {}
    for part in str(features).split(","):
        stream, equals, where = part.partition("=")
        if not (stream and equals and where) or "/" in stream:
            raise WsvadError(f"{features}: write STREAM=PLACE,STREAM=PLACE, as in rgb=i3d,audio=vggish")
        places[stream] = place(where)
        if is_remote(places[stream]):
            raise WsvadError(f"{where}: released features are read on this machine; copy them to a local folder")
        if not places[stream].exists():
            raise WsvadError(f"{where}: there is no such folder or list of {stream} features")
    return places
