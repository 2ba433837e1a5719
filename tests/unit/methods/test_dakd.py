"""DAKD against its equations, its guards, and what may and may not be touched."""

import dataclasses
import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad.errors import UsageError
from wsvad.features.segments import bin_average
from wsvad.layers.disentangled import DisentangledAttention
from wsvad.methods import dakd
from wsvad.methods.dakd import Dakd, DakdConfig, Network, judge, l_mil, l_nce, refine, segment_at, segments_of
from wsvad.methods.method import Batch

TINY = DakdConfig(
    backbones=("rgb", "flow", "pose"), projection=8, hidden=16, heads=2, head=(8, 4), g=(8, 4), k=3, table_std=1.0
)
WIDTHS = {"rgb": 6, "flow": 5, "pose": 4}
PUBLISHED = {"rgb": 512, "i3d": 1024, "s3d": 1024}
TEMPORAL = get_args(DakdConfig.__annotations__["temporal"])


def build(seed: int = 0, config: DakdConfig = TINY, **fields: Any) -> Dakd:
    torch.manual_seed(seed)
    return Dakd(WIDTHS, dataclasses.replace(config, **fields))


def streams(*shape: int, names: tuple[str, ...] = tuple(WIDTHS), seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*shape, WIDTHS[name], generator=generator) for name in names}


def batch(segments: int = 9, bags: int = 3, seed: int = 0, rows: tuple[int, ...] = ()) -> Batch:
    labels = torch.tensor([0.0] * bags + [1.0] * bags)
    return Batch(streams=streams(2 * bags, segments, seed=seed), labels=labels, rows=rows)


class Only(dict):
    """Streams that complain when another one is looked at."""

    def __missing__(self, name):
        raise AssertionError(f"scoring asked for {name}")


# ------------------------------------------------------------------------------------------------- size and shape


def test_the_published_sizes():
    torch.manual_seed(0)
    method = Dakd(PUBLISHED, DakdConfig(backbones=("rgb", "i3d", "s3d"), reading="wide"))
    size = {name: sum(p.numel() for p in part.parameters()) for name, part in method.teacher.named_children()}
    assert {name: sum(p.numel() for p in mlp.parameters()) for name, mlp in method.teacher.mlps.items()} == {
        "rgb": 525_312, "i3d": 787_456, "s3d": 787_456,
    }  # fmt: skip
    assert size["temporal"] == 3 * 3 * 512 * 1024 + 2 * 512 * 1024 + 50 * 512
    assert size["head"] == 541_249
    assert sum(size.values()) == 8_434_241


def test_the_papers_settings():
    config = DakdConfig()
    assert (config.k, config.alpha, config.tau, config.delta) == (25, 7.5, 10, 0.9)
    teacher, student = Dakd(WIDTHS, config).phases()
    for phase in (teacher, student):
        assert (phase.bags, phase.segments, phase.weight_decay) == (30, 32, 0.001)
        assert phase.optimizer is torch.optim.Adagrad
    method = build()
    for phase, network in zip(method.phases(), (method.teacher, method.student), strict=True):
        rate = {id(p): group["lr"] for group in phase.parameters for p in group["params"]}
        slow = {id(p) for p in network.temporal.parameters()}
        assert all(value == (1e-4 if key in slow else 1e-3) for key, value in rate.items())
        assert {id(p) for p in network.parameters()} <= rate.keys()


@pytest.mark.parametrize("reading", ["wide", "block"])
@pytest.mark.parametrize("temporal", TEMPORAL)
def test_every_temporal_module_learns_in_both_stages_and_scores_at_any_length(temporal, reading):
    method = build(temporal=temporal, reading=reading, k=25).train()
    for phase in method.phases():
        method.zero_grad()
        for seed in range(3):
            phase.loss(batch(24, seed=seed))["total"].backward()
        trained = {id(p) for group in phase.parameters for p in group["params"]}
        lost = [n for n, p in method.named_parameters() if id(p) in trained and (p.grad is None or not p.grad.any())]
        # What a normalisation of weight 0 hides gets its gradient once the weight has moved, as in RTFM.
        assert [n for n in lost if "net.wide" not in n and "net.theta" not in n and "net.phi" not in n
                and "net.value" not in n] == []  # fmt: skip
    method.eval()
    for length in (1, 5, 33):
        scores = method(streams(2, length))
        assert scores.shape == (2, length)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_the_block_reading_is_512_wide():
    torch.manual_seed(0)
    network = Network({"rgb": 512}, DakdConfig())
    (attention,) = (m for m in network.modules() if isinstance(m, DisentangledAttention))
    assert attention.qkv[0].weight.shape == (3 * 512, 512)
    assert network.head[0].in_features == 512


