"""MIL ranking: its loss against a double loop, the published sizes, what Adagrad is told."""

import math

import pytest
import torch

from wsvad.methods.method import Batch
from wsvad.methods.mil import Mil, MilConfig


def batch(bags: int = 3, segments: int = 7, width: int = 5) -> Batch:
    streams = {"rgb": torch.randn(2 * bags, segments, width, generator=torch.Generator().manual_seed(0))}
    return Batch(streams=streams, labels=torch.tensor([0.0] * bags + [1.0] * bags))


@pytest.mark.parametrize(("width", "count"), [(1024, 541_249), (4096, 2_114_113)])
def test_published_size(width, count):
    assert sum(p.numel() for p in Mil({"rgb": width}).parameters()) == count


def test_loss_as_the_double_loop_of_the_paper():
    torch.manual_seed(0)
    method, given = Mil({"rgb": 5}, MilConfig(sparsity=0.3, smoothness=0.2)).eval(), batch()
    scores = method(given.streams).tolist()
    normal, abnormal = scores[:3], scores[3:]
    ranking = sum(max(0.0, 1 - max(a) + max(n)) for n in normal for a in abnormal) / 3
    smoothness = sum((a[t] - a[t + 1]) ** 2 for a in abnormal for t in range(6))
    parts = method.loss(given)
    assert parts["ranking"].item() == pytest.approx(ranking, rel=1e-5)
    assert parts["sparsity"].item() == pytest.approx(0.3 * sum(map(sum, abnormal)), rel=1e-5)
    assert parts["smoothness"].item() == pytest.approx(0.2 * smoothness, rel=1e-4)


def test_weights_alone_are_penalised_as_the_official_penalty_is():
    """One plain gradient step on a loss of zero moves every weight by 2·λ·w, the gradient of λ·w², and no bias."""
    torch.manual_seed(0)
    method = Mil({"rgb": 5})
    (phase,) = method.phases()
    for layer in method.layers:
        layer.bias.data.fill_(1.0)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    sgd = torch.optim.SGD(phase.parameters, lr=1.0, weight_decay=phase.weight_decay)
    (sum(p.sum() for p in method.parameters()) * 0).backward()
    sgd.step()
    for name, value in method.state_dict().items():
        expected = before[name] * (1 - 2 * 0.001) if name.endswith("weight") else before[name]
        torch.testing.assert_close(value, expected)


def test_glorot_normal_and_a_linear_second_layer():
    torch.manual_seed(0)
    method = Mil({"rgb": 1024}).eval()
    first = method.layers[0]
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / (1024 + 512)), rel=0.01)
    assert all(layer.bias.eq(0).all() for layer in method.layers)
    a, b, c = method.layers
    x = torch.randn(1, 4, 1024)
    expected = torch.sigmoid(c(b(torch.relu(a(x))))).squeeze(-1)
    torch.testing.assert_close(method({"rgb": x}), expected)


@pytest.mark.parametrize(("top", "k"), [(2, 2), (7, 7), (9, 7)])
def test_several_segments_may_stand_for_a_bag(top, k):
    torch.manual_seed(0)
    method, given = Mil({"rgb": 5}, MilConfig(top=top)).eval(), batch()
    means = [sum(sorted(bag)[-k:]) / k for bag in method(given.streams).tolist()]
    expected = sum(max(0.0, 1 - a + n) for n in means[:3] for a in means[3:]) / 3
    assert method.loss(given)["ranking"].item() == pytest.approx(expected, rel=1e-5)
