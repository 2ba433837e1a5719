"""Which method is chosen, of tables that are made up; what its figures are, against brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.evaluation.curves import Curve
from wsvad.metrics.bootstrap import draw, lowest_of_perfect
from wsvad.metrics.events import EventRules
from wsvad.training.auto import (
    BY_COST,
    DEFAULT,
    FOLDS,
    Figure,
    Tried,
    best_of,
    candidates,
    event_f1,
    figures_of,
    ranked,
    separation,
)

NOISE = np.random.default_rng(0).normal(size=200)


def figure(value: float, spread: float = 0.0, shared: float = 0.0) -> Figure:
    """With a standard error of its own, which other figures have not, and one that all share."""
    own = np.random.default_rng(int(value * 1e6)).normal(size=len(NOISE))
    return Figure(value=value, drawn=value + shared * NOISE + spread * own)


def tried(method: str, *values: float, spread: float = 0.02, shared: float = 0.0, failed: str = "") -> Tried:
    names = ("auc", "event_f1")
    return Tried(
        method=method,
        figures={n: figure(v, spread, shared) for n, v in zip(names, values, strict=False)},
        failed=failed,
    )


def test_of_level_methods_the_cheapest_is_chosen():
    found = best_of([tried("linear", 0.79), tried("mil", 0.70), tried("ur-dmu", 0.80)])
    assert found.method == "linear"
    assert found.why == (
        "linear is chosen: ur-dmu is level with it in frame AUC on held-out training videos, and costs more to score "
        "with."
    )


def test_what_all_methods_find_hard_makes_no_method_level():
    rows = [tried("linear", 0.79, spread=0.001, shared=0.3), tried("ur-dmu", 0.80, spread=0.001, shared=0.3)]
    assert best_of(rows).method == "ur-dmu"
    assert best_of([replace(one, figures={"auc": figure(one.figures["auc"].value, 0.3)}) for one in rows]).method == (
        "linear"
    )


def test_behind_in_either_figure_is_behind():
    rows = [
        tried("linear", 0.80, 0.30),
        tried("mil", 0.80, 0.60),
        tried("rtfm", 0.60, 0.60),
        tried("ur-dmu", 0.81, 0.6),
    ]
    assert best_of(rows).method == "mil"
    # Where each is behind in one of them, the first figure decides.
    found = best_of([tried("linear", 0.60, 0.60), tried("ur-dmu", 0.80, 0.30)])
    assert found.method == "ur-dmu" and found.why == (
        "ur-dmu is chosen: the best in frame AUC; in event F1 another one is better."
    )


def test_what_could_not_be_fitted_is_a_row_and_never_chosen():
    found = best_of([tried("linear", failed="its loss is not a number"), tried("ur-dmu", 0.4)])
    assert found.method == "ur-dmu" and "the only one that could be fitted" in found.why
    assert found.table[0] == "linear: not fitted, its loss is not a number"
    assert found.as_dict()["tried"][0] == {"method": "linear", "failed": "its loss is not a number"}
    nothing = best_of([tried("linear", failed="a"), tried("mil", failed="b")])
    assert nothing.method == DEFAULT and "no method could be fitted" in nothing.why


def test_a_figure_that_is_not_defined_decides_nothing():
    nan = Figure(value=np.nan, drawn=np.full(1, np.nan))
    rows = [
        replace(one, figures={**one.figures, "event_f1": nan}) for one in (tried("linear", 0.6), tried("ur-dmu", 0.9))
    ]
    assert best_of(rows).method == "ur-dmu"
    assert best_of([replace(one, figures={"event_f1": nan}) for one in rows]).method == DEFAULT


@given(st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.9]), min_size=1, max_size=7), st.sampled_from([0.0, 0.05, 1.0]))
def test_what_is_chosen_is_never_behind_the_best(values, spread):
    rows = [tried(name, value, spread=spread) for name, value in zip(BY_COST, values, strict=False)]
    found = next(one for one in rows if one.method == best_of(rows).method)
    if spread == 0.0:
        assert found is next(one for one in rows if one.figures["auc"].value == max(values))
    if spread == 1.0:
        assert found is rows[0]


# ------------------------------------------------------------------------------------------------- candidates


def dataset(category: str) -> Dataset:
    labels = (("n", 0, "normal"), ("a", 1, category))
    train = [LabelledVideo(name=name, label=label, category=of, split="train") for name, label, of in labels]
    return Dataset(name="made up", videos=tuple(train))


def test_streams_and_labels_say_what_is_tried():
    one = candidates(("rgb",), dataset("abnormal"), "data")
    assert list(one) == ["linear", "mil", "rtfm", "ur-dmu"]
    assert list(candidates(("rgb",), dataset("fight"), "data")) == ["linear", "mil", "rtfm", "ur-dmu", "refinevad"]
    two = candidates(("image", "rgb"), dataset("fight"), "data")
    assert list(two) == list(BY_COST)
    assert two["linear"].streams == two["ur-dmu"].streams == two["dakd"].backbones == ("image", "rgb")
    assert two["dakd"].student == "rgb" and two["pi-vad"].modalities == ("image",)
    other = candidates(("flow", "image"), dataset("abnormal"), "data")
    assert list(other) == ["linear", "mil", "ur-dmu", "dakd"] and other["dakd"].student == "flow"


# ------------------------------------------------------------------------------------------------- figures


def curve(name: str, scores, label: int, events=((16, 48),)) -> Curve:
    positives = np.zeros(len(scores), np.int64)
    for start, end in events if label else ():
        positives[start // 16 : end // 16] = 16
    return Curve(
        video=name, scores=np.asarray(scores, np.float64), lengths=np.full(len(scores), 16), positives=positives,
        label=label, category="fight" if label else "normal", events=tuple(events) if label else (),
        times=np.arange(len(scores) + 1.0),
    )  # fmt: skip


def fold(seed: int, videos: int = 8, told: float = 0.3) -> list[Curve]:
    rng = np.random.default_rng(seed)
    each = []
    for number in range(videos):
        scores = rng.random(5) * (1 - told)
        scores[1:3] += told * (number % 2)
        each.append(curve(f"{seed}-{number}", scores, number % 2))
    return each


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_ranks_are_the_share_that_is_below(values):
    (found,) = ranked([curve("v", values, 0)])
    expected = [np.mean([(w < v) + 0.5 * (w == v) for w in values]) for v in values]
    np.testing.assert_allclose(found.scores, expected)


def test_a_scale_of_its_own_does_no_harm_to_a_fold():
    each = [fold(seed) for seed in range(FOLDS)]
    scaled = [[replace(one, scores=one.scores * 0.1**place) for one in some] for place, some in enumerate(each)]
    before, after = (figures_of(one, {}, 1.0, EventRules(min_seconds=0.5)) for one in (each, scaled))
    assert list(before) == ["auc", "event_f1"]
    for name, one in before.items():
        assert one.value == pytest.approx(after[name].value) and one.value > 0.5
        np.testing.assert_allclose(one.drawn, after[name].drawn)


def test_event_f1_counts_each_fold_at_its_own_threshold():
    rules = EventRules(min_seconds=0.5)
    # Of the first fold both events are found, of the second one of two; no alert is wrong.
    first = [curve("n", [0.2] * 5, 0), *(curve(name, [0.1, 0.9, 0.9, 0.1, 0.1], 1) for name in "ab")]
    second = [curve("m", [0.02] * 5, 0), curve("c", [0.0, 0.09, 0.09, 0, 0], 1), curve("d", [0.01] * 5, 1)]
    found = event_f1([first, second], 1.0, rules)
    assert found.value == pytest.approx(2 * 3 / (3 + 4))
    # Without normal video there is no threshold that allows so many false alarms.
    assert np.isnan(event_f1([[one for one in first if one.label]], 1.0, rules).value)


def test_without_known_events_moments_decide_and_without_those_videos():
    each = [[replace(one, positives=None, events=None) for one in fold(seed)] for seed in range(FOLDS)]
    each = [[one if one.label else replace(one, positives=0 * one.lengths, events=()) for one in some] for some in each]
    assert list(figures_of(each, {}, 1.0, EventRules())) == ["video_auc", "separation"]
    known = {one.video: np.array([True, False, False, True, True]) for some in each for one in some if one.label}
    found = figures_of(each, known, 1.0, EventRules())
    assert list(found) == ["moment_auc"]
    curves = [one for some in each for one in ranked(some)]
    high = np.concatenate([one.scores[1:3] for one in curves if one.label])
    low = np.concatenate([one.scores if not one.label else one.scores[[0, 3, 4]] for one in curves])
    pairs = [(h > w) + 0.5 * (h == w) for h, w in product(high, low)]
    assert found["moment_auc"].value == pytest.approx(np.mean(pairs))


def test_separation_is_in_standard_deviations():
    peaks, labels = np.array([0.1, 0.3, 0.2, 0.8, 0.9]), np.array([0, 0, 0, 1, 1])
    normal, abnormal = peaks[:3], peaks[3:]
    expected = (abnormal.mean() - normal.mean()) / np.sqrt((normal.var() + abnormal.var()) / 2)
    found = separation(peaks, labels)
    assert found.value == pytest.approx(expected)
    for drawn, times in zip(found.drawn, draw(len(peaks)), strict=True):
        again, which = np.repeat(peaks, times), np.repeat(labels, times)
        normal, abnormal = again[which == 0], again[which == 1]
        if len(normal) and len(abnormal) and normal.std() > 1e-6:
            assert drawn == pytest.approx(
                (abnormal.mean() - normal.mean()) / np.sqrt((normal.var() + abnormal.var()) / 2)
            )


def test_an_interval_of_few_videos_is_never_of_no_width():
    each = [
        [replace(one, positives=None, events=None, scores=0.5 * one.scores + 0.5 * one.label) for one in fold(0, 12)]
    ]
    found = figures_of(each, {}, 1.0, EventRules())["video_auc"]
    assert found.value == 1 and found.bounds == (pytest.approx(lowest_of_perfect(6, 6)), 1.0)
