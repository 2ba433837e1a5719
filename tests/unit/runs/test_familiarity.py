"""What lies far from the training videos is told, and familiar videos are not, at the stated rate."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from wsvad.errors import WsvadError
from wsvad.runs.familiarity import AXES, FEWEST, Familiarity, Gaussian
from wsvad.runs.familiarity_record import familiarity_of, numbers_of, tensors_of

L, D = 8, 12


def videos(count, seed, shift=0.0, width=D):
    """Packed features `(N, L, D)` of videos of one place: each has its own mean, correlated over dimensions."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(4, width))
    means = rng.normal(size=(count, 4)) @ mix + 0.1 * rng.normal(size=(count, width)) + shift
    return torch.from_numpy(means[:, None] + 0.3 * rng.normal(size=(count, L, width))).float()


def names(count):
    return [f"v{number}" for number in range(count)]


def fitted(count=40, seed=0, **more):
    return Familiarity.fit({"rgb": videos(count, seed)}, names(count), L, **more)


def covariance(x):
    """Ledoit and Wolf's, as `sklearn.covariance` has it."""
    sklearn = pytest.importorskip("sklearn.covariance")
    return sklearn.LedoitWolf().fit(x).covariance_


@pytest.mark.parametrize(("count", "width"), [(30, 12), (200, 12), (20, 30)])
def test_the_distance_is_mahalanobis_of_ledoit_and_wolf(count, width):
    x = videos(count, 1, width=width).mean(1).double()
    scale = torch.linspace(0.5, 2, width).double()
    new = videos(5, 2, width=width).mean(1).double() + 1
    z = ((new - x.mean(0)) / scale).numpy()
    wanted = np.sqrt(np.einsum("nd,de,ne->n", z, np.linalg.inv(covariance((x / scale).numpy())), z) / width)
    found = Gaussian.fit(x, scale).distance(new)
    assert found.numpy() == pytest.approx(wanted, rel=1e-6)


def test_more_axes_than_are_kept_share_a_variance():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(100, 60)))
    gaussian = Gaussian.fit(x, torch.ones(60).double())
    assert gaussian.axes.shape == (AXES, 60)
    assert gaussian.axes @ gaussian.axes.T == pytest.approx(np.eye(AXES), abs=1e-8)
    total = np.trace(covariance(x.numpy()))
    assert gaussian.variances[:-1].sum() + (60 - AXES) * gaussian.variances[-1] == pytest.approx(total, rel=1e-6)


def test_familiar_videos_are_beyond_the_limit_at_the_stated_rate():
    beyond = []
    for seed in range(30):
        known = fitted(60, seed)
        assert known.false == pytest.approx(1 - 58 / 61)
        beyond += [known.distance({"rgb": video}) > 1 for video in videos(60, 1000 + seed)]
    assert np.mean(beyond) == pytest.approx(known.false, abs=0.02)


def test_with_several_streams_the_rate_is_of_all_of_them_together():
    beyond = []
    for seed in range(15):
        known = Familiarity.fit({"a": videos(60, seed), "b": videos(60, 500 + seed)}, names(60), L)
        pairs = zip(videos(60, 1000 + seed), videos(60, 2000 + seed), strict=True)
        beyond += [known.distance({"a": a, "b": b}) > 1 for a, b in pairs]
    assert np.mean(beyond) == pytest.approx(known.false, abs=0.025)


def test_few_videos_promise_less_and_too_few_nothing():
    assert fitted(FEWEST).false == pytest.approx(1 / (FEWEST + 1))
    assert fitted(FEWEST - 1) is None


def test_another_place_is_told_in_a_sentence_with_a_figure():
    known = fitted()
    there = known.distance({"rgb": videos(1, 5, shift=6)[0]})
    assert there > 3
    assert f"({there:.1f} times the distance that 95% of them keep)" in known.note(there)
    assert known.note(1.0) == "" == known.note(None)


def test_a_constant_stream_says_nothing_and_alone_there_is_nothing_to_say():
    still = torch.full((40, L, 3), 2.0)
    both = Familiarity.fit({"rgb": videos(40, 0), "still": still}, names(40), L)
    assert list(both.streams) == ["rgb"]
    assert Familiarity.fit({"still": still}, names(40), L) is None


def test_equal_training_videos_know_any_other():
    one = videos(1, 0).expand(20, L, D)
    known = Familiarity.fit({"rgb": one}, names(20), L)
    assert known.distance({"rgb": one[0]}) <= 1 < known.distance({"rgb": one[0] + 1})


