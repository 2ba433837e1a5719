"""Videos that are held out, once and in folds: of other scenes than the rest (without scenes, see test_folder)."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.division import folds, hold_out
from wsvad.datasets.scenes import units

DRAWN = st.lists(st.tuples(st.sampled_from(["normal", "fight", "fall"]), st.integers(0, 6)), min_size=1, max_size=40)


def made(drawn):
    videos = [
        LabelledVideo(name=str(i), label=int(c != "normal"), category=c, split="train")
        for i, (c, _) in enumerate(drawn)
    ]
    return videos, {str(i): scene for i, (_, scene) in enumerate(drawn)}


def labels_of(videos, names):
    return Counter(video.label for video in videos if video.name in set(names))


def not_cut(videos, scenes, parts):
    """No scene that may stay together is in two parts."""
    part_of = {name: number for number, part in enumerate(parts) for name in part}
    return all(len({part_of.get(video.name) for video in group}) == 1 for group in units(videos, scenes))


@settings(max_examples=300)
@given(DRAWN, st.floats(0.05, 0.5), st.integers(0, 9))
def test_what_is_held_out_shows_other_scenes(drawn, share, seed):
    videos, scenes = made(drawn)
    kept, out = hold_out(videos, share, seed, scenes=scenes)
    assert (kept, out) == hold_out(videos, share, seed, scenes=scenes)
    assert sorted(kept + out) == sorted(video.name for video in videos)
    assert not_cut(videos, scenes, [kept, out])
    total = labels_of(videos, kept + out)
    for label, count in total.items():
        assert (0 < labels_of(videos, out)[label] < count) if count > 1 else not labels_of(videos, out)[label]


@given(st.integers(0, 99), st.floats(0.15, 0.4))
def test_shares_of_categories_are_kept_as_far_as_scenes_allow(seed, share):
    """Scenes of a normal video, a fight and a fall: a whole number of them comes near to any share."""
    videos, scenes = made([(category, i // 3) for i, category in enumerate(["normal", "fight", "fall"] * 20)])
    out = hold_out(videos, share, seed, scenes=scenes)[1]
    held = Counter(video.category for video in videos if video.name in out)
    assert len(set(held.values())) == 1 and abs(held["normal"] - 20 * share) <= 0.5 + 1e-9


def test_what_was_held_out_before_stays_so_with_its_scene():
    videos, scenes = made([(c, i // 4) for i, c in enumerate(["normal", "fight"] * 20)])
    first = hold_out(videos, 0.2, 0, scenes=scenes)[1]
    for seed in range(1, 6):
        assert hold_out(videos, 0.2, seed, first, scenes)[1] == first
    more = [*videos, LabelledVideo(name="new", label=0, category="normal", split="train")]
    out = hold_out(more, 0.2, 3, first, scenes | {"new": scenes[first[0]]})[1]
    assert "new" in out


@settings(max_examples=400)
@given(DRAWN, st.integers(2, 8), st.integers(0, 9))
def test_folds_keep_scenes_together_and_leave_each_fit_something_to_learn_from(drawn, count, seed):
    videos, scenes = made(drawn)
    found = folds(videos, count, seed, scenes)
    assert found == folds(videos, count, seed, scenes)
    total = labels_of(videos, [video.name for video in videos])
    groups = [group for group in units(videos, scenes) if all(total[video.label] > 1 for video in group)]
    with_normal = sum(any(video.label == 0 for video in group) for group in groups)
    assert len(found) <= min(count, total[0])
    if with_normal >= 2:
        assert len(found) >= 2
    dealt = [name for fold in found for name in fold]
    assert len(dealt) == len(set(dealt))
    for fold in found:
        left = labels_of(videos, set(total_names(videos)) - set(fold))
        assert left.keys() == total.keys()
        assert labels_of(videos, fold)[0]
        assert fold == sorted(fold, key=int)


def total_names(videos):
    return [video.name for video in videos]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=15), st.integers(2, 6))
def test_scenes_of_every_mixture_are_never_cut_by_folds(scenes, count):
    """Each scene some normal videos and some abnormal ones, and four scenes with one of each, so that none is most."""
    drawn = [(c, s) for s, (n, a) in enumerate(scenes) for c in ["normal"] * n + ["fight"] * a]
    drawn += [(c, 100 + s) for s in range(4) for c in ("normal", "fight")]
    videos, scene_of = made(drawn)
    found = folds(videos, count, 0, scene_of)
    normal = len({scene for category, scene in drawn if category == "normal"})
    assert len(found) == min(count, normal)
    assert not_cut(videos, scene_of, found)
    assert sorted(name for fold in found for name in fold) == sorted(total_names(videos))


def test_even_scenes_make_even_folds():
    videos, scenes = made([(c, i // 4) for i, c in enumerate(["normal", "fight"] * 20)])
    for fold in folds(videos, 5, 0, scenes):
        assert labels_of(videos, fold) == {0: 4, 1: 4}


def test_two_scenes_make_two_folds():
    videos, scenes = made([("normal", 0), ("fight", 0), ("normal", 1), ("fight", 1)])
    assert sorted(folds(videos, 5, 0, scenes)) == [["0", "1"], ["2", "3"]]


def test_one_scene_is_divided_as_if_nothing_were_known_of_scenes():
    videos, scenes = made([(c, 0) for c in ["normal", "fight"] * 10])
    assert folds(videos, 5, 3, scenes) == folds(videos, 5, 3)
    assert hold_out(videos, 0.2, 3, scenes=scenes) == hold_out(videos, 0.2, 3)
