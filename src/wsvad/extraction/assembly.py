"""Long videos on their way through an engine: divided, encoded in slices side by side, joined."""

import logging
from collections import deque
from dataclasses import dataclass, replace

from wsvad.extraction.jobs import Divided, Events, Finished, Job
from wsvad.extraction.slices import Joining, Slice

logger = logging.getLogger(__name__)


@dataclass
class _Open:
    """A video of which slices are not done yet."""

    divided: Divided
    left: int


def assembled(events: Events, jobs: deque[Job]) -> Events:
    """The events of an engine as if every video were one job.

    Args:
        jobs: what the engine takes its jobs from.
    """
    under_way: dict[str, _Open] = {}
    for event in events:
        if not isinstance(event, Finished) or event.fatal:
            yield event
        elif event.divided is not None:
            joining = event.divided.joining
            under_way[event.video] = _Open(event.divided, len(joining.pieces))
            slices = [Slice(piece=piece, origin=joining.origin) for piece in joining.pieces]
            jobs.extendleft(replace(event.divided.job, task=one) for one in reversed(slices))
        elif event.task is None:
            yield event
        elif event.reason is not None:  # as a whole, then: what is wrong with it will be said of that
            if opened := under_way.pop(event.video, None):
                logger.info("%s; the video is encoded as a whole", event.reason)
                others = [job for job in jobs if job.video != event.video]
                jobs.clear()
                jobs.extend(others)
                jobs.appendleft(replace(opened.divided.job, divisible=False))
        elif isinstance(event.task, Joining):
            under_way.pop(event.video)
            yield event
        elif opened := under_way.get(event.video):
            opened.left -= 1
            if not opened.left:
                jobs.appendleft(replace(opened.divided.job, task=opened.divided.joining))
