"""How much of a recording with gaps was filmed: counted frame by frame, and so in all that is said of hours."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from clips import Means, write_clip
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from timelines import event, timeline

from wsvad.datasets.bags import load_bag
from wsvad.datasets.dataset import LabelledVideo
from wsvad.detection.calibration import calibrated, recalibrated
from wsvad.detection.kept import Found, Kept, Stamp
from wsvad.errors import WsvadError
from wsvad.extraction.encode import encode_frames, encode_video
from wsvad.features.source import Store
from wsvad.features.store import feature_path, load, save
from wsvad.metrics.events import EventRules
from wsvad.pages.summary import events_in_words
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import Scored
from wsvad.training.cross_fit import normal_scores
from wsvad.video.reader import Frame, VideoReader

ENCODERS = {"rgb": (Means(count=1),)}
BURST, GAP = 10, 600
"""A second at ten frames a second, then ten minutes in which nothing moves: each snippet of 16 frames has a gap."""


def bursts(path, count=30, burst=BURST, gap=GAP, step=100):
    times = [number * (burst * step + gap * 1000) + index * step for number in range(count) for index in range(burst)]
    return write_clip(path, count * burst, rate=10, times=times)


def seconds(frames, rate=10):
    """What each snippet holds, by the definition."""
    return [min(16, frames - start) / rate for start in range(0, frames, 16)]


@pytest.mark.parametrize("container", ["a.mkv", "a.mp4", "a.mov"])
@pytest.mark.parametrize("burst, gap", [(10, 600), (50, 12), (8, 11)])
def test_only_frames_are_filmed(container, burst, gap, tmp_path):
    path = bursts(tmp_path / container, 12, burst, gap)
    stored = encode_video(path, ENCODERS)["rgb"]
    assert stored.times[-1] > 11 * gap
    assert stored.filmed == pytest.approx(seconds(12 * burst), abs=1e-9)
    with VideoReader(path) as frames:  # no matter who reads it, nor whether all frames are taken
        some = encode_frames((frame for frame in frames if frame.index % 2 == 0), ENCODERS)["rgb"]
    assert some.filmed.sum() == pytest.approx(12 * burst / 10, abs=0.11)


def test_a_single_snippet_may_have_a_gap(tmp_path):
    stored = encode_video(bursts(tmp_path / "a.mkv", 2, 8), ENCODERS)["rgb"]
    assert stored.filmed == pytest.approx([1.6]) and stored.times[-1] > 600


@pytest.mark.parametrize("frames", [1, 16, 17, 40])
def test_a_whole_video_is_filmed_as_long_as_it_lasts(frames, tmp_path):
    stored = encode_video(write_clip(tmp_path / "a.mp4", frames), ENCODERS)["rgb"]
    assert stored.filmed == pytest.approx(np.diff(stored.times), abs=1e-12)
    arrays = Frame.of_arrays([np.zeros((24, 32, 3), np.uint8)] * frames, Fraction(25))
    assert encode_frames(arrays, ENCODERS)["rgb"].filmed.tolist() == stored.filmed.tolist()


@pytest.fixture
def features(tmp_path):
    """A normal video of 300 frames in 30 bursts: half a minute of video in five hours."""
    path = feature_path(tmp_path / "features", "rgb", "n.mp4")
    save(path, encode_video(bursts(tmp_path / "n.mp4"), ENCODERS)["rgb"])
    return path


def old(features):
    """As an earlier version wrote it."""
    stored = load(features)
    save(features, replace(stored, filmed=None))
    assert "filmed" not in load_file(features)


def tamper(path, filmed):
    """Write something else into a file about what was filmed."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path) | {"filmed": filmed}, path, metadata=metadata)


def experiment(tmp_path):
    """Of its parts, those that calibration asks for; fits of folds are none of them."""
    video = LabelledVideo(name="n.mp4", label=0, category="normal", split="train")
    scores = {mode: {"n.mp4": [0.1] * 19} for mode in ("whole", "online")}
    kept = {"selection": {"normal": scores}, "folds": {"videos": [["n.mp4"]]}}
    seed = SimpleNamespace(read=kept.get)
    return SimpleNamespace(
        protocol=SimpleNamespace(hold_out=0.2), seeds=[0], dataset=SimpleNamespace(train=[video]),
        folder=SimpleNamespace(seed=lambda _: seed),
        fitting=SimpleNamespace(source=Store(tmp_path / "features"), scored=("rgb",)),
    )  # fmt: skip


def test_hours_of_a_promise_are_those_that_were_filmed(features, tmp_path):
    """By snippets' borders it would be five hours, enough to promise a false alarm an hour."""
    normal = normal_scores(experiment(tmp_path), 1.0)
    (tmp_path / "calibration.json").write_text(json.dumps(normal.as_dict()))
    for found in (calibrated(normal, EventRules(), 1.0), recalibrated(RunFolder(tmp_path), EventRules(), 1.0)):
        assert [3600 * one.hours for one in found.each.values()] == pytest.approx([30, 30])
        assert not any(one.promised for one in found.each.values())


def test_features_of_earlier_versions_are_estimated(features, tmp_path):
    old(features)
    normal = normal_scores(experiment(tmp_path), 0.1)
    assert "filmed" not in normal.as_dict()
    (one, _) = calibrated(normal, EventRules(), 0.1).each.values()
    assert one.hours == pytest.approx(load(features).clock.seconds()[-1] / 3600)


def test_it_comes_back_from_disk(features, tmp_path, monkeypatch):
    video = LabelledVideo(name="n.mp4", label=0, category="normal", split="train")
    bag, stored = load_bag(video, tmp_path / "features", ("rgb",))
    assert stored["rgb"].filmed.tolist() == bag.clock.filmed.tolist() == load_file(features)["filmed"].tolist()
    monkeypatch.setattr(RunFolder, "scoring_hash", lambda self: "0" * 64)
    kept = Kept(tmp_path / "out", tmp_path, "whole")
    found = Found(clock=bag.clock, scored=Scored(scores=np.full(19, 0.5, np.float32)), tags={})
    kept.write("n.mp4", Stamp.of(tmp_path / "n.mp4"), found)
    assert kept.read("n.mp4", tmp_path / "n.mp4").clock.filmed.tolist() == bag.clock.filmed.tolist()
    tamper(kept.path("n.mp4"), np.full(19, 1e6))
    assert kept.read("n.mp4", tmp_path / "n.mp4") is None  # it is scored again


@pytest.mark.parametrize("wrong", [np.full(19, -1.0), np.full(19, 1e6), np.full(19, np.nan), np.ones(18)])
def test_more_than_the_times_allow_is_refused(wrong, features):
    stored = load(features)
    with pytest.raises(WsvadError, match="more was filmed than the times allow; nothing was written"):
        save(features, replace(stored, filmed=wrong))
    with pytest.raises(WsvadError, match="nothing was written"):
        save(features, replace(stored, times=None))
    tamper(features, wrong)
    with pytest.raises(WsvadError, match=r"more was filmed than its times allow; delete it and extract again"):
        load(features)


def test_a_report_says_how_much_was_filmed():
    one = timeline(
        scores=(0.1, 0.9, 0.2), events=[event(16, 32)], times=np.array([0, 600, 1200, 1800.0]),
        seconds_filmed=np.array([1.6, 4.0, 5.4]),
    )  # fmt: skip
    assert (one.filmed(), one.filmed(one.events[0])) == (11.0, 4.0)
    assert events_in_words([one])["where"] == "in this video: 4.0\u00a0s of 11.0\u00a0s."
