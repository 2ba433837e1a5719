"""How well measured numbers are known: intervals over test videos, and the sentence that says so."""

import math

import numpy as np
import pytest

from wsvad.evaluation.certainty import in_a_sentence, intervals_of_run, not_above
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.metrics.bootstrap import draw, interval, lowest_of_perfect, resampled_auc


def curve(number: int, label: int, scores, positives) -> Curve:
    return Curve(
        video=f"v{number}", scores=np.array(scores, float), lengths=np.full(len(scores), 16), label=label,
        positives=None if positives is None else np.array(positives), category="x" if label else "normal",
    )  # fmt: skip


def test_set(videos: int, signal: float, seed: int = 0, known: bool = True) -> list[Curve]:
    rng, made = np.random.default_rng(seed), []
    for number in range(videos):
        label = number % 2
        positives = [0, 16 * label, 0]
        scores = rng.normal(size=3) + signal * np.array(positives) / 16
        made.append(curve(number, label, scores, positives if known or not label else None))
    return made


test_set.__test__ = False


def test_intervals_are_of_the_mean_over_seeds_and_of_videos_for_video_auc():
    seeds = [test_set(16, 1.0, seed) for seed in (0, 1)]
    found = intervals_of_run(seeds)
    assert set(found) == {"auc", "auc_abnormal", "ap", "video_auc"}
    for metric, (low, high) in found.items():
        assert low < np.mean([evaluate(each)[metric] for each in seeds]) < high
    resamples = []
    for each in seeds:  # the same draw, by repeating videos
        labels, peaks = np.array([c.label for c in each]), np.array([c.peak for c in each])
        resamples.append(resampled_auc(peaks, labels, 1 - labels, np.arange(16), draw(16)))
    assert found["video_auc"] == list(interval(np.mean(resamples, axis=0)))


def test_without_intervals_of_time_video_auc_alone_is_known():
    assert set(intervals_of_run([test_set(16, 1.0, known=False)])) == {"video_auc"}


@pytest.mark.parametrize(("videos", "some"), [(8, False), (9, False), (10, True)])
def test_fewer_than_five_videos_of_a_kind_have_no_interval(videos, some):
    curves = test_set(16, 1.0)[:videos]
    found = intervals_of_run([curves])
    assert ("video_auc" in found) is some
    (sentence,) = in_a_sentence(videos, evaluate(curves), found)
    assert ("too few of a kind" in sentence) is not some


@pytest.mark.parametrize("signal", [9.0, -9.0])
def test_a_perfect_or_inverted_auc_is_not_known_exactly(signal):
    found = intervals_of_run([test_set(16, signal)])
    low, high = found["video_auc"]
    assert (high == 1 and 0.7 < low < 0.85) if signal > 0 else (low < 0.5)
    if signal > 0:
        assert found["auc"][1] == 1 and found["auc"][0] < 0.9
        assert "ap" not in found  # nothing to vary, and no formula


@pytest.mark.parametrize(("positives", "negatives"), [(5, 5), (8, 8), (140, 150), (5, 200)])
def test_the_lowest_of_a_perfect_auc_is_newcombes_limit(positives, negatives):
    low = lowest_of_perfect(positives, negatives)
    half = (positives + negatives) / 2 - 1
    variance = low * (1 - low) * (1 + half * ((1 - low) / (2 - low) + low / (1 + low))) / (positives * negatives)
    assert 1 - low == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)
    assert lowest_of_perfect(positives + 1, negatives) > low < lowest_of_perfect(positives, negatives + 1)


def test_two_true_aucs_lie_inside_as_often_as_is_said():
    """A perfect video AUC of 5 and 5 videos: how often would a detector below the limit have reached it?"""
    low, rng = lowest_of_perfect(5, 5), np.random.default_rng(0)
    shift = math.sqrt(2) * _normal_quantile(low)
    abnormal, normal = rng.normal(shift, 1, (4000, 5)), rng.normal(0, 1, (4000, 5))
    assert np.mean(abnormal.min(1) > normal.max(1)) < 0.05


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


@pytest.mark.parametrize(
    ("metrics", "found", "says"),
    [
        ((0.76, 0.9), {"auc": [0.62, 0.9]}, "this frame AUC is known to ± 14 (95 % interval 62.0 to 90.0)"),
        (
            (math.nan, 0.9),
            {"video_auc": [0.895, 0.905]},
            "this video AUC is known to ± 0.5 (95 % interval 89.5 to 90.5)",
        ),
        ((0.7, 0.9), {}, "too few of a kind to say how far this frame AUC is from that of other videos; test on more"),
        ((math.nan, math.nan), {}, None),
    ],
)
def test_the_sentence(metrics, found, says):
    told = in_a_sentence(16, dict(zip(("auc", "video_auc"), metrics, strict=True)), found)
    assert told == ([f"16 test videos: {says}"] if says else [])


# --------------------------------------------------------------------------------------------- against another method


def test_what_is_better_by_more_than_chance_needs_no_sentence():
    good, poor = [test_set(40, 4.0, seed) for seed in (0, 1)], [test_set(40, 0.2, seed) for seed in (2,)]
    assert not_above("a", good, "b", poor) == []
    (said,) = not_above("b", poor, "a", good)
    values = [100 * np.mean([evaluate(each)["auc"] for each in seeds]) for seeds in (poor, good)]
    assert said.startswith(f"b is below a: frame AUC {values[0]:.1f} against {values[1]:.1f} (95 % interval of the")


def test_what_is_level_is_not_above():
    seeds = [test_set(40, 1.0)]
    (said,) = not_above("a", seeds, "b", seeds)
    assert said.startswith("a is not above b by more than chance: frame AUC ")
    assert said.endswith("(95 % interval of the difference +0.0 to +0.0)")


def test_without_intervals_of_time_videos_are_compared():
    seeds = [test_set(40, 1.0, known=False)]
    (said,) = not_above("a", seeds, "b", seeds)
    assert "video AUC" in said


def test_too_few_videos_compare_nothing():
    few = [test_set(9, 1.0)]
    assert not_above("a", few, "b", few) == []
