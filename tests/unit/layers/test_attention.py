"""The local branch against its formula, the band against the dense matrix, the whole layer head by head."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.layers import attention, pieces
from wsvad.layers.attention import GlobalLocalAttention, local_average, local_sums, local_weights


def explicit_weights(length: int, norm: str) -> torch.Tensor:
    """A2, element by element, in float64."""
    w = torch.tensor(
        [[math.exp(-abs(i - j) / math.e) for j in range(length)] for i in range(length)], dtype=torch.float64
    )
    return w / w.sum(0)[None, :] if norm == "column" else w / w.sum(1)[:, None]


def test_published_values_of_the_local_weights():
    column, row = local_weights(200, "column"), local_weights(200, "row")
    assert column[0, 0].item() == pytest.approx(0.3078, abs=5e-5)
    assert column[0, 1].item() == pytest.approx(0.1756, abs=5e-5)
    assert column[0].sum().item() == pytest.approx(0.805, abs=5e-4)
    torch.testing.assert_close(column.sum(0), torch.ones(200))
    assert row[0, 1].item() == pytest.approx(0.2131, abs=5e-5)
    torch.testing.assert_close(row.sum(1), torch.ones(200))


@pytest.mark.parametrize("norm", ["column", "row"])
@pytest.mark.parametrize("length", [1, 2, 3, 70])
def test_weights_follow_the_formula(length, norm):
    torch.testing.assert_close(local_weights(length, norm).double(), explicit_weights(length, norm), atol=1e-7, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 50, 400])
def test_sums_in_closed_form(length):
    distance = (torch.arange(length)[:, None] - torch.arange(length)[None, :]).abs()
    torch.testing.assert_close(local_sums(length).double(), torch.exp(-distance.double() / math.e).sum(1))


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(1, 700),
    norm=st.sampled_from(["column", "row"]),
    cut=st.tuples(st.integers(0, 700), st.integers()),
)
def test_the_band_equals_the_dense_matrix(length, norm, cut):
    start = cut[0] % length
    stop = start + 1 + cut[1] % (length - start)
    x = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(length))
    distance = (torch.arange(length)[:, None] - torch.arange(length)[None, :]).abs()
    w = torch.exp(-distance.double() / math.e)
    dense = (w / w.sum(0)[None, :] if norm == "column" else w / w.sum(1)[:, None]) @ x.double()
    found = local_average(x, norm, slice(start, stop))
    torch.testing.assert_close(found.double(), dense[:, start:stop], atol=1e-6, rtol=0)


def head_by_head(layer: GlobalLocalAttention, x: torch.Tensor) -> torch.Tensor:
    """The layer as the paper writes it: every head's `[A1·v ; A2·t]`, joined."""
    _, length, width = x.shape
    size = width // layer.heads
    q, k, v, t = (x @ layer.qkvt.weight.T).split(width, -1)
    joined = []
    for h in range(layer.heads):
        mine = slice(h * size, (h + 1) * size)
        a1 = torch.softmax(q[..., mine] @ k[..., mine].transpose(1, 2) / math.sqrt(size), -1)
        a2 = explicit_weights(length, layer.local_norm).to(x)
        joined += [a1 @ v[..., mine], a2 @ t[..., mine]]
    return torch.cat(joined, -1) @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("norm", ["column", "row"])
@pytest.mark.parametrize("length", [1, 2, 40, 300])
def test_the_layer_equals_its_heads_one_by_one(length, norm):
    torch.manual_seed(0)
    layer, x = GlobalLocalAttention(16, 4, norm), torch.randn(2, length, 16)
    torch.testing.assert_close(layer(x), head_by_head(layer, x), atol=1e-6, rtol=0)


def test_a_long_video_in_pieces_equals_the_whole(monkeypatch):
    torch.manual_seed(0)
    layer, x = GlobalLocalAttention(16, 2, "column"), torch.randn(1, 1000, 16)
    whole = layer(x)
    monkeypatch.setattr(pieces, "PIECE", 96)
    monkeypatch.setattr(attention, "DENSE", 0)
    torch.testing.assert_close(layer(x), whole, atol=1e-6, rtol=0)


def test_gradients_through_the_band_equal_those_of_the_dense_matrix(monkeypatch):
    x = torch.randn(1, 300, 4, requires_grad=True)
    toward = torch.randn(1, 300, 4)
    (banded,) = torch.autograd.grad(local_average(x, "column"), x, toward)
    torch.testing.assert_close(banded, (local_weights(300, "column").T @ toward), atol=1e-6, rtol=0)


def test_scoring_first_does_not_spoil_training():
    local_weights.cache_clear()
    layer, x_BTD = GlobalLocalAttention(8, 2, "column"), torch.randn(2, 5, 8)
    with torch.inference_mode():
        layer(x_BTD)
    layer(x_BTD).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_the_folded_local_branch_is_the_same():
    layer, x_BTD = GlobalLocalAttention(12, 3, "column", head_width=5), torch.randn(2, 9, 12)
    before, names = layer(x_BTD), set(layer.state_dict())
    layer.fold()
    with torch.no_grad():
        layer.out.weight.zero_()  # so it is not looked at any more
    torch.testing.assert_close(layer(x_BTD), before)
    assert set(layer.state_dict()) == names
