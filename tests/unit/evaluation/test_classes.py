"""Class scores beside the truth: what is counted, frame by frame; categories that go from labels into a run."""

import dataclasses
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from wsvad.cli.tables import categories_table
from wsvad.datasets.categories import categories_of, names_of, with_categories
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.folder import open_folder
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.alerting import At
from wsvad.evaluation.classes import beside_truth, evaluate_classes
from wsvad.evaluation.measure import measure
from wsvad.evaluation.scores_file import classes_from_scores_file, read_scores, write_scores
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.mil import MilConfig
from wsvad.methods.refinevad import RefineVadConfig
from wsvad.metrics.detection import IOUS, ClassScores, detection_map, with_normal
from wsvad.metrics.interval import Interval
from wsvad.runs.model import load_method
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

KINDS = ("fall", "fight")


def listed(name, category="normal", intervals=(), split="test", truth=True):
    return LabelledVideo(
        name=name, label=int(category != "normal"), category=category, split=split,
        intervals=tuple(Interval(start=s, end=e, category=c) for s, e, c in intervals) if truth else None,
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- metrics


@st.composite
def a_test_set(draw):
    """Videos of one to five snippets with class scores of few values, and intervals that may be of several kinds."""
    videos, scores, lengths = [], [], []
    for number in range(draw(st.integers(1, 4))):
        snippets = draw(st.integers(1, 5))
        category = draw(st.sampled_from(["normal", "fall", "fight", "fall; fight", "fire"]))
        starts = draw(st.lists(st.integers(0, 16 * snippets - 2), max_size=3)) if category != "normal" else []
        kinds = [*names_of(category), category]
        intervals = [(s, s + draw(st.integers(1, 40)), draw(st.sampled_from(kinds))) for s in starts]
        videos.append(listed(f"v{number}", category, intervals))
        values = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.4]), min_size=2, max_size=2)
        scores.append(np.array(draw(st.lists(values, min_size=snippets, max_size=snippets))))
        lengths.append(np.array([16] * (snippets - 1) + [draw(st.integers(1, 16))]))
    return videos, scores, lengths


@settings(max_examples=150, deadline=None)
@given(a_test_set())
def test_metrics_are_those_of_a_loop_over_frames(given_set):
    videos, scores, lengths = given_set
    metrics, _ = evaluate_classes(beside_truth(KINDS, videos, scores, lengths))
    right = []
    for video, s, n in zip(videos, scores, lengths, strict=True):
        frames = np.repeat(s, n, axis=0)
        for one in video.intervals:
            inside = frames[one.start : one.end]
            if len(inside):
                sums = [sum(float(frame[k]) for frame in inside) for k in range(2)]
                # Sums of tenths are rounded, so a tie is none that a loop could see.
                near = [KINDS[k] for k in range(2) if sums[k] > max(sums) - 1e-9]
                named = [name in [x.strip() for x in one.category.split(";")] for name in near]
                right.append(named[0] if len(set(named)) == 1 else None)
    low, high = sum(r is True for r in right), sum(r is not False for r in right)
    assert np.isnan(metrics["category_accuracy"]) if not right else (
        low - 1e-9 <= metrics["category_accuracy"] * len(right) <= high + 1e-9
    )  # fmt: skip
    cut = [
        tuple(
            Interval(start=i.start, end=min(i.end, int(n.sum())), category=i.category.replace("; ", ";"))
            for i in v.intervals
            if i.start < n.sum()
        )
        for v, n in zip(videos, lengths, strict=True)
    ]
    fire = any("fire" in names_of(i.category) for t in cut for i in t)
    wide = [np.column_stack([s, np.zeros((len(s), int(fire)))]) for s in scores]
    whole = detection_map(
        [ClassScores(scores=s, lengths=n, truth=t) for s, n, t in zip(wide, lengths, cut, strict=True)],
        (*KINDS, "fire")[: 2 + fire],
    )
    np.testing.assert_allclose([metrics[f"map@{iou:g}"] for iou in whole.ious], whole.map)
    np.testing.assert_allclose(metrics["map"], whole.map.mean())


