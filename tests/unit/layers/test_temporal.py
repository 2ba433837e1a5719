import pytest
import torch
import torch.nn.functional as F

from wsvad.layers import pieces, temporal
from wsvad.layers.temporal import TemporalConv, convolve


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 4, 5, 9, 12])
@pytest.mark.parametrize("out", [5, 7])
def test_it_is_conv1d_whatever_the_pieces(kernel, length, out, monkeypatch):
    torch.manual_seed(0)
    layer, x_BTD = TemporalConv(6, out, kernel), torch.randn(3, length, 6)
    expected = F.conv1d(x_BTD.transpose(1, 2), layer.weight, layer.bias, padding=kernel // 2).transpose(1, 2)
    torch.testing.assert_close(layer(x_BTD), expected)
    torch.testing.assert_close(convolve(x_BTD, layer.weight, layer.bias, relu=True), expected.relu())
    torch.testing.assert_close(layer(x_BTD, relu=True), expected.relu())
    monkeypatch.setattr(pieces, "PIECE", 4)
    torch.testing.assert_close(layer(x_BTD), expected)


@pytest.mark.parametrize("out", [5, 7])
def test_the_folded_weight_gives_the_same_and_is_not_laid_out_again(out, monkeypatch):
    layer, x_BTD = TemporalConv(6, out, 3), torch.randn(3, 9, 6)
    before, names = layer(x_BTD), set(layer.state_dict())
    layer.fold()
    monkeypatch.setattr(temporal, "_laid_out", None)
    assert torch.equal(layer(x_BTD), before)
    assert set(layer.state_dict()) == names


def test_a_kernel_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="a kernel of 2 snippets has no middle"):
        TemporalConv(1, 1, 2)
