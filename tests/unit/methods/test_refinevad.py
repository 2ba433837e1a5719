"""RefineVAD against its formulas written out, its ambiguities in both readings, and what its categories promise."""

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.datasets.dataset import LabelledVideo
from wsvad.errors import UsageError, WsvadError
from wsvad.layers import pieces
from wsvad.methods.method import Batch
from wsvad.methods.refinevad import (
    Core,
    RefineVad,
    RefineVadConfig,
    around_peak,
    gaussian_target,
    l_cat,
    l_gmm,
    l_mil,
    motion,
    shifted,
)
from wsvad.training.protocol import Protocol, under_budget

WIDTH = 12
NAMES = ("fight", "fall", "theft")


def build(seed: int = 0, widths: dict[str, int] | None = None, **fields: Any) -> RefineVad:
    torch.manual_seed(seed)
    small = {"hidden": 16, "heads": 2, "feed_forward": 16, "head": 8, "dropout": 0.0, "categories": NAMES}
    method = RefineVad(widths or {"rgb": WIDTH, "text": 5}, RefineVadConfig(**small | fields))
    torch.nn.init.normal_(method.head[-1].weight, std=0.1)  # it starts at zero, where all scores are alike
    return method


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(segments: int = 20, categories: tuple[str, ...] = ("fight", "fall", "fight;theft"), seed: int = 0) -> Batch:
    bags = len(categories)
    return Batch(
        streams={"rgb": randn(2 * bags, segments, WIDTH, seed=seed)},
        labels=torch.tensor([0.0] * bags + [1.0] * bags),
        categories=("normal",) * bags + categories,
    )


# --------------------------------------------------------------------------------------------------- MoTAR (7.2, A11)


def shifted_by_channel(x: np.ndarray, s: np.ndarray, soft: bool = True) -> np.ndarray:
    """Section 7.2, A11, one channel of one snippet at a time."""
    length, width = x.shape
    y = np.empty_like(x)
    for t in range(length):
        shift = s[t] if soft else math.floor(s[t])
        before = x[t - 1] if t > 0 else np.zeros(width)
        after = x[t + 1] if t + 1 < length else np.zeros(width)
        for c in range(1, width + 1):
            m1 = min(max(shift - (c - 1), 0), 1)
            m2 = min(max(2 * shift - (c - 1), 0), 1) - m1
            y[t, c - 1] = m1 * before[c - 1] + m2 * after[c - 1] + (1 - m1 - m2) * x[t, c - 1]
    return y


def hard_shift(x: torch.Tensor, s: int) -> torch.Tensor:
    """`[x_{t−1}^(1:s), x_{t+1}^(s:2s), x_t^(2s:D)]` by slices, for one s."""
    y = x.clone()
    y[:, :, :s] = F.pad(x, (0, 0, 1, 0))[:, :-1, :s]
    y[:, :, s : 2 * s] = F.pad(x, (0, 0, 0, 1))[:, 1:, s : 2 * s]
    return y


@pytest.mark.parametrize("mode", ["soft", "ste", "hard"])
@pytest.mark.parametrize("s", [0, 1, 2, 3])
def test_at_whole_numbers_every_shift_is_the_printed_one(mode, s):
    """Acceptance 10: s = 0, 1, …, D/K."""
    x = randn(2, 7, WIDTH)
    assert torch.equal(shifted(x, torch.full((2, 7), float(s)), reach=3.0, mode=mode), hard_shift(x, s))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(1, 6), st.integers(2, 13), st.floats(2.0, 5.0), st.booleans())
def test_the_shift_is_the_one_of_a_loop_over_channels(seed, length, width, fold, soft):
    rng = np.random.default_rng(seed)
    x, s = rng.normal(size=(length, width)), rng.uniform(0, width / fold, size=length)
    found = shifted(torch.tensor(x)[None], torch.tensor(s)[None], width / fold, "soft" if soft else "hard")
    np.testing.assert_allclose(found[0].numpy(), shifted_by_channel(x, s, soft), atol=1e-12)


