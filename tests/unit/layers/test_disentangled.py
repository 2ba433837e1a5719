"""Disentangled attention against eq. 1-5 written out, pair by pair."""

import math

import pytest
import torch

from wsvad.layers import disentangled
from wsvad.layers.disentangled import TERMS, DisentangledAttention, gamma, terms_of

WIDTH, INNER, HEADS = 6, 8, 2


def build(backbones: int = 1, seed: int = 0, **options) -> DisentangledAttention:
    torch.manual_seed(seed)
    # A table as large as the content, so that an error in the relative terms shows.
    return DisentangledAttention(
        WIDTH, INNER, heads=HEADS, backbones=backbones, **({"table_std": 1.0} | options)
    ).eval()


def given(backbones: int, length: int, videos: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(videos, length, WIDTH, generator=generator) for _ in range(backbones)]


def printed_gamma(i: int, j: int, k: int) -> int:
    """Eq. 1."""
    return 0 if i - j <= -k else 2 * k - 1 if i - j >= k else i - j + k


def explicit(layer: DisentangledAttention, z: list[torch.Tensor], p2c: str = "ji") -> torch.Tensor:
    """Eq. 2-5 in float64, with the double sum over backbones, one pair of segments at a time."""
    count, d, k, terms = len(z), INNER // HEADS, layer.k, layer.terms
    weights = [dict(zip(layer.content, qkv.weight.double().split(INNER), strict=True)) for qkv in layer.qkv]
    content = [{n: x.double() @ w.T for n, w in ws.items()} for ws, x in zip(weights, z, strict=True)]
    relative = {}
    if layer.relative:
        both = layer.kq_r.weight.double().split(INNER)
        relative = {n: layer.table.double() @ w.T for n, w in zip(layer.relative, both, strict=True)}
    n = sum({"cross": count - 1}.get(term, 1) for term in terms)
    videos, length, _ = z[0].shape
    out = torch.zeros(count, videos, length, INNER, dtype=torch.float64)
    for t, b, head in ((t, b, h) for t in range(count) for b in range(videos) for h in range(HEADS)):
        own = slice(head * d, (head + 1) * d)
        a = torch.zeros(length, length, dtype=torch.float64)
        for i in range(length):
            for j in range(length):
                if "self" in terms:
                    a[i, j] += content[t]["q"][b, i, own] @ content[t]["k"][b, j, own]
                if "cross" in terms:
                    for h in range(count):
                        if h != t:
                            a[i, j] += content[t]["q"][b, i, own] @ content[h]["k"][b, j, own]
                if "c2p" in terms:
                    a[i, j] += content[t]["q"][b, i, own] @ relative["k"][printed_gamma(i, j, k), own]
                if "p2c" in terms:
                    g = printed_gamma(j, i, k) if p2c == "ji" else printed_gamma(i, j, k)
                    a[i, j] += content[t]["k"][b, j, own] @ relative["q"][g, own]
        out[t, b, :, own] = (a / math.sqrt(n * d)).softmax(-1) @ content[t]["v"][b, :, own]
    return out.mean(0).float()


def test_gamma_at_the_published_places():
    index = gamma(torch.arange(32), torch.arange(32), 25)
    places = {(0, 0): 25, (31, 0): 49, (0, 31): 0, (24, 0): 49, (25, 0): 49, (0, 25): 0, (0, 24): 1}
    assert {place: int(index[place]) for place in places} == places


@pytest.mark.parametrize("k", [1, 3, 25, 32])
def test_gamma_is_the_printed_one(k):
    i, j = torch.arange(5, 40), torch.arange(33)
    assert gamma(i, j, k).tolist() == [[printed_gamma(a, b, k) for b in range(33)] for a in range(5, 40)]