# -------------------------------------------------------------------------------------------------------- scoring


def test_the_student_sees_its_backbone_alone():
    method, given = build(student="flow").eval(), streams(2, 7)
    assert method.runs_on == ("flow",)
    assert method.learns_from == ("rgb", "flow", "pose")
    alone = method(Only(flow=given["flow"]))
    assert torch.equal(method(given), alone)
    assert [mlp[0].in_features for mlp in method.student.mlps.values()] == [WIDTHS["flow"]]
    with torch.no_grad():
        for parameter in (*method.teacher.parameters(), *method.g.parameters()):
            parameter.fill_(torch.nan)
    assert torch.equal(method(given), alone)


def test_the_student_is_the_teacher_of_one_backbone():
    method, given = build(backbones=("rgb",)).eval(), streams(2, 7)
    assert not torch.allclose(method(given), method.teacher_scores(given))
    method.student.load_state_dict(method.teacher.state_dict())
    torch.testing.assert_close(method(given), method.teacher_scores(given))


def test_the_teacher_sees_them_all_and_they_must_be_of_one_length():
    method, given = build().eval(), streams(2, 7)
    scores = method.teacher_scores(given)
    for name in given:
        assert not torch.allclose(scores, method.teacher_scores(given | {name: given[name] + 1}))
    given["pose"] = given["pose"][:, :5]
    for ask in (method.teacher_scores, lambda x: method.l_student(Batch(streams=x, labels=torch.tensor([0.0, 1.0])))):
        with pytest.raises(UsageError, match="rgb 7, flow 7, pose 5 snippets"):
            ask(given)


def test_crops_of_the_teacher_are_averaged_and_shared_where_a_stream_has_none():
    method = build().eval()
    crops = streams(2, 3, 7)
    crops["rgb"] = crops["rgb"][:, 0]
    each = [method.teacher_scores({n: x[:, c] if x.ndim == 4 else x for n, x in crops.items()}) for c in range(3)]
    torch.testing.assert_close(method.teacher_scores(crops), torch.stack(each).mean(0))


def test_compact_keeps_the_scores():
    method, given = build().eval(), streams(2, 40)
    before = method(given)
    assert method.compact() is method
    torch.testing.assert_close(method(given), before)
    assert all(name.startswith("student.") for name, _ in method.named_parameters())


# ---------------------------------------------------------------------------------------- segments and native length


@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 64, 100])
def test_segments_are_those_of_training(length):
    x = torch.randn(length, 4, generator=torch.Generator().manual_seed(0))
    pooled = segments_of(length, 32) @ x
    np.testing.assert_allclose(pooled.numpy(), bin_average(x.numpy(), 32), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 300), bins=st.integers(1, 40))
def test_a_snippet_gets_the_score_of_the_segment_that_covers_it(length, bins):
    """3.1: segment j covers r_j … r_(j+1) − 1, r = round(linspace(0, m, bins + 1)); at most a snippet off."""
    r = np.round(np.arange(bins + 1) * length / bins).astype(int)
    covers = [[j for j in range(bins) if r[j] <= t < r[j + 1]] for t in range(length)]
    assert [[j] for j in segment_at(length, bins).tolist()] == covers
    held = segments_of(length, bins) > 0
    for t, (j,) in enumerate(covers):
        assert held[j, max(0, t - 1) : t + 2].any()


@pytest.mark.parametrize("length", [1, 3, 8, 21])
def test_scores_of_segments_are_expanded(length):
    method, given = build(segments=8).eval(), streams(1, length)
    pooled = {"rgb": torch.from_numpy(bin_average(given["rgb"].numpy(), 8))}
    scores = method.student.scores(pooled)[0].tolist()
    r = np.round(np.linspace(0, length, 9)).astype(int)
    expected = [scores[j] for j in range(8) for _ in range(r[j], r[j + 1])]
    assert method(given)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_native_scores_every_snippet_and_is_the_same_at_the_length_of_training():
    native, binned = build(test="native", segments=8).eval(), build(segments=8).eval()
    torch.testing.assert_close(native(streams(2, 8)), binned(streams(2, 8)))
    given = streams(2, 21)
    torch.testing.assert_close(native(given), native.student.scores(given))
    assert native(given).unique().numel() > binned(given).unique().numel() == 16


