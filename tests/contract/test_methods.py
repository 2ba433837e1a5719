"""What holds for every registered method, whatever its paper."""

import ast
import dataclasses
import inspect
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from wsvad.methods import METHODS
from wsvad.methods.method import NORMALISATIONS, Batch, Phase
from wsvad.methods.ur_dmu import UrDmuConfig

WIDTH = 6
SMALL: dict[str, dict[str, Any]] = {
    "linear": {"mil": True},
    "mil": {"hidden": (16, 8)},
    "rtfm": {"hidden": 16, "head": (16, 8)},
    "ur-dmu": {"hidden": 16, "heads": 2, "feed_forward": 16, "abnormal_slots": 5, "normal_slots": 5, "head": 8},
    "dakd": {"projection": 8, "hidden": 16, "heads": 2, "head": (8, 4), "g": (8, 4)},
    "refinevad": {"hidden": 16, "heads": 2, "feed_forward": 16, "head": 8, "categories": ("fighting", "falling")},
}
SMALL["pi-vad"] = {"ur_dmu": UrDmuConfig(**SMALL["ur-dmu"]), "latent": 8, "heads": 2, "wide_heads": 2}
"""Configurations that train in no time; a method without a line here is tested with its defaults."""

every_method = pytest.mark.parametrize("name", list(METHODS))


def build(name: str, seed: int = 0, **fields: Any) -> Any:
    torch.manual_seed(seed)
    method_class = METHODS[name]
    widths = dict.fromkeys((*method_class.learns_from, *method_class.runs_on), WIDTH)
    method = method_class(widths, method_class.config_class(**SMALL.get(name, {}) | fields))
    for parameter in method.parameters():
        if parameter.requires_grad and not parameter.any():  # as a step of training leaves it
            torch.nn.init.normal_(parameter, std=0.1)
    return method


def streams(names: tuple[str, ...], *shape: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*shape, WIDTH, generator=generator) for name in names}


def batch(method: Any, segments: int, bags: int = 3, seed: int = 0) -> Batch:
    return Batch(
        streams=streams(method.learns_from, 2 * bags, segments, seed=seed),
        labels=torch.tensor([0.0] * bags + [1.0] * bags),
        categories=("normal",) * bags + ("fighting",) * bags,
    )


def trained(phase: Phase) -> list[torch.nn.Parameter]:
    """The phase's parameters, whether in groups or not."""
    each = [group["params"] if isinstance(group, dict) else [group] for group in phase.parameters]
    return [parameter for group in each for parameter in group]


# -------------------------------------------------------------------------------------------------------- scoring


@every_method
def test_it_is_built_with_and_without_a_configuration(name):
    method_class = METHODS[name]
    widths = dict.fromkeys((*method_class.learns_from, *method_class.runs_on), WIDTH)
    assert method_class(widths).config == method_class.config_class()
    assert build(name).config == method_class.config_class(**SMALL.get(name, {}))
    assert method_class.normalisation in NORMALISATIONS


@every_method
@pytest.mark.parametrize("length", [1, 2, 15, 16, 33])
@pytest.mark.parametrize("training", [False, True])
def test_scores_are_probabilities_at_any_length(name, length, training):
    method = build(name).train(training)
    scores = method(streams(method.runs_on, 3, length))
    assert scores.shape == (3, length)
    assert scores.dtype == torch.float32
    assert ((scores >= 0) & (scores <= 1)).all()


@every_method
@pytest.mark.parametrize("length", [1, 33])
def test_crops_are_averaged(name, length):
    method = build(name).eval()
    given = streams(method.runs_on, 2, 5, length)
    each = [method({stream: x[:, crop] for stream, x in given.items()}) for crop in range(5)]
    torch.testing.assert_close(method(given), torch.stack(each).mean(0))


@pytest.mark.parametrize("name", [name for name in METHODS if hasattr(METHODS[name], "newest")])
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("shape", [(2, 1), (1, 23), (2, 3, 23)])
def test_the_newest_snippet_alone_has_the_score_that_it_has_among_all(name, compact, shape):
    method = build(name).eval()
    method = method.compact() if compact else method
    given = streams(method.runs_on, *shape)
    with torch.inference_mode():
        torch.testing.assert_close(method.newest(given), method(given)[:, -1], rtol=0, atol=1e-6)


@every_method
def test_a_video_is_scored_alike_again_and_beside_others(name):
    method = build(name).eval()
    given = streams(method.runs_on, 4, 33)
    scores = method(given)
    assert torch.equal(method(given), scores)
    alone = method({stream: x[2:3] for stream, x in given.items()})
    torch.testing.assert_close(alone, scores[2:3], atol=1e-6, rtol=0)
    assert scores.std() > 0


@every_method
def test_a_saved_state_scores_the_same(name):
    method, other = build(name, seed=0).eval(), build(name, seed=1).eval()
    given = streams(method.runs_on, 2, 20)
    assert not torch.equal(method(given), other(given))
    other.load_state_dict(load(save(method.state_dict())))
    assert torch.equal(method(given), other(given))


