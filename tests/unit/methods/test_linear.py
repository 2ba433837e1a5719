"""`linear` beside scikit-learn's logistic regression, and its MIL and ranked forms and its smoothing beside loops."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from wsvad.datasets.bags import PackedBags
from wsvad.errors import UsageError
from wsvad.methods.linear import Linear, LinearConfig
from wsvad.methods.method import Batch
from wsvad.runs.normalisation import Normalisation
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol, under_budget

T, D = 6, 20


def bags(normal: int, abnormal: int) -> PackedBags:
    """Features whose dimensions go together and differ in size, as real ones do; a third of each abnormal video differs
    from the rest."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(normal + abnormal, T, D)) @ rng.normal(size=(D, D)) * np.logspace(-2, 2, D) + 5
    x[normal:, :2] += 0.7 * x.std((0, 1)) * rng.normal(size=D)
    return PackedBags(
        streams={"rgb": torch.from_numpy(x.astype(np.float32))},
        labels=torch.tensor([0] * normal + [1] * abnormal),
        categories=("",) * (normal + abnormal),
        videos=tuple(f"v{i}" for i in range(normal + abnormal)),
    )


def fitted(packed: PackedBags, normalisation: Normalisation, config: LinearConfig, seed: int = 0) -> Linear:
    method = Linear({"rgb": D}, config)
    videos = [type("Video", (), {"label": int(label)}) for label in packed.labels]
    phases = under_budget(method.phases(), Protocol(budget="data", device="cpu"), videos, T)  # type: ignore[arg-type]
    run_phases(method, phases, lambda segments: packed, normalisation, seed=seed)
    return method


@pytest.mark.parametrize(("normal", "abnormal"), [(20, 20), (10, 6)])
@pytest.mark.parametrize("weight_decay", [0.5, 0.05])
def test_its_weights_and_scores_are_scikit_learns(normal, abnormal, weight_decay):
    """Of the same snippets, each class weighing a half."""
    packed = bags(normal, abnormal)
    normalisation = Normalisation.fit({"rgb": "standardise"}, packed.streams)
    method = fitted(packed, normalisation, LinearConfig(weight_decay=weight_decay))

    x = normalisation(packed.streams)["rgb"]
    labels = np.repeat(packed.labels.numpy(), T)
    weights = np.where(labels, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    ours, snippets = method({"rgb": x}).detach().numpy().ravel(), x.reshape(-1, D).numpy()
    theirs = LogisticRegression(C=1 / weight_decay, tol=1e-8).fit(snippets, labels, sample_weight=weights)
    largest = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(method.weight.detach(), theirs.coef_[0], atol=0.01 * largest)
    np.testing.assert_allclose(ours, theirs.predict_proba(snippets)[:, 1], atol=0.01)
    assert ours.std() > 0.05


def test_a_seed_changes_next_to_nothing():
    packed = bags(10, 6)
    normalisation = Normalisation.fit({"rgb": "standardise"}, packed.streams)
    one, other = (fitted(packed, normalisation, LinearConfig(), seed) for seed in (0, 1))
    torch.testing.assert_close(one.weight, other.weight, atol=0.002, rtol=0)


def test_the_penalty_draws_the_weights_to_the_difference_of_the_means():
    packed = bags(20, 20)
    normalisation = Normalisation.fit({"rgb": "standardise"}, packed.streams)
    method = fitted(packed, normalisation, LinearConfig(weight_decay=1000.0))
    x = normalisation(packed.streams)["rgb"]
    means = x[20:].mean((0, 1)) - x[:20].mean((0, 1))
    torch.testing.assert_close(method.weight.detach() * 4 * 1000, means, rtol=0.05, atol=0.01)


def test_the_loss_is_the_mean_cross_entropy_of_all_snippets():
    method, x = Linear({"rgb": 3}), torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(method.weight)
    scores = method({"rgb": x}).tolist()
    expected = -sum(math.log(s if bag >= 2 else 1 - s) for bag in range(4) for s in scores[bag]) / 20
    parts = method.loss(Batch(streams={"rgb": x}, labels=torch.tensor([0.0, 0.0, 1.0, 1.0])))
    assert parts["total"].item() == pytest.approx(expected, rel=1e-5)


def test_in_its_mil_form_the_highest_snippets_alone_are_abnormal():
    method = Linear({"rgb": 3}, LinearConfig(mil=True, top_every=4))
    x = torch.randn(4, 9, 3, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(method.weight)
    scores = method({"rgb": x}).tolist()
    highest = [s for bag in scores[2:] for s in sorted(bag)[-3:]]  # 9 // 4 + 1
    normal = -sum(math.log(1 - s) for bag in scores[:2] for s in bag) / 18
    expected = (normal - sum(map(math.log, highest)) / 6) / 2
    parts = method.mil_loss(Batch(streams={"rgb": x}, labels=torch.tensor([0.0, 0.0, 1.0, 1.0])))
    assert parts["total"].item() == pytest.approx(expected, rel=1e-5)
    assert [phase.name for phase in method.phases()] == ["train", "mil"]
    assert [phase.name for phase in Linear({"rgb": 3}).phases()] == ["train"]


def test_in_its_ranked_form_the_lower_snippets_of_an_abnormal_bag_weigh_less():
    method = Linear({"rgb": 3}, LinearConfig(ranked=True))
    x = torch.randn(4, 9, 3, generator=torch.Generator().manual_seed(0))
    x[3, 4] = x[3, 5] = x[3, 7]  # as bins of a short video are
    torch.nn.init.normal_(method.weight)
    scores = method({"rgb": x}).tolist()
    normal = -sum(math.log(1 - s) for bag in scores[:2] for s in bag) / 18
    ranked = [zip(rankdata(np.float32(bag)), bag, strict=True) for bag in scores[2:]]
    abnormal = -sum(rank * math.log(s) for bag in ranked for rank, s in bag) / (2 * 9 * 10 / 2)
    parts = method.ranked_loss(Batch(streams={"rgb": x}, labels=torch.tensor([0.0, 0.0, 1.0, 1.0])))
    assert parts["total"].item() == pytest.approx((normal + abnormal) / 2, rel=1e-5)
    assert [phase.name for phase in method.phases()] == ["train", "ranked"]


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 4, 7, 3), (1, 1, 3)])
@pytest.mark.parametrize("smooth", [1e-300, 0.7, 1.5, 1e9])
def test_scores_are_smoothed_by_a_gaussian_over_snippets(shape, smooth):
    method, plain = Linear({"rgb": 3}, LinearConfig(smooth=smooth)), Linear({"rgb": 3})
    torch.nn.init.normal_(plain.weight)
    method.load_state_dict(plain.state_dict())
    streams = {"rgb": torch.randn(*shape, generator=torch.Generator().manual_seed(0))}
    rows = plain.logits(streams).detach().double().reshape(-1, shape[-2]).tolist()
    expected = []
    for row in rows:
        weights = [[math.exp(-(((i - j) / smooth) ** 2) / 2) if i != j else 1.0 for j in range(len(row))]
                   for i in range(len(row))] if smooth > 1e-9 else np.eye(len(row)).tolist()  # fmt: skip
        logits = [sum(w * z for w, z in zip(weight, row, strict=True)) / sum(weight) for weight in weights]
        expected.append([1 / (1 + math.exp(-z)) for z in logits])
    found = np.array(expected).reshape(shape[:-1])
    found = found.mean(1) if found.ndim == 3 else found
    np.testing.assert_allclose(method(streams).detach(), found, atol=1e-5)
    assert method(streams).shape == plain(streams).shape


