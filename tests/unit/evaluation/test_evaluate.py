"""Curves, the numbers of a results table, and scores files."""

import csv
import dataclasses
import io
import math
import pickle
from collections import defaultdict

import numpy as np
import pytest
from places import SHARED
from rich.console import Console
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from wsvad.cli.tables import metrics_table as table
from wsvad.datasets.benchmark import Totals
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.curves import Curve, evaluate, per_category
from wsvad.evaluation.measure import measure, measure_scored
from wsvad.evaluation.scores_file import curves_from_scores_file, of_test_videos, read_scores, write_scores
from wsvad.evaluation.totals import _beside, explain_labels
from wsvad.evaluation.vocabulary import METRICS
from wsvad.metrics.interval import Interval
from wsvad.runs.scorer import Scored
from wsvad.video.clock import SnippetClock

KEYS = {"auc", "ap", "ap_trapezoid", "auc_abnormal", "ap_abnormal", "video_auc", "far", "auc_constant"}


def listed(name, *intervals, frames=None, label=None, category=None, known=True):
    label = int(bool(intervals)) if label is None else label
    return LabelledVideo(
        name=name,
        label=label,
        category=category or ("abnormal" if label else "normal"),
        split="test",
        frames=frames,
        intervals=tuple(Interval(start=a, end=b, category="x") for a, b in intervals) if known else None,
    )


