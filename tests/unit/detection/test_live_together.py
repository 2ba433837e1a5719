"""Cameras whose snippets are scored in one pass: as if each were alone, whatever is wrong with another one."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from wsvad.detection.calibration import Calibrations
from wsvad.detection.live import LiveScorer, score_together
from wsvad.encoders.encoder import Sampling
from wsvad.errors import WsvadError
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import Scorer
from wsvad.video.clock import SNIPPET


class Brightness:
    """An encoder of four numbers; a white picture gives none that are numbers."""

    name, width, input, argument, summary = "brightness", 4, "video", "", ""
    sampling = Sampling(count=4, size=(8, 8), colour="gray")

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        rows = np.stack([snippet.mean((1, 2)) for snippet in snippets]).astype(np.float32) / 100
        return np.where(rows > 2.3, np.nan, rows)


class Counting(Scorer):
    """Notes how many windows, of how many snippets, are scored in each pass."""

    passes: list[tuple[int, int]]

    def score_newest(self, streams):
        self.passes.append(tuple(streams["rgb"].shape[:2]))
        return super().score_newest(streams)


@pytest.fixture
def scorer() -> Counting:
    torch.manual_seed(0)
    method = UrDmu({"rgb": 4}, UrDmuConfig(hidden=16, heads=2, feed_forward=16, head=8)).eval()
    made = Counting(method, Normalisation(kinds={"rgb": "per-camera"}, std={"rgb": torch.ones(4)}), window=3)
    made.passes = []
    return made


def live(scorer: Scorer) -> LiveScorer:
    return LiveScorer(scorer, {"rgb": (Brightness(),)}, Calibrations())


def filmed(seed: int, snippets: int) -> list[np.ndarray]:
    values = np.random.default_rng(seed).integers(0, 200, snippets * SNIPPET)
    return [np.full((12, 16, 3), value, np.uint8) for value in values]


def test_windows_of_one_length_are_scored_in_one_pass_and_as_if_alone(scorer):
    cameras = [filmed(seed, 5) for seed in range(3)]
    alone = [[one for frame in frames if (one := camera.push(frame, raw_rate=Fraction(25)))]
             for camera, frames in zip([live(scorer) for _ in cameras], cameras, strict=True)]  # fmt: skip
    scorer.passes.clear()
    scorers, together = [live(scorer) for _ in cameras], [[] for _ in cameras]
    for index in range(5 * SNIPPET):
        full = [one.take(frames[index], raw_rate=25) for one, frames in zip(scorers, cameras, strict=True)]
        if index % 40 and not all(full):
            continue
        score_together(scorers)
        for one, scores in zip(scorers, together, strict=True):
            scores += [found] if (found := one.found()) else []
    assert scorer.passes == [(3, 1), (3, 2), (3, 3), (3, 3), (3, 3)]
    for each, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose([one.score for one in each], [one.score for one in expected], atol=1e-5)
        assert [(one.start, one.end, one.settled) for one in each] == [
            (one.start, one.end, one.settled) for one in expected
        ]


def test_what_cannot_be_scored_of_one_camera_is_scored_of_the_others(scorer):
    good, bad = live(scorer), live(scorer)
    for frame in filmed(0, 1):
        good.take(frame)
        bad.take(np.full_like(frame, 255))
    score_together([bad, good])
    assert good.found() is not None and good.found() is None
    with pytest.raises(WsvadError, match="scores that are not finite"):
        bad.found()
    bad.reset()
    assert [bad.push(frame) is not None for frame in filmed(1, 1)].count(True) == 1


@pytest.mark.parametrize("step", ["_window", "_settle"])
def test_whatever_goes_wrong_with_one_camera_is_not_the_others(scorer, monkeypatch, step):
    good, bad = live(scorer), live(scorer)
    for frame in filmed(0, 1):
        good.take(frame)
        bad.take(frame)

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(bad, step, broken)
    score_together([bad, good])
    assert good.found() is not None
    with pytest.raises(RuntimeError, match="broken"):
        bad.found()
