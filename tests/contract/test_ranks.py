"""Of every registered method two ranks learn what one learns: the same losses, the same scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import HALF, SEGMENTS, STEPS, Stopped, both, fitted, gradients
from sklearn.metrics import roc_auc_score
from test_methods import SMALL

from wsvad.methods import METHODS

FIELDS = {name: dict(SMALL.get(name, {})) for name in METHODS}
FAST = {"dakd": 1e-2, "refinevad": 1e-3, "ur-dmu": 1e-3}
"""Learning rates with which a few steps learn something."""
for name, rate in FAST.items():
    FIELDS[name]["lr"] = rate
TEACHER = replace(FIELDS["pi-vad"]["ur_dmu"], lr=FAST["ur-dmu"])
FIELDS["pi-vad"] |= {"ur_dmu": TEACHER, "profile": "light", "modalities": ("pose", "text")}
RESUMED = ["rtfm", "refinevad"]
"""Running means, and two phases."""

every_method = pytest.mark.parametrize("name", list(METHODS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def found(folder) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two ranks came to, and what one does."""
    for name in RESUMED:
        with pytest.raises(Stopped):
            fitted(name, FIELDS[name], checkpoint=folder / f"{name}.one", stop=HALF + 1)
    return both(folder, FIELDS, RESUMED, lambda: {name: fitted(name, fields) for name, fields in FIELDS.items()})


def frame_auc(scores: np.ndarray) -> float:
    truth = np.zeros((16, SEGMENTS), np.int64)
    truth[1::2, 4:8] = 1
    return float(roc_auc_score(truth.ravel(), np.asarray(scores).ravel()))


def test_shares_of_other_sizes_have_the_gradients_and_the_statistics_of_the_whole(found):
    expected, shared = gradients(), found[0]["gradients"]
    assert shared.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(shared[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@every_method
def test_two_ranks_learn_what_one_learns(name, found):
    """Also with dropout, with losses that compare bags, with memories and running means."""
    (losses, scores), (expected, alone) = found[0][name], found[1][name]
    assert len(losses) == len(expected) >= STEPS
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    assert abs(frame_auc(scores) - frame_auc(alone)) <= 0.002, "seeds differ by more"


@pytest.mark.parametrize("name", RESUMED)
def test_a_fit_of_one_rank_is_resumed_by_two(name, found):
    (losses, scores), (expected, alone) = found[0][f"{name}, resumed"], found[1][name]
    assert len(losses) == len(expected) - HALF
    np.testing.assert_allclose(losses, expected[HALF:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, alone, atol=1e-3)


@pytest.mark.parametrize("name", RESUMED)
def test_a_fit_of_two_ranks_is_resumed_by_one(name, found, folder):
    losses, scores = fitted(name, FIELDS[name], checkpoint=folder / f"{name}.two")
    expected, alone = found[1][name]
    assert len(losses) == len(expected) - HALF
    np.testing.assert_allclose(losses, expected[HALF:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, alone, atol=1e-3)


def test_a_rank_that_does_not_answer_is_named_after_a_time(found):
    assert found[0]["silent"].startswith("rank 1 of 2: its process is gone, or did not answer for 1 s")
