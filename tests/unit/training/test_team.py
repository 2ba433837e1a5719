"""Ranks among themselves: notes, who is missed, what cannot be shared."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from wsvad.errors import UsageError
from wsvad.layers.dropout import Dropout
from wsvad.layers.share import each_bag, sharing, total_of, whole_of
from wsvad.methods import METHODS
from wsvad.training import ranks, team
from wsvad.training.fitting import Fitting
from wsvad.training.protocol import Protocol
from wsvad.training.team import AGAIN, RankLost, Team, buckets, notes_of, shareable


@pytest.fixture
def teams(tmp_path, monkeypatch) -> list[Team]:
    """Three ranks that could leave notes for each other."""
    monkeypatch.setattr(team, "GRACE", 0.2)
    path = str(tmp_path / "store")
    return [Team(rank, 3, notes_of(dist.FileStore(path)), patience=7) for rank in range(3)]


def test_jobs_come_in_order_and_the_last_one_is_the_end(teams):
    teams[0].send({"seed": 1})
    teams[0].send({"seed": 2})
    assert teams[1].await_job() and teams[1].await_job()
    teams[1].end()
    teams[2].end()
    teams[0].end()
    assert [teams[1].next_job(), teams[1].next_job(), teams[1].next_job()] == [{"seed": 1}, {"seed": 2}, {}]
    assert not (teams[2].next_job() and teams[2].next_job() and teams[2].await_job())


def test_a_rank_that_failed_is_named_with_its_reason_by_all_who_wait(teams):
    teams[2].failed("the GPU's memory ran out")
    for waiting in (teams[0].meet, teams[1].await_job):
        with pytest.raises(RankLost, match=r"^rank 2 of 3: the GPU's memory ran out$"):
            waiting()


def test_what_connects_ranks_breaks_and_the_one_that_is_gone_is_named(teams):
    teams[1].store.set("here/1", "")
    said = "^rank 2 of 3: its process is gone, or did not answer for 7 s; " + AGAIN
    with pytest.raises(RankLost, match=said), teams[0].together():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:6341")
    teams[2].store.set("here/2", "")
    with pytest.raises(RankLost, match=r"^rank 0 of 3: the ranks lost each other"), teams[0].together():
        raise RuntimeError("NCCL communicator was aborted")


def test_an_error_of_what_ranks_compute_stays_what_it_is(teams):
    with pytest.raises(RuntimeError, match="mat1 and mat2"), teams[0].together():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_a_batch_that_has_no_bag_for_a_rank_is_refused(teams):
    (phase,) = METHODS["mil"]({"rgb": 4}).phases()
    teams[0].check([replace(phase, bags=2)])
    with pytest.raises(UsageError, match="--devices 3: the batches of phase 'train' have 2 bags; use up to 2 devices"):
        teams[0].check([phase, replace(phase, bags=1)])


def test_all_our_methods_can_be_shared_and_one_with_layers_of_torch_is_computed_whole():
    for name in ("dakd", "linear", "mil", "pi-vad", "refinevad", "rtfm", "ur-dmu"):
        kind = METHODS[name]
        assert shareable(kind(dict.fromkeys((*kind.learns_from, *kind.runs_on), 8))), name
    assert not shareable(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)))
    assert not shareable(nn.Sequential(nn.BatchNorm1d(2)))
    assert not shareable(nn.LSTM(2, 2, num_layers=2, dropout=0.1))
    assert shareable(nn.Sequential(Dropout(0.1), nn.LSTM(2, 2), nn.MultiheadAttention(2, 1)))


def test_buckets_keep_the_order_and_never_mix_types(monkeypatch):
    monkeypatch.setattr(team, "BUCKET", 5)
    sizes = [(2, torch.float32), (3, torch.float32), (1, torch.float32), (9, torch.float32), (1, torch.int64)]
    tensors = [torch.zeros(size, dtype=dtype) for size, dtype in sizes]
    found = list(buckets(tensors))
    assert [[len(tensor) for tensor in bucket] for bucket in found] == [[2, 3], [1], [9], [1]]
    assert list(buckets([])) == []


# ------------------------------------------------------------------------------------------------------- without ranks


def test_without_ranks_and_with_fewer_bags_than_ranks_all_bags_are_computed_here():
    x = torch.randn(2, 3)
    seen: list[Any] = []

    def function(given: torch.Tensor) -> torch.Tensor:
        seen.append((given is x, whole_of(given.shape), total_of(given) is given))
        return given

    assert each_bag(function, x) is x
    with sharing(1, 3):
        assert each_bag(function, x) is x
    assert seen == [(True, ((2, 3), ...), True)] * 2


# ------------------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize(
    ("devices", "device", "says"),
    [
        (3, "cuda", "--devices 3: this machine has 2 GPUs"),
        (2, "cuda:1", "--device cuda:1 is one device, and there are to be 2; use --device cuda"),
        (2, "mps", "--device mps is one device, and there are to be 2; leave --devices out, or use --device cpu"),
        (5, "cpu", "--devices 5: this machine has 4 processors"),
    ],
)
def test_more_devices_than_there_are_is_an_error(devices, device, says, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(ranks, "processors", lambda: 4)
    with pytest.raises(UsageError, match=says):
        ranks.wanted(devices, device)


def test_as_many_as_there_are_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(ranks, "processors", lambda: 4)
    wanted = [(None, "mps"), (1, "cuda:1"), (2, "cuda"), (4, "cpu")]
    assert [ranks.wanted(*one) for one in wanted] == [1, 1, 2, 4]


def test_each_rank_has_its_own_gpu(monkeypatch):
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert ranks.Place(5, 6, 1).device("cuda") == "cuda:1" and taken == [1]
    assert ranks.Place(5, 6, 3).device("cpu") == "cpu"
    with pytest.raises(UsageError, match="rank 2 of 6 has no GPU of its own: this machine has 2"):
        ranks.Place(2, 6, 2).device("cuda")


# ------------------------------------------------------------------------------------------------------------- a fit


def test_a_rank_follows_with_the_streams_that_rank_0_kept(teams, monkeypatch):
    """Under `--streams auto`, which rank 0 alone decides."""
    config = METHODS["mil"].config_class(streams=("rgb", "flow"))
    fitting = Fitting(
        dataset=None, features=None, name="mil", config=config, protocol=Protocol(device="cpu"), team=teams[1]
    )  # type: ignore[arg-type]
    done: list[Any] = []
    monkeypatch.setattr(Fitting, "build", lambda self, seed: seed)
    monkeypatch.setattr(Fitting, "fit", lambda self, *given: done.append((self.config.streams, *given[:3], given[5])))
    for streams in (["rgb", "flow"], ["rgb"]):
        fit = {"seed": 4, "checkpoint": "a/b", "without": ["v1"], "points": None, "changed": {"streams": streams}}
        teams[0].send(fit)
    teams[0].send({})
    fitting.follow()
    assert [(streams, str(path), out) for streams, _, _, path, out in done] == [
        (("rgb", "flow"), "a/b", {"v1"}),
        (("rgb",), "a/b", {"v1"}),
    ]
