"""The loop on a small method: batches, resume, running away, what a run folder gives back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from wsvad.datasets.bags import PackedBags
from wsvad.datasets.dataset import Bag
from wsvad.errors import WsvadError
from wsvad.methods.mil import Mil, MilConfig
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs.model import TrainedMethod, load_method, save_method
from wsvad.runs.normalisation import LEVEL, Normalisation
from wsvad.runs.scorer import Scorer
from wsvad.runs.sealed import sealed
from wsvad.training import checkpoint
from wsvad.training.loop import Sampler, run_phases, set_rate

TINY = UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8, iterations=12, bags=3)


def packed(segments: int = 8, width: int = 6) -> PackedBags:
    generator = torch.Generator().manual_seed(0)
    return PackedBags(
        streams={"rgb": torch.randn(10, segments, width, generator=generator)},
        labels=torch.tensor([0, 1] * 5),
        categories=("normal", "fight") * 5,
        videos=tuple(f"v{i}" for i in range(10)),
    )


class Stop(Exception):
    """Stands for a kill."""


def train(checkpoint: Path | None = None, stop_after: int | None = None, seed: int = 0, dropout: float = 0.5, **kinds):
    torch.manual_seed(seed)
    method = UrDmu({"rgb": 6}, replace(TINY, dropout=dropout))
    first = replace(method.phases()[0], name="first", iterations=6)
    second = replace(method.phases()[0], name="second", iterations=10, lr=1e-2, final_lr=1e-3)
    steps = 0

    def at_step(phase, iteration, loss):
        nonlocal steps
        steps += 1
        if steps == stop_after:
            raise Stop

    history = run_phases(
        method, [first, second], lambda segments: packed(), Normalisation(kinds={"rgb": "none"}),
        seed=seed, points=3, at_step=at_step, checkpoint=checkpoint, **kinds,
    )  # fmt: skip
    return method, history


@pytest.mark.parametrize("share", [checkpoint.SHARE, math.inf])
@pytest.mark.parametrize("stop_after", [1, 2, 3, 6, 7, 11, 15])
def test_a_stopped_run_ends_in_the_same_weights(tmp_path, stop_after, share, monkeypatch):
    """However often a checkpoint was written."""
    monkeypatch.setattr(checkpoint, "SHARE", share)
    whole, history = train(tmp_path / "whole")
    with pytest.raises(Stop):
        train(tmp_path / "cut", stop_after)
    resumed, resumed_history = train(tmp_path / "cut")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert json.dumps(history) == json.dumps(resumed_history)


def test_a_checkpoint_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    """The first is written at once, in two seconds; one is due each second, and written forty seconds later."""
    now = 0.0

    def write(path, method, optimizer, place):
        nonlocal now
        now += 2
        written.append(place["at"])

    written: list[int] = []
    monkeypatch.setattr(checkpoint, "save_checkpoint", write)
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    kept = checkpoint.Checkpoints(tmp_path / "cut")
    for second in range(100):
        kept.save(None, None, {"at": second})
        now += 1
    assert written == [0, 40, 80]
    monkeypatch.setattr(checkpoint, "LONGEST", 10)
    for second in range(100, 140):
        kept.save(None, None, {"at": second})
        now += 1
    assert written[3:] == [120, 130], "of a slow disk, too, no more is lost"


def test_phases_run_in_order_and_stop_at_their_points():
    _, history = train()
    assert [(row["phase"], row["iteration"]) for row in history] == [
        ("first", 2), ("first", 4), ("first", 6), ("second", 3), ("second", 7), ("second", 10),
    ]  # fmt: skip


def test_the_rate_falls_along_half_a_cosine_where_a_phase_says_so():
    (phase,) = Mil({"rgb": 4}).phases()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    set_rate(optimizer, phase, 3)
    assert optimizer.param_groups[0]["lr"] == 0.5
    falling = replace(phase, lr=0.3, final_lr=0.1, iterations=8)
    found = []
    for iteration in (0, 2, 4, 8):
        set_rate(optimizer, falling, iteration)
        found.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(found, [0.3, 0.2 + 0.1 * np.sqrt(0.5), 0.2, 0.1])


def test_seeds_differ_and_repeat():
    a, b, c = (train(seed=seed)[0].state_dict()["embedding.weight"] for seed in (0, 1, 0))
    assert not torch.equal(a, b)
    assert torch.equal(a, c)


def test_bf16_stays_close_to_fp32():
    # Without dropout, whose masks come from other random numbers in another precision; and only while the learning rate
    # is low, because a high one soon makes any rounding large.
    exact, rough = (train(dropout=0.0, precision=kind)[1][:3] for kind in ("fp32", "bf16"))
    for one, other in zip(exact, rough, strict=True):
        assert one["loss"] != other["loss"]
        assert one["loss"]["total"] == pytest.approx(other["loss"]["total"], rel=0.02)


def test_the_sampler_sees_every_bag_once_a_round_and_puts_normal_first():
    sampler = Sampler(torch.arange(0, 7), torch.arange(100, 104), bags=3, seed=(1, 0))
    normal = torch.cat([sampler.rows(i)[:3] for i in range(7)]).tolist()
    abnormal = torch.cat([sampler.rows(i)[3:] for i in range(8)]).tolist()
    for start in range(0, 21, 7):
        assert sorted(normal[start : start + 7]) == list(range(7))
    for start in range(0, 24, 4):
        assert sorted(abnormal[start : start + 4]) == list(range(100, 104))
    assert normal[:7] != normal[7:14] or normal[7:14] != normal[14:]
    assert sampler.rows(5).tolist() == sampler.rows(5).tolist()


def test_a_loss_that_is_no_number_stops_the_run_with_its_parts():
    method = Mil({"rgb": 6}, MilConfig(iterations=3, bags=2))
    phase = replace(
        method.phases()[0], loss=lambda batch: {"a": torch.tensor(1.0), "total": method(batch.streams).sum() / 0}
    )
    with pytest.raises(WsvadError, match=r"training diverged in phase 'train' \(a 1, total (inf|nan)\)"):
        run_phases(method, [phase], lambda segments: packed(), Normalisation(kinds={"rgb": "none"}), seed=0)


def test_a_loss_that_refuses_scores_which_are_no_number_is_training_that_diverged():
    method = Mil({"rgb": 6}, MilConfig(iterations=3, bags=2))
    label = torch.ones(1)
    phase = replace(method.phases()[0], loss=lambda batch: {"total": F.binary_cross_entropy(label / 0, label)})
    with pytest.raises(WsvadError, match=r"^training diverged in phase 'train' \(scores are not finite\); lower"):
        run_phases(method, [phase], lambda segments: packed(), Normalisation(kinds={"rgb": "none"}), seed=0)


def altered(path: Path, change: str) -> None:
    """A checkpoint that is another one than was written."""
    with safe_open(path, framework="pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    place = json.loads(about["place"])
    match change:
        case "weights":
            name = next(name for name in tensors if name.startswith("method."))
            tensors[name] = tensors[name] * 0
        case "random":
            tensors["random"] = tensors["random"][:5]
        case "place":
            place["iteration"] += 1
        case "history":
            place["history"] = 1
        case "no hash":
            del place["sha256"]
    save_file(tensors, path, {"place": json.dumps(place)})


@pytest.mark.parametrize("change", ["weights", "random", "place", "history", "no hash"])
def test_a_checkpoint_that_is_not_as_it_was_written_is_named(tmp_path, change):
    with pytest.raises(Stop):
        train(tmp_path / "cut", stop_after=5)
    altered(tmp_path / "cut", change)
    with pytest.raises(WsvadError, match="cut: damaged, or not a checkpoint of wsvad; delete it"):
        train(tmp_path / "cut")


def test_a_checkpoint_of_another_method_is_named(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path / "cut", stop_after=5)
    method = Mil({"rgb": 6}, MilConfig(iterations=6, bags=2))
    with pytest.raises(WsvadError, match="cut: damaged, or not a checkpoint of wsvad; delete it"):
        run_phases(
            method, method.phases(), lambda segments: packed(), Normalisation(kinds={"rgb": "none"}), seed=0,
            checkpoint=tmp_path / "cut",
        )  # fmt: skip


def test_a_foreign_checkpoint_is_named(tmp_path):
    (tmp_path / "cut").write_bytes(b"something else")
    with pytest.raises(WsvadError, match="not a checkpoint of wsvad; delete it"):
        train(tmp_path / "cut")


# ------------------------------------------------------------------------------------------------ normalisation


@given(st.lists(st.integers(1, 600), min_size=1, max_size=3), st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_encoders_side_by_side_are_level_from_a_width_on(widths, scale):
    x = torch.randn(4, 8, sum(widths), generator=torch.Generator().manual_seed(0)) * scale + 5
    streams = {"rgb": x, "audio": x[..., :1], "l2": x}
    kinds = {"rgb": "standardise", "audio": "standardise", "l2": "l2"}
    found = Normalisation.fit(kinds, streams, {"rgb": widths, "l2": widths})(streams)
    for part, width in zip(found["rgb"].split(widths, dim=-1), widths, strict=True):
        size = part.square().mean((0, 1)).sqrt()  # of each dimension
        np.testing.assert_allclose(size, min(1, LEVEL / width), rtol=1e-3)
    np.testing.assert_allclose(found["audio"].square().mean(), 1, rtol=1e-3)
    np.testing.assert_allclose(found["l2"].norm(dim=-1), 1, rtol=1e-5)


def test_standardise_against_numpy_with_a_constant_dimension():
    x = packed().streams["rgb"].clone()
    x[..., 2] = 7.0
    y = Normalisation.fit({"rgb": "standardise"}, {"rgb": x})({"rgb": x})["rgb"].numpy()
    rows = x.numpy().reshape(-1, 6).astype(np.float64)
    std = rows.std(0)
    std[2] = 1
    np.testing.assert_allclose(y.reshape(-1, 6), (rows - rows.mean(0)) / std, rtol=1e-4, atol=1e-5)
    assert (y[..., 2] == 0).all()


def test_l2_gives_unit_vectors_and_leaves_zero_alone():
    x = packed().streams["rgb"].clone()
    x[0, 0] = 0
    y = Normalisation(kinds={"rgb": "l2"})({"rgb": x})["rgb"]
    norms = y.norm(dim=-1)
    assert norms[0, 0] == 0
    torch.testing.assert_close(norms.flatten()[1:], torch.ones(79))


# ----------------------------------------------------------------------------------------------- scoring, folders


def bag(snippets: int, seed: int, crops: int = 0) -> Bag:
    shape = (crops, snippets, 6) if crops else (snippets, 6)
    stream = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return Bag(streams={"rgb": stream}, label=0, category="normal", frames=16 * snippets, video=str(seed))


def test_bags_of_streamslengths_are_scored_as_if_alone_and_in_order():
    method = UrDmu({"rgb": 6}, TINY).eval()
    bags = [bag(t, i, crops=c) for i, (t, c) in enumerate([(5, 0), (1, 0), (5, 0), (40, 3), (5, 0), (1, 0), (40, 3)])]
    together = Scorer(method, Normalisation(kinds={"rgb": "l2"})).scores(bags)
    for one, scores in zip(bags, together, strict=True):
        alone = Scorer(method, Normalisation(kinds={"rgb": "l2"})).scores([one])[0]
        np.testing.assert_allclose(scores, alone, atol=1e-6)
        assert scores.shape == (one.snippets,)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    method = UrDmu({"rgb": 6}, TINY)
    normalisation = Normalisation.fit({"rgb": "standardise"}, packed().streams)
    save_method(tmp_path, TrainedMethod(name="ur-dmu", method=method, widths={"rgb": 6}, normalisation=normalisation))
    return tmp_path


def test_a_run_folder_gives_the_same_scores_back(run):
    loaded = load_method(run)
    assert loaded.method.config == TINY
    again = load_method(run)
    assert np.array_equal(*(Scorer.of(t).scores([bag(9, 0)])[0] for t in (loaded, again)))
    assert loaded.normalisation.mean["rgb"].shape == (6,)


def test_a_run_of_another_version_or_a_broken_one_is_told(run):
    told = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(told | {"format": 1, "versions": {"wsvad": "9.9"}}))
    with pytest.raises(WsvadError, match=r"run format 1, this is wsvad .* with formats 2 to 4; use wsvad 9.9"):
        load_method(run)
    (run / "model.json").write_text(json.dumps(sealed(told | {"widths": {"rgb": 7}})))
    with pytest.raises(WsvadError, match=r"model.safetensors: does not fit model.json"):
        load_method(run)
    (run / "model.json").write_text(json.dumps(told))
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WsvadError, match=r"model.safetensors: damaged, or not the weights that model.json belongs to"):
        load_method(run)
    with pytest.raises(WsvadError, match=r"not a finished run"):
        load_method(run / "nowhere")