@pytest.fixture
def videos():
    """Four abnormal and three normal videos with odd lengths, with scores that help a little, and ties."""
    rng = np.random.default_rng(0)
    result = []
    for i, frames in enumerate([100, 37, 160, 1, 64, 333, 50]):
        intervals = [(frames // 3, frames // 3 + max(1, frames // 4))] if i < 4 else []
        category = ["Arson", "Arson;Riot", "Riot", "Fight"][i] if i < 4 else "normal"
        score = rng.integers(0, 6, math.ceil(frames / 16)).astype(np.float32) / 6
        result.append((listed(f"v{i}", *intervals, frames=frames, category=category), score, frames))
    return result


def curve_of(video, scores, frames):
    return Curve.of(video, scores, SnippetClock(snippets=len(scores), frames=frames))


def expanded(videos):
    """Frame labels, frame scores and video numbers, the slow way."""
    label, score, number = [], [], []
    for i, (video, scores, frames) in enumerate(videos):
        for frame in range(frames):
            label.append(int(any(x.start <= frame < x.end for x in video.intervals)))
            score.append(scores[frame // 16])
            number.append(i)
    return np.array(label), np.array(score), np.array(number)


def test_evaluate_agrees_with_scikit_learn_on_frames(videos):
    label, score, number = expanded(videos)
    precision, recall, _ = precision_recall_curve(label, score)
    abnormal = np.isin(number, number[label == 1])
    means = np.array([score[number == i].astype(np.float64).mean().round(9) for i in range(len(videos))])
    metrics = evaluate([curve_of(*video) for video in videos])
    assert set(metrics) == KEYS < set(METRICS)
    assert metrics == pytest.approx(
        {
            "auc": roc_auc_score(label, score),
            "ap": average_precision_score(label, score),
            "ap_trapezoid": auc(recall, precision),
            "auc_abnormal": roc_auc_score(label[abnormal], score[abnormal]),
            "ap_abnormal": average_precision_score(label[abnormal], score[abnormal]),
            "video_auc": roc_auc_score([1] * 4 + [0] * 3, [scores.max() for _, scores, _ in videos]),
            "far": np.mean(score[number >= 4] >= 0.5),
            "auc_constant": roc_auc_score(label, means[number]),
        },
        abs=1e-12,
    )


def test_per_category_takes_the_abnormal_videos_of_a_category_and_no_normal_ones(videos):
    label, score, number = expanded(videos)
    expected = {}
    for category, members in {"Arson": [0, 1], "Riot": [1, 2], "Fight": [3]}.items():
        chosen = np.isin(number, members)
        expected[category] = math.nan if label[chosen].all() else roc_auc_score(label[chosen], score[chosen])
    assert per_category([curve_of(*video) for video in videos]) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_auc_abnormal_ignores_videos_without_abnormal_frames(videos):
    curves = [curve_of(*video) for video in videos]
    less = evaluate(curves[:4])
    more = evaluate([*curves, curve_of(listed("empty", label=1), np.ones(5, np.float32), 80)])
    for key in ("auc_abnormal", "ap_abnormal"):
        assert less[key] == more[key] == less[key.removesuffix("_abnormal")]


def test_scores_equal_to_the_truth_are_perfect_and_constant_ones_are_chance():
    a, b = listed("a", (16, 32)), listed("b")
    perfect = evaluate([curve_of(a, np.array([0.0, 1, 0]), 48), curve_of(b, np.zeros(3), 48)])
    assert perfect == dict.fromkeys(KEYS, 1.0) | {"far": 0.0, "auc_constant": (32 / 2 + 48) / 80}
    constant = evaluate([curve_of(a, np.full(3, 0.2), 48), curve_of(b, np.full(5, 0.2), 77)])
    assert [constant[key] for key in ("auc", "auc_abnormal", "video_auc", "auc_constant")] == [0.5] * 4


def test_what_is_undefined_is_nan_and_shown_as_a_dash():
    nothing = evaluate([])
    assert all(math.isnan(value) for value in nothing.values()) and set(nothing) == KEYS
    normal = evaluate([curve_of(listed("a"), np.array([0.2, 0.7]), 20)])
    assert normal["far"] == 4 / 20 and math.isnan(normal["auc"]) and math.isnan(normal["video_auc"])
    assert "–" in rendered(normal)


def test_videos_of_unknown_truth_count_for_video_auc_only(videos):
    curves = [curve_of(*video) for video in videos]
    unknown = curve_of(listed("u", label=1, known=False), np.ones(3), 48)
    before, after = evaluate(curves), evaluate([*curves, unknown])
    assert after.pop("video_auc") > before.pop("video_auc")
    assert after == before
    assert curve_of(listed("n", label=0, known=False), np.ones(3), 48).positives is not None


def test_snippets_beyond_the_end_are_nobodys_peak():
    assert curve_of(listed("a"), np.array([0.1, 0.2, 0.9]), 32).peak == 0.2


@pytest.mark.parametrize("frames, fits", [(159, True), (144, True), (176, True), (143, False), (177, False)])
def test_features_may_end_a_snippet_before_or_after_the_video(frames, fits):
    scores = np.linspace(0, 1, 10)
    if not fits:
        with pytest.raises(WsvadError, match=r"^clip: 10 scores of 16 frames do not fit a video of"):
            curve_of(listed("clip"), scores, frames)
        return
    curve = curve_of(listed("clip", (100, 1000)), scores, frames)
    assert curve.lengths.sum() == len(curve.frame_scores) == frames and curve.abnormal_frames == frames - 100


def test_a_resampled_video_is_measured_on_its_own_frames():
    """Against a loop over frames: snippets of 4, none, 9 and 7 of them."""
    edges, scores = np.array([0, 4, 4, 13, 20]), np.array([0.1, 0.9, 0.6, 0.3])
    clock = SnippetClock(snippets=4, frames=20, borders=edges)
    curve = Curve.of(listed("clip", (3, 10), (18, 99), frames=20), scores, clock)
    owner = [int(np.flatnonzero((edges[:-1] <= f) & (f < edges[1:]))[0]) for f in range(20)]
    assert curve.frame_scores.tolist() == scores[owner].tolist()
    inside = [3 <= f < 10 or f >= 18 for f in range(20)]
    expected = [sum(i for i, o in zip(inside, owner, strict=True) if o == snippet) for snippet in range(4)]
    assert curve.positives.tolist() == expected and curve.peak == 0.6
    found = evaluate([curve])["auc"]
    assert found == pytest.approx(roc_auc_score(inside, scores[owner]))


def test_the_evaluator_of_a_paper_knows_no_resampled_videos():
    clock = SnippetClock(snippets=1, frames=20, borders=np.array([0, 20]))
    with pytest.raises(UsageError, match="--compat vadclip: every snippet has 16 frames there"):
        measure_scored([listed("a")], [clock], [Scored(scores=np.zeros(1))], ("fight",), "vadclip")


@pytest.mark.parametrize("annotated, fits", [(175, True), (144, True), (143, False), (177, False)])
def test_annotation_may_be_a_snippet_longer_or_shorter(annotated, fits):
    video = listed("clip", (150, 175), frames=annotated)
    if fits:
        assert curve_of(video, np.zeros(10), 160).abnormal_frames == 10
    else:
        with pytest.raises(WsvadError, match=rf"^clip: scored over 160 frames but annotated over {annotated}"):
            curve_of(video, np.zeros(10), 160)


def test_scores_that_are_not_numbers_name_their_video():
    with pytest.raises(WsvadError, match=r"^hall/3\.mp4: .*NaN"):
        curve_of(listed("hall/3.mp4"), np.array([0.1, math.nan]), 32)


def rendered(*arguments):
    console = Console(file=io.StringIO(), width=120)
    console.print(table(*arguments).drawn(120))
    return console.file.getvalue()


def test_table_shows_percent_with_two_decimals_and_categories():
    text = rendered({"far": 0.5, "auc": 0.856789, "map@0.1": 0.25}, {"Arson": 0.61234})
    lines = [line for line in text.splitlines() if "│" in line]
    assert [line.split("│")[-2].strip() for line in lines] == ["85.68", "50.00", "25.00", "61.23"]
    assert "Frame AUC, Arson" in lines[-1] and "map@0.1" in lines[2]


# --- scores files ---------------------------------------------------------------------------------------------------


def test_scores_file_round_trip(tmp_path, videos):
    path = tmp_path / "deep" / "scores.npz"
    curves = [curve_of(*video) for video in videos]
    label, _, number = expanded(videos)
    write_scores(
        path,
        {curve.video: curve.frame_scores for curve in curves},
        {curve.video: label[number == i] for i, curve in enumerate(curves)},
    )
    read = read_scores(path)
    assert list(read) == [curve.video for curve in curves]
    for i, curve in enumerate(curves):
        np.testing.assert_array_equal(read[curve.video].score, curve.frame_scores)
        np.testing.assert_array_equal(read[curve.video].label, label[number == i])
        assert read[curve.video].score.dtype == np.float32
    assert evaluate(curves_from_scores_file(read_scores(path))) == pytest.approx(evaluate(curves), abs=1e-12)
    dataset = Dataset(name="seven", videos=tuple(video for video, _, _ in videos))
    with_categories = curves_from_scores_file(read_scores(path), dataset)
    assert per_category(with_categories) == pytest.approx(per_category(curves), abs=1e-12, nan_ok=True)
    assert [path.name for path in path.parent.iterdir()] == ["scores.npz"]


def test_truth_comes_from_the_dataset_then_from_the_file(tmp_path):
    path = tmp_path / "scores.npz"
    stored = np.repeat([0, 1, 0], [8, 8, 4])
    write_scores(path, {"a": np.linspace(0, 1, 20), "b": np.zeros(16)}, {"a": stored, "b": np.zeros(16)})
    b = listed("b", frames=16)
    known = Dataset(name="d", videos=(listed("a", (3, 7), frames=30), b))
    unknown = Dataset(name="d", videos=(listed("a", label=1, known=False), b))
    assert [curve.abnormal_frames for curve in curves_from_scores_file(read_scores(path), known)] == [4, 0]
    assert [curve.abnormal_frames for curve in curves_from_scores_file(read_scores(path), unknown)] == [8, 0]
    write_scores(path, {"a": np.linspace(0, 1, 20), "b": np.zeros(16)})
    assert curves_from_scores_file(read_scores(path), unknown)[0].positives is None
    assert curves_from_scores_file(read_scores(path))[0].label is None


def test_dataset_and_file_must_agree(tmp_path):
    path = tmp_path / "scores.npz"
    write_scores(path, {"a": np.zeros(20), "b": np.zeros(20)})
    a, b, c = listed("a", frames=20), listed("b", frames=37), listed("c")
    with pytest.raises(WsvadError, match="b: scored over 20 frames but annotated over 37"):
        curves_from_scores_file(read_scores(path), Dataset(name="d", videos=(a, b)))
    with pytest.raises(WsvadError, match="no scores for 1 of the 3 test videos of d, first 'c'"):
        curves_from_scores_file(read_scores(path), Dataset(name="d", videos=(a, b, c)))
    with pytest.raises(WsvadError, match="'b' is not a test video of d"):
        curves_from_scores_file(read_scores(path), Dataset(name="d", videos=(a,)))


def test_names_agree_in_every_spelling_and_training_videos_are_left_out(tmp_path):
    path = tmp_path / "scores.npz"
    write_scores(path, {"x\\cafe\u0301": np.zeros(20), "./b": np.zeros(20), "c": np.zeros(20)})
    training = dataclasses.replace(listed("b", frames=20), split="train")
    dataset = Dataset(name="d", videos=(listed("x/caf\u00e9", frames=20), training, listed("c", frames=20)))
    given, left_out = of_test_videos(read_scores(path), dataset)
    assert [curve.video for curve in curves_from_scores_file(given, dataset)] == ["x/caf\u00e9", "c"]
    assert left_out == 1


GOOD = {"video": np.array(["a", "b"]), "frames": np.array([2, 3]), "score": np.linspace(0, 1, 5), "label": np.ones(5)}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"video": None}, "has no 'video'"),
        ({"frames": None}, "has no 'frames'"),
        ({"score": None}, "has no 'score'"),
        ({"video": np.array(["a", "a"])}, "video 'a' is listed 2 times"),
        ({"video": np.array(["a", "b"], dtype=object)}, "not a scores file"),
        ({"video": np.array([1, 2])}, "'video' cannot be of type int64"),
        ({"video": np.array([], str), "frames": np.array([], int)}, "holds no videos"),
        ({"frames": np.array([2])}, "2 videos but 1 lengths"),
        ({"frames": np.array([2, 4])}, "lengths add up to 6 frames but there are 5 scores"),
        ({"frames": np.array([5, 0])}, "video 'b' has a length of 0 frames"),
        ({"score": np.array([0, 0, math.nan, 0, 0])}, r"video 'b' has scores that are not numbers \(NaN or infinity\)"),
        ({"score": np.array([0, -math.inf, 0, 0, 0])}, r"video 'a' has scores that are not numbers"),
        ({"score": np.zeros((5, 1))}, r"'score' has shape \(5, 1\)"),
        ({"label": np.ones(4)}, "4 labels but 5 scores"),
        ({"label": np.array([0, 1, 2, 0, 0])}, "holds a label 2; only 0 and 1"),
    ],
)
def test_scores_file_that_contradicts_itself_is_refused(tmp_path, change, message):
    path = tmp_path / "scores.npz"
    np.savez(path, **{key: value for key, value in (GOOD | change).items() if value is not None})
    with pytest.raises(WsvadError, match=rf"^{path}: .*{message}"):
        read_scores(path)


