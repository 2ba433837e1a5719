"""RAFT's parts against loops over positions; what it looks up, how it grows the flow, what it does with no motion."""

import numpy as np
import pytest
import torch
from published_weights import random_network

from wsvad.encoders.networks.raft import LEVELS, RADIUS, SepConvGRU, correlation_pyramid, look_up, upsample

H, W, D = 16, 24, 5


@pytest.fixture(scope="module")
def maps() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(2, D, H, W)), random.normal(size=(2, D, H, W))


def bilinear(values: np.ndarray, x: float, y: float) -> float:
    """A picture between its pixels; 0 outside of it."""
    left, top = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        if 0 <= column < values.shape[1] and 0 <= row < values.shape[0]:
            total += (1 - abs(x - column)) * (1 - abs(y - row)) * values[row, column]
    return total


def test_the_pyramid_is_inner_products_and_their_means(maps):
    g1, g2 = maps
    pyramid = correlation_pyramid(torch.from_numpy(g1), torch.from_numpy(g2))
    assert [tuple(level.shape) for level in pyramid] == [(2 * H * W, 1, H >> i, W >> i) for i in range(LEVELS)]
    at = (1 * H + 3) * W + 7  # of the second pair the position in row 3, column 7
    products = np.einsum("d,dhw->hw", g1[1, :, 3, 7], g2[1]) / np.sqrt(D)
    np.testing.assert_allclose(pyramid[0][at, 0], products)
    for i, level in enumerate(pyramid):
        side = 2**i
        blocks = products.reshape(H // side, side, W // side, side).mean((1, 3))
        np.testing.assert_allclose(level[at, 0], blocks, atol=1e-12)


def test_a_look_up_reads_around_where_each_position_went(maps):
    pyramid = correlation_pyramid(*map(torch.from_numpy, maps))
    random = np.random.default_rng(1)
    at = random.uniform(-3, 27, size=(2, 2, H, W))
    found = look_up(pyramid, torch.from_numpy(at)).numpy()
    side = 2 * RADIUS + 1
    assert found.shape == (2, LEVELS * side * side, H, W)
    for pair, row, column in ((0, 0, 0), (1, 5, 20), (0, 15, 23), (1, 9, 3)):
        x, y = at[pair, :, row, column]
        wanted = [
            bilinear(level[(pair * H + row) * W + column, 0].numpy(), x / 2**i + dx, y / 2**i + dy)
            for i, level in enumerate(pyramid)
            for dx in range(-RADIUS, RADIUS + 1)
            for dy in range(-RADIUS, RADIUS + 1)
        ]
        np.testing.assert_allclose(found[pair, :, row, column], wanted, atol=1e-9)


def test_a_pixels_flow_is_a_combination_of_nine_positions():
    random = np.random.default_rng(0)
    flow, mask = random.normal(size=(1, 2, 4, 5)), random.normal(size=(1, 576, 4, 5))
    found = upsample(torch.from_numpy(flow), torch.from_numpy(mask)).numpy()
    assert found.shape == (1, 2, 32, 40)
    padded = np.pad(8 * flow[0], ((0, 0), (1, 1), (1, 1)))
    weights = np.exp(mask.reshape(9, 8, 8, 4, 5))
    weights /= weights.sum(0)
    for y, x in ((0, 0), (17, 22), (31, 39), (8, 15)):
        row, column = y // 8, x // 8
        around = padded[:, row : row + 3, column : column + 3].reshape(2, 9)
        np.testing.assert_allclose(found[0, :, y, x], around @ weights[:, y % 8, x % 8, row, column])


def test_a_flow_of_one_value_stays_so_inside():
    flow = torch.full((1, 2, 5, 6), 3.0)
    grown = upsample(flow, torch.randn(1, 576, 5, 6))
    torch.testing.assert_close(grown[:, :, 8:-8, 8:-8], torch.full((1, 2, 24, 32), 24.0))


def test_the_recurrent_unit_is_its_formula():
    torch.manual_seed(0)
    unit = SepConvGRU().eval()
    h, x = torch.randn(1, 128, 3, 4), torch.randn(1, 256, 3, 4)
    with torch.inference_mode():
        found = unit(h, x)
        for step in (1, 2):
            gates = {gate: getattr(unit, f"conv{gate}{step}") for gate in "zrq"}
            assert gates["z"].kernel_size == ((1, 5), (5, 1))[step - 1]
            z = gates["z"](torch.cat([h, x], 1)).sigmoid()
            r = gates["r"](torch.cat([h, x], 1)).sigmoid()
            h = h + z * (gates["q"](torch.cat([r * h, x], 1)).tanh() - h)
    torch.testing.assert_close(found, h)


def test_the_state_is_recurrent_and_context_and_the_pair_has_an_order():
    network = random_network("raft")
    pairs = torch.rand(2, 2, 3, 128, 136, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network.iterations = 2
    with torch.inference_mode():
        both = network(pairs)
        alone = network(pairs[1:])
        context = torch.relu(network.cnet(pairs[:, 0])[:, 128:])
        backwards = network(pairs.flip(1))
    assert both.flow_B2HW.shape == (2, 2, 128, 136) and both.state_B256hw.shape == (2, 256, 16, 17)
    torch.testing.assert_close(both.state_B256hw[:, 128:], context)
    assert both.state_B256hw[:, :128].abs().max() <= 1
    torch.testing.assert_close(both.flow_B2HW[1:], alone.flow_B2HW, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(both.flow_B2HW, backwards.flow_B2HW, atol=1e-2)