def test_as_many_segments_as_training_had_are_scored_and_saved():
    method = build(segments=8)
    method.l_teacher(batch(5))
    assert int(method.bins) == 5
    other = build(seed=1, segments=8)
    other.load_state_dict(method.state_dict())
    given = streams(1, 20)
    assert torch.equal(other.eval()(given), method.eval()(given))
    assert method(given).unique().numel() == 5


# --------------------------------------------------------------------------------------------------- pseudo-labels

ABNORMAL = torch.ones(1)


def test_alike_scores_say_nothing():
    for scores in (torch.full((1, 32), 0.7), torch.full((1, 1), 0.7), 0.5 + 1e-7 * torch.rand(1, 32)):
        assert not refine(scores, ABNORMAL).any()


def test_a_spike_becomes_a_plateau_as_wide_as_the_window():
    scores = torch.zeros(1, 32)
    scores[0, 10] = 0.3
    for epsilon in (1, 2, 3):
        expected = torch.zeros(1, 32)
        expected[0, 10 - epsilon : 11 + epsilon] = 1
        torch.testing.assert_close(refine(scores, ABNORMAL, epsilon=epsilon), expected, atol=1e-5, rtol=0)
    twice = refine(scores, ABNORMAL, passes=2)[0]
    assert twice[6:15].tolist() == pytest.approx([x / 5 for x in (1, 2, 3, 4, 5, 4, 3, 2, 1)], abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12), st.integers(0, 3), st.integers(1, 2))
def test_refined_scores_are_the_formula(values, epsilon, passes):
    y = np.array(values)
    for _ in range(passes):
        edge = np.pad(y, epsilon, mode="edge")
        y = np.array([edge[i : i + 2 * epsilon + 1].mean() for i in range(len(y))])
    plain = refine(torch.tensor([values]), ABNORMAL, epsilon=epsilon, passes=passes, min_max=False)
    np.testing.assert_allclose(plain[0], y, atol=1e-6)
    if y.max() - y.min() > 1e-3:
        stretched = refine(torch.tensor([values]), ABNORMAL, epsilon=epsilon, passes=passes)[0]
        np.testing.assert_allclose(stretched, (y - y.min()) / (y.max() - y.min()), atol=1e-3)


