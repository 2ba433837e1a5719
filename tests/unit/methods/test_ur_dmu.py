"""UR-DMU against the plain transcription, the published numbers and the public checkpoint's names."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from places import ROOT

from wsvad.errors import WsvadError
from wsvad.layers import pieces
from wsvad.methods import ur_dmu
from wsvad.methods.method import Batch
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig

sys.path.insert(0, str(ROOT / "benchmarks"))
from networks import transcribed

TINY = UrDmuConfig(hidden=32, feed_forward=32, head=16, dropout=0.0)


def tiny(width: int = 12, **changes) -> UrDmu:
    torch.manual_seed(0)
    return UrDmu({"rgb": width}, replace(TINY, **changes))


def batch(bags: int, segments: int, width: int = 12) -> Batch:
    streams = {"rgb": torch.randn(2 * bags, segments, width, generator=torch.Generator().manual_seed(1))}
    return Batch(streams=streams, labels=torch.tensor([0.0] * bags + [1.0] * bags))


def loss(method: UrDmu, given: Batch, seed: int = 5) -> dict[str, float]:
    torch.manual_seed(seed)
    return {name: part.item() for name, part in method.loss(given).items()}


def test_published_size():
    assert sum(p.numel() for p in UrDmu({"rgb": 1024}).parameters()) == 6_492_929


@pytest.mark.parametrize("segments", [1, 32, 200])
def test_scores_losses_and_gradients_of_the_plain_transcription(segments):
    method, given = tiny(), batch(4, segments)
    plain = transcribed(method)
    torch.testing.assert_close(method(given.streams), plain(given.streams["rgb"]), atol=1e-6, rtol=0)
    parts = loss(method, given)
    torch.manual_seed(5)
    expected = plain.loss(given.streams["rgb"])
    assert parts == pytest.approx({name: part.item() for name, part in expected.items()}, abs=1e-5)
    expected["total"].backward()
    torch.manual_seed(5)
    method.loss(given)["total"].backward()
    for ours, theirs in zip(method.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def test_crops_are_averaged_probabilities():
    method, x = tiny(), torch.randn(2, 3, 20, 12)
    each = torch.stack([method({"rgb": x[:, crop]}) for crop in range(3)])
    torch.testing.assert_close(method({"rgb": x}), each.mean(0))
    torch.testing.assert_close(method({"rgb": x}), transcribed(method)(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("segments", "k"), [(200, 13), (32, 3), (256, 17), (16, 2), (15, 1), (1, 1)])
def test_so_many_snippets_stand_for_a_bag(segments, k, monkeypatch):
    asked = []
    monkeypatch.setattr(ur_dmu, "top_mean", lambda scores, k: asked.append(k) or scores.mean(-1))
    loss(tiny(), batch(1, segments))
    assert set(asked) == {k}


def test_kl_over_time_or_channel():
    """Per element the divergence is the same, so the two differ by the ratio of what is summed to what is averaged."""
    given = batch(2, 8)
    time, channel = loss(tiny(), given), loss(tiny(kl_over="channel"), given)
    assert time["kl"] * 32 == pytest.approx(channel["kl"] * 8, rel=1e-5)
    assert {**time, "kl": 0, "total": 0} == {**channel, "kl": 0, "total": 0}


def test_local_norm_matters_at_the_borders_only():
    x = torch.randn(1, 400, 12)
    column, row = tiny(depth=1)({"rgb": x}), tiny(depth=1, local_norm="row")({"rgb": x})
    assert not torch.allclose(column[:, :3], row[:, :3], atol=1e-6)
    torch.testing.assert_close(column[:, 100:-100], row[:, 100:-100], atol=1e-6, rtol=0)


def test_weights_are_the_fields():
    given = batch(2, 8)
    plain, doubled = (
        loss(tiny(), given),
        loss(tiny(dm_weight=0.2, triplet_weight=0.2, kl_weight=0.002, distance_weight=0.0002), given),
    )
    for part in ("dm", "triplet", "kl", "distance"):
        assert doubled[part] == pytest.approx(2 * plain[part], rel=1e-6)
    assert doubled["cls"] == plain["cls"]


def test_noise_comes_from_the_global_generator():
    method, given = tiny(), batch(2, 8)
    assert loss(method, given, seed=1) == loss(method, given, seed=1)
    assert loss(method, given, seed=1)["cls"] != loss(method, given, seed=2)["cls"]


def test_stages_make_up_the_whole():
    """What a method that puts modules between the stages relies on."""
    method, given = tiny(), batch(2, 24)
    features = method.blocks(method.embed(given.streams["rgb"]))
    torch.testing.assert_close(method.score(features), method(given.streams))
    torch.manual_seed(5)
    again = {name: part.item() for name, part in method.l_mil(features).items()}
    assert again == pytest.approx(loss(method, given), abs=1e-6)


def test_a_long_video_in_pieces_equals_the_whole(monkeypatch):
    method, x = tiny(), torch.randn(3, 1000, 12)
    whole, plain = method({"rgb": x}), transcribed(method)(x)
    monkeypatch.setattr(ur_dmu, "ROWS", 130)
    monkeypatch.setattr(pieces, "PIECE", 100)
    found = method({"rgb": x})
    torch.testing.assert_close(found, whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


MEMORY = """
import re, torch
from pathlib import Path
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
torch.set_num_threads(1)
method = UrDmu({"rgb": 1024}, UrDmuConfig(hidden=128, feed_forward=128)).eval()
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
with torch.inference_mode():
    method({"rgb": torch.zeros(1, 4096, 1024)})
    before = peak()
    method({"rgb": torch.zeros(1, 10_000, 1024).normal_()})
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of one process is in /proc on Linux alone")
def test_memory_grows_with_the_length_and_not_with_its_square():
    """Beyond what 4,096 snippets need: the input, and a few tensors of hidden width, never an attention matrix."""
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}  # tensors leave the heap here as those of full size do
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=env)
    floats_per_snippet = float(done.stdout) / 10_000 / 4
    assert floats_per_snippet < 1024 + 4 * 128