def test_smoothing_changes_scores_alone():
    packed = bags(10, 6)
    normalisation = Normalisation.fit({"rgb": "standardise"}, packed.streams)
    one, other = (fitted(packed, normalisation, LinearConfig(ranked=True, smooth=smooth)) for smooth in (0.0, 1.5))
    torch.testing.assert_close(one.weight, other.weight, atol=0, rtol=0)


def test_streams_are_read_side_by_side():
    method = Linear({"rgb": 3, "pose": 2, "text": 9}, LinearConfig(streams=("pose", "rgb")))
    assert method.learns_from == method.runs_on == ("pose", "rgb")
    torch.nn.init.normal_(method.weight)
    streams = {"rgb": torch.randn(2, 4, 3), "pose": torch.randn(2, 4, 2)}
    joined = torch.cat([streams["pose"], streams["rgb"]], -1)
    torch.testing.assert_close(method(streams), (joined @ method.weight).sigmoid())


@pytest.mark.parametrize(
    "fields",
    [
        {"streams": ("rgb", "rgb")},
        {"weight_decay": 0.0},
        {"top_every": 0},
        {"smooth": -1.0},
        {"mil": True, "ranked": True},
    ],
)
def test_what_a_configuration_refuses(fields):
    with pytest.raises(UsageError):
        LinearConfig(**fields)


@pytest.mark.parametrize("videos", [16, 120, 3000])
def test_a_small_set_takes_as_many_steps_as_a_large_one(videos):
    each = [type("Video", (), {"label": i % 2}) for i in range(videos)]
    (phase,) = under_budget(Linear({"rgb": 3}).phases(), Protocol(budget="data", device="cpu"), each, 12)  # type: ignore[arg-type]
    assert phase.iterations == LinearConfig().iterations
