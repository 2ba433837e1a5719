"""The simulated camera: the same bytes from the same seed, exact truth, and no giveaway in brightness or motion."""

import csv
import dataclasses
import json
import shutil
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wsvad.datasets.folder import open_folder
from wsvad.datasets.toy import EVENTS, make_toy
from wsvad.datasets.toy.backdrop import paint
from wsvad.datasets.toy.camera import HEIGHT, WIDTH
from wsvad.datasets.toy.captions import VOCABULARY, captions, embed
from wsvad.datasets.toy.events import Interval
from wsvad.datasets.toy.make import STREAMS, plan
from wsvad.datasets.toy.render import Renderer
from wsvad.datasets.toy.scene import scenes
from wsvad.datasets.toy.shapes import CLASSES
from wsvad.datasets.toy.story import Story, tell
from wsvad.datasets.toy.streams import exact_streams
from wsvad.errors import WsvadError
from wsvad.features.store import feature_path, load
from wsvad.video.clock import SNIPPET, SnippetClock, positive_frames, snippet_count

VIDEOS, SEED = 5, 3
WIDTHS = {"pose": 115, "depth": 3 * 48, "mask": len(CLASSES) * 48, "flow": 4 * 48, "text": len(VOCABULARY)}


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy") / "camera", videos=VIDEOS, seed=SEED, workers=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def story_of(seed: int, item) -> Story:
    dice = np.random.SeedSequence([seed, 1, item.index])
    return tell(scenes(seed)[item.scene], item.category, dice, night=item.night, busy=item.busy)


def a_story(scene: int, category: str, *dice: int) -> Story:
    return tell(scenes(dice[0])[scene], category, np.random.SeedSequence(dice), night=dice[-1] % 3 == 0, busy=0.5)


@pytest.fixture(scope="module")
def some_stories() -> list[Story]:
    """Each category before each camera, with its own dice."""
    return [
        a_story(scene, category, 11, number)
        for number, category in enumerate(["normal", *EVENTS])
        for scene in range(3)
    ]


# ------------------------------------------------------------------------------------------------------ the folder


def test_the_same_bytes_from_two_workers_after_an_interruption(camera, tmp_path):
    """One video is gone, of another a stream, the tables too: what two workers add makes the folder as it was."""
    again = tmp_path / "camera"
    shutil.copytree(camera, again)
    first, second, *_ = sorted((again / "videos").iterdir())
    first.unlink()
    feature_path(again / "features", "flow", second.name).unlink()
    for name in ("labels.csv", "intervals.csv", "captions.jsonl"):
        (again / name).unlink()
    kept = [path for path in (again / "videos").iterdir() if path != second]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert make_toy(again, videos=VIDEOS, seed=SEED, workers=2) == again
    assert contents(again) == contents(camera)
    assert {path: path.stat().st_mtime_ns for path in kept} == before


