"""`make_toy`: a folder of simulated surveillance videos with labels, exact intervals, captions and streams."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from wsvad.datasets.toy.backdrop import Backdrop, paint
from wsvad.datasets.toy.captions import captions
from wsvad.datasets.toy.events import EVENTS
from wsvad.datasets.toy.render import Renderer
from wsvad.datasets.toy.scene import Scene, scenes
from wsvad.datasets.toy.story import Story, tell
from wsvad.datasets.toy.streams import exact_streams
from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.files import read_json, sha256, write_json, write_text
from wsvad.interrupts import unheard
from wsvad.locks import writing
from wsvad.progress import track
from wsvad.tables import table_text
from wsvad.video.writer import write_video

VERSION = 1
"""Of the simulation: it grows whenever the same seed gives other videos."""
TABLES = ("captions.jsonl", "intervals.csv", "labels.csv")
STREAMS = ("pose", "depth", "mask", "flow", "text")
TRAIN_SHARE, NIGHTS = 2 / 3, 1 / 3
VIDEOS_PER_CAMERA = 64
"""What is abnormal in one place need not be in another: a camera takes so many videos before there is a second one."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one video is to show."""

    index: int
    name: str
    category: str
    split: str
    scene: int
    night: bool
    busy: float
    """0 to 1."""


def make_toy(out: Path, *, videos: int = 40, seed: int = 0, workers: int | None = None) -> Path:
    """Make a data set of a simulated camera, or complete one that was begun.

    Half of the videos are abnormal, their categories (`EVENTS`) in equal numbers; two thirds of each category are
    for training. There is one camera, a second from 128 videos on and a third from 192 on; all of them film for both
    splits, and another seed has other scenes.

        OUT/videos/cam-street-0003.mp4      320×240, 10 to 18 seconds
        OUT/labels.csv                      video,label,category,frames,split; written last
        OUT/intervals.csv                   video,category,start_frame,end_frame of all abnormal videos, half-open
        OUT/captions.jsonl                  {"video": …, "captions": [one a snippet]}
        OUT/features/STREAM/VIDEO.safetensors     pose, depth, mask, flow and text as `toy.streams` describes

    The same seed gives the same bytes, however many workers there are. What is there and whole is kept.

    Args:
        out: the folder.
        videos: how many, at least 4.
        seed: decides scenes and stories.
        workers: processes; by default one for each processor.

    Returns:
        `out`.

    Raises:
        WsvadError: too few videos; `out` holds another data set; the disk is full.
    """
    out = Path(out)
    if videos < 4:
        raise WsvadError(f"{out}: {videos} videos are too few; 4 is the least (normal and abnormal, train and test)")
    recipe, plans = {"simulation": VERSION, "videos": videos, "seed": seed}, plan(videos, seed)
    if not _claimed(out, recipe) or not all((out / name).exists() for name in TABLES) or _missing(out, plans):
        with writing(out):
            _complete(out, recipe, plans, workers)
    return out


def _complete(out: Path, recipe: dict[str, int], plans: list[Plan], workers: int | None) -> None:
    """Make what is missing."""
    seed = recipe["seed"]
    write_json(out / "toy.json", recipe)
    missing = _missing(out, plans)
    if missing:
        (out / "labels.csv").unlink(missing_ok=True)
    workers = min(workers or os.cpu_count() or 1, len(missing))
    done = _render_all([(out, seed, item) for item in missing], workers)
    for _ in track(done, "simulate", total=len(missing)) if missing else ():
        pass
    _write_tables(out, seed, plans)