@pytest.mark.parametrize("backbones", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_fast_form_is_the_double_sum(backbones, length):
    layer, z = build(backbones, k=3), given(backbones, length)
    expected = explicit(layer, z)
    torch.testing.assert_close(layer(z), expected, atol=1e-5, rtol=0)
    with torch.inference_mode():  # scoring writes the relative terms in another way
        torch.testing.assert_close(layer(z), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backbones", [1, 2, 3])
@pytest.mark.parametrize("terms", [*((term,) for term in TERMS), ("self", "p2c"), ("cross", "c2p"), ("c2p", "p2c")])
def test_every_choice_of_terms(backbones, terms):
    layer, z = build(backbones, k=3, terms=terms), given(backbones, 7)
    torch.testing.assert_close(layer(z), explicit(layer, z), atol=1e-5, rtol=0)


def test_the_other_reading_of_position_to_content():
    layer, z = build(2, k=3, p2c_index="ij"), given(2, 7)
    torch.testing.assert_close(layer(z), explicit(layer, z, p2c="ij"), atol=1e-5, rtol=0)
    assert not torch.allclose(layer(z), explicit(layer, z), atol=1e-3)


def test_n_counts_the_terms():
    d = INNER // HEADS
    assert [build(count).scale for count in (1, 2, 3)] == pytest.approx([(n * d) ** -0.5 for n in (3, 4, 5)])
    assert build(3, terms=("cross",)).scale == pytest.approx((2 * d) ** -0.5)


def test_one_backbone_has_no_cross_term():
    assert terms_of(TERMS, 1) == ("self", "c2p", "p2c")
    assert terms_of(("cross",), 1) == ("self",)
    assert terms_of(("cross",), 2) == ("cross",)
    torch.testing.assert_close(build(1)(given(1, 9)), build(1, terms=("self", "c2p", "p2c"))(given(1, 9)))


@pytest.mark.parametrize("p2c_index", ["ji", "ij"])
@pytest.mark.parametrize("terms", [TERMS, ("self", "c2p"), ("p2c",)])
@pytest.mark.parametrize(("name", "value"), [("ROOM", 2 * HEADS * 17 * 4), ("BAND", 1), ("BAND", 5)])
def test_a_long_video_goes_a_piece_at_a_time(monkeypatch, p2c_index, terms, name, value):
    layer, z = build(2, k=3, p2c_index=p2c_index, terms=terms), given(2, 17)
    monkeypatch.setattr(disentangled, name, value)
    expected = explicit(layer, z, p2c=p2c_index)
    torch.testing.assert_close(layer(z), expected, atol=1e-5, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(layer(z), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("terms", [TERMS, ("c2p",), ("self",)])
def test_folding_keeps_the_output(terms):
    layer, z = build(2, k=3, terms=terms), given(2, 7)
    before = layer(z)
    layer.fold()
    layer.fold()
    torch.testing.assert_close(layer(z), before)
    assert not any("table" in name or "kq_r" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize("backbones", [1, 2])
def test_gradients_are_those_of_finite_differences(backbones):
    layer = build(backbones, k=2).double()
    z = [x.double().requires_grad_() for x in given(backbones, 4, videos=1)]
    assert torch.autograd.gradcheck(lambda *x: layer(x), z)
    parameters = dict(layer.named_parameters())
    assert torch.autograd.gradcheck(
        lambda *values: torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), (z,)),
        tuple(parameters.values()),
    )


def test_no_tensor_of_a_vector_for_each_pair_is_made():
    """(B, h, T, T, d) would be d times larger than the largest that is made."""
    layer, largest = build(2, k=3), 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.untyped_storage().nbytes())
            return result

    with Watch(), torch.no_grad():
        layer(given(2, 40, videos=1))
    assert largest <= HEADS * 40 * 40 * 8


def test_a_fixed_table_does_not_learn_and_heads_must_divide():
    layer = build(1, learn_table=False)
    assert "table" in layer.state_dict()
    assert not layer.table.requires_grad
    with pytest.raises(ValueError, match="heads"):
        DisentangledAttention(6, 9, heads=2)


def test_dropout_is_of_training_alone():
    layer, z = build(2, dropout=0.5), given(2, 9)
    assert torch.equal(layer(z), layer(z))
    layer.train()
    assert not torch.equal(layer(z), layer(z))
