"""π-VAD against its equations, the published budget, and what may and may not be touched."""

import dataclasses
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wsvad.errors import UsageError
from wsvad.evaluation.cost import executed_weights
from wsvad.methods.method import Batch
from wsvad.methods.pi_vad import (
    PiVad,
    PiVadConfig,
    PolyModalInductor,
    l_distill,
    l_infonce,
    l_pmg,
    same_snippet,
)
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig

BASE = UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8)
TINY = PiVadConfig(ur_dmu=BASE, latent=8, heads=2, wide_heads=2, clip=None)
LIGHT = dataclasses.replace(TINY, profile="light")
WIDTHS = {"rgb": 10, "pose": 3, "depth": 4, "mask": 5, "flow": 6, "text": 7}
PUBLISHED = {"rgb": 1024, "pose": 256, "depth": 384, "mask": 256, "flow": 256, "text": 512}

both_profiles = pytest.mark.parametrize("config", [TINY, LIGHT], ids=["paper", "light"])


def build(config: PiVadConfig = TINY, seed: int = 0) -> PiVad:
    torch.manual_seed(seed)
    return PiVad(WIDTHS, config)


def streams(*shape: int, names: tuple[str, ...] = tuple(WIDTHS), seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*shape, WIDTHS[name], generator=generator) for name in names}


def batch(segments: int = 9, bags: int = 3, seed: int = 0) -> Batch:
    return Batch(streams=streams(2 * bags, segments, seed=seed), labels=torch.tensor([0.0] * bags + [1.0] * bags))


class OnlyRgb(dict):
    """Streams that complain when any but rgb is looked at."""

    def __missing__(self, name):
        raise AssertionError(f"scoring asked for {name}")


# ------------------------------------------------------------------------------------------------- size and shape


def test_the_paper_profile_has_the_published_budget():
    assert executed_weights(PiVad(PUBLISHED), PUBLISHED) == 82_809_857
    assert executed_weights(UrDmu({"rgb": 1024}), PUBLISHED) == 6_164_737


def test_the_light_profile_is_small():
    assert executed_weights(PiVad(PUBLISHED, PiVadConfig(profile="light")), PUBLISHED) < 2.5 * 6_164_737


def test_an_inductor_fits_between_any_two_layers_and_knows_no_method():
    torch.manual_seed(0)
    widths = {"pose": 3, "smell": 2}
    network = nn.Sequential(nn.Linear(5, 12), PolyModalInductor(12, widths, dataclasses.replace(TINY, heads=3)))
    given = network(torch.randn(2, 7, 5))
    assert given.output.shape == given.rgb.shape == (2, 7, 12)
    assert given.modalities.shape == (2, 7, 5)