def test_what_is_no_scores_file_is_refused(tmp_path):
    with pytest.raises(WsvadError, match="there is no such file"):
        read_scores(tmp_path / "none.npz")
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    (tmp_path / "text.npz").write_text("PK? no")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"video": ["a"]}))
    np.savez(tmp_path / "cut.npz", **GOOD)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-100])
    for name in ("array.npz", "text.npz", "empty.npz", "pickle.npz", "cut.npz"):
        with pytest.raises(WsvadError, match="not a scores file"):
            read_scores(tmp_path / name)


def test_scores_without_labels_or_a_dataset_are_told_so(tmp_path):
    write_scores(tmp_path / "scores.npz", {"a": np.zeros(20), "b": np.zeros(16)})
    (note,) = measure(tmp_path / "scores.npz", None, None).notes
    assert note.endswith("holds no labels; name the dataset with --data")
    write_scores(tmp_path / "scores.npz", {"a": np.zeros(20)}, {"a": np.zeros(20)})
    *notes, threshold = measure(tmp_path / "scores.npz", None, None).notes
    assert notes and all(note.startswith("no number for ") for note in notes)
    assert threshold.startswith("Alerts in whole videos are counted at threshold 1e-05, the lowest with ≤ 1 false")


def test_what_is_neither_scores_nor_a_run_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path / "notes.txt", tmp_path):
        with pytest.raises(UsageError, match=rf"^{path}: neither scores .* nor the folder of a run$"):
            measure(path, None, None)