def test_what_only_tests_show_counts_as_never_found_and_never_named():
    videos = [listed("a", "fight", [(0, 32, "fight")]), listed("b", "fire", [(0, 32, "fire")]), listed("c")]
    scores = [np.array([[0.0, 0.9], [0.0, 0.8], [0.0, 0.1]])] * 2 + [np.zeros((3, 2))]
    metrics, by_category = evaluate_classes(beside_truth(KINDS, videos, scores, [np.full(3, 16)] * 3))
    assert metrics["category_accuracy"] == 0.5
    assert by_category["fire"]["ap@0.1"] == 0 and "fall" not in by_category
    # The interval in the video of the fire is as high as the one in the fight, and comes after it: AP 1.
    assert by_category["fight"]["ap@0.5"] == 1 and metrics["map@0.5"] == 0.5


def test_one_category_is_whatever_abnormal_videos_show():
    videos = [listed("a", "fight", [(0, 32, "fight")]), listed("b", "fire", [(0, 32, "fire")])]
    scores = [np.array([[0.9], [0.8], [0.1]])] * 2
    metrics, by_category = evaluate_classes(beside_truth(("abnormal",), videos, scores, [np.full(3, 16)] * 2))
    assert metrics["map@0.5"] == 1
    assert "category_accuracy" not in metrics and not by_category


def test_an_unnamed_interval_takes_its_videos_name_and_an_unnamed_video_is_left_out():
    scores, lengths = [np.array([[0.0, 0.9], [0.0, 0.1]])] * 2, [np.full(2, 16)] * 2
    videos = [listed("a", "fight", [(0, 16, "abnormal")]), listed("b", "abnormal", [(0, 16, "abnormal")])]
    classes = beside_truth(KINDS, videos, scores, lengths)
    assert [video.video for video in classes.videos] == ["a"]
    assert evaluate_classes(classes)[0]["category_accuracy"] == 1
    unknown = [listed("a", "fight", truth=False), videos[0]]
    assert [video.video for video in beside_truth(KINDS, unknown, scores, lengths).videos] == ["a"]


def test_vadclips_evaluator_keeps_intervals_whole_where_the_scores_end_before_them():
    """Five events of UCF-Crime end beyond their video; ours are cut there, its are not."""
    rng = np.random.default_rng(1)
    videos = [listed(f"{n}", KINDS[n % 2], [(16 * (n % 3), 100 + n, KINDS[n % 2])]) for n in range(12)] + [listed("c")]
    videos.append(listed("late", "fight", [(200, 220, "fight")]))  # nothing of it was scored
    scores = [rng.dirichlet([1, 1, 1], size=5)[:, :2] for _ in videos]
    lengths = [np.full(5, 16)] * len(videos)
    whole = [
        ClassScores(scores=with_normal(s), lengths=n, truth=v.intervals)
        for s, n, v in zip(scores, lengths, videos, strict=True)
    ]
    expected = detection_map(whole, (*KINDS, "normal"), compat="vadclip")
    classes = beside_truth(KINDS, videos, scores, lengths)
    metrics, _ = evaluate_classes(classes, "vadclip")
    np.testing.assert_allclose([metrics[f"map@{iou:g}"] for iou in expected.ious], expected.map)
    cut = [replace(v, truth=tuple(replace(i, end=min(i.end, 80)) for i in v.truth if i.start < 80)) for v in whole]
    assert not np.allclose(detection_map(cut, (*KINDS, "normal"), compat="vadclip").map, expected.map)
    clean = detection_map([replace(v, scores=v.scores[:, :2]) for v in cut], KINDS)
    assert evaluate_classes(classes)[0]["map"] == pytest.approx(clean.average)


@pytest.mark.parametrize("own_normal", [True, False])
def test_vadclips_numbers_have_a_column_for_normal(own_normal):
    videos = [listed("a", "fight", [(0, 20, "fight")]), listed("b", "fall", [(16, 40, "fall")]), listed("c")]
    rng = np.random.default_rng(0)
    scores = [rng.dirichlet([1, 1, 1], size=3)[:, :2] for _ in videos]
    lengths = [np.array([16, 16, 8])] * 3
    whole = [with_normal(s) for s in scores]
    expected = detection_map(
        [ClassScores(scores=s, lengths=n, truth=v.intervals) for s, n, v in zip(whole, lengths, videos, strict=True)],
        (*KINDS, "normal"),
        compat="vadclip",
    )
    names = (*KINDS, "normal") if own_normal else KINDS
    classes = beside_truth(names, videos, whole if own_normal else scores, lengths)
    metrics, _ = evaluate_classes(classes, "vadclip")
    np.testing.assert_allclose([metrics[f"map@{iou:g}"] for iou in expected.ious], expected.map)
    clean, plain = evaluate_classes(classes)[0], evaluate_classes(beside_truth(KINDS, videos, scores, lengths))[0]
    assert clean == plain != metrics


