"""What Frigate knows of recordings: its events of a time, and how far back it knows any."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlencode

from wsvad.datasets.recordings import Happened, Recording, labelled
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.shapes import problems
from wsvad.sinks.frigate import MARK
from wsvad.sinks.frigate_server import Server

PAGE, MOST_BYTES = 500, 2**26
"""Events of one answer, and its bytes."""
DAY = 86_400.0
"""Seconds that an event may last."""


class _Event(TypedDict):
    id: str
    camera: str
    label: str
    start_time: float
    end_time: float | None
    sub_label: NotRequired[Any]
    data: NotRequired[Any]
    false_positive: NotRequired[Any]
    retain_indefinitely: NotRequired[Any]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What it knows of a time."""

    events: list[Happened]
    cameras: frozenset[str]
    """All that it has."""
    since: float
    """Seconds since 1970 before which it may have forgotten what there was."""
    labels: Counter[str]
    """Of all events of that time, also those that are not meant."""


def label(
    server: Server,
    recordings: Sequence[Recording],
    abnormal: Collection[str],
    now: float,
    left: dict[str, str],
) -> dict[str, tuple[Interval, ...]]:
    """Recording → when what happens in it, as Frigate knows; none where it is normal.

    Args:
        recordings, abnormal, now: see `known`.
        left: takes what is left out, and why.

    Raises:
        WsvadError: it cannot be asked, knows none of the cameras, or of nothing abnormal in these recordings.
    """
    found = known(server, recordings, abnormal, now)
    if not any(one.camera in found.cameras for one in recordings):
        theirs, ours = ("', '".join(sorted(some)[:5]) for some in (found.cameras, {one.camera for one in recordings}))
        raise WsvadError(f"{server.host}: has no camera '{ours}' as the recordings are of; its cameras are '{theirs}'")
    some = [one for one in recordings if one.camera in found.cameras]
    left |= {
        one.name: f"{one.path}: Frigate has no camera '{one.camera}'"
        for one in recordings
        if one.camera not in found.cameras
    }
    truth = labelled(some, found.events, left)
    for one in some:  # only that nothing happened may have been forgotten
        if one.start < found.since and truth.get(one.name) == ():
            del truth[one.name]
            left[one.name] = f"{one.path}: older than the oldest event that Frigate still has, so it may have had one"
    if not any(truth.values()):
        wanted = f"labelled {' or '.join(abnormal)}" if abnormal else "that was marked by hand"
        there = ", ".join(f"{name} ({count})" for name, count in found.labels.most_common(8)) or "none"
        raise WsvadError(
            f"{server.host}: no event {wanted} is in these recordings; its labels of that time: {there}; "
            "name those that are abnormal with --abnormal"
        )
    return truth


def known(server: Server, recordings: Sequence[Recording], abnormal: Collection[str], now: float) -> Known:
    """Ask Frigate for what happened while recordings were made.

    Args:
        recordings: in order of time.
        abnormal: labels, or sub-labels, of what is abnormal; empty for what somebody marked by hand. What wsvad itself
            reported counts as nobody's judgement.
        now: seconds since 1970, at which events end that are not over.

    Raises:
        WsvadError: it cannot be asked, or answers what it never does.
    """
    cameras = _cameras(server)
    first, last = recordings[0].start, recordings[-1].start
    asked = {one.camera for one in recordings} & cameras
    if not asked:
        return Known(events=[], cameras=cameras, since=first, labels=Counter())
    found = list(_events(server, asked, first - DAY, last + DAY))
    earlier = _page(server, asked, before=first - DAY)
    kept = [one["start_time"] for one in found if not one.get("retain_indefinitely")]
    forgets_nothing = any(not one.get("retain_indefinitely") for one in earlier)
    events = []
    for one in found:
        meant, category = _meant(one, abnormal)
        if meant and not one.get("false_positive"):
            end = one["end_time"] if one["end_time"] is not None else now
            events.append(Happened(camera=one["camera"], start=one["start_time"], end=end, category=category))
    return Known(
        events=events,
        cameras=cameras,
        since=float("-inf") if forgets_nothing else min(kept, default=float("inf")),
        labels=Counter(one["label"] for one in found),
    )


def _meant(event: _Event, abnormal: Collection[str]) -> tuple[bool, str | None]:
    """Whether an event counts, and its category; None for what wsvad itself reported."""
    said = event.get("sub_label")
    sub = said[0] if isinstance(said, list) and said else said  # earlier versions add how sure they are
    sub = sub if isinstance(sub, str) else ""
    if sub.startswith(MARK):
        return True, None
    if not abnormal:
        data = event.get("data")
        by_hand = isinstance(data, dict) and data.get("type") == "api"
        return by_hand, event["label"]
    return (True, sub) if sub in abnormal else (event["label"] in abnormal, event["label"])


def _cameras(server: Server) -> frozenset[str]:
    found = server.ask("GET", "config", most=MOST_BYTES)
    cameras = found.get("cameras") if isinstance(found, dict) else None
    if not isinstance(cameras, dict) or not cameras:
        raise WsvadError(f"{server.host}: names no cameras, as Frigate does; check the address")
    return frozenset(map(str, cameras))


def _events(server: Server, cameras: Collection[str], after: float, before: float) -> Iterator[_Event]:
    """All that begin in a time, the newest first, each once."""
    seen: set[str] = set()
    while page := _page(server, cameras, after=after, before=before):
        new = [one for one in page if one["id"] not in seen]
        seen |= {one["id"] for one in new}
        yield from new
        if len(page) < PAGE:
            return
        oldest = min(one["start_time"] for one in page)
        # A little later than the oldest, for others of the same moment; but each page has to bring something.
        before = oldest + 1e-3 if new and oldest + 1e-3 < before else oldest


def _page(server: Server, cameras: Collection[str], **when: float) -> list[_Event]:
    query = urlencode({"cameras": ",".join(sorted(cameras)), "limit": PAGE, "include_thumbnails": 0} | when)
    found = server.ask("GET", f"events?{query}", most=MOST_BYTES)
    for problem in problems(found, list[_Event], "events"):
        raise WsvadError(f"{server.host}: answers, but not as Frigate does ({problem}); check the address")
    return list(found)
