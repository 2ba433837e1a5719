"""What a detector refuses."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.detection.calibration import Calibrations
from wsvad.detection.detector import Detector
from wsvad.errors import UsageError, WsvadError
from wsvad.methods.mil import Mil
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import Scorer
from wsvad.training.protocol import Protocol
from wsvad.training.train import train


@pytest.fixture
def detector() -> Detector:
    method = Mil({"rgb": 4}, Mil.config_class()).eval()
    trained = TrainedMethod(
        name="mil", method=method, widths={"rgb": 4}, normalisation=Normalisation(kinds={"rgb": "none"})
    )
    return Detector(
        trained=trained, scorer=Scorer.of(trained), encoders={}, calibrations=Calibrations(), run=Path("run")
    )


@pytest.mark.parametrize(
    "array",
    [
        np.full((3, 4), np.nan),
        np.full((3, 4), np.inf, np.float32),
        np.zeros((3, 4), complex),
        np.zeros((3, 4), object),
        "text",
        [[0.0] * 4, [0.0]],
    ],
)
def test_features_have_to_be_finite_numbers(array, detector):
    with pytest.raises(WsvadError, match="the stream 'rgb'"):
        detector.score({"rgb": array})


@pytest.mark.parametrize(
    "wrong",
    [{"raw_rate": 0}, {"raw_rate": -1}, {"raw_rate": float("nan")}, {"raw_rate": Fraction(0)}, {"mode": "both"}],
)
def test_a_rate_and_a_mode_have_to_be_possible(wrong, detector):
    with pytest.raises(UsageError):
        detector.score({"rgb": torch.zeros(3, 4)}, **wrong)
    assert len(detector.score({"rgb": torch.zeros(3, 4)}, raw_rate=25).scores) == 3


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_is_checked_before_anything_is_extracted(budget, tmp_path):
    videos = tuple(LabelledVideo(name=f"{n}.mp4", label=n % 2, category="", split="train") for n in range(2))
    with pytest.raises(UsageError, match="max_false_alarms_per_hour"):
        train(
            Dataset(name="none", videos=videos),
            tmp_path / "run",
            streams={"rgb": "motion"},
            protocol=Protocol(),
            max_false_alarms_per_hour=budget,
        )
    assert not list(tmp_path.iterdir())