def test_normal_has_truth_where_it_is_an_event():
    """3.5: there a normal video is an interval from end to end. Found are three of its four snippets, IoU 3/4; what the
    others say of "normal" ranks below it."""
    videos = [listed("a", "fight", [(0, 32, "fight")]), listed("b", "fall", [(0, 32, "fall")]), listed("c")]
    fall, fight = np.array([[0.2, 0.9], [0.2, 0.9], [0.1, 0.2], [0.1, 0.2]]), np.array([[0.0, 0.0]] * 3 + [[0.3, 0.6]])
    classes = beside_truth(KINDS, videos, [fall, fall[:, ::-1], fight], [np.full(4, 16)] * 3)
    xd, ap = evaluate_classes(classes, "vadclip", normal_is_event=True)
    ucf, without = evaluate_classes(classes, "vadclip")
    assert list(ap["normal"].values()) == [1] * 5 and list(without["normal"].values()) == [0] * 5
    assert all(ap[name] == without[name] for name in KINDS)
    assert [xd[f"map@{iou:g}"] - ucf[f"map@{iou:g}"] for iou in IOUS] == pytest.approx([1 / 3] * 5)
    assert "normal" not in evaluate_classes(classes, None, normal_is_event=True)[1]


def test_a_table_of_categories_has_both_measures():
    file = io.StringIO()
    ap = {"fall": {"ap@0.1": 0.5, "ap@0.2": 0.25}}
    Console(file=file, width=100).print(categories_table({"fall": 0.75, "fire": 0.5}, ap).drawn(100))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in file.getvalue().splitlines() if "│" in line]
    assert rows == [["fall", "75.00", "50.00", "25.00"], ["fire", "50.00", "–", "–"]]


# ------------------------------------------------------------------------------------------------------ scores files


def scores_file(path, **classes):
    scores = {"a": np.repeat([0.9, 0.1], [16, 10]).astype(np.float32), "b": np.full(32, 0.2, np.float32)}
    of = {"a": np.repeat([[0.1, 0.8], [0.0, 0.1]], [16, 10], axis=0), "b": np.full((32, 2), 0.1)}
    write_scores(path, scores, classes=(classes.pop("names", KINDS), of | classes))
    return of


def test_class_scores_come_back_from_their_file(tmp_path):
    of = scores_file(tmp_path / "s.npz")
    back = read_scores(tmp_path / "s.npz")
    assert all((back[name].class_score == of[name]).all() for name in of)
    assert {video.categories for video in back.values()} == {KINDS}
    dataset = Dataset(name="d", videos=(listed("a", "fight", [(0, 16, "fight")]), listed("b")))
    classes = classes_from_scores_file(read_scores(tmp_path / "s.npz"), dataset)
    assert [video.lengths.tolist() for video in classes.videos] == [[16, 10], [32]]
    assert measure(tmp_path / "s.npz", dataset, None).metrics["map@0.5"] == 1
    assert measure(tmp_path / "s.npz", dataset, None, "vadclip").metrics["map@0.5"] == pytest.approx(1 / 3)
    with pytest.raises(UsageError, match=r"--compat vadclip needs the truth; name the dataset with --data"):
        measure(tmp_path / "s.npz", None, None, "vadclip")
    write_scores(tmp_path / "plain.npz", {"a": np.zeros(26), "b": np.zeros(32)})
    with pytest.raises(UsageError, match="needs class scores, and there are none"):
        measure(tmp_path / "plain.npz", dataset, None, "vadclip")
    assert "map" not in measure(tmp_path / "plain.npz", dataset, None).metrics