def test_labels_come_last(camera, tmp_path, monkeypatch):
    """An interrupted folder has no labels, so that nobody takes it for a whole one."""
    again = tmp_path / "camera"
    shutil.copytree(camera, again)
    next((again / "videos").iterdir()).unlink()

    def broken(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wsvad.datasets.toy.make.write_video", broken)
    with pytest.raises(KeyboardInterrupt):
        make_toy(again, videos=VIDEOS, seed=SEED, workers=1)
    assert not (again / "labels.csv").exists()


def test_tables_agree_with_the_videos(camera):
    labels, intervals = table(camera / "labels.csv"), table(camera / "intervals.csv")
    told = [json.loads(line) for line in (camera / "captions.jsonl").read_text().splitlines()]
    assert [row["video"] for row in labels] == [line["video"] for line in told]
    assert {row["split"] for row in labels} == {"train", "test"}
    dataset = open_folder(camera)
    assert len(dataset.train) + len(dataset.test) == len(labels) == VIDEOS
    for row, line in zip(labels, told, strict=True):
        own = [item for item in intervals if item["video"] == row["video"]]
        frames = int(row["frames"])
        with av.open(str(camera / "videos" / row["video"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == frames
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert len(line["captions"]) == snippet_count(frames)
        assert (row["label"] == "1") == bool(own) == (row["category"] != "normal")
        for item in own:
            assert item["category"] == row["category"] in EVENTS
            assert 0 <= int(item["start_frame"]) < int(item["end_frame"]) <= frames


def test_streams_are_stored_with_one_row_for_each_snippet(camera):
    for row in table(camera / "labels.csv"):
        for name in STREAMS:
            stored = load(feature_path(camera / "features", name, row["video"]))
            assert stored.features.shape == (snippet_count(int(row["frames"])), WIDTHS[name])
            assert np.isfinite(stored.features).all()
            assert stored.passport.frames == int(row["frames"])


def test_another_simulation_is_not_overwritten(camera, tmp_path):
    with pytest.raises(WsvadError, match="another simulation"):
        make_toy(camera, videos=VIDEOS, seed=SEED + 1)
    (tmp_path / "labels.csv").write_text("video,label\n")
    with pytest.raises(WsvadError, match="not simulated"):
        make_toy(tmp_path, videos=VIDEOS)
    with pytest.raises(WsvadError, match="too few"):
        make_toy(tmp_path / "few", videos=3)


# ------------------------------------------------------------------------------------------------------ the stories


def test_the_plan_is_even():
    plans = plan(48, 0)
    count = {name: sum(item.category == name for item in plans) for name in ("normal", *EVENTS)}
    assert count == {"normal": 24, **dict.fromkeys(EVENTS, 24 // len(EVENTS))}
    assert len(EVENTS) >= 6
    for name in EVENTS:
        assert {item.split for item in plans if item.category == name} == {"train", "test"}
    assert len({item.name for item in plans}) == 48


def test_seeds_differ():
    assert all(a.camera != b.camera and a.palette != b.palette for a, b in zip(scenes(0), scenes(1), strict=True))
    assert scenes(0) == scenes(0)
    one, other = (a_story(0, "normal", 0, number) for number in (1, 2))
    assert one.frames != other.frames or len(one.actors) != len(other.actors)


def test_every_event_is_seen_for_a_while(some_stories):
    for story in some_stories:
        ends: list[Interval] = [(0, 0), *story.intervals]
        for (_, before), (start, end) in pairwise(ends):
            assert before <= start < end <= story.frames
        if story.intervals:
            assert sum(end - start for start, end in story.intervals) >= 2 * float(story.scene.rate)
            assert sum(end - start for start, end in story.intervals) < story.frames


def test_people_look_like_people(some_stories):
    """A standing person is about 1.7 m tall, one that lies is not; keypoints hang together and move smoothly."""
    for story in some_stories:
        for actor in story.actors:
            if actor.joints is None:
                continue
            assert actor.joints.shape == (story.frames, 17, 2)
            assert np.isfinite(actor.joints).all()
            near = actor.shown & (actor.depth > 3)
            scale = story.scene.camera.focal / actor.depth[near]
            joints = actor.joints[near]
            spread = np.linalg.norm(joints.max(axis=1) - joints.min(axis=1), axis=1) / scale
            assert (spread < 2.6).all()
            shin = np.linalg.norm(joints[:, 13] - joints[:, 15], axis=1) / scale
            assert (shin < 0.65).all()


def test_captions_tell_of_the_event():
    words = {
        "running": " fast", "fight": " kick", "fall": " on the ground", "intrusion": " behind the fence",
        "vehicle-on-pavement": " on the pavement", "explosion": " thick smoke",
    }  # fmt: skip
    assert set(words) == set(EVENTS)
    for number, category in enumerate(EVENTS):
        story = a_story(number % 3, category, 5, number)
        told = captions(story)
        start, end = story.intervals[0]
        assert any(words[category] in line for line in told[start // SNIPPET : (end - 1) // SNIPPET + 1]), category
        assert not any(words[category] in line for line in told[: start // SNIPPET]), category
    vectors = embed(["a car drives along the road, by day", "a car drives along the road; a car drives"])
    place = {word: index for index, word in enumerate(VOCABULARY)}
    assert vectors[1, place["car"]] == pytest.approx(np.log(3))
    assert vectors[0, place["car"]] == pytest.approx(np.log(2))
    assert vectors[1, place["day"]] == 0


# ------------------------------------------------------------------------------------------------------ the truth


def test_nothing_moves_in_an_empty_street():
    story = a_story(0, "normal", 2, 1)
    still = [a for a in story.actors if a.kind == "fence"]
    empty = dataclasses.replace(story, actors=still, frames=40)
    streams = exact_streams(Renderer(empty, paint(story.scene)))
    assert not streams["flow"].any()
    assert not streams["pose"].any()
    depth, mask = streams["depth"].reshape(3, 48, 3), streams["mask"].reshape(3, len(CLASSES), 48)
    assert (depth[..., 0] > 0).all() and (depth[..., 0] <= depth[..., 1]).all()
    assert mask.sum(axis=1) == pytest.approx(np.ones((3, 48)))
    assert not mask[:, CLASSES.index("person")].any()
    assert mask[:, CLASSES.index("fence")].any()


def test_flow_is_how_far_things_move():
    """A car that goes to the right at a known pace: its pixels move by what the camera makes of it."""
    story = next(
        story
        for number in range(20)
        for story in [a_story(0, "normal", 2, number)]
        if any(a.kind == "vehicle" and a.shown.any() for a in story.actors)
    )
    car = next(a for a in story.actors if a.kind == "vehicle" and a.shown.any())
    alone = dataclasses.replace(story, actors=[car])
    renderer = Renderer(alone, paint(story.scene))
    body = max((part for part in car.parts if part.kind == "polygon"), key=lambda part: np.ptp(part.points[0, :, 0]))
    frame = int(np.flatnonzero(car.shown)[np.argmin(np.abs(body.points[car.shown].mean(axis=1)[:, 0] - WIDTH / 2))])
    truth = renderer.truth(frame)
    painted = truth[..., 0] == CLASSES.index("vehicle")
    assert painted.any()
    moved = body.points[frame + 1].mean(axis=0) - body.points[frame].mean(axis=0)
    assert np.median(truth[painted][:, 2]) == pytest.approx(moved[0], rel=0.25)
    assert not truth[~painted][:, 2:].any()
    assert truth[painted][:, 1] == pytest.approx(np.full(painted.sum(), car.depth[frame]))


# ------------------------------------------------------------------------------------------------------ no giveaway


def simple_signals(renderer: Renderer) -> np.ndarray:
    """`(T, 3)`: brightness, absolute frame difference and true flow of each snippet, from two pairs of its frames."""
    frames = renderer.story.frames
    rows = []
    for start in range(0, snippet_count(frames) * SNIPPET, SNIPPET):
        values = []
        for frame in (start + 3, start + 11):
            first = min(frame, frames - 2)
            one, two = (renderer.picture(first + step).astype(np.int16) for step in (0, 1))
            truth = renderer.truth(first)
            values.append((one.mean(), np.abs(two - one).mean(), np.hypot(truth[..., 2], truth[..., 3]).mean()))
        rows.append(np.mean(values, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("seed", [0])
def test_neither_brightness_nor_motion_gives_the_event_away(seed):
    backdrops = [paint(scene) for scene in scenes(seed)]
    signals, departures, truth = [], [], []
    for item in plan(48, seed):
        if item.split != "test":
            continue
        story = story_of(seed, item)
        values, frames = simple_signals(Renderer(story, backdrops[item.scene])), story.frames
        clock = SnippetClock(snippets=len(values), frames=frames)
        lengths, positive = clock.lengths, positive_frames(story.intervals, clock.edges)
        truth.append(np.concatenate([np.arange(n) < p for p, n in zip(positive, lengths, strict=True)]))
        signals.append(np.repeat(values, lengths, axis=0))
        departures.append(np.repeat(np.abs(values - np.median(values, axis=0)), lengths, axis=0))
    label = np.concatenate(truth)
    for name, parts in (("level", signals), ("departure", departures)):
        for what, signal in zip(("brightness", "difference", "flow"), np.concatenate(parts).T, strict=True):
            auc = roc_auc_score(label, signal)
            assert 0.25 < auc < 0.75, f"{name} of {what}: AUC {auc:.3f}"