def test_straight_through_goes_forward_as_hard_and_backward_as_soft():
    x, weight = randn(1, 6, WIDTH), randn(1, 6, WIDTH, seed=1)
    values, gradients = {}, {}
    for mode in ("soft", "ste", "hard"):
        s = torch.linspace(0.1, 2.9, 6)[None].requires_grad_()
        y = shifted(x, s, 3.0, mode)
        values[mode] = y.detach()
        gradients[mode] = torch.autograd.grad((y * weight).sum(), s)[0]
    torch.testing.assert_close(values["ste"], values["hard"])
    assert not torch.allclose(values["ste"], values["soft"])
    torch.testing.assert_close(gradients["ste"], gradients["soft"])
    assert (gradients["soft"] != 0).all()
    assert not gradients["hard"].any()


@pytest.mark.parametrize(("mode", "learns"), [("soft", True), ("ste", True), ("hard", False)])
def test_the_gate_learns_unless_the_shift_is_hard(mode, learns):
    """Acceptance 10, the gate: a floor blocks its gradient (A11)."""
    method = build(shift=mode)
    method.loss(batch())["total"].backward()
    assert method.motar.gate is not None
    for parameter in method.motar.gate.parameters():
        assert bool(parameter.grad is not None and parameter.grad.any()) is learns


def test_motion_is_the_variance_of_the_difference():
    x = randn(3, 5, WIDTH)
    expected = np.zeros((3, 5))
    for n in range(3):
        for t in range(1, 5):
            expected[n, t] = np.var((x[n, t] - x[n, t - 1]).numpy())
    np.testing.assert_allclose(motion(x), expected, rtol=1e-5)
    np.testing.assert_allclose(motion(x, "log1p"), np.log1p(expected), rtol=1e-5)
    assert motion(x[:, :1]).tolist() == [[0.0]] * 3


def test_the_ratio_is_the_gate_of_motion_and_follows_nothing_else():
    method = build().eval()
    x = randn(2, 9, WIDTH)
    assert method.motar.gate is not None
    torch.testing.assert_close(method.shift({"rgb": x}), method.motar.gate(motion(x)[..., None]).squeeze(-1).sigmoid())
    torch.testing.assert_close(method.shift({"rgb": x + 3}), method.shift({"rgb": x}))
    still = method.shift({"rgb": x[:, :1].expand(-1, 9, -1)})
    torch.testing.assert_close(still, still[:1, :1].expand(2, 9))
    assert not build(motar=False).shift({"rgb": x}).any()


def test_long_videos_are_the_same_a_piece_at_a_time(monkeypatch):
    method = build(streams=("rgb", "text"), attention="segment").eval()
    given = {"rgb": randn(2, 23, WIDTH), "text": randn(2, 23, 5, seed=1)}
    hooks = (method, method.class_scores, method.shift, method.embeddings)
    whole = [hook(given) for hook in hooks]
    monkeypatch.setattr(pieces, "PIECE", 4)
    for hook, expected in zip(hooks, whole, strict=True):
        torch.testing.assert_close(hook(given), expected)


# -------------------------------------------------------------------------------------------------- CORE (7.3)


def core(attention: str = "pooled", seed: int = 0, **fields: Any) -> Core:
    torch.manual_seed(seed)
    return Core(RefineVadConfig(hidden=16, heads=2, categories=NAMES, attention=attention, **fields)).eval()


def test_with_equal_logits_all_categories_weigh_the_same():
    """Acceptance 11: w = 1/K; v is the prototypes' mean."""
    one = core()
    w = one.weights(torch.full((2, 3), 0.7))
    torch.testing.assert_close(w, torch.full((2, 3), 1 / 3))
    torch.testing.assert_close(one.embedding(w), one.prototypes.mean(0).expand(2, -1))