def test_vadclips_normal_is_that_of_the_dataset(tmp_path):
    scores_file(tmp_path / "s.npz", b=np.repeat([[0.5, 0.4], [0.0, 0.0]], 16, axis=0))
    dataset = Dataset(name="d", videos=(listed("a", "fight", [(0, 16, "fight")]), listed("b")))
    for benchmark, ap in (("xd-violence", 1), ("ucf-crime", 0), (None, 0)):
        found = measure(tmp_path / "s.npz", dataclasses.replace(dataset, benchmark=benchmark), None, "vadclip")
        assert found.per_category_ap["normal"]["ap@0.5"] == ap


def test_vadclips_evaluator_wants_snippets(tmp_path):
    scores_file(tmp_path / "s.npz", b=np.repeat([[0.1, 0.2], [0.3, 0.1]], [10, 22], axis=0))
    dataset = Dataset(name="d", videos=(listed("a", "fight", [(0, 16, "fight")]), listed("b")))
    with pytest.raises(WsvadError, match=r"s.npz: class scores of 'b' change within a snippet of 16 frames"):
        measure(tmp_path / "s.npz", dataset, None, "vadclip")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"names": ("fall", "fall")}, "two of its categories have the same name"),
        ({"names": ("fall", "fight", "fire")}, r"'class_score' has shape \(58, 2\) instead of \(58, 3\)"),
        ({"b": np.full((31, 2), 0.1)}, r"'class_score' has shape \(57, 2\) instead of \(58, 2\)"),
        ({"b": np.full((32, 2), np.nan)}, "has class scores that are not numbers"),
    ],
)
def test_a_broken_scores_file_is_not_written(tmp_path, broken, told):
    with pytest.raises(WsvadError, match=told):
        scores_file(tmp_path / "s.npz", **broken)
    assert not (tmp_path / "s.npz").exists()


