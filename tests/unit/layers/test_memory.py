"""The memory against loops over its slots."""

import math

import pytest
import torch
from torch import nn

from wsvad.layers.memory import Memory


@pytest.mark.parametrize(("slots", "largest"), [(60, 4), (5, 1), (16, 2), (31, 2)])
def test_reading_attention_and_augment_slot_by_slot(slots, largest):
    torch.manual_seed(0)
    memory, through, x = Memory(slots, 8), nn.Linear(8, 3), torch.randn(2, 5, 8)
    a, slot = memory(x), memory.slots.detach()
    attention, augment = memory.attention(a), memory.augment(a, through)
    for b in range(2):
        for t in range(5):
            resemblance = [1 / (1 + math.exp(-float(x[b, t] @ slot[m]) / math.sqrt(8))) for m in range(slots)]
            assert a[b, t].tolist() == pytest.approx(resemblance, abs=1e-6)
            assert attention[b, t].item() == pytest.approx(sum(sorted(resemblance)[-largest:]) / largest, abs=1e-6)
            remembered = sum(r * slot[m] for m, r in enumerate(resemblance))
            torch.testing.assert_close(augment[b, t], through(remembered), atol=1e-5, rtol=0)


def test_what_is_folded_is_not_computed_again():
    memory, through, x = Memory(5, 8), nn.Linear(8, 3), torch.randn(2, 5, 8)
    before, names = memory.augment(memory(x), through), set(memory.state_dict())
    memory.fold(through)
    with torch.no_grad():
        through.weight.zero_()  # so it is not looked at any more
    assert torch.equal(memory.augment(memory(x), through), before)
    assert set(memory.state_dict()) == names


def test_slots_start_uniform_within_one_over_root_width():
    torch.manual_seed(0)
    slots = Memory(60, 512).slots
    bound = 512**-0.5
    assert slots.abs().max() <= bound
    assert slots.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
