"""Which videos show the same scene, one camera at one place, so that what is held out can be another one.

The column `camera` of labels.csv says it, where it is filled. Of the other videos a few small pictures are compared,
each by its edges: light and weather change a picture, and hardly where its edges are. Two videos with a picture each
that are alike are of one scene, and so are those that a third one joins.

What cannot be held out whole, because it is most of the normal or of the abnormal videos, is divided video by video;
then what is held out shows what was learned from, and `promise` says so.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
import numpy as np

from wsvad.datasets.dataset import LabelledVideo
from wsvad.errors import WsvadError
from wsvad.progress import track
from wsvad.video.pictures import Pictures
from wsvad.video.reader import info_of, open_container, video_stream

PICTURES = 8
"""Of each video, evenly spread."""
SIZE = (32, 24)
"""Their width and height, whatever the video's."""
ALIKE = 0.5
"""Correlation of the edges of two pictures of one scene. Of one fixed camera by day, at night and in the rain it was
0.69 or more, of different ones 0.46 or less (`benchmarks/results/scenes.md`)."""
FAINT = 1.0
"""Grey levels between neighbouring pixels below which a picture, a dark or blank one, is like no other."""
SHORT, STEP = 512, 16
"""A video of so many frames at most is decoded whole, and every so many frames there is a picture to choose from."""
MOST = 0.5
"""Share of the videos of one label from which on a scene cannot be held out whole."""
BLOCK = 2048
"""Pictures that are compared with all others at once."""

Scenes = Mapping[str, int]
"""Video → its scene; one that is not there is a scene of its own."""


Looks = Mapping[str, np.ndarray]
"""Video → the edges of its pictures in order of time, `(K, D)`, rows of length 1, or 0 where there is nothing to see; a
video that is not there was not looked at."""


def looks_of(videos: Sequence[LabelledVideo]) -> dict[str, np.ndarray]:
    """Look at the videos whose camera nobody named and whose files are there."""
    rest = [(video.name, video.path) for video in videos if not video.camera and video.path]
    return {name: _look(path, *_state(path)) for name, path in track(rest, "scenes")}


def _state(path: Path) -> tuple[int, int]:
    try:
        return path.stat().st_size, path.stat().st_mtime_ns
    except OSError:
        return 0, 0


@lru_cache(maxsize=2**14)
def _look(path: Path, size: int, changed: int) -> np.ndarray:
    """A file is looked at once, for its division and for each method that is compared, until it changes."""
    return edges_of(pictures_of(path))


def scenes_of(videos: Sequence[LabelledVideo], looks: Looks | None = None) -> dict[str, int]:
    """The scene of each video. One without a file that can be read, or without anything to see in it, is alone, unless
    its camera is named.

    Args:
        looks: by default `looks_of` these videos.
    """
    looks = looks_of(videos) if looks is None else looks
    scene = {video.name: place for place, video in enumerate(videos)}
    cameras: dict[str, int] = {}
    for video in videos:
        if video.camera:
            called = " ".join(unicodedata.normalize("NFKC", video.camera).casefold().split())
            scene[video.name] = cameras.setdefault(called, scene[video.name])
    rest = [video.name for video in videos if video.name in looks and not video.camera]
    for group in _alike({name: looks[name] for name in rest}):
        scene |= dict.fromkeys(group, scene[group[0]])
    numbers = {one: number for number, one in enumerate(dict.fromkeys(scene.values()))}
    return {name: numbers[one] for name, one in scene.items()}


def known_normal(videos: Sequence[LabelledVideo], looks: Looks) -> dict[str, np.ndarray]:
    """Of abnormal videos that are joined of several scenes, which of their pictures show what a normal video shows,
    `(K,)` bool: nothing abnormal happens there, as far as labels of videos can tell. Empty unless that divides most
    abnormal videos: of one fixed camera it divides none."""
    normal = [looks[video.name] for video in videos if video.label == 0 and len(looks.get(video.name, ()))]
    abnormal = [video.name for video in videos if video.label == 1]
    if not normal:
        return {}
    x = np.concatenate(normal).astype(np.float32)
    each = {name: looks[name].astype(np.float32) @ x.T for name in abnormal if len(looks.get(name, ()))}
    known: dict[str, np.ndarray] = {name: np.any(alike >= ALIKE, axis=1) for name, alike in each.items()}
    joined = {name: one for name, one in known.items() if one.any() and not one.all()}
    return joined if len(joined) > MOST * len(abnormal) else {}


def units(videos: Sequence[LabelledVideo], scenes: Scenes) -> list[list[LabelledVideo]]:
    """The videos in groups that stay together when some are held out: scenes, but those that are too large for it,
    whose videos are apart."""
    groups, large = _by_scene(videos, scenes)
    return [part for group in groups for part in ([[one] for one in group] if group in large else [group])]


