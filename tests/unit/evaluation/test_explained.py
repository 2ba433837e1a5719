"""A dash has its reason, and an interval that no video is long enough for is named."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.open import open_dataset
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.evaluation.explained import NEEDS, beyond_videos, undefined
from wsvad.evaluation.measure import evaluate as measure
from wsvad.evaluation.scores_file import write_scores
from wsvad.evaluation.vocabulary import METRICS
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods import METHODS
from wsvad.metrics.interval import Interval
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol
from wsvad.video.clock import SnippetClock


def video(name: str, *intervals: tuple[int, int], frames: int | None = None) -> LabelledVideo:
    truth = tuple(Interval(start=s, end=e, category="fight") for s, e in intervals)
    label = int(bool(intervals))
    category = "fight" if label else "normal"
    return LabelledVideo(name=name, label=label, category=category, split="test", intervals=truth, frames=frames)


def curve(of: LabelledVideo, frames: int = 64) -> Curve:
    return Curve.of(of, np.linspace(0, 1, frames // 16), SnippetClock(snippets=frames // 16, frames=frames))


def test_every_metric_says_what_it_needs():
    assert NEEDS.keys() == METRICS.keys()


def test_without_normal_videos():
    curves = [curve(video("a", (0, 16))), curve(video("b", (16, 32)))]
    assert undefined(evaluate(curves), curves) == [
        f"no number for {METRICS[key].name}: needs {NEEDS[key]}; 2 abnormal and 0 normal videos with 32 abnormal and "
        "96 normal frames of known truth were measured"
        for key in ("video_auc", "far")
    ]


def test_without_abnormal_frames():
    curves = [curve(video("a")), curve(replace(video("b", (0, 1)), intervals=None))]
    metrics = evaluate(curves)
    said = undefined(metrics, curves)
    undefined_names = [METRICS[key].name for key, value in metrics.items() if math.isnan(value)]
    assert len(undefined_names) == 6 and all(any(name in one for one in said) for name in undefined_names)
    assert said[0] == (
        "no number for Frame AUC, AUC of a constant per video: needs abnormal and normal frames; 1 abnormal and 1 "
        "normal videos with 0 abnormal and 64 normal frames of known truth were measured"
    )


def test_of_what_was_stored_the_reason_alone_is_known():
    assert undefined({"auc": 0.5, "far": math.nan}) == [
        "no number for False-alarm rate: needs normal videos, which the test videos lack"
    ]


def test_an_interval_past_the_end_is_named_as_far_as_the_length_is_known():
    videos = [video("a", (0, 65)), video("b", (0, 80)), video("c", (0, 81)), video("d", (0, 101), frames=100)]
    lengths = dict.fromkeys("abcd", 64)
    ends = [("a", 65, 64), ("b", 80, 64), ("c", 81, 64), ("d", 101, 100)]
    said = [f"{n}: interval [0, {e}) ends past the video, which has {f} frames" for n, e, f in ends]
    assert beyond_videos(videos, lengths, exact="abc") == said
    assert beyond_videos(videos, lengths) == said[2:]
    assert beyond_videos(videos, {}) == said[3:]


def test_many_are_counted():
    many = video("a", *[(0, 100 + n) for n in range(8)], frames=64)
    assert beyond_videos([many], {})[5:] == ["3 more intervals end past the video"]
    assert beyond_videos([replace(many, intervals=many.intervals[:6])], {})[5:] == [
        "1 more interval ends past the video"
    ]


@pytest.fixture
def data(tmp_path):
    """Six videos of 40 frames whose features know their times; the abnormal test video is annotated up to frame 45."""
    names = ["n1", "n2", "a1", "a2", "n3", "a3"]
    rows = [f"{name}.mp4,{int(name[0] == 'a')},{'test' if '3' in name else 'train'}" for name in names]
    (tmp_path / "labels.csv").write_text("\n".join(["video,label,split", *rows]))
    (tmp_path / "intervals.csv").write_text("video,start_frame,end_frame\na3.mp4,20,45\n")
    rng = np.random.default_rng(0)
    for name in names:
        passport = Passport(encoder="means", width=4, frames=40, frame_rate="25")
        features = rng.normal(size=(3, 4)).astype(np.float32)
        stored = StoredFeatures(features=features, passport=passport, times=np.array([0, 0.64, 1.28, 1.6]))
        save(feature_path(tmp_path / "features", "rgb", f"{name}.mp4"), stored)
    return tmp_path


PAST = "a3.mp4: interval [20, 45) ends past the video, which has 40 frames"


def test_a_fit_and_an_evaluation_name_it_too(data, caplog):
    protocol = Protocol(seeds=1, iterations=2, points=1, hold_out=0)
    config = METHODS["mil"].config_class()
    experiment = Experiment(
        dataset=open_dataset(data), features=data / "features", name="mil", config=config, protocol=protocol,
        out=data / "run",
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "wsvad"):
        experiment.run()
    assert f"note: {PAST}" in caplog.messages
    assert PAST in measure(data / "run", data, data / "features").notes


def test_scores_of_normal_videos_alone_say_why_there_is_no_number(data):
    write_scores(data / "s.npz", {"n3.mp4": np.zeros(40)}, {"n3.mp4": np.zeros(40, int)})
    (first, *_), metrics = measure(data / "s.npz").notes, measure(data / "s.npz").metrics
    assert math.isnan(metrics["auc"]) and first.startswith(
        "no number for Frame AUC, AUC of a constant per video: needs"
    )