LAYERS = ("0.norm", "0.fn.to_out.0", "1.norm", "1.fn.net.0", "1.fn.net.3")
OFFICIAL = {
    "Amemory.memory_block",
    "Nmemory.memory_block",
    *(f"selfatt.layers.{block}.0.fn.to_qkv.weight" for block in (0, 1)),
    *(f"selfatt.layers.{block}.{layer}.{kind}" for block in (0, 1) for layer in LAYERS for kind in ("weight", "bias")),
    *(
        f"{layer}.{kind}"
        for layer in ("embedding.conv_1.0", "encoder_mu.0", "encoder_var.0")
        for kind in ("weight", "bias")
    ),
    *(f"cls_head.mlp.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")),
}


def test_public_checkpoint_names_and_shapes():
    official = UrDmu({"rgb": 1024}).to_official()
    assert set(official) == OFFICIAL
    shapes = {name: tuple(official[name].shape) for name in OFFICIAL}
    assert shapes["embedding.conv_1.0.weight"] == (512, 1024, 3)
    assert shapes["selfatt.layers.1.0.fn.to_qkv.weight"] == (2048, 512)
    assert shapes["selfatt.layers.0.0.fn.to_out.0.weight"] == (512, 1024)
    assert shapes["Amemory.memory_block"] == shapes["Nmemory.memory_block"] == (60, 512)
    assert shapes["cls_head.mlp.0.weight"] == (128, 1024)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_from_official_reads_the_width_and_gives_the_same_scores(prefix):
    method, x = tiny(width=9), torch.randn(1, 20, 9)
    loaded = UrDmu.from_official({prefix + name: t for name, t in method.to_official().items()}, TINY)
    assert torch.equal(loaded({"rgb": x}), method({"rgb": x}))


def test_from_official_says_what_does_not_fit():
    official = tiny().to_official()
    with pytest.raises(WsvadError, match=r"missing: encoder_mu\.0\.bias; unexpected: extra$"):
        renamed = {("extra" if name == "encoder_mu.0.bias" else name): t for name, t in official.items()}
        UrDmu.from_official(renamed, TINY)
    with pytest.raises(WsvadError, match=r"Amemory\.memory_block is \(60, 32\), expected \(7, 32\)"):
        UrDmu.from_official(official, replace(TINY, abnormal_slots=7))
    with pytest.raises(WsvadError, match=r"missing: Amemory\.memory_block, .* and 31 more; unexpected: none$"):
        UrDmu.from_official({}, TINY)


@pytest.mark.parametrize(("least", "every"), [(4, 3), (6, 2), (10, 1), (50, 1)])
def test_at_least_so_many_snippets_stand_for_a_bag(least, every):
    given = batch(3, 10)
    by_number, by_share = (tiny(top_every=100, top_least=least), tiny(top_every=every))
    assert loss(by_number, given) == loss(by_share, given)
    assert loss(by_number, given)["cls"] != loss(tiny(top_every=100), given)["cls"]
    assert loss(tiny(top_every=3, top_least=3), given) == loss(tiny(top_every=3), given)
