"""Thresholds of a run, and another budget for it."""

import json

import numpy as np
import pytest

from wsvad.detection.calibration import Calibrations, Choice, NormalScores, recalibrated
from wsvad.errors import WsvadError
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder


def write(folder, normal: NormalScores) -> RunFolder:
    (folder / "calibration.json").write_text(json.dumps(normal.as_dict()))
    return RunFolder(folder)


@pytest.mark.parametrize(
    "normal",
    [NormalScores(fits=0, curves={}), NormalScores(fits=1, curves={"whole": [], "online": []})],
    ids=["nothing held out", "no times known"],
)
def test_a_budget_for_a_run_that_kept_no_scores_is_refused(normal, tmp_path):
    with pytest.raises(WsvadError, match="keeps no scores of held-out normal video"):
        recalibrated(write(tmp_path, normal), EventRules(), 1.0)


def test_a_budget_is_calibrated_on_the_scores_that_were_kept(tmp_path):
    curve = ("v.mp4", np.full(4, 0.25), np.linspace(0, 36_000, 5))
    run = write(tmp_path, NormalScores(fits=1, curves={"whole": [curve]}))
    (found,) = recalibrated(run, EventRules(), 1.0).each.values()
    assert found.promised and found.mode == "whole" and found.hours == pytest.approx(10)


def test_a_camera_that_stalled_is_calibrated_on(tmp_path):
    """Frames that all have one timestamp make snippets of no length."""
    times = np.array([0.0, 9_000, 9_000, 9_000, 36_000])
    normal = NormalScores(fits=1, curves={"whole": [("v.mp4", np.array([0.25, 0.75, 0.75, 0.25]), times)]})
    (found,) = recalibrated(write(tmp_path, normal), EventRules(), 1.0).each.values()
    assert found.promised and found.hours == pytest.approx(10)
    for wrong in (times[::-1], times[1:], times + np.inf):
        with pytest.raises(WsvadError, match=r"v\.mp4: 4 scores for calibration do not go with \d times"):
            NormalScores(fits=1, curves={"whole": [("v.mp4", np.zeros(4), wrong)]})


def test_a_threshold_that_no_score_reaches_is_said_whatever_the_file_says():
    said = Calibrations(chosen={"whole": Choice(threshold=1.001, by="--set", sentence="≤ 1 false alarm/h.")})
    assert said.sentence("whole") == "≤ 1 false alarm/h. No score is as high, so no event will ever be reported."
    once = Choice(threshold=1.001, by="--set", sentence=said.sentence("whole"))
    assert Calibrations(chosen={"whole": once}).sentence("whole") == once.sentence
    usual = Choice(threshold=1, by="--set", sentence="As it was.")
    assert Calibrations(chosen={"whole": usual}).sentence("whole") == "As it was."