@pytest.mark.parametrize("modalities", [("flow",), ("text", "pose"), ("audio",)])
def test_any_subset_of_modalities_of_any_width(modalities):
    widths = {"rgb": 10, "audio": 2} | WIDTHS
    method = PiVad(widths, dataclasses.replace(TINY, modalities=modalities))
    assert method.learns_from == ("rgb", *modalities)
    given = {name: torch.randn(4, 6, widths[name]) for name in method.learns_from}
    parts = method.l_second(Batch(streams=given, labels=torch.tensor([0.0, 0.0, 1.0, 1.0])))
    assert parts["total"].isfinite()
    assert set(method.attributions({"rgb": given["rgb"]})) == set(modalities)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"modalities": ()}, "one or more other than rgb"),
        ({"modalities": ("rgb",)}, "other than rgb"),
        ({"modalities": ("pose", "pose")}, "each once, not 'pose,pose'"),
        ({"after": (3,)}, "stages 0 to 2, not \\[3\\]"),
        ({"after": ()}, "one or more of the stages"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(fields, says):
    with pytest.raises(UsageError, match=says):
        dataclasses.replace(TINY, **fields)


def test_without_a_projection_widths_must_agree():
    config = dataclasses.replace(TINY, align_projection=False, modalities=("pose",))
    with pytest.raises(UsageError, match=r"every modality must be 16 wide, not .'pose': 3."):
        PiVad(WIDTHS, config)
    assert not list(PiVad({"rgb": 10, "pose": 16}, config).late.align.parameters())


# --------------------------------------------------------------------------------------------------------- losses


def test_pmg_is_the_mean_square_of_each_modality_summed():
    made = {"pose": torch.randn(2, 3, 4), "flow": torch.randn(2, 3, 6)}
    real = {j: torch.randn_like(e) for j, e in made.items()}
    expected = 0.0
    for j, e in made.items():
        for n in range(2):
            for t in range(3):
                d = e.shape[-1]
                expected += sum(float(e[n, t, k] - real[j][n, t, k]) ** 2 for k in range(d)) / d / 6
    assert float(l_pmg(made, real)) == pytest.approx(expected, rel=1e-5)


def test_distill_is_the_mean_square():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert float(l_distill(a, b)) == pytest.approx(float(((a - b) ** 2).sum()) / 24, rel=1e-5)


def test_infonce_of_equal_embeddings_is_the_logarithm_of_the_candidates():
    x = torch.ones(2, 200, 8)
    assert float(l_infonce(x, x, tau=0.07)) == pytest.approx(math.log(200), rel=1e-5)
    assert float(l_infonce(x, x, tau=0.07, exclude_positive=True)) == pytest.approx(math.log(199), rel=1e-5)


def test_infonce_of_aligned_orthonormal_rows():
    x = torch.eye(200)[None]
    expected = math.log(1 + 199 * math.exp(-1 / 0.07))
    assert expected == pytest.approx(1.2e-4, rel=0.05)
    assert float(l_infonce(x, x, tau=0.07)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("direction", ["both", "rgb-to-modality"])
@pytest.mark.parametrize("copies", [False, True])
def test_infonce_against_a_loop(exclude, direction, copies):
    torch.manual_seed(0)
    x, e = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    number = [[0, 0, 1, 2, 2], [0, 1, 2, 3, 4]] if copies else [range(5)] * 2
    same = torch.tensor([[[a == b for b in row] for a in row] for row in number])
    terms = []
    for n in range(2):
        cosine = [[float(F.cosine_similarity(x[n, i], e[n, k], dim=0)) / 0.1 for k in range(5)] for i in range(5)]
        for i in range(5):
            keep = [k for k in range(5) if (not same[n, i, k] if k != i else not exclude)]
            rows = [[cosine[i][k] for k in keep]]
            if direction == "both":
                rows.append([cosine[k][i] for k in keep])
            each = [math.log(sum(map(math.exp, row))) - cosine[i][i] for row in rows]
            terms.append(sum(each) / len(each))
    found = l_infonce(x, e, tau=0.1, exclude_positive=exclude, direction=direction, same_NTT=same)
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


@pytest.mark.parametrize("exclude", [False, True])
def test_infonce_of_one_snippet_is_nothing(exclude):
    x = torch.randn(3, 1, 4, requires_grad=True)
    loss = l_infonce(x, torch.randn(3, 1, 4), tau=0.07, exclude_positive=exclude)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert x.grad is not None and x.grad.isfinite().all()


def test_copies_of_a_snippet_are_known_by_their_features():
    x = torch.randn(1, 6, 3)[:, [0, 0, 1, 2, 2, 0]]
    same = same_snippet(x)[0]
    assert torch.equal(same[0], torch.tensor([1, 1, 0, 0, 0, 0], dtype=torch.bool))
    assert torch.equal(same[3], torch.tensor([0, 0, 0, 1, 1, 0], dtype=torch.bool))
    assert torch.equal(same, same.T)


@pytest.mark.parametrize("loss", ["pmg", "distill", "infonce", "literal"])
def test_gradients_of_each_loss(loss):
    torch.manual_seed(0)
    a, b = (torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    functions = {
        "pmg": lambda a, b: l_pmg({"pose": a}, {"pose": b}),
        "distill": l_distill,
        "infonce": lambda a, b: l_infonce(a, b, tau=0.3),
        "literal": lambda a, b: l_infonce(a, b, tau=0.3, exclude_positive=True, direction="rgb-to-modality"),
    }
    assert torch.autograd.gradcheck(functions[loss], (a, b))


def test_the_second_step_weighs_align_and_distill_and_never_pmg():
    config = dataclasses.replace(
        TINY, lambda1=0.25, lambda2=3.0, dropout=0.0, ur_dmu=dataclasses.replace(BASE, dropout=0)
    )
    method = build(config)
    with torch.no_grad():
        first, second = method.l_first(batch()), method.l_second(batch())
    assert float(second["pmg"]) == pytest.approx(float(first["pmg"]), rel=1e-5)
    assert float(second["align"]) == pytest.approx(0.25 * float(first["align"]), rel=1e-5)
    assert float(second["distill"]) == pytest.approx(3 * float(first["distill"]), rel=1e-5)
    assert set(second) == {"cls", "dm", "triplet", "kl", "distance", "pmg", "align", "distill", "total"}
    alone = build(dataclasses.replace(config, mil="classification")).l_second(batch())
    assert set(alone) == {"cls", "pmg", "align", "distill", "total"}


def test_losses_in_half_precision_stay_close():
    method, given = build(dataclasses.replace(TINY, dropout=0.0, ur_dmu=dataclasses.replace(BASE, dropout=0))), batch()
    with torch.no_grad():
        exact = method.l_first(given)
        with torch.autocast("cpu", torch.bfloat16):
            rough = method.l_first(given)
    assert all(part.dtype == torch.float32 for part in rough.values())
    assert {name: float(part) for name, part in rough.items()} == pytest.approx(
        {name: float(part) for name, part in exact.items()}, rel=0.01
    )


def test_the_parts_are_sums_over_both_inductors():
    config = dataclasses.replace(TINY, dropout=0.0, ur_dmu=dataclasses.replace(BASE, dropout=0))
    method, given = build(config).eval(), batch()
    with torch.no_grad():
        _, induced = method.walk(given.streams["rgb"])
    taught = method.teacher_features(given.streams["rgb"])
    expected = sum(float(((one.output - t) ** 2).mean()) for one, t in zip(induced, taught, strict=True))
    assert len(induced) == len(taught) == 2
    assert float(method.l_first(given)["distill"].detach()) == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------------------------- what may and may not be touched


def test_scoring_touches_rgb_alone():
    method, given = build().eval(), streams(2, 7)
    alone = OnlyRgb(rgb=given["rgb"])
    assert torch.equal(method(alone), method(given))
    assert torch.equal(method.compact()(alone), method(given))
    for shares in method.attributions(alone).values():
        assert shares.shape == (2, 7)


def test_the_teacher_is_still_and_neither_learns_nor_drops():
    method, given = build().train(), batch()
    before = {key: value.clone() for key, value in method.teacher.state_dict().items()}
    once, again = (method.teacher_features(given.streams["rgb"]) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    for phase in method.phases()[1:]:
        optimizer = phase.optimizer(phase.parameters, lr=0.1)
        phase.loss(given)["total"].backward()
        assert all(p.grad is None for p in method.teacher.parameters())
        optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in method.teacher.state_dict().items())


def test_warm_up_leaves_memories_and_head_alone():
    method = build().train()
    warm_up = method.phases()[1]
    assert warm_up.name == "warm-up"
    before = {key: value.clone() for key, value in method.student.state_dict().items()}
    optimizer = warm_up.optimizer(warm_up.parameters, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        warm_up.loss(batch())["total"].backward()
        optimizer.step()
    moved = {
        key.split(".")[0] for key, value in method.student.state_dict().items() if not torch.equal(value, before[key])
    }
    assert moved == {"embedding", "blocks"}


def test_early_alone_warms_up_the_embedding_alone():
    method = build(dataclasses.replace(TINY, after=(0,)))
    warmed = {id(p) for p in method.phases()[1].parameters}
    assert {id(p) for p in method.student.embedding.parameters()} <= warmed
    assert not {id(p) for p in method.student.blocks.parameters()} & warmed


def test_a_trained_teacher_is_taken_over_and_not_trained_again():
    method, teacher = build(seed=0), UrDmu({"rgb": 10}, BASE)
    assert [phase.name for phase in method.phases()] == ["teacher", "warm-up", "main"]
    method.teach(teacher)
    assert [phase.name for phase in method.phases()] == ["warm-up", "main"]
    x = torch.randn(2, 5, 10)
    torch.testing.assert_close(method.teacher_features(x)[-1], teacher.eval().encode(x))


# ---------------------------------------------------------------------------------------------- folded for scoring


@both_profiles
@pytest.mark.parametrize("length", [1, 2, 3, 20])
@pytest.mark.parametrize("fields", [{}, {"encoder_relu": False}, {"decoder_kernel": 5, "encoder_kernel": 3}])
def test_the_folded_method_scores_alike(config, length, fields):
    method, given = build(dataclasses.replace(config, **fields)).eval(), streams(2, length)
    for inductor in method.placed.values():  # biases that would be seen if the zeros at the border had them
        for linear in inductor.pmg.linears:
            nn.init.normal_(linear.bias)
    before = (
        method(given),
        method.attributions(given),
        method.reconstruction(given),
        method.scores(given, silenced=("mask",)),
    )
    method.compact()
    after = (
        method(given),
        method.attributions(given),
        method.reconstruction(given),
        method.scores(given, silenced=("mask",)),
    )
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(old, new, atol=1e-5, rtol=0)
    assert method.teacher is None


# ---------------------------------------------------------------------------------------------------- explanations


@both_profiles
def test_shares_sum_to_one_and_follow_what_is_there(config):
    method, given = build(config).eval(), streams(2, 7)
    shares = torch.stack(list(method.attributions(given).values()))
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(2, 7))
    late, e_NTS = method.late, torch.randn(2, 7, 25)
    if not len(late.cmi.wide):  # the flow's part of the projection alone
        silent = torch.cat([e * (j == "flow") for j, e in late.split(e_NTS).items()], dim=-1)
        torch.testing.assert_close(late.activations(silent)[..., 3], torch.ones(2, 7))


def test_shares_are_those_of_the_first_wide_block():
    method, e_NTS = build().eval(), torch.randn(1, 4, 25)
    late = method.late
    h = F.layer_norm(late.cmi.wide[0](e_NTS), (25,)).abs()[0]
    starts = [0, 3, 7, 12, 18, 25]
    means = torch.stack([h[:, a:b].mean(-1) for a, b in itertools.pairwise(starts)], dim=-1)
    torch.testing.assert_close(late.activations(e_NTS)[0], means / means.sum(-1, keepdim=True))


def test_reconstruction_is_the_error_of_each_modality_beside_that_of_the_mean():
    method, given = build().eval(), streams(1, 6)
    with torch.no_grad():
        (_, late) = method.walk(given["rgb"])[1]
        found = method.reconstruction(given)
    for j, e in method.late.split(late.modalities).items():
        error, mean = found[j]
        torch.testing.assert_close(error, ((e - given[j]) ** 2).mean(-1))
        torch.testing.assert_close(mean, (given[j] ** 2).mean(-1))


def test_true_modalities_are_limited():
    given = streams(2, 7) | {"flow": torch.full((2, 7, 6), 50.0)}
    limited = given | {"flow": torch.full((2, 7, 6), 2.0)}
    for clip, alike in ((2.0, True), (None, False)):
        method = build(dataclasses.replace(TINY, clip=clip)).eval()
        assert torch.equal(method.reconstruction(given)["flow"][0], method.reconstruction(limited)["flow"][0]) == alike


def test_true_modalities_take_the_place_of_those_made_up():
    method, given = build().eval(), streams(2, 7)
    other = given | {"flow": given["flow"] + 1}
    assert torch.equal(method(given), method(other))
    assert not torch.allclose(method.scores(given, real=True), method.scores(other, real=True))
    literal = build(dataclasses.replace(TINY, auxiliary=("align", "distill"))).eval()
    assert literal.runs_on == tuple(WIDTHS)
    assert not torch.allclose(literal(given), literal(other))
    with pytest.raises(KeyError):
        literal(OnlyRgb(rgb=given["rgb"]) | {})


def test_true_modalities_are_shared_by_crops():
    method = build(dataclasses.replace(TINY, auxiliary=("align", "distill"))).eval()
    given = streams(2, 7)
    crops = torch.randn(2, 3, 7, 10)
    each = [method(given | {"rgb": crops[:, crop]}) for crop in range(3)]
    torch.testing.assert_close(method(given | {"rgb": crops}), torch.stack(each).mean(0))