def test_weights_are_the_softmax_of_probabilities():
    z = torch.tensor([[2.0, -1.0, 0.0]])
    p = 1 / (1 + np.exp(-z.numpy()))
    for temp in (1.0, 0.1):
        expected = np.exp(p / temp) / np.exp(p / temp).sum()
        np.testing.assert_allclose(core(w_temp=temp).weights(z), expected, rtol=1e-5)
    assert core(core="hard").weights(z).tolist() == [[1.0, 0.0, 0.0]]


def test_in_the_literal_form_v_changes_nothing():
    """Acceptance 11, A12: with x_t the only key, one softmax over one key is 1 whatever the query."""
    one, x = core(), randn(4, 1, 16)
    queries = randn(2, 4, 1, 16, seed=1)
    u, other = (one.cross(query, x, x, need_weights=False)[0] for query in queries)
    torch.testing.assert_close(u, other)


def test_pooled_injects_one_vector_into_the_whole_video():
    one, x = core("pooled"), randn(2, 6, 16)
    w = torch.tensor([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
    v = (w[..., None] * one.prototypes).sum(1)
    u = one.cross(v[:, None], x, x)[0]
    torch.testing.assert_close(one.injected(x, w)(x), one.norm(x + u))
    assert not torch.allclose(one.injected(x, w)(x), one.injected(x, w.flip(1))(x), atol=1e-5)
    # With one snippet there is one key: the printed formula is then blind to v.
    torch.testing.assert_close(one.injected(x[:, :1], w)(x[:, :1]), one.injected(x[:, :1], w.flip(1))(x[:, :1]))


def test_segment_asks_the_weighted_prototypes_and_always_depends_on_them():
    one, x = core("segment"), randn(2, 6, 16)
    w = torch.tensor([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
    memory = torch.stack([row[:, None] * one.prototypes for row in w])
    added = [one.cross(x[:, t : t + 1], memory, memory)[0] for t in range(6)]
    torch.testing.assert_close(one.injected(x, w)(x), one.norm(x + torch.cat(added, 1)))
    for length in (1, 6):
        first, second = (one.injected(x[:, :length], each)(x[:, :length]) for each in (w, w.flip(1)))
        assert not torch.allclose(first, second, atol=1e-5)


def test_the_true_category_is_added_in_training_alone():
    """v_train = v + e_y; several categories share; a normal bag has none (A14); the segment query has no v."""
    method, given = build(attention="pooled"), batch()
    truth = method.truth(given)
    expected = [[0, 0, 0]] * 3 + [[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]]
    torch.testing.assert_close(truth, torch.tensor(expected, dtype=torch.float32))
    for one, added in (
        (method, truth),
        (build(attention="pooled", add_truth=False), 0),
        (build(attention="segment"), 0),
    ):
        logits, _ = injected(one, given, added)
        torch.testing.assert_close(one.loss(given)["mil"], l_mil(logits.sigmoid(), 2))
        without, _ = injected(one, given, 0)
        torch.testing.assert_close(one.eval()(given.streams), without.sigmoid())
    without, _ = injected(method, given, 0)
    assert not torch.allclose(l_mil(without.sigmoid(), 2), method.train().loss(given)["mil"], atol=1e-6)


def injected(method: RefineVad, given: Batch, truth: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The score logits and v, with these categories added to the soft ones."""
    x = method.motar(given.streams["rgb"])
    w = method.core.weights(method.core.logits(method.core.pooled(x))) + truth
    return method._score_logits(x, w), w @ method.core.prototypes


# ------------------------------------------------------------------------------------------------------- losses (7.4)


def test_mil_is_the_mean_over_all_pairs():
    s = torch.rand(6, 40, generator=torch.Generator().manual_seed(0))
    top = np.sort(s.numpy(), 1)[:, ::-1][:, :3].mean(1)
    expected = np.mean([max(0, 1 - a + n) for a in top[3:] for n in top[:3]])
    assert float(l_mil(s, 3)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("length", "k"), [(200, 13), (32, 3), (16, 2), (15, 1), (1, 1)])
def test_so_many_snippets_stand_for_a_bag(length, k):
    method, given = build(core="off"), batch(length)
    s = method(given.streams)
    assert method.loss(given)["mil"].item() == pytest.approx(l_mil(s, k).item(), rel=1e-4)


@pytest.mark.parametrize(("length", "least", "k"), [(200, 6, 13), (15, 6, 6), (4, 6, 4)])
def test_at_least_so_many_snippets_stand_for_a_bag(length, least, k):
    method, given = build(core="off", top_least=least), batch(length)
    s = method(given.streams)
    assert method.loss(given)["mil"].item() == pytest.approx(l_mil(s, k).item(), rel=1e-4)


def test_cat_is_binary_cross_entropy_of_each_category():
    z, truth = randn(4, 3), torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0.5, 0, 0.5]])
    p, y = 1 / (1 + np.exp(-z.numpy())), truth.numpy() > 0
    assert float(l_cat(z, truth)) == pytest.approx(-np.mean(np.where(y, np.log(p), np.log(1 - p))), rel=1e-5)


def target_by_loops(s: np.ndarray, sigma: float, near: float) -> np.ndarray:
    """The stand-in of 7.4 for one abnormal video."""
    length, peak = len(s), int(np.argmax(s))
    centres = {peak}
    for step in (-1, 1):
        t = peak + step
        while 0 <= t < length and s[t] >= near * s[peak]:
            centres.add(t)
            t += step
    h = np.linspace(-1, 1, length)
    q = np.zeros(length)
    for p in centres:
        kernel = np.exp(-((h - h[p]) ** 2) / (2 * sigma**2))
        q = np.maximum(q, (kernel - kernel.min()) / (kernel.max() - kernel.min()) if length > 1 else kernel)
    return q


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(1, 12), st.floats(0.05, 2.0), st.floats(0.3, 1.0))
def test_gmm_is_the_target_of_loops(seed, length, sigma, near):
    logits = torch.tensor(np.random.default_rng(seed).normal(size=(2, length)))
    s = logits.sigmoid().numpy()
    q = np.stack([np.zeros(length), target_by_loops(s[1], sigma, near)])
    expected = -np.mean(q * np.log(s) + (1 - q) * np.log(1 - s))
    assert float(l_gmm(logits, torch.tensor([sigma], dtype=torch.float64), near)) == pytest.approx(expected, rel=1e-6)


def test_the_peak_does_not_spread_beyond_a_gap():
    found = around_peak(torch.tensor([[0.95, 0.5, 0.92, 1.0, 0.91, 0.1]]))
    assert found.tolist() == [[False, False, True, True, True, False]]
    assert around_peak(torch.full((1, 4), 0.3)).all()


def test_gradients_of_the_losses_are_right():
    """Central differences in double precision, away from ties; peaks have no gradient, ς has one."""
    torch.manual_seed(3)
    s = torch.rand(4, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: l_mil(s, 2), s)
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0.5, 0, 0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: l_cat(z, truth), z)
    logits = torch.randn(4, 10, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.2, 0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(l_gmm, (logits, sigma))
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    shift = torch.tensor([[0.3, 1.7, 0.6, 1.2, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, s: shifted(x, s, 2.0), (x, shift))


def test_sigma_is_conditioned_on_the_category_embedding():
    method, given = build(sigma_by="embedding", attention="segment"), batch()
    fixed = build(seed=0, attention="segment")
    fixed.load_state_dict({k: v for k, v in method.state_dict().items() if not k.startswith("widen.")})
    assert method.widen is not None
    with torch.no_grad():
        method.widen.bias.fill_(0.3)
        method.widen.weight.normal_(std=5.0)
    logits, v = injected(method, given, 0)
    sigma = 0.1 * (v @ method.widen.weight[0] + method.widen.bias).tanh().exp()
    assert sigma[3:].std() > 0
    torch.testing.assert_close(method.loss(given)["gmm"], 0.1 * l_gmm(logits, sigma[3:]))
    torch.testing.assert_close(fixed.loss(given)["gmm"], 0.1 * l_gmm(logits, torch.full((3,), 0.1)))
    method.loss(given)["total"].backward()
    assert method.widen.weight.grad is not None
    assert method.widen.weight.grad.any()
    assert gaussian_target(torch.eye(5, dtype=torch.bool)[:1], torch.tensor([0.2])).max() == 1


def test_the_warm_up_lacks_only_gmm_and_lambdas_weigh():
    given = batch()
    whole, warm_up = build().loss(given), build().loss(given, smooth=False)
    assert whole.keys() - warm_up.keys() == {"gmm"}
    assert warm_up["cat"] == whole["cat"]
    other = build(lambda1=0.0, lambda2=0.4).loss(given)
    assert other["gmm"] == 0
    torch.testing.assert_close(other["cat"], 2 * whole["cat"])
    first, main = build().phases()
    assert (first.final_lr, main.final_lr) == (None, 1e-6)
    assert [phase.name for phase in build(warm_up_iterations=0).phases()] == ["main"]


@pytest.mark.parametrize("seed", range(8))
def test_the_first_step_is_by_the_bags_and_not_by_chance(seed):
    torch.manual_seed(seed)
    method = RefineVad({"rgb": WIDTH}, RefineVadConfig(hidden=16, heads=2, feed_forward=16, head=8))
    given = batch(seed=seed)
    given.streams["rgb"][3:] += 3.0
    assert (method(given.streams) == 0.5).all()
    method.loss(given)["total"].backward()
    with torch.no_grad():
        for parameter in method.head[-1].parameters():
            parameter -= 0.1 * parameter.grad
    normal, abnormal = method.eval()(given.streams).mean(1).chunk(2)
    assert abnormal.min() > normal.max()


def test_a_small_set_gets_all_thirty_passes():
    """Batches of 32 + 32: as many iterations as there are passes over a set with 32 videos of each class."""
    videos = [
        LabelledVideo(name=f"{i}.mp4", label=i % 2, category="fight" if i % 2 else "normal", split="train")
        for i in range(64)
    ]
    warm_up, main = under_budget(RefineVad({"rgb": 4}).phases(), Protocol(budget="data"), videos, snippets=22)
    assert warm_up.iterations + main.iterations == 30
    assert main.segments == 22


# --------------------------------------------------------------------------------------------------------- categories


def test_class_scores_share_the_score_as_the_probabilities_do():
    method, x = build(within=0.0).eval(), randn(2, 9, WIDTH)
    pooled = method.core.pooled(method.embeddings({"rgb": x}))
    p = method.core.logits(pooled).sigmoid()
    expected = method({"rgb": x})[..., None] * (p / p.sum(1, keepdim=True))[:, None]
    torch.testing.assert_close(method.class_scores({"rgb": x}), expected)


@pytest.mark.parametrize("piece", [5, 100])
@pytest.mark.parametrize("length", [1, 3, 23])
def test_what_kind_is_asked_of_what_lies_around_a_snippet(monkeypatch, piece, length):
    """x̄_t = Σ α_j exp(−(t − j)²/2σ²) x_j over the same without x_j, α = exp(coarse), |t − j| ≤ 3σ."""
    monkeypatch.setattr(pieces, "PIECE", piece)
    method, x = build(within=1.5).eval(), {"rgb": randn(2, length, WIDTH)}
    x_NTH = method.embeddings(x)
    alpha_NT, expected = method.core.coarse(x_NTH).squeeze(-1).exp(), torch.zeros_like(x_NTH)
    for t in range(length):
        near = range(max(t - 5, 0), min(t + 6, length))
        weights = [alpha_NT[:, j, None] * math.exp(-((t - j) ** 2) / (2 * 1.5**2)) for j in near]
        expected[:, t] = sum(w * x_NTH[:, j] for w, j in zip(weights, near, strict=True)) / sum(weights)
    p = method.core.logits(expected).sigmoid()
    torch.testing.assert_close(method.class_scores(x), method(x)[..., None] * (p / p.sum(-1, keepdim=True)))
    monkeypatch.setattr(method.core.coarse, "weight", torch.nn.Parameter(1e4 * method.core.coarse.weight))
    assert method.class_scores(x).isfinite().all()  # however far apart coarse scores are


def test_permuted_categories_permute_the_class_scores():
    method, other, order = build(), build(seed=1, categories=("theft", "fight", "fall")), [2, 0, 1]
    state = method.state_dict()
    for name in ("core.prototypes", "core.bias"):
        state[name] = torch.randn_like(state[name])
    method.load_state_dict(state)
    other.load_state_dict(
        state | {name: state[name][order] for name in ("core.prototypes", "core.bias")}
        | {"core.seen": torch.zeros(4, 16)}
    )  # fmt: skip
    x = {"rgb": randn(2, 9, WIDTH)}
    for attention in ("pooled", "segment"):
        method.core.config = other.core.config = method.core.config.__class__(
            hidden=16, heads=2, categories=NAMES, attention=attention
        )
        torch.testing.assert_close(other(x), method(x))
        torch.testing.assert_close(other.class_scores(x), method.class_scores(x)[..., order])


def test_an_unknown_category_is_told_and_without_names_there_is_one_for_all():
    with pytest.raises(WsvadError, match="'arson' is none of this method's: fight, fall, theft"):
        build().loss(batch(categories=("fight", "arson", "fall")))
    method = build(categories=())
    assert method.config.named == ("abnormal",)
    assert method.truth(batch(categories=("fight", "arson", "x;y"))).tolist() == [[0.0]] * 3 + [[1.0]] * 3
    several = build().truth(batch(categories=("fight;", " fall ;fight", "normal")))
    assert several[3:].tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    x = {"rgb": randn(2, 4, WIDTH)}
    torch.testing.assert_close(method.class_scores(x)[..., 0], method(x))


@pytest.mark.parametrize("fields", [{}, {"categories": ()}, {"core": "hard"}, {"core": "off"}, {"motar": False}])
@pytest.mark.parametrize("segments", [1, 20])
def test_a_category_with_one_video_or_one_for_all_is_learned(fields, segments):
    method = build(**fields)
    given = batch(segments, ("fight", "fight", "fight", "fall"))
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        total = method.loss(given)["total"]
        total.backward()
        optimizer.step()
    s = method.eval()(given.streams)
    assert s[4:].amax(1).min() > s[:4].amax(1).max()
    if method.core is not None and len(method.config.named) > 1:
        assert method.class_scores(given.streams)[4:].mean(1).argmax(1).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("categories", [("fight", ""), ("normal",), ("a;b",), (" a",), ("a", "a")])
def test_names_that_are_none_are_refused(categories):
    with pytest.raises(UsageError, match="categories"):
        RefineVadConfig(categories=categories)


@pytest.mark.parametrize("fields", [{"streams": ()}, {"streams": ("rgb", "rgb")}, {"fold": 1.5}])
def test_configurations_that_cannot_be_are_refused(fields):
    with pytest.raises(UsageError, match=next(iter(fields))):
        RefineVadConfig(**fields)


def test_streams_that_do_not_fit_are_refused():
    method = build(streams=("rgb", "text")).eval()
    given = {"rgb": randn(1, 6, WIDTH), "text": randn(1, 6, 5)}
    assert method(given).shape == (1, 6)
    with pytest.raises(WsvadError, match="'text' is 5 snippets × 5, and should be 6 × 5"):
        method(given | {"text": randn(1, 5, 5)})
    with pytest.raises(WsvadError, match="'text' is 6 snippets × 4, and should be 6 × 5"):
        method.loss(Batch(streams=given | {"text": randn(1, 6, 4)}, labels=torch.zeros(1)))


# ------------------------------------------------------------------------------------------------- prototypes that grow


def shown(categories: tuple[str, ...], seed: int) -> torch.Tensor:
    """Twelve snippets of each video, noise; from the fifth to the eighth, what its category looks like."""
    looks = {"fight": 0, "fall": 1, "theft": 2}
    x = 0.3 * randn(len(categories), 12, WIDTH, seed=seed)
    for row, name in enumerate(categories):
        if name in looks:
            x[row, 4:8, 4 * looks[name] : 4 * looks[name] + 4] += 1.5
    return x


@pytest.fixture(scope="module")
def learned() -> RefineVad:
    """A method that knows two categories."""
    method = build(categories=("fight", "fall"))
    optimizer = torch.optim.AdamW(method.parameters(), lr=5e-3)
    categories = ("normal",) * 8 + ("fight", "fall") * 4
    labels = torch.tensor([float(name != "normal") for name in categories])
    for seed in range(80):
        given = Batch(streams={"rgb": shown(categories, seed)}, labels=labels, categories=categories)
        optimizer.zero_grad()
        method.loss(given)["total"].backward()
        optimizer.step()
    return method.eval()


def test_two_events_of_a_video_are_named_apart(learned):
    """Each of a fight and a fall by its own name, which one answer for the whole video cannot give."""
    x = torch.cat([shown(("fight", "fall") * 8, seed=3000), shown(("fall", "fight") * 8, seed=4000)], dim=1)
    named = {}
    for within in (0.0, 2.0):
        one = copy.deepcopy(learned)
        one.config = one.core.config = replace(learned.config, within=within)
        scores = one.class_scores({"rgb": x})
        first, second = (scores[:, rows].sum(1).argmax(1) for rows in (slice(4, 8), slice(16, 20)))
        named[within] = torch.stack([first, second], 1).tolist()
    assert named[2.0] == [[0, 1], [1, 0]] * 8
    assert all(first == second for first, second in named[0.0])


def test_a_category_is_added_from_a_handful_of_videos(learned):
    old = {key: tensor.clone() for key, tensor in learned.state_dict().items()}
    with torch.no_grad():
        few = learned.embeddings({"rgb": shown(("theft",) * 4, seed=1000)})[:, 4:8]
        grown = learned.add_category("theft", list(few))
        names = ("fight", "fall", "theft") * 8
        found = grown.class_scores({"rgb": shown(names, seed=2000)})[:, 4:8].mean(1).argmax(1)
    assert grown.config.named == ("fight", "fall", "theft")
    assert [grown.config.named[i] == name for i, name in zip(found, names, strict=True)].count(True) >= 22
    # Neither the method itself nor what it knew has changed.
    assert learned.config.named == ("fight", "fall")
    for key, tensor in learned.state_dict().items():
        assert torch.equal(tensor, old[key])
        assert torch.equal(grown.state_dict()[key][: len(tensor)] if tensor.ndim else grown.state_dict()[key], tensor)
    again = RefineVad(grown.widths, grown.config)
    again.load_state_dict(grown.state_dict())
    x = {"rgb": shown(names, seed=3)}
    torch.testing.assert_close(again.eval().class_scores(x), grown.class_scores(x))


def test_what_cannot_be_added_is_refused(learned):
    good = [randn(3, 16)]
    for name, embeddings, says in (
        ("fall", good, "there is a category of that name"),
        ("normal", good, "'normal' is not a valid name"),
        ("theft", [], r"one or more videos' embeddings, \(T, 16\)"),
        ("theft", [randn(3, 15)], "embeddings"),
    ):
        with pytest.raises(UsageError, match=says):
            learned.add_category(name, embeddings)
    with pytest.raises(UsageError, match="core: off"):
        build(core="off").add_category("arson", good)


def test_what_was_seen_is_remembered_as_a_mean_direction():
    one, pooled = core(), randn(4, 16)
    truth = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0.5, 0, 0.5]])
    one.remember(pooled, truth)
    unit = F.normalize(pooled, dim=-1)
    torch.testing.assert_close(one.seen[0], unit[:2].mean(0))
    torch.testing.assert_close(one.seen[1], (unit[2] + 0.5 * unit[3]) / 1.5)
    assert not one.seen[2].any()
    torch.testing.assert_close(one.seen[3], unit[3])
    one.remember(-pooled, truth)
    torch.testing.assert_close(one.seen[3], 0.9 * unit[3])