def promise(videos: Sequence[LabelledVideo], scenes: Scenes) -> str:
    """What thresholds and choices that are made on held-out videos can promise, in a sentence, where that is less than
    of another scene; empty where it is not."""
    large = _by_scene(videos, scenes)[1]
    if not large:
        return ""
    count = sum(map(len, large))
    which = f"All {count}" if count == len(videos) else f"{count} of {len(videos)}"
    what = "show one scene, or scenes that they share"
    if len(large) > 1:
        what = f"are of {len(large)} scenes that each have most of the normal or of the abnormal ones"
    return (
        f"{which} training videos {what}, so held-out videos show what was learned from: "
        "thresholds and choices hold for the cameras of these videos, and promise nothing of another one."
    )


def _by_scene(
    videos: Sequence[LabelledVideo], scenes: Scenes
) -> tuple[list[list[LabelledVideo]], list[list[LabelledVideo]]]:
    """The videos of each scene; and those scenes that cannot be held out whole."""
    groups: dict[int | str, list[LabelledVideo]] = defaultdict(list)
    for video in videos:
        groups[scenes.get(video.name, video.name)].append(video)
    found, total = list(groups.values()), _count(videos)
    large = [
        group for group in found if len(group) > 1
        and any(size > 1 and part > MOST * size for part, size in zip(_count(group), total, strict=True))
    ]  # fmt: skip
    return found, large


def _count(videos: Sequence[LabelledVideo]) -> tuple[int, int]:
    abnormal = sum(video.label for video in videos)
    return len(videos) - abnormal, abnormal


# ------------------------------------------------------------------------------------------------- pictures


def pictures_of(path: Path) -> np.ndarray:
    """A few pictures of a video file, small and grey, `(K, height, width)` uint8; none where it cannot be read. Of a
    long one they are key frames, of one that cannot be searched they are from its beginning."""
    found: list[np.ndarray] = []
    try:
        with open_container(path) as container:
            stream = video_stream(container, path)
            stream.thread_count = 1
            seconds = max(container.duration or 0, 0) / av.time_base
            long = seconds * float(stream.average_rate or 25) > SHORT
            pictures: Pictures | None = None
            for picture in _key_frames(container, stream) if long else islice(container.decode(stream), 0, SHORT, STEP):
                if pictures is None:
                    info = info_of(path, stream, picture)
                    pictures = Pictures(info.width, info.height, info.rotation, info.mirrored)
                found.append(pictures.array(picture, SIZE, "gray"))
    except (WsvadError, av.FFmpegError, OSError, ValueError):
        pass  # whoever extracts says so
    some = np.linspace(0, len(found) - 1, min(PICTURES, len(found))).round().astype(int)
    return np.array([found[place] for place in some], np.uint8).reshape(len(some), SIZE[1], SIZE[0])


def _key_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Those before evenly spread times; the first ones where it cannot be searched."""
    length, start = container.duration or 0, container.start_time or 0
    for place in range(PICTURES):
        with suppress(av.FFmpegError):
            container.seek(start + length * (2 * place + 1) // (2 * PICTURES), backward=True)
        with suppress(av.FFmpegError):
            yield from islice(container.decode(stream), 1)


def edges_of(pictures: np.ndarray) -> np.ndarray:
    """How the grey changes from each pixel to its neighbours, `(K, D)`, rows of length 1; 0 where there is nothing to
    see."""
    x = pictures.astype(np.float32)
    across, down = np.diff(x, axis=2)[:, :-1], np.diff(x, axis=1)[:, :, :-1]
    edges = np.stack([across, down], 1).reshape(len(x), 2 * (x.shape[1] - 1) * (x.shape[2] - 1))
    length = np.linalg.norm(edges, axis=1, keepdims=True)
    return np.where(length > FAINT * np.sqrt(edges.shape[1]), edges / np.maximum(length, 1e-9), 0).astype(np.float16)


# ------------------------------------------------------------------------------------------------- groups


def _alike(edges: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Names of videos in groups that pictures join, in the order in which they were given."""
    edges = {name: rows for name, rows in edges.items() if len(rows)}
    names = list(edges)
    leader = list(range(len(names)))

    def lead(one: int) -> int:
        while leader[one] != one:
            leader[one] = one = leader[leader[one]]
        return one

    if names:
        x = np.concatenate(list(edges.values()))
        owner = np.repeat(np.arange(len(names)), [len(rows) for rows in edges.values()])
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK].astype(np.float32)
            for other in range(0, start + BLOCK, BLOCK):
                rows, columns = np.nonzero(block @ x[other : other + BLOCK].astype(np.float32).T >= ALIKE)
                pairs = np.unique(np.stack([owner[start + rows], owner[other + columns]]), axis=1)
                for one, two in pairs.T.tolist():
                    leader[max(lead(one), lead(two))] = min(lead(one), lead(two))
    groups: dict[int, list[str]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[lead(place)].append(name)
    return list(groups.values())