def test_a_bad_scores_file_is_not_written(tmp_path):
    with pytest.raises(WsvadError, match="NaN"):
        write_scores(tmp_path / "scores.npz", {"a": np.array([math.nan])})
    assert not list(tmp_path.iterdir())


# --- published scores -----------------------------------------------------------------------------------------------


def ucf_crime_test():
    folder = SHARED / "data" / "ucf-crime-captions"
    intervals = defaultdict(list)
    with (folder / "test_intervals.csv").open() as file:
        for row in csv.DictReader(file):
            intervals[row["video"]].append((int(row["start_frame"]), int(row["end_frame"])))
    with (folder / "test.csv").open() as file:
        return Dataset(
            name="ucf-crime",
            videos=tuple(
                listed(
                    row["video"],
                    *intervals[row["video"]],
                    frames=int(row["frames"]),
                    label=int(row["label"]),
                    category=row["category"],
                )
                for row in csv.DictReader(file)
            ),
        )


@pytest.mark.real
@pytest.mark.skipif(not (SHARED / "data" / "parity").is_dir(), reason="the published scores are not beside the project")
@pytest.mark.parametrize("name, area, precision", [("a", 0.75671, 0.29103), ("b", 0.82424, 0.33030)])
def test_published_scores_give_their_published_numbers(name, area, precision):
    """Their AP is the step-wise estimator (the trapezoid gives 0.31535 and 0.32651).

    Their labels begin each event one frame before the annotation (`[s−1, e)`, the third convention of section 1.1) and
    leave out each video's last frame; with the annotation's own half-open intervals AUC moves by 0.01 and AP by 0.03
    points.
    """
    path = SHARED / "data" / "parity" / f"ucf-crime-{name}.npz"
    stored = evaluate(curves_from_scores_file(read_scores(path)))
    assert stored["auc"] == pytest.approx(area, abs=5e-6)
    assert stored["ap"] == pytest.approx(precision, abs=5e-6)
    curves = curves_from_scores_file(read_scores(path), ucf_crime_test())
    derived = evaluate(curves)
    assert derived == pytest.approx(stored, abs=1e-3)
    assert derived != stored
    assert len(per_category(curves)) == 13


def test_a_difference_is_never_told_by_two_equal_numbers(tmp_path):
    """Labels that are read otherwise, and an AUC that is the same to two digits."""
    interval = Interval(start=1000, end=50_000, category="fight")
    video = LabelledVideo(name="a", label=1, category="fight", split="test", frames=100_000, intervals=(interval,))
    label = np.zeros(100_000, np.uint8)
    label[999:50_000] = 1
    score = np.random.default_rng(0).random(100_000)
    write_scores(tmp_path / "scores.npz", {"a": score}, {"a": label})
    said = explain_labels(read_scores(tmp_path / "scores.npz"), Dataset(name="d", videos=(video,)))[0]
    label[999] = 0
    with_the_interval = f"{100 * roc_auc_score(label, score):.2f}"
    assert f"they read intervals as [s−1, e), not [s, e); AUC is {with_the_interval} with either" in said
    published = Totals(name="x", frames=10, abnormal=3, in_abnormal=6)
    assert _beside(published, dataclasses.replace(published, in_abnormal=5)).endswith(
        "(x), but 6 of them are in abnormal videos there; other videos are abnormal"
    )
    assert _beside(published, dataclasses.replace(published, frames=11)).endswith("(x), +1")
