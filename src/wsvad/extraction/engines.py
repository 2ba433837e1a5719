"""Which engine somebody asks for by name: `local`, `ray`, `ray://HOST:PORT`."""

from wsvad.device import device_of
from wsvad.errors import UsageError
from wsvad.extraction.cluster import Ray
from wsvad.extraction.jobs import Engine
from wsvad.extraction.workers import Local
from wsvad.ranges import Whole, problem


def engine_of(
    name: str = "local",
    *,
    workers: int | None = None,
    device: str = "auto",
    cpus: float | None = None,
    gpus: float | None = None,
) -> Engine:
    """The engine of a name.

    Args:
        workers: processes of this machine (None = one for each processor, 0 = work in this process), or actors of a
            cluster (None = as many as it has room for).
        device: where networks run, as PyTorch names it, or `auto`.
        cpus, gpus: what an actor of a cluster takes; one processor and no GPU by default.

    Raises:
        UsageError: there is no such engine, or what it is to have does not go with it; this machine has no such device.
    """
    if said := problem(workers, Whole):
        raise UsageError(f"workers {workers}: {said}")
    if name == "local":
        if cpus is not None or gpus is not None:
            raise UsageError("--cpus-per-worker and --gpus-per-worker are for --engine ray; leave them out")
        return Local(workers, device if device == "auto" else device_of(device))
    kind, separator, address = name.partition("://")
    if kind != "ray" or (separator and not address):
        raise UsageError(f"--engine {name}: there is no such engine; write local, ray or ray://HOST:PORT")
    if workers == 0:
        raise UsageError("--workers 0: a cluster has at least one worker; leave it out, or write --engine local")
    return Ray(address, workers=workers, cpus=1 if cpus is None else cpus, gpus=gpus or 0, device=device)
