"""A verb on several devices: one process each, of which rank 0 speaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsvad.errors import UsageError


@contextmanager
def on_devices(devices: int | None, protocol: Any) -> Iterator[tuple[Any, Any]]:
    """Work as one of several ranks, where this process is one.

    Yields:
        The team, which is None on one device, and the protocol with the device of this rank.

    Raises:
        UsageError: there are to be other than so many.
        RankLost: a rank is gone.
    """
    from dataclasses import replace

    from wsvad.cli.main import told
    from wsvad.training.ranks import join, place
    from wsvad.training.team import RankLost

    here = place()
    if here is None:
        yield None, protocol
        return
    if devices not in (None, here.ranks):
        raise UsageError(f"--devices {devices}: torchrun started {here.ranks} processes; leave the option out")
    device = here.device(protocol.device)
    team = join(here, device)
    try:
        yield team, replace(protocol, device=device)
    except RankLost:
        raise
    except Exception as error:
        if not team.leads:
            team.failed(told(error))
        raise
    team.end()
