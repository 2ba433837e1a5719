"""RTFM's temporal network against its description."""

import pytest
import torch
import torch.nn.functional as F

from wsvad.layers.multiscale import MultiScale


@pytest.mark.parametrize(("width", "out"), [(16, 16), (6, 8)])
def test_it_is_the_description_with_the_similarities_written_out(width, out):
    torch.manual_seed(0)
    net = MultiScale(width, out).eval()
    torch.nn.init.ones_(net.wide[1].weight)  # at first the non-local block adds nothing
    x = torch.randn(2, 9, width)
    y = x.transpose(1, 2)
    near = F.conv1d(y, net.narrow.weight).relu()
    theta, phi, value = net.theta(near), net.phi(near), net.value(near)
    similar = torch.einsum("nct,ncs->nts", theta, phi) / 9
    near = near + net.wide(torch.einsum("nts,ncs->nct", similar, value))
    far = [
        scale[2](F.conv1d(y, scale[0].weight, scale[0].bias, padding=d, dilation=d).relu())
        for scale, d in zip(net.scales, (1, 2, 4), strict=True)
    ]
    expected = net.join(torch.cat([*far, near], dim=1)) + (y if width == out else net.residual(y))
    torch.testing.assert_close(net(x), expected.transpose(1, 2))


def test_at_first_the_non_local_block_adds_nothing():
    torch.manual_seed(0)
    net, x = MultiScale(6, 8).eval(), torch.randn(1, 9, 6)
    before = net(x)
    torch.nn.init.zeros_(net.value.weight)
    assert torch.equal(net(x), before)
