"""Dropout by random bytes: every element is dropped as often as it should be, and the mean stays."""

import pytest
import torch

from wsvad.layers.dropout import Dropout


@pytest.mark.parametrize("p", [0.5, 0.25, 0.9])
def test_each_byte_of_a_random_word_drops_as_often(p):
    torch.manual_seed(0)
    kept = (Dropout(p)(torch.ones(40_000, 8)) > 0).double().mean(0)
    torch.testing.assert_close(
        kept, torch.full((8,), 1 - round(256 * p) / 256, dtype=torch.float64), atol=0.012, rtol=0
    )


def test_the_kept_are_scaled_and_the_gradient_follows_the_mask():
    torch.manual_seed(0)
    x = torch.ones(3, 7, 11, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert set(y.detach().flatten().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(x.grad, y.detach())


def test_seeded_by_torch_and_idle_outside_training():
    layer, x = Dropout(0.5), torch.randn(50)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_no_such_probability(p):
    with pytest.raises(ValueError, match="outside"):
        Dropout(p)