def test_crops_of_a_video_are_averaged_in_fitting_and_in_scoring():
    x = videos(40, 0)
    crops = torch.stack([x - 1, x + 1], 1)
    twice = Familiarity.fit({"rgb": crops.flatten(0, 1)}, np.repeat(names(40), 2).tolist(), L)
    assert twice.videos == 40
    assert twice.streams["rgb"].centre == pytest.approx(fitted().streams["rgb"].centre)
    assert twice.distance({"rgb": crops[3]}) == pytest.approx(twice.distance({"rgb": x[3]}))


def test_groups_are_left_out_whole_where_there_are_many():
    copies = videos(30, 0).repeat_interleave(3, 0) + 0.01 * videos(90, 1)
    of = {name: str(number // 3) for number, name in enumerate(names(90))}
    alone, together = (Familiarity.fit({"rgb": copies}, names(90), L, groups) for groups in (None, of))
    assert min(np.divide(together.limits["rgb"], alone.limits["rgb"])) > 1
    few = {name: str(number // 30) for number, name in enumerate(names(90))}
    assert Familiarity.fit({"rgb": copies}, names(90), L, few).limits == alone.limits


def test_a_live_source_has_the_distance_of_its_last_snippets():
    known, x = fitted(), videos(4, 7).flatten(0, 1)
    live = known.live(6)
    found = [live.push({"rgb": row}) for row in x]
    assert found[:5] == [None] * 5
    wanted = [known.distance({"rgb": x[end - 6 : end]}) for end in range(6, len(x) + 1)]
    assert found[5:] == pytest.approx(wanted)


@pytest.mark.parametrize("snippets", [1, 3, 4])
def test_a_part_of_a_familiar_video_is_beyond_the_limit_at_the_stated_rate_too(snippets):
    beyond = []
    for seed in range(15):
        known = Familiarity.fit({"rgb": 4 * noise(seed, 60)}, names(60), L)
        beyond += [known.distance({"rgb": video[:snippets]}) > 1 for video in 4 * noise(1000 + seed, 60)]
    assert np.mean(beyond) == pytest.approx(known.false, abs=0.03)


def noise(seed, count):
    """Videos whose snippets differ as much as they do, so that the length matters."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, L, D)) + rng.normal(size=(count, 1, D)) / 4)


def test_of_a_video_shorter_than_an_eighth_of_those_in_training_nothing_is_said():
    known, x = Familiarity.fit({"rgb": videos(40, 0)}, names(40), 20), videos(1, 5, shift=6)[0]
    assert known.distance({"rgb": x[:2]}) is None
    assert known.distance({"rgb": x[:3]}) > 1


@pytest.mark.parametrize(
    ("distances", "said"),
    [
        ([0.5, 2, None], ""),
        ([2, 3, 0.5, None], "2 of 3 videos are unlike the 40 training videos; of familiar ones 0.2 would be. Their"),
        (
            [2, 3, *[0.5] * 38],
            "2 of 40 videos are unlike the 40 training videos; of familiar ones 2.0 would be. That is",
        ),
    ],
)
def test_many_are_summed_up(distances, said):
    known = replace(fitted(), false=0.05)
    assert known.summary(distances).startswith(said)
    assert bool(known.summary(distances)) == bool(said)


def test_what_is_read_is_what_was_kept():
    known, x = fitted(), videos(1, 3)[0]
    again = familiarity_of(json.loads(json.dumps(numbers_of(known))), tensors_of(known), {"rgb": D})
    assert again.distance({"rgb": x}) == pytest.approx(known.distance({"rgb": x}), rel=1e-5)
    assert numbers_of(again) == numbers_of(known)


@pytest.mark.parametrize("part", ["centre", "scale", "axes", "variances"])
def test_parts_that_do_not_go_together_are_refused(part):
    known = fitted()
    numbers, tensors, name = numbers_of(known), tensors_of(known), f"familiarity.{part}.rgb"
    for wrong in (tensors[name][..., 1:, None], torch.tensor(1.0)):
        with pytest.raises(WsvadError, match="rgb, by which familiar videos are known"):
            familiarity_of(numbers, tensors | {name: wrong}, {"rgb": D})
    with pytest.raises(WsvadError, match="rgb, by which"):
        familiarity_of(numbers, {one: tensor for one, tensor in tensors.items() if one != name}, {"rgb": D})
    if part in ("scale", "variances"):
        with pytest.raises(WsvadError, match="not above 0"):
            familiarity_of(numbers, tensors | {name: 0 * tensors[name]}, {"rgb": D})