def test_normal_videos_are_normal_throughout():
    scores = torch.rand(4, 9, generator=torch.Generator().manual_seed(0))
    y = refine(scores, torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert not y[:2].any()
    assert y[2:].amax(1).tolist() == [1, 1]
    assert y[2:].amin(1).tolist() == [0, 0]


# ---------------------------------------------------------------------------------------------------------- losses


def test_the_ranking_loss_is_over_all_pairs():
    scores = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    normal, abnormal = scores[:3].tolist(), scores[3:].tolist()
    pairs = [max(0, 1 - max(a) + max(n)) for n in normal for a in abnormal]
    parts = l_mil(scores, TINY)
    assert float(parts["ranking"]) == pytest.approx(sum(pairs) / 9)
    assert float(parts["sparsity"]) == pytest.approx(8e-5 * sum(map(sum, abnormal)))
    steps = [(a[t] - a[t + 1]) ** 2 for a in abnormal for t in range(4)]
    assert float(parts["smoothness"]) == pytest.approx(8e-5 * sum(steps))


@pytest.mark.parametrize(("top", "k"), [(2, 2), (9, 5)])
def test_several_segments_may_stand_for_a_bag(top, k):
    scores = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    means = [sum(sorted(bag)[-k:]) / k for bag in scores.tolist()]
    pairs = [max(0, 1 - a + n) for n in means[:3] for a in means[3:]]
    assert float(l_mil(scores, dataclasses.replace(TINY, top=top))["ranking"]) == pytest.approx(sum(pairs) / 9)


def features(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    z_t, z_s = (torch.randn(*shape, 4, generator=generator) for _ in range(2))
    return z_t, z_s, torch.rand(*shape, generator=generator) > 0.7


@pytest.mark.parametrize("tau", [0.1, 10.0])
def test_l_nce_is_eq_7(tau):
    z_t, z_s, abnormal = features(3, 5)

    def similar(x, y):
        return math.exp(float(F.cosine_similarity(x.double(), y.double(), dim=0)) / tau)

    places = [(b, t) for b in range(3) for t in range(5)]
    means = []
    for kind in (True, False):
        own = [p for p in places if bool(abnormal[p]) == kind]
        other = [p for p in places if bool(abnormal[p]) != kind]
        each = []
        for p in own:
            positive = similar(z_t[p], z_s[p])
            each.append(-math.log(positive / (sum(similar(z_t[p], z_s[k]) for k in other) + positive)))
        means.append(sum(each) / len(each))
    assert float(l_nce(z_t, z_s, abnormal, tau=tau)) == pytest.approx(sum(means), rel=1e-5)


@pytest.mark.parametrize("everywhere", [False, True])
def test_l_nce_of_one_class_is_nothing(everywhere):
    z_t, z_s, abnormal = features(3, 5)
    z_s.requires_grad_()
    loss = l_nce(z_t, z_s, torch.full_like(abnormal, everywhere), tau=10)
    loss.backward()
    assert loss == 0
    assert not z_s.grad.any()


def test_l_nce_has_the_gradients_of_finite_differences():
    z_t, z_s, abnormal = features(2, 4)
    z_t, z_s = z_t.requires_grad_(), z_s.requires_grad_()
    loss = l_nce(z_t, z_s, abnormal, tau=0.5)
    found = torch.autograd.grad(loss, (z_t, z_s))
    step = 1e-2
    for z, gradient in ((z_t, found[0]), (z_s, found[1])):
        for place in ((0, 1, 2), (1, 3, 0)):
            with torch.no_grad():
                z[place] += step
                up = l_nce(z_t, z_s, abnormal, tau=0.5)
                z[place] -= 2 * step
                down = l_nce(z_t, z_s, abnormal, tau=0.5)
                z[place] += step
            assert float((up - down) / (2 * step)) == pytest.approx(float(gradient[place]), abs=2e-3)


def test_the_students_loss_is_eq_8():
    method, given = build().eval(), batch()
    parts = method.l_student(given)
    h_t, h_s = method.teacher.features(given.streams), method.student.features(given.streams)
    y = refine(method.teacher.scores(given.streams), given.labels)
    assert (y >= 0.9).any()
    bce = F.binary_cross_entropy(method.student.scores(given.streams), y)
    nce = l_nce(method.g(h_t), method.g(h_s), y >= 0.9, tau=10)
    torch.testing.assert_close(parts["bce"], bce)
    torch.testing.assert_close(parts["nce"], 7.5 * 10**2 * nce)
    torch.testing.assert_close(parts["total"], bce + 750 * nce)
    unscaled = build(tau_squared=False).eval().l_student(given)
    torch.testing.assert_close(parts["nce"], 100 * unscaled["nce"])


def test_delta_is_for_refined_scores_or_for_raw_ones():
    given = batch()
    assert build().taught_of(given).abnormal.any()
    raw = build(delta_on="raw", delta=0.5)
    scores = raw.teacher.eval().scores(given.streams)
    found = raw.taught_of(given).abnormal
    assert torch.equal(found, (scores >= 0.5) & (given.labels[:, None] > 0))
    highest = build(delta=1.0).taught_of(given)
    assert torch.equal(highest.abnormal, highest.y == 1)
    assert highest.abnormal.any()
    assert torch.equal(build(delta=0.0).taught_of(given).abnormal.any(1), given.labels > 0)  # normal videos stay so
    nothing = build(delta_on="raw", delta=1.0).l_student(given)
    assert nothing["nce"] == 0
    assert nothing["bce"] > 0


@pytest.mark.parametrize("segments", [1, 9])
def test_a_teacher_that_says_the_same_everywhere_is_survived(segments):
    method = build().train()
    with torch.no_grad():
        method.teacher.head[-1].weight.zero_()
    parts = method.l_student(batch(segments))
    parts["total"].backward()
    assert parts["nce"] == 0
    assert not method.taught_of(batch(segments)).y.any()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


def test_each_level_by_itself():
    given = batch()
    prediction = build(levels=("prediction",))
    assert prediction.g is None
    assert prediction.l_student(given).keys() == {"bce", "total"}
    feature = build(levels=("feature",))
    parts = feature.l_student(given)
    assert parts.keys() == {"ranking", "sparsity", "smoothness", "nce", "total"}
    torch.testing.assert_close(parts["total"], sum(part for name, part in parts.items() if name != "total"))


# ----------------------------------------------------------------------------------------------- teacher and student


def test_the_student_stage_leaves_the_teacher_alone():
    method = build().train()
    _, student = method.phases()
    before = {n: x.clone() for n, x in method.teacher.state_dict().items()}
    optimizer = student.optimizer(student.parameters, lr=student.lr, weight_decay=student.weight_decay)
    for seed in range(3):
        student.loss(batch(seed=seed))["total"].backward()
        optimizer.step()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert all(torch.equal(before[n], x) for n, x in method.teacher.state_dict().items())


def test_the_teacher_is_asked_without_dropout():
    method = build().train()
    first, again = method.taught_of(batch()), method.taught_of(batch())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_trained_teacher_is_taken_over_for_another_student():
    trained, method = build(seed=1), build(seed=2, student="pose", alpha=1.0)
    method.teach(trained)
    given = streams(2, 7)
    assert torch.equal(method.eval().teacher_scores(given), trained.eval().teacher_scores(given))
    assert [phase.name for phase in method.phases()] == ["student"]
    assert [phase.name for phase in trained.phases()] == ["teacher", "student"]


@pytest.mark.parametrize(
    "fields", [{"backbones": ("flow", "rgb", "pose")}, {"backbones": ("rgb", "flow")}, {"heads": 4}, {"hidden": 32}]
)
def test_a_teacher_that_does_not_fit_is_refused(fields):
    (name,) = fields
    with pytest.raises(RuntimeError, match=name):
        build().teach(build(**fields))
    with pytest.raises(RuntimeError, match="compact"):
        build().teach(build().compact())


# ----------------------------------------------------------------------------------------------------- what is kept


def counted(method: Dakd) -> list[int]:
    """How many bags the teacher is asked about, each time."""
    asked, features = [], method.teacher.features

    def ask(streams):
        asked.append(len(streams["rgb"]))
        return features(streams)

    method.teacher.features = ask
    return asked


def some(rows: tuple[int, ...]) -> Batch:
    """A batch of rows of one packed dataset, 0-9 normal and 10-19 abnormal."""
    packed = streams(20, 9, seed=5)
    where = list(rows)
    labels = torch.tensor([float(row >= 10) for row in rows])
    return Batch(streams={n: x[where] for n, x in packed.items()}, labels=labels, rows=rows)


def test_what_is_kept_is_what_is_computed():
    method, direct = build().eval(), build().eval()
    asked = counted(method)
    for rows in ((0, 1, 10, 11), (1, 2, 11, 12), (2, 0, 12, 12), (3, 3, 13, 13), (0, 1, 10, 11)):
        given = some(rows)
        kept, computed = method.l_student(given), direct.l_student(dataclasses.replace(given, rows=()))
        for name in kept:
            torch.testing.assert_close(kept[name], computed[name], rtol=1e-5, atol=1e-5)
    assert asked == [4, 2, 2]


def test_nothing_is_kept_beyond_the_limit(monkeypatch):
    method, direct = build().eval(), build().eval()
    monkeypatch.setattr(dakd, "KEPT", 3 * 9 * TINY.width * 4)
    asked = counted(method)
    for rows in ((0, 1, 10, 11), (0, 1, 10, 11), (0, 2, 11, 12)):
        kept, computed = method.taught_of(some(rows)), direct.taught_of(dataclasses.replace(some(rows), rows=()))
        for a, b in zip(kept, computed, strict=True):
            torch.testing.assert_close(a, b)
    assert asked == [4, 1, 3]
    assert len(method.kept) == 3


@pytest.mark.parametrize("change", ["step", "load", "teach", "phases"])
def test_a_changed_teacher_is_asked_again(change):
    method, other, given = build(), build(seed=1), some((0, 1, 10, 11))
    before = method.taught_of(given)
    if change == "step":
        optimizer = torch.optim.Adagrad(method.teacher.parameters(), lr=0.1)
        method.l_teacher(given)["total"].backward()
        optimizer.step()
    elif change == "load":
        method.load_state_dict(other.state_dict())
    elif change == "teach":
        method.teach(other)
    else:
        method.phases()
        assert method.kept == {}
        return
    after = method.taught_of(given)
    assert not torch.allclose(before.h, after.h)
    torch.testing.assert_close(after.h, method.teacher.features(given.streams))


def test_what_is_kept_is_no_part_of_the_state():
    method = build()
    names = set(method.state_dict())
    method.l_student(some((0, 1, 10, 11)))
    assert len(method.kept) == 4
    assert set(method.state_dict()) == names
    method.compact()
    assert method.kept == {}


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"backbones": ()}, "backbones"),
        ({"backbones": ("rgb", "rgb")}, "backbones"),
        ({"student": "clip"}, "the teacher never sees 'clip'.*rgb, flow"),
        ({"terms": ()}, "terms"),
        ({"terms": ("self", "p2p")}, "terms"),
        ({"levels": ()}, "levels"),
        ({"heads": 7}, "heads: 7 cannot share an attention of width 512"),
        ({"heads": 3, "reading": "wide"}, "heads: 3 cannot share an attention of width 1024"),
        ({"k": 0}, "k 0: a whole number, at least 1"),
        ({"epsilon": -1}, "epsilon -1: a whole number, at least 0"),
        ({"tau": 0.0}, "tau 0.0: a number, above 0"),
        ({"student": "", "given": "mil", "levels": ("prediction",)}, "student: what should learn from mil"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(fields, told):
    with pytest.raises(UsageError, match=told) as error:
        DakdConfig(**fields)
    assert "\n" not in str(error.value)


def test_one_backbone_and_many():
    for backbones in (("rgb",), ("flow", "rgb"), ("pose", "flow", "rgb")):
        method = build(backbones=backbones)
        assert method.teacher_scores(streams(2, 9)).shape == (2, 9)
        assert method.l_student(batch())["total"].isfinite()


# --------------------------------------------------------------------------------------------------- given teachers


class Loud(torch.nn.Module):
    """A trained method of another kind: snippet t scores by its flow's first dimension."""

    runs_on = ("flow",)
    learns_from = ("flow", "text")

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, streams):
        return (self.scale * Only(flow=streams["flow"])["flow"][..., 0]).sigmoid()


