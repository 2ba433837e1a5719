"""Figures of alerts of scores files and curves: where alerts begin, in which seconds, and how sure they are."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from wsvad.cli.main import main
from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.errors import UsageError
from wsvad.evaluation.alerting import (
    PASSES,
    At,
    affordable,
    alerts_at,
    footage_of,
    measure_alerts,
    onset_precision,
    passes,
    timed,
)
from wsvad.evaluation.curves import Curve
from wsvad.evaluation.measure import evaluate, measure
from wsvad.evaluation.scores_file import curves_from_scores_file, read_scores, write_scores
from wsvad.metrics.events import EventRules
from wsvad.video.writer import write_video

RULES = EventRules()


def frames_of(parts):
    """Frame scores: (score, frames) one after the other."""
    return np.concatenate([np.full(count, score, np.float32) for score, count in parts])


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """At 30 frames a second: an event that is found 2 s after its onset, one that is missed, an hour of normal video
    with two false alarms of 0.6 and 0.8."""
    found = frames_of([(0.1, 300), (0.9, 300), (0.1, 300)])
    missed = frames_of([(0.1, 900)])
    quiet = frames_of([(0.1, 30_000), (0.6, 300), (0.1, 30_000), (0.8, 300), (0.1, 47_400)])
    label = {name: np.zeros(len(one), np.uint8) for name, one in (("f", found), ("m", missed), ("q", quiet))}
    label["f"][240:600] = label["m"][0:300] = 1
    write_scores(tmp_path / "scores.npz", {"f": found, "m": missed, "q": quiet}, label)
    return tmp_path / "scores.npz"


def test_alerts_of_a_scores_file_begin_where_it_is_said(scores: Path):
    found = evaluate(scores, threshold=0.5)
    assert found.metrics["events_found"] == 0.5
    assert found.metrics["false_alarms_per_hour"] == pytest.approx(2)
    # From the first second of 0.9 on it has lasted long enough; the scores are cut into snippets of 16 frames.
    assert found.metrics["onset_delay"] == pytest.approx(2 + 1, abs=16 / 30)
    assert found.metrics["event_f1"] == pytest.approx(2 * 1 / (3 + 2))
    assert found.notes[-1] == (
        "Alerts in whole videos are counted at threshold 0.5, as it was given; seconds assume 30 frames per second in "
        "3 videos."
    )
    # By default at one false alarm an hour of these very test videos, which is said.
    default = evaluate(scores)
    assert 0.6 < default.alerts["whole"]["thresholds"][0] <= 0.8
    assert default.metrics["false_alarms_per_hour"] == pytest.approx(1)
    assert "≤ 1 false alarms an hour in these normal test videos, so chosen on them" in default.notes[-1]
    none = evaluate(scores, max_false_alarms_per_hour=0.5)
    assert none.alerts["whole"]["thresholds"][0] > 0.8 and none.metrics["events_found"] == 0.5
    with pytest.raises(UsageError, match="give one of them"):
        At(threshold=0.5, false_alarms_per_hour=1)
    with pytest.raises(UsageError, match="neither scores"):
        measure(scores.parent, None, None, at=At(threshold=0.5))


def test_the_command_line_has_them_with_their_units_and_the_curve(scores: Path, capsys):
    assert main(["evaluate", str(scores), "--threshold", "0.5"]) == 0
    said = capsys.readouterr()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines() if "│" in line]
    shown = {row[1]: row[2] for row in cells}
    assert (shown["events_found"], shown["false_alarms_per_hour"]) == ("50.00", "2.00/h")
    assert shown["onset_delay"].endswith("\u00a0s")
    assert "counted at threshold 0.5, as it was given" in " ".join(said.err.split())
    assert main(["evaluate", str(scores), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    points = told["alerts"]["whole"]["curve"]
    pairs = [(point["false_alarms_per_hour"], point["events_found"]) for point in points]
    assert pairs[0] == (0, 0.5) and max(rate for rate, _ in pairs) == pytest.approx(2)
    assert main(["evaluate", str(scores), "--threshold", "1", "--max-false-alarms-per-hour", "1"]) == 2


def test_without_normal_test_videos_alerts_need_a_threshold(tmp_path: Path):
    write_scores(tmp_path / "s.npz", {"f": frames_of([(0.1, 90), (0.9, 90)])}, {"f": np.r_[np.zeros(90), np.ones(90)]})
    found = evaluate(tmp_path / "s.npz")
    assert "events_found" not in found.metrics and found.notes[-1].endswith("give --threshold")
    assert evaluate(tmp_path / "s.npz", threshold=0.5).metrics["events_found"] == 1


def test_scores_below_zero_have_no_lower_threshold(tmp_path: Path):
    """A share of a threshold below 0 lies above it."""
    values = frames_of([(-9, 300), (-1, 300), (-9, 300)])
    label = np.r_[np.zeros(300), np.ones(300), np.zeros(300)]
    write_scores(tmp_path / "s.npz", {"f": values, "q": frames_of([(-9, 900)])}, {"f": label, "q": np.zeros(900)})
    found = evaluate(tmp_path / "s.npz", threshold=-2).metrics
    assert (found["events_found"], found["false_alarms_per_hour"], found["event_f1"]) == (1, 0, 1)


def test_seconds_are_those_of_the_video_file_where_it_is_there(tmp_path: Path, scores: Path):
    picture = np.zeros((32, 32, 3), np.uint8)
    write_video(tmp_path / "f.mp4", (picture for _ in range(20)), Fraction(10))
    video = LabelledVideo(name="f", label=1, category="x", split="test", path=tmp_path / "f.mp4")
    curves = timed(curves_from_scores_file(read_scores(scores)), [video])
    assert [curve.times is None for curve in curves] == [False, True, True]
    assert curves[0].times[-1] == pytest.approx(90)
    assert alerts_at(curves, RULES, "whole", At(threshold=0.5)).assumed == 2


def curve(scores, positives, *, video="v", events=None, lengths=16) -> Curve:
    scores, positives = np.array(scores, float), np.array(positives)
    if events is None:
        edges = np.flatnonzero(np.diff(positives > 0, prepend=False, append=False)).reshape(-1, 2)
        events = tuple((16 * int(a), 16 * int(b)) for a, b in edges)
    label = int(positives.any())
    return Curve(
        video=video, scores=scores, lengths=np.full(len(scores), lengths), positives=16 * positives, label=label,
        category="x" if label else "normal", events=events,
    )  # fmt: skip


def test_precision_at_onset_is_that_of_frames(tmp_path: Path):
    """scikit-learn on the frames that count."""
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    curves = [curve(rng.random(40), np.r_[np.zeros(9, int), np.ones(25, int), np.zeros(6, int)]) for _ in range(4)]
    score, truth = [], []
    for one in curves:
        ((start, end),) = one.events
        for frame, value in enumerate(one.frame_scores):
            if not start + (end - start) / 10 <= frame < end:
                score.append(value)
                truth.append(start <= frame < end)
    assert onset_precision(curves) == pytest.approx(average_precision_score(truth, score))


def test_intervals_are_as_wide_as_so_few_videos_leave_them():
    """Where every resample is the same: nothing was found amiss in so many hours, or so many videos."""
    abnormal = [curve([0.1] * 4 + [0.9] * 4, [0] * 4 + [1] * 4, video=f"a{n}") for n in range(6)]
    normal = [curve([0.1] * 50, [0] * 50, video=f"n{n}") for n in range(6)]
    found = measure_alerts([[*abnormal, *normal]], [0.5], RULES, "whole", "as deployed")
    assert found.values["events_found"] == [1] and found.values["false_alarms_per_hour"] == [0]
    hours = 6 * 50 * 16 / 30 / 3600
    assert found.intervals["false_alarms_per_hour"] == pytest.approx((0, -math.log(0.025) / hours))
    assert found.intervals["events_found"] == pytest.approx((0.025 ** (1 / 6), 1))
    few = measure_alerts([[*abnormal[:4], *normal[:4]]], [0.5], RULES, "whole", "as deployed")
    assert few.intervals == {}


def test_a_mean_over_seeds_is_resampled_as_one():
    rng = np.random.default_rng(0)
    seeds = []
    for _ in range(2):
        abnormal = [curve(rng.random(12), [0] * 4 + [1] * 4 + [0] * 4, video=f"a{n}") for n in range(6)]
        seeds.append([*abnormal, *(curve(rng.random(12), [0] * 12, video=f"n{n}") for n in range(6))])
    found = measure_alerts(seeds, [0.7, 0.8], RULES, "online", "as deployed")
    alone = [measure_alerts([one], [level], RULES, "online", "") for one, level in zip(seeds, (0.7, 0.8), strict=True)]
    for key in ("events_found_online", "false_alarms_per_hour_online", "event_f1_online", "ap_onset_online"):
        assert found.values[key] == [one.values[key][0] for one in alone]
        np.testing.assert_allclose(found.resampled[key], np.mean([one.resampled[key] for one in alone], axis=0))
        low, high = found.intervals[key]
        assert low <= np.mean(found.values[key]) <= high


def test_a_video_whose_truth_is_unknown_is_no_footage():
    unknown = replace(curve([0.9] * 9, [0] * 9), positives=None, events=None, label=1)
    assert measure_alerts([[unknown]], [0.5], RULES, "whole", "") is None
    beyond = curve([0.9] * 9, [0] * 9, events=())
    assert footage_of([replace(beyond, label=1)], RULES).hours.sum() == 0  # annotated past its end: abnormal, no event


def test_a_running_camera_is_left_out_where_it_would_take_longer_than_training():
    bag = Bag(streams={"rgb": torch.zeros(10, 300, 4)}, label=0, category="normal", frames=4800, video="v")
    assert passes(bag, 64) == 10 * 300 * 64 and passes(bag, 1000) == 10 * 300 * 300
    assert affordable(PASSES, "cpu") and not affordable(PASSES + 1, "cpu") and affordable(PASSES + 1, "cuda")
