"""RTFM: its loss against loops over crops and videos, what chooses the snippets, the published size and names."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from wsvad.datasets.bags import PackedBags
from wsvad.errors import WsvadError
from wsvad.layers.dropout import Dropout
from wsvad.methods.method import Batch
from wsvad.methods.rtfm import Rtfm, RtfmConfig
from wsvad.runs.normalisation import Normalisation
from wsvad.training.loop import gather, run_phases

TINY = RtfmConfig(head=(6, 5), margin=3.0, magnitude_weight=0.3, smoothness=0.2, sparsity=0.1)
NORMALISATION = Normalisation(kinds={"rgb": "none"})


def tiny(width: int = 8, **changes) -> Rtfm:
    torch.manual_seed(0)
    return Rtfm({"rgb": width}, replace(TINY, **changes)).eval()


def batch(*shape: int, bags: int = 3) -> Batch:
    streams = {"rgb": torch.randn(2 * bags, *shape, generator=torch.Generator().manual_seed(1))}
    return Batch(streams=streams, labels=torch.tensor([0.0] * bags + [1.0] * bags))


def test_published_size():
    with torch.device("meta"):  # sizes alone, no numbers
        assert sum(p.numel() for p in Rtfm({"rgb": 2048}).parameters()) == 24_718_849


@pytest.mark.parametrize("shape", [(1, 32, 8), (5, 32, 8), (2, 9, 8)])
def test_loss_as_loops_over_videos_and_crops(shape):
    method, given = tiny(), batch(*shape)
    crops, length, _ = shape
    k = max(1, length // 10)
    scores, chosen, far = [], [], []
    for video in given.streams["rgb"]:
        features = [method.mtn(crop[None])[0] for crop in video]
        each = [method.classify(f[None])[0].tolist() for f in features]
        scores.append([sum(crop[t] for crop in each) / crops for t in range(length)])
        magnitude = [sum(f[t].norm().item() for f in features) / crops for t in range(length)]
        chosen.append(sorted(range(length), key=lambda t: -magnitude[t])[:k])
        far.append([math.dist(sum(f[t] for t in chosen[-1]).div(k).tolist(), [0] * 8) for f in features])
    bag = [sum(s[t] for t in c) / k for s, c in zip(scores, chosen, strict=True)]
    flat = [score for video in scores[3:] for score in video]
    pairs = [(far[i][c], far[3 + i][c]) for i in range(3) for c in range(crops)]
    expected = {
        "cls": -(sum(math.log(1 - p) for p in bag[:3]) + sum(math.log(p) for p in bag[3:])) / 6,
        "magnitude": 0.3 * sum((abs(3.0 - a) + n) ** 2 for n, a in pairs) / len(pairs),
        "smoothness": 0.2 * sum((b - a) ** 2 for a, b in itertools.pairwise(flat)),
        "sparsity": 0.1 * math.sqrt(sum(s * s for s in flat)),
    }
    parts = {name: part.item() for name, part in method.loss(given).items()}
    assert parts == pytest.approx(expected | {"total": sum(expected.values())}, rel=1e-4)


def test_a_bag_without_crops_is_a_bag_of_one():
    method, given = tiny(), batch(1, 32, 8)
    flat = replace(given, streams={"rgb": given.streams["rgb"][:, 0]})
    assert method.loss(flat) == method.loss(given)


@pytest.mark.parametrize(("length", "k"), [(32, 3), (200, 20), (10, 1), (9, 1), (1, 1)])
def test_so_many_snippets_stand_for_a_bag(length, k):
    assert tiny().choose(torch.randn(2, 3, length, 8)).shape == (2, k)


def test_in_training_some_snippets_do_not_take_part():
    """The dropout mask itself: zeros are never chosen before others, and the rest keep their order."""
    method, f_BCTH = tiny().train(), torch.randn(6, 2, 40, 8)
    torch.manual_seed(3)
    mask = Dropout(0.7)(torch.ones(6, 40)) > 0
    torch.manual_seed(3)
    chosen = method.choose(f_BCTH)
    magnitude = f_BCTH.norm(dim=-1).mean(1)
    for b in range(6):
        order = [t for t in magnitude[b].argsort(descending=True).tolist() if mask[b, t]]
        assert chosen[b].tolist() == order[:4]
    assert not torch.equal(chosen, method.eval().choose(f_BCTH))


def test_the_classifier_is_three_layers_on_the_temporal_network():
    method, x = tiny(), torch.randn(2, 20, 8)
    h = torch.relu(method.head_2(torch.relu(method.head_1(method.mtn(x)))))
    torch.testing.assert_close(method({"rgb": x}), torch.sigmoid(method.head_3(h)).squeeze(-1))


def test_xavier_weights_and_no_biases_at_first():
    torch.manual_seed(0)
    method = Rtfm({"rgb": 256})
    for name, fan in (("mtn.scales.1.0", 3 * (256 + 64)), ("mtn.narrow", 256 + 64), ("head_1", 256 + 512)):
        weight = method.get_submodule(name).weight
        bound = math.sqrt(6 / fan)
        assert bound * 0.99 < weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    biases = [value for name, value in method.named_parameters() if name.endswith("bias")]
    assert len(biases) == 15
    assert not any(bias.any() for bias in biases)
    assert not method.mtn.wide[1].weight.any()


@pytest.mark.parametrize(("width", "hidden", "joined"), [(24, None, 24), (13, None, 16), (24, 40, 40)])
def test_as_wide_as_the_features_unless_told(width, hidden, joined):
    method = tiny(width, hidden=hidden)
    assert method.mtn.join[0].weight.shape == (joined, joined, 3)
    assert method.mtn.narrow.weight.shape == (joined // 4, width, 1)
    assert isinstance(method.mtn.residual, torch.nn.Identity) == (width == joined)


# ------------------------------------------------------------------------------------------------- crops in the loop


def packed(crops: list[int]) -> PackedBags:
    videos = tuple(f"v{i}" for i, count in enumerate(crops) for _ in range(count))
    rows = torch.arange(len(videos), dtype=torch.float32)[:, None, None]
    return PackedBags(
        streams={"rgb": rows.expand(-1, 4, 8).contiguous()},
        labels=torch.tensor([int(name[1:]) % 2 for name in videos]),
        categories=("x",) * len(videos),
        videos=videos,
    )


def test_the_crops_of_a_video_come_together():
    bags = packed([5] * 6)
    assert bags.crops == 5
    rows = torch.cat([bags.rows(0)[::5], bags.rows(1)[::5]])
    given = gather(bags, rows, NORMALISATION, "cpu", bags.crops)
    assert given.streams["rgb"].shape == (6, 5, 4, 8)
    assert given.streams["rgb"][:, :, 0, 0].tolist() == [[5 * v + c for c in range(5)] for v in (0, 2, 4, 1, 3, 5)]
    assert given.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_phase_decides_whether_crops_are_bags():
    seen = {}

    def loss(batch: Batch):
        seen[together] = batch.streams["rgb"].shape, set(batch.streams["rgb"][..., 0, 0].flatten().tolist())
        return method.loss(batch)

    for together in (False, True):
        method = tiny()
        phase = replace(method.phases()[0], loss=loss, crops=together, iterations=1, bags=3, segments=4)
        run_phases(method, [phase], lambda segments: packed([2] * 6), NORMALISATION, seed=0)
    assert seen[False][0] == (6, 4, 8)
    assert seen[True] == ((6, 2, 4, 8), set(range(12)))


def test_different_numbers_of_crops_are_refused_by_name():
    with pytest.raises(WsvadError, match=r"v1 has 10 crops, v2 has 5; .*the same number"):
        _ = packed([6, 10, 5]).crops


# ---------------------------------------------------------------------------------------------- public checkpoints

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
OFFICIAL = {
    *(f"Aggregate.conv_{i}.0.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")),
    *(f"Aggregate.{layer}.{kind}" for layer in ("conv_1.2", "conv_2.2", "conv_3.2", "conv_5.2") for kind in NORM),
    *("Aggregate.conv_4.0.weight", "Aggregate.conv_5.0.weight"),
    *(f"Aggregate.non_local.{layer}.{kind}" for layer in ("g", "theta", "phi", "W.0") for kind in ("weight", "bias")),
    *(f"Aggregate.non_local.W.1.{kind}" for kind in NORM),
    *(f"fc{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")),
}


def test_public_checkpoint_names_and_shapes():
    with torch.device("meta"):
        official = Rtfm({"rgb": 2048}).to_official()
    assert set(official) == OFFICIAL
    shapes = {name: tuple(tensor.shape) for name, tensor in official.items()}
    assert shapes["Aggregate.conv_3.0.weight"] == (512, 2048, 3)
    assert shapes["Aggregate.conv_4.0.weight"] == (512, 2048, 1)
    assert shapes["Aggregate.conv_5.0.weight"] == (2048, 2048, 3)
    assert shapes["Aggregate.non_local.g.weight"] == (256, 512, 1)
    assert shapes["Aggregate.non_local.W.0.weight"] == (512, 256, 1)
    assert shapes["fc1.weight"] == (512, 2048)
    assert shapes["fc3.weight"] == (1, 128)


def test_each_public_name_is_the_layer_that_it_was():
    """The MTN written out with the public names gives the same features."""
    method, x = tiny(), torch.randn(1, 8, 20)
    torch.nn.init.normal_(method.mtn.wide[1].weight)
    torch.nn.init.normal_(method.mtn.join[2].running_mean)
    w = {name.removeprefix("Aggregate."): tensor for name, tensor in method.to_official().items()}

    def conv(name: str, given: torch.Tensor, dilation: int = 1) -> torch.Tensor:
        weight = w[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        return torch.nn.functional.conv1d(given, weight, w.get(f"{name}.bias"), padding=padding, dilation=dilation)

    def norm(name: str, given: torch.Tensor) -> torch.Tensor:
        mean, var, weight, bias = (w[f"{name}.{kind}"][:, None] for kind in ("running_mean", "running_var", *NORM[:2]))
        return (given - mean) / (var + 1e-5).sqrt() * weight + bias

    scales = [norm(f"conv_{i}.2", conv(f"conv_{i}.0", x, d).relu()) for i, d in ((1, 1), (2, 2), (3, 4))]
    near = conv("conv_4.0", x).relu()
    similar = conv("non_local.theta", near).transpose(1, 2) @ conv("non_local.phi", near) / 20
    context = (similar @ conv("non_local.g", near).transpose(1, 2)).transpose(1, 2)
    near = near + norm("non_local.W.1", conv("non_local.W.0", context))
    expected = norm("conv_5.2", conv("conv_5.0", torch.cat([*scales, near], 1)).relu()) + x
    torch.testing.assert_close(method.mtn(x.transpose(1, 2)).transpose(1, 2), expected)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_from_official_reads_the_width_and_gives_the_same_scores(prefix):
    method, x = tiny(width=16), torch.randn(1, 20, 16)
    loaded = Rtfm.from_official({prefix + name: t for name, t in method.to_official().items()}, TINY).eval()
    assert torch.equal(loaded({"rgb": x}), method({"rgb": x}))


def test_from_official_says_what_does_not_fit():
    official = tiny().to_official()
    with pytest.raises(WsvadError, match=r"missing: fc2\.bias; unexpected: extra$"):
        Rtfm.from_official({("extra" if name == "fc2.bias" else name): t for name, t in official.items()}, TINY)
    with pytest.raises(WsvadError, match=r"fc3\.weight is \(1, 5\), expected \(1, 7\)"):
        Rtfm.from_official(official, replace(TINY, head=(6, 7)))


@pytest.mark.parametrize(("least", "every"), [(3, 3), (5, 2), (10, 1), (50, 1)])
def test_at_least_so_many_snippets_stand_for_a_bag(least, every):
    given = batch(2, 10, 8)
    by_number, by_share = tiny(top_every=100, top_least=least).loss(given), tiny(top_every=every).loss(given)
    torch.testing.assert_close(by_number, by_share)
    assert tiny(top_every=3, top_least=2).loss(given)["cls"] == tiny(top_every=3).loss(given)["cls"]
