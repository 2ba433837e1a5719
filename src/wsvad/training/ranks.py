"""The ranks of a command as processes: started and watched here, one a device, or started by torchrun.

Each is the same command line with its place in the environment, as torchrun gives it: RANK, WORLD_SIZE, LOCAL_RANK.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.workers import processors
from wsvad.interrupts import STORE, unheard
from wsvad.training.team import AGAIN, GRACE, PATIENCE, RankLost, Team, joined, notes_of, rank_name

POLL = 0.05


@dataclass(frozen=True)
class Place:
    """One rank of several."""

    rank: int
    ranks: int
    local: int
    """Its number on this machine."""

    def device(self, device: str) -> str:
        """Where it computes: of GPUs, each rank has one.

        Raises:
            UsageError: there is none for it.
        """
        _several(device, self.ranks)
        if not device.startswith("cuda"):
            return device
        import torch

        if self.local >= (there := torch.cuda.device_count()):
            raise UsageError(
                f"{rank_name(self.rank, self.ranks)} has no GPU of its own: this machine has {there}; start as many "
                "ranks, or use --device cpu"
            )
        torch.cuda.set_device(self.local)
        return f"cuda:{self.local}"


def place() -> Place | None:
    """Which of several ranks this process is; None where it is the only one.

    Raises:
        UsageError: the environment says it in part, or not in numbers.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if not all(name in os.environ for name in names):
        return None
    try:
        rank, ranks, local = (int(os.environ[name]) for name in names)
    except ValueError:
        said = ", ".join(f"{name}={os.environ[name]}" for name in names)
        raise UsageError(f"{said}: not numbers; start several ranks with --devices, or with torchrun") from None
    return Place(rank, ranks, local) if ranks > 1 else None


def wanted(devices: int | None, device: str) -> int:
    """How many ranks to start.

    Raises:
        UsageError: this machine has fewer devices.
    """
    if devices is None or devices == 1:
        return 1
    _several(device, devices)
    gpus = device.startswith("cuda")
    if gpus:
        import torch

        there = torch.cuda.device_count()
    else:
        there = processors()
    if devices > there:
        what = "GPU" if gpus else "processor"
        raise UsageError(f"--devices {devices}: this machine has {there} {what}{'s' if there > 1 else ''}")
    return devices


def _several(device: str, devices: int) -> None:
    if device not in ("cpu", "cuda"):
        which = device.partition(":")[0]
        remedy = f"use --device {which}" if which == "cuda" else "leave --devices out, or use --device cpu"
        raise UsageError(f"--device {device} is one device, and there are to be {devices}; {remedy}")


# ------------------------------------------------------------------------------------------------- as one of them


def join(place: Place, device: str) -> Team:
    """Meet the other ranks.

    Raises:
        RankLost: they did not come.
    """
    import torch.distributed as dist

    if path := os.environ.get(STORE):
        return joined(place.rank, place.ranks, dist.FileStore(path), device)
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=PATIENCE)))
    except (RuntimeError, ValueError, OSError) as error:
        raise RankLost(
            f"{rank_name(place.rank, place.ranks)}: the ranks did not find each other ({str(error).splitlines()[0]})"
        ) from error
    return joined(place.rank, place.ranks, store, device)


# --------------------------------------------------------------------------------------------------- around them


def start(command: Sequence[str], ranks: int) -> int:
    """Run a command line as so many ranks, and wait for their end.

    Args:
        command: words after `wsvad`.

    Returns:
        The exit status of rank 0, which alone prints.

    Raises:
        WsvadError: a rank ended in a way that none of them could explain.
    """
    import torch.distributed as dist

    with tempfile.TemporaryDirectory(prefix="wsvad-") as folder:
        path = Path(folder) / "store"
        notes, team = notes_of(dist.FileStore(str(path))), list[subprocess.Popen[bytes]]()
        try:
            with unheard():  # of Ctrl-C, which is for this process: it ends all of them, and none before it is known
                for rank in range(ranks):
                    team.append(_started(command, rank, ranks, path))
            return _watched(team, notes)
        finally:
            for process in team:
                process.kill()
            for process in team:
                process.wait()
                assert process.stdin is not None
                process.stdin.close()


def _started(command: Sequence[str], rank: int, ranks: int, path: Path) -> subprocess.Popen[bytes]:
    places = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, STORE: path}
    shared = {"OMP_NUM_THREADS": str(max(1, processors() // ranks))}
    loopback = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if loopback:  # nothing listens where other machines could hear it
        shared["GLOO_SOCKET_IFNAME"] = loopback.pop()
    environment = shared | os.environ | {name: str(value) for name, value in places.items()}
    # -P: no module is taken from the folder in which the command happens to be called
    words = [sys.executable, "-P", "-m", "wsvad", *command]
    return subprocess.Popen(words, stdin=subprocess.PIPE, env=environment)


def _watched(team: Sequence["subprocess.Popen[bytes]"], notes: Any) -> int:
    """Wait for rank 0. It says what happened to the others, from the notes that they, or this process, leave."""
    until, why = None, ""
    while (status := team[0].poll()) is None:
        for rank, process in enumerate(team):
            if process.poll() and not notes.check([f"failed/{rank}"]):
                notes.set(f"failed/{rank}", _ended(process.returncode))
            if process.poll() and until is None:
                until = time.monotonic() + 2 * GRACE
                why = f"{rank_name(rank, len(team))}: {notes.get(f'failed/{rank}').decode()}"
        if until is not None and time.monotonic() > until:  # it hangs in a call that no time-out ends
            raise WsvadError(why)
        time.sleep(POLL)
    if status < 0:
        raise WsvadError(f"{rank_name(0, len(team))}: {_ended(status)}")
    return status


def _ended(code: int) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"its process {how}{hint}; {AGAIN}"