@pytest.mark.parametrize("name", [name for name in METHODS if hasattr(METHODS[name], "class_scores")])
@pytest.mark.parametrize("length", [1, 2, 33])
def test_class_scores_share_out_the_score(name, length):
    method = build(name).eval()
    for shape in ((3, length), (2, 5, length)):
        given = streams(method.runs_on, *shape)
        shares = method.class_scores(given)
        assert shares.shape == (shape[0], length, len(method.config.named))
        assert ((shares >= 0) & (shares <= 1)).all()
        torch.testing.assert_close(shares.sum(-1), method(given))


@pytest.mark.parametrize("name", [name for name in METHODS if hasattr(METHODS[name], "class_scores")])
def test_what_explains_a_category_has_its_shape(name):
    method = build(name, **({"categories": ("a", "b", "c")} if name not in SMALL else {})).eval()
    categories = method.config.named
    assert set(method.config.categories) <= set(categories) and len(set(categories)) == len(categories)
    for shape in ((3, 7), (2, 5, 7)):
        given = streams(method.runs_on, *shape)
        if hasattr(method, "embeddings"):
            assert method.embeddings(given).shape == (shape[0], 7, method.prototypes.shape[1])
            assert len(method.prototypes) == len(categories)
        if hasattr(method, "shift"):
            ratio = method.shift(given)
            assert ratio.shape == (shape[0], 7) and ((ratio >= 0) & (ratio <= 1)).all()


# ------------------------------------------------------------------------------------------------------- learning


@every_method
def test_phases_say_what_an_optimiser_needs(name):
    method = build(name)
    phases = method.phases()
    assert phases
    assert len({phase.name for phase in phases}) == len(phases)
    own = {id(parameter) for parameter in method.parameters()}
    for phase in phases:
        assert min(phase.iterations, phase.segments, phase.bags) >= 1
        parameters = trained(phase)
        assert parameters
        assert {id(parameter) for parameter in parameters} <= own
        assert len({id(parameter) for parameter in parameters}) == len(parameters)


@every_method
@pytest.mark.parametrize("segments", [1, 2, 32])
def test_the_total_is_the_sum_of_finite_parts(name, segments):
    method = build(name).train()
    for phase in method.phases():
        parts = phase.loss(batch(method, segments))
        total = parts.pop("total")
        assert all(part.shape == () and part.isfinite() for part in parts.values())
        torch.testing.assert_close(total, sum(parts.values()))


@every_method
def test_gradients_reach_everything_that_a_phase_trains(name):
    """Within three steps: a block may begin as nothing, behind a weight of zero that opens with the first one."""
    method = build(name).train()
    for phase in method.phases():
        optimizer = torch.optim.SGD((p for p in method.parameters() if p.requires_grad), lr=1e-3)
        reached = dict.fromkeys((key for key, _ in method.named_parameters()), False)
        for seed in range(3):
            optimizer.zero_grad()
            phase.loss(batch(method, segments=24, seed=seed))["total"].backward()
            for key, p in method.named_parameters():
                reached[key] |= p.grad is not None and bool(p.grad.any())
            optimizer.step()
        trains = {id(parameter) for parameter in trained(phase)}
        assert [key for key, p in method.named_parameters() if id(p) in trains and not reached[key]] == []


@every_method
@pytest.mark.parametrize("segments", [1, 20])
def test_steps_of_each_phase_move_its_parameters_and_nothing_else(name, segments):
    method = build(name).train()
    for phase in method.phases():
        optimizer = phase.optimizer(phase.parameters, lr=phase.lr, weight_decay=phase.weight_decay, **phase.options)
        trains = {id(p) for group in optimizer.param_groups for p in group["params"]}
        before = {key: p.detach().clone() for key, p in method.named_parameters()}
        for seed in range(3):
            optimizer.zero_grad()
            phase.loss(batch(method, segments, seed=seed))["total"].backward()
            optimizer.step()
        assert all(p.isfinite().all() for p in method.parameters())
        moved = {key for key, p in method.named_parameters() if not torch.equal(p, before[key])}
        assert moved <= {key for key, p in method.named_parameters() if id(p) in trains}
        assert moved


# -------------------------------------------------------------------------------------------------- configuration


@every_method
def test_the_configuration_is_frozen_keyword_only_and_every_field_is_told(name):
    config_class = METHODS[name].config_class
    assert config_class.__dataclass_params__.frozen
    fields = dataclasses.fields(config_class)
    assert all(field.kw_only for field in fields)
    file = inspect.getsourcefile(config_class)
    assert file is not None
    (body,) = (
        node.body
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name == config_class.__name__
    )
    told = {
        node.target.id: after.value.value
        for node, after in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }  # fmt: skip
    assert [field.name for field in fields if not str(told.get(field.name, "")).strip()] == []