def plan(videos: int, seed: int) -> list[Plan]:
    """What each video is to show: categories and scenes spread evenly, light and bustle evenly among the normal and the
    abnormal videos of each split (few videos would else differ by chance), and all of it shuffled."""
    categories = ["normal"] * (videos - videos // 2) + [list(EVENTS)[i % len(EVENTS)] for i in range(videos // 2)]
    rng = np.random.default_rng([seed, 2])
    cameras = scenes(seed)[: max(1, videos // VIDEOS_PER_CAMERA)]
    slots, counts = [], dict.fromkeys(categories, 0)
    totals = {category: categories.count(category) for category in counts}
    first_scene = {category: int(rng.integers(len(cameras))) for category in counts}
    for category in categories:
        nth, total = counts[category], totals[category]
        counts[category] += 1
        # Of two, one is for training; a category that occurs once is for training.
        training = max(1, min(round(TRAIN_SHARE * total), total - 1))
        split, nth = ("train", nth) if nth < training else ("test", nth - training)
        slots.append((category, split, (first_scene[category] + nth) % len(cameras)))
    night, busy = np.zeros(len(slots), dtype=bool), np.zeros(len(slots))
    for abnormal, split in product((False, True), ("train", "test")):
        group = [i for i, slot in enumerate(slots) if (slot[0] != "normal", slot[1]) == (abnormal, split)]
        rank = rng.permutation(len(group)), rng.permutation(len(group))
        night[group], busy[group] = rank[0] < round(NIGHTS * len(group)), (rank[1] + 0.5) / max(len(group), 1)
    order = rng.permutation(len(slots))
    return [
        Plan(
            index=index,
            name=f"cam-{cameras[slots[slot][2]].name}-{index:04d}.mp4",
            category=slots[slot][0],
            split=slots[slot][1],
            scene=slots[slot][2],
            night=bool(night[slot]),
            busy=float(busy[slot]),
        )
        for index, slot in enumerate(order)
    ]


def _claimed(out: Path, recipe: dict[str, int]) -> bool:
    """Whether the folder is marked as this data set's; one that belongs to another is refused."""
    mark = out / "toy.json"
    if mark.exists():
        theirs = read_json(mark)
        if theirs != recipe:
            raise WsvadError(f"{out}: holds another simulation ({theirs}, asked for {recipe}); choose another folder")
        return True
    if (out / "labels.csv").exists():
        raise WsvadError(f"{out}: holds data that was not simulated; choose another folder")
    return False


def _files(out: Path, item: Plan) -> tuple[Path, list[Path]]:
    return out / "videos" / item.name, [feature_path(out / "features", stream, item.name) for stream in STREAMS]


def _missing(out: Path, plans: list[Plan]) -> list[Plan]:
    """The videos that are not there with all their features."""
    places = ((item, *_files(out, item)) for item in plans)
    return [item for item, video, features in places if not all(path.exists() for path in (video, *features))]


@cache
def _backdrop(seed: int, scene: int) -> tuple[Scene, Backdrop]:
    """A scene and its painted backdrop, kept for the next video of the same process."""
    place = scenes(seed)[scene]
    return place, paint(place)


def _tell(seed: int, item: Plan) -> Story:
    dice = np.random.SeedSequence([seed, 1, item.index])
    return tell(scenes(seed)[item.scene], item.category, dice, night=item.night, busy=item.busy)


def _render(job: tuple[Path, int, Plan]) -> None:
    """Draw one video and store its streams."""
    out, seed, item = job
    renderer = Renderer(_tell(seed, item), _backdrop(seed, item.scene)[1])
    story, (video, features) = renderer.story, _files(out, item)
    write_video(video, renderer.frames(), story.scene.rate, crf=story.crf)
    source, streams = sha256(video), exact_streams(renderer)
    times = np.minimum(np.arange(len(streams["text"]) + 1) * 16, story.frames) / float(story.scene.rate)
    for stream, path in zip(STREAMS, features, strict=True):
        passport = Passport(
            encoder=f"toy-{stream}",
            width=streams[stream].shape[1],
            settings={"simulation": VERSION},
            frames=story.frames,
            frame_rate=str(story.scene.rate),
            source=source,
        )
        save(path, StoredFeatures(features=streams[stream], passport=passport, times=times))


def _render_all(jobs: list[tuple[Path, int, Plan]], workers: int) -> Iterator[None]:
    """In this process, or in several that are started afresh (video libraries do not survive a fork)."""
    if workers <= 1:
        with _one_thread():
            yield from map(_render, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        with unheard():
            rendered = pool.map(_render, jobs)
        yield from rendered


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _write_tables(out: Path, seed: int, plans: list[Plan]) -> None:
    """Labels, intervals and captions, from the stories alone."""
    stories = [_tell(seed, item) for item in plans]
    both = list(zip(plans, stories, strict=True))
    lines = [json.dumps({"video": item.name, "captions": captions(story)}) for item, story in both]
    write_text(out / "captions.jsonl", "\n".join(lines) + "\n")
    intervals = [(item.name, item.category, *interval) for item, story in both for interval in story.intervals]
    write_text(out / "intervals.csv", table_text(["video", "category", "start_frame", "end_frame"], intervals))
    labels = [(p.name, int(p.category != "normal"), p.category, story.frames, p.split) for p, story in both]
    write_text(out / "labels.csv", table_text(["video", "label", "category", "frames", "split"], labels))
