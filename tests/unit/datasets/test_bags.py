"""Bags from feature files: lengths, passports, crops, packing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wsvad.datasets.bags import keep_bags, load_bags, longest, pack
from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.datasets.memory import Memory, StoredStreams
from wsvad.errors import WsvadError
from wsvad.features.segments import bin_average
from wsvad.features.store import Passport, StoredFeatures, feature_path, save


def store(folder: Path, video: str, features: np.ndarray, stream: str = "rgb", **passport) -> None:
    told = {"encoder": "test", "width": features.shape[-1], "frames": 16 * features.shape[-2]} | passport
    save(feature_path(folder, stream, video), StoredFeatures(features=features, passport=Passport(**told)))


def videos(*names: str) -> list[LabelledVideo]:
    return [LabelledVideo(name=n, label=i % 2, category=n, split="train") for i, n in enumerate(names)]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_streams_that_differ_in_length_are_named_with_both_lengths(tmp_path):
    store(tmp_path, "a", random(7, 3))
    store(tmp_path, "a", random(8, 3), "pose")
    with pytest.raises(WsvadError, match=r"streams of a differ in length \(rgb 7, pose 8 snippets\)"):
        list(load_bags(videos("a"), tmp_path, ["rgb", "pose"]))


def test_a_missing_stream_is_named(tmp_path):
    store(tmp_path, "a", random(7, 3))
    with pytest.raises(WsvadError, match="a has no pose features"):
        list(load_bags(videos("a"), tmp_path, ["rgb", "pose"]))


def test_two_passports_are_never_mixed(tmp_path):
    store(tmp_path, "a", random(7, 3))
    store(tmp_path, "b", random(7, 3), settings={"size": [160, 120]})
    with pytest.raises(WsvadError, match=r"b\.safetensors: made differently from those of a \(settings"):
        pack(videos("a", "b"), tmp_path, ["rgb"], 4)


def test_packing_equals_pooling_each_bag(tmp_path):
    first, second = random(9, 3), random(5, 3, seed=1)
    store(tmp_path, "a", first)
    store(tmp_path, "b", second)
    packed = pack(videos("a", "b"), tmp_path, ["rgb"], 6)
    expected = np.stack([bin_average(first, 6), bin_average(second, 6)])
    np.testing.assert_array_equal(packed.streams["rgb"].numpy(), expected)
    assert packed.rows(0).tolist() == [0]
    assert packed.rows(1).tolist() == [1]
    assert packed.rows(1, without={"b"}).tolist() == []
    assert longest(videos("a", "b"), tmp_path, "rgb") == 9

    stored = pack(videos("a", "b"), tmp_path, ["rgb"], 6, memory=Memory(0))
    assert stored.on_disk and not packed.on_disk
    np.testing.assert_array_equal(stored.streams["rgb"][[0, 1]].numpy(), expected)


@pytest.mark.parametrize("large", [1e5, -1e5, 3e38, 65520, 1e-6])
def test_what_half_precision_does_not_hold_is_stored_as_it_is(tmp_path, large):
    """A feature of 1e5 is no infinity, and a stream of millionths is not nothing."""
    store(tmp_path, "a", np.full((7, 3), large, np.float32))
    packed = pack(videos("a"), tmp_path, ["rgb"], 4, memory=Memory(0)).streams["rgb"]
    np.testing.assert_array_equal(packed[0], np.full((4, 3), large, np.float32))


def test_streams_of_different_crops_are_named_with_both(tmp_path):
    store(tmp_path, "a", random(5, 7, 3))
    store(tmp_path, "a", random(10, 7, 2), "pose")
    with pytest.raises(WsvadError, match=r"streams of a have different crops \(rgb 5, pose 10\)"):
        list(load_bags(videos("a"), tmp_path, ["rgb", "pose"]))


@pytest.mark.parametrize("in_memory", [0, 9 * 3 * 2 + 9 * 4])
def test_bags_that_memory_is_too_small_for_are_the_same_from_a_file(in_memory):
    odd, crops = random(9, 3).astype(np.float16), random(2, 5, 3, seed=1)
    bags = [
        Bag(
            streams={"rgb": torch.from_numpy(odd), "pose": torch.from_numpy(random(9, 1))},
            label=1,
            category="x",
            frames=99,
            video="a",
        ),
        Bag(
            streams={"rgb": torch.from_numpy(crops), "pose": torch.ones(5, 1).expand(2, 5, 1)},
            label=1,
            category="x",
            frames=99,
            video="b",
        ),
    ]
    kept = keep_bags(bags, Memory(in_memory))
    for held, bag in zip(kept, bags, strict=True):
        assert (held.video, held.snippets) == (bag.video, bag.snippets)
        for name, stream in bag.streams.items():
            assert held.shape(name) == stream.shape
            torch.testing.assert_close(held.streams[name], stream, rtol=0, atol=0)
    assert [isinstance(bag.streams, StoredStreams) for bag in kept] == [not in_memory, True]


def test_crops_become_samples_and_share_streams_without_crops(tmp_path):
    crops, pose = random(2, 9, 3), random(9, 4)
    for name in "ab":
        store(tmp_path, name, crops)
        store(tmp_path, name, pose, "pose")
    packed = pack(videos("a", "b"), tmp_path, ["rgb", "pose"], 5)
    assert packed.videos == ("a", "a", "b", "b")
    assert packed.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(packed.streams["rgb"][1].numpy(), bin_average(crops, 5)[1])
    np.testing.assert_array_equal(packed.streams["pose"][0].numpy(), packed.streams["pose"][3].numpy())