def test_class_scores_without_names_are_told(tmp_path):
    scores_file(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        arrays = {key: file[key] for key in file if key != "categories"}
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(WsvadError, match="has 'class_score' but no 'categories'; write the scores file again"):
        read_scores(tmp_path / "s.npz")


# -------------------------------------------------------------------------------------------------- labels to a run

SMALL = RefineVadConfig(hidden=16, heads=2, feed_forward=16, head=8, lambda1=0)
PROTOCOL = Protocol(iterations=4, segments=8, bags=2, points=2, normalise="standardise", hold_out=0.0)


def dataset(**of):
    """Sixteen videos of four snippets, half for testing; `of` gives the abnormal ones' categories by number."""
    videos = []
    for i in range(16):
        category = of.get(f"v{i}", "fight" if i % 4 == 1 else "fall; fight") if i % 2 else "normal"
        videos.append(
            listed(f"v{i}", category, [(0, 20, category)] if i % 2 else [], split="test" if i >= 8 else "train")
        )
    return Dataset(name="kinds", videos=tuple(videos))


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(16):
        array = (rng.normal(size=(4, 6)) + i % 4).astype(np.float32)
        passport = Passport(encoder="rgb", width=6, frames=64)
        save(feature_path(tmp_path, "rgb", f"v{i}"), StoredFeatures(features=array, passport=passport))
    return tmp_path


def experiment(features, data, config=SMALL, out="run", **fields):
    return Experiment(
        dataset=data, features=features, name="refinevad", config=config, protocol=PROTOCOL, out=features / out,
        **fields,
    )  # fmt: skip


def test_names_of_a_label():
    assert names_of("fight; fall ;fight;") == ("fight", "fall")
    assert names_of("normal") == ()
    assert categories_of(dataset().train) == ("fall", "fight")
    assert categories_of([listed("a", "abnormal"), listed("b")]) == ()
    assert categories_of([listed("a", "fight"), listed("b")]) == ("fight",)


def test_a_run_has_the_categories_of_its_training_videos(features):
    fitted = experiment(features, dataset()).run()
    assert load_method(features / "run").method.config.categories == ("fall", "fight")
    assert "categories:\n  - fall\n  - fight\n" in (features / "run" / "config.yaml").read_text()
    last = fitted.metrics["selection"]["last"] | fitted.metrics["events"]
    assert {"map@0.1", "map@0.5", "map", "category_accuracy"} < set(last)
    assert set(fitted.metrics["per_category_ap"]) == {"fall", "fight"}
    assert (
        fitted.metrics["remarks"]
        == [SMALL.remark]
        == ["It learns and runs on rgb, without the text stream of its paper."]
    )
    assert RefineVadConfig(streams=("rgb", "text")).remark == ""
    # What was kept of the test videos gives the same numbers again, and so does the network.
    at = At(threshold=fitted.metrics["alerts"]["whole"]["thresholds"][0])
    again = measure(features / "run" / "seed-0" / "test_scores.npz", dataset(), None, at=at)
    direct = measure(features / "run", dataset(), features)
    told = measure(features / "run", None, None)
    for found in (again, direct, told):
        there = [name for name in last if found is not again or not name.endswith("_online")]  # a file has one mode
        assert set(found.metrics) == set(there)
        for name in there:
            assert found.metrics[name] == pytest.approx(last[name]["mean"], rel=1e-5, nan_ok=True), name
        assert found.per_category_ap["fight"] == pytest.approx(direct.per_category_ap["fight"], rel=1e-5)


def test_normal_and_abnormal_stay_one_category(features):
    data = dataset(**{f"v{i}": "abnormal" for i in range(1, 16, 2)})
    fitted = experiment(features, data).run()
    assert fitted.trained.method.config.categories == ()
    assert "map@0.1" in fitted.metrics["selection"]["last"]
    assert "category_accuracy" not in fitted.metrics["selection"]["last"]
    assert fitted.metrics["per_category_ap"] == {}
    assert with_categories(MilConfig(), dataset()) == (MilConfig(), [])


def test_without_prototypes_nothing_is_said_of_categories(features):
    fitted = experiment(features, dataset(), dataclasses.replace(SMALL, core="off")).run()
    assert not {"map@0.1", "map", "category_accuracy"} & set(fitted.metrics["selection"]["last"])
    assert fitted.trained.method.config.categories == KINDS


def test_what_cannot_be_learnt_is_said_and_nothing_breaks(features, caplog):
    data = dataset(v9="fire;fight", v1="riot")
    with caplog.at_level("INFO", "wsvad"):
        fitted = experiment(features, data).run()
    told = [
        "Only test videos show 'fire': categories without training videos cannot be predicted.",
        "Only one training video shows 'riot': too few to predict the category reliably.",
        SMALL.remark,
    ]
    assert json.loads((features / "run" / "metrics.json").read_text())["remarks"] == told == fitted.metrics["remarks"]
    assert all(f"note: {one}" in caplog.messages for one in told)
    assert fitted.metrics["per_category_ap"]["fire"]["ap@0.1"]["mean"] == 0


def test_the_users_categories_must_be_all(features):
    chosen = dataclasses.replace(SMALL, categories=("fight", "fall", "fire"))
    assert experiment(features, dataset(), chosen).config.categories == ("fight", "fall", "fire")
    with pytest.raises(UsageError, match="categories: 'fall' is missing, which the training video v3 shows"):
        experiment(features, dataset(), dataclasses.replace(SMALL, categories=("fight",)))


@pytest.mark.parametrize("category", ["fite", "fight;fite"])
def test_an_interval_of_an_unknown_kind_is_told_with_its_line(tmp_path, category):
    names = [f"{i}.mp4" for i in range(4)]
    for name in names:
        (tmp_path / name).touch()
    rows = [f"{name},{i % 2},{'fight' if i % 2 else 'normal'},{'train' if i < 2 else 'test'}" for i, name in
            enumerate(names)]  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(["video,label,category,split", *rows]))
    (tmp_path / "intervals.csv").write_text(f"video,category,start_frame,end_frame\n3.mp4,{category},0,9\n")
    told = (
        r"intervals.csv line 2: no video of the labels is of the category 'fite'; correct it, or the labels \(fight\)"
    )
    with pytest.raises(WsvadError, match=told):
        open_folder(tmp_path)
    (tmp_path / "intervals.csv").write_text("video,category,start_frame,end_frame\n3.mp4,abnormal,0,9\n")
    assert open_folder(tmp_path).test[1].intervals[0].category == "abnormal"
    (tmp_path / "labels.csv").write_text("\n".join(["video,label,split", *(r.replace(",fight", "").replace(
        ",normal", "") for r in rows)]))  # fmt: skip
    (tmp_path / "intervals.csv").write_text(f"video,category,start_frame,end_frame\n3.mp4,{category},0,9\n")
    assert open_folder(tmp_path).test[1].intervals[0].category == category
