"""Several processes, ranks, that train one method together, each on a device: how they meet, share and end.

Rank 0 does what one process does, and sends each fit to the others, which do nothing else. Nobody writes files or
prints but rank 0. All draw the same batches; `wsvad.layers.share` says who computes what of them.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from wsvad.errors import UsageError, WsvadError
from wsvad.layers.share import sharing
from wsvad.methods.method import Phase

logger = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds that a rank waits for the others within a step: they differ by how fast each is."""
GRACE = 10.0
"""Seconds in which it becomes known why a rank is gone, and in which ranks say goodbye."""
POLL = 0.02
BUCKET = 2**25
"""Numbers that are sent at a time."""
NOT_OURS = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


class RankLost(WsvadError):
    """Another rank is gone; what it was is said once, by rank 0."""


class Team:
    """This process among the ranks."""

    def __init__(self, rank: int, ranks: int, store: Any, patience: float = PATIENCE):
        """`store`: where all of them leave notes for each other, torch's."""
        self.rank, self.ranks, self.store, self.patience = rank, ranks, store, patience
        self._jobs = self._met = 0

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """`rank 1 of 2`, as in messages."""
        return rank_name(self.rank, self.ranks)

    # ------------------------------------------------------------------------------------------ notes

    def send(self, job: Mapping[str, Any]) -> None:
        """What the other ranks have to do next: JSON."""
        self.store.set(f"job/{self._jobs}", json.dumps(job))
        self._jobs += 1

    def next_job(self) -> dict[str, Any]:
        """What rank 0 sends next; however long that takes."""
        self.await_job()
        self._jobs += 1
        return dict(json.loads(self.store.get(f"job/{self._jobs - 1}")))

    def await_job(self) -> bool:
        """Wait until rank 0 has sent something; whether that is a fit, and not the end."""
        self._wait([f"job/{self._jobs}"])
        return bool(json.loads(self.store.get(f"job/{self._jobs}")))

    def meet(self) -> None:
        """Wait for all the others, however long they need for what is theirs alone.

        Raises:
            RankLost: one of them failed.
        """
        self._met += 1
        self.store.set(f"met/{self._met}/{self.rank}", "")
        self._wait([f"met/{self._met}/{rank}" for rank in range(self.ranks)])

    def end(self) -> None:
        """Say that there is no more to do; or, of another rank, that it has heard that."""
        if not self.leads:
            self.store.set(f"left/{self.rank}", "")
        else:
            self.send({})
            try:
                self._wait([f"left/{rank}" for rank in range(1, self.ranks)], GRACE)
            except RankLost:
                logger.debug("a rank was lost at the end", exc_info=True)
        if dist.is_initialized():
            dist.destroy_process_group()

    def failed(self, why: str) -> None:
        """Leave a note on why this rank ends."""
        self.store.set(f"failed/{self.rank}", why)

    def _wait(self, keys: Sequence[str], seconds: float | None = None) -> None:
        end = time.monotonic() + seconds if seconds is not None else None
        try:
            while not self.store.check(list(keys)):
                self._ask_after()
                if end is not None and time.monotonic() > end:
                    return
                time.sleep(POLL)
        except (RuntimeError, OSError) as error:
            raise RankLost(f"{self.name}: the ranks lost each other ({_short(error)}); {AGAIN}") from error

    def _ask_after(self) -> None:
        for rank in range(self.ranks):
            if rank != self.rank and self.store.check([f"failed/{rank}"]):
                raise RankLost(f"{rank_name(rank, self.ranks)}: {self.store.get(f'failed/{rank}').decode()}")

    # ------------------------------------------------------------------------------------------ steps

    def check(self, phases: Sequence[Phase]) -> None:
        """Stop at a batch that has not a bag for each rank.

        Raises:
            UsageError: there is one.
        """
        for phase in phases:
            if (bags := 2 * phase.bags) < self.ranks:
                raise UsageError(
                    f"--devices {self.ranks}: the batches of phase '{phase.name}' have {bags} bags; use up to {bags} "
                    "devices, or more --bags"
                )

    @contextmanager
    def step(self, method: nn.Module) -> Iterator[None]:
        """In the block a batch is shared, as far as the method's loss sends it through `each_bag`.

        Raises:
            RankLost: a rank is gone, or does not answer.
        """
        with self.together():
            if not shareable(method):
                yield
                return
            with sharing(self.rank, self.ranks):
                yield

    def average(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients of all ranks → their mean, on all of them."""
        each = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        with self.together():
            for bucket in buckets(each):
                flat = torch.cat([grad.reshape(-1) for grad in bucket])
                dist.all_reduce(flat)
                put_back(flat / self.ranks, bucket)

    def begin(self, method: nn.Module) -> None:
        """Before the first step of a phase: wait for all ranks, and give all of them rank 0's weights, buffers and
        random numbers.

        Raises:
            RankLost: one of them failed.
        """
        self.meet()
        with self.together():
            for bucket in buckets(list(method.state_dict().values())):
                flat = torch.cat([value.reshape(-1) for value in bucket])
                dist.broadcast(flat, 0)
                put_back(flat, bucket)
        self.draw_alike(method)

    def draw_alike(self, method: nn.Module) -> None:
        """Wait for all ranks, and go on with the random numbers of rank 0, whatever was drawn since the last step.

        Raises:
            RankLost: one of them failed.
        """
        self.meet()
        device = next(method.parameters()).device
        with self.together():
            state = torch.get_rng_state().to(device)
            dist.broadcast(state, 0)
            torch.set_rng_state(state.cpu())
            if device.type == "cuda":
                state = torch.cuda.get_rng_state(device).to(device)
                dist.broadcast(state, 0)
                torch.cuda.set_rng_state(state.cpu(), device)

    @contextmanager
    def together(self) -> Iterator[None]:
        """In the block ranks need each other. What a library says when one is gone becomes a sentence that names it."""
        try:
            yield
        except RuntimeError as error:
            if not _of_transport(error):
                raise
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> RankLost:
        """Who is gone: it left a note, or whoever started it did, or it is the one that does not say that it is there
        when all others have given up too."""
        end = time.monotonic() + GRACE
        try:
            self.store.set(f"here/{self.rank}", "")
            while time.monotonic() < end and not self.store.check([f"here/{rank}" for rank in range(self.ranks)]):
                self._ask_after()
                time.sleep(POLL)
            for rank in range(self.ranks):
                if not self.store.check([f"here/{rank}"]):
                    return RankLost(
                        f"{rank_name(rank, self.ranks)}: its process is gone, or did not answer for "
                        f"{self.patience:.0f} s; {AGAIN}"
                    )
        except RankLost as found:
            return found
        except (RuntimeError, OSError):
            pass  # the notes are gone too
        return RankLost(f"{self.name}: the ranks lost each other ({_short(error)}); {AGAIN}")


AGAIN = "run the same command again to resume"


def rank_name(rank: int, ranks: int) -> str:
    """`rank 1 of 2`, as in messages."""
    return f"rank {rank} of {ranks}"


def shareable(method: nn.Module) -> bool:
    """Whether nothing in a method draws or counts for a share alone, as torch's own dropout and batch norm do; the loss
    of one that does is computed whole on each rank."""
    for module in method.modules():
        if isinstance(module, NOT_OURS) and type(module).__module__.startswith("torch."):
            return False
        if isinstance(module, nn.MultiheadAttention | nn.RNNBase) and module.dropout:
            return False
    return True


def buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in groups of one type that are not too large, in order."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        size = sum(one.numel() for one in bucket) + tensor.numel()
        if bucket and (size > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@torch.no_grad()
def put_back(flat: Tensor, bucket: Sequence[Tensor]) -> None:
    """Numbers in a row → the tensors that they are of."""
    for tensor, values in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
        tensor.copy_(values.view_as(tensor))


def joined(rank: int, ranks: int, store: Any, device: str, patience: float = PATIENCE) -> Team:
    """Take a place among the ranks.

    Args:
        store: torch's, where they leave notes for each other.
        device: of this rank; GPUs send by NCCL, everything else by Gloo.
        patience: seconds.

    Raises:
        RankLost: the others did not come.
    """
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    try:
        dist.init_process_group(
            backend, store=dist.PrefixStore("torch", store), rank=rank, world_size=ranks,
            timeout=timedelta(seconds=patience),
        )  # fmt: skip
    except (RuntimeError, OSError) as error:
        raise RankLost(f"{rank_name(rank, ranks)}: the ranks did not find each other ({_short(error)})") from error
    return Team(rank, ranks, notes_of(store), patience)


def notes_of(store: Any) -> Any:
    """The part of a store in which ranks leave notes for each other."""
    return dist.PrefixStore("wsvad", store)


def _of_transport(error: RuntimeError) -> bool:
    """Whether an error is of what connects ranks, not of what they compute."""
    words = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        word in words for word in ("gloo", "nccl", "connection", "timed out", "broken pipe", "socket")
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
