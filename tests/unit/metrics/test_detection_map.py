"""mAP@IoU against the evaluator written out frame by frame, and its corners."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.errors import WsvadError
from wsvad.metrics.detection import IOUS, ClassScores, detection_map, intervals, with_normal
from wsvad.metrics.interval import Interval

NAMES = ("fight", "fall")


def video(scores, truth=(), lengths=None) -> ClassScores:
    scores = np.asarray(scores, dtype=np.float64)
    return ClassScores(
        scores=scores,
        lengths=np.full(len(scores), 16) if lengths is None else np.asarray(lengths),
        truth=tuple(Interval(start=start, end=end, category=name) for name, start, end in truth),
        video="v.mp4",
    )


# ------------------------------------------------------------------------------------------- 3.5, frame by frame


def found_by_frames(p: np.ndarray) -> list[tuple[set[int], float]]:
    if not len(p):
        return []
    whole = np.sort(p)[::-1][: max(1, len(p) // 16)].mean()
    threshold = p.max() - 0.6 * (p.max() - p.min())
    found, run = [], []
    for frame in range(len(p) + 1):
        if frame < len(p) and p[frame] > threshold:
            run.append(frame)
            continue
        if len(run) >= 2:
            found.append((set(run), p[run].max() + 0.7 * whole))
        run = []
    return found


def ap_by_frames(videos: list[ClassScores], column: int, name: str, iou: float, compat: bool) -> float | None:
    """None where nothing is found; a category without truth has 0."""
    pool, free = [], []
    for number, one in enumerate(videos):
        lengths = [16] * len(one.lengths) if compat else one.lengths
        pool += [(number, *each) for each in found_by_frames(np.repeat(one.scores[:, column], lengths))]
        free.append([set(range(t.start, t.end)) for t in one.truth if name in t.category.split(";")])
    wanted = sum(len(each) for each in free)
    if not pool:
        return None
    hits, total = 0, 0.0
    for rank, (number, frames, _) in enumerate(sorted(pool, key=lambda each: -each[2]), start=1):
        best, which = -1.0, None
        for other in free[number]:
            if len(frames & other) / len(frames | other) > best:
                best, which = len(frames & other) / len(frames | other), other
        if which is not None and best >= iou:
            free[number].remove(which)
            hits += 1
            total += hits / rank
    return total / wanted if hits else 0.0


@st.composite
def some_videos(draw) -> list[ClassScores]:
    videos = []
    for _ in range(draw(st.integers(1, 4))):
        snippets = draw(st.integers(1, 9))
        # Sixteenths are exact, so ties and thresholds are the same whatever the order of summation.
        scores = draw(st.lists(st.tuples(*[st.integers(0, 16)] * 2), min_size=snippets, max_size=snippets))
        lengths = [16] * (snippets - 1) + [draw(st.integers(0 if snippets > 1 else 1, 16))]
        edges = st.tuples(st.integers(0, 100), st.integers(1, 60))
        marked = draw(st.lists(st.tuples(st.sampled_from([*NAMES, "fight;fall"]), edges), max_size=3))
        truth = [(name, start, start + long) for name, (start, long) in marked]
        videos.append(video(np.array(scores) / 16, truth, lengths))
    return videos


@settings(max_examples=150, deadline=None)
@given(some_videos())
def test_it_is_the_evaluator_of_frames(videos):
    clean, compat = detection_map(videos, NAMES), detection_map(videos, NAMES, compat="vadclip")
    for row, iou in enumerate(IOUS):
        own = [ap_by_frames(videos, column, name, iou, compat=False) or 0.0 for column, name in enumerate(NAMES)]
        there = [any(name in t.category for one in videos for t in one.truth) for name in NAMES]
        expected = [ap if is_there else math.nan for ap, is_there in zip(own, there, strict=True)]
        np.testing.assert_allclose(clean.ap[row], expected, atol=1e-12)
        np.testing.assert_allclose(clean.map[row], np.nanmean(expected) if any(there) else math.nan, atol=1e-12)
        theirs = [ap_by_frames(videos, column, name, iou, compat=True) for column, name in enumerate(NAMES)]
        np.testing.assert_allclose(compat.ap[row], [ap or 0.0 for ap in theirs], atol=1e-12)
        assert compat.map[row] == pytest.approx(0.0 if None in theirs else np.mean(theirs), abs=1e-12)
    np.testing.assert_allclose(clean.average, clean.map.mean())


# --------------------------------------------------------------------------------------------------------- corners


def bump(snippets: int, first: int, end: int, column: int, high: float = 1.0) -> np.ndarray:
    scores = np.zeros((snippets, 2))
    scores[first:end, column] = high
    return scores


def test_perfect_intervals_have_everything():
    """Also where a normal video has scores that are all the same, which is no interval."""
    perfect = [
        video(bump(10, 2, 5, 0), [("fight", 32, 80)]),
        video(bump(8, 0, 3, 1), [("fall", 0, 48)]),
        video(np.full((6, 2), 0.9)),
    ]
    for compat in (None, "vadclip"):
        assert (detection_map(perfect, NAMES, compat=compat).ap == 1).all()
        assert detection_map(perfect, NAMES, compat=compat).average == 1


def test_the_wrong_category_the_wrong_place_or_nothing_is_0():
    right = video(bump(8, 0, 3, 1), [("fall", 0, 48)])
    wrong_category = video(bump(10, 2, 5, 1), [("fight", 32, 80)])
    assert detection_map([wrong_category, right], NAMES).ap[:, 0].tolist() == [0] * 5
    elsewhere = video(bump(10, 7, 10, 0), [("fight", 0, 48)])
    assert detection_map([elsewhere, right], NAMES).ap[0].tolist() == [0, 1]


def test_a_category_without_truth_is_left_out_or_with_compat_counts_as_0():
    videos = [video(bump(10, 2, 5, 0) + bump(10, 6, 8, 1), [("fight", 32, 80)])]
    clean, compat = detection_map(videos, NAMES), detection_map(videos, NAMES, compat="vadclip")
    assert clean.ap[0, 0] == 1
    assert np.isnan(clean.ap[0, 1])
    assert (clean.map == 1).all()
    assert compat.ap[0].tolist() == [1, 0]
    assert (compat.map == 0.5).all()


def test_compat_is_0_where_a_category_has_no_interval():
    videos = [video(bump(10, 2, 5, 0), [("fight", 32, 80)])]
    assert detection_map(videos, NAMES, compat="vadclip").map.tolist() == [0] * 5
    assert (detection_map(videos, NAMES).map == 1).all()


def test_compat_gives_every_snippet_16_frames():
    """The last snippet has 4: found are 20 frames of 20 true ones, or 32 of them."""
    videos = [video(bump(4, 2, 4, 0) + bump(4, 0, 1, 1), [("fight", 32, 52)], [16, 16, 16, 4])]
    assert detection_map(videos, NAMES, ious=(0.9,)).ap[0, 0] == 1
    assert detection_map(videos, NAMES, ious=(0.6,), compat="vadclip").ap[0, 0] == 1
    assert detection_map(videos, NAMES, ious=(0.7,), compat="vadclip").ap[0, 0] == 0


def test_each_true_interval_is_taken_once():
    """Two intervals on one true one: the second is wrong, before it or after it in rank."""
    scores = bump(10, 0, 2, 0, 0.9) + bump(10, 4, 6, 0, 1.0)
    both = [video(scores, [("fight", 0, 96)])]
    assert detection_map(both, NAMES, ious=(0.3,)).ap[0, 0] == 1
    other = [video(scores, [("fight", 0, 32)])]
    assert detection_map(other, NAMES, ious=(0.3,)).ap[0, 0] == 0.5


def test_the_threshold_is_strict_and_a_single_frame_is_none():
    scores = np.array([0.0, 0.4, 0.4, 1.0])
    assert [one[:2] for one in intervals(scores, np.array([16, 16, 16, 16]))] == [(48, 64)]
    assert intervals(scores, np.array([16, 16, 16, 1])) == []
    assert intervals(np.full(5, 0.3), np.full(5, 16)) == []
    assert intervals(np.zeros(2), np.zeros(2, int)) == []


def test_the_score_of_an_interval():
    """Its maximum plus 0.7 times the mean of the highest sixteenth of the frames: 3 of 48."""
    ((start, end, score),) = intervals(np.array([0.0, 1.0, 0.5]), np.array([30, 2, 16]))
    assert (start, end) == (30, 48)
    assert score == pytest.approx(1.0 + 0.7 * (1.0 + 1.0 + 0.5) / 3)


def test_what_is_missing_to_1_is_normal():
    np.testing.assert_allclose(with_normal(np.array([[0.2, 0.3], [0.0, 0.0]])), [[0.2, 0.3, 0.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (video(np.zeros((4, 3))), r"v\.mp4.*\(4, 3\).*4 snippets and 2 categories"),
        (video(np.zeros((4, 2)), lengths=[16] * 3), r"\(4, 2\).*3 snippets"),
        (video([[0.1, math.nan]]), "NaN"),
        (video(np.zeros((4, 2)), [("theft", 0, 9)]), r"v\.mp4.*'theft'.*fight, fall"),
        (video(np.zeros((4, 2)), [("fight; theft", 0, 9)]), "'theft'"),
    ],
)
def test_bad_input_is_told_in_one_line(given, says):
    with pytest.raises(WsvadError, match=says) as caught:
        detection_map([given], NAMES)
    assert "\n" not in str(caught.value)
