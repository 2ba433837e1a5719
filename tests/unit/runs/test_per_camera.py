"""Features by the statistics of their own camera: its training videos, what is scored, or other videos of it."""

import logging

import numpy as np
import pytest
import torch

from wsvad.datasets.dataset import Bag
from wsvad.errors import WsvadError
from wsvad.methods import METHODS
from wsvad.runs.normalisation import PRIOR, Normalisation
from wsvad.runs.scorer import Scorer

L, D = 6, 5
VIDEOS, SCENES = ["a", "b", "c", "d"], {"a": 0, "b": 0, "c": 1, "d": 1}
KINDS = {"rgb": "per-camera"}


def packed():
    """Two cameras of two videos each, `(4, L, D)`: the second sees everything three times as large, and moved."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, L, D))).float()
    x[2:] = 3 * x[2:] + 10
    return x


def fitted(x):
    return Normalisation.fit(KINDS, {"rgb": x}).by_camera({"rgb": x}, VIDEOS, SCENES)


def test_training_videos_have_the_statistics_of_their_camera():
    x = packed()
    cameras = [x[:2].numpy().reshape(-1, D), x[2:].numpy().reshape(-1, D)]
    within = sum(one.var(0) for one in cameras) / 2
    found = fitted(x).of_videos({"rgb": x}, VIDEOS)["rgb"].numpy()
    for camera, rows in enumerate((slice(0, 2), slice(2, 4))):
        own, count = cameras[camera], 2 * L
        wanted = (x[rows].numpy() - own.mean(0)) / np.sqrt((count * own.var(0) + PRIOR * within) / (count + PRIOR))
        assert found[rows] == pytest.approx(wanted, abs=1e-4)


def test_a_video_that_is_scored_has_its_own_and_of_one_snippet_nothing_is_known():
    x = packed()
    known, video = fitted(x), 7 * packed()[0] - 4
    own = video.numpy()
    spread = np.sqrt((L * own.var(0) + PRIOR * known.std["rgb"].numpy() ** 2) / (L + PRIOR))
    assert known({"rgb": video})["rgb"].numpy() == pytest.approx((own - own.mean(0)) / spread, abs=1e-4)
    assert known({"rgb": video[:1]})["rgb"].numpy() == pytest.approx(np.zeros((1, D)))


def test_other_videos_of_a_camera_give_its_statistics():
    x = packed()
    there = fitted(x).at({"rgb": x[2:]})
    assert there.kinds == {"rgb": "standardise"}
    assert there({"rgb": x[2:]})["rgb"] == pytest.approx(fitted(x).of_videos({"rgb": x}, VIDEOS)["rgb"][2:])


def test_a_stream_that_a_teacher_reads_is_normalised_as_the_teacher_had_it_in_training_too():
    x = packed()
    teacher = Normalisation.fit({"rgb": "standardise"}, {"rgb": x + 1})
    student = fitted(x).like(teacher)
    assert student.of_videos({"rgb": x}, VIDEOS)["rgb"] == pytest.approx(teacher({"rgb": x})["rgb"])
    assert student({"rgb": x})["rgb"] == pytest.approx(teacher({"rgb": x})["rgb"])


def test_without_cameras_training_is_normalised_as_scoring():
    x = packed()
    known = Normalisation.fit({"rgb": "standardise"}, {"rgb": x})
    assert known.of_videos({"rgb": x}, VIDEOS)["rgb"] == pytest.approx(known({"rgb": x})["rgb"])


def test_a_stream_that_is_constant_at_one_camera_is_0_there_and_is_named(caplog):
    caplog.set_level(logging.INFO)
    x = packed()
    x[2:] = 4.0
    found = fitted(x).of_videos({"rgb": x}, VIDEOS)["rgb"]
    assert (found[2:] == 0).all() and found[:2].std() > 0.5
    assert "the same throughout the videos of 1 of 2 cameras (one is that of c)" in caplog.text
    x[:2] = 1.0
    with pytest.raises(WsvadError, match="same throughout the videos of each camera"):
        fitted(x)


def test_one_camera_alone_is_said(caplog):
    caplog.set_level(logging.INFO)
    x = packed()
    Normalisation.fit(KINDS, {"rgb": x}).by_camera({"rgb": x}, VIDEOS, dict.fromkeys(VIDEOS, 0))
    assert "all training videos are of one camera" in caplog.text


def test_online_nothing_of_the_future_is_used():
    torch.manual_seed(0)
    kind = METHODS["mil"]
    scorer = Scorer(kind({"rgb": D}, kind.config_class()), fitted(packed()), window=4)
    video = packed().flatten(0, 1)
    whole = scorer.describe({"rgb": video}, (), "online").scores
    first = scorer.describe({"rgb": video[:9]}, (), "online").scores
    assert whole[:9] == pytest.approx(first, abs=1e-6)
    each = [float(scorer.score_streams({"rgb": video[None, max(0, t - 3) : t + 1]})[0, -1]) for t in range(len(video))]
    assert whole == pytest.approx(each, abs=1e-5)


def test_a_running_camera_has_windows_of_its_own_videos_alone():
    torch.manual_seed(0)
    kind, x = METHODS["mil"], packed()
    scorer = Scorer(kind({"rgb": D}, kind.config_class()), fitted(x), window=4)
    bags = [
        Bag(streams={"rgb": one}, label=0, category="", frames=0, video=v)
        for v, one in zip("acbd", x[[0, 2, 1, 3]], strict=True)
    ]
    found = dict(zip("acbd", scorer.running(bags, SCENES), strict=True))
    for pair in ("ab", "cd"):
        alone = scorer.running([bag for bag in bags if bag.video in pair], SCENES)
        for video, scores in zip(pair, alone, strict=True):
            assert found[video] == pytest.approx(scores, abs=1e-6)
        frames = torch.cat([x[VIDEOS.index(video)] for video in pair])
        looped = torch.cat([frames[-3:], frames])
        windows = [float(scorer.score_streams({"rgb": looped[None, t : t + 4]})[0, -1]) for t in range(len(frames))]
        assert np.concatenate(alone) == pytest.approx(windows, abs=1e-5)
    plain = Scorer(scorer.method, Normalisation.fit({"rgb": "standardise"}, {"rgb": x}), window=4)
    for with_scenes, without in zip(plain.running(bags, SCENES), plain.running(bags), strict=True):
        assert with_scenes == pytest.approx(without)