def taught(**fields: Any) -> tuple[Dakd, Loud]:
    method, teacher = build(given="loud", levels=("prediction",), backbones=("flow", "rgb"), **fields), Loud().train()
    method.teach(teacher)
    return method, teacher


def test_a_given_teacher_teaches_by_its_refined_scores():
    method, teacher = taught()
    given = batch()
    y = refine(teacher(given.streams), given.labels)
    bce = F.binary_cross_entropy(method.eval().student.scores({"rgb": given.streams["rgb"]}), y)
    parts = method.l_student(given)
    assert set(parts) == {"bce", "total"}
    torch.testing.assert_close(parts["total"], bce.detach(), check_stride=False)
    parts["total"].backward()
    assert teacher.scale.grad is None
    assert not teacher.training


def test_a_given_teacher_is_not_learned_not_saved_and_asked_once_a_row():
    method, teacher = taught()
    assert [phase.name for phase in method.phases()] == ["student"]
    owned = {id(p) for phase in method.phases() for group in phase.parameters for p in group["params"]}
    assert owned == {id(p) for p in method.student.parameters()}
    assert all(name == "bins" or name.startswith("student.") for name in method.state_dict())
    asked = []
    teacher.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    for rows in ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 6)):
        method.taught_of(batch(rows=rows))
    assert asked == [6, 1]


def test_without_its_teacher_a_student_of_a_given_one_learns_nothing():
    method = build(given="loud", levels=("prediction",), backbones=("flow", "rgb"))
    with pytest.raises(UsageError, match="learns from a run of loud; name it, with --teacher RUN"):
        method.l_student(batch())
    with pytest.raises(UsageError, match="levels: a given teacher has scores, not features"):
        DakdConfig(given="loud", levels=("feature",))


def test_a_run_judges_by_its_own_teacher_where_it_has_one():
    method = build()
    assert judge(method) == (method.teacher_scores, ("rgb", "flow", "pose"))
    assert judge(method.compact()) == (method, ("rgb",))
    assert judge(taught()[0])[1] == ("rgb",)
    assert judge(Loud())[1] == ("flow",)
